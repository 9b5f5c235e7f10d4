-- grain: one city and plan year: rows that are half of a refund, those whose other half is missing, and refunds of a later year
-- tables: settlement, settlement_undone of all years
-- slots: settlement, settlement_undone
WITH undone AS MATERIALIZED (
    SELECT city, plan_year, setl_id, updt_time, kind, by_setl_id, by_plan_year, medfee_sumamt_fen FROM {settlement_undone}
),
halves AS (
    SELECT half.city, half.plan_year, row_kind, medfee_sumamt_fen,
        CASE row_kind WHEN 'reversal' THEN reverser.city IS NULL ELSE original.city IS NULL END AS is_alone
    FROM {settlement} AS half
    LEFT JOIN (SELECT DISTINCT city, by_setl_id FROM undone WHERE kind <> 'superseded') AS reverser
    ON half.city = reverser.city AND half.setl_id = reverser.by_setl_id
    LEFT JOIN (SELECT city, plan_year, setl_id, updt_time, bool_or(kind = 'superseded') AS is_old FROM undone GROUP BY ALL) AS original
    ON half.city = original.city AND half.plan_year = original.plan_year AND half.setl_id = original.setl_id
        AND half.updt_time IS NOT DISTINCT FROM original.updt_time
    WHERE row_kind <> 'normal' AND NOT coalesce(is_old, false)
),
paired AS (
    SELECT DISTINCT city, plan_year, setl_id, by_setl_id, by_plan_year <> plan_year AS is_late, medfee_sumamt_fen
    FROM undone WHERE kind <> 'superseded'
)
SELECT
    city, plan_year,
    coalesce(n_halves, 0) AS halves, coalesce(n_alone, 0) AS alone, coalesce(alone_fen, 0)::BIGINT AS alone_fen,
    coalesce(n_refunds, 0) AS refunds, coalesce(n_late, 0) AS late, coalesce(late_fen, 0)::BIGINT AS late_fen
FROM (
    SELECT city, plan_year, count(*) AS n_halves, count(*) FILTER (is_alone) AS n_alone,
        sum(abs(medfee_sumamt_fen)) FILTER (is_alone) AS alone_fen
    FROM halves GROUP BY ALL
) FULL JOIN (
    SELECT city, plan_year, count(*) AS n_refunds, count(*) FILTER (is_late) AS n_late,
        sum(abs(medfee_sumamt_fen)) FILTER (is_late) AS late_fen
    FROM paired GROUP BY ALL
) USING (city, plan_year)

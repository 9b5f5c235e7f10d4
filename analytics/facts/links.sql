-- grain: one product, level of link and plan year
-- tables: commercial_claim, treated
-- slots: commercial_claim, treated
-- A claim is linked to a settlement (1), else to an encounter (2), else to a person treated in these years (3), else to nothing (4).
WITH claim AS MATERIALIZED (
    SELECT row_number() OVER () AS n, city, plan_year, product_code, person_key, setl_id, mdtrt_id, paid_amt_fen FROM {commercial_claim}
),
settled AS MATERIALIZED (
    SELECT n FROM claim SEMI JOIN {treated} USING (city, plan_year, setl_id)
),
stayed AS MATERIALIZED (
    SELECT n FROM (FROM claim ANTI JOIN settled USING (n)) SEMI JOIN {treated} USING (city, plan_year, mdtrt_id)
),
known AS (
    SELECT n FROM (FROM claim ANTI JOIN settled USING (n) ANTI JOIN stayed USING (n)) SEMI JOIN {treated} USING (city, plan_year, person_key)
)
SELECT city, plan_year, product_code AS product, coalesce(level, 4) AS level, count(*) AS claims, sum(paid_amt_fen)::BIGINT AS paid_fen
FROM claim LEFT JOIN (
    SELECT n, 1 AS level FROM settled UNION ALL SELECT n, 2 FROM stayed UNION ALL SELECT n, 3 FROM known
) USING (n)
GROUP BY ALL ORDER BY ALL

-- grain: one settlement that counts; of one refunded in part, what is left
-- tables: settlement, settlement_undone
-- slots: settlement, settlement_undone, columns
-- A reversal never counts itself. What it undoes does not count either, whatever period the reversal was booked in; undone in
-- part, it counts less the refund. A refunded original that nothing undoes has its reversal outside the extract.
SELECT {columns}
FROM {settlement} AS one LEFT JOIN (
    SELECT city, plan_year, setl_id, updt_time, bool_or(kind <> 'partly_refunded') AS is_gone, sum(COLUMNS('_fen$')::DOUBLE)::BIGINT
    FROM {settlement_undone}
    GROUP BY ALL
) AS undone
ON one.setl_id = undone.setl_id AND one.updt_time IS NOT DISTINCT FROM undone.updt_time
    AND one.city = undone.city AND one.plan_year = undone.plan_year
WHERE row_kind <> 'reversal' AND coalesce(NOT is_gone, row_kind = 'normal')

-- grain: one settlement that counts; of one refunded in part, what is left
-- tables: settlement, undone
-- slots: settlement, undone, same, columns
-- A reversal never counts itself. What it undoes does not count either, whatever period the reversal was booked in; undone in
-- part, it counts less the refund. A refunded original that nothing undoes has its reversal outside the extract.
SELECT {columns}
FROM {settlement} AS one LEFT JOIN {undone} AS undone ON {same}
WHERE row_kind <> 'reversal' AND coalesce(NOT is_gone, row_kind = 'normal')

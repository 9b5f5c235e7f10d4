-- grain: one settlement refunded in part and what that took off it; added to the settlements, what is left
-- tables: settlement, undone
-- slots: settlement, undone, same, columns
SELECT {columns}
FROM {settlement} AS one JOIN {undone} AS undone ON {same}
WHERE row_kind <> 'reversal' AND NOT is_gone

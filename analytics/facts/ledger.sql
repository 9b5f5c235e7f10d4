-- grain: one person or household of one city and plan year, with the ledger: what each tier paid and left, the same place in every file
-- tables: person_year, household_year or a survey
-- slots: rows, paid, ledger
SELECT * EXCLUDE (claimed_fen, {paid}), {ledger}
FROM {rows}

-- grain: one person in one city and plan year, with the ledger: after each tier, in this plan's order
-- tables: person_paid
-- slots: base_columns, ledger
SELECT
    {base_columns},
    cost_fen - hospital_borne_fen AS own_before_fen,
    {ledger},
    cost_fen - hospital_borne_fen - statutory_paid_fen AS own_gross_fen
FROM person_paid

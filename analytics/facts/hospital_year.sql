-- grain: one hospital (NULL: nobody knows which) and kind of person (cost band, group, tiers that paid) of one city and plan year
-- tables: share
-- slots: place, at, where, tiers, ledger
-- A code that holds characters nobody can see was encrypted on its way (rule Q20): it names no hospital.
SELECT
    {place},
    (CASE WHEN provider_id <> '' AND NOT regexp_matches(provider_id, '[\pC�]') THEN dense_rank() OVER (ORDER BY {at}provider_id) END)::INTEGER AS hospital,
    cost_band, person_group, {tiers} AS tiers,
    cost_fen, in_policy_fen, out_of_catalogue_fen,
    cost_fen - hospital_borne_fen AS own_before_fen,
    {ledger}
FROM share {where}

-- grain: one hospital by its code and one kind of person (cost band, group, tiers that paid): what it made of their sums
-- tables: settlement, settlement_undone, commercial_claim, placed, person_year
-- slots: at, settled, commercial_claim, claimed, person_year, band, bits
-- What a person is told by is that of the whole year, as in person_year: the rows of all hospitals add up to the sums of the persons.
-- A payment is made where the settlement it names was, else where the encounter was; of several hospitals nobody knows which.
WITH by_settlement AS (
    SELECT {at}setl_id, min(provider_id) AS settled_by FROM placed GROUP BY ALL HAVING min(provider_id) = max(provider_id)
),
by_encounter AS (
    SELECT {at}mdtrt_id, min(provider_id) AS stayed_at FROM placed GROUP BY ALL HAVING min(provider_id) = max(provider_id)
)
SELECT {at}provider_id, cost_band, person_group, bits, coalesce(sum(COLUMNS('_fen$')::DOUBLE), 0)::BIGINT
FROM (
    {settled}
    UNION ALL BY NAME
    SELECT {at}person_key, coalesce(settled_by, stayed_at) AS provider_id, {claimed}
    FROM {commercial_claim} LEFT JOIN by_settlement USING ({at}setl_id) LEFT JOIN by_encounter USING ({at}mdtrt_id)
)
JOIN (SELECT {at}person_key, {band} AS cost_band, person_group, {bits} AS bits FROM {person_year}) USING ({at}person_key)
GROUP BY ALL

-- grain: one sum of money (what it is of, tier, dimension and value), the largest and second largest share of a household in it
-- tables: person_year
-- slots: fact, ledger, band, whole, each
WITH fact AS (SELECT * FROM {fact}),
ledger AS ({ledger}),
share AS (
    SELECT tier, {band} AS cost_band, person_group, coalesce(household_key, person_key) AS household, household_key IS NULL AS alone,
        sum(paid::DOUBLE) AS paid, sum(before::DOUBLE) AS before, sum(cost_fen::DOUBLE) AS cost
    FROM ledger WHERE paid > 0
    GROUP BY GROUPING SETS ((tier, household, alone), (tier, cost_band, household, alone), (tier, person_group, household, alone))
),
home AS (
    SELECT {whole} FROM fact GROUP BY coalesce(household_key, person_key), household_key IS NULL
),
two AS (
    SELECT tier, coalesce(cost_band, person_group) AS part, max(paid, 2) AS paid, max(before, 2) AS before, max(cost, 2) AS cost
    FROM share GROUP BY ALL
)
SELECT what, tier, part, coalesce(most[1], 0)::BIGINT AS first, coalesce(most[2], 0)::BIGINT AS second
FROM (UNPIVOT two ON paid, before, cost INTO NAME what VALUE most)
UNION ALL
SELECT what, NULL, NULL, coalesce(most[1], 0)::BIGINT, coalesce(most[2], 0)::BIGINT
FROM (UNPIVOT (SELECT {each} FROM home) ON COLUMNS(*) INTO NAME what VALUE most)
ORDER BY ALL

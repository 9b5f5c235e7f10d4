-- grain: one sum of money (what it is of, tier, dimension and value), the largest and second largest share of a contributor in it
-- tables: person_year, hospital_year
-- slots: fact, ledger, who, band, paid, whole, each
-- What nobody known contributed is in no share: a person without household is one of their own, a hospital nobody knows is none.
WITH fact AS (SELECT * FROM {fact}),
ledger AS ({ledger}),
share AS (
    SELECT tier, {band} AS cost_band, person_group, {who},
        sum(paid::DOUBLE) AS paid, sum(before::DOUBLE) AS before, sum(cost_fen::DOUBLE) AS cost
    FROM ledger WHERE {paid}
    GROUP BY GROUPING SETS ((tier, who, alone), (tier, cost_band, who, alone), (tier, person_group, who, alone))
),
home AS (
    SELECT {whole}, {who} FROM fact GROUP BY who, alone
),
two AS (
    SELECT tier, coalesce(cost_band, person_group) AS part, max(paid, 2) AS paid, max(before, 2) AS before, max(cost, 2) AS cost
    FROM share WHERE who IS NOT NULL GROUP BY ALL
)
SELECT what, tier, part, coalesce(most[1], 0)::BIGINT AS first, coalesce(most[2], 0)::BIGINT AS second
FROM (UNPIVOT two ON paid, before, cost INTO NAME what VALUE most)
UNION ALL
SELECT what, NULL, NULL, coalesce(most[1], 0)::BIGINT, coalesce(most[2], 0)::BIGINT
FROM (UNPIVOT (SELECT {each} FROM home WHERE who IS NOT NULL) ON COLUMNS(*) INTO NAME what VALUE most)
ORDER BY ALL

-- grain: as `rows`, with the fifth of the persons, by household income per member, in which the household lies
-- tables: households
-- slots: rows
-- "1" is the poorest. Households of equal income lie together, where the middle of them falls; without income: unknown.
WITH household AS MATERIALIZED (
    SELECT *, CASE WHEN n_members >= 1 THEN income_fen::DOUBLE / n_members END AS per_member FROM ({rows})
),
equal AS (
    SELECT city, plan_year, per_member, sum(weight * n_members) AS persons FROM household WHERE per_member IS NOT NULL GROUP BY ALL
),
placed AS (
    SELECT city, plan_year, per_member, 5 * (2 * sum(persons) OVER poorer - persons) / (2 * sum(persons) OVER place) AS fifth
    FROM equal
    WINDOW place AS (PARTITION BY city, plan_year), poorer AS (PARTITION BY city, plan_year ORDER BY per_member ROWS UNBOUNDED PRECEDING)
)
SELECT household.* EXCLUDE (per_member),
    (CASE WHEN fifth IS NULL THEN 'unknown' ELSE least(1 + floor(fifth), 5)::INTEGER::VARCHAR END)::income_group AS income_group
FROM household LEFT JOIN placed USING (city, plan_year, per_member)

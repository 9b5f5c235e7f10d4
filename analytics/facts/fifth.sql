-- grain: as `rows`, households of one city and plan year, with the fifth of the persons, by household income per member, in which each lies
-- tables: households
-- slots: rows
-- "1" is the poorest. Households of equal income lie together, where the middle of them falls; without income: unknown.
WITH equal AS (
    SELECT income_fen::DOUBLE / n_members AS per_member, sum(weight * n_members) AS persons
    FROM {rows} WHERE n_members >= 1 AND income_fen IS NOT NULL GROUP BY ALL
),
placed AS (
    SELECT per_member, 5 * (2 * sum(persons) OVER (ORDER BY per_member ROWS UNBOUNDED PRECEDING) - persons) / (2 * sum(persons) OVER ()) AS fifth
    FROM equal
)
SELECT household.*, (CASE WHEN fifth IS NULL THEN 'unknown' ELSE least(1 + floor(fifth), 5)::INTEGER::VARCHAR END)::income_group AS income_group
FROM {rows} AS household LEFT JOIN placed
ON per_member = CASE WHEN n_members >= 1 THEN income_fen::DOUBLE / n_members END

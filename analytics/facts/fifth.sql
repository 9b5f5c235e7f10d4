-- grain: as `rows`, households of one city and plan year, with the fifth of the persons, by household income per member, in which each lies
-- tables: households
-- slots: rows
-- "1" is the poorest. Households of equal income lie together, where the middle of them falls; without income: unknown.
-- The least income of each fifth is compared, so that households come out in the order they came in.
WITH household AS NOT MATERIALIZED (
    SELECT *, CASE WHEN n_members >= 1 THEN income_fen::DOUBLE / n_members END AS per_member FROM {rows}
),
equal AS (
    SELECT per_member, sum(weight * n_members) AS persons FROM household WHERE per_member IS NOT NULL GROUP BY per_member
),
placed AS (
    SELECT per_member, 5 * (2 * sum(persons) OVER (ORDER BY per_member ROWS UNBOUNDED PRECEDING) - persons) / (2 * sum(persons) OVER ()) AS fifth
    FROM equal
),
least AS (
    SELECT
        min(per_member) FILTER (fifth >= 1) AS second,
        min(per_member) FILTER (fifth >= 2) AS third,
        min(per_member) FILTER (fifth >= 3) AS fourth,
        min(per_member) FILTER (fifth >= 4) AS last
    FROM placed
)
SELECT household.* EXCLUDE per_member, (CASE
    WHEN per_member IS NULL THEN 'unknown' WHEN per_member >= last THEN '5' WHEN per_member >= fourth THEN '4'
    WHEN per_member >= third THEN '3' WHEN per_member >= second THEN '2' ELSE '1'
END)::income_group AS income_group
FROM household, least

-- grain: an expression over households: in which fifth of the persons, by household income per member, the household lies
-- "1" is the poorest. Households of equal income lie together, where the middle of them falls; without income: unknown.
(CASE WHEN income_fen IS NULL OR coalesce(n_members, 0) < 1 THEN 'unknown' ELSE least(1 + floor(5 * (
    2 * sum(CASE WHEN income_fen IS NOT NULL AND n_members >= 1 THEN weight * n_members END)
        OVER (PARTITION BY city, plan_year ORDER BY income_fen::DOUBLE / n_members NULLS LAST RANGE UNBOUNDED PRECEDING)
    - sum(weight * n_members) OVER (PARTITION BY city, plan_year, income_fen::DOUBLE / n_members)
) / (2 * sum(CASE WHEN income_fen IS NOT NULL AND n_members >= 1 THEN weight * n_members END) OVER (PARTITION BY city, plan_year))), 5)::INTEGER::VARCHAR END)::income_group

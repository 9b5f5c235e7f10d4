-- grain: one person and plan year of all cities asked: who stands in several of them stands here once
-- tables: person_year, shared
-- slots: keep, left
-- Amounts and numbers add up, what is true in one city is true; all else (city and dimensions too) is that of the city with the
-- highest cost (highest code among equals), the product that of the city where one is held.
WITH several AS (
    SELECT plan_year, person_key FROM shared WHERE {keep} GROUP BY ALL HAVING count(*) > 1
)
FROM person_year ANTI JOIN several USING (plan_year, person_key)
UNION ALL BY NAME
SELECT
    plan_year, person_key,
    arg_max_null(
        COLUMNS(lambda c: c NOT IN ('plan_year', 'person_key', 'product') AND NOT regexp_matches(c, '^is_|^n_|_fen$')),
        row(cost_fen, city)
    ),
    coalesce(arg_max(product, row(cost_fen, city)) FILTER (product <> 'none'), 'none') AS product,
    arg_max_null(policy_line_fen, row(cost_fen, city)) AS policy_line_fen,
    bool_or(COLUMNS('^is_')),
    sum(COLUMNS('^n_'))::INTEGER,
    sum(COLUMNS(lambda c: suffix(c, '_fen') AND NOT suffix(c, '_after_fen') AND c <> 'policy_line_fen')::DOUBLE)::BIGINT,
    {left}
FROM person_year SEMI JOIN several USING (plan_year, person_key) WHERE {keep} GROUP BY plan_year, person_key

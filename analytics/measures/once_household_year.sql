-- grain: one household and plan year of all cities asked: one that stands in several of them stands here once
-- tables: household_year, shared
-- slots: keep, left
-- What care cost and who paid adds up; income and size are the household's and told in every city; all else (city and dimensions
-- too) is that of the city with the highest cost (highest code among equals). Without a size on record members are the persons
-- known, each once: it is not on record where every city counts its own.
WITH several AS (
    SELECT plan_year, is_linked, household_key, count(*) AS n_found, count(DISTINCT person_key)::INTEGER AS n_persons
    FROM shared WHERE {keep} GROUP BY ALL HAVING min(city) <> max(city)
),
merged AS (
    SELECT
        plan_year, is_linked, household_key,
        arg_max_null(
            COLUMNS(lambda c: c NOT IN ('plan_year', 'is_linked', 'household_key', 'n_found', 'n_persons', 'n_settlements', 'n_admissions')
                AND (NOT suffix(c, '_fen') OR c IN ('income_fen', 'consumption_fen', 'food_fen', 'housing_fen', 'policy_line_fen'))),
            row(cost_fen, city)
        ),
        CASE WHEN sum(n_members) = any_value(n_found) THEN any_value(n_persons) END AS n_known,
        sum(COLUMNS('^n_(settlements|admissions)$'))::INTEGER,
        sum(COLUMNS(lambda c: suffix(c, '_fen') AND NOT suffix(c, '_after_fen') AND c NOT IN ('income_fen', 'consumption_fen', 'food_fen', 'housing_fen', 'policy_line_fen'))::DOUBLE)::BIGINT,
        {left}
    FROM household_year JOIN several USING (plan_year, is_linked, household_key) WHERE {keep} GROUP BY plan_year, is_linked, household_key
)
FROM household_year ANTI JOIN several USING (plan_year, is_linked, household_key)
UNION ALL BY NAME
SELECT * EXCLUDE n_known REPLACE (
    coalesce(n_known, n_members) AS n_members, policy_line_fen // n_members * coalesce(n_known, n_members) AS policy_line_fen
)
FROM merged

-- grain: one household in one city and plan year; a person without household link is a household of one
-- tables: person_year, household_economy
-- slots: household_economy, dimensions, packed, fifth
-- Dimensions of a household are those of its member with the highest cost (highest key among equals).
WITH households AS (
    SELECT
        city, plan_year, household_key, true AS is_linked, count(*)::INTEGER AS n_persons,
        unnest(arg_max({packed}, row(cost_fen, person_key))), sum(COLUMNS('_fen$')::DOUBLE)::BIGINT, sum(COLUMNS('^n_'))::INTEGER
    FROM person_year WHERE household_key IS NOT NULL GROUP BY city, plan_year, household_key
    UNION ALL BY NAME
    SELECT city, plan_year, person_key AS household_key, false AS is_linked, 1 AS n_persons, {dimensions}, COLUMNS('_fen$|^n_')
    FROM person_year WHERE household_key IS NULL
),
economy AS (
    SELECT year AS plan_year, household_key, max(size) AS size, max(children)::INTEGER AS n_children, bool_or(urban) AS urban,
        max(income_annual_fen) AS income_fen, max(consumption_annual_fen) AS consumption_fen, max(food_annual_fen) AS food_fen, max(housing_annual_fen) AS housing_fen
    FROM {household_economy} AS e SEMI JOIN person_year AS p ON e.household_key = p.household_key AND e.year = p.plan_year
    GROUP BY ALL
)
SELECT *, {fifth} AS income_group
FROM (
    SELECT
        * EXCLUDE (size, n_persons, inpatient_cost_fen, inpatient_in_policy_fen, inpatient_basic_fen),
        coalesce(size, n_persons)::INTEGER AS n_members,
        1::DOUBLE AS weight,
        NULL::VARCHAR AS cluster_id,
        NULL::VARCHAR AS stratum_id
    FROM households LEFT JOIN economy USING (plan_year, household_key)
)

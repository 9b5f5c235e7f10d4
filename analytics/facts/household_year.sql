-- grain: one household in one city and plan year; a person without household link is a household of one
-- tables: person_year, household_economy
-- slots: at, place, household_economy, years, dimensions
-- Dimensions of a household are those of its member with the highest cost (highest key among equals).
WITH linked AS (
    SELECT
        {at}household_key, count(*)::INTEGER AS n_persons,
        arg_max(person_key, cost_fen::HUGEINT * 18446744073709551616 + person_key) AS person_key,
        sum(COLUMNS('_fen$')::DOUBLE)::BIGINT, sum(COLUMNS('^n_'))::INTEGER
    FROM person_year WHERE household_key IS NOT NULL GROUP BY ALL
),
households AS MATERIALIZED (
    SELECT {place}, household_key, true AS is_linked, {dimensions}, linked.* EXCLUDE ({at}household_key, person_key)
    FROM linked JOIN (SELECT {at}person_key, {dimensions} FROM person_year) USING ({at}person_key)
    UNION ALL BY NAME
    SELECT city, plan_year, person_key AS household_key, false AS is_linked, 1 AS n_persons, {dimensions}, COLUMNS('_fen$|^n_')
    FROM person_year WHERE household_key IS NULL
),
economy AS (
    SELECT year AS plan_year, household_key, max(size) AS size, max(children)::INTEGER AS n_children, bool_or(urban) AS urban,
        max(income_annual_fen) AS income_fen, max(consumption_annual_fen) AS consumption_fen, max(food_annual_fen) AS food_fen, max(housing_annual_fen) AS housing_fen
    FROM {household_economy} AS e SEMI JOIN households AS h ON e.household_key = h.household_key AND e.year = h.plan_year
    WHERE year IN ({years})
    GROUP BY ALL
)
SELECT
    * EXCLUDE (size, n_persons, inpatient_cost_fen, inpatient_in_policy_fen, inpatient_basic_fen),
    coalesce(size, n_persons)::INTEGER AS n_members,
    1::DOUBLE AS weight,
    NULL::VARCHAR AS cluster_id,
    NULL::VARCHAR AS stratum_id
FROM households LEFT JOIN economy USING (plan_year, household_key)

-- grain: one household in one city and plan year; a person without household link is a household of one
-- tables: person_year, household_economy
-- slots: at, place, household_economy, years, dimensions
-- Dimensions of a household are those of its member with the highest cost, the oldest among equals, then by what they are: a key
-- says nothing of a person.
WITH linked AS (
    SELECT
        {at}household_key, count(*)::INTEGER AS n_persons,
        arg_max(person_key, row(cost_fen, coalesce(age, 0), hash({dimensions}))) AS person_key,
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
told AS MATERIALIZED (
    SELECT year AS plan_year, household_key, size, children::INTEGER AS n_children, urban,
        income_annual_fen AS income_fen, consumption_annual_fen AS consumption_fen, food_annual_fen AS food_fen, housing_annual_fen AS housing_fen, turn
    FROM {household_economy} AS e SEMI JOIN households AS h ON e.household_key = h.household_key AND e.year = h.plan_year
    WHERE year IN ({years})
),
again AS MATERIALIZED (SELECT plan_year, household_key FROM told GROUP BY ALL HAVING count(*) > 1),
economy AS (
    SELECT * FROM told ANTI JOIN again USING (plan_year, household_key)
    UNION ALL
    -- the whole row of the newest delivery; deliveries of before rows were unique may hold several: the largest
    SELECT * FROM told SEMI JOIN again USING (plan_year, household_key)
    QUALIFY row_number() OVER (PARTITION BY plan_year, household_key ORDER BY turn DESC, income_fen DESC NULLS LAST, consumption_fen DESC NULLS LAST,
        food_fen DESC NULLS LAST, housing_fen DESC NULLS LAST, size DESC NULLS LAST, n_children DESC NULLS LAST, urban DESC NULLS LAST) = 1
)
SELECT
    * EXCLUDE (size, turn, n_persons, inpatient_cost_fen, inpatient_in_policy_fen, inpatient_basic_fen),
    coalesce(size, n_persons)::INTEGER AS n_members,
    1::DOUBLE AS weight,
    NULL::VARCHAR AS cluster_id,
    NULL::VARCHAR AS stratum_id
FROM households LEFT JOIN economy USING (plan_year, household_key)

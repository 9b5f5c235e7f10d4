-- grain: one household in one city and plan year; a person without household link is a household of one
-- tables: person_year, household_economy
-- slots: dimensions, sums, amounts
-- parameters: plan_year, policy_line_fen
-- Dimensions of a household are those of its member with the highest cost (highest person id among equals).
WITH costliest AS (
    SELECT household_id AS household, arg_max(person_id, row(cost_fen, person_id)) AS person_id
    FROM (SELECT household_id, cost_fen, person_id FROM person_year WHERE household_id IS NOT NULL)
    GROUP BY household_id
),
linked AS (
    SELECT household_id AS household, count(*)::INTEGER AS n_persons, true AS is_linked, {sums}
    FROM person_year WHERE household_id IS NOT NULL GROUP BY household_id
),
summed AS (
    SELECT {dimensions}, linked.*
    FROM linked JOIN costliest USING (household) JOIN person_year USING (person_id)
    UNION ALL BY NAME
    SELECT {dimensions}, 'person ' || person_id AS household, 1 AS n_persons, false AS is_linked, {amounts}
    FROM person_year WHERE household_id IS NULL
),
economy AS (
    SELECT household_id AS household, max(size) AS size, bool_or(urban) AS urban,
        max(income_annual_fen) AS income_fen, max(consumption_annual_fen) AS consumption_fen, max(food_annual_fen) AS food_fen
    FROM household_economy WHERE year = $plan_year GROUP BY household_id
)
SELECT
    {dimensions},
    household AS household_id,
    coalesce(size, n_persons)::INTEGER AS n_members,
    1::DOUBLE AS weight,
    household AS cluster_id,
    NULL::VARCHAR AS stratum_id,
    is_linked,
    urban,
    {amounts},
    income_fen,
    consumption_fen,
    food_fen,
    $policy_line_fen::BIGINT * coalesce(size, n_persons) AS policy_line_fen
FROM summed LEFT JOIN economy USING (household)

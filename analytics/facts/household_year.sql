-- grain: one household in one city and plan year; a person without household link is a household of one
-- tables: person_year, household_economy
-- slots: of_costliest, sums
-- parameters: plan_year, policy_line_fen
-- Dimensions of a household are those of its member with the highest cost (lowest person id among equals).
WITH member AS (
    SELECT *, coalesce(household_id, 'person ' || person_id) AS household FROM person_year
),
costliest AS (
    SELECT household, {of_costliest}
    FROM member
    QUALIFY row_number() OVER (PARTITION BY household ORDER BY cost_fen DESC, person_id) = 1
),
summed AS (
    SELECT household, count(*)::INTEGER AS n_persons, bool_and(household_id IS NOT NULL) AS is_linked, {sums}
    FROM member GROUP BY household
),
economy AS (
    SELECT household_id AS household, max(size) AS size, bool_or(urban) AS urban,
        max(income_annual_fen) AS income_fen, max(consumption_annual_fen) AS consumption_fen, max(food_annual_fen) AS food_fen
    FROM household_economy WHERE year = $plan_year GROUP BY household_id
)
SELECT
    costliest.* EXCLUDE (household),
    household AS household_id,
    coalesce(size, n_persons)::INTEGER AS n_members,
    1::DOUBLE AS weight,
    household AS cluster_id,
    NULL::VARCHAR AS stratum_id,
    is_linked,
    urban,
    summed.* EXCLUDE (household, n_persons, is_linked),
    income_fen,
    consumption_fen,
    food_fen,
    $policy_line_fen::BIGINT * coalesce(size, n_persons) AS policy_line_fen
FROM summed JOIN costliest USING (household) LEFT JOIN economy USING (household)
ORDER BY household_id

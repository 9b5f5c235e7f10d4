-- grain: one person of a city-year: how long insured, and in which fifth of incomes
-- tables: enrolment, person_year, household_year
-- slots: enrolment, plan_year, city
-- Years are counted backwards from the plan year without a gap, as far as the spells delivered reach. Who holds a product in its
-- first year is covered from the day it began; who renews has no such day. Zero-claim years are in no extract: NULL.
WITH spell AS (
    SELECT person_key, product_code IS NOT NULL AS held, start_date,
        unnest(range(year(start_date), 1 + least(coalesce(year(end_date), {plan_year}), {plan_year}))) AS covered_year
    FROM {enrolment} WHERE city = '{city}'
),
years AS (
    SELECT person_key, covered_year, held, min(start_date) FILTER (covered_year = {plan_year}) AS began,
        row_number() OVER (PARTITION BY person_key, held ORDER BY covered_year DESC) AS place
    FROM (
        SELECT person_key, covered_year, false AS held, start_date FROM spell
        UNION ALL SELECT person_key, covered_year, true, start_date FROM spell WHERE held
    ) GROUP BY person_key, covered_year, held
),
streak AS (
    SELECT person_key,
        count(*) FILTER (NOT held AND covered_year = {plan_year} + 1 - place)::INTEGER AS insured_years,
        count(*) FILTER (held AND covered_year = {plan_year} + 1 - place)::INTEGER AS product_years,
        min(began) FILTER (held) AS began
    FROM years GROUP BY person_key
),
fifth AS (SELECT household_key, is_linked, nullif(income_group, 'unknown') AS capacity FROM household_year)
SELECT p.person_key AS person_id, insured_years, product_years, NULL::INTEGER AS zero_claim_years,
    CASE WHEN product_years = 1 THEN began END AS cover_start, capacity
FROM person_year AS p LEFT JOIN streak USING (person_key)
LEFT JOIN fifth ON fifth.household_key = coalesce(p.household_key, p.person_key) AND fifth.is_linked = (p.household_key IS NOT NULL)

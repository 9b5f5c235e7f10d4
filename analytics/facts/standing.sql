-- grain: one person of a city-year: how long insured, and in which fifth of incomes
-- tables: enrolment, person_year, household_year
-- slots: enrolment, plan_year, city
-- Years of cover, this one included, from the days the sender states; who holds a product in its first year is covered from that
-- day, who renews has no such day. Nothing is inferred from spells, which may begin with the extract. Years without a claim are
-- in no extract: NULL.
WITH since AS (
    SELECT person_key, min(insured_since) AS insured_since, min(product_since) FILTER (product_code IS NOT NULL) AS product_since
    FROM {enrolment}
    WHERE city = '{city}' AND year(start_date) <= {plan_year} AND coalesce(year(end_date), {plan_year}) >= {plan_year}
    GROUP BY person_key
),
fifth AS (SELECT household_key, is_linked, nullif(income_group, 'unknown') AS capacity FROM household_year)
SELECT
    p.person_key AS person_id,
    ({plan_year} + 1 - year(insured_since))::INTEGER AS insured_years,
    ({plan_year} + 1 - year(product_since))::INTEGER AS product_years,
    NULL::INTEGER AS zero_claim_years,
    CASE WHEN year(product_since) = {plan_year} THEN product_since END AS cover_start,
    capacity
FROM person_year AS p LEFT JOIN since USING (person_key)
LEFT JOIN fifth ON fifth.household_key = coalesce(p.household_key, p.person_key) AND fifth.is_linked = (p.household_key IS NOT NULL)

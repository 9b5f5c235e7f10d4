-- grain: one person and product of one city and plan year: held in it, held in the year before, or paid by without either
-- tables: enrolment, commercial_claim, person_year
-- slots: enrolment, commercial_claim, places, dimensions, described, premium
-- The enrolment says who holds what; who was paid and is not in it stays, without a premium. Who held a product before is told only
-- where the enrolment has holders in both years. Of whom the city knows no more, no group is known.
WITH spell AS (
    SELECT
        city, plan_year, person_key, product_code AS product, premium_fen, product_since,
        coalesce(product_year, year(start_date)) AS premium_year,
        coalesce(product_year, plan_year) = plan_year
            AND year(start_date) <= plan_year AND coalesce(year(end_date), plan_year) >= plan_year AS is_now,
        coalesce(product_year, plan_year - 1) = plan_year - 1
            AND year(start_date) < plan_year AND coalesce(year(end_date), plan_year) >= plan_year - 1 AS is_before
    FROM {enrolment} JOIN (VALUES {places}) AS place (city, plan_year) USING (city)
    WHERE product_code IS NOT NULL
),
held AS (
    -- several spells of a year tell of one premium
    SELECT
        city, plan_year, person_key, product,
        bool_or(is_now) AS is_now, bool_or(is_before) AS is_before,
        max(premium_fen) FILTER (is_now AND premium_year = plan_year) AS premium_told,
        count(premium_fen) FILTER (is_now) > 0 AS is_told,
        plan_year + 1 - year(min(product_since) FILTER (is_now)) AS product_years
    FROM spell WHERE is_now OR is_before GROUP BY city, plan_year, person_key, product
),
claimed AS (
    SELECT
        city, plan_year, person_key, product_code AS product,
        count(*) FILTER (paid_amt_fen > 0) AS n_claims, sum(paid_amt_fen::DOUBLE)::BIGINT AS paid_fen
    FROM {commercial_claim} WHERE tier = 'inclusive' GROUP BY ALL
),
policy AS (
    -- renewed: whatever product of the city is held now
    SELECT
        city, plan_year, person_key, product, product_years, premium_told,
        coalesce(is_told, false) AS is_told,
        coalesce(is_now, false) AS is_held,
        coalesce(is_before, false) AS is_before,
        bool_or(is_now) OVER (PARTITION BY city, plan_year, person_key) AS is_any,
        bool_or(is_before) OVER everybody AND bool_or(is_now) OVER everybody AS is_covered,
        coalesce(n_claims, 0)::INTEGER AS n_claims,
        coalesce(paid_fen, 0) AS paid_fen
    FROM held FULL JOIN claimed USING (city, plan_year, person_key, product)
    WINDOW everybody AS (PARTITION BY city, plan_year)
)
SELECT
    city, plan_year, person_key, household_key, {dimensions}, product, is_held,
    CASE WHEN is_covered THEN is_before END AS was_held,
    CASE WHEN is_covered AND is_before THEN coalesce(is_any, false) END AS is_renewed,
    n_claims, paid_fen, premium_fen,
    CASE WHEN premium_fen IS NULL THEN 'none' WHEN is_told THEN 'record' ELSE 'plan' END AS premium_of
FROM (
    SELECT *, CASE WHEN is_told THEN premium_told WHEN is_held THEN {premium} END AS premium_fen
    FROM policy LEFT JOIN (
        SELECT city, plan_year, person_key, household_key, age, is_pre_existing, is_retired, {described} FROM person_year
    ) USING (city, plan_year, person_key)
)

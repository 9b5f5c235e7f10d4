-- grain: one payment of one liability by an insurer or a charity; nothing paid is no payment
-- tables: commercial_claim, person_year, treated
-- slots: commercial_claim, treated, dimensions, described
-- The place of care and, where the payment states none itself, the disease are those of the settlement a payment names, else of
-- the encounter; where it names neither, nobody knows. Paid before it was claimed tells no number of days.
WITH payment AS MATERIALIZED (FROM {commercial_claim} WHERE paid_amt_fen > 0),
settled AS (
    SELECT city, plan_year, setl_id, bool_or(is_away) AS is_away, min(disease) AS disease
    FROM {treated} SEMI JOIN payment USING (city, plan_year, setl_id) GROUP BY ALL
),
stayed AS (
    SELECT city, plan_year, mdtrt_id, bool_or(is_away) AS is_away, min(disease) AS disease
    FROM {treated} SEMI JOIN payment USING (city, plan_year, mdtrt_id) GROUP BY ALL
)
SELECT
    city, plan_year, person_key, household_key, {dimensions}, product_code AS product, payment.tier AS tier,
    coalesce(duty_code, 'unknown') AS liability,
    coalesce(nullif(payment.disease, 'unknown'), settled.disease, stayed.disease, 'unknown') AS disease,
    paid_amt_fen::BIGINT AS paid_fen,
    CASE WHEN pay_date >= claim_date THEN (pay_date - claim_date)::INTEGER END AS days_to_pay,
    is_one_stop,
    coalesce(settled.is_away, stayed.is_away) AS is_cross_region
FROM payment
LEFT JOIN settled USING (city, plan_year, setl_id)
LEFT JOIN stayed USING (city, plan_year, mdtrt_id)
LEFT JOIN (SELECT city, plan_year, person_key, household_key, {described} FROM person_year) USING (city, plan_year, person_key)

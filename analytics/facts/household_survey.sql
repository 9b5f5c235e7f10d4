-- grain: one survey household in one area and plan year
-- tables: household_year
-- slots: household_year, no_dimension, paid_total, paid
-- Without a cost the own burden and the payments add up to it; without an own burden it is the cost less the payments.
SELECT
    city, plan_year, {no_dimension},
    household_key, n_members, n_children, weight, cluster_id, stratum_id, true AS is_linked, urban,
    whole_fen AS cost_fen, own_fen + paid_fen AS own_before_fen, own_fen AS own_gross_fen, own_fen AS own_cash_fen, {paid},
    income_fen, consumption_fen, food_fen, housing_fen, NULL::BIGINT AS policy_line_fen, NULL AS claimed_fen
FROM (
    SELECT *, {paid_total} AS paid_fen, coalesce(cost_fen, own_burden_fen + paid_fen) AS whole_fen,
        coalesce(own_burden_fen, cost_fen - paid_fen) AS own_fen
    FROM {household_year}
)

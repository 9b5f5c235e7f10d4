-- grain: one survey household in one area and plan year
-- tables: household_year_delivered
-- slots: no_dimension, paid_total, ledger
-- Without a cost the own burden and the payments add up to it; without an own burden it is the cost less the payments.
WITH burden AS (
    SELECT *,
        coalesce(cost_fen, own_burden_fen + ({paid_total})) AS whole_fen,
        coalesce(own_burden_fen, cost_fen - ({paid_total})) AS own_fen
    FROM household_year_delivered
)
SELECT
    city, plan_year, {no_dimension},
    household_id, coalesce(n_members, 1)::INTEGER AS n_members, weight,
    coalesce(cluster_id, household_id) AS cluster_id, stratum_id, true AS is_linked, urban,
    whole_fen AS cost_fen, own_fen + ({paid_total}) AS own_before_fen, {ledger},
    own_fen AS own_gross_fen, own_fen AS own_cash_fen, own_fen AS own_net_fen,
    income_fen, consumption_fen, food_fen, NULL::BIGINT AS policy_line_fen
FROM burden

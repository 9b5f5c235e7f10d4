-- grain: one person in one city and plan year; everybody insured or treated, patients or not
-- tables: settlement, commercial_claim, enrolment, person, household_member
-- slots: age_band, settled_tiers, claimed_tiers, paid, group_rank
-- parameters: city, plan_year
-- A refund removes its original: neither the refunded settlement nor the negative row counts.
WITH refunded AS (
    SELECT init_setl_id AS setl_id FROM settlement WHERE init_setl_id IS NOT NULL
),
kept AS (
    SELECT * FROM settlement ANTI JOIN refunded USING (setl_id) WHERE row_kind = 'normal'
),
settled AS (
    SELECT
        person_id,
        count(*) AS n_settlements,
        -- the person's highest hospital level and farthest place, inpatient care before other care
        max(CASE hospital_level WHEN '3' THEN 4 WHEN '2' THEN 3 WHEN '1' THEN 2 ELSE 1 END) AS level_rank,
        max(CASE care_type WHEN 'inpatient' THEN 5 WHEN 'special_outpatient' THEN 4 WHEN 'outpatient' THEN 3 WHEN 'pharmacy' THEN 2 ELSE 1 END) AS care_rank,
        max(CASE cross_region WHEN 'out_province' THEN 4 WHEN 'in_province' THEN 3 WHEN 'local' THEN 2 ELSE 1 END) AS region_rank,
        min(insurance_type) AS insurance_type, -- employee before resident, whatever the order of the rows
        min(sex) AS sex,
        sum(medfee_sumamt_fen::DOUBLE)::BIGINT AS cost_fen,
        sum(inscp_scp_amt_fen::DOUBLE)::BIGINT AS in_policy_fen,
        sum(preselfpay_amt_fen::DOUBLE)::BIGINT AS advance_fen,
        sum((fulamt_ownpay_amt_fen + overlmt_selfpay_fen)::DOUBLE)::BIGINT AS out_of_catalogue_fen,
        sum(hosp_part_amt_fen::DOUBLE)::BIGINT AS hospital_borne_fen,
        sum(psn_cash_pay_fen::DOUBLE)::BIGINT AS own_cash_fen,
        {settled_tiers}
    FROM kept GROUP BY person_id
),
admitted AS (
    -- a stay with several settlements is one admission
    SELECT person_id, count(DISTINCT mdtrt_id) AS n_admissions FROM kept WHERE care_type = 'inpatient' GROUP BY person_id
),
claimed AS (
    SELECT person_id, {claimed_tiers}
    FROM commercial_claim GROUP BY person_id
),
insured AS (
    SELECT
        person_id,
        arg_max(insurance_type, row(start_date, insutype)) AS insurance_type,
        arg_max(person_group, {group_rank}) AS person_group,
        bool_or(is_pre_existing) AS is_pre_existing,
        bool_or(is_retired) AS is_retired,
        max(product_code) AS product
    FROM enrolment
    WHERE start_date <= make_date($plan_year, 12, 31) AND coalesce(end_date, DATE '9999-12-31') >= make_date($plan_year, 1, 1)
    GROUP BY person_id
),
linked AS (
    SELECT person_id, min(household_id) AS household_id
    FROM household_member
    WHERE coalesce(start_date, DATE '0001-01-01') <= make_date($plan_year, 12, 31)
      AND coalesce(end_date, DATE '9999-12-31') >= make_date($plan_year, 1, 1)
    GROUP BY person_id
)
SELECT
    $city AS city,
    $plan_year::INTEGER AS plan_year,
    person_id,
    household_id,
    coalesce(insured.insurance_type, settled.insurance_type, 'unknown') AS insurance_type,
    coalesce(person_group, 'unknown') AS person_group,
    coalesce(is_pre_existing, false) AS is_pre_existing,
    coalesce(is_retired, false) AS is_retired,
    {age_band} AS age_band,
    coalesce(person.sex, settled.sex, 'unknown') AS sex,
    CASE level_rank WHEN 4 THEN '3' WHEN 3 THEN '2' WHEN 2 THEN '1' WHEN 1 THEN 'ungraded' ELSE 'none' END AS hospital_level,
    CASE care_rank WHEN 5 THEN 'inpatient' WHEN 4 THEN 'special_outpatient' WHEN 3 THEN 'outpatient' WHEN 2 THEN 'pharmacy' WHEN 1 THEN 'other' ELSE 'none' END AS care_type,
    CASE region_rank WHEN 4 THEN 'out_province' WHEN 3 THEN 'in_province' WHEN 2 THEN 'local' WHEN 1 THEN 'unknown' ELSE 'none' END AS cross_region,
    coalesce(product, 'none') AS product,
    coalesce(n_settlements, 0)::INTEGER AS n_settlements,
    coalesce(n_admissions, 0)::INTEGER AS n_admissions,
    coalesce(cost_fen, 0) AS cost_fen,
    coalesce(in_policy_fen, 0) AS in_policy_fen,
    coalesce(advance_fen, 0) AS advance_fen,
    coalesce(out_of_catalogue_fen, 0) AS out_of_catalogue_fen,
    coalesce(hospital_borne_fen, 0) AS hospital_borne_fen,
    coalesce(own_cash_fen, 0) AS own_cash_fen,
    {paid}
FROM insured
FULL JOIN settled USING (person_id)
FULL JOIN claimed USING (person_id)
LEFT JOIN admitted USING (person_id)
LEFT JOIN linked USING (person_id)
LEFT JOIN person USING (person_id)

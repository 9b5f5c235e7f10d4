-- grain: one person in one city and plan year; everybody insured or treated, patients or not
-- tables: settlement, settlement_undone, commercial_claim, enrolment, person, household_member
-- slots: at, place, counted, summed, ranks, claimed, enrolled, commercial_claim, group_rank, household_member, newest, person, age_band, paid, statutory
-- Where one city-year is built alone the person is the whole key: the place (`at`) is not looked at row by row.
WITH counted AS NOT MATERIALIZED ({counted}),
settled AS (
    SELECT
        {at}person_key,
        sum(n::DOUBLE)::INTEGER AS n_settlements,
        {ranks},
        max(birth_year) AS settled_birth_year,
        sum(COLUMNS('_fen$')::DOUBLE)::BIGINT,
        sum(cost_fen::DOUBLE) FILTER (care_type = 'inpatient')::BIGINT AS inpatient_cost_fen,
        sum(in_policy_fen::DOUBLE) FILTER (care_type = 'inpatient')::BIGINT AS inpatient_in_policy_fen,
        sum(basic_settled_fen::DOUBLE) FILTER (care_type = 'inpatient')::BIGINT AS inpatient_basic_fen
    FROM ({summed}) GROUP BY ALL
),
admitted AS (
    -- a stay with several settlements is one admission
    SELECT {at}person_key, count(*) AS n_admissions
    FROM (SELECT DISTINCT {at}person_key, mdtrt_id FROM counted WHERE care_type = 'inpatient') GROUP BY ALL
),
claimed AS (
    SELECT {at}person_key, sum(paid_amt_fen::DOUBLE)::BIGINT AS claimed_fen, {claimed}
    FROM {commercial_claim} GROUP BY ALL
),
insured AS (
    SELECT
        {at}person_key,
        true AS is_enrolled,
        arg_max(insurance_type, row(start_date, insutype)) AS insurance_type,
        arg_max(person_group, {group_rank}) AS person_group,
        bool_or(is_pre_existing) AS is_pre_existing,
        bool_or(is_retired) AS is_retired,
        max(product_code) FILTER (coalesce(product_year, plan_year) = plan_year) AS product
    FROM {enrolled}
    WHERE year(start_date) <= plan_year AND coalesce(year(end_date), plan_year) >= plan_year
    GROUP BY ALL
),
base AS MATERIALIZED (
    SELECT {place}, *
    FROM settled
    FULL JOIN insured USING ({at}person_key)
    FULL JOIN claimed USING ({at}person_key)
    LEFT JOIN admitted USING ({at}person_key)
),
known AS (
    -- several files may hold one person
    SELECT person_key, max(birth_year) AS birth_year, min(sex) AS sex FROM {person} SEMI JOIN base USING (person_key) GROUP BY ALL
),
spell AS MATERIALIZED (
    SELECT plan_year, person_key, household_key, start_date, least(end_date, make_date(plan_year, 12, 31)) AS until
    -- what the newest delivery says of a spell counts, its end too
    FROM (FROM {household_member} JOIN (SELECT DISTINCT plan_year, person_key FROM base) USING (person_key) {newest})
    WHERE coalesce(year(start_date), plan_year) <= plan_year AND coalesce(year(end_date), plan_year) >= plan_year
),
homes AS MATERIALIZED (
    SELECT plan_year, person_key, min(household_key) AS household_key, min(household_key) <> max(household_key) AS is_several
    FROM spell GROUP BY ALL
),
linked AS (
    SELECT * FROM homes WHERE NOT is_several
    UNION ALL
    -- of several households that of the last day of the year, else the last one, among equal ones that of the latest start; what
    -- is still open no key may decide: such a person is a household of one
    SELECT plan_year, person_key, CASE WHEN min(household_key) = max(household_key) THEN min(household_key) END, true
    FROM (
        SELECT * FROM spell SEMI JOIN (FROM homes WHERE is_several) USING (plan_year, person_key)
        QUALIFY rank() OVER (PARTITION BY plan_year, person_key ORDER BY until DESC, start_date DESC NULLS LAST) = 1
    ) GROUP BY ALL
)
SELECT
    city,
    plan_year,
    person_key,
    household_key,
    coalesce(is_several, false) AS is_several,
    age,
    coalesce(insurance_type, settled_insurance_type, 'unknown')::insurance_type AS insurance_type,
    coalesce(person_group, 'unknown')::person_group AS person_group,
    coalesce(is_enrolled, false) AS is_enrolled,
    product IS NOT NULL AS is_holder,
    coalesce(is_pre_existing, false) AS is_pre_existing,
    coalesce(is_retired, false) AS is_retired,
    {age_band}::age_band AS age_band,
    coalesce(sex, settled_sex, 'unknown')::sex AS sex,
    coalesce(settled_hospital_level, 'none')::hospital_level AS hospital_level,
    coalesce(settled_care_type, 'none')::care_type AS care_type,
    coalesce(settled_cross_region, 'none')::cross_region AS cross_region,
    coalesce(product, 'none') AS product,
    coalesce(n_settlements, 0)::INTEGER AS n_settlements,
    coalesce(n_admissions, 0)::INTEGER AS n_admissions,
    cost_fen, in_policy_fen, advance_fen, out_of_catalogue_fen, hospital_borne_fen, own_cash_fen,
    inpatient_cost_fen, inpatient_in_policy_fen, inpatient_basic_fen,
    {statutory} AS statutory_paid_fen,
    claimed_fen,
    cost_fen - hospital_borne_fen AS own_before_fen,
    own_before_fen - statutory_paid_fen AS own_gross_fen,
    {paid}
FROM (
    SELECT COLUMNS(lambda c: NOT suffix(c, '_fen')), coalesce(COLUMNS('_fen$'), 0), plan_year - coalesce(birth_year, settled_birth_year) AS age
    FROM base LEFT JOIN known USING (person_key) LEFT JOIN linked USING (plan_year, person_key)
)

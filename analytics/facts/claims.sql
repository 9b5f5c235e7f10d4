-- grain: one settlement that counts, as benefit rules look at it, in order of date
-- tables: settlement, settlement_undone, person_year
-- slots: counted, insurance_type, person_group, hospital_level, care_type, cross_region
-- Words of closed lists are numbered codes, faster to compare and to carry. The four cost parts add up to what patient and payers owe together. What the hospital bears, and what rounding leaves, is
-- taken off what is out of the catalogue first.
WITH owed AS (
    SELECT *, greatest(cost_fen - hospital_borne_fen, 0) AS owed_fen FROM ({counted})
)
SELECT
    row_number() OVER (ORDER BY person_key, setl_time, setl_id) AS seq,
    person_key AS person_id,
    setl_time::DATE AS claim_date,
    p.insurance_type::{insurance_type} AS insurance_type, person_group::{person_group} AS person_group,
    is_pre_existing, is_retired, nullif(product, 'none') AS product,
    c.hospital_level::{hospital_level} AS hospital_level, c.care_type::{care_type} AS care_type, c.cross_region::{cross_region} AS cross_region,
    least(c.in_policy_fen, owed_fen) AS in_policy_fen,
    least(c.advance_fen, owed_fen - least(c.in_policy_fen, owed_fen)) AS advance_fen,
    greatest(least(coalesce(special_drug_fen, 0), owed_fen - c.in_policy_fen - c.advance_fen), 0) AS special_drug_fen,
    greatest(owed_fen - c.in_policy_fen - c.advance_fen - coalesce(special_drug_fen, 0), 0) AS out_of_catalogue_fen
FROM owed AS c JOIN person_year AS p USING (person_key)
ORDER BY seq

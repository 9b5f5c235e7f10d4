-- grain: one settlement, of the years a plan year covers, with whose number, encounter or person a commercial claim came
-- tables: settlement, commercial_claim
-- slots: settlement, commercial_claim, covered
SELECT one.city, covered.plan_year, person_key, setl_id, mdtrt_id, nullif(cross_region, 'unknown') <> 'local' AS is_away,
    nullif(disease, 'unknown') AS disease
FROM {settlement} AS one JOIN (VALUES {covered}) AS covered (city, year, plan_year)
ON one.city = covered.city AND one.plan_year = covered.year
WHERE setl_id IN (SELECT setl_id FROM {commercial_claim}) OR mdtrt_id IN (SELECT mdtrt_id FROM {commercial_claim})
    OR person_key IN (SELECT person_key FROM {commercial_claim})

-- grain: one settlement, of the years a plan year covers, whose number or encounter a commercial claim names, and who treated
-- tables: settlement, commercial_claim
-- slots: settlement, commercial_claim, covered
SELECT one.city, covered.plan_year, setl_id, mdtrt_id, provider_id
FROM {settlement} AS one JOIN (VALUES {covered}) AS covered (city, year, plan_year)
ON one.city = covered.city AND one.plan_year = covered.year
WHERE setl_id IN (SELECT setl_id FROM {commercial_claim}) OR mdtrt_id IN (SELECT mdtrt_id FROM {commercial_claim})

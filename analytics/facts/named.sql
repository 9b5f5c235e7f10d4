-- grain: one settlement, and one encounter, that a commercial claim names; the other of the two numbers is NULL
-- tables: settlement, commercial_claim
-- slots: settlement, commercial_claim
-- The year of care is the one its costs stand in. An encounter settled in several years tells none.
SELECT city, setl_id, NULL::VARCHAR AS mdtrt_id, min(plan_year) AS care_year
FROM {settlement} WHERE setl_id IN (SELECT setl_id FROM {commercial_claim}) GROUP BY city, setl_id
UNION ALL
SELECT city, NULL, mdtrt_id, min(plan_year)
FROM {settlement} WHERE mdtrt_id IN (SELECT mdtrt_id FROM {commercial_claim}) GROUP BY city, mdtrt_id HAVING min(plan_year) = max(plan_year)

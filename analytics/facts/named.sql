-- grain: one settlement, and one encounter, that a commercial claim under an edition names; the other of the two numbers is NULL
-- tables: settlement, commercial_claim
-- slots: settlement, commercial_claim, editions
-- Of the years of the edition, the one the costs of care stand in; an encounter settled in several tells none. Other years do not
-- count, whether they were read or not: each city-year must come to the same.
WITH settled AS (
    SELECT one.city, edition.plan_year, setl_id, mdtrt_id, one.plan_year AS care_year
    FROM {settlement} AS one JOIN (VALUES {editions}) AS edition (city, year, plan_year)
    ON one.city = edition.city AND one.plan_year = edition.year
    WHERE setl_id IN (SELECT setl_id FROM {commercial_claim}) OR mdtrt_id IN (SELECT mdtrt_id FROM {commercial_claim})
)
SELECT city, plan_year, setl_id, NULL::VARCHAR AS mdtrt_id, min(care_year) AS care_year FROM settled GROUP BY ALL
UNION ALL
SELECT city, plan_year, NULL, mdtrt_id, min(care_year) FROM settled GROUP BY ALL HAVING min(care_year) = max(care_year)

-- grain: one person in one city of a year, of a household (or a person without household link) found in several cities in that year
-- tables: person_year of all cities of the year
-- slots: person_year, first, last
WITH home AS (
    SELECT plan_year, city, person_key, household_key IS NOT NULL AS is_linked, coalesce(household_key, person_key) AS household_key
    FROM {person_year} WHERE coalesce(household_key, person_key) BETWEEN {first} AND {last}
),
split AS (SELECT is_linked, household_key FROM home GROUP BY ALL HAVING min(city) <> max(city))
FROM home SEMI JOIN split USING (is_linked, household_key)

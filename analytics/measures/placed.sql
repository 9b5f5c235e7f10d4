-- grain: one city-year: how many hospitals are known, its cost and what was paid in no settlement, of these what no hospital is known for
-- tables: hospital_year
-- slots: hospital_year, claimed
SELECT count(DISTINCT hospital) AS n,
    sum(cost_fen)::DOUBLE AS cost, sum(cost_fen) FILTER (hospital IS NULL)::DOUBLE AS cost_of_none,
    sum({claimed})::DOUBLE AS claimed, sum({claimed}) FILTER (hospital IS NULL)::DOUBLE AS claimed_of_none
FROM {hospital_year}

-- grain: one kind of money (cost; payments that stand in no settlement), how much of it no hospital is known for, of how much, and how many are known
-- tables: hospital_year
-- slots: hospital_year, claimed
SELECT what, sum(fen) FILTER (hospital IS NULL)::DOUBLE AS numerator, sum(fen)::DOUBLE AS denominator, count(DISTINCT hospital) AS n
FROM (SELECT hospital, cost_fen AS cost, {claimed} AS claimed FROM {hospital_year})
UNPIVOT (fen FOR what IN (cost, claimed))
GROUP BY what ORDER BY what

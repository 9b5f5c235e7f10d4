-- grain: one city and plan year: a line per equivalent person, fen
-- slots: fact, keep, size
-- parameters: low_bp, high_bp
-- Mean food spending per equivalent person of the households whose food share lies in the middle of all; both ends belong to it.
WITH home AS (
    SELECT city, plan_year, weight, food_fen / ({size}) AS food, food_fen::DOUBLE / consumption_fen AS share
    FROM {fact} WHERE {keep} AND consumption_fen > 0 AND food_fen IS NOT NULL AND n_members > 0
),
cell AS (SELECT city, plan_year, share, sum(weight) AS w FROM home GROUP BY ALL),
below AS (
    SELECT *, sum(w) OVER (PARTITION BY city, plan_year ORDER BY share) AS up_to, sum(w) OVER (PARTITION BY city, plan_year) AS whole FROM cell
),
band AS (
    SELECT city, plan_year, min(share) FILTER (up_to * 10000 >= whole * $low_bp) AS low, min(share) FILTER (up_to * 10000 >= whole * $high_bp) AS high
    FROM below GROUP BY city, plan_year
)
SELECT city, plan_year, floor(sum(weight * food) / sum(weight) + 0.5)::BIGINT AS line
FROM home JOIN band USING (city, plan_year) WHERE share BETWEEN low AND high GROUP BY city, plan_year

-- grain: one city and plan year: a line per equivalent person, fen
-- slots: fact, keep, size
-- parameters: low_bp, high_bp
-- Mean spending on food, housing and utilities per equivalent person of reference households: a band of consumption per
-- equivalent person, both ends in it. Sizes are whole tenths: ten times as much divides without breaking ties.
WITH home AS (
    SELECT city, plan_year, weight, (food_fen + housing_fen) / ({size}) AS needs, consumption_fen / (10 * ({size})) AS x
    FROM {fact} WHERE {keep} AND consumption_fen IS NOT NULL AND food_fen IS NOT NULL AND housing_fen IS NOT NULL AND n_members > 0
),
cell AS (SELECT city, plan_year, x, sum(weight) AS w FROM home GROUP BY ALL),
below AS (
    SELECT *, sum(w) OVER (PARTITION BY city, plan_year ORDER BY x) AS up_to, sum(w) OVER (PARTITION BY city, plan_year) AS whole FROM cell
),
band AS (
    SELECT city, plan_year, min(x) FILTER (up_to * 10000 >= whole * $low_bp) AS low, min(x) FILTER (up_to * 10000 >= whole * $high_bp) AS high
    FROM below GROUP BY city, plan_year
)
SELECT city, plan_year, floor(sum(weight * needs) / sum(weight) + 0.5)::BIGINT AS line
FROM home JOIN band USING (city, plan_year) WHERE x BETWEEN low AND high GROUP BY city, plan_year

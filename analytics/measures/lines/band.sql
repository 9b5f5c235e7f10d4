-- grain: one city and plan year: a line per equivalent person, fen
-- slots: fact, keep, size, amount, of, running
-- parameters: low_bp, high_bp
-- Mean amount per equivalent person of the households that lie between two percentiles of something; both ends belong to it.
WITH home AS (
    SELECT city, plan_year, weight, ({amount}) / ({size}) AS amount, {of} AS x FROM {fact} WHERE {keep} AND n_members > 0
),
known AS (FROM home WHERE amount IS NOT NULL AND x IS NOT NULL),
cell AS (SELECT city, plan_year, x, weight AS w FROM known),
below AS (
    {running}
),
band AS (
    SELECT city, plan_year, min(x) FILTER (running * 10000 >= whole * $low_bp) AS low, min(x) FILTER (running * 10000 >= whole * $high_bp) AS high
    FROM below GROUP BY city, plan_year
)
SELECT city, plan_year, floor(sum(weight * amount) / sum(weight) + 0.5)::BIGINT AS line
FROM known JOIN band USING (city, plan_year) WHERE x BETWEEN low AND high GROUP BY city, plan_year

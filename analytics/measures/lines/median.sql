-- grain: one city and plan year: a line per person, fen
-- slots: fact, keep, living, less, running
-- parameters: floor_fen, base_fen, share_bp
-- Share of the median living standard per person (persons count alike; the smallest value with half of them at or below it).
WITH cell AS (
    SELECT city, plan_year, ({living} - {less})::DOUBLE / n_members AS x, weight * n_members AS w
    FROM {fact} WHERE {keep} AND {living} IS NOT NULL AND n_members > 0
),
below AS (
    {running}
)
SELECT city, plan_year, greatest($floor_fen, $base_fen + floor(min(x) FILTER (running * 2 >= whole) * $share_bp / 10000 + 0.5))::BIGINT AS line
FROM below GROUP BY city, plan_year

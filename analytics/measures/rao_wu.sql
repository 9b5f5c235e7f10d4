-- grain: one row of the fact in one replicate in which its cluster was drawn: how often it counts there
-- slots: fact, keep, cluster, stratum
-- parameters: seed, first, last
-- Of n clusters of a stratum n - 1 are drawn with replacement (Rao, Wu), and what is drawn counts n / (n - 1) times: right
-- for few clusters too. A hash of several values is not even enough (errors come out a tenth too small): its hash is.
-- The same cluster is drawn alike in every group of a question, so differences are paired.
WITH one AS (SELECT *, {stratum} AS drawn_stratum, {cluster} AS drawn FROM {fact} WHERE {keep}),
numbered AS (
    SELECT drawn_stratum, drawn, row_number() OVER (PARTITION BY drawn_stratum ORDER BY drawn) - 1 AS seat, count(*) OVER (PARTITION BY drawn_stratum) AS n
    FROM (SELECT DISTINCT drawn_stratum, drawn FROM one)
),
pick AS (
    SELECT drawn_stratum, replicate, hash(hash(drawn_stratum, replicate, seat, $seed)) % n AS seat, count(*) * any_value(n) / (any_value(n) - 1) AS multiplier
    FROM numbered CROSS JOIN range($first, $last) AS r(replicate) WHERE seat > 0 GROUP BY ALL
)
SELECT one.*, replicate, multiplier
FROM one JOIN numbered USING (drawn_stratum, drawn) JOIN pick USING (drawn_stratum, seat)

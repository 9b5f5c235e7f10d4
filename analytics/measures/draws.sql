-- grain: one row of the fact in one replicate in which its cluster was drawn: how often it counts there
-- slots: fact, keep, cluster, stratum, counts
-- parameters: seed, first, last, part_bp
-- The same cluster is drawn alike in every group of a question: differences between years and places are paired.
SELECT * FROM (
    SELECT *, {counts} AS multiplier
    FROM (
        SELECT *, {stratum} AS drawn_stratum, {cluster} AS drawn FROM {fact}
        WHERE {keep} AND hash(hash({cluster}, $seed)) % 10000 < $part_bp
    ) CROSS JOIN range($first, $last) AS r(replicate)
) WHERE multiplier > 0

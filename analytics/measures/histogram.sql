-- grain: one stage of payment and bin of burden against resource: households and persons in it
-- slots: head, usable, owns, stages, reached, edge
-- parameters: per, top
-- A bin is the highest threshold of the grid that is passed, counted in steps of the grid: -1 none, one past the top for a burden without
-- a resource (every threshold, no finite ratio), -2 what cannot be used. In whole numbers: (own * per - 1) // resource is the greatest k with
-- own * per > resource * k. n_edge: households whose ratio is the bin's own threshold to the fen.
-- Counts are 32 bits wide: a server holds the bins of every city-year in memory.
WITH {head},
home AS MATERIALIZED (
    SELECT resource, w, w_person, coalesce({usable}, false) AS usable, {owns} FROM fact
),
paid AS (
    {stages}
),
binned AS (
    SELECT *,
        CASE
            WHEN NOT usable THEN -2
            WHEN resource > 0 THEN CASE WHEN own > 0 THEN least(({reached}) // resource, $top) ELSE -1 END
            WHEN own > 0 THEN $top + 1
            ELSE -1
        END::SMALLINT AS bin,
        CASE WHEN bin BETWEEN 0 AND $top THEN own::DOUBLE / $per / resource END AS ratio
    FROM paid
)
SELECT stage, bin, count(*)::INTEGER AS n, count_if(w <> 0)::INTEGER AS n_hit, fsum(w) AS w, fsum(w * ratio) AS r,
    count(w_person)::INTEGER AS n_person, count_if(w_person <> 0)::INTEGER AS n_hit_person, fsum(w_person) AS w_person, fsum(w_person * ratio) AS r_person,
    count_if({edge} AND w <> 0)::INTEGER AS n_edge, count_if({edge} AND w_person <> 0)::INTEGER AS n_edge_person, count_if(resource <= 0)::INTEGER AS n_no_resource
FROM binned GROUP BY stage, bin ORDER BY stage, bin

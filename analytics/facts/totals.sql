-- grain: one city and plan year
-- tables: person_year
-- slots: tolerance
SELECT
    city, plan_year, sum(COLUMNS('_fen$')::DOUBLE)::BIGINT,
    -- a year in which nobody is known to hold a product tells nothing of who holds one
    bool_or(is_holder) AS is_sold,
    -- Q28: settlements of persons nobody enrolled
    bool_or(is_enrolled) AS has_enrolled,
    sum(n_settlements)::BIGINT AS settlements,
    coalesce(sum(n_settlements) FILTER (NOT is_enrolled), 0)::BIGINT AS unenrolled,
    coalesce(sum(cost_fen) FILTER (NOT is_enrolled), 0)::BIGINT AS unenrolled_fen,
    -- several_households
    count(household_key) + count(*) FILTER (is_several AND household_key IS NULL) AS linked,
    count(*) FILTER (is_several) AS several,
    coalesce(sum(cost_fen) FILTER (is_several), 0)::BIGINT AS several_fen,
    -- I11: insurers and charities paid more than the burden was
    count(*) FILTER (claimed_fen > 0) AS claimants,
    count(*) FILTER (excess > {tolerance} AND claimed_fen > 0) AS overpaid,
    coalesce(sum(excess) FILTER (excess > {tolerance} AND claimed_fen > 0), 0)::BIGINT AS overpaid_fen
FROM (SELECT *, claimed_fen - own_gross_fen AS excess FROM person_year)
GROUP BY ALL

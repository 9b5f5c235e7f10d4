-- grain: one city, plan year, age band and sex: what a person there counts
-- slots: fact, keep
-- Direct standardisation: every place gets the ages and sexes of all places asked together.
SELECT city, plan_year, age_band, sex,
    (sum(n) OVER (PARTITION BY age_band, sex) / sum(n) OVER ()) / (n / sum(n) OVER (PARTITION BY city, plan_year)) AS multiplier
FROM (SELECT city, plan_year, age_band, sex, count(*) AS n FROM {fact} WHERE {keep} GROUP BY ALL)

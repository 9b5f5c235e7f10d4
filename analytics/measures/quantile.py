"""A quantile in place of a sum over a sum: the smallest value that at least this share of the rows does not pass."""


def quantile_sql(quantile: float, groups: str, counted: str) -> str:
    """Tail of a question's SQL over its rows `cut` (groups, usable, num): value; as numerator the rank of the row it is the
    value of, as denominator how many there are; n, and how many stand on each side of the value, itself included.
    """
    over = f" OVER (PARTITION BY {groups.rstrip(', ')})" if groups else " OVER ()"
    return f"""\
ranked AS (
    SELECT *, quantile_disc(num, {quantile}) FILTER (usable){over} AS middle FROM cut
),
summed AS (
    SELECT {groups}any_value(middle) AS value, count(*) FILTER (usable) AS denominator, ceil({quantile} * denominator) AS numerator,
        count({counted}) FILTER (usable) AS n, count({counted}) FILTER (usable AND num <= middle) AS n_numerator,
        count({counted}) FILTER (usable AND num >= middle) AS n_rest, count(*) FILTER (NOT usable) AS n_excluded
    FROM ranked"""

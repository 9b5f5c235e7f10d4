"""A quantile in place of a sum over a sum: the smallest value that at least this share of the rows does not pass."""

from collections.abc import Sequence


def quantile_sql(quantile: float, by: Sequence[str], counted: str) -> str:
    """CTEs of a question from its rows `cut` to `summed`: the value; as numerator the rank of the row it is the value of, as
    denominator how many there are; n, and how many stand on each side of the value, itself included.
    """
    groups = "".join(f"{name}, " for name in by)
    part = f"PARTITION BY {', '.join(by)}" if by else ""
    return f"""\
ranked AS (
    SELECT *, quantile_disc(numerator, {quantile}) FILTER (usable) OVER ({part}) AS middle FROM cut
),
summed AS (
    SELECT {groups}any_value(middle) AS value, ceil({quantile} * count(*) FILTER (usable)) AS numerator, count(*) FILTER (usable) AS denominator,
        count({counted}) FILTER (usable) AS n, count({counted}) FILTER (usable AND ranked.numerator <= middle) AS n_hit_1,
        count({counted}) FILTER (usable AND ranked.numerator >= middle) AS n_rest, count(*) FILTER (NOT usable) AS n_excluded
    FROM ranked{f" GROUP BY {', '.join(by)}" if by else ""}
)"""

"""Fractional ranks: where in the weight of all rows a row lies."""

from collections.abc import Sequence

RANKED_BY = {"living": "(standard)", "after": "(after_payment)"}


def running(cells: str, key: str, weight: str, part: Sequence[str], among: str = "true") -> str:
    """SELECT of the rows of a CTE with `running`, the weight of those up to a row in the order of keys in its part, and `whole`, that of its
    part. `among`: which of the rows are in the order; the key of others is NULL. Of equal keys any may come first.
    """
    if not part:
        only = f" FILTER ({among})" if among != "true" else ""
        # One part is put in order and added up row by row, which costs half of a window that has an order of its own.
        return f"""\
SELECT * FROM (SELECT *, fsum({weight}) OVER (ROWS UNBOUNDED PRECEDING) AS running FROM (FROM {cells} ORDER BY {key} NULLS LAST)),
        (SELECT sum({weight}){only} AS whole FROM {cells})"""
    within = f"PARTITION BY {', '.join([*part, *([among] if among != 'true' else [])])}"
    return f"""\
SELECT *, sum({weight}) OVER ({within} ORDER BY {key} ROWS UNBOUNDED PRECEDING) AS running, sum({weight}) OVER ({within}) AS whole
        FROM {cells}"""


def fractional(name: str, part: Sequence[str], among: str = "true") -> str:
    """CTE `rank_<name>`: the cells of equal key of `cell_<name>` with the weight `below` and `up_to` them in their part, as shares, and
    as `rank` the middle of what lies between, so that the order of rows decides nothing. `among`: see `running`.
    """
    return f"""\
rank_{name} AS (
    SELECT *, running / nullif(whole, 0) AS up_to, up_to - weighed / nullif(whole, 0) AS below, (below + up_to) / 2 AS rank
    FROM ({running(f"cell_{name}", "key", "weighed", part, among)})
)"""

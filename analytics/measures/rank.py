"""Fractional ranks: where in the weight of all rows a row lies."""

from collections.abc import Sequence

RANKED_BY = {"living": "(standard)", "after": "(after_payment)"}


def fractional(name: str, part: Sequence[str]) -> str:
    """CTE `rank_<name>`: the cells of equal key of `cell_<name>` with the weight `below` and `up_to` them in their part, as shares, and
    as `rank` the middle of what lies between, so that the order of rows decides nothing.
    """
    within = f"PARTITION BY {', '.join(part)}" if part else ""
    whole = f"nullif(sum(weighed) OVER ({within}), 0)"
    return f"""\
rank_{name} AS (
    SELECT *, (below + up_to) / 2 AS rank
    FROM (
        SELECT *, sum(weighed) OVER ({f"{within} " if part else ""}ORDER BY key) / {whole} AS up_to,
            up_to - weighed / {whole} AS below
        FROM cell_{name}
    )
)"""

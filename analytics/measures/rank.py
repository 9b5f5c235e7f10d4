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


def one_order(name: str, keys: Sequence[tuple[str, str]], weight: str, part: Sequence[str]) -> str:
    """CTE `ranks_<name>`: one order of rows for several keys, each given with what says that a row of `cut` has it. Few rows move from one
    key to the next, so a row stands once at each place it has by any of them; by key j it weighs `w_j` there, and nothing where
    only others have it, and all up to it weigh `running_j`.
    """
    columns = ", ".join([*part, weight])
    able_by = [*dict.fromkeys(able for _, able in keys)]
    flags = [able for able in able_by if able != "true"]
    first, *rest = (key for key, _ in keys)
    stays = " AND ".join([*flags, *(f"{key} = {first}" for key in rest)]) or "true"
    places = (
        f"SELECT {columns}, {first} AS key, {(1 << len(keys)) - 1}::USMALLINT AS held FROM cut WHERE {stays}"
    )
    moved = ""
    if rest:
        each = [key if able == "true" else f"CASE WHEN {able} THEN {key} END" for key, able in keys]
        held = " + ".join(
            f"coalesce(key = keys[{j + 1}], false)::USMALLINT * {1 << j}" for j in range(len(keys))
        )
        somewhere = f"{flags[0]} AND " if flags and len(able_by) == 1 else ""
        moved = f"""\
moved_{name} AS MATERIALIZED (
    SELECT {columns}, [{", ".join(each)}] AS keys FROM cut WHERE {somewhere}NOT coalesce({stays}, false)
),
"""
        places += f"""
    UNION ALL
    SELECT {columns}, key, {held} AS held FROM (SELECT *, unnest(list_distinct(keys)) AS key FROM moved_{name})"""
    over = (
        f"PARTITION BY {', '.join(part)} ORDER BY key ROWS UNBOUNDED PRECEDING"
        if part
        else "ROWS UNBOUNDED PRECEDING"
    )
    ordered = f"place_{name}" if part else f"(FROM place_{name} ORDER BY key)"
    running = (
        f"{weight} * ((held & {1 << j}) > 0)::INTEGER AS w_{j}, fsum(w_{j}) OVER ({over}) AS running_{j}"
        for j in range(len(keys))
    )
    return f"""\
{moved}place_{name} AS (
    {places}
),
ranks_{name} AS (
    SELECT *, {", ".join(running)}
    FROM {ordered}
)"""


def unequal(j: int) -> str:
    """Sum of key j that 2 * rank - 1 weighs, over `one_order`: the numerator of a Gini index. Equal keys need no common rank here: in what
    order they come changes nothing of their sum.
    """
    return f"fsum(w_{j} * key * (2 * running_{j} - w_{j})) / nullif(sum(w_{j}), 0) - fsum(w_{j} * key)"

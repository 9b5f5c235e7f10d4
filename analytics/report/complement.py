"""Second protection: what a report's own totals would give away of a protected cell is not shown either.

A report prints totals beside the parts they are made of. One protected part is then a subtraction away, and several are where
together they are fewer than `k`; so further parts are hidden, those of the fewest first. A tier that paid for few is what was left
before it less what is left after it: the tier next to it is hidden with it, and so is what is left between the two.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from analytics.measures import DIFFERENCES
from analytics.release import HIDDEN, SHOWN, Released, policy

PAID = "claim_incidence"  # who was paid by the product, among its holders
_OF_CLAIMS = ("n_claims", "paid_fen")
Key = tuple[str, ...]
Row = Mapping[str, Any]


def hidden_too(answer: Released, keys: Collection[Key]) -> Released:
    """The answer with further rows protected, as a protected row is: nothing of it is told."""
    if not keys:
        return answer
    rows = answer.table.to_dicts()
    gone = pl.Series([_key(row, answer.by) in keys for row in rows])
    told = [name for name in answer.table.columns if name not in (*answer.by, "measure", "status")]
    table = answer.table.with_columns(
        pl.when(gone).then(pl.lit(HIDDEN)).otherwise("status").alias("status"),
        *(pl.when(~gone).then(pl.col(name)).alias(name) for name in told),
    )
    # a difference gives the other side away
    table = table.with_columns(pl.lit(None, table.schema[n]).alias(n) for n in DIFFERENCES if n in told)
    return replace(answer, table=table)


def parts(answer: Released, totals: Released, along: str, by_tier: bool = False) -> Released:
    """The values of one dimension add up to what `totals`, the same question without it, tells: no protected part may be what is
    left of it. `by_tier`: neither may a tier, of what all tiers paid.
    """
    others = [name for name in answer.by if name != along]
    whole = {_key(row, others): row for row in _rows(totals)}
    while True:
        found = _hidden(answer, others, whole)
        if by_tier:
            found |= _hidden(answer, [name for name in answer.by if name != "tier"], {})
        if not found:
            return answer
        answer = hidden_too(answer, found)


def _hidden(answer: Released, others: Sequence[str], whole: Mapping[Key, Row]) -> set[Key]:
    """What must be hidden too so that of the rows that have the other values in common none or at least two are hidden; where the
    whole of them is known, of persons enough.
    """
    lines: dict[Key, list[Row]] = {}
    for row in _rows(answer):
        lines.setdefault(_key(row, others), []).append(row)
    gone: set[Key] = set()
    for at, rows in lines.items():
        n = sum(row["status"] == HIDDEN for row in rows)
        if not n or (at in whole and whole[at]["status"] == HIDDEN):
            continue
        left = [row for row in rows if row["status"] == SHOWN and row["n"]]
        left.sort(key=lambda row: (row["n"], row["numerator"], _key(row, answer.by)))
        while left and (n < 2 or (at in whole and _few(whole[at], left, answer))):
            gone.add(_key(left.pop(0), answer.by))
            n += 1
    return gone


def _few(total: Row, shown: Sequence[Row], answer: Released) -> bool:
    """Whether what the total leaves of the parts shown are fewer than may be shown: persons, or those of them whom the measure
    protects; there it may be none, unless a person may stand in several parts.
    """
    k, several = policy().k, answer.measure.grain == "claim"
    left = {c: total[c] - sum(row[c] for row in shown) for c in ("n", "n_numerator", "n_rest") if c in total}
    return left.pop("n") < k or any(n < k and (n or several) for n in left.values())


def tells_who_was_paid(answer: Released) -> bool:
    """Whether it tells how much holders were paid, or how many claims: of none, that nobody was paid."""
    form = answer.measure
    return form.grain == "policy_year" and form.numerator in _OF_CLAIMS


def unpaid(answer: Released, incidence: Released) -> Released:
    """An answer of what holders were paid without the rows where the report does not tell how many were paid."""
    hidden, told = (
        {_key(row, answer.by) for row in of.table.filter(pl.col("status") == status).to_dicts()}
        for of, status in ((incidence, HIDDEN), (answer, SHOWN))
    )
    return hidden_too(answer, hidden & told)


def _rows(answer: Released) -> list[dict[str, Any]]:
    """The rows of an answer with what else its protection counts, where that is known."""
    rows = answer.table.to_dicts()
    if answer.behind is None:
        return [{**row, "n_numerator": row["numerator"]} for row in rows] if answer.measure.counts else rows
    behind = {_key(row, answer.by): row for row in answer.behind.to_dicts()}
    return [{**row, **behind.get(_key(row, answer.by), {})} for row in rows]


def companions(order: Sequence[str], paid: Mapping[str, float | None]) -> set[str]:
    """Tiers to protect where `paid`, the persons each tier paid for, is not told (None) of some: these, and of each a neighbour in
    the order of payment, the one that paid for fewer, if for any.
    """
    present = [tier for tier in order if tier in paid]
    found = {tier for tier in present if paid[tier] is None}
    for at, tier in enumerate(present):
        beside = [present[i] for i in (at - 1, at + 1) if 0 <= i < len(present)]
        if paid[tier] is None and beside and not found & {*beside}:
            found.add(min(beside, key=lambda k: (not paid[k], paid[k])))
    return found


def tiers(
    answer: Released, order: Sequence[str], here: tuple[str, str], gone: Mapping[tuple[str, str], set[str]]
) -> Released:
    """An answer by tier without what tells of protected ones. `gone`: these by city and year; `here`: where the answer is of one."""
    paid, before = (word in answer.measure.numerator for word in ("paid", "before"))
    rows, keys = answer.table.to_dicts(), set()
    present = [tier for tier in order if tier in {str(row["tier"]) for row in rows}]
    for row in rows:
        hidden = gone.get((str(row.get("city", here[0])), str(row.get("plan_year", here[1]))), set())
        between = [pair for pair in itertools.pairwise(present) if hidden.issuperset(pair)]
        told = hidden if paid else {pair[before] for pair in between}
        if row["tier"] in told:
            keys.add(_key(row, answer.by))
    return hidden_too(answer, keys)


def _key(row: Row, names: Sequence[str]) -> Key:
    return tuple(str(row[name]) for name in names)

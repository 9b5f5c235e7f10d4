"""Credit per tier: how much of the fall of a measure each tier made, whatever the order of payment.

A coalition is a set of tiers, a bit each. Its burden is what a household owes when only these tiers pay: by accounting, the
recorded payments of the others are taken away; by replay, the rules are paid again without them (columns of coalitions). The
Shapley value is formed household by household in whole numbers times K!, so the credits of all tiers add up to the fall.
"""

import re
from collections.abc import Mapping, Sequence
from math import factorial

from analytics.store import Column
from analytics.tiers import TIER

_OWN = re.compile(r"\bown\b")
_FLAG = re.compile(r"w \* \(((?:(?!::INTEGER).)+)\)::INTEGER")  # a value that is a yes or no, weighed


def coalition(mask: int) -> str:
    """Column of what is owed when only the tiers of `mask` pay, fen."""
    return f"own_{mask}_fen"


def owing(tiers: Sequence[str], replayed: bool, told: Mapping[str, Column]) -> list[str]:
    """SQL of what is owed under every coalition of `tiers`; `told`: what is known of the columns."""
    if replayed:
        return [coalition(mask) for mask in range(1 << len(tiers))]
    paid = [_paid(k, told) for k in tiers]
    owed = [
        f"(own_before_fen{''.join(f' - {p}' for i, p in enumerate(paid) if mask >> i & 1)})"
        for mask in range(1 << len(tiers))
    ]
    return [*owed[:-1], "own_net_fen"] if _is_every(tiers, told) else owed


def _is_every(tiers: Sequence[str], told: Mapping[str, Column]) -> bool:
    """Whether nobody else is known to have paid anything: what all of them leave is in the ledger then."""
    known = {k: told.get(t.paid) for k, t in TIER.items()}
    return all(c and (c.filled if k in tiers else c.empty or c.low == c.high == 0) for k, c in known.items())


def _paid(tier: str, told: Mapping[str, Column]) -> str:
    known = told.get(TIER[tier].paid)
    return TIER[tier].paid if known and known.filled else f"coalesce({TIER[tier].paid}, 0)"


def flags(value: str, owed: Sequence[str]) -> list[str]:
    """SQL columns v0, v1, ... with the value under every coalition. `value` is written in terms of `own`; `owed`: see `owing`."""
    return [f"({_OWN.sub(own, value)})::DOUBLE AS v{mask}" for mask, own in enumerate(owed)]


def credit(kind: str, tiers: Sequence[str], position: int) -> tuple[str, int]:
    """SQL of the credit of a tier over the columns of `flags`, and what it is to be divided by. `tiers` in order of payment."""
    bit, n = 1 << position, len(tiers)
    if kind == "first_in":
        return f"v0 - v{bit}", 1
    if kind == "last_in":
        every = (1 << n) - 1
        return f"v{every & ~bit} - v{every}", 1
    if kind == "sequential":
        return f"v{bit - 1} - v{2 * bit - 1}", 1
    terms = [f"{_orders(s, n)} * (v{s} - v{s | bit})" for s in range(1 << n) if not s & bit]
    return " + ".join(terms), factorial(n)


def listed(tiers: Sequence[str], position: int, is_whole: bool) -> str:
    """SQL of the Shapley credit of a tier over the list `v` of all values: the same sum, in a text short enough to plan fast (a list as one text is one constant). Where
    the tier changes no value it is nothing to the last bit: of values that are not whole (`is_whole`) by two products that are equal.
    """
    bit, n = 1 << position, len(tiers)
    if is_whole:
        signed = [float(_orders(s & ~bit, n) * (-1 if s & bit else 1)) for s in range(1 << n)]
        return f"list_dot_product(v, '{signed}'::DOUBLE[])"
    without = [s for s in range(1 << n) if not s & bit]
    orders = f"'{[float(_orders(s, n)) for s in without]}'::DOUBLE[]"
    first, second = (f"'{[(s | more) + 1 for s in without]}'::BIGINT[]" for more in (0, bit))
    return f"list_dot_product(list_select(v, {first}), {orders}) - list_dot_product(list_select(v, {second}), {orders})"


def _orders(coalition: int, n: int) -> int:
    """In how many orders of all n tiers a tier comes right after this set of others."""
    return factorial(coalition.bit_count()) * factorial(n - coalition.bit_count() - 1)


def moves(value: str, tiers: Sequence[str], replayed: bool, told: Mapping[str, Column]) -> str:
    """SQL of whether the value depends on who pays: it is not the same at the least and at the greatest burden any coalition leaves.
    (A value is never less than nothing, and does not fall while the burden grows.)
    """
    owed = owing(tiers, replayed, told)
    lows = [known.low if (known := told.get(TIER[k].paid)) else None for k in tiers]
    if replayed:
        own = (f"least({', '.join(owed)})", f"greatest({', '.join(owed)})")
    elif all(low is not None and low >= 0 for low in lows):
        own = (owed[-1], owed[0])
    else:
        less, more = (
            "".join(f" - {side}({_paid(k, told)}, 0)" for k in tiers) for side in ("greatest", "least")
        )
        own = (f"(own_before_fen{less})", f"(own_before_fen{more})")
    flag = _FLAG.fullmatch(value)
    low, high = (_OWN.sub(one, flag[1] if flag else value) for one in own)
    return f"{high} AND NOT {low}" if flag else f"{high} <> 0 AND {low} IS DISTINCT FROM {high}"


def only(
    value: str, tiers: Sequence[str], owed: Sequence[str], replayed: bool, told: Mapping[str, Column]
) -> tuple[str, str, list[str]]:
    """SQL of whether more than one tier paid (by replay: whether that is so or not told); where it was one alone, of the `fall` of
    the value, times K!, and columns with every tier's Shapley credit in terms of it: all or nothing.
    """
    paid = [f"{_paid(k, told)} <> 0" for k in tiers]
    several = "true" if replayed else " + ".join(f"({one})::INTEGER" for one in paid) + " > 1"
    fall = f"{factorial(len(tiers))} * (({_OWN.sub(owed[0], value)})::DOUBLE - ({_OWN.sub(owed[-1], value)})::DOUBLE)"
    return (
        several,
        fall,
        [f"CASE WHEN {one} THEN fall ELSE 0 END AS credit_{at}" for at, one in enumerate(paid)],
    )

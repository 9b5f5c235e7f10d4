"""Credit per tier: how much of the fall of a measure each tier made, whatever the order of payment.

A coalition is a set of tiers, a bit each. Its burden is what a household owes when only these tiers pay: by accounting, the
recorded payments of the others are taken away; by replay, the rules are paid again without them (columns of coalitions). The
Shapley value is formed household by household in whole numbers times K!, so the credits of all tiers add up to the fall.
"""

import re
from collections.abc import Sequence
from math import factorial

from analytics.tiers import TIER

_OWN = re.compile(r"\bown\b")


def coalition(mask: int) -> str:
    """Column of what is owed when only the tiers of `mask` pay, fen."""
    return f"own_{mask}_fen"


def flags(value: str, tiers: Sequence[str], replayed: bool) -> list[str]:
    """SQL columns v0, v1, ... with the value under every coalition of `tiers`. `value` is written in terms of `own`."""
    return [f"{sql} AS v{mask}" for mask, sql in enumerate(values(value, tiers, replayed))]


def values(value: str, tiers: Sequence[str], replayed: bool) -> list[str]:
    """SQL of the value under every coalition of `tiers`."""
    found = []
    for mask in range(1 << len(tiers)):
        paid = "".join(f" - coalesce({TIER[k].paid}, 0)" for i, k in enumerate(tiers) if mask >> i & 1)
        own = coalition(mask) if replayed else f"(own_before_fen{paid})"
        found.append(f"({_OWN.sub(own, value)})::DOUBLE")
    return found


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


def listed(tiers: Sequence[str], position: int) -> str:
    """SQL of the Shapley credit of a tier over the list `v` of all values: the same sum, in a text short enough to plan fast. Where
    the tier changes no value the two products are equal to the last bit.
    """
    bit, n = 1 << position, len(tiers)
    without = [s for s in range(1 << n) if not s & bit]
    orders = f"{[float(_orders(s, n)) for s in without]}::DOUBLE[]"
    first, second = ([(s | more) + 1 for s in without] for more in (0, bit))
    return f"list_dot_product(list_select(v, {first}), {orders}) - list_dot_product(list_select(v, {second}), {orders})"


def _orders(coalition: int, n: int) -> int:
    """In how many orders of all n tiers a tier comes right after this set of others."""
    return factorial(coalition.bit_count()) * factorial(n - coalition.bit_count() - 1)


def extremes(value: str, tiers: Sequence[str], replayed: bool) -> tuple[str, str]:
    """SQL of the value at the least and at the greatest burden any coalition leaves: where they are equal no coalition changes it,
    since a value does not fall while the burden grows.
    """
    if replayed:
        every = ", ".join(coalition(mask) for mask in range(1 << len(tiers)))
        own = (f"least({every})", f"greatest({every})")
    else:
        less, more = (
            "".join(f" - {side}(coalesce({TIER[k].paid}, 0), 0)" for k in tiers)
            for side in ("greatest", "least")
        )
        own = (f"(own_before_fen{less})", f"(own_before_fen{more})")
    return _OWN.sub(own[0], value), _OWN.sub(own[1], value)

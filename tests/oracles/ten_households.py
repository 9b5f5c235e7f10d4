"""The ten households worked in exact fractions, without SQL, ranks by pairs of households: shares no code with the measures.

`answers()` gives every measure that has a worked example: a fraction, or one per tier.
"""

import csv
from collections.abc import Callable
from fractions import Fraction
from math import exp, log

from analytics.reference import root

TIERS = ("basic", "serious_illness", "medical_assistance")
LINE = Fraction(90)  # yuan per person
Home = dict[str, Fraction]
Answer = Fraction | float | dict[str, Fraction]


def homes() -> list[Home]:
    with (root() / "data" / "examples" / "ten_households.csv").open(encoding="utf-8") as file:
        return [{name: Fraction(value) for name, value in row.items()} for row in csv.DictReader(file)]


TEN = homes()
Of = Callable[[Home], Fraction]


def one(h: Home) -> Fraction:
    return h["weight"]


def persons(h: Home) -> Fraction:
    return h["weight"] * h["members"]


def mean(of: Of, w: Of) -> Fraction:
    return sum(w(h) * of(h) for h in TEN) / sum(w(h) for h in TEN)


def absolute(of: Of, by: Of, w: Of) -> Fraction:
    """Generalised concentration index by pairs: every pair of households, who is better off, ties neither."""
    total = sum(w(h) for h in TEN)
    pairs = sum(w(a) * w(b) * ((by(a) > by(b)) - (by(a) < by(b))) * (of(a) - of(b)) for a in TEN for b in TEN)
    return Fraction(pairs) / (2 * total * total)


def concentration(of: Of, by: Of, w: Of) -> Fraction:
    return absolute(of, by, w) / mean(of, w)


def own(h: Home) -> Fraction:
    return h["own_burden"]


def x(h: Home) -> Fraction:
    return h["consumption"]


def a_head(h: Home) -> Fraction:
    return h["consumption"] / h["members"]


def paid_a_head(h: Home) -> Fraction:
    return h["own_burden"] / h["members"]


def left_a_head(h: Home) -> Fraction:
    return a_head(h) - paid_a_head(h)


def over(z: Fraction, borne: Of = own) -> Of:
    return lambda h: Fraction(borne(h) > z * x(h))


def beyond(z: Fraction, borne: Of = own) -> Of:
    return lambda h: max(borne(h) / x(h) - z, Fraction(0))


def credits(value: Callable[[Of], Fraction]) -> dict[str, dict[str, Fraction]]:
    """Shapley (over all orders written out), alone, last, and in order, of the fall of a value of the burden."""
    orders = [(a, b, c) for a in TIERS for b in TIERS for c in TIERS if len({a, b, c}) == 3]

    def after(*tiers: str) -> Fraction:
        return value(lambda h: h["cost"] - sum(h[k] for k in tiers))

    fall = {
        order: {k: after(*order[:i]) - after(*order[: i + 1]) for i, k in enumerate(order)}
        for order in orders
    }
    return {
        "shapley": {k: sum((fall[o][k] for o in orders), Fraction(0)) / len(orders) for k in TIERS},
        "first_in": {k: after() - after(k) for k in TIERS},
        "last_in": {k: after(*(t for t in TIERS if t != k)) - after(*TIERS) for k in TIERS},
        "sequential": fall[TIERS],
    }


def median_left() -> Fraction:
    """The smallest amount left per person with at least half of the persons at or below it."""
    half, below = sum(persons(h) for h in TEN) / 2, Fraction(0)
    for h in sorted(TEN, key=left_a_head):
        below += persons(h)
        if below >= half:
            return left_a_head(h)
    raise AssertionError


def adults(h: Home) -> Fraction:
    return 1 + Fraction(7, 10) * (h["members"] - h["children"] - 1) + Fraction(1, 2) * h["children"]


def quantile(of: Of, p: Fraction) -> Fraction:
    return min(
        of(h) for h in TEN if sum(one(o) for o in TEN if of(o) <= of(h)) >= p * sum(one(o) for o in TEN)
    )


def basic_needs() -> Fraction:
    """Food, housing and utilities per equivalent adult of households between the 25th and the 35th percentile."""
    low, high = (quantile(lambda h: x(h) / adults(h), Fraction(p, 100)) for p in (25, 35))
    band = [h for h in TEN if low <= x(h) / adults(h) <= high]
    needs = sum(one(h) * (h["food"] + h["housing"]) / adults(h) for h in band) / sum(one(h) for h in band)
    return cents(needs)


def cents(yuan: Fraction) -> Fraction:
    """Half up to the fen."""
    return Fraction((yuan * 100 + Fraction(1, 2)) // 1, 100)


def group(h: Home) -> str:
    """Of the five groups of WHO Europe."""
    needs = cents(basic_needs() * adults(h))
    capacity = x(h) - needs
    if own(h) <= 0:
        return "no_spending"
    if capacity <= 0:
        return "further_impoverished"
    if own(h) > capacity:
        return "impoverished"
    return "at_risk" if capacity - own(h) < needs / 5 else "not_at_risk"


def answers() -> dict[str, Answer]:
    tenth = Fraction(1, 10)
    hit, deep = over(tenth), beyond(tenth)
    h_, o_ = mean(hit, one), mean(deep, one)
    g_hit, g_deep = absolute(hit, x, one), absolute(deep, x, one)
    gini, gini_net = (concentration(of, of, persons) for of in (a_head, left_a_head))
    c_paid, c_left = (concentration(of, a_head, persons) for of in (paid_a_head, left_a_head))
    found: dict[str, Answer] = {
        "budget_share": mean(own, one) / mean(x, one),
        "budget_share_mean": mean(lambda h: own(h) / x(h), one),
        "catastrophic_headcount": h_,
        "catastrophic_overshoot": o_,
        "mean_positive_overshoot": o_ / h_,
        "catastrophic_concentration": g_hit / h_,
        "catastrophic_concentration_generalised": g_hit,
        "catastrophic_concentration_wagstaff": g_hit / h_ / (1 - h_),
        "catastrophic_concentration_erreygers": 4 * g_hit,
        "catastrophic_headcount_weighted": h_ - g_hit,
        "catastrophic_overshoot_weighted": o_ - g_deep,
        "overshoot_concentration": g_deep / o_,
        "overshoot_concentration_generalised": g_deep,
        "gini": gini,
        "gini_net": gini_net,
        "payment_concentration": c_paid,
        "net_concentration": c_left,
        "kakwani": c_paid - gini,
        "reynolds_smolensky": gini - c_left,
        "redistributive_effect": gini - gini_net,
        "reranking": gini_net - c_left,
    }
    m, logs = mean(a_head, persons), 0.0
    whole = sum(persons(h) for h in TEN)
    for h in TEN:
        logs += float(persons(h) / whole) * log(a_head(h))
    found["theil"] = sum(float(persons(h) / whole * a_head(h) / m) * log(a_head(h) / m) for h in TEN)
    found["mean_log_deviation"] = log(m) - logs
    found["atkinson"] = 1 - exp(logs) / float(m)
    benefit = {
        k: concentration(lambda h, k=k: h[k] / h["members"], a_head, persons)  # type: ignore[misc]
        for k in TIERS
    }
    found["benefit_concentration"] = benefit
    found["benefit_progressivity"] = {k: c - gini for k, c in benefit.items()}

    poor = mean(lambda h: Fraction(left_a_head(h) < LINE), persons)
    gap = mean(lambda h: max(LINE - left_a_head(h), Fraction(0)), persons)
    found |= {
        "poverty_headcount": poor,
        "poverty_gap": gap,
        "poverty_gap_normalised": gap / LINE,
        "poverty_gap_squared": mean(lambda h: (max(LINE - left_a_head(h), Fraction(0)) / LINE) ** 2, persons),
        "poverty_gap_positive": gap / poor,
        "impoverishment_headcount": mean(lambda h: Fraction(a_head(h) >= LINE > left_a_head(h)), persons),
        "further_impoverished": mean(lambda h: Fraction(a_head(h) < LINE and own(h) > 0), persons),
    }
    line = max(Fraction(60), 20 + median_left() / 2)
    hard, broke = (
        mean(
            lambda h, z=z: Fraction(  # type: ignore[misc]
                own(h) > z * (x(h) - line * h["members"]) if x(h) > line * h["members"] else own(h) > 0
            ),
            persons,
        )
        for z in (Fraction(2, 5), Fraction(1))
    )
    found |= {
        "financial_hardship": hard,
        "impoverishing_spending": broke,
        "large_not_impoverishing": hard - broke,
    }
    for name in ("no_spending", "not_at_risk", "at_risk", "impoverished", "further_impoverished"):
        found[f"normative_{name}"] = mean(lambda h, n=name: Fraction(group(h) == n), persons)  # type: ignore[misc]
    for name, made in (("headcount", over), ("overshoot", beyond)):
        z = Fraction(2, 5)
        for kind, by_tier in credits(lambda borne, f=made, z=z: mean(f(z, borne), one)).items():  # type: ignore[misc]
            found[f"{kind}_{name}"] = by_tier
    return found | as_persons()


def as_persons() -> dict[str, Answer]:
    """The same ten as persons, one each."""

    def total(of: Of) -> Fraction:
        return sum((of(h) for h in TEN), Fraction(0))

    found: dict[str, dict[str, Fraction]] = {}
    for i, k in enumerate(TIERS):
        before = lambda h, i=i: h["cost"] - sum(h[t] for t in TIERS[:i])  # noqa: E731
        paid = [h for h in TEN if h[k] > 0]
        cost, sum_paid = total(lambda h: h["cost"]), total(lambda h, k=k: h[k])  # type: ignore[misc]
        each = {
            "own_share_before": total(before) / cost,
            "own_share_after": (total(before) - sum_paid) / cost,
            "tier_share": sum_paid / cost,
            "reach": Fraction(len(paid), 10),
            "paid_per_insured": sum_paid / 10,
            "paid_per_beneficiary": sum_paid / len(paid),
            "burden_reduction_rate": sum_paid / sum(before(h) for h in paid),
            "burden_reduction_mean": sum((h[k] / before(h) for h in paid), Fraction(0)) / len(paid),
            "burden_reduction_points": sum_paid / sum(h["cost"] for h in paid),
        }
        for name, value in each.items():
            found.setdefault(name, {})[k] = value
    ill = [h for h in TEN if h["cost"] > 0]
    return {
        **found,
        "effective_reimbursement_rate": 1 - total(own) / total(lambda h: h["cost"]),
        "own_burden_mean": sum((own(h) for h in ill), Fraction(0)) / len(ill),
    }

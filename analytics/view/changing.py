"""The controls of the what-if page: a scenario shipped with the project, or changes to one liability on fixed grids."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import streamlit as st

from analytics.figures import words
from analytics.figures.words import say, t
from analytics.plans import Plan, PlanErrors, TierRule
from analytics.plans.model import Ceiling
from analytics.view import asking, benefits, choose, controls, rules
from analytics.whatif import Scenario, parse_scenario, reform, shipped

AS_IS = "auto"
RATIOS = ("0.70", "0.75", "0.80", "0.85", "0.90", "0.95")
_STEPS = (10, 12, 15, 20, 25, 30, 40, 50, 60, 80)  # tenths of the first digit of amounts on the grid
_SHIFTS = (-20, -15, -10, -5, 5, 10, 15, 20)  # percentage points
_CAPS = (100_000, 200_000, 300_000, 500_000)  # offered where the plan has no ceiling
_TIMES = {"half": Decimal("0.5"), "half_more": Decimal("1.5"), "double": Decimal(2), "triple": Decimal(3)}
_VALUES = ("deductible", "shift", "ceiling")
Data = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What is asked for: the scenario, None where nothing is changed, and the tier whose spending is told first."""

    city: str
    year: str
    tier: str
    scenario: Scenario | None


def choose_scenario() -> Wanted:
    """The controls; of a city-year without a plan there is nothing to choose."""
    with choose.row():
        city = choose.city()
        held = {at for at in asking.desk().places if at[0] == city}
        ready = {name: s for name, s in shipped().items() if (s.city, s.plan_year) in held}
        name = controls.one(
            "scenario", [AS_IS, *ready], lambda code: _title(ready, code), own=True, width=380
        )
        picked = ready.get(name)
        year = str(picked.plan_year) if picked else choose.year(city)
        ratio = _ratio(str(picked.target_loss_ratio) if picked else None)
    controls.notices()
    if picked:
        tier = picked.change[0].tier if picked.change else picked.graded.tier if picked.graded else ""
        return Wanted(city, year, tier, picked.model_copy(update={"target_loss_ratio": Decimal(ratio)}))
    plan = asking.desk().plan(city, int(year))
    if plan is None or not plan.tier:
        return Wanted(city, year, "", None)
    return _own(plan, city, year, ratio)


def _title(ready: Mapping[str, Scenario], code: str) -> str:
    if code not in ready:
        return t("whatif.own")
    return t("whatif.shipped", name=say(ready[code].name), year=ready[code].plan_year)


def _ratio(default: str | None) -> str:
    options = sorted({*RATIOS, *([default] if default else [])})
    return controls.one("loss_ratio", options, choose.share, default or "0.85", own=True, width=150)


def _own(plan: Plan, city: str, year: str, ratio: str) -> Wanted:
    """Changes of the visitor's own to one liability, or to one tier."""
    bar = choose.row()
    with bar:
        tiers = list(plan.order)
        first = "serious_illness" if "serious_illness" in tiers else tiers[0]
        tier = controls.one("tier", tiers, words.tier, first, own=True, on_change=_begin_anew, width=200)
        way = choose.of("way", ["values", "graded", "out"], buttons=True)
    if way == "out":
        data: Data = {"change": [{"tier": tier, "field": "tier", "value": "none"}]}
        return Wanted(city, year, tier, _scenario(plan, ratio, data))
    rows = {_code(r): r for r in plan.rules(tier) if way == "values" or _has_deductible(r)}
    if not rows:
        st.info(t("whatif.no_deductible", tier=words.tier(tier)))
        return Wanted(city, year, tier, None)
    with bar:
        names = {code: benefits.liability(rule) for code, rule in rows.items()}
        code = controls.one(
            "liability", list(rows), names.__getitem__, own=True, on_change=_begin_anew, width=300
        )
    controls.notices()
    rule = rows[code]
    if way == "graded":
        data = {"graded": {**_selects(rule), "step": 100}}
        st.caption(t("whatif.graded_note"))
    else:
        data = {"change": list(_values(plan, rule))}
        st.caption(t("whatif.values_note"))
    return Wanted(city, year, tier, _scenario(plan, ratio, data) if any(data.values()) else None)


def _begin_anew() -> None:
    """Another liability begins with the values of its plan."""
    controls.forget(*_VALUES)


def _scenario(plan: Plan, ratio: str, data: Data) -> Scenario:
    head = {"city": plan.city, "plan_year": plan.plan_year, "target_loss_ratio": Decimal(ratio)}
    return parse_scenario({"name": words.both("whatif.own_name"), **head, **data})


def _code(rule: TierRule) -> str:
    return f"{rule.liability}.{rule.insurance_type}"


def _selects(rule: TierRule) -> Data:
    return {"tier": rule.id, "liability": rule.liability, "insurance_type": rule.insurance_type}


def _has_deductible(rule: TierRule) -> bool:
    return isinstance(rule.deductible, int) and rule.deductible > 0


def _values(plan: Plan, rule: TierRule) -> Iterator[Data]:
    """The three controls of a liability; yields what is not as in the plan."""
    offered = _offered(plan, rule.id, _code(rule))
    own = {
        "deductible": rules.yuan(rule.deductible),
        "shift": t("whatif.no_shift"),
        "ceiling": rules.ceiling(rule.ceiling),
    }
    with st.grid(3, min_column_width=230):
        for field in _VALUES:
            options = offered[field]
            show = partial(_shown, field, options, own[field])
            with st.container():
                picked = controls.one(field, list(options), show, AS_IS, own=True, slider=len(options) > 1)
            yield from options[picked]
    controls.notices()


def _shown(field: str, options: Mapping[str, list[Data]], own: str, code: str) -> str:
    """A value on a grid in words; the plan's own is marked."""
    if code == AS_IS:
        return t("whatif.as_is", value=own)
    value = options[code][0]["value"]
    if field == "shift":
        return t("whatif.points", n=f"{float(value) * 100:+g}")
    if field == "ceiling":
        return t("rule.no_ceiling") if value == "none" else rules.yuan(value["amount"])
    return rules.yuan(value)


@lru_cache(maxsize=64)
def _offered(plan: Plan, tier: str, row: str) -> dict[str, dict[str, list[Data]]]:
    """For each control its codes in order, and the changes each stands for: what the form of a plan allows."""
    rule = next(r for r in plan.rules(tier) if _code(r) == row)
    return {field: dict(_fitting(plan, grid)) for field, grid in _grids(plan, rule).items()}


def _fitting(plan: Plan, grid: Sequence[tuple[str, list[Data]]]) -> Iterator[tuple[str, list[Data]]]:
    for code, changes in grid:
        try:
            if changes:
                reform(plan, _scenario(plan, RATIOS[0], {"change": changes}))
        except PlanErrors:
            continue
        yield code, changes


def _grids(plan: Plan, rule: TierRule) -> dict[str, list[tuple[str, list[Data]]]]:
    """Every value that might be offered, the plan's own at its place."""

    def set_(field: str, value: Any) -> list[Data]:
        return [{**_selects(other), "field": field, "value": value} for other in _sharing(plan, rule, field)]

    own: tuple[str, list[Data]] = (AS_IS, [])
    deductibles = [own]
    if isinstance(rule.deductible, int):
        amounts = {v: [(str(v), set_("deductible", v))] for v in _around(rule.deductible)}
        amounts[rule.deductible] = [own]
        deductibles = [entry for _, entries in sorted(amounts.items()) for entry in entries]
    shifts = [(str(p), set_("rate_plus", Decimal(p) / 100)) for p in _SHIFTS]
    middle = len(_SHIFTS) // 2
    ceilings = [own]
    if isinstance(rule.ceiling, Ceiling):
        on, amount = rule.ceiling.on, rule.ceiling.amount
        scaled = [
            (code, set_("ceiling", {"on": on, "amount": int(amount * by)})) for code, by in _TIMES.items()
        ]
        ceilings = [scaled[0], own, *scaled[1:], ("none", set_("ceiling", "none"))]
    elif rule.ceiling == "none":
        caps = [(str(cap), set_("ceiling", {"on": "payout", "amount": cap})) for cap in _CAPS]
        ceilings = [*caps, own]
    return {
        "deductible": deductibles,
        "shift": [*shifts[:middle], own, *shifts[middle:]],
        "ceiling": ceilings,
    }


def _sharing(plan: Plan, rule: TierRule, field: str) -> list[TierRule]:
    """The row, and those of its tier that must keep the same value because they share it; one of each name."""
    shared = getattr(rule, f"shared_{field}", None)
    rows = [r for r in plan.rules(rule.id) if shared and getattr(r, f"shared_{field}") == shared]
    return list({_code(r): r for r in [rule, *rows]}.values())


def _around(own: int) -> list[int]:
    """Round amounts from a quarter of the plan's own deductible to two and a half times it, and none."""
    grid = [step * 10**power for power in range(1, 6) for step in _STEPS]
    low, high = (own // 4, own * 5 // 2) if own else (200, 20_000)
    return [0, *(amount for amount in grid if low <= amount <= high)]

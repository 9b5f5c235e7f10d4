"""A scenario carried out: the plan in force and the changed one, both replayed on the same city-year."""

from dataclasses import dataclass

from analytics.measures import Book
from analytics.plans import Plan, PlanErrors
from analytics.reference import Unable
from analytics.store import Folder
from analytics.whatif.replay import Replay
from analytics.whatif.scenario import Change, Graded, NoEffect, Scenario, fingerprint, reform

_OFF = 0.02  # of the spending of a single deductible; graded ones further from it are not at equal cost


@dataclass(frozen=True)
class Pair:
    """`baseline` compares the replay of the plan in force with what was recorded, `reform` that of the changed plan with the
    replay of the plan in force. `scenario` holds what a search found, as changes.
    """

    scenario: Scenario
    plan: Plan
    changed: Plan
    baseline: Book
    reform: Book


def carry_out(snapshot: Folder, replay: Replay, plan: Plan, scenario: Scenario) -> Pair:
    """Replay a scenario. Raises plans.PlanErrors for changes that cannot be made, plans.PlanHoles where the plan in force
    lacks values, NoEffect where a change reaches nobody.
    """
    baseline = replay.pay(plan)
    searched = scenario.graded
    if searched:  # what was found is a scenario of its own, that can be carried out again
        scenario = scenario.model_copy(update={"change": grade(replay, plan, searched), "graded": None})
    changed = reform(plan, scenario)
    paid = replay.pay(changed, plan)
    idle = {} if replay.differing(baseline, paid) else {0: "all changes together"}
    if not idle and len(scenario.change) > 1 and not searched:
        for number, change in enumerate(scenario.change):
            rest = scenario.without(number)
            with replay.scratch():
                other = replay.pay(
                    reform(plan, rest) if rest.change or rest.add or rest.order else plan, plan
                )
                same = not replay.differing(paid, other)
            if same:
                idle[number + 1] = f"change {number + 1} ({change.label})"
    if idle:
        lines = (
            f"scenario {scenario.name.en}: {what}: no payment of any person changes; it reaches nobody here"
            for what in idle.values()
        )
        raise NoEffect("\n".join(lines), "no_effect", which=[str(n) for n in idle if n])
    told = {
        "scenario": scenario.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "rules": fingerprint(changed),
        **({"found_by": searched.model_dump(mode="json")} if searched else {}),
    }
    return Pair(
        scenario,
        plan,
        changed,
        Book(snapshot, replay.ledger(baseline, told={"rules": fingerprint(plan)})),
        Book(snapshot, replay.ledger(paid, baseline, told=told)),
    )


def grade(replay: Replay, plan: Plan, graded: Graded) -> tuple[Change, ...]:
    """Deductibles by fifth of household income per member, in proportion to the fifth's median, at which the tier pays as much
    as with its single one: the nearest to be had on the grid of `step` yuan. Raises plans.PlanErrors or ValueError.
    """
    rows = [
        r for r in plan.rules(graded.tier)
        if graded.liability in (None, r.liability) and graded.insurance_type in (None, r.insurance_type)
    ]  # fmt: skip
    if not rows or any(isinstance(r.deductible, str) or not r.deductible for r in rows):
        raise PlanErrors(
            ["graded: no row of the tier with a deductible above zero matches; name the tier and liability"]
        )
    medians = replay.engine.ask(
        "SELECT income_group, median(income_fen / n_members) / 100 AS yuan FROM household_year WHERE income_group <> 'unknown' GROUP BY ALL ORDER BY ALL"
    )
    by_fifth = dict(zip(medians["income_group"], medians["yuan"], strict=True))
    if len(by_fifth) < 5 or min(by_fifth.values()) <= 0:
        text = "graded: needs household incomes in all five fifths; deliver household_economy and household_member"
        raise Unable(text, "no_fifths")
    target = replay.spent(replay.pay(plan), graded.tier)

    def changes(permille: int) -> tuple[Change, ...]:
        return tuple(
            Change.model_validate({
                "tier": r.id, "liability": r.liability, "insurance_type": r.insurance_type, "capacity": (fifth,), "field": "deductible",
                "value": graded.step * max(1, round(yuan * permille / 1000 / graded.step)),
            })
            for r in rows for fifth, yuan in by_fifth.items()
        )  # fmt: skip

    def spending(permille: int) -> int:
        name = {"name": {"zh": "分级", "en": "graded"}, "city": plan.city, "plan_year": plan.plan_year}
        tried = Scenario.model_validate({**name, "change": changes(permille)})
        with replay.scratch():
            return replay.spent(replay.pay(reform(plan, tried), plan), graded.tier)

    low, high = 0, 1  # a higher share means higher deductibles and never more spending
    while spending(high) > target and high < 64_000:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if spending(middle) > target else (low, middle)
    paid = {share: spending(share) for share in (low, high) if share}
    nearest = min(paid, key=lambda share: abs(paid[share] - target))
    if abs(paid[nearest] - target) > _OFF * target:
        text = f"graded: in steps of {graded.step} yuan the tier pays {paid[nearest] / 100:,.2f} yuan at the nearest, not the {target / 100:,.2f} of the single deductible; give a smaller step"
        raise Unable(
            text,
            "graded_off",
            step=graded.step,
            nearest=f"{paid[nearest] / 100:,.2f}",
            target=f"{target / 100:,.2f}",
        )
    return changes(nearest)

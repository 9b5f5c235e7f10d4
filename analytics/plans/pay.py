"""One amount through one liability, step by step: what `claims_sql` pays on it, shown as the rule reads."""

from collections.abc import Iterable
from typing import Any

import duckdb

from analytics.plans.model import GROUPS, Plan, TierRule
from analytics.plans.schedule import PERSON_GROUPS, Schedule, Step, resolve


def pay(
    plan: Plan,
    tier_id: str,
    amount_fen: int,
    groups: Iterable[str] = (),
    liability: str | None = None,
    insurance_type: str | None = None,
    *,
    hospital_level: str | None = None,
    cross_region: str = "local",
) -> dict[str, Any]:
    """What a liability pays on `amount_fen` of its own base (accumulated over the year, or of one settlement).

    Returns `paid_fen`, `own_fen`, `steps` (one per piece of the amount, unpaid pieces with rate 0: `over_fen`,
    `up_to_fen`, `rate_bp`, `base_fen`, and `paid_fen_bp` = base x rate, unrounded in ten-thousandths of a fen: the
    payment is rounded once, on their sum), `ceiling_fen` and `due_fen` (payment before that ceiling), `eligible`,
    `tier`, `liability`, `insurance_type`, `source` and `sql`. Without `insurance_type` a person is a resident unless
    in group employee or retired, or the liability is for employees only. Raises ValueError for a tier, liability or
    group that is not there, and where a value needed is "missing".
    """
    members = set(groups) - {"general"}
    if unknown := sorted(members - set(GROUPS)):
        raise ValueError(f"no such group: {', '.join(unknown)}; groups are general, {', '.join(GROUPS)}")
    if len(members & set(PERSON_GROUPS)) > 1:
        raise ValueError(f"a person is in one of {', '.join(PERSON_GROUPS)}: name one")
    if amount_fen < 0:
        raise ValueError("the amount is below zero")
    rule = _pick(plan, tier_id, liability, insurance_type, members)
    if insurance_type == "employee" or rule.insurance_type == "employee":
        members |= {"employee"}
    eligible = not rule.groups or bool(members & set(rule.groups))
    level, region = (hospital_level, cross_region) if rule.per == "event" else (None, None)
    eligible = eligible and (not rule.cross_region or cross_region in rule.cross_region)
    schedule = resolve(rule, members, level, region) if eligible else Schedule(())
    sql, values = _run(schedule, amount_fen)
    return {
        "paid_fen": values["paid_fen"],
        "own_fen": amount_fen - values["paid_fen"],
        "steps": [_shown(step, values[f"step_{i}"]) for i, step in enumerate(_pieces(schedule))],
        "due_fen": values["due_fen"],
        "ceiling_fen": schedule.payout_ceiling,
        "eligible": eligible,
        "tier": rule.id,
        "liability": rule.liability,
        "insurance_type": rule.insurance_type,
        "source": plan.sources[rule.source].model_dump(mode="json", by_alias=True),
        "sql": sql,
    }


def _pick(
    plan: Plan, tier_id: str, liability: str | None, insurance_type: str | None, members: set[str]
) -> TierRule:
    rows = list(plan.rules(tier_id))
    if not rows:
        raise ValueError(
            f"plan {plan.city}/{plan.plan_year} has no tier {tier_id!r}; it has {', '.join(plan.order)}"
        )
    names = list(dict.fromkeys(rule.liability for rule in rows))
    if liability is None and len(names) > 1 and "main" not in names:
        raise ValueError(f"{tier_id} has several liabilities, name one: {', '.join(names)}")
    wanted = liability or ("main" if "main" in names else names[0])
    rows = [rule for rule in rows if rule.liability == wanted]
    if not rows:
        raise ValueError(f"{tier_id} has no liability {wanted!r}; it has {', '.join(names)}")
    kind = insurance_type or ("employee" if members & {"employee", "retired"} else "resident")
    fitting = [rule for rule in rows if rule.is_for(kind)] or (rows if insurance_type is None else [])
    if not fitting:
        raise ValueError(f"{tier_id}/{wanted} is not for insurance type {kind!r}")
    return fitting[0]


def _pieces(schedule: Schedule) -> list[Step]:
    """The steps of a schedule with the unpaid pieces below the first and above the last."""
    if not schedule.steps:
        return [Step(0, None, 0)]
    first, last = schedule.steps[0], schedule.steps[-1]
    below = [Step(0, first.over, 0)] if first.over else []
    above = [Step(last.up_to, None, 0)] if last.up_to is not None else []
    return [*below, *schedule.steps, *above]


def _run(schedule: Schedule, amount_fen: int) -> tuple[str, dict[str, int]]:
    """Run the schedule's own SQL on one amount: the payment, and the part of the amount in each piece."""
    columns = [f"{schedule.sql('x')} AS paid_fen", f"{schedule.uncapped().sql('x')} AS due_fen"]
    columns += [f"{piece.base_sql('x')} AS step_{i}" for i, piece in enumerate(_pieces(schedule))]
    sql = f"SELECT {', '.join(columns)} FROM (SELECT {int(amount_fen)}::BIGINT AS x)"
    with duckdb.connect() as connection:
        relation = connection.cursor().sql(sql)
        return sql, dict(zip(relation.columns, relation.fetchall()[0], strict=True))


def _shown(step: Step, base_fen: int) -> dict[str, int | None]:
    return {
        "over_fen": step.over,
        "up_to_fen": step.up_to,
        "rate_bp": step.rate_bp,
        "base_fen": base_fen,
        "paid_fen_bp": base_fen * step.rate_bp,
    }

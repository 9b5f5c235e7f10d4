"""One amount through one liability, step by step: what `claims_sql` pays on it, shown as the rule reads."""

from collections.abc import Iterable
from typing import Any, get_args

from analytics.plans.model import GROUPS, Capacity, Plan, TierRule
from analytics.plans.rowsql import growth
from analytics.plans.schedule import PERSON_GROUPS, Schedule, Step, Terms, applies, schedule_of, terms_of
from analytics.store import closed


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
    years: int | None = None,
    capacity: str | None = None,
    product: str | None = None,
) -> dict[str, Any]:
    """What a liability pays on `amount_fen` of its own base (accumulated over the year, or of one settlement).

    Returns `paid_fen`, `own_fen`, `steps` (one per piece of the amount, unpaid pieces with rate 0: `over_fen`,
    `up_to_fen`, `rate_bp`, `base_fen`, `paid_fen_bp` = base x rate, unrounded in ten-thousandths of a fen: the
    payment is rounded once, on their sum, and the `clause` the piece rests on), `ceiling_fen`, its `ceiling_clause`
    and `due_fen` (payment before that ceiling), `eligible`, `tier`, `liability`, `insurance_type`, `source` and
    `sql`. Without `insurance_type` a person is a resident unless in group employee or retired, or the liability is
    for employees only; without `years` in the first year of cover, without a year free of claims; without `product`
    holder of any. Raises ValueError for a tier, liability, group or product that is not there, and where a value
    needed is "missing".
    """
    members = set(groups) - {"general"}
    if unknown := sorted(members - set(GROUPS)):
        raise ValueError(f"no such group: {', '.join(unknown)}; groups are general, {', '.join(GROUPS)}")
    if len(members & set(PERSON_GROUPS)) > 1:
        raise ValueError(f"a person is in one of {', '.join(PERSON_GROUPS)}: name one")
    if amount_fen < 0:
        raise ValueError("the amount is below zero")
    if years is not None and years < 1:
        raise ValueError(f"years {years}: the first year of cover is year 1")
    if capacity is not None and capacity not in get_args(Capacity):
        raise ValueError(
            f"no such capacity: {capacity}; fifths of income are {', '.join(get_args(Capacity))}"
        )
    rule = _pick(plan, tier_id, liability, insurance_type, members, product)
    if insurance_type == "employee" or rule.insurance_type == "employee":
        members |= {"employee"}
    conditions = {
        "for": not rule.groups or members & set(rule.groups),
        "not_for": not members & set(rule.not_for),
        "cross_region": not rule.cross_region or cross_region in rule.cross_region,
    }
    refused = next((field for field, holds in conditions.items() if not holds), None)
    level, region = (hospital_level, cross_region) if rule.per == "event" else (None, None)
    chosen = [v for v in rule.variants if applies(v, members, level, region, years, capacity)]
    terms = terms_of(rule, chosen)
    schedule = Schedule(()) if refused else schedule_of(rule, terms)
    sql, values = _run(rule, schedule, amount_fen, years)
    return {
        "paid_fen": values["paid_fen"],
        "own_fen": amount_fen - values["paid_fen"],
        "steps": [
            _shown(step, values[f"step_{i}"]) | {"clause": _clause(plan, rule, terms, field)}
            for i, (field, step) in enumerate(_pieces(schedule, refused or "bands"))
        ],
        "due_fen": values["due_fen"],
        "ceiling_fen": values.get("ceiling_fen"),
        "ceiling_clause": _clause(plan, rule, terms, "ceiling"),
        "eligible": refused is None,
        "tier": rule.id,
        "liability": rule.liability,
        "insurance_type": rule.insurance_type,
        "source": plan.sources[rule.source].model_dump(mode="json", by_alias=True),
        "sql": sql,
    }


def _pick(
    plan: Plan,
    tier_id: str,
    liability: str | None,
    insurance_type: str | None,
    members: set[str],
    product: str | None,
) -> TierRule:
    rows = list(plan.rules(tier_id))
    if not rows:
        raise ValueError(
            f"plan {plan.city}/{plan.plan_year} has no tier {tier_id!r}; it has {', '.join(plan.order)}"
        )
    codes = [p.code for p in plan.product]
    if product is not None and product not in codes:
        raise ValueError(f"no such product: {product}; products are {', '.join(codes) or 'none'}")
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
    if (
        product is None
        and len(sold := [code for rule in fitting for code in rule.product])
        and len(fitting) > 1
    ):
        raise ValueError(f"{tier_id}/{wanted} differs by product, name one: {', '.join(sold)}")
    fitting = [rule for rule in fitting if product is None or not rule.product or product in rule.product]
    if not fitting:
        raise ValueError(f"{tier_id}/{wanted} is not for product {product!r}")
    return fitting[0]


def _pieces(schedule: Schedule, nothing: str = "bands") -> list[tuple[str, Step]]:
    """The steps of a schedule with the unpaid pieces below the first and above the last, each with the field it comes
    from; `nothing`: that field where there are no steps."""
    if not schedule.steps:
        return [(nothing, Step(0, None, 0))]
    first, last = schedule.steps[0], schedule.steps[-1]
    below = [("deductible", Step(0, first.over, 0))] if first.over else []
    above = [("ceiling", Step(last.up_to, None, 0))] if last.up_to is not None else []
    return [*below, *(("bands", step) for step in schedule.steps), *above]


def _clause(plan: Plan, rule: TierRule, terms: Terms, field: str) -> dict[str, Any]:
    return plan.clause(rule, field, terms.set_by.get(field))


def _run(
    rule: TierRule, schedule: Schedule, amount_fen: int, years: int | None
) -> tuple[str, dict[str, int]]:
    """Run the schedule's own SQL on one amount: the payment, its limit, and the part of the amount in each piece."""
    cap = schedule.payout_ceiling
    limit = None if cap is None else f"{cap} + {growth(rule)}" if rule.loyalty else str(cap)
    columns = [f"{schedule.sql('x', None, limit)} AS paid_fen", f"{schedule.uncapped().sql('x')} AS due_fen"]
    columns += [f"{limit} AS ceiling_fen"] if limit else []
    columns += [f"{piece.base_sql('x')} AS step_{i}" for i, (_, piece) in enumerate(_pieces(schedule))]
    given = "NULL" if years is None else int(years)
    person = f"{given}::INTEGER AS product_years, {given}::INTEGER AS insured_years, 0 AS zero_claim_years"
    sql = f"SELECT {', '.join(columns)} FROM (SELECT {int(amount_fen)}::BIGINT AS x, {person})"
    with closed() as connection:
        relation = connection.cursor().sql(sql)
        return sql, dict(zip(relation.columns, relation.fetchall()[0], strict=True))


def _shown(step: Step, base_fen: int) -> dict[str, Any]:
    return {
        "over_fen": step.over,
        "up_to_fen": step.up_to,
        "rate_bp": step.rate_bp,
        "base_fen": base_fen,
        "paid_fen_bp": base_fen * step.rate_bp,
    }

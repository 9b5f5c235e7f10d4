"""Who can be paid at all: a cheap test on sums of a person's year, before claims are looked at one by one."""

from collections.abc import Sequence

from analytics.plans.model import Plan, TierRule
from analytics.plans.rowsql import COST_PARTS, Row, persons, shares
from analytics.plans.schedule import FLAGS, Cell, case, quoted
from analytics.plans.waterfall import PlanHoles

_OF_PERSON = ("person_group", *FLAGS)  # what a person-year tells of the classes of a row


def may_pay(plan: Plan, first: int = 0) -> str:
    """SQL condition over person-years: FALSE only where no row from `first` on can pay, whatever the claims are.

    Needs the sums over the year of in_policy_fen and of what the rows before `first` have left (`_in`, `_adv`, `_out`,
    `_drug`, BIGINT), and insurance_type, person_group, is_pre_existing, is_retired and product. A row looks at some of
    the claims, so its base is at most these sums; it pays nothing up to the lowest deductible that any claim of the
    person can meet. Raises PlanHoles where a value is missing.
    """
    if holes := plan.holes():
        raise PlanHoles(plan, holes)
    rows = [Row(plan.tier, position) for position in range(len(plan.tier))]
    return "(" + "\n  OR ".join([_row(plan.tier, row, first) for row in rows[first:]] or ["FALSE"]) + ")"


def _row(rules: Sequence[TierRule], row: Row, first: int) -> str:
    rule = row.rule
    terms = list(persons(rule).values())
    if rule.insurance_type != "all":
        terms.append(f"insurance_type = '{rule.insurance_type}'")
    if rule.voluntary:
        terms.append("product IS NOT NULL")
    if rule.product:
        terms.append(f"product IN ({quoted(rule.product)})")
    terms.append(f"{' + '.join(row.parts)} > 0")
    terms.append(_above(rules, row, first))
    return f"coalesce({' AND '.join(terms)}, false)"


def _above(rules: Sequence[TierRule], row: Row, first: int) -> str:
    """The base, with what others use up of the same deductible, is above the lowest amount that is paid on."""
    earlier = enumerate(rules[: row.number - 1])
    before = [position for position, r in earlier if shares(r, row.rule, "shared_deductible")]
    if before and before[0] < first:
        return "TRUE"  # what that row saw of the year is not known any more
    base = " + ".join(_most(r) for r in (*(rules[position] for position in before), row.rule))
    floors: dict[Cell, int | None] = {}
    for cell, schedule in row.schedules.items():
        known = Cell(tuple((name, held) for name, held in cell.values if name in _OF_PERSON))
        over = next((step.over for step in schedule.steps if step.rate_bp), None)
        both = [o for o in (floors.get(known), over) if o is not None]
        floors[known] = min(both, default=None)
    texts = {cell: "FALSE" if over is None else f"{base} > {over}" for cell, over in floors.items()}
    return case(row.rule, texts, next(reversed(texts.values())))


def _most(rule: TierRule) -> str:
    """SQL: an upper bound of the base of the year."""
    if rule.base == "in_policy_cost":
        return "in_policy_fen"
    if rule.base == "total_own":
        return " + ".join(COST_PARTS)
    if rule.advance_share:
        return f"_in + (_adv * {int(rule.advance_share * 10_000)} + 5000) // 10000"
    return {"out_of_catalogue": "_out", "special_drug": "_drug"}.get(rule.base, "_in")

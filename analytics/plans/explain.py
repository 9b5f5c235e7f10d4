"""A person's year, step by step: what every row saw of every claim, what it paid, what it left, and why.

The numbers are those of the query that pays; the sentences put them into words.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb

from analytics.plans.case import COLUMNS, Claim, whole
from analytics.plans.model import Plan, TierRule
from analytics.plans.rowsql import COST_PARTS
from analytics.plans.schedule import (
    FLAGS,
    PERSON_GROUPS,
    Schedule,
    Terms,
    applies,
    schedule_of,
    terms_of,
)
from analytics.plans.waterfall import trace_sql
from analytics.store import closed
from analytics.tiers import TIER

# why a row does not look at a claim: field of the row (or `period`) -> words
_REASONS = {
    "scope": ("不保这类就诊", "it does not cover this kind of care"),
    "insurance_type": ("只保另一类参保人", "it is for persons of the other insurance type"),
    "cross_region": ("不保在此地就医", "it does not cover care at this place"),
    "voluntary": ("本人没有购买", "the person has not bought it"),
    "product": ("本人买的是别的产品", "the person has bought another product"),
    "period": ("费用不在保障期内", "the claim lies outside the period of cover"),
    "waiting_days": ("费用发生在等待期内", "the claim lies in the waiting period"),
    "for": ("本人不属于保障人群", "it is for other groups of persons"),
    "not_for": ("本人属于不保的人群", "it leaves out a group the person is in"),
}
_SENTENCES = {
    "unseen": ("{name}：不看这笔费用，因为{why}。", "{name}: does not look at this claim, because {why}."),
    "nothing": ("{name}：没有可计入的费用。", "{name}: the claim holds nothing that counts."),
    "below": (
        "{name}：计入{base}元后累计{after}元，未超过起付线{deductible}元，不付。",
        "{name}: with {base} yuan counted the total is {after} yuan, not above the deductible of {deductible} yuan: nothing is paid.",
    ),
    "below_once": (
        "{name}：计入{base}元，未超过起付线{deductible}元，不付。",
        "{name}: {base} yuan counted, not above the deductible of {deductible} yuan: nothing is paid.",
    ),
    "paid_once": (
        "{name}：计入{base}元，按{rates}，付{paid}元{limit}，这笔费用还欠{own}元。",
        "{name}: {base} yuan counted; at {rates} it pays {paid} yuan{limit}, and {own} yuan of the claim are still owed.",
    ),
    "paid": (
        "{name}：计入{base}元，累计由{before}元到{after}元；按{rates}，付{paid}元{limit}，这笔费用还欠{own}元。",
        "{name}: {base} yuan counted, total from {before} to {after} yuan; at {rates} it pays {paid} yuan{limit}, and {own} yuan of the claim are still owed.",
    ),
    "ceiling": ("（年度限额{ceiling}元）", " (yearly limit {ceiling} yuan)"),
    "owed": ("（不超过尚欠的费用）", " (no more than is still owed)"),
    "rate": ("{over}元以上{rate}%", "{rate} % above {over} yuan"),
    "no_rate": ("没有可付的分段", "no band that pays"),
}


def explain(plan: Plan, claims: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every step of one person's year in order of payment: row by row, and claim by claim in order of seq.

    Claims are dicts with the columns of `case.COLUMNS`; what a claim does not say has its usual value. A step holds
    the claim's `seq`, `row` (position in the plan, from 1), `tier`, `liability`, `label`, `name`, `per`, `looked_at` and else
    the `reason` (field of the row, or `period`); in fen the base it saw (`base_fen`), accumulated before and after
    (`before_fen`, `after_fen`), `deductible_fen`, `steps` (`over_fen`, `up_to_fen`, `rate_bp`, `base_fen`),
    `due_fen` by these, `ceiling_fen` of the person and `gave_fen` paid under it before, `paid_fen`, `left` of each
    part and `own_fen`, their sum; the `clause` that decided and `clauses` of the values; and a `sentence`. Raises
    PlanHoles, and ValueError for claims that are not those of one person.
    """
    with closed() as connection:
        trace = _trace(connection, plan, whole(claims))
        return [
            _step(connection, plan, position, rule, claim)
            for position, rule in enumerate(plan.tier, 1)
            for claim in trace
        ]


def _trace(connection: duckdb.DuckDBPyConnection, plan: Plan, claims: Sequence[Claim]) -> list[Claim]:
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in COLUMNS.items())
    connection.execute(f"CREATE TABLE claims ({columns})")
    marks = ", ".join("?" for _ in COLUMNS)
    for claim in claims:
        connection.execute(f"INSERT INTO claims VALUES ({marks})", [claim[name] for name in COLUMNS])
    answer = connection.sql(f"SELECT * FROM ({trace_sql(plan)}) ORDER BY seq")
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


def _step(
    connection: duckdb.DuckDBPyConnection, plan: Plan, n: int, rule: TierRule, claim: Claim
) -> dict[str, Any]:
    """One row on one claim; columns of the trace end in the row's number."""
    prefix = f"_looks{n}_"
    looks = {name.removeprefix(prefix): holds for name, holds in claim.items() if name.startswith(prefix)}
    reason = next((field for field, holds in looks.items() if not holds), None)
    left = {column: claim[f"{part}{n}"] for part, column in COST_PARTS.items()}
    named = {"zh": rule.name.zh, "en": rule.name.en} if rule.name else {}
    tier = TIER[rule.id]
    head = {
        "seq": claim["seq"], "row": n, "tier": rule.id, "liability": rule.liability, "label": rule.label, "per": rule.per,
        "name": {"zh": f"{tier.zh} {named.get('zh', '')}".strip(), "en": f"{tier.en} {named.get('en', '')}".strip()},
        "looked_at": reason is None, "reason": reason,
    }  # fmt: skip
    tail = {"paid_fen": claim[f"_p{n}"], "left": left, "own_fen": sum(left.values())}
    if reason is not None:
        field = "voluntary" if reason == "period" else reason
        step = {**head, **tail, "clause": plan.clause(rule, field), "clauses": {}}
        return step | {"sentence": _sentence(step)}
    terms = _terms(rule, claim)
    schedule = schedule_of(rule, terms)
    before, after = claim[f"_from{n}"], claim[f"_now{n}"]
    seen = {
        "base_fen": after - before,
        "before_fen": before,
        "after_fen": after,
        "deductible_fen": schedule.steps[0].over if schedule.steps else None,
        **_pieces(connection, schedule, before, after),
        "ceiling_fen": claim[f"_cap{n}"],
        "gave_fen": claim[f"_gave{n}"],
    }
    clauses = {f: plan.clause(rule, f, terms.set_by.get(f)) for f in ("deductible", "bands", "ceiling")}
    step = {**head, **seen, **tail, "clauses": clauses}
    field = "deductible" if _is_below(step) else "ceiling" if _is_capped(step) else "bands"
    return step | {"clause": clauses[field], "sentence": _sentence(step)}


def _terms(rule: TierRule, claim: Claim) -> Terms:
    """The values that hold for the claim."""
    groups = {claim["person_group"]} & set(PERSON_GROUPS)
    flags = {"employee": claim["insurance_type"] == "employee"}
    groups |= {flag for flag in FLAGS if flags.get(flag, claim.get(f"is_{flag}"))}
    level, region = claim["hospital_level"], claim["cross_region"]
    years = claim["product_years" if rule.voluntary else "insured_years"]
    variants = [v for v in rule.variants if applies(v, groups, level, region, years, claim["capacity"])]
    return terms_of(rule, variants)


def _pieces(
    connection: duckdb.DuckDBPyConnection, schedule: Schedule, before: int, after: int
) -> dict[str, Any]:
    """The part of the claim's base in every step, and what is due by them, run as the schedule's own SQL."""
    due = schedule.uncapped()
    columns = [
        f"{due.sql('now')} - ({due.sql('was')})",
        *(f"{step.base_sql('now')} - {step.base_sql('was')}" for step in schedule.steps),
    ]
    values = connection.execute(
        f"SELECT {', '.join(columns)} FROM (SELECT ?::BIGINT AS now, ?::BIGINT AS was)", [after, before]
    ).fetchall()[0]
    steps = [
        {"over_fen": step.over, "up_to_fen": step.up_to, "rate_bp": step.rate_bp, "base_fen": base}
        for step, base in zip(schedule.steps, values[1:], strict=True)
    ]
    return {"steps": steps, "due_fen": values[0]}


def _is_below(step: Mapping[str, Any]) -> bool:
    floor = step["deductible_fen"]
    return floor is None or step["after_fen"] <= floor


def _is_capped(step: Mapping[str, Any]) -> bool:
    """Whether the yearly limit, and not the bands, decided what was paid."""
    cap = step["ceiling_fen"]
    return (
        cap is not None and step["paid_fen"] < step["due_fen"] and step["gave_fen"] + step["paid_fen"] >= cap
    )


def _sentence(step: Mapping[str, Any]) -> dict[str, str]:
    return {language: _said(step, language) for language in ("zh", "en")}


def _said(step: Mapping[str, Any], language: str) -> str:
    at = ("zh", "en").index(language)
    name = step["name"][language]
    if not step["looked_at"]:
        return _SENTENCES["unseen"][at].format(name=name, why=_REASONS[step["reason"]][at])
    if not step["base_fen"] and not step["paid_fen"]:
        return _SENTENCES["nothing"][at].format(name=name)
    once = "_once" if step["per"] == "event" and not step["before_fen"] else ""
    amounts = {
        key: _yuan(step[f"{key}_fen"]) for key in ("base", "before", "after", "deductible", "paid", "own")
    }
    if _is_below(step) and not step["paid_fen"]:
        return _SENTENCES["below" + once][at].format(name=name, **amounts)
    rates = [
        _SENTENCES["rate"][at].format(over=_yuan(s["over_fen"]), rate=f"{s['rate_bp'] / 100:g}")
        for s in step["steps"]
        if s["base_fen"]
    ]
    limit = ""
    if _is_capped(step):
        limit = _SENTENCES["ceiling"][at].format(ceiling=_yuan(step["ceiling_fen"]))
    elif step["paid_fen"] < step["due_fen"]:
        limit = _SENTENCES["owed"][at]
    said = ("、", ", ")[at].join(rates) or _SENTENCES["no_rate"][at]
    return _SENTENCES["paid" + once][at].format(name=name, rates=said, limit=limit, **amounts)


def _yuan(amount: int | None) -> str:
    """Fen as yuan: with two decimals unless they are whole."""
    if amount is None:
        return "–"
    return f"{amount // 100:,}" + (f".{amount % 100:02}" if amount % 100 else "")

"""Worked cases of the rule texts (tests/cases/plans*.toml) against `pay`, the claims query and the oracle."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import polars
import pytest
from oracles import plan_oracle

from analytics import reference
from analytics.plans import Plan, build_plan, claims_sql, folder_of_plans, load_plans, pay, plan_for

CASES: dict[str, list[dict[str, Any]]] = {"case": [], "stack": []}
INLINE: dict[str, Any] = {}
for _path in sorted((Path(__file__).parent / "cases").glob("plans*.toml")):
    _content = reference.load_toml(_path)
    INLINE |= _content.get("inline", {})
    for _kind, _cases in CASES.items():
        _cases += _content.get(_kind, [])

# What a claim is unless the case says otherwise: a local resident in a level-three hospital, in the first year of cover.
CLAIM: dict[str, Any] = {
    "insurance_type": "resident", "person_group": "general", "is_pre_existing": False, "is_retired": False,
    "product": None, "hospital_level": "3", "care_type": "inpatient", "cross_region": "local", "claim_date": None,
    "cover_start": None, "product_years": None, "insured_years": None, "zero_claim_years": None, "capacity": None,
}  # fmt: skip
TYPES = {
    **{k: polars.Boolean if isinstance(v, bool) else polars.String for k, v in CLAIM.items()},
    **dict.fromkeys(("claim_date", "cover_start"), polars.Date),
    **dict.fromkeys(("product_years", "insured_years", "zero_claim_years"), polars.Int32),
    "person_id": polars.String, "seq": polars.Int64,
}  # fmt: skip
PARTS = ("in_policy", "advance", "out_of_catalogue", "special_drug")
PART_OF = {"in_policy_cost": "in_policy", "in_policy_own": "in_policy", "total_own": "in_policy"}
CONNECTION = duckdb.connect(config={"threads": 1})
OF_PERSON = ("low_income", "destitute", "near_low_income", "monitored")


@cache
def content_of(name: str) -> dict[str, Any]:
    """The plan file as it was written."""
    kind, _, inline = name.partition(":")
    return INLINE[inline] if kind == "inline" else plan_oracle.read(folder_of_plans() / f"{name}.toml")


@cache
def plan_of(name: str) -> Plan:
    if name.startswith("inline:"):
        return build_plan(content_of(name), name)
    city, year = name.split("/")
    plan = plan_for(city, int(year))
    assert plan is not None, f"data/plans has no {name}"
    return plan


def fen(yuan: Any) -> int:
    return int(Decimal(str(yuan)) * 100)


def claim(case: dict[str, Any], plan: Plan, seq: int = 1, **parts: Any) -> dict[str, Any]:
    """One claim: what the case says of it, the rest as usual; its parts in yuan."""
    holds = {"product": plan.product[0].code if plan.product else "x"}
    said = {k: v for k, v in case.items() if k in CLAIM}
    return {"person_id": "p", "seq": seq, **CLAIM, **holds, **said} | {
        f"{k}_fen": fen(parts.get(k, 0)) for k in PARTS
    }


def query(plan: Plan, claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    types = TYPES | {f"{k}_fen": polars.Int64 for k in PARTS}
    frame = polars.DataFrame(claims, schema={k: types[k] for k in claims[0]})
    CONNECTION.register("claims", frame)
    return list(CONNECTION.sql(claims_sql(plan)).pl().sort("seq").to_dicts())


def name_of(case: dict[str, Any]) -> str:
    keys = ("plan", "tier", "liability", "insurance_type", "amount")
    return "-".join([*(str(case[k]) for k in keys if k in case), *case.get("for", ())])


@pytest.fixture
def one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pay` starts an engine per call, which takes longer than the rest of the test: here it uses ours."""
    monkeypatch.setattr(import_module("analytics.plans.pay"), "closed", CONNECTION.cursor)


@pytest.mark.usefixtures("one_engine")
@pytest.mark.parametrize("case", CASES["case"], ids=name_of)
def test_case(case: dict[str, Any]) -> None:
    options = {
        k: case[k] for k in ("hospital_level", "cross_region", "years", "capacity", "product") if k in case
    }
    amount = fen(case["amount"])
    result = pay(
        plan_of(case["plan"]),
        case["tier"],
        amount,
        case.get("for", ()),
        case.get("liability"),
        case.get("insurance_type"),
        **options,
    )
    assert Decimal(result["paid_fen"]) / 100 == Decimal(case["paid"]), case["rule"]
    assert result["paid_fen"] + result["own_fen"] == amount
    # the steps are the whole amount, and their payments, rounded once half up, are the payment before the ceiling
    assert sum(step["base_fen"] for step in result["steps"]) == amount
    assert (sum(step["paid_fen_bp"] for step in result["steps"]) + 5_000) // 10_000 == result["due_fen"]


ROW = ("plan", "tier", "liability", "insurance_type")
BY_ROW: dict[tuple[str, ...], list[dict[str, Any]]] = {}
for _case in CASES["case"]:
    BY_ROW.setdefault(tuple(_case[k] for k in ROW), []).append(_case)


@pytest.mark.parametrize("name", BY_ROW, ids="-".join)
def test_a_row_alone_pays_its_cases_by_the_query_and_by_the_oracle(name: tuple[str, ...]) -> None:
    where, tier, liability, insurance_type = name
    plan, content = plan_of(where), content_of(where)
    (at,) = (
        i
        for i, r in enumerate(plan.tier)
        if (r.id, r.liability) == (tier, liability) and r.is_for(insurance_type)
    )
    rule, claims = plan.tier[at], []
    for number, case in enumerate(BY_ROW[name]):
        groups, years = case.get("for", ()), case.get("years")
        person = {
            "care_type": rule.scope[0],
            "cross_region": rule.cross_region[0] if rule.cross_region else "local",
            "person_group": next((g for g in groups if g in OF_PERSON), "general"),
            "is_pre_existing": "pre_existing" in groups,
            "is_retired": "retired" in groups,
            "product_years": years,
            "insured_years": years,
            **case,
        }
        one = claim(person, plan, **{PART_OF.get(rule.base, rule.base): case["amount"]})
        claims.append(one | {"person_id": str(number), "seq": number})
    alone = plan.model_copy(update={"tier": (rule,)})
    for case, one, paid in zip(BY_ROW[name], claims, query(alone, claims), strict=True):
        assert paid[f"{tier}_paid_fen"] == fen(case["paid"]), f"{case['amount']}: {case['rule']}"
        (by_oracle,) = plan_oracle.year(content | {"tier": [content["tier"][at]]}, [one])
        assert by_oracle["paid"] == [Decimal(case["paid"])], f"oracle, {case['amount']}: {case['rule']}"


@pytest.mark.parametrize("case", CASES["stack"], ids=name_of)
def test_stack(case: dict[str, Any]) -> None:
    """Claims of one person's year through the whole plan; `claims` where there are several, each with its own parts."""
    plan = plan_of(case["plan"])
    said = [{**case, **single} for single in case.get("claims", [{}])]
    claims = [claim(c, plan, seq, **{k: c[k] for k in PARTS if k in c}) for seq, c in enumerate(said, 1)]
    rows = query(plan, claims)
    got = {tier: sum(row[f"{tier}_paid_fen"] for row in rows) for tier in case["paid"]}
    assert got == {tier: fen(yuan) for tier, yuan in case["paid"].items()}, case["rule"]
    own, total = fen(case["own"]), sum(c[f"{part}_fen"] for c in claims for part in PARTS)
    assert sum(row["own_fen"] for row in rows) == own
    if "own_percent" in case:  # as a page printed it, to a tenth of a point
        assert abs(Decimal(own) / total * 100 - Decimal(case["own_percent"])) <= Decimal("0.1")
    content = content_of(case["plan"])
    of_year = plan_oracle.year(content, claims)
    for tier, yuan in case["paid"].items():
        here = [i for i, row in enumerate(content["tier"]) if row["id"] == tier]
        assert sum(c["paid"][i] for c in of_year for i in here) == Decimal(yuan), f"oracle: {tier}"


# --- enough of them


def published(plan: Plan, tier: str) -> dict[tuple[str, str], Any]:
    """The published values of the rows of a tier that can pay."""
    found: dict[tuple[str, str], Any] = {}
    for rule in plan.rules(tier):
        if rule.holes():
            continue
        for field in ("base", "scope", "deductible", "bands", "ceiling"):
            if plan.source_class(rule, field) != "assumed":
                found[rule.label, field] = getattr(rule, field)
        for v in rule.variants:
            source = plan.sources[v.source] if v.source else plan.source(rule, "variants")
            if source.source_class != "assumed":
                found[rule.label, v.selects] = (v.deductible, v.bands, v.rate_plus, v.ceiling)
    return found


def thin(counts: Mapping[tuple[str, str], int]) -> list[str]:
    """Scheme-years with published values that have fewer than three cases, or than one where another year says the
    same and has three."""
    held = {
        (f"{reference.places()[place].slug}/{year}", tier): published(plan, tier)
        for (place, year), plan in load_plans().items()
        for tier in plan.order
    }
    full = [(tier, held[name, tier]) for name, tier in held if counts.get((name, tier), 0) >= 3]
    return [
        f"{name} {tier}: {counts.get((name, tier), 0)} cases, {wanted} wanted"
        for (name, tier), values in held.items()
        if values
        and counts.get((name, tier), 0)
        < (wanted := 1 if any((tier, values) == other for other in full) else 3)
    ]


def test_every_published_rule_has_its_cases() -> None:
    counts = Counter((case["plan"], case["tier"]) for case in CASES["case"])
    counts += Counter((case["plan"], tier) for case in CASES["stack"] for tier in case["paid"])
    assert thin(counts) == []
    assert "zhanjiang/2013 serious_illness: 2 cases, 3 wanted" in thin(
        dict(counts) | {("zhanjiang/2013", "serious_illness"): 2}
    )
    assert "zhuhai/2020 inclusive: 0 cases, 1 wanted" in thin(
        dict(counts) | {("zhuhai/2020", "inclusive"): 0}
    )

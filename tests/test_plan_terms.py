"""The terms of the form by hand-worked cases (tests/cases/form.toml), and what the query says about itself."""

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import duckdb
import polars
import pytest
from oracles import plan_oracle
from plan_worlds import PARTS, SCHEMA, Claim, run

from analytics.plans import (
    OPTIONAL,
    Plan,
    TierRule,
    build_plan,
    claims_sql,
    filled,
    load_plans,
    may_pay,
    model,
    needs,
    parse_plan,
    premium_of,
    split,
)
from analytics.plans.case import COLUMNS
from analytics.plans.load import folder_of_plans
from analytics.reference import SourceClass
from analytics.tiers import TIER

FORM = tomllib.loads((Path(__file__).parent / "cases" / "form.toml").read_text("utf-8"), parse_float=Decimal)
PRODUCTS = [{"code": code, "name": {"zh": code, "en": code}} for code in "abc"]
SOURCES = {"s": {"title": "made up", "class": "assumed"}}


def content_of(**content: Any) -> dict[str, Any]:
    return {"city": "440800", "plan_year": 2023, "sources": SOURCES, "product": PRODUCTS, **content}


def claims_of(case: dict[str, Any]) -> list[Claim]:
    """The claims of a case, fen; the order of date is their number."""
    made = []
    for number, claim in enumerate(case["claims"], 1):
        whole = {**FORM["usual"], **claim}
        amounts = {part: int(whole.pop(part.removesuffix("_fen")) * 100) for part in PARTS}
        made.append({"person_id": "p", "seq": number, **whole, **amounts})
    return made


def name_of(case: dict[str, Any]) -> str:
    return f"{case['plan']}: {case['rule']}"


@pytest.mark.parametrize("case", FORM["case"], ids=name_of)
def test_case_of_a_term(case: dict[str, Any]) -> None:
    content = content_of(**FORM["plan"][case["plan"]])
    claims = claims_of(case)
    rows = run(build_plan(content), claims)
    truth = plan_oracle.year(content, claims)
    tier = {row.get("liability", "main"): row["id"] for row in content["tier"]}
    for liability, paid in case["paid"].items():
        name = f"{tier[liability]}__{liability}_paid_fen"
        assert [row[name] for row in rows] == [int(Decimal(yuan) * 100) for yuan in paid], case["rule"]
        mine = [n for n, row in enumerate(content["tier"]) if row.get("liability", "main") == liability]
        assert [sum(t["paid"][n] for n in mine) for t in truth] == [Decimal(yuan) for yuan in paid]


def test_every_term_has_cases_at_its_edges() -> None:
    assert {case["plan"] for case in FORM["case"]} == set(FORM["plan"])


# --- columns the query asks for


def only(plan: Plan, names: set[str]) -> duckdb.DuckDBPyRelation:
    """The query on a relation without the optional columns but these."""
    frame = polars.DataFrame(schema={k: v for k, v in SCHEMA.items() if k not in OPTIONAL or k in names})
    connection = duckdb.connect()
    connection.register("claims", frame)
    return connection.sql(claims_sql(plan))


WANTED = {
    "exclusion": set(),
    "products": set(),
    "waiting": {"claim_date", "cover_start"},
    "period": {"claim_date"},
    "one_ceiling": set(),
    "loyalty": {"insured_years", "zero_claim_years"},
    "years": {"product_years"},
    "capacity": {"capacity"},
}


@pytest.mark.parametrize(("name", "wanted"), WANTED.items(), ids=WANTED)
def test_a_plan_asks_for_the_columns_it_uses_and_no_other(name: str, wanted: set[str]) -> None:
    plan = build_plan(content_of(**FORM["plan"][name]))
    assert needs(plan) == wanted
    assert only(plan, wanted).fetchall() == []
    for column in wanted:
        with pytest.raises(duckdb.BinderException, match=column):
            only(plan, wanted - {column})


def test_unknown_columns_are_filled_in() -> None:
    plan = build_plan(content_of(**FORM["plan"]["loyalty"]))
    frame = polars.DataFrame(schema={k: v for k, v in SCHEMA.items() if k not in OPTIONAL})
    connection = duckdb.connect()
    connection.register("claims", frame)
    assert "zero_claim_years" in connection.sql(claims_sql(plan, filled(plan))).columns
    frame = frame.with_columns(insured_years=polars.lit(5))
    connection.register("claims", frame)
    assert connection.sql(claims_sql(plan, filled(plan, held=frame.columns))).fetchall() == []


# --- who may be paid


def told(plan: Plan, first: int = 0, **sums: Any) -> bool:
    """What the early test says of one person-year, amounts in yuan."""
    usual = {
        "insurance_type": "resident",
        "person_group": "general",
        "is_pre_existing": False,
        "is_retired": False,
    }
    amounts = dict.fromkeys(("_in", "_adv", "_out", "_drug", "in_policy_fen"), 0)
    person = {**usual, "product": None, **amounts, **sums}
    values = ", ".join(
        f"{v * 100}::BIGINT AS {k}" if k in amounts else f"{_literal(v)} AS {k}" for k, v in person.items()
    )
    ((answer,),) = duckdb.sql(f"SELECT {may_pay(plan, first)} FROM (SELECT {values})").fetchall()
    assert isinstance(answer, bool)
    return answer


def _literal(value: Any) -> str:
    return "NULL::VARCHAR" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


def row_of(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "inclusive", "insurance_type": "all", "base": "in_policy_own", "scope": ["inpatient"], "per": "year",
        "deductible": 100, "bands": [{"over": 0, "rate": Decimal("0.5")}], "ceiling": "none", "source": "s",
    }  # fmt: skip
    return row | changes


def test_the_early_test_is_sharp() -> None:
    poor = [{"for": ["low_income"], "deductible": 40}, {"years_at_least": 5, "deductible": 90}]
    plan = build_plan(content_of(tier=[row_of(variants=poor)]))
    assert not told(plan, _in=90, _out=5_000)  # at the lowest deductible of a person in no group
    assert told(plan, _in=91)
    assert told(plan, _in=41, person_group="low_income") and not told(plan, _in=40, person_group="low_income")
    bought = build_plan(
        content_of(tier=[row_of(voluntary=True, product=["a"], not_for=["pre_existing"], deductible=0)])
    )
    assert told(bought, _in=1, product="a")
    assert not told(bought, _in=1) and not told(bought, _in=1, product="b")
    assert not told(bought, _in=1, product="a", is_pre_existing=True)
    unpaid = build_plan(content_of(tier=[row_of(bands=[{"over": 0, "rate": 0}])]))
    assert not told(unpaid, _in=10_000)
    gross = build_plan(content_of(tier=[row_of(base="in_policy_cost")]))
    assert told(gross, in_policy_fen=101, _in=1)
    assert not told(gross, in_policy_fen=100, _in=100) and not told(gross, in_policy_fen=101, _in=0)
    assert not told(gross, first=1, in_policy_fen=10_000, _in=10_000)  # no row is left


def test_the_early_test_knows_a_shared_deductible() -> None:
    both = {"shared_deductible": "both"}
    rows = [row_of(liability="inside", **both), row_of(liability="outside", base="out_of_catalogue", **both)]
    plan = build_plan(content_of(tier=rows))
    assert told(plan, _in=60, _out=41)
    assert not told(plan, _in=60, _out=40)
    # after the first row nobody knows how much of the deductible it has used up
    assert told(plan, first=1, _out=1) and not told(plan, first=1, _in=500)


def test_the_head_of_a_plan() -> None:
    event, year = row_of(id="basic", per="event"), row_of()
    assert (
        split(build_plan(content_of(tier=[event, row_of(id="basic", liability="b", per="event"), year]))) == 2
    )
    assert split(build_plan(content_of(tier=[year]))) == 0
    assert split(build_plan(content_of(tier=[event]))) == 1
    for plan in load_plans().values():
        head = split(plan)
        assert all(rule.per == "event" for rule in plan.tier[:head])
        assert head == len(plan.tier) or plan.tier[head].per == "year"


def test_state_is_what_is_owed_and_names_are_added_to() -> None:
    rows = [
        row_of(id="basic", insurance_type="resident", per="event", deductible=0),
        row_of(id="basic", insurance_type="employee", deductible=0),
    ]
    plan = build_plan(content_of(tier=rows))
    claims = claims_of({"claims": [{"in_policy": 100}, {"in_policy": 60, "insurance_type": "employee"}]})
    connection = duckdb.connect()
    connection.register("claims", polars.DataFrame(claims, schema=SCHEMA))
    head = connection.sql(claims_sql(plan, last=1, keep_state=True)).order("seq")
    assert head.project("_in, basic_paid_fen").fetchall() == [(5_000, 5_000), (6_000, 0)]
    assert "own_fen" not in head.columns
    rest = connection.sql(claims_sql(plan, "head", first=1)).order("seq")
    assert rest.project("basic_paid_fen, own_fen").fetchall() == [(5_000, 5_000), (3_000, 3_000)]
    assert not [name for name in rest.columns if name.startswith("_")]


# --- premiums


def premium(**row: Any) -> dict[str, Any]:
    return {"product": "a", "who": {"zh": "x", "en": "x"}, "source": "s", **row}


def test_premium_of_the_first_row_for_the_person() -> None:
    """Weihai 2024: assisted persons 39, already ill 150, up to 22 39, above 22 and below 60 89, from 60 139."""
    assisted = {"for": ["low_income", "destitute", "near_low_income", "monitored"]}
    rows = [
        premium(**assisted, yuan=39),
        premium(**{"for": ["pre_existing"]}, yuan=150),
        premium(age_to=22, yuan=39),
        premium(age_from=23, age_to=59, yuan=89),
        premium(age_from=60, yuan=139),
        premium(product="b", years_at_least=2, yuan=166),
        premium(product="b", yuan=169),
    ]
    plan = build_plan(content_of(tier=[row_of()], premium=rows))
    by_age = {0: 39, 22: 39, 23: 89, 59: 89, 60: 139, 99: 139, None: None}
    assert {age: premium_of(plan, "a", age) for age in by_age} == by_age
    assert premium_of(plan, "a", 60, ["low_income", "pre_existing"]) == 39
    assert premium_of(plan, "a", 60, ["pre_existing"]) == 150
    assert [premium_of(plan, "b", 30, (), years) for years in (None, 1, 2)] == [169, 169, 166]
    assert premium_of(plan, "c", 30) is None  # none is given
    with pytest.raises(ValueError, match="no such product: d; products are a, b, c"):
        premium_of(plan, "d")


def test_a_premium_in_words_only_or_missing_is_not_known() -> None:
    words = build_plan(
        content_of(tier=[row_of()], premium=[premium(yuan=39), premium(age_from=60, yuan=139)])
    )
    assert premium_of(words, "a", 70) is None
    holes = build_plan(content_of(tier=[row_of()], premium=[premium(yuan="missing")]))
    assert premium_of(holes, "a", 70) is None


# --- the page that documents the form


def undocumented(page: str) -> list[str]:
    """Fields, words and columns the form has and the page does not name in code type."""
    forms = (
        Plan,
        TierRule,
        model.Variant,
        model.Ceiling,
        model.Band,
        model.Loyalty,
        model.Period,
        model.Product,
        model.Premium,
        model.Eligibility,
        model.NotModelled,
        model.Source,
    )
    names = {field.alias or name for form in forms for name, field in form.model_fields.items()}
    kinds = (model.BaseKind, model.CareType, model.CrossRegion, model.HospitalLevel, model.Group, SourceClass)
    names |= {word for kind in kinds for word in get_args(kind)} | set(TIER)
    names |= {name.replace("_fen", "_yuan") for name in COLUMNS}
    code = " ".join(re.findall(r"`([^`]+)`", page))
    return sorted(name for name in names if not re.search(rf"\b{name}\b", code))


def test_the_page_of_the_form_names_everything_in_both_languages() -> None:
    chinese, _, english = (folder_of_plans() / "README.md").read_text("utf-8").partition("\n---\n")
    assert undocumented("`loyalty`") and "loyalty" not in undocumented("`loyalty`")
    assert (undocumented(chinese), undocumented(english)) == ([], [])


def test_the_examples_of_the_page_make_a_plan() -> None:
    for page in (folder_of_plans() / "README.md").read_text("utf-8").split("\n---\n"):
        head, _, row = page.partition("[[tier]]")
        examples = [
            [line.split("|")[3].strip().strip("`") for line in part.splitlines() if line.count("|") == 4]
            for part in (head, row)
        ]
        lines = [line for part in examples for line in part if " = " in line]
        assert len(lines) > 30
        for line in lines:
            assert tomllib.loads(line), line
        sources = 'sources.guess = { title = "x", class = "assumed" }'
        top = [line for line in examples[0] if " = " in line]
        # what one row cannot hold alone, or only with another value, is left out
        alone = [line for line in examples[1] if " = " in line and not line.startswith("shared_")]
        parse_plan("\n".join([*top, sources, "[[tier]]", *alone]))

"""The form of plan files: every problem of every file is reported, with its place and what to do."""

from pathlib import Path
from typing import Any

import pytest

from analytics.plans import PlanErrors, build_plan, check_plans, load_plans, parse_plan, pay, plan_for

HEAD = """
city = "440800"
plan_year = 2023
[sources.s]
title = "made up"
class = "assumed"
"""
ROW = {
    "id": '"inclusive"',
    "insurance_type": '"all"',
    "base": '"in_policy_own"',
    "scope": '["inpatient"]',
    "per": '"year"',
    "deductible": "15_000",
    "bands": "[{ over = 0, rate = 0.60 }, { over = 100_000, rate = 0.65 }]",
    "ceiling": '{ on = "payout", amount = 400_000 }',
    "source": '"s"',
}


def tier(**changes: str | None) -> str:
    """One row as TOML; a change to None leaves the key out, `for_` stands for `for`."""
    row = {k: v for k, v in (ROW | changes).items() if v is not None}
    return "[[tier]]\n" + "\n".join(f"{k.rstrip('_')} = {v}" for k, v in row.items()) + "\n"


def problems(*parts: str) -> list[str]:
    try:
        parse_plan(HEAD + "\n".join(parts), "x.toml")
    except PlanErrors as error:
        return error.problems
    return []


def test_a_right_file_has_no_problems() -> None:
    assert problems(tier(), tier(liability='"outside"', base='"out_of_catalogue"')) == []


ONE_BAD_VALUE: dict[str, tuple[dict[str, str | None], str]] = {
    "unknown key": ({"ceilling": "3"}, "inclusive/main: ceilling: is not a key of this form"),
    "missing key": ({"deductible": None}, "inclusive/main: deductible: is missing: add it"),
    "no such tier": ({"id": '"gift"'}, "gift/main: id: 'gift' is no tier: write one of basic, "),
    "no such base": ({"base": '"in_policy"'}, "inclusive/main: base: 'in_policy' is not allowed: write one of 'in_policy_cost'"),
    "no such care type": ({"scope": '["ward"]'}, "inclusive/main: scope[1]: 'ward' is not allowed"),
    "empty scope": ({"scope": "[]"}, "inclusive/main: scope: is empty"),
    "value twice": ({"scope": '["inpatient", "inpatient"]'}, "inclusive/main: scope: names a value twice"),
    "percent": (
        {"bands": "[{ over = 0, rate = 60 }]"},
        "inclusive/main: bands[1].rate: 60 is not between 0 and 1: write 60 % as 0.60",
    ),
    "negative rate": ({"bands": "[{ over = 0, rate = -0.1 }]"}, "bands[1].rate: -0.1 is not between 0 and 1"),
    "too fine a rate": ({"bands": "[{ over = 0, rate = 0.33333 }]"}, "finer than a basis point"),
    "rate as text": ({"bands": '[{ over = 0, rate = "0.6" }]'}, "bands[1].rate: 0.6 is not a number"),
    "no bands": ({"bands": "[]"}, "inclusive/main: bands: is empty"),
    "bands not ascending": (
        {"bands": "[{ over = 0, rate = 0.6 }, { over = 9, rate = 0.6 }, { over = 9, rate = 0.7 }]"},
        "inclusive/main: bands: are not ascending in over (0, 9, 9)",
    ),
    "gap above deductible": (
        {"bands": "[{ over = 20_000, rate = 0.6 }]"},
        "inclusive/main: bands: the first band starts at 20000, above the deductible",
    ),
    "gap for some": (
        {
            "bands": "[{ over = 15_000, rate = 0.6 }]",
            "variants": '[{ for = ["destitute"], deductible = 2_000 }]',
        },
        "inclusive/main: bands: the first band for destitute starts at 15000, above the deductible",
    ),
    "broken yuan": ({"deductible": "15_000.5"}, "inclusive/main: deductible: is not a whole number"),
    "negative yuan": ({"deductible": "-1"}, "inclusive/main: deductible: is below zero"),
    "word for yuan": ({"deductible": '"none"'}, "deductible: 'none' is not allowed: write a value or 'missing'"),
    "ceiling of zero": ({"ceiling": '{ on = "payout", amount = 0 }'}, "ceiling.amount: is not above zero"),
    "ceiling word": ({"ceiling": '"unlimited"'}, "ceiling: 'unlimited' is not allowed: write a value or 'none', 'missing'"),
    "ceiling below deductible": (
        {"ceiling": '{ on = "eligible", amount = 15_000 }'},
        "inclusive/main: ceiling: the eligible ceiling lies at or below the deductible",
    ),
    "eligible per event": (
        {"per": '"event"', "ceiling": '{ on = "eligible", amount = 90_000 }'},
        "inclusive/main: ceiling: on = \"eligible\" limits the base of the year",
    ),
    "advance on other base": (
        {"base": '"total_own"', "advance_share": "0.5"},
        'inclusive/main: advance_share: counts only with base = "in_policy_own"',
    ),
    "variant selects nobody": ({"variants": "[{ deductible = 1 }]"}, "variants[1]: selects nobody"),
    "variant changes nothing": ({"variants": '[{ for = ["retired"] }]'}, "variants[1]: changes nothing"),
    "no such group": ({"variants": '[{ for = ["poor"], deductible = 1 }]'}, "variants[1].for[1]: 'poor' is not allowed"),
    "hospital by the year": (
        {"variants": '[{ hospital_level = ["1"], deductible = 1 }]'},
        'variants[1]: hospital_level and cross_region select single settlements: only with per = "event"',
    ),
    "ceiling by hospital": (
        {"per": '"event"', "variants": '[{ hospital_level = ["1"], ceiling = "none" }]'},
        "variants[1].ceiling: a ceiling is for the year",
    ),
    "shift beyond one": (
        {"variants": '[{ for = ["monitored"], rate_plus = 0.40 }]'},
        "variants: the rate for monitored becomes 1.05, outside 0 to 1",
    ),
    "shift of nothing": ({"variants": '[{ for = ["monitored"], rate_plus = 0 }]'}, "rate_plus: 0 is not a shift"),
    "undeclared source": ({"source": '"t"'}, "inclusive/main: source: source 't' is not declared: add [sources.t]"),
    "source of no field": ({"source_of": '{ price = "s" }'}, "source_of.price: is no field of a row"),
    "undeclared source of": ({"source_of": '{ bands = "t" }'}, "source_of.bands: source 't' is not declared"),
    "lonely shared": ({"shared_deductible": '"both"'}, "shared_deductible: no other liability of inclusive shares 'both'"),
    "bad slug": ({"liability": '"In-out"'}, "liability: 'In-out' does not fit the pattern"),
}  # fmt: skip


@pytest.mark.parametrize("changes, text", ONE_BAD_VALUE.values(), ids=ONE_BAD_VALUE)
def test_one_bad_value(changes: dict[str, str | None], text: str) -> None:
    found = problems(tier(**changes))
    assert all(line.startswith("x.toml: ") for line in found)
    assert any(text in line for line in found), found


SHARED = {"shared_deductible": '"both"'}
OUTSIDE = {**SHARED, "liability": '"outside"', "base": '"out_of_catalogue"'}
SEVERAL_ROWS: dict[str, tuple[list[str], str]] = {
    "tier apart": (
        [tier(), tier(id='"charity"'), tier(liability='"late"')],
        "inclusive/late: id: rows of inclusive stand apart",
    ),
    "liability twice": ([tier(), tier()], "inclusive/main: liability: overlaps with inclusive/main"),
    "all and resident": (
        [tier(), tier(insurance_type='"resident"')],
        "inclusive/main (resident): liability: overlaps with inclusive/main",
    ),
    "unequal shared": (
        [tier(**SHARED), tier(**OUTSIDE, deductible="20_000")],
        "inclusive/outside: deductible: differs from inclusive/main, which shares it",
    ),
    "unequal shared variants": (
        [tier(**SHARED, variants='[{ for = ["destitute"], deductible = 1_000 }]'), tier(**OUTSIDE)],
        "inclusive/outside: deductible: differs from inclusive/main",
    ),
    "shared by year and event": (
        [tier(**SHARED), tier(**OUTSIDE, per='"event"')],
        "inclusive/outside: per: differs from inclusive/main",
    ),
    "shared across insurance types": (
        [tier(**SHARED, insurance_type='"resident"'), tier(**OUTSIDE, insurance_type='"employee"')],
        "inclusive/outside (employee): shared_deductible: no other liability",
    ),
    "idle source": (
        [tier(), '[sources.idle]\ntitle = "x"\nclass = "known"'],
        "x.toml: sources.idle: is used by no value",
    ),
    "source class": (
        [tier(), '[sources.t]\ntitle = "x"\nclass = "page_Z"'],
        "x.toml: sources.t.class: 'page_Z' is not allowed: write one of 'seed', 'page_A'",
    ),
    "premium of no product": (
        [tier(), '[[premium]]\nproduct = "p"\nwho = { zh = "全体", en = "all" }\nyuan = 59\nsource = "s"'],
        "premium[1]: product: 'p' is no product here",
    ),
    "premium in cents": (
        [tier(), '[[premium]]\nproduct = "p"\nwho = { zh = "全体", en = "all" }\nyuan = 59.9\nsource = "s"'],
        "premium[1]: yuan: is not a whole number",
    ),
    "clause without English": (
        [tier(), '[[not_modelled]]\nclause = { zh = "罕见病" }\nwhy = { zh = "x", en = "x" }'],
        "not_modelled[1]: clause.en: is missing",
    ),
}


@pytest.mark.parametrize("parts, text", SEVERAL_ROWS.values(), ids=SEVERAL_ROWS)
def test_rows_that_do_not_fit_together(parts: list[str], text: str) -> None:
    found = problems(*parts)
    assert any(text in line for line in found), found


def test_several_problems_of_several_files_come_at_once(tmp_path: Path) -> None:
    files = {
        "zhanjiang/2023.toml": HEAD + tier(deductible="-1", base='"x"') + tier(liability='"b"', bands="[]"),
        "zhanjiang/2022.toml": HEAD + tier(),
        "weihai/2023.toml": HEAD + tier(),
        "weihai/2021.toml": "city = ",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = check_plans(tmp_path)
    for text in (
        "zhanjiang/2023.toml: inclusive/main: deductible: is below zero",
        "zhanjiang/2023.toml: inclusive/main: base: 'x' is not allowed",
        "zhanjiang/2023.toml: inclusive/b: bands: is empty",
        "zhanjiang/2022.toml: plan_year: is 2023, but the file is named 2022.toml",
        "weihai/2023.toml: city: 440800 is zhanjiang, but the file lies in weihai/",
        "weihai/2021.toml: file: ",
    ):
        assert any(line.startswith(text) for line in found), (text, found)
    with pytest.raises(PlanErrors) as raised:
        load_plans(tmp_path)
    assert raised.value.problems == found


def test_unknown_city_and_turned_period(tmp_path: Path) -> None:
    (tmp_path / "nowhere").mkdir()
    period = "period = { start = 2024-09-25, end = 2023-09-26 }\n"
    text = HEAD.replace("440800", "999999").replace("[sources.s]", period + "[sources.s]") + tier()
    (tmp_path / "nowhere" / "2023.toml").write_text(text, encoding="utf-8")
    found = "\n".join(check_plans(tmp_path))
    assert "city: 999999 is not in data/reference/cities.toml" in found
    assert "period: ends before it starts" in found


def test_a_corrected_file_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "zhanjiang" / "2023.toml"
    file.parent.mkdir()
    file.write_text(HEAD + tier(deductible="-1"), encoding="utf-8")
    assert len(check_plans(tmp_path)) == 1
    file.write_text(HEAD + tier(), encoding="utf-8")
    assert check_plans(tmp_path) == []
    plan = plan_for("zhanjiang", 2023, tmp_path)
    assert plan is not None and plan is plan_for("440800", 2023, tmp_path)
    assert plan_for("zhanjiang", 1999, tmp_path) is None


def test_the_shipped_plans_have_no_problems() -> None:
    assert check_plans() == []
    assert load_plans()


def row_of(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "inclusive", "insurance_type": "all", "base": "in_policy_own", "scope": ["inpatient"], "per": "year",
        "deductible": 100, "bands": [{"over": 0, "rate": 0.5}], "ceiling": "none", "source": "page",
    }  # fmt: skip
    return row | changes


def built(*rows: dict[str, Any]) -> Any:
    sources = {
        "page": {"title": "a page", "class": "page_A"},
        "guess": {"title": "a guess", "class": "assumed"},
    }
    clause = {"clause": {"zh": "x", "en": "x"}, "why": {"zh": "x", "en": "x"}, "source": "guess"}
    content = {
        "city": "440800",
        "plan_year": 2023,
        "sources": sources,
        "tier": rows,
        "not_modelled": [clause],
    }
    return build_plan(content)


def test_order_holes_and_sources() -> None:
    plan = built(
        row_of(id="basic", insurance_type="resident", bands="missing"),
        row_of(id="basic", insurance_type="employee", source_of={"ceiling": "guess"}),
        row_of(id="inclusive", variants=[{"for": ["destitute"], "ceiling": "missing"}]),
        row_of(id="medical_assistance", source="guess"),
    )
    assert plan.order == ("basic", "inclusive", "medical_assistance")
    assert plan.holes() == [
        "basic/main (resident): bands",
        "inclusive/main: variants[1] (destitute): ceiling",
    ]
    assert plan.holes("employee") == plan.holes()[1:]
    employee = plan.tier[1]
    assert plan.source_class(employee, "ceiling") == "assumed"
    assert plan.source_class(employee, "bands") == "page_A"
    with pytest.raises(KeyError, match="price"):
        plan.source_class(employee, "price")
    assert "basic/main (employee): ceiling" in plan.assumed()
    assert "medical_assistance/main: deductible" in plan.assumed()


@pytest.mark.parametrize(
    "options, text",
    [
        ({"tier_id": "charity"}, "has no tier 'charity'; it has inclusive"),
        ({"liability": "c"}, "has no liability 'c'; it has a, b"),
        ({}, "several liabilities, name one: a, b"),
        ({"liability": "a", "groups": ["poor"]}, "no such group: poor"),
        ({"liability": "a", "groups": ["low_income", "destitute"]}, "name one"),
        ({"liability": "a", "insurance_type": "resident"}, "not for insurance type 'resident'"),
        ({"liability": "b"}, "deductible missing"),
    ],
)
def test_pay_says_what_it_cannot_do(options: dict[str, Any], text: str) -> None:
    plan = built(
        row_of(liability="a", insurance_type="employee"), row_of(liability="b", deductible="missing")
    )
    with pytest.raises(ValueError, match=text):
        pay(plan, **({"tier_id": "inclusive", "amount_fen": 100} | options))


def test_pay_shows_every_piece_of_the_amount() -> None:
    bands = [{"over": 0, "rate": 0.5}, {"over": 200, "rate": 0.75}]
    row = row_of(bands=bands, ceiling={"on": "eligible", "amount": 300})
    poor = row_of(id="medical_assistance", **{"for": ["low_income"]})
    plan = built(row, poor)
    result = pay(plan, "inclusive", 40_001)
    shown = [(s["over_fen"], s["up_to_fen"], s["rate_bp"], s["base_fen"]) for s in result["steps"]]
    assert shown == [
        (0, 10_000, 0, 10_000),
        (10_000, 20_000, 5_000, 10_000),
        (20_000, 30_000, 7_500, 10_000),
        (30_000, None, 0, 10_001),
    ]
    assert (result["paid_fen"], result["own_fen"], result["source"]["title"]) == (12_500, 27_501, "a page")
    nobody = pay(plan, "medical_assistance", 40_000)
    assert (nobody["eligible"], nobody["paid_fen"]) == (False, 0)
    assert pay(plan, "medical_assistance", 40_000, ["low_income"])["paid_fen"] == 15_000

"""The form of plan files: every problem of every file is reported, with its place and what to do."""

from pathlib import Path

import pytest

from analytics.plans import PlanErrors, check_plans, load_plans, parse_plan, plan_for

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
    "excluded and included": (
        {"for_": '["retired"]', "not_for": '["retired"]'},
        "inclusive/main: not_for: 'retired' stands in for too: keep one",
    ),
    "excluded twice": ({"not_for": '["retired", "retired"]'}, "inclusive/main: not_for: names a value twice"),
    "product of no purchase": (
        {"product": '["a"]'},
        "inclusive/main (a): product: is for insurance that is bought: add voluntary = true or drop it",
    ),
    "no such product": (
        {"product": '["a"]', "voluntary": "true"},
        "inclusive/main (a): product: 'a' is no product here (none declared)",
    ),
    "waiting without purchase": ({"waiting_days": "60"}, "waiting_days: is for insurance that is bought"),
    "no day of waiting": (
        {"waiting_days": "0", "voluntary": "true"},
        "waiting_days: is not above zero: write a positive number",
    ),
    "lonely shared ceiling": ({"shared_ceiling": '"both"'}, "shared_ceiling: no other liability of inclusive shares 'both'"),
    "loyalty without ceiling": (
        {"ceiling": '"none"', "loyalty": '{ over_years = 4, per_year = 3_800, at_most = "none" }'},
        'inclusive/main: ceiling: loyalty lifts a payout ceiling: write one instead of "none"',
    ),
    "loyalty on eligible cost": (
        {
            "ceiling": '{ on = "eligible", amount = 90_000 }',
            "loyalty": '{ over_years = 4, per_year = 3_800, at_most = "none" }',
        },
        'inclusive/main: ceiling: loyalty lifts a payout ceiling: write on = "payout"',
    ),
    "loyalty of nothing": (
        {"loyalty": "{ over_years = 4, per_year = 0, at_most = 9 }"},
        "inclusive/main: loyalty: adds nothing",
    ),
    "loyalty without limit": ({"loyalty": "{ over_years = 4, per_year = 9 }"}, "loyalty.at_most: is missing: add it"),
    "years from the first": (
        {"variants": "[{ years_at_least = 1, deductible = 1 }]"},
        "variants[1].years_at_least: is 1, and everybody is in the first year or beyond",
    ),
    "years turned": (
        {"variants": "[{ years_at_least = 5, years_at_most = 4, deductible = 1 }]"},
        "variants[1].years_at_most: is 4, below years_at_least (5)",
    ),
    "year zero": (
        {"variants": "[{ years_at_most = 0, deductible = 1 }]"},
        "variants[1].years_at_most: is not above zero",
    ),
    "no such fifth": ({"variants": '[{ capacity = ["6"], deductible = 1 }]'}, "variants[1].capacity[1]: '6' is not allowed"),
    "fifth twice": (
        {"variants": '[{ capacity = ["1", "1"], deductible = 1 }]'},
        "variants[1].capacity: names a value twice",
    ),
    "shift beyond one for some years": (
        {"variants": "[{ years_at_least = 5, rate_plus = 0.40 }]"},
        "variants: the rate for year 5 becomes 1.05, outside 0 to 1",
    ),
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
CEILING = {"shared_ceiling": '"both"'}
BESIDE = {**CEILING, "liability": '"outside"', "base": '"out_of_catalogue"'}
BOUGHT = {"voluntary": "true"}
PRODUCTS = "".join(f'[[product]]\ncode = "{code}"\nname = {{ zh = "甲", en = "A" }}\n' for code in ("a", "b"))


def premium(*lines: str) -> str:
    who = 'who = { zh = "全体", en = "all" }\nyuan = 59\nsource = "s"'
    return "\n".join(["[[premium]]", *lines, who])


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
    "unequal shared ceiling": (
        [tier(**CEILING), tier(**{**BESIDE, "ceiling": '{ on = "payout", amount = 1 }'})],
        "inclusive/outside: ceiling: differs from inclusive/main, which shares it",
    ),
    "unequal loyalty": (
        [tier(**CEILING, loyalty="{ over_years = 4, per_year = 9, at_most = 90 }"), tier(**BESIDE)],
        "inclusive/outside: loyalty: differs from inclusive/main, which shares it",
    ),
    "shared ceiling by year and event": (
        [tier(**CEILING), tier(**BESIDE, per='"event"')],
        "inclusive/outside: per: differs from inclusive/main, which shares the ceiling",
    ),
    "shared ceiling on cost": (
        [tier(**{**CEILING, "ceiling": '{ on = "eligible", amount = 90_000 }'}), tier(**BESIDE)],
        'inclusive/main: ceiling: shared is a payout ceiling: write on = "payout"',
    ),
    "shared by buyers of different products": (
        [PRODUCTS, tier(**BOUGHT, **SHARED, product='["a"]'), tier(**BOUGHT, **OUTSIDE, product='["b"]')],
        "inclusive/main (a): shared_deductible: no other liability of inclusive shares 'both'",
    ),
    "same liability of one product": (
        [PRODUCTS, tier(**BOUGHT, product='["a", "b"]'), tier(**BOUGHT, product='["b"]')],
        "inclusive/main (b): liability: overlaps with inclusive/main (a, b)",
    ),
    "premium ages turned": (
        [tier(), premium('product = "a"', "age_from = 60", "age_to = 59")],
        "premium[1]: age_to: is 59, below age_from (60)",
    ),
    "premium for no group": (
        [tier(), premium('product = "a"', 'for = ["poor"]')],
        "premium[1]: for[1]: 'poor' is not allowed",
    ),
    "eligibility of no product": (
        [tier(), '[[eligibility]]\nproduct = "z"\nwho = { zh = "全体", en = "all" }\nsource = "s"'],
        "eligibility[1]: product: 'z' is no product here",
    ),
    "eligibility without source": (
        [tier(), '[[eligibility]]\nwho = { zh = "全体", en = "all" }'],
        "eligibility[1]: source: is missing",
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


def test_rows_for_buyers_of_different_products_stand_side_by_side() -> None:
    rows = [tier(**BOUGHT, product=f'["{code}"]') for code in ("a", "b")]
    assert problems(PRODUCTS, *rows) == []


def test_every_problem_of_the_new_terms_comes_at_once() -> None:
    found = problems(
        tier(
            **CEILING,
            product='["z"]',
            waiting_days="3",
            variants="[{ years_at_least = 1, rate_plus = 0.01 }]",
        ),
        tier(**{**BESIDE, "ceiling": '"none"'}, not_for='["destitute", "destitute"]'),
        premium('product = "y"', "age_from = 9", "age_to = 8"),
    )
    for text in (
        "inclusive/main (z): product: is for insurance that is bought",
        "inclusive/main (z): product: 'z' is no product here",
        "inclusive/main (z): waiting_days: is for insurance that is bought",
        "inclusive/main (z): variants[1].years_at_least: is 1",
        "inclusive/outside: not_for: names a value twice",
        'inclusive/outside: ceiling: shared is a payout ceiling: write one instead of "none"',
        "inclusive/outside: ceiling: differs from inclusive/main (z)",
        "premium[1]: age_to: is 8, below age_from (9)",
        "premium[1]: product: 'y' is no product here",
    ):
        assert any(text in line for line in found), (text, found)


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


def test_a_broken_plan_of_another_place_is_no_hindrance(tmp_path: Path) -> None:
    for name, text in {"zhanjiang/2023.toml": HEAD + tier(), "weihai/2021.toml": "city = "}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    some = {("440800", 2023), ("440800", 1999), ("371000", 2022)}
    assert load_plans(tmp_path, some).keys() == {("440800", 2023)}
    for places in (some | {("371000", 2021)}, None):
        with pytest.raises(PlanErrors, match=r"weihai/2021.toml"):
            load_plans(tmp_path, places)


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

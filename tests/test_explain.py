"""A person's year explained: the numbers of the query that pays, and what a hand-worked year says."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plan_worlds import PARTS, PERIOD, Claim, plans, random_claims, run

from analytics.plans import build_plan, explain, plan_for, read_case
from analytics.plans.explain import _REASONS, _SENTENCES

FIELDS = ("seq", "row", "base_fen", "before_fen", "after_fen", "due_fen", "paid_fen", "own_fen")


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=plans(), seed=st.integers(0, 10_000))
def test_the_numbers_are_those_of_the_query(content: dict[str, Any], seed: int) -> None:
    plan, claims = build_plan(content), random_claims(seed, 1, content, scale=20_000_000)
    steps = explain(plan, claims)
    truth = sorted(run(plan, claims), key=lambda row: row["seq"])
    assert [(s["row"], s["seq"]) for s in steps] == [
        (n, row["seq"]) for n in range(1, len(plan.tier) + 1) for row in truth
    ]
    for row in truth:
        mine = [s for s in steps if s["seq"] == row["seq"]]
        for tier in plan.order:
            assert sum(s["paid_fen"] for s in mine if s["tier"] == tier) == row[f"{tier}_paid_fen"]
        assert mine[-1]["own_fen"] == row["own_fen"]
        owed = sum(row[part] for part in PARTS)
        for step in mine:
            owed -= step["paid_fen"]
            assert step["own_fen"] == owed == sum(step["left"].values())
            assert step["looked_at"] or not step["paid_fen"]
            assert all(step["sentence"].values()) and step["clause"]["title"]
            if step["looked_at"]:
                assert step["after_fen"] - step["before_fen"] == step["base_fen"]
                assert step["paid_fen"] == 0 or step["gave_fen"] + step["paid_fen"] <= (
                    step["ceiling_fen"] or 10**12
                )


def claim(seq: int, in_policy: int, out: int = 0, **changes: Any) -> Claim:
    return {"seq": seq, "in_policy_fen": 100 * in_policy, "out_of_catalogue_fen": 100 * out, **changes}


def row_of(tier: str, **changes: Any) -> dict[str, Any]:
    row = {
        "id": tier, "insurance_type": "all", "base": "in_policy_own", "scope": ["inpatient"], "per": "year",
        "deductible": 100, "bands": [{"over": 0, "rate": Decimal("0.5")}], "ceiling": "none", "source": "page",
    }  # fmt: skip
    return row | changes


def plan_of(*rows: dict[str, Any]) -> Any:
    sources = {"page": {"title": "a page", "class": "page_A", "url": "https://x.example"}}
    product = [{"code": "x", "name": {"zh": "x", "en": "x"}}]
    content = {"city": "440800", "plan_year": 2023, "period": PERIOD, "sources": sources, "product": product}
    return build_plan(content | {"tier": list(rows)})


def test_a_year_worked_by_hand() -> None:
    plan = plan_of(
        row_of("basic", per="event", base="in_policy_cost", bands=[{"over": 0, "rate": Decimal("0.6")}]),
        row_of(
            "serious_illness",
            bands=[{"over": 0, "rate": Decimal("0.5")}, {"over": 400, "rate": Decimal("0.8")}],
            ceiling={"on": "payout", "amount": 300},
        ),
    )
    steps = explain(plan, [claim(1, 200), claim(2, 600), claim(3, 300)])
    # basic: 60 % above 100, each time: 60, 300, 120; left 140, 300, 180
    # serious illness: on 140: 40 x 50 % = 20; on 440: 300 x 50 % + 40 x 80 % = 182, so 162 more;
    # on 620: 150 + 220 x 80 % = 326, so 144 more are due, but 300 - 182 = 118 are left under the ceiling
    assert [s["paid_fen"] for s in steps] == [6_000, 30_000, 12_000, 2_000, 16_200, 11_800]
    assert [s["own_fen"] for s in steps] == [14_000, 30_000, 18_000, 12_000, 13_800, 6_200]
    third = steps[5]
    assert {k: third[k] for k in FIELDS} == {
        "seq": 3, "row": 2, "base_fen": 18_000, "before_fen": 44_000, "after_fen": 62_000, "due_fen": 14_400,
        "paid_fen": 11_800, "own_fen": 6_200,
    }  # fmt: skip
    assert [(s["over_fen"], s["rate_bp"], s["base_fen"]) for s in third["steps"]] == [
        (10_000, 5_000, 0), (40_000, 8_000, 18_000)
    ]  # fmt: skip
    assert (third["ceiling_fen"], third["gave_fen"]) == (30_000, 18_200)
    assert (third["clause"]["field"], third["clause"]["url"]) == ("ceiling", "https://x.example")
    assert third["sentence"] == {
        "zh": "大病保险：计入180元，累计由440元到620元；按400元以上80%，付118元（年度限额300元），这笔费用还欠62元。",
        "en": "Serious-illness insurance: 180 yuan counted, total from 440 to 620 yuan; at 80 % above 400 yuan it pays "
        "118 yuan (yearly limit 300 yuan), and 62 yuan of the claim are still owed.",
    }
    assert "按100元以上60%，付60元" in steps[0]["sentence"]["zh"] and "累计" not in steps[0]["sentence"]["zh"]


REASONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "scope": ({}, {"care_type": "pharmacy"}),
    "insurance_type": ({"insurance_type": "employee"}, {}),
    "cross_region": ({"cross_region": ["local"]}, {"cross_region": "out_province"}),
    "for": ({"for": ["low_income"]}, {}),
    "not_for": ({"not_for": ["pre_existing"]}, {"is_pre_existing": True}),
    "voluntary": ({"voluntary": True}, {}),
    "product": ({"voluntary": True, "product": ["x"]}, {"product": "y"}),
    "period": ({"voluntary": True}, {"product": "x", "claim_date": PERIOD["start"].replace(year=2022)}),
    "waiting_days": (
        {"voluntary": True, "waiting_days": 60},
        {"product": "x", "cover_start": PERIOD["start"], "claim_date": PERIOD["start"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_a_claim_not_looked_at_says_why(reason: str) -> None:
    row, claim_says = REASONS[reason]
    (step,) = explain(plan_of(row_of("inclusive", **row)), [claim(1, 1_000, **claim_says)])
    assert (step["looked_at"], step["reason"], step["paid_fen"]) == (False, reason, 0)
    assert step["sentence"]["zh"].startswith("惠民保：不看这笔费用") and "because" in step["sentence"]["en"]


def test_sentences_fill_in_the_same_in_both_languages() -> None:
    assert all(_REASONS[reason] for reason in REASONS)
    for chinese, english in [*_SENTENCES.values(), *_REASONS.values()]:
        assert chinese and english
        assert set(re.findall(r"{\w+}", chinese)) == set(re.findall(r"{\w+}", english))


def test_what_was_written_wrong_in_a_case_is_said_at_once() -> None:
    text = "seq,care_type,in_policy_fen,advance_yuan,claim_date,product,is_retired\n1,ward,5,1.234,31.1.2024,z,maybe\n1,2\n"
    with pytest.raises(ValueError, match="header") as raised:
        read_case(text, ["x"])
    lines = str(raised.value).splitlines()
    for told in (
        "header: 'in_policy_fen' is no column: write in_policy_yuan, in yuan",
        "line 2: care_type: 'ward' is not allowed: write one of inpatient",
        "line 2: advance_yuan: '1.234' is no amount: write yuan with at most two decimals",
        "line 2: claim_date: '31.1.2024' is no date: write 2024-01-31",
        "line 2: product: 'z' is not allowed: write one of x",
        "line 2: is_retired: 'maybe' is not allowed: write one of true, false",
        "line 3: has 2 cells, the header has 7: make them equal",
    ):
        assert any(line.startswith(told) for line in lines), (told, lines)
    for broken, told in (
        ("", "holds no claim"),
        ("in_policy_yuan\n", "holds no claim"),
        ("seq,in_policy_yuan\n1,5\n1,6\n", "two claims have the same number"),
        ("person_id,in_policy_yuan\na,5\nb,6\n", "of several persons"),
        ("in_policy_yuan,in_policy_yuan\n5,5\n", "stands twice"),
    ):
        with pytest.raises(ValueError, match=told):
            read_case(broken)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("in_policy_yuan", "21474836.48", "is more than a claim holds: write at most 21474836.47 yuan"),
        ("in_policy_yuan", "9e16", "is more than a claim holds"),
        ("in_policy_yuan", "1e20", "is more than a claim holds"),
        ("in_policy_yuan", "1e9999999", "is more than a claim holds"),
        ("seq", "99999999999999999999", "is too large: write at most 9223372036854775807"),
        ("seq", "9" * 5_000, "is too large"),
        ("product_years", "2147483648", "is too large: write at most 2147483647"),
    ],
)
def test_what_a_claim_cannot_hold_is_refused_in_one_line(
    run: Run, tmp_path: Path, name: str, value: str, told: str
) -> None:
    """2^31 - 1 fen, as in the contracts; a number is of 64 bits, a count of years of 32."""
    path = tmp_path / "case.csv"
    path.write_text(f"{name},care_type\n{value},inpatient\n")
    code, _, err = run("plans", "explain", "zhanjiang", "2013", path)
    (line,) = err.splitlines()
    assert code == 1 and f"line 2: {name}" in line and told in line
    if name == "in_policy_yuan":
        code, _, err = run(
            "plans", "pay", "zhanjiang", "2013", "--tier", "serious_illness", "--amount", value
        )
        assert code == 1 and len(err.splitlines()) == 1 and told in err


def test_the_largest_a_claim_holds_is_explained(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "case.csv"
    largest = "in_policy_yuan,seq,product_years\n21474836.47,9223372036854775807,2147483647\n"
    path.write_text(largest)
    code, _, err = run("plans", "explain", "zhanjiang", "2013", path)
    assert code == 0, err


def test_a_case_on_the_command_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "case.csv"
    # Zhanjiang 2013: serious illness above 20,000 pays 50 %, from 50,000 60 %: 21,000 on 60,000
    plan = plan_for("zhanjiang", 2013)
    assert plan is not None
    path.write_text("in_policy_yuan,out_of_catalogue_yuan\n60000,0.50\n", encoding="utf-8-sig")
    code, out, _ = run("plans", "explain", "zhanjiang", "2013", path, "--format", "json")
    rows = json.loads(out)["rows"]
    paid = {row["label"]: row["paid_yuan"] for row in rows}
    assert code == 0 and set(paid) == {rule.label for rule in plan.tier}
    assert rows[-1]["own_yuan"] == 60_000.5 - sum(paid.values())
    code, out, _ = run("plans", "explain", "zhanjiang", "2013", path)
    assert code == 0 and len(out.splitlines()) == 1 + len(plan.tier)
    path.write_text("in_policy_yuan\nmuch\n", encoding="utf-8")
    code, out, err = run("plans", "explain", "zhanjiang", "2013", path)
    assert (code, out) == (1, "") and err.startswith("case.csv: line 2: in_policy_yuan: 'much' is no amount")
    path.write_bytes(b"\xff\xfe\x00")
    assert run("plans", "explain", "zhanjiang", "2013", path)[0] == 1
    assert run("plans", "explain", "zhanjiang", "2013", tmp_path / "none.csv")[0] == 1


def test_pay_flags_on_the_command_line(run: Run) -> None:
    words = "plans pay weihai 2024 --tier basic --liability inpatient --amount 5000 --level 2 --region out_province"
    code, out, _ = run(*words.split(), "--format", "json")
    answer = json.loads(out)
    # level 2: (5,000 - 500) x (60 - 12) %
    assert code == 0 and answer["paid_yuan"] == 2_160
    assert [step["clause"]["field"] for step in answer["steps"]] == ["deductible", "bands"]
    code, _, err = run(*words.split(), "--product", "q")
    assert code == 1 and "no such product: q; products are wnb" in err
    assert run(*words.split(), "--capacity", "6")[0] == 2
    assert run(*words.split(), "--years", "3", "--capacity", "1", "--product", "wnb")[0] == 0

"""What a cell without a number says of itself: a tier the place lacks is not a tier that paid nobody of a group."""

from collections.abc import Callable
from pathlib import Path

import pytest
import visiting
from streamlit.testing.v1 import AppTest

from analytics.desk.answer import Desk
from analytics.figures import words
from analytics.release import policy
from analytics.view import asking

ZHUHAI = {"city": ["440400"], "plan_year": ["2023"]}
Visit = Callable[..., AppTest]


@pytest.fixture
def visit(sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    monkeypatch.setenv("JIANFU_STORE", str(sample_store))

    return visiting.visit


def test_a_tier_that_paid_nobody_of_a_band_is_there(visit: Visit, sample_store: Path) -> None:
    """The plan of the city has all four tiers; below the deductible of serious-illness insurance nobody is paid by it."""
    desk = Desk.open(sample_store)
    plan = desk.plan("440400", 2023)
    assert plan is not None and {"serious_illness", "inclusive"} <= set(plan.order)
    at = visit("cost_bands", city="zhuhai", year="2023")
    lines = at.dataframe[0].value.to_dict("records")
    assert lines[0]["大病保险"] == lines[0]["惠民保"] == "无人获赔"
    assert "未设" not in {text for line in lines for text in line.values()}
    # What no person was paid is told elsewhere, and is the only thing these words tell: hidden stays hidden.
    reach = desk.ask("reach", ["cost_band", "tier"], ZHUHAI).table
    rate = desk.ask("burden_reduction_rate", ["cost_band", "tier"], ZHUHAI).table
    rows = {(r["cost_band"], r["tier"]): r for r in rate.to_dicts()}
    paid = {(r["cost_band"], r["tier"]): r for r in reach.to_dicts()}
    for at_, row in paid.items():
        if row["status"] == "shown":
            assert (row["numerator"] == 0) == (at_ not in rows)
            assert row["numerator"] == 0 or row["numerator"] >= policy().k
        else:
            assert at_ not in rows or rows[at_]["status"] == "hidden"
    # That nobody of a group of a few was paid is not told: the group is hidden whole.
    bands = {r["cost_band"] for r in reach.to_dicts() if r["status"] == "shown"}
    for line, band in zip(lines, dict.fromkeys(r["cost_band"] for r in reach.to_dicts()), strict=True):
        if band not in bands:
            assert "无人获赔" not in line.values()


def test_a_group_without_anybody_counted_is_no_missing_tier(visit: Visit) -> None:
    at = visit("tiers", city="zhuhai", year="2023")
    texts = [text for d in at.dataframe for line in d.value.to_dict("records") for text in line.values()]
    assert "未设" not in texts


@pytest.mark.parametrize(
    ("measure", "word"), [("burden_reduction_rate", "nobody_paid"), ("own_share_after", "nobody")]
)
def test_over_the_places_a_tier_of_the_plan_is_not_missing(
    sample_store: Path, monkeypatch: pytest.MonkeyPatch, measure: str, word: str
) -> None:
    monkeypatch.setenv("JIANFU_STORE", str(sample_store))
    seen = Desk.open(sample_store).ask(measure, ["city", "plan_year", "tier"], ZHUHAI)
    with words.reading("zh"):
        assert asking.absent(seen, "440400", 2023, "serious_illness") == words.t(f"cell.{word}")
        assert asking.absent(seen, "440400", 2023, "charity") == "未设"


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("why", ["nobody_paid", "nobody", "not_covered"])
def test_such_a_cell_is_explained_as_what_it_is(sample_store: Path, language: str, why: str) -> None:
    def script(path: str, why: str, language: str) -> None:
        import polars as pl

        from analytics.desk.answer import Desk
        from analytics.figures import words
        from analytics.view import explain

        answer = Desk.open(path).ask(
            "burden_reduction_rate", ["cost_band", "tier"], {"city": ["440400"], "plan_year": ["2023"]}
        )
        with words.reading(language):
            frame = pl.DataFrame({"x": ["≤1万元"], "y": [words.t(f"cell.{why}")]})
            explain.number("k", [answer], frame, 0, "y")

    at = AppTest.from_function(script, args=(str(sample_store), why, language), default_timeout=60).run()
    assert not at.exception, at.exception
    (said,) = [c.value for c in at.caption]
    assert said == words.both(f"number.{why}")[language] != words.both("number.difference")[language]

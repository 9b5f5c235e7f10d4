"""A page holds what its reader asked for: of a figure the chart, its table, or both, by a choice in its card or in the link; of a closed list its title."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from analytics.measures import measures
from analytics.plans import plan_for
from analytics.view import asking

FRAME = Path(asking.__file__).with_name("frame.py")
PAGES = FRAME.parents[2] / "pages"
Visit = Callable[..., AppTest]


@pytest.fixture
def visit(sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    monkeypatch.setenv("JIANFU_STORE", str(sample_store))

    def call(**link: str) -> AppTest:
        at = AppTest.from_file(str(FRAME), default_timeout=60)
        for name, value in {"city": "zhuhai", "year": "2022", **link}.items():
            at.query_params[name] = value
        at.run()
        assert not at.exception, at.exception
        return at

    return call


def drawn(at: AppTest) -> tuple[int, int]:
    """How many charts and tables stand on the page."""
    return len(at.get("plotly_chart")), len(at.dataframe)


def turn(at: AppTest, card: str, to: Any) -> AppTest:
    next(b for b in at.get("button_group") if b.key == f"w_t_{card}").set_value(to).run()
    assert not at.exception, at.exception
    return at


def test_a_card_turns_from_its_chart_to_its_table_and_to_both(visit: Visit) -> None:
    at = visit()
    keys = [b.key.removeprefix("w_t_") for b in at.get("button_group") if b.key.startswith("w_t_")]
    many = len(keys)
    assert many == 2 and drawn(at) == (many, 0), "a table nobody asked for is not sent"
    assert drawn(turn(at, keys[0], "table")) == (many - 1, 1)
    assert drawn(turn(at, keys[0], "both")) == (many, 1)
    turn(at, keys[1], "table")
    at.selectbox(key="w_year").set_value("2023").run()
    assert drawn(at) == (many - 1, 2), "another year is looked at the same way"
    next(b for b in at.get("button_group") if b.key == "w_lang").set_value("en").run()
    assert not at.exception and drawn(at) == (many - 1, 2), "and in another language"
    assert not at.warning


def test_a_browser_that_says_nothing_is_shown_the_chart(visit: Visit) -> None:
    at = visit()
    assert drawn(turn(at, "fall", None)) == (2, 0)


@pytest.mark.parametrize(("asked", "found"), [("chart", (2, 0)), ("table", (0, 2)), ("both", (2, 2))])
def test_a_link_says_it_for_every_card(visit: Visit, asked: str, found: tuple[int, int]) -> None:
    at = visit(figures=asked)
    assert drawn(at) == found
    at.switch_page(str(PAGES / "cost_bands.py")).run()
    assert drawn(at) == (found[0] // 2, found[1] // 2), "it stays over pages"
    value = dict(at.query_params)["figures"]
    assert (value if isinstance(value, str) else value[0]) == asked


def test_a_link_that_says_something_else_is_told(visit: Visit) -> None:
    at = visit(figures="picture")
    assert drawn(at) == (2, 0) and any("picture" in w.value for w in at.warning)


def test_assumed_plan_values_are_counted_and_listed_when_asked_for(visit: Visit) -> None:
    plan = plan_for("zhuhai", 2022)
    assert plan is not None
    at = visit()
    assert any(f"本年度方案含假定值（{len(plan.assumed())} 项）" in e.label for e in at.expander)
    assert not any(m.value.startswith("* ") for m in at.markdown)
    at.session_state["x_assumed"] = True
    (listed,) = (m.value for m in at.run().markdown if m.value.startswith("* "))
    lines = listed.split("\n")
    assert len(lines) == len(plan.assumed())
    first = plan.tier[0]  # as its file has it, in words
    assert (first.id, first.insurance_type, first.deductible) == ("basic", "resident", 800)
    assert "* 基本医保 · 居民住院 · 起付线：800 元" in lines
    assert (
        sum("另计入乙类先行自付的 100%" in line for line in lines) == 1
    )  # the one row of the file that says advance_share
    assert not re.search("[a-z]{3,}", listed), "codes are for files"


@pytest.mark.parametrize("measure", ["catastrophic_headcount", "mean_positive_overshoot"])
def test_the_note_by_groups_tells_the_measure_drawn(visit: Visit, measure: str) -> None:
    at = visit(city="zhanjiang", year="2023", measure=measure)
    at = at.switch_page(str(PAGES / "catastrophic.py")).run()
    notes = [caption.value for caption in at.caption]
    share = any("户所占比例" in note for note in notes)
    mean = any(measures()[measure].plain.zh in note for note in notes)
    assert (share, mean) == ((True, False) if measure == "catastrophic_headcount" else (False, True))

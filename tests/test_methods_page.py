"""Worked examples against exact fractions made without SQL, and the method cards: on the page and on the command line."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from oracles.ten_households import answers
from streamlit.testing.v1 import AppTest

from analytics import methods
from analytics.measures import grammar, measures
from analytics.methods import Card
from analytics.reference import root
from analytics.store import Engine
from analytics.view import asking

EXACT = answers()
VIEW = Path(asking.__file__).parent
NO_EXAMPLE = {
    "admission_rate", "cost_per_admission", "in_policy_reimbursement_rate", "inpatient_fund_share", "out_of_catalogue_share", "serious_illness_line",
}  # fmt: skip


@pytest.mark.parametrize("measure", EXACT)
def test_worked_example_is_exact(measure: str) -> None:
    worked = methods.card(measure).example
    assert worked is not None
    wanted = EXACT[measure] if isinstance(EXACT[measure], dict) else {"all": EXACT[measure]}
    rows = worked.answer.table.to_dicts()
    got = {row.get("tier", "all"): row["value"] for row in rows}
    assert got == pytest.approx({k: float(v) for k, v in wanted.items()}, rel=1e-12, abs=1e-15)  # type: ignore[union-attr]
    (check,) = [c for c in methods.checked().checked[measure] if c.data == "ten"]
    for k, v in wanted.items():  # type: ignore[union-attr]
        assert abs(got[k] - float(v)) <= check.within * abs(float(v) or 1), (
            "farther off than checked.toml says"
        )
    stated = {k: v for k, v in wanted.items() if isinstance(v, Fraction)}  # type: ignore[union-attr]
    assert dict(worked.exact) == stated, "worked.toml states another fraction"
    assert {row["status"] for row in rows} == {"shown"} and {row["n_excluded"] for row in rows} == {0}


@pytest.mark.parametrize("measure", EXACT)
def test_what_each_household_adds_makes_the_answer(measure: str) -> None:
    """The sums of the parts shown, put into the definition, are the answer."""
    form, worked = measures()[measure], methods.card(measure).example
    assert worked is not None
    for row in worked.answer.table.to_dicts():
        parts = worked.parts.filter("usable")
        if "tier" in row:
            parts = parts.filter(parts["tier"] == row["tier"])
        sums = {name: float(parts[name].sum()) for name in form.sums or ("numerator", "denominator")}
        ratio = f"({form.numerator}) / ({form.denominator})" if form.sums else "numerator / denominator"
        held = ", ".join(f"{value!r}::DOUBLE AS {name}" for name, value in sums.items())
        value = Engine({}).ask(f"SELECT {ratio} AS value FROM (SELECT {held})")["value"][0]
        assert value == pytest.approx(row["value"] * (100 if form.unit == "yuan" else 1), rel=1e-9)


def test_every_measure_has_an_example_or_none_can_be() -> None:
    for form in measures().values():
        told = form.id in methods.examples()
        can = form.grain in ("household_year", "person_year") and form.id not in NO_EXAMPLE
        assert told == (can and form.group not in ("product", "scenario")), form.id


def test_checks_speak_of_measures_and_known_tools() -> None:
    known = methods.checked()
    assert set(known.checked) == set(EXACT)
    for rows in known.checked.values():
        for row in rows:
            assert row.tool in known.tool and row.data in known.data and 0 < row.within < 1e-5
    assert all(m.group in methods.GROUPS for m in measures().values())
    assert set(methods.words().group) == set(methods.GROUPS)


def test_a_card_states_sign_and_zero_as_the_grammar_has_them() -> None:
    rules = {rule.resource: rule for rule in methods.card("catastrophic_headcount").rules}
    assert list(rules) == list(grammar().resources)
    assert ">=" in rules["capacity_to_pay"].sign.en and "strictly" in rules["income"].sign.en
    assert "left out" in rules["nonfood"].zero.en and "counts" in rules["income"].zero.en
    (sdg,) = methods.card("financial_hardship").rules
    assert (sdg.resource, sdg.threshold) == ("discretionary", "0.40")
    settings = {s.id: s for s in methods.card("impoverishing_spending").settings}
    assert settings["threshold"].fixed and settings["threshold"].default.en == "1.00"
    assert not settings["weight"].fixed and settings["weight"].default.en.startswith("Persons")
    with pytest.raises(ValueError, match="not in the catalogue"):
        methods.card("nothing")


# --- on the page


@pytest.fixture
def visit(sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    monkeypatch.setenv("JIANFU_STORE", str(sample_store))

    def open_(**link: str) -> AppTest:
        at = AppTest.from_file(str(VIEW / "frame.py"), default_timeout=60)
        for name, value in link.items():
            at.query_params[name] = value
        at.switch_page(str(root() / "pages" / "methods.py"))
        at.run()
        assert not at.exception, at.exception
        return at

    return open_


def _said(at: AppTest) -> str:
    return "\n".join(str(e.value) for e in (*at.markdown, *at.caption, *at.warning))


def _labels(at: AppTest) -> list[str]:
    return [e.label for e in at.expander]


def _link(at: AppTest, name: str) -> Any:
    found = dict(at.query_params).get(name)
    return found[0] if isinstance(found, list) else found


@pytest.mark.parametrize(("language", "card"), [("zh", "catastrophic_headcount"), ("en", "kakwani")])
def test_a_card_of_a_link_shows_everything(visit: Callable[..., AppTest], language: str, card: str) -> None:
    at, form = visit(card=card, lang=language), measures()[card]
    worked = methods.card(card).example
    assert worked is not None
    assert at.latex[0].value.strip("$ \n") == form.formula
    assert at.code[0].value.strip() == worked.answer.sql.strip()
    said = _said(at)
    assert form.plain.in_(language) in said and form.caveat.in_(language) in said
    assert str(worked.exact["all"]) in said
    for text in Card(form).checks:
        assert text.in_(language) in said
    ten = at.dataframe[0].value
    assert len(ten) == 11
    if card == "catastrophic_headcount":
        assert "6 ÷ 13 = 46.2%（精确值 6/13" in said
        assert list(ten["分子"]) == ["0", "2", "0", "1", "0", "0", "1", "1", "0", "1", "6"]
        assert list(ten["个人负担"])[:10] == ["0", "30", "10", "45", "40", "0", "150", "400", "90", "700"]
    else:
        assert list(ten["rank_living"])[:2] == ["0.1471", "0.1471"], "equal per person: one rank"


def test_cards_by_kind_and_by_search(visit: Callable[..., AppTest]) -> None:
    at = visit()
    assert _labels(at) == [m.title.zh for m in measures().values() if m.group == methods.GROUPS[0]]
    at.selectbox(key="w_kind").set_value("poverty").run()
    assert set(_labels(at)) == {m.title.zh for m in measures().values() if m.group == "poverty"}
    at.text_input(key="w_search").set_value("erreygers").run()
    assert "灾难性支出Erreygers 指数" in _labels(at) and "基尼系数（支付前）" not in _labels(at)
    at.text_input(key="w_search").set_value("没有这个词").run()
    assert not _labels(at) and "没有指标含" in _said(at)


def test_opening_a_card_closes_the_one_before(visit: Callable[..., AppTest]) -> None:
    at = visit(card="gini")
    assert _link(at, "card") == "gini" and len(at.latex) == 1
    at.session_state["choices"]["card"] = ["theil"]
    at.run()
    assert _link(at, "card") == "theil" and [x.value for x in at.latex] == [
        f"$$\n{measures()['theil'].formula}\n$$"
    ]
    assert not at.session_state["m_gini"] and at.session_state["m_theil"]


def test_a_card_that_is_not_there_is_said(visit: Callable[..., AppTest]) -> None:
    at = visit(card="nonsense")
    assert "nonsense" in at.warning[0].value and not at.latex


# --- on the command line


def test_a_card_on_the_command_line(run: Run) -> None:
    code, out, _ = run("measures", "catastrophic_headcount", "burden_reduction_rate")
    assert code == 0
    assert "6 / 13 = 0.4615384615 (exactly 6/13)" in out and "FROM household_year" in out
    assert "capacity_to_pay 0.40: at or above (>=)" in out
    assert "basic 1860 / 4260 = 0.4366197183 (exactly 31/71)" in out
    (row,) = json.loads(run("measures", "gini", "--format", "json")[1])["rows"]
    assert row["example"]["exact"] == {"all": "413/816"} and len(row["example"]["households"]) == 10
    code, out, err = run("measures", "nothing")
    assert (code, out) == (1, "") and "not in the catalogue" in err

"""Every page run as a visitor would, without a browser: what it shows equals what the desk answers."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import visiting
from streamlit.testing.v1 import AppTest

from analytics import intake, verbs
from analytics.desk.answer import Desk
from analytics.reference import root
from analytics.store import Store
from analytics.synthetic import write_delivery
from analytics.tiers import TIER

PAGES = root() / "pages"
NAMES = (
    "overview",
    "tiers",
    "catastrophic",
    "cost_bands",
    "compare",
    "operations",
    "simulate",
    "plans",
    "benchmarks",
    "methods",
    "data",
)
ZHUHAI = {"city": ["440400"], "plan_year": ["2022"]}
Visit = Callable[..., AppTest]


@pytest.fixture
def visit(sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    """Open a page by a cold link: `visit("tiers", city="zhuhai")`."""
    monkeypatch.setenv("JIANFU_STORE", str(sample_store))
    return visiting.visit


@pytest.fixture(scope="module")
def desk(sample_store: Path) -> Desk:
    return Desk.open(sample_store)


def _link(at: AppTest) -> dict[str, str]:
    values = dict(at.query_params)
    return {k: v[0] if isinstance(v, list) else v for k, v in values.items()}


def _select(at: AppTest, name: str) -> Any:
    return at.selectbox(key=f"w_{name}")


def _cells(at: AppTest, position: int) -> list[dict[str, str]]:
    return at.dataframe[position].value.to_dict("records")


def _row(table: pl.DataFrame, **wanted: str) -> dict[str, Any]:
    for name, value in wanted.items():
        table = table.filter(pl.col(name) == value)
    (row,) = table.to_dicts()
    return row


def _text(row: dict[str, Any]) -> str:
    """A share as a page must show it."""
    if row["status"] == "shown":
        if 0 < row["value"] < 0.0005:
            return "<0.1%"
        return f"{row['value'] * 100:.1f}%"
    return {"hidden": "受保护", "undefined": "无定义"}[row["status"]]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("page", NAMES)
def test_every_page_in_both_languages(visit: Visit, page: str, language: str) -> None:
    at = visit(page, lang=language)
    assert len(at.title) == 1
    assert bool(re.search(r"[\u4e00-\u9fff]", at.title[0].value)) == (language == "zh")
    assert any("合成数据" in m.value for m in at.markdown), "a synthetic store must say so on every page"
    assert _link(at)["lang"] == language
    assert not at.warning or page == "methods"


def test_overview_says_what_the_desk_answers(visit: Visit, desk: Desk) -> None:
    at = visit(city="zhuhai", year="2022")
    after = desk.ask("own_share_after", ["tier"], ZHUHAI).table
    held = set(after["tier"])
    last = [k for k in desk.order("440400", 2022) if k in held][-1]
    first_share, last_share = (_row(after, tier=k)["value"] for k in ("basic", last))
    assert f"{first_share * 100:.1f} 元" in at.title[0].value
    assert f"{last_share * 100:.1f} 元" in at.title[0].value

    reimbursed = desk.ask("effective_reimbursement_rate", [], ZHUHAI).table.to_dicts()[0]
    burdened = desk.ask("catastrophic_headcount", ["tier"], ZHUHAI).table
    expected = [
        _text(_row(after, tier=last)),
        _text(reimbursed),
        _text(_row(burdened, tier="none")),
        _text(_row(burdened, tier=last)),
    ]
    assert [m.value for m in at.metric][1:] == expected
    assert at.metric[0].value == f"{reimbursed['denominator'] / 10_000:,.0f} 万元"


def test_tiers_table_holds_every_measure_as_answered(visit: Visit, desk: Desk) -> None:
    at = visit("tiers", city="zhuhai", year="2022")
    lines = _cells(at, 1)
    for line, measure in zip(
        lines,
        ("own_share_before", "tier_share", "own_share_after", "reach", "burden_reduction_rate"),
        strict=False,
    ):
        answer = desk.ask(measure, ["tier"], ZHUHAI)
        assert line["指标"] == answer.measure.title.zh
        for row in answer.table.iter_rows(named=True):
            assert line[TIER[row["tier"]].zh] == _text(row)


def test_tiers_stand_in_the_order_in_which_this_plan_pays(visit: Visit, desk: Desk) -> None:
    """Zhuhai pays inclusive insurance before medical assistance, Zhanjiang after it."""
    for city, code in (("zhuhai", "440400"), ("zhanjiang", "440800")):
        shown = list(_cells(visit("tiers", city=city, year="2022"), 1)[0])[1:]
        plan = desk.plan(code, 2022)
        assert plan is not None
        assert [name for name in shown if name in {TIER[k].zh for k in plan.order}] == [
            TIER[k].zh for k in plan.order
        ]


@pytest.mark.parametrize("group", ["person_group", "insurance_type", "age_band", "cost_band", "product"])
def test_protected_cells_are_never_drawn(visit: Visit, desk: Desk, group: str) -> None:
    at = visit("tiers", city="zhuhai", year="2022", by=group, measure="burden_reduction_rate")
    spec = json.loads(at.get("plotly_chart")[1].proto.spec)
    answer = desk.ask("burden_reduction_rate", [group, "tier"], ZHUHAI).table
    for trace in spec["data"]:
        rows = answer.filter(
            pl.col("tier").replace_strict({k: tier.zh for k, tier in TIER.items()}) == trace["name"]
        )
        shown = rows.filter(pl.col("status") == "shown")["value"].to_list()
        assert sorted(v for v in trace["x"] if v is not None) == pytest.approx(sorted(shown))
        assert 0 not in trace["x"]
    lines = _cells(at, 2)
    # of a group none of whose cells is shown, that a tier paid nobody is not told either
    held = {g: rows["status"].to_list() for (g,), rows in answer.group_by(group)}
    silent = sum(len(lines[0]) - 1 - len(told) for told in held.values() if "shown" not in told)
    cells = [text for line in lines for text in line.values()]
    assert cells.count("受保护") == answer.filter(pl.col("status") == "hidden").height + silent
    assert answer.filter(pl.col("status") == "hidden").height, (
        "the sample must hold protected cells, or this tests nothing"
    )


def test_catastrophic_page_by_threshold(visit: Visit, desk: Desk) -> None:
    at = visit(
        "catastrophic",
        city="zhanjiang",
        year="2023",
        resource="consumption",
        weight="person",
        threshold="0.25",
    )
    where = {"city": ["440800"], "plan_year": ["2023"]}
    lines = _cells(at, 0)
    assert [line["阈值"] for line in lines] == ["5%", "10%", "15%", "20%", "25%", "30%", "40%"]
    for line in lines:
        chosen = {
            "threshold": f"{int(line['阈值'][:-1]) / 100:.2f}",
            "resource": "consumption",
            "weight": "person",
        }
        for row in desk.ask("catastrophic_headcount", ["tier"], where, chosen).table.iter_rows(named=True):
            name = "任何支付前" if row["tier"] == "none" else TIER[row["tier"]].zh
            assert line[name] == _text(row)
    before = desk.ask("catastrophic_headcount", ["tier"], where, {**chosen, "threshold": "0.25"}).table
    assert _text(_row(before, tier="none")) in at.title[0].value


def test_credit_of_each_tier_on_the_catastrophic_page(visit: Visit, desk: Desk) -> None:
    """Four ways beside each other, as answered; in order of payment they add up to the fall after all tiers."""
    at = visit(
        "catastrophic", city="zhanjiang", year="2023", threshold="0.05", measure="catastrophic_overshoot"
    )
    where, chosen = {"city": ["440800"], "plan_year": ["2023"]}, {"threshold": "0.05"}
    lines = {line["保障层次"]: list(line.values())[1:] for line in _cells(at, 2)}
    kinds = ("shapley", "first_in", "last_in", "sequential")
    answers = [desk.ask(f"{kind}_overshoot", ["tier"], where, chosen).table for kind in kinds]
    assert len(lines) == answers[0].height > 2
    for row in answers[0].iter_rows(named=True):
        assert lines[TIER[row["tier"]].zh] == [_text(_row(a, tier=row["tier"])) for a in answers]
    raw = [
        desk.ask(f"{m}_overshoot", ["tier"], where, chosen, protect=False).table
        for m in ("sequential", "catastrophic")
    ]
    fall = _row(raw[1], tier="none")["value"] - raw[1].filter(pl.col("tier") != "none")["value"].min()
    assert raw[0]["value"].sum() == pytest.approx(fall) and fall > 0


@pytest.mark.parametrize("page", ["compare", "cost_bands"])
def test_what_needs_a_scenario_is_not_offered_without_one(visit: Visit, page: str) -> None:
    at = visit(page, measure="relieved_share")
    assert not at.error and "share" in at.warning[0].value
    options = _select(at, f"measure@{page}").options
    assert not any("Shapley" in title or "负担减轻的人数占比" in title for title in options)


@pytest.mark.parametrize(
    "measure", ["own_burden_mean", "catastrophic_headcount", "reach", "effective_reimbursement_rate"]
)
@pytest.mark.parametrize("band", ["cost_band", "burden_band"])
def test_any_measure_by_band(visit: Visit, desk: Desk, measure: str, band: str) -> None:
    at = visit("cost_bands", city="weihai", year="2023", measure=measure, band=band)
    where = {"city": ["371000"], "plan_year": ["2023"]}
    form = desk.ask(measure, [band], where).measure
    answer = desk.ask(measure, [band, "tier"] if form.per else [band], where).table
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    drawn = [y for trace in spec["data"] for y in trace["y"] if y is not None]
    shown = answer.filter(pl.col("status") == "shown")["value"].to_list()
    assert len(drawn) == len(shown)
    if form.unit == "share":
        assert sorted(drawn) == pytest.approx(sorted(shown))


def test_compare_tells_not_covered_from_zero_and_from_no_data(visit: Visit, desk: Desk) -> None:
    at = visit("compare", measure="reach", tier="charity")
    answer = desk.ask("reach", ["city", "plan_year", "tier"], {}).table
    assert "charity" not in set(answer["tier"]), "the sample has no charity tier, so every cell must say so"
    assert {text for line in _cells(at, 0) for name, text in line.items() if name != "城市"} == {"未设"}

    at = visit(
        "compare",
        measure="own_share_after",
        tier="serious_illness",
        cities="zhuhai,zhanjiang",
        years="2022,2023",
        benchmark="zhanjiang",
    )
    answer = desk.ask("own_share_after", ["city", "plan_year", "tier"], {}).table
    names = {"440400": "珠海", "440800": "湛江"}
    lines = {line["城市"]: line for line in _cells(at, 0)}
    for code, name in names.items():
        for year in ("2022", "2023"):
            assert lines[name][year] == _text(
                _row(answer, city=code, plan_year=int(year), tier="serious_illness")
            )
    apart = {line["城市（个百分点）"]: line for line in _cells(at, 2)}
    assert list(apart) == ["珠海"]
    own, other = (
        _row(answer, city=c, plan_year=2023, tier="serious_illness")["value"] for c in ("440400", "440800")
    )
    assert apart["珠海"]["2023"] == f"{(own - other) * 100:+.1f}"


def test_compare_shows_the_rules_beside_the_results(visit: Visit, desk: Desk) -> None:
    at = visit("compare", measure="reach", tier="serious_illness", cities="zhuhai,weihai", years="2023")
    lines = _cells(at, 3)
    assert {line["层次"] for line in lines} == {"大病保险"}
    for code, name in (("440400", "2023 年珠海"), ("371000", "2023 年威海")):
        plan = desk.plan(code, 2023)
        assert plan is not None
        expected = [rule.deductible for rule in plan.tier if rule.id == "serious_illness"]
        shown = [line["起付线"] for line in lines if line["城市与年度"] == name]
        assert [int(re.sub(r"[^0-9]", "", text.split(" 元")[0])) for text in shown] == expected


def test_a_choice_changes_the_numbers_and_the_link(visit: Visit) -> None:
    at = visit(city="zhuhai", year="2022")
    before = at.title[0].value
    _select(at, "city").set_value("371000").run()
    assert _link(at)["city"] == "weihai"
    assert "威海" in at.title[0].value and at.title[0].value != before
    _select(at, "year").set_value("2023").run()
    assert _link(at)["year"] == "2023" and "2023" in at.title[0].value
    _select(at, "insurance_type").set_value("employee").run()
    assert _link(at)["insurance_type"] == "employee" and "职工" in at.title[0].value
    _select(at, "insurance_type").set_value("all").run()
    assert "insurance_type" not in _link(at)


def test_language_switch_keeps_every_selection(visit: Visit) -> None:
    at = visit(
        "compare",
        cities="zhuhai,weihai",
        years="2023",
        measure="reach",
        tier="inclusive",
        person_group="low_income",
    )
    kept = {k: v for k, v in _link(at).items() if k != "lang"}
    next(b for b in at.get("button_group") if b.key == "w_lang").set_value("en").run()
    assert not at.exception
    assert _link(at)["lang"] == "en"
    assert {k: v for k, v in _link(at).items() if k != "lang"} == kept
    assert at.multiselect(key="w_cities").value == ["440400", "371000"]
    assert "Zhuhai" in at.multiselect(key="w_cities").options
    assert [line["City"] for line in _cells(at, 0)] == ["Weihai", "Zhuhai"]
    _select(at, "person_group").set_value("all").run()
    assert [line["City"] for line in _cells(at, 0)] == ["Weihai", "Zhuhai"], (
        "the selection was lost on the run after the switch"
    )


def test_a_language_switch_that_says_nothing_changes_nothing(visit: Visit) -> None:
    at = visit("tiers", city="weihai", lang="en")
    next(b for b in at.get("button_group") if b.key == "w_lang").set_value(None).run()
    assert not at.exception and _link(at)["lang"] == "en" and "Weihai" in at.title[0].value


def test_selections_stay_over_pages(visit: Visit) -> None:
    at = visit("tiers", city="zhanjiang", year="2022", by="sex", measure="reach")
    at.switch_page(str(PAGES / "catastrophic.py")).run()
    assert _select(at, "city").value == "440800" and _select(at, "year").value == "2022"
    assert not at.warning, "another page's measure is no mistake of the visitor"
    at.switch_page(str(PAGES / "methods.py")).run()
    at.switch_page(str(PAGES / "tiers.py")).run()
    assert (_link(at)["city"], _link(at)["by"], _link(at)["measure"]) == ("zhanjiang", "sex", "reach")


def test_unknown_values_in_a_link_are_said_and_replaced(visit: Visit) -> None:
    at = visit(
        "catastrophic",
        lang="tlh",
        city="atlantis",
        year="1999",
        threshold="0.77",
        by="zodiac",
        measure="reach",
    )
    said = " ".join(w.value for w in at.warning)
    for value in ("tlh", "atlantis", "1999", "0.77", "zodiac", "reach"):
        assert value in said, f"{value} fell away without a word"
    link = _link(at)
    assert (
        link["city"] in ("zhuhai", "zhanjiang", "weihai")
        and link["threshold"] == "0.10"
        and link["lang"] == "zh"
    )
    assert link["by"] == "person_group" and link["measure"] == "catastrophic_headcount"


@pytest.mark.parametrize("page", NAMES[:6])
def test_people_who_are_not_there(visit: Visit, desk: Desk, page: str) -> None:
    """A filter that leaves nobody is an empty page, not an error."""
    nobody = {**ZHUHAI, "insurance_type": ["other"]}
    assert desk.ask("own_share_after", ["tier"], nobody).table.is_empty()
    at = visit(page, city="zhuhai", year="2022", insurance_type="other", cities="zhuhai", years="2022")
    assert not at.error


def test_city_by_code_or_slug(visit: Visit) -> None:
    assert visit(city="440400").title[0].value == visit(city="zhuhai").title[0].value


def test_drawer_shows_the_sql_that_ran(visit: Visit, desk: Desk) -> None:
    at = visit("cost_bands", city="zhuhai", year="2022", measure="burden_reduction_rate")
    assert not at.code
    at.session_state["x_bands"] = True
    at.run()
    answer = desk.ask("burden_reduction_rate", ["cost_band", "tier"], ZHUHAI)
    assert at.code[0].value.strip() == answer.sql.strip()
    assert at.latex[0].value.strip("$ \n") == answer.measure.formula
    words = " ".join(m.value for m in (*at.markdown, *at.warning, *at.caption))
    for piece in (
        answer.measure.plain.zh,
        answer.measure.caveat.zh,
        answer.measure.source[0].title,
        "城市：珠海",
        answer.provenance["snapshot"],
    ):
        assert piece in words
    facts = {line["项目"]: line["内容"] for line in _cells(at, 2)}
    assert facts["方案文件"] == "zhuhai/2022.toml"


@pytest.mark.usefixtures("bare_builds")
def test_a_new_snapshot_is_served_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    monkeypatch.setenv("JIANFU_STORE", str(store))
    verbs.sample(store, persons=300, cities=["440400"], years=[2022], seed=1)
    at = visiting.visit()
    first = Desk.open(store).snapshot_id
    assert first in at.caption[-1].value and _select(at, "city").options == ["珠海"]
    for table, files in write_delivery(
        tmp_path / "more", persons=300, cities=["371000"], years=[2022], seed=2
    ).items():
        intake.ingest(Store(store), files, table, synthetic=True)
    verbs.build(store)
    at.run()
    assert not at.exception
    assert Desk.open(store).snapshot_id != first
    assert Desk.open(store).snapshot_id in at.caption[-1].value
    assert sorted(_select(at, "city").options) == ["威海", "珠海"]


def test_without_a_store_the_page_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIANFU_STORE", str(tmp_path / "none"))
    at = visiting.visit()
    assert "没有" in at.title[0].value
    assert f"jianfu sample {tmp_path / 'none'}" in at.code[0].value

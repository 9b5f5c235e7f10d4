"""The what-if page, run without a browser: what it shows is what the desk answers to the same scenario written by hand."""

import json
import re
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import streamlit as st
from conftest import Run
from deliveries import bare
from polars.testing import assert_frame_equal
from streamlit.testing.v1 import AppTest

from analytics import verbs
from analytics.desk import answer
from analytics.desk.answer import Desk
from analytics.desk.outcome import Outcome
from analytics.measures import measures
from analytics.plans import Plan, load_plans, plan_for
from analytics.reference import root
from analytics.release import Released
from analytics.store import Store
from analytics.tiers import TIER
from analytics.view import asking, changing, whatif
from analytics.whatif import Scenario, load_scenario, parse_scenario, reform, scenario_text, shipped

FRAME = Path(asking.__file__).with_name("frame.py")
PAGE = root() / "pages" / "simulate.py"
ROW = {"tier": "serious_illness", "liability": "main", "insurance_type": "resident"}
Visit = Callable[..., AppTest]


@pytest.fixture
def visit(sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    monkeypatch.setenv("JIANFU_STORE", str(sample_store))
    return _visit


def _visit(**link: str) -> AppTest:
    at = AppTest.from_file(str(FRAME), default_timeout=100)
    for name, value in {"figures": "both", **link}.items():
        at.query_params[name] = value
    at.switch_page(str(PAGE))
    at.run()
    assert not at.exception, at.exception
    assert not at.error
    return at


@pytest.fixture(scope="module")
def desk(sample_store: Path) -> Desk:
    """The desk the pages ask, so that a city-year is read once."""
    return Desk(asking._open(str(sample_store.resolve()), Store(sample_store).current_id()))


@pytest.fixture(scope="module")
def lowered(desk: Desk) -> Outcome:
    """Zhanjiang 2023: residents' serious-illness deductible 6,000 instead of 10,000, all rates ten points up."""
    return desk.simulate(_by_hand())


def _by_hand() -> Scenario:
    changes = [
        {**ROW, "field": "deductible", "value": 6_000},
        {**ROW, "field": "rate_plus", "value": Decimal("0.1")},
    ]
    return parse_scenario(
        {"name": {"zh": "试", "en": "trial"}, "city": "zhanjiang", "plan_year": 2023, "change": changes}
    )


LINK = {"city": "zhanjiang", "year": "2023", "deductible": "6000", "shift": "10"}


def _cells(at: AppTest, position: int) -> list[dict[str, str]]:
    return at.dataframe[position].value.to_dict("records")


def _share(row: dict[str, Any]) -> str:
    return (
        "受保护"
        if row["status"] == "hidden"
        else "无定义"
        if row["status"] == "undefined"
        else f"{row['value'] * 100:.1f}%"
    )


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_changed_shows_the_fit_and_what_to_do(visit: Visit, desk: Desk, language: str) -> None:
    at = visit(city="weihai", year="2023", lang=language)
    place = {"city": ["371000"], "plan_year": ["2023"]}
    ratio = desk.ask("replay_ratio", ["tier"], place, scenario="plan").table.to_dicts()
    assert ratio and any(r["status"] == "shown" for r in ratio)
    line = at.success[0].value
    for row in ratio:
        tier = TIER[row["tier"]]
        assert (tier.zh if language == "zh" else tier.en) in line
    assert ("分毫不差" if language == "zh" else "to the fen") in line and "100.0%" in line
    assert ("还没有改动" if language == "zh" else "Nothing is changed yet") in at.info[0].value
    assert not at.metric and not at.warning and len(at.dataframe) == 1
    labels = at.select_slider(key="w_deductible@simulate").options
    assert [x for x in labels if "18,000" in x] == [
        "18,000 元（现行）" if language == "zh" else "18,000 yuan (as is)"
    ]


@pytest.mark.parametrize(("changed", "warned"), [("inclusive", True), ("basic", False), ("", False)])
def test_a_changed_tier_that_cannot_be_checked_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, changed: str, warned: bool
) -> None:
    """What the replay pays of a tier is protected: nobody can say that the baseline fits it."""
    rows = [
        {"tier": "basic", "measure": "x", "value": 1.0, "status": "shown"},
        {"tier": "inclusive", "measure": "x", "value": None, "status": "hidden"},
    ]
    where = {"city": ("370400",), "plan_year": ("2023",)}
    found = Released(measures()["replay_ratio"], ("tier",), where, {}, pl.DataFrame(rows), "", {}, {})
    said: dict[str, str] = {}
    for kind in ("warning", "success"):
        monkeypatch.setattr(whatif.st, kind, lambda text, icon, kind=kind: said.update({kind: text}))
    monkeypatch.setattr(asking, "present", lambda *_: ("basic", "inclusive"))
    whatif.fit_line((found, found), changed)
    assert ("warning" in said) == warned
    assert not warned or "惠民保与记录相符多少不能列出" in said["warning"]


def test_what_reaches_nobody_is_said(visit: Visit) -> None:
    link = {
        "city": "weihai",
        "year": "2023",
        "tier": "inclusive",
        "liability": "special_drugs.all",
        "ceiling": "double",
    }
    at = visit(**link, lang="en")
    assert "reaches nobody here" in at.warning[0].value
    assert not at.metric and "Weihai 2023" in at.title[0].value


def test_a_shipped_scenario_as_it_is(visit: Visit) -> None:
    at = visit(city="weihai", scenario="weihai-first-band")
    assert re.search(
        r"2023 年威海：\d+ 人负担减轻，0 人负担加重", at.title[0].value
    )  # a lower deductible charges nobody
    (rules,) = [t.value for t in at.get("table")]
    told = [" ".join(map(str, row)) for row in rules.to_numpy().tolist()]
    assert any("16,000 元 6,000 元" in line for line in told) and any("0 元以上 5%" in line for line in told)
    assert "year" not in dict(at.query_params), "a shipped scenario brings its own year"


def test_a_change_is_told_in_cards_figures_and_tables(visit: Visit, lowered: Outcome) -> None:
    at = visit(**LINK)
    one = {
        m: lowered.answer(m).of["reform"].table.row(0, named=True)
        for m in ("relieved_share", "burdened_share", "relief_mean")
    }
    relieved = int(one["relieved_share"]["numerator"])
    assert relieved > 10 and f"{relieved} 人负担减轻，0 人负担加重" in at.title[0].value
    cards = {m.label: m for m in at.metric}
    assert cards["负担减轻"].value == f"{relieved} 人" and cards["负担加重"].value == "0 人"
    assert cards["受影响者人均减负"].value == f"{one['relief_mean']['value']:,.0f} 元"
    spent = {
        k: r.table.filter(pl.col("tier") == "serious_illness")["numerator"][0]
        for k, r in lowered.answer("paid_per_insured", ("tier",)).of.items()
    }
    assert cards["这一层支出"].value == f"{spent['reform'] / 10_000:,.2f} 万元"
    assert cards["这一层支出"].delta == f"+{(spent['reform'] - spent['baseline']) / 10_000:,.2f} 万元"
    burden = lowered.answer("own_burden_mean").of
    assert cards["患者人均个人负担"].value == f"{burden['reform'].table['value'][0]:,.0f} 元"
    head = lowered.answer("catastrophic_headcount", threshold="0.40").of["reform"].table.row(0, named=True)
    assert cards["灾难性支出 40%"].value == _share(head)
    (rules,) = [t.value for t in at.get("table")]
    told = [" ".join(map(str, row)) for row in rules.to_numpy().tolist()]
    assert any("10,000 元 6,000 元" in line for line in told)
    assert any("60%、50,000 元以上 70%" in line and "70%、50,000 元以上 80%" in line for line in told)
    assert any(
        "特困" in line and "85%" in line and "95%" in line for line in told
    )  # rates of special rules move too


def test_protected_cells_are_words_and_gaps(visit: Visit, lowered: Outcome) -> None:
    at = visit(**LINK)
    tables = [
        (0, "paid_per_insured", ("tier",)),
        (1, "own_burden_mean", ("cost_band",)),
        (2, "catastrophic_headcount", ("income_group",)),
    ]
    seen = 0
    for position, measure, by in tables:
        of = lowered.answer(measure, by).of
        hidden = sum(r.table.filter(pl.col("status") == "hidden").height for r in of.values())
        cells = [text for line in _cells(at, position) for text in line.values()]
        assert cells.count("受保护") == hidden
        drawn = json.loads(at.get("plotly_chart")[position].proto.spec)["data"]
        shown = [of[k].table.filter(pl.col("status") == "shown").height for k in ("baseline", "reform")]
        assert [sum(x is not None for x in trace["x"]) for trace in drawn] == shown
        seen += hidden
    assert seen, "the sample must hold protected cells, or this tests nothing"


def test_a_tier_is_taken_out_and_the_downloads_are_what_the_command_line_gives(
    visit: Visit, run: Run, sample_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(
        st,
        "download_button",
        lambda *_, data, file_name, **__: kept.update({file_name: data() if callable(data) else data}),
    )
    at = visit(city="zhanjiang", year="2023", way="out", tier="serious_illness", loss_ratio="0.90")
    (line,) = [x for x in _cells(at, 0) if x["保障层次"] == "大病保险"]
    assert line["改后方案"] == "未设" and line["变化"] == "—"
    assert {m.label: m.value for m in at.metric}["这一层支出"] == "未设"
    file = tmp_path / "s.toml"
    file.write_bytes(kept["scenario_440800_2023.toml"])
    assert tomllib.loads(file.read_text("utf-8"))["target_loss_ratio"] == 0.9
    code, _, err = run("simulate", sample_store, file, "--format", "csv", "--out", tmp_path / "o.csv")
    assert code == 0, err
    ours, theirs = kept["simulate_440800_2023.csv"], (tmp_path / "o.csv").read_bytes()
    assert ours.startswith(b"\xef\xbb\xbf") and theirs.startswith(b"\xef\xbb\xbf")
    assert_frame_equal(pl.read_csv(ours), pl.read_csv(theirs), rel_tol=1e-9)


def test_graded_by_income(visit: Visit) -> None:
    at = visit(city="zhanjiang", year="2023", way="graded", lang="en")
    (rules,) = [t.value for t in at.get("table")]
    found = [int(x.replace(",", "")) for x in re.findall(r"deductible ([\d,]+) yuan", rules.iloc[0, 2])]
    assert len(found) == 5 and found == sorted(found) and found[0] < 10_000 < found[-1]
    assert not at.select_slider


def test_another_liability_begins_with_its_own_values(visit: Visit) -> None:
    at = visit(city="zhanjiang", year="2023", deductible="6000", shift="10", ceiling="999")
    assert "999" in at.warning[0].value, "a value off the grid falls away with a word"
    at.selectbox(key="w_tier@simulate").set_value("inclusive").run()
    assert not at.exception
    assert at.select_slider(key="w_shift@simulate").value == "auto"
    assert "还没有改动" in at.info[0].value


def test_a_tier_that_is_off_is_warned_of(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that pays 10 points less than the records: said in words, with the tier's name."""
    true = plan_for("zhuhai", 2023)
    assert true
    change = {"tier": "basic", "field": "rate_plus", "value": Decimal("-0.1")}
    wrong = reform(
        true,
        parse_scenario(
            {"name": {"zh": "试", "en": "t"}, "city": "zhuhai", "plan_year": 2023, "change": [change]}
        ),
    )
    monkeypatch.setattr(answer, "plan_for", lambda *_: wrong)
    at = visit(city="zhuhai", year="2023")
    assert "基本医保" in at.warning[0].value.split("\n")[1] and "超过 2%" in at.warning[0].value
    assert not at.success


def test_a_plan_with_holes_names_them(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    true = plan_for("zhuhai", 2022)
    assert true
    rows = [r.model_copy(update={"ceiling": "missing"}) if r.liability == "own_pay" else r for r in true.tier]
    monkeypatch.setattr(answer, "plan_for", lambda *_: true.model_copy(update={"tier": tuple(rows)}))
    at = visit(city="zhuhai", year="2022")
    assert "未公布" in at.warning[0].value
    assert any("大病保险 · 住院核准费用自付：封顶线" in m.value for m in at.markdown)
    assert not at.dataframe


def test_a_survey_cannot_be_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"h{i},371000,2023,1,{i}00,5000" for i in range(30)]
    (tmp_path / "h.csv").write_text("household_id,city,plan_year,n_members,cost,income\n" + "\n".join(lines))
    verbs.ingest(tmp_path / "s", [tmp_path / "h.csv"], "household_year")
    bare(tmp_path / "s")
    monkeypatch.setenv("JIANFU_STORE", str(tmp_path / "s"))
    assert "没有结算" in _visit().info[0].value
    with pytest.raises(ValueError, match="nothing to credit"):
        Desk.open(tmp_path / "s").ask("shapley_headcount", ["tier"])
    at = AppTest.from_file(str(FRAME), default_timeout=60)
    at.switch_page(str(PAGE.with_name("catastrophic.py"))).run()
    assert not at.exception and not at.error and len(at.header) == 5  # nothing is credited


def test_what_is_offered_passes_the_checks_of_a_plan() -> None:
    """Of a row that shares its deductible, of one with an eligible ceiling and of one whose rates are near 100 %."""
    weihai = changing._offered(load_plans()["371000", 2024], "inclusive", "special_drugs.all")
    assert all(len(changes) > 1 for code, changes in weihai["deductible"].items() if code != "auto")
    leg = changing._offered(
        load_plans()["440400", 2023], "serious_illness", "cost_40_60.all"
    )  # 400,000 to 600,000
    assert set(leg["ceiling"]) == {
        "auto",
        "half_more",
        "double",
        "triple",
        "none",
    }  # half would end below the deductible
    assert "600000" not in leg["deductible"] and "500000" in leg["deductible"]
    near = changing._offered(load_plans()["440400", 2023], "basic", "inpatient.employee")  # 92 to 95 %
    assert list(near["shift"]) == ["-20", "-15", "-10", "-5", "auto", "5"]


def test_a_plan_that_changes_is_offered_at_its_own_values() -> None:
    """Round amounts up to two and a half times the plan's own deductible, which stands at its place among them."""
    plan = load_plans()["371000", 2023]
    rule = next(plan.rules("serious_illness"))
    code = changing._code(rule)
    for own, below, most in ((18_000, "15000", 45_000), (9_000, "8000", 22_500)):
        row = rule.model_copy(update={"deductible": own})
        rows = tuple(row if r is rule else r for r in plan.tier)
        offered = list(changing._offered(plan.model_copy(update={"tier": rows}), rule.id, code)["deductible"])
        assert offered[offered.index("auto") - 1] == below
        assert max(int(amount) for amount in offered if amount != "auto") <= most


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_scenario_written_is_read_as_the_same(name: str, tmp_path: Path) -> None:
    again = tmp_path / "again.toml"
    again.write_text(scenario_text(shipped()[name]), encoding="utf-8")
    assert load_scenario(again) == shipped()[name]


def test_odd_texts_and_whole_rows_are_written_too(tmp_path: Path) -> None:
    plan = plan_for("weihai", 2023)
    assert plan
    row = {"id": "charity", "insurance_type": "all", "base": "total_own", "scope": ["inpatient"], "per": "year", "voluntary": False,
           "deductible": 50_000, "bands": [{"over": 0, "rate": Decimal("0.5")}], "ceiling": "none"}  # fmt: skip
    odd = {"zh": '引"号\\与\n换行\x7f', "en": "# no comment = 1"}
    made = parse_scenario(
        {"name": odd, "city": "weihai", "plan_year": 2023, "add": [row], "order": [*plan.order, "charity"]}
    )
    (tmp_path / "s.toml").write_text(scenario_text(made), encoding="utf-8")
    again = load_scenario(tmp_path / "s.toml")
    assert again == made and again.name.zh == odd["zh"]


def test_a_shift_moves_every_rate_of_the_row() -> None:
    """Zhanjiang 2023, residents: 60/70/80/85 %, low income 80 %, destitute 85 %; five points less, all of them."""
    plan = plan_for("zhanjiang", 2023)
    assert isinstance(plan, Plan)
    change = {**ROW, "field": "rate_plus", "value": Decimal("-0.05")}
    made = reform(
        plan,
        parse_scenario(
            {"name": {"zh": "试", "en": "t"}, "city": "zhanjiang", "plan_year": 2023, "change": [change]}
        ),
    )
    (rule,) = [r for r in made.rules("serious_illness") if r.insurance_type == "resident"]
    assert [str(b.rate) for b in rule.bands] == ["0.55", "0.65", "0.75", "0.80"]
    assert [str(v.bands[0].rate) for v in rule.variants if v.bands] == ["0.75", "0.80"]

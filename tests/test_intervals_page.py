"""Intervals, ranked places and who bears what, on the pages: what is shown equals what the desk answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import visiting
from deliveries import bare
from streamlit.testing.v1 import AppTest

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.figures import formats
from analytics.tiers import TIER

WHERE = {"city": ["440800"], "plan_year": ["2023"]}
Visit = Callable[..., AppTest]


def _open(page: str, **link: str) -> AppTest:
    at = visiting.visit(page, **link)
    assert not at.error, at.error
    return at


@pytest.fixture
def visit(sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    monkeypatch.setenv("JIANFU_STORE", str(sample_store))
    return _open


@pytest.fixture(scope="module")
def desk(sample_store: Path) -> Desk:
    return Desk.open(sample_store)


def _table(at: AppTest, column: str) -> list[dict[str, str]]:
    found = [d.value for d in at.dataframe if column in d.value.columns]
    return found[0].to_dict("records")


def _row(answer: pl.DataFrame, **wanted: str) -> dict[str, Any]:
    for name, value in wanted.items():
        answer = answer.filter(pl.col(name).cast(pl.String) == value)
    (row,) = answer.to_dicts()
    return row


def _captions(at: AppTest) -> str:
    return "\n".join(c.value for c in at.caption)


def test_an_index_has_three_decimals() -> None:
    assert formats.value(0.08641, "index", "zh") == "0.086"
    assert formats.value(-0.0001, "index", "en") == "0.000"
    assert (
        formats.difference(0.01, "index", "zh") == "+0.010"
        and formats.difference(-0.2, "index", "en") == "-0.200"
    )
    assert (
        formats.count(0.123456) == "0.1235"
        and formats.count(17.25) == "17.25"
        and formats.count(12.0) == "12"
    )


def test_intervals_stand_in_table_and_chart(visit: Visit, desk: Desk) -> None:
    at = visit(
        "cost_bands",
        city="zhanjiang",
        year="2023",
        measure="effective_reimbursement_rate",
        sampling="superpopulation",
    )
    answer = desk.ask("effective_reimbursement_rate", ["cost_band"], WHERE, se="superpopulation").table
    shown = answer.filter(pl.col("status") == "shown")
    assert shown.height > 2
    cells = [line["实际报销比例"] for line in _table(at, "实际报销比例")]
    for row in shown.to_dicts():
        assert f"{row['value'] * 100:.1f}% [{row['ci_low'] * 100:.1f}, {row['ci_high'] * 100:.1f}]" in cells
    assert cells.count("受保护") == answer.height - shown.height
    (trace,) = json.loads(at.get("plotly_chart")[0].proto.spec)["data"]
    drawn = {v: (up, down) for v, up, down in zip(trace["y"], trace["error_y"]["array"], trace["error_y"]["arrayminus"], strict=True) if v is not None}  # fmt: skip
    for row in shown.to_dicts():
        ends = (row["ci_high"] - row["value"], row["value"] - row["ci_low"])
        assert any(v == pytest.approx(row["value"]) and e == pytest.approx(ends) for v, e in drawn.items())
    assert "家庭（调查则为抽样单元）为一群" in _captions(at) and "线性化" in _captions(at)


def test_claims_have_no_sampling_error_unless_asked(visit: Visit) -> None:
    at = visit("cost_bands", city="zhanjiang", year="2023", measure="effective_reimbursement_rate")
    (trace,) = json.loads(at.get("plotly_chart")[0].proto.spec)["data"]
    assert "error_y" not in trace and not any(
        "[" in line["实际报销比例"] for line in _table(at, "实际报销比例")
    )
    assert at.selectbox(key="w_sampling").value == "population"


def test_money_has_arms_on_the_scale_of_its_bars(visit: Visit, desk: Desk) -> None:
    at = visit(
        "cost_bands",
        city="zhanjiang",
        year="2023",
        measure="own_burden_mean",
        sampling="superpopulation",
        unit="wan",
    )
    answer = desk.ask("own_burden_mean", ["cost_band"], WHERE, se="superpopulation").table
    (trace,) = json.loads(at.get("plotly_chart")[0].proto.spec)["data"]
    row = answer.filter(pl.col("status") == "shown").to_dicts()[-1]
    place = min(range(len(trace["y"])), key=lambda i: abs((trace["y"][i] or -1) - row["value"] / 1e4))
    assert trace["y"][place] == pytest.approx(row["value"] / 1e4)
    assert trace["error_y"]["array"][place] == pytest.approx((row["ci_high"] - row["value"]) / 1e4)


def test_who_bears_it_and_poverty(visit: Visit, desk: Desk) -> None:
    at = visit("catastrophic", city="zhanjiang", year="2023", threshold="0.10", poverty_line="median_50")
    lines = {line["保障层次"]: line for line in _table(at, "Erreygers 指数")}
    chosen = {"threshold": "0.10"}
    for column, measure in (
        ("Erreygers 指数", "catastrophic_concentration_erreygers"),
        ("集中指数", "catastrophic_concentration"),
    ):
        for row in desk.ask(measure, ["tier"], WHERE, chosen).table.to_dicts():
            name = "任何支付前" if row["tier"] == "none" else TIER[row["tier"]].zh
            assert lines[name][column] == (f"{row['value']:.3f}" if row["status"] == "shown" else "受保护")
    after = [line["Erreygers 指数"] for line in lines.values()][-1]
    leans = "较穷" if after.startswith("-") else "较富"
    assert f"全部保障后，灾难性支出偏向{leans}的家庭（Erreygers 指数 {after}" in _captions(at)
    poor = {line["保障层次"]: line for line in _table(at, "因病致贫（落到线下）")}
    for column, measure in (
        ("因病致贫（落到线下）", "impoverishment_headcount"),
        ("原已贫困、更加贫困", "further_impoverished"),
    ):
        row = _row(desk.ask(measure, ["tier"], WHERE, {"poverty_line": "median_50"}).table, tier="none")
        assert poor["任何支付前"][column] == f"{row['value'] * 100:.1f}%"


def test_only_resources_the_data_hold_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"h{i},371000,2023,1,{i}00,{5000 + i}" for i in range(40)]
    (tmp_path / "h.csv").write_text("household_id,city,plan_year,n_members,cost,income\n" + "\n".join(lines))
    verbs.ingest(tmp_path / "s", [tmp_path / "h.csv"], "household_year")
    bare(tmp_path / "s")
    desk = Desk.open(tmp_path / "s")
    assert desk.answerable("catastrophic_headcount", "resource") == ("income", "discretionary")
    assert not desk.has_persons
    monkeypatch.setenv("JIANFU_STORE", str(tmp_path / "s"))
    at = _open("catastrophic")
    assert at.selectbox(key="w_resource").options == [
        "自动（按数据所有）",
        "家庭收入",
        "可自由支配预算（SDG 3.8.2 修订）",
    ]
    assert at.selectbox(key="w_sampling").value == "superpopulation", "of a survey errors are always asked"


def test_places_ranked_with_differences(visit: Visit, desk: Desk) -> None:
    at = visit("compare", mode="ranking", measure="effective_reimbursement_rate", benchmark="zhuhai")
    lines = _table(at, "校正后 p 值（Holm）")
    asked = {"by": ["city"], "where": {"plan_year": ["2023"]}, "se": "superpopulation"}
    plain = desk.ask("effective_reimbursement_rate", **asked).table
    apart = desk.ask("effective_reimbursement_rate", **asked, against=("city", "zhuhai")).table
    alike = desk.ask("effective_reimbursement_rate", **asked, parameters={"standardise": "age_sex"}).table
    names = {"440400": "珠海", "440800": "湛江", "371000": "威海"}
    best_first = plain.sort("value", descending=True)["city"].to_list()
    assert [line["城市"] for line in lines] == [names[c] for c in best_first]
    assert [line["名次"] for line in lines] == ["1", "2", "3"]
    for line, city in zip(lines, best_first, strict=True):
        own, like, less = (_row(t, city=city) for t in (plain, alike, apart))
        assert (
            line["数值"]
            == f"{own['value'] * 100:.1f}% [{own['ci_low'] * 100:.1f}, {own['ci_high'] * 100:.1f}]"
        )
        assert line["年龄性别标准化"].startswith(f"{like['value'] * 100:.1f}% [")
        if city == "440400":
            assert line["能否分出"] == "对照" and line["与珠海之差"] == "—"
            continue
        assert line["与珠海之差"].startswith(f"{less['difference'] * 100:+.1f} 个百分点 [")
        says = (
            "分不出" if less["p_adjusted"] >= 0.05 else "高于对照" if less["difference"] > 0 else "低于对照"
        )
        assert line["能否分出"] == says
        assert list(line).index("能否分出") == 2  # after place and city, in sight on a phone
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    assert spec["data"][0]["x"] == pytest.approx([_row(plain, city=c)["value"] for c in best_first])


def test_a_reference_without_data_is_said(visit: Visit) -> None:
    at = visit("compare", mode="ranking", measure="reach", tier="charity")
    assert "无法比较" in at.info[0].value


def test_the_parade_is_as_the_desk_answers(visit: Visit, desk: Desk) -> None:
    at = visit("catastrophic", city="zhanjiang", year="2023", poverty_line="median_50")
    answer = desk.parade(WHERE, {"poverty_line": "median_50"}).table.sort("point")
    lines = _table(at, "付医疗费用前（贫困线的倍数）")
    for column, payments in (
        ("付医疗费用前（贫困线的倍数）", "gross"),
        ("付医疗费用后（贫困线的倍数）", "net"),
    ):
        rows = answer.filter(pl.col("payments") == payments)
        assert [line[column] for line in lines] == [f"{v:.2f}" for v in rows["value"]]
    assert len(lines) > 20
    before = answer.filter(pl.col("payments") == "gross")["value"].to_list()
    after = answer.filter(pl.col("payments") == "net")["value"].to_list()
    trace = json.loads(at.get("plotly_chart")[-1].proto.spec)["data"][0]
    assert trace["y"] == pytest.approx(before)
    assert trace["error_y"]["arrayminus"] == pytest.approx(
        [b - a for b, a in zip(before, after, strict=True)]
    )


@pytest.mark.parametrize(
    ("measure", "asked"),
    [
        ("financial_hardship", set()),
        ("budget_share", {"w_resource", "w_weight"}),
        ("poverty_headcount", {"w_poverty_line", "w_weight"}),
        ("catastrophic_headcount", {"w_threshold", "w_resource", "w_weight"}),
        ("own_burden_mean", {"w_own_burden"}),
        ("gini", set()),
    ],
)
def test_controls_are_those_a_measure_leaves_open(visit: Visit, measure: str, asked: set[str]) -> None:
    """What a definition fixes is not asked; every one of these is answered on the page."""
    at = visit("compare", measure=measure, cities="zhanjiang", years="2023")
    known = {"w_threshold", "w_resource", "w_poverty_line", "w_weight", "w_own_burden"}
    assert {box.key for box in at.selectbox} & known == asked

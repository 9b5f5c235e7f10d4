"""Ways to compare: small panels beyond eight cities, one city in depth, differences, room for improvement, a bureau's own map."""

import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import polars as pl
import pytest
import visiting
from canonical import built, deliver, settle
from streamlit.testing.v1 import AppTest

from analytics.desk.answer import Desk
from analytics.figures import charts, compared, territory, words
from analytics.measures import measures
from analytics.release import Released
from analytics.view import downloads

NAMES = {"440400": "珠海", "440800": "湛江", "371000": "威海"}
# Guangdong's cities by code; only those with an income on file are named on the pages.
NINE = tuple(f"44{n:02d}00" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9))
Visit = Callable[..., AppTest]


def _open(**link: str) -> AppTest:
    at = visiting.visit("compare", **link)
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
    return list(found[0].to_dict("records"))


def _spec(at: AppTest, position: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(at.get("plotly_chart")[position].proto.spec)
    return found


def _values(answer: pl.DataFrame) -> dict[str, float]:
    return {str(r["city"]): r["value"] for r in answer.to_dicts() if r["status"] == "shown"}


# --- more than eight cities


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine cities, two years, twelve patients each; the fund pays a different share of 1,000 yuan in every city-year."""
    store = tmp_path_factory.mktemp("nine") / "store"
    rows = [
        settle(f"{city}-{year}-{i}", 100_000, basic, person=1000 * n + i, year=year, city=city)
        for n, city in enumerate(NINE)
        for year in (2022, 2023)
        for basic in [30_000 + 5_000 * n + (1_000 if year == 2023 else 0)]
        for i in range(12)
    ]
    deliver(store, settlement=rows)
    built(store)
    return store


def test_beyond_eight_cities_each_has_a_panel(nine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIANFU_STORE", str(nine))
    at = _open(measure="effective_reimbursement_rate", highlight="440200,zhuhai")
    spec = _spec(at)
    axes = {trace.get("yaxis", "y") for trace in spec["data"]}
    assert len(axes) == 9
    layout = spec["layout"]
    ranges = {tuple(v["range"]) for k, v in layout.items() if k.startswith("yaxis")}
    assert len(ranges) == 1, "all panels on one scale"
    titles = [note["text"] for note in layout["annotations"]]
    assert "<b>珠海</b>" in titles and len(titles) == 9
    answer = Desk.open(nine).ask("effective_reimbursement_rate", ["city", "plan_year"]).table
    for place, code in enumerate(NINE):
        axis = f"y{place + 1}" if place else "y"
        mine = [t for t in spec["data"] if t.get("yaxis", "y") == axis]
        own = answer.filter(pl.col("city") == code).sort("plan_year")["value"].to_list()
        assert mine[-1]["y"] == pytest.approx(own)
        crowd = [v for v in mine[0]["y"] if v is not None]
        others = [c for c in NINE if c not in (code, "440200", "440400")]
        assert len(crowd) == 2 * len(others), "the others stand grey behind, but for those picked"
        picked = {"440200", "440400"} - {code}
        assert len(mine) == 2 + len(picked)
    eight = _open(measure="effective_reimbursement_rate", cities=",".join(NINE[:8]))
    assert "annotations" not in _spec(eight)["layout"] and len(_spec(eight)["data"]) == 8


def test_a_city_picked_out_stands_before_grey_ones(visit: Visit) -> None:
    at = visit(highlight="weihai")
    assert at.query_params["highlight"] in ("weihai", ["weihai"])
    data = _spec(at)["data"]
    assert [t["name"] for t in data if t.get("showlegend") is not False] == ["威海"]
    assert len({t["line"]["color"] for t in data if t.get("showlegend") is False}) == 1 and len(data) == 3
    at.multiselect(key="w_highlight").set_value([]).run()
    assert "highlight" not in at.query_params and len({t["line"]["color"] for t in _spec(at)["data"]}) == 3
    assert "atlantis" in visit(highlight="atlantis").warning[0].value


# --- differences, one city, room


def test_differences_are_drawn_as_they_stand_in_the_table(visit: Visit, desk: Desk) -> None:
    at = visit(measure="effective_reimbursement_rate", benchmark="zhuhai")
    answer = desk.ask("effective_reimbursement_rate", ["city"], {"plan_year": ["2023"]}).table
    values = _values(answer)
    spec = _spec(at, 2)["data"][0]
    expected = {NAMES[c]: (v - values["440400"]) * 100 for c, v in values.items() if c != "440400"}
    assert dict(zip(spec["y"], spec["x"], strict=True)) == pytest.approx(expected)
    assert spec["x"] == sorted(spec["x"], reverse=True), "the best first: more reimbursed is better"
    for gap, colour in zip(spec["x"], spec["marker"]["color"], strict=True):
        assert (gap > 0) == (colour == "#00639C")
    best, worst = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
    assert f"{NAMES[best]}最高（{values[best] * 100:.1f}%）" in at.title[0].value
    assert f"{NAMES[worst]}最低（{values[worst] * 100:.1f}%）" in at.title[0].value


def test_one_city_in_depth(visit: Visit, desk: Desk) -> None:
    at = visit(mode="explore", city="weihai", measure="effective_reimbursement_rate")
    where = {"city": ["371000"]}
    whole = desk.ask("effective_reimbursement_rate", ["plan_year"], where).table.sort("plan_year")
    for value in whole["value"]:
        assert f"{value * 100:.1f}%" in at.title[0].value
    by_age = desk.ask("effective_reimbursement_rate", ["age_band", "plan_year"], where).table
    shown = by_age.filter(pl.col("status") == "shown")
    cells = [v for line in _table(at, "年龄段") for k, v in line.items() if k != "年龄段"]
    assert sorted(cells) == sorted(
        [f"{v * 100:.1f}%" for v in shown["value"]] + ["受保护"] * (by_age.height - shown.height)
    )
    newest = shown.filter(pl.col("plan_year") == 2023)["value"]
    gap = (newest.max() - newest.min()) * 100  # type: ignore[operator]
    assert any(f"相差 {gap:.1f} 个百分点" in c.value for c in at.caption)
    scales = {tuple(_spec(at, i)["layout"]["yaxis"]["range"]) for i in range(1, 5)}
    assert len(scales) == 1, "groups are compared on one scale"
    rules = {line["城市与年度"] for line in _table(at, "城市与年度")}
    assert rules == {"2022 年威海", "2023 年威海"}


@pytest.mark.parametrize("of", ["best", "median"])
def test_room_for_improvement_in_households_and_yuan(visit: Visit, desk: Desk, of: str) -> None:
    pick: Callable[..., float] = {"best": min, "median": statistics.median}[of]
    at = visit(mode="room", target=of, measure="catastrophic_headcount", tier="last", threshold="0.10")
    answer = desk.ask("catastrophic_headcount", ["city", "plan_year", "tier"], {"plan_year": ["2023"]}, {"threshold": "0.10"}).table  # fmt: skip
    rows = {}
    for city in NAMES:
        held = set(answer.filter(pl.col("city") == city)["tier"])
        last = [k for k in desk.order(city, 2023) if k in held][-1]
        (rows[city],) = answer.filter((pl.col("city") == city) & (pl.col("tier") == last)).to_dicts()
    aim = pick([r["value"] for r in rows.values()])
    expected = {
        NAMES[c]: f"{round(max(r['value'] - aim, 0) * r['denominator']):,} 户" for c, r in rows.items()
    }
    assert {line["城市"]: line["改进空间"] for line in _table(at, "改进空间")} == expected
    at = visit(mode="room", target=of, measure="effective_reimbursement_rate")
    money = desk.ask("effective_reimbursement_rate", ["city"], {"plan_year": ["2023"]}).table.to_dicts()
    aim = (max if of == "best" else statistics.median)([r["value"] for r in money])
    spec = _spec(at)["data"][0]
    assert spec["x"] == sorted(spec["x"], reverse=True)
    most = max(max(aim - r["value"], 0) * r["denominator"] for r in money)
    assert spec["x"][0] in (pytest.approx(most), pytest.approx(most / 10_000))


def test_where_no_room_can_be_told_it_is_said(visit: Visit) -> None:
    assert "换一个指标" in visit(mode="room", measure="gini").info[0].value
    assert (
        "不足两个"
        in visit(mode="room", measure="effective_reimbursement_rate", cities="zhuhai").info[0].value
    )
    kinds = {
        m: compared.improved_in(measures()[m])
        for m in ("gini", "burden_reduction_mean", "catastrophic_overshoot", "loss_ratio")
    }
    assert set(kinds.values()) == {""}
    assert compared.improved_in(measures()["catastrophic_headcount"], "person") == "persons"
    assert compared.improved_in(measures()["own_burden_mean"]) == "yuan"


# --- the bureau's own map


def _square(code: str, west: float, south: float, **more: str) -> dict[str, Any]:
    ring = [[west, south], [west + 1, south], [west + 1, south + 1], [west, south + 1], [west, south]]
    return {
        "type": "Feature",
        "properties": {"gb": code, **more},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def _file(*features: dict[str, Any], **more: str) -> bytes:
    return json.dumps(
        {"type": "FeatureCollection", "features": features, **more}, ensure_ascii=False
    ).encode()


SQUARES = (
    _square("156440400", 113, 22),
    _square("156440800", 110, 21),
    _square("156371000", 122, 37),
    _square("156440100", 113, 23, name="某市"),
)


def test_a_map_of_ones_own_boundaries(
    visit: Visit, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "地图" not in visit().selectbox(key="w_mode").options
    path = tmp_path / "own.geojson"
    path.write_bytes(_file(*SQUARES, 审图号="GS(2024)0001号"))
    monkeypatch.setenv("JIANFU_MAP", str(path))
    at = visit(mode="map", measure="effective_reimbursement_rate")
    assert not at.warning
    data = _spec(at)["data"]
    assert {t["type"] for t in data} == {"scatter"}, "nothing that fetches outlines or tiles"
    values = _values(desk.ask("effective_reimbursement_rate", ["city"], {"plan_year": ["2023"]}).table)
    filled = {t["text"]: t for t in data if t.get("fill") == "toself"}
    assert set(filled) == {f"{NAMES[c]} {v * 100:.1f}%" for c, v in values.items()} | {"某市 无数据"}
    hatched = {told for told, t in filled.items() if "fillpattern" in t}
    assert hatched == {"某市 无数据"}
    low, high = (
        f"{NAMES[pick(values, key=values.__getitem__)]} {pick(values.values()) * 100:.1f}%"
        for pick in (min, max)
    )
    assert (filled[low]["fillcolor"], filled[high]["fillcolor"]) == ("#00204C", "#FFE945"), "dark is worse"
    assert [filled[low]["x"][0], filled[low]["y"][0]] in ([113, 22], [110, 21], [122, 37])
    told = next(c.value for c in at.caption if "自备" in c.value)
    assert "GS\\(2024\\)0001号" in told and "own.geojson" in told and "颜色越深，结果越差。" in told
    assert {line["城市"] for line in _table(at, "2023")} == set(NAMES.values())


def test_a_map_is_dark_where_the_table_is(desk: Desk) -> None:
    land = territory.read(_file(*SQUARES))
    for measure, is_high, told in (
        ("effective_reimbursement_rate", False, "Darker is worse."),
        ("own_burden_mean", True, "Darker is worse."),
        ("cost_per_admission", True, "Darker is more."),
    ):
        answer = desk.ask(measure, ["city"], {"plan_year": ["2023"]})
        values = _values(answer.table)
        darkest = (max if is_high else min)(values, key=values.__getitem__)
        with words.reading("en"):
            chart = territory.draw(land, answer)
            (dark,) = (f for f in chart.figure["data"] if f.get("fillcolor") == "#00204C")
            assert chart.told[0] == told and dark["text"].startswith(words.city(darkest))
            assert charts.heat(answer, "city", "city").figure["data"][0]["reversescale"] is not is_high


def test_a_map_in_a_file_says_whose_it_is(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own_map.geojson"
    path.write_bytes(_file(*SQUARES, 审图号="GS(2024)0001号"))
    monkeypatch.setenv("JIANFU_MAP", str(path))
    menu = MagicMock(open=True)  # as if it had been opened
    monkeypatch.setattr(downloads.st, "popover", lambda *_, **__: menu)
    made: list[bytes] = []
    monkeypatch.setattr(downloads.door, "held", lambda make: made.append(make()) or b"")
    at = visit(mode="map", measure="effective_reimbursement_rate")
    config = json.loads(at.get("plotly_chart")[0].proto.config)
    assert config["displayModeBar"] is False, "the browser's own picture would not say it"
    (svg,) = (content.decode() for content in made if content.startswith(b"<svg"))
    assert any(content.startswith(b"\x89PNG") for content in made)
    seen = re.sub(r"<metadata>.*?</metadata>|<[^>]*>", "", svg)
    assert "GS(2024)0001号" in seen and "own_map.geojson" in seen and "颜色越深，结果越差。" in seen
    assert svg.count("<path ") == len(SQUARES)


def test_a_file_that_cannot_be_drawn_says_why_and_the_table_stays(
    visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.geojson"
    monkeypatch.setenv("JIANFU_MAP", str(path))
    for content, told in (
        (b"{", "不是完好的 GeoJSON"),
        (_file(_square("hello", 1, 1)), "六位行政区划代码"),
        (_file(_square("110000", 116, 40)), "没有这些城市"),
        (_file(_square("440400", 4e5, 2e6)), "degrees"),
        (None, "打不开"),
    ):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        at = visit(mode="map", measure="effective_reimbursement_rate")
        assert told in at.warning[0].value and not at.get("plotly_chart")
        assert {line["城市"] for line in _table(at, "2023")} == set(NAMES.values())


def test_files_too_large_or_too_fine_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(territory, "LARGEST", 100)
    with words.reading("en"), pytest.raises(territory.Unusable, match="above 0 MB"):
        territory.read(_file(*SQUARES))
    monkeypatch.undo()
    monkeypatch.setattr(territory, "POINTS", 19)
    with words.reading("en"), pytest.raises(territory.Unusable, match="20 corners"):
        territory.read(_file(*SQUARES))


def test_the_code_may_stand_under_another_name() -> None:
    place = _square("x", 1, 1, adcode="440400", GB_CODE="371000")
    assert [o.code for o in territory.read(_file(place)).outlines] == ["440400"]
    named = territory.read(_file(place), "GB_CODE")
    assert [o.code for o in named.outlines] == ["371000"] and named.approval == ""


def test_a_ring_without_an_inside_is_left_out(desk: Desk) -> None:
    place, nowhere = _square("440400", 113, 22), _square("440800", 110, 21)
    place["geometry"]["coordinates"] += [[], [[113, 22], [114, 22]]]
    nowhere["geometry"]["coordinates"] = [[]]
    land = territory.read(_file(place, nowhere))
    assert [(o.code, len(o.rings)) for o in land.outlines] == [("440400", 1)]
    answer: Released = desk.ask("effective_reimbursement_rate", ["city"], {"plan_year": ["2023"]})
    assert territory.draw(land, answer).figure["data"]
    with words.reading("zh"), pytest.raises(territory.Unusable, match="没有这些城市"):
        territory.draw(territory.read(_file(nowhere)), answer)


def test_a_place_inside_another_is_drawn_upon_it(desk: Desk) -> None:
    ring = [[100, 20], [130, 20], [130, 45], [100, 45], [100, 20]]
    around = {"type": "Feature", "properties": {"gb": "440800"}, "geometry": {"type": "MultiPolygon", "coordinates": [[ring]]}}  # fmt: skip
    land = territory.read(_file(_square("440400", 113, 22), around))
    answer: Released = desk.ask("effective_reimbursement_rate", ["city"], {"plan_year": ["2023"]})
    drawn = [t["text"] for t in territory.draw(land, answer).figure["data"] if t.get("fill")]
    assert [text.split(" ")[0] for text in drawn] == ["湛江", "珠海"]

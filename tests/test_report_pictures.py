"""Charts as pictures: lengths are the numbers, gaps stay gaps, colours and dashes are kept, nothing is cut or left out."""

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fontTools.ttLib import TTFont
from PIL import Image
from report_world import bars

from analytics import report
from analytics.figures.charts import Chart
from analytics.report import draw
from analytics.report.axes import formatted, ticks, wrapped

SVG = "{http://www.w3.org/2000/svg}"
PALE = {"#DDE2E8", "#52606D", "#FFFFFF"}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A font cache of our own, with the characters of this file: these pictures need no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JIANFU_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("analytics.report.fonts.own_characters", lambda: set(Path(__file__).read_text("utf-8")))
        yield


def chart(*traces: dict[str, Any], **layout: Any) -> Chart:
    return Chart({"data": list(traces), "layout": layout}, "说明")


def drawn(given: Chart, **more: Any) -> ElementTree.Element:
    return ElementTree.fromstring(draw.svg(given, "zh", **more))


def rectangles(root: ElementTree.Element) -> list[dict[str, str]]:
    return [e.attrib for e in root.iter(f"{SVG}rect") if e.get("fill") not in PALE]


def lines(root: ElementTree.Element) -> list[dict[str, str]]:
    return [e.attrib for e in root.iter(f"{SVG}polyline") if e.get("stroke") not in PALE]


def said(root: ElementTree.Element) -> list[str]:
    return ["".join(e.itertext()) for e in root.iter(f"{SVG}text")]


def points(line: dict[str, str]) -> list[tuple[float, float]]:
    return [tuple(map(float, p.split(","))) for p in line["points"].split()]  # type: ignore[misc]


def test_bars_are_as_long_as_their_numbers_and_a_gap_is_none() -> None:
    root = drawn(bars())
    first, last = rectangles(root)
    assert float(last["height"]) == pytest.approx(2 * float(first["height"]), rel=0.01)
    assert {first["fill"], last["fill"]} == {"#123456"}
    assert {"甲", "乙", "丙", "20%", "40%", "0%"} <= set(said(root))


def test_grouped_and_stacked_bars() -> None:
    one = {"type": "bar", "orientation": "h", "y": ["甲", "乙"], "x": [1, 2], "name": "一", "marker": {"color": "#111111"}}  # fmt: skip
    two = {**one, "x": [3, 4], "name": "二", "marker": {"color": ["#222222", "#333333"]}}
    beside = rectangles(drawn(chart(one, two, barmode="group", showlegend=True)))
    assert [r["fill"] for r in beside] == ["#111111", "#222222", "#111111", "#111111", "#222222", "#333333"]
    a, b, c, d = beside[2:]
    assert float(d["width"]) == pytest.approx(4 * float(a["width"]), rel=0.01)
    assert {a["x"], b["x"]} == {c["x"], d["x"]} and len({r["y"] for r in (a, b, c, d)}) == 4
    on_end = rectangles(drawn(chart(one, two, barmode="stack", showlegend=False)))
    assert float(on_end[2]["x"]) == pytest.approx(float(on_end[0]["x"]) + float(on_end[0]["width"]), abs=0.1)
    assert on_end[0]["y"] == on_end[2]["y"]


def test_a_fall_hangs_on_its_bases() -> None:
    trace = {
        "type": "bar", "orientation": "h", "y": ["费用", "基本", "受保护的一层", "个人"], "x": [100, 60, 0, 30], "base": [0, 40, 30, 0],
        "text": ["100", "−60", "受保护", "30"], "textposition": "outside", "marker": {"color": ["#111111", "#222222", "#333333", "#444444"]},
    }  # fmt: skip
    root = drawn(chart(trace, yaxis={"autorange": "reversed"}, xaxis={"range": [0, 112]}))
    cost, basic, own = rectangles(root)
    assert float(basic["x"]) - float(cost["x"]) == pytest.approx(0.4 * float(cost["width"]), rel=0.01)
    assert float(basic["x"]) + float(basic["width"]) == pytest.approx(
        float(cost["x"]) + float(cost["width"]), abs=0.1
    )
    assert float(own["width"]) == pytest.approx(0.3 * float(cost["width"]), rel=0.01)
    assert float(cost["y"]) < float(basic["y"]) < float(own["y"])
    assert "受保护" in said(root) and "#333333" not in {r["fill"] for r in (cost, basic, own)}


def test_lines_break_at_gaps_and_keep_their_dashes() -> None:
    trace = {
        "type": "scatter", "mode": "lines+markers", "x": ["1", "2", "3", "4", "5"], "y": [1, 2, None, 4, 5], "name": "线",
        "line": {"color": "#AA0000", "dash": "dash", "width": 2}, "marker": {"size": 7},
        "error_y": {"type": "data", "array": [1, 1, 0, 1, 1], "arrayminus": [1, 1, 0, 1, 1], "color": "#00AA00"},
    }  # fmt: skip
    root = drawn(chart(trace, showlegend=True, xaxis={"type": "category"}, yaxis={}))
    key, *runs = [line for line in lines(root) if line["stroke"] == "#AA0000"]
    assert key["stroke-dasharray"] == runs[0]["stroke-dasharray"] == "7 5"
    assert [len(points(run)) for run in runs] == [2, 2]
    arms = [line for line in lines(root) if line["stroke"] == "#00AA00"]
    assert len(arms) == 4 * 3  # an arm and two caps, none where nothing is shown
    (x, low), (_, high) = points(arms[0])
    (x1, y1), (_, y2) = points(runs[0])
    assert x == x1 and abs(low - high) == pytest.approx(2 * abs(y1 - y2), rel=0.01)
    assert len(list(root.iter(f"{SVG}circle"))) == 1 + 4


def test_a_line_beyond_the_axis_is_cut_there() -> None:
    trace = {"type": "scatter", "mode": "lines", "x": [0, 10], "y": [0, 10], "line": {"color": "#AA0000"}}
    root = drawn(chart(trace, xaxis={"range": [0, 10]}, yaxis={"range": [0, 5]}))
    (line,) = (one for one in lines(root) if one["stroke"] == "#AA0000")
    (x1, y1), (x2, y2) = points(line)
    grid = [points(e.attrib) for e in root.iter(f"{SVG}polyline") if e.get("stroke") == "#DDE2E8"]
    right = max(x for one in grid for x, _ in one)
    left = min(x for one in grid for x, _ in one)
    assert x1 == pytest.approx(left, abs=0.1) and x2 == pytest.approx((left + right) / 2, abs=0.1)
    assert y2 == pytest.approx(min(y for one in grid for _, y in one), abs=0.1) and y1 > y2


def test_points_with_words_and_open_marks() -> None:
    trace = {
        "type": "scatter", "mode": "lines+markers+text", "x": [0.8, 0.3], "y": ["甲", "甲"], "text": ["80%", "30%"],
        "textposition": ["top center", "bottom center"], "line": {"color": "#AA0000"},
        "marker": {"symbol": ["circle-open", "circle"], "color": "#AA0000", "size": 13},
    }  # fmt: skip
    diamond = {"type": "scatter", "mode": "markers", "x": [0.5], "y": ["甲"], "marker": {"symbol": "diamond-open", "color": "#0000AA"}}  # fmt: skip
    root = drawn(chart(trace, diamond, showlegend=False, yaxis={"autorange": "reversed"}))
    first, second = root.iter(f"{SVG}circle")
    assert (first.get("fill"), second.get("fill")) == ("#FFFFFF", "#AA0000")
    assert float(first.get("cx", 0)) > float(second.get("cx", 0))
    assert [e.get("stroke") for e in root.iter(f"{SVG}polygon")] == ["#0000AA"]
    assert {"80%", "30%", "甲"} <= set(said(root))


def test_a_cell_of_a_heat_map_that_is_not_shown_stays_empty() -> None:
    trace = {
        "type": "heatmap", "x": ["2022", "2023"], "y": ["甲", "乙"], "z": [[0.0, 0.5], [None, 1.0]],
        "text": [["0%", "50%"], ["", "100%"]], "colorscale": [[0, "#00224E"], [1, "#FEE838"]], "reversescale": False,
    }  # fmt: skip
    plain = rectangles(drawn(chart(trace, xaxis={"side": "top"}, yaxis={"autorange": "reversed"})))
    assert [r["fill"] for r in plain][::2] == ["#00224E", "#FEE838"] and len(plain) == 3
    turned = rectangles(drawn(chart({**trace, "reversescale": True})))
    assert [r["fill"] for r in turned][::2] == ["#FEE838", "#00224E"]


def test_two_plots_side_by_side_with_labels_over_them() -> None:
    bar = {"type": "bar", "orientation": "h", "y": [0], "width": 0.3, "marker": {"color": "#111111"}}
    note = {"text": "<b>A &amp; B</b><br>3 行", "x": 0, "xref": "paper", "y": -0.2, "showarrow": False}
    layout = {
        "barmode": "stack", "showlegend": False, "annotations": [note], "yaxis": {"visible": False, "range": [0.4, -0.8]},
        "xaxis": {"domain": [0, 0.46], "range": [0, 1]}, "xaxis2": {"domain": [0.54, 1], "range": [0, 10]},
    }  # fmt: skip
    root = drawn(chart({**bar, "x": [1]}, {**bar, "x": [10], "xaxis": "x2"}, **layout))
    left, right = rectangles(root)
    assert float(left["x"]) + float(left["width"]) < float(right["x"])
    assert left["width"] == right["width"] and {"A & B", "3 行"} <= set(said(root))


def land(x: list[float | None], y: list[float | None], colour: str, **more: Any) -> dict[str, Any]:
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "fill": "toself", "fillcolor": colour, "line": {"color": "#FFFFFF", "width": 1}, **more}  # fmt: skip


def test_outlines_are_filled_on_one_scale_without_a_grid() -> None:
    ring: list[float | None] = [0, 2, 2, 0, 0]
    up: list[float | None] = [0, 0, 2, 2, 0]
    hole = land([*ring, None, 0.5, 1, 1, 0.5], [*up, None, 0.5, 0.5, 1, 0.5], "#AA0000")
    empty = land([4, 5, 5, 4], [0, 0, 1, 0], "#DDDDDD", fillpattern={"shape": "/", "fgcolor": "#999999"})
    hidden = {"visible": False, "range": [0, 8]}
    root = drawn(chart(hole, empty, empty, xaxis=hidden, yaxis={**hidden, "scaleanchor": "x", "scaleratio": 1.25}, showlegend=False))  # fmt: skip
    first, second, third = root.iter(f"{SVG}path")
    looks = [first.get(what) for what in ("fill", "stroke", "fill-rule")]
    assert looks == ["#AA0000", "#FFFFFF", "evenodd"]
    outer, inner = (points({"points": part}) for part in first.attrib["d"][1:-1].split("Z M"))
    assert (len(outer), len(inner)) == (5, 4)
    (x1, y1), (x2, _), (_, y2) = outer[:3]
    assert y1 - y2 == pytest.approx(1.25 * (x2 - x1), rel=0.01), "a unit of y is 1.25 of x"
    (pattern,) = root.iter(f"{SVG}pattern")
    assert second.get("fill") == third.get("fill") == f"url(#{pattern.get('id')})"
    assert [e.get("fill") for e in pattern] == ["#DDDDDD", "#999999"]
    assert not list(root.iter(f"{SVG}polyline")), "no grid and no zero lines on hidden axes"


def test_filled_outlines_are_in_the_pixels() -> None:
    full = land([0, 1, 1, 0], [0, 0, 1, 1], "#AA0000")
    empty = land([2, 3, 3, 2], [0, 0, 1, 1], "#DDE1E6", fillpattern={"fgcolor": "#9AA5B1"})
    image = Image.open(BytesIO(report.picture(chart(full, empty, showlegend=False), "png")))
    seen = {colour[:3]: n for n, colour in image.convert("RGB").getcolors(1 << 24)}
    for colour in ((0xAA, 0, 0), (0xDD, 0xE1, 0xE6), (0x9A, 0xA5, 0xB1)):
        assert seen.get(colour, 0) > 1000, colour


def test_a_colour_bar_has_its_ends_and_ticks() -> None:
    looks = {
        "color": [0.2], "cmin": 0.2, "cmax": 0.8, "showscale": True, "colorscale": [[0, "#000000"], [0.5, "#800000"], [1, "#FF0000"]],
        "colorbar": {"title": {"text": "yuan"}, "len": 0.6, "thickness": 12, "nticks": 4, "tickformat": ".1~%"},
    }  # fmt: skip
    bar = {"type": "scatter", "mode": "markers", "x": [None], "y": [None], "marker": looks}
    hidden = {"visible": False, "range": [0, 1]}
    root = drawn(chart(bar, xaxis=hidden, yaxis=hidden, showlegend=False))
    shades = rectangles(root)
    assert (shades[0]["fill"], shades[-1]["fill"]) == ("#000000", "#FF0000")
    ends = {round(float(r["x"]) + float(r["width"])) for r in shades}
    assert len(ends) == 1 and {"20%", "40%", "60%", "80%", "yuan"} == set(said(root))


@pytest.mark.parametrize(
    ("trace", "told"),
    [
        ({"type": "pie", "values": [1]}, "pie"),
        ({"type": "scatter", "mode": "lines+hearts", "x": [1], "y": [1]}, "hearts"),
        ({"type": "scatter", "mode": "markers", "x": [1], "y": [1], "marker": {"symbol": "star"}}, "star"),
        ({"type": "scatter", "mode": "lines", "x": [1], "y": [1], "fill": "tozeroy"}, "tozeroy"),
        ({"type": "heatmap", "x": ["a"], "y": ["b"], "z": [[1]], "colorscale": "Jet"}, "Jet"),
    ],
)
def test_what_cannot_be_drawn_is_said(trace: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        draw.svg(chart(trace), "zh")
    with pytest.raises(ValueError, match="format"):
        draw.svg(chart({"type": "bar", "x": ["a"], "y": [1]}, yaxis={"tickformat": "$.2s"}), "zh")


def test_long_labels_are_wrapped_and_whole() -> None:
    name = "一个长得在哪里都放不下的地方名称，它还要再长一些才好"
    word = "Unbreakable" * 8
    flat = {"type": "bar", "orientation": "h", "y": [name, word], "x": [1, 2]}
    for trace in (flat, {**flat, "orientation": "v", "x": flat["y"], "y": flat["x"]}):
        root = drawn(chart(trace))
        assert {name, word} <= {text.replace(" ", "") for text in said(root)}
        left, _, wide, _ = map(float, root.attrib["viewBox"].split())
        ends = [float(t.get("x", 0)) for e in root.iter(f"{SVG}text") for t in e]
        assert left <= min(ends) and max(ends) <= left + wide
    for title in ("长标题" * 40, "word " * 60):
        root = drawn(bars(), title=title, caption=["出处 " * 60])
        assert title.replace(" ", "") in "".join(said(root)).replace(" ", "")
        assert float(root.attrib["width"]) < 700


def test_a_chart_without_traces_says_so() -> None:
    assert any("没有" in text or "无" in text for text in said(drawn(chart())))


def test_pictures_of_a_page() -> None:
    svg = report.picture(bars(), "svg", "标题 <b>&", ["出处"]).decode()
    root = ElementTree.fromstring(svg)
    assert {"标题 <b>&", "出处"} <= set(said(root)) and root.attrib["aria-label"] == bars().alt
    assert svg.encode() == report.picture(bars(), "svg", "标题 <b>&", ["出处"])
    image = Image.open(BytesIO(report.picture(bars(), "png", "标题", ["出处"])))
    assert image.width > 1200 and image.getpixel((2, 2))[:3] == (255, 255, 255)
    assert (0x12, 0x34, 0x56) in {pixel[:3] for _, pixel in image.convert("RGB").getcolors(1 << 24)}
    with pytest.raises(ValueError, match=r"svg, png"):
        report.picture(bars(), "gif")


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.25, ".0%", "25%"), (1234567, ",", "1,234,567"), (0.5, ".2~f", "0.5"), (-0.0, ".2~f", "0"), (-3, ",", "−3"), (2.5, ",~r", "2.5"), (7, "", "7"),
    ],
)  # fmt: skip
def test_ticks_are_written_as_on_the_screen(value: float, form: str, text: str) -> None:
    assert formatted(value, form) == text


def test_ticks_are_round() -> None:
    assert ticks(0, 0.47) == [0, 0.1, 0.2, 0.3, 0.4] and ticks(-3, 8) == [-2.5, 0, 2.5, 5, 7.5]
    assert ticks(5, 5) == [5]


def test_no_line_begins_with_a_closing_mark() -> None:
    for room in range(20, 90, 3):
        assert not [s for s in wrapped("费用（合规），其余；负担。", room, 10) if s[:1] in "），；。"]


def test_two_processes_may_grow_the_fonts_at_once(tmp_path: Path) -> None:
    code = "import sys; from analytics.report import fonts; fonts.own_characters = lambda: set('ab'); fonts.ready(sys.argv[1])"
    environment = {**os.environ, "JIANFU_CACHE": str(tmp_path)}
    running = [
        subprocess.Popen([sys.executable, "-c", code, text], env=environment) for text in ("龘靐", "齉爩")
    ]
    assert [one.wait(timeout=120) for one in running] == [0, 0]
    found = sorted(tmp_path.rglob("*.otf"))
    assert [p.name for p in found] == [
        f"Jianfu{f}-{s}.otf" for f in ("Latin", "Sans") for s in ("Bold", "Regular")
    ]
    assert all(
        {ord(c) for c in "ab龘靐齉爩"} <= set(TTFont(p).getBestCmap()) for p in found if "Sans" in p.name
    )
    assert not list(tmp_path.rglob("*.otf.*")), "left behind"

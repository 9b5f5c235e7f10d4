"""Charts as pictures for print: the same dicts the dashboard draws, as SVG, without a browser or a script engine.

What is drawn on the screen by colour and dash is drawn so here; a value that is not shown stays a gap. An unknown kind of
trace, marker or tick format raises ValueError instead of being left out.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analytics.figures import words
from analytics.figures.charts import Chart
from analytics.report import fonts, setting
from analytics.report.axes import Axis, broken, number, wrapped
from analytics.report.plot import SMALL, WIDTH, Plot, Trace, colours, marker, stroke
from analytics.report.svg import INK, PALE, Sheet

_SIZE = 12.0
_SHADES = 60  # steps of a colour bar
_PAGE = b"""#set page(width: auto, height: auto, margin: 0pt)
#image(bytes(sys.inputs.picture), format: "svg")
"""
_KINDS = ("bar", "scatter", "heatmap")
_MODES = {"lines", "markers", "text"}


def texts(value: Any) -> Iterator[str]:
    """Every text of a figure."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts(part)


def svg(chart: Chart, language: str, title: str = "", caption: Sequence[str] = ()) -> str:
    """The picture as SVG, with a title above and lines below (what it rests on) where they are given."""
    traces = chart.figure["data"]
    for trace in traces:
        _check(trace)
    with words.reading(language):
        nothing = words.t("figure.nothing")
    fonts.ready([*texts(chart.figure), title, *caption, chart.alt, nothing])
    sheet, top = Sheet(language), 0.0
    if title:
        lines = wrapped(title, WIDTH, 15, True, language)
        sheet.text(0, 15, lines, 15, bold=True)
        top = 15 * 1.3 * len(lines) + 6
    if traces:
        _draw(Plot(sheet, traces, chart.figure.get("layout", {}), top))
    else:
        sheet.text(0, top + _SIZE, wrapped(nothing, WIDTH, _SIZE, language=language), _SIZE, colour=PALE)
    below = sheet.bottom + 10 if caption else 0.0
    for line in caption:
        parts = wrapped(line, WIDTH, 9.5, language=language)
        sheet.text(0, below + 9.5, parts, 9.5, colour=PALE)
        below += 9.5 * 1.3 * len(parts)
    return sheet.drawn(chart.alt, WIDTH)


def png(picture: str, dots: int = 220) -> bytes:
    """A picture as pixels: `dots` to the inch, where it is as wide as the text of a page."""
    return setting.compile(_PAGE, {"picture": picture}, "png", dots)


def _check(trace: Trace) -> None:
    kind, mode = trace.get("type", "scatter"), trace.get("mode", "lines")
    if kind not in _KINDS:
        raise ValueError(f"trace of type {kind!r} cannot be drawn; those that can: {', '.join(_KINDS)}")
    if kind == "scatter" and not set(mode.split("+")) <= _MODES:
        raise ValueError(f"scatter in mode {mode!r} cannot be drawn; {', '.join(sorted(_MODES))} can")
    if trace.get("fill", "toself") != "toself":
        raise ValueError(f"fill {trace['fill']!r} cannot be drawn; 'toself' can")


def _draw(plot: Plot) -> None:
    plot.frame()
    draws = {"bar": _draw_bars, "heatmap": _draw_heat, "scatter": _draw_points}
    for trace in plot.traces:
        draws[trace.get("type", "scatter")](plot, trace, plot.xs[trace.get("xaxis", "x")])
    for note in plot.layout.get("annotations", ()):
        _annotation(plot, note)
    for looks in (trace.get("marker", {}) for trace in plot.traces):
        if looks.get("showscale"):
            _colour_bar(plot, looks)


def _draw_bars(plot: Plot, trace: Trace, x: Axis) -> None:
    flat, language = trace.get("orientation") == "h", plot.sheet.language
    across, along = (plot.y, x) if flat else (x, plot.y)
    paints, told = colours(trace), trace.get("text") or ()
    outside = trace.get("textposition", "none") != "none"
    wide = max((fonts.width(str(s), 10.5, language=language) for s in told), default=1)
    for i, bar in enumerate(plot.placed[id(trace)]):
        if bar is None:
            continue
        low, high, base, end = bar
        a, b, c, d = across.at(low), across.at(high), along.at(base), along.at(end)
        box = (c, a, d, b) if flat else (a, c, b, d)
        if base != end:
            plot.sheet.rectangle(*box, paints[i % len(paints)])
        if not outside or i >= len(told) or not told[i]:
            continue
        back, middle = end < base, (a + b) / 2
        if flat:
            size = min(10.5, abs(b - a) + 2)
            spot = (d - 5 if back else d + 5, middle + size * 0.36)
            plot.sheet.text(*spot, [str(told[i])], size, "end" if back else "start", clear=True)
        else:
            size = max(8.0, min(10.5, 10.5 * (abs(b - a) + 6) / wide))
            plot.sheet.text(
                middle, d + size + 3 if back else d - 4, [str(told[i])], size, "middle", clear=True
            )
    middles = [(across.at((bar[0] + bar[1]) / 2) if bar else None) for bar in plot.placed[id(trace)]]
    _whiskers(plot, trace, "x" if flat else "y", along, middles)


def _whiskers(plot: Plot, trace: Trace, letter: str, axis: Axis, others: Sequence[float | None]) -> None:
    """Intervals with caps, clipped to the plot."""
    error = trace.get(f"error_{letter}")
    if not error:
        return
    colour, thick = error.get("color", INK), float(error.get("thickness", 1.2))
    cap = float(error.get("width", 3)) * 1.2
    shown = [other for other, v in zip(others, trace[letter], strict=True) if axis.value(v) is not None]
    for other, (low, high) in zip(shown, plot.ends(trace, letter, axis), strict=True):
        if other is None or low == high:
            continue
        a, b = axis.at(low), axis.at(high)
        plot.line([(a, other), (b, other)] if letter == "x" else [(other, a), (other, b)], colour, thick)
        for end in (a, b) if cap else ():
            ends = [(end, other - cap), (end, other + cap)]
            if letter == "y":
                ends = [(other - cap, end), (other + cap, end)]
            plot.line(ends, colour, thick)


def _draw_points(plot: Plot, trace: Trace, x: Axis) -> None:
    mode = trace.get("mode", "lines")
    places = [(x.value(a), plot.y.value(b)) for a, b in zip(trace["x"], trace["y"], strict=True)]
    spots = [None if a is None or b is None else (x.at(a), plot.y.at(b)) for a, b in places]
    if "fill" in trace:
        _area(plot, trace, spots)
        return
    _whiskers(plot, trace, "x", x, [spot and spot[1] for spot in spots])
    _whiskers(plot, trace, "y", plot.y, [spot and spot[0] for spot in spots])
    if "lines" in mode:
        run: list[tuple[float, float]] = []
        for spot in [*spots, None]:
            if spot is not None:
                run.append(spot)
            elif not trace.get("connectgaps"):
                plot.line(run, *stroke(trace))
                run = []
        plot.line(run, *stroke(trace))
    told, at = trace.get("text") or (), trace.get("textposition", "top center")
    for i, spot in enumerate(spots):
        if spot is None or not plot.inside(spot):
            continue
        if "markers" in mode:
            marker(plot.sheet, trace, i, *spot)
        if "text" in mode and i < len(told) and told[i]:
            where = at if isinstance(at, str) else at[i]
            side = "start" if "right" in where else "end" if "left" in where else "middle"
            shift = 10 if side == "start" else -10 if side == "end" else 0
            rise = -10 if "top" in where else 10 + SMALL * 0.75 if "bottom" in where else SMALL * 0.36
            plot.sheet.text(spot[0] + shift, spot[1] + rise, [str(told[i])], 10.5, side, clear=True)


def _area(plot: Plot, trace: Trace, spots: Sequence[tuple[float, float] | None]) -> None:
    """Outlines in their colour; a gap parts one from the next."""
    rings: list[list[tuple[float, float]]] = [[]]
    for spot in spots:
        if spot is None:
            rings.append([])
        else:
            rings[-1].append(spot)
    edge, wide, _ = stroke(trace)
    hatch = trace.get("fillpattern", {}).get("fgcolor", "")
    plot.sheet.area([ring for ring in rings if ring], trace["fillcolor"], edge, wide, hatch)


def _colour_bar(plot: Plot, looks: Mapping[str, Any]) -> None:
    """Which colour is which value, below the plot."""
    sheet, given, scale = plot.sheet, looks["colorbar"], _scale(looks["colorscale"])
    long = plot.wide * float(given.get("len", 1))
    left, top, deep = plot.left + (plot.wide - long) / 2, sheet.bottom + 10, float(given["thickness"])
    for i in range(_SHADES):  # each reaches to the end, so that no seam shows between two
        sheet.rectangle(
            left + long * i / _SHADES, top, left + long, top + deep, _between(scale, i / (_SHADES - 1))
        )
    axis = Axis(given, up=False, low=looks["cmin"], high=looks["cmax"], start=left, length=long)
    for value, text in axis.marks():
        at = axis.at(value)
        sheet.line([(at, top + deep), (at, top + deep + 4)], PALE)
        sheet.text(at, top + deep + 5 + SMALL, [text], SMALL, "middle")
    if axis.titled:
        sheet.text(left + long + 12, top + deep / 2 + SMALL * 0.36, [broken(axis.titled)], SMALL, colour=PALE)


def _draw_heat(plot: Plot, trace: Trace, x: Axis) -> None:
    shown = [v for row in trace["z"] for v in map(number, row) if v is not None]
    low = trace.get("zmin", min(shown, default=0.0))
    high = trace.get("zmax", max(shown, default=1.0))
    scale = _scale(trace["colorscale"])
    told, gap = trace.get("text"), float(trace.get("xgap", 0)) / 2
    for j, row in enumerate(trace["z"]):
        for i, value in enumerate(map(number, row)):
            if value is None:
                continue
            part = (value - low) / ((high - low) or 1)
            colour = _between(scale, 1 - part if trace.get("reversescale") else part)
            a, b, c, d = x.at(i - 0.5), x.at(i + 0.5), plot.y.at(j - 0.5), plot.y.at(j + 0.5)
            left, right, top, bottom = min(a, b), max(a, b), min(c, d), max(c, d)
            plot.sheet.rectangle(left + gap, top + gap, right - gap, bottom - gap, colour)
            if told and told[j][i]:
                _within(plot, str(told[j][i]), left, right, (top + bottom) / 2, colour)


def _within(plot: Plot, text: str, left: float, right: float, middle: float, colour: str) -> None:
    """A number in its cell, dark or light as the cell is not."""
    r, g, b = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    ink = "#FFFFFF" if r * 0.299 + g * 0.587 + b * 0.114 < 140 else INK
    lines = wrapped(text, right - left - 6, 10.5, language=plot.sheet.language)
    first = middle + 10.5 * 0.36 - (len(lines) - 1) * 10.5 * 0.65
    plot.sheet.text((left + right) / 2, first, lines, 10.5, "middle", ink)


def _annotation(plot: Plot, note: Mapping[str, Any]) -> None:
    """A label over the plot: its first lines bold where they are marked so."""
    if note.get("showarrow", True) or note.get("xref") != "paper":
        raise ValueError("only annotations without arrow, across the paper, can be drawn")
    lines = broken(str(note["text"])).split("\n")
    y = plot.y.at(float(note["y"]))
    for back, line in enumerate(reversed(lines)):
        plain = html.unescape(re.sub(r"</?b>", "", line))
        place = (plot.left + plot.wide * float(note["x"]), y - 4 - back * 10.5 * 1.35)
        plot.sheet.text(*place, [plain], 10.5, bold="<b>" in line)


def _scale(given: Any) -> list[str]:
    """The stops of a colour scale, evenly spaced."""
    if isinstance(given, list | tuple):
        return [str(stop[1]) for stop in given]
    raise ValueError(f"colour scale {given!r}: not known; add it to draw.py")


def _between(scale: Sequence[str], part: float) -> str:
    """A colour of a scale at a part of its length."""
    at = max(0.0, min(1.0, part)) * (len(scale) - 1)
    low = min(int(at), len(scale) - 2)
    pairs = [(int(scale[low][k : k + 2], 16), int(scale[low + 1][k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * (at - low)):02X}" for a, b in pairs)


def width(picture: str) -> float:
    """Width of a picture in its pixels."""
    found = re.match(r'<svg [^>]*? width="([\d.]+)"', picture)
    return float(found[1]) if found else WIDTH


def height(picture: str) -> float:
    """Height of a picture in its pixels."""
    found = re.match(r'<svg [^>]*? height="([\d.]+)"', picture)
    return float(found[1]) if found else WIDTH

"""The frame of a picture: where bars and points stand, axes with their labels, and the key."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from analytics.report import fonts
from analytics.report.axes import Axis, broken, number, wrapped
from analytics.report.svg import GRID, INK, PALE, Sheet

WIDTH = 640.0
Trace = Mapping[str, Any]
SMALL = 11.0
_SAMPLE = 38.0  # of a line in the key: longer than its longest dashes
_NAMES = 190.0  # widest labels beside a picture
_DASH = {
    "solid": (),
    "dash": (3.5, 2.5),
    "dot": (1, 1.6),
    "dashdot": (3.5, 1.8, 1, 1.8),
    "longdash": (6.5, 2.5),
    "longdashdot": (6.5, 1.8, 1, 1.8),
}


def colours(trace: Trace) -> list[str]:
    """Colours of the bars of a trace: one for all, or one each."""
    colour = trace.get("marker", {}).get("color", INK)
    return [colour] if isinstance(colour, str) else list(colour)


def stroke(trace: Trace) -> tuple[str, float, str]:
    """Colour, width and dashes of a line."""
    line = trace.get("line", {})
    wide = float(line.get("width", 2))
    return (
        line.get("color", INK),
        wide,
        " ".join(f"{part * wide:g}" for part in _DASH[line.get("dash", "solid")]),
    )


def marker(sheet: Sheet, trace: Trace, i: int, x: float, y: float) -> None:
    """The marker of a point."""
    looks = trace.get("marker", {})
    colour = looks.get("color") or trace.get("line", {}).get("color", INK)
    symbol = looks.get("symbol", "circle")
    colour, symbol = (v if isinstance(v, str) else v[i] for v in (colour, symbol))
    edge = float(looks.get("line", {}).get("width", 1.8))
    sheet.mark(x, y, symbol, float(looks.get("size", 7)) * 0.85, colour, min(edge, 2.4))


Point = tuple[float, float]


def _cut(a: Point, b: Point, box: tuple[float, float, float, float]) -> tuple[Point, Point] | None:
    """The part of a stretch that lies in a box."""
    first, last = 0.0, 1.0
    dx, dy = b[0] - a[0], b[1] - a[1]
    left, top, right, bottom = box
    for toward, room in ((-dx, a[0] - left), (dx, right - a[0]), (-dy, a[1] - top), (dy, bottom - a[1])):
        if toward == 0:
            if room < 0:
                return None
        elif toward < 0:
            first = max(first, room / toward)
        else:
            last = min(last, room / toward)
    if first > last:
        return None
    return (a[0] + first * dx, a[1] + first * dy), (a[0] + last * dx, a[1] + last * dy)


class Plot:
    """One figure on a sheet, its top at `top`."""

    def __init__(self, sheet: Sheet, traces: Sequence[Trace], layout: Mapping[str, Any], top: float) -> None:
        self.sheet, self.traces, self.layout, self.top = sheet, traces, layout, top
        self.stacked = layout.get("barmode") == "stack"
        self.y = Axis(layout.get("yaxis", {}), up=True)
        self.xs: dict[str, Axis] = {}
        for trace in traces:
            key = trace.get("xaxis", "x")
            self.xs.setdefault(key, Axis(layout.get("xaxis" + key[1:], {}), up=False))
        self._name(self.y, "y", traces)
        for key, axis in self.xs.items():
            self._name(axis, "x", self._in(key))
        self.placed = {id(trace): list(self._bars(trace)) for trace in traces if trace.get("type") == "bar"}

    def _in(self, key: str) -> list[Trace]:
        return [trace for trace in self.traces if trace.get("xaxis", "x") == key]

    @staticmethod
    def _name(axis: Axis, letter: str, traces: Sequence[Trace]) -> None:
        """Categories in the order in which they come; an axis of names where it says so or holds words."""
        values = [v for trace in traces for v in trace.get(letter, ()) if v is not None]
        if axis.given.get("type") == "category" or any(isinstance(v, str) for v in values):
            axis.categories = list(dict.fromkeys(str(v) for v in values))

    # --- where things stand

    def _bars(self, trace: Trace) -> Iterator[tuple[float, float, float, float] | None]:
        """For every bar its two sides across and its two ends along, in the numbers of its axes."""
        flat = trace.get("orientation") == "h"
        x, key = self.xs[trace.get("xaxis", "x")], trace.get("xaxis", "x")
        across, along = (self.y, trace["x"]) if flat else (x, trace["y"])
        beside = [t for t in self._in(key) if t.get("type") == "bar"]
        rank = next(i for i, other in enumerate(beside) if other is trace)
        slot = 1 - float(self.layout.get("bargap", 0.2))
        if across.categories and not flat:  # few bars are no walls
            most = (50 + 60 * (1 if self.stacked else len(beside))) / (WIDTH - 60)
            slot = min(slot, most * len(across.categories))
        bases = trace.get("base", [0.0] * len(along))
        for i, (place, length) in enumerate(zip(trace["y" if flat else "x"], along, strict=True)):
            middle, size = across.value(place), number(length)
            if middle is None or size is None:
                yield None
                continue
            base = float(bases[i] if isinstance(bases, list | tuple) else bases)
            if self.stacked:
                before = [number(t["x" if flat else "y"][i]) or 0.0 for t in beside[:rank]]
                base += sum(v for v in before if (v < 0) == (size < 0))
                wide = float(trace.get("width", slot))
                low = middle - wide / 2
            else:
                wide = float(trace.get("width", slot / len(beside)))
                low = middle + (rank - len(beside) / 2) * wide
            yield low, low + wide, base, base + size

    def _reach(self, letter: str, traces: Sequence[Trace], axis: Axis) -> Iterator[float]:
        """Every number an axis must show."""
        for trace in traces:
            flat = trace.get("orientation") == "h"
            if trace.get("type") == "bar" and (letter == "x") == flat:
                yield from (end for bar in self.placed[id(trace)] if bar for end in bar[2:])
            elif trace.get("type") == "bar":
                yield from (side for bar in self.placed[id(trace)] if bar for side in bar[:2])
            else:
                yield from (v for v in map(axis.value, trace[letter]) if v is not None)
            for low, high in self.ends(trace, letter, axis):
                yield from (low, high)

    def ends(self, trace: Trace, letter: str, axis: Axis) -> list[tuple[float, float]]:
        """Intervals of the values of a trace; of a value that is not shown an empty one is left out."""
        error = trace.get(f"error_{letter}")
        if not error:
            return []
        up, down = error["array"], error.get("arrayminus", error["array"])
        shown = [(axis.value(v), u, d) for v, u, d in zip(trace[letter], up, down, strict=True)]
        return [(v - (d or 0), v + (u or 0)) for v, u, d in shown if v is not None]

    # --- drawing

    def frame(self) -> None:
        """Keys, axes and their labels; from here on everything has its place."""
        language = self.sheet.language
        self._legend()
        heat = any(t.get("type") == "heatmap" for t in self.traces)
        dots = any("markers" in t.get("mode", "") for t in self.traces)
        self.y.span(list(self._reach("y", self.traces, self.y)), pad=dots)
        for key, axis in self.xs.items():
            axis.span(list(self._reach("x", self._in(key), axis)), pad=dots)
        named = [
            (v, wrapped(text, _NAMES, SMALL, language=language) if self.y.named else [text])
            for v, text in self.y.marks()
        ]
        left = max((fonts.width(s, SMALL, language=language) for _, lines in named for s in lines), default=0)
        left += 8 + (20 if self.y.titled else 0)
        self.left, self.wide = left, WIDTH - left - 10
        above = 0.0
        for axis in self.xs.values():
            domain = axis.given.get("domain", (0, 1))
            axis.start = left + self.wide * float(domain[0])
            axis.length = self.wide * (float(domain[1]) - float(domain[0]))
            if axis.given.get("side") == "top":
                above = max(above, self._below(axis, measure=True) + 6)
        lines = max((len(s) for _, s in named), default=1)
        least = len(self.y.categories) * max(lines * SMALL * 1.3 + 6, 24 if heat else 0)
        told = any("text" in t.get("mode", "") for t in self.traces)
        room = (float(self.layout.get("height", 380)) - 110) * (
            1.0 if told else 0.8
        )  # paper is dearer than a screen
        self.y.start, self.y.length = self.top + above + 8, max(room, least, 90)
        if self.y.given.get("scaleanchor") == "x":
            self._same_scale(self.xs["x"], float(self.y.given.get("scaleratio", 1)))
        self._frame(named)

    def _same_scale(self, x: Axis, ratio: float) -> None:
        """Shorten one of two axes, so that a unit of y is as long as `ratio` units of x."""
        across, up = abs(x.high - x.low), abs(self.y.high - self.y.low) * ratio
        unit = min(x.length / across, self.y.length / up)
        x.start += (x.length - unit * across) / 2
        x.length, self.y.length = unit * across, unit * up

    def _legend(self) -> None:
        """Keys from left to right, on as many rows as they need."""
        shown = [t for t in self.traces if t.get("name") and t.get("showlegend", True)]
        if not self.layout.get("showlegend", len(shown) > 1) or not shown:
            return
        x, y, language = 0.0, self.top + 12, self.sheet.language
        for trace in shown:
            lines = wrapped(
                broken(str(trace["name"])).replace("\n", " "), WIDTH - 40, SMALL, language=language
            )
            wide = max(fonts.width(line, SMALL, language=language) for line in lines)
            bar = trace.get("type") == "bar"
            sample = 12 if bar else _SAMPLE
            if x and x + sample + 6 + wide > WIDTH:
                x, y = 0.0, y + 18
            if bar:
                self.sheet.rectangle(x, y - 9, x + 12, y + 2, colours(trace)[0])
            else:
                if "lines" in trace.get("mode", "lines"):
                    self.sheet.line([(x, y - 4), (x + _SAMPLE, y - 4)], *stroke(trace))
                if "markers" in trace.get("mode", ""):
                    marker(self.sheet, trace, 0, x + _SAMPLE / 2, y - 4)
            self.sheet.text(x + sample + 6, y, lines, SMALL)
            x, y = x + sample + 6 + wide + 18, y + (len(lines) - 1) * SMALL * 1.3
        self.top = y + 10

    def _frame(self, named: Sequence[tuple[float, list[str]]]) -> None:
        """Axes, their labels, and faint lines where values stand."""
        sheet, y = self.sheet, self.y
        top, bottom = y.start, y.start + y.length
        bars = any(t.get("type") == "bar" for t in self.traces)
        for x in self.xs.values():
            left, right = x.start, x.start + x.length
            sheet.reach(left, top, right, bottom)
            for v, lines in named:
                if not y.categories:
                    sheet.line([(left, y.at(v)), (right, y.at(v))], GRID)
                if x is next(iter(self.xs.values())):
                    first = y.at(v) + SMALL * 0.36 - (len(lines) - 1) * SMALL * 0.65
                    sheet.text(left - 8, first, lines, SMALL, "end")
            if not x.categories:
                for v, _ in x.marks():
                    sheet.line([(x.at(v), top), (x.at(v), bottom)], GRID)
            for axis, upright in ((x, True), (y, False)):
                low, high = sorted((axis.low, axis.high))
                shown = axis.visible and not axis.named
                if shown and low <= 0 <= high and (bars or axis.given.get("zeroline") or low == 0):
                    at = axis.at(0.0)
                    sheet.line([(at, top), (at, bottom)] if upright else [(left, at), (right, at)], PALE)
            self._below(x)
        if y.titled and y.visible:
            sheet.text(
                10,
                (top + bottom) / 2,
                [broken(y.titled).replace("\n", " ")],
                SMALL,
                "middle",
                PALE,
                turn=-90,
            )

    def _below(self, x: Axis, measure: bool = False) -> float:
        """Labels of an axis below or above the plot, and its title; returns how deep they are, drawn or only measured."""
        if not x.visible:
            return 0.0
        language, marks, up = self.sheet.language, x.marks(), x.given.get("side") == "top"
        slot = x.length / max(len(x.categories), 1) - 6 if x.named else x.length
        lines = [wrapped(text, slot, SMALL, language=language) for _, text in marks]
        widest = max((fonts.width(s, SMALL, language=language) for part in lines for s in part), default=0)
        turn = -40.0 if x.named and widest > slot + 4 else 0.0
        deep = max(map(len, lines), default=0) * SMALL * 1.3
        if turn:
            deep = widest * 0.7 + SMALL
        if measure:
            return deep
        edge = self.y.start if up else self.y.start + self.y.length
        for (v, text), part in zip(marks, lines, strict=True):
            if turn:
                whole = text.replace("\n", " ")
                self.sheet.text(x.at(v) + 4, edge + SMALL + 3, [whole], SMALL, "end", turn=turn)
            else:
                first = edge - 7 - (len(part) - 1) * SMALL * 1.3 if up else edge + SMALL + 5
                self.sheet.text(x.at(v), first, part, SMALL, "middle")
        if x.titled:
            title = wrapped(broken(x.titled), x.length, SMALL, language=language)
            where = edge - deep - 12 if up else edge + deep + 20
            self.sheet.text(x.start + x.length / 2, where, title, SMALL, "middle", PALE)
        return deep

    # --- what lies in the plot

    def _box(self) -> tuple[float, float, float, float]:
        return self.left, self.y.start, self.left + self.wide, self.y.start + self.y.length

    def inside(self, spot: Point) -> bool:
        """Whether a point lies in the plot."""
        left, top, right, bottom = self._box()
        return left - 1 <= spot[0] <= right + 1 and top - 1 <= spot[1] <= bottom + 1

    def line(self, points: Sequence[Point], colour: str, wide: float, dash: str = "") -> None:
        """A line through points, as far as it lies in the plot."""
        run: list[Point] = []
        for start, end in pairwise(points):
            seen = _cut(start, end, self._box())
            if seen and run and run[-1] == seen[0]:
                run.append(seen[1])
                continue
            if run:
                self.sheet.line(run, colour, wide, dash)
            run = list(seen) if seen else []
        if run:
            self.sheet.line(run, colour, wide, dash)

"""A bureau's own boundary file (GeoJSON, cities by their six-digit code) and values drawn on it: filled outlines, no tiles, nothing
fetched. No boundary comes with the program."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analytics.figures import charts, tables, words
from analytics.figures.words import say, t
from analytics.release import Released

LARGEST = 12_000_000  # bytes of a file
POINTS = 80_000  # corners that can be drawn quickly
TRIANGLE = 3  # corners of the least ring there is
CODES = ("gb", "adcode", "code")  # properties looked for, in this order
_APPROVED = ("审图号", "approval_number", "approval", "gs")
NAMED = 25  # so many cities have room for their names
_NOTHING, _HATCH, _EDGE = "#DDE1E6", "#9AA5B1", "#FFFFFF"
# Dark to light.
_SCALE = (
    "#00204C",
    "#123570",
    "#3B496C",
    "#575D6D",
    "#707173",
    "#8A8678",
    "#A59C74",
    "#C3B369",
    "#E1CC55",
    "#FFE945",
)

Ring = list[tuple[float, float]]


class Unusable(ValueError):
    """A boundary file that cannot be drawn; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Outline:
    """A place of the file: its code, and its rings."""

    code: str
    name: str
    rings: tuple[Ring, ...]


@dataclass(frozen=True)
class Territory:
    """The outlines of a file, the property that told their codes, and its approval number, where the file says it."""

    outlines: tuple[Outline, ...]
    named_by: str
    approval: str = ""


def read(content: bytes, named_by: str = "") -> Territory:
    """The outlines of a GeoJSON; `named_by`: the property with the code, looked for unless given. Raises Unusable."""
    if len(content) > LARGEST:
        raise Unusable(t("map.too_large", most=f"{LARGEST // 1_000_000}"))
    try:
        whole = json.loads(content.decode("utf-8-sig"))
        features = whole["features"]
        rows = [(dict(f["properties"] or {}), list(_rings(f["geometry"]))) for f in features]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise Unusable(t("map.broken", why=words.plain(f"{type(error).__name__} {error}"[:120]))) from error
    corners = sum(len(ring) for _, rings in rows for ring in rings)
    if corners > POINTS:
        raise Unusable(t("map.too_fine", n=f"{corners:,}", most=f"{POINTS:,}"))
    key = _property([properties for properties, _ in rows], named_by)
    outlines = [
        Outline(_code(properties.get(key)), str(properties.get("name", "")), tuple(rings))
        for properties, rings in rows
        if rings
    ]
    return Territory(tuple(o for o in outlines if o.code), key, _approval([whole, *(p for p, _ in rows)]))


def _rings(geometry: Mapping[str, Any] | None) -> Iterator[Ring]:
    """The rings of a polygon or of several that have an inside; other shapes have none. Raises ValueError for what is no place on earth."""
    if geometry is None or geometry["type"] not in ("Polygon", "MultiPolygon"):
        return
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    for part in parts:
        for ring in part:
            corners = [(float(point[0]), float(point[1])) for point in ring]
            if not all(abs(x) <= 180 and abs(y) <= 90 for x, y in corners):
                raise ValueError("coordinates must be degrees (WGS84 or CGCS2000)")
            if len(corners) >= TRIANGLE:
                yield corners


def _property(rows: list[dict[str, Any]], wanted: str) -> str:
    for name in (wanted,) if wanted else CODES:
        if any(_code(row.get(name)) for row in rows):
            return name
    looked = words.listing([wanted] if wanted else list(CODES))
    raise Unusable(t("map.no_code", names=words.plain(looked)))


def _code(value: object) -> str:
    """A six-digit code; that of the country may stand in front of it (156440400)."""
    text = str(value if value is not None else "").strip().removesuffix(".0")
    text = text.removeprefix("156") if len(text) == 9 else text
    return text if len(text) == 6 and text.isdigit() else ""


def _approval(rows: list[dict[str, Any]]) -> str:
    return next((str(row[name]).strip() for name in _APPROVED for row in rows if row.get(name)), "")


def draw(territory: Territory, released: Released, file: str = "") -> charts.Chart:
    """A value for each city, dark where the table of cities and years is; what has no value is grey. The answer is by city;
    `file`: the name of the file, which the chart tells with its approval number."""
    rows = {str(r["city"]): r for r in released.table.iter_rows(named=True)}
    known = {o.code for o in territory.outlines}
    values, _, axis = charts.readings(list(rows.values()), released)
    shown = {code: v for code, v in zip(rows, values, strict=True) if v is not None and code in known}
    if not shown:
        raise Unusable(t("map.no_match", name=words.plain(territory.named_by)))
    low, high = min(shown.values()), max(shown.values())
    colours = _SCALE if released.measure.better == "higher" else _SCALE[::-1]
    data: list[dict[str, Any]] = []
    labels: list[tuple[Outline, str, str]] = []
    # the largest first, so that a place inside another is drawn upon it
    for outline in sorted(territory.outlines, key=lambda o: -sum(abs(_area(r)) for r in o.rings)):
        row = rows.get(outline.code)
        value = shown.get(outline.code)
        told = tables.cell(row, released.measure.unit, t("cell.no_data"))
        name = words.city(outline.code) if row is not None else outline.name or outline.code
        colour = _NOTHING if value is None else _blend(value, low, high, colours)
        data.append(_filled(outline, f"{name} {told}", colour, value is None))
        labels.append((outline, name, colour))
    if len(shown) <= NAMED:
        data.append(_names([label for label in labels if label[0].code in rows]))
    data.append(_scale(low, high, colours, axis))
    corners = [point for outline in territory.outlines for ring in outline.rings for point in ring]
    west, east = min(x for x, _ in corners), max(x for x, _ in corners)
    south, north = min(y for _, y in corners), max(y for _, y in corners)
    pad = max(east - west, north - south) * 0.03 or 1
    bare: dict[str, Any] = {"visible": False, "fixedrange": False}
    layout = charts.canvas(
        height=520,
        showlegend=False,
        hovermode="closest",
        xaxis={**bare, "range": [west - pad, east + pad], "constrain": "domain"},
        yaxis={
            **bare,
            "range": [south - pad, north + pad],
            "scaleanchor": "x",
            "scaleratio": 1 / max(math.cos(math.radians((south + north) / 2)), 0.1),
        },
    )
    gaps = sum(code in known and row["status"] != "shown" for code, row in rows.items())
    alt = t("map.alt", measure=say(released.measure.title))
    darker = t("compare.darker" if released.measure.better == "none" else "compare.darker_worse")
    approval = territory.approval
    stated = t("map.approval", number=approval) if approval else t("map.no_approval")
    below = (darker, t("map.note", file=file) + stated)
    return charts.Chart({"data": data, "layout": layout}, alt, gaps, below)


def _filled(outline: Outline, told: str, colour: str, is_empty: bool) -> dict[str, Any]:
    """An outline in its colour; without a value hatched, so that no colour of the scale can be taken for it."""
    x: list[float | None] = []
    y: list[float | None] = []
    for ring in outline.rings:
        x += [*(px for px, _ in ring), None]
        y += [*(py for _, py in ring), None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x[:-1],
        "y": y[:-1],
        "fill": "toself",
        "fillcolor": colour,
        **(
            {"fillpattern": {"shape": "/", "fgcolor": _HATCH, "bgcolor": colour, "size": 6}}
            if is_empty
            else {}
        ),
        "line": {"color": _EDGE, "width": 1},
        "hoveron": "fills",
        "hoverinfo": "text",
        "text": told,
        "name": told,
    }


def _names(labels: list[tuple[Outline, str, str]]) -> dict[str, Any]:
    """The names of the cities, each in the middle of its largest ring, dark on light and light on dark."""
    rings = [max(outline.rings, key=lambda ring: abs(_area(ring))) for outline, _, _ in labels]
    middles = [[(min(values) + max(values)) / 2 for values in zip(*ring, strict=True)] for ring in rings]
    return {
        "type": "scatter",
        "mode": "text",
        "x": [x for x, _ in middles],
        "y": [y for _, y in middles],
        "text": [name for _, name, _ in labels],
        "textposition": "middle center",
        "textfont": {"size": 12, "color": ["#FFFFFF" if _is_dark(c) else "#1B2733" for _, _, c in labels]},
        "hoverinfo": "skip",
    }


def _is_dark(colour: str) -> bool:
    """Whether white reads better on a colour than dark text, by relative luminance."""
    linear: list[float] = [(int(colour[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < 0.22


def _scale(low: float, high: float, colours: tuple[str, ...], axis: Mapping[str, Any]) -> dict[str, Any]:
    """The bar that says which colour is which value."""
    steps = [[i / (len(colours) - 1), colour] for i, colour in enumerate(colours)]
    title = {"title": axis["title"]} if "title" in axis else {}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [None],
        "y": [None],
        "hoverinfo": "skip",
        "marker": {
            "color": [low],
            "cmin": low,
            "cmax": high if high > low else low + 1,
            "colorscale": steps,
            "showscale": True,
            "colorbar": {
                **title,
                "orientation": "h",
                "thickness": 12,
                "len": 0.6,
                "y": -0.02,
                "yanchor": "top",
                "tickformat": axis.get("tickformat", ""),
                "nticks": 5,
            },
        },
    }


def _blend(value: float, low: float, high: float, colours: tuple[str, ...]) -> str:
    """The colour of a value between the two ends of a scale."""
    place = (value - low) / (high - low) * (len(colours) - 1) if high > low else 0.0
    first = min(int(place), len(colours) - 2)
    part = place - first
    ends = [[int(colours[i][at : at + 2], 16) for at in (1, 3, 5)] for i in (first, first + 1)]
    mixed = (round(a + (b - a) * part) for a, b in zip(*ends, strict=True))
    return "#" + "".join(f"{channel:02X}" for channel in mixed)


def _area(ring: Ring) -> float:
    pairs = zip(ring, ring[1:] + ring[:1], strict=True)
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs) / 2

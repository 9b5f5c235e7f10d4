"""The picture of the books: one bar per delivery, where its rows or its money are, and a lens on what is not loaded."""

import html
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from analytics.figures import formats, words
from analytics.figures.charts import Chart, canvas, plain_axis
from analytics.figures.words import t
from analytics.view import ledger

Delivery = Mapping[str, Any]
COUNTED = ("rows", "yuan")
COLOURS = {
    "loaded": "#00639C",
    "corrected": "#56B4E9",
    "fixed": "#009E73",
    "dropped": "#8B6F00",
    "set_aside": "#B4BEC8",
    "open": "#D55E00",
}
HELD = ("fixed", "dropped", "set_aside", "open")
_BARS = 10  # more deliveries than this: the rest, where nothing waits longest, in one bar
_FEW = 5  # so few rows that an axis would show halves of them
_NAME = 48  # halves of a Chinese character that fit on a phone


def picture(deliveries: Sequence[Delivery], counted: str) -> Chart:
    """One bar per delivery: shares of what came, and beside it how much of it is not loaded.

    `counted`: rows or yuan (deliveries without money are left out).
    """
    bars = _bars(deliveries, counted)
    every = [parts for _, parts in bars]
    held = max((sum(abs(parts[k]) for k in HELD) for parts in every), default=0.0)
    scale = formats.scale([held], words.money_unit(), words.language())
    unit = scale.yuan if counted == "yuan" else 1
    data: list[dict[str, Any]] = []
    for part, colour in COLOURS.items():
        if not any(parts[part] for parts in every):
            continue
        trace = {
            "type": "bar",
            "orientation": "h",
            "name": t(f"place_of.{part}"),
            "x": [_share(parts, part) for parts in every],
            "y": list(range(len(bars))),
            "width": 0.3,
            "marker": {"color": colour},
            "customdata": [_amount(parts[part], counted) for parts in every],
            "hovertemplate": "%{fullData.name} %{customdata}<extra></extra>",
        }
        data.append(trace)
        if part in HELD:
            lens = [abs(parts[part]) / unit for parts in every]
            data.append({**trace, "x": lens, "xaxis": "x2", "showlegend": False})
    whole = plain_axis(domain=[0, 0.46] if held else [0, 1], range=[0, 1.02], tickformat=".0%", nticks=4)
    axes: dict[str, Any] = {"xaxis": {**whole, "title": {"text": t("books.all")}}}
    if held:
        name = scale.name(words.language()) if counted == "yuan" else t("books.unit")
        axes["xaxis2"] = plain_axis(
            domain=[0.54, 1],
            range=[0, held / unit * 1.02],
            tickformat=",~r",
            **({"dtick": 1} if counted == "rows" and held < _FEW else {"nticks": 4}),
            title={"text": t("books.lens", unit=name)},
        )
    layout = canvas(
        barmode="stack",
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        height=120 + 68 * len(bars),
        yaxis={"visible": False, "range": [len(bars) - 0.6, -0.8]},
        annotations=[_label(i, name, parts, counted) for i, (name, parts) in enumerate(bars)],
        **axes,
    )
    alt = t("books.alt", lines="; ".join(f"{name}: {_line(parts, counted)}" for name, parts in bars))
    return Chart({"data": data if bars else [], "layout": layout}, alt)


def _bars(deliveries: Sequence[Delivery], counted: str) -> list[tuple[str, dict[str, float]]]:
    every = [(ledger.name(d), ledger.places(d, counted)) for d in ledger.by_need(deliveries)]
    known = [(name, parts) for name, parts in every if parts]
    shown, rest = known[:_BARS], known[_BARS:]
    if len(rest) > 1:
        together = {part: sum(parts[part] for _, parts in rest) for part in COLOURS}
        return [*shown, (t("books.rest", n=len(rest)), together)]
    return known


def _share(parts: Mapping[str, float], part: str) -> float:
    """Length of a part of a bar. Money of refunds is negative; a bar is as long as what moved."""
    whole = sum(abs(v) for v in parts.values())
    return abs(parts[part]) / whole if whole else 0.0


def _amount(value: float, counted: str, beside: Iterable[float] = ()) -> str:
    """`beside`: sums of money that stand in one line with it."""
    if counted == "yuan":
        by = formats.common([value, *beside], words.money_unit(), words.language())
        return formats.money(value, words.language(), by=by)
    return t("books.row") if value == 1 else t("books.rows", n=formats.count(value))


def _line(parts: Mapping[str, float], counted: str) -> str:
    """What came, and what of it did not load as it came."""
    every = [sum(parts.values()), *(v for part, v in parts.items() if part != "loaded")]
    told = [_amount(every[0], counted, every)]
    for part, value in parts.items():
        if value and part != "loaded":
            amount = _amount(value, counted, every) if counted == "yuan" else formats.count(value)
            told.append(f"{t(f'place_of.{part}')} {amount}")
    return " · ".join(told)


def _short(name: str) -> str:
    wide = [1 + (unicodedata.east_asian_width(c) in "WF") for c in name]
    fits = sum(total <= _NAME for total in accumulate(wide))
    return name if fits == len(name) else name[:fits] + "…"


def _label(position: int, name: str, parts: Mapping[str, float], counted: str) -> dict[str, Any]:
    return {
        "text": f"<b>{html.escape(_short(name))}</b><br>{html.escape(_line(parts, counted))}",
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "y": position - 0.2,
        "yanchor": "bottom",
        "align": "left",
        "showarrow": False,
    }

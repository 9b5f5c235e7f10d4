"""Published figures beside ours in words: tables by place, targets with their verdict, pairs of dots."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from analytics.desk.benchmarks import METHODS, Figure, Place, Row
from analytics.figures import charts, names, words
from analytics.figures import published as printed
from analytics.figures.words import say, t
from analytics.measures import Measure, measures
from analytics.reference import SourceClass
from analytics.release import Released
from analytics.view import asking, controls

published, ours, apart, amount = printed.published, printed.ours, printed.apart, printed.amount
KINDS = (*METHODS, "unknown")
_LINE, _PUBLISHED, _OURS = "#8A93A0", "#D55E00", "#00639C"


def place() -> str:
    """The place looked at, or `all`."""
    known = asking.published()
    return controls.one("place", ["all", *known], lambda code: _place(known, code))


def _place(known: dict[str, Place], code: str) -> str:
    return t("beside.everywhere") if code == "all" else say(known[code].place)


def rows(chosen: str) -> list[Row]:
    """The figures of a place, or of all."""
    return [row for row in asking.benchmarks() if chosen in ("all", row.place)]


def by_place(found: Sequence[Row]) -> dict[str, list[Row]]:
    """Figures by the name of their place."""
    known, groups = asking.published(), dict[str, list[Row]]()
    for row in found:
        groups.setdefault(say(known[row.place].place), []).append(row)
    return groups


def computed(found: Sequence[Row]) -> list[Row]:
    """Those with an answer of ours, shown or protected."""
    return [row for row in found if row.answer is not None]


def drawn(found: Sequence[Row]) -> list[Row]:
    """Those a pair of dots can show: shares with an answer."""
    return [row for row in found if row.value is not None and row.figure.unit in ("percent", "points")]


def judged(found: Sequence[Row], verdicts: Sequence[str]) -> list[Row]:
    """Targets with one of these verdicts, in order of their number."""
    kept = [row for row in found if row.verdict in verdicts]
    return sorted(kept, key=lambda row: int(row.figure.target.id[1:]) if row.figure.target else 0)


def count(found: Sequence[Row]) -> dict[str, int]:
    """How many there are of each: figures, places, computed, and verdicts."""
    told = {name: len(judged(found, [name])) for name in ("pass", "fail", "not_applicable")}
    return {"figures": len(found), "places": len(by_place(found)), "computed": len(computed(found)), **told}


def answers(found: Sequence[Row]) -> list[Released]:
    """The answers of ours, in order."""
    return [row.answer for row in found if row.answer is not None]


def titles(found: Sequence[Row]) -> list[str]:
    """What the drawer calls each answer."""
    return [_name(row) for row in found if row.answer is not None]


def of_method(found: Sequence[Row], method: str) -> list[Row]:
    """Figures of burden reduction under one definition."""
    return [row for row in found if row.figure.method == method]


def formula(method: str) -> Measure | None:
    """The measure of a definition of burden reduction, None for an unknown one."""
    return measures()[METHODS[method]] if method in METHODS else None


def three() -> tuple[list[Released], list[str]]:
    """Burden reduction by the city product in the newest year held, under each of the three definitions, and the cities;
    nothing where the store cannot tell."""
    year = str(max(year for _, year in asking.desk().places))
    where = {"tier": ["inclusive"], "plan_year": [year]}
    try:
        told = [asking.ask(m, ["city", "tier"], where) for m in METHODS.values()]
    except asking.Unanswered:
        return [], []
    return told, names.ordered("city", told[0].table["city"])


def table(found: Sequence[Row]) -> pl.DataFrame:
    """One line per figure: what it is, by which definition and source, what was published, ours and how they differ."""
    return pl.DataFrame(
        [
            {
                t("beside.figure"): _about(row),
                t("beside.published"): published(row.figure),
                t("beside.ours"): _beside(row),
            }
            for row in found
        ]
    )


def targets(found: Sequence[Row]) -> pl.DataFrame:
    """One line per target: what must be met, how near, and whether it is."""
    return pl.DataFrame(
        [
            {
                t(
                    "beside.target"
                ): f"**{row.figure.target.id if row.figure.target else ''}** {tolerance(row.figure)}  \n{_plain(_name(row))}",
                t("beside.published"): published(row.figure),
                t("beside.ours"): _beside(row),
                t("beside.verdict"): f"**{t(f'verdict.{row.verdict}')}**",
            }
            for row in found
        ]
    )


def _beside(row: Row) -> str:
    """Ours, and below it the difference."""
    if row.apart is None:
        return ours(row)
    told = apart(row) if printed.inside(row) else t("beside.apart", apart=apart(row))
    return f"{ours(row)}  \n{told}"


def tolerance(figure: Figure) -> str:
    """How near ours must come, in words."""
    if figure.target is None:
        return ""
    size = figure.target.tolerance
    if size.endswith(" points"):
        return t("tolerance.points", size=size.removesuffix(" points"))
    return t(f"tolerance.{size}") if size in ("exact", "display") else f"±{size.replace(' ', '')}"


def source(text: str, source_class: SourceClass | str) -> str:
    """A source as a link where it has an address, and its class in words."""
    title, _, url = text.rpartition(" http")
    said = _plain(words.either(title or text))
    return (f"[{said}](http{url})" if title else said) + f" · {t(f'class.{source_class}')}"


def pairs(found: Sequence[Row]) -> charts.Chart:
    """For every share, the published value (open diamond) and ours (filled circle) on one line."""
    labels = [_short(row) for row in found]
    ends: list[tuple[str, list[float], dict[str, Any]]] = [
        (
            t("beside.ours"),
            [float(r.value) for r in found if r.value is not None],
            {"size": 11, "symbol": "circle", "color": _OURS},
        ),
        (
            t("beside.published"),
            [float(r.figure.value) for r in found],
            {
                "size": 15,
                "symbol": "diamond-open",
                "color": _PUBLISHED,
                "line": {"width": 2, "color": _PUBLISHED},
            },
        ),
    ]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x for pair in zip(ends[0][1], ends[1][1], strict=True) for x in (*pair, None)],
            "y": [y for label in labels for y in (label, label, None)],
            "line": {"color": _LINE, "width": 2},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]
    for name, values, marker in ends:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": values,
                "y": labels,
                "marker": marker,
                "hovertemplate": "%{y}: %{x:.2f}<extra>" + name + "</extra>",
            }
        )
    layout = charts.canvas(
        height=120 + 36 * len(found),
        showlegend=True,
        xaxis=charts.plain_axis(title={"text": t("beside.axis")}, rangemode="tozero"),
        yaxis=charts.plain_axis(type="category", autorange="reversed"),
    )
    told = "; ".join(f"{_name(row)}: {published(row.figure)} / {ours(row)}" for row in found)
    return charts.Chart({"data": data, "layout": layout}, t("beside.alt", pairs=told))


def _title(figure: Figure) -> str:
    return figure.zh if words.language() == "zh" else figure.en


def _name(row: Row) -> str:
    return f"{_title(row.figure)} ({say(row.figure.period)})"


def _short(row: Row) -> str:
    """A label of the axis, broken where it is long."""
    title = _title(row.figure)
    half = title.find(" ", len(title) // 2) if words.language() == "en" else -1
    if half < 0 and len(title) > 14:
        half = len(title) // 2
    text = f"{title[:half]}<br>{title[half:].strip()}" if half > 0 and len(title) > 14 else title
    return f"{text} {say(row.figure.period)}"


def _about(row: Row) -> str:
    """What a figure is, and whatever must be known to read it, line by line."""
    figure = row.figure
    parts = [
        f"**{_plain(_title(figure))}**",
        f"{_plain(say(figure.period))} · {_plain(say(figure.scope))}",
        (f"{t(f'method.{figure.method}')}{t('explain.semicolon')}" if figure.method else "")
        + _plain(say(figure.definition)),
    ]
    for key, text in (("derived", figure.derived), ("note", figure.note), ("differs", figure.differs)):
        if text:
            parts.append(f"{t(f'beside.{key}')}{_plain(say(text))}")
    if figure.not_computed or row.reason:
        why = say(figure.not_computed) if figure.not_computed else row.reason
        parts.append(f"{t('beside.why')}{_plain(why)}")
    parts.append(t("beside.source") + source(figure.source, figure.source_class))
    return "  \n".join(parts)


def _plain(text: str) -> str:
    return words.plain(text)

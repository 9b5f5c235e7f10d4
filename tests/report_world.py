"""Documents to render: one of real released answers, and one of everything that could go wrong in a file."""

from pathlib import Path
from typing import Any

from analytics.desk.answer import Desk
from analytics.figures import charts, formats, names, words
from analytics.figures.charts import Chart
from analytics.figures.words import t
from analytics.release import Released
from analytics.report.document import Cell, Document, Picture, Section, Table, Text

CITY, YEAR = "440400", "2023"
HERE = {"city": [CITY], "plan_year": [YEAR]}
RARE = "浉䢺崾峁㙍𣲗𬇙"
HOSTILE = (
    '#import "evil.typ": *', "$x^2$ @ref <label> *bold* _em_ `raw` ~ // no comment", "\\ \\n \\u{41} \"quoted\" 'single'",
    "=1+1", "+2", "-3", "@SUM(A1)", "=HYPERLINK(\"file:///x\")", "<script>alert(1)</script>", "</td></table>&lt;b&gt; ]]>",
    "&CBig &P {page} {0} %s", "http://example.invalid/x", "[link](javascript:x)", RARE,
)  # fmt: skip


def _cell(row: dict[str, Any], unit: str) -> Cell:
    if row["status"] != "shown":
        return Cell(t(f"cell.{row['status']}"))
    text = formats.value(row["value"], unit, words.language(), words.money_unit())
    return Cell(text, row["value"], unit)


def table(released: Released, title: str, note: str = "") -> Table:
    """An answer by one dimension: its value, and n."""
    (by,) = released.by
    rows = tuple(
        (
            Cell(names.member(by, row[by])),
            _cell(row, released.measure.unit),
            Cell(formats.count(row["n"]), row["n"], "count")
            if row["status"] == "shown"
            else Cell(t("cell.hidden")),
        )
        for row in released.table.to_dicts()
    )
    return Table(title, (names.dimension(by), title, "n"), rows, note)


def real(store: Path, language: str) -> Document:
    """A short report of the sample store."""
    desk = Desk.open(store)
    with words.reading(language):
        order = desk.order(CITY, int(YEAR))
        before, after, paid = (
            desk.ask(measure, ["tier"], HERE)
            for measure in ("own_share_before", "own_share_after", "tier_share")
        )
        left = [tier for tier in order if tier in set(after.table["tier"])]
        group = desk.ask("catastrophic_headcount", ["person_group"], HERE)
        cost = desk.ask("own_burden_mean", ["city"], {"plan_year": [YEAR]})
        years = desk.ask("own_share_after", ["plan_year", "city"], {})
        fallen = Table(
            "Fall",
            (names.dimension("tier"), "taken", "left"),
            tuple(
                (Cell(names.member("tier", p["tier"])), _cell(p, "share"), _cell(a, "share"))
                for p, a in zip(paid.table.to_dicts(), after.table.to_dicts(), strict=True)
            ),
        )
        sections = (
            Section(
                "结论" if language == "zh" else "Findings",
                (Text("每 100 元费用。"), table(cost, "均值", "一条注。")),
            ),
            Section(
                "图" if language == "zh" else "Pictures",
                (
                    Picture("去向", charts.fall(before, after, paid, left), fallen, "fall", "图注。"),
                    Picture(
                        "人群", charts.bars(group, "person_group", flat=True), table(group, "占比"), "bars"
                    ),
                    Picture(
                        "历年", charts.lines(years, "plan_year", "city"), table(cost, "均值 2"), "columns"
                    ),
                    Picture("格", charts.heat(years, "plan_year", "city"), table(cost, "均值 3")),
                ),
            ),
        )
        return Document(
            "减负报告" if language == "zh" else "Burden reduction",
            "珠海 2023",
            language,
            sections,
            (("快照", desk.snapshot_id), ("引用", "减负，2023")),
            "合成数据" if language == "zh" else "Synthetic data",
            ("减负", "2023"),
        )


def bars() -> Chart:
    """Two bars and a gap between them."""
    trace = {
        "type": "bar",
        "orientation": "v",
        "x": ["甲", "乙", "丙"],
        "y": [0.2, None, 0.4],
        "text": ["20%", "", "40%"],
        "textposition": "outside",
        "marker": {"color": "#123456"},
    }
    layout = {"xaxis": {"type": "category"}, "yaxis": {"tickformat": ".0%"}}
    return Chart({"data": [trace], "layout": layout}, "甲 20%，丙 40%", 1)


def hostile() -> Document:
    """Markup of every kind as text, words that do not end, tables wider than paper, characters that are none."""
    wide = Table(
        "很宽的表",
        ("名称", *(f"第 {n} 列的一个相当长的名称" for n in range(40))),
        tuple((Cell(f"行 {r}"), *(Cell(f"{r}{n:02d}.5", r * 100 + n + 0.5, "count") for n in range(40))) for r in (1, 2)),
    )  # fmt: skip
    odd = Table(
        HOSTILE[0],
        ("#x", *HOSTILE[3:6]),
        (
            *((Cell(text), Cell(text), Cell("受保护"), Cell("<0.1%", 0.0003, "share")) for text in HOSTILE),
            (Cell("长" * 300), Cell("w" * 300), Cell("+1.2 个百分点", 0.012, "points"), Cell("-5 天", -5.0, "days")),
        ),
        HOSTILE[8],
    )  # fmt: skip
    long = Table("长表", ("名称", "值"), tuple((Cell(f"第 {n} 行"), Cell(str(n), float(n), "count")) for n in range(90)))  # fmt: skip
    blocks = (*map(Text, HOSTILE), odd, wide, long, Picture(HOSTILE[8], bars(), odd, "columns", HOSTILE[1]))
    sections = (
        Section(HOSTILE[8], blocks),
        *(
            Section("[同名]:*?/\\ 的一个名称，长过三十一个字，非常非常非常非常之长", (Text("文"),))
            for _ in range(2)
        ),
    )
    return Document(HOSTILE[8], HOSTILE[1], "zh", sections, tuple((h, h) for h in HOSTILE), HOSTILE[10])

"""A report as an Excel workbook: tables as numbers, charts that Excel draws itself from them."""

import io
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import xlsxwriter

from analytics.figures.formats import NOTHING
from analytics.figures.words import t
from analytics.report import draw, paging
from analytics.report.document import Cell, Document, Picture, Table, Text
from analytics.report.paging import Piece

_INK, _PALE, _ALARM = "#1F2933", "#52606D", "#A33A00"
_LOOKS: dict[str, dict[str, Any]] = {
    "title": {"bold": True, "font_size": 18},
    "subtitle": {"font_color": _PALE, "font_size": 12},
    "warning": {"bold": True, "font_color": _ALARM, "text_wrap": True, "valign": "top"},
    "heading": {"bold": True, "font_size": 14},
    "caption": {"bold": True},
    "text": {"text_wrap": True, "valign": "top"},
    "note": {"text_wrap": True, "valign": "top", "font_color": _PALE, "font_size": 9},
    "head": {"bold": True, "text_wrap": True, "valign": "bottom", "top": 2, "bottom": 1},
    "number_head": {"bold": True, "text_wrap": True, "valign": "bottom", "align": "right", "top": 2, "bottom": 1},
    "cell": {"text_wrap": True, "valign": "vcenter", "bottom": 4, "bottom_color": "#DDE2E8"},
    "muted": {"align": "right", "valign": "vcenter", "font_color": _PALE, "bottom": 4, "bottom_color": "#DDE2E8"},
    "link": {"font_color": "#00639C", "underline": 1},
}  # fmt: skip
_WIDEST, _LEAST, _ROW = 44, 9, 20  # characters of a column; pixels of a row
_LINE = 110  # letters of a line of text, about
_PAIR = (22, 90)  # widths of a table of names and contents
_TALL = 18  # rows of a chart
_COLOURS = ("#00639C", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8B6F00", "#7F7F7F")
_DASHES = ("solid", "dash", "round_dot", "dash_dot", "long_dash", "long_dash_dot")
_KINDS = {"columns": "column", "bars": "bar", "lines": "line", "fall": "column"}


def xlsx(document: Document) -> bytes:
    """The file; the same bytes for the same document. No text in it is ever a formula or a link."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(
        file,
        {
            "in_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    book.set_properties(
        {
            "title": document.title,
            "subject": document.subtitle,
            "keywords": ", ".join(document.keywords),
            "comments": document.warning,
            "created": datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None),
        }
    )
    _Writer(book, document).write()
    book.close()
    return file.getvalue()


def wide(text: str) -> int:
    """How many letters wide a text is; a Chinese character counts two."""
    lines = text.split("\n")
    return max(sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in line) for line in lines)


class _Writer:
    """One workbook: the formats it has used, and the sheet on which charts with gaps keep their numbers."""

    def __init__(self, book: Any, document: Document) -> None:
        self.book, self.document = book, document
        self.looks = {name: book.add_format({"font_color": _INK, **look}) for name, look in _LOOKS.items()}
        self.numbers: dict[str, Any] = {}
        self.names: set[str] = set()
        self.behind: Any = None
        self.behind_row = 0

    def write(self) -> None:
        document = self.document
        parts = paging.parts(document)
        first = self._sheet(t("file.summary"))
        names = [self._name(part.heading) for part in parts]
        last = self._name(t("file.notes"))
        self._summary(first, [*zip((p.heading for p in parts), names, strict=True), (t("file.notes"), last)])
        for part, name in zip(parts, names, strict=True):
            self._section(self._sheet(name, taken=True), part)
        self._facts(self._sheet(last, taken=True))

    # --- sheets

    def _name(self, wanted: str) -> str:
        """A name no other sheet has, of at most 31 letters, without what Excel forbids."""
        plain = re.sub(r"[\[\]:*?/\\\x00-\x1f]", " ", wanted).strip(" '") or "-"
        for n in range(1, 1000):
            tail = "" if n == 1 else f" ({n})"
            name = plain
            while len((name + tail).encode("utf-16-le")) // 2 > 31:
                name = name[:-1].rstrip(" '")
            if (name + tail).casefold() not in self.names and name.casefold() != "history":
                self.names.add((name + tail).casefold())
                return name + tail
        raise ValueError(f"{wanted!r}: a thousand sheets have this name")

    def _sheet(self, name: str, taken: bool = False) -> Any:
        sheet = self.book.add_worksheet(name if taken else self._name(name))
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.hide_gridlines(2)
        if self.document.warning:
            sheet.set_header("&C&9" + self.document.warning.replace("&", "&&")[:200])
        pages = t("file.page", page="&P", pages="&N")
        sheet.set_footer(f"&C&9{pages}")
        return sheet

    def _summary(self, sheet: Any, sheets: Sequence[tuple[str, str]]) -> None:
        document = self.document
        for i, letters in enumerate(_PAIR):
            sheet.set_column(i, i, letters)
        row = self._line(sheet, 0, document.title, "title")
        row = self._line(sheet, row, document.subtitle, "subtitle")
        if document.warning:
            row = self._line(sheet, row, document.warning, "warning", _PAIR)
        row += 1
        for block in document.sections[0].blocks if document.sections else ():
            if isinstance(block, Text):
                row = self._line(sheet, row, block.text, "text", _PAIR)
        row = self._line(sheet, row + 1, t("file.contents"), "caption")
        for heading, name in sheets:
            quoted = name.replace("'", "''")
            sheet.write_url(row, 0, f"internal:'{quoted}'!A1", self.looks["link"], heading)
            row += 1
        row += 1
        self._table(sheet, row, paging.facts(document), t("file.facts"), _PAIR)

    def _facts(self, sheet: Any) -> None:
        for i, letters in enumerate(_PAIR):
            sheet.set_column(i, i, letters)
        row = self._line(sheet, 0, t("file.notes"), "heading")
        row = self._line(sheet, row, t("file.read"), "text", _PAIR)
        self._table(sheet, row + 1, paging.facts(self.document), "", _PAIR)

    def _section(self, sheet: Any, part: paging.Part) -> None:
        part = replace(part, pieces=tuple(map(_spread, part.pieces)))
        tables = [p.block for p in part.pieces if isinstance(p.block, Table)]
        tables += [p.block.table for p in part.pieces if isinstance(p.block, Picture)]
        widths = self._columns(sheet, tables)
        row = self._line(sheet, 0, part.heading, "heading")
        heads = []
        for piece in part.pieces:
            block = piece.block
            if isinstance(block, Text):
                row = self._line(sheet, row, block.text, "text", widths)
            elif isinstance(block, Table):
                heads.append(row + 2)
                row = self._table(sheet, row + 1, block, piece.caption, widths)
            else:
                row = self._picture(sheet, row + 1, piece, block, widths)
        whole = len(heads) == 1 and heads[0] <= 5
        sheet.freeze_panes(heads[0] + 1 if whole else 1, 1)
        if whole:
            sheet.repeat_rows(heads[0])

    def _columns(self, sheet: Any, tables: Sequence[Table]) -> tuple[int, ...]:
        """Widths by content, for all tables of a sheet."""
        count = max((len(table.columns) for table in tables), default=0)
        widths = []
        for i in range(max(count, 6)):
            held = [table for table in tables if i < len(table.columns)]
            cells = [max(wide(row[i].text), _long(row[i])) for table in held for row in table.rows]
            heads = [min(wide(table.columns[i]), 24) for table in held]
            widths.append(max(_LEAST, min(_WIDEST, max([*cells, *heads], default=_LEAST) + 3)))
            sheet.set_column(i, i, widths[-1])
        return tuple(widths)

    # --- what stands on them

    def _line(self, sheet: Any, row: int, text: str, look: str, over: Sequence[int] = ()) -> int:
        """A text, wrapped over columns of these widths where they are given."""
        if over:
            across = list(accumulate(over))
            last = next((i for i, total in enumerate(across) if total >= _LINE), len(over) - 1)
            sheet.merge_range(row, 0, row, max(last, 1), "", self.looks[look])
            lines = sum(max(1, math.ceil(wide(line) / (across[last] * 0.92))) for line in text.split("\n"))
            sheet.set_row(row, 16 * lines + 2)
        sheet.write_string(row, 0, text, self.looks[look])
        return row + 1

    def _table(self, sheet: Any, row: int, table: Table, caption: str, widths: Sequence[int]) -> int:
        """A table with its caption and note; returns the row after it."""
        if caption:
            sheet.write_string(row, 0, caption, self.looks["caption"])
            row += 1
        for i, head in enumerate(table.columns):
            look = "head" if paging.worded(table, i) else "number_head"
            sheet.write_string(row, i, head, self.looks[look])
        deep = max((math.ceil(wide(h) / widths[i]) for i, h in enumerate(table.columns)), default=1)
        sheet.set_row(row, 16 * deep + 2)
        for line in table.rows:
            row += 1
            for i, cell in enumerate(line):
                self._cell(sheet, row, i, cell, paging.muted(table, line, i))
            deep = max((math.ceil(wide(c.text) / widths[i]) for i, c in enumerate(line)), default=1)
            if deep > 1:
                sheet.set_row(row, 15 * deep + 2)
        row += 1
        return self._line(sheet, row, t("file.note", note=table.note), "note", widths) if table.note else row

    def _cell(self, sheet: Any, row: int, column: int, cell: Cell, muted: bool) -> None:
        number = value(cell)
        if number is None:
            sheet.write_string(row, column, cell.text, self.looks["muted" if muted else "cell"])
        else:
            sheet.write_number(row, column, number, self._number(shape(cell)))

    def _number(self, form: str) -> Any:
        if form not in self.numbers:
            look = {**_LOOKS["muted"], "font_color": _INK, "num_format": form}
            self.numbers[form] = self.book.add_format(look)
        return self.numbers[form]

    def _picture(
        self,
        sheet: Any,
        row: int,
        piece: Piece,
        block: Picture,
        widths: Sequence[int],
    ) -> int:
        """A chart, drawn by Excel where it can."""
        sheet.write_string(row, 0, piece.caption, self.looks["caption"])
        series = list(block.drawn or range(1, len(block.table.columns)))
        chart = self._chart(block, series) if block.native in _KINDS and series else None
        at = {"object_position": 2, "description": block.chart.alt}
        if chart is None:
            drawn = draw.svg(block.chart, self.document.language)
            scale = 72 / 150
            sheet.insert_image(row + 1, 0, "chart.png", {**at, "image_data": io.BytesIO(draw.png(drawn, 200)), "x_scale": scale, "y_scale": scale})  # fmt: skip
            height = draw.height(drawn)
        else:
            height = max(_TALL * _ROW, (60 + 26 * len(block.table.rows) * len(series)) if block.native == "bars" else 0)  # fmt: skip
            chart.set_size({"width": 760, "height": height})
            sheet.insert_chart(row + 1, 0, chart, at)
        row += 2 + math.ceil(height / _ROW)
        if block.note:
            row = self._line(sheet, row, t("file.note", note=block.note), "note", widths)
        return row

    def _chart(self, block: Picture, series: Sequence[int]) -> Any:
        """A chart of Excel's own. A protected cell is a gap in it: Excel would draw words as zero, so the numbers are kept
        once more, with empty cells, on a sheet that is not shown."""
        if block.native == "fall" and len(series) < 2:
            return None
        options = {"type": _KINDS[block.native]}
        if block.native == "fall":
            options["subtype"] = "stacked"
        chart = self.book.add_chart(options)
        name, top, places = self._behind(block.table, series)
        below = top + len(block.table.rows)
        order = list(places)
        if block.native == "fall":  # what is left lifts what is taken off
            order = [order[1], order[0]]
        for n, place in enumerate(order):
            colour = _COLOURS[0 if block.native == "fall" else n % len(_COLOURS)]
            one: dict[str, Any] = {
                "name": [name, top, place],
                "categories": [name, top + 1, 0, below, 0],
                "values": [name, top + 1, place, below, place],
                "gap": 60,
            }
            if block.native == "lines":
                one["line"] = {"color": colour, "width": 2.25, "dash_type": _DASHES[n % len(_DASHES)]}
                one["marker"] = {"type": "circle", "size": 6, "fill": {"color": colour}, "border": {"color": colour}}  # fmt: skip
            elif block.native == "fall" and n == 0:
                one["fill"], one["border"] = {"none": True}, {"none": True}
            else:
                one["fill"] = {"color": colour}
            if block.native == "fall" and n == 0:  # below the bar, where nothing else stands
                told = [{"value": row[series[0]].text} for row in block.table.rows]
                one["data_labels"] = {"value": True, "custom": told, "position": "inside_end"}
            elif len(order) == 1:
                one["data_labels"] = {"value": True}
            chart.add_series(one)
        form = next((shape(r[series[0]]) for r in block.table.rows if value(r[series[0]]) is not None), "0")
        numbers = {"num_format": form.replace("0.0%", "0%"), "major_gridlines": {"visible": True, "line": {"color": "#DDE2E8"}}}  # fmt: skip
        chart.set_title({"none": True})
        chart.show_blanks_as("gap")
        chart.show_hidden_data()
        chart.set_legend({"position": "top"} if len(order) > 1 and block.native != "fall" else {"none": True})
        if block.native == "bars":
            chart.set_x_axis(numbers)
            chart.set_y_axis({"reverse": True, "crossing": "max"})
        else:
            chart.set_y_axis(numbers)
        return chart

    def _behind(self, table: Table, series: Sequence[int]) -> tuple[str, int, list[int]]:
        """Sheet, row of the heads, and columns of a chart's numbers."""
        if self.behind is None:
            self.behind = self.book.add_worksheet(self._name(t("file.chart_data")))
            self.behind.hide()
        top, sheet = self.behind_row, self.behind
        for place, column in enumerate(series, 1):
            sheet.write_string(top, place, table.columns[column])
        for n, row in enumerate(table.rows, 1):
            sheet.write_string(top + n, 0, row[0].text)
            for place, column in enumerate(series, 1):
                number = value(row[column])
                if number is not None:
                    sheet.write_number(top + n, place, number, self._number(shape(row[column])))
        self.behind_row += len(table.rows) + 2
        return sheet.get_name(), top, list(range(1, len(series) + 1))


def value(cell: Cell) -> float | None:
    """What a spreadsheet keeps of a cell: differences of shares in percentage points, the rest as it is."""
    if cell.value is None or not math.isfinite(cell.value):
        return None
    return round(cell.value * 100, 10) if cell.unit == "points" else cell.value


def _spread(piece: Piece) -> Piece:
    """A table whose intervals have a column of their own: a cell holds a number, and no words beside it."""
    if not isinstance(table := piece.block, Table):
        return piece
    ends = [i for i in range(len(table.columns)) if any(_interval(row[i]) for row in table.rows)]
    columns: list[str] = []
    rows: list[list[Cell]] = [[] for _ in table.rows]
    for i, head in enumerate(table.columns):
        columns += [head, t("column.interval")] if i in ends else [head]
        for row, line in zip(table.rows, rows, strict=True):
            line += [row[i], Cell(_interval(row[i]) or NOTHING)] if i in ends else [row[i]]
    return replace(piece, block=replace(table, columns=tuple(columns), rows=tuple(map(tuple, rows))))


def _interval(cell: Cell) -> str:
    """The interval that is told behind a number; empty where there is none."""
    _, bracket, rest = cell.text.partition(" [")
    return f"[{rest}" if bracket and cell.value is not None else ""


def shape(cell: Cell) -> str:
    """How a spreadsheet shows a cell of a unit."""
    whole = cell.value is not None and float(cell.value).is_integer()
    if cell.text.startswith("<"):  # too small for the decimals that are shown, but not zero
        return f'"{_plain(cell.text)}"'
    # two decimals where one would read as nothing, as it is written elsewhere
    points = "0.00" if re.search(r"\.\d\d", cell.text.partition(" [")[0]) else "0.0"
    form = {
        "share": "0.0%",
        "points": f'{points}" {t("file.points")}"',
        "yuan": f'#,##0.00" {t("file.yuan")}"',
        "index": "0.000",
        "days": f'#,##0{"" if whole else ".00"}" {t("file.days")}"',
    }.get(cell.unit, "#,##0" if whole else "#,##0.00")
    return f"+{form};-{form};{form}" if cell.text.startswith("+") else form


def _long(cell: Cell) -> int:
    """Letters of a number as it is shown; one that does not fit its column is not shown at all."""
    number = value(cell)
    return 0 if number is None else len(f"{number:,.2f}") + (5 if cell.unit in ("yuan", "days") else 0)


def _plain(text: str) -> str:
    return text.replace('"', "'")

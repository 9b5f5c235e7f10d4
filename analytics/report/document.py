"""A report before it is a file: sections of text, tables and pictures, in the reader's language."""

from dataclasses import dataclass, field

from analytics.figures.charts import Chart
from analytics.release import Figure


@dataclass(frozen=True)
class Cell:
    """A cell as people read it. `value` with `unit` (share, points, yuan, count, index, days): the number behind it, for a
    spreadsheet, shares as fractions and money in yuan; None for words and for a cell that is not shown.
    """

    text: str
    value: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under named columns; the first `left` columns hold words."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    left: int = 1


@dataclass(frozen=True)
class Picture:
    """A chart with the numbers it draws. `native`: how a spreadsheet draws them itself from `table`, whose first column
    names the categories and whose others are the series: columns, bars, lines, fall (a waterfall) or none. `drawn`: which
    columns of `table` are the series, where the table holds more than is drawn.
    """

    title: str
    chart: Chart
    table: Table
    native: str = "none"
    note: str = ""
    drawn: tuple[int, ...] = ()


@dataclass(frozen=True)
class Text:
    """A paragraph of plain words."""

    text: str


Block = Text | Table | Picture


@dataclass(frozen=True)
class Section:
    """What stands under one heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A whole report. `language`: zh or en; `facts`: what it rests on, name and content (snapshot, plans, versions, how to
    cite); `warning`: what every page must say, such as that the data are synthetic; `figures`: the answers its numbers are of.
    """

    title: str
    subtitle: str
    language: str
    sections: tuple[Section, ...]
    facts: tuple[tuple[str, str], ...]
    warning: str = ""
    keywords: tuple[str, ...] = field(default=())
    figures: tuple[Figure, ...] = ()

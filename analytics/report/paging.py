"""What all files of a report share: clean texts, numbered headings and captions, and tables that fit a page."""

import dataclasses
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, TypeVar, cast

from analytics.figures import words
from analytics.figures.words import t
from analytics.report import fonts
from analytics.report.document import Block, Cell, Document, Picture, Table, Text

A4 = (595.28, 841.89)  # points
MARGIN = 56.7  # 2 cm
SIZES = (9.0, 8.0, 7.0)  # of type in tables, the largest that fits
PAD = 9.0  # beside the words of a cell, both sides together
_DIGITS = "零一二三四五六七八九"
_UNBROKEN = 24  # letters of a word that a table must not break
T = TypeVar("T")


@dataclass(frozen=True)
class Piece:
    """A block with its caption."""

    block: Block
    caption: str = ""


@dataclass(frozen=True)
class Part:
    """A section with its numbered heading."""

    heading: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Fit:
    """How a table stands on a page: type size, whether the page lies, and its columns' widths in points."""

    table: Table
    size: float
    lying: bool
    widths: tuple[float, ...]


def clean(value: T) -> T:
    """The same with every text made fit for a file: no control characters and no halves of characters."""
    found: Any = value
    if isinstance(value, str):
        found = "".join(
            c
            if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs", "Cn")
            else " "
            if c == "\t"
            else "\ufffd"
            for c in value
        )
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        found = replace(value, **{f.name: clean(getattr(value, f.name)) for f in fields})
    elif isinstance(value, dict):
        found = {clean(k): clean(v) for k, v in value.items()}
    elif isinstance(value, list | tuple):
        found = type(value)(clean(v) for v in value)
    return cast(T, found)


def texts(value: Any) -> Iterator[str]:
    """Every text of a document, those of its charts among them."""
    if isinstance(value, str):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from texts(getattr(value, field.name))
    elif isinstance(value, dict):
        yield from texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from texts(part)


def numeral(n: int) -> str:
    """The number of a heading: 一, 十二 in Chinese, digits in English."""
    if words.language() != "zh" or n > 99:
        return str(n)
    tens, ones = divmod(n, 10)
    head = ("" if tens == 1 else _DIGITS[tens]) + "十" if tens else ""
    return head + (_DIGITS[ones] if ones else "")


def parts(document: Document) -> list[Part]:
    """Sections with numbered headings and captions, in the reader's language. A picture is followed by its numbers, unless a
    table of the same title follows anyway.
    """
    figures = tables = 0
    found = []
    for n, section in enumerate(document.sections, 1):
        pieces = []
        for block, after in zip_longest(section.blocks, section.blocks[1:]):
            if isinstance(block, Picture):
                figures += 1
                pieces.append(Piece(block, t("file.figure", n=figures, title=block.title)))
                if isinstance(after, Table) and after.title == block.title:
                    continue
                block = block.table
            if isinstance(block, Table):
                tables += 1
                pieces.append(Piece(block, t("file.table", n=tables, title=block.title)))
            elif isinstance(block, Text):
                pieces.append(Piece(block))
        found.append(Part(t("file.heading", n=numeral(n), title=section.title), tuple(pieces)))
    return found


def facts(document: Document) -> Table:
    """What the report rests on, as a table."""
    rows = tuple((Cell(name), Cell(content)) for name, content in document.facts)
    return Table(t("file.facts"), (t("file.fact"), t("file.content")), rows, left=2)


def worded(table: Table, column: int) -> bool:
    """Whether a column holds words."""
    return column < table.left or all(row[column].value is None and _said(row[column]) for row in table.rows)


def muted(table: Table, row: Sequence[Cell], column: int) -> bool:
    """Whether a cell says why there is no number."""
    return row[column].value is None and not worded(table, column)


def _said(cell: Cell) -> bool:
    """Whether a cell holds words of its own, not the mark of a number that is not shown."""
    return cell.text not in {
        t(f"cell.{why}") for why in ("hidden", "undefined", "not_covered", "nobody_paid", "nobody")
    } | {"", "—"}


def fitted(table: Table, language: str) -> list[Fit]:
    """A table as it fits a page: smaller type, then a lying page, then several tables that repeat the first columns."""
    table = replace(
        table,
        columns=tuple(map(_breakable, table.columns)),
        rows=tuple(
            tuple(
                replace(c, text=_breakable(c.text) if worded(table, i) else _whole(c.text))
                for i, c in enumerate(row)
            )
            for row in table.rows
        ),
    )
    for lying in (False, True):
        room = A4[1 if lying else 0] - 2 * MARGIN
        for size in SIZES:
            if widths := _widths(table, room, size, language):
                return [Fit(table, size, lying, widths)]
    room, keep = A4[1] - 2 * MARGIN, min(table.left, len(table.columns) - 1)
    least = [_needs(table, i, SIZES[-1], language)[0] for i in range(len(table.columns))]
    runs: list[list[int]] = [[]]
    for i in range(keep, len(table.columns)):
        if runs[-1] and sum(least[:keep]) + sum(least[k] for k in [*runs[-1], i]) > room:
            runs.append([])
        runs[-1].append(i)
    found = []
    for run in runs:
        which = [*range(keep), *run]
        part = replace(
            table,
            columns=tuple(table.columns[i] for i in which),
            rows=tuple(tuple(row[i] for i in which) for row in table.rows),
        )
        widths = _widths(part, room, SIZES[-1], language) or (room / len(which),) * len(which)
        found.append(Fit(part, SIZES[-1], True, widths))
    return found


def _whole(text: str) -> str:
    """A number that stays on one line with its unit; an interval may stand on the next."""
    return text.replace(" ", "\u00a0").replace("\u00a0[", " [")


def _breakable(text: str) -> str:
    """A text whose very long words may be broken."""
    return re.sub(rf"[^\s\u2e80-\uffef]{{{_UNBROKEN}}}(?=\S{{6}})", lambda m: m[0] + "\u200b", text)


def _needs(table: Table, column: int, size: float, language: str) -> tuple[float, float, float]:
    """Least, usual and whole width of a column: its longest word, the root mean square of its cells on one line each, its
    longest line.
    """
    head, body = table.columns[column], [row[column].text for row in table.rows]

    def wide(text: str, bold: bool = False) -> float:
        return fonts.width(text, size, bold, language)

    cells = [[wide(line, True) for line in head.split("\n")]] + [
        [wide(s) for s in c.split("\n")] for c in body
    ]
    usual = math.sqrt(sum(sum(cell) ** 2 for cell in cells) / len(cells))
    words_ = [wide(word, True) for word in _words(head)]
    words_ += [
        wide(word)
        for cell in body
        # not at the no-break space between a number and its unit
        for word in (_words(cell) if worded(table, column) else re.split(r"[ \n]+", cell))
    ]
    return max(words_, default=0.0) + PAD, usual + PAD, max(map(max, cells)) + PAD


def _words(text: str) -> list[str]:
    """What is not broken: words between spaces, and Chinese two by two so that no column is one character wide."""
    return re.findall(r"[\u2e80-\U0003ffff]{1,4}|(?:[^\s\u200b\u2e80-\U0003ffff]|\u00a0)+", text)


def _widths(table: Table, room: float, size: float, language: str) -> tuple[float, ...] | None:
    """Widths of the columns of a table in a room, such that cells are about equally high; None where it does not fit."""
    needs = [_needs(table, i, size, language) for i in range(len(table.columns))]
    least, whole = sum(n for n, _, _ in needs), sum(n for _, _, n in needs)
    if least > room:
        return None
    if whole <= room:
        stretch = room / whole if whole > room * 0.55 else 1.0
        return tuple(n * stretch for _, _, n in needs)
    few, many = 0.01, whole / PAD  # lines of a usual cell
    for _ in range(40):
        lines = (few + many) / 2
        wide = sum(min(high, max(low, usual / lines)) for low, usual, high in needs)
        few, many = (few, lines) if wide <= room else (lines, many)
    found = [min(high, max(low, usual / many)) for low, usual, high in needs]
    return tuple(n * room / sum(found) for n in found)


def continued(caption: str, n: int) -> str:
    """The caption of the n-th part of a table."""
    return caption if n == 1 or not caption else t("file.further", title=caption, n=n - 1)

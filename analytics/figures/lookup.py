"""Which number of an answer stands in a cell of a table of words."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from analytics.figures import formats, names, tables, words
from analytics.figures.words import say
from analytics.release import Released

Number = tuple[Released, Mapping[str, Any]]


def found(answers: Sequence[Released], frame: pl.DataFrame, row: int, column: str) -> Number | None:
    """The answer and its row that a cell was written from: the one whose value reads as the cell does and whose dimensions
    the cell's line and column name. None where no single one does, as for a difference of two numbers.
    """
    line = {str(v) for name, v in frame.row(row, named=True).items() if name != column}
    text, named = str(frame.row(row, named=True)[column]), line | {column}
    best: list[tuple[int, Number]] = []
    # A part of a value, such as its numerator, only where no value reads so.
    for readings in (_readings, _parts):
        for answer in answers if not best else ():
            titled = say(answer.measure.title) in named
            for cells in answer.table.iter_rows(named=True):
                if text not in readings(cells, answer.measure.unit):
                    continue
                score = titled + sum(names.member(d, cells[d]) in named for d in answer.by)
                best.append((score, (answer, cells)))
    top = max((score for score, _ in best), default=0)
    fitting = [number for score, number in best if score == top]
    return fitting[0] if len(fitting) == 1 and top else None


def _readings(cells: Mapping[str, Any], unit: str) -> set[str]:
    """A row's value as tables write it, with its interval and without."""
    return {tables.cell(cells, unit), tables.cell({**cells, "ci_low": None}, unit)}


def _parts(cells: Mapping[str, Any], _unit: str) -> set[str]:
    """Numerator, denominator and n of a row as tables write them; nothing of what is not shown."""
    if cells["status"] != "shown":
        return set()
    parts = [cells[part] for part in ("numerator", "denominator", "n") if cells[part] is not None]
    money = {text for part in parts for text in formats.written(part, words.language())}
    return money | {formats.count(round(part, 6)) for part in parts}

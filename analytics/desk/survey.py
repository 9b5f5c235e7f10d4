"""A survey's tables of financial protection: catastrophic expenditure, hardship, poverty, inequality, Pen's parade."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import polars as pl
from pydantic import Field

from analytics.desk.answer import Desk
from analytics.measures import measures
from analytics.reference import Form, Text, load_toml
from analytics.release import Released

PARADE = "parade"


class Table(Form):
    """`se`: measures asked with standard errors, `plain`: without; `each`: values of a parameter, one question each."""

    id: str
    title: Text
    by: tuple[str, ...] = ()
    each: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    se: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """`tables`: rows by table, the parade last; `left_out`: what could not be answered, and why."""

    tables: Mapping[str, pl.DataFrame]
    left_out: Sequence[str]


@cache
def forms() -> tuple[Table, ...]:
    """The tables, in order."""
    return tuple(Table.model_validate(row) for row in load_toml(Path(__file__).with_suffix(".toml"))["table"])


def survey(
    desk: Desk, where: Mapping[str, Sequence[str | int]] | None = None, *, protect: bool = True
) -> Survey:
    """Ask everything. Raises ValueError where a city or year is not held."""
    tables: dict[str, list[pl.DataFrame]] = {}
    left_out: list[str] = []
    for form in forms():
        for measure, parameters, se in _questions(form):
            try:
                answer = desk.ask(measure, form.by, where, parameters, se=se, protect=protect)
            except ValueError as error:
                left_out.append(str(error))
                continue
            tables.setdefault(form.id, []).append(_rows(answer))
    found = {name: pl.concat(parts, how="diagonal") for name, parts in tables.items()}
    try:
        found[PARADE] = _rows(desk.parade(where, protect=protect))
    except ValueError as error:
        left_out.append(str(error))
    return Survey(found, list(dict.fromkeys(left_out)))


def _questions(form: Table) -> Iterator[tuple[str, dict[str, str], str]]:
    for measure in (*form.se, *form.plain):
        taken = [name for name in form.each if name in measures()[measure].parameters]
        for values in product(*(form.each[name] for name in taken)):
            yield (
                measure,
                dict(zip(taken, values, strict=True)),
                "superpopulation" if measure in form.se else "",
            )


def _rows(answer: Released) -> pl.DataFrame:
    """The answer with its name and parameters in front."""
    head = [
        pl.lit(answer.measure.title.zh).alias("指标"),
        pl.lit(answer.measure.title.en).alias("title"),
        *(pl.lit(value).alias(name) for name, value in answer.parameters.items() if name not in answer.by),
    ]
    figure = pl.lit(answer.provenance["figure"]).alias("figure")
    return answer.table.select("measure", *head, pl.all().exclude("measure"), figure)

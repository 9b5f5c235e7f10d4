"""What a report holds, as data: `bureau.toml` and `insurer.toml` say which questions stand where and how they are laid out."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from analytics.measures import measures
from analytics.measures.question import Question
from analytics.reference import Form, Text, load_toml

HERE = Path(__file__).parent
KINDS = ("bureau", "insurer")


class Column(Form):
    """One number of an answer. `show`: the value, or what it is made of; then `unit` and `title` say what that is. `where`:
    what this column looks at besides.
    """

    measure: str
    show: Literal["value", "numerator", "denominator", "n"] = "value"
    unit: str = ""
    title: Text | None = None
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @property
    def heading(self) -> Text:
        return self.title or measures()[self.measure].title

    @property
    def measured(self) -> str:
        return self.unit or measures()[self.measure].unit


class Part(Form):
    """A table, with a picture where `chart` is given.

    `layout`: columns (a line per value of `by`, a number per column), crossed (`by[0]` down, `by[1]` across, one column), course
    (a line per number, plan years across, the change on the year before last) or peers (cities ranked, differences from
    this one). `of`: this city-year, the city's years up to it, or all cities of the year. `charted`: which column bars draw.
    """

    id: str
    title: Text
    layout: Literal["columns", "crossed", "course", "peers"] = "columns"
    of: Literal["here", "course", "peers"] = "here"
    by: tuple[str, ...] = ()
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    column: tuple[Column, ...] = Field(min_length=1)
    chart: Literal["", "fall", "bars", "lines"] = ""
    charted: int = 0
    note: Text | None = None

    @model_validator(mode="after")
    def _can_be_asked(self) -> "Part":
        for column in self.column:
            Question.of(column.measure, self.by, {**self.where, **column.where})
        if self.chart == "bars" and self.layout == "columns" and len(self.by) != 1:
            raise ValueError(f"{self.id}: bars are drawn of one dimension")
        if self.layout == "crossed" and (len(self.by), len(self.column)) != (2, 1):
            raise ValueError(f"{self.id}: crossed takes one column by two dimensions")
        return self


class Section(Form):
    """A heading with sentences (see sentences.py), parts, and lists that are no answers (see beside.py)."""

    id: str
    title: Text
    says: tuple[str, ...] = ()
    part: tuple[Part, ...] = ()
    beside: tuple[Literal["rules", "published", "quality", "definitions"], ...] = ()


class Report(Form):
    """A kind of report. `needs`: measures of which at least one must be answered, or there is nothing to report on."""

    title: Text
    needs: tuple[str, ...]
    section: tuple[Section, ...] = Field(min_length=1)


@cache
def report(kind: str) -> Report:
    """The report of a kind. Raises ValueError for an unknown one."""
    if kind not in KINDS:
        raise ValueError(f"report {kind}: unknown; reports are {', '.join(KINDS)}")
    return Report.model_validate(load_toml(HERE / f"{kind}.toml"))

"""Published outcome figures beside ours: the same definition asked of the desk, the difference and, for targets, a verdict.

The figures lie in `data/published/<place>.toml`. A figure that the catalogue of measures can say names its question in
`ours`; any other says in `not_computed` why not. Nothing is judged beforehand: a verdict is worked out from the answer.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from analytics import reference
from analytics.desk.answer import Desk
from analytics.measures import Question
from analytics.reference import Form, SourceClass, Text
from analytics.release import Released
from analytics.store import QueryTimeout

Unit = Literal[
    "percent", "points", "per_100", "yuan", "persons", "person_times", "policies", "households", "institutions", "cities",
    "products", "insurers", "drugs", "editions", "guarantees", "times", "years", "months", "days", "minutes",
]  # fmt: skip
Sign = Literal["about", "more_than", "at_least", "less_than"]
Method = Literal["R1", "R2", "R3", "unknown"]
Verdict = Literal["pass", "fail", "not_applicable"]
# Published unit -> unit of a measure, and what one of ours is in the published unit.
MEASURED = {
    "percent": ("share", 100),
    "points": ("points", 100),
    "yuan": ("yuan", 1),
    "per_100": ("per_100", 1),
}
# The three definitions of burden reduction, never compared with one another.
METHODS = {"R1": "burden_reduction_rate", "R2": "burden_reduction_mean", "R3": "burden_reduction_points"}
_TOLERANCE = re.compile(r"(?P<size>\d+(?:\.\d+)?) (?P<kind>%|points)|exact|display")


def _number(raw: Any) -> Decimal:
    if isinstance(raw, bool) or not isinstance(raw, int | Decimal):
        raise ValueError("is not a number: write it without quotes")  # noqa: TRY004 - pydantic collects ValueError
    return Decimal(raw)


Number = Annotated[Decimal, BeforeValidator(_number)]


class Ours(Form):
    """The question whose answer is comparable. Cities and years the store does not hold are left out of `where`."""

    measure: str
    where: dict[str, tuple[str | int, ...]] = Field(default_factory=dict)
    parameters: dict[str, str] = Field(default_factory=dict)


class Target(Form):
    """What a calibrated sample must meet: within `10 %` of the figure, within `3 points`, `exact`, or `display`: shown, not fitted."""

    id: str = Field(pattern=r"^T[0-9]+$")
    tolerance: str

    @property
    def fitted(self) -> bool:
        return self.tolerance != "display"

    def allowed(self, value: Decimal) -> Decimal:
        """How far ours may lie from a value, in its unit."""
        found = _TOLERANCE.fullmatch(self.tolerance)
        if found is None or found["size"] is None:
            return Decimal(0)
        size = Decimal(found["size"])
        return abs(value) * size / 100 if found["kind"] == "%" else size


class Figure(Form):
    """One published figure, as printed. `sign`: printed as "more than" and the like; `high`: the other end of a range."""

    id: str
    zh: str
    en: str
    value: Number
    sign: Sign | None = None
    high: Number | None = None
    unit: Unit
    period: Text | str
    scope: Text | str
    definition: Text | str
    source: str = Field(min_length=1)
    source_class: SourceClass = Field(alias="class")
    method: Method | None = None
    derived: Text | None = None
    note: Text | None = None
    ours: Ours | None = None
    differs: Text | None = None
    not_computed: Text | None = None
    target: Target | None = None

    def apart(self, ours: Decimal) -> Decimal:
        """Ours less the figure; inside a range nothing."""
        if self.high is not None and ours > self.value:
            return max(ours - self.high, Decimal(0))
        return ours - self.value

    def missed(self, ours: Decimal) -> Decimal:
        """How far ours is from what the figure says: above "more than 5" nothing is missed."""
        apart = self.apart(ours)
        if self.sign in ("more_than", "at_least"):
            return max(-apart, Decimal(0))
        return max(apart, Decimal(0)) if self.sign == "less_than" else abs(apart)


class Place(Form):
    """The published figures of one place; `rank` orders places."""

    id: str
    place: Text
    rank: int
    figure: tuple[Figure, ...]


class PublishedErrors(ValueError):
    """Files of published figures that cannot be used; `problems` has one line per problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Row:
    """A figure and ours. `status`: shown, hidden (protected), undefined, no_data, unanswered or not_computed; `value` and `apart` are in the
    figure's unit, None unless shown; `covers` are the city-years asked."""

    place: str
    figure: Figure
    status: str
    verdict: Verdict | None
    value: Decimal | None = None
    apart: Decimal | None = None
    answer: Released | None = None
    covers: tuple[tuple[str, int], ...] = ()
    reason: str = ""


def places(folder: Path | None = None) -> dict[str, Place]:
    """All published figures by place, in order. Raises PublishedErrors with every problem of every file."""
    return _places(folder or reference.root() / "data" / "published")


@cache
def _places(folder: Path) -> dict[str, Place]:
    found, problems, seen = [], [], dict[str, str]()
    for path in sorted(folder.glob("*.toml")):
        try:
            data = reference.load_toml(path)
        except (ValueError, OSError) as error:
            problems.append(f"{path.name}: {error}")
            continue
        for position, row in enumerate(_rows(data), 1):
            name = str(row.get("id", f"figure[{position}]"))
            problems += _of_figure(f"{path.name}: {name}", row)
            if name in seen:
                problems.append(
                    f"{path.name}: {name}: id stands in {seen[name]} too; give every figure its own"
                )
            seen[name] = path.name
        try:
            found.append(Place.model_validate({"id": path.stem, **data}))
        except ValidationError as error:
            of_file = [line for line in reference.problems(error, path.name) if ": figure." not in line]
            problems += of_file
    if problems:
        raise PublishedErrors(problems)
    return {place.id: place for place in sorted(found, key=lambda place: place.rank)}


def _rows(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = data.get("figure")
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _of_figure(where: str, row: Mapping[str, Any]) -> list[str]:
    """Problems of one figure, form and content."""
    try:
        figure = Figure.model_validate(row)
    except ValidationError as error:
        return reference.problems(error, where)
    found = []
    if (figure.ours is None) == (figure.not_computed is None):
        found.append("give either ours (a question) or not_computed (why none can be asked)")
    if figure.high is not None and figure.high <= figure.value:
        found.append(f"high {figure.high} does not lie above value {figure.value}; a range goes upwards")
    if figure.target and not _TOLERANCE.fullmatch(figure.target.tolerance):
        found.append(
            f"target.tolerance {figure.target.tolerance!r}: write `10 %`, `3 points`, exact or display"
        )
    if figure.ours:
        found += _of_question(figure, figure.ours)
    elif figure.differs:
        found.append("differs says how ours differs, but there is no ours; use note")
    return [f"{where}: {line}" for line in found]


def _of_question(figure: Figure, ours: Ours) -> list[str]:
    try:
        question = Question.of(ours.measure, (), ours.where, ours.parameters)
    except ValueError as error:
        return [f"ours: {error}"]
    found, measure = [], question.measure
    unit, _ = MEASURED.get(figure.unit, ("", 1))
    if unit != measure.unit:
        found.append(
            f"ours: {measure.id} is in {measure.unit}, the figure in {figure.unit}; they cannot be compared"
        )
    if "tier" in question.by and len(question.where.get("tier", ())) != 1:
        found.append(f"ours: {measure.id} is per tier; name one tier in where")
    wanted = {m: r for r, m in METHODS.items()}.get(measure.id, figure.method)
    if figure.method and wanted != figure.method:
        found.append(
            f"ours: {measure.id} is definition {wanted}, the figure {figure.method}; they are never compared"
        )
    return found


def compare(desk: Desk, wanted: Sequence[Place] | None = None) -> list[Row]:
    """Every figure of the places wanted (default all) beside what the desk answers, in order of place and file."""
    chosen = list(places().values()) if wanted is None else wanted
    return [_compare(desk, place.id, figure) for place in chosen for figure in place.figure]


def _compare(desk: Desk, place: str, figure: Figure) -> Row:
    def without(status: str, **more: Any) -> Row:
        return Row(place, figure, status, "not_applicable" if figure.target else None, **more)

    if figure.ours is None:
        return without("not_computed")
    where = {name: tuple(str(v) for v in values) for name, values in figure.ours.where.items()}
    held = _held(desk.places, where)
    if not held:
        return without("no_data")
    for name, position in (("city", 0), ("plan_year", 1)):
        if name in where:
            where[name] = tuple(sorted({str(at[position]) for at in held}))
    try:
        answer = desk.ask(figure.ours.measure, (), where, figure.ours.parameters)
    except (ValueError, QueryTimeout) as error:
        return without("unanswered", covers=held, reason=str(error))
    told = answer.table.to_dicts()
    status = str(told[0]["status"]) if told else "undefined"
    if status != "shown":
        return without(status, answer=answer, covers=held)
    ours = Decimal(repr(told[0]["value"])) * MEASURED[figure.unit][1]
    verdict: Verdict | None = "not_applicable" if figure.target else None
    if figure.target and figure.target.fitted and desk.is_synthetic:
        verdict = "pass" if figure.missed(ours) <= figure.target.allowed(figure.value) else "fail"
    return Row(place, figure, status, verdict, ours, figure.apart(ours), answer, held)


def _held(
    known: Sequence[tuple[str, int]], where: Mapping[str, Sequence[str]]
) -> tuple[tuple[str, int], ...]:
    """City-years of the store a question means."""
    return tuple(
        (city, year)
        for city, year in known
        if city in where.get("city", (city,)) and str(year) in where.get("plan_year", (str(year),))
    )

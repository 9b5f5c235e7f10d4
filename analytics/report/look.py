"""A city-year looked at: its questions put to the desk, each once, and single numbers picked from the answers."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import polars as pl

from analytics.desk.answer import Desk
from analytics.figures import formats, names, words
from analytics.figures.words import say, t
from analytics.measures import measures
from analytics.release import HIDDEN, Figure, Released
from analytics.report import complement
from analytics.store import QueryTimeout

Where = Mapping[str, Sequence[str]]
Row = Mapping[str, Any]
YARDSTICK = "catastrophic_headcount"
_NO_PARTS = ("city", "plan_year", "tier", "threshold")  # a report tells no total of their values


class Unanswered(Exception):
    """The data do not hold what a question needs."""


@dataclass(frozen=True)
class Number:
    """A number of an answer, or why there is none: `status` shown, hidden, undefined, not_covered or no_data. `what`: its name
    in words, `of`: the tier or group where the question had several.
    """

    status: str
    what: str
    unit: str
    row: Row | None = None

    def __bool__(self) -> bool:
        return self.status == "shown"

    @property
    def value(self) -> float:
        return float(self.row["value"]) if self and self.row else 0.0

    def part(self, name: str) -> float:
        """Numerator, denominator, n or difference; nothing of what is not shown."""
        return float(self.row[name]) if self and self.row else 0.0

    @property
    def text(self) -> str:
        return formats.value(self.value, self.unit, words.language(), words.money_unit())


class Look:
    """A city in a plan year, its years up to then, and the other cities of that year."""

    def __init__(self, desk: Desk, city: str, year: int) -> None:
        self.desk, self.city, self.year = desk, city, year
        self.years = sorted(y for c, y in desk.places if c == city and y <= year)
        self.cities = sorted({c for c, y in desk.places if y == year})
        self.order = desk.order(city, year)
        self.asked: list[Released] = []
        self.beside: list[Released] = []  # what was asked to stand beside published figures
        self._answers: dict[tuple[Any, ...], Released | None] = {}
        self._yardstick: dict[str, str] | None = None
        self._labels = self._of_plan()

    @property
    def before(self) -> int | None:
        """The year before, where the store holds it."""
        return self.year - 1 if self.year - 1 in self.years else None

    @property
    def name(self) -> str:
        return t("place.name", city=words.city(self.city), year=self.year)

    def scope(self, of: str) -> dict[str, list[str]]:
        """Filter of a question about the city-year, the city's years or all cities of the year."""
        city, year = {"city": [self.city]}, {"plan_year": [str(self.year)]}
        return {
            "here": city | year,
            "course": city | {"plan_year": [str(y) for y in self.years]},
            "peers": {"city": list(self.cities)} | year,
        }[of]

    @property
    def figures(self) -> list[Figure]:
        """Every answer so far, each once."""
        found = {f.id: f for answer in (*self.asked, *self.beside) for f in answer.figures}
        return list(found.values())

    @property
    def yardstick(self) -> dict[str, str]:
        """What the data of this city-year hold a burden against, the same in every question of the report."""
        if self._yardstick is None:
            try:
                told = self.desk.ask(YARDSTICK, (), self.scope("here")).parameters
                self._yardstick = {name: told[name] for name in ("resource", "threshold")}
            except (ValueError, QueryTimeout):
                self._yardstick = {}
        return self._yardstick

    def ask(
        self, measure: str, by: Sequence[str] = (), of: str = "here", where: Where | None = None, **more: Any
    ) -> Released:
        """An answer, computed once; `more` goes to `Desk.ask`. Raises Unanswered."""
        form = measures()[measure]
        taken = {k: v for k, v in self.yardstick.items() if k in form.parameters and k not in form.fixed}
        if "threshold" in by:
            taken.pop("threshold", None)
        filters = {**self.scope(of), **{k: list(v) for k, v in (where or {}).items()}}
        key = (measure, tuple(by), repr(sorted(filters.items())), repr(sorted(more.items())))
        if key not in self._answers:
            try:
                self._answers[key] = self._apart(self.desk.ask(measure, by, filters, taken, **more), **more)
            except (ValueError, QueryTimeout):  # in the language of those who put questions, not of who reads
                self._answers[key] = None
        found = self._answers[key]
        if found is None:
            raise Unanswered(t("report.not_held"))
        self.asked.append(found)
        return found

    def _apart(self, answer: Released, **more: Any) -> Released:
        """An answer without what it gives away of protected cells beside the other answers of the report."""
        if "tier" in answer.by:
            here = (self.city, str(self.year))
            answer = complement.tiers(answer, self.order, here, self._protected_tiers)
        if complement.tells_who_was_paid(answer):
            with suppress(ValueError, QueryTimeout):
                incidence = self.desk.ask(complement.PAID, answer.by, answer.where)
                answer = complement.unpaid(answer, self._apart(incidence))
        along = [name for name in answer.by if name not in _NO_PARTS]
        if not along or answer.measure.quantile or HIDDEN not in set(answer.table["status"]):
            return answer
        by = tuple(name for name in answer.by if name not in along)
        totals = self._apart(self.desk.ask(answer.measure.id, by, answer.where, answer.parameters, **more))
        return complement.parts(answer, totals, along[0], "tier" in by)

    @cached_property
    def _protected_tiers(self) -> dict[tuple[str, str], set[str]]:
        """By city and year the tiers of which a report says nothing."""
        try:
            reach = self.desk.ask("reach", ("plan_year", "tier"), self.scope("course")).table.to_dicts()
        except (ValueError, QueryTimeout):
            return {}
        paid: dict[tuple[str, str], dict[str, float | None]] = {}
        for row in reach:
            paid.setdefault((self.city, str(row["plan_year"])), {})[str(row["tier"])] = row["numerator"]
        orders = {at: self.desk.order(at[0], int(at[1])) for at in paid}
        return {at: complement.companions(orders[at], by_tier) for at, by_tier in paid.items()}

    def number(
        self,
        measure: str,
        of: str = "here",
        where: Where | None = None,
        by: Sequence[str] = (),
        **at: str,
    ) -> Number:
        """One number: the row of the answer that has these values, or why there is none."""
        form = measures()[measure]
        tier = at.get("tier") or next(iter((where or {}).get("tier", ())), "")
        what = say(form.title) + (f"{t('report.of_tier', tier=words.tier(tier))}" if tier else "")
        try:
            answer = self.ask(measure, by or tuple(at), of, where)
        except Unanswered:
            return Number("no_data", what, form.unit)
        rows = [r for r in answer.table.to_dicts() if all(str(r[k]) == v for k, v in at.items())]
        if len(rows) != 1:
            return Number("not_covered" if tier else "no_data", what, form.unit)
        return Number(str(rows[0]["status"]), what, form.unit, rows[0])

    def change(self, measure: str, where: Where | None = None) -> Number | None:
        """The same number less that of the year before, in `part("difference")`; None where no such year is held."""
        if self.before is None:
            return None
        form = measures()[measure]
        years = {"plan_year": [str(self.before), str(self.year)]}
        tier = next(iter((where or {}).get("tier", ())), "")
        by = ("plan_year", "tier") if tier else ("plan_year",)
        what = say(form.title)
        try:
            answer = self.ask(
                measure,
                by,
                "course",
                {**(where or {}), **years},
                se="population",
                against=("plan_year", str(self.before)),
            )
        except Unanswered:
            return Number("no_data", what, form.unit)
        rows = [r for r in answer.table.to_dicts() if str(r["plan_year"]) == str(self.year)]
        if len(rows) != 1 or rows[0]["difference"] is None:
            return Number("hidden" if "hidden" in set(answer.table["status"]) else "no_data", what, form.unit)
        return Number(str(rows[0]["status"]), what, form.unit, rows[0])

    def tiers(self, answer: Released) -> list[str]:
        """The tiers an answer holds, in order of payment, first the state before any."""
        held = set(answer.table["tier"])
        return [k for k in ("none", *self.order) if k in held]

    def ordered(self, dimension: str, answer: Released) -> list[str]:
        """Values of a dimension in an answer, tiers in this plan's order of payment."""
        found = set(answer.table[dimension].cast(pl.String))
        if dimension == "tier":
            return [k for k in ("none", *self.order) if k in found]
        return names.ordered(dimension, answer.table[dimension])

    def label(self, dimension: str, code: str) -> str:
        """Name of a value; of products and liabilities as the plan calls them."""
        return self._labels.get((dimension, code)) or names.member(
            dimension, None if code == "None" else code
        )

    def _of_plan(self) -> dict[tuple[str, str], str]:
        plan = self.desk.plan(self.city, self.year)
        if plan is None:
            return {}
        found = {("product", p.code): say(p.name) for p in plan.product}
        found |= {("liability", r.liability): say(r.name) for r in plan.rules("inclusive") if r.name}
        return found

    def named(self, answer: Released, dimension: str) -> Released:
        """The same answer with the plan's names of products and liabilities in place of their codes, to be drawn."""
        if dimension not in ("product", "liability"):
            return answer
        codes = answer.table[dimension].cast(pl.String)
        return replace(
            answer,
            table=answer.table.with_columns(
                pl.Series(dimension, [self.label(dimension, str(c)) for c in codes], dtype=pl.String)
            ),
        )

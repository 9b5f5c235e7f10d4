"""Answers from the protected tables of a snapshot, and from nothing else: what researchers and insurers can ever see."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path

import polars as pl

from analytics.measures import PLACE, Kept, Question, Sealed, origin, questions
from analytics.reference import Text, Unable, load_toml
from analytics.release.disclosure import HIDDEN, Policy, Released
from analytics.release.tables import COLUMNS, PROTECTED, version

_KNOWN = ("value", "numerator", "denominator", "n", "n_excluded")
_MORE = tuple(name for name in COLUMNS if name not in (*_KNOWN, "key", "at", "status"))


@cache
def reasons_withheld() -> dict[str, Text]:
    """Why a place has no protected tables, in words."""
    found = load_toml(Path(__file__).parent / "withheld.toml")
    return {code: Text.model_validate(text) for code, text in found.items()}


class Published:
    """The protected tables of a snapshot, or of some of its cities. Only their files are read, none with facts.

    `places`: city and plan year, sorted; `withheld`: those of which nothing is published, and why (see withheld.toml).
    """

    def __init__(self, snapshot: Sealed, cities: Collection[str] | None = None) -> None:
        """Raises ValueError where the snapshot has no protected tables of this program, store.Damaged where its files changed."""
        if snapshot.manifest.get("protected_by") != version():
            text = "there are no protected tables of this version here; build the store again: jianfu build STORE"
            raise Unable(text, "no_protected")
        self.snapshot, self.snapshot_id = snapshot, snapshot.id
        parts = snapshot.partitions(PROTECTED)
        for part in parts:
            part.check()
        files = {(p.city, p.plan_year): p.path for p in parts if p.city and p.plan_year}
        files = {place: path for place, path in files.items() if cities is None or place[0] in cities}
        told = {(row["city"], row["plan_year"]): row for row in snapshot.manifest["protection"]}
        self.withheld = {place: str(told[place]["withheld"]) for place in files if "withheld" in told[place]}
        files = {place: path for place, path in files.items() if place not in self.withheld}
        self._kept = Kept(files)
        self.places = sorted(files)
        self._told = {place: told[place] for place in self.places}

    def ask(
        self,
        measure: str,
        by: Sequence[str] = (),
        where: Mapping[str, Sequence[str | int]] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Released:
        """An answer of the protected tables. Raises ValueError: what is not among them, and what is."""
        question = Question.of(measure, by, where, parameters)
        places = self._asked(question)
        held = self._kept.held(places) or set()
        chosen = question.settled(lambda columns: held & set(columns))
        table = self._kept.answer(question, chosen, places)
        if table is None:
            lacking = [place for place in places if self._kept.answer(question, chosen, [place]) is None]
            if 0 < len(lacking) < len(places):
                told = ", ".join(f"{city} {year}" for city, year in lacking)
                text = f"{measure}: not among the protected tables of {told}; ask for the other places"
                raise Unable(text, "not_protected")
            if why := self._left_out(question, places):
                raise Unable(f"not among the protected tables here: {why}", "left_out")
            raise Unable(self._absent(question), "not_protected")
        more = [name for name in _MORE if name in table.columns]
        table = table.select(*question.by, "measure", *_KNOWN, *more, "status")
        several = {"threshold": ",".join(question.thresholds)} if "threshold" in question.by else {}
        about = {
            **origin(self.snapshot, question, places),
            "prepared": True,
            "protection": self.protection,
            **self._carried(question, places),
            **({"withheld": _listed(gone)} if (gone := self._without(question)) else {}),
            "hidden": table.filter(pl.col("status") == HIDDEN).height,
        }
        lines = (f"read from the table protected, {city} {year}" for city, year in places)
        sql = "\n".join(f"-- {line}" for line in lines)
        return Released(
            question.measure, question.by, question.where, chosen | several, table, sql, {}, about
        )

    @cached_property
    def protection(self) -> str:
        """The rules the tables were protected by."""
        rules = next((row["policy"] for row in self._told.values() if "policy" in row), None)
        if rules is None:
            return "protected tables"
        used = Policy.model_validate(rules)
        return f"protected tables (k = {used.k}, rounded to {used.base_count} and {used.base_yuan:,} yuan)"

    def _carried(self, question: Question, places: Collection[tuple[str, int]]) -> dict[str, str]:
        """The places told as they were published before, since the new tables beside those would give something away; and those whose
        sums were not tested for large contributions by hospital, since none is known there or the policy does not ask.
        """
        kept = ", ".join(f"{city} {year}" for city, year in places if self._told[city, year].get("kept"))
        treated = question.measure.grain != "household_year"  # has sums of money by person
        blind = [p for p in places if treated and not self._told[p].get("hospitals", {}).get("tested")]
        not_tested = ", ".join(f"{city} {year}" for city, year in blind)
        told = {"published_before": kept, "not_tested_by_hospital": not_tested}
        return {name: text for name, text in told.items() if text}

    @property
    def certificates(self) -> list[dict[str, object]]:
        """Per city and plan year what was protected, hidden and left out, and what the attack tried."""
        return [dict(self._told[place]) for place in self.places]

    def _asked(self, question: Question) -> list[tuple[str, int]]:
        """The places a question looks at, all of which must be there. Where it tells places apart, those withheld are passed over."""
        every = [*self.places, *self.withheld]
        for position, name in enumerate(PLACE):
            held = sorted({str(place[position]) for place in every})
            if unknown := [v for v in question.where.get(name, ()) if v not in held]:
                text = f"{name} {', '.join(unknown)}: not among the protected tables; they hold {', '.join(held)}"
                raise Unable(text, "elsewhere", places=unknown)
        places, gone = _looked_at(question, self.places), self._without(question)
        summed = [i for i, name in enumerate(PLACE) if name not in question.by]
        if gone and (not places or any(len({place[i] for place in (*places, *gone)}) > 1 for i in summed)):
            alike = [place for place in gone if self.withheld[place] == self.withheld[gone[0]]]
            why, named = reasons_withheld()[self.withheld[gone[0]]], _listed(alike)
            text = f"{named}: 没有受保护的表格：{why.zh}\n{named}: no protected tables: {why.en}; ask for the other places"
            raise Unable(text, "withheld", places=[_listed([place]) for place in alike], why=why)
        return places

    def _without(self, question: Question) -> list[tuple[str, int]]:
        """The places a question looks at of which nothing is published."""
        return _looked_at(question, sorted(self.withheld))

    def _left_out(self, question: Question, places: Collection[tuple[str, int]]) -> str:
        """What the certificates say of a whole answer that was prepared and not protected; empty where they say nothing."""
        asked = {*question.by} - {"city", "plan_year", "threshold"}
        for line in (line for place in places for line in self._told[place]["left_out"]):
            measure, _, by = line.partition(":")[0].partition(" by ")
            if measure == question.measure.id and {*by.split(", ")} - {"nothing", "threshold"} == asked:
                return str(line)
        return ""

    def _absent(self, question: Question) -> str:
        name = question.measure.id
        ways = [
            f"by {' and '.join(by) or 'nothing'}{''.join(f' with {k} = {v}' for k, v in given.items())}"
            for measure, by, given in questions()
            if measure == name
        ]
        if not ways:
            known = ", ".join(dict.fromkeys(measure for measure, _, _ in questions()))
            return f"{name}: not among the protected tables; they hold {known}"
        return (
            f"{name} as asked: not among the protected tables; there it is {'; '.join(ways)}, of one city and plan year, or of several "
            "with city and plan_year in front, without other filters and parameters"
        )


def _looked_at(question: Question, places: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    cities, years = question.where.get("city"), question.where.get("plan_year")
    return [p for p in places if (not cities or p[0] in cities) and (not years or str(p[1]) in years)]


def _listed(places: Collection[tuple[str, int]]) -> str:
    return ", ".join(f"{city} {year}" for city, year in places)

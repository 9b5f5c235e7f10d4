"""Ask a snapshot; the answer is a Raw: table, SQL, parameters, provenance. Raw never leaves without the release wing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

import polars as pl

from analytics import reference
from analytics.measures.contrast import contrast
from analytics.measures.cube import PLACE, Kept, made_by
from analytics.measures.decompose import decompose
from analytics.measures.form import Grain, dimensions, grammar, measures
from analytics.measures.gather import Spread
from analytics.measures.histogram import histogram
from analytics.measures.histogram import question as question_of_bins
from analytics.measures.largest import largest
from analytics.measures.parade import parade
from analytics.measures.parade import question as question_of_parade
from analytics.measures.question import Question
from analytics.measures.rows import Fact, apart, codes, together, wide
from analytics.measures.sealed import Sealed, origin
from analytics.measures.uncertainty import Sure, with_errors
from analytics.measures.wide import compiled
from analytics.reference import Unable
from analytics.store import Column, Engine
from analytics.tiers import LEDGERS, TIER, TIERS


@dataclass(frozen=True)
class Raw:
    """An unprotected answer. `table`: the dimensions asked, measure, value, numerator, denominator, n (persons or
    households that entered), n_numerator (of these, how many add to the numerator), n_rest (how many do not, where one
    may be both), n_excluded (rows without what the measure needs), n_no_resource
    (rows whose resource or living standard is zero or negative, of measures that have one; provenance: `no_resource`).
    """

    question: Question
    table: pl.DataFrame
    sql: str
    bound: Mapping[str, Any]
    parameters: Mapping[str, str]
    provenance: Mapping[str, Any]
    against: tuple[str, str] | None = None


@dataclass(frozen=True)
class Replayed:
    """A ledger made by a replay. `tables`: the tables that stand for the facts; `told`: what provenance says of it; `order`:
    tiers in order of payment; `coalitions`: tiers without which it was replayed too (see credit.py), if any.
    """

    engine: Engine
    tables: Mapping[str, str]
    place: tuple[str, int]
    told: Mapping[str, Any]
    order: tuple[str, ...] = ()
    coalitions: tuple[str, ...] = ()


class Book:
    """One snapshot, opened for questions."""

    def __init__(
        self,
        snapshot: Sealed,
        replay: Replayed | None = None,
        threads: int | None = None,
        prepared: bool = True,
        spread: Spread | None = None,
    ) -> None:
        """`replay`: the ledger of one city-year paid anew, in place of the facts; `prepared`: whether prepared answers are
        used; `spread`: asks the parts of a question elsewhere. Raises store.Damaged when a file of the snapshot is not as it was sealed: no figure comes from a changed byte.
        """
        self._kept, self._spread = Kept({}), spread
        self.snapshot, self.manifest, self._replay = snapshot, snapshot.manifest, replay
        self._counted: dict[tuple[tuple[str, tuple[str, ...]], ...], set[str]] = {}
        self._told: dict[Grain, dict[str, dict[str, Column]]] = {}
        self._facts: dict[tuple[Grain, str], Fact] = {}
        self._several: dict[Any, int] = {}
        self._codes: dict[str, set[str]] = {}
        if replay:
            self._tables, self._engine = dict(replay.tables), replay.engine
            return
        snapshot.check()
        self._files = {name: snapshot.partitions(name) for name in get_args(Grain)}
        files = {name: [p.path for p in parts] for name, parts in self._files.items()}
        self._tables = {name: name for name, paths in files.items() if paths}
        more = {name: [p.path for p in snapshot.partitions(name)] for name in ("shared", "hospital_year")}
        read = {name: files[name] for name in self._tables} | {k: paths for k, paths in more.items() if paths}
        self._engine = Engine(read, threads=threads)
        # An older program may have meant something else.
        if prepared and self.manifest.get("prepared_by") == made_by():
            cubes = snapshot.partitions("cube")
            self._kept = Kept({(p.city, p.plan_year): p.path for p in cubes if p.city and p.plan_year})

    @cached_property
    def places(self) -> list[tuple[str, int]]:
        """(city, plan year) present, sorted."""
        if self._replay:
            return [self._replay.place]
        parts = self.snapshot.partitions()
        return sorted({(p.city, p.plan_year) for p in parts if p.city and p.plan_year})

    def ask(
        self,
        measure: str,
        by: Sequence[str] = (),
        where: Mapping[str, Sequence[str | int]] | None = None,
        parameters: Mapping[str, str] | None = None,
        *,
        se: str = "",
        se_method: str = "auto",
        against: tuple[str, str] | None = None,
    ) -> Raw:
        """Answer a question; `se`: with standard errors (see uncertainty.py), superpopulation or population; `against`: a
        dimension and the value to take differences from (see contrast.py). Raises ValueError (what is wrong, what is possible)
        or store.QueryTimeout.
        """
        if against:
            if against[0] == "city":
                against = ("city", reference.city_code(against[1]))
            if against[0] == "threshold":
                raise ValueError(
                    "against threshold: differences are of places, years and groups; name one of these"
                )
            by = tuple(dict.fromkeys((*by, against[0])))
        question, chosen = self._settled(Question.of(measure, by, where, parameters))
        kept = None if se or against else self._kept.answer(question, chosen, self._asked(question))
        fact = self._fact(question, open_it=kept is None)
        credited = set(kept["tier"]) if kept is not None and question.measure.credit else None
        tiers = self._tiers(question, fact, credited) if question.measure.credit else ()
        if question.measure.credit and not tiers:
            raise Unable(f"{measure}: no tier is recorded here, so there is nothing to credit", "no_credit")
        several = {"threshold": ",".join(question.thresholds)} if "threshold" in question.by else {}
        settled = chosen | several
        provenance = {**self._provenance(question), **_no_resource(question, chosen)}
        if self._spread and kept is None:
            provenance["runner"] = "local"  # unless it is asked in parts
            sure = Sure.of(question.measure, chosen, se, se_method) if se else None
            held = {(p.city, p.plan_year) for p in self._files[question.measure.grain]}
            places = [] if against or self._is_old else [p for p in self._asked(question) if p in held]
            if found := self._spread.answer(question, chosen, fact, tiers, sure, places):
                self._must_tell(question, found.table)
                return Raw(
                    question, found.table, found.sql, found.bound, settled, {**provenance, **found.told}
                )
        if against:
            sure = Sure.of(question.measure, chosen, se or "superpopulation", se_method)
            table, sql, bound, told = contrast(self._engine, question, chosen, fact, tiers, sure, against)
            self._must_tell(question, table)
            provenance |= {"uncertainty": told, "against": f"{against[0]}={against[1]}"}
            return Raw(question, table, sql, bound, settled, provenance, against)
        if se:
            sure = Sure.of(question.measure, chosen, se, se_method)
            answer = with_errors(self._engine, question, chosen, fact, tiers, sure)
            provenance["uncertainty"] = answer.told
            self._must_tell(question, answer.table)
            return Raw(question, answer.table, answer.sql, answer.bound, settled, provenance)
        asked = compiled(question, chosen, fact, tiers)
        if kept is not None:
            return Raw(question, kept, asked.sql, asked.bound, settled, {**provenance, "prepared": True})
        table = self._engine.ask(asked.sql, asked.bound)
        self._must_tell(question, table)
        return Raw(question, table, asked.sql, asked.bound, settled, provenance)

    def _asked(self, question: Question) -> list[tuple[str, int]]:
        """The places a question looks at."""
        cities, years = question.where.get("city"), question.where.get("plan_year")
        return [
            (c, y) for c, y in self.places if (not cities or c in cities) and (not years or str(y) in years)
        ]

    def _must_tell(self, question: Question, table: pl.DataFrame) -> None:
        """What never came is a thing to name, not a table of nothing."""
        told_by = question.measure.told_by
        if told_by and table["n_excluded"].sum() and not table["denominator"].sum():
            text = f"{question.measure.id}: nothing to compute it from here; it needs {told_by}"
            raise Unable(text, f"no_{question.measure.id}")

    def _absent(self, question: Question) -> Unable:
        """Why there is no fact of the grain asked for, and what to do."""
        grain = question.measure.grain
        wanted = "enrolment with a product_code" if grain == "policy_year" else "commercial_claim"
        why, code = f"nobody holds a product here and none paid; deliver {wanted}", f"no_{grain}"
        if grain in LEDGERS:
            why, code = f"this store holds {', '.join(self._tables)} (a survey has no persons)", "no_persons"
        elif self._replay:
            why = "a replay pays bills anew, it has no policies and no claims; ask without a scenario"
            code = "not_replayed"
        elif grain not in self.manifest.get("facts", ()):
            why = "this store was built before there were any; build it again: jianfu build STORE"
            code = "built_before"
        return Unable(f"{question.measure.id} needs {grain} facts; {why}", code)

    def codes(self, name: str) -> set[str]:
        """The codes of a dimension that any fact here holds."""
        if name in PLACE:
            return {str(place[PLACE.index(name)]) for place in self.places}
        if name not in self._codes:
            self._codes[name] = codes(self._engine, self._tables.values(), name)
        return self._codes[name]

    def columns(self) -> set[str]:
        """What is known of any household here."""
        form = next(m for m in measures().values() if m.grain == "household_year")
        return (
            self._held(Question.put(form), list(grammar().columns))
            if self._tables.get("household_year")
            else set()
        )

    def answerable(
        self, measure: str, parameter: str, where: Mapping[str, Sequence[str | int]] | None = None
    ) -> tuple[str, ...]:
        """The listed values of a parameter that a measure can be asked with here. Raises ValueError for a wrong question."""
        Question.of(measure, (), where)
        found = []
        for value in grammar().parameters[parameter].values:
            try:
                question = Question.of(measure, (), where, {parameter: value})
                question.settled(lambda columns, asked=question: self._held(asked, columns))  # type: ignore[misc]
            except ValueError:
                continue
            found.append(value)
        return tuple(found)

    def largest(self) -> list[pl.DataFrame]:
        """The largest contributions to the sums of the one city-year here, see largest.py."""
        place = self.places[0] if self.snapshot.partitions("hospital_year") else None
        told = self._fact(Question.of("tier_share", ["tier"])).told if "person_year" in self._tables else {}
        return largest(self._engine, told, place) if told else []

    def histogram(self, where: Mapping[str, Sequence[str | int]]) -> pl.DataFrame | None:
        """Burdens against every resource a city-year has, see histogram.py; None where there are none."""
        found = []
        for resource in grammar().parameters["resource"].values:
            try:
                found.append(histogram(self._engine, *self._prepared(question_of_bins(where, resource))))
            except ValueError:
                continue  # no such resource here
        return pl.concat(found) if found else None

    def parade(
        self,
        where: Mapping[str, Sequence[str | int]] | None = None,
        parameters: Mapping[str, str] | None = None,
        *,
        points: int,
        least: int,
    ) -> Raw:
        """Pen's parade of the households, see parade.py. Raises as `ask` does."""
        asked, chosen, fact = self._prepared(question_of_parade(where, parameters))
        table, sql, bound = parade(self._engine, asked, chosen, fact, points, least)
        return Raw(asked, table, sql, bound, chosen, self._provenance(asked))

    def decompose(
        self,
        measure: str,
        covariates: Sequence[str],
        where: Mapping[str, Sequence[str | int]] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> Raw:
        """What a concentration index goes with, see decompose.py. Raises as `ask` does."""
        asked, chosen, fact = self._prepared(Question.of(measure, (), where, parameters))
        table, sql, bound = decompose(self._engine, asked, chosen, fact, covariates)
        return Raw(replace(asked, by=("covariate",)), table, sql, bound, chosen, self._provenance(asked))

    def _prepared(self, question: Question) -> tuple[Question, dict[str, str], Fact]:
        """A question that can be asked here, its parameters, and what it reads."""
        question, chosen = self._settled(question)
        return question, chosen, self._fact(question)

    def _settled(self, question: Question) -> tuple[Question, dict[str, str]]:
        """A question that can be asked here, and its parameters."""
        if question.measure.grain not in self._tables:
            raise self._absent(question)
        question.must_be_held(self.codes)
        self._must_know(question)
        if question.measure.needs and not self._replay:
            text = (
                f"{question.measure.id} compares a scenario with what was before it; ask it with a scenario"
            )
            raise Unable(text, "needs_scenario")
        if self._replay and question.parameters.get("own_burden") == "cash":
            text = "own_burden = cash: a replay tells what is owed, not how much of it is paid in cash"
            raise Unable(text, "cash_replayed")
        return question, question.settled(lambda columns: self._held(question, columns))

    def _fact(self, question: Question, open_it: bool = True) -> Fact:
        grain, places = question.measure.grain, self._asked(question)
        name = whole = self._tables[grain]
        files = () if self._replay else self._files[grain]
        # The files that a question about one city looks into get a name of their own.
        if files and len({city for city, _ in places}) == 1 and len(places) < len(self.places):
            if some := [p for p in files if (p.city, p.plan_year) in places]:
                files = some
                name = "_".join([grain, places[0][0], *map(str, sorted({year for _, year in places}))])
            if some and open_it:
                self._engine.view(name, [p.path for p in files])
        if (grain, name) not in self._facts:
            if grain not in self._told:
                self._told[grain] = self._engine.told(whole)
            every = self._told[grain]
            each = [every.get(str(p.path), {}) for p in files] if files else [*every.values()]
            self._facts[grain, name] = Fact(name, wide(told := together(each)), told=told, apart=apart(each))
        once = "city" not in question.by and self._in_several(question) > 0
        within = PLACE if files and all((p.city, p.plan_year) in places for p in files) else ()
        order = self._order(question.where) if once else ()
        return replace(self._facts[grain, name], once=once, within=within, order=order)

    @property
    def _is_old(self) -> bool:
        """Whether the snapshot was built before anybody looked for persons in several cities, and has more than one city."""
        if self._replay or "shared" in self.manifest:
            return False
        return len({p.city for p in self.snapshot.partitions("person_year")}) > 1

    def _in_several(self, question: Question) -> int:
        """Persons (of household measures: households) that stand in several of the cities asked in one year."""
        if self._replay or not self.snapshot.partitions("shared"):
            return 0
        filters = {k: tuple(v) for k, v in question.where.items() if k in PLACE}
        who = "is_linked, household_key" if question.measure.grain == "household_year" else "person_key"
        key = (who, *sorted(filters.items()))
        if key not in self._several:
            sql = (
                f"SELECT count(*) FROM (SELECT plan_year, {who} FROM shared WHERE {_keep(filters)} "
                "GROUP BY ALL HAVING min(city) <> max(city))"
            )
            found = self._engine.ask(sql, {f"where_{k}": list(v) for k, v in filters.items()})
            self._several[key] = found.item()
        return self._several[key]

    def _must_know(self, question: Question) -> None:
        """Facts of an older version may lack a dimension that came since."""
        table = self._tables[question.measure.grain]
        own = [d for d in map(dimensions().__getitem__, {*question.by, *question.where}) if d.diseases]
        if own and not {d.column for d in own} <= set(
            self._engine.ask(f"SELECT * FROM {table} LIMIT 0").columns
        ):
            text = f"{own[0].id}: this store was built before there was such a thing; build it again: jianfu build STORE"
            raise Unable(text, "built_before")

    def _held(self, question: Question, columns: Sequence[str]) -> set[str]:
        """Of these columns of the households, those with any value in the cities and years asked."""
        filters = {k: tuple(v) for k, v in question.where.items() if k in PLACE}
        key = tuple(sorted(filters.items()))
        if key not in self._counted and (kept := self._kept.held(self._asked(question))) is not None:
            self._counted[key] = kept
        if key not in self._counted:
            table = self._tables["household_year"]
            there = self._engine.ask(f"SELECT * FROM {table} LIMIT 0").columns
            counts = ", ".join(f"count({name}) AS {name}" for name in grammar().columns if name in there)
            row = self._engine.ask(f"SELECT {counts} FROM {table} WHERE {_keep(filters)}", {f"where_{k}": list(v) for k, v in filters.items()}).row(0, named=True)  # fmt: skip
            self._counted[key] = {name for name, n in row.items() if n}
        return self._counted[key] & set(columns)

    def _tiers(self, question: Question, fact: Fact, recorded: Collection[str] | None) -> tuple[str, ...]:
        """The tiers a credit can go to, in order of payment. `recorded`: those with payments, where that is known."""
        if question.parameters["game"] == "replay":
            if not (self._replay and self._replay.coalitions):
                text = "game = replay: the rules are paid again without a tier only under --scenario"
                raise Unable(text, "needs_scenario")
            return self._replay.coalitions
        if recorded is None:
            recorded = self._recorded(question, fact)
        order = self._replay.order if self._replay else self._order(question.where)
        if not order and question.measure.credit == "sequential":
            text = "the order of payment differs between these places: ask one city and year, or places of one order"
            raise Unable(text, "orders_differ")
        return tuple(k for k in order or TIER if k in recorded)

    def _order(self, asked: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        """The tiers in order of payment, where all places asked have the same."""
        orders = {
            tuple(p["order"]) for p in self.manifest["plans"]
            if str(p["city"]) in asked.get("city", (p["city"],)) and str(p["plan_year"]) in asked.get("plan_year", (str(p["plan_year"]),))
        }  # fmt: skip
        return orders.pop() if len(orders) == 1 else ()

    def _recorded(self, question: Question, fact: Fact) -> set[str]:
        """The tiers with payments in the places asked: by what the files tell, else counted."""
        told = {t.id: fact.told[t.paid] for t in TIERS if t.paid in fact.told} if fact.within else {}
        if len(told) == len(TIERS) and all(c.empty or c.low is not None for c in told.values()):
            return {k for k, column in told.items() if not column.empty}
        counts = ", ".join(f"count({t.paid}) AS {t.id}" for t in TIERS)
        filters = {k: v for k, v in question.where.items() if k in PLACE}
        sql = f"SELECT {counts} FROM {self._tables['household_year']} WHERE {_keep(filters)}"
        row = self._engine.ask(sql, {f"where_{k}": list(v) for k, v in filters.items()}).row(0, named=True)
        return {k for k, n in row.items() if n}

    def _provenance(self, question: Question) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if several := self._in_several(question):
            told["in_several_cities"] = several
            told["counted"] = "in_each_city" if "city" in question.by else "once"
        elif self._is_old and "city" not in question.by:
            told["counted"] = "unknown"
        told_of = self._replay.told if self._replay else {}
        return {**origin(self.snapshot, question), **told, **told_of}


def _no_resource(question: Question, chosen: Mapping[str, str]) -> dict[str, str]:
    """What becomes of households whose resource (or living standard) is zero or negative, for measures that have one."""
    resource = grammar().resources.get(chosen.get("resource", ""))
    if not resource and "living_standard" not in chosen:
        return {}
    needs_more = question.measure.usable in ("resource > 0", "left_over > 0")
    if needs_more or (resource and resource.nonpositive == "excluded"):
        return {"no_resource": "left_out"}
    if resource and "threshold" in chosen:
        return {"no_resource": "catastrophic"}
    return {"no_resource": "floored" if chosen.get("negative") == "floored" else "kept"}


def _keep(names: Iterable[str]) -> str:
    """Condition on the cities and years asked."""
    return " AND ".join(f"list_contains($where_{name}, {name}::VARCHAR)" for name in names) or "true"

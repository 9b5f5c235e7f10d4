"""The desk where questions to a store are answered: one door for every answer, whoever asks.

A room is a snapshot opened for one scope: it holds the files of these cities only, and what was answered from them. A desk stands in it
for one viewer, and is light.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from analytics.measures import Book, Dimension, Measure, Raw, dimensions, measures
from analytics.outcome import Ledger, Outcome, assemble
from analytics.plans import Plan, plan_for
from analytics.quality import quality, samples, skeleton, store_wide
from analytics.release import (
    LOCAL,
    Denied,
    Record,
    Released,
    Viewer,
    identified,
    log_of,
    policy,
    release,
)
from analytics.store import Folder, Part, Store
from analytics.tiers import full_order
from analytics.whatif import Replay, Scenario, carry_out, coalitions, scenario_text

POINTS = 100  # of a parade, where there are households enough
REPLAYS = 2  # city-years held in memory to be replayed
MOST = 1_000_000_000  # bytes one of them may take before it begins anew
KEPT = 3000  # answers a room keeps
T = TypeVar("T")
P = ParamSpec("P")
Pairs = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Asked:
    """A question as it passes the door: what it is kept and recorded under. `action`: what the viewer must be allowed to do;
    `ledger`: observed, plan, or the text of a scenario; `more`: everything else that decides the answer, by name.
    """

    verb: str
    action: str = "ask"
    measure: str = ""
    by: tuple[str, ...] = ()
    where: Pairs = ()
    parameters: tuple[tuple[str, str], ...] = ()
    ledger: str = "observed"
    more: tuple[tuple[str, Any], ...] = ()


class Room:
    """One snapshot of a store, for everybody of one scope: only files of `cities` (None: all) are opened here."""

    def __init__(
        self,
        store: Store,
        snapshot: Folder,
        cities: frozenset[str] | None = None,
        *,
        prepared: bool = True,
    ) -> None:
        """`prepared`: whether answers prepared at the build are used, or all are computed from the facts."""
        self.store, self.whole, self._prepared = store, snapshot, prepared
        self.snapshot = snapshot if cities is None else Part(snapshot.path, cities)
        self.cities = cities
        self._replays: dict[tuple[str, int], Replay] = {}
        self._lock = threading.Lock()
        self._given: OrderedDict[Any, Any] = OrderedDict()
        self._giving = threading.Lock()

    @classmethod
    def open(cls, path: Path | str, cities: frozenset[str] | None = None) -> "Room":
        """The published snapshot of a store. Raises store.NotBuilt or store.Damaged."""
        store = Store(path)
        return cls(store, store.current(), cities)

    @cached_property
    def book(self) -> Book:
        return Book(self.snapshot, prepared=self._prepared)

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """What was made before under a key, or is made now. Nobody changes an answer, so nobody needs a copy."""
        with self._giving:
            if key in self._given:
                self._given.move_to_end(key)
                return cast(T, self._given[key])
        made = make()
        with self._giving:
            self._given[key] = made
            if len(self._given) > KEPT:
                self._given.popitem(last=False)
        return made

    def replay(self, city: str, plan_year: int) -> Replay:
        """The settlements of a city-year, held in memory for several questions. Raises ValueError, store.Damaged."""
        with self._lock:
            found = self._replays.pop((city, plan_year), None)
            if found is None or found.held > MOST:
                self._must_hold(city, plan_year)
                found = Replay(self.snapshot, self.store.deliveries(), city, plan_year)
            self._replays[city, plan_year] = found
            for old in list(self._replays)[:-REPLAYS]:
                del self._replays[old]
            return found

    def _must_hold(self, city: str, plan_year: int) -> None:
        if (city, plan_year) not in self.book.places:
            held = ", ".join(f"{c} {y}" for c, y in self.book.places)
            raise ValueError(f"{city} {plan_year}: not in this store; it holds {held}")

    def deliveries(self) -> list[Folder]:
        """Those whose every row is of these cities; a file that is not cut by city may hold others."""
        found = self.store.deliveries()
        if self.cities is None:
            return found
        return [d for d in found if (at := _cities(d)) and at <= self.cities]


def _cities(delivery: Folder) -> set[str]:
    """Cities of what a delivery loaded; empty text where that is not known."""
    return {str(f.get("city") or "") for f in delivery.manifest["files"] if f["table"] != "quarantine"}


def _entered(method: "Callable[Concatenate[Desk, P], T]") -> "Callable[Concatenate[Desk, P], T]":
    """A method of the desk whose refusals are entered in the audit log."""

    @wraps(method)
    def entered(self: "Desk", /, *args: P.args, **more: P.kwargs) -> T:
        try:
            return method(self, *args, **more)
        except Denied as error:
            self.record.note("refusal", asked=method.__name__, code=error.code, reason=str(error))
            raise

    return entered


class Desk:
    """A room, who asks in it, and the record of what they get."""

    def __init__(self, room: Room, viewer: Viewer = LOCAL, record: Record | None = None) -> None:
        """`record`: that of the viewer's session, where it goes on longer than this desk."""
        if room.cities != viewer.cities:
            raise ValueError("a viewer stands in the room of their own cities")
        self._room, self.viewer = room, viewer
        self.record = record or Record(log_of(room.store.path), viewer)
        self.snapshot_id = room.snapshot.id
        if viewer.answers == "exact":
            room.book  # noqa: B018 - a damaged file shows here

    @classmethod
    def open(cls, path: Path | str, viewer: Viewer = LOCAL) -> "Desk":
        """Serve the published snapshot of a store to a viewer. Raises store.NotBuilt or store.Damaged."""
        return cls(Room.open(path, viewer.cities), viewer)

    @classmethod
    def anew(cls, store: Store, snapshot: Folder, cities: Sequence[str] | None = None) -> "Desk":
        """A snapshot that is kept, for the local user, where nothing that was prepared or answered before is used."""
        scope = None if cities is None else frozenset(cities)
        return cls(Room(store, snapshot, scope, prepared=False), replace(LOCAL, cities=scope))

    @property
    def _book(self) -> Book:
        return self._room.book

    def _give(self, asked: Asked, make: Callable[[], T]) -> T:
        """The one door. Every answer, kept or new, is asked for here: may this viewer have it? It leaves once it is entered in
        the audit log. Raises release.Denied, release.Unwritten.
        """
        self.viewer.must(asked.action)
        if self.viewer.answers != "exact" and asked.action in ("ask", "simulate", "raw"):
            raise Denied("protected", "only protected tables are granted to you")
        given = self._room.once((self.viewer.scope, asked), make)
        if isinstance(given, Released):
            self.record.give(given)
        elif isinstance(given, Outcome):
            with self.record.together():
                for released in given.figures():
                    self.record.give(released)
        return given

    def _release(self, raw: Raw, protect: bool, **asked: Any) -> Released:
        """An answer protected, and with its id."""
        scope, products = self.viewer.scope[1:]
        return identified(release(raw, protect=protect), scope=scope, products=products, **asked)

    @property
    def is_synthetic(self) -> bool:
        return bool(self._room.snapshot.manifest["synthetic"])

    @property
    def places(self) -> list[tuple[str, int]]:
        """(city code, plan year) present, sorted."""
        return self._book.places

    @_entered
    def ask(
        self,
        measure: str,
        by: Sequence[str] = (),
        where: Mapping[str, Sequence[str | int]] | None = None,
        parameters: Mapping[str, str] | None = None,
        *,
        scenario: Scenario | str = "observed",
        se: str = "",
        se_method: str = "auto",
        against: tuple[str, str] | None = None,
        protect: bool = True,
    ) -> Released:
        """A protected answer; `se`, `se_method`, `against`: see `Book.ask`. `scenario`: "observed" (as recorded), "plan" (the plan in force, replayed) or a Scenario; the
        latter two of one city and plan year. Raises ValueError (what is wrong, what is possible) or store.QueryTimeout.
        """
        told = self.viewer.proposed(where or {})
        asked = Asked(
            "ask",
            _action(protect),
            measure,
            tuple(by),
            tuple(sorted(told.items())),
            tuple(sorted((parameters or {}).items())),
            scenario_text(scenario) if isinstance(scenario, Scenario) else scenario,
            (("se", se), ("se_method", se_method), ("against", against), ("protect", protect)),
        )

        def make() -> Released:
            book, at = self._book, told
            if scenario != "observed":
                book, at = self._replayed(scenario, told, (parameters or {}).get("game") == "replay")
            raw = book.ask(measure, by, at, parameters, se=se, se_method=se_method, against=against)
            how = {"scenario": asked.ledger} if isinstance(scenario, Scenario) else {"ledger": asked.ledger}
            method = se_method if se or against else ""
            return self._release(raw, protect, verb="ask", se=se, se_method=method, against=against, **how)

        return self._give(asked, make)

    @_entered
    def parade(
        self,
        where: Mapping[str, Sequence[str | int]] | None = None,
        parameters: Mapping[str, str] | None = None,
        *,
        points: int = POINTS,
        protect: bool = True,
    ) -> Released:
        """Pen's parade of the households, protected: a point is the mean of at least twice as many households as a cell that
        may be shown. Raises as `ask` does.
        """
        told, settled = self.viewer.proposed(where or {}), tuple(sorted((parameters or {}).items()))
        asked = Asked(
            "parade",
            _action(protect),
            "",
            (),
            tuple(sorted(told.items())),
            settled,
            more=(("points", points), ("protect", protect)),
        )
        least = 2 * policy().k
        return self._give(
            asked,
            lambda: self._release(
                self._book.parade(told, parameters, points=points, least=least),
                protect,
                verb="parade",
                points=points,
            ),
        )

    @_entered
    def decompose(
        self,
        measure: str,
        covariates: Sequence[str],
        where: Mapping[str, Sequence[str | int]] | None = None,
        parameters: Mapping[str, str] | None = None,
        *,
        protect: bool = True,
    ) -> Released:
        """What a concentration index goes with, protected. Raises as `ask` does."""
        told, settled = self.viewer.proposed(where or {}), tuple(sorted((parameters or {}).items()))
        more = (("covariates", tuple(covariates)), ("protect", protect))
        asked = Asked(
            "decompose", _action(protect), measure, (), tuple(sorted(told.items())), settled, more=more
        )
        return self._give(
            asked,
            lambda: self._release(
                self._book.decompose(measure, covariates, told, parameters),
                protect,
                verb="decompose",
                covariates=list(covariates),
            ),
        )

    def _replayed(
        self, scenario: Scenario | str, where: Mapping[str, tuple[str, ...]], game: bool
    ) -> tuple[Book, dict[str, tuple[str, ...]]]:
        """The ledger of a scenario, and the filter with its place."""
        if isinstance(scenario, Scenario):
            where = {"city": (scenario.city,), "plan_year": (str(scenario.plan_year),), **where}
        place = where.get("city", ()), where.get("plan_year", ())
        if [len(values) for values in place] != [1, 1]:
            raise ValueError(
                "a replay is of one city and plan year: name both, such as --where city=zhuhai --where plan_year=2023"
            )
        city, year = place[0][0], int(place[1][0])
        if isinstance(scenario, Scenario) and (city, year) != (scenario.city, scenario.plan_year):
            raise ValueError(
                f"the scenario is of {scenario.city} {scenario.plan_year}, the question of {city} {year}"
            )
        plan, replay = self._in_force(city, year), self._settled(city, year)
        if isinstance(scenario, Scenario):
            pair = carry_out(self._room.snapshot, replay, plan, scenario)
            book = Book(self._room.snapshot, coalitions(replay, pair.changed, plan)) if game else pair.reform
        else:
            book = Book(
                self._room.snapshot, coalitions(replay, plan) if game else replay.ledger(replay.pay(plan))
            )
        return book, dict(where)

    def _in_force(self, city: str, plan_year: int) -> Plan:
        plan = plan_for(city, plan_year)
        if plan is None:
            raise ValueError(
                f"no plan for {city} {plan_year}: nothing to replay; `jianfu plans check` lists those there are"
            )
        return plan

    def _settled(self, city: str, plan_year: int) -> Replay:
        self.viewer.within([city])
        return self._room.replay(city, plan_year)

    @_entered
    def replay(self, city: str, plan_year: int) -> Replay:
        """The settlements of a city-year themselves, for the local user. Raises as `ask` does, and store.Damaged."""
        self.viewer.must("explain")
        self.record.note("explain", city=city, plan_year=plan_year, snapshot=self.snapshot_id)
        return self._settled(city, plan_year)

    @_entered
    def simulate(self, scenario: Scenario, *, protect: bool = True) -> Outcome:
        """Carry a scenario out. Raises plans.PlanErrors, plans.PlanHoles, whatif.NoEffect, ValueError."""
        self.viewer.within([scenario.city])
        action = "simulate" if protect else "raw"
        asked = Asked("simulate", action, ledger=scenario_text(scenario), more=(("protect", protect),))
        return self._give(asked, lambda: self._carried_out(scenario, protect))

    def _carried_out(self, scenario: Scenario, protect: bool) -> Outcome:
        city, year = scenario.city, scenario.plan_year
        plan, replay = self._in_force(city, year), self._settled(city, year)
        pair, text = carry_out(self._room.snapshot, replay, plan, scenario), scenario_text(scenario)
        books = {"observed": self._book, "baseline": pair.baseline, "reform": pair.reform}
        where: dict[str, list[str | int]] = {"city": [city], "plan_year": [year]}

        def ask(of: Ledger, measure: str, by: Sequence[str], parameters: Mapping[str, str]) -> Released:
            raw = books[of].ask(measure, by, where, parameters)
            if of == "observed":
                return self._release(raw, protect, verb="ask")
            return self._release(raw, protect, verb="simulate", ledger=of, scenario=text)

        return assemble(pair.scenario, plan, pair.changed, ask)

    @_entered
    def answerable(
        self, measure: str, parameter: str, where: Mapping[str, Sequence[str | int]] | None = None
    ) -> tuple[str, ...]:
        """The listed values of a parameter that the data of some places can answer a measure with."""
        told = self.viewer.proposed(where or {})
        asked = Asked(
            "answerable", "ask", measure, (), tuple(sorted(told.items())), more=(("parameter", parameter),)
        )
        return self._give(asked, lambda: self._book.answerable(measure, parameter, told))

    @property
    def has_persons(self) -> bool:
        """Whether these are claims of persons; a survey has households only."""
        return any(f["table"] == "person_year" for f in self._room.snapshot.manifest["files"])

    def measures(self) -> list[Measure]:
        return list(measures().values())

    def dimensions(self) -> dict[str, Dimension]:
        return dimensions()

    @_entered
    def manifest(self) -> dict[str, Any]:
        """Manifest of the served snapshot, as far as it is about the viewer's cities."""
        self.viewer.must("manifest")
        return dict(self._room.snapshot.manifest)

    @_entered
    def quality(self) -> list[dict[str, Any]]:
        """What came, loaded and waits, per delivery; see `quality.quality`. Deliveries never change, so they are read once."""
        self.viewer.must("books")
        ids = tuple(d.id for d in self._room.deliveries())
        every = self._room.once(("quality", ids), lambda: quality(self._room.store))
        return [d for d in every if d["delivery"] in ids]

    @_entered
    def store_wide(self) -> dict[str, list[dict[str, Any]]]:
        """What the build checked over all deliveries; see `quality.store_wide`."""
        self.viewer.must("books")
        return store_wide(self._room.snapshot)

    @_entered
    def samples(self, rows: int, rule: str = "", delivery: str = "") -> list[dict[str, Any]]:
        """Quarantined rows as they came, for the local user; see `quality.samples`."""
        self.viewer.must("samples")
        self.record.note("samples", rule=rule, delivery=delivery, rows=rows)
        return samples(self._room.store, rows, rule, delivery)

    @_entered
    def skeleton(self, delivery: str, rule: str, rows: int) -> str:
        """A corrections file to fill in; see `quality.skeleton`."""
        self.viewer.must("samples")
        self.record.note("samples", rule=rule, delivery=delivery, rows=rows)
        return skeleton(self._room.store, delivery, rule, rows)

    def damage(self) -> list[str]:
        """What of the served snapshot is missing or changed, one line each. Hashes everything: to explain a failure only."""
        fresh = Room(self._room.store, Folder(self._room.whole.path), self._room.cities)
        return fresh.snapshot.damage()

    def plan(self, city: str, plan_year: int) -> Plan | None:
        """The benefit plan of a city-year, None where none is held."""
        return plan_for(city, plan_year)

    def order(self, city: str, plan_year: int) -> tuple[str, ...]:
        """All tiers in the order of payment the facts of that city-year were built in."""
        found = [
            p["order"]
            for p in self._room.snapshot.manifest["plans"]
            if (p["city"], p["plan_year"]) == (city, plan_year)
        ]
        return tuple(found[0]) if found else full_order()


def _action(protect: bool) -> str:
    return "ask" if protect else "raw"

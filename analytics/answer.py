"""The desk where questions to a store are answered: opens the published snapshot, asks, protects."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analytics import reference
from analytics.measures import Book, Dimension, Measure, dimensions, measures
from analytics.outcome import Ledger, Outcome, assemble
from analytics.plans import Plan, plan_for
from analytics.quality import quality, samples, skeleton, store_wide
from analytics.release import Released, policy, release
from analytics.store import Folder, Store
from analytics.tiers import full_order
from analytics.whatif import Replay, Scenario, carry_out, coalitions

POINTS = 100  # of a parade, where there are households enough
REPLAYS = 2  # city-years held in memory to be replayed
MOST = 1_000_000_000  # bytes one of them may take before it begins anew


class Desk:
    """One store, served at one snapshot."""

    def __init__(self, store: Store, snapshot: Folder) -> None:
        self.store, self._snapshot = store, snapshot
        self.snapshot_id = snapshot.id
        self._book = Book(snapshot)
        self._replays: dict[tuple[str, int], Replay] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path | str) -> "Desk":
        """Serve the published snapshot of a store. Raises store.NotBuilt or store.Damaged."""
        store = Store(path)
        return cls(store, store.current())

    @property
    def is_synthetic(self) -> bool:
        return bool(self._book.manifest["synthetic"])

    @property
    def places(self) -> list[tuple[str, int]]:
        """(city code, plan year) present, sorted."""
        return self._book.places

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
        book = self._book
        if scenario != "observed":
            book, where = self._replayed(scenario, where or {}, (parameters or {}).get("game") == "replay")
        raw = book.ask(measure, by, where, parameters, se=se, se_method=se_method, against=against)
        return release(raw, protect=protect)

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
        raw = self._book.parade(where, parameters, points=points, least=2 * policy().k)
        return release(raw, protect=protect)

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
        return release(self._book.decompose(measure, covariates, where, parameters), protect=protect)

    def _replayed(
        self, scenario: Scenario | str, where: Mapping[str, Sequence[str | int]], game: bool
    ) -> tuple[Book, Mapping[str, Sequence[str | int]]]:
        """The ledger of a scenario, and the filter with its place."""
        if isinstance(scenario, Scenario):
            where = {"city": [scenario.city], "plan_year": [scenario.plan_year], **where}
        place = (
            [reference.city_code(str(v)) for v in where.get("city", ())],
            [str(v) for v in where.get("plan_year", ())],
        )
        if [len(values) for values in place] != [1, 1]:
            raise ValueError(
                "a replay is of one city and plan year: name both, such as --where city=zhuhai --where plan_year=2023"
            )
        city, year = place[0][0], int(place[1][0])
        if isinstance(scenario, Scenario) and (city, year) != (scenario.city, scenario.plan_year):
            raise ValueError(
                f"the scenario is of {scenario.city} {scenario.plan_year}, the question of {city} {year}"
            )
        plan, replay = self._in_force(city, year), self.replay(city, year)
        if isinstance(scenario, Scenario):
            pair = carry_out(self._snapshot, replay, plan, scenario)
            book = Book(self._snapshot, coalitions(replay, pair.changed, plan)) if game else pair.reform
        else:
            book = Book(self._snapshot, coalitions(replay, plan) if game else replay.ledger(replay.pay(plan)))
        return book, where

    def _in_force(self, city: str, plan_year: int) -> Plan:
        plan = plan_for(city, plan_year)
        if plan is None:
            raise ValueError(
                f"no plan for {city} {plan_year}: nothing to replay; `jianfu plans check` lists those there are"
            )
        return plan

    def replay(self, city: str, plan_year: int) -> Replay:
        """The settlements of a city-year, held in memory for several questions. Raises ValueError, store.Damaged."""
        with self._lock:
            found = self._replays.pop((city, plan_year), None)
            if found is None or found.held > MOST:
                self._must_hold(city, plan_year)
                found = Replay(self._snapshot, self.store.deliveries(), city, plan_year)
            self._replays[city, plan_year] = found
            for old in list(self._replays)[:-REPLAYS]:
                del self._replays[old]
            return found

    def _must_hold(self, city: str, plan_year: int) -> None:
        if (city, plan_year) not in self.places:
            held = ", ".join(f"{c} {y}" for c, y in self.places)
            raise ValueError(f"{city} {plan_year}: not in this store; it holds {held}")

    def simulate(self, scenario: Scenario, *, protect: bool = True) -> Outcome:
        """Carry a scenario out. Raises plans.PlanErrors, plans.PlanHoles, whatif.NoEffect, ValueError."""
        city, year = scenario.city, scenario.plan_year
        plan, replay = self._in_force(city, year), self.replay(city, year)
        pair = carry_out(self._snapshot, replay, plan, scenario)
        books = {"observed": self._book, "baseline": pair.baseline, "reform": pair.reform}
        where: dict[str, list[str | int]] = {"city": [city], "plan_year": [year]}

        def ask(of: Ledger, measure: str, by: Sequence[str], parameters: Mapping[str, str]) -> Released:
            return release(books[of].ask(measure, by, where, parameters), protect=protect)

        return assemble(pair.scenario, plan, pair.changed, ask)

    def answerable(
        self, measure: str, parameter: str, where: Mapping[str, Sequence[str | int]] | None = None
    ) -> tuple[str, ...]:
        """The listed values of a parameter that the data of some places can answer a measure with."""
        return self._book.answerable(measure, parameter, where)

    @property
    def has_persons(self) -> bool:
        """Whether these are claims of persons; a survey has households only."""
        return any(f["table"] == "person_year" for f in self._book.manifest["files"])

    def measures(self) -> list[Measure]:
        return list(measures().values())

    def dimensions(self) -> dict[str, Dimension]:
        return dimensions()

    def manifest(self) -> dict[str, Any]:
        """Manifest of the served snapshot."""
        return dict(self._book.manifest)

    def quality(self) -> list[dict[str, Any]]:
        """What came, loaded and waits, per delivery; see `quality.quality`."""
        return quality(self.store)

    def store_wide(self) -> dict[str, list[dict[str, Any]]]:
        """What the build checked over all deliveries; see `quality.store_wide`."""
        return store_wide(self._snapshot)

    def samples(self, rows: int, rule: str = "", delivery: str = "") -> list[dict[str, Any]]:
        """Quarantined rows as they came, for the local user; see `quality.samples`."""
        return samples(self.store, rows, rule, delivery)

    def skeleton(self, delivery: str, rule: str, rows: int) -> str:
        """A corrections file to fill in; see `quality.skeleton`."""
        return skeleton(self.store, delivery, rule, rows)

    def plan(self, city: str, plan_year: int) -> Plan | None:
        """The benefit plan of a city-year, None where none is held."""
        return plan_for(city, plan_year)

    def order(self, city: str, plan_year: int) -> tuple[str, ...]:
        """All tiers in the order of payment the facts of that city-year were built in."""
        found = [
            p["order"]
            for p in self._book.manifest["plans"]
            if (p["city"], p["plan_year"]) == (city, plan_year)
        ]
        return tuple(found[0]) if found else full_order()

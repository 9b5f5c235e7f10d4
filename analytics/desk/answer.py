"""The desk where questions to a store are answered: one door for every answer, whoever asks. It stands in a room (see room.py) for one
viewer, and is light.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from analytics.desk.outcome import Ledger, Outcome, assemble
from analytics.desk.quality import quality, samples, skeleton, store_wide
from analytics.desk.room import Room
from analytics.measures import Book, Dimension, Measure, Raw, dimensions, grammar, measures
from analytics.plans import Plan, plan_for
from analytics.reference import Unable
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
from analytics.store import Folder, Store
from analytics.store.runner import Runner
from analytics.tiers import LEDGERS, full_order
from analytics.whatif import Replay, Scenario, carry_out, coalitions, scenario_text

POINTS = 100  # of a parade, where there are households enough
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


def _payments(scenario: Scenario) -> str:
    """A scenario as far as it decides payments; the loss ratio that is aimed at decides none."""
    ratio = {"target_loss_ratio": Scenario.model_fields["target_loss_ratio"].default}
    return scenario_text(scenario.model_copy(update=ratio))


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
    def open(cls, path: Path | str, viewer: Viewer = LOCAL, runner: Runner | None = None) -> "Desk":
        """Serve the published snapshot of a store to a viewer; `runner`: see Room. Raises store.NotBuilt or store.Damaged."""
        return cls(Room.open(path, viewer.cities, runner), viewer)

    @classmethod
    def anew(
        cls, store: Store, snapshot: Folder, cities: Sequence[str] | None = None, role: str = LOCAL.role
    ) -> "Desk":
        """A snapshot that is kept, as a role sees it, where nothing that was prepared or answered before is used."""
        scope = None if cities is None else frozenset(cities)
        viewer = Viewer(LOCAL.user, role, scope)
        record = Record(log_of(store.path), viewer, "replay")
        return cls(Room(store, snapshot, scope, prepared=False), viewer, record)

    @property
    def _book(self) -> Book:
        return self._room.book

    def _give(self, asked: Asked, make: Callable[[], T], published: Callable[[], T] | None = None) -> T:
        """The one door. Every answer, kept or new, is asked for here: may this viewer have it, and from what? It leaves once it is
        entered in the audit log. `published`: how the protected tables answer it, where they may. Raises release.Denied,
        release.Unwritten.
        """
        self.viewer.must(asked.action)
        if self.viewer.answers != "exact":
            if self.viewer.answers == "none" or published is None:
                raise Denied("protected", "only protected tables are granted to you")
            make = published
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
        return self._identified(release(raw, protect=protect), **asked)

    def _identified(self, released: Released, **asked: Any) -> Released:
        scope, products = self.viewer.scope[1:]
        return identified(released, scope=scope, products=products, **asked)

    @property
    def is_synthetic(self) -> bool:
        return bool(self._room.snapshot.manifest["synthetic"])

    @property
    def places(self) -> list[tuple[str, int]]:
        """(city code, plan year) present, sorted."""
        return self._room.places

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
        told = self._of_contract(measure, by, self.viewer.proposed(where or {}))
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
            how = (
                {"scenario": _payments(scenario)}
                if isinstance(scenario, Scenario)
                else {"ledger": asked.ledger}
            )
            method = se_method if se or against else ""
            return self._release(raw, protect, verb="ask", se=se, se_method=method, against=against, **how)

        def published() -> Released:
            return self._identified(self._room.published.ask(measure, by, told, parameters), verb="published")

        plain = scenario == "observed" and protect and not se and not against
        return self._give(asked, make, published if plain else None)

    def _of_contract(
        self, measure: str, by: Sequence[str], where: dict[str, tuple[str, ...]]
    ) -> dict[str, tuple[str, ...]]:
        """A filter with the products of the viewer's contract, where a question is of products and names none."""
        form = measures().get(measure)
        if self.viewer.products is None or "product" in where or form is None:
            return where
        of_products = form.grain not in LEDGERS or "product" in by
        return {**where, "product": tuple(sorted(self.viewer.products))} if of_products else where

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
            text = "a replay is of one city and plan year: name both, such as --where city=zhuhai --where plan_year=2023"
            raise Unable(text, "one_place")
        city, year = place[0][0], int(place[1][0])
        if isinstance(scenario, Scenario) and (city, year) != (scenario.city, scenario.plan_year):
            raise ValueError(
                f"the scenario is of {scenario.city} {scenario.plan_year}, the question of {city} {year}"
            )
        plan, replay, snapshot = self._in_force(city, year), self._settled(city, year), self._room.snapshot
        if isinstance(scenario, Scenario):
            pair = carry_out(snapshot, replay, plan, scenario)
            book = Book(snapshot, coalitions(replay, pair.changed, plan)) if game else pair.reform
        else:
            book = Book(snapshot, coalitions(replay, plan) if game else replay.ledger(replay.pay(plan)))
        return book, dict(where)

    def _in_force(self, city: str, plan_year: int) -> Plan:
        plan = plan_for(city, plan_year)
        if plan is None:
            text = f"no plan for {city} {plan_year}: nothing to replay; `jianfu plans check` lists those there are"
            raise Unable(text, "no_plan")
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
    def simulate(self, scenario: Scenario, *, protect: bool = True, made: Outcome | None = None) -> Outcome:
        """Carry a scenario out; `made`: what another process made of it, by `carried_out`. Raises plans.PlanErrors, plans.PlanHoles, whatif.NoEffect, ValueError."""
        self.viewer.within([scenario.city])
        action = "simulate" if protect else "raw"
        asked = Asked("simulate", action, ledger=scenario_text(scenario), more=(("protect", protect),))
        return self._give(asked, lambda: made or self.carried_out(scenario, protect))

    def carried_out(self, scenario: Scenario, protect: bool) -> Outcome:
        """What `simulate` gives, not yet given to anybody."""
        city, year = scenario.city, scenario.plan_year
        plan, replay = self._in_force(city, year), self._settled(city, year)
        pair = carry_out(self._room.snapshot, replay, plan, scenario)
        text = _payments(pair.scenario)  # as found: it is not searched again
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

        def published() -> tuple[str, ...]:
            listed = grammar().parameters[parameter].values
            return tuple(v for v in listed if self._is_published(measure, told, {parameter: v}))

        return self._give(asked, lambda: self._book.answerable(measure, parameter, told), published)

    def _is_published(
        self, measure: str, where: Mapping[str, Sequence[str]], parameters: Mapping[str, str]
    ) -> bool:
        for by in ((), ("plan_year",)):
            with suppress(ValueError):
                self._room.published.ask(measure, by, where, parameters)
                return True
        return False

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

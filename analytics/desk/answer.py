"""The desk where questions to a store are answered: one door for every answer, whoever asks. It stands in a room (see room.py) for one
viewer, and is light.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from analytics.desk.giving import Asked, Giving, entered
from analytics.desk.outcome import Ledger, Outcome, assemble
from analytics.desk.quality import quality, samples, skeleton, store_wide
from analytics.desk.room import Room
from analytics.measures import Book, Dimension, Measure, dimensions, grammar, measures
from analytics.plans import Plan, plan_for
from analytics.reference import Unable
from analytics.release import LOCAL, Record, Released, Viewer, log_of, policy
from analytics.store import Folder, Store
from analytics.store.runner import Runner
from analytics.tiers import LEDGERS, full_order
from analytics.whatif import Replay, Scenario, carry_out, coalitions, scenario_text

POINTS = 100  # of a parade, where there are households enough


def _payments(scenario: Scenario) -> str:
    """A scenario as far as it decides payments; the loss ratio that is aimed at decides none."""
    ratio = {"target_loss_ratio": Scenario.model_fields["target_loss_ratio"].default}
    return scenario_text(scenario.model_copy(update=ratio))


class Desk(Giving):
    """Who asks in a room, and all that can be asked there."""

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
    def is_synthetic(self) -> bool:
        return bool(self._room.snapshot.manifest["synthetic"])

    @property
    def places(self) -> list[tuple[str, int]]:
        """(city code, plan year) present, sorted."""
        return self._room.places

    @property
    def withheld(self) -> list[tuple[str, int]]:
        """Of these the places whose protected tables are withheld, where this viewer is answered from nothing else."""
        return sorted(self._room.published.withheld) if self.viewer.answers == "protected" else []

    @entered
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
        question = self._question(
            measure,
            by,
            where or {},
            parameters or {},
            scenario,
            se=se,
            se_method=se_method,
            against=against,
            protect=protect,
        )
        return self._give(*question)

    def foresee(
        self,
        measure: str,
        by: Sequence[str],
        where: Mapping[str, Sequence[str | int]],
        parameters: Mapping[str, str],
    ) -> None:
        """Make a protected answer of what was recorded, and keep it for who asks for it; nobody gets it here. Raises as `ask` does."""
        if self.viewer.answers == "exact":
            asked, make, _ = self._question(measure, by, where, parameters)
            self._room.once((self.viewer.scope, asked), make)

    def _question(
        self,
        measure: str,
        by: Sequence[str],
        where: Mapping[str, Sequence[str | int]],
        parameters: Mapping[str, str],
        scenario: Scenario | str = "observed",
        *,
        se: str = "",
        se_method: str = "auto",
        against: tuple[str, str] | None = None,
        protect: bool = True,
    ) -> tuple[Asked, Callable[[], Released], Callable[[], Released] | None]:
        """A question as it passes the door, how it is answered, and how the protected tables answer it, where they may."""
        told = self._of_contract(measure, by, self.viewer.proposed(where))
        asked = Asked(
            "ask",
            _action(protect),
            measure,
            tuple(by),
            tuple(sorted(told.items())),
            tuple(sorted(parameters.items())),
            scenario_text(scenario) if isinstance(scenario, Scenario) else scenario,
            (("se", se), ("se_method", se_method), ("against", against), ("protect", protect)),
        )

        def make() -> Released:
            book, at = self._book, told
            if scenario != "observed":
                book, at = self._replayed(scenario, told, parameters.get("game") == "replay")
            raw = book.ask(measure, by, at, parameters, se=se, se_method=se_method, against=against)
            ledger = asked.ledger
            how = {"scenario": _payments(scenario)} if isinstance(scenario, Scenario) else {"ledger": ledger}
            method = se_method if se or against else ""
            return self._release(raw, protect, verb="ask", se=se, se_method=method, against=against, **how)

        def published() -> Released:
            return self._identified(self._room.published.ask(measure, by, told, parameters), verb="published")

        plain = scenario == "observed" and protect and not se and not against
        return asked, make, published if plain else None

    def _of_contract(
        self, measure: str, by: Sequence[str], where: dict[str, tuple[str, ...]]
    ) -> dict[str, tuple[str, ...]]:
        """A filter with the products of the viewer's contract, where a question is of products and names none."""
        form = measures().get(measure)
        if self.viewer.products is None or "product" in where or form is None:
            return where
        if form.grain in LEDGERS and "product" not in by:
            return where
        held = self._book.codes("product") if self.viewer.answers == "exact" else self.viewer.products
        # none held: all of them, so that it is told what is not here
        return {**where, "product": tuple(sorted(self.viewer.products & held or self.viewer.products))}

    @entered
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

    @entered
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

    @entered
    def replay(self, city: str, plan_year: int) -> Replay:
        """The settlements of a city-year themselves, for the local user. Raises as `ask` does, and store.Damaged."""
        self.viewer.must("explain")
        self.record.note("explain", city=city, plan_year=plan_year, snapshot=self.snapshot_id)
        return self._settled(city, plan_year)

    @entered
    def simulate(self, scenario: Scenario, *, protect: bool = True, made: Outcome | None = None) -> Outcome:
        """Carry a scenario out; `made`: what another process made of it, by `carried_out`. Raises plans.PlanErrors, plans.PlanHoles, whatif.NoEffect, ValueError."""
        self.viewer.within([scenario.city])
        action = "simulate" if protect else "raw"
        asked = Asked("simulate", action, ledger=_payments(scenario), more=(("protect", protect),))
        found = self._give(asked, lambda: made or self.carried_out(scenario, protect))
        ratio = {"target_loss_ratio": scenario.target_loss_ratio}  # another one is not carried out anew
        return replace(found, scenario=found.scenario.model_copy(update=ratio))

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

    @entered
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

    @entered
    def manifest(self) -> dict[str, Any]:
        """Manifest of the served snapshot, as far as it is about the viewer's cities."""
        self.viewer.must("manifest")
        return dict(self._room.snapshot.manifest)

    @entered
    def quality(self) -> list[dict[str, Any]]:
        """What came, loaded and waits, per delivery; see `quality.quality`. Deliveries never change, so they are read once."""
        self.viewer.must("books")
        ids = tuple(d.id for d in self._room.deliveries())
        every = self._room.once(("quality", ids), lambda: quality(self._room.store))
        return [d for d in every if d["delivery"] in ids]

    @entered
    def store_wide(self) -> dict[str, list[dict[str, Any]]]:
        """What the build checked over all deliveries; see `quality.store_wide`."""
        self.viewer.must("books")
        return store_wide(self._room.snapshot)

    @entered
    def samples(self, rows: int, rule: str = "", delivery: str = "") -> list[dict[str, Any]]:
        """Quarantined rows as they came, for the local user; see `quality.samples`."""
        self.viewer.must("samples")
        self.record.note("samples", rule=rule, delivery=delivery, rows=rows)
        return samples(self._room.store, rows, rule, delivery)

    @entered
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

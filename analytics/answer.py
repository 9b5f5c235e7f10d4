"""The desk where questions to a store are answered: opens the published snapshot, asks, protects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analytics.measures import Book, Dimension, Measure, dimensions, measures
from analytics.plans import Plan, plan_for
from analytics.quality import quality, samples, skeleton, store_wide
from analytics.release import Released, release
from analytics.store import Folder, Store
from analytics.tiers import full_order


class Desk:
    """One store, served at one snapshot."""

    def __init__(self, store: Store, snapshot: Folder) -> None:
        self.store = store
        self.snapshot_id = snapshot.id
        self._book = Book(snapshot)

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
        protect: bool = True,
    ) -> Released:
        """A protected answer. Raises ValueError (what is wrong, what is possible) or store.QueryTimeout."""
        return release(self._book.ask(measure, by, where, parameters), protect=protect)

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
        return store_wide(self._book.snapshot)

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

"""A snapshot opened for one scope: the files of these cities only, and what was answered from them."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

from analytics.measures import Book, Spread
from analytics.reference import Unable
from analytics.release import Published
from analytics.store import Folder, Part, Store
from analytics.store.runner import Runner
from analytics.whatif import Replay

REPLAYS = 2  # city-years held in memory to be replayed
MOST = 1_000_000_000  # bytes one of them may take before it begins anew
KEPT = 3000  # answers a room keeps
_BESIDE = ("quarantine", "person_alias")  # made of the same rows, and not cut by city
T = TypeVar("T")


class Replays:
    """City-years held in memory, whoever looks at them: each is made of the files of its own city only."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], Replay] = {}
        self._lock, self._making = threading.Lock(), threading.Lock()

    def of(self, place: tuple[str, int], make: Callable[[], Replay]) -> Replay:
        """That of a place, held or made. One is made at a time, for the memory it takes; nobody waits for it whose place is held."""
        if (found := self._take(place)) is None:
            with self._making:
                if (found := self._take(place)) is None:
                    found = make()
                    self._hold(place, found)
        return found

    def _take(self, place: tuple[str, int]) -> Replay | None:
        with self._lock:
            found = self._held.pop(place, None)
            if found is None or found.held > MOST:
                return None
            self._held[place] = found  # looked at last
            return found

    def _hold(self, place: tuple[str, int], made: Replay) -> None:
        with self._lock:
            self._held[place] = made
            for old in list(self._held)[:-REPLAYS]:
                del self._held[old]


class Room:
    """One snapshot of a store, for everybody of one scope: only files of `cities` (None: all) are opened here."""

    def __init__(
        self,
        store: Store,
        snapshot: Folder,
        cities: frozenset[str] | None = None,
        replays: "Replays | None" = None,
        *,
        prepared: bool = True,
        runner: Runner | None = None,
    ) -> None:
        """`replays`: those other rooms of the snapshot hold; `prepared`: whether answers prepared at the build are used, or all
        are computed from the facts; `runner`: where the parts of a question are asked, else here.
        """
        self._spread = Spread(runner, snapshot.path) if runner else None
        self.store, self.whole, self._prepared = store, snapshot, prepared
        self.snapshot = snapshot if cities is None else Part(snapshot.path, cities)
        self.cities = cities
        self._replays = replays or Replays()
        self._given: OrderedDict[Any, Any] = OrderedDict()
        self._giving, self._opening = threading.Lock(), threading.Lock()

    @classmethod
    def open(
        cls, path: Path | str, cities: frozenset[str] | None = None, runner: Runner | None = None
    ) -> "Room":
        """The published snapshot of a store. Raises store.NotBuilt or store.Damaged."""
        store = Store(path)
        return cls(store, store.current(), cities, runner=runner)

    @property
    def book(self) -> Book:
        with self._opening:  # from Python 3.12 on a cached_property has no lock of its own
            return self._book

    @cached_property
    def _book(self) -> Book:
        return Book(self.snapshot, prepared=self._prepared, spread=self._spread)

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
        self._must_hold(city, plan_year)
        return self._replays.of(
            (city, plan_year), lambda: Replay(self.snapshot, self.store.deliveries(), city, plan_year)
        )

    @cached_property
    def published(self) -> Published:
        """The protected tables, for those who are answered from nothing else. Raises ValueError where a snapshot has none."""
        return Published(self.whole, self.cities)

    @cached_property
    def places(self) -> list[tuple[str, int]]:
        """(city code, plan year) present, sorted."""
        parts = self.snapshot.partitions()
        return sorted(
            {(p.city, p.plan_year) for p in parts if p.city is not None and p.plan_year is not None}
        )

    def _must_hold(self, city: str, plan_year: int) -> None:
        if (city, plan_year) not in self.places:
            held = ", ".join(f"{c} {y}" for c, y in self.places)
            text = f"{city} {plan_year}: not in this store; it holds {held}"
            raise Unable(text, "elsewhere", places=[f"{city} {plan_year}"])

    def deliveries(self) -> list[Folder]:
        """Those whose every row is of these cities; a file that is not cut by city may hold others."""
        found = self.store.deliveries()
        if self.cities is None:
            return found
        return [d for d in found if (at := _cities(d)) and at <= self.cities]


def _cities(delivery: Folder) -> set[str]:
    """Cities of what a delivery loaded; empty text where that is not known."""
    return {str(f.get("city") or "") for f in delivery.manifest["files"] if f["table"] not in _BESIDE}


class Rooms:
    """All rooms of one snapshot, each opened when somebody of its scope comes."""

    def __init__(self, path: Path | str, snapshot: str) -> None:
        """Raises store.NotBuilt or store.Damaged."""
        self._store = Store(path)
        current = self._store.current()
        self._snapshot = Folder(current.path.with_name(snapshot))  # another may have been published since
        self._replays, self._lock = Replays(), threading.Lock()
        self._open: dict[frozenset[str] | None, Room] = {}

    def of(self, cities: frozenset[str] | None) -> Room:
        """The room of a scope. Raises store.Damaged."""
        with self._lock:
            if cities not in self._open:
                self._open[cities] = Room(self._store, self._snapshot, cities, self._replays)
            return self._open[cities]

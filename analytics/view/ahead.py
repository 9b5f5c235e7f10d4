"""Answers made before anybody asks: what was asked of one place is asked of another next, and is made while nobody waits."""

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappop, heappush

from analytics.desk.answer import Desk

_REST = 0.3  # seconds in which nobody asked anything
_QUICK = (
    0.05  # seconds an answer may take on average; where they take longer, further places are left to who asks
)
_GRACE = 4  # answers more that may have taken so long: one that the machine held up does not decide
_PLACES = 60  # that a question is asked of
_KNOWN = 2000  # questions remembered
_WAITING = 20_000  # answers that wait to be made; who asks more than that is answered when asking


@dataclass(frozen=True)
class Foreseen:
    """What was asked of a city, or of one of its plan years."""

    measure: str
    by: tuple[str, ...]
    where: Mapping[str, Sequence[str]]
    parameters: Mapping[str, str]

    @property
    def is_of_one_place(self) -> bool:
        return len(self.where.get("city", ())) == 1 == len(self.where.get("plan_year", ("every",)))

    @property
    def of_any_place(self) -> tuple[object, ...]:
        """What stays the same wherever it is asked."""
        who = tuple(
            (name, *codes) for name, codes in sorted(self.where.items()) if name not in ("city", "plan_year")
        )
        parameters = tuple(sorted(self.parameters.items()))
        return self.measure, self.by, who, "plan_year" in self.where, parameters

    def elsewhere(self, places: Sequence[tuple[str, int]]) -> list[dict[str, Sequence[str]]]:
        """The filters of the same question at the other places: those of the same city first, then those of the same year."""
        city, year = self.where["city"][0], self.where.get("plan_year", ("",))[0]
        near = sorted(
            places, key=lambda place: (place[0] != city) + (place[0] != city and str(place[1]) != year)
        )
        if year:
            others = [{**self.where, "city": [at], "plan_year": [str(when)]} for at, when in near]
        else:
            others = [{**self.where, "city": [at]} for at in dict.fromkeys(at for at, _ in near)]
        return [other for other in others if other != self.where][:_PLACES]


class Ahead:
    """`with Ahead() as ahead:` a worker beside the sessions: one answer at a time, and none while anybody asks."""

    def __init__(self) -> None:
        # how near the place, and in what order they came: all of a page at the nearest place comes first
        self._wanted: list[tuple[int, int, Desk, Foreseen, dict[str, Sequence[str]]]] = []
        self._known: OrderedDict[object, None] = OrderedDict()
        self._lock = threading.Lock()
        self._is_on = self._is_working = False
        self._asked, self._came = 0.0, 0

    def __enter__(self) -> "Ahead":
        self._is_on = True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_on = False
        self._wanted.clear()

    def asked(self, desk: Desk, question: Foreseen) -> None:
        """Somebody asked this; returns at once."""
        if not self._is_on:
            return
        self._asked = time.monotonic()
        if not question.is_of_one_place:
            return
        kind = desk.snapshot_id, desk.viewer.scope, question.of_any_place
        with self._lock:
            if kind in self._known or len(self._wanted) >= _WAITING:
                return
            self._known[kind] = None
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
            for nearness, where in enumerate(question.elsewhere(desk.places)):
                heappush(self._wanted, (nearness, self._came, desk, question, where))
            self._came += 1
            if not self._is_working:
                self._is_working = True
                threading.Thread(target=self._work, name="ahead", daemon=True).start()

    def _next(self) -> tuple[int, int, Desk, Foreseen, dict[str, Sequence[str]]] | None:
        with self._lock:
            if self._wanted:
                return heappop(self._wanted)
            self._is_working = False
            return None

    def _work(self) -> None:
        spent: dict[int, float] = defaultdict(float)
        for made, number, desk, question, where in iter(self._next, None):
            if spent[number] > _QUICK * (made + _GRACE):
                continue
            while self._is_on and (rest := self._asked + _REST - time.monotonic()) > 0:
                time.sleep(rest)
            began = time.perf_counter()
            if self._is_on:
                with suppress(Exception):  # why there is no answer is told to who asks for it
                    desk.foresee(question.measure, question.by, where, question.parameters)
            spent[number] += time.perf_counter() - began

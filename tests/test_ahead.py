"""Answers made before anybody asks: which, when, and that nobody gets them unentered."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analytics.desk.answer import Desk
from analytics.desk.room import Room
from analytics.measures import Book
from analytics.release import Record, Viewer, log_of
from analytics.store import Store
from analytics.view import ahead, asking, server
from analytics.view.ahead import Ahead, Foreseen

ZHUHAI, ZHANJIANG = "440400", "440800"
PLACES = [(ZHUHAI, 2022), (ZHUHAI, 2023), (ZHANJIANG, 2022), (ZHANJIANG, 2023)]
WHERE = {"city": [ZHANJIANG], "plan_year": ["2022"]}


class Clerk:
    """Stands for a desk: notes what is to be foreseen."""

    def __init__(self, takes: float = 0, first: float = 0, fails: bool = False) -> None:
        self.places, self.snapshot_id, self.viewer = (
            PLACES,
            "s",
            SimpleNamespace(scope=("analyst", None, None)),
        )
        self.made: list[tuple[str, Mapping[str, Sequence[str]]]] = []
        self._takes, self._first, self._fails = takes, first, fails

    def foresee(self, measure: str, by: Any, where: Mapping[str, Sequence[str]], parameters: Any) -> None:
        self.made.append((measure, where))
        time.sleep(self._takes if self.made[1:] else self._takes + self._first)
        if self._fails:
            raise ValueError("not here")


def question(measure: str = "gini", **where: str) -> Foreseen:
    told = {name: [code] for name, code in where.items()}
    return Foreseen(measure, ("tier",), told or WHERE, {})


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short rest, and what counts as slow beyond what a busy machine adds."""
    monkeypatch.setattr(ahead, "_REST", 0.05)
    monkeypatch.setattr(ahead, "_QUICK", 0.5)


def settles(seen: Callable[[], int], want: int) -> bool:
    """Whether a count comes to what is wanted, and stays there."""
    until = time.monotonic() + 10
    while seen() < want and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.3)
    return seen() == want


def asked(worker: Ahead, desk: Clerk, *questions: Foreseen) -> None:
    for each in questions:
        worker.asked(desk, each)  # type: ignore[arg-type]


def test_other_places_are_those_of_the_store_nearest_first() -> None:
    of_a_year = question(city=ZHANJIANG, plan_year="2022", sex="f").elsewhere(PLACES)
    assert [(w["city"], w["plan_year"]) for w in of_a_year] == [
        ([ZHANJIANG], ["2023"]),
        ([ZHUHAI], ["2022"]),
        ([ZHUHAI], ["2023"]),
    ]
    assert all(w["sex"] == ["f"] for w in of_a_year)
    of_the_next = question(city=ZHANJIANG, plan_year="2023").elsewhere(PLACES)
    assert [(*w["city"], *w["plan_year"]) for w in of_the_next] == [
        (ZHANJIANG, "2022"),
        (ZHUHAI, "2023"),
        (ZHUHAI, "2022"),
    ]
    assert question(city=ZHUHAI).elsewhere(PLACES) == [{"city": [ZHANJIANG]}]
    assert len(question(city="x").elsewhere([(str(n), 2022) for n in range(500)])) == 60


@pytest.mark.usefixtures("soon")
def test_what_was_asked_of_one_place_is_made_once_for_every_other() -> None:
    desk = Clerk()
    with Ahead() as worker:
        asked(worker, desk, question(), question(city=ZHUHAI, plan_year="2023"), question("reach"))
        assert settles(lambda: len(desk.made), 6)
        assert [m for m, _ in desk.made] == ["gini", "reach"] * 3, "all of a page, place by place"
        asked(worker, desk, question(city=ZHUHAI), question(city=ZHUHAI, plan_year="2022", sex="f"))
        assert settles(lambda: len(desk.made), 6 + 1 + 3), (
            "of all years, and of other people, is another question"
        )


@pytest.mark.usefixtures("soon")
def test_questions_of_several_places_and_of_none_are_left() -> None:
    desk = Clerk()
    with Ahead() as worker:
        several = Foreseen("gini", (), {"city": [ZHUHAI, ZHANJIANG], "plan_year": ["2022"]}, {})
        asked(worker, desk, several, Foreseen("gini", (), {}, {}), question(plan_year="2022"))
        assert settles(lambda: len(desk.made), 0)


def test_nothing_is_made_while_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_REST", 1.5)
    monkeypatch.setattr(ahead, "_QUICK", 1.0)
    desk = Clerk()
    with Ahead() as worker:
        for _ in range(20):
            asked(worker, desk, question())
            time.sleep(0.05)
            assert not desk.made
        assert settles(lambda: len(desk.made), 3)


@pytest.mark.usefixtures("soon")
def test_no_more_waits_than_a_server_may_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_WAITING", 4)
    desk = Clerk()
    with Ahead() as worker:
        asked(worker, desk, question("gini"), question("reach"), question("tier_share"))
        assert settles(lambda: len(desk.made), 3 + 3), "the third came while four or more waited"
        asked(worker, desk, question("tier_share"))
        assert settles(lambda: len(desk.made), 6 + 3), "and is taken up when there is room"


@pytest.mark.usefixtures("soon")
def test_slow_answers_are_left_and_a_failure_ends_nothing() -> None:
    slow, failing = Clerk(takes=3), Clerk(fails=True)
    with Ahead() as worker:
        asked(worker, slow, question())
        asked(worker, failing, question("reach"))
        assert settles(lambda: len(slow.made) + len(failing.made), 1 + 3)


@pytest.mark.usefixtures("soon")
def test_one_answer_that_the_machine_held_up_decides_nothing() -> None:
    desk = Clerk(first=0.7)
    with Ahead() as worker:
        asked(worker, desk, question())
        assert settles(lambda: len(desk.made), 3)


@pytest.mark.usefixtures("soon")
def test_outside_a_server_nothing_is_made() -> None:
    desk, worker = Clerk(), Ahead()
    asked(worker, desk, question())
    assert settles(lambda: len(desk.made), 0)
    with worker:
        asked(worker, desk, question())
    assert settles(lambda: len(desk.made), 0), "a server that ends makes nothing more"


def test_a_foreseen_answer_is_entered_when_it_is_given(
    sample_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    true = Book.ask

    def counted(self: Book, *args: Any, **more: Any) -> Any:
        made.append(args)
        return true(self, *args, **more)

    monkeypatch.setattr(Book, "ask", counted)

    def entries() -> int:
        return len(list(log_of(sample_store).entries()))

    room = Room.open(sample_store)
    desk, before = Desk(room), entries()
    assert desk.foresee("tier_share", ["tier"], WHERE, {}) is None  # type: ignore[func-returns-value]
    assert (len(made), entries()) == (1, before)
    given = Desk(room).ask("tier_share", ["tier"], WHERE)
    assert (len(made), entries()) == (1, before + 1)
    own = Desk(Room.open(sample_store)).ask("tier_share", ["tier"], WHERE)
    assert len(made) == 2 and own.table.equals(given.table) and own.figures == given.figures
    desk.ask("reach", ["tier"], WHERE)
    assert (len(made), entries()) == (3, before + 3), "control: what was not foreseen is made"


def test_nothing_is_foreseen_for_who_gets_protected_tables_only(sample_store: Path) -> None:
    store = Store(sample_store)
    room = Room(store, store.current())
    viewer = Viewer("somebody", "researcher", None)
    guest = Desk(room, viewer, Record(log_of(sample_store), viewer))
    guest.foresee("tier_share", ["tier"], WHERE, {})
    assert not room._given
    Desk(room).foresee("tier_share", ["tier"], WHERE, {})
    assert len(room._given) == 1, "control"


def test_a_server_looks_ahead_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_warm_up", lambda: None)
    monkeypatch.setattr(server, "gc", SimpleNamespace(collect=lambda: 0, freeze=lambda: None))

    async def runs() -> None:
        async with server.lifespan(None):
            assert asking.ahead._is_on

    assert not asking.ahead._is_on
    asyncio.run(runs())
    assert not asking.ahead._is_on

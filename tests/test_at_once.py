"""Several sessions at once: what they share is made once, and nobody takes it from another."""

import functools
import runpy
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from canonical import WEIHAI, ZHUHAI, built, deliver, settle

from analytics.desk import room
from analytics.desk.room import Room
from analytics.plans import plan_for
from analytics.store import Folder, Store, part
from analytics.whatif.coalitions import coalitions


class Unlocked:
    """functools.cached_property as Python 3.12 and later have it."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make

    def __set_name__(self, _: type, name: str) -> None:
        self.name = name

    def __get__(self, one: Any, _: type | None = None) -> Any:
        if self.name not in one.__dict__:
            one.__dict__[self.name] = self.make(one)
        return one.__dict__[self.name]


def at_once(work: Callable[[int], Any], n: int = 4) -> list[Any]:
    """What n threads that begin together are given."""
    found: list[Any] = [None] * n
    begin = threading.Barrier(n)

    def run(k: int) -> None:
        begin.wait()
        try:
            found[k] = work(k)
        except Exception as error:
            found[k] = error

    threads = [threading.Thread(target=run, args=(k,)) for k in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Each person is found in both cities."""
    rows = [settle(f"{c}{n}", 100_000, person=n, city=c) for c in (WEIHAI, ZHUHAI) for n in range(2_000)]
    path = tmp_path_factory.mktemp("once") / "store"
    deliver(path, settlement=rows)
    return built(path)


def manifest_of(seen: Folder, _: int) -> int:
    return id(seen.manifest)


def test_a_part_of_several_cities_is_written_once(snapshot: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functools, "cached_property", Unlocked)
    fresh = runpy.run_path(str(Path(part.__file__)))["Part"]
    for _ in range(10):
        seen = fresh(snapshot.path, frozenset({WEIHAI, ZHUHAI}))
        found = at_once(partial(manifest_of, seen))
        assert len(set(found)) == 1 and seen.damage() == []
        (shared,) = [f for f in seen.manifest["files"] if f["table"] == "shared"]
        assert pl.read_parquet(shared["name"]).height == shared["rows"] > 0


def test_a_room_opens_its_book_once(snapshot: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functools, "cached_property", Unlocked)
    fresh = runpy.run_path(str(Path(room.__file__)))["Room"]
    one = fresh(Store(snapshot.path.parent.parent), snapshot)
    assert len(set(at_once(lambda _: id(one.book)))) == 1


def test_two_games_of_one_replay_do_not_meet(sample_store: Path) -> None:
    """Their tables are named by the plan; one drops what another is about to join."""
    plan = plan_for("weihai", 2023)
    assert plan is not None
    replay = Room.open(sample_store).replay(WEIHAI, 2023)
    replay.pay(plan)
    made = at_once(lambda _: coalitions(replay, plan), 3)
    assert not [one for one in made if isinstance(one, Exception)], made

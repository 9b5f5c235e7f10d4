"""Killed and failing builders: what is published stays whole and is served, and the next run mends everything."""

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from canonical import ZHUHAI, deliver, enrol
from deliveries import csv_file, record
from faults import Warm, copy, events, generation, quick_build, shown, torn

from analytics import verbs
from analytics.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks and signals are of POSIX")
KILLS = [36, pytest.param(200, marks=pytest.mark.long)]
KILLS_OF_INGEST = [14, pytest.param(100, marks=pytest.mark.long)]
HOW = ("kill", "ENOSPC", "EIO")


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm() as process:
        yield process


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generation 0 is served, generation 1 delivered: a build works both years anew."""
    store = tmp_path_factory.mktemp("waiting") / "store"
    generation(store, 0)
    quick_build(Store(store))
    generation(store, 1)
    return store


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generation 1 is served, and a delivery waits that touches no city-year: a build takes every file over by link."""
    store = tmp_path_factory.mktemp("linked") / "store"
    generation(store, 0)
    generation(store, 1)
    quick_build(Store(store))
    deliver(store, enrolment=[enrol(1, city=ZHUHAI)])
    return store


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a store that came through the gate, with the month that is delivered next."""
    folder = tmp_path_factory.mktemp("delivered")
    for month in (0, 1):
        rows = [record(n, setl_id=f"S{month}{n}", mdtrt_id=f"M{month}{n}") for n in range(1, 14)]
        csv_file(folder / f"m{month}.csv", rows)
    verbs.ingest(folder / "store", [folder / "m0.csv"], "settlement")
    quick_build(Store(folder / "store"))
    return folder


def mended(warm: Warm, store: Path, *command: object) -> None:
    """The command runs to its end, and nothing of those before it is left."""
    assert warm.run(*command, out=f"{store}.out") == 0, Path(f"{store}.out").read_text()
    assert not (store / "staging").exists()
    assert torn(store) == []


@pytest.mark.parametrize("kills", KILLS)
def test_a_build_killed_at_any_time(warm: Warm, waiting: Path, tmp_path: Path, kills: int) -> None:
    store, chance, old, new = tmp_path / "store", random.Random(kills), 0, 0
    began = time.monotonic()
    mended(warm, copy(waiting, store), "build", store)
    lasts = time.monotonic() - began
    copy(waiting, store)
    for n in range(10 * kills):
        if old + new == kills:
            break
        killed = warm.kill_after(chance.uniform(0, lasts), "build", store) != 0
        assert torn(store) == []
        served = shown(store)
        old, new = old + (killed and served == 0), new + (killed and served == 1)
        if served or n % 6 == 5:  # what the kills before it left is in the way of this one
            mended(warm, store, "build", store)
            assert shown(store) == 1
            copy(waiting, store)
    assert old + new == kills and old, (old, new)


@pytest.mark.parametrize("kills", KILLS_OF_INGEST)
def test_an_ingest_killed_at_any_time(warm: Warm, delivered: Path, tmp_path: Path, kills: int) -> None:
    folder, chance, done = tmp_path / "f", random.Random(kills), 0
    store, ingest = folder / "store", ("ingest", folder / "store", folder / "m1.csv", "--as", "settlement")
    began = time.monotonic()
    mended(warm, copy(delivered, folder) / "store", *ingest)
    lasts = time.monotonic() - began
    copy(delivered, folder)
    served = Store(store).current_id()
    for n in range(10 * kills):
        if done == kills:
            break
        done += warm.kill_after(chance.uniform(0, lasts), *ingest) != 0
        assert torn(store) == []
        assert Store(store).current_id() == served
        arrived = len(Store(store).deliveries())
        if arrived == 2 or n % 5 == 4:
            mended(warm, store, *ingest)
            assert len(Store(store).deliveries()) == 2
            copy(delivered, folder)
    assert done == kills


def every_point(
    warm: Warm, template: Path, store: Path, command: tuple[object, ...], how: str, step: int = 1
) -> int:
    """Fail at each file call of a command (every `step`-th), one run each; returns how many were reached."""
    log, out = Path(f"{store}.log"), Path(f"{store}.out")
    target = store / "store" if (template / "store").is_dir() else store
    for at in range(1, 1000, step):
        copy(template, store)
        held = [f.id for f in Store(target).deliveries()]
        code = warm.run(*command, at=at, how=how, log=str(log), out=str(out))
        reached = len(events(log)) >= at
        assert torn(target) == [], (at, how, events(log)[-1])
        done = Store(target)
        committed = (
            done.current_id() != Store(template).current_id()
            if command[0] == "build"
            else [f.id for f in done.deliveries()] != held
        )
        assert committed or code != 0, (at, how, events(log)[at - 1 :][:1])
        if how != "kill" and code:
            assert "Traceback" not in out.read_text() and code == 1, out.read_text()
        if not reached:
            assert code == 0 and committed
            return at - 1
        mended(warm, target, *command)
    raise AssertionError("endless")


@pytest.mark.parametrize("how", HOW)
def test_a_build_that_fails_at_any_file_call(warm: Warm, linked: Path, tmp_path: Path, how: str) -> None:
    store = tmp_path / "store"
    assert every_point(warm, linked, store, ("build", store), how) >= 25

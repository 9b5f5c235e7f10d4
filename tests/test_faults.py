"""Killed and failing builders: what is published stays whole and is served, and the next run mends everything."""

import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from canonical import ZHUHAI, deliver, enrol
from deliveries import csv_file, record
from faults import Warm, copy, events, generation, quick_build, sealed, shown, torn, untold

from analytics import verbs
from analytics.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks and signals are of POSIX")
KILLS = [36, pytest.param(200, marks=pytest.mark.long)]
KILLS_OF_INGEST = [14, pytest.param(100, marks=pytest.mark.long)]
HOW = ("kill", "ENOSPC", "EIO")
Command = tuple[object, ...]


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
    store, chance, old, new, known = tmp_path / "store", random.Random(kills), 0, 0, sealed(waiting)
    began = time.monotonic()
    mended(warm, copy(waiting, store), "build", store)
    lasts = time.monotonic() - began
    copy(waiting, store)
    for n in range(10 * kills):
        if old + new == kills:
            break
        killed = warm.kill_after(chance.uniform(0, lasts), "build", store) != 0
        assert torn(store) == [] and untold(store, known) == []
        served = shown(store)
        old, new = old + (killed and served == 0), new + (killed and served == 1)
        if n % 6 == 5:  # what the kills before it left is in the way of this one
            mended(warm, store, "build", store)
            assert shown(store) == 1
        if served or n % 6 == 5:
            copy(waiting, store)
    assert old + new == kills and old, (old, new)


@pytest.mark.parametrize("kills", KILLS_OF_INGEST)
def test_an_ingest_killed_at_any_time(warm: Warm, delivered: Path, tmp_path: Path, kills: int) -> None:
    folder, chance, done, known = tmp_path / "f", random.Random(kills), 0, sealed(delivered / "store")
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
        assert torn(store) == [] and untold(store, known) == []
        assert Store(store).current_id() == served
        arrived = len(Store(store).deliveries())
        if n % 5 == 4:
            mended(warm, store, *ingest)
            assert len(Store(store).deliveries()) == 2
        if arrived == 2 or n % 5 == 4:
            copy(delivered, folder)
    assert done == kills


def ids(store: Store) -> tuple[str, list[str]]:
    return store.current_id(), [d.id for d in store.deliveries()]


def every_point(warm: Warm, template: Path, folder: Path, command: Command, how: str, step: int = 1) -> int:
    """Fail at each file call of a command (every `step`-th), one run each; returns how many calls there are."""
    log, out = Path(f"{folder}.log"), Path(f"{folder}.out")
    store = folder / "store"
    for at in range(1, 1000, step):
        copy(template, folder)
        before, known = ids(Store(store)), sealed(store)
        code = warm.run(*command, at=at, how=how, log=str(log), out=str(out))
        calls, committed = events(log), ids(Store(store)) != before
        where = (how, calls[min(at, len(calls)) - 1], code)
        assert torn(store) == [] and untold(store, known) == [], where
        assert committed or code != 0, where
        assert how == "kill" or code in (0, 1), (*where, out.read_text())
        if len(calls) < at:
            assert code == 0 and committed
            return len(calls)
        assert how != "kill" or code == -9
        if at % 3 == 0 or step > 1:
            mended(warm, store, *command)
            assert ids(Store(store)) != before
    raise AssertionError("endless")


@pytest.mark.parametrize("how", HOW)
def test_a_build_that_fails_at_any_file_call(warm: Warm, linked: Path, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "f"
    assert every_point(warm, linked.parent, folder, ("build", folder / "store"), how) >= 25


@pytest.mark.parametrize(
    ("how", "step"), [("ENOSPC", 8), *(pytest.param(how, 1, marks=pytest.mark.long) for how in HOW)]
)
def test_an_ingest_that_fails_at_any_file_call(
    warm: Warm, delivered: Path, tmp_path: Path, how: str, step: int
) -> None:
    folder = tmp_path / "f"
    command = ("ingest", folder / "store", folder / "m1.csv", "--as", "settlement")
    assert every_point(warm, delivered, folder, command, how, step) >= 20


# --- what a power cut leaves: everything is on the disk before the name that makes it count


def out_of_order(store: Path, calls: list[list[str]]) -> list[str]:
    """Names that came to count before what they name was on the disk, or were not on it themselves at the end."""
    synced: set[str] = set()
    loose: set[str] = set()  # folders with a new name in them
    found = []
    for name, *paths in calls:
        if name == "fsync":
            synced.add(paths[0])
            loose.discard(paths[0])
        elif name == "open":
            synced.discard(paths[0])
        elif name in ("rename", "replace"):
            source, target = map(Path, paths)
            inside = [source / p.name for p in target.iterdir()] if target.is_dir() else []
            found += [f"{p} -> {target}" for p in (source, *inside) if str(p) not in synced]
            found += [f"{folder} before {target}" for folder in loose]
            loose.add(str(target.parent))
        elif name == "mkdir" and Path(paths[0]).parent == store and not paths[0].endswith("staging"):
            loose.add(str(store))
    return found + [f"{folder} at the end" for folder in loose]


def unentered(store: Path, calls: list[list[str]]) -> list[str]:
    """Names that came to count before an entry of the audit log was on the disk."""
    synced, found = False, []
    for name, *paths in calls:
        synced = synced or (name == "fsync" and Path(paths[0]).parent == store / "audit")
        counts = name in ("rename", "replace") and store in Path(paths[1]).parents
        found += [paths[1]] if counts and not synced and "/staging/" not in paths[1] else []
    return found


def test_everything_is_on_the_disk_before_it_counts(
    warm: Warm, waiting: Path, delivered: Path, tmp_path: Path
) -> None:
    log, folder = tmp_path / "log", copy(delivered, tmp_path / "f")
    copy(waiting, tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "snapshots")
    (tmp_path / "store" / "current").unlink()
    commands = {
        tmp_path / "store": ("build", tmp_path / "store"),
        folder / "store": ("ingest", folder / "store", folder / "m1.csv", "--as", "settlement"),
        folder / "new": ("ingest", folder / "new", folder / "m1.csv", "--as", "settlement"),
    }
    for store, command in commands.items():
        assert untold(store, sealed(store)) == []  # begins the log, whose folder is synced once
        assert warm.run(*command, log=str(log)) == 0
        every = events(log)
        assert unentered(store, every) == []
        assert unentered(store, [call for call in every if call[0] != "fsync"])
        calls = [call for call in every if "audit" not in call[1]]  # whose head may be behind
        assert any(name == "rename" for name, *_ in calls)
        assert out_of_order(store, calls) == []
        for number, (name, *_) in enumerate(calls):  # without any one of them a name comes too soon
            if name == "fsync":
                assert out_of_order(store, calls[:number] + calls[number + 1 :]), calls[number]

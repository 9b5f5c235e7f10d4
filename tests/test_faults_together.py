"""Readers beside builders, builders beside builders, questions past their time, and one store from any order of work."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from canonical import deliver, settle
from faults import PERSONS, READS, YEARS, Warm, copy, generation, quick_build, shown

from analytics import facts
from analytics.desk.answer import Desk
from analytics.store import Engine, QueryTimeout, Store, engine
from analytics.store.runner import Local

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks and signals are of POSIX")
BUSY = 75
ENDLESS = {
    "a join": "SELECT count(*) FROM range(100000000) a, range(1000) b WHERE a.range + b.range = -1",
    "a sort": "SELECT last(x) FROM (SELECT hash(range) AS x FROM range(400000000) ORDER BY x)",
    "a window": "SELECT max(s) FROM (SELECT sum(range) OVER (ORDER BY hash(range)) AS s FROM range(400000000))",
    "a recursion": "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 1000000000) SELECT max(n) FROM t",
}


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm() as process:
        yield process


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generation 0, served."""
    store = tmp_path_factory.mktemp("first") / "store"
    generation(store, 0)
    quick_build(Store(store))
    return store


# --- readers while everything is built anew


def readers(warm: Warm, store: Path, tmp_path: Path, kind: str) -> list[tuple[int, Path]]:
    outs = [tmp_path / f"reader-{n}" for n in range(2)]
    return [(warm.start(kind, store, out=str(out)), out) for out in outs]


def told(running: list[tuple[int, Path]], warm: Warm, end: Path) -> dict[str, int]:
    """Stop the readers; what they saw, added up."""
    end.touch()
    total = dict.fromkeys(READS, 0)
    for pid, out in running:
        assert warm.wait(pid) == 0, out.read_text()
        for word, count in zip(READS, out.read_text().split(), strict=True):
            total[word] += int(count)
    return total


@pytest.mark.parametrize(("rebuilds", "reads"), [(12, 400), pytest.param(60, 4000, marks=pytest.mark.long)])
def test_one_answer_is_of_one_snapshot(
    warm: Warm, first: Path, tmp_path: Path, rebuilds: int, reads: int
) -> None:
    """Rebuilds, each one yuan more for everybody in both years, and reads beside them."""
    store, end = copy(first, tmp_path / "store"), tmp_path / "store.end"
    running = readers(warm, store, tmp_path, "read")
    for number in range(1, rebuilds + 1):
        generation(store, number)
        assert warm.run("build", store) == 0
    seen = told(running, warm, end)
    print(seen)
    assert seen["whole"] >= reads and seen["generations"] >= rebuilds / 2
    assert seen["mixed"] == 0
    assert seen["refused"] <= seen["whole"] / 100
    assert shown(store) == rebuilds


def test_the_readers_see_a_store_rebuilt_in_place(warm: Warm, first: Path, tmp_path: Path) -> None:
    """Were files written over where they are served, the same readers would see two generations at once."""
    store, end = copy(first, tmp_path / "store"), tmp_path / "store.end"
    folder = Store(store).current().path
    kept = {0: copy(folder, tmp_path / "g0")}
    other = copy(first, tmp_path / "other")
    generation(other, 1)
    kept[1] = quick_build(Store(other)).path
    for path in folder.iterdir():
        path.chmod(0o644)
    running = readers(warm, store, tmp_path, "read-unchecked")
    for turn in range(150):
        for path in sorted(kept[turn % 2].glob("*.parquet")):
            (folder / path.name).write_bytes(path.read_bytes())
            time.sleep(0.002)
    seen = told(running, warm, end)
    print(seen)
    assert seen["mixed"] > 0


# --- builders beside builders


@pytest.mark.parametrize("builders", [2, 3])
def test_of_builders_at_once_one_builds(warm: Warm, first: Path, tmp_path: Path, builders: int) -> None:
    store = copy(first, tmp_path / "store")
    generation(store, 1)
    outs = [Path(f"{store}.{n}") for n in range(builders)]
    running = [warm.start("build", store, hold=1.5, out=str(out)) for out in outs]
    assert sorted(map(warm.wait, running)) == [0] + [BUSY] * (builders - 1)
    refused = [out for out in outs if "another builder is at work" in out.read_text()]
    assert len(refused) == builders - 1
    served = (store / "current").stat().st_mtime_ns
    assert all(out.stat().st_mtime_ns < served for out in refused), "told off while the other was at work"
    assert shown(store) == 1


def test_the_lock_of_a_killed_builder_is_free_at_once(warm: Warm, first: Path, tmp_path: Path) -> None:
    store = copy(first, tmp_path / "store")
    generation(store, 1)
    pid = warm.start("build", store, hold=60)
    while not any((store / "staging").glob("*/person_year*")):
        time.sleep(0.01)
    assert warm.run("build", store) == BUSY
    os.kill(pid, signal.SIGKILL)
    warm.wait(pid)
    assert warm.run("build", store) == 0
    assert shown(store) == 1 and not (store / "staging").exists()


# --- time and memory


@pytest.mark.parametrize("seconds", [0.3, 1e-9])  # the latter is over before the query begins
@pytest.mark.parametrize("sql", ENDLESS.values(), ids=ENDLESS)
def test_a_question_past_its_time_ends_and_the_desk_answers_on(first: Path, sql: str, seconds: float) -> None:
    desk = Desk.open(first)
    began = time.monotonic()
    with pytest.raises(QueryTimeout, match="narrow the question"):
        desk._book._engine.ask(sql, seconds=seconds)
    assert time.monotonic() - began < engine.SECONDS / 2, "its own time counts, not that of any question"
    assert desk.ask("own_burden_mean", ["plan_year"]).table["n"].to_list() == [PERSONS] * len(YEARS)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "JIANFU_QUERY_SECONDS",
            "a minute",
            "JIANFU_QUERY_SECONDS=a minute: write seconds as a number above 0",
        ),
        ("JIANFU_MEMORY", "lots", "JIANFU_MEMORY=lots: write an amount with its unit, such as 2GB"),
        ("JIANFU_MEMORY", "512 MB", ""),
    ],
)
def test_a_limit_that_is_none_is_told_at_the_start(
    first: Path, tmp_path: Path, name: str, value: str, words: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "analytics.cli", "measure", str(first), "own_burden_mean"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, name: value},
    )
    assert ended.returncode == (1 if words else 0), ended.stderr
    assert words in ended.stderr and "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == bool(words)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e99", "6O"])
@pytest.mark.parametrize("name", ["JIANFU_QUERY_SECONDS", "JIANFU_INTAKE_SECONDS"])
def test_what_is_no_time_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{name}={value}: write seconds as a number above 0"):
        engine.check_settings()


@pytest.mark.parametrize("value", ["0GB", "lots", "", "2", "-1GB", "2GB;", "GB"])
def test_what_is_no_amount_of_memory_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(engine, "MEMORY", value)
    with pytest.raises(ValueError, match=f"JIANFU_MEMORY={value}: write an amount with its unit"):
        engine.check_settings()


@pytest.mark.parametrize("value", ["512MB", "1.5 GiB", "0.5gb", "80%", "300000 KB"])
def test_what_is_taken_for_memory_the_engine_takes(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(engine, "MEMORY", value)
    engine.check_settings()
    assert Engine({}, memory=value).ask("SELECT 1 AS one")["one"][0] == 1


# --- the same from any order of work


def test_any_order_and_any_number_of_threads_give_the_same_files(first: Path, tmp_path: Path) -> None:
    """Whole manifests are compared, in which every file stands with its sha256."""
    made = set()
    for number, workers in enumerate((1, 2, 1, 3)):
        store = tmp_path / f"s{number}"
        for turn in (0, 1, 2) if number % 2 else (2, 1, 0):
            generation(store, turn)
        for left in (
            [d.path for d in Store(store).deliveries()] if number > 1 else []
        ):  # folders made in another order
            shutil.move(left, tmp_path / left.name)
            shutil.move(tmp_path / left.name, left)
        made.add((facts.build(Store(store), runner=Local(workers)).path / "manifest.json").read_bytes())
    assert len(made) == 1
    deliver(store, settlement=[settle("more", 100, person=1)])
    assert (facts.build(Store(store)).path / "manifest.json").read_bytes() not in made  # they can differ

"""One job on threads and on a pool of processes: the same digests; and what comes of it when a worker fails. Spark has a file of its own."""

import importlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import polars as pl
import pytest
import runners
from canonical import deliver, enrol, settle
from conftest import Run, unsealed
from house import ROOT

from analytics import facts, verbs
from analytics.measures import Book, Spread
from analytics.plans import PlanErrors
from analytics.store import Store, carried, check_settings, spark
from analytics.store.carried import Broken
from analytics.store.runner import Local, Pool, runner_of

pytestmark = pytest.mark.usefixtures("program_of_its_own")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runners.world(tmp_path_factory.mktemp("runners"))


@pytest.fixture(scope="module")
def pool(program_of_its_own: None) -> Iterator[Pool]:
    with Pool(2) as found:
        yield found


# --- the same everywhere


def test_a_pool_builds_the_same_files(
    world: Path, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        importlib.import_module("analytics.facts.build"), "TOGETHER", 1
    )  # a batch for every city
    told: list[tuple[str, int, int]] = []
    built = facts.build(
        runners.fresh(world, tmp_path / "pool"), runner=pool, progress=lambda *step: told.append(step)
    )
    assert runners.hashes(built) == runners.hashes(Store(world).current())
    assert built.id == Store(world).current().id
    assert told == [("build", 1, 3), ("build", 2, 3), ("build", 3, 3)]
    deliver(tmp_path / "pool", settlement=[settle("more", 100, person=1)])
    assert facts.build(Store(tmp_path / "pool"), runner=pool).id != built.id  # it can differ


def test_a_whole_build_on_a_pool_is_the_same_snapshot(tmp_path: Path) -> None:
    """With prepared answers and protected tables."""
    store = tmp_path / "store"
    deliver(
        store,
        settlement=[settle(f"s{p}", 1000 * p, person=p) for p in range(1, 60)],
        enrolment=[enrol(p) for p in range(1, 60)],
    )
    snapshot = verbs.build(store, runner="pool")
    assert {p.table for p in snapshot.partitions()} >= {"person_year", "household_year", "cube", "protected"}
    other = runners.fresh(store, tmp_path / "other")
    assert verbs.build(other.path).id == snapshot.id


def test_a_pool_gives_the_same_answers(world: Path, pool: Pool) -> None:
    """Some measures by city and year here, all of them on Spark; of every kind over places, with errors, on one machine."""
    snapshot = Store(world).current()
    asked = [*runners.in_parts()[::12], *runners.together()]
    want, got = runners.answers(snapshot, asked), runners.answers(snapshot, asked, pool)
    assert {q: a[0] for q, a in got.items()} == {q: a[0] for q, a in want.items()}
    ran = [told for _, told in got.values()]
    assert ran.count(("pool", 3)) > 8 and ran.count(("pool", 1)) > 2 and ran.count(("local", None)) > 5
    by_kind = {q.split("'")[1]: told for q, (_, told) in got.items() if "(), {}, {})" in q}
    assert by_kind["reach"] == by_kind["catastrophic_headcount"] == ("pool", 3)  # whole numbers, added up
    assert (
        by_kind["kakwani"]
        == by_kind["burden_reduction_mean"]
        == by_kind["shapley_overshoot"]
        == ("local", None)
    )


def test_what_is_asked_in_parts_is_what_stands_in_the_facts(world: Path, pool: Pool) -> None:
    """A mean over all cities, from the files themselves; and other facts have another digest."""
    snapshot = Store(world).current()
    raw = Book(snapshot, prepared=False, spread=Spread(pool, snapshot.path)).ask("own_burden_mean")
    rows = pl.concat(
        [
            pl.read_parquet(p.path, columns=["cost_fen", "own_net_fen"])
            for p in snapshot.partitions("person_year")
        ]
    )
    rows = rows.filter(pl.col("cost_fen") > 0)
    assert raw.provenance["parts"] == 3 and "the parts together" in raw.sql
    assert raw.table.select("numerator", "n").row(0) == (rows["own_net_fen"].sum() / 100, rows.height)
    assert raw.table["value"][0] == rows["own_net_fen"].sum() / rows.height / 100
    one = runners.answers(snapshot, [("reach", (), {}, {})], pool)
    other = runners.answers(snapshot, [("reach", (), {"city": ["weihai", "zaozhuang"]}, {})], pool)
    assert [a[0] for a in one.values()] != [a[0] for a in other.values()]


def test_who_stands_in_several_cities_is_asked_for_on_one_machine(tmp_path: Path, pool: Pool) -> None:
    """Sums of cities would count them twice."""
    rows = [settle(f"{c}-{p}", 1000, person=p, city=c) for c in ("371000", "440400") for p in (1, 2, 3)]
    deliver(tmp_path, settlement=[*rows, settle("only", 1000, person=9, city="440400")])
    snapshot = facts.build(Store(tmp_path))
    for by, told, persons in (((), ("local", None), 4), (("city",), ("pool", 2), 7)):
        asked = [("own_burden_mean", by, {}, {})]
        ((digest, ran),) = runners.answers(snapshot, asked, pool).values()
        assert ran == told and digest == next(iter(runners.answers(snapshot, asked).values()))[0]
        raw = Book(snapshot, spread=Spread(pool, snapshot.path)).ask("own_burden_mean", by)
        assert raw.table["n"].sum() == persons


def test_a_pool_carries_scenarios_out_alike(world: Path, run: Run) -> None:
    """Two at once, one after the other in the answer. The audit log is written here, and whole."""
    asked = [
        "simulate",
        world,
        *(file for file in runners.SCENARIOS if "weihai" not in file.name),
        "--format",
        "json",
    ]
    code, here, err = run(*asked)
    assert code == 0 and [len(one["rows"]) > 20 for one in json.loads(here)] == [True, True], err
    code, there, err = run(*asked, "--runner", "pool")
    rows = [[one["rows"] for one in json.loads(text)] for text in (here, there)]
    assert code == 0 and rows[0] == rows[1], (
        err
    )  # figure ids too; the SQL names a worker's part of the facts otherwise
    assert run("audit", "verify", world)[0] == 0


# --- what goes wrong


@pytest.mark.parametrize("kind", ["refused", "plans", "holes", "damaged", "timeout", "file"])
def test_an_error_travels_whole(kind: str) -> None:
    """Of its class, with all it carries; classes whose arguments are not those of their making, too."""
    with pytest.raises(Exception) as here:
        runners.refuse(kind)
    with pytest.raises(type(here.value)) as there:
        carried.result(pickle.loads(pickle.dumps(carried.worked(runners.refuse, kind))))
    assert str(there.value) == str(here.value) and there.value.args == here.value.args
    assert vars(there.value) == vars(here.value) and "in refuse" in str(there.value.__cause__)


def test_an_error_that_cannot_travel_is_told() -> None:
    assert carried.worked(runners.refuse, "lock") == carried.Raised(RuntimeError, ANY, {}, ANY)


def test_an_error_of_a_worker_names_its_part() -> None:
    with Pool(1) as pool, pytest.raises(PlanErrors) as there:
        pool.map(runners.refuse, ["plans"], ["weihai 2023"], at=ROOT)
    with Local(1) as local, pytest.raises(PlanErrors) as here:
        local.map(runners.refuse, ["plans"], ["weihai 2023"], at=ROOT)
    assert verbs.reasons(there.value) == verbs.reasons(here.value) == ["three", "four", "[weihai 2023]"]


def test_a_killed_process_is_named_and_what_was_published_stays(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("analytics.facts.build"), "TOGETHER", 1)
    shutil.copytree(world, tmp_path / "store")
    store = Store(unsealed(tmp_path / "store"))
    before = store.current().id
    deliver(
        store.path, settlement=[settle(f"n{c}", 100, person=1, city=c, year=2023) for c in runners.CITIES]
    )
    with Pool(1) as broken:

        def kill(*_: Any) -> None:
            for process in list(broken._pool._processes.values()):
                os.kill(process.pid, signal.SIGKILL)

        with pytest.raises(Broken, match=r"killed.*JIANFU_WORKERS.*still served"):
            facts.build(store, runner=broken, progress=kill)
    assert store.current().id == before and store.damage() == [] and not (store.path / "staging").exists()
    assert facts.build(store).id != before  # the lock is free


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_who_began_them(how: signal.Signals, tmp_path: Path) -> None:
    job = f"__import__('pathlib').Path({str(tmp_path)!r}, str(__import__('os').getpid())).touch() or __import__('time').sleep(600)"
    program = (
        "import signal; from pathlib import Path; from analytics.store.runner import Pool\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # of whoever ignores it, a child does too
        f"with Pool(2) as pool: pool.map(eval, [{job!r}] * 3, list('abc'), at=Path('.'))"
    )
    begun = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
    )
    try:
        workers = _within(
            60,
            lambda: [int(p.name) for p in tmp_path.iterdir()] if len(list(tmp_path.iterdir())) == 2 else [],
        )
        begun.send_signal(how)
        assert begun.wait(30) != 0
        assert _within(30, lambda: [True] if not any(map(_lives, workers)) else [])
    finally:
        begun.kill()
        begun.communicate()


def test_a_pool_leaves_nothing_aside(tmp_path: Path) -> None:
    """Every process that asks has a folder for what memory does not hold; it goes when the process does."""
    job = "__import__('analytics.store').store.Engine({}) and [p.name for p in __import__('pathlib').Path(__import__('tempfile').gettempdir()).iterdir()]"
    program = (
        "from pathlib import Path; from analytics.store.runner import Pool\n"
        f"with Pool(2) as pool: print(pool.map(eval, [{job!r}] * 4, list('abcd'), at=Path('.')))"
    )
    where = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-c", program], env=where, capture_output=True, text=True, check=True
    ).stdout
    assert "jianfu_spill-" in told, "there were some while they worked"
    assert _within(10, lambda: [True] if not any(tmp_path.iterdir()) else [])


def _within(seconds: float, look: Any) -> Any:
    """What `look` finds, once it finds something; fails where it does not in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


def _lives(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_runner_that_is_none_is_named(world: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("build", world, "--runner", "cloud") == (
        1, "", "runner cloud: possible runners are local, pool, spark://HOST:PORT\n",
    )  # fmt: skip
    for name in ("JIANFU_WORKERS", "JIANFU_THREADS"):
        monkeypatch.setenv(name, "0")
        with pytest.raises(ValueError, match=f"{name}=0: write a whole number"):
            check_settings()
        monkeypatch.setenv(name, "3")
        check_settings()
    assert Local()._threads._max_workers == 3


def test_what_spark_needs_is_named(world: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of Spark is loaded before it is asked for; then what is missing is said, and the old snapshot is served."""
    before = Store(world).current().id

    def said() -> str:
        code, out, err = run("build", world, "--runner", "spark://127.0.0.1:9")
        assert code == 1 and not out and Store(world).current().id == before
        return str(err)

    deliver(world, settlement=[settle("late", 100, person=1, city="371000", year=2023)])
    monkeypatch.setitem(sys.modules, "pyspark", None)
    assert "pip install 'jianfu[spark]'" in said()
    monkeypatch.setitem(sys.modules, "pyspark", pytest)  # any module: it is not reached
    monkeypatch.setattr(spark.shutil, "which", lambda *_, **__: None)
    assert "openjdk-17-jre-headless" in said()
    monkeypatch.setattr(spark.shutil, "which", lambda *_, **__: "java")
    assert "spark://127.0.0.1:9: no Spark master answers there within 30 s" in said()
    assert runner_of("spark://host:7077").name == "spark://host:7077"


def test_a_worker_that_does_not_fit_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from analytics.store.program import program

    assert carried.misfit(program(), str(tmp_path)) == ""
    assert "another version of jianfu" in carried.misfit("0123456789ab", str(tmp_path))
    assert "must see the store at the same path" in carried.misfit(program(), str(tmp_path / "elsewhere"))
    task = spark._shipped(program(), str(tmp_path))
    ((kind, value),) = map(pickle.loads, task(iter([pickle.dumps((runners.twice, 4))])))
    assert (kind, value) == ("came", 8)
    monkeypatch.setitem(sys.modules, "analytics.store", None)
    monkeypatch.delitem(sys.modules, "analytics.store.carried")
    ((kind, value),) = map(pickle.loads, task(iter([b""])))
    assert kind == "misfit" and "lacks what the work needs" in value and "PYSPARK_PYTHON" in value

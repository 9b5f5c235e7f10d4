"""The same job on a Spark standalone cluster of one master and two workers: every file, measure and scenario as on threads and in a pool.

`make spark-test` starts the cluster; elsewhere these tests are skipped.
"""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import runners
import spark as cluster
from canonical import deliver, settle
from conftest import Run

from analytics import facts, verbs
from analytics.plans import PlanHoles
from analytics.store import Store, carried, spark
from analytics.store.carried import Broken
from analytics.store.runner import Runner, runner_of

pytestmark = pytest.mark.timeout(900)
MASTER = os.environ.get("JIANFU_SPARK_MASTER", cluster.MASTER)


@pytest.fixture(scope="module")
def on_spark() -> Iterator[Runner]:
    if os.environ.get("JIANFU_REQUIRE_SPARK") != "1":
        pytest.skip("no cluster was asked for: make spark-test starts one")
    with runner_of(MASTER) as found:
        yield found


@pytest.fixture(scope="module")
def world(on_spark: Runner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runners.world(tmp_path_factory.mktemp("spark"))


def test_both_workers_work(on_spark: Runner, tmp_path: Path) -> None:
    told: list[int] = []
    parts = list(range(40))
    found = on_spark.map(runners.twice, parts, list(map(str, parts)), at=tmp_path, done=told.append)
    assert found == [2 * n for n in parts] and told[-1:] == [40]
    pids = on_spark.map(runners.who, parts, list(map(str, parts)), at=tmp_path)
    assert len(set(pids)) == cluster.WORKERS and os.getpid() not in pids


def test_light_parts_are_handed_out_together(on_spark: Runner, tmp_path: Path) -> None:
    parts = list(range(40))
    names = list(map(str, parts))
    assert on_spark.map(runners.twice, parts, names, at=tmp_path, light=True) == [2 * n for n in parts]
    tasks = on_spark.map(runners.task, parts, names, at=tmp_path, light=True)
    assert tasks == sorted(tasks) and len(set(tasks)) <= 4 * cluster.WORKERS
    assert on_spark.map(runners.task, parts, names, at=tmp_path) == parts, "control: otherwise a task each"


def test_the_files_are_the_same(
    world: Path, on_spark: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts here with a batch for every city; the whole of a small store, prepared answers and protected tables included, by the verb."""
    monkeypatch.setattr(importlib.import_module("analytics.facts.build"), "TOGETHER", 1)
    snapshot = facts.build(runners.fresh(world, tmp_path / "facts"), runner=on_spark)
    assert runners.hashes(snapshot) == runners.hashes(Store(world).current())
    assert snapshot.id == Store(world).current().id
    whole = tmp_path / "whole"
    deliver(whole, settlement=[settle(f"s{p}", 1000 * p, person=p) for p in range(1, 60)])
    on_spark.close()
    made = verbs.build(whole, runner=MASTER)
    assert {p.table for p in made.partitions()} >= {"person_year", "household_year", "cube", "protected"}
    for runner in ("local", "pool"):
        assert verbs.build(runners.fresh(whole, tmp_path / runner).path, runner=runner).id == made.id


def test_every_measure_is_the_same(world: Path, on_spark: Runner) -> None:
    """Every measure by city and year, of every kind over places, with errors and differences: threads, pool, Spark."""
    snapshot = Store(world).current()
    asked = [*runners.in_parts(), *runners.together()]
    here = runners.answers(snapshot, asked)
    there = runners.answers(snapshot, asked, on_spark)
    with runner_of("pool") as pool:
        beside = runners.answers(snapshot, asked, pool)
    digests = [{question: told[0] for question, told in found.items()} for found in (here, there, beside)]
    assert digests[0] == digests[1] == digests[2] and len(digests[0]) > 80
    assert sum(told == (MASTER, 3) for _, told in there.values()) > 60
    assert [told for _, told in there.values()] == [
        (MASTER if name == "pool" else name, parts) for _, (name, parts) in beside.values()
    ]


def test_every_scenario_is_the_same(world: Path, on_spark: Runner) -> None:
    on_spark.close()  # one cluster, and each command takes it whole
    want = runners.simulated(world, "local")
    assert any(isinstance(found, tuple) for found in want)
    assert runners.simulated(world, MASTER) == want


def test_a_worker_that_is_killed_is_replaced(on_spark: Runner, tmp_path: Path) -> None:
    """What was lost is worked again. What is lost every time ends the work."""
    marker = str(tmp_path / "once")
    assert on_spark.map(runners.killed_once, [marker], ["a"], at=tmp_path) == ["worked again"]
    with pytest.raises(Broken, match="a worker was lost"):
        on_spark.map(runners.killed, [1], ["a"], at=tmp_path)


def test_an_error_of_a_worker_is_raised_here(on_spark: Runner, tmp_path: Path) -> None:
    with pytest.raises(PlanHoles, match="five") as there:
        on_spark.map(runners.refuse, ["holes"], ["weihai 2023"], at=tmp_path)
    assert there.value.holes == ["five"] and there.value.__notes__ == ["[weihai 2023]"]


def test_a_worker_of_another_program_is_refused(
    on_spark: Runner, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    on_spark.close()
    store = runners.fresh(world, tmp_path / "store")
    facts.build(store)
    before = store.current().id
    deliver(store.path, settlement=[settle("late", 100, person=1, city="371000", year=2023)])
    monkeypatch.setattr(spark, "program", lambda: "0123456789ab")
    code, _, err = run("build", store.path, "--runner", MASTER)
    assert code == 1 and "runs another version of jianfu" in err and store.current().id == before
    monkeypatch.undo()
    assert carried.misfit(spark.program(), str(store.path)) == ""
    code, _, err = run("build", store.path, "--runner", MASTER)
    assert code == 0 and store.current().id != before, err

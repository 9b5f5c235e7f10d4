"""Facts are the same files by any number of threads: a city-year built alone is worked by all cores, among others by one."""

import importlib
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics import verbs
from analytics.facts import build, jobs
from analytics.store import FORMAT, Store, literal, parquet
from analytics.store.runner import Local

COPIES = 330  # of 400 persons: they fill more than one row group
ROW_GROUP = 122_880


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small store, every row many times under keys of its own."""
    folder = tmp_path_factory.mktemp("many")
    few, store = Store(folder / "few"), Store(folder / "many")
    verbs.sample(few.path, persons=400, cities=["440400"], years=[2023], seed=3)
    con = duckdb.connect()
    for delivery in few.deliveries():
        with store.building() as staging:
            files = []
            for part, file in zip(delivery.partitions(), delivery.manifest["files"], strict=True):
                names = con.execute(f"DESCRIBE FROM {parquet([part.path])}").fetchall()
                new = [f"{name} + i AS {name}" for name, *_ in names if name.endswith("_key")]
                new += [f"{name} || '-' || i AS {name}" for name, *_ in names if name.endswith(("setl_id", "mdtrt_id", "claim_id"))]  # fmt: skip
                rows = f"SELECT * EXCLUDE i REPLACE ({', '.join(new)}) FROM {parquet([part.path])}, range({COPIES}) AS copy (i)"
                done = con.execute(
                    f"COPY (FROM ({rows}) ORDER BY ALL) TO {literal(staging / file['name'])} ({FORMAT})"
                )
                files.append(
                    {k: v for k, v in file.items() if k != "sha256"} | {"rows": done.fetchall()[0][0]}
                )
            told = {k: v for k, v in delivery.manifest.items() if k != "files"}
            store.seal("deliveries", staging, files, told)
    return store.path


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Threads of each connection that facts are made on."""
    module, told = importlib.import_module("analytics.facts.partition"), list[int]()
    make = module.workbench

    def noted(**given: Any) -> Any:
        told.append(given["threads"])
        return make(**given)

    monkeypatch.setattr(module, "workbench", noted)
    return told


@pytest.mark.parametrize(("part", "in_ranges"), [(jobs.PART, False), (50_000, True)])
def test_any_number_of_threads_makes_the_same_files(
    many: Path, part: int, in_ranges: bool, used: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PART", part)
    (job,) = jobs.jobs_of(Store(many).deliveries())
    assert (len(job.ranges) > 1) == in_ranges
    made = []
    for workers in (1, 2, 3):
        snapshot = build(Store(many), runner=Local(workers))
        made.append({p.path.name: (p.sha256, p.rows) for p in snapshot.partitions()})
        for fact in snapshot.partitions():
            fact.path.chmod(0o644)
            fact.path.write_bytes(b"")
    assert used == [1, 2, 3]
    assert made[0] == made[1] == made[2]
    assert made[0]["person_year-00001.parquet"][1] > ROW_GROUP


def test_other_city_years_leave_each_a_part_of_the_cores(tmp_path: Path, used: list[int]) -> None:
    store = tmp_path / "store"
    verbs.sample(store, persons=100, cities=["440400"], years=[2022, 2023], seed=3)
    for workers, threads in ((2, 1), (6, 3), (20, 4)):
        for fact in Store(store).current().partitions("person_year"):
            fact.path.chmod(0o644)
            fact.path.write_bytes(b"")
        used.clear()
        build(Store(store), runner=Local(workers))
        assert set(used) == {threads}  # of so many, what one city-year can use

"""Snapshots: byte-identical builds, any flipped byte found, one builder, one rename, incremental rebuilds."""

import importlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from canonical import deliver, settle
from conftest import unsealed
from deliveries import bare
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.store import Busy, Damaged, Engine, NotBuilt, QueryTimeout, Store, workbench
from analytics.store.snapshot import KEPT_SNAPSHOTS
from analytics.store.threads import beside
from analytics.store.watch import limited
from analytics.synthetic import write_delivery


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("small") / "store"
    verbs.sample(store, persons=400, cities=["440400"], years=[2022, 2023], seed=3)
    return store


def facts(store: Path) -> dict[str, str]:
    return {p.path.name: p.sha256 for p in Store(store).current().partitions()}


def test_two_builds_are_byte_identical(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = tmp_path / "again"
    verbs.sample(again, persons=400, cities=["440400"], years=[2022, 2023], seed=3)
    assert facts(again) == facts(small)
    assert Store(again).current().id == Store(small).current().id
    monkeypatch.setattr(verbs, "_build", bare)
    other = tmp_path / "other"
    verbs.sample(other, persons=400, cities=["440400"], years=[2022, 2023], seed=4)
    assert facts(other).keys() < facts(small).keys()
    assert not facts(other).items() & facts(small).items()  # the comparison can fail


def test_order_and_splitting_of_files_change_no_fact_byte(tmp_path: Path) -> None:
    files = write_delivery(tmp_path / "d", persons=300, cities=["440400"], years=[2023], seed=5)
    whole = pl.concat(pl.read_parquet(p) for p in files["settlement"])
    half = whole.height // 2
    parts = []
    for name, part in (("b", whole[half:].reverse()), ("a", whole[:half])):
        parts.append(tmp_path / f"{name}.parquet")
        part.write_parquet(parts[-1])
    for store, settlement in (("one", files["settlement"]), ("two", parts)):
        for table, paths in files.items():
            if not paths:
                continue
            verbs.ingest(tmp_path / store, settlement if table == "settlement" else paths, table)
        bare(tmp_path / store)
    assert facts(tmp_path / "one") == facts(tmp_path / "two")


def _all_files(store: Path) -> list[Path]:
    """But the audit log, which is verified by itself."""
    return sorted(
        p for p in store.rglob("*") if p.is_file() and p.name != "lock" and p.parent.name != "audit"
    )


def test_verify_passes_on_a_whole_store(small: Path) -> None:
    assert verbs.verify(small) == []


@settings(max_examples=40)
@given(data=st.data())
def test_verify_finds_any_flipped_byte(
    small: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    copy = tmp_path_factory.mktemp("flip") / "store"
    shutil.copytree(small, copy)
    path = data.draw(st.sampled_from(_all_files(copy)))
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    path.chmod(0o644)
    path.write_bytes(raw)
    assert verbs.verify(copy), f"{path.relative_to(copy)} byte {place}"
    shutil.rmtree(unsealed(copy))


def test_verify_finds_a_missing_and_a_foreign_file(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(small, copy)
    victim = Store(unsealed(copy)).current().partitions("person_year")[0].path
    victim.unlink()
    (Store(copy).current().path / "stray.parquet").write_bytes(b"x")
    assert [line.rsplit(": ", 1)[1] for line in verbs.verify(copy)] == ["missing", "not in the manifest"]


def test_a_changed_manifest_is_not_served(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(small, copy)
    manifest = Store(copy).current().path / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(b'"synthetic": true', b'"synthetic": false'))
    with pytest.raises(Damaged, match="changed after it was sealed"):
        Desk.open(copy)


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(raw)


def test_no_figure_comes_from_a_changed_fact(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(small, copy)
    _flip(Store(copy).current().partitions("person_year")[0].path)
    with pytest.raises(Damaged, match="content differs"):
        Desk.open(copy)


def test_no_fact_is_built_from_a_changed_delivery(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(small, copy)
    served = Store(copy).current().id
    _flip(next(p.path for d in Store(copy).deliveries() for p in d.partitions("settlement")))
    with pytest.raises(Damaged, match=r"settlement-00001.parquet: content differs"):
        verbs.build(copy)
    assert Desk.open(copy).snapshot_id == served


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Plan years whose facts are made, as they are."""
    module, years = importlib.import_module("analytics.facts.partition"), list[int]()
    run = module.Work.run
    monkeypatch.setattr(
        module.Work, "run", lambda self: years.extend(job.plan_year for job in self.jobs) or run(self)
    )
    return years


def test_what_is_read_or_was_written_to_is_looked_at_first(
    small: Path, tmp_path: Path, worked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, opened = tmp_path / "store", list[Path]()
    shutil.copytree(small, copy)
    served = Store(copy).current().id
    _flip(next(p.path for p in Store(copy).current().partitions("person_year") if p.plan_year == 2023))
    settled = {p.plan_year: p.path for d in Store(copy).deliveries() for p in d.partitions("settlement")}
    for year in (2023, 2022):
        _flip(settled[year])
        with pytest.raises(Damaged, match="content differs"):
            bare(copy)
        assert (worked, Store(copy).current().id) == ([], served)
        _flip(settled[year])
    module = importlib.import_module("analytics.facts.partition")
    make = module.workbench
    monkeypatch.setattr(module, "workbench", lambda **told: opened.extend(told["read"]) or make(**told))
    assert bare(copy).id != served  # without prepared answers
    assert worked == [2023]
    assert settled[2023] in opened and settled[2022] not in opened  # nothing else can be read


def test_a_change_that_leaves_no_time_is_found_where_it_is_read(
    small: Path, tmp_path: Path, worked: list[int]
) -> None:
    """As a disk changes a file: the build reads 2023 alone and makes it of what was sealed; to verify is to read all."""
    copy = tmp_path / "store"
    shutil.copytree(small, copy)
    settled = {p.plan_year: p for d in Store(copy).deliveries() for p in d.partitions("settlement")}
    for year in (2022, 2023):
        times = settled[year].path.stat()
        _flip(settled[year].path)
        assert settled[year].is_touched
        os.utime(settled[year].path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert not settled[year].is_touched
        assert any(settled[year].path.name in line for line in verbs.verify(copy))
        _flip(next(p.path for p in Store(copy).current().partitions("person_year") if p.plan_year == 2023))
        if year == 2022:
            bare(copy)
            assert worked == [2023]
        else:
            with pytest.raises(Damaged, match="content differs"):
                bare(copy)
    assert worked == [2023]


def test_a_file_that_several_snapshots_hold_stays_closed(tmp_path: Path) -> None:
    """The oldest snapshot is removed, its files are those of the newest where nothing changed."""
    deliver(tmp_path, settlement=[settle("a", 100, year=2022)])
    snapshots = []
    for n in range(KEPT_SNAPSHOTS + 1):
        deliver(tmp_path, settlement=[settle(f"b{n}", 100, year=2023)])
        snapshots.append(bare(tmp_path))
    assert not snapshots[0].path.exists()
    kept = next(p.path for p in snapshots[-1].partitions("person_year") if p.plan_year == 2022)
    assert kept.stat().st_nlink == KEPT_SNAPSHOTS
    assert {path.stat().st_mode & 0o777 for path in snapshots[-1].path.iterdir()} == {0o444}


def test_what_is_taken_over_is_on_the_disk_unless_it_was_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, synced = importlib.import_module("analytics.store.snapshot"), list[str]()
    sync = module._sync
    monkeypatch.setattr(module, "_sync", lambda path: synced.append(path.name) or sync(path))

    def built(year: int) -> set[str]:
        deliver(tmp_path, settlement=[settle("a", 100, year=year)])
        synced.clear()
        bare(tmp_path)
        return {name for name in synced if name.startswith("person_year")}

    def refused(*_: Path) -> None:
        raise OSError("no second name for a file here")

    assert built(2022) == {"person_year-00001.parquet"}
    assert built(2023) == {"person_year-00002.parquet"}
    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert built(2024) == {f"person_year-{n:05d}.parquet" for n in (1, 2, 3)}


def test_what_nobody_asks_for_does_not_begin() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        time.sleep(0.05)
        return number

    with beside(work, range(3), 1) as results:
        assert results() == [0, 1, 2]
    begun.clear()
    with pytest.raises(ValueError, match="meanwhile"), beside(work, range(50), 1):
        raise ValueError("meanwhile")
    assert len(begun) < 3


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotBuilt, match="jianfu build"):
        Desk.open(tmp_path)
    with pytest.raises(NotBuilt, match="jianfu ingest"):
        verbs.build(tmp_path)


def test_only_changed_partitions_are_built_again(small: Path, tmp_path: Path, worked: list[int]) -> None:
    copy = tmp_path / "store"
    shutil.copytree(small, copy)
    before = facts(copy)
    assert verbs.build(copy).id == Store(small).current().id
    assert worked == []
    late = pl.read_parquet(
        next(
            p.path
            for d in Store(copy).deliveries()
            for p in d.partitions("settlement")
            if p.plan_year == 2023
        )
    )
    row = late.row(0, named=True)
    money = {k.removesuffix("_fen"): row[k] / 100 for k in row if k.endswith("_fen") and row[k] is not None}
    names = ("mdtrt_id", "insu_admdvs", "insutype", "med_type", "setl_time", "year")
    extra = {**{n: row[n] for n in names}, "psn_no": "late", "setl_id": "late-1", **money}
    pl.DataFrame([extra]).write_parquet(tmp_path / "late.parquet")
    verbs.ingest(copy, [tmp_path / "late.parquet"], "settlement")
    verbs.build(copy)
    assert worked == [2023]
    after = facts(copy)
    assert {name for name in after if after[name] != before[name]} == {
        "person_year-00002.parquet",
        "household_year-00002.parquet",
        "cube-00002.parquet",
        "protected-00002.parquet",
    }
    assert verbs.verify(copy) == []


def test_building_again_mends_a_damaged_fact(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(small, copy)
    fact = Store(copy).current().partitions("person_year")[0].path
    fact.chmod(0o644)
    fact.write_bytes(fact.read_bytes()[:-9] + b"x" * 9)
    assert verbs.verify(copy)
    assert verbs.build(copy).id == Store(small).current().id
    assert verbs.verify(copy) == []


def test_a_second_builder_is_told_so(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(small, copy)
    with Store(copy).building():
        with pytest.raises(Busy):
            verbs.build(copy)
        code = subprocess.run(
            [sys.executable, "-m", "analytics.cli", "build", str(copy)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert code.returncode == 75
        assert "another builder" in code.stderr
    verbs.build(copy)  # and the lock is free again


def test_a_killed_builder_leaves_nothing_behind(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(small, copy)
    served = Store(copy).current().id
    (copy / "staging" / "torn").mkdir(parents=True)
    (copy / "staging" / "torn" / "person_year-00001.parquet").write_bytes(b"torn")
    assert Desk.open(copy).snapshot_id == served
    verbs.build(copy)
    assert not (copy / "staging").exists()
    assert verbs.verify(copy) == []


def test_the_engine_reads_its_files_and_nothing_else(small: Path, tmp_path: Path) -> None:
    inside = [p.path for p in Store(small).current().partitions("person_year")]
    outside = tmp_path / "secret.parquet"
    pl.DataFrame({"x": [1]}).write_parquet(outside)
    engine = Engine({"person_year": inside})
    assert engine.ask("SELECT count(*) AS n FROM person_year")["n"][0] == 800
    attempts = [
        f"SELECT * FROM read_parquet('{outside}')",
        "SELECT * FROM read_csv('/etc/passwd')",
        f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
        f"ATTACH '{tmp_path / 'db.duckdb'}'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT * FROM glob('/etc/*')",
    ]
    for attempt in attempts:
        with pytest.raises(Exception, match=r"(?i)disabled|permission|cannot|locked"):
            engine.ask(attempt)
    free = workbench(read=[outside], write=tmp_path)  # positive control: allowed, it does read
    assert free.execute(f"SELECT x FROM read_parquet('{outside}')").fetchall() == [(1,)]


def test_a_query_past_its_limit_stops_and_the_engine_lives(small: Path) -> None:
    engine = Engine({"person_year": [p.path for p in Store(small).current().partitions("person_year")]})
    with pytest.raises(QueryTimeout, match="narrow the question"):
        engine.ask(
            "SELECT count(*) FROM range(100000000) a, range(1000) b WHERE a.range + b.range = -1", seconds=0.3
        )
    assert engine.ask("SELECT 1 AS one")["one"][0] == 1


def test_a_short_limit_is_kept_beside_a_long_one() -> None:
    told: list[str] = []
    with limited(lambda: told.append("long"), 60):
        with limited(lambda: told.append("short"), 0.05):
            deadline = time.monotonic() + 20
            while len(told) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
        after = len(told)
        time.sleep(0.3)
    assert after >= 2, "stopped again and again"
    assert told == ["short"] * after, "and left alone once it is over; the long one has time"

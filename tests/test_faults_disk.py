"""A disk that fails, fills up or rots: at each system call, on a small disk, and by single bits."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deliveries import csv_file, note_file, record
from faults import Warm, copy, flip, generation, quick_build, shown, torn

from analytics import verbs
from analytics.intake import Refused
from analytics.release import Unwritten
from analytics.store import FORMAT, Damaged, NotBuilt, Store, parquet

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace, mounts and limits are of Linux")
CALLS = "openat,write,pwrite64,fsync,ftruncate,rename,link,linkat,unlink,unlinkat,mkdir,rmdir,chmod,fchmodat"
HOW = {"kill": "signal=KILL", "ENOSPC": "error=ENOSPC", "EIO": "error=EIO"}
SEEN = (Damaged, NotBuilt)  # what a reader is told instead of a figure


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm() as process:
        yield process


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generation 0 is served, generation 1 delivered."""
    store = tmp_path_factory.mktemp("waiting") / "store"
    generation(store, 0)
    quick_build(Store(store))
    generation(store, 1)
    return store


# --- each system call that changes files


def traced(warm: Warm, store: Path, *options: str) -> tuple[int, list[str]]:
    """Build under strace; exit code and log. It is stopped until strace has hold of it."""
    log = Path(f"{store}.strace")
    pid = warm.start("build", store, stopped=True, out=f"{store}.out")
    while Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] not in "TZ":
        time.sleep(0.002)
    tracer = subprocess.Popen(
        ["strace", "-f", "-y", "-o", str(log), *options, "-p", str(pid)], stderr=subprocess.PIPE, text=True
    )
    assert tracer.stderr
    first = tracer.stderr.readline()
    if "attached" not in first:
        os.kill(pid, signal.SIGKILL)
        warm.wait(pid)
        pytest.skip(f"strace may not trace here: {first.strip()}")
    os.kill(pid, signal.SIGCONT)
    code = warm.wait(pid)
    tracer.communicate()
    return code, log.read_text(errors="replace").splitlines()


def points(log: list[str]) -> list[tuple[str, int]]:
    """(system call, n-th of it in a thread) as strace counts them."""
    most: dict[str, int] = {}
    for (_, name), count in Counter(
        (m[1], m[2]) for line in log if (m := re.match(r"(\d+) +(\w+)\(", line))
    ).items():
        most[name] = max(most.get(name, 0), count)
    return [(name, n) for name, count in sorted(most.items()) for n in range(1, count + 1)]


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("least", [6, pytest.param(35, marks=pytest.mark.long)])
def test_a_build_that_fails_at_a_system_call(
    warm: Warm, waiting: Path, tmp_path: Path, how: str, least: int
) -> None:
    store, reached = copy(waiting, tmp_path / "store"), 0
    code, log = traced(warm, store, "-e", f"trace={CALLS}")
    assert code == 0 and shown(store) == 1
    every = points(log)
    assert len(every) >= 35
    random.Random(least).shuffle(every)
    for name, number in every:
        copy(waiting, store)
        code, log = traced(
            warm, store, "-e", f"trace={name}", "-e", f"inject={name}:{HOW[how]}:when={number}"
        )
        hit = any("(INJECTED)" in line or "killed by SIGKILL" in line for line in log)
        reached += hit
        where = (name, number, how, code)
        assert torn(store) == [], where
        assert shown(store) == 1 or code != 0, where
        if hit and reached % 4 == 0:
            assert warm.run("build", store) == 0 and shown(store) == 1, where
            assert not (store / "staging").exists(), where
        if least < 35 and reached == least:
            break
    print(f"{how}: {reached} of {len(every)} points reached")
    assert reached >= least


# --- a full disk


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own; skips where nobody may mount one."""
    folder.mkdir()
    kind = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(kind, capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Fill a disk up but for so many bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - left, 1))
    return filler


def test_a_full_disk(warm: Warm, waiting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit log lies on another disk; where it does not, no number is shown."""
    monkeypatch.setenv("JIANFU_AUDIT", str(tmp_path / "audit"))
    csv_file(tmp_path / "m.csv", [record(n) for n in range(1, 14)])
    out = tmp_path / "out"
    with small_disk(tmp_path / "disk", 20) as disk:
        store = copy(waiting, disk / "store")
        commands: list[tuple[Any, ...]] = [("build", store)] * 4
        commands += [("ingest", disk / "new", tmp_path / "m.csv", "--as", "settlement")] * 2
        for left, command in zip((0, 8, 20, 36, 0, 12), commands, strict=True):
            filler = fill(disk, left * 1024)
            code = warm.run(*command, out=str(out))
            assert code == 1, (left, out.read_text())
            assert "no room left on the disk" in out.read_text() or "No space left" in out.read_text()
            assert "Traceback" not in out.read_text() and "[jail]" not in out.read_text()
            assert torn(store) == [] and shown(store) == 0
            if not left:
                with monkeypatch.context() as here, pytest.raises(Unwritten):
                    here.delenv("JIANFU_AUDIT")
                    shown(store)
            filler.unlink()
            assert not (store / "staging").exists()
        assert warm.run("build", store) == 0 and shown(store) == 1
        assert warm.run(*commands[-1], out=str(out)) == 0, out.read_text()


def test_a_file_that_may_not_grow(warm: Warm, waiting: Path, tmp_path: Path) -> None:
    store, out = copy(waiting, tmp_path / "store"), tmp_path / "out"
    whole = copy(waiting, tmp_path / "whole")
    assert warm.run("build", whole) == 0
    largest = max(p.stat().st_size for p in Store(whole).current().path.iterdir())
    for size in (700, largest // 2, largest - 1):  # room for its words is needed
        assert warm.run("build", store, size=size, out=str(out)) == 1
        assert str(store) in out.read_text() and "Traceback" not in out.read_text()
        assert torn(store) == [] and shown(store) == 0
    assert warm.run("build", store) == 0 and shown(store) == 1


# --- single bits


def every_file(store: Path) -> list[Path]:
    return sorted(p for p in store.rglob("*") if p.is_file() and p.name != "lock" and p.stat().st_size)


@pytest.mark.parametrize("flips", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_no_wrong_figure_from_a_flipped_bit(waiting: Path, tmp_path: Path, flips: int) -> None:
    """A figure is the right one, or refused; what is built from a flipped delivery likewise."""
    store, chance, refused = copy(waiting, tmp_path / "store"), random.Random(flips), 0
    files = every_file(store)
    for number in range(flips):
        path = chance.choice(files)
        place, bit = chance.randrange(path.stat().st_size), chance.randrange(8)
        flip(path, place, bit)
        served = "deliveries" not in path.parts
        try:
            if served or number % 10 == 0:
                assert shown(store) == 0, path
                assert path.name not in ("manifest.json",) or not served
            if not served:
                with pytest.raises(Damaged):
                    quick_build(Store(store))
                refused += 1
        except SEEN:
            refused += 1
        finally:
            flip(path, place, bit)
    assert refused >= 0.9 * flips
    assert shown(store) == 0 and torn(store) == []


def test_without_the_check_a_flipped_bit_gives_wrong_figures(tmp_path: Path) -> None:
    """The check of the files is what refuses: the engine alone reads wrong amounts and says nothing."""
    file = tmp_path / "amounts.parquet"
    amounts = "SELECT (hash(range) % 100000000)::BIGINT AS fen FROM range(20000)"
    duckdb.connect().execute(f"COPY ({amounts}) TO '{file}' ({FORMAT})")
    right = duckdb.connect().sql(amounts).pl()
    chance, wrong, tries = random.Random(1), 0, 40
    for _ in range(tries):
        place, bit = chance.randrange(file.stat().st_size), chance.randrange(8)
        flip(file, place, bit)
        try:
            wrong += not duckdb.connect().sql(f"SELECT fen FROM {parquet([file])}").pl().equals(right)
        except duckdb.Error:  # noticed by luck
            continue
        finally:
            flip(file, place, bit)
    print(f"{wrong} of {tries} wrong without a word")
    assert wrong >= tries / 2


def test_a_flipped_bit_on_the_way_is_seen_by_the_note(tmp_path: Path) -> None:
    rows = [record(n) for n in range(1, 14)]
    file = csv_file(tmp_path / "m.csv", rows)
    note = note_file(tmp_path / "note.toml", [file], [13], "304751.98")
    chance = random.Random(3)
    for _ in range(4):
        place, bit = chance.randrange(file.stat().st_size), chance.randrange(8)
        flip(file, place, bit)
        with pytest.raises(Refused):
            verbs.ingest(tmp_path / "store", [file], "settlement", note=note)
        flip(file, place, bit)
    digit = file.read_bytes().index(b"23442.46")
    flip(file, digit, 0)  # 2 becomes 3: a good file, but not the one that was sent
    with pytest.raises(Refused, match="its sha256 is not the one in the note"):
        verbs.ingest(tmp_path / "store", [file], "settlement", note=note)
    flip(file, digit, 0)
    assert verbs.ingest(tmp_path / "store", [file], "settlement", note=note).manifest["rows_loaded"] == 13


def test_a_month_is_not_compared_with_a_flipped_one(tmp_path: Path) -> None:
    """Which settlements were there already is read from earlier deliveries, so these are checked too."""
    for month in (0, 1):
        rows = [record(n, setl_id=f"S{month}{n}", mdtrt_id=f"M{month}{n}") for n in range(1, 14)]
        csv_file(tmp_path / f"m{month}.csv", rows)
    first = verbs.ingest(tmp_path / "store", [tmp_path / "m0.csv"], "settlement")
    flip(first.partitions("settlement")[0].path, 200, 3)
    with pytest.raises(Damaged, match="content differs"):
        verbs.ingest(tmp_path / "store", [tmp_path / "m1.csv"], "settlement")
    assert len(Store(tmp_path / "store").deliveries()) == 1

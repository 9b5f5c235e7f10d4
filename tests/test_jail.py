"""The jail: bombs harm nobody, limits hold, and a child that dies or panics is one clear line."""

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deliveries import clean, csv_file, parquet_file

from analytics.intake.gate import Gate, Refused, allowed_seconds
from analytics.intake.inside import Inside

pytest.importorskip("resource")  # the limits of the child
HERE = Path(__file__).parent

# --- bombs

BOMBS = {
    "dictionary.parquet": "long_text",
    "dictionary_dressed.parquet": "long_text",
    "long_words.parquet": "unfolds",
    "zeros.parquet": "unfolds",
    "cell.parquet": "unfolds",
    "cell_dressed.parquet": "unfolds",
    "cells.parquet": "unfolds",
    "columns.parquet": "too_wide",
    "sheet_corner.xlsx": "unfolds",
    "sheet_rows.xlsx": "unfolds",
    "sheet_lying.xlsx": "format",
    "replies_deep.jsonl": "nested",
}
PROBE = """
import json, sys, tempfile, time
from pathlib import Path
from analytics.intake.gate import Gate, Refused

def most():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024

before, started = most(), time.monotonic()
with tempfile.TemporaryDirectory() as staging:
    try:
        with Gate(Path(staging), seconds=18) as gate:
            source = gate.open(Path(sys.argv[1]))
            gate.start_engine()
            gate.run("CREATE TABLE t AS SELECT * FROM read_parquet([$file])", file=str(source.readable))
        codes = []
    except Refused as refused:
        codes = refused.codes
seconds = time.monotonic() - started
readers = [name for name in ("pyarrow", "polars", "python_calamine") if name in sys.modules]
print(json.dumps({"codes": codes, "seconds": seconds, "grown": most() - before, "readers": readers}))
"""


def bombs(*told: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, HERE / "bombs.py", *told], stderr=subprocess.DEVNULL)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures memory by /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_harms_nobody(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert bombs(path.stem, path).wait() == 0 and path.stat().st_size <= 10_000_000
    naive = bombs("read", path)
    told = json.loads(subprocess.check_output([sys.executable, "-c", PROBE, path], cwd=tmp_path, timeout=60))
    print(f"{name}: {path.stat().st_size} bytes, {told['seconds']:.1f} s, parent grew {told['grown']:.1f} MB")
    assert told["codes"] == [BOMBS[name]] and told["readers"] == []
    assert told["grown"] < 50 and told["seconds"] < 20
    assert naive.wait() != 0, "read naively it does no harm, so it is no bomb"


# --- limits, and a child that dies

ENDLESS = "SELECT count(*) FROM range(100_000_000) a, range(100_000_000) b WHERE hash(a.range, b.range) = 1"


def refusal(tmp_path: Path, ask: Callable[[Gate], object], **limits: Any) -> str:
    """The one line a question is refused with, on a child of its own."""
    (tmp_path / "f.csv").write_text("a,b\nx,1\n")
    with pytest.raises(Refused) as refused, Gate(tmp_path, **{"seconds": 60, **limits}) as opened:
        opened.open(tmp_path / "f.csv")
        opened.start_engine()
        assert opened.rows("SELECT 1") == [(1,)]
        ask(opened)
    (line,) = refused.value.lines
    assert line.startswith("f.csv: ") and "Traceback" not in line
    assert [p.name for p in tmp_path.iterdir()] == ["f.csv"]
    return line


def test_the_clock_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.intake.gate.PATIENCE", 1)
    (tmp_path / "f.csv").write_text("a,b\nx,1\n")
    (tmp_path / "in").mkdir()
    for hangs in ("open", "work"):
        begun = time.monotonic()
        with (
            pytest.raises(Refused, match="not read within 2 s") as refused,
            Gate(tmp_path / "in", seconds=2) as opened,
        ):
            if hangs == "work":
                opened.start_engine()
            os.kill(opened._child.pid, signal.SIGSTOP)
            opened.open(tmp_path / "f.csv")
        assert refused.value.codes == ["jail"]
        assert 2 <= time.monotonic() - begun < 60, "not before its time, and it does not hang"


def test_a_killed_child_is_one_line(tmp_path: Path) -> None:
    def kill(opened: Gate) -> None:
        threading.Timer(0.5, os.kill, (opened._child.pid, signal.SIGKILL)).start()
        opened.rows(ENDLESS)

    assert "was stopped (signal 9)" in (line := refusal(tmp_path, kill)) and line.endswith("[jail]")


def test_memory_runs_out_in_one_line(tmp_path: Path) -> None:
    hungry = "SELECT length(string_agg(hash(range)::VARCHAR, '')) FROM range(30_000_000)"
    line = refusal(tmp_path, lambda g: g.rows(hungry), memory="100MB")
    assert "needs more memory than 100MB" in line and line.endswith("[jail]")


def test_a_child_that_holds_too_much_ends_itself() -> None:
    def watch(most: int | None) -> "subprocess.Popen[bytes]":
        code = f"import sys; from analytics.intake.inside import Inside; Inside(sys.stdout, {{'memory': {most}}}).beat()"
        return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)

    with watch(1_000_000) as over, watch(10_000_000_000) as under:
        assert over.wait(30) == 1 and over.stderr and b"out of memory" in over.stderr.read()
        assert under.poll() is None
        under.kill()


def test_processor_time_runs_out_in_one_line(tmp_path: Path) -> None:
    line = refusal(tmp_path, lambda g: g.rows(ENDLESS), seconds=2)
    assert "not read within 2 s" in line and line.endswith("[jail]")


def test_no_other_file_can_be_read_or_written(tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1, 2]}), other)
    (tmp_path / "in").mkdir()
    ours = f"SELECT * FROM read_parquet('{other}')"
    with Gate(tmp_path / "in", seconds=60) as opened:
        opened.start_engine()
        for sql in (
            "SELECT * FROM read_csv('/etc/passwd')",
            ours,
            f"SELECT * FROM glob('{tmp_path}/*')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/out.db'",
            "SET enable_external_access = true",
            "INSTALL httpfs",
        ):
            with pytest.raises(Refused, match=r"PermissionException|InvalidInputException") as refused:
                opened.rows(sql)
            assert refused.value.codes == ["jail"]
        assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "other.parquet"]
        opened.start_engine([other])  # told of it, it does read it
        assert opened.rows(ours) == [(1,), (2,)]


def test_a_panic_inside_is_answered_and_survived(tmp_path: Path) -> None:
    class PanicException(BaseException):
        """As native libraries raise it."""

    def panic(**_: Any) -> None:
        raise PanicException("called `Option::unwrap()`\non a `None` value")

    out = io.StringIO()
    inside = Inside(out, {})
    inside.run_all = panic  # type: ignore[method-assign]
    inside.serve(io.StringIO('{"do": "run_all"}\n{"do": "run_all"}\n'))
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [t["error"] for t in told] == ["PanicException: called `Option::unwrap()` on a `None` value"] * 2
    line = refusal(tmp_path, lambda g: g.rows("SELECT no_such_column"))  # what an error is to the user
    assert "stopped by BinderException" in line and line.endswith("[jail]")


def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    code = f"""
import os, sys, time
from pathlib import Path
from analytics.intake.gate import Gate
gate = Gate(Path({str(tmp_path)!r}), seconds=60)
gate.start_engine()
print(gate._child.pid, flush=True)
gate.rows({ENDLESS!r})
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout
    child = int(parent.stdout.readline())
    os.kill(child, 0)  # it is there
    parent.kill()
    parent.wait()
    parent.stdout.close()
    ends = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < ends:
        time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_the_child_starts_lean() -> None:
    heavy = "polars|pydantic|streamlit|pandas|pyarrow|numpy"
    limits = json.dumps({"memory": None, "cpu": 60, "threads": 1, "scratch": ""})
    command = [sys.executable, "-X", "importtime", "-m", "analytics.intake.inside", limits]
    told = subprocess.run(command, input=b"", capture_output=True, check=True).stderr.decode()
    names = {line.split("|")[-1].strip().split(".")[0] for line in told.splitlines()}
    assert "duckdb" in names and names.isdisjoint(heavy.split("|"))


# --- talking


def test_statements_run_and_tell_how_far_they_are(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("a,b\nx,1\n")
    heard: list[float] = []
    done: list[tuple[int, int]] = []
    with Gate(tmp_path, seconds=60) as opened:
        opened.open(tmp_path / "f.csv")
        opened.start_engine()
        opened.progress(heard.append)
        rows = 25_000_000
        while not heard and rows < 2_000_000_000:  # until it takes this machine long enough to be looked at
            opened.run(f"CREATE OR REPLACE TABLE t AS SELECT max(hash(range * 7)) AS a FROM range({rows})")
            rows *= 3
        parts = [f"COPY (SELECT {i} AS i) TO '{tmp_path}/{i}.parquet'" for i in range(3)]
        opened.run_all(parts, lambda *part: done.append(part))
    assert heard and all(0 < part <= 1 for part in heard) and heard == sorted(heard)
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert [pq.read_table(tmp_path / f"{i}.parquet").to_pydict() for i in range(3)] == [
        {"i": [i]} for i in range(3)
    ]


def test_the_clock_goes_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in [("a", 5_000_000), ("b", 25_000_000)]:
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    monkeypatch.delenv("JIANFU_INTAKE_SECONDS", raising=False)
    assert allowed_seconds([tmp_path / "a"]) == 18
    assert allowed_seconds([tmp_path / "a", tmp_path / "b"]) == 18 + 2 * 20
    monkeypatch.setenv("JIANFU_INTAKE_SECONDS", "7")
    assert allowed_seconds([tmp_path / "b"]) == 7


# --- limits on the size of a file

GROWS = """
import json, sys
from pathlib import Path
from analytics.intake import inside
from analytics.intake.gate import Refused

inside.ROOM, inside.TIMES = int(sys.argv[1]), 0
try:
    inside.Inside(sys.stdout, {"scratch": sys.argv[3]}).open(sys.argv[2], 1, [])
    print("opened")
except Refused as refused:
    print(refused.lines[0])
"""


@pytest.mark.parametrize(
    ("room", "told"), [(1000, "s.csv: unfolds to more than 1000 bytes; deliver a plain export [unfolds]"), (10**6, "opened")]
)  # fmt: skip
def test_a_transcription_that_grows_beyond_ours_is_a_bomb(tmp_path: Path, room: int, told: str) -> None:
    csv_file(tmp_path / "s.csv", clean(30))
    words = [sys.executable, "-c", GROWS, str(room), str(tmp_path / "s.csv"), str(tmp_path)]
    out = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert out.stdout.splitlines()[-1] == told, out.stderr


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_limit_of_the_shell_is_told_as_one(tmp_path: Path, form: str) -> None:
    """In the transcription of a text file, and in what is written of any."""
    file = csv_file(tmp_path / "s.csv", clean(30)) if form == "csv" else parquet_file(tmp_path / "s.parquet", clean(30))  # fmt: skip
    words = [sys.executable, "-m", "analytics.cli", "ingest", "--as", "settlement", tmp_path / "store", file]
    script = f"ulimit -f {{}}; exec {shlex.join(map(str, words))}"

    def run(blocks: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["bash", "-c", script.format(blocks)], capture_output=True, text=True, timeout=120)  # fmt: skip

    out = run("2")
    last = out.stderr.strip().splitlines()[-1]
    assert out.returncode == 1 and "Traceback" not in out.stderr
    assert (
        f"{tmp_path / 'store'}: the limit on the size of a file was reached" in last and "ulimit -f" in last
    )
    assert run("unlimited").returncode == 0

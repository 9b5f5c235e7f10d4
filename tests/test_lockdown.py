"""DuckDB locked: none of the ways out is open to a question, to the connection under it, or to the one that builds.

Tried by a process without rights, on files sealed as a store seals them; a default connection shows that the ways are real.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from escapes import ASIDE, CONTROLLED, EVERY, lay_out
from house import ROOT

from analytics.store import Engine, Store, closed

NOBODY = "65534"
IS_ROOT = hasattr(os, "getuid") and os.getuid() == 0


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that others may enter, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="lockdown-"))
    folder.chmod(0o755)
    yield folder
    (folder / "in").chmod(0o755)
    shutil.rmtree(folder)


def tried(who: str, folder: Path) -> tuple[dict[str, str], list[str]]:
    """What came of every way, by name, empty where it led out; and the files that are there that were not."""
    lay_out(folder)
    (folder / "write").mkdir()
    for place in ("out", "write", *(["in"] if who == "default" else [])):
        for path in (folder / place, *(folder / place).rglob("*")):
            path.chmod(0o777)
    if who != "default":  # as a store seals them
        for path in (folder / "in").iterdir():
            if not path.is_symlink():
                path.chmod(0o444)
        (folder / "in").chmod(0o555)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    told = subprocess.run(
        [sys.executable, ROOT / "tests" / "escapes.py", who, folder, *([NOBODY] if IS_ROOT else [])],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder / "out")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout.splitlines()[-1])
    assert "3" in answer["answers"], "what may be read must be read"
    after = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    changed = [p.relative_to(folder).as_posix() for p, when in after.items() if before.get(p) != when]
    return answer["told"], [*changed, *(p.name for p in before.keys() - after.keys())]


@pytest.mark.skipif(os.name == "nt", reason="rights of files are of another kind there")
@pytest.mark.parametrize("who", ["ask", "raw", "workbench"])
def test_no_way_leads_out(who: str, open_place: Path) -> None:
    told, changed = tried(who, open_place)
    assert len(told) >= 60
    assert [name for name, refusal in told.items() if not refusal] == []
    assert changed == []
    assert (ASIDE.keys() <= told.keys()) == (who == "ask")


@pytest.mark.skipif(os.name == "nt", reason="rights of files are of another kind there")
def test_the_ways_are_real(open_place: Path) -> None:
    """On a connection with nothing set every one of them leads out, but those that would have to fetch something."""
    told, changed = tried("default", open_place)
    assert {name: told[name] for name in CONTROLLED if told[name]} == {}
    assert len(CONTROLLED) >= 50 and len(EVERY) > len(CONTROLLED)
    assert {"out/new.csv", "out/new.db", "out/second.csv", "in/ours.parquet"} <= set(changed)


def test_a_question_is_one_select() -> None:
    engine = Engine({})
    engine.keep("t", "SELECT 1 AS a")
    for sql in (
        "SELECT a FROM t; DROP TABLE t",
        "DROP TABLE t",
        "UPDATE t SET a = 2",
        "CALL duckdb_settings()",
        "",
    ):
        with pytest.raises(duckdb.PermissionException, match="one SELECT"):
            engine.ask(sql)
    with pytest.raises(duckdb.PermissionException, match="one SELECT"):
        engine.keep("u", "SELECT 1; DROP TABLE t")
    assert engine.ask("WITH x AS (SELECT * FROM t) SELECT a FROM x").item() == 1


def test_what_is_put_aside_is_nobody_elses() -> None:
    engine = Engine({})
    aside = Path(engine.ask("SELECT current_setting('temp_directory')").item())
    other = Path(Engine({}).ask("SELECT current_setting('temp_directory')").item())
    assert aside != other and aside.parent == other.parent
    if os.name != "nt":
        assert stat.S_IMODE(aside.parent.stat().st_mode) == 0o700
    assert not aside.is_relative_to(Path.cwd())
    told = engine.ask("SELECT value FROM duckdb_settings() WHERE name = 'max_temp_directory_size'").item()
    assert told == "9.3 GiB"
    code = "from analytics.store.engine import *; print(Engine({}).ask(\"SELECT current_setting('temp_directory')\").item())"
    left = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip()
    assert left and not Path(left).parent.exists(), "the folder goes with the process"


def test_rows_handed_over_open_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    for sql in (
        f"SELECT * FROM read_csv('{tmp_path}/x.csv')",
        f"COPY (SELECT 1) TO '{tmp_path}/y.csv'",
        "SET threads = 9",
    ):
        with closed() as con, pytest.raises((duckdb.PermissionException, duckdb.InvalidInputException)):
            con.execute(sql).fetchall()
        with duckdb.connect() as con:
            con.execute(sql).fetchall()


@pytest.mark.skipif(os.name == "nt", reason="rights of files are of another kind there")
def test_a_sealed_store_is_closed_to_writing(sample_store: Path) -> None:
    folders = [f.path for f in (*Store(sample_store).deliveries(), Store(sample_store).current())]
    assert folders
    for folder in folders:
        assert stat.S_IMODE(folder.stat().st_mode) & 0o222 == 0
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0, (
            "what a person's claims lie in is its owner's alone"
        )
        for path in folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) & 0o222 == 0

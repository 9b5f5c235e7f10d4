"""Work in a process of its own: how it ends, that nothing of it stays, and that what is published is served throughout."""

import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Run
from deliveries import csv_file, note_file, record

from analytics import jobs, verbs
from analytics.release import log_of
from analytics.store import Busy, Store

ROWS = [record(n) for n in range(1, 41)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty store; folders of jobs lie in `scratch` beside it, and none is there at the end."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    yield tmp_path / "store"
    assert left(tmp_path) == [], "a job left its folder"


def left(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "scratch").glob("jianfu-*"))


def upload(name: str, content: bytes) -> jobs.Upload:
    return jobs.Upload(name, io.BytesIO(content))


def csv(tmp_path: Path, rows: list[dict[str, object]] = ROWS) -> bytes:
    return csv_file(tmp_path / "given.csv", rows).read_bytes()


def until(true: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_a_delivery_is_loaded_and_built_as_by_the_command_line(store: Path, tmp_path: Path) -> None:
    content = csv(tmp_path)
    job = jobs.ingest(store, "settlement", [upload("given.csv", content)])
    assert jobs.of(store) is job and job.is_running
    until(lambda: left(tmp_path))
    if sys.platform != "win32":
        assert left(tmp_path)[0].stat().st_mode & 0o777 == 0o700
    phases = []
    while job.is_running:
        phases.append(job.phase)
        time.sleep(0.01)
    assert set(phases) <= {"start", "receive", "read", "check", "write"} and {"read", "check"} <= set(phases)
    assert (job.state, job.lines) == ("done", ())
    assert (job.phase, job.fraction) == ("write", 1.0)
    (delivery,) = Store(store).deliveries()
    assert job.told["delivery"] == delivery.id and job.told["rows_loaded"] == len(ROWS)
    assert job.told["secret"] == str(tmp_path / "jianfu.key") and not job.told["held"]
    assert jobs.unbuilt(store) == ["settlement"] and jobs.can_build(store)

    again = jobs.ingest(store, "settlement", [upload("given.csv", content)]).wait(60)
    assert again.state == "done" and again.told["held"] and not again.told["secret"]
    built = jobs.build(store).wait(60)
    assert built.state == "done" and built.told["snapshot"] == Store(store).current_id()
    assert jobs.unbuilt(store) == []
    refused = jobs.sample(store, "small").wait(60)
    assert refused.state == "refused" and "already holds data" in refused.lines[0]
    told = [(e["kind"], e["outcome"], e["user"]) for e in log_of(store).entries()]
    assert told == [
        ("ingest", "delivered", "local"),
        ("ingest", "held already", "local"),
        ("build", "published", "local"),
        ("sample", "refused", "local"),
    ]
    by_hand = tmp_path / "byhand" / "store"
    verbs.ingest(by_hand, [tmp_path / "given.csv"], "settlement", key=tmp_path / "jianfu.key")
    assert verbs.build(by_hand).id == built.told["snapshot"]
    jobs.forget(store)
    assert jobs.of(store) is None


def test_a_refusal_says_what_the_command_line_says(run: Run, store: Path, tmp_path: Path) -> None:
    """Line by line; a file is called what its sender called it, whatever name it was given here."""
    bad = tmp_path / "bad.csv"
    bad.write_text("setl_id,psn_no\n1,2\n3\n")
    code, _, err = run("ingest", tmp_path / "other", bad, "--as", "settlement")
    job = jobs.ingest(store, "settlement", [upload("../=bad\x07?.csv", bad.read_bytes())]).wait(60)
    assert code == 1 and job.state == "refused" and not job.asks_sign_off
    assert list(job.lines) == err.replace("bad.csv", "../=bad\ufffd?.csv").splitlines()
    assert Store(store).deliveries() == [] and not (store / "staging").exists()


def test_a_batch_over_the_limits_asks_for_a_word_and_takes_it(store: Path, tmp_path: Path) -> None:
    content = csv(tmp_path)
    note = note_file(tmp_path / "note.toml", [tmp_path / "given.csv"], [len(ROWS)], "24000.00").read_bytes()

    def deliver(sign_off: dict[str, str] | None) -> jobs.Job:
        files = [upload("given.csv", content)]
        return jobs.ingest(
            store, "settlement", files, note=upload("note.toml", note), sign_off=sign_off
        ).wait(60)

    asked = deliver(None)
    assert asked.state == "refused" and asked.asks_sign_off
    signed = {"reason": "平台补传", "who": "张三"}
    assert deliver(signed).state == "done"
    (delivery,) = Store(store).deliveries()
    assert delivery.manifest["sign_off"] == signed


def test_one_stopped_leaves_the_published_snapshot_and_nothing_else(
    store: Path, sample_store: Path, tmp_path: Path
) -> None:
    """Stopped while the gate reads; the store is a copy of a built one."""
    shutil.copytree(sample_store, store)
    shutil.rmtree(store / "staging", ignore_errors=True)
    before = Store(store).current_id(), [d.id for d in Store(store).deliveries()]
    job = jobs.ingest(store, "settlement", [upload("given.csv", csv(tmp_path))])
    until((store / "staging").exists)
    with pytest.raises(Busy):
        jobs.build(store)
    assert jobs.of(store) is job and Store(store).current_id() == before[0]
    job.cancel()
    job.wait(30)
    assert (job.state, job.lines) == ("cancelled", ())
    assert (Store(store).current_id(), [d.id for d in Store(store).deliveries()]) == before
    assert not (store / "staging").exists() and Store(store).damage() == []


def test_another_builder_at_work_is_said_kindly(store: Path, tmp_path: Path) -> None:
    with Store(store).building():
        job = jobs.ingest(store, "settlement", [upload("given.csv", csv(tmp_path))]).wait(60)
    assert job.state == "busy" and "another builder" in job.lines[0]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_a_job_ends_with_its_server_and_takes_its_files_along(store: Path, tmp_path: Path) -> None:
    """The server is killed, with no time to clean up."""
    code = (
        "import sys, time\nfrom analytics import jobs\njobs.sample(sys.argv[1], 'normal')\n"
        "while not jobs.of(sys.argv[1]).total: time.sleep(.02)\nprint('at work', flush=True)\ntime.sleep(60)"
    )
    scratch = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    server = subprocess.Popen(
        [sys.executable, "-c", code, str(store)], env=scratch, stdout=subprocess.PIPE, text=True
    )
    with server:
        assert server.stdout and server.stdout.readline() == "at work\n"
        assert left(tmp_path)
        server.kill()
    until(lambda: not left(tmp_path), 20)
    with Store(store).building():
        pass  # nobody holds the store any more


def test_folders_nobody_owns_any_more_are_swept(store: Path, tmp_path: Path) -> None:
    old, young = (tmp_path / "scratch" / f"jianfu-job-{name}" for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
        (folder / "given.csv").write_text("1")
    os.utime(old, (time.time() - 2 * 86_400,) * 2)
    jobs.ingest(store, "settlement", [upload("a.csv", b"")]).wait(60)
    assert not old.exists() and young.exists()
    (young / "given.csv").unlink()
    young.rmdir()


@pytest.mark.parametrize(
    ("came", "kept"),
    [
        ("结算 2024(1).csv", "结算 2024(1).csv"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("=cmd|'calc'!A0.csv", "cmd__calc__A0.csv"),
        ("-rf.csv", "rf.csv"),
        (".hidden.csv", "hidden.csv"),
        ("a\x00b\r\n\u202ecsv.exe.csv", "a_b___csv.exe.csv"),
        ("x" * 300 + ".parquet", "x" * 60 + ".parquet"),
        ("CON.csv", "file_CON.csv"),
        ("com1.tar.csv", "file_com1.tar.csv"),
        ("a:b*?[c].csv", "a_b___c_.csv"),
        ("", "file"),
        ("...", "file"),
        ("/", "file"),
    ],
)
def test_a_name_names_a_file_and_nothing_else(came: str, kept: str) -> None:
    assert jobs.safe_name(came) == kept


def test_names_that_come_twice_stay_apart() -> None:
    assert jobs.safe_name("A.csv", taken={"a.csv", "a-2.csv"}) == "A-3.csv"

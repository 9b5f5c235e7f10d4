"""The audit log: every tampering is found, what cannot be written does not leave, many writers keep one chain."""

import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from analytics.release import audit
from analytics.release.audit import Log, Unwritten, place

Lines = list[bytes]
ENTRY = {"kind": "answer", "user": "甲", "role": "local", "figures": [{"figure": "F-1", "cells": 3}]}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "audit", tmp_path / "head", segment=4_000)


def _fill(log: Log, n: int) -> Log:
    for i in range(n):
        log.append({**ENTRY, "page": i})
    return log


def _files(log: Log) -> list[Path]:
    return sorted(log.folder.glob("*.jsonl"))


def test_a_log_is_a_chain_of_plain_lines(log: Log) -> None:
    """Checked by hashing the lines here, without the code that wrote them."""
    _fill(log, 40)
    assert len(_files(log)) > 3, "it goes on in new files"
    before, n = "0" * 64, 0
    for file in _files(log):
        assert file.stat().st_size <= 4_000
        for line in file.read_text("utf-8").splitlines():
            entry, n = json.loads(line), n + 1
            told = entry.pop("hash")
            text = json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            assert told == hashlib.sha256(text.encode()).hexdigest()
            assert (entry["n"], entry["previous"], entry["user"]) == (n, before, "甲")
            before = told
    assert n == 40 and json.loads(log.head_file.read_text()) == {"n": 40, "hash": before}
    assert log.verify() == [] and log.verify(head=f"17-{[e['hash'] for e in log.entries()][16][:16]}") == []
    assert log.verify(head="17-0123456789abcdef")[0].startswith("head 17-")


@pytest.mark.parametrize(
    ("name", "told"), [("a\udcff.csv", "a?.csv"), ("\ud83d\ude00", "??"), ("\ud83d\\ude00", "?\\ude00")]
)
def test_half_a_character_does_not_break_the_chain(log: Log, name: str, told: str) -> None:
    """As in a file name that is no UTF-8, which Python hands on; whoever shows the entry can print it."""
    log.append({**ENTRY, "file": name})
    log.append(ENTRY)
    assert log.verify() == []
    assert [entry["file"] for entry in log.entries() if "file" in entry] == [told]


# --- tampering


def _flip(lines: Lines, dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    line = bytearray(lines[at])
    line[dice.randrange(len(line))] ^= 1 << dice.randrange(8)
    lines[at] = bytes(line)


def _drop(lines: Lines, dice: random.Random) -> None:
    del lines[dice.randrange(len(lines) - 1)]


def _swap(lines: Lines, dice: random.Random) -> None:
    a, b = dice.sample(range(len(lines)), 2)
    lines[a], lines[b] = lines[b], lines[a]


def _cut(lines: Lines, dice: random.Random) -> None:
    del lines[dice.randrange(1, len(lines)) :]


def _insert(lines: Lines, dice: random.Random) -> None:
    """A copy of an entry, made to follow from the one before it."""
    at = dice.randrange(len(lines))
    entry = json.loads(lines[at])
    lines.insert(at + 1, _forged({**entry, "n": entry["n"] + 1, "previous": entry["hash"]}))


def _renumber(lines: Lines, dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    entry = json.loads(lines[at])
    lines[at] = _forged({**entry, "n": entry["n"] + dice.choice((-1, 1, 7))})


def _rewrite(lines: Lines, dice: random.Random) -> None:
    """Another user in an entry, its hash made good."""
    at = dice.randrange(len(lines))
    lines[at] = _forged({**json.loads(lines[at]), "user": "nobody"})


def _forged(entry: dict[str, object]) -> bytes:
    plain = {k: v for k, v in entry.items() if k != "hash"}
    text = json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    whole = {**plain, "hash": hashlib.sha256(text.encode()).hexdigest()}
    return (json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n").encode()


WAYS = (_flip, _drop, _swap, _cut, _insert, _renumber, _rewrite)


def test_every_tampering_is_found(tmp_path: Path) -> None:
    """Of a thousand none is missed; without the head in its second place every cut tail would be."""
    log = _fill(Log(tmp_path / "audit", tmp_path / "head"), 12)
    (file,) = _files(log)
    whole, dice = file.read_bytes().splitlines(keepends=True), random.Random(8)
    missed: list[str] = []
    cuts = missed_without = 0
    for i in range(1_000):
        way = WAYS[i % len(WAYS)]
        lines = list(whole)
        way(lines, dice)
        assert lines != whole
        file.write_bytes(b"".join(lines))
        if not log.verify():
            missed.append(f"{i}: {way.__name__}")
        if way is _cut:
            cuts += 1
            missed_without += not log.verify(second_place=False)
    assert missed == []
    assert cuts > 100 and missed_without == cuts
    file.write_bytes(b"".join(whole))
    assert log.verify() == []


def test_the_wrong_line_is_named(log: Log) -> None:
    file = _files(_fill(log, 20))[1]
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], lines[1].replace("甲".encode(), "乙".encode()), *lines[2:]]))
    (found,) = log.verify()
    assert found == f"{file.name} line 2: was changed: its hash is not that of its content"


@pytest.mark.parametrize("gone", ["a file", "all files", "the head", "a middle file"])
def test_what_is_taken_away_is_found(log: Log, gone: str) -> None:
    files = _files(_fill(log, 40))
    taken = {
        "a file": [files[-1]],
        "all files": files,
        "the head": [log.head_file],
        "a middle file": [files[1]],
    }
    for path in taken[gone]:
        path.unlink()
    assert log.verify()
    Log(log.folder, log.head_file).append(ENTRY)  # and it stays told when another process goes on
    told = [e for e in log.entries() if e["kind"] in ("broken", "begun")]
    assert told or gone == "a middle file"
    assert log.verify() or gone == "all files", (
        "of a log begun anew its first entry names the head of the old one"
    )


# --- what cannot be written


def test_an_unfinished_entry_is_removed_by_the_next(log: Log) -> None:
    """A process stopped while it wrote: nobody was answered on that entry."""
    (file,) = _files(_fill(log, 3))
    with file.open("ab") as half:
        half.write(b'{"at":"2026')
    assert any("has no end" in line for line in log.verify())
    Log(log.folder, log.head_file).append(ENTRY)
    assert log.verify() == [] and len(list(log.entries())) == 4


def test_a_process_stopped_before_the_head_is_no_tampering(log: Log) -> None:
    kept = _fill(log, 3).head_file.read_bytes()
    log.append(ENTRY)
    log.head_file.write_bytes(kept)
    assert log.verify()
    Log(log.folder, log.head_file).append(ENTRY)
    assert log.verify() == [] and [e["kind"] for e in log.entries()][-2:] == ["resumed", "answer"]


@contextmanager
def _no_room(most: int) -> Iterator[None]:
    """Files of this process end at so many bytes: what a full disk does to a write, without a mount."""
    old, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_fails_closed(tmp_path: Path) -> None:
    log = _fill(Log(tmp_path / "audit", tmp_path / "head"), 5)
    (file,) = _files(log)
    before = file.read_bytes()
    with (
        _no_room(len(before) + 50),
        pytest.raises(Unwritten, match="nothing is shown or changed; free space"),
    ):
        log.append(ENTRY)
    assert file.read_bytes() == before, "no half of an entry stays"
    assert log.verify() == []
    assert log.append(ENTRY).n == 6 and log.verify() == []


def test_a_failing_sync_or_head_fails_closed(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(log, 2)
    for name in ("os.fsync", "Path.replace"):
        with monkeypatch.context() as broken:

            def fail(*_: object) -> None:
                raise OSError(5, "Input/output error")

            broken.setattr(f"analytics.release.audit.{name}", fail)
            with pytest.raises(Unwritten, match="Input/output error"):
                log.append(ENTRY)
        assert not list(log.head_file.parent.glob(".*"))
    log.append(ENTRY)
    assert log.verify() == []


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("in the way")
    with pytest.raises(Unwritten, match="JIANFU_AUDIT"):
        Log(tmp_path / "audit", tmp_path / "head").append(ENTRY)


def test_the_log_lies_where_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JIANFU_AUDIT", "JIANFU_AUDIT_HEAD"):
        monkeypatch.delenv(name, raising=False)
    assert place(tmp_path / "s") == (tmp_path / "s/audit", tmp_path / "s.audit-head")
    monkeypatch.setenv("JIANFU_AUDIT", str(tmp_path / "log"))
    assert place(tmp_path / "s") == (tmp_path / "log", tmp_path / "log.audit-head")
    monkeypatch.setenv("JIANFU_AUDIT_HEAD", str(tmp_path / "elsewhere/head"))
    assert place(tmp_path / "s")[1] == tmp_path / "elsewhere/head"


# --- many writers


_WRITER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("audit", sys.argv[1])
audit = sys.modules["audit"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(audit)
log = audit.Log(sys.argv[2], sys.argv[3], segment=20_000)
for i in range(int(sys.argv[5])):
    log.append({"kind": "answer", "who": sys.argv[4], "i": i})
"""


def _writer(log: Log, who: int, n: int) -> subprocess.Popen[bytes]:
    """A process that writes so many entries."""
    where = (audit.__file__, log.folder, log.head_file, who, n)
    return subprocess.Popen([sys.executable, "-c", _WRITER, *map(str, where)])


def test_four_processes_keep_one_chain(log: Log) -> None:
    writers = [_writer(log, who, 60) for who in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    assert log.verify() == [] and len(_files(log)) > 1
    own = [[e["i"] for e in log.entries() if e.get("who") == str(who)] for who in range(4)]
    assert own == [list(range(60))] * 4, "nothing lost, everyone's own in their order"


def test_a_killed_writer_leaves_a_chain_that_goes_on(log: Log) -> None:
    dice = random.Random(4)
    for who in range(8):
        writer = _writer(log, who, 1_000_000)
        before = len(list(log.entries()))
        while len(list(log.entries())) < before + 3:
            time.sleep(0.01)
        time.sleep(dice.random() / 50)
        writer.kill()
        writer.wait(20)
        Log(log.folder, log.head_file).append(ENTRY)
        assert log.verify() == []


def test_what_cannot_be_an_entry_fails_for_who_brings_it(log: Log) -> None:
    endless: dict[str, object] = {**ENTRY}
    endless["self"] = endless
    with pytest.raises(ValueError, match="Circular"):
        log.append(endless)
    assert not log._waiting and log.append(ENTRY).n == 1


@pytest.mark.parametrize("wrong", [RuntimeError, KeyboardInterrupt])
def test_nobody_who_waits_goes_without_an_answer(
    log: Log, monkeypatch: pytest.MonkeyPatch, wrong: type[BaseException]
) -> None:
    """Whatever stops the one who writes for all."""

    def fail(*_: object) -> None:
        raise wrong

    waiting = audit._Ticket((ENTRY,))
    log._waiting.append(waiting)
    with monkeypatch.context() as broken:
        broken.setattr(log, "_write", fail)
        with pytest.raises((Unwritten, wrong)):
            log.append(ENTRY)
    assert waiting.error is not None and wrong.__name__ in str(waiting.error)
    assert log.append(ENTRY).n == 1 and log.verify() == []


def test_threads_that_wait_together_share_a_sync(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(log, 1)
    synced, begun, go = [], threading.Barrier(9), threading.Event()
    true_sync = os.fsync

    def slow(handle: int) -> None:
        synced.append(handle)
        go.wait(5)
        true_sync(handle)

    def one(i: int) -> None:
        begun.wait(5)
        log.append({**ENTRY, "i": i})

    monkeypatch.setattr("analytics.release.audit.os.fsync", slow)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    begun.wait(5)
    while len(log._waiting) < 7:  # the eighth writes, and cannot finish
        pass
    go.set()
    for thread in threads:
        thread.join(5)
    assert len(list(log.entries())) == 9 and log.verify() == []
    assert len(synced) <= 4  # two entries' syncs, and a folder's where a file was begun

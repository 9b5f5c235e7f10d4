"""A job as the server sees it: begun, followed, ended, and everything it left removed."""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from analytics.store import Busy, Store

SIZES: dict[str, dict[str, Any]] = {
    "small": {"persons": 3_000, "cities": ["zhuhai", "zhanjiang", "weihai"], "years": [2022, 2023]},
    "normal": {},  # what `jianfu sample` makes
}
State = Literal["running", "done", "refused", "busy", "failed", "cancelled"]
_PREFIX = "jianfu-job-"
_AGE = 24 * 60 * 60  # seconds after which a folder is nobody's: its server and its process were both killed
_LONGEST = 60  # characters of a file's name before its ending
_DEVICES = re.compile(r"(con|prn|aux|nul|(com|lpt)\d)(\.|$)", re.IGNORECASE)  # no file names on Windows


@dataclass(frozen=True)
class Upload:
    """A file as it came through the browser; its name is whatever the sender wrote."""

    name: str
    content: IO[bytes]


@dataclass
class Job:
    """Work under way or ended; the fields only move forward, `state` last.

    `lines`: why it was refused or failed, one problem each; `told`: what came out; `names`: name in the job's folder -> name
    as it came. `phase`, `done`, `total`, `part` (of the step that is next): how far it is.
    """

    verb: str
    store: Path
    order: Mapping[str, Any]
    names: dict[str, str] = field(default_factory=dict)
    state: State = "running"
    phase: str = "start"
    done: int = 0
    total: int = 0
    part: float = 0
    lines: tuple[str, ...] = ()
    told: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    _process: "subprocess.Popen[bytes] | None" = None
    _stopped: bool = False
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        return self.state == "running"

    @property
    def fraction(self) -> float:
        """How much of its phase is done, from 0 to 1."""
        return min(1.0, (self.done + self.part) / self.total) if self.total else 0.0

    @property
    def asks_sign_off(self) -> bool:
        """Whether the gate would take this delivery if somebody answered for it."""
        return self.state == "refused" and any("--sign-off" in line for line in self.lines)

    def cancel(self) -> None:
        """Stop the work; what is published stays, what was staged goes."""
        with self._guard:
            self._stopped = True
            if self._process:
                self._process.terminate()

    def wait(self, seconds: float | None = None) -> "Job":
        """Wait until it has ended and everything it left is gone."""
        if self._thread:
            self._thread.join(seconds)
        return self

    def _run(self, uploads: dict[str, Sequence[Upload]]) -> None:
        ended: tuple[State, Sequence[str]] = ("failed", ())
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX))  # only this user may enter it
            order = {**self.order, "store": str(self.store), "folder": str(folder)}
            order |= {part: self._receive(folder, part, files) for part, files in uploads.items()}
            uploads.clear()  # lets go of their memory
            with self._guard:
                if not self._stopped:
                    self._process = _process(folder)
            if self._process:
                ended = self._follow(self._process, order)
                if ended[0] == "failed" and not ended[1]:
                    ended = "failed", _last_words(folder)
        except Exception as error:  # a job ends, whatever happens
            ended = "failed", [f"{type(error).__name__}: {error}"]
        finally:
            if folder:
                _remove(folder)
            if ended[0] == "failed":
                self._tidy()
            if ended[0] == "failed" and self._stopped:
                ended = "cancelled", ()
            self.lines = tuple(self._as_came(line) for line in ended[1])
            self.state = ended[0]

    def _receive(self, folder: Path, part: str, uploads: Sequence[Upload]) -> list[str]:
        """Write uploads into the folder under safe names, one of a kind."""
        self.phase = "receive"
        paths: list[str] = []
        inside = folder / part
        inside.mkdir()
        for upload in uploads:
            name = safe_name(upload.name, taken={Path(p).name for p in paths})
            self.names[name] = upload.name
            with (inside / name).open("xb") as out:
                upload.content.seek(0)
                shutil.copyfileobj(upload.content, out)
            paths.append(str(inside / name))
        return paths

    def _follow(
        self, process: "subprocess.Popen[bytes]", order: Mapping[str, Any]
    ) -> tuple[State, Sequence[str]]:
        assert process.stdin and process.stdout
        ended: tuple[State, Sequence[str]] = ("failed", ())
        with process, suppress(OSError):
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()  # and stays open: its end tells the process to end
            for line in process.stdout:
                message = json.loads(line)
                if message.get("phase") == "work":  # how far a long statement inside a phase is
                    self.part = message["done"] / message["total"]
                elif "phase" in message:
                    self.phase, self.done, self.total = message["phase"], message["done"], message["total"]
                    self.part = 0
                else:
                    self.told = message["told"]
                    ended = message["state"], message["lines"]
        return ended

    def _tidy(self) -> None:
        """Have the store forget what a stopped builder staged."""
        with suppress(Busy, OSError):  # another builder sees to it
            for _ in range(20):  # the process that reads files looks for its parent twice a second
                with Store(self.store).building():
                    pass
                if not (self.store / "staging").exists():
                    return
                time.sleep(0.25)

    def _as_came(self, line: str) -> str:
        """A line about a file by the name its sender gave it, cut to what can be read."""
        for safe, came in self.names.items():
            shown = "".join(c if c.isprintable() else "\ufffd" for c in came)
            shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
            line = re.sub(rf"(?<![\w.-]){re.escape(safe)}(?![\w-])", lambda _, name=shown: name, line)  # type: ignore[misc]
        return line


_jobs: dict[Path, Job] = {}
_door = threading.Lock()


def of(store: Path | str) -> Job | None:
    """The job of a store, running or ended last; None where there was none, or its end was noted."""
    return _jobs.get(Store(store).path)


def forget(store: Path | str) -> None:
    """Note the end of a store's job: it is shown no longer. A running one stays."""
    with _door:
        job = of(store)
        if job and not job.is_running:
            del _jobs[job.store]


def sample(store: Path | str, size: str) -> Job:
    """Begin to make sample data of one of the SIZES. Raises store.Busy."""
    return _start(store, "sample", {"arguments": SIZES[size]})


def ingest(
    store: Path | str,
    table: str,
    files: Sequence[Upload],
    *,
    mapping: Upload | None = None,
    note: Upload | None = None,
    sign_off: Mapping[str, str] | None = None,
) -> Job:
    """Begin to load a delivery through the gate, as `jianfu ingest` does. Raises store.Busy."""
    uploads: dict[str, Sequence[Upload]] = {
        "files": files,
        "mapping": [mapping] if mapping else [],
        "note": [note] if note else [],
    }
    return _start(
        store, "ingest", {"table": table, "sign_off": dict(sign_off) if sign_off else None}, uploads
    )


def build(store: Path | str) -> Job:
    """Begin to build and publish a snapshot of all deliveries. Raises store.Busy."""
    return _start(store, "build", {})


def _start(
    store: Path | str,
    verb: str,
    order: Mapping[str, Any],
    uploads: dict[str, Sequence[Upload]] | None = None,
) -> Job:
    target = Store(store).path
    with _door:
        held = _jobs.get(target)
        if held and held.is_running:
            raise Busy(f"{target}: another job is at work here; try again when it has finished")
        _sweep()
        job = _jobs[target] = Job(verb, target, {"verb": verb, **order})
        job._thread = threading.Thread(target=job._run, args=(uploads or {},), daemon=True)
        job._thread.start()
    return job


def safe_name(name: str, taken: set[str] | None = None) -> str:
    """A name that names a file and nothing else, alike on every system, and is not `taken` yet."""
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name))[-1]
    last = re.sub(r"[^\w .()+,#&=@~-]", "_", last)
    stem, _, ending = last.rpartition(".")
    if not stem or not re.fullmatch(r"\w{1,8}", ending):
        stem, ending = last, ""
    stem = re.sub(r"^\W+|[ .]+$", "", stem)[:_LONGEST].rstrip(" .") or "file"
    stem = f"file_{stem}" if _DEVICES.match(stem) else stem
    end = f".{ending}" if ending else ""
    names = [f"{stem}{end}", *(f"{stem}-{n}{end}" for n in range(2, len(taken or ()) + 3))]
    return next(n for n in names if n.casefold() not in {t.casefold() for t in taken or ()})


# --- the process and what it leaves


def _process(folder: Path) -> "subprocess.Popen[bytes]":
    """The process; whatever it and its children write for a while, they write into the folder."""
    path = os.pathsep.join(
        p for p in (str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")) if p
    )
    scratch = folder / "scratch"
    scratch.mkdir()
    with (folder / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-P", "-X", "utf8", "-m", "analytics.jobs.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "PYTHONPATH": path, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))},
        )


def _last_words(folder: Path) -> list[str]:
    with suppress(OSError):
        told = (folder / "stderr").read_text("utf-8", "replace").strip().splitlines()
        return [f"{line:.200}" for line in told[-1:]]
    return []


def _remove(folder: Path) -> None:
    for _ in range(20):  # Windows lets go of a file only when the last process that reads it has ended
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.25)


def _sweep() -> None:
    """Remove folders of jobs whose server and process were killed with no time to clean up."""
    held = time.time() - _AGE
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.stat().st_mtime < held:
                shutil.rmtree(folder, ignore_errors=True)


@atexit.register
def _stop_all() -> None:
    running = [job for job in _jobs.values() if job.is_running]
    for job in running:
        job.cancel()
    for job in running:
        job.wait(10)

"""The gate: delivered bytes are opened only in a child process, under limits of memory, processor time, file size and clock.

A refusal is one line, "<file>: what; what to do [code]", with one of these codes:

    no_file file_name format magic footer codec nested header doubled_column encoding ragged quotes empty sheet
    float_id
    unfolds     a bomb: small on disk, beyond all measure once read (by its footer, or by running into a limit)
    long_text   a text longer than 4096 characters
    too_wide    more than 2000 columns
    jail        the child was stopped: by the clock, from outside, or by an error of its own

Where the system has no `resource` module (Windows), only DuckDB's memory limit and this side's clock hold.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analytics.intake.pseudonyms import Secret
from analytics.store import seconds_of
from analytics.store.engine import MEMORY
from analytics.store.snapshot import sha256_of

PATIENCE = 10  # times the allowed seconds before a child at work is held to hang
_MB = 1_000_000
_LONGEST = 16 * _MB  # bytes of an answer; no honest one is longer
_SPARE = (
    1500 * _MB
)  # of the interpreter, the libraries and the stacks of threads, mostly reserved and not held
# The child reserves less address space, which is what the limit counts, and says less when it dies.
_FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2", "RUST_BACKTRACE": "0"}
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


class Refused(Exception):
    """The delivery is not accepted; one line per problem: what, where, what to do."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)

    @property
    def codes(self) -> list[str]:
        """The codes at the ends of the lines."""
        return [found for line in self.lines for found in re.findall(r"\[(\w+)\]$", line)]


@dataclass(frozen=True)
class Source:
    """An opened file. `readable`: the Parquet file to read, the delivery itself or our transcription (all text), which
    goes when the gate closes. `columns`: name -> DuckDB type, in order. `members`: what else was found on opening.
    """

    path: Path
    sha256: str
    readable: Path
    columns: dict[str, str]
    rows: int
    format: str
    encoding: str = ""
    members: dict[str, Any] = field(default_factory=dict)


def allowed_seconds(files: Iterable[Path]) -> float:
    """Wall clock for these files: 18 s, and 2 s per MB above 10 MB; JIANFU_INTAKE_SECONDS overrides."""
    if os.environ.get("JIANFU_INTAKE_SECONDS"):
        return seconds_of("JIANFU_INTAKE_SECONDS", 18)
    size = sum(path.stat().st_size for path in files if path.is_file())
    return 18 + 2 * max(0, size / _MB - 10)


def _most_memory(memory: str) -> int | None:
    """Bytes a child may hold whose DuckDB has this limit; None where that is not in bytes (80%)."""
    found = re.fullmatch(r"([0-9.]+) *([a-z]+)", memory.strip().lower())
    return int(float(found[1]) * _UNITS[found[2]]) + _SPARE if found and found[2] in _UNITS else None


class Gate:
    """One child process for one delivery: started at once, gone at the end of the `with` block.

    Whatever it is asked raises Refused when the child refuses, dies, or runs out of memory or time.
    """

    def __init__(self, staging: Path, *, memory: str = MEMORY, seconds: float, threads: int = 2) -> None:
        self._staging, self._memory, self._seconds, self._threads = staging, memory, seconds, threads
        self._scratch = Path(tempfile.mkdtemp(prefix="gate-", dir=staging))
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the gate
        self._sources: list[Source] = []
        self._tell: Callable[[float], None] | None = None
        self._late = False
        self._clock = threading.Timer(0, self._ring)
        limits = {
            "memory": _most_memory(memory),
            "cpu": self._cpu(),
            "threads": threads,
            "scratch": str(self._scratch),
        }
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-X", "utf8", "-m", "analytics.intake.inside", json.dumps(limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **_FRUGAL},
        )
        self._ends = time.monotonic() + seconds
        self._wind()

    def open(self, path: Path, known: Collection[str] = ()) -> Source:
        """Open a delivered file; its digest is computed here meanwhile. `known`: column names that tell which sheet of
        a workbook is meant.
        """
        if not path.is_file():
            raise Refused([f"{path.name}: no such file; check the path [no_file]"])
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            told = os.fsencode(path).decode(errors="backslashreplace")
            raise Refused([f"{told}: its name is not UTF-8; rename it [file_name]"]) from error
        number = len(self._sources) + 1
        self._send("open", path=str(path), number=number, known=sorted(known))
        before = path.stat()
        digest = sha256_of(path)
        told = self._answer(path.name, opening=True)
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise Refused([f"{path.name}: was changed while it was read; deliver a finished file [format]"])
        source = Source(path, digest, Path(told.pop("readable")), **told)
        self._sources.append(source)
        return source

    def start_engine(self, read: Sequence[Path] = ()) -> None:
        """DuckDB in the child, locked: reads the opened files and `read`, writes below the staging folder. From here on the
        processor's time counts, which a busy machine does not shorten; the clock only ends what hangs.
        """
        self._seconds += allowed_seconds(read) - allowed_seconds([])
        self._ends = time.monotonic() + PATIENCE * self._seconds
        self._wind()
        files = [str(p) for p in (*dict.fromkeys(s.readable for s in self._sources), *read)]
        self._ask("start_engine", read=files, write=str(self._staging), memory=self._memory, cpu=self._cpu())

    def run(self, sql: str, **params: Any) -> None:
        """Run one statement."""
        self._ask("run", sql=sql, params=params)

    def rows(self, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        """Rows of one SELECT; dates, timestamps and decimals come as text."""
        return [tuple(row) for row in self._ask("rows", sql=sql, params=params)]

    def run_all(
        self,
        statements: Sequence[str],
        progress: Callable[[int, int], None] | None = None,
        *,
        width: int = 2,
    ) -> None:
        """Run statements side by side, `width` at a time; `progress` hears how many of how many are done."""
        self._ask("run_all", _done=progress, statements=list(statements), width=width)

    def keys(self, select: str, into: str, kind: str, secret: Secret, *, again: bool = False) -> None:
        """Table `into` (value, key, state, born): pseudonyms of the identifiers a SELECT of one column `v` gives;
        `again`: some are keys already, back from quarantine.
        """
        keys = [key.hex() for key in secret.keys]
        self._ask(
            "keys", select=select, into=into, kind=kind, algorithm=secret.algorithm, keys=keys, again=again
        )

    def progress(self, callback: Callable[[float], None] | None) -> None:
        """Have `callback` hear the fraction done of whatever takes long."""
        self._tell = callback

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child; remove our transcriptions and what it spilled."""
        self._clock.cancel()
        self._child.kill()  # it has answered what it was asked
        self._child.wait()
        assert self._child.stdin and self._child.stdout
        with suppress(OSError):
            self._child.stdin.close()
        self._child.stdout.close()
        self._stderr.close()
        for left in (self._scratch, self._staging / "spill"):
            shutil.rmtree(left, ignore_errors=True)

    # --- talking

    def _ask(self, verb: str, _done: Callable[[int, int], None] | None = None, **what: Any) -> Any:
        self._send(verb, **what)
        return self._answer(self._named(), done=_done)

    def _send(self, verb: str, **what: Any) -> None:
        assert self._child.stdin
        with suppress(OSError):  # it is gone; that shows when the answer is awaited
            self._child.stdin.write(json.dumps({"do": verb, **what}).encode() + b"\n")
            self._child.stdin.flush()

    def _answer(
        self, where: str, *, opening: bool = False, done: Callable[[int, int], None] | None = None
    ) -> Any:
        assert self._child.stdout
        while True:
            line = self._child.stdout.readline(_LONGEST)
            if not line.endswith(b"\n"):
                raise self._gone(where, opening)
            reply = json.loads(line)
            if "tell" in reply:
                if self._tell:
                    self._tell(reply["tell"])
            elif "done" in reply:
                if done:
                    done(*reply["done"])
            elif "refused" in reply:
                raise Refused(reply["refused"])
            elif "memory" in reply:
                raise self._too_much(where, opening)
            elif "error" in reply:
                told = f"{where}: stopped by {reply['error']}; report this if the file is sound [{reply['code']}]"
                raise Refused([told])
            else:
                return reply["ok"]

    def _named(self) -> str:
        names = [s.path.name for s in self._sources] or ["delivery"]
        return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"

    # --- the end of a child

    def _cpu(self) -> int:
        return round(2 * self._seconds)

    def _wind(self) -> None:
        self._clock.cancel()
        self._clock = threading.Timer(max(0, self._ends - time.monotonic()), self._ring)
        self._clock.daemon = True
        self._clock.start()

    def _ring(self) -> None:
        self._late = True
        self._child.kill()

    def _gone(self, where: str, opening: bool) -> Refused:
        """The child ended without an answer, or answered beyond all bounds."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(2)
        self._child.kill()
        status = self._child.wait()
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - 20_000))
        told = self._stderr.read().decode("utf-8", "replace").strip()
        if self._late or -status == getattr(signal, "SIGXCPU", None):
            what = (
                f"not read within {self._seconds:g} s; deliver smaller files, or raise JIANFU_INTAKE_SECONDS"
            )
        elif re.search("memory allocation|bad_alloc|MemoryError|[Oo]ut of memory", told):
            return self._too_much(where, opening)
        else:
            how = f"signal {-status}" if status < 0 else f"exit code {status}"
            note = f", {told.splitlines()[-1]:.160}" if told else ""
            what = f"the process reading it was stopped ({how}{note}); try again, then report it"
        return Refused([f"{where}: {what} [jail]"])

    def _too_much(self, where: str, opening: bool) -> Refused:
        what = f"needs more memory than {self._memory}; deliver it in smaller files, or raise JIANFU_MEMORY"
        return Refused([f"{where}: {what} [{'unfolds' if opening else 'jail'}]"])

"""The child of the gate: `python -m analytics.intake.inside LIMITS`, one JSON request a line in, one answer a line out.

It limits itself before it opens anything, answers every failure with a line, and ends when its parent does.
"""

import errno
import json
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

import duckdb

from analytics.intake.gate import Refused
from analytics.store import workbench

BEAT = 0.5  # seconds between two looks at a long statement, and at the parent
MOST_BYTES = 1 << 36  # of a file it writes
ROOM, TIMES = 1 << 30, 20  # bytes of a transcription, and as many times those of the file


def limit(what: str, value: int | None) -> None:
    """Lower one limit of this process, where the system has it and lets us."""
    if resource and value:
        kind = getattr(resource, f"RLIMIT_{what}")
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def held() -> int:
    """Bytes of memory this process holds; 0 where the system does not tell."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


class Inside:
    """What the child can be asked; every method's result is JSON."""

    def __init__(self, out: IO[str], limits: dict[str, Any]) -> None:
        self.out, self.limits, self.lock = out, limits, threading.Lock()
        self.con: duckdb.DuckDBPyConnection | None = None
        self.busy = False

    def say(self, **message: Any) -> None:
        with self.lock:
            self.out.write(json.dumps(message, default=str) + "\n")
            self.out.flush()

    def beat(self) -> None:
        """Tell how far a long statement is; end with the parent, or when we hold too much memory."""
        parent, pause = os.getppid(), threading.Event()
        while not pause.wait(BEAT):
            if os.getppid() != parent:
                os._exit(1)
            if held() > (self.limits["memory"] or sys.maxsize):
                os.write(2, b"out of memory\n")
                os._exit(1)
            if self.busy and self.con:
                done = self.con.query_progress()
                if done > 0:
                    self.say(tell=round(min(done, 100) / 100, 3))

    def serve(self, requests: IO[str]) -> None:
        verbs = {
            name: getattr(self, name) for name in ("open", "start_engine", "run", "rows", "run_all", "keys")
        }
        for line in requests:
            request = json.loads(line)
            try:
                self.say(ok=verbs[request.pop("do")](**request))
            except Refused as refusal:
                self.say(refused=refusal.lines)
            except (MemoryError, duckdb.OutOfMemoryException):
                self.say(memory=True)
            except BaseException as error:  # a native library's panic is none of Exception
                text = " ".join(str(error).split())[:300]
                code = "encoding" if "Invalid string encoding" in text else "jail"
                self.say(error=f"{type(error).__name__}: {text}", code=code)

    def open(self, path: str, number: int, known: list[str]) -> dict[str, Any]:
        from analytics.intake.formats import open_file

        size, target = Path(path).stat().st_size, Path(self.limits["scratch"]) / f"input-{number}.parquet"
        most = ROOM + TIMES * size
        limit("FSIZE", most)
        try:
            return open_file(Path(path), target, known, self.say)
        except OSError as error:  # where a limit of the shell is lower, ours could not be set
            if (
                resource
                and error.errno == errno.EFBIG
                and resource.getrlimit(resource.RLIMIT_FSIZE)[0] == most
            ):
                what = f"unfolds to more than {most} bytes; deliver a plain export"
                raise Refused([f"{Path(path).name}: {what} [unfolds]"]) from error
            raise
        finally:
            limit("FSIZE", MOST_BYTES)

    def start_engine(self, read: list[str], write: str, memory: str, cpu: int) -> None:
        limit("CPU", cpu)
        limit(
            "AS", 4 * (self.limits["memory"] or 0)
        )  # spilling, it reserves far more than it holds; see beat()
        self.con = workbench(
            read=[Path(p) for p in read], write=Path(write), threads=self.limits["threads"], memory=memory
        )

    def run(self, sql: str, params: dict[str, Any]) -> None:
        self.rows(sql, params)

    def rows(self, sql: str, params: dict[str, Any]) -> list[Any]:
        assert self.con
        self.busy = True
        try:
            return self.con.execute(sql, params or None).fetchall()
        finally:
            self.busy = False

    def run_all(self, statements: list[str], width: int) -> None:
        con, done = self.con, 0
        assert con

        def one(sql: str) -> None:
            nonlocal done
            cursor = con.cursor()
            cursor.execute(sql).fetchall()
            cursor.close()
            with self.lock:
                done += 1
            self.say(done=[done, len(statements)])

        with ThreadPoolExecutor(width) as pool:
            list(pool.map(one, statements))

    def keys(self, select: str, into: str, kind: str, algorithm: str, keys: list[str], again: bool) -> None:
        from analytics.intake.pseudonyms import Secret, fill

        assert self.con
        fill(
            self.con, select, into, kind, Secret(algorithm, tuple(bytes.fromhex(key) for key in keys)), again
        )


def main() -> None:
    limits = json.loads(sys.argv[1])
    limit("AS", limits["memory"])
    limit("CPU", limits["cpu"])
    limit("FSIZE", MOST_BYTES)
    if resource:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it and ends us
    sys.modules["numpy"] = None  # type: ignore[assignment]  # pyarrow goes without, and loads a tenth of a second sooner
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    inside = Inside(out, limits)
    threading.Thread(target=inside.beat, daemon=True).start()
    with open(0, encoding="utf-8", closefd=False) as requests:
        inside.serve(requests)


if __name__ == "__main__":
    main()

"""Faults on purpose: commands in a warm process that forks, so that one costs its work and not its start; failures at the
k-th file call; and what a store must be after each of them.
"""

import builtins
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from canonical import deliver, enrol, settle

from analytics import cli, facts, verbs
from analytics.desk.answer import Desk
from analytics.facts.jobs import code_version
from analytics.intake import contract
from analytics.plans import load_plans
from analytics.release.audit import Log, place
from analytics.store import Damaged, Folder, NotBuilt, Store

YEARS = (2022, 2023)
PERSONS = 13  # as many as may be shown
BASE = 100_000  # fen of own burden of every person and year, before the deliveries that follow
FILE_CALLS = ("rename", "replace", "fsync", "link", "unlink", "remove", "rmdir", "mkdir", "chmod", "utime")


# --- a store that tells its generation: every delivery adds one yuan to each person of both years


def generation(store: Path, number: int) -> None:
    """Deliver generation `number`, numbered from 0."""
    fee = BASE if number == 0 else 100
    rows = [
        settle(f"S{number}-{year}-{p}", fee, person=p, year=year)
        for year in YEARS
        for p in range(1, PERSONS + 1)
    ]
    tables = {"settlement": rows} | ({} if number else {"enrolment": [enrol(p) for p in range(1, 14)]})
    for name, table in tables.items():
        deliver(store, **{name: table})


def quick_build(store: Store, progress: Any = None, runner: Any = None) -> Folder:
    """A build without prepared answers, which take most of the time and no other way to the disk."""
    return facts.build(store, progress=progress, runner=runner)


def told(manifest: Mapping[str, Any]) -> int:
    """The generation a snapshot says it is."""
    return sum(d["table"] == "settlement" for d in manifest["deliveries"]) - 1


def burden(number: int) -> float:
    """What every person bears in a year at a generation, in yuan."""
    return (BASE + 100 * number) / 100


def shown(store: Path) -> int:
    """The generation a figure of the desk tells, asked anew; every year must tell the same."""
    desk = Desk.open(store)
    values = desk.ask("own_burden_mean", ["plan_year"]).table["value"].to_list()
    number = told(desk.manifest())
    assert values == [burden(number)] * len(YEARS), (values, number)
    return number


def generations(folder: Path) -> dict[int, float]:
    """The generation each year's file tells by its numbers, looked up in the folder as it lies there."""
    found = {}
    for path in sorted(folder.glob("person_year-*.parquet")):
        with pq.ParquetFile(path) as file:
            year, fen = file.read(["plan_year", "own_gross_fen"], use_threads=False)
        found[year[0].as_py()] = (sum(fen.to_pylist()) / PERSONS - BASE) / 100
    return found


READS = ("whole", "mixed", "refused", "generations")


def read_on(store: Path, *, checked: bool) -> dict[str, int]:
    """Read what is served until the file STORE.end is there, every 50th time as a figure of the desk; what was seen: one
    generation (that of its manifest), two at once, nothing. `checked`: files are what the manifest says they are.
    """
    seen, found, parent = dict.fromkeys(READS, 0), set(), os.getppid()
    while not Path(f"{store}.end").exists() and os.getppid() == parent:
        try:
            snapshot = Store(store).current()
            if checked:
                snapshot.check()
            years = generations(snapshot.path)
            number = told(snapshot.manifest) if checked else years[YEARS[0]]
            if checked and seen["whole"] % 50 == 0:
                found.add(shown(store))
        except AssertionError:
            seen["mixed"] += 1
        except (Damaged, NotBuilt, OSError, pa.ArrowInvalid):  # removed, or torn and noticed
            seen["refused"] += 1
        else:
            seen["whole" if set(years.values()) == {number} and len(years) == len(YEARS) else "mixed"] += 1
            found.add(number)
    return seen | {"generations": len(found)}


# --- the warm process


class Warm:
    """Commands by fork of a process that has loaded everything; `with Warm() as warm`."""

    def __enter__(self) -> "Warm":
        here = Path(__file__).resolve().parent
        paths = [str(here.parent), str(here), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, str(here / "faults.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.ask(ready=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, **order: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, *command: object, **how: Any) -> int:
        """Begin `jianfu COMMAND`; returns its process id. `how`: see `_carry_out`."""
        return int(self.ask(command=[str(c) for c in command], how=how))

    def wait(self, pid: int) -> int:
        """Its exit code; minus the signal that ended it."""
        return int(self.ask(wait=pid))

    def run(self, *command: object, **how: Any) -> int:
        return self.wait(self.start(*command, **how))

    def kill_after(self, seconds: float, *command: object, **how: Any) -> int:
        """Run a command that is killed once so many seconds have passed, if it still runs."""
        pid = self.start(*command, **how)
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)  # not waited for yet, so that the number is still its own
        return self.wait(pid)


def serve() -> None:
    """The warm process: forks for every command, and only reads what each would read again, since threads do not fork."""
    load_plans()
    code_version()
    contract("settlement")
    for line in sys.stdin:
        order = json.loads(line)
        if "command" in order:
            answer: Any = os.fork()
            if answer == 0:
                os._exit(_carry_out(order["command"], **order["how"]))
        elif "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = "ready"
        print(json.dumps(answer), flush=True)


def _carry_out(
    command: Sequence[str],
    *,
    out: str = os.devnull,
    at: int = 0,
    how: str = "",
    log: str = "",
    hold: float = 0,
    size: int = 0,
    stopped: bool = False,
    full: bool = False,
) -> int:
    """`jianfu COMMAND`, its words into `out`. `at`, `how`: fail at that file call, killed or with an errno; `log`: write down
    all of them; `hold`: seconds a builder holds the lock more; `size`: the most bytes a file may have; `stopped`: wait for
    SIGCONT first; `full`: with prepared answers.
    """
    words = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(words, 1)
    os.dup2(words, 2)
    if not full:
        verbs._build = quick_build
    if command[0].startswith("read"):
        print(*read_on(Path(command[1]), checked=command[0] == "read").values(), flush=True)
        return 0
    if hold:
        seal = Store.seal
        Store.seal = lambda *given: (time.sleep(hold), seal(*given))[1]
    if size:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    if stopped:
        os.kill(os.getpid(), signal.SIGSTOP)
    code = 70  # what a traceback ends with here
    try:
        with failing(at, how, log):
            code = cli.main(command)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    sys.stdout.flush()
    sys.stderr.flush()
    return code


# --- failures at file calls of our own Python


@contextmanager
def failing(at: int = 0, how: str = "", log: str = "") -> Iterator[None]:
    """Fail at the `at`-th call that changes files (0: never); `log`: one JSON line [call, path, ...] for each."""
    count, guard = 0, threading.Lock()
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if log else -1
    fd_open, write = os.open, os.write

    def before(name: str, *paths: Any) -> None:
        nonlocal count
        with guard:
            count += 1
            if log:
                write(sink, (json.dumps([name, *map(_path, paths)]) + "\n").encode())
            if count != at:
                return
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        code = getattr(errno, how)
        raise OSError(code, os.strerror(code), *map(_path, paths[:1]))

    def wrapped(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*given: Any, **named: Any) -> Any:
            before(name, *(given[:2] if name in ("rename", "replace", "link") else given[:1]))
            return real(*given, **named)

        return call

    def opens(path: Any, flags: int, *given: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            before("open", path)
        return fd_open(path, flags, *given, **named)

    real_open = io.open

    def file(path: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
        if set(mode) & set("wax+") and not isinstance(path, int):
            before("open", path)
        return real_open(path, mode, *given, **named)

    kept = {name: getattr(os, name) for name in (*FILE_CALLS, "open")}
    try:
        for name in FILE_CALLS:
            setattr(os, name, wrapped(name))
        os.open, io.open, builtins.open = opens, file, file
        yield
    finally:
        for name, real in kept.items():
            setattr(os, name, real)
        io.open = builtins.open = real_open


def _path(given: Any) -> str:
    return str(Path(f"/proc/self/fd/{given}").readlink()) if isinstance(given, int) else os.fspath(given)


def events(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


# --- what must hold after any fault


def torn(store: Path) -> list[str]:
    """Everything under a final name that is not whole."""
    return [line for line in Store(store).damage() if "current: missing" not in line]


def sealed(store: Path) -> set[str]:
    """Ids of what is under a final name."""
    return {folder.id for kind in ("deliveries", "snapshots") for folder in Store(store)._folders(kind)}


def untold(store: Path, known: Collection[str]) -> list[str]:
    """What is under a final name, not `known` before, and has no entry in the audit log; and what is wrong with the log once
    somebody goes on with it.
    """
    log = Log(*place(store))
    log.append({"kind": "looked"})
    told = {e.get("delivery", e.get("snapshot")) for e in log.entries()}
    return sorted(sealed(store) - {*known} - told) + log.verify()


def copy(template: Path, target: Path) -> Path:
    """The same store at another place, files of its own."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(template, target)
    return target


def flip(path: Path, place: int, bit: int) -> None:
    """Turn one bit of a file over, whatever its mode."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ (1 << bit)]))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        serve()

"""One job over many parts: on threads of this process, on a pool of processes, or on a Spark cluster.

A job is a function, or an object that is called, which can be pickled; a part is its one argument. Results come back in the order
of the parts. What a job raises is raised here, with a note that names the part; the other parts are then given up.
"""

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process, util
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from analytics.store import carried
from analytics.store.carried import Broken
from analytics.store.engine import count_of

P = TypeVar("P")
R = TypeVar("R")
KINDS = "local, pool, spark://HOST:PORT"
_LAST = -100  # after all that a process hands over when it ends
_KEPT = "what was published before is still served"


class Runner(ABC):
    """Where jobs run; leaving its `with` block ends its workers."""

    name: str
    workers = 1  # parts at once on the cores of this machine, where that is known

    @abstractmethod
    def map(
        self,
        job: Callable[[P], R],
        parts: Sequence[P],
        names: Sequence[str],
        *,
        at: Path,
        done: Callable[[int], None] | None = None,
        light: bool = False,
    ) -> list[R]:
        """The job's result for every part. `names`: of the parts, for errors; `at`: the folder it works in, which every worker
        must see at this path; `done` is told how many parts are done; `light`: a part may be less work than handing it out, so several
        may be handed out at once. Raises what a job raises, and Broken.
        """

    def close(self, *, now: bool = False) -> None:  # noqa: B027 - not every runner has something to end
        """End the workers, at once or when they are idle."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(now=kind is not None)


def runner_of(text: str) -> Runner:
    """The runner that is named so. Raises ValueError for a name that is none."""
    if text == "local":
        return Local()
    if text == "pool":
        return Pool()
    if text.startswith("spark://"):
        from analytics.store.spark import Spark  # needs nothing of Spark before it is used

        return Spark(text)
    raise ValueError(f"runner {text}: possible runners are {KINDS}")


def _workers() -> int:
    return count_of("JIANFU_WORKERS", os.cpu_count() or 1)


class Local(Runner):
    """Threads of this process."""

    name = "local"

    def __init__(self, workers: int | None = None) -> None:
        """`workers`: how many parts at once, else JIANFU_WORKERS, else one for every core."""
        self.workers = workers or _workers()
        self._threads = ThreadPoolExecutor(self.workers)

    def map(
        self,
        job: Callable[[P], R],
        parts: Sequence[P],
        names: Sequence[str],
        *,
        at: Path,
        done: Callable[[int], None] | None = None,
        light: bool = False,
    ) -> list[R]:
        futures = [self._threads.submit(job, part) for part in parts]
        try:
            return _results(futures, names, done)
        except BaseException:
            for future in futures:
                future.cancel()
            wait(futures)  # a thread cannot be stopped, and its files are removed next
            raise

    def close(self, *, now: bool = False) -> None:
        self._threads.shutdown(cancel_futures=now)


class Pool(Runner):
    """Processes of this machine, each started anew: a fork would copy the locks of DuckDB's and Polars' threads."""

    name = "pool"

    def __init__(self, workers: int | None = None) -> None:
        """`workers`: see Local."""
        self.workers = workers or _workers()
        self._pool = ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"), initializer=_begin)

    def map(
        self,
        job: Callable[[P], R],
        parts: Sequence[P],
        names: Sequence[str],
        *,
        at: Path,
        done: Callable[[int], None] | None = None,
        light: bool = False,
    ) -> list[R]:
        try:
            futures = [self._pool.submit(carried.worked, job, part) for part in parts]
            return [carried.result(r) for r in _results(futures, names, done, carried.result)]
        except BrokenProcessPool as error:
            self.close(now=True)
            raise Broken(
                "a process of the pool was killed, perhaps for want of memory; set fewer (JIANFU_WORKERS) or give each less "
                f"(JIANFU_MEMORY); {_KEPT}"
            ) from error
        except BaseException:
            self.close(now=True)
            raise

    def close(self, *, now: bool = False) -> None:
        if now:
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
        self._pool.shutdown(cancel_futures=now)


def _results(
    futures: Sequence["Future[R]"],
    names: Sequence[str],
    done: Callable[[int], None] | None,
    look: Callable[[R], Any] = lambda _: None,
) -> list[R]:
    """Results in order, once all are there; the first error as soon as it is. `look` raises the error a result stands for."""
    of = dict(zip(futures, names, strict=True))
    for n, future in enumerate(as_completed(of), 1):
        try:
            look(future.result())
        except Exception as error:
            error.add_note(f"[{of[future]}]")
            raise
        if done:
            done(n)
    return [future.result() for future in futures]


def _begin() -> None:
    """In a process of a pool: whoever began it stops it, and its end is the end of this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("JIANFU_THREADS", "1")
    # at once, once its work is handed over: libraries complain of a thread that waits while they are taken down
    util.Finalize(None, os._exit, args=(0,), exitpriority=_LAST)
    if parent := parent_process():

        def attend() -> None:
            connection.wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=attend, daemon=True).start()

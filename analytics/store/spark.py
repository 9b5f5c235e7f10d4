"""Jobs on a Spark cluster: its scheduler and its workers, the same Python and DuckDB inside every task; no Spark SQL."""

import importlib
import os
import pickle
import re
import shutil
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from analytics.store import carried
from analytics.store.carried import Broken
from analytics.store.engine import seconds_of
from analytics.store.program import program
from analytics.store.runner import Runner

P = TypeVar("P")
R = TypeVar("R")
WAIT = 30.0  # seconds until a master answers and a worker comes, unless JIANFU_SPARK_SECONDS says otherwise
_TASKS = 4  # of light work for every core: handing out a task took some 70 ms of a core, and the last ones should end together
_LOOK = 0.1  # seconds between two looks at how far the cluster is
_TOLD = ("JIANFU_MEMORY", "JIANFU_SPILL", "JIANFU_QUERY_SECONDS")  # settings that hold in the tasks too


class Spark(Runner):
    """A standalone cluster named by its master's address, reached when there is work. A part that is lost with its worker is
    worked again by another: what a part writes does not depend on who writes it.
    """

    def __init__(self, master: str) -> None:
        self.name = master
        self._made: Any = None

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
        if not parts:
            return []
        self._made = context = self._made or _connected(self.name)
        most = _TASKS * context.defaultParallelism if light else len(parts)
        tasks = context.parallelize([pickle.dumps((job, part)) for part in parts], min(most, len(parts)))
        tasks = tasks.mapPartitions(_shipped(program(), str(at)))
        try:
            came = [pickle.loads(raw) for raw in self._collected(context, tasks, done or (lambda _: None))]
            if trouble := next((text for kind, text in came if kind == "misfit"), ""):
                raise Broken(f"{self.name}: {trouble}")
            return [_result(value, name) for (_, value), name in zip(came, names, strict=True)]
        except BaseException:
            self.close(now=True)
            raise

    def _collected(self, context: Any, tasks: Any, done: Callable[[int], None]) -> list[bytes]:
        """What the tasks return. Looks on while they run, so that it can tell how far they are and be interrupted."""
        group, came, failed = f"jianfu-{id(tasks)}", list[bytes](), list[Exception]()

        def collect() -> None:
            context.setJobGroup(group, "jianfu")
            try:
                came.extend(tasks.collect())
            except Exception as error:
                failed.append(error)

        at_work = threading.Thread(target=collect, daemon=True)
        at_work.start()
        begun, told = time.monotonic(), 0
        while at_work.is_alive():
            at_work.join(_LOOK)
            stages = [
                s for j in context.statusTracker().getJobIdsForGroup(group) for s in _stages(context, j)
            ]
            finished = sum(stage.numCompletedTasks for stage in stages)
            if finished > told:
                told = finished
                done(told)
            late = time.monotonic() - begun > seconds_of("JIANFU_SPARK_SECONDS", WAIT)
            if (
                late and not told and context._jsc.sc().getExecutorMemoryStatus().size() < 2
            ):  # the driver is one
                raise Broken(
                    f"{self.name}: no worker of the cluster came; start one, or free one that is taken"
                )
        if failed:
            raise Broken(f"{self.name}: {_reason(failed[0])}") from failed[0]
        return came

    def close(self, *, now: bool = False) -> None:
        made, self._made = self._made, None
        if made:
            with suppress(Exception):  # it may be gone already
                made.stop()


def _stages(context: Any, job: int) -> Iterator[Any]:
    tracker = context.statusTracker()
    info = tracker.getJobInfo(job)
    for number in info.stageIds if info else ():
        if stage := tracker.getStageInfo(number):
            yield stage


def _result(value: Any, name: str) -> Any:
    try:
        return carried.result(value)
    except Exception as error:
        error.add_note(f"[{name}]")
        raise


def _reason(error: Exception) -> str:
    """What Spark says of a failure, on a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    aborted = [line for line in lines if "Job aborted" in line]
    told = [line for line in lines if re.match(r"[A-Z]\w*Error: ", line)] or aborted or lines
    return f"a worker was lost or could not begin: {told[0][:400]}; what was published before is still served"


def _shipped(program: str, at: str) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    """The task. It is sent whole and names nothing of this program, so that a worker without it can say so."""

    def task(parts: Iterator[bytes]) -> Iterator[bytes]:
        import pickle

        for part in parts:
            try:
                from analytics.store import carried

                if trouble := carried.misfit(program, at):
                    yield pickle.dumps(("misfit", trouble))
                    continue
                job, argument = pickle.loads(part)
            except ImportError as error:
                trouble = f"a worker's Python lacks what the work needs ({error}); install jianfu there, or name its Python in PYSPARK_PYTHON"
                yield pickle.dumps(("misfit", trouble))
                continue
            yield pickle.dumps(("came", carried.worked(job, argument)))

    return task


def _connected(master: str) -> Any:
    """A SparkContext on the cluster. Raises Broken: what is missing, what to do."""
    try:
        spark = importlib.import_module("pyspark")
    except ImportError as error:
        raise Broken(f"{master}: pyspark is not installed here; run: pip install 'jianfu[spark]'") from error
    home = os.environ.get("JAVA_HOME")
    if not shutil.which("java", path=f"{home}/bin" if home else None):
        raise Broken(
            f"{master}: no Java here; install Java 17 (Debian: openjdk-17-jre-headless) or set JAVA_HOME"
        )
    address = _reached(master)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = spark.SparkConf().setMaster(master).setAppName("jianfu")
    conf.setAll([("spark.ui.enabled", "false"), ("spark.ui.showConsoleProgress", "false")])
    conf.set("spark.log.level", "ERROR")
    if address.startswith("127."):
        os.environ.setdefault("SPARK_LOCAL_IP", address)
        conf.setAll([("spark.driver.host", address), ("spark.driver.bindAddress", address)])
    for name in _TOLD:
        if name in os.environ:
            conf.setExecutorEnv(name, os.environ[name])
    conf.setExecutorEnv("JIANFU_THREADS", os.environ.get("JIANFU_THREADS", "1"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas, which is not used
            return spark.SparkContext(conf=conf)
    except Exception as error:
        raise Broken(f"{master}: {_reason(error)}") from error


def _reached(master: str) -> str:
    """The address this machine reaches a master of the cluster from. Raises Broken where none answers."""
    seconds = seconds_of("JIANFU_SPARK_SECONDS", WAIT)
    for one in master.removeprefix("spark://").split(","):
        host, _, port = one.rpartition(":")
        with suppress(OSError, ValueError), socket.create_connection((host, int(port)), seconds) as found:
            return str(found.getsockname()[0])
    raise Broken(
        f"{master}: no Spark master answers there within {seconds:g} s; start it, or name another runner"
    )

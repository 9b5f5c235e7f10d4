"""The same build and the same question on threads, a pool of processes and a Spark cluster of two workers, as ratios to the pool.

    make spark-up && .venv/bin/python tests/benchmarks/runners.py --rows 1000000 --rounds 3

Without a cluster (JIANFU_SPARK_MASTER, else the one of make spark-up) Spark is left out. Every runner must build the same snapshot
and give the same digests before anything is timed. Processes and the cluster's application are up before the clock starts; what that
takes is a line of its own. Built are the facts and checks, the part that grows with the settlements; asked is a measure of every
city-year that no prepared answer holds.
"""

import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analytics import facts
from analytics.measures import Book, Spread
from analytics.release import digest
from analytics.store import Store
from analytics.store.runner import Runner, runner_of

sys.path.insert(0, str(Path(__file__).resolve().parent))
from scaled import Scaled

MASTER = os.environ.get("JIANFU_SPARK_MASTER", f"spark://127.0.0.1:{os.environ.get('SPARK_PORT', '7077')}")
BOUND = 1.7  # of Spark to the pool
QUESTION = ("catastrophic_overshoot", ("city", "plan_year", "insurance_type"))


def _names() -> list[str]:
    host, _, port = MASTER.removeprefix("spark://").partition(":")
    try:
        socket.create_connection((host, int(port)), 2).close()
    except OSError:
        return ["local", "pool"]
    return ["local", "pool", MASTER]


def _unbuilt(store: Path) -> None:
    for path in (store / "snapshots").rglob("*"):
        path.chmod(0o700)
    shutil.rmtree(store / "snapshots", ignore_errors=True)
    (store / "current").unlink(missing_ok=True)


def _built(store: Path, runner: Runner) -> str:
    return facts.build(Store(store), runner=runner).id


def _asked(store: Path, runner: Runner) -> str:
    snapshot = Store(store).current()
    spread = None if runner.name == "local" else Spread(runner, snapshot.path)
    raw = Book(snapshot, prepared=False, spread=spread).ask(*QUESTION)
    assert spread is None or raw.provenance["runner"] == runner.name
    return digest(raw.table)


def results(rows: int, rounds: int, folder: Path | None = None) -> list[dict[str, Any]]:
    """What took how long on which runner; `against` is the pool, in the same round."""
    base = folder or Path(tempfile.mkdtemp(prefix="jianfu-runners-"))
    try:
        store = Scaled(base / "scaled", rows).make().path
        rows = sum(p.rows for d in Store(store).deliveries() for p in d.partitions("settlement"))
        taken: dict[tuple[str, str], list[float]] = {}
        same: dict[str, set[str]] = {}

        def timed(what: str, name: str, work: Callable[[], str | None]) -> None:
            begun = time.perf_counter()
            found = work()
            taken.setdefault((what, name), []).append(time.perf_counter() - begun)
            if found:
                same.setdefault(what, set()).add(found)
                assert len(same[what]) == 1, f"{what}: {name} gives something else"

        for _ in range(rounds):
            for name in _names():
                _unbuilt(store)
                with runner_of(name) as runner:
                    parts = list(range(4 * (os.cpu_count() or 1)))

                    def start(at: Runner = runner, parts: list[int] = parts) -> None:
                        at.map(abs, parts, list(map(str, parts)), at=store)

                    timed("start", name, start)
                    timed("build", name, lambda at=runner: _built(store, at))
                    timed("measure", name, lambda at=runner: _asked(store, at))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return [_row(what, name, taken, rows, peak) for what, name in taken]
    finally:
        if folder is None:
            for path in base.rglob("*"):
                path.chmod(0o700)
            shutil.rmtree(base, ignore_errors=True)


def _row(
    what: str, name: str, taken: dict[tuple[str, str], list[float]], rows: int, peak: float
) -> dict[str, Any]:
    own, pool = (statistics.median(taken[what, n]) for n in (name, "pool"))
    kind = "spark" if name.startswith("spark") else name
    row = {"what": f"{what}, {kind}", "seconds": own, "rows": rows}
    if kind == "pool":
        return {**row, "peak_mb": peak}
    row |= {"against": f"{what}, pool", "against_seconds": pool, "ratio": own / pool}
    return row | ({"bound": BOUND} if kind == "spark" and what != "start" else {})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="kept, with the store made in it")
    args = parser.parse_args()
    for row in results(args.rows, args.rounds, args.folder):
        print(json.dumps(row))


if __name__ == "__main__":
    main()

"""A delivery larger than memory: settlements in many files, ingested under a memory limit; peak memory and time.

    .venv/bin/python tests/benchmarks/large.py                    50,000,000 settlements under 2 GB
    .venv/bin/python tests/benchmarks/large.py --rows 5000000 --memory 1GB --folder /data/tmp

Each file repeats one drawn million under new identifiers. The peak is that of the child process that reads them and of
this one, sampled from /proc ten times a second.
"""

import argparse
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import duckdb
from ingest import draw

from analytics.store import parquet

MILLION = 1_000_000


def deliver(folder: Path, rows: int) -> list[Path]:
    """Files of a million settlements each."""
    seed = draw(folder, MILLION)
    con, files = duckdb.connect(), []
    ids = ("setl_id", "init_setl_id", "mdtrt_id", "psn_no")
    for number in range(rows // MILLION):
        names = ", ".join(f"{name} || '/{number}' AS {name}" for name in ids)
        files.append(folder / f"settlement-{number:03d}.parquet")
        select = f"SELECT * REPLACE ({names}) FROM {parquet([seed])}"
        con.execute(f"COPY ({select}) TO '{files[-1]}' (FORMAT parquet, COMPRESSION zstd)").fetchall()
    seed.unlink()
    return files


class Watch(threading.Thread):
    """Highest resident memory of this process and of its children, MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own = self.child = 0.0

    def run(self) -> None:
        me = os.getpid()
        while True:
            self.own = max(self.own, _resident(me))
            for task in Path(f"/proc/{me}/task").iterdir():
                for child in (task / "children").read_text(encoding="ascii").split():
                    self.child = max(self.child, _resident(int(child)))
            time.sleep(0.1)


def _resident(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=50 * MILLION)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    os.environ["JIANFU_MEMORY"] = args.memory
    from analytics import verbs

    folder = Path(tempfile.mkdtemp(prefix="jianfu-large-", dir=args.folder))
    try:
        files = deliver(folder, args.rows)
        size = sum(f.stat().st_size for f in files) / 1e6
        print(
            f"{args.rows:,} settlements, {len(files)} files, {size:,.0f} MB, limit {args.memory}", flush=True
        )
        watch = Watch()
        watch.start()
        for name in ("ingest", "build"):
            start, watch.own, watch.child = time.perf_counter(), 0.0, 0.0
            if name == "ingest":
                done = verbs.ingest(folder / "store", files, "settlement", progress=_say).manifest[
                    "rows_loaded"
                ]
            else:
                done = sum(
                    p.rows for p in verbs.build(folder / "store", progress=_say).partitions("person_year")
                )
            seconds = time.perf_counter() - start
            print(
                f"{name}: {seconds:,.0f} s, {done:,} rows, peak MB {watch.own:,.0f} own, {watch.child:,.0f} child",
                flush=True,
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _say(step: str, done: int, total: int) -> None:
    print(f"  {time.strftime('%X')} {step} {done}/{total}", flush=True)


if __name__ == "__main__":
    main()

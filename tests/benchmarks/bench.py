"""Ingest and build of a settlement delivery, as a ratio to what cannot be avoided: hashing its files plus one naive group-by.

    make bench                    1,000,000 settlements, five rounds
    .venv/bin/python tests/benchmarks/bench.py --rows 5000000 --rounds 3

Every round runs each way in a process of its own, one after the other, so that a noisy machine disturbs all alike; the
figure is the ratio of medians. The delivery is drawn once by the synthetic wing and repeated under new identifiers to size.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from analytics import verbs
from analytics.store import parquet, sha256_of
from analytics.synthetic import write_delivery

# What one would write by hand for the same person-years: the same sums and classes, straight off the delivered file.
NAIVE = """SELECT left(insuplc_admdvs, 4) AS city, year, psn_no, any_value(insutype), any_value(gend), count(*),
    count(DISTINCT mdtrt_id) FILTER (med_type = '21'), max(dedc_hosp_lv), min(med_type), max(pay_loc),
    sum(fulamt_ownpay_amt + overlmt_selfpay), sum(hifmi_pay + hifob_pay), sum(cvlserv_pay + hifes_pay), sum(hifdm_pay + oth_pay), {sums}
FROM {files} WHERE refd_setl_flag <> '1' GROUP BY ALL"""
MONEY = ["medfee_sumamt", "inscp_scp_amt", "preselfpay_amt", "hifp_pay", "maf_pay", "fund_pay_sumamt", "hosp_part_amt", "psn_part_amt", "acct_pay", "psn_cash_pay"]  # fmt: skip
CLAIMS_PER_PERSON_YEAR = 5  # of patients, as in an extract with outpatient care


def draw(folder: Path, rows: int) -> Path:
    """One Parquet file of `rows` settlements over seven cities and five years."""
    files = write_delivery(folder / "seed", persons=6000, seed=1)["settlement"]
    con = duckdb.connect()
    base, patients = con.execute(
        f"SELECT count(*), count(DISTINCT psn_no || year) FROM {parquet(files)}"
    ).fetchall()[0]
    shared = round(
        CLAIMS_PER_PERSON_YEAR * patients / base
    )  # this many copies of a settlement belong to one person
    copies = -(-rows // base)
    names = ", ".join(f"{n} || '-' || c AS {n}" for n in ("setl_id", "init_setl_id", "mdtrt_id"))
    target = folder / "settlement.parquet"
    con.execute(
        f"COPY (SELECT * REPLACE ({names}, psn_no || '-' || (c // {shared}) AS psn_no) FROM {parquet(files)}, range({copies}) t(c) "
        f"ORDER BY setl_time, setl_id LIMIT {rows}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
    ).fetchall()
    shutil.rmtree(folder / "seed")
    return target


def hashed(file: Path, _: Path) -> None:
    sha256_of(file)


def grouped(file: Path, _: Path) -> None:
    sums = ", ".join(f"sum({name})" for name in MONEY)
    con = duckdb.connect(config={"threads": 2})
    con.execute("CREATE TABLE person_year AS " + NAIVE.format(sums=sums, files=parquet([file]))).fetchall()


def ingested(file: Path, folder: Path) -> None:
    verbs.ingest(folder / "store", [file], "settlement")


def built(_: Path, folder: Path) -> None:
    verbs.build(folder / "store")


def pandas_script(file: Path, _: Path) -> None:
    """What an analyst would write today."""
    import pandas as pd

    frame = pd.read_parquet(file)
    frame[MONEY] = frame[MONEY].astype(float)
    frame.groupby(["year", "psn_no", "insuplc_admdvs", "insutype"])[MONEY].sum()


STEPS: dict[str, Callable[[Path, Path], None]] = {
    f.__name__: f for f in (hashed, grouped, ingested, built, pandas_script)
}


def step(name: str, file: Path, folder: Path) -> dict[str, float]:
    """Seconds and peak memory of one step in a process of its own (start-up of the process not counted)."""
    run = [sys.executable, __file__, "--step", name, "--file", str(file), "--folder", str(folder)]
    return json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def _peak_mb() -> float:
    """Peak memory of this process alone (getrusage would pass on what its parent had used)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--step", choices=STEPS)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    if args.step:
        start = time.perf_counter()
        STEPS[args.step](args.file, args.folder)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "mb": _peak_mb()}))
        return
    folder = Path(tempfile.mkdtemp(prefix="jianfu-bench-"))
    try:
        file = draw(folder, args.rows)
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in STEPS}
        for _ in range(args.rounds):
            shutil.rmtree(folder / "store", ignore_errors=True)
            for name in STEPS:
                taken[name].append(step(name, file, folder))
        report(args.rows, file.stat().st_size, taken)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(rows: int, size: int, taken: dict[str, list[dict[str, float]]]) -> None:
    seconds = {name: statistics.median(run["seconds"] for run in runs) for name, runs in taken.items()}
    floor = seconds["hashed"] + seconds["grouped"]
    print(
        f"{rows:,} settlements, {size / 1e6:.0f} MB, {len(taken['hashed'])} rounds, {os.cpu_count()} cores, Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    )
    print(f"{'step':16}{'median s':>10}{'ratio':>8}{'peak MB':>10}")
    for name, runs in taken.items():
        print(
            f"{name:16}{seconds[name]:>10.2f}{seconds[name] / floor:>8.2f}{max(run['mb'] for run in runs):>10.0f}"
        )
    whole = (seconds["ingested"] + seconds["built"]) / floor
    print(f"ingest + build: {whole:.2f} x (hash + naive group-by); bound 4")


if __name__ == "__main__":
    main()

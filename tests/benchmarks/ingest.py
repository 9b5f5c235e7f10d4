"""Ingest and build of a settlement delivery, as a ratio to what cannot be avoided: hashing its files plus one naive group-by.

    .venv/bin/python tests/benchmarks/ingest.py                                1,000,000 settlements, five rounds
    .venv/bin/python tests/benchmarks/ingest.py --rows 5000000 --rounds 3

Every round runs each way in a process of its own, one after the other, so that a noisy machine disturbs all alike; the
figure is the ratio of medians. What DuckDB alone takes to put the same rows in the order and form of the store, with nothing
checked, nothing replaced and nothing set aside, is measured too: no ingest of ours can be faster. The delivery is drawn once by the synthetic wing and repeated under new identifiers to size.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from analytics import verbs
from analytics.facts import build
from analytics.store import Store, parquet, sha256_of
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


def copied(file: Path, folder: Path) -> None:
    """The delivered rows as they lie in a store: money in whole fen, a file per city and year, by person and time."""
    con = duckdb.connect(config={"threads": 2})
    kinds = con.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM {parquet([file])})").fetchall()
    fen = ", ".join(
        f"({name} * 100)::INTEGER AS {name}" for name, kind in kinds if kind.startswith("DECIMAL")
    )
    rows = f"SELECT * REPLACE ({fen}), left(insuplc_admdvs, 4) AS city FROM {parquet([file])} ORDER BY city, year, hash(psn_no), setl_time"
    form = "FORMAT parquet, COMPRESSION zstd, PARTITION_BY (city, year), OVERWRITE_OR_IGNORE"
    con.execute(f"COPY ({rows}) TO '{folder / 'copied'}' ({form})").fetchall()


def ingested(file: Path, folder: Path) -> None:
    verbs.ingest(folder / "store", [file], "settlement")


def built(_: Path, folder: Path) -> None:
    build(Store(folder / "store"))


def protected(_: Path, folder: Path) -> None:
    """What `jianfu build` adds to the facts: prepared answers, protected tables, the attack on them."""
    verbs.build(folder / "store")


def pandas_script(file: Path, _: Path) -> None:
    """What an analyst would write today."""
    import pandas as pd

    frame = pd.read_parquet(file)
    frame[MONEY] = frame[MONEY].astype(float)
    frame.groupby(["year", "psn_no", "insuplc_admdvs", "insutype"])[MONEY].sum()


STEPS: dict[str, Callable[[Path, Path], None]] = {
    f.__name__: f for f in (hashed, grouped, copied, ingested, built, protected, pandas_script)
}


def step(name: str, file: Path, folder: Path) -> dict[str, float]:
    """Seconds and peak memory of one step in a process of its own (start-up of the process not counted)."""
    run = [sys.executable, __file__, "--step", name, "--file", str(file), "--folder", str(folder)]
    return json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def _peak_mb() -> float:
    """Peak memory of this process alone (getrusage would pass on what its parent had used)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def results(rows: int, rounds: int) -> list[dict[str, Any]]:
    """Every step against hashing the files plus one naive group-by, and what belongs together."""
    size, taken = measured(rows, rounds)
    seconds = {name: statistics.median(run["seconds"] for run in runs) for name, runs in taken.items()}
    peak = {name: max(run["mb"] for run in runs) for name, runs in taken.items()}
    floor = seconds["hashed"] + seconds["grouped"]
    against = {"against": "hash + naive group-by", "against_seconds": floor}
    together = {
        "ingest and build": ("ingested", "built"),
        "ingest and build with protected tables": ("ingested", "built", "protected"),
    }
    told = [
        {"what": f"{name} ({size / 1e6:.0f} MB delivered)", "seconds": s, "ratio": s / floor, "peak_mb": peak[name], **against}
        for name, s in seconds.items() if name not in ("hashed", "grouped")
    ]  # fmt: skip
    for what, names in together.items():
        s = sum(seconds[name] for name in names)
        told.append({"what": what, "seconds": s, "ratio": s / floor, "bound": 4.0, **against})
    bare = {"against": "a copy that checks nothing", "against_seconds": seconds["copied"]}
    return [
        *told,
        {
            "what": "ingested",
            "seconds": seconds["ingested"],
            "ratio": seconds["ingested"] / seconds["copied"],
            **bare,
        },
    ]


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
    for row in results(args.rows, args.rounds):
        print(json.dumps(row))


def measured(rows: int, rounds: int) -> tuple[int, dict[str, list[dict[str, float]]]]:
    """Bytes of the delivery, and what every round of every step took."""
    folder = Path(tempfile.mkdtemp(prefix="jianfu-bench-"))
    try:
        file = draw(folder, rows)
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in STEPS}
        for _ in range(rounds):
            unsealed(folder / "store")
            for made in ("store", "copied"):
                shutil.rmtree(folder / made, ignore_errors=True)
            for name in STEPS:
                taken[name].append(step(name, file, folder))
        return file.stat().st_size, taken
    finally:
        unsealed(folder)
        shutil.rmtree(folder, ignore_errors=True)


def unsealed(folder: Path) -> None:
    """Sealed folders can be removed again."""
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)


if __name__ == "__main__":
    main()

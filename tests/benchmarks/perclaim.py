"""Claim by claim from Parquet: rules that follow the date of every claim, and recorded payments to the household matrix.

Run by whatif.py. Dated rules are paid from files clustered by person and date. The matrix is six stages of recorded payments by
three resources by three thresholds, one file per city-year, against scanning and summing the same columns.
"""

import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq

from analytics.plans import Plan, bills, claims_sql, kernel, needs
from analytics.plans.arrays import CARE, PERSON, classes_sql, program, sorts
from analytics.plans.rowsql import COST_PARTS
from analytics.store import parquet
from analytics.whatif.payments import total

CLAIMS_PER_PERSON = 5  # of patients, as in an extract with outpatient care
STAGES = ("cost_fen", "basic_fen", "serious_fen", "assistance_fen", "inclusive_fen", "charity_fen")
RESOURCES = ("income", "consumption", "nonfood")
MATRIX = (1000, 2500, 4000)
PARTITIONS = 8


def dated(plan: Plan | None, drawn: Path, folder: Path, rows: int, rounds: int) -> list[dict[str, Any]]:
    """Claims per second from Parquet to what every row pays on every claim; files clustered by person and date. `drawn`: claims
    to be repeated up to `rows`."""
    assert plan
    con = duckdb.connect(config={"threads": "2"})
    claim, persons = folder / "dated.parquet", folder / "dated-persons.parquet"
    money = ", ".join(f"{c}::INTEGER AS {c}" for c in COST_PARTS.values())
    count = con.execute(f"SELECT count(*) FROM {parquet([drawn])}").fetchall()[0][0]
    con.execute(
        f"CREATE TABLE claims AS SELECT * REPLACE (row_number() OVER (ORDER BY person_id, claim_date, seq) AS seq) FROM (SELECT (hash(seq // {CLAIMS_PER_PERSON}) >> 1)::BIGINT AS person_id, seq, claim_date, {', '.join((*CARE, *PERSON))}, {money}"
        f" FROM (SELECT * REPLACE (row_number() OVER () AS seq) FROM {parquet([drawn])}, range({max(1, rows // count)}))) ORDER BY seq"
    ).fetchall()
    con.execute(
        f"COPY (SELECT * EXCLUDE ({', '.join(PERSON)}) FROM claims) TO '{claim}' (FORMAT parquet, COMPRESSION lz4)"
    ).fetchall()
    alike = ", ".join(f"first({c} ORDER BY seq) AS {c}" for c in PERSON)
    con.execute(
        f"COPY (SELECT person_id, {alike} FROM claims GROUP BY person_id ORDER BY person_id) TO '{persons}' (FORMAT parquet, COMPRESSION lz4)"
    ).fetchall()
    count = con.execute("SELECT count(*) FROM claims").fetchall()[0][0]
    con.execute("DROP TABLE claims").fetchall()

    def ours() -> Any:
        wanted = ["person_id", "claim_date", *CARE, *COST_PARTS.values()]
        frame, people = (
            pl.DataFrame(pq.read_table(path, columns=columns, read_dictionary=coded))
            for path, columns, coded in ((claim, wanted, list(CARE)), (persons, None, None))
        )
        held = bills.sorted_by(bills.settled(frame), people, sorts(needs(plan)))
        con.register("kinds", held.kinds)
        classes = con.sql(f"SELECT {', '.join(classes_sql(plan))} FROM kinds").pl()
        return bills.pay(program(plan, classes), held.bills, by_bill=True)

    def theirs() -> Any:
        relation = f"(SELECT c.*, {', '.join(PERSON)} FROM {parquet([claim])} AS c JOIN {parquet([persons])} AS p USING (person_id))"
        sums = ", ".join(f"{total(name)}" for name in names)
        return con.sql(f"SELECT {sums}, count(*) FROM ({claims_sql(plan, relation)})").fetchall()[0]

    names = dict.fromkeys(f"{r.id}__{r.liability}_paid_fen" for r in plan.tier)
    ways: dict[str, list[float]] = {"kernel": [], "sql": []}
    for number in range(rounds):
        got, seconds = timed(ours)
        ways["kernel"].append(seconds)
        if number == 0:
            row, seconds = timed(theirs)
            ways["sql"].append(seconds)
            sums = dict.fromkeys(names, 0)
            for at, rule in enumerate(plan.tier):
                sums[f"{rule.id}__{rule.liability}_paid_fen"] += int(got.by_bill[:, at].sum())
            if (*sums.values(), count) != row:
                raise SystemExit(f"not the same payments: {sums} and {row}")
    rate = count / statistics.median(ways["kernel"]) / 1e6
    what = f"dated rules, Parquet to every row's payment on every claim: {rate:.1f} M claims/s (bound 20)"
    return [figure(what, ways["kernel"], "the plan's SQL", ways["sql"], None, count)]


def matrix(folder: Path, rows: int, rounds: int) -> list[dict[str, Any]]:
    """Six stages x three resources x three thresholds from recorded payments, one file per city-year, two at a time."""
    con = duckdb.connect(config={"threads": "2"})
    each, files = rows // PARTITIONS, []
    for part in range(PARTITIONS):
        claim, home = folder / f"matrix-{part}.parquet", folder / f"homes-{part}.parquet"
        shares = ("0.5", "0.1", "0.05", "0.1", "0.02")
        paid = ", ".join(
            f"(cost_fen * {share} * random())::INTEGER AS {name}"
            for name, share in zip(STAGES[1:], shares, strict=True)
        )
        con.execute(f"SELECT setseed({(part + 1) / 100})").fetchall()
        con.execute(
            f"CREATE OR REPLACE TABLE c AS SELECT *, {paid} FROM (SELECT hash({part}, i // {3 * CLAIMS_PER_PERSON}) >> 1 AS household_key, i AS seq, exp(8 + 4 * random())::INTEGER AS cost_fen FROM range({each}) AS r(i))"
        ).fetchall()
        con.execute(
            f"COPY (SELECT household_key::BIGINT AS household_key, {', '.join(STAGES)} FROM c ORDER BY household_key, seq) TO '{claim}' (FORMAT parquet, COMPRESSION lz4)"
        ).fetchall()
        con.execute(
            f"COPY (SELECT household_key::BIGINT AS household_key, {', '.join(f'(exp(12 + random()) / {n})::BIGINT AS {name}' for n, name in enumerate(RESOURCES, 1))}"
            f" FROM (SELECT DISTINCT household_key FROM c) ORDER BY household_key) TO '{home}' (FORMAT parquet, COMPRESSION lz4)"
        ).fetchall()
        files.append((claim, home))
    sums = ", ".join(f"sum({c}::DOUBLE)" for c in STAGES)

    def floor() -> None:
        for claim, home in files:
            con.execute(f"SELECT max(household_key), {sums} FROM {parquet([claim])}").fetchall()
            con.execute(
                f"SELECT max(household_key), {', '.join(f'sum({c}::DOUBLE)' for c in RESOURCES)} FROM {parquet([home])}"
            ).fetchall()

    staged, owns = [], STAGES[0]
    for k in range(len(STAGES)):
        owns = STAGES[0] + "".join(f" - {c}" for c in STAGES[1 : k + 1])
        staged.append(f"({owns}) * 10000 AS own{k}")
    lines = [f"CASE WHEN {res} > 0 THEN {res} * {z} END AS {res}{z}" for res in RESOURCES for z in MATRIX]
    counts = ", ".join(
        f"count_if(own{k} > {res}{z})" for k in range(len(STAGES)) for res in RESOURCES for z in MATRIX
    )

    def ask(pair: tuple[Path, Path]) -> Any:
        claim, home = pair
        sums = ", ".join(f"{total(c)} AS {c}" for c in STAGES)
        rolled = f"SELECT household_key, {sums} FROM {parquet([claim])} GROUP BY household_key"
        inner = f"SELECT {', '.join((*staged, *lines))} FROM ({rolled}) JOIN {parquet([home])} USING (household_key)"
        with duckdb.connect(config={"threads": "1"}) as own:
            return np.array(own.execute(f"SELECT {counts} FROM ({inner})").fetchall()[0])

    def by_sql() -> Any:
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(ask, files))

    def one(pair: tuple[Path, Path]) -> Any:
        claim, home = (pq.read_table(path, use_threads=False) for path in pair)
        keys = claim["household_key"].to_numpy()
        first = np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1, [len(keys)]])
        known = home["household_key"].to_numpy()
        assert np.array_equal(keys[first[:-1]], known)
        own = np.empty((len(STAGES), len(known)), np.int64)
        columns = tuple(claim[c].to_numpy() for c in STAGES)
        kernel.rolled(first, np.empty(0, np.int32), columns, 0, len(known), own)
        own[1:] = own[0] - np.cumsum(own[1:], axis=0)
        means = np.stack([home[c].to_numpy() for c in RESOURCES])
        found = np.zeros((len(STAGES), len(RESOURCES), len(MATRIX)), np.int64)
        kernel.above(own, means, np.array(MATRIX), 0, len(known), found)
        return found.ravel()

    def by_kernel() -> Any:
        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(one, files))

    by_kernel()
    ways: dict[str, list[float]] = {"floor": [], "sql": [], "kernel": []}
    for _ in range(rounds):
        ways["floor"].append(timed(floor)[1])
        a, seconds = timed(by_sql)
        ways["sql"].append(seconds)
        b, seconds = timed(by_kernel)
        ways["kernel"].append(seconds)
        if not a.any() or (a != b).any():
            raise SystemExit(f"not the same counts: {a} and {b}")
    what = "claims to the household matrix 6 x 3 x 3"
    return [
        figure(f"{what}, SQL", ways["sql"], "scan and sum of the columns", ways["floor"], 5, rows),
        figure(f"{what}, kernel", ways["kernel"], "scan and sum of the columns", ways["floor"], 1.6, rows),
    ]


CPU: list[float] = []  # seconds of processor time of every timed run, as a check on a noisy machine


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    def used() -> float:
        spent = resource.getrusage(resource.RUSAGE_SELF)
        return spent.ru_utime + spent.ru_stime

    cpu, start = used(), time.perf_counter()
    done = work()
    seconds = time.perf_counter() - start
    CPU.append(used() - cpu)
    return done, seconds


def figure(
    what: str,
    ours: list[float],
    against: str,
    theirs: list[float],
    bound: float | None,
    rows: int,
    **more: Any,
) -> dict[str, Any]:
    a, b = statistics.median(ours), statistics.median(theirs)
    found = {
        "what": what,
        "seconds": a,
        "against": against,
        "against_seconds": b,
        "ratio": a / b,
        "rows": rows,
        **more,
    }
    return found | ({"bound": bound} if bound is not None else {})

"""Claim by claim from Parquet: rules that follow the date of every claim, and recorded payments to the household matrix.

    .venv/bin/python tests/benchmarks/perclaim.py --rows 10000000 --rounds 5
    .venv/bin/python tests/benchmarks/perclaim.py --steps                     what each step takes of a claim

Also run by whatif.py. Dated rules are paid from files clustered by person and date, to the payment of every row on every claim, or
to what every row pays in all; what bounds them is decoding the columns, which is timed in the same run. Payments are handed on
piece by piece, in arrays that are used again, to somebody who counts claims; once, before anything is timed, every payment is
compared. The matrix is six stages of recorded payments by three resources by three thresholds, one file per city-year, against scanning and
summing the same columns.
"""

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq

from analytics.plans import Plan, bills, claims_sql, kernel, needs, stream, sweeps
from analytics.plans.arrays import CARE, classes_sql, program, sorts
from analytics.plans.kernel import Array
from analytics.plans.rowsql import COST_PARTS
from analytics.plans.schedule import PERSON
from analytics.store import FACTS_FORMAT, parquet
from analytics.whatif.held import warm
from analytics.whatif.payments import total

CLAIMS_PER_PERSON = 5  # of patients, as in an extract with outpatient care
LEAST = 20e6  # claims a second, from Parquet
EVERY = "Parquet to every row's payment on every claim"
STAGES = ("cost_fen", "basic_fen", "serious_fen", "assistance_fen", "inclusive_fen", "charity_fen")
RESOURCES = ("income", "consumption", "nonfood")
MATRIX = (1000, 2500, 4000)
PARTITIONS = 8


class Dated:
    """Claims of one drawn city-year repeated up to a number, in two files: claims by person and date, and persons."""

    def __init__(self, plan: Plan, drawn: Path, folder: Path, rows: int) -> None:
        self.plan, self.claim, self.persons = plan, folder / "dated.parquet", folder / "dated-persons.parquet"
        self.con = con = duckdb.connect(config={"threads": "2"})
        money = ", ".join(f"{c}::INTEGER AS {c}" for c in COST_PARTS.values())
        ((count,),) = con.execute(f"SELECT count(*) FROM {parquet([drawn])}").fetchall()
        con.execute(
            f"CREATE TABLE claims AS SELECT * REPLACE (row_number() OVER (ORDER BY person_id, claim_date, seq) AS seq) FROM (SELECT (hash(seq // {CLAIMS_PER_PERSON}) >> 1)::BIGINT AS person_id, seq, claim_date, {', '.join((*CARE, *PERSON))}, {money}"
            f" FROM (SELECT * REPLACE (row_number() OVER () AS seq) FROM {parquet([drawn])}, range({max(1, rows // count)}))) ORDER BY seq"
        ).fetchall()
        con.execute(
            f"COPY (SELECT * EXCLUDE ({', '.join(PERSON)}) FROM claims) TO '{self.claim}' ({FACTS_FORMAT})"
        ).fetchall()
        alike = ", ".join(f"first({c} ORDER BY seq) AS {c}" for c in PERSON)
        con.execute(
            f"COPY (SELECT person_id, {alike} FROM claims GROUP BY person_id ORDER BY person_id) TO '{self.persons}' ({FACTS_FORMAT})"
        ).fetchall()
        ((self.count,),) = con.execute("SELECT count(*) FROM claims").fetchall()
        con.execute("DROP TABLE claims").fetchall()
        self.names = dict.fromkeys(f"{r.id}__{r.liability}_paid_fen" for r in plan.tier)

    def decoded(self) -> int:
        """The columns read and nothing done with them, a row group a thread, as ours reads them."""
        info = pq.read_metadata(self.claim)
        wanted = ["person_id", "claim_date", *CARE, *COST_PARTS.values()]

        def one(number: int) -> int:
            file = pq.ParquetFile(self.claim, metadata=info, read_dictionary=list(CARE))
            return len(file.read_row_group(number, wanted, use_threads=False))

        with ThreadPoolExecutor(2) as pool:
            return sum(pool.map(one, range(info.num_row_groups)))

    def settled(self) -> bills.Settled:
        return bills.settled(pl.DataFrame(pq.read_table(self.claim, read_dictionary=list(CARE))))

    def people(self) -> pl.DataFrame:
        return pl.DataFrame(pq.read_table(self.persons, read_dictionary=list(PERSON)))

    def sorted(self, settled: bills.Settled, people: pl.DataFrame) -> bills.Sorted:
        assert np.array_equal(settled.persons, people["person_id"].to_numpy())
        return bills.sorted_by(settled, people, sorts(needs(self.plan)))

    def rows(self, kinds: pl.DataFrame) -> kernel.Rows:
        self.con.register("kinds", kinds)
        return program(self.plan, self.con.sql(f"SELECT {', '.join(classes_sql(self.plan))} FROM kinds").pl())

    def streamed(self, take: stream.Take | None = None) -> Array:
        """What every row pays, paid while the claims are read."""
        return stream.paid(self.claim, self.persons, sorts(needs(self.plan)), self.rows, take)

    def counted(self) -> Array:
        """The same, payments of every row on every claim handed on to somebody who counts claims."""
        seen: list[int] = []
        paid = self.streamed(lambda _, payments: seen.append(len(payments)))
        assert sum(seen) == self.count
        return paid

    def checked(self, by_bill: Array) -> None:
        """What is handed on, claim by claim."""

        def same(places: slice | Array, payments: Array) -> None:
            if not np.array_equal(by_bill[places], payments):
                raise SystemExit("handed on are not the same payments")

        self.streamed(same)

    def theirs(self) -> tuple[int, ...]:
        """What every liability paid, by the plan's own query, and the claims."""
        relation = f"(SELECT c.*, {', '.join(PERSON)} FROM {parquet([self.claim])} AS c JOIN {parquet([self.persons])} AS p USING (person_id))"
        sums = ", ".join(f"{total(name)}" for name in self.names)
        return self.con.sql(f"SELECT {sums}, count(*) FROM ({claims_sql(self.plan, relation)})").fetchall()[0]

    def told(self, by_row: Any) -> tuple[int, ...]:
        """The same of payments by row."""
        sums = dict.fromkeys(self.names, 0)
        for paid, rule in zip(by_row, self.plan.tier, strict=True):
            sums[f"{rule.id}__{rule.liability}_paid_fen"] += int(paid)
        return (*sums.values(), self.count)

    def steps(self, rounds: int) -> dict[str, float]:
        """Nanoseconds of processor time a claim, step by step."""
        spent: dict[str, list[float]] = {}

        def step(name: str, work: Callable[[], Any]) -> Any:
            done, _ = timed(work)
            spent.setdefault(name, []).append(CPU[-1])
            return done

        for _ in range(rounds):
            step("decode alone", self.decoded)
            settled = step("read claims into arrays (with decoding)", self.settled)
            people = step("read persons", self.people)
            held = step("sort persons", lambda s=settled, p=people: self.sorted(s, p))
            rows = step("plan to arrays", lambda h=held: self.rows(h.kinds))
            for name, asked in (("pay, totals alone", False), ("pay, every row on every claim", True)):
                step(
                    name,
                    lambda r=rows, h=held, b=asked: bills.pay(r, h.bills, by_person=False, by_bill=b),
                )
            step("in all, paid while they are read", self.counted)
        return {name: statistics.median(each) * 1e9 / self.count for name, each in spent.items()}


def dated(plan: Plan | None, drawn: Path, folder: Path, rows: int, rounds: int) -> list[dict[str, Any]]:
    """Claims per second from Parquet, and from memory, to what every row pays. `drawn`: claims to be repeated up to `rows`."""
    assert plan
    warm()
    city = Dated(plan, drawn, folder, rows)
    settled, people = city.settled(), city.people()
    held = city.sorted(settled, people)
    ready, row = city.rows(held.kinds), city.theirs()
    whole = bills.pay(ready, held.bills, by_person=False, by_bill=True)
    if city.told(whole.by_bill.sum(axis=0, dtype=np.int64)) != row:
        raise SystemExit(f"not the same payments as by SQL: {city.told(whole.total)} and {row}")
    city.checked(whole.by_bill)
    del whole
    works: dict[str, Callable[[], Any]] = {
        "floor": city.decoded,
        EVERY: city.counted,
        "Parquet to what every row pays in all": city.streamed,
        "memory to every row's payment on every claim": lambda: bills.pay(ready, held.bills, by_person=False, by_bill=True).total,
        "memory to what every row pays in all": lambda: bills.pay(ready, held.bills, by_person=False).total,
    }  # fmt: skip
    _, sql = timed(city.theirs)
    walls: dict[str, list[float]] = {name: [] for name in works}
    cpus: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            got, seconds = timed(work)
            walls[name].append(seconds)
            cpus[name].append(CPU[-1])
            if name != "floor" and city.told(got) != row:
                raise SystemExit(f"{name}: not the same payments: {city.told(got)} and {row}")
    found = []
    for name, seconds in walls.items():
        rate, each = (city.count / statistics.median(s) / 1e6 for s in (seconds, cpus[name]))
        what = f"dated rules, {name}: {rate:.1f} M claims/s ({each:.1f} M per processor second)"
        if name == "floor":
            continue
        bound = {"bound_seconds": city.count / LEAST} if name.startswith("Parquet") else {}
        found.append(figure(what, seconds, "decoding the columns", walls["floor"], None, city.count, **bound))
    return [
        *found,
        figure(f"dated rules, {EVERY}", walls[EVERY], "the plan's SQL", [sql], None, city.count),
    ]


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
        sweeps.rolled(first, np.empty(0, np.int32), columns, 0, len(known), own)
        own[1:] = own[0] - np.cumsum(own[1:], axis=0)
        means = np.stack([home[c].to_numpy() for c in RESOURCES])
        found = np.zeros((len(STAGES), len(RESOURCES), len(MATRIX)), np.int64)
        sweeps.above(own, means, np.array(MATRIX), 0, len(known), found)
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


def main() -> None:
    from whatif import YEAR, grown

    from analytics.plans import plan_for

    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", action="store_true")
    args = parser.parse_args()
    folder, plan = Path(tempfile.mkdtemp(prefix="jianfu-perclaim-")), plan_for("weihai", YEAR)
    try:
        drawn = grown(folder, "weihai", max(1000, args.rows // 2))["claim"]
        assert plan
        if args.steps:
            warm()
            for name, took in Dated(plan, drawn, folder, args.rows).steps(args.rounds).items():
                print(f"{took:8.1f} ns of processor time a claim: {name}")
            return
        for row in dated(plan, drawn, folder, args.rows, args.rounds):
            print(
                f"{row['what']}: {row['seconds']:.3f} s; {row['against']}: {row['against_seconds']:.3f} s; ratio {row['ratio']:.2f}"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

"""City-years -> their fact files, by SQL on one connection.

Planning a query costs more than running it where a partition is small, so small city-years are worked together: one query
computes them all, each then gets files of its own. What a file holds does not depend on which others were worked with it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb

from analytics import reference
from analytics.facts.checks import own_checks, rules
from analytics.facts.jobs import (
    AMOUNTS,
    Job,
    Made,
    Row,
    at,
    enrolled,
    in_parts,
    is_undone,
    leading,
    one_alias,
    paid_in_year,
    place,
    query,
    source,
    undone,
)
from analytics.facts.product import MAYBE, claim, policy_year
from analytics.store import FACTS_FORMAT, literal, parquet, workbench
from analytics.tiers import TIER, TIERS, full_order

DIMENSIONS = (
    "insurance_type",
    "person_group",
    "age_band",
    "sex",
    "hospital_level",
    "care_type",
    "cross_region",
    "product",
)
FIFTHS = ("1", "2", "3", "4", "5")  # of persons by household income per member, the poorest first
# The most protected group of a person counts.
GROUPS = ("destitute", "low_income", "near_low_income", "monitored", "general")
# Of several settlements of a person the last of the list counts: the highest level, the farthest place, inpatient care.
RANKS = {
    "hospital_level": ("ungraded", "1", "2", "3"),
    "care_type": ("other", "pharmacy", "outpatient", "special_outpatient", "inpatient"),
    "cross_region": ("unknown", "local", "in_province", "out_province"),
    "insurance_type": ("resident", "other", "employee"),
    "sex": ("unknown", "male", "female"),
}
_COUNTED = ("person_key", "mdtrt_id", "birth_year", *RANKS)
# A file says which columns may be NULL, and DuckDB looks at the whole table for that: at city-years worked together, too.
# Behind a list these columns may always be.
_MAYBE = {
    table: f"REPLACE ({', '.join(f'[{c}][1] AS {c}' for c in columns)})"
    for table, columns in {
        "person_year": ("household_key", "is_holder"),
        "household_year": ("urban", "n_children", "income_fen", "consumption_fen", "food_fen", "housing_fen"),
        **MAYBE,
    }.items()
}
# A limit that has to be reckoned first, and cuts nothing, lets one thread write; several would leave other dictionaries in a file.
_IN_TURN = f"LIMIT (SELECT {2**62})"

# The money a fact states, and what it must come to: a total of its persons.
_COST = ("cost_fen", "cost_fen")
_MONEY = {"policy_year": ("paid_fen", "sold_fen"), "claim": ("paid_fen", "told_fen")}


def desk(
    read: Sequence[Path], write: Path, aliases: Sequence[Path] = (), threads: int = 1
) -> duckdb.DuckDBPyConnection:
    """A connection to build on; sums are whole and rows in order, so that files are byte-identical by any number of threads.
    Dimensions are numbered codes there, several times faster to write; in the files they are text.
    """
    con = workbench(read=read, write=write, threads=threads, aside=f"spill-{uuid4()}")
    for name, values in codes().items():
        con.execute(f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, values))})").fetchall()
    if aliases:
        con.execute(f"CREATE TABLE alias AS {one_alias(aliases)}").fetchall()
    return con


class Work:
    """The SQL of some city-years on one connection."""

    def __init__(self, con: duckdb.DuckDBPyConnection, jobs: Sequence[Job], staging: Path) -> None:
        self.con, self.jobs, self.staging = con, jobs, staging
        self.written: list[tuple[Job, str, str]] = []
        self.told: dict[tuple[str, int], Row] = {}  # payments under the products of a year, whenever care was

    def run(self) -> dict[str, Made]:
        """Write the fact files. By key of the job: what the manifest says of them and of the checks made on the way."""
        claims = [job for job in self.jobs if job.inputs["settlement"] or job.inputs["commercial_claim"]]
        totals = self._claims(claims) if claims else {}
        for job in self.jobs:
            if job.inputs["household_year"]:
                self._survey(job)
        made: dict[str, Made] = {
            job.key: {"files": [], "checks": own_checks(job, totals.get(job.place)), "links": []}
            for job in self.jobs
        }
        for (job, table, kind), (rows, fen) in zip(self.written, self._stated(), strict=True):
            money, reckoned = _MONEY.get(table, _COST)
            sums = totals.get(job.place, {}) | self.told.get(job.place, {})
            if kind == "claims" and fen != sums.get(reckoned, 0):
                raise RuntimeError(f"{job.city} {job.plan_year}: {table} holds other money than {reckoned}")
            name = file_name(table, job.number, kind)
            made[job.key]["files"].append({
                "table": table, "name": name, "rows": rows, "city": job.city, "plan_year": job.plan_year,
                money: fen, "key": job.key, "kind": kind,
            })  # fmt: skip
        return made

    def _claims(self, jobs: Sequence[Job]) -> dict[tuple[str, int], Row]:
        if is_undone(jobs):
            self._do(f"CREATE TEMP TABLE undone AS {undone(jobs, AMOUNTS)}")
        if in_ranges := len(jobs[0].ranges) > 1:  # alone in its batch
            self._by_range(jobs[0])
        else:
            self._do(f"CREATE TEMP TABLE person_year AS {self._person_year(jobs)}")
            self._do(f"CREATE TEMP TABLE household_year AS {self._household_year(jobs)}")
        done = self.con.execute(query("totals").fill(tolerance=str(rules()["I11"].tolerance_fen)))
        names = [column[0] for column in done.description]
        totals = {(row[0], row[1]): dict(zip(names, row, strict=True)) for row in done.fetchall()}
        self._check_payments(jobs, totals)
        for job in jobs:
            if (paid := totals.get(job.place)) is None:
                continue  # nobody: all its settlements are undone
            # Insurers and charities are not in the national record: without their file what they paid is unknown, not zero.
            told = {k for k in job.plan_order if TIER[k].national_fields or job.has_payments}
            covered = [k for k in full_order(job.plan_order) if k in told or paid[TIER[k].paid]]
            where = f"WHERE city = {literal(job.city)} AND plan_year = {job.plan_year}"
            line = literal(job.policy_line_fen) + "::BIGINT"
            sold = f"* REPLACE (CASE WHEN {paid['is_sold']} THEN is_holder END AS is_holder)"
            persons = f"(SELECT * EXCLUDE (age, is_several) {_MAYBE['person_year']}, {line} AS policy_line_fen FROM (SELECT {sold} FROM person_year {where}))"
            order = "" if in_ranges else "ORDER BY household_key, person_key"
            self._write(job, "person_year", "claims", covered, persons, order)
            placed = query("fifth").fill(rows=f"(FROM household_year {where})")
            households = f"(SELECT * {_MAYBE['household_year']}, {line} * n_members AS policy_line_fen FROM ({placed}))"
            order = "" if in_ranges else "ORDER BY household_key"
            self._write(job, "household_year", "claims", covered, households, order)
        self._products(jobs)
        return totals

    def _by_range(self, job: Job) -> None:
        """Persons, then households, of a city-year that outgrows memory: a range of keys at a time, put aside in files."""
        aside: dict[str, list[Path]] = {"person_year": [], "household_year": []}

        def put(table: str, rows: str, key: str, among_equals: str) -> None:
            aside[table].append(self.staging / f"aside-{table}-{job.number}-{len(aside[table])}.parquet")
            ordered = f"SELECT *, {key} AS home FROM ({rows}) ORDER BY home, {among_equals}"
            self._do(
                f"COPY ({ordered}) TO {literal(aside[table][-1])} ({FACTS_FORMAT}, ROW_GROUP_SIZE 20480)"
            )

        def view(table: str, keys: tuple[int, int] = (-(2**63), 2**63 - 1)) -> None:
            rows = f"FROM {parquet(aside[table])} WHERE home BETWEEN {keys[0]} AND {keys[1]}"
            self._do(f"CREATE OR REPLACE TEMP VIEW {table} AS SELECT * EXCLUDE home {rows}")

        for keys in job.ranges:
            persons = self._person_year([replace(job, keys=keys)])
            put("person_year", persons, "coalesce(household_key, person_key)", "person_key")
        for keys in job.ranges:
            view("person_year", keys)
            put("household_year", self._household_year([job]), "household_key", "is_linked")
        view("person_year")
        view("household_year")

    def _products(self, jobs: Sequence[Job]) -> None:
        """The facts of the products, where there are any."""
        claims = [job for job in jobs if job.inputs["commercial_claim"]]
        facts = {"policy_year": policy_year(jobs)} | ({"claim": claim(self.con, claims)} if claims else {})
        for table, sql in facts.items():
            self._do(f"CREATE TEMP TABLE {table} AS {sql}")
            held = set(self._do(f"SELECT DISTINCT city, plan_year FROM {table}"))
            for job in jobs:
                if job.place in held:
                    where = f"WHERE city = {literal(job.city)} AND plan_year = {job.plan_year}"
                    self._copy(
                        job, table, "claims", f"SELECT * {_MAYBE[table]} FROM {table} {where} ORDER BY ALL"
                    )

    def _check_payments(self, jobs: Sequence[Job], totals: dict[tuple[str, int], Row]) -> None:
        """Raise RuntimeError where the ledger holds other payments than were told."""
        paid = "coalesce(sum(paid_amt_fen::DOUBLE), 0)::BIGINT"
        told = f"SELECT city, plan_year, {paid}, coalesce(sum(paid_amt_fen::DOUBLE) FILTER (tier = 'inclusive'), 0)::BIGINT"
        for city, year, fen, _ in self._do(f"{told} FROM {paid_in_year(self.con, jobs)} GROUP BY ALL"):
            if fen != totals[city, year]["claimed_fen"]:
                raise RuntimeError(f"{city} {year}: person_year holds other payments than were told")
        for city, year, fen, sold in self._do(f"{told} FROM {source(jobs, 'commercial_claim')} GROUP BY ALL"):
            self.told[city, year] = {"told_fen": fen, "sold_fen": sold}

    def _do(self, sql: str) -> list[Any]:
        return self.con.execute(sql).fetchall()

    def _person_year(self, jobs: Sequence[Job]) -> str:
        ages = (f"WHEN age <= {b['to']} THEN {literal(b['id'])}" for b in _age_bands())
        ranks = (
            f"({literal(o)}::{n}[])[max(list_position({literal(o)}, {n}))] AS settled_{n}"
            for n, o in RANKS.items()
        )
        claimed = (
            f"sum(paid_amt_fen::DOUBLE) FILTER (tier = {literal(k)})::BIGINT AS {k}_claimed_fen" for k in TIER
        )
        settled = {t.id: f"{t.id}_settled_fen" for t in TIERS if t.national_fields}
        paid = (f"{settled.get(t.id, 0)} + {t.id}_claimed_fen AS {t.paid}" for t in TIERS)
        kept, refunded = in_parts(jobs, (*at(jobs), *_COUNTED), AMOUNTS)
        in_part = refunded and self._do("SELECT 1 FROM undone WHERE NOT is_gone LIMIT 1")
        several = len({p.turn for job in jobs for p in job.inputs["household_member"]}) > 1
        newest = "QUALIFY turn = max(turn) OVER (PARTITION BY plan_year, person_key, start_date)"
        return query("person_year").fill(
            at=leading(jobs),
            place=place(jobs),
            counted=kept,
            summed="SELECT *, 1 AS n FROM counted"
            + (f" UNION ALL SELECT *, 0 AS n FROM ({refunded})" if in_part else ""),
            ranks=", ".join(ranks),
            claimed=", ".join(claimed),
            enrolled=enrolled(jobs),
            group_rank=f"-list_position({literal(GROUPS)}, person_group)",
            age_band=f"(CASE WHEN age < {_age_bands()[0]['from']} THEN 'unknown' {' '.join(ages)} ELSE 'unknown' END)",
            statutory=" + ".join(settled.values()),
            paid=", ".join(paid),
            newest=newest if several else "",
            commercial_claim=paid_in_year(self.con, jobs),
            **{table: source(jobs, table) for table in ("person", "household_member")},
        )

    def _household_year(self, jobs: Sequence[Job]) -> str:
        return query("household_year").fill(
            at=leading(jobs),
            place=place(jobs),
            dimensions=", ".join(DIMENSIONS),
            household_economy=source(jobs, "household_economy"),
            years=", ".join(sorted({str(job.plan_year) for job in jobs})),
        )

    def _survey(self, job: Job) -> None:
        rows = source([job], "household_year")
        sums = ", ".join(f"coalesce(sum({t.paid}::DOUBLE), 0)" for t in TIERS)
        paid = dict(zip(TIER, self._do(f"SELECT {sums} FROM {rows}")[0], strict=True))
        survey = query("household_survey").fill(
            household_year=rows,
            no_dimension=", ".join(f"'unknown' AS {name}" for name in DIMENSIONS),
            paid_total=" + ".join(f"coalesce({t.paid}, 0)" for t in TIERS),
            paid=", ".join(f"coalesce({t.paid}, 0) AS {t.paid}" for t in TIERS),
        )
        covered = [k for k in full_order(job.plan_order) if paid[k]]
        self._do(f"CREATE TEMP TABLE survey_{job.number} AS {survey}")
        placed = query("fifth").fill(rows=f"survey_{job.number}")
        self._write(job, "household_year", "survey", covered, f"({placed})")

    def _write(
        self,
        job: Job,
        table: str,
        kind: str,
        covered: Sequence[str],
        rows: str,
        order: str = "ORDER BY household_key",
    ) -> None:
        """`covered`: tiers of this city-year in order of payment; the others are NULL."""
        select = query("ledger").fill(
            rows=rows, paid=", ".join(t.paid for t in TIERS), ledger=ledger(covered)
        )
        self._copy(job, table, kind, f"{select} {order}")

    def _copy(self, job: Job, table: str, kind: str, select: str) -> None:
        target = self.staging / file_name(table, job.number, kind)
        self._do(f"COPY (FROM ({select}) {_IN_TURN}) TO {literal(target)} ({FACTS_FORMAT})")
        self.written.append((job, table, kind))

    def _stated(self) -> list[Any]:
        """Rows and money of each file written, as its readers will find them."""
        paths = (self.staging / file_name(table, job.number, kind) for job, table, kind in self.written)
        each = (
            f"SELECT {n} AS n, count(*), coalesce(sum({_MONEY.get(table, _COST)[0]}), 0)::BIGINT FROM {parquet([p])}"
            for n, (p, (_, table, _)) in enumerate(zip(paths, self.written, strict=True))
        )
        text = " UNION ALL ".join(each)
        return [row[1:] for row in self._do(f"{text} ORDER BY n")] if text else []


def ledger(covered: Sequence[str]) -> str:
    """Columns of the ledger, what each tier paid and left, of rows that have `own_before_fen` and what was paid; see `_write`."""
    left = ["own_before_fen", *(TIER[k].paid for k in covered)]
    columns = [f"{' - '.join(left)} AS own_net_fen"]
    for t in TIERS:
        after = " - ".join(left[: covered.index(t.id) + 2]) if t.id in covered else "NULL::BIGINT"
        columns += [t.paid if t.id in covered else f"NULL::BIGINT AS {t.paid}", f"{after} AS {t.after}"]
    return ", ".join(columns)


def file_name(table: str, number: int, kind: str) -> str:
    """Name of a fact file in a snapshot."""
    return f"{table}-{number:05d}{'-survey' if kind == 'survey' else ''}.parquet"


@cache
def codes() -> dict[str, list[str]]:
    """Values a dimension can take."""
    of = {
        name: [*reference.codes(name)[0], reference.codes(name)[1], "unknown"]
        for name in ("insurance_type", "sex")
    }
    of |= {name: [*order, "none"] for name, order in RANKS.items() if name not in of}
    of["person_group"] = [*GROUPS, "unknown"]
    of["income_group"] = [*FIFTHS, "unknown"]
    of["age_band"] = [str(band["id"]) for band in _age_bands()] + ["unknown"]
    return {field: list(dict.fromkeys(values)) for field, values in of.items()}


def _age_bands() -> list[Row]:
    rows: list[Row] = reference.load_toml(reference.root() / "data" / "reference" / "bands.toml")["age_band"]
    return rows

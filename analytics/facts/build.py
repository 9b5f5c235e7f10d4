"""Build the facts of a store partition by partition and publish them as one snapshot."""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from analytics import reference
from analytics.intake import TABLES, contract
from analytics.plans import plan_for
from analytics.store import (
    FORMAT,
    Folder,
    NotBuilt,
    Partition,
    Query,
    Store,
    literal,
    parquet,
    sha256_of,
    workbench,
)
from analytics.tiers import TIER, TIERS, full_order

HERE = Path(__file__).parent
FACTS = ("person_year", "household_year")
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
AMOUNTS = (
    "cost_fen",
    "in_policy_fen",
    "advance_fen",
    "out_of_catalogue_fen",
    "hospital_borne_fen",
    "own_cash_fen",
    "statutory_paid_fen",
)
GROUPS = (
    "destitute",
    "low_income",
    "near_low_income",
    "monitored",
    "general",
)  # the most protected one counts
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Job:
    """One city and plan year: its input files, its plan's order of payment and its policy line."""

    city: str
    plan_year: int
    inputs: dict[str, tuple[Partition, ...]]
    plan_order: tuple[str, ...]
    plan_file: str
    policy_line_fen: int | None

    @property
    def key(self) -> str:
        """Equal keys mean byte-equal facts: inputs, order, line and the code that builds."""
        parts = [self.city, self.plan_year, self.plan_order, self.policy_line_fen, code_version()]
        parts += [p.sha256 for partitions in self.inputs.values() for p in partitions]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def code_version() -> str:
    """Hash of everything in this wing (and the tiers and age bands) that decides what a fact is."""
    files = sorted(
        [
            *HERE.glob("*.sql"),
            *HERE.glob("*.py"),
            HERE.parent / "tiers.py",
            reference.root() / "data/reference/bands.toml",
        ]
    )
    return hashlib.sha256("".join(sha256_of(path) for path in files).encode()).hexdigest()[:12]


def build(store: Store, *, workers: int | None = None, progress: Progress | None = None) -> Folder:
    """Build both facts from all deliveries, publish the snapshot, return it. Unchanged partitions are taken over from
    the published snapshot. Raises store.Busy, store.Damaged (an input changed), NotBuilt (no delivery to build from).
    """
    with store.building() as staging:
        deliveries = store.deliveries()
        jobs = _jobs(deliveries)
        if not jobs:
            raise NotBuilt(
                f"{store.path}: no settlement or household_year delivery to build from; run `jianfu ingest` first"
            )
        known = _known(store)
        report = progress or (lambda *_: None)
        results: list[list[dict[str, Any]]] = []
        desk = (
            threading.local()
        )  # one database and one thread per worker, so that files are byte-identical each time
        inputs = [p.path for d in deliveries for p in d.partitions()]

        def prepare() -> None:
            desk.con = workbench(read=inputs, write=staging)

        def work(item: tuple[int, Job]) -> list[dict[str, Any]]:
            return _build_one(desk.con, *item, staging, known)

        with ThreadPoolExecutor(workers or os.cpu_count() or 1, initializer=prepare) as pool:
            for done, files in enumerate(pool.map(work, enumerate(jobs, 1)), 1):
                results.append(files)
                report("build", done, len(jobs))
        facts = {
            "deliveries": [
                {"id": d.id, "table": d.manifest["table"], "rows": d.manifest["rows_loaded"]}
                for d in deliveries
            ],
            "synthetic": any(d.manifest["synthetic"] for d in deliveries),
            "facts_version": code_version(),
            "plans": [
                {
                    "city": j.city,
                    "plan_year": j.plan_year,
                    "file": j.plan_file,
                    "order": list(full_order(j.plan_order)),
                }
                for j in jobs
            ],
            "policy_lines": [
                {"city": j.city, "plan_year": j.plan_year, "fen": j.policy_line_fen} for j in jobs
            ],
        }
        snapshot = store.seal("snapshots", staging, [file for files in results for file in files], facts)
        store.publish(snapshot)
    return snapshot


def _jobs(deliveries: Iterable[Folder]) -> list[Job]:
    files: dict[str, list[Partition]] = {table: [] for table in TABLES}
    for delivery in deliveries:
        for partition in delivery.partitions():
            if partition.table in files:
                files[partition.table].append(partition)
    places = sorted(
        {(p.city, p.plan_year) for table in files for p in files[table] if p.city and p.plan_year is not None}
    )
    jobs = []
    for city, plan_year in places:
        inputs = {
            table: tuple(
                sorted(
                    (p for p in parts if p.city in (None, city) and p.plan_year in (None, plan_year)),
                    key=lambda p: p.sha256,
                )
            )
            for table, parts in files.items()
        }
        plan = plan_for(city, plan_year)
        line = reference.policy_line(city, plan_year)
        order = tuple(plan.order) if plan else ()
        name = f"{reference.cities()[city].slug}/{plan_year}.toml" if plan else ""
        jobs.append(Job(city, plan_year, inputs, order, name, line.yuan * 100 if line else None))
    return jobs


def _known(store: Store) -> dict[str, list[tuple[Path, dict[str, Any]]]]:
    """Files of the published snapshot by partition key, to take over where nothing changed."""
    found: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    try:
        snapshot = store.current()
    except NotBuilt:
        return found
    for file in snapshot.manifest["files"]:
        path = snapshot.path / file["name"]
        if sha256_of(path) == file["sha256"]:  # a damaged file is built again, not carried on
            found.setdefault(file["key"], []).append((path, file))
    return found


def _build_one(
    con: duckdb.DuckDBPyConnection,
    number: int,
    job: Job,
    staging: Path,
    known: dict[str, list[tuple[Path, dict[str, Any]]]],
) -> list[dict[str, Any]]:
    if job.key in known:
        taken = []
        for path, file in known[job.key]:
            name = (
                f"{file['table']}-{number:05d}.parquet"
                if "survey" not in path.name
                else f"{file['table']}-{number:05d}-survey.parquet"
            )
            _link(path, staging / name)
            taken.append({**file, "name": name})
        return taken
    cursor = con.cursor()  # its temporary tables are its own
    try:
        return _Work(cursor, number, job, staging).run()
    finally:
        cursor.close()


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


class _Work:
    """The SQL of one partition on one connection (one thread, so that its files are byte-identical each time)."""

    def __init__(self, con: duckdb.DuckDBPyConnection, number: int, job: Job, staging: Path) -> None:
        self.con, self.number, self.job, self.staging = con, number, job, staging

    def run(self) -> list[dict[str, Any]]:
        for table, partitions in self.job.inputs.items():
            name = "household_year_delivered" if table == "household_year" else table
            source = (
                f"SELECT * FROM {parquet([p.path for p in partitions])}"
                if partitions
                else contract(table).empty
            )
            self._do(f"CREATE TEMP VIEW {name} AS {source}")
        files = []
        if self.job.inputs["settlement"] or self.job.inputs["commercial_claim"]:
            self._do(
                f"CREATE TEMP TABLE person_paid AS {self._person_paid()}",
                city=self.job.city,
                plan_year=self.job.plan_year,
            )
            self._do(f"CREATE TEMP VIEW person_year AS {self._person_year()}")
            files.append(self._write("person_year", "SELECT * FROM person_year", "household_id, person_id"))
            line: dict[str, Any] = {
                "plan_year": self.job.plan_year,
                "policy_line_fen": self.job.policy_line_fen,
            }
            files.append(self._write("household_year", self._household_year(), "household_id", **line))
            if files[0]["cost_fen"] != files[1]["cost_fen"]:
                raise RuntimeError(
                    f"{self.job.city} {self.job.plan_year}: households hold other money than persons"
                )
        if self.job.inputs["household_year"]:
            files.append(self._write("household_year", self._survey(), "household_id", "-survey"))
        return files

    def _do(self, sql: str, **parameters: Any) -> None:
        self.con.execute(sql, parameters).fetchall()

    def _person_paid(self) -> str:
        settled = [
            f"sum(({' + '.join(f'{f}_fen' for f in t.national_fields)})::DOUBLE)::BIGINT AS {t.id}_settled"
            for t in TIERS
            if t.national_fields
        ]
        claimed = [
            f"coalesce(sum(paid_amt_fen::DOUBLE) FILTER (tier = {literal(t.id)}), 0)::BIGINT AS {t.id}_claimed"
            for t in TIERS
        ]
        paid = [f"{_settled(t.id)} + coalesce({t.id}_claimed, 0) AS {t.paid}" for t in TIERS]
        statutory = " + ".join(_settled(t.id) for t in TIERS if t.national_fields)
        ages = " ".join(
            f"WHEN $plan_year - birth_year BETWEEN {b['from']} AND {b['to']} THEN {literal(b['id'])}"
            for b in _age_bands()
        )
        return Query.load(HERE / "person_year.sql").fill(
            settled_tiers=",\n        ".join(settled),
            claimed_tiers=", ".join(claimed),
            group_rank=f"-list_position({literal(GROUPS)}, person_group)",
            age_band=f"CASE {ages} ELSE 'unknown' END",
            paid=",\n    ".join([*paid, f"{statutory} AS statutory_paid_fen"]),
        )

    def _told(self) -> set[str]:
        """Tiers of the plan that the delivered tables can show. Insurers and charities are not in the national record:
        without their file what they paid is unknown, not zero.
        """
        claims = bool(self.job.inputs["commercial_claim"])
        return {k for k in self.job.plan_order if TIER[k].national_fields or claims}

    def _covered(self, table: str, told: set[str]) -> list[str]:
        """Tiers of this city-year in order of payment: those told of, and those that paid anything."""
        sums = ", ".join(f"coalesce(sum({t.paid}::DOUBLE), 0)" for t in TIERS)
        paid = dict(zip(TIER, self.con.execute(f"SELECT {sums} FROM {table}").fetchall()[0], strict=True))
        return [k for k in full_order(self.job.plan_order) if k in told or paid[k]]

    def _person_year(self) -> str:
        covered = self._covered("person_paid", self._told())
        columns = [
            row[0]
            for row in self.con.execute("DESCRIBE person_paid").fetchall()
            if not row[0].endswith("_paid_fen") or row[0] == "statutory_paid_fen"
        ]
        ledger, left = [], "own_before_fen"
        for k in covered:
            ledger += [TIER[k].paid, f"{left} - {TIER[k].paid} AS {TIER[k].after}"]
            left = TIER[k].after
        ledger += [
            f"NULL::BIGINT AS {name}" for t in TIERS if t.id not in covered for name in (t.paid, t.after)
        ]
        coded = {
            name: f"{name}::ENUM({', '.join(literal(v) for v in values)}) AS {name}"
            for name, values in _codes().items()
        }
        return Query.load(HERE / "ledger.sql").fill(
            base_columns=", ".join(coded.get(column, column) for column in columns),
            ledger=",\n    ".join([*ledger, f"{left} AS own_net_fen"]),
        )

    def _household_year(self) -> str:
        money = [
            *AMOUNTS,
            "own_before_fen",
            "own_gross_fen",
            "own_net_fen",
            *(name for t in TIERS for name in (t.paid, t.after)),
        ]
        counts = ("n_settlements", "n_admissions")
        sums = [f"sum({name})::INTEGER AS {name}" for name in counts] + [
            f"sum({name}::DOUBLE)::BIGINT AS {name}" for name in money
        ]
        dimensions = ", ".join(("city", "plan_year", *DIMENSIONS))
        return Query.load(HERE / "household_year.sql").fill(
            dimensions=dimensions, sums=", ".join(sums), amounts=", ".join((*counts, *money))
        )

    def _survey(self) -> str:
        covered = self._covered("household_year_delivered", set())
        ledger, later = [], list(covered)
        for k in covered:
            later.remove(k)
            rest = " + ".join(["own_fen", *(f"coalesce({TIER[j].paid}, 0)" for j in later)])
            ledger += [f"coalesce({TIER[k].paid}, 0) AS {TIER[k].paid}", f"{rest} AS {TIER[k].after}"]
        ledger += [
            f"NULL::BIGINT AS {name}" for t in TIERS if t.id not in covered for name in (t.paid, t.after)
        ]
        return Query.load(HERE / "household_survey.sql").fill(
            no_dimension=", ".join(f"'unknown' AS {name}" for name in DIMENSIONS),
            paid_total=" + ".join(["0::BIGINT", *(f"coalesce({TIER[k].paid}, 0)" for k in covered)]),
            ledger=", ".join(ledger),
        )

    def _write(
        self, table: str, select: str, order: str, suffix: str = "", **parameters: Any
    ) -> dict[str, Any]:
        name = f"{table}-{self.number:05d}{suffix}.parquet"
        target = self.staging / name
        ledger = ", ".join(
            column for t in TIERS for column in (t.paid, t.after)
        )  # the same place in every file
        listed = f"* EXCLUDE ({ledger}), {ledger}"
        self._do(
            f"COPY (SELECT {listed} FROM ({select}) ORDER BY {order}) TO {literal(target)} ({FORMAT})",
            **parameters,
        )
        stated = self.con.execute(
            f"SELECT count(*), coalesce(sum(cost_fen), 0)::VARCHAR FROM {parquet([target])}"
        )
        rows, total = stated.fetchall()[0]
        return {
            "table": table, "name": name, "rows": rows, "city": self.job.city, "plan_year": self.job.plan_year,
            "cost_fen": int(total), "key": self.job.key, "kind": "survey" if suffix else "claims",
        }  # fmt: skip


@cache
def _codes() -> dict[str, list[str]]:
    """Values a dimension can take. As numbered codes they are several times faster to write; in the files they are text."""
    of = {
        field: [*reference.codes(field)[0], reference.codes(field)[1], "unknown"]
        for field in ("insurance_type", "sex")
    }
    of["hospital_level"] = [*reference.codes("hospital_level")[0], "ungraded", "none"]
    of["care_type"] = [*reference.codes("care_type")[0], "other", "none"]
    of["cross_region"] = ["local", "in_province", "out_province", "unknown", "none"]
    of["person_group"] = [*GROUPS, "unknown"]
    of["age_band"] = [str(band["id"]) for band in _age_bands()] + ["unknown"]
    return {field: list(dict.fromkeys(values)) for field, values in of.items()}


def _age_bands() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = reference.load_toml(reference.root() / "data" / "reference" / "bands.toml")[
        "age_band"
    ]
    return rows


def _settled(tier: str) -> str:
    return f"coalesce({tier}_settled, 0)" if TIER[tier].national_fields else "0::BIGINT"

"""Build the facts of a store partition by partition and publish them as one snapshot."""

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from analytics import reference
from analytics.facts.partition import Job, Work
from analytics.intake import TABLES
from analytics.plans import plan_for
from analytics.store import (
    Folder,
    NotBuilt,
    Partition,
    Store,
    sha256_of,
    workbench,
)
from analytics.tiers import full_order

HERE = Path(__file__).parent
FACTS = ("person_year", "household_year")
Progress = Callable[[str, int, int], None]


@cache
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
        for delivery in deliveries:
            delivery.check()
        desk = threading.local()  # a database per worker with one thread: files are byte-identical each time
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
    key = job.key(code_version())
    if key in known:
        taken = []
        for path, file in known[key]:
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
        return Work(cursor, number, job, key, staging).run()
    finally:
        cursor.close()


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)

"""Build the facts of a store partition by partition and publish them as one snapshot."""

import os
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from analytics.facts.checks import wide_checks
from analytics.facts.jobs import Job, Made, code_version, jobs_of
from analytics.facts.partition import Work, desk, file_name
from analytics.facts.shared import shared, years
from analytics.store import Damaged, Folder, NotBuilt, Store
from analytics.tiers import LEDGERS, full_order

FACTS = (*LEDGERS, "policy_year", "claim")
# City-years worked by one query: so many, or so many rows to read.
TOGETHER, ROWS = 9, 200_000
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Cube:
    """What is prepared of every city and plan year from its facts, and the version of that. `make`: from place, files by
    table and the facts of the manifest to the rows of a table.
    """

    version: str
    make: Callable[[tuple[str, int], Mapping[str, Sequence[Path]], Mapping[str, Any]], pl.DataFrame]

    def key(self, job: Job) -> str:
        """Equal keys mean equal rows."""
        return sha256(f"{job.key} {self.version}".encode()).hexdigest()


def build(
    store: Store, *, cube: Cube | None = None, workers: int | None = None, progress: Progress | None = None
) -> Folder:
    """Build the facts from all deliveries, publish the snapshot, return it. Unchanged partitions are taken over from
    the published snapshot. `cube`: what is prepared besides. Raises store.Busy, store.Damaged (an input changed), NotBuilt
    (no delivery to build from).
    """
    with store.building() as staging:
        deliveries = store.deliveries()
        jobs = jobs_of(deliveries)
        if not jobs:
            raise NotBuilt(
                f"{store.path}: no settlement or household_year delivery to build from; run `jianfu ingest` first"
            )
        for delivery in deliveries:
            delivery.check()
        before, known = _known(store)
        report = progress or (lambda *_: None)
        parts = [p for d in deliveries for p in d.partitions()]
        todo = [job for job in jobs if not {job.key, job.check_key} <= known.keys()]
        aliases = {p.path for job in todo for side in (job.inputs, job.around) for p in side["person_alias"]}
        room = threading.local()  # a database per worker with one thread: files are byte-identical each time

        def prepare() -> None:
            room.con = desk([p.path for p in parts], staging, sorted(aliases))

        def work(batch: Sequence[Job]) -> dict[str, Made]:
            cursor = room.con.cursor()  # its temporary tables are its own
            try:
                facts = Work(cursor, [job for job in batch if job.key not in known], staging).run()
                return facts | wide_checks(cursor, [job for job in batch if job.check_key not in known])
            finally:
                cursor.close()

        def split(key: str, year: int, names: Sequence[str]) -> Made:
            cursor = room.con.cursor()
            try:
                return shared(cursor, staging, key, year, names)
            finally:
                cursor.close()

        made = {
            key: _taken(before, known[key], staging, job.number)
            for job in jobs
            for key in {job.key, job.check_key} & known.keys()
        }
        batches = list(_batches(todo))
        done = len(jobs) - len(todo)
        with ThreadPoolExecutor(workers or os.cpu_count() or 1, initializer=prepare) as pool:
            for batch, rows in zip(batches, pool.map(work, batches), strict=True):
                made |= rows
                done += len(batch)
                report("build", done, len(jobs))
            both = [made[key] for job in jobs for key in (job.key, job.check_key)]
            for key, (year, names) in years(file for part in both for file in part["files"]).items():
                if key in known:
                    both.append(_taken(before, known[key], staging))
                else:
                    both.append(pool.submit(split, key, year, names).result())
        facts: dict[str, Any] = {
            "deliveries": [
                {"id": d.id, "table": d.manifest["table"], "rows": d.manifest["rows_loaded"]}
                for d in deliveries
            ],
            "synthetic": any(d.manifest["synthetic"] for d in deliveries),
            "facts_version": code_version(),
            "facts": list(FACTS),
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
        if cube:
            facts["prepared_by"] = cube.version
            wanted, told = cube, facts  # as they are now

            def answered(job: Job) -> Made:
                key = wanted.key(job)
                if key in known:
                    return _taken(before, known[key], staging, job.number)
                return _prepared(wanted, job, key, made[job.key], staging, told)

            with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
                both += pool.map(answered, jobs)
        for part in ("checks", "links", "shared"):
            facts[part] = [row for one in both for row in one.get(part, ())]
        snapshot = store.seal("snapshots", staging, [file for part in both for file in part["files"]], facts)
        store.publish(snapshot)
    return snapshot


def _prepared(cube: Cube, job: Job, key: str, made: Made, staging: Path, facts: Mapping[str, Any]) -> Made:
    """The file of what is prepared of a city and plan year."""
    paths: dict[str, list[Path]] = defaultdict(list)
    for file in made["files"]:
        paths[file["table"]].append(staging / file["name"])
    rows, name = cube.make(job.place, paths, facts), file_name("cube", job.number, "cube")
    rows.write_parquet(staging / name, compression="zstd", statistics=False)
    about = {"city": job.city, "plan_year": job.plan_year, "kind": "cube", "key": key}
    return {"files": [{"table": "cube", "name": name, "rows": rows.height, **about}]}


def _batches(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Neighbours worked together while they are small."""
    batch: list[Job] = []
    for job in jobs:
        if batch and (len(batch) == TOGETHER or sum(j.rows for j in (*batch, job)) > ROWS):
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _known(store: Store) -> tuple[Path, dict[str, Made]]:
    """Folder of the published snapshot, and what its manifest holds by key, to take over where nothing changed; what was
    damaged is built again.
    """
    found: dict[str, Made] = defaultdict(lambda: {"files": [], "checks": [], "links": [], "shared": []})
    try:
        snapshot = store.current()
        manifest = snapshot.manifest
    except (NotBuilt, Damaged):
        return store.path, {}
    for part in ("files", "checks", "links", "shared"):
        for row in manifest.get(part, ()):
            found[row["key"]][part].append(row)
    changed = {
        f["key"] for f, part in zip(manifest["files"], snapshot.partitions(), strict=True) if part.damage
    }
    return snapshot.path, {key: rows for key, rows in found.items() if key not in changed}


def _taken(before: Path, known: Made, staging: Path, number: int = 0) -> Made:
    """What is known, its files put into `staging` under the names they have there; `number`: of the job, of one city-year."""
    files = []
    for file in known["files"]:
        name = file_name(file["table"], number, file["kind"]) if number else file["name"]
        try:
            (staging / name).hardlink_to(before / file["name"])
        except OSError:
            shutil.copyfile(before / file["name"], staging / name)
        files.append({**file, "name": name})
    return {**known, "files": files}

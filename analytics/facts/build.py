"""Build the facts of a store partition by partition and publish them as one snapshot."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from analytics.facts.jobs import Job, Made, code_version, jobs_of
from analytics.facts.partition import file_name
from analytics.facts.shared import years
from analytics.facts.work import Answers, Asked, Batch, Bench, Cube, Guard, Year
from analytics.store import Damaged, Folder, NotBuilt, Partition, Store
from analytics.store.runner import Local, Runner
from analytics.store.threads import beside, each
from analytics.tiers import LEDGERS, full_order

FACTS = (*LEDGERS, "policy_year", "claim")
# City-years worked by one query: so many, or so many rows to read (a sixth less work than one by one, at half a gigabyte).
TOGETHER, ROWS = 9, 1600000
THREADS = 4  # of one city-year at most: it has a few row groups to share, and the memory of one worker
BATCHES = 4  # at least, where there is that much to do: more than one can work at them
_KEYED = (
    "checks",
    "links",
    "shared",
    "protection",
)  # rows of the manifest that belong to files of the same key
Progress = Callable[[str, int, int], None]


def build(
    store: Store,
    *,
    cube: Cube | None = None,
    guard: Guard | None = None,
    runner: Runner | None = None,
    progress: Progress | None = None,
) -> Folder:
    """Build the facts from all deliveries, publish the snapshot, return it. Unchanged partitions are taken over from
    the published snapshot. `cube`: what is prepared besides; `guard`: what is made of that for those who may see no more; what
    it raises leaves the published snapshot where it is. `runner`: where the work is done, else on threads; the files are the same
    wherever. Raises store.Busy, store.Damaged (an input that is read, or was written to, changed), Broken, NotBuilt (no delivery to build from).
    """
    with store.building() as staging, nullcontext(runner) if runner else Local() as at_work:
        deliveries = store.deliveries()
        with beside(_known, [store]) as published:
            jobs = jobs_of(deliveries)
            ((before, known),) = published()
        if not jobs:
            raise NotBuilt(
                f"{store.path}: no settlement or household_year delivery to build from; run `jianfu ingest` first"
            )
        report = progress or (lambda *_: None)
        todo = [job for job in jobs if not {job.key, job.check_key} <= known.keys()]
        unread = [*todo, *(job for job in jobs if cube and cube.key(job) not in known)]
        read = set().union(*(job.files for job in unread))
        parts = [part for delivery in deliveries for part in delivery.partitions()]
        # Of what nobody reads now only what somebody wrote to is hashed: all of it would cost more than what has changed does.
        each(Partition.check, (part for part in parts if part in read or part.is_touched))
        batches = [Batch.of(jobs, known) for jobs in _batches(todo)]
        share = at_work.workers // max(1, len(batches))
        bench = Bench(staging, threads=min(THREADS, max(1, share)))
        bench.lay_out(read)
        made = {
            key: _taken(before, known[key], staging, job.number)
            for job in jobs
            for key in {job.key, job.check_key} & known.keys()
        }
        ahead = len(jobs) - len(todo)

        def built(n: int) -> None:
            report("build", ahead + sum(len(batch.names) for batch in batches[:n]), len(jobs))

        for rows in at_work.map(bench.facts, batches, list(map(str, batches)), at=staging, done=built):
            made |= rows
        both = [made[key] for job in jobs for key in (job.key, job.check_key)]
        split = years(file for part in both for file in part["files"])
        new = [Year(key, *of) for key, of in split.items() if key not in known]
        found = at_work.map(Bench(staging).shared, new, [str(year.year) for year in new], at=staging)
        of_years = {year.key: one for year, one in zip(new, found, strict=True)}
        both += [of_years.get(key) or _taken(before, known[key], staging) for key in split]
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
            both += _answers(cube, guard, jobs, made, (before, known), staging, facts, at_work, report)
        if guard:
            facts["protected_by"] = guard.version
            facts["protection"] = [row for one in both for row in one.get("protection", ())]
        for part in ("checks", "links", "shared"):
            facts[part] = [row for one in both for row in one.get(part, ())]
        snapshot = store.seal("snapshots", staging, [file for part in both for file in part["files"]], facts)
        store.publish(snapshot)
    return snapshot


def _answers(
    cube: Cube,
    guard: Guard | None,
    jobs: Sequence[Job],
    made: Mapping[str, Made],
    published: tuple[Path, Mapping[str, Made]],
    staging: Path,
    facts: Mapping[str, Any],
    runner: Runner,
    report: Progress,
) -> list[Made]:
    """The files of what is prepared of every city and plan year, and of what may be shown of it."""
    before, known = published
    shown = {
        (file["city"], file["plan_year"]): before / file["name"]
        for part in known.values()
        for file in part["files"]
        if guard and file["table"] == guard.table
    }
    found: dict[str, Made] = {}
    todo = []
    unanswered = [*_batches([job for job in jobs if cube.key(job) not in known])]
    files = runner.map(
        Bench(staging).hospitals, unanswered, [_named(batch) for batch in unanswered], at=staging
    )
    staged = {job.number: name for batch, name in zip(unanswered, files, strict=True) for job in batch}
    for job in jobs:
        keys = [cube.key(job)]
        keys += [guard.key(keys[0])] if guard else []
        found |= {key: _taken(before, known[key], staging, job.number) for key in keys if key in known}
        if not found.keys() >= set(keys):
            answers = found[keys[0]]["files"][0]["name"] if keys[0] in found else ""
            todo.append(
                Asked(
                    job.number,
                    job.place,
                    tuple(keys),
                    made[job.key],
                    answers,
                    staged.get(job.number, ""),
                    shown.get(job.place),
                    _told(facts, job),
                )
            )
    ahead = len(jobs) - len(todo)

    def protected(n: int) -> None:
        if guard:
            report("protect", ahead + n, len(jobs))

    names = [f"{asked.place[0]} {asked.place[1]}" for asked in todo]
    for rows in runner.map(Answers(cube, guard, staging), todo, names, at=staging, done=protected):
        found |= rows
    if not todo:
        protected(0)
    keyed = ((key, guard.key(key)) if guard else (key,) for key in map(cube.key, jobs))
    return [found[key] for keys in keyed for key in keys]


def _told(facts: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """The facts of the manifest as far as they are about one city and plan year."""
    own = {
        part: [row for row in facts[part] if (row["city"], row["plan_year"]) == job.place]
        for part in ("plans", "policy_lines")
    }
    return {**facts, **own}


def _named(batch: Sequence[Job]) -> str:
    return ", ".join(f"{job.city} {job.plan_year}" for job in batch)


def _batches(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Neighbours worked together while they are small; what is worked by ranges is worked alone."""
    batch: list[Job] = []
    most = min(TOGETHER, -(-len(jobs) // BATCHES))
    for job in jobs:
        full = len(batch) == most or sum(j.rows for j in (*batch, job)) > ROWS
        if batch and (full or any(len(j.ranges) > 1 for j in (batch[-1], job))):
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch


def _known(store: Store) -> tuple[Path, dict[str, Made]]:
    """Folder of the published snapshot, and what its manifest holds by key, to take over where nothing changed; what was
    damaged is built again.
    """
    found: dict[str, Made] = defaultdict(lambda: {part: [] for part in ("files", *_KEYED)})
    try:
        snapshot = store.current()
        manifest = snapshot.manifest
    except (NotBuilt, Damaged):
        return store.path, {}
    for part in ("files", *_KEYED):
        for row in manifest.get(part, ()):
            found[row["key"]][part].append(row)
    damage = each(lambda part: part.damage, snapshot.partitions())
    changed = {file["key"] for file, line in zip(manifest["files"], damage, strict=True) if line}
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

"""What a worker does while a snapshot is built, wherever it runs: jobs that can be sent to it, one part after the other.

All files are written into the staging folder, which the worker sees at the same path as whoever builds.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from analytics.facts.checks import wide_checks
from analytics.facts.hospital import HOSPITALS, hospital_year
from analytics.facts.jobs import Job, Made, Row
from analytics.facts.partition import Work, desk, file_name
from analytics.facts.shared import shared
from analytics.store import Partition

_open = threading.local()  # the database of a worker


@dataclass(frozen=True)
class Batch:
    """City-years worked by one query: those whose facts are made, and those whose checks are."""

    make: tuple[Job, ...]
    check: tuple[Job, ...]

    @classmethod
    def of(cls, jobs: Sequence[Job], known: Mapping[str, Any]) -> "Batch":
        """What is not known of some jobs."""
        return cls(
            tuple(job for job in jobs if job.key not in known),
            tuple(job for job in jobs if job.check_key not in known),
        )

    @property
    def names(self) -> list[str]:
        return [f"{city} {year}" for city, year in sorted({job.place for job in (*self.make, *self.check)})]

    def __str__(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True)
class Year:
    """A year that several cities have persons in; `names`: their files."""

    key: str
    year: int
    names: Sequence[str]


@dataclass(frozen=True)
class Bench:
    """Where facts are made. What may be read there stands in a file of the folder, and not in every job. `threads`: of one worker."""

    staging: Path
    threads: int = 1

    def lay_out(self, read: Collection[Partition]) -> None:
        """Say what may be read; the table `alias` is made of the files of that name."""
        told = {
            "read": sorted(str(p.path) for p in read),
            "aliases": sorted(str(p.path) for p in read if p.table == "person_alias"),
        }
        self._file.write_text(json.dumps(told), encoding="utf-8")

    def facts(self, batch: Batch) -> dict[str, Made]:
        """The facts and checks of some city-years, by key."""
        with self._cursor() as cursor:
            made = Work(cursor, batch.make, self.staging).run()
            return made | wide_checks(cursor, batch.check)

    def shared(self, year: Year) -> Made:
        """Who is found in several cities in a year."""
        with self._cursor() as cursor:
            return shared(cursor, self.staging, year.key, year.year, year.names)

    @property
    def _file(self) -> Path:
        return self.staging / "bench.json"

    def hospitals(self, jobs: Sequence[Job]) -> str:
        """Name of the file of what the hospitals of some city-years made of their sums, see hospital.py."""
        with self._cursor() as cursor:
            return hospital_year(cursor, jobs, self.staging)

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor on this worker's database; its temporary tables are its own."""
        if getattr(_open, "at", None) != self:
            told = {
                name: [Path(p) for p in paths] for name, paths in json.loads(self._file.read_bytes()).items()
            }
            _open.con, _open.at = desk(told["read"], self.staging, told["aliases"], self.threads), self
        cursor = _open.con.cursor()
        try:
            yield cursor
        finally:
            cursor.close()


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


@dataclass(frozen=True)
class Guard:
    """What may be shown of the prepared answers, and the version of that. `make`: from place, their file, the facts of the manifest
    and the file that was published before (if any) to the rows of a table and what is certified of it.
    """

    table: str
    version: str
    make: Callable[[tuple[str, int], Path, Mapping[str, Any], Path | None], tuple[pl.DataFrame, Row]]

    def key(self, of: str) -> str:
        """Equal keys mean that nothing has to be protected anew; `of`: key of what is protected."""
        return sha256(f"{of} {self.table} {self.version}".encode()).hexdigest()


@dataclass(frozen=True)
class Asked:
    """One city and plan year whose answers are prepared. `keys`: of these and of what may be shown of them; `made`: its facts;
    `answers`: name of their file where it was taken over; `hospitals`: of the file of what hospitals made of its sums, where there is
    one; `shown`: what may be shown until now; `told`: facts of the manifest.
    """

    number: int
    place: tuple[str, int]
    keys: tuple[str, ...]
    made: Made
    answers: str
    hospitals: str
    shown: Path | None
    told: Mapping[str, Any]


@dataclass(frozen=True)
class Answers:
    """The prepared answers of a city and plan year, and what may be shown of them."""

    cube: Cube
    guard: Guard | None
    staging: Path

    def __call__(self, asked: Asked) -> dict[str, Made]:
        """What was made, by key."""
        made, name = {}, asked.answers
        if not name:
            paths: dict[str, list[Path]] = defaultdict(list)
            for file in asked.made["files"]:
                paths[file["table"]].append(self.staging / file["name"])
            if asked.hospitals:
                paths[HOSPITALS] = [self.staging / asked.hospitals]
            rows = self.cube.make(asked.place, paths, asked.told)
            made[asked.keys[0]] = self._written("cube", asked, asked.keys[0], rows)
            name = made[asked.keys[0]]["files"][0]["name"]
        if self.guard:
            key = asked.keys[1]
            rows, certified = self.guard.make(asked.place, self.staging / name, asked.told, asked.shown)
            made[key] = self._written(self.guard.table, asked, key, rows)
            about = {"city": asked.place[0], "plan_year": asked.place[1], "key": key}
            made[key]["protection"] = [{**certified, **about}]
        return made

    def _written(self, table: str, asked: Asked, key: str, rows: pl.DataFrame) -> Made:
        name = file_name(table, asked.number, table)
        rows.write_parquet(self.staging / name, compression="zstd", statistics=False)
        city, year = asked.place
        about = {"city": city, "plan_year": year, "kind": table, "key": key}
        return {"files": [{"table": table, "name": name, "rows": rows.height, **about}]}

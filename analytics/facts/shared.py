"""Who is found in several cities in one year: somebody who moved, a family that lives in two places. Within one city and year
everybody is one row. Facts stay cut by city, since each city's fund paid its own; a question over several cities reads this to
count everybody once. A year without any has no file.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import duckdb

from analytics.facts.jobs import Made, Row, query, ranges
from analytics.store import FORMAT, literal, parquet


def years(files: Iterable[Row]) -> dict[str, tuple[int, list[str]]]:
    """By key (equal keys: equal content): each year that several cities have persons in, with their files."""
    found: dict[int, list[Row]] = defaultdict(list)
    for file in files:
        if file["table"] == "person_year":
            found[file["plan_year"]].append(file)
    several = {year: sorted(rows, key=lambda f: f["name"]) for year, rows in found.items() if len(rows) > 1}
    return {
        hashlib.sha256(repr(["shared", year, [f["key"] for f in rows]]).encode()).hexdigest(): (
            year,
            [f["name"] for f in rows],
        )
        for year, rows in sorted(several.items())
    }


def shared(con: duckdb.DuckDBPyConnection, staging: Path, key: str, year: int, names: Iterable[str]) -> Made:
    """The file of one year, and what the manifest says of it."""
    files = parquet([staging / name for name in names])
    ((rows,),) = con.execute(f"SELECT count(*) FROM {files}").fetchall()
    for number, (first, last) in enumerate(ranges(rows)):
        found = query("shared").fill(person_year=files, first=str(first), last=str(last))
        con.execute(("INSERT INTO shared " if number else "CREATE TEMP TABLE shared AS ") + found).fetchall()
    ((rows, persons, households),) = con.execute(
        "SELECT count(*), (SELECT count(*) FROM (SELECT person_key FROM shared GROUP BY ALL HAVING min(city) <> max(city))), "
        "count(DISTINCT household_key) FILTER (is_linked) FROM shared"
    ).fetchall()
    file = {"table": "shared", "name": f"shared-{year}.parquet", "rows": rows, "key": key, "kind": "claims"}
    if rows:
        con.execute(
            f"COPY (FROM shared ORDER BY ALL) TO {literal(staging / file['name'])} ({FORMAT})"
        ).fetchall()
    told = {"plan_year": year, "rows": rows, "persons": persons, "households": households, "key": key}
    return {"files": [file] if rows else [], "shared": [told]}

"""A snapshot of any size, for benchmarks of those who read: the facts of a small sample, repeated under new keys into 42 city-years.

.venv/bin/python tests/benchmarks/grown.py FOLDER --rows 10000000
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from analytics import verbs
from analytics.measures import made_by
from analytics.measures import prepared as answered
from analytics.store import FACTS_FORMAT, Folder, Store, literal, parquet
from analytics.tiers import TIERS

CITIES = ("zhanjiang", "zhuhai", "wenzhou", "zaozhuang", "weihai", "nanning", "mianyang")
YEARS = range(2020, 2026)
TABLES = ("person_year", "household_year", "policy_year", "claim")
PERSONS = 5000  # of a city in the sample that is repeated
AFTER = {t.paid: t.after for t in TIERS}
OF_HOME = ("income_fen", "consumption_fen", "food_fen", "housing_fen")


def grown(folder: Path, rows: int, prepared: int = 3) -> Folder:
    """A sealed snapshot in `folder` with about `rows` person-years (two fifths as many household-years), the first `prepared` city-years
    with prepared answers; taken as it is where it was made before. Every copied household's amounts are scaled by a factor of its own (0.5 to 1.5),
    incomes by another, rounded down, so no two copies are alike; what the tiers pay still adds up.
    """
    store = Store(folder / f"grown-{rows}-{prepared}")
    if store.is_published:
        return store.current()
    seed = Store(folder / "seed")
    if not seed.is_published:
        verbs.sample(seed.path, persons=PERSONS, cities=list(CITIES), years=[2023], seed=1)
    base = seed.current()
    codes = sorted({p.city for p in base.partitions("person_year") if p.city})
    copies = max(1, round(rows / (PERSONS * len(codes) * len(YEARS))))
    with store.building() as staging:
        con = duckdb.connect(config={"threads": 2, "preserve_insertion_order": "true"})
        facts = {k: v for k, v in base.manifest.items() if k not in ("files", "protected_by", "protection")}
        facts["plans"] = [{**p, "plan_year": year} for p in base.manifest["plans"] for year in YEARS]
        facts["prepared_by"] = made_by()
        files: list[dict[str, Any]] = []
        spent = 0.0
        for number, (code, year) in enumerate(((c, y) for c in codes for y in YEARS), 1):
            paths: dict[str, list[Path]] = {}
            for table in TABLES:
                source = [p.path for p in base.partitions(table) if p.city == code]
                name = f"{table}-{number:05d}.parquet"
                target = staging / name
                n = _copied(con, source, target, year, copies)
                paths[table] = [target]
                files.append({"table": table, "name": name, "rows": n, "city": code, "plan_year": year})
            if number > prepared:
                continue
            began = time.process_time()
            answers = answered((code, year), paths, facts)
            spent += time.process_time() - began
            name = f"cube-{number:05d}.parquet"
            answers.write_parquet(staging / name, compression="zstd", statistics=False)
            files.append(
                {"table": "cube", "name": name, "rows": answers.height, "city": code, "plan_year": year}
            )
        facts["prepared_cpu_seconds"] = round(spent, 2)
        snapshot = store.seal("snapshots", staging, files, facts)
        store.publish(snapshot)
    return snapshot


def _copied(
    con: duckdb.DuckDBPyConnection, source: Sequence[Path], target: Path, year: int, copies: int
) -> int:
    """One fact file of so many copies; how many rows it holds."""
    read = parquet(source)
    types = {name: kind for name, kind, *_ in con.execute(f"DESCRIBE SELECT * FROM {read}").fetchall()}
    home = "coalesce(household_key, person_key)" if "person_key" in types else "household_key"
    change = {"plan_year": f"{year}::INTEGER AS plan_year"}
    for key in ("person_key", "household_key"):
        if key in types:
            change[key] = (
                f"CASE WHEN {key} IS NOT NULL THEN (hash({key}, c, {year}) >> 1)::BIGINT END AS {key}"
            )
    for name in types:
        if name.endswith("_fen") and name not in ("policy_line_fen", "premium_fen"):
            by = "g" if name in OF_HOME else "f"
            grows = f"{name} * {by} // 1000"
            if (
                after := AFTER.get(name)
            ) in types:  # what was owed before less what is owed after, to the fen
                grows = f"({name} + {after}) * {by} // 1000 - {after} * {by} // 1000"
            change[name] = f"({grows})::{types[name]} AS {name}"
    order = "household_key, person_key" if "person_key" in types else "household_key"
    con.execute(
        f"COPY (SELECT * EXCLUDE (c, f, g) REPLACE ({', '.join(change.values())}) FROM ("
        f"SELECT *, (500 + hash({home}, c, {year}, 1) % 1001)::BIGINT AS f, (500 + hash({home}, c, {year}, 2) % 1001)::BIGINT AS g "
        f"FROM {read}, range({copies}) AS r(c)) ORDER BY {order}) TO {literal(target)} ({FACTS_FORMAT})"
    ).fetchall()
    return int(con.execute(f"SELECT count(*) FROM {parquet([target])}").fetchall()[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--prepared", type=int, default=3)
    args = parser.parse_args()
    began = time.perf_counter()
    snapshot = grown(args.folder, args.rows, args.prepared)
    rows = {t: sum(p.rows for p in snapshot.partitions(t)) for t in (*TABLES, "cube")}
    size = {t: sum(p.path.stat().st_size for p in snapshot.partitions(t)) for t in (*TABLES, "cube")}
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "prepared_cpu": snapshot.manifest["prepared_cpu_seconds"],
                "rows": rows,
                "bytes": size,
            }
        )
    )


if __name__ == "__main__":
    main()

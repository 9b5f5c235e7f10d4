"""A store of any size without ingesting it: one small drawn delivery is ingested, its canonical rows are repeated under new
keys with other amounts, and sealed in the order and form ingest gives them.

Seven cities, six plan years, five settlements an insured person and year, four of five insured are patients.
"""

import json
import subprocess
import sys
from pathlib import Path

import duckdb

from analytics.intake.contract import contract
from analytics.store import FORMAT, Folder, Store, literal, parquet

PERSONS = 6000  # of each city in the drawn delivery
COPIES = 6  # of a settlement that one group of persons has, spread over three persons
SETTLED, CITIES, YEARS = 211_000, 7, 6  # settlements of the drawn delivery, about, with its sixth year
_DRAW = """
import sys
from pathlib import Path
from analytics import verbs
from analytics.synthetic import write_delivery
folder = Path(sys.argv[1])
for table, files in write_delivery(folder / "drawn", persons=int(sys.argv[2]), seed=1).items():
    verbs.ingest(folder / "store", files, table)
"""


def drawn(folder: Path) -> Store:
    """The small store everything is repeated from; made once."""
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-c", _DRAW, str(folder), str(PERSONS)], check=True)
        (folder / "done").touch()
    return Store(folder / "store")


class Scaled:
    """Repeats a small store to `rows` settlements below `folder`."""

    def __init__(self, folder: Path, rows: int, *, cities: int = CITIES, years: int = YEARS) -> None:
        self.folder, self.rows, self.cities, self.years = folder, rows, cities, years
        seed = drawn(folder.parent / "seed")
        self.parts = [p for d in seed.deliveries() for p in d.partitions()]
        self.copies = max(1, round(rows / (SETTLED * cities * years / CITIES / YEARS)))
        self.groups = -(-self.copies // COPIES)
        self.con = duckdb.connect(
            config={"threads": 2, "memory_limit": "6GB", "temp_directory": str(folder) + "-spill"}
        )
        self.places = sorted({(p.city, p.plan_year) for p in self.parts if p.table == "settlement"})

    def make(self) -> Store:
        """The store; made once for these numbers."""
        store = Store(self.folder / f"store-{self.rows}-{self.cities}x{self.years}")
        if (store.path / "done").exists():
            return store
        store.path.mkdir(parents=True, exist_ok=True)
        self._who()
        for table in (
            "household_member",
            "person",
            "household_economy",
            "enrolment",
            "commercial_claim",
            "settlement",
        ):
            self._deliver(store, table)
        (store.path / "done").touch()
        return store

    def _who(self) -> None:
        """Persons of each city by number, so that a copy of a settlement can be another person's."""
        rows = parquet(p.path for p in self.parts if p.table == "enrolment")
        self.con.execute(
            f"CREATE TABLE one AS SELECT *, count(*) OVER (PARTITION BY city) AS n, row_number() OVER (PARTITION BY city ORDER BY person_key) - 1 AS i "
            f"FROM (SELECT DISTINCT city, person_key FROM {rows})"
        ).fetchall()
        self.con.execute(
            "CREATE TABLE who AS SELECT one.person_key, j::BIGINT AS j, other.person_key AS other FROM "
            f"(SELECT *, unnest(range({COPIES // 2})) AS j FROM one) AS one JOIN one AS other ON other.city = one.city AND other.i = (one.i + j * 1999) % one.n"
        ).fetchall()

    def _deliver(self, store: Store, table: str) -> Folder:
        files = []
        with store.building() as staging:
            for number, (city, year) in enumerate(self._cells(table), 1):
                name = f"{table}-{number:05d}.parquet"
                (rows,) = self._copy(table, city, year, staging / name)
                place = {"city": city, "plan_year": year}
                files.append(
                    {"table": table, "name": name, "rows": rows, **{k: v for k, v in place.items() if v}}
                )
                if table == "settlement" and self._files("settlement_undone", city, year):
                    name = f"settlement_undone-{number:05d}.parquet"
                    (rows,) = self._copy("settlement_undone", city, year, staging / name)
                    files.append({"table": "settlement_undone", "name": name, "rows": rows, **place})
            told = {
                "table": table,
                "rows_loaded": sum(f["rows"] for f in files),
                "synthetic": True,
                "key": {"id": "bench"},
            }
            return store.seal("deliveries", staging, files, told)

    def _cells(self, table: str) -> list[tuple[str | None, int | None]]:
        cities = sorted({city for city, _ in self.places if city})[: self.cities]
        years = [2025 - n for n in range(self.years)]
        if table in ("settlement", "commercial_claim"):
            held = {(p.city, p.plan_year) for p in self.parts if p.table == table}
            return [(c, y) for c in cities for y in sorted(years) if (c, max(y, 2021)) in held]
        return [(c, None) for c in cities] if table == "enrolment" else [(None, None)]

    def _copy(self, table: str, city: str | None, year: int | None, target: Path) -> list[int]:
        done = self.con.execute(
            f"COPY ({self._select(table, city, year)}) TO {literal(target)} ({FORMAT})"
        ).fetchall()
        return [done[0][0]]

    def _files(self, table: str, city: str | None, year: int | None) -> list[Path]:
        """What is drawn of a place; the year before the first one drawn is like that."""
        place = city, max(year, 2021) if year else None
        return [p.path for p in self.parts if p.table == table and (p.city, p.plan_year) == place]

    def _select(self, table: str, city: str | None, year: int | None) -> str:
        """Rows of one file. Each group `g` of copies is a population of its own."""
        paths = self._files(table, city, year)
        if table in ("settlement", "commercial_claim"):
            return self._events(table, paths, year)
        if table == "settlement_undone":
            named = "setl_id || '-' || c AS setl_id, by_setl_id || '-' || c AS by_setl_id"
            money = self._money(list(contract("settlement").money), "setl_id")
            rows = f"SELECT * REPLACE ({named}, (by_plan_year - {max(year or 0, 2021)} + {year})::INTEGER AS by_plan_year) FROM {parquet(paths)}, range({self.copies}) t(c)"
            # a row may be undone by one of another year, whose amounts were made otherwise: those of a full refund are not read
            return f"SELECT * REPLACE ({money}) FROM ({rows}) ORDER BY setl_id, updt_time, kind, by_setl_id"
        key = {"person_key": _key("person_key, g"), "household_key": _key("household_key, g")}
        columns = contract(table).stored
        named = ", ".join(f"{text} AS {name}" for name, text in key.items() if name in columns)
        rows = f"SELECT * REPLACE ({named}) FROM {parquet(paths)}, range({self.groups}) t(g)"
        if table == "household_economy":
            rows += f" UNION ALL SELECT * REPLACE ({named}, 2020::INTEGER AS year) FROM {parquet(paths)}, range({self.groups}) t(g) WHERE year = 2021"
        if table == "enrolment":
            back = "(start_date - INTERVAL 1 YEAR)::DATE AS start_date, (end_date - INTERVAL 1 YEAR)::DATE AS end_date"
            rows += f" UNION ALL SELECT * REPLACE ({named}, {back}) FROM {parquet(paths)}, range({self.groups}) t(g) WHERE year(start_date) = 2021"
        return f"SELECT * FROM ({rows}) ORDER BY {', '.join(contract(table).order)}"

    def _events(self, table: str, paths: list[Path], year: int | None) -> str:
        rules = contract(table)
        names = [c for c in ("setl_id", "init_setl_id", "mdtrt_id", "claim_id") if c in rules.stored]
        ids = ", ".join(f"{n} || '-' || c AS {n}" for n in names)
        moved = (", ".join(f"(one.{n} - INTERVAL {2021 - (year or 0)} YEAR)::{kind} AS {n}" for n, kind in rules.stored.items() if kind in ("DATE", "TIMESTAMP")) + ", ") if (year or 2021) < 2021 else ""  # fmt: skip
        rows = (
            f"SELECT one.* REPLACE ({ids}, {moved}{year}::INTEGER AS plan_year, {_key(f'other, c // {COPIES}')} AS person_key) "
            f"FROM (SELECT *, unnest(range({self.copies})) AS c FROM {parquet(paths)}) AS one "
            f"JOIN who ON who.person_key = one.person_key AND j = (c % {COPIES}) // 2"
        )
        order = ", ".join((*rules.order, names[0]))
        return f"SELECT * EXCLUDE (c) REPLACE ({self._money(list(rules.money), 'setl_id')}) FROM ({rows}) ORDER BY {order}"

    def _money(self, names: list[str], of: str) -> str:
        """Other amounts for every copy: between 0.9 and 1.1 of what was drawn, in one proportion."""
        kinds = contract("settlement").stored | contract("commercial_claim").stored
        return ", ".join(
            f"({n}::BIGINT * (90000 + (hash({of}) % 20000)::BIGINT) // 100000)::{kinds[n]} AS {n}"
            for n in names
        )


def _key(of: str) -> str:
    """A key that is spread over all 64 bits, as pseudonyms are."""
    return f"(hash({of})::HUGEINT - {2**63})::BIGINT"


def main() -> None:
    folder, rows = Path(sys.argv[1]), int(sys.argv[2])
    cities, years = (int(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 4 else (CITIES, YEARS)
    store = Scaled(folder / "scaled", rows, cities=cities, years=years).make()
    parts = [p for d in store.deliveries() for p in d.partitions()]
    print(
        json.dumps(
            {
                "rows": sum(p.rows for p in parts if p.table == "settlement"),
                "mb": sum(p.path.stat().st_size for p in parts) / 1e6,
            }
        )
    )


if __name__ == "__main__":
    main()

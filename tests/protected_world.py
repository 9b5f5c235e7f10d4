"""What tests of protected tables share: the truth behind a city-year's tables, and what an attacker has."""

import numpy as np
import polars as pl

from analytics.release import policy
from analytics.release.attack import Seen
from analytics.release.lattice import Lattice, lattice
from analytics.release.system import Flags, primary
from analytics.release.tables import as_seen, printed
from analytics.store import Folder

K = 11  # 1 to 10 are hidden
Place = tuple[str, int]


def of(snapshot: Folder, place: Place) -> tuple[Lattice, pl.DataFrame]:
    """The lattice of a city-year with the truth in it, and its protected tables."""
    files = {p.table: p.path for p in snapshot.partitions() if (p.city, p.plan_year) == place}
    order = next(p["order"] for p in snapshot.manifest["plans"] if (p["city"], p["plan_year"]) == place)
    return lattice(pl.read_parquet(files["cube"]), order), pl.read_parquet(files["protected"])


def where(place: Place) -> dict[str, list[str | int]]:
    return {"city": [place[0]], "plan_year": [place[1]]}


def view(cells: Lattice, rows: pl.DataFrame) -> Seen:
    """What an attacker has: the structure, and what the file prints."""
    return as_seen(cells, printed(cells, rows), policy())


def primary_only(cells: Lattice) -> Flags:
    """Small cells hidden, and nothing to protect them."""
    told = {name for one in cells.rows for name in one.made_of}
    return primary(cells.system, policy()) | np.array([name not in told for name in cells.system.names])

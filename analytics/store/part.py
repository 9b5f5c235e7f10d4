"""A snapshot as those see it who may see some cities: their files, and nothing of the others."""

import tempfile
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from analytics.store.snapshot import Damaged, Folder, Partition, sha256_of

_OWN = ("files", "plans", "checks", "links", "policy_lines")  # of the manifest: rows of one city each
_NAMED = ("id", "table")  # of a delivery, which may hold several cities: all that is told
# Of protection: whose tables are withheld, not how they were undone.
_WITHHELD = ("city", "plan_year", "withheld")
# From Python 3.12 on a cached_property may be made twice; a file written for the first would go with its folder.
_making = threading.RLock()


@dataclass(frozen=True)
class Part(Folder):
    """The part of a snapshot about `cities`. Its manifest names no other; of the persons found in several cities it holds those
    found in several of these, in a file of its own.
    """

    cities: frozenset[str] = frozenset()

    @property
    def manifest(self) -> dict[str, Any]:
        """As Folder.manifest, without everything that is not about these cities alone."""
        with _making:
            return self._manifest

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        whole = Folder(self.path).manifest
        kept = {k: v for k, v in whole.items() if not isinstance(v, list) or k in ("facts", "shared")}
        kept |= {k: [row for row in whole[k] if row.get("city") in self.cities] for k in _OWN if k in whole}
        kept["deliveries"] = [{name: d[name] for name in _NAMED} for d in whole.get("deliveries", [])]
        kept["protection"] = [
            {name: row[name] for name in _WITHHELD}
            for row in whole.get("protection", [])
            if "withheld" in row and row["city"] in self.cities
        ]
        kept["files"] += self._several(whole)
        if "shared" in kept:
            kept["shared"] = []
        return kept

    @cached_property
    def _own(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="jianfu-part-")

    def _several(self, whole: dict[str, Any]) -> list[dict[str, Any]]:
        """Rows of persons found in several of these cities, written out; a row of another city is not handed on."""
        if len(self.cities) < 2:
            return []
        import polars as pl  # not before: the gate's child starts without

        found = []
        for file in (f for f in whole["files"] if f["table"] == "shared"):
            path = self.path / file["name"]
            Partition("shared", path, file["sha256"], file["rows"], None, None).check()
            rows = pl.read_parquet(path).filter(pl.col("city").cast(pl.String).is_in(sorted(self.cities)))
            if rows.is_empty():
                continue
            own = Path(self._own.name) / file["name"]
            rows.write_parquet(own)
            # An absolute name: joined to the snapshot's folder it stays what it is.
            found.append({**file, "name": str(own), "rows": rows.height, "sha256": sha256_of(own)})
        return found

    def damage(self) -> list[str]:
        """As Folder.damage, of these files only."""
        try:
            return [line for part in self.partitions() if (line := part.damage)]
        except Damaged as error:
            return [str(error)]


@dataclass(frozen=True)
class Place(Folder):
    """The part of a snapshot about one city and plan year. Its manifest is that of the whole."""

    city: str = ""
    plan_year: int = 0

    def partitions(self, table: str | None = None) -> list[Partition]:
        """Files of the place."""
        return [p for p in super().partitions(table) if (p.city, p.plan_year) == (self.city, self.plan_year)]

    def damage(self) -> list[str]:
        """As Folder.damage, of these files only."""
        return [line for part in self.partitions() if (line := part.damage)]

    def check(self, table: str | None = None) -> None:
        """As Folder.check, of these files, or those of a table."""
        for part in self.partitions(table):
            part.check()

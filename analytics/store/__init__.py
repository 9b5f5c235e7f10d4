"""Where data lies and runs: immutable snapshots published by one rename, and DuckDB opened in one locked way."""

from analytics.store.engine import Column, Engine, QueryTimeout, check_settings, closed, seconds_of, workbench
from analytics.store.part import Part, Place
from analytics.store.snapshot import DAMAGE, Busy, Damaged, Folder, NotBuilt, Partition, Store, sha256_of
from analytics.store.sql import FACTS_FORMAT, FORMAT, Query, banded, literal, parquet

__all__ = [
    "DAMAGE",
    "FACTS_FORMAT",
    "FORMAT",
    "Busy",
    "Column",
    "Damaged",
    "Engine",
    "Folder",
    "NotBuilt",
    "Part",
    "Partition",
    "Place",
    "Query",
    "QueryTimeout",
    "Store",
    "banded",
    "check_settings",
    "closed",
    "literal",
    "parquet",
    "seconds_of",
    "sha256_of",
    "workbench",
]

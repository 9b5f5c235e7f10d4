"""Where data lies and runs: immutable snapshots published by one rename, and DuckDB opened in one locked way."""

from analytics.store.engine import Engine, QueryTimeout, closed, workbench
from analytics.store.snapshot import Busy, Damaged, Folder, NotBuilt, Partition, Store, sha256_of
from analytics.store.sql import FORMAT, Query, literal, parquet

__all__ = [
    "FORMAT",
    "Busy",
    "Damaged",
    "Engine",
    "Folder",
    "NotBuilt",
    "Partition",
    "Query",
    "QueryTimeout",
    "Store",
    "closed",
    "literal",
    "parquet",
    "sha256_of",
    "workbench",
]

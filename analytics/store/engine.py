"""DuckDB, opened in one fixed order and locked: exact files only, no extensions, memory and time limits."""

import math
import os
import re
import shutil
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache, partial
from itertools import count
from multiprocessing import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from analytics.store.sql import parquet
from analytics.store.watch import limited

if TYPE_CHECKING:
    import polars as pl

SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "preserve_insertion_order": "true",
}
MEMORY = os.environ.get("JIANFU_MEMORY", "2GB")
SPILL = os.environ.get("JIANFU_SPILL", "10GB")  # most that questions may put aside on disk
THREADS = 2  # of one question, unless JIANFU_THREADS says otherwise
_NUMBERS = count()
_PARSED = 300  # texts of questions whose parsed form is kept: up to a tenth of a megabyte each
# A copy of the rows costs less than to plan the question once more.
warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)
FileTrouble = duckdb.IOException  # a file DuckDB cannot read or write
OutOfMemory = duckdb.OutOfMemoryException  # more than MEMORY, or than SPILL beside it
_AMOUNT = re.compile(
    r"0*[1-9][0-9]*(\.[0-9]+)? *([kmgt]i?b|b|%)|0*\.[0-9]*[1-9][0-9]* *([mgt]i?b|%)", re.IGNORECASE
)


def seconds_of(name: str, default: float) -> float:
    """Seconds set in the environment. Raises ValueError for what is no time."""
    text = os.environ.get(name, "")
    try:
        seconds = float(text or default)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise ValueError(f"{name}={text}: write seconds as a number above 0, such as {default:g}")
    return seconds


def count_of(name: str, default: int) -> int:
    """A number of workers or threads set in the environment. Raises ValueError for what is none."""
    text = os.environ.get(name, "").strip() or str(default)
    if not re.fullmatch("0*[1-9][0-9]{0,3}", text):
        raise ValueError(f"{name}={text}: write a whole number from 1 to 9999, such as {default}")
    return int(text)


def check_settings() -> None:
    """Raises ValueError where the environment sets a limit that is none: what is set, and what to write."""
    seconds_of("JIANFU_QUERY_SECONDS", 60)
    seconds_of("JIANFU_INTAKE_SECONDS", 18)
    seconds_of("JIANFU_SPARK_SECONDS", 30)
    count_of("JIANFU_WORKERS", 2)
    count_of("JIANFU_THREADS", THREADS)
    if not _AMOUNT.fullmatch(MEMORY.strip()):
        raise ValueError(f"JIANFU_MEMORY={MEMORY}: write an amount with its unit, such as 2GB or 512MB")
    if not _AMOUNT.fullmatch(SPILL.strip()):
        raise ValueError(f"JIANFU_SPILL={SPILL}: write an amount with its unit, such as 10GB")


try:
    SECONDS = seconds_of("JIANFU_QUERY_SECONDS", 60)
except ValueError:  # told by check_settings() to whoever starts something
    SECONDS = 60


class Column(NamedTuple):
    """What is known of a column without reading it: whether all of it is NULL, none of it, and its bounds where it has any."""

    empty: bool
    filled: bool
    low: float | None
    high: float | None


class QueryTimeout(RuntimeError):
    """A query passed its time limit and was interrupted; the connection lives on."""


def workbench(
    *, read: Sequence[Path], write: Path, threads: int = 1, memory: str = MEMORY, aside: str = "spill"
) -> duckdb.DuckDBPyConnection:
    """A connection for building: reads `read` (files), reads and writes below `write`, nothing else; one thread by
    default, so that what it writes is byte-identical from run to run. `aside`: folder there for what memory does not hold, of
    this connection alone.
    """
    check_settings()
    con = duckdb.connect(":memory:", config={**SETTINGS, "threads": str(threads), "memory_limit": memory})
    con.execute("SET temp_directory = ?", [str(write / aside)]).fetchall()
    con.execute("SET allowed_directories = ?", [[str(write)]]).fetchall()
    con.execute("SET enable_progress_bar = true").fetchall()  # so that query_progress() tells
    con.execute("SET enable_progress_bar_print = false").fetchall()
    return _lock(con, read)


def closed(threads: int = 1) -> duckdb.DuckDBPyConnection:
    """A connection that opens no file at all: SQL over rows it is handed."""
    con = duckdb.connect(":memory:", config={**SETTINGS, "threads": str(threads)})
    con.execute("SET temp_directory = ''").fetchall()
    return _lock(con, [])


def _lock(con: duckdb.DuckDBPyConnection, read: Sequence[Path]) -> duckdb.DuckDBPyConnection:
    con.execute("SET allowed_paths = ?", [[str(path) for path in read]]).fetchall()
    con.execute("SET enable_external_access = false").fetchall()
    con.execute("SET lock_configuration = true").fetchall()
    return con


@cache
def _spill(process: int) -> Path:
    """Where a process puts aside what memory does not hold: a folder of its own that nobody else may open."""
    folder = Path(tempfile.mkdtemp(prefix="jianfu_spill-"))
    # Not atexit: a worker of a pool ends without it.
    util.Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=0)
    return folder


class Engine:
    """Questions over the tables of one snapshot; a fresh cursor for every query, safe across threads.

    A question is one SELECT: the lock of DuckDB keeps other files closed but lets COPY and ATTACH write to those that are
    open, so what is no SELECT is not run at all.
    """

    def __init__(
        self,
        tables: Mapping[str, Sequence[Path]],
        *,
        also: Sequence[Path] = (),
        threads: int | None = None,
        memory: str = MEMORY,
    ) -> None:
        """`tables`: table name -> its exact Parquet files; each becomes a view of that name. `also`: files that may be read;
        `threads`: else JIANFU_THREADS, else two.
        """
        check_settings()
        threads = threads or count_of("JIANFU_THREADS", THREADS)
        files = [path for paths in tables.values() for path in paths]
        self._con = duckdb.connect(
            ":memory:", config={**SETTINGS, "threads": str(threads), "memory_limit": memory}
        )
        aside = _spill(os.getpid()) / str(next(_NUMBERS))
        self._con.execute("SET temp_directory = ?", [str(aside)]).fetchall()
        self._con.execute("SET max_temp_directory_size = ?", [SPILL]).fetchall()
        _lock(self._con, [*files, *also])
        self._files: dict[str, list[str]] = {}
        self._naming = threading.Lock()
        # To parse a text takes a fifth of the time of a small question.
        self._parsed = lru_cache(_PARSED)(partial(_question, self._con))
        for name, paths in tables.items():
            self.view(name, paths)

    def view(self, name: str, paths: Sequence[Path]) -> None:
        """Give some of the files a name; a name that is known stays what it is. `<name>_by_file` has a column more: `file`, a number."""
        with self._naming:
            if name not in self._files:
                read = parquet(paths)
                self._con.cursor().execute(f'CREATE VIEW "{name}" AS SELECT * FROM {read}').fetchall()
                more = f'CREATE VIEW "{name}_by_file" AS SELECT *, file_index AS file FROM {read}'
                self._con.cursor().execute(more).fetchall()
                self._files[name] = [str(path) for path in paths]

    def ask(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, seconds: float = SECONDS
    ) -> "pl.DataFrame":
        """Rows of one SELECT. Raises QueryTimeout past `seconds`, duckdb.Error for a wrong query."""
        import polars as pl  # not before: the gate's child starts without

        with self._cursor(seconds) as cursor:
            # Not cursor.sql(), which plans a question twice: once for the columns, once to run it.
            rows = cursor.execute(self._parsed(sql), dict(parameters or {})).to_arrow_reader()
            return pl.DataFrame(rows)

    def told(self, table: str) -> dict[str, dict[str, Column]]:
        """What the footers of a table's files tell of its columns, by file."""
        if not (files := self._files.get(table)):
            return {}
        rows = self.ask(
            "SELECT file_name, path_in_schema, bool_and(coalesce(stats_null_count = num_values, false)) AS empty, "
            "bool_and(coalesce(stats_null_count = 0, false)) AS filled, "
            "bool_and(coalesce(stats_null_count = num_values, false) OR (low IS NOT NULL AND high IS NOT NULL)) AS bounded, "
            "CASE WHEN bounded THEN min(low) END AS low, CASE WHEN bounded THEN max(high) END AS high "
            "FROM (SELECT *, TRY_CAST(stats_min_value AS DOUBLE) AS low, TRY_CAST(stats_max_value AS DOUBLE) AS high FROM parquet_metadata($files)) "
            "GROUP BY file_name, path_in_schema ORDER BY file_name, min(column_id)",
            {"files": files},
        )
        found: dict[str, dict[str, Column]] = {}
        for file, name, empty, filled, _, low, high in rows.iter_rows():
            found.setdefault(file, {})[name] = Column(empty, filled, low, high)
        return found

    def keep(self, name: str, sql: str, *, kind: str = "TABLE", seconds: float = SECONDS) -> None:
        """Hold the rows of a SELECT in memory under a name (`kind` VIEW: its text only). Raises as `ask` does."""
        with self._cursor(seconds) as cursor:
            self._parsed(sql)
            cursor.execute(f"CREATE OR REPLACE {kind} {name} AS {sql}").fetchall()

    def hold(self, name: str, rows: "pl.DataFrame") -> None:
        """Hold rows made in memory under a name."""
        with self._cursor(SECONDS) as cursor:
            cursor.register("given", rows)
            cursor.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM given").fetchall()
            cursor.unregister("given")

    def drop(self, name: str, kind: str = "TABLE") -> None:
        """Let go of what is held."""
        with self._cursor(SECONDS) as cursor:
            cursor.execute(f"DROP {kind} IF EXISTS {name}").fetchall()

    @contextmanager
    def _cursor(self, seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._con.cursor() as cursor:
            try:
                with limited(cursor.interrupt, seconds):
                    yield cursor
            except duckdb.InterruptException as error:
                raise QueryTimeout(
                    f"query stopped after {seconds:g} s; narrow the question (fewer cities or years)"
                ) from error


def _question(con: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    with con.cursor() as cursor:
        statements = cursor.extract_statements(sql)
    with suppress(ValueError):  # of a kind the library has no name for
        if len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT:
            return statements[0]
    raise duckdb.PermissionException("a question is one SELECT; other statements are disabled here")

"""Ways out of DuckDB, tried as somebody without rights: `python escapes.py WHO FOLDER [UID]` prints what came of each as JSON.

WHO: `default` (a connection with nothing set), `ask` (a question to an Engine), `raw` (the Engine's connection itself),
`workbench` (the connection that builds). Imports come before the rights go, so that the program may lie where it likes.
"""

import json
import os
import sys
import zoneinfo  # noqa: F401 - DuckDB asks for it later
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from analytics.store import Engine, workbench

variable = pa.table({"a": [1]})  # what a SELECT may not see

READ = {
    "a file outside": "SELECT * FROM read_parquet('{out}/other.parquet')",
    "a file named in FROM": "SELECT * FROM '{out}/other.parquet'",
    "two dots": "SELECT * FROM read_parquet('{in}/../out/other.parquet')",
    "a link to a file": "SELECT * FROM read_parquet('{in}/link.parquet')",
    "a link to a folder": "SELECT * FROM read_parquet('{in}/there/other.parquet')",
    "a name that begins like ours": "SELECT * FROM read_parquet('{in}/ours.parquet.parquet')",
    "a folder that begins like ours": "SELECT * FROM read_parquet('{in}_evil/other.parquet')",
    "a pattern over neighbours": "SELECT * FROM read_parquet('{out}/*.parquet')",
    "names of files": "SELECT * FROM glob('{out}/*')",
    "passwd as a table": "SELECT * FROM read_csv('/etc/passwd', sep = '|', header = false)",
    "passwd as text": "SELECT content FROM read_text('/etc/passwd')",
    "passwd as bytes": "SELECT content FROM read_blob('/etc/passwd')",
    "passwd guessed at": "SELECT * FROM sniff_csv('/etc/passwd', delim = '|', header = false)",
    "lines of JSON": "SELECT * FROM read_json('{out}/other.json')",
    "a footer": "SELECT * FROM parquet_metadata('{out}/other.parquet')",
    "a footer's file part": "SELECT * FROM parquet_file_metadata('{out}/other.parquet')",
    "a schema": "SELECT * FROM parquet_schema('{out}/other.parquet')",
    "a footer's notes": "SELECT * FROM parquet_kv_metadata('{out}/other.parquet')",
    "a query in a text": "SELECT * FROM query('SELECT content FROM read_text(''/etc/passwd'')')",
    "a variable of Python": "SELECT * FROM variable",
    "a view of a file outside": "CREATE VIEW peep AS SELECT content FROM read_text('/etc/passwd')",
    "a macro": "CREATE MACRO peep2() AS TABLE SELECT content FROM read_text('/etc/passwd')",
    "a prepared statement": "PREPARE peep3 AS SELECT content FROM read_text('/etc/passwd')",
    "a table filled": "CREATE TABLE taken AS SELECT content FROM read_text('/etc/passwd')",
    "COPY FROM": "COPY held FROM '{out}/other.csv'",
    "another database": "ATTACH '{out}/other.db' AS other (READ_ONLY)",
    "a database imported": "IMPORT DATABASE '{out}/exported'",
}
WRITE = {
    "COPY TO": "COPY held TO '{out}/new.csv'",
    "COPY TO, Parquet": "COPY held TO '{out}/new.parquet' (FORMAT parquet)",
    "COPY beside ours": "COPY held TO '{in}/new.csv'",
    "COPY over ours": "COPY held TO '{in}/ours.parquet' (FORMAT parquet)",
    "COPY into ours": "COPY held TO '{in}/ours.parquet' (FORMAT parquet, USE_TMP_FILE false)",
    "COPY by parts": "COPY (SELECT 1 AS a, 2 AS b) TO '{out}/parts' (FORMAT parquet, PARTITION_BY (a))",
    "a second statement": "SELECT 1; COPY held TO '{out}/second.csv'",
    "a new database": "ATTACH '{out}/new.db' AS fresh",
    "a database for ours": "ATTACH '{in}/ours.db' AS ours",
    "a database written out": "EXPORT DATABASE '{out}/again'",
    "profiling": "PRAGMA enable_profiling = 'json'",
    "profiles to a file": "PRAGMA enable_profiling = 'json'; PRAGMA profiling_output = '{out}/profile.json'",
    "a log": "CALL enable_logging(storage = 'file', storage_config = {{'path': '{out}/log'}})",
}
SETTINGS = {
    "the lock": "SET lock_configuration = false",
    "the lock, for all": "SET GLOBAL lock_configuration = false",
    "the lock, as it was": "RESET lock_configuration",
    "the spill": "SET temp_directory = '{out}/spill'",
    "the spill, as it was": "RESET temp_directory",
    "the limit of memory": "PRAGMA memory_limit = '1TB'",
    "threads": "SET threads = 64",
    "variables of Python": "SET python_enable_replacements = true",
    "extensions by themselves": "SET autoinstall_known_extensions = true",
    "where extensions lie": "SET extension_directory = '{out}'",
    "where secrets lie": "SET secret_directory = '{out}'",
    "where home is": "SET home_directory = '{out}'",
    "the path of files": "SET file_search_path = '{out}'",
}
# These fail on a default connection too, where nothing can be fetched: no control, but must be refused all the same.
FETCH = {
    "INSTALL": "INSTALL httpfs",
    "INSTALL from a folder": "FORCE INSTALL '{out}/other.duckdb_extension'",
    "LOAD": "LOAD '{out}/other.duckdb_extension'",
    "UPDATE EXTENSIONS": "UPDATE EXTENSIONS",
    "the web": "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    "a bucket": "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "a secret that stays": "CREATE PERSISTENT SECRET s (TYPE s3, KEY_ID 'x')",
    "external access": "SET enable_external_access = true",
    "more files": "SET allowed_paths = ['{out}/other.parquet']",
    "more folders": "SET allowed_directories = ['{out}']",
}
CONTROLLED = {**READ, **WRITE, **SETTINGS}
EVERY = {**CONTROLLED, **FETCH}
# What a question may not do either, though the connection could: write where it puts aside what memory does not hold.
ASIDE = {
    "COPY into the spill": "COPY (SELECT 1) TO '{spill}/x.csv'",
    "a database in the spill": "ATTACH '{spill}/x.db' AS x",
}


def lay_out(folder: Path) -> None:
    """The files the ways lead to and from: `in` is what may be read, `out` is what may not."""
    inside, outside, evil = (folder / name for name in ("in", "out", "in_evil"))
    for place in (inside, outside, evil):
        place.mkdir()
    table = pa.table({"a": [1, 2]})
    for path in ("in/ours.parquet", "in/ours.parquet.parquet", "out/other.parquet", "in_evil/other.parquet"):
        pq.write_table(table, folder / path)
    (inside / "link.parquet").symlink_to(outside / "other.parquet")
    (inside / "there").symlink_to(outside)
    (outside / "other.csv").write_text("a\n1\n")
    (outside / "other.json").write_text('{"a": 1}\n')
    (outside / "other.duckdb_extension").write_bytes(b"x" * 600)
    with duckdb.connect(str(outside / "other.db")) as con:
        con.execute("CREATE TABLE a AS SELECT 1 AS a")
        con.execute(f"EXPORT DATABASE '{outside}/exported'")


def connection(who: str, folder: Path) -> tuple[Any, Any]:
    """What runs a statement, and what must be kept alive for it."""
    ours = folder / "in" / "ours.parquet"
    if who == "default":
        con = duckdb.connect()
    elif who == "workbench":
        con = workbench(read=[ours], write=folder / "write")
    else:
        engine = Engine({"ours": [ours]})
        if who == "ask":
            engine.hold("held", pl.DataFrame({"a": [1]}))
            return lambda sql: engine.ask(sql), engine
        con = engine._con.cursor()
    con.execute("CREATE TABLE held AS SELECT 1 AS a")
    return lambda sql: con.cursor().execute(sql).fetchall(), con


def main() -> None:
    who, folder = sys.argv[1], Path(sys.argv[2])
    if len(sys.argv) > 3:
        os.setgroups([])
        os.setgid(int(sys.argv[3]))
        os.setuid(int(sys.argv[3]))
    os.chdir(folder / "out")
    run, keep = connection(who, folder)
    places = {"in": folder / "in", "out": folder / "out"}
    ways = dict(EVERY)
    if who == "ask":
        aside = Path(keep.ask("SELECT current_setting('temp_directory')").item())
        aside.mkdir()
        places["spill"] = aside
        ways |= ASIDE
    told: dict[str, str] = {}
    answers = run("SELECT sum(a) FROM read_parquet('{}')".format(places["in"] / "ours.parquet"))
    for name, sql in ways.items():
        try:
            run(sql.format(**places))
            told[name] = ""
        except (duckdb.Error, OSError) as error:
            told[name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    print(json.dumps({"told": told, "answers": str(answers)}))


if __name__ == "__main__":
    main()

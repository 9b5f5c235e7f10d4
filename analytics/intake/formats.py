"""Opening a delivered file, in the child: which format and encoding it is, strictly, and what it holds.

Parquet is read where it lies; everything else is transcribed into Parquet with every column as text.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from operator import sub
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analytics.intake.gate import Refused
from analytics.store import parquet, workbench

CODECS = {"SNAPPY", "ZSTD", "LZ4", "LZ4_RAW", "GZIP", "UNCOMPRESSED"}
MOST_COLUMNS = 2000
LONGEST = 4096  # characters of a text
LONGEST_NAME = 200  # characters of a column name
MOST_CODES = 500  # different values of a column that are listed
UNFOLD, SMALL = 400, 64_000_000  # above SMALL bytes a file may unfold to so many times its size
SHORT, WIDE = 100_000, 64  # rows of a short file; bytes of a text longer than most
TINY, TINY_ROWS = 65_536, 200_000  # below TINY bytes a file may hold so many rows; above, two a byte
Say = Callable[..., None]


def refuse(path: Path, code: str, what: str) -> Refused:
    """A refusal of one line."""
    return Refused([f"{path.name}: {what} [{code}]"])


def open_file(path: Path, target: Path, known: Sequence[str], say: Say) -> dict[str, Any]:
    """Open one file: the fields of a Source but its digest; a transcription goes to `target`. Raises Refused."""
    with path.open("rb") as file:
        head = file.read(512)
    kind, start = path.suffix.lower(), head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        raise refuse(path, "empty", "holds nothing; deliver it again")
    if kind in {".parquet", ".pq"} or head[:4] == b"PAR1":
        return open_parquet(path, target)
    if head[:8] == bytes.fromhex("d0cf11e0a1b11ae1"):
        raise refuse(path, "format", "an old or password-protected Excel file; save it as .xlsx, no password")
    if head[:4] == b"PK\x03\x04" or kind == ".xlsx":
        from analytics.intake.sheets import open_sheet

        return open_sheet(path, target, known, say)
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<table")):
        raise refuse(path, "format", "a web page or XML under another name; save the table as .csv or .xlsx")
    if kind in {".jsonl", ".ndjson", ".json"} or (kind == ".txt" and start.startswith((b"{", b"["))):
        from analytics.intake.replies import open_replies

        return open_replies(path, target, say)
    if kind in {".csv", ".txt", ".tsv"}:
        from analytics.intake.delimited import open_csv

        return open_csv(path, target, say)
    raise refuse(path, "format", "of no known format; deliver .parquet, .csv, .xlsx or .jsonl")


def check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse column names that are too many, empty, endless, or the same but for case."""
    if len(names) > MOST_COLUMNS:
        raise refuse(
            path, "too_wide", f"has {len(names)} columns; deliver those needed, at most {MOST_COLUMNS}"
        )
    odd = sum(not n.strip() or len(n) > LONGEST_NAME or not n.isprintable() for n in names)
    if odd or not names:
        raise refuse(
            path, "header", f"{odd or 'all'} column names are empty or unreadable; name every column"
        )
    folded = [name.casefold() for name in names]
    if doubled := sorted({name for name in folded if folded.count(name) > 1}):
        what = "stands more than once in the header; keep one [doubled_column]"
        raise Refused([f"{path.name}: column {name} {what}" for name in doubled])


def too_long(path: Path, column: str) -> Refused:
    """A refusal of a column with an endless text."""
    return refuse(path, "long_text", f"column {column} has a text of over {LONGEST} characters; shorten it")


# --- Parquet


def open_parquet(path: Path, target: Path) -> dict[str, Any]:
    """Check footer, sizes, pages and texts of a Parquet file without unfolding it. Raises Refused."""
    size = path.stat().st_size
    with path.open("rb") as raw:
        head = raw.read(4)
        raw.seek(max(0, size - 4))
        tail = raw.read(4)
    if (head, tail) != (b"PAR1", b"PAR1"):
        what = "not a whole Parquet file (its first or last four bytes are wrong); deliver it again"
        raise refuse(path, "magic", what)
    try:
        schema, meta = pq.read_schema(path), pq.read_metadata(path)
        check_names(path, schema.names)
        _check_footer(path, size, schema, meta)
        texts = [meta.schema.column(i).physical_type == "BYTE_ARRAY" for i in range(meta.num_columns)]
        loose = _check_dictionaries(path, schema, meta, texts)
        if _has_crc(path, meta):
            _verify(path, schema, meta, texts)
    except MemoryError:
        raise
    except UnicodeError as error:
        raise refuse(path, "encoding", "its column names are no UTF-8; write it again") from error
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        what = f"cannot be read ({str(error)[:120].splitlines()[0]}); deliver it again"
        raise refuse(path, "footer", what) from error
    readable = path.resolve()
    if set("*?[]") & set(str(readable)):  # a reader would take these for a pattern
        try:
            os.link(readable, target)
        except OSError:
            shutil.copyfile(readable, target)
        readable = target
    columns = _described(path, readable, target.parent, size, loose)
    return {"readable": str(readable), "columns": columns, "rows": meta.num_rows, "format": "parquet"}


def _check_footer(path: Path, size: int, schema: pa.Schema, meta: pq.FileMetaData) -> None:
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested or meta.num_columns != len(schema.names):
        raise refuse(path, "nested", f"column {', '.join(nested)[:200]} is nested; deliver flat columns")
    if not meta.num_rows:
        raise refuse(path, "empty", "has no rows; deliver it again")
    if meta.num_rows != sum(meta.row_group(g).num_rows for g in range(meta.num_row_groups)):
        raise refuse(path, "footer", "the footer contradicts itself on the number of rows; deliver it again")
    chunks = [
        meta.row_group(g).column(c) for g in range(meta.num_row_groups) for c in range(meta.num_columns)
    ]
    if odd := {c.compression for c in chunks} - CODECS:
        raise refuse(
            path, "codec", f"compression {', '.join(sorted(odd))} is not accepted; use zstd or snappy"
        )
    unfolded = sum(c.total_uncompressed_size for c in chunks)
    if meta.num_rows > (TINY_ROWS if size < TINY else 2 * size) or unfolded > max(SMALL, UNFOLD * size):
        what = f"{size} bytes unfold to {meta.num_rows} rows of {unfolded} bytes; deliver a plain export"
        raise refuse(path, "unfolds", what)
    for c in chunks:
        if c.physical_type == "BYTE_ARRAY" and c.total_uncompressed_size > 5 * LONGEST * max(1, c.num_values):
            raise too_long(path, c.path_in_schema)


def _check_dictionaries(path: Path, schema: pa.Schema, meta: pq.FileMetaData, texts: list[bool]) -> list[str]:
    """Check every dictionary of text; names of the text columns of which every value must be looked at: all those of a
    short file, those with texts longer than most, and those that may unfold to much. (In the others an odd long text
    outside of a dictionary is left to the typing step.)
    """
    loose: dict[str, None] = {}
    file = pq.ParquetFile(
        path, read_dictionary=[n for n, text in zip(schema.names, texts, strict=True) if text]
    )
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        chunks = {n: group.column(i) for i, n in enumerate(schema.names) if texts[i]}
        short = meta.num_rows < SHORT
        loose |= {
            n: None for n, c in chunks.items() if short or c.total_uncompressed_size > WIDE * c.num_values
        }
        names = [n for n, c in chunks.items() if c.has_dictionary_page]
        if not names or not group.num_rows:
            continue
        # one row, and with it the whole dictionary of the row group
        batch = next(file.iter_batches(1, row_groups=[g], columns=names, use_threads=False))
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if pa.types.is_dictionary(column.type):
                values = column.dictionary
                _check_utf8(path, name, values)
                longest = _longest(values)
                if longest > LONGEST and max(map(len, values.to_pylist())) > LONGEST:
                    raise too_long(path, name)
                if longest * group.num_rows > SMALL:
                    loose[name] = None
    return list(loose)


def _check_utf8(path: Path, column: str, values: pa.Array) -> None:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid as error:
        raise refuse(
            path, "encoding", f"column {column} holds text that is no UTF-8; write it again"
        ) from error


def _longest(values: pa.Array) -> int:
    """Bytes of the longest of a few texts, off their offsets; the library's own functions take a tenth of a second to load."""
    wide = pa.types.is_large_string(values.type) or pa.types.is_large_binary(values.type)
    offsets = memoryview(values.buffers()[1]).cast("q" if wide else "i")[values.offset :][: len(values) + 1]
    ends = offsets.tolist()
    return max(map(sub, ends[1:], ends), default=0)


def _has_crc(path: Path, meta: pq.FileMetaData) -> bool:
    """Whether the first page carries a checksum: field 4 of its header, after three whole numbers."""
    first = meta.row_group(0).column(0)
    with path.open("rb") as file:
        file.seek(first.dictionary_page_offset if first.has_dictionary_page else first.data_page_offset)
        header = file.read(32)
    at = 0
    for _ in range(3):
        at += 1
        while at < len(header) and header[at] & 0x80:
            at += 1
        at += 1
    return header[at : at + 1] == b"\x15"


def _verify(path: Path, schema: pa.Schema, meta: pq.FileMetaData, texts: list[bool]) -> None:
    """Read every page once, which compares it with its checksum."""
    group = meta.row_group(0)
    coded = [n for i, n in enumerate(schema.names) if texts[i] and group.column(i).has_dictionary_page]
    file = pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=coded)
    for name in schema.names:
        for _ in file.iter_batches(columns=[name]):
            pass


def _described(path: Path, readable: Path, scratch: Path, size: int, loose: list[str]) -> dict[str, str]:
    """DuckDB's type of every column, once the texts outside of dictionaries are not too long."""
    con = workbench(read=[readable], write=scratch, threads=2, memory="1GB")
    source = parquet([readable])
    columns = {row[0]: row[1] for row in con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    for name in loose:
        quoted = '"' + name.replace('"', '""') + '"::VARCHAR'
        sizes = f"SELECT max(strlen({quoted})), sum(strlen({quoted})) FROM {source}"
        most, total = con.execute(sizes).fetchall()[0]
        if (total or 0) > max(SMALL, UNFOLD * size):
            raise refuse(path, "unfolds", f"column {name} unfolds to {total} bytes; deliver a plain export")
        over = f"SELECT max(length({quoted})) > {LONGEST} FROM {source}"
        if (most or 0) > LONGEST and con.execute(over).fetchall()[0][0]:
            raise too_long(path, name)
    con.close()
    return columns


# --- text


class Transcript:
    """A Parquet file of text columns in the making; refuses odd names and endless texts."""

    def __init__(self, path: Path, target: Path, names: Sequence[str]) -> None:
        check_names(path, names)
        self.path, self.target, self.names, self.rows = path, target, names, 0
        self.schema = pa.schema([(name, pa.string()) for name in names])
        self.writer = pq.ParquetWriter(target, self.schema, compression="lz4")
        self.held: list[pa.RecordBatch] = []

    def add(self, columns: Sequence[pa.Array]) -> None:
        """Append rows, given column by column."""
        import pyarrow.compute as pc

        for name, column in zip(self.names, columns, strict=True):
            _check_utf8(self.path, name, column)
            size = pc.max(pc.binary_length(column)).as_py() or 0
            if size > LONGEST and pc.max(pc.utf8_length(column)).as_py() > LONGEST:
                raise too_long(self.path, name)
        self.held.append(pa.RecordBatch.from_arrays(list(columns), schema=self.schema))
        self.rows += self.held[-1].num_rows
        if sum(batch.nbytes for batch in self.held) > SMALL:
            self._write()

    def _write(self) -> None:
        if self.held:
            self.writer.write_table(pa.Table.from_batches(self.held))
            self.held.clear()

    def done(self, **what: Any) -> dict[str, Any]:
        """The fields of the Source."""
        self._write()
        self.writer.close()
        if not self.rows:
            raise refuse(self.path, "empty", "has a header and no rows; deliver it again")
        return {
            "readable": str(self.target), "columns": dict.fromkeys(self.names, "VARCHAR"), "rows": self.rows, **what
        }  # fmt: skip

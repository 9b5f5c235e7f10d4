"""Open a delivered file: recognise format and encoding strictly, state its columns, refuse what cannot be read whole."""

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from analytics.store import sha256_of

CODECS = {"SNAPPY", "ZSTD", "LZ4", "LZ4_RAW", "GZIP", "UNCOMPRESSED"}
_CHUNK = 1 << 22


class Refused(Exception):
    """The delivery is not accepted; one line per problem: what, where, what to do."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


@dataclass(frozen=True)
class Source:
    """An opened file: `readable` is the Parquet file to read (the delivery itself, or our transcription of its text)."""

    path: Path
    sha256: str
    readable: Path
    columns: tuple[str, ...]
    rows: int
    format: str
    encoding: str


def open_source(path: Path, scratch: Path) -> Source:
    """Open one Parquet or CSV file. Raises Refused."""
    if not path.is_file():
        raise Refused([f"{path.name}: no such file"])
    with path.open("rb") as file:
        magic = file.read(4)
    if path.suffix.lower() in {".parquet", ".pq"} or magic == b"PAR1":
        source = _parquet(path, scratch)
    elif path.suffix.lower() in {".csv", ".txt", ".tsv"}:
        source = _csv(path, scratch)
    else:
        raise Refused(
            [
                f"{path.name}: neither Parquet nor CSV; deliver .parquet or .csv (save an Excel sheet as CSV UTF-8)"
            ]
        )
    folded = [name.casefold() for name in source.columns]
    doubled = sorted({name for name in folded if folded.count(name) > 1})
    if doubled:
        raise Refused(
            [f"{path.name}: column {name} stands more than once in the header; keep one" for name in doubled]
        )
    return source


def _parquet(path: Path, scratch: Path) -> Source:
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0, io.SEEK_END)
        size = file.tell()
        file.seek(max(0, size - 4))
        tail = file.read(4)
    if head != b"PAR1" or tail != b"PAR1":
        raise Refused(
            [
                f"{path.name}: not a whole Parquet file (its first or last four bytes are wrong); deliver it again"
            ]
        )
    try:
        footer = pq.ParquetFile(path)
        meta = footer.metadata
        codecs_used = {
            meta.row_group(g).column(c).compression
            for g in range(meta.num_row_groups)
            for c in range(meta.num_columns)
        }
    except (pa.ArrowException, OSError) as error:
        raise Refused(
            [
                f"{path.name}: the Parquet footer cannot be read ({str(error).splitlines()[0]:.120}); deliver it again"
            ]
        ) from error
    if codecs_used - CODECS:
        raise Refused(
            [
                f"{path.name}: compression {', '.join(sorted(codecs_used - CODECS))} is not accepted; use zstd or snappy"
            ]
        )
    nested = [field.name for field in footer.schema_arrow if pa.types.is_nested(field.type)]
    if nested:
        raise Refused([f"{path.name}: column {name} is nested; deliver flat columns" for name in nested])
    readable = path.resolve()
    if set("*?[]") & set(str(readable)):  # a reader would take these for a pattern
        readable = scratch / f"input-{sha256_of(path)[:12]}.parquet"
        readable.write_bytes(path.read_bytes())
    return Source(
        path, sha256_of(path), readable, tuple(footer.schema_arrow.names), meta.num_rows, "parquet", ""
    )


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    tried = []
    for name in ("utf-8-sig", "gb18030"):
        decoder = codecs.getincrementaldecoder(name)(errors="strict")
        offset = 0
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    decoder.decode(chunk)
                    offset += len(chunk)
                decoder.decode(b"", final=True)
            return name
        except UnicodeDecodeError as error:
            tried.append(f"{name} fails at byte {offset + error.start}")
    raise Refused([f"{path.name}: not text in one encoding ({'; '.join(tried)}); save it as CSV UTF-8"])


def _csv(path: Path, scratch: Path) -> Source:
    """Transcribe a CSV into Parquet, every column as text, strictly: one odd row refuses the file."""
    encoding = _encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        first = file.readline()
    delimiter = max(",\t;|", key=first.count)
    header = next(csv.reader([first.rstrip("\r\n")], delimiter=delimiter), [])
    names = [name.strip().lstrip("\ufeff") for name in header]
    if len(names) < 2 or not all(names):
        raise Refused(
            [
                f"{path.name}: line 1 is not a header of named columns; deliver a CSV whose first line names them"
            ]
        )
    readable = scratch / f"input-{sha256_of(path)[:12]}.parquet"
    rows = 0
    try:
        reader = pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(
                column_names=[f"c{i}" for i in range(len(names))],
                skip_rows=1,
                encoding=encoding.removesuffix("-sig"),
                block_size=_CHUNK,
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={f"c{i}": pa.string() for i in range(len(names))}, strings_can_be_null=False
            ),
        )
        schema = pa.schema([(name, pa.string()) for name in names])
        with pq.ParquetWriter(readable, schema, compression="lz4") as writer:
            for batch in reader:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
                rows += batch.num_rows
    except (pa.ArrowException, UnicodeError) as error:
        raise Refused(
            [
                f"{path.name}: {str(error).splitlines()[0]:.160}; every row must have the header's {len(names)} fields"
            ]
        ) from error
    return Source(path, sha256_of(path), readable, tuple(names), rows, "csv", encoding)


def distinct(readable: Path, column: str) -> list[str] | None:
    """Different values of a text column of an opened file, from its dictionary pages; None where it is not text."""
    kind = pq.read_schema(readable).field(column).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    read = pq.ParquetFile(readable, read_dictionary=[column]).read(columns=[column]).column(0)
    chunks = [c.dictionary if pa.types.is_dictionary(c.type) else c.unique() for c in read.chunks]
    return sorted({value for chunk in chunks for value in chunk.to_pylist() if value is not None})

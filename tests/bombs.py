"""Small files that unfold beyond all measure: `python tests/bombs.py NAME PATH` writes one, `... read PATH` reads one naively.

Run apart from the tests, because some take memory to make.
"""

# ruff: noqa: E402
import json
import os
import resource
import sys
import zipfile
import zlib
from pathlib import Path

sys.modules["numpy"] = None  # type: ignore[assignment]  # so that pyarrow loads no data frame library

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter
from python_calamine import CalamineWorkbook

MIB = 1 << 20


def same(value: str, rows: int) -> pa.Array:
    """A text many times over, kept once."""
    codes = pa.Array.from_buffers(pa.int32(), rows, [None, pa.py_buffer(bytes(4 * rows))])
    return pa.DictionaryArray.from_arrays(codes, pa.array([value]))


def noise(rows: int, width: int) -> pa.Array:
    """Texts that do not compress."""
    return pa.array([os.urandom(width // 2).hex() for _ in range(rows)])


def one_among(texts: pa.Array, length: int) -> pa.Array:
    """The texts with one of that length behind them, put together without a second copy."""
    ends = [*memoryview(texts.buffers()[1]).cast("i")[: len(texts) + 1]]
    offsets = pa.array([*ends, ends[-1] + length], pa.int32()).buffers()[1]
    data = bytearray(texts.buffers()[2].to_pybytes()[: ends[-1]])
    data += b"x" * length
    return pa.Array.from_buffers(pa.string(), len(texts) + 1, [None, offsets, pa.py_buffer(data)])


def again(path: Path, times: int, padding: int) -> None:
    """Let the footer name the only row group of a file so many times, and let the file be larger by padding."""
    raw = path.read_bytes()
    meta = pq.read_metadata(path)
    once = pq.read_metadata(path)
    for _ in range(times - 1):
        meta.append_row_groups(once)
    footer = path.with_suffix(".footer")
    meta.write_metadata_file(footer)
    end = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    path.write_bytes(raw[:end] + os.urandom(padding) + footer.read_bytes()[4:])
    footer.unlink()


def plain(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)


def dictionary(path: Path) -> None:
    """20,000 rows of one text of 1 MiB: 20 GB."""
    pq.write_table(pa.table({"a": same("x" * MIB, 20_000)}), path, compression="zstd", store_schema=False)


def dictionary_dressed(path: Path) -> None:
    """The same beside columns of noise, so that size and rows look innocent."""
    dressing = {f"n{i}": noise(20_000, 100) for i in range(6)}
    pq.write_table(
        pa.table({"a": same("x" * MIB, 20_000), **dressing}), path, compression="zstd", store_schema=False
    )


def long_words(path: Path) -> None:
    """15,000,000 rows of a text just short enough: 60 GB."""
    pq.write_table(pa.table({"a": same("x" * 4000, 1_000_000)}), path, compression="zstd", store_schema=False)
    again(path, 15, 8 * MIB)


def zeros(path: Path) -> None:
    """2,000,000,000 rows."""
    pq.write_table(
        pa.table({"a": same("0", 10_000_000)}), path, row_group_size=10_000_000, store_schema=False
    )
    again(path, 200, 8 * MIB)


def cell(path: Path) -> None:
    """One text of 1 GiB."""
    plain(path, pa.table({"a": one_among(noise(1, 2), 1 << 30)}))


def cell_dressed(path: Path) -> None:
    """One text of 1 GiB among 300,000 of the usual length, in a column without dictionary."""
    plain(path, pa.table({"a": one_among(noise(300_000, 32), 1 << 30)}))


def cells(path: Path) -> None:
    """16 texts of 256 MiB."""
    plain(path, pa.table({"a": one_among(noise(1, 2), 256 * MIB)}))
    again(path, 16, 0)


def columns(path: Path) -> None:
    """20,000 columns."""
    pq.write_table(pa.table({f"c{i}": [1] for i in range(20_000)}), path)


def book(path: Path, last: tuple[int, int] = (1, 0)) -> None:
    """A workbook of two cells."""
    with xlsxwriter.Workbook(path, {"constant_memory": True}) as made:
        sheet = made.add_worksheet()
        sheet.write_string(0, 0, "a")
        sheet.write_string(*last, "x")


def sheet_corner(path: Path) -> None:
    """Two cells, 17,000,000,000 apart."""
    book(path, (1_048_575, 16_383))


def _sheet(path: Path, head: bytes, block: bytes, times: int, tail: bytes, told: int | None) -> None:
    """A workbook whose sheet is head, block so many times, tail; its directory tells the size, or `told`."""
    book(path)
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = press.compress(head + block) + press.flush(zlib.Z_FULL_FLUSH)
    middle = press.compress(block) + press.flush(zlib.Z_FULL_FLUSH)  # stands alone, so it can be repeated
    raw = first + middle * (times - 1) + press.compress(tail) + press.flush()
    with zipfile.ZipFile(path, "w") as new:
        for name, data in parts.items():
            if name != "xl/worksheets/sheet1.xml":
                new.writestr(name, data)
        part = zipfile.ZipInfo("xl/worksheets/sheet1.xml")
        new.writestr(part, raw)
        part.compress_type = zipfile.ZIP_DEFLATED
        part.file_size = told or len(head) + times * len(block) + len(tail)
        part.CRC = zlib.crc32((head + block)[: part.file_size]) if told else 0


_HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'


def sheet_rows(path: Path) -> None:
    """A sheet of 3 GB of the same rows."""
    block = b'<row><c t="n"><v>1</v></c><c t="n"><v>1</v></c></row>' * 20_000
    _sheet(path, _HEAD, block, 3000, b"</sheetData></worksheet>", None)


def sheet_lying(path: Path) -> None:
    """A cell of 8 GB in a sheet that is said to have 500 kB."""
    head = _HEAD + b'<row r="1"><c r="A1" t="inlineStr"><is><t>'
    _sheet(path, head, b"x" * MIB, 8000, b"</t></is></c></row></sheetData></worksheet>", 500_000)


def replies_deep(path: Path) -> None:
    """A reply nested ten million deep."""
    path.write_bytes(b"[" * 10_000_000)


def read(path: Path) -> None:
    """Read it the naive way, within 1.5 GB and three seconds of processor time."""
    resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
    resource.setrlimit(resource.RLIMIT_CPU, (3, 3))
    if path.suffix == ".jsonl":
        json.loads(path.read_text())
    elif path.suffix == ".parquet":
        pq.read_table(path, use_threads=False, pre_buffer=False)
    else:
        with CalamineWorkbook.from_path(path) as opened:
            for row in opened.get_sheet_by_index(0).iter_rows():
                assert row is not None


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))

"""Deliveries that must be refused: every kind of bad file, each with the code it is refused with; none gets in silently.

A kind is a clean delivery with one fault. The clean one loads (`test_without_the_fault_it_loads`), so it is the fault that refuses.
Bad rows inside good files: test_bad_rows.py.
"""

import io
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deliveries import (
    MONEY,
    Row,
    amounts,
    certificate,
    clean,
    csv_file,
    fen,
    findings,
    jsonl_file,
    loaded,
    parquet_file,
    record,
    reply,
    take,
    waiting,
    xlsx_file,
)

from analytics.intake import Refused
from analytics.store import Store

WRITERS: dict[str, Callable[..., Path]] = {
    "csv": csv_file,
    "parquet": parquet_file,
    "xlsx": xlsx_file,
    "jsonl": lambda path, rows: jsonl_file(path, [reply(row) for row in rows]),
}


@dataclass(frozen=True)
class Kind:
    """A fault in words, the code it is refused with (several where no rule text decides), and how it is made:
    `rows` spoils the rows before, `style` is the writer's, `raw` spoils the bytes after; `suffix` is the name's where it lies.
    What a share of many rows decides (`count`) is a delivery of its own; the others come together, and each must be named."""

    words: str
    code: str
    format: str = "csv"
    rows: Callable[[list[Row]], list[Row]] = list
    raw: Callable[[bytes], bytes] = bytes
    suffix: str = ""
    count: int = 3
    style: dict[str, Any] = field(default_factory=dict)


def make(folder: Path, kind: Kind, name: str = "s") -> Path:
    path = WRITERS[kind.format](folder / f"{name}.{kind.format}", kind.rows(clean(kind.count)), **kind.style)
    path.write_bytes(kind.raw(path.read_bytes()))
    return path.rename(path.with_suffix(kind.suffix)) if kind.suffix else path


# --- small faults


def each(**changes: Any) -> Callable[[list[Row]], list[Row]]:
    """Every row changed; a function gets the row."""
    return lambda rows: [
        {**row, **{k: v(row) if callable(v) else v for k, v in changes.items()}} for row in rows
    ]


def last(**changes: Any) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [*rows[:-1], {**rows[-1], **changes}]


def share(every: int, **changes: Any) -> Callable[[list[Row]], list[Row]]:
    """Every n-th row changed; a function gets the row."""
    change = each(**changes)
    return lambda rows: [change([row])[0] if n % every == 0 else row for n, row in enumerate(rows)]


def without(*names: str) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{k: v for k, v in row.items() if k not in names} for row in rows]


def renamed(old: str, new: str) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{new if k == old else k: v for k, v in row.items()} for row in rows]


def swapped(one: str, other: str) -> Callable[[list[Row]], list[Row]]:
    return each(**{one: lambda r: r[other], other: lambda r: r[one]})


def in_fen(rows: list[Row]) -> list[Row]:
    return [{k: str(int(Decimal(v) * 100)) if k in MONEY else v for k, v in row.items()} for row in rows]


def through_numbers(rows: list[Row]) -> list[Row]:
    """Certificates as Excel leaves them that took them for numbers: 15 digits, then noughts."""
    born = (f"19{50 + n % 40}{1 + n % 12:02d}{1 + n % 28:02d}" for n in range(len(rows)))
    numbers = (certificate(n * 8, day) for n, day in enumerate(born))
    return [{**row, "certno": number[:15] + "000"} for row, number in zip(rows, numbers, strict=True)]


def line(number: int, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def apply(raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        lines[number] = change(lines[number])
        return b"\n".join(lines)

    return apply


def footer(length: int) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:-8] + struct.pack("<I", length) + raw[-4:]


def parquet(change: Callable[[pa.Table], pa.Table], **how: Any) -> Callable[[bytes], bytes]:
    """The file read and written anew with a change to its table."""

    def apply(raw: bytes) -> bytes:
        out = io.BytesIO()
        pq.write_table(change(pq.read_table(io.BytesIO(raw))), out, **how)
        return out.getvalue()

    return apply


def retyped(name: str, values: Callable[[int], Sequence[Any]], kind: pa.DataType) -> Callable[[bytes], bytes]:
    def change(data: pa.Table) -> pa.Table:
        place = data.schema.get_field_index(name)
        return data.set_column(place, name, pa.array(values(data.num_rows), kind))

    return parquet(change)


def repeat(value: Any) -> Callable[[int], Sequence[Any]]:
    return lambda count: [value] * count


def not_utf8(raw: bytes) -> bytes:
    """A text column that says UTF-8 and is GBK."""

    def change(data: pa.Table) -> pa.Table:
        bad = pa.array(["甲医院".encode("gbk")] * data.num_rows, pa.binary())
        view = pa.Array.from_buffers(pa.string(), len(bad), bad.buffers())
        return data.set_column(data.schema.get_field_index("fixmedins_name"), "fixmedins_name", view)

    return parquet(change)(raw)


def flipped(raw: bytes) -> bytes:
    """One bit in the last byte of a column's pages turned (the page carries its checksum)."""
    column = pq.ParquetFile(io.BytesIO(raw)).metadata.row_group(0).column(0)
    place = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1
    return raw[:place] + bytes([raw[place] ^ 16]) + raw[place + 1 :]


def zipped(raw: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as folder:
        folder.writestr("settlement.csv", raw)
    return out.getvalue()


def bomb(_: bytes) -> bytes:
    """Less than a kilobyte that unfolds to 20 GB: one text of a mebibyte, repeated by its dictionary."""
    out = io.BytesIO()
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 2**20]))
    pq.write_table(pa.table({"setl_id": column}), out, compression="zstd")
    return out.getvalue()


HTML = b"<html><body><table><tr><td>setl_id</td></tr></table></body></html>"
OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)
LONG = "甲" * 5000

FILES = [
    # the container
    Kind("an empty Parquet file", "magic|empty", "parquet", raw=lambda b: b""),
    Kind("an empty CSV file", "empty", raw=lambda b: b""),
    Kind("an empty file of replies", "empty", "jsonl", raw=lambda b: b""),
    Kind("an empty workbook file", "sheet|format|empty", "xlsx", raw=lambda b: b""),
    Kind("a CSV file with a header and no row", "empty", raw=lambda b: b.split(b"\n")[0] + b"\n"),
    Kind("a Parquet file with columns and no row", "empty", "parquet", raw=parquet(lambda t: t.slice(0, 0))),
    Kind("a workbook with a header and no row", "empty|sheet", "xlsx", rows=lambda rows: [dict.fromkeys(rows[0], "")]),
    Kind("a Parquet file cut in half", "magic|footer", "parquet", raw=lambda b: b[: len(b) // 2]),
    Kind("a Parquet file with wrong first bytes", "magic", "parquet", raw=lambda b: b"PAR2" + b[4:]),
    Kind("a Parquet file with wrong last bytes", "magic", "parquet", raw=lambda b: b[:-4] + b"PAR2"),
    Kind("a Parquet footer of length 0", "footer", "parquet", raw=footer(0)),
    Kind("a Parquet footer longer than the file", "footer", "parquet", raw=footer(2**31 - 1)),
    Kind("a flipped bit in a checked page", "footer|page|jail", "parquet", raw=flipped, style={"write_page_checksum": True}),
    Kind("HTML named .parquet", "magic", raw=lambda b: HTML, suffix=".parquet"),
    Kind("CSV named .parquet", "magic", suffix=".parquet"),
    Kind("a ZIP archive named .parquet", "magic", raw=zipped, suffix=".parquet"),
    Kind("CSV named .xlsx", "sheet|format", suffix=".xlsx"),
    Kind("an old binary workbook", "format|sheet", raw=lambda b: OLE, suffix=".xls"),
    Kind("an old binary workbook named .xlsx", "format|sheet", raw=lambda b: OLE, suffix=".xlsx"),
    Kind("a ZIP archive of CSV", "format", raw=zipped, suffix=".zip"),
    Kind("a suffix nobody knows", "format", suffix=".sav"),
    Kind("a codec outside the list", "codec", "parquet", style={"compression": "brotli"}),
    Kind("a nested column", "nested", "parquet", raw=retyped("psn_name", repeat(["甲"]), pa.list_(pa.string()))),
    Kind("a struct column", "nested", "parquet", raw=retyped("psn_name", repeat({"a": "甲"}), pa.struct({"a": pa.string()}))),
    Kind("a small file that unfolds to 20 GB", "unfolds|long_text", "parquet", raw=bomb),
    Kind("more columns than a record has", "too_wide", "parquet", rows=each(**{f"c{n}": "" for n in range(2100)})),
    Kind("a text of 5000 characters", "long_text", rows=last(psn_name=LONG)),
    Kind("a text of 5000 characters in Parquet", "long_text", "parquet", rows=last(psn_name=LONG)),
    # text and lines
    Kind("GBK bytes inside a UTF-8 file", "encoding", raw=lambda b: b + "S9,珠海医院".encode("gbk") + b"\xff\n"),
    Kind("UTF-8 cut inside a character", "encoding", rows=each(psn_name="甲𠮷"), raw=lambda b: b.rstrip(b"\n") + "甲".encode()[:2]),
    Kind("UTF-16 with an odd number of bytes", "encoding", style={"encoding": "utf-16"}, raw=lambda b: b[:-1]),
    Kind("text of a Parquet file that is not UTF-8", "encoding", "parquet", raw=not_utf8),
    Kind("a line with a field too many", "ragged", raw=line(2, lambda t: t + b",extra")),
    Kind("a line with fields missing", "ragged", raw=line(2, lambda t: t.rsplit(b",", 3)[0])),
    Kind("a quote that is never closed", "quotes|ragged", raw=line(2, lambda t: b'"' + t)),
    Kind("a title line above the header", "header|ragged|column_missing", raw=lambda b: "2021年结算明细\n".encode() + b),
    Kind("no header at all", "header|column_missing|doubled_column", raw=lambda b: b.split(b"\n", 1)[1]),
    Kind("a column without a name", "header", rows=renamed("psn_name", "")),
    Kind("a delimiter nobody uses", "header|column_missing", style={"delimiter": "^"}),
    Kind("a column that stands twice", "doubled_column", raw=line(0, lambda t: t.replace(b"psn_name", b"psn_no"))),
    Kind("two columns that differ by a blank", "doubled_column", rows=renamed("psn_name", "psn_no ")),
    Kind("two columns that differ by case", "doubled_column", rows=each(SETL_ID="x")),
    Kind("a Parquet column that stands twice", "doubled_column", "parquet", raw=parquet(lambda t: t.append_column("setl_id", t["psn_no"]))),
    Kind("Parquet columns that differ by case", "doubled_column", "parquet", rows=each(MEDFEE_SUMAMT="1.00")),
    # Excel
    Kind("a title row above a sheet's header", "header|sheet", "xlsx", style={"above": 1}),
    Kind("an error in a cell of a sheet", "sheet", "xlsx", rows=last(medfee_sumamt="#DIV/0!")),
    Kind("a formula that was never calculated", "sheet", "xlsx", rows=last(medfee_sumamt="=1+1")),
    Kind("person numbers as numbers in a sheet", "float_id", "xlsx", style={"numbers": ["psn_no"]}),
    Kind("certificates that went through numbers", "float_id", "xlsx", rows=through_numbers, count=120),
    Kind("person numbers in scientific notation", "float_id", rows=each(psn_no="4.40402E+25")),
    Kind("person numbers that were floats", "float_id", rows=each(psn_no=lambda r: f"{10**11 + int(r['setl_id'][1:])}.0")),
    Kind("identifiers as floats in Parquet", "float_id|wrong_type", "parquet", raw=retyped("psn_no", repeat(4.40402e17), pa.float64())),
    # replies
    Kind("a broken reply", "ragged", "jsonl", raw=line(1, lambda t: t[:-20])),
    Kind("a reply that is a bare number", "ragged|format|header", "jsonl", raw=line(1, lambda t: b"42")),
    Kind("a key twice in one reply", "doubled_column", "jsonl", raw=line(1, lambda t: t.replace(b'"setl_id"', b'"setl_id": "X1", "setl_id"'))),
    Kind("keys that differ by case in one reply", "doubled_column", "jsonl", raw=line(1, lambda t: t.replace(b'"setl_id"', b'"SETL_ID": "X1", "setl_id"'))),
    Kind("a settlement list file that is no reply", "column_missing|header", "jsonl", raw=lambda b: b'{"a": 1}\n{"a": 2}\n'),
    # the contract
    Kind("a mandatory amount column missing", "column_missing", rows=without("medfee_sumamt")),
    Kind("the in-policy amount's column missing", "column_missing", rows=without("inscp_scp_amt")),
    Kind("the fund total's column missing", "column_missing", rows=without("fund_pay_sumamt")),
    Kind("no person column at all", "column_missing", rows=without("psn_no", "certno")),
    Kind("a payer nobody knows", "unknown_tier", rows=each(tehuibao_pay="5.00")),
    Kind("amounts that are yes or no", "wrong_type", "parquet", raw=retyped("medfee_sumamt", repeat(True), pa.bool_())),
    Kind("amounts that are dates", "wrong_type", "parquet", raw=retyped("medfee_sumamt", repeat(1), pa.date32())),
    Kind("amounts that are bytes", "wrong_type|encoding", "parquet", raw=retyped("medfee_sumamt", repeat(b"\xff\x01"), pa.binary())),
    Kind("settlement times that are numbers", "wrong_type", "parquet", raw=retyped("setl_time", repeat(1.6e9), pa.float64())),
    # the batch
    Kind("two fund columns swapped", "mapping_fault", rows=swapped("hifp_pay", "fund_pay_sumamt"), count=100),
    Kind("fees that do not split", "mapping_fault", rows=share(3, fulamt_ownpay_amt="900.00"), count=100),
    Kind("amounts in fen", "money_unit", rows=in_fen, count=100),
    Kind("amounts in fen as whole numbers", "money_unit", "parquet", rows=in_fen, count=100, style={"types": dict.fromkeys(MONEY, pa.int64())}),
    Kind("days and months that may be either", "ambiguous_date", rows=each(begndate="03/04/2021", enddate="05/04/2021")),
    Kind("one day and month that may be either among clear dates", "ambiguous_date", rows=last(begndate="03/04/2021")),
    Kind("insurance types nobody knows", "unknown_codes", rows=share(5, insutype="888"), count=100),
    Kind("care types nobody knows", "unknown_codes", rows=share(5, med_type="88"), count=100),
    Kind("more than 1 % of the rows wait", "limits", rows=share(50, medfee_sumamt="?"), count=300),
    Kind("more than 0.5 % of the fee waits", "limits", rows=last(**{**amounts([20_000_00], 30_000_00, 0, [0, 0, 0], 0), "acct_pay": "29000.00"}), count=300),
]  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The lines each bad file is refused with. All problems are reported at once, but those of later steps wait for those
    of earlier ones: what was refused is taken out, and the rest comes again, in the end one by one."""
    folder = tmp_path_factory.mktemp("bad")
    rest = {k.words: make(folder, k, f"f{n:02d}") for n, k in enumerate(FILES) if k.count < 100}
    lines: dict[str, list[str]] = {}

    def refused(paths: dict[str, Path]) -> dict[str, list[str]]:
        store = f"{len(paths)} from {min(paths.values()).stem}"
        try:
            take(folder, list(paths.values()), store=store)
        except Refused as refused:
            assert {p.name for p in (folder / store).iterdir()} <= {"lock", "audit"}, "the refusal is entered"
            named = {w: [x for x in refused.lines if x.startswith(p.name + ": ")] for w, p in paths.items()}
            return {words: mine for words, mine in named.items() if mine}
        return {}

    while rest and (found := refused(rest)):
        lines |= found
        rest = {words: path for words, path in rest.items() if words not in found}
    for words, path in rest.items():
        lines |= refused({words: path})
    return lines


def judge(kind: Kind, lines: list[str]) -> None:
    assert lines, "silently accepted"
    for line in lines:
        assert line.endswith(tuple(f"[{code}]" for code in kind.code.split("|"))), line
        assert "\n" not in line and "Traceback" not in line


@pytest.mark.parametrize("kind", [k for k in FILES if k.count < 100], ids=lambda k: k.words)
def test_a_bad_file_is_refused(told: dict[str, list[str]], kind: Kind) -> None:
    judge(kind, told.get(kind.words, []))


@pytest.mark.parametrize("kind", [k for k in FILES if k.count >= 100], ids=lambda k: k.words)
def test_a_bad_batch_is_refused(tmp_path: Path, kind: Kind) -> None:
    with pytest.raises(Refused) as refused:
        take(tmp_path, [make(tmp_path, kind)])
    judge(kind, refused.value.lines)
    assert Store(tmp_path / "store").deliveries() == []


def _same(kind: Kind) -> tuple[str, int, str]:
    typed = "types" if "types" in kind.style else ""
    return kind.format, max(kind.count, 3), typed


@pytest.mark.parametrize("how", sorted({_same(k) for k in FILES}), ids=str)
def test_without_the_fault_it_loads(tmp_path: Path, how: tuple[str, int, str]) -> None:
    """The positive control: the clean delivery of the same size and format loads whole, and no refusing rule found anything."""
    form, count, typed = how
    style = {"types": dict.fromkeys(MONEY, pa.decimal128(16, 2))} if typed else {}
    delivery = take(tmp_path, [make(tmp_path, Kind("", "", form, count=count, style=style))])
    told = delivery.manifest
    assert (told["rows_in"], told["rows_loaded"], told["rows_quarantined"]) == (count, count, 0)
    assert told["fee_loaded_fen"] == fen(clean(count))
    assert findings(delivery).keys().isdisjoint({"I1", "I2", "I3", "I4", "I12", "Q7", "Q10", "Q15", "Q25"})


def test_there_are_enough_kinds() -> None:
    from test_bad_rows import ROWS
    from test_bad_values import TABLES, WHOLE
    from test_notes import NOTES

    assert len(FILES) + len(NOTES) + len(ROWS) + len(WHOLE) + len(TABLES) >= 80
    assert len({k.words for k in FILES}) == len(FILES)


# --- what is no file, and files that do not fit each other


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"\[no_file\]$"):
        take(tmp_path, [tmp_path / "gone.parquet"])


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "s.parquet").mkdir()
    with pytest.raises(Refused, match=r"\[(no_file|format)\]$"):
        take(tmp_path, [tmp_path / "s.parquet"])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_one_file_of_two_lacks_a_column(tmp_path: Path, order: tuple[int, int]) -> None:
    """Read together, the column would be lost for all files, or be empty for one."""
    paths = [
        parquet_file(tmp_path / "a.parquet", clean(3)),
        parquet_file(tmp_path / "b.parquet", without("medfee_sumamt")(clean(6)[3:])),
    ]
    with pytest.raises(Refused, match=r"^b\.parquet: .*medfee_sumamt.*\[column_missing\]$"):
        take(tmp_path, [paths[i] for i in order])


def test_dates_are_read_file_by_file(tmp_path: Path) -> None:
    """Two senders, two habits: in each file the 13th shows which, and so decides on the 3rd."""
    habits = {
        "a": ("03/04/2021", "13/04/2021", "25/04/2021"),
        "b": ("04/03/2021", "04/13/2021", "04/25/2021"),
    }
    files = []
    for n, (name, (third, later, end)) in enumerate(habits.items()):
        rows = [record(10 * n + m, begndate=begin, enddate=end) for m, begin in enumerate((third, later))]
        files.append(csv_file(tmp_path / f"{name}.csv", rows))
    delivery = take(tmp_path, files)
    assert waiting(delivery) == {}
    assert sorted(map(str, loaded(delivery)["begndate"])) == ["2021-04-03"] * 2 + ["2021-04-13"] * 2


def test_the_file_whose_dates_may_be_either_is_the_one_named(tmp_path: Path) -> None:
    """What another file shows says nothing about this one."""
    good = csv_file(tmp_path / "a.csv", [record(1, begndate="25/04/2021", enddate="26/04/2021")])
    either = csv_file(tmp_path / "b.csv", [record(2, begndate="03/04/2021", enddate="26/04/2021")])
    with pytest.raises(Refused) as refused:
        take(tmp_path, [good, either])
    assert [line.partition(":")[0] for line in refused.value.lines] == ["b.csv"]
    assert refused.value.lines[0].endswith("[ambiguous_date]")


def test_the_swap_is_named(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "s.csv", swapped("hifp_pay", "fund_pay_sumamt")(clean(100)))
    with pytest.raises(Refused) as refused:
        take(tmp_path, [path])
    assert any("hifp_pay" in told and "fund_pay_sumamt" in told for told in refused.value.lines)

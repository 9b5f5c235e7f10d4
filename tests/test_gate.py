"""The gate: what it refuses and with which code, beside a twin it opens; and how every format reads."""

import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from analytics.intake.gate import Gate, Refused, Source

Make = Callable[[Path], object]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """One child for all files that do it no harm: a refusal does not end it."""
    with Gate(tmp_path_factory.mktemp("staging"), seconds=300) as opened:
        yield opened


def parquet(**options: Any) -> Make:
    columns = options.pop("columns", {"a": ["x", "y"], "b": [1, 2]})
    return lambda path: pq.write_table(pa.table(columns), path, **options)


def raw(data: bytes) -> Make:
    return lambda path: path.write_bytes(data)


def text(data: str, encoding: str = "utf-8") -> Make:
    return raw(data.encode(encoding))


def workbook(*sheets: list[list[Any]], then: Callable[..., object] | None = None) -> Make:
    """A workbook of these sheets; texts as texts, numbers as numbers."""

    def make(path: Path) -> None:
        with xlsxwriter.Workbook(path) as book:
            for rows in sheets:
                sheet = book.add_worksheet()
                for at, row in enumerate(rows):
                    for column, cell in enumerate(row):
                        (sheet.write_string if isinstance(cell, str) else sheet.write)(at, column, cell)
            if then:
                then(book, sheet)

    return make


def edited(make: Make, edit: Callable[[bytes], bytes]) -> Make:
    def both(path: Path) -> None:
        make(path)
        path.write_bytes(edit(path.read_bytes()))

    return both


def unvalued(make: Make) -> Make:
    """The workbook as some programs write it: a formula in B2, and no value with it."""

    def both(path: Path) -> None:
        make(path)
        with zipfile.ZipFile(path) as old:
            parts = {name: old.read(name) for name in old.namelist()}
        with zipfile.ZipFile(path, "w") as new:
            for name, data in parts.items():
                new.writestr(name, data.replace(b"<f>1+1</f><v>2</v>", b"<f>1+1</f><v></v>"))

    return both


def flipped(at: float) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        place = int(len(data) * at)
        return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]

    return flip


ROWS = [["a", "b"], ["x", 1], ["y", 2]]
NUMBERS = {"a": ["x"] * 50_000, "b": list(range(50_000))}
NOT_UTF8 = pa.Array.from_buffers(pa.string(), 1, [None, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")])  # fmt: skip
MIXED = "医院名称,费用\n".encode() + "某某医院,1\n".encode("gb18030")
GOOD_CSV, GOOD_LINES = text("a,b\nx,1\n"), text('{"a": "x", "b": 1}\n')

# code, name of the file, how the bad one is made, and its twin that is opened
REFUSED: list[tuple[str, str, Make, Make]] = [
    ("format", "f.pdf", raw(b"%PDF-1.4"), GOOD_CSV),
    ("format", "f.csv", text("<html><table><tr><td>a"), GOOD_CSV),
    ("format", "f.xls", raw(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600)), GOOD_CSV),
    ("format", "f.xlsx", lambda p: zipfile.ZipFile(p, "w").writestr("a.csv", "a,b\n"), workbook(ROWS)),
    ("format", "cut.xlsx", edited(workbook(ROWS), lambda b: b[:3000]), workbook(ROWS)),
    ("magic", "head.parquet", edited(parquet(), lambda b: b"PAR2" + b[4:]), parquet()),
    ("magic", "cut.parquet", edited(parquet(), lambda b: b[:-20]), parquet()),
    ("magic", "text.parquet", text("a,b\nx,1\n"), parquet()),
    ("footer", "length.parquet", edited(parquet(), lambda b: b[:-8] + b"\xff\xff\xff\x00PAR1"), parquet()),
    ("footer", "page.parquet", edited(parquet(columns=NUMBERS, write_page_checksum=True), flipped(0.3)), parquet(columns=NUMBERS, write_page_checksum=True)),
    ("codec", "brotli.parquet", parquet(compression="brotli"), parquet(compression="zstd")),
    ("nested", "list.parquet", parquet(columns={"a": [[1], [2]]}), parquet(columns={"a": [1, 2]})),
    ("nested", "deep.jsonl", text("[" * 200_000), GOOD_LINES),
    ("header", "blank.csv", text("a,,b\nx,1,2\n"), text("a,c,b\nx,1,2\n")),
    ("header", "one.csv", text("a\nx\n"), GOOD_CSV),
    ("header", "title.xlsx", workbook([["结算明细"], *ROWS]), workbook(ROWS)),
    ("header", "above.xlsx", workbook([[], *ROWS]), workbook(ROWS)),
    ("header", "merged.xlsx", workbook(ROWS, then=lambda b, s: s.merge_range(0, 2, 0, 3, "c")), workbook(ROWS)),
    ("doubled_column", "f.csv", text("a,b,A\nx,1,2\n"), text("a,b,c\nx,1,2\n")),
    ("doubled_column", "f.parquet", parquet(columns={"oop": [1], "OOP": [2]}), parquet(columns={"oop": [1], "pop": [2]})),
    ("doubled_column", "f.jsonl", text('{"a": 1, "A": 2}'), text('{"a": 1, "c": 2}')),
    ("encoding", "mixed.csv", raw(MIXED), text("医院名称,费用\n某某医院,1\n", "gb18030")),
    ("encoding", "other.csv", raw("某某医院,a\n".encode("gb18030") + "某某医院,1\n".encode()), text("某某医院,a\n某某医院,1\n", "gb18030")),
    ("encoding", "cut.csv", raw("a,b\n张三,1\n".encode()[:-4] + b",1\n"), text("a,b\n张三,1\n")),
    ("encoding", "mark.csv", text("a,b\nx,1\n", "utf-16-le"), text("a,b\nx,1\n", "utf-16")),
    ("encoding", "f.parquet", parquet(columns={"a": NOT_UTF8}), parquet(columns={"a": ["x"]})),
    ("ragged", "more.csv", text("a,b\nx,1\ny,2,3\n"), text("a,b\nx,1\ny,2\n")),
    ("ragged", "less.csv", text("a,b\nx,1\ny\n"), text("a,b\nx,1\ny,\n")),
    ("ragged", "behind.csv", text("a,b,\nx,1,\ny,2,3\n"), text("a,b,\nx,1,\ny,2,\n")),
    ("ragged", "f.jsonl", text('{"a": 1}\n{"a": \n'), text('{"a": 1}\n{"a": 2}\n')),
    ("ragged", "open.json", text('[{"a": 1}, {"a": 2}'), text('[{"a": 1}, {"a": 2}]')),
    ("ragged", "bare.jsonl", text("1\n2\n"), GOOD_LINES),
    ("quotes", "open.csv", text('a,b\nx,"1\ny,2\n'), text('a,b\nx,"1"\ny,2\n')),
    ("quotes", "behind.csv", text('a,b\n"x"y,1\n'), text('a,b\n"x""y",1\n')),
    ("quotes", "within.csv", text('a,b\n5" x 3",1\n'), text('a,b\n"5"" x 3""",1\n')),
    ("empty", "nothing.csv", raw(b""), GOOD_CSV),
    ("empty", "header.csv", text("a,b\n"), GOOD_CSV),
    ("empty", "f.parquet", parquet(columns={"a": pa.array([], pa.string())}), parquet()),
    ("empty", "f.xlsx", workbook([]), workbook(ROWS)),
    ("empty", "header.xlsx", workbook(ROWS[:1]), workbook(ROWS)),
    ("long_text", "f.csv", text(f"a,b\n{'费' * 4097},1\n"), text(f"a,b\n{'费' * 4096},1\n")),
    ("long_text", "coded.parquet", parquet(columns={"a": ["x" * 4097, "y"]}), parquet(columns={"a": ["费" * 4096, "y"]})),
    ("long_text", "plain.parquet", parquet(columns={"a": ["x" * 4097, "y"]}, use_dictionary=False), parquet(columns={"a": ["费" * 4096, "y"]}, use_dictionary=False)),
    ("long_text", "f.jsonl", text(json.dumps({"a": "x" * 4097})), text(json.dumps({"a": "x" * 4096}))),
    ("long_text", "line.jsonl", text(json.dumps({"a": list(range(500_000)) * 2})), text(json.dumps({"b": 1, "a": [1]}))),
    ("too_wide", "f.csv", text(",".join(f"c{i}" for i in range(2001)) + "\n" + "," * 2000 + "\n"), text(",".join(f"c{i}" for i in range(2000)) + "\n" + "," * 1999 + "\n")),
    ("float_id", "f.xlsx", workbook([["a", "b"], ["x", 330106199001011234]]), workbook([["a", "b"], ["x", 330106900101123]])),
    ("sheet", "error.xlsx", workbook(ROWS, then=lambda b, s: s.write_formula(2, 1, "=1/0", None, "#DIV/0!")), workbook(ROWS)),
    ("sheet", "formula.xlsx", unvalued(workbook(ROWS, then=lambda b, s: s.write_formula(1, 1, "=1+1", None, 2))), workbook(ROWS, then=lambda b, s: s.write_formula(1, 1, "=1+1", None, 2))),
    ("sheet", "two.xlsx", workbook(ROWS, ROWS), workbook(ROWS, [["说明"], ["无"]])),
    ("sheet", "merged.xlsx", workbook(ROWS, then=lambda b, s: s.merge_range(3, 0, 4, 0, "z")), workbook(ROWS)),
    ("no_file", "f.csv", lambda p: p.mkdir(), GOOD_CSV),
]  # fmt: skip


@pytest.mark.parametrize(("code", "name", "bad", "good"), REFUSED, ids=[f"{r[0]}-{r[1]}" for r in REFUSED])
def test_a_refusal_has_its_code_and_its_twin_opens(gate: Gate, tmp_path: Path, code: str, name: str, bad: Make, good: Make) -> None:  # fmt: skip
    bad(tmp_path / name)
    with pytest.raises(Refused) as refused:
        gate.open(tmp_path / name)
    assert refused.value.codes == [code]
    (line,) = refused.value.lines
    assert line.startswith(f"{name}: ") and "\n" not in line and "; " in line
    (tmp_path / "good").mkdir()
    name = "good.csv" if name.endswith((".pdf", ".xls")) else name
    good(tmp_path / "good" / name)
    assert gate.open(tmp_path / "good" / name).rows > 0


def test_a_line_number_is_told(gate: Gate, tmp_path: Path) -> None:
    for data, told in [('a,b\n"x\ny",1\nz\n', "line 4 "), ('a,b\nx,1\ny,"2"3\n', "line 3 ")]:
        (tmp_path / "f.csv").write_text(data)
        with pytest.raises(Refused, match=told):
            gate.open(tmp_path / "f.csv")


# --- what is opened, and how it reads


@pytest.fixture
def read(gate: Gate, tmp_path: Path) -> Callable[..., tuple[Source, list[tuple[Any, ...]]]]:
    """Open a file so made, and read its rows."""

    def read(make: Make, name: str, known: tuple[str, ...] = ()) -> tuple[Source, list[tuple[Any, ...]]]:
        make(tmp_path / name)
        source = gate.open(tmp_path / name, known)
        gate.start_engine()
        return source, gate.rows("SELECT * FROM read_parquet([$file])", file=str(source.readable))

    return read


@pytest.mark.parametrize(
    ("name", "make", "encoding"),
    [
        ("plain.csv", text("编号,费用\n甲,1.50\n乙,\n"), "utf-8-sig"),
        ("mark.csv", text("编号,费用\r\n甲,1.50\r\n乙,\r\n\r\n\r\n", "utf-8-sig"), "utf-8-sig"),
        ("gb.csv", text("编号;费用\n甲;1.50\n乙;\n", "gb18030"), "gb18030"),
        ("two.txt", text("编号\t费用\n甲\t1.50\n乙\t\n", "utf-16"), "utf-16"),
        ("behind.csv", text("编号|费用|\n甲|1.50|\n乙||\n"), "utf-8-sig"),
        ("quoted.csv", text('"编号","费用"\n"甲","1.50"\n"乙",""\n'), "utf-8-sig"),
        ("f*[a]?.csv", text("编号,费用\n甲,1.50\n乙,\n"), "utf-8-sig"),
        ("f.xlsx", workbook([["编号", "费用"], ["甲", "1.50"], [], ["乙", ""], ["", ""]]), ""),
        ("f*[a]?.parquet", parquet(columns={"编号": ["甲", "乙"], "费用": ["1.50", ""]}), ""),
    ],
)  # fmt: skip
def test_every_format_reads_the_same(read: Any, tmp_path: Path, name: str, make: Make, encoding: str) -> None:
    text("编号,费用\n丙,9\n")(tmp_path / "fxaz.csv")  # what f*[a]?.csv would find as a pattern
    parquet(columns={"编号": ["丙"], "费用": ["9"]})(tmp_path / "fxaz.parquet")
    source, rows = read(make, name)
    assert rows == [("甲", "1.50"), ("乙", "")]
    assert source.columns == {"编号": "VARCHAR", "费用": "VARCHAR"}
    assert (source.rows, source.encoding, source.path) == (2, encoding, tmp_path / name)


def test_chinese_that_is_utf8_by_chance_is_not_misread(read: Any) -> None:
    data = "某某医院,费用\n某某医院,1\n".encode("gb18030")
    assert data.splitlines()[1].decode("utf-8") == "ĳĳҽԺ,1"
    for encoded in (data, data.splitlines()[1] + b"\n" + data.splitlines()[1]):
        source, rows = read(raw(encoded), "f.csv")
        assert (source.encoding, rows) == ("gb18030", [("某某医院", "1")])


def test_a_link_is_followed_and_types_are_told(read: Any, tmp_path: Path) -> None:
    columns = {"a": [Decimal("1.50")], "b": [date(2023, 5, 31)], "c": [7], "d": [0.5], "e": ["x"]}
    parquet(columns=columns)(tmp_path / "there")
    source, rows = read(lambda path: path.symlink_to(tmp_path / "there"), "link.parquet")
    assert list(source.columns.values()) == ["DECIMAL(3,2)", "DATE", "BIGINT", "DOUBLE", "VARCHAR"]
    assert rows == [("1.50", "2023-05-31", 7, 0.5, "x")]


def test_cells_of_a_sheet_are_the_text_they_stand_for(read: Any) -> None:
    def dates(book: Any, sheet: Any) -> None:
        for at, (form, value) in enumerate({"yyyy-mm-dd": date(2023, 5, 31), "yyyy-mm-dd hh:mm:ss": datetime(2021, 8, 27, 9, 58, 41)}.items()):  # fmt: skip
            sheet.write_datetime(1, 5 + at, value, book.add_format({"num_format": form}))
        sheet.write_formula(1, 7, "=1+1", None, 2)

    numbers = [123456789012345, 2.0, 0.7999999999999999, 0.00000025, True]
    make = workbook([list("abcdefgh"), numbers], then=dates)
    expected = "123456789012345 2 0.7999999999999999 0.00000025 true 2023-05-31 2021-08-27_09:58:41 2"
    assert read(make, "f.xlsx")[1] == [tuple(v.replace("_", " ") for v in expected.split())]


def test_the_sheet_that_holds_the_data_is_found(read: Any) -> None:
    notes = [["说明", "日期"], ["导出", "今天"]]
    source, rows = read(workbook(notes, ROWS), "f.xlsx", known=("A", "b"))
    assert (rows[0], source.members["sheet"], source.members["other_sheets"]) == (
        ("x", "1"),
        "Sheet2",
        ["Sheet1"],
    )
    assert read(workbook(notes, ROWS), "g.xlsx")[1] == [("导出", "今天")]  # nothing known: the first
    assert read(workbook([], ROWS), "h.xlsx")[1][0] == ("x", "1")


def test_replies_become_rows(read: Any) -> None:
    fund = [("330101", 18785.39), ("999996", "505.01"), ("310201", 170.04), ("99999701", 1), ("个人自付", 3)]
    details = [{"fund_pay_type": code, "fund_payamt": paid} for code, paid in fund]
    nested = {
        "infcode": 0,
        "output": {"setlinfo": {"setl_id": "1", "fee": "F", "x": None}, "setldetail": details},
    }
    flat, refused = {"setl_id": "2", "fee": "G", "ok": True}, {"infcode": -1, "err_msg": "no", "output": None}
    lines = "\n\n".join(map(json.dumps, [nested, flat, refused]))
    lines = lines.replace('"F"', "23442.460").replace('"G"', "-1.10")  # digits no float would keep
    names = ["infcode", "setl_id", "fee", "x", "fund_list_sum", "fund_list_hosp", "fund_list_other", "fund_list_uncoded", "ok"]  # fmt: skip
    expected = [
        ("0", "1", "23442.460", None, "19461.44", "505.01", "1", "1", None),
        (None, "2", "-1.10", None, None, None, None, None, "true"),
        ("-1", *[None] * 8),
    ]
    source, rows = read(text(lines), "f.jsonl")
    assert (list(source.columns), rows) == (names, expected)
    array = "[\n" + ",\n".join(line for line in lines.split("\n\n")) + "\n]\n"
    assert read(text(array), "f.json")[1] == expected
    one = {"setlinfo": {"setl_id": "3"}, "setldetail": [{"fund_pay_type": "310100", "fund_payamt": "?"}]}
    assert read(text(json.dumps(one, indent=1)), "g.json")[1] == [("3", "?", "0", "0", "0")]

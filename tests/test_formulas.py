"""Texts a spreadsheet would run: in no file of ours do they, no row is torn by them, and no number changes."""

import csv
import io
import json
import re
import zipfile
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import docx
import openpyxl
import polars as pl
import pytest
from conftest import Run
from hostile import FORMULAS, NUMBERS, STATEMENT, codes, store_of

from analytics import report
from analytics.desk.answer import Desk
from analytics.figures import files, names
from analytics.release import csv_text, guarded
from analytics.report.document import Cell, Document, Section, Table, Text
from analytics.view import checks

STATEMENTS = [
    f"'; {STATEMENT}; --",
    f"') ; {STATEMENT}; --",
    "a' OR '1'='1",
    "$where_product",
    "{slot}",
    "%s",
]
TEXTS = ["=1+1", "@SUM(1,1)", "=cmd|' /C calc'!A0", *STATEMENTS]
TABLE = pl.DataFrame({"=name": FORMULAS, "value": [-1.5 + n for n in range(len(FORMULAS))]})


def live(cell: str) -> bool:
    """Whether a spreadsheet would take the cell for a formula: blanks and what is not seen do not count, nor does width."""
    seen = re.sub(r"^[\s\x00-\x20\u200b\u202e\ufeff\u00a0\u3000]+", "", cell)
    number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?%?", seen, re.IGNORECASE)
    return bool(seen) and seen[0] in "=+-@＝＋－＠﹦﹢﹣﹫" and not number


def cells(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_of(tmp_path_factory.mktemp("formulas"), TEXTS)


def test_the_payloads_are_live_unguarded() -> None:
    assert len(FORMULAS) >= 30
    plain = cells(TABLE.write_csv().encode())
    assert sum(live(row[0]) for row in plain[1:]) >= 30
    book, careless = io.BytesIO(), openpyxl.Workbook()
    for n, text in enumerate(FORMULAS, 1):
        careless.worksheets[0].cell(n, 1, re.sub(r"[\x00-\x08\x0b]", "", text))
    careless.save(book)
    assert sum(c.data_type == "f" for (c,) in openpyxl.load_workbook(book).worksheets[0].iter_rows()) >= 8


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_the_text_it_is(text: str) -> None:
    assert guarded(text) == f"'{text}" and guarded(guarded(text)) == guarded(text)


def test_numbers_and_plain_texts_stay() -> None:
    for text in (*NUMBERS, "", "病", "'=1"):
        assert guarded(text) == text


def test_tables_as_csv(tmp_path: Path) -> None:
    bundle = zipfile.ZipFile(io.BytesIO(files.csv(TABLE, [("=1", "=2")], "x")))
    for data in (csv_text(TABLE).encode(), bundle.read("x.csv")):
        rows = cells(data)
        assert len(rows) == len(FORMULAS) + 1 and {len(row) for row in rows} == {2}
        assert not any(live(row[0]) for row in rows)
        assert [float(row[1]) for row in rows[1:]] == TABLE["value"].to_list()


def test_tables_as_workbooks() -> None:
    data = files.excel(TABLE, [(text, text) for text in FORMULAS])
    book = openpyxl.load_workbook(io.BytesIO(data))
    sheets = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert len(sheets) > 4 * len(FORMULAS) and not any(cell.data_type == "f" for cell in sheets)
    assert [row[1].value for row in book.worksheets[0].iter_rows(min_row=2)] == TABLE["value"].to_list()
    parts = zipfile.ZipFile(io.BytesIO(data))
    assert not any(
        b"<f>" in parts.read(name) or b"externalLink" in parts.read(name) for name in parts.namelist()
    )


def test_products_named_so_are_asked_and_told(store: Path, run: Run) -> None:
    """By question and by command line: the code asked for is the one answered, and no statement in it runs."""
    desk = Desk.open(store)
    for code in codes(TEXTS):
        (row,) = desk.ask("paid_per_claim", ["product"], {"product": [code]}).table.to_dicts()
        assert (row["product"], row["n"], row["value"]) == (code, 14, 100.0)
    answer = desk.ask("paid_per_claim", ["product"], {})
    assert not any(live(names.member("product", code)) for code in answer.table["product"])
    code, out, err = run("measure", store, "paid_per_claim", "--by", "product", "--format", "csv")
    head, *rows = cells(out.strip().encode())
    assert code == 0 and err == "" and len(rows) == len(TEXTS)
    assert not any(live(cell) for row in rows for cell in row)
    assert {float(row[head.index("value")]) for row in rows} == {100.0}
    code, out, _ = run("measure", store, "paid_per_claim", "--by", "product", "--format", "json")
    assert sorted(row["product"] for row in json.loads(out)["rows"]) == sorted(codes(TEXTS))


def test_rows_that_wait_are_told_as_texts(store: Path, run: Run) -> None:
    code, out, _ = run("quality", store, "--rows", "20")
    assert code == 0
    fields = [cell for line in out.splitlines() for cell in line.split("\t")]
    assert any("1+1" in cell for cell in fields) and not any(live(cell) for cell in fields)
    shown = checks.rows(Desk.open(store).samples(20))
    texts = [*shown.columns, *(str(v) for name in shown.columns[1:] for v in shown[name])]
    assert any("1+1" in text for text in texts) and not any(live(text) for text in texts)


def told(text: str) -> str:
    """A text without what no document can hold, and without its blanks."""
    return "".join(
        c for c in text if c.isprintable() and not c.isspace() and c not in "\u200b\u202e\ufeff\ufffd"
    )


@pytest.fixture(scope="module")
def document() -> Document:
    rows = tuple((Cell(text), Cell(f"{n:,}.5", n + 0.5, "count")) for n, text in enumerate(FORMULAS))
    table = Table(FORMULAS[0], (FORMULAS[1], FORMULAS[4]), rows, note=FORMULAS[3])
    blocks = (Text(FORMULAS[4]), table)
    facts = tuple((text, text) for text in FORMULAS[:6])
    return Document(
        FORMULAS[0], FORMULAS[1], "zh", (Section(FORMULAS[2], blocks),), facts, warning=FORMULAS[8]
    )


def test_reports_as_workbooks(document: Document) -> None:
    data = report.render(document, "xlsx")
    every = [
        c for sheet in openpyxl.load_workbook(io.BytesIO(data)) for row in sheet.iter_rows() for c in row
    ]
    assert not any(cell.data_type == "f" for cell in every)
    parts = zipfile.ZipFile(io.BytesIO(data))
    assert not any(
        b"<f>" in parts.read(name) or b"externalLink" in parts.read(name) for name in parts.namelist()
    )
    numbers = [cell.value for cell in every if isinstance(cell.value, float)]
    assert numbers == [n + 0.5 for n in range(len(FORMULAS))]


def test_reports_as_documents(document: Document) -> None:
    data = report.render(document, "docx")
    (table,) = (t for t in docx.Document(io.BytesIO(data)).tables if len(t.rows) > len(FORMULAS))
    assert [told(row.cells[0].text) for row in table.rows][1:] == [told(text) for text in FORMULAS]
    parts = zipfile.ZipFile(io.BytesIO(data))
    for name in parts.namelist():
        if name.endswith(".xml"):
            for element in ElementTree.fromstring(parts.read(name)).iter():
                if element.tag.endswith(
                    ("}instrText", "}fldSimple")
                ):  # a field runs; page numbers are the only ones
                    assert not re.search(
                        "DDE|HYPERLINK|INCLUDE|calc", str(element.text) + str(element.attrib)
                    )


def test_reports_as_pages(document: Document) -> None:
    page = report.render(document, "html").decode()
    assert "<script" not in page and "javascript:" not in page
    found = [
        told(unescape(cell.replace("<br>", "")))
        for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", page, re.DOTALL)
    ]
    assert {told(text) for text in FORMULAS} <= set(found)

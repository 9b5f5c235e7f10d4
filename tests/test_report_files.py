"""Reports as files: what a document says is what Word, Excel, PDF and HTML say when they are opened again."""

import io
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pypdf
import pytest
import report_world
from docx.oxml.ns import qn

from analytics import report
from analytics.figures import words
from analytics.report import fonts, paging
from analytics.report.document import Cell, Document, Picture, Section, Table, Text

DOCUMENTS = ("zh", "en", "hostile")


@pytest.fixture(scope="module")
def documents(sample_store: Path, cache: Path) -> dict[str, Document]:
    found = {language: report_world.real(sample_store, language) for language in ("zh", "en")}
    return found | {"hostile": report_world.hostile()}


@pytest.fixture(scope="module")
def files(documents: dict[str, Document]) -> dict[tuple[str, str], bytes]:
    """Every document in every form."""
    return {(name, form): report.render(document, form) for name, document in documents.items() for form in report.FORMS}  # fmt: skip


def blocks(document: Document, kind: type) -> list[Any]:
    return [block for section in document.sections for block in section.blocks if isinstance(block, kind)]


def tables(document: Document) -> list[Table]:
    """Tables in the order in which they stand in a file."""
    return [
        block.table if isinstance(block, Picture) else block
        for block in blocks(document, Picture | Table)  # type: ignore[arg-type]
    ]


def bare(text: str) -> str:
    """A text without its spaces, which a PDF does not keep, and without what only allows a line to end."""
    return re.sub(r"[\s\u200b]", "", text)


def grid(table: Table) -> list[list[str]]:
    return [list(table.columns), *([c.text for c in row] for row in table.rows)]


# --- Word


def _flat(rows: list[list[str]]) -> list[list[str]]:
    return [[bare(text) for text in row] for row in rows]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_word_says_what_the_document_says(
    name: str, documents: dict[str, Document], files: dict[tuple[str, str], bytes]
) -> None:
    document, word = documents[name], docx.Document(io.BytesIO(files[name, "docx"]))
    paragraphs = [p.text for p in word.paragraphs]
    assert document.title in paragraphs and document.subtitle in paragraphs
    for block in blocks(document, Text):
        assert block.text in paragraphs
    headings = [p.text for p in word.paragraphs if p.style.name == "Heading 1"]
    assert len(headings) == len(document.sections) + 1
    assert all(s.title in h for s, h in zip(document.sections, headings, strict=False))
    found = [_flat([[c.text for c in row.cells] for row in made.rows]) for made in word.tables]
    if name != "hostile":
        facts = [list(fact) for fact in document.facts]
        assert found[:-1] == [_flat(grid(table)) for table in tables(document)]
        assert found[-1][1:] == _flat(facts)
    else:  # the wide table stands in several, which repeat its first column
        said = {text for rows in found for row in rows for text in row}
        assert {text for table in tables(document) for row in _flat(grid(table)) for text in row} <= said
    assert all(document.warning in s.header.paragraphs[0].text for s in word.sections)
    fields = [f.get(qn("w:instr")) for f in word.sections[0].footer._element.iter(qn("w:fldSimple"))]
    assert fields == ["PAGE", "NUMPAGES"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_word_is_dressed(
    name: str, documents: dict[str, Document], files: dict[tuple[str, str], bytes]
) -> None:
    """Chinese fonts by name, never by theme; heads repeat, no row is torn, tables and pictures fit the page, alt texts."""
    word = docx.Document(io.BytesIO(files[name, "docx"]))
    fonts_ = list(word.styles.element.iter(qn("w:rFonts")))
    assert len(fonts_) > 20
    for font in fonts_:
        assert font.get(qn("w:eastAsia")) in ("宋体", "黑体")
        assert not [key for key in font.attrib if "Theme" in key]
    for made in word.tables:
        assert made.rows[0]._tr.trPr.find(qn("w:tblHeader")) is not None
        assert all(row._tr.trPr.find(qn("w:cantSplit")) is not None for row in made.rows)
    lying = [s for s in word.sections if s.page_width > s.page_height]
    assert bool(lying) == (name == "hostile")
    room = max(s.page_width - s.left_margin - s.right_margin for s in word.sections)
    assert all(
        sum(column.width for column in made.columns) <= room + 12700 for made in word.tables
    )  # a point
    told = [p.get("descr") for p in word.element.iter(qn("wp:docPr"))]
    assert told == [p.chart.alt for p in blocks(documents[name], Picture)] and all(told)


# --- Excel


@pytest.mark.parametrize("name", DOCUMENTS)
def test_excel_keeps_numbers(
    name: str, documents: dict[str, Document], files: dict[tuple[str, str], bytes]
) -> None:
    document, book = documents[name], openpyxl.load_workbook(io.BytesIO(files[name, "xlsx"]))
    visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    assert len(visible) == len(document.sections) + 2
    assert all(len(sheet.title) <= 31 for sheet in book.worksheets)
    for section, sheet in zip(document.sections, visible[1:-1], strict=True):
        rows = [list(row) for row in sheet.iter_rows()]
        for block in section.blocks:
            if isinstance(block, Text):
                assert [row for row in rows if row[0].value == block.text]
                continue
            table = block.table if isinstance(block, Picture) else block
            width = len(table.columns)
            at = [i for i, row in enumerate(rows) if [c.value for c in row[:width]] == list(table.columns)]
            assert at, table.title
            for i in at[:1]:
                for line, row in zip(table.rows, rows[i + 1 :], strict=False):
                    for want, got in zip(line, row, strict=False):
                        _same(want, got)
        assert sheet.page_setup.orientation == "landscape" and sheet.freeze_panes
        assert sheet.page_setup.fitToHeight == 0 and sheet.sheet_properties.pageSetUpPr.fitToPage
    kinds = {c.data_type for sheet in book.worksheets for row in sheet.iter_rows() for c in row}
    assert "f" not in kinds
    natives = [p for p in blocks(document, Picture) if p.native != "none"]
    assert sum(len(sheet._charts) for sheet in visible) == len(natives)
    assert sum(len(sheet._images) for sheet in visible) == len(blocks(document, Picture)) - len(natives)


def _same(want: Cell, got: Any) -> None:
    if want.value is None:
        assert (got.value or "") == want.text and got.data_type in ("s", "n")
        assert not isinstance(got.value, float)
    elif want.unit == "points":
        assert got.value == pytest.approx(want.value * 100, abs=1e-9) and "个百分点" in got.number_format
    else:
        assert got.value == pytest.approx(want.value, rel=1e-15)  # a file keeps 16 digits
        formats = {"share": "%", "yuan": "#,##0.00", "count": "#,##0", "days": "天"}
        assert formats[want.unit] in got.number_format


def test_a_column_of_excel_is_as_wide_as_its_numbers(cache: Path) -> None:
    """A text may be short where the number behind it is long, and a number that does not fit is shown as a row of hashes."""
    table = Table("表", ("城市", "金额"), ((Cell("甲"), Cell("1.23 亿元", 123_456_789.12, "yuan")),))
    document = Document("题", "", "zh", (Section("节", (table,)),), ())
    book = openpyxl.load_workbook(io.BytesIO(report.render(document, "xlsx")))
    assert book.worksheets[1].column_dimensions["B"].width > len("123,456,789.12 元") + 1


def test_excel_has_a_column_of_intervals_and_shows_small_changes(cache: Path) -> None:
    """A cell that holds a number has no place for the words beside it; half a tenth of a point is not shown as none."""
    rows = (
        (Cell("甲"), Cell("+1.2 个百分点 [0.1, 2.3]", 0.012, "points"), Cell("5", 5.0, "count")),
        (Cell("乙"), Cell("+0.02 个百分点", 0.0002, "points"), Cell("6", 6.0, "count")),
        (Cell("丙"), Cell("—"), Cell("7", 7.0, "count")),
    )
    document = Document(
        "题", "", "zh", (Section("一", (Table("表", ("城市", "与珠海之差", "n"), rows),)),), ()
    )
    book = openpyxl.load_workbook(io.BytesIO(report.render(document, "xlsx")))
    lines = [[cell for cell in row if cell.value is not None] for row in book.worksheets[1].iter_rows()]
    at = next(
        i
        for i, line in enumerate(lines)
        if [c.value for c in line] == ["城市", "与珠海之差", "95% 区间", "n"]
    )
    first, second, third = ([c.value for c in line] for line in lines[at + 1 : at + 4])
    assert (
        first == ["甲", 1.2, "[0.1, 2.3]", 5]
        and second == ["乙", 0.02, "—", 6]
        and third == ["丙", "—", "—", 7]
    )
    assert "0.00" in lines[at + 2][1].number_format and "0.00" not in lines[at + 1][1].number_format


def test_a_chart_of_excel_leaves_a_gap_where_a_cell_is_protected(
    files: dict[tuple[str, str], bytes], documents: dict[str, Document]
) -> None:
    """What its series point to holds numbers and empty cells, never words that would be drawn as zero."""
    book = openpyxl.load_workbook(io.BytesIO(files["zh", "xlsx"]))
    seen: list[Any] = []
    for chart in (c for sheet in book.worksheets for c in sheet._charts):
        assert chart.display_blanks == "gap"
        for series in chart.series:
            sheet, area = series.val.numRef.f.replace("$", "").rsplit("!", 1)
            cells = book[sheet.strip("'")][area]
            seen += [cell.value for row in cells for cell in row]
    assert all(value is None or isinstance(value, float | int) for value in seen)
    with zipfile.ZipFile(io.BytesIO(files["zh", "xlsx"])) as parts:  # drawn although the sheet is not shown
        charts = [parts.read(name) for name in parts.namelist() if name.startswith("xl/charts/")]
    assert charts and not any(b"plotVisOnly" in chart for chart in charts)
    drawn = [r[1].value for p in blocks(documents["zh"], Picture) if p.native == "bars" for r in p.table.rows]
    assert None in drawn and None in seen and {v for v in drawn if v is not None} <= set(seen)


# --- PDF


@pytest.mark.parametrize("name", DOCUMENTS)
def test_pdf_says_what_the_document_says(
    name: str, documents: dict[str, Document], files: dict[tuple[str, str], bytes]
) -> None:
    document, pdf = documents[name], pypdf.PdfReader(io.BytesIO(files[name, "pdf"]))
    pages = [bare(page.extract_text()) for page in pdf.pages]
    whole = "".join(pages)
    wanted = [document.title, document.subtitle, *(b.text for b in blocks(document, Text))]
    wanted += [text for fact in document.facts for text in fact if len(text) < 40]
    wanted += [c for table in tables(document) for row in grid(table) for c in row if len(c) < 14]
    assert [text for text in wanted if bare(text) not in whole] == []
    assert all(bare(document.warning) in page for page in pages)
    assert all(len(page) > len(bare(document.warning)) + 30 for page in pages), "an empty page"
    assert f"{len(pages)}" in pages[0][-12:]
    used = {str(font) for page in pdf.pages for font in _fonts(page)}
    assert used and all("Jianfu" in font for font in used)
    assert pdf.metadata is not None and pdf.metadata.title == document.title
    lying = [page for page in pdf.pages if page.mediabox.width > page.mediabox.height]
    assert bool(lying) == (name == "hostile")


def _fonts(page: Any) -> list[Any]:
    return [font.get_object()["/BaseFont"] for font in page["/Resources"].get("/Font", {}).values()]


def test_a_long_table_repeats_its_head(files: dict[tuple[str, str], bytes]) -> None:
    pdf = pypdf.PdfReader(io.BytesIO(files["hostile", "pdf"]))
    pages = [bare(page.extract_text()) for page in pdf.pages]
    rows = [page for page in pages if re.search(r"第\d+行\d+", page)]
    assert len(rows) > 1 and all("名称值" in page for page in rows)


def test_a_file_made_again_is_the_same(
    documents: dict[str, Document], files: dict[tuple[str, str], bytes]
) -> None:
    for form in ("pdf", "xlsx"):
        assert report.render(documents["zh"], form) == files["zh", form]


# --- HTML


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._cell = [""], False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._cell:
            self.tables[-1][-1][-1] += data


@pytest.mark.parametrize("name", DOCUMENTS)
def test_html_says_what_the_document_says(
    name: str, documents: dict[str, Document], files: dict[tuple[str, str], bytes]
) -> None:
    document, reader = documents[name], _Reader()
    source = files[name, "html"].decode()
    reader.feed(source)
    assert reader.tables[:-1] == [grid(table) for table in tables(document)]
    assert reader.tables[-1][1:] == [list(fact) for fact in document.facts]
    said = set(reader.text)
    assert {document.title, document.subtitle, document.warning} <= said
    assert {b.text for b in blocks(document, Text)} <= said
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "a", "base", "form"}
    given = [(key, value or "") for _, attributes in reader.tags for key, value in attributes.items()]
    assert not [key for key, _ in given if key.startswith("on") or key in ("href", "src", "xlink:href")]
    assert "url(" not in source and "@import" not in source
    assert dict(reader.tags[0][1])["lang"] == ("en" if name == "en" else "zh-CN")
    pictures = [attributes for tag, attributes in reader.tags if tag == "svg"]
    assert [a["aria-label"] for a in pictures] == [p.chart.alt for p in blocks(document, Picture)]
    scopes = [attributes.get("scope") for tag, attributes in reader.tags if tag == "th"]
    assert scopes and set(scopes) == {"col", "row"}


# --- all of them


def test_what_is_no_character_leaves_a_mark(cache: Path) -> None:
    document = Document("a\x00b\x1b\ud800c\td", "", "en", (), ())
    assert paging.clean(document).title == "a\ufffdb\ufffd\ufffdc d"
    for form in report.FORMS:
        assert report.render(document, form)


def test_headings_are_numbered_as_each_language_does() -> None:
    with words.reading("zh"):
        assert [paging.numeral(n) for n in (1, 9, 10, 11, 20, 35)] == [
            "一",
            "九",
            "十",
            "十一",
            "二十",
            "三十五",
        ]
    with words.reading("en"):
        assert paging.numeral(12) == "12"


def test_a_wide_table_is_cut_into_tables_that_fit(cache: Path) -> None:
    wide = next(t for t in tables(report_world.hostile()) if len(t.columns) > 40)
    with words.reading("zh"):
        fonts.ready(paging.texts(wide))
        fits = paging.fitted(wide, "zh")
    assert len(fits) > 1 and all(fit.lying for fit in fits)
    assert [c for fit in fits for c in fit.table.columns[1:]] == list(wide.columns[1:])
    assert all(sum(fit.widths) <= paging.A4[1] - 2 * paging.MARGIN + 0.01 for fit in fits)
    assert all(fit.table.rows[0][0].text == "行 1" for fit in fits)


def test_writing_is_all_or_nothing(
    documents: dict[str, Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "报告.html"
    assert report.write(documents["zh"], target) == target and target.read_bytes().startswith(b"<!DOCTYPE")
    with pytest.raises(ValueError, match=r"docx.*xlsx.*pdf.*html"):
        report.write(documents["zh"], tmp_path / "x.doc")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", full)
    before = target.read_text("utf-8")
    with pytest.raises(OSError, match=re.escape(f"{target}: no space left")):
        report.write(documents["en"], target)
    assert target.read_text("utf-8") == before and [p.name for p in tmp_path.iterdir()] == [target.name]

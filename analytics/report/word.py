"""A report as a Word file: real headings and captions, table heads that repeat, pictures with their description."""

import io
import re
from typing import Any

import docx as python_docx
from docx.document import Document as Word
from docx.enum.section import WD_ORIENT, WD_SECTION
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.table import WD_CELL_VERTICAL_ALIGNMENT, WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Pt, RGBColor

from analytics.figures.words import t
from analytics.report import draw, paging
from analytics.report.document import Document, Table, Text
from analytics.report.paging import Fit, Piece

# What every office has: body and headings, for Latin letters and for Chinese.
_BODY, _HEAD = ("Times New Roman", "宋体"), ("Arial", "黑体")
_HEADED = ("Title", "Subtitle", "Heading", "Caption", "Header", "Footer")
_INK, _PALE, _ALARM = RGBColor(0x1F, 0x29, 0x33), RGBColor(0x52, 0x60, 0x6D), RGBColor(0xA3, 0x3A, 0x00)
_DOTS = 300  # of pictures, to the inch


def docx(document: Document) -> bytes:
    """The file."""
    word = python_docx.Document()
    _describe(word, document)
    _dress(word, document.language)
    _frame(word, document)
    word.add_paragraph(document.title, "Title")
    word.add_paragraph(document.subtitle, "Subtitle")
    if document.warning:
        _boxed(word.add_paragraph(document.warning))
    lying = False
    for part in paging.parts(document):
        lying = _turn(word, lying, False)
        word.add_heading(part.heading, 1)
        for piece in part.pieces:
            lying = _piece(word, piece, document.language, lying)
    last = paging.facts(document)
    _turn(word, lying, False)
    word.add_heading(last.title, 1)
    for fit in paging.fitted(last, document.language):
        _table(word, fit)
    file = io.BytesIO()
    word.save(file)
    return file.getvalue()


def _describe(word: Word, document: Document) -> None:
    core = word.core_properties
    core.title, core.subject, core.keywords = document.title, document.subtitle, ", ".join(document.keywords)
    core.author, core.comments, core.language = "", document.warning, document.language


def _dress(word: Word, language: str) -> None:
    """Fonts and sizes of every style; a style that names fonts of a theme would not keep its Chinese one."""
    defaults = word.styles.element.find(qn("w:docDefaults"))
    for fonts in defaults.iter(qn("w:rFonts")):
        _set_fonts(fonts, _BODY)
    for tongue in defaults.iter(qn("w:lang")):
        tongue.set(qn("w:val"), "en-US")
        tongue.set(qn("w:eastAsia"), "zh-CN")
    for style in word.styles:
        if style.element.rPr is None and not hasattr(style, "font"):
            continue
        family = _HEAD if str(style.name).startswith(_HEADED) else _BODY
        style.element.get_or_add_rPr().get_or_add_rFonts()
        for fonts in style.element.iter(qn("w:rFonts")):  # a style of tables has several
            _set_fonts(fonts, family)
    sizes = {
        "Normal": 10.5,
        "Title": 20,
        "Subtitle": 12,
        "Heading 1": 14,
        "Caption": 9.5,
        "Header": 8,
        "Footer": 8,
    }
    for name, size in sizes.items():
        font: Any = word.styles[name].font
        font.size, font.italic = Pt(size), False
        font.bold = name in ("Title", "Heading 1", "Caption")
        font.color.rgb = _PALE if name in ("Subtitle", "Footer") else _ALARM if name == "Header" else _INK
    for name in ("Title", "Subtitle", "Caption"):
        word.styles[name].paragraph_format.alignment = WD_ALIGN_PARAGRAPH.CENTER
    for border in word.styles["Title"].element.findall(f".//{qn('w:pBdr')}"):
        border.getparent().remove(border)
    normal = word.styles["Normal"].paragraph_format
    normal.line_spacing, normal.space_after = 1.4, Pt(4)
    body = word.styles.add_style("Report Text", WD_STYLE_TYPE.PARAGRAPH)
    body.base_style = word.styles["Normal"]
    if language == "zh":
        body.paragraph_format.first_line_indent = Pt(21)
    _set_fonts(body.element.get_or_add_rPr().get_or_add_rFonts(), _BODY)


def _set_fonts(fonts: Any, family: tuple[str, str]) -> None:
    for name in list(fonts.attrib):
        del fonts.attrib[name]
    for name in ("ascii", "hAnsi", "cs"):
        fonts.set(qn(f"w:{name}"), family[0])
    fonts.set(qn("w:eastAsia"), family[1])


def _frame(word: Word, document: Document) -> None:
    """Paper, the warning above every page, page numbers below."""
    section = word.sections[0]
    section.page_width, section.page_height = map(Pt, paging.A4)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Pt(
        paging.MARGIN
    )
    head = section.header.paragraphs[0]
    head.text, head.alignment = document.warning, WD_ALIGN_PARAGRAPH.CENTER
    foot = section.footer.paragraphs[0]
    foot.alignment = WD_ALIGN_PARAGRAPH.CENTER
    for part in re.split(r"({pages?})", t("file.page", page="{page}", pages="{pages}")):
        if part in ("{page}", "{pages}"):
            _field(foot, "PAGE" if part == "{page}" else "NUMPAGES", "1")
        else:
            foot.add_run(part)


def _field(paragraph: Any, code: str, shown: str) -> None:
    """A field of Word and what it showed when the file was written."""
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), code)
    run = paragraph.add_run(shown)
    field.append(run._r)
    paragraph._p.append(field)


def _boxed(paragraph: Any) -> None:
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    for run in paragraph.runs:
        run.bold, run.font.color.rgb = True, _ALARM
    borders = OxmlElement("w:pBdr")
    for side in ("top", "left", "bottom", "right"):
        borders.append(_edge(side, 6, "A33A00", 4))
    paragraph._p.get_or_add_pPr().insert_element_before(
        borders, "w:shd", "w:tabs", "w:suppressAutoHyphens", "w:spacing", "w:ind", "w:jc", "w:rPr"
    )


def _edge(side: str, size: int, colour: str, space: int = 0) -> Any:
    edge = OxmlElement(f"w:{side}")
    for name, value in (("val", "single"), ("sz", size), ("space", space), ("color", colour)):
        edge.set(qn(f"w:{name}"), str(value))
    return edge


def _turn(word: Word, lying: bool, wanted: bool) -> bool:
    """Begin a page the other way round where that is wanted."""
    if lying != wanted:
        section = word.add_section(WD_SECTION.NEW_PAGE)
        section.orientation = WD_ORIENT.LANDSCAPE if wanted else WD_ORIENT.PORTRAIT
        section.page_width, section.page_height = map(Pt, paging.A4[::-1] if wanted else paging.A4)
    return wanted


def _piece(word: Word, piece: Piece, language: str, lying: bool) -> bool:
    block = piece.block
    if isinstance(block, Text):
        lying = _turn(word, lying, False)
        word.add_paragraph(block.text, "Report Text")
    elif isinstance(block, Table):
        for n, fit in enumerate(paging.fitted(block, language), 1):
            lying = _turn(word, lying, fit.lying)
            _caption(word, paging.continued(piece.caption, n)).paragraph_format.keep_with_next = True
            _table(word, fit)
        _note(word, block.note)
    else:
        lying = _turn(word, lying, False)
        drawn = draw.svg(block.chart, language)
        paragraph = word.add_paragraph()
        paragraph.alignment, paragraph.paragraph_format.keep_with_next = WD_ALIGN_PARAGRAPH.CENTER, True
        wide = min(paging.A4[0] - 2 * paging.MARGIN, draw.width(drawn) * 0.75)
        shape = paragraph.add_run().add_picture(io.BytesIO(draw.png(drawn, _DOTS)), width=Pt(wide))
        shape._inline.docPr.set("descr", block.chart.alt)
        shape._inline.docPr.set("title", block.title)
        _caption(word, piece.caption)
        _note(word, block.note)
    return lying


def _caption(word: Word, caption: str) -> Any:
    """A caption whose number is a field, so that Word can list figures and tables."""
    paragraph = word.add_paragraph(style="Caption")
    found = re.match(r"(\D*?)(\d+)(.*)", caption, re.DOTALL)
    before, number, after = found.groups() if found else (caption, "", "")
    paragraph.add_run(before)
    if number:
        _field(paragraph, f"SEQ {before.strip()} \\* ARABIC", number)
    paragraph.add_run(after)
    return paragraph


def _note(word: Word, note: str) -> None:
    paragraph = word.add_paragraph()
    if note:
        run = paragraph.add_run(t("file.note", note=note))
        run.font.size, run.font.color.rgb = Pt(8.5), _PALE


def _table(word: Word, fit: Fit) -> None:
    """A table between two rules; its head repeats on every page and no row is torn."""
    table, columns = fit.table, range(len(fit.table.columns))
    made = word.add_table(rows=0, cols=len(fit.table.columns))
    made.alignment, made.autofit = WD_TABLE_ALIGNMENT.CENTER, False
    borders = OxmlElement("w:tblBorders")
    for side, size, colour in (("top", 8, "1F2933"), ("bottom", 8, "1F2933"), ("insideH", 2, "DDE2E8")):
        borders.append(_edge(side, size, colour))
    margins = OxmlElement("w:tblCellMar")
    for side in ("left", "right"):
        margin = OxmlElement(f"w:{side}")
        margin.set(
            qn("w:w"), str(round(paging.PAD / 2 * 18))
        )  # twentieths of a point, a tenth less than was reckoned
        margin.set(qn("w:type"), "dxa")
        margins.append(margin)
    layout = made._tbl.tblPr.find(qn("w:tblLayout"))
    layout.addprevious(borders)
    layout.addnext(margins)
    for i in columns:
        made.columns[i].width = Pt(fit.widths[i])
    rows = [(tuple(table.columns), True, [False] * len(columns))]
    rows += [
        (tuple(c.text for c in r), False, [paging.muted(table, r, i) for i in columns]) for r in table.rows
    ]
    for texts, is_head, pale in rows:
        row = made.add_row()
        for name in ("w:cantSplit", "w:tblHeader") if is_head else ("w:cantSplit",):
            row._tr.get_or_add_trPr().append(OxmlElement(name))
        for i, cell in enumerate(row.cells):
            cell.width, cell.vertical_alignment = Pt(fit.widths[i]), WD_CELL_VERTICAL_ALIGNMENT.CENTER
            paragraph = cell.paragraphs[0]
            paragraph.paragraph_format.line_spacing, paragraph.paragraph_format.space_after = 1.1, Pt(1)
            if not paging.worded(table, i):
                paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
            run = paragraph.add_run(texts[i])
            run.font.size, run.bold = Pt(fit.size), is_head
            if pale[i]:
                run.font.color.rgb = _PALE
        if is_head:
            _ruled(row)


def _ruled(row: Any) -> None:
    """A rule below the head."""
    for cell in row.cells:
        borders = OxmlElement("w:tcBorders")
        borders.append(_edge("bottom", 4, "1F2933"))
        cell._tc.get_or_add_tcPr().insert_element_before(
            borders,
            "w:shd",
            "w:noWrap",
            "w:tcMar",
            "w:textDirection",
            "w:tcFitText",
            "w:vAlign",
            "w:hideMark",
        )

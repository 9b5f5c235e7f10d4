"""A report as one HTML file: pictures inside, no script, nothing fetched; it prints, and its tables scroll on a phone."""

from collections.abc import Iterator
from html import escape

from analytics.figures.words import t
from analytics.report import draw, paging
from analytics.report.document import Cell, Document, Picture, Table, Text
from analytics.report.paging import Piece

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f3f5f7; color: #1f2933; line-height: 1.7;
  font-family: "Jianfu Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei", sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem) 3rem; background: #fff; }
h1 { font-size: 1.7rem; line-height: 1.3; margin: 1rem 0 .3rem; text-align: center; }
.subtitle { text-align: center; color: #52606d; margin: 0 0 1rem; }
.warning { border: 1px solid #a33a00; border-radius: 4px; color: #a33a00; font-weight: 700; padding: .5rem .8rem; text-align: center; }
h2 { font-size: 1.25rem; margin: 2rem 0 .6rem; }
p { margin: .6rem 0; overflow-wrap: anywhere; }
:lang(zh) section > p { text-indent: 2em; }
figure { margin: 1.2rem 0; }
figure svg { display: block; width: 100%; min-width: 32rem; max-width: 640px; height: auto; margin: 0 auto; }
figcaption { text-align: center; font-weight: 700; font-size: .92rem; margin: .4rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 0 auto; min-width: 60%; font-size: .88rem; line-height: 1.45;
  border-top: 2px solid #1f2933; border-bottom: 2px solid #1f2933; font-variant-numeric: tabular-nums; }
thead th { border-bottom: 1px solid #1f2933; vertical-align: bottom; }
th, td { padding: .35rem .6rem; text-align: left; border-top: 1px solid #e4e8ec; }
tbody th { font-weight: 400; }
.number { text-align: right; }
td.number { white-space: nowrap; }
.muted { color: #52606d; }
.note { font-size: .82rem; color: #52606d; text-indent: 0; }
@page { size: A4; margin: 2cm; }
@media print {
  body, main { background: #fff; }
  main { max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  figure svg { min-width: 0; }
  figure.picture, tr { break-inside: avoid; }
  h2, figcaption { break-after: avoid; }
  thead { display: table-header-group; }
  body { font-size: 10.5pt; }
}
"""


def html(document: Document) -> bytes:
    """The file, UTF-8; every text in it is escaped."""
    language = "zh-CN" if document.language == "zh" else "en"
    keywords = escape(", ".join(document.keywords), quote=True)
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="{language}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="keywords" content="{keywords}">',
        f"<title>{escape(document.title)} · {escape(document.subtitle)}</title>",
        f"<style>{_STYLE}</style></head><body><main>",
        f'<header><h1>{escape(document.title)}</h1><p class="subtitle">{escape(document.subtitle)}</p>',
        f'<p class="warning" role="note">{escape(document.warning)}</p>' if document.warning else "",
        "</header>",
    ]
    for part in paging.parts(document):
        lines.append(f"<section><h2>{escape(part.heading)}</h2>")
        lines += [line for piece in part.pieces for line in _piece(piece, document.language)]
        lines.append("</section>")
    last = paging.facts(document)
    lines += [f"<section><h2>{escape(last.title)}</h2>", *_table(last, ""), "</section></main></body></html>"]
    return "\n".join(line for line in lines if line).encode()


def _piece(piece: Piece, language: str) -> Iterator[str]:
    block = piece.block
    if isinstance(block, Text):
        yield f"<p>{escape(block.text)}</p>"
    elif isinstance(block, Table):
        yield from _table(block, piece.caption)
    else:
        named = escape(piece.caption, quote=True)
        yield f'<figure class="picture"><div class="scroll" tabindex="0" role="region" aria-label="{named}">'
        yield f"{draw.svg(block.chart, language)}</div>"
        yield f"<figcaption>{escape(piece.caption)}</figcaption>{_note(block)}</figure>"


def _note(block: Picture | Table) -> str:
    return f'<p class="note">{escape(t("file.note", note=block.note))}</p>' if block.note else ""


def _table(table: Table, caption: str) -> Iterator[str]:
    kinds = ["" if paging.worded(table, i) else ' class="number"' for i in range(len(table.columns))]
    yield "<figure>"
    if caption:
        yield f"<figcaption>{escape(caption)}</figcaption>"
    named = escape(caption or table.title, quote=True)
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{named}"><table>'
    heads = "".join(f'<th scope="col"{k}>{_lines(c)}</th>' for c, k in zip(table.columns, kinds, strict=True))
    yield f"<thead><tr>{heads}</tr></thead><tbody>"
    for row in table.rows:
        yield f"<tr>{''.join(_cell(table, row, i, kinds[i]) for i in range(len(row)))}</tr>"
    yield f"</tbody></table></div>{_note(table)}</figure>"


def _cell(table: Table, row: tuple[Cell, ...], column: int, kind: str) -> str:
    text = _lines(row[column].text)
    if column == 0:
        return f'<th scope="row">{text}</th>'
    if paging.muted(table, row, column):
        return f'<td class="number muted">{text}</td>'
    return f"<td{kind}>{text}</td>"


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")

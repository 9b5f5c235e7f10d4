"""A report as PDF, set by Typst: numbered, tagged, its tables as wide as the page, the fonts inside."""

import json
from pathlib import Path
from typing import Any

from analytics.figures.words import t
from analytics.report import draw, fonts, paging, setting
from analytics.report.document import Document, Picture, Table, Text
from analytics.report.paging import Piece

_TEMPLATE = Path(__file__).with_name("report.typ")
_ROOM = paging.A4[0] - 2 * paging.MARGIN


def pdf(document: Document) -> bytes:
    """The file; the same bytes for the same document."""
    last = paging.facts(document)
    parts = [
        {"heading": part.heading, "pieces": [p for piece in part.pieces for p in _piece(piece, document)]}
        for part in paging.parts(document)
    ]
    parts.append({"heading": last.title, "pieces": _tables(last, "", document)})
    content = {
        "title": document.title,
        "subtitle": document.subtitle,
        "warning": document.warning,
        "keywords": list(document.keywords),
        "lang": document.language,
        "fonts": fonts.families(document.language),
        "page": t("file.page", page="{page}", pages="{pages}"),
        "parts": parts,
    }
    return setting.compile(_TEMPLATE, {"data": json.dumps(content, ensure_ascii=False)}, "pdf")


def _piece(piece: Piece, document: Document) -> list[dict[str, Any]]:
    block = piece.block
    if isinstance(block, Text):
        return [{"kind": "text", "text": block.text}]
    if isinstance(block, Table):
        return _tables(block, piece.caption, document)
    picture = draw.svg(block.chart, document.language)
    return [
        {
            "kind": "picture",
            "svg": picture,
            "alt": block.chart.alt,
            "width": min(_ROOM, draw.width(picture) * 0.75),
            "caption": piece.caption,
            "note": _note(block),
        }
    ]


def _note(block: Picture | Table) -> str:
    return t("file.note", note=block.note) if block.note else ""


def _tables(table: Table, caption: str, document: Document) -> list[dict[str, Any]]:
    fits = paging.fitted(table, document.language)
    made: list[dict[str, Any]] = [
        {
            "kind": "table",
            "caption": paging.continued(caption, n),
            "columns": fit.table.columns,
            "words": [paging.worded(fit.table, i) for i in range(len(fit.table.columns))],
            "rows": [
                [{"text": c.text, "muted": paging.muted(fit.table, row, i)} for i, c in enumerate(row)]
                for row in fit.table.rows
            ],
            "widths": fit.widths,
            "size": fit.size,
            "note": _note(table) if n == len(fits) else "",
        }
        for n, fit in enumerate(fits, 1)
    ]
    return [{"kind": "lying", "tables": made}] if fits[0].lying else made

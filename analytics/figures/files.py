"""A figure's numbers as files: CSV with its notes, Excel, Parquet. Each carries the lines of `about.block`."""

import io
import json
import zipfile
from collections.abc import Sequence

import polars as pl
import pyarrow.parquet as pq

from analytics.figures import about, names
from analytics.figures.words import t
from analytics.release import Released, csv_text, guarded

_BOM = b"\xef\xbb\xbf"  # without it a spreadsheet reads Chinese as something else
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal figures are equal files
Lines = Sequence[tuple[str, str]]


def full(answers: Sequence[Released]) -> pl.DataFrame:
    """Everything the answers hold: code and name of every dimension, exact values; money in yuan, shares as fractions."""
    return pl.concat([_named(answer) for answer in answers], how="diagonal_relaxed")


def _named(answer: Released) -> pl.DataFrame:
    table = answer.table
    called = [
        pl.Series(f"{d}_name", [names.member(d, v) for v in table[d]], dtype=pl.String) for d in answer.by
    ]
    wanted = [column for d in answer.by for column in (d, f"{d}_name")]
    wanted += [c for c in table.columns if c not in answer.by]
    told = pl.lit(about.settings(answer)).alias("parameters")
    figure = pl.lit(" ".join(about.ids([answer]))).alias("figure")
    return table.with_columns(called).select(*wanted, told, figure)


def csv(table: pl.DataFrame, lines: Lines, name: str) -> bytes:
    """A zip of the table and its notes, both opened by a spreadsheet as they are (UTF-8 with BOM)."""
    held = io.BytesIO()
    notes = "\r\n".join(f"{what}\t{text}" for what, text in lines)
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as bundle:
        for file, text in ((f"{name}.csv", csv_text(table)), (f"{name}.txt", notes)):
            bundle.writestr(zipfile.ZipInfo(file, _EPOCH), _BOM + text.encode())
    return held.getvalue()


def excel(table: pl.DataFrame, lines: Lines) -> bytes:
    """A workbook: the table with real numbers, and a sheet of notes. Text never opens as a formula."""
    from xlsxwriter import Workbook

    held = io.BytesIO()
    with Workbook(held, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        bold = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        wrap = book.add_format({"text_wrap": True, "valign": "top"})
        sheet = book.add_worksheet(t("sheet.data"))
        sheet.freeze_panes(1, 0)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        for column, name in enumerate(table.columns):
            sheet.write_string(0, column, name, bold)
            for row, value in enumerate(table[name], 1):
                if isinstance(value, bool | str) or (
                    value is not None and not isinstance(value, int | float)
                ):
                    sheet.write_string(row, column, guarded(str(value)))
                elif value is not None:
                    sheet.write_number(row, column, value)
        sheet.autofit()
        notes = book.add_worksheet(t("sheet.about"))
        notes.set_column(0, 0, 24)
        notes.set_column(1, 1, 110)
        for row, (what, text) in enumerate([(t("about.item"), t("about.content")), *lines]):
            notes.write_string(row, 0, what, bold)
            notes.write_string(row, 1, text, bold if row == 0 else wrap)
    return held.getvalue()


def parquet(table: pl.DataFrame, lines: Lines) -> bytes:
    """The table with its notes as `jianfu` in the file's metadata."""
    held = io.BytesIO()
    arrow = table.to_arrow()
    told = json.dumps([list(line) for line in lines], ensure_ascii=False)
    pq.write_table(arrow.replace_schema_metadata({"jianfu": told}), held)
    return held.getvalue()

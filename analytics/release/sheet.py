"""Tables as text for spreadsheets: a cell that a spreadsheet would run as a formula is written as the text it is."""

import re
import unicodedata

import polars as pl

_FORMULA = "=+-@"
_NUMBER = re.compile(r"[+-]?(([0-9]+|[0-9]{1,3}(,[0-9]{3})+)([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?%?")


def guarded(text: str) -> str:
    """A cell of a table: with an apostrophe in front where it would open as a formula. Numbers stay as they are.

    What counts is the first character that is seen (full-width forms too), and tabs and returns before it.
    """
    seen = next((i for i, c in enumerate(text) if unicodedata.category(c)[0] not in "CZ"), len(text))
    starts = unicodedata.normalize("NFKC", text[seen : seen + 1])[:1]
    moves = "\t" in text[:seen] or "\r" in text[:seen]
    if not moves and (not starts or starts not in _FORMULA or _NUMBER.fullmatch(text.strip())):
        return text
    return "'" + text


def csv_text(table: pl.DataFrame) -> str:
    """The table as CSV, its texts guarded, its numbers exact."""
    texts = [name for name, kind in table.schema.items() if kind == pl.String]
    safe = table.with_columns(pl.col(texts).map_elements(guarded, return_dtype=pl.String))
    return safe.rename({name: guarded(name) for name in table.columns}).write_csv()

"""Excel workbooks (.xlsx), in the child: one sheet, every cell as the text it stands for, nothing guessed."""

import re
import zipfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum

from analytics.intake.formats import SMALL, Say, Transcript, refuse

UNFOLD = 100  # how many times its size a workbook may unfold
EXACT = 10**15  # whole numbers from here on have more digits than a cell of type number keeps
NOTHING = "no sheet holds anything; deliver it again"
_ROWS = 20_000
_BROKEN = (  # a quick look, the cell, what it holds
    (b't="e"', rb'<c [^>]*\bt="e"', "an error such as #DIV/0!; correct it or leave the cell empty"),
    (
        b"<f",
        rb'<c r="\w+"(?: s="\d+")?><f[^>]*(?:/>|>[^<]*</f>)(?:<v ?/>|<v></v>)?</c>',
        "a formula without its value; open and save it in Excel, or paste values",
    ),
)


def open_sheet(path: Path, target: Path, known: Sequence[str], say: Say) -> dict[str, Any]:
    """Transcribe the one sheet of a workbook that holds the data. Raises Refused."""
    try:
        _look_through(path)
        with path.open("rb") as file, CalamineWorkbook.from_filelike(file) as book:
            names = [s.name for s in book.sheets_metadata if s.typ == SheetTypeEnum.WorkSheet]
            name = names[0] if len(names) == 1 else ""
            if not name:
                heads = {other: _head(book.get_sheet_by_name(other)) for other in names}
                name = _choose(path, {other: head for other, head in heads.items() if head}, known)
            transcript, typed = _transcribe(path, target, book.get_sheet_by_name(name), say)
    except (
        zipfile.BadZipFile,
        CalamineError,
        OverflowError,
        NotImplementedError,
        RuntimeError,
        KeyError,
    ) as error:
        raise refuse(
            path, "format", f"not a whole .xlsx workbook ({str(error)[:120]}); save it again"
        ) from error
    others = [other for other in names if other != name]
    return transcript.done(format="xlsx", members={"sheet": name, "other_sheets": others, "numbers": typed})


def _look_through(path: Path) -> None:
    """Unfold every part once, piece by piece: how large it is, and what a reader would pass over in silence."""
    with zipfile.ZipFile(path) as book:
        parts = book.infolist()
        if "xl/workbook.xml" not in book.namelist():
            raise refuse(path, "format", "an archive and no .xlsx workbook; unpack it, or save it as .xlsx")
        total = sum(part.file_size for part in parts)
        if total > max(SMALL, UNFOLD * path.stat().st_size):
            raise refuse(
                path, "unfolds", f"{path.stat().st_size} bytes unfold to {total}; deliver a plain export"
            )
        for part in parts:
            sheet, held = part.filename.startswith("xl/worksheets/"), b""
            with book.open(part) as file:
                while chunk := file.read(1 << 20):
                    text = held + chunk if sheet else b""
                    for hint, pattern, what in _BROKEN:
                        if hint in text and (found := re.search(pattern, text)):
                            cell = re.search(rb'\br="(\w+)"', found[0])
                            where = f" {cell[1].decode()}" if cell else ""
                            raise refuse(path, "sheet", f"cell{where} of {part.filename} holds {what}")
                    held = text[-2000:]


def _head(sheet: CalamineSheet) -> list[str]:
    return [str(cell).strip() for cell in next(sheet.iter_rows(), [])]


def _choose(path: Path, heads: dict[str, list[str]], known: Sequence[str]) -> str:
    """The sheet that holds data: the only one with two columns we know, else the first that is not empty."""
    if not heads:
        raise refuse(path, "empty", NOTHING)
    wanted = {name.casefold() for name in known}
    fit = [name for name, head in heads.items() if sum(n.casefold() in wanted for n in head) > 1]
    first = fit[0] if fit else next(iter(heads))
    alike = fit[1:] or [name for name, head in heads.items() if name != first and head == heads[first]]
    if alike:
        what = f"sheets {first} and {', '.join(alike)} both look like data; deliver one sheet a file"
        raise refuse(path, "sheet", what)
    return first


def _transcribe(
    path: Path, target: Path, sheet: CalamineSheet, say: Say
) -> tuple[Transcript, dict[str, str]]:
    top, left = sheet.start or (0, 0)
    merged = sheet.merged_cell_ranges or []
    rows = sheet.iter_rows()
    names = [_text(cell).strip() for cell in next(rows, [])]
    if not names:
        raise refuse(path, "empty", NOTHING)
    if top or any(start[0] == 0 for start, _ in merged):
        what = "has rows above the header, or merged cells in it; row 1 must name every column once"
        raise refuse(path, "header", f"sheet {sheet.name} {what}")
    if merged:
        down, right = merged[0][0]
        what = f"cells are merged from column {right + 1} row {down + 1} on; take the merging off"
        raise refuse(path, "sheet", f"sheet {sheet.name}: {what}")
    width = max(at for at, name in enumerate(names, 1) if name)
    transcript = Transcript(path, target, names[:width])
    held: list[list[Any]] = []
    numbers: list[int] = []
    typed: dict[str, str] = {}  # columns with a cell of type number, and the first such cell

    def write() -> None:
        columns = []
        for place, (name, cells) in enumerate(zip(names, zip(*held, strict=True), strict=False)):
            if name not in typed and float in set(map(type, cells)):
                at = next(i for i, cell in enumerate(cells) if cell.__class__ is float)
                typed[name] = f"{_letters(left + place)}{numbers[at]}"
            try:
                texts = [cell if cell.__class__ is str else _text(cell) for cell in cells]
            except OverflowError as error:
                at = next(i for i, cell in enumerate(cells) if isinstance(cell, float) and abs(cell) >= EXACT)
                what = f"column {name} row {numbers[at]} is a number of over 15 digits, which Excel has rounded; keep ids as text"
                raise refuse(path, "float_id", what) from error
            columns.append(pa.array(texts, pa.string()))
        if columns:
            transcript.add(columns)
            say(tell=min(1.0, numbers[-1] / sheet.height))
        held.clear()
        numbers.clear()

    for number, row in enumerate(rows, 2):
        if row.count("") == len(row):
            continue
        if any(cell != "" for cell in row[width:]):
            what = f"row {number} has a value in a column without a name; row 1 must name every column"
            raise refuse(path, "header", f"sheet {sheet.name}: {what}")
        held.append(row[:width])
        numbers.append(number)
        if len(held) == _ROWS:
            write()
    write()
    return transcript, typed


def _letters(column: int) -> str:
    """A column as a spreadsheet names it: A, Z, AA."""
    return (_letters(column // 26 - 1) if column > 25 else "") + chr(65 + column % 26)


def _text(cell: Any) -> str:
    """The text a cell stands for: whole numbers without point, others as short as is exact, dates as ISO. Raises
    OverflowError for a number with more digits than a cell keeps.
    """
    if isinstance(cell, float):
        if not -EXACT < cell < EXACT:
            raise OverflowError
        number = repr(cell)
        return f"{Decimal(number):f}" if "e" in number else number.removesuffix(".0")
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, timedelta):
        return _text(cell / timedelta(days=1))
    if isinstance(cell, datetime):
        whole = (cell + timedelta(milliseconds=500)).replace(microsecond=0)
        near = abs(whole - cell) < timedelta(milliseconds=2)  # it is kept as a fraction of a day
        return (whole if near else cell).isoformat(" ")
    return str(cell.isoformat())  # a date or a time of day

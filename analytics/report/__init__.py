"""Reports people take to meetings: Word, Excel, PDF and HTML, from released answers only."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from analytics.desk.answer import Desk
from analytics.figures import words
from analytics.figures.charts import Chart
from analytics.release import Record
from analytics.report.compose import compose, refusal
from analytics.report.document import Document
from analytics.report.form import KINDS

FORMS = ("docx", "xlsx", "pdf", "html")
PICTURES = ("svg", "png")


def render(document: Document, form: str) -> bytes:
    """A report as the bytes of a file. Raises ValueError for a form that is none of FORMS."""
    make = _maker(form)
    from analytics.report import fonts, paging

    document = paging.clean(document)
    with words.reading(document.language):
        fonts.ready(paging.texts(document))
        return make(document)


def write(document: Document, path: str | Path, record: Record | None = None) -> Path:
    """Write a report; its form is the suffix. A file of this name is replaced at once or not at all, and not before it is
    entered in the record, where one is given. Raises ValueError, and OSError naming the file.
    """
    path = Path(path)
    _place(path)
    content = render(document, path.suffix.removeprefix(".").lower())
    if record:
        record.left("report", path.name, content, document.figures)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:  # which names the file beside it
        raise OSError(f"{path}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def _place(path: Path) -> None:
    """Whether a report can go there. Raises ValueError, before any work is done."""
    _maker(path.suffix.removeprefix(".").lower())
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}; make it, or name another")


def picture(
    chart: Chart,
    form: str,
    title: str = "",
    caption_lines: Sequence[str] = (),
    language: str = "zh",
    notes: Sequence[tuple[str, str]] = (),
) -> bytes:
    """A chart as a picture, with a title above and what it rests on below, and the `notes` of its file inside it. Raises
    ValueError for a form that is none of PICTURES.
    """
    if form not in PICTURES:
        raise ValueError(f"picture as {form!r}: not possible; {', '.join(PICTURES)} are")
    from analytics.report import draw, noted, paging

    drawn = draw.svg(paging.clean(chart), language, paging.clean(title), paging.clean(list(caption_lines)))
    if form == "svg":
        return (noted.svg(drawn, notes) if notes else drawn).encode()
    return noted.png(draw.png(drawn), notes) if notes else draw.png(drawn)


def _maker(form: str) -> Callable[[Document], bytes]:
    """What writes a form; its library is loaded only when it is asked for."""
    if form == "pdf":
        from analytics.report.pdf import pdf

        return pdf
    if form == "docx":
        from analytics.report.word import docx

        return docx
    if form == "xlsx":
        from analytics.report.excel import xlsx

        return xlsx
    if form == "html":
        from analytics.report.html import html

        return html
    raise ValueError(f"report as {form!r}: not possible; {', '.join(FORMS)} are")


def write_report(
    store: Path | str,
    city: str,
    plan_year: int,
    path: Path | str,
    *,
    kind: str = "bureau",
    language: str = "zh",
    unit: str = "auto",
) -> Path:
    """Compose the report of a city-year of a store (see `compose`) and write it; its form is the suffix. Raises ValueError, and
    store.NotBuilt or store.Damaged where there is nothing to open.
    """
    _place(Path(path))
    desk = Desk.open(store)
    return write(compose(desk, city, plan_year, kind=kind, language=language, unit=unit), path, desk.record)


__all__ = [
    "FORMS",
    "KINDS",
    "PICTURES",
    "compose",
    "picture",
    "refusal",
    "render",
    "write",
    "write_report",
]

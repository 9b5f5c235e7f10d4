"""What tests of reports share: a desk that remembers, and what a reader sees of a report."""

from collections.abc import Iterator
from typing import Any

from analytics.desk.answer import Desk
from analytics.release import Released
from analytics.report.document import Document, Picture, Table, Text


class Remembering(Desk):
    """A desk that computes each question once, so that several reports cost one."""

    protect = True

    def ask(self, measure: str, *args: Any, **more: Any) -> Released:
        key = repr((measure, args, sorted(more.items())))
        memory: dict[str, Any] = self.__dict__.setdefault("memory", {})
        if key not in memory:
            try:
                memory[key] = super().ask(measure, *args, **{**more, "protect": self.protect})
            except ValueError as error:
                memory[key] = error
        if isinstance(memory[key], ValueError):
            raise memory[key]
        return memory[key]


class Open(Remembering):
    """The same without protection, so that every sentence of a small sample can be read."""

    protect = False


def tables(document: Document) -> Iterator[Table]:
    """Every table, those of pictures too."""
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Picture):
                yield block.table
            elif isinstance(block, Table):
                yield block


def sentences(document: Document) -> list[str]:
    return [b.text for s in document.sections for b in s.blocks if isinstance(b, Text)]


def everything(document: Document) -> Iterator[str]:
    """Every text a reader sees."""
    yield from (document.title, document.subtitle, document.warning, *document.keywords)
    for section in document.sections:
        yield section.title
        for block in section.blocks:
            if isinstance(block, Text):
                yield block.text
            else:
                yield block.title
                yield block.note
            if isinstance(block, Picture):
                yield block.chart.alt
    for table in tables(document):
        yield table.note
        yield from table.columns
        yield from (cell.text for row in table.rows for cell in row)

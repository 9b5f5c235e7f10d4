"""What everybody asks first, answered for one city and plan year while its facts are built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from analytics.measures.cube import HELD, packed, questions
from analytics.measures.cube import key as key_of
from analytics.measures.evaluate import Book
from analytics.store import Partition


@dataclass(frozen=True)
class Staged:
    """The facts of one city and plan year before they are sealed, in the form a Book reads. `paths`: files by table."""

    place: tuple[str, int]
    paths: Mapping[str, Sequence[Path]]
    manifest: Mapping[str, Any]
    id: str = "staged"

    def partitions(self, table: str | None = None) -> list[Partition]:
        """Its files, as Folder.partitions gives those of a snapshot."""
        return [
            Partition(name, path, "", 0, *self.place)
            for name, paths in self.paths.items()
            for path in paths
            if table in (None, name)
        ]

    def check(self) -> None:
        """Nothing is sealed yet."""


def prepare(staged: Staged) -> pl.DataFrame:
    """All prepared answers of a city and plan year that it can give, as rows of a cube (see cube.py), and what largest.py and histogram.py tell."""
    book = Book(staged, threads=1)
    where = dict(zip(("city", "plan_year"), ([v] for v in staged.place), strict=True))
    parts = [
        pl.DataFrame(
            {"key": [HELD], "at": [sorted(book.columns())]}, schema_overrides={"at": pl.List(pl.String)}
        )
    ]
    for measure, by, parameters in questions():
        try:
            raw = book.ask(measure, by, where, parameters)
        except ValueError:
            continue  # told to whoever asks it
        parts.append(packed(key_of(raw.question, by, raw.parameters), raw.table, raw.question.by))
    bins = book.histogram(where)
    parts += [*book.largest(), *([] if bins is None else [bins])]
    return pl.concat(parts, how="diagonal")


def prepared(
    place: tuple[str, int], paths: Mapping[str, Sequence[Path]], told: Mapping[str, Any]
) -> pl.DataFrame:
    """As `prepare`, of what a Staged is made of: what facts.Cube asks for."""
    return prepare(Staged(place, paths, told))

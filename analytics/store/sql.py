"""A `.sql` file and its header. The header states the grain and names the slots that generated columns fill."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analytics.reference import Band

FORMAT = "FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2"  # how every file of a store is written
# Facts are read far more often than written: a twentieth more bytes than zstd, a seventh less time to write and a third less to read.
FACTS_FORMAT = FORMAT.replace("zstd", "lz4_raw")
_HEADER = re.compile(r"^-- (grain|slots|tables|parameters): (.*)$", re.MULTILINE)
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Query:
    """SQL text with `{slot}` places. `grain`: what one row of the result is."""

    name: str
    text: str
    grain: str
    slots: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> "Query":
        """Read a `.sql` file. Raises ValueError when its header does not declare a grain or the slots it uses."""
        text = path.read_text(encoding="utf-8")
        header = {key: value.strip() for key, value in _HEADER.findall(text)}
        slots = tuple(s.strip() for s in header.get("slots", "").split(",") if s.strip())
        if "grain" not in header or set(_SLOT.findall(text)) != set(slots):
            raise ValueError(f"{path.name}: the header must declare '-- grain:' and exactly the slots used")
        return cls(path.stem, text, header["grain"], slots)

    def fill(self, **slots: str) -> str:
        """The SQL with every slot filled by generated columns. Raises KeyError for a missing slot."""
        return _SLOT.sub(lambda match: slots[match.group(1)], self.text)


def literal(value: object) -> str:
    """A SQL literal: NULL, a quoted text (anything that is no list), or a list of them."""
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    return "'" + str(value).replace("'", "''") + "'"


def banded(amount: str, bands: "Sequence[Band]") -> str:
    """SQL of the band an amount in fen lies in; the last of the bands has no upper edge."""
    whens = " ".join(
        f"WHEN {amount} <= {b.up_to * 100} THEN {literal(b.id)}" for b in bands if b.up_to is not None
    )
    return f"CASE {whens} ELSE {literal(bands[-1].id)} END"


def parquet(paths: Iterable[Path], *, row_number: bool = False, by_name: bool = False) -> str:
    """The one way a Parquet file is read: an exact list of files, no patterns, no columns from folder names. `by_name`: a
    column that some of them lack is NULL there.
    """
    extra = (", file_row_number = true" if row_number else "") + (", union_by_name = true" if by_name else "")
    return f"read_parquet({literal([str(path) for path in paths])}, hive_partitioning = false{extra})"

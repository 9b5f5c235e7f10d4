"""What can be delivered, and what was delivered and waits to be built."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from analytics.intake import TABLES, contract
from analytics.reference import Text
from analytics.store import Damaged, NotBuilt, Store

BILLS = ("settlement", "household_year")  # without one of these there is nothing to build


@dataclass(frozen=True)
class Column:
    """A column of a table as a sender must know it."""

    name: str
    meaning: str
    type: str
    required: bool
    spellings: tuple[str, ...]


def tables() -> tuple[str, ...]:
    """The tables that can be delivered, the needed one first."""
    return TABLES


def title(table: str) -> Text:
    """What a table is called."""
    return contract(table).title


def columns(table: str) -> list[Column]:
    """The columns of a table by its contract."""
    return [
        Column(c.name, c.zh, c.type, c.must_fill, tuple(s for s in c.spellings if s != c.name))
        for c in contract(table).columns
    ]


def unbuilt(store: Path | str) -> list[str]:
    """Tables of the deliveries that are not in the published snapshot, one entry each. A damaged delivery is left out."""
    target, built, found = Store(store), set(), []
    with suppress(NotBuilt, Damaged):
        built = {d["id"] for d in target.current().manifest["deliveries"]}
    for delivery in target.deliveries():
        with suppress(Damaged):
            if delivery.id not in built:
                found.append(str(delivery.manifest["table"]))
    return found


def can_build(store: Path | str) -> bool:
    """Whether a delivery is held that a snapshot can be built from."""
    for delivery in Store(store).deliveries():
        with suppress(Damaged):
            if delivery.manifest["table"] in BILLS:
                return True
    return False

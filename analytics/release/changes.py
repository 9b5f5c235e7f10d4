"""Who changes a store, and the entries of that: a change is entered before it is made, a refused one before that is said.

An entry may be of a change that was not made, where the process was stopped between the two; never the other way.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analytics.release.audit import Unwritten, log_of
from analytics.release.record import Record
from analytics.store import Store

_CODE = re.compile(r"\[([\w-]+)\]$")  # of a line of the gate


@contextmanager
def changing(path: Path | str, kind: str, **asked: Any) -> Iterator[Store]:
    """A store whose changes are entered in its audit log as `kind`, and what refuses or fails in this block too (`asked`: what
    it was about). Raises audit.Unwritten instead of changing anything. Where there is no store, there is no log.
    """
    record = Record(log_of(path))

    def enter(what: str, name: str, facts: Mapping[str, Any]) -> None:
        record.note(kind, **_TOLD[what](name, facts))

    store = Store(path, enter)
    try:
        yield store
    except Unwritten:
        raise
    except Exception as error:
        if store.path.is_dir():
            try:
                record.note(kind, outcome="refused", why=_why(error), **asked)
            except Unwritten as unwritten:
                for line in getattr(error, "lines", (plain(error),)):
                    unwritten.add_note(line)
                raise unwritten from error
        raise


def plain(error: Exception) -> str:
    """What an error says, the system's too: of which file, and what to do."""
    if not isinstance(error, OSError) or error.errno is None or error.filename is None:
        return str(error)
    return f"{error.filename}: {error.strerror}; check that this path exists and may be read, or written where something is to be kept there"


def _why(error: Exception) -> list[str]:
    """The gate's codes, else the kind of error: its words may hold what stands in a file."""
    codes = {m[1] for line in getattr(error, "lines", ()) if (m := _CODE.search(line))}
    return sorted(codes) or [type(error).__name__]


def _delivery(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    told = {"outcome": "delivered", "delivery": name, "table": facts["table"]}
    told |= {"files": [{key: file[key] for key in ("name", "sha256")} for file in facts["inputs"]]}
    told |= {rows: facts[rows] for rows in ("rows_in", "rows_loaded", "rows_quarantined")}
    if fixes := facts["corrects"]:
        told |= {
            "corrects": fixes["delivery"],
            "by": fixes["who"],
            "rows_dropped": sum(len(p["rows"]) for p in fixes["dropped"]),
        }
    return told | ({"sign_off": facts["sign_off"]} if facts["sign_off"] else {})


def _held(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**_delivery(name, facts), "outcome": "held already"}


def _snapshot(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    of = facts["deliveries"]
    return {
        "outcome": "published",
        "snapshot": name,
        "deliveries": [d["id"] for d in of],
        "rows": sum(d["rows"] for d in of),
    }


def _all(_: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"outcome": "replaced", **facts}


_TOLD = {"deliveries": _delivery, "held": _held, "snapshots": _snapshot, "all": _all}

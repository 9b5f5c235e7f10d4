"""What answers are read from, and what they say of that."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from typing import Any, Protocol

from analytics.facts.checks import overpaid
from analytics.measures.form import version
from analytics.measures.question import Question
from analytics.store import Partition


class Sealed(Protocol):
    """What a Book reads: a snapshot (store.Folder), or facts about to become one."""

    @property
    def id(self) -> str: ...
    @property
    def manifest(self) -> Mapping[str, Any]: ...
    def partitions(self, table: str | None = None) -> list[Partition]: ...
    def check(self) -> None: ...


def origin(
    snapshot: Sealed, question: Question, places: Collection[tuple[str, int]] | None = None
) -> dict[str, Any]:
    """What an answer of a snapshot rests on; `places`: those it is of, where others may not be named. `payments_over_burden`: its city-years of which that is said, see facts.checks."""
    cities, years = question.where.get("city"), question.where.get("plan_year")

    def asked(row: Mapping[str, Any]) -> bool:
        if places is not None:
            return (row["city"], row["plan_year"]) in places
        return (not cities or row["city"] in cities) and (not years or str(row["plan_year"]) in years)

    over = [
        f"{row['city']} {row['plan_year']} ({row['over_limit']:.0%})"
        for row in overpaid(snapshot.manifest)
        if asked(row)
    ]
    return {
        "snapshot": snapshot.id,
        "synthetic": snapshot.manifest["synthetic"],
        "facts_version": snapshot.manifest["facts_version"],
        "measures_version": version(),
        "code": _code(),
        "plans": [p["file"] for p in snapshot.manifest["plans"] if p["file"] and asked(p)],
        **({"payments_over_burden": ", ".join(over)} if over else {}),
    }


@cache
def _code() -> str:
    try:
        return package_version("jianfu")
    except PackageNotFoundError:
        return "checkout"

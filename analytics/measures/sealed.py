"""What answers are read from, and what they say of that."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from typing import Any, Protocol

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


def origin(snapshot: Sealed, question: Question) -> dict[str, Any]:
    """What an answer of a snapshot rests on."""
    cities, years = question.where.get("city"), question.where.get("plan_year")
    return {
        "snapshot": snapshot.id,
        "synthetic": snapshot.manifest["synthetic"],
        "facts_version": snapshot.manifest["facts_version"],
        "measures_version": version(),
        "code": _code(),
        "plans": [
            p["file"]
            for p in snapshot.manifest["plans"]
            if p["file"]
            and (not cities or p["city"] in cities)
            and (not years or str(p["plan_year"]) in years)
        ],
    }


@cache
def _code() -> str:
    try:
        return package_version("jianfu")
    except PackageNotFoundError:
        return "checkout"

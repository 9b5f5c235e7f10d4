"""The id of an answer: a hash over all that decides it, and what is needed to compute it again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import polars.selectors as cs

from analytics.release.disclosure import Released
from analytics.store.program import program as program

_DIGITS = (
    10  # of a decimal number that two computations must share: sums of many are not always added in one order
)
_USUAL = (("ledger", "observed"), ("se_method", "auto"))  # not written down
_WHOLE = (
    "verb",
    "measure",
    "by",
    "where",
    "parameters",
    "snapshot",
    "protection",
    "program",
)  # in every question
_VERSIONS = ("snapshot", "facts_version", "measures_version", "protection")


@dataclass(frozen=True)
class Figure:
    """An answer as it was given. `asked`: the whole question, snapshot and versions; `digest`: of the table."""

    id: str
    asked: Mapping[str, Any]
    digest: str

    def told(self) -> dict[str, Any]:
        """As it is written down."""
        return {"figure": self.id, "asked": dict(self.asked), "digest": self.digest}

    def text(self) -> str:
        """As it stands in a file, on one line."""
        return _canonical(self.told()).decode()


def read(text: str | Mapping[str, Any]) -> Figure:
    """A figure as it was written down. Raises ValueError where the id is not that of the question, or the question not whole."""
    told = json.loads(text) if isinstance(text, str) else text
    try:
        found = Figure(told["figure"], told["asked"], told["digest"])
        lacks = [name for name in _WHOLE if name not in found.asked]
    except (KeyError, TypeError) as error:
        raise ValueError("no figure: figure, asked or digest is missing") from error
    if lacks:
        raise ValueError(f"{found.id}: its question is not whole; it lacks {', '.join(lacks)}")
    if found.id != _id(found.asked):
        raise ValueError(
            f"{found.id}: its question was changed; the question given is that of {_id(found.asked)}"
        )
    return found


def identified(released: Released, **asked: Any) -> Released:
    """The answer with its id. `asked`: what of the question the answer itself does not tell (verb, ledger, scenario, errors)."""
    facts = released.provenance
    whole = {
        "measure": released.measure.id,
        "by": list(released.by),
        "where": {name: list(codes) for name, codes in sorted(released.where.items())},
        "parameters": dict(released.parameters),
        **{name: value for name, value in asked.items() if value and (name, value) not in _USUAL},
        **{name: facts[name] for name in _VERSIONS if name in facts},
        "program": program(),
    }
    figure = Figure(_id(whole), whole, digest(released.table))
    told = {"figure": figure.id, **facts, "program": program()}
    return replace(released, provenance=told, figures=(figure,))


def digest(table: pl.DataFrame) -> str:
    """Hash of the names, types and values of a table."""
    same = table.with_columns(cs.float().round_sig_figs(_DIGITS) + 0.0)  # no zero below zero
    kinds = ",".join(f"{name}:{kind}" for name, kind in table.schema.items())
    return hashlib.sha256(f"{kinds}\n{same.write_csv(null_value='NULL')}".encode()).hexdigest()[:16]


def _id(asked: Mapping[str, Any]) -> str:
    return f"F-{hashlib.sha256(_canonical(asked)).hexdigest()[:16]}"


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

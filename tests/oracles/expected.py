"""The expected numbers beside this file, as checks that can be asked: one row is one question and its answer.

A spec sets parameters for all its rows (those a measure does not take are left out); a row names its own. Amounts, lines and gaps stand
in the money of the data; a store holds `yuan` of ours for one of it.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from analytics.desk.answer import Desk
from analytics.measures import measures

HERE = Path(__file__).parent
# The surveys themselves, unrounded, where they lie beside the project: they may not all be passed on.
DATA = Path(os.environ.get("JIANFU_SURVEYS", HERE.parents[2] / "shared" / "oracles" / "data"))
LINES = ("poverty_line", "line_floor", "line_base")  # parameters that are amounts of money
SOCIETAL = (
    "line_floor",
    "line_base",
    "line_share",
    "line_of",
)  # come with a societal line, wherever one is used


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))


def number(text: str | float) -> float:
    """A decimal, or an exact fraction such as "6/13"."""
    return float(Fraction(text)) if isinstance(text, str) else float(text)


@dataclass(frozen=True)
class Check:
    """One question and its answer; `se_by` names the tool where its standard error is made another way than ours."""

    spec: str
    measure: str
    common: Mapping[str, str]
    own: Mapping[str, str]
    value: float
    se: float | None = None
    se_by: str = ""
    n: int | None = None

    def __str__(self) -> str:
        return "-".join((self.spec[:2], self.measure, *self.own.values()))

    def parameters(self, yuan: Decimal = Decimal(1)) -> dict[str, str]:
        takes = (*measures()[self.measure].parameters, *SOCIETAL)
        taken = {k: v for k, v in self.common.items() if k in takes}
        return {
            k: format(Decimal(v) * yuan, "f") if k in LINES else v for k, v in {**taken, **self.own}.items()
        }


def checks(name: str) -> list[Check]:
    return [
        Check(
            spec["title"], row["measure"], spec.get("set", {}),
            {k: v for k, v in row.items() if k not in ("measure", "value", "se", "se_by")},
            number(row["value"]), row.get("se"), row.get("se_by", ""), spec.get("n"),
        )
        for spec in read(name)["spec"] for row in spec["rows"]
    ]  # fmt: skip


def asked(desk: Desk, check: Check, yuan: Decimal = Decimal(1), **more: str) -> dict[str, Any]:
    """The row a store answers; a value in yuan is given back in the money of the data."""
    told = desk.ask(check.measure, parameters=check.parameters(yuan), protect=False, **more)  # type: ignore[arg-type]
    (row,) = told.table.to_dicts()
    if measures()[check.measure].unit == "yuan":
        row |= {
            k: row[k] / float(yuan) for k in ("value", "se", "ci_low", "ci_high") if row.get(k) is not None
        }
    return row


def is_here(name: str) -> bool:
    return (DATA / f"{name}.parquet").is_file()


def exact(name: str) -> Path:
    """A survey as its publisher keeps it; the test is left out where it is not at hand."""
    if not is_here(name):
        pytest.skip(f"{name}: the unrounded survey is not here")
    return DATA / f"{name}.parquet"

"""A mapping file: how a foreign table (a survey, a local spelling) becomes a canonical one."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import Field

from analytics.intake.contract import Contract
from analytics.intake.forms import read_form
from analytics.intake.gate import Refused
from analytics.reference import Form


class Money(Form):
    """`scale`: fen per source unit; 100 for yuan, 1 for fen, 1,000,000 for ten thousand yuan. Of household_year, a survey in a currency
    of its own, more than 100 keeps the digits of its fractions.
    """

    scale: int = Field(default=100, gt=0)


class Mapping(Form):
    """[columns] canonical = "source column"; [constants] canonical = value; [money] scale; [values.<column>] source = canonical;
    ignore = source columns that look like payments and are left out on purpose."""

    columns: dict[str, str] = Field(default_factory=dict)
    constants: dict[str, str | int | bool | Decimal | datetime | date] = Field(default_factory=dict)
    money: Money = Money()
    values: dict[str, dict[str, Any]] = Field(default_factory=dict)
    ignore: tuple[str, ...] = ()

    def constant(self, column: str) -> str:
        """A constant as a file would write it."""
        value = self.constants[column]
        if isinstance(value, bool):
            return str(value).lower()
        return f"{value:f}" if isinstance(value, Decimal) else str(value)


def load_mapping(path: Path, table: Contract) -> Mapping:
    """Read a mapping. Raises Refused with every problem: unknown keys, unknown canonical columns."""
    mapping = read_form(Mapping, path, "mapping")
    known = {column.name for column in table.columns}
    found = [
        f"{path.name}: {part}.{name}: not a column of {table.table}; columns are {', '.join(sorted(known))} [mapping]"
        for part in ("columns", "constants", "values")
        for name in getattr(mapping, part)
        if name not in known
    ]
    if found:
        raise Refused(found)
    return mapping

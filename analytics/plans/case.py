"""A person's claims written by hand: a CSV in yuan, or dicts with only what matters, into whole claims."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, get_args

from analytics.plans.model import Capacity, CareType, CrossRegion, HospitalLevel, InsuranceType
from analytics.plans.rowsql import COST_PARTS
from analytics.plans.schedule import PERSON_GROUPS
from analytics.plans.waterfall import OPTIONAL

Claim = dict[str, Any]
# column -> type and the value of a claim that does not say
COLUMNS: dict[str, tuple[str, Any]] = {
    "person_id": ("VARCHAR", "1"),
    "seq": ("BIGINT", None),
    "insurance_type": ("VARCHAR", "resident"),
    "person_group": ("VARCHAR", "general"),
    "is_pre_existing": ("BOOLEAN", False),
    "is_retired": ("BOOLEAN", False),
    "product": ("VARCHAR", None),
    "hospital_level": ("VARCHAR", "3"),
    "care_type": ("VARCHAR", "inpatient"),
    "cross_region": ("VARCHAR", "local"),
    **dict.fromkeys(COST_PARTS.values(), ("BIGINT", 0)),
    **{column: (kind, None) for column, kind in OPTIONAL.items()},
}
MOST = 2_147_483_647  # fen a claim holds, see the contracts of intake
_LARGEST = {"INTEGER": MOST, "BIGINT": 9_223_372_036_854_775_807}
_WORDS: dict[str, tuple[str, ...]] = {
    "insurance_type": get_args(InsuranceType),
    "person_group": ("general", *PERSON_GROUPS),
    "hospital_level": get_args(HospitalLevel),
    "care_type": get_args(CareType),
    "cross_region": get_args(CrossRegion),
    "capacity": get_args(Capacity),
}


def whole(claims: Iterable[Mapping[str, Any]]) -> list[Claim]:
    """Claims with every column of COLUMNS, numbered as they come where they have no seq. Raises ValueError."""
    found = []
    for number, claim in enumerate(claims, 1):
        usual = {name: value for name, (_, value) in COLUMNS.items()} | {"seq": number}
        if unknown := sorted(set(claim) - set(usual)):
            raise ValueError(
                f"claim {number}: no such column: {', '.join(unknown)}; columns are {', '.join(usual)}"
            )
        found.append({**usual, **claim})
    if len({claim["person_id"] for claim in found}) > 1:
        raise ValueError("the claims are of several persons: give those of one")
    if len({claim["seq"] for claim in found}) < len(found):
        raise ValueError("seq: two claims have the same number: number them in order of date")
    return found


def read_case(text: str, products: Iterable[str] = ()) -> list[Claim]:
    """Claims of one person from a CSV with a header, money in yuan (`in_policy_yuan` for in_policy_fen); an empty cell
    is the usual value. Raises ValueError with every problem, one a line."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    header = [name.strip() for name in next(reader, [])]
    money = {column.removesuffix("_fen") + "_yuan": column for column in COST_PARTS.values()}
    names = [name for name in COLUMNS if name not in money.values()] + list(money)
    found = []
    for name in header:
        if name not in names:
            hint = name.removesuffix("_fen") + "_yuan"
            known = f"write {hint}, in yuan" if hint in money else f"columns are {', '.join(names)}"
            found.append(f"header: {name!r} is no column: {known}")
        elif header.count(name) > 1:
            found.append(f"header: {name} stands twice: keep one")
    claims = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        at = f"line {reader.line_num}"
        if len(cells) != len(header):
            found.append(f"{at}: has {len(cells)} cells, the header has {len(header)}: make them equal")
            continue
        claim: Claim = {}
        for name, cell in zip(header, cells, strict=True):
            if name not in names or not cell.strip():
                continue
            column = money.get(name, name)
            try:
                claim[column] = _reader(name, name in money, tuple(products))(cell.strip())
            except ValueError as error:
                found.append(f"{at}: {name}: {cell.strip()!r} {error}")
        claims.append(claim)
    if not claims and not found:
        found.append("holds no claim: write a header and a line for each claim")
    if found:
        raise ValueError("\n".join(dict.fromkeys(found)))
    return whole(claims)


def _reader(name: str, is_money: bool, products: tuple[str, ...]) -> Callable[[str], Any]:
    kind = COLUMNS[name][0] if not is_money else "money"
    if name in _WORDS or name == "product":
        return lambda cell: _word(cell, _WORDS.get(name, products))
    readers: dict[str, Callable[[str], Any]] = {
        "money": fen, "BOOLEAN": _flag, "DATE": _day, "VARCHAR": str,
        **{kind: partial(_whole, most=most) for kind, most in _LARGEST.items()},
    }  # fmt: skip
    return readers[kind]


def fen(cell: str) -> int:
    """Yuan as text into fen, no more than a claim holds. Raises ValueError."""
    try:
        yuan = Decimal(cell)
        if yuan.is_finite() and yuan > Decimal(MOST) / 100:
            raise ValueError(f"is more than a claim holds: write at most {Decimal(MOST) / 100} yuan")
        amount = yuan * 100
        if not amount.is_finite() or amount < 0 or amount % 1:
            raise InvalidOperation
    except InvalidOperation as error:
        text = "is no amount: write yuan with at most two decimals, such as 60000 or 60000.50"
        raise ValueError(text) from error
    return int(amount)


def _word(cell: str, words: tuple[str, ...]) -> str:
    if cell not in words:
        raise ValueError(f"is not allowed: write one of {', '.join(words) or '(none)'}")
    return cell


def _flag(cell: str) -> bool:
    return _word(cell.lower(), ("true", "false")) == "true"


def _day(cell: str) -> date:
    try:
        return date.fromisoformat(cell)
    except ValueError as error:
        raise ValueError("is no date: write 2024-01-31") from error


def _whole(cell: str, most: int) -> int:
    if not cell.isdecimal():
        raise ValueError("is not a whole number")
    if Decimal(cell) > most:
        raise ValueError(f"is too large: write at most {most}")
    return int(cell)

"""The protected tables of a city-year: its prepared answers with cells hidden and the rest rounded, attacked before anybody sees them.

Rates are made of the rounded figures. What is hidden is null in every column, with one pattern for all measures of a cell; an
answer without a lattice is left out and named in the certificate.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from analytics.measures import HELD, LARGEST, PLACED, measures
from analytics.release.attack import COUNT, MONEY, Seen, undone
from analytics.release.disclosure import HIDDEN, SHOWN, UNDEFINED, Policy, policy
from analytics.release.lattice import Lattice, Shown, apart, lattice, plan
from analytics.release.protect import protect
from analytics.release.system import Flags, Unproven, primary

PROTECTED = "protected"  # the table
_FEN = _PER_100 = 100
_OWN = ("person_group", "cost_band")  # dimensions that add up: what is left out is told of all together
COLUMNS: dict[str, Any] = {
    "key": pl.String, "at": pl.List(pl.String), "value": pl.Float64, "numerator": pl.Float64, "denominator": pl.Float64,
    "n": pl.Int64, "n_excluded": pl.Int64, "n_no_resource": pl.Int64, "status": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Tables:
    """`rows`: as a cube holds answers, with a status; `certificate`: what was protected, and that the attack failed; or why nothing
    of the place is published (`withheld`: undone, unproven, contradicts) and, for the engineer, how.
    """

    rows: pl.DataFrame
    certificate: dict[str, Any]


def version() -> str:
    """Hash of all that decides a protected table once the answers are there."""
    here = Path(__file__).parent
    names = ("lattice.toml", "policy.toml", "lattice.py", "tables.py", "protect.py", "attack.py", "system.py")
    return hashlib.sha256(b"".join((here / name).read_bytes() for name in names)).hexdigest()[:12]


def protected(cube: pl.DataFrame, order: Sequence[str], before: pl.DataFrame | None = None) -> Tables:
    """Protect the prepared answers of a city-year and attack the result. `order`: tiers in order of payment; `before`: its
    protected tables of the published snapshot. Where these and the new ones together would tell what is hidden, they stay as
    they are. Where the new ones alone would, or this cannot be found out, the place has no tables, and the certificate says
    so (`withheld`).
    """
    rules = policy()

    def withheld(why: str, told: str, **more: Any) -> Tables:
        # what was published before is read by nobody any longer, but what comes next is attacked beside it
        rows = _frame(cube, []) if before is None else before.select(*COLUMNS)
        left = {"withheld": why, "left_out": [f"all answers: {told}"], "cells": 0, "hidden": 0}
        return Tables(rows, {**left, **more, "policy": rules.model_dump()})

    try:
        cells = lattice(cube, order, rules.contributors)
    except ValueError:
        return withheld("contradicts", "their figures contradict the lattice")
    try:
        found = _attacked(cube, cells, rules, before)
    except Unproven as error:
        return withheld("unproven", "the attack did not end", unproven=str(error))
    return withheld("undone", "the attack undoes them", undone=found) if isinstance(found, list) else found


def _attacked(
    cube: pl.DataFrame, cells: Lattice, rules: Policy, before: pl.DataFrame | None
) -> Tables | list[str]:
    """The tables, or how they are undone. Raises Unproven."""
    risk = primary(cells.system, rules)
    out = left_out(cells, risk, rules.k)
    was = printed(cells, before) if before is not None else None
    hidden = to_hide(cells, rules, out | (was.dark if was else frozenset()))
    rows = _frame(
        cube,
        [
            _row(cells, one, hide, rules)
            for one, hide in zip(cells.rows, _dark(cells, hidden, rules.k), strict=True)
        ],
    )
    now = printed(cells, rows)
    seen = as_seen(cells, now, rules)
    if lines := undone(seen, cells.system, rules, risk, insiders=rules.insiders, sample=rules.whole_numbers):
        return lines
    more = {"by insiders": rules.insiders, "in whole numbers": rules.whole_numbers}
    attacked = ["published", *(name for name, cells_tried in more.items() if cells_tried)]
    about: dict[str, Any] = {"attacked": attacked, "kept": False, "hospitals": _hospitals(cube, rules)}
    if was is not None and before is not None:
        attacked.append("with the publication before")
        if undone(seen, cells.system, rules, risk, earlier=as_seen(cells, was, rules)):
            rows, now, about["kept"] = before.select(*COLUMNS), was, True
    return Tables(rows, {**_certificate(cells, now, risk, out), **about, "policy": rules.model_dump()})


def guarded(
    place: tuple[str, int], answers: Path, told: Mapping[str, Any], before: Path | None
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """As `protected`, from files: what facts.Guard asks for. `told`: facts of the manifest."""
    order = next(p["order"] for p in told["plans"] if (p["city"], p["plan_year"]) == place)
    found = protected(pl.read_parquet(answers), order, pl.read_parquet(before) if before else None)
    return found.rows, found.certificate


# --- what is hidden


def left_out(cells: Lattice, risk: Flags, k: int) -> frozenset[str]:
    """Cells left out with whole lines of tables: tiers with too small a step to the next, and lines of which too much is at risk."""
    found, count = set[str](), cells.system.count
    for chain in cells.chains:
        after = chain[-1]
        for names in chain[-2::-1]:
            steps = (count[cells.place[a]] - count[cells.place[b]] for a, b in zip(names, after, strict=True))
            if any(0 < step < k for step in steps):
                found |= set(names)
            else:
                after = names
    needy = {name for name, at in cells.place.items() if risk[at]}
    lines: dict[tuple[str, ...], set[str]] = defaultdict(set)
    tables_of: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for one in cells.rows:
        for name in one.made_of:
            tables_of[name].add((one.answer.measure, *one.answer.by))
            for at in one.lines:
                lines[at].add(name)
    for line in lines.values():
        own = {c for c in line if len(tables_of[c]) == 1} - found
        if len(line) > 1 and len(own & needy) > plan().most_hidden * len(own):
            found |= own
    return frozenset(found)


def to_hide(cells: Lattice, rules: Policy, also: frozenset[str]) -> Flags:
    """Cells not shown: those never told, those left out or hidden before, those at risk and what protects them."""
    names, told = cells.system.names, _told(cells)
    hidden = np.array([name in also or name not in told for name in names], np.bool_)
    for at, part in apart(cells.system):
        hidden[at] |= protect(part, rules, hidden[at]).hidden
    for group in cells.together:
        at = np.array([cells.place[name] for name in group])
        hidden[at] = hidden[at].any()
    return hidden


def _dark(cells: Lattice, hidden: Flags, k: int) -> list[bool]:
    """Per row whether it is hidden: where one of its cells is, and all together where they are shown together or not at all."""
    away = {name for name, at in cells.place.items() if hidden[at]}
    few = {name for name, at in cells.place.items() if 0 < cells.system.count[at] < k}
    told = _told(cells)

    def dark(one: Shown) -> bool:
        rests = any(name in few or (name in told and name in away) for name in one.rests)
        return rests or bool(set(one.made_of) & away) or (one.answer.twice and 0 < one.row["n"] < 2 * k)

    groups: dict[tuple[Any, ...], bool] = defaultdict(bool)
    for one in cells.rows:
        groups[one.together] |= dark(one)
    return [groups[one.together] for one in cells.rows]


def _told(cells: Lattice) -> frozenset[str]:
    return frozenset(c for one in cells.rows for c in one.made_of)


# --- what is printed


def _near(value: float, base: float) -> float:
    """To the nearest multiple, half up."""
    return float(base * np.floor(value / base + 0.5))


def _digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{plan().digits}g}")


def _row(cells: Lattice, one: Shown, hide: bool, rules: Policy) -> dict[str, Any]:
    """A row as it is published."""
    row: dict[str, Any] = {"key": one.row["key"], "at": one.row["at"], "status": HIDDEN if hide else SHOWN}
    if hide:
        return row
    answer = one.answer

    def part(name: str, money: bool, value: float) -> float:
        return float(
            _near(value, rules.base_yuan if money and name not in cells.persons else rules.base_count)
        )

    row["n"] = int(_near(one.row["n"], rules.base_count))
    for column in ("n_excluded", "n_no_resource"):
        left = one.row.get(column)
        if left is not None and not 0 < left < rules.k and not set(_OWN) & set(answer.by):
            row[column] = int(_near(left, rules.base_count))
    if answer.numerator is None or answer.denominator is None:
        row["value"] = _digits(one.row["value"])
        return row | ({"status": UNDEFINED} if row["value"] is None else {})
    row["numerator"] = part(one.numerator, bool(answer.numerator.money), one.row["numerator"])
    row["denominator"] = part(one.denominator, bool(answer.denominator.money), one.row["denominator"])
    if not row["denominator"]:
        return {
            **{k: row[k] for k in ("key", "at")},
            "status": HIDDEN if one.row["denominator"] else UNDEFINED,
        }
    row["value"] = (
        row["numerator"]
        / row["denominator"]
        * (_PER_100 if measures()[answer.measure].unit == "per_100" else 1)
    )
    return row


def _frame(cube: pl.DataFrame, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    held = cube.filter(pl.col("key") == HELD).select("key", "at")
    shown = pl.DataFrame([{name: row.get(name) for name in COLUMNS} for row in rows], schema=COLUMNS)
    return pl.concat([held, shown], how="diagonal").select(*COLUMNS)


# --- what is read from it


@dataclass(frozen=True)
class Printed:
    """What protected tables print of the cells: counts and money (fen, or persons) by cell, and cells that are nowhere shown though
    they stand in a row.
    """

    count: Mapping[str, float]
    money: Mapping[str, float]
    dark: frozenset[str]


def printed(cells: Lattice, rows: pl.DataFrame) -> Printed:
    """Read protected tables as anybody can: only what stands in the file."""
    found = {
        (row["key"], tuple(row["at"])): row for row in rows.iter_rows(named=True) if row["status"] is not None
    }
    count: dict[str, float] = {}
    money: dict[str, float] = {}
    there: set[str] = set()
    for one in cells.rows:
        row = found.get((one.row["key"], tuple(one.row["at"])))
        if row is None:
            continue
        parts = [(one.n, "n", False)]
        for name, column, part in (
            (one.numerator, "numerator", one.answer.numerator),
            (one.denominator, "denominator", one.answer.denominator),
        ):
            if part:
                parts.append((name, column, bool(part.money)))
        if row["status"] == HIDDEN:
            there |= {name for name, _, _ in parts}
        for name, column, is_money in parts:
            if row["status"] == SHOWN and row[column] is not None:
                scale = _FEN if is_money and name not in cells.persons else 1
                (money if is_money else count)[name] = row[column] * scale
    return Printed(count, money, frozenset(there - count.keys() - money.keys()))


def as_seen(cells: Lattice, seen: Printed, rules: Policy) -> Seen:
    """What the attacker knows: the structure, and between what every printed figure lies."""
    size, names = len(cells.system), cells.system.names
    low, high = np.zeros((2, size)), np.full((2, size), np.inf)
    for i, name in enumerate(names):
        if name in seen.count:
            low[COUNT, i], high[COUNT, i] = _between(seen.count[name], rules.base_count)
            low[COUNT, i] = max(low[COUNT, i], rules.k) if high[COUNT, i] >= rules.k else 0
            high[COUNT, i] = high[COUNT, i] if high[COUNT, i] >= rules.k else 0
        if name in seen.money:
            base = rules.base_count if name in cells.persons else rules.base_yuan * _FEN
            low[MONEY, i], high[MONEY, i] = _between(seen.money[name], base)
        if cells.system.structural[i]:
            high[:, i] = 0
    hidden = np.array([n not in seen.count and n not in seen.money for n in names], np.bool_)
    nothing = np.zeros(size, np.int64)
    structure = replace(cells.system, count=nothing, money=nothing, top=((),) * size)
    return Seen(structure, hidden, low, high)


def _between(value: float, base: int) -> tuple[float, float]:
    """What rounds to it, half up."""
    return max(0.0, value - base // 2), value + (base - 1) // 2


def _certificate(cells: Lattice, seen: Printed, risk: Flags, out: frozenset[str]) -> dict[str, Any]:
    """What was protected, in counts of cells: `cells` that stand in tables, of these `hidden` and `left_out`, the same of those with
    money; `targets`: cells at risk, told or not.
    """
    told = _told(cells)
    money = {c for c in told if cells.system.priced[cells.place[c]]}
    dark = {c for c in told if c in seen.dark} - out
    tables_out = sorted({f"{m} {' '.join(at)}" for m, at in _out_lines(cells, out)})
    return {
        "cells": len(told - out),
        "hidden": len(dark),
        "cells_of_money": len(money - out),
        "hidden_of_money": len(dark & money),
        "cells_left_out": len(told & out),
        "targets": int(risk.sum()),
        "left_out": [*cells.left_out, *(f"{name}: too few in it" for name in tables_out)],
    }


def _hospitals(cube: pl.DataFrame, rules: Policy) -> dict[str, Any]:
    """How far sums were tested for dominance by hospital: whether at all, how many hospitals are known, and how much of the cost, and
    of what insurers and charities paid, none of them is known to have made (basis points).
    """
    told = {row["at"][0]: row for row in cube.filter(pl.col("key") == PLACED).iter_rows(named=True)}
    if "hospital" not in rules.contributors or cube.filter(pl.col("key") == LARGEST["hospital"]).is_empty():
        return {"tested": False}
    shares = {}
    for name, row in told.items():
        none, whole = int(row["numerator"] or 0), int(row["denominator"])
        shares[f"{name}_of_none_bp"] = none * 10_000 // whole if whole else 0
    return {"tested": True, "known": told["cost"]["n"], **shares}


def _out_lines(cells: Lattice, out: frozenset[str]) -> set[tuple[str, tuple[str, ...]]]:
    """Lines of tables of which nothing is told."""
    lines: dict[tuple[str, ...], list[bool]] = defaultdict(list)
    for one in cells.rows:
        for line in one.lines:
            lines[line].append(bool(set(one.made_of) & out))
    return {(line[0], line[1:]) for line, gone in lines.items() if all(gone)}

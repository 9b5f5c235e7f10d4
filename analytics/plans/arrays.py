"""A plan as arrays for the compiled kernel. Who falls under which schedule is asked of the very conditions the SQL has, once
for every kind of bill; sums, deductibles, bands and ceilings are numbers in arrays.
"""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from analytics.plans import kernel
from analytics.plans.kernel import Array, Course, Rows
from analytics.plans.model import Plan, TierRule
from analytics.plans.rowsql import Row, growth
from analytics.plans.schedule import PERSON, Schedule, by_class
from analytics.plans.waterfall import rows_of

YEARS = (
    "product_years",
    "insured_years",
    "zero_claim_years",
    "capacity",
)  # those of OPTIONAL that sort persons
CARE = ("hospital_level", "care_type", "cross_region")
_OF_DAYS = ("period", "waiting_days")
ROWS = np.iinfo(np.int64).bits - 2  # of a plan: so many a whole number can name


class Declined(Exception):
    """The kernel cannot pay this: why. The SQL can."""


def sorts(wanted: Collection[str]) -> tuple[str, ...]:
    """The columns of a person that decide the terms of some row; `wanted`: what the plan `needs`."""
    return (*PERSON, *(name for name in YEARS if name in wanted))


def classes_sql(plan: Plan) -> list[str]:
    """Columns over kinds of bills: `s3` which schedule of row 3 holds (-1: none, the row does not look at it), `g3` what
    the payout ceiling grows by."""
    columns, number = [], 0
    for row in rows_of(plan):
        names = {s: str(number + i) for i, s in enumerate(_schedules(row))}
        number += len(names)
        terms = [sql for field, sql in row.conditions.items() if field not in _OF_DAYS]
        held = by_class(row.rule, row.schedules, lambda schedule, names=names: names[schedule])  # type: ignore[misc]
        columns.append(f"CASE WHEN {' AND '.join(terms)} THEN {held} ELSE -1 END::INTEGER AS s{row.number}")
        columns.append(f"{growth(row.rule)} AS g{row.number}")
    return columns


def _schedules(row: Row) -> list[Schedule]:
    return list(dict.fromkeys(row.schedules.values()))


def program(plan: Plan, kinds: pl.DataFrame, dated: bool = True) -> Rows:
    """The plan as arrays; `kinds`: the columns of `classes_sql`, one row per kind of bill. `dated`: whether days of bills are
    looked at. Raises Declined for what the arrays cannot say, PlanHoles where a value is missing."""
    rows = rows_of(plan)
    if len(rows) > ROWS:
        raise Declined(f"the plan has {len(rows)} rows; the kernel takes {ROWS}")
    schedules = [schedule for row in rows for schedule in _schedules(row)]
    steps = [step for schedule in schedules for step in schedule.steps]
    if any(not 0 <= step.rate_bp <= kernel.WHOLE for step in steps):
        raise Declined("a rate is below zero or above one")
    period = plan.period
    within = [
        (_day(period.start), _day(period.end))
        if period and rule.voluntary and dated
        else (kernel.NO_DAY, -(kernel.NO_DAY + 1))
        for rule in plan.tier
    ]
    terms = [
        {
            "base": _base(row.rule),
            "share": int(row.rule.advance_share * kernel.WHOLE),
            "event": row.rule.per == "event",
            "limited": row.is_limited,
            "pooled": row.is_pooled,
            "kept": row.is_shared,
            "used": _bits(row.rows_used),
            "spent": _bits(row.rows_spent),
            "from_day": first,
            "to_day": last,
            "wait": (row.rule.waiting_days or 0) if dated else 0,
        }
        for row, (first, last) in zip(rows, within, strict=True)
    ]
    bands = [(s.over, kernel.NEVER if s.up_to is None else s.up_to - s.over, s.rate_bp) for s in steps]
    return Rows(
        terms=_array([[row[name] for name in kernel.TERMS] for row in terms]).reshape(-1, len(kernel.TERMS)),
        schedule=_columns(kinds, [f"s{row.number}" for row in rows], np.int32),
        grows=_columns(kinds, [f"g{row.number}" for row in rows], np.int64),
        cap=_array([-1 if s.payout_ceiling is None else s.payout_ceiling for s in schedules]),
        start=_array(np.cumsum([0, *(len(s.steps) for s in schedules)])),
        steps=_array(bands).reshape(-1, len(kernel.STEP)),
    )


def floors(rows: Rows, kind: Array, first: int = 0) -> Array:
    """By sort of person and row: the lowest base any of its bills (`kind`: see kernel.Bills) is paid above, NEVER for none. A
    row under one deductible with one before `first` is taken to pay always: what that one saw of the year is not known any more.
    """
    lowest = np.full(len(rows.cap) + 1, kernel.NEVER, np.int64)  # the last is no schedule
    for s in range(len(rows.cap)):
        steps = rows.steps[rows.start[s] : rows.start[s + 1]]
        lowest[s] = steps[steps[:, kernel.RATE] > 0, kernel.OVER].min(initial=kernel.NEVER)
    found = np.empty((len(kind), len(rows.terms)), np.int64)
    for r in range(len(rows.terms)):
        floor = lowest[rows.schedule[:, r]]
        if int(rows.terms[r, kernel.USED]) & ((1 << first) - 1):
            floor[rows.schedule[:, r] >= 0] = -1
        found[:, r] = np.append(floor, kernel.NEVER)[kind].min(axis=1, initial=kernel.NEVER)
    return found


def course(rows: Rows, kind: Array, first: int, last: int) -> Course:
    """Which of the rows `first` to `last` come up for whom; `kind`: see kernel.Bills."""
    floor, terms = floors(rows, kind), rows.terms
    alone = (terms[:, kernel.EVENT] > 0) & ~terms[:, [kernel.KEPT, kernel.USED, kernel.SPENT]].any(axis=1)
    head = first + int(np.argmin(np.append(alone[first:last], False)))
    floor[(floor < kernel.NEVER) & (terms[:, kernel.USED] > 0)] = -1  # moved up by what others saw
    floor[:, terms[:, kernel.KEPT] > 0] = -1  # later rows must know what these see
    among = np.arange(len(terms))
    here = (rows.schedule >= 0) & (among >= first) & (among < head)
    there = (floor < kernel.NEVER) & (among >= head) & (among < last)
    return Course(*_lists(here), *_lists(there), floor)


def _lists(chosen: Array) -> tuple[Array, Array]:
    """Where each row's columns begin, and one more; and those of all, one row after the other."""
    return np.append(0, np.cumsum(chosen.sum(axis=1))), np.ascontiguousarray(np.nonzero(chosen)[1])


def carries(rows: Rows, first: int) -> bool:
    """Whether a row from `first` on must know what a row before it saw or spent."""
    before = (1 << first) - 1
    return any(int(row[kernel.USED] | row[kernel.SPENT]) & before for row in rows.terms[first:])


def _base(rule: TierRule) -> int:
    named = {
        "in_policy_cost": kernel.GROSS, "in_policy_own": kernel.IN, "out_of_catalogue": kernel.OUT,
        "special_drug": kernel.DRUG, "total_own": kernel.ALL,
    }  # fmt: skip
    return named[rule.base]


def _bits(numbers: Sequence[int]) -> int:
    return sum(1 << number - 1 for number in numbers)


def _day(day: date) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))


def _array(values: Any) -> Array:
    return np.ascontiguousarray(np.array(values, dtype=np.int64))


def _columns(frame: pl.DataFrame, names: Sequence[str], kind: Any) -> Array:
    if not names:
        return np.zeros((frame.height, 0), kind)
    return np.ascontiguousarray(np.column_stack([frame[name].to_numpy() for name in names]).astype(kind))

"""Settlements as arrays for the compiled kernel: persons one after the other, each one's bills in order of date."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from analytics.plans import kernel
from analytics.plans.arrays import CARE, ROWS, Declined, course
from analytics.plans.kernel import Array, Bills
from analytics.plans.rowsql import COST_PARTS
from analytics.store.engine import THREADS, count_of

_PIECES = 4  # per thread, so that one with longer bills is not waited for
_SMALL = np.iinfo(np.int32).max // len(COST_PARTS)  # of a part: a whole bill, and what is paid on it, then fit 32 bits
# Amounts in fen are multiplied by basis points, summed over as many rows as a plan may have: below this nothing leaves 64 bits.
_MOST = kernel.NEVER // kernel.WHOLE // ROWS


@dataclass(frozen=True)
class Settled:
    """Bills of many persons, in order of person and date. `first`: where each person's bills begin, and one more; `sort`: of
    care, a row of `cares`; `persons`: their ids."""

    money: Array
    sort: Array
    day: Array
    first: Array
    cares: pl.DataFrame
    persons: Array


@dataclass(frozen=True)
class Sorted:
    """Settled bills whose persons are sorted by what a plan tells apart. `kinds`: a row for every sort of person and care that
    there is."""

    bills: Bills
    kinds: pl.DataFrame


def settled(claims: pl.DataFrame) -> Settled:
    """From a frame with person_id, the columns of CARE, the cost parts in fen and, where known, claim_date; rows of a person
    stand together, in order. Raises Declined for amounts beyond what the kernel reckons with."""
    persons = claims["person_id"]
    starts = _starts(persons)
    if not persons[starts].is_sorted() and persons.n_unique() != len(starts):
        raise ValueError("rows of one person do not stand together: order them by person and date")
    amounts = [claims[name].to_numpy() for name in COST_PARTS.values()]
    total = sum(int(part.sum(dtype=np.int64)) for part in amounts)
    if total > _MOST or min(int(part.min(initial=0)) for part in amounts) < 0:
        raise Declined("amounts are below zero, or too large to be multiplied by a rate in 64 bits")
    high = max(int(part.max(initial=0)) for part in amounts)
    money = np.empty((len(amounts), claims.height), np.int32 if high <= _SMALL else np.int64)
    for part, given in zip(money, amounts, strict=True):
        part[:] = given
    sort, cares = _sorts(claims.select(CARE))
    days = _days(claims["claim_date"]) if "claim_date" in claims.columns else np.empty(0, np.int32)
    first = np.append(starts, claims.height).astype(np.int64)
    return Settled(money, sort, days, first, cares, persons[starts].to_numpy())


def _starts(persons: pl.Series) -> Array:
    """Where another person's bills begin."""
    if persons.dtype.is_integer():
        ids = persons.to_numpy()
        changed = np.flatnonzero(ids[1:] != ids[:-1]) + 1
        return np.append(np.zeros(min(len(ids), 1), changed.dtype), changed)
    return np.flatnonzero((persons != persons.shift(1)).fill_null(True).to_numpy())


def _sorts(care: pl.DataFrame) -> tuple[Array, pl.DataFrame]:
    """The number of every bill's sort of care, and the sorts: every combination of the words there are."""
    number, size, words = np.zeros(care.height, np.int32), 1, []
    for column in care.iter_columns():
        coded = column.cast(pl.Categorical)
        there = coded.unique()
        codes, known = coded.to_physical(), there.to_physical()
        none = int(known.cast(pl.Int64).max() or 0) + 1  # type: ignore[arg-type]
        lookup = np.zeros(none + 1, np.int32)
        lookup[known.fill_null(none).to_numpy()] = np.arange(len(there)) * size
        number += lookup[codes.fill_null(none).to_numpy()]
        words.append((there, size))
        size *= len(there)
    every = np.arange(size)
    return number, pl.DataFrame([there[every // step % len(there)] for there, step in words])


def sorted_by(bills: Settled, persons: pl.DataFrame, columns: Sequence[str]) -> Sorted:
    """The bills with their persons sorted by `columns`; `persons`: one row each, in the order of the bills, with cover_start
    where it is known."""
    who, sorts = numbered(persons.select(columns))
    cares = bills.cares.height
    there = np.zeros(sorts.height * cares, np.bool_)
    there[np.repeat(who, np.diff(bills.first)) * cares + bills.sort] = True
    pairs = np.flatnonzero(there)
    kind = np.full(len(there), -1, np.int32)
    kind[pairs] = np.arange(len(pairs))
    kinds = pl.concat([sorts[pairs // max(cares, 1)], bills.cares[pairs % max(cares, 1)]], how="horizontal")
    since = _days(persons["cover_start"]) if "cover_start" in persons.columns else np.empty(0, np.int32)
    return Sorted(
        Bills(bills.money, bills.money[kernel.IN], bills.sort, bills.day, bills.first, who.astype(np.int32), since, kind.reshape(sorts.height, cares)),
        kinds,
    )  # fmt: skip


def numbered(frame: pl.DataFrame) -> tuple[Array, pl.DataFrame]:
    """The number of every row's combination of values, and the combinations."""
    there = frame.unique(maintain_order=True)
    names = frame.columns
    found = frame.join(
        there.with_row_index("number"), on=names, how="left", nulls_equal=True, maintain_order="left"
    )
    return found["number"].to_numpy().astype(np.int64), there


def shared(size: int, work: Callable[[int, int], object], threads: int = 0) -> None:
    """Do `work(from, to)` on pieces of 0..size, several at once (`threads`, else as many as a question has); every piece writes
    places of its own.
    """
    threads = threads or count_of("JIANFU_THREADS", THREADS)
    edges = np.linspace(0, size, threads * _PIECES + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, a, b) for a, b in pairwise(edges) if a < b]:
            done.result()


def pay(
    rows: kernel.Rows, bills: Bills, first: int = 0, last: int | None = None, some: Array | None = None, *,
    by_person: bool = True, keep: bool = False, by_bill: bool = False, threads: int = 0,
) -> "Payment":  # fmt: skip
    """Pay persons (`some`: their places; all where not given) by rows `first` to `last`. `by_person`: what each was paid and
    owes; `keep`: also what is left of every bill and what the year sums to; `by_bill`: payments of every bill by row. What is
    not asked for is empty."""
    last = len(rows.terms) if last is None else last
    who = np.arange(len(bills.first) - 1) if some is None else some
    size, count = len(who) if by_person else 0, len(bills.sort)
    paid, owed = np.zeros((last - first, size), np.int64), np.zeros(size, np.int64)
    state = np.empty((len(bills.money), count if keep else 0), bills.money.dtype)
    sums = np.zeros((len(kernel.PARTS) + 1, len(bills.first) - 1 if keep else 0), np.int64)
    each = np.zeros((last - first, count if by_bill else 0), bills.money.dtype)
    turns, spending = course(rows, bills.kind, first, last), list[Array]()

    most = int(np.diff(bills.first).max(initial=0))

    def work(a: int, b: int) -> None:
        spent, place = np.zeros(last - first, np.int64), kernel.place(most, len(rows.terms))
        kernel.pay(rows, turns, bills, place, first, who, a, b, paid, owed, state, sums, each, spent)
        spending.append(spent)

    shared(len(who), work, threads)
    total = np.sum(spending, axis=0) if spending else np.zeros(last - first, np.int64)
    return Payment(total, paid.T, owed, state, sums, each.T)


@dataclass(frozen=True)
class Payment:
    """Fen every row paid in `total`; by person and row `paid`, by person what is `owed` after it; by bill and row `by_bill`;
    `state`, `sums`: see kernel.pay."""

    total: Array
    paid: Array
    owed: Array
    state: Array
    sums: Array
    by_bill: Array


def _days(dates: pl.Series) -> Array:
    return dates.cast(pl.Date).to_physical().fill_null(kernel.NO_DAY).to_numpy().astype(np.int32)

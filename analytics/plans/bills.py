"""Settlements as arrays for the compiled kernel: persons one after the other, each one's bills in order of date."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from threading import Lock
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from analytics.plans import kernel, sweeps
from analytics.plans.arrays import CARE, ROWS, Declined, course
from analytics.plans.kernel import Array, Bills
from analytics.plans.rowsql import COST_PARTS
from analytics.store.engine import THREADS, count_of
from analytics.store.threads import each

_SPACE = 100 * 10_000  # combinations that are counted through, whether there are any or not
_PIECE = 100_000  # rows that are read at once
_PIECES = 4  # per thread, so that one with longer bills is not waited for
SMALL = np.iinfo(np.int32).max // len(
    COST_PARTS
)  # of a part: a whole bill, and what is paid on it, then fit 32 bits
# Amounts in fen are multiplied by basis points, summed over as many rows as a plan may have: below this nothing leaves 64 bits.
MOST = kernel.NEVER // kernel.WHOLE // ROWS


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


def settled(claims: pl.DataFrame, threads: int = 0) -> Settled:
    """From rows with person_id, the columns of CARE, the cost parts in fen and, where known, claim_date; rows of a person
    stand together, in order. Raises Declined for amounts beyond what the kernel reckons with."""
    wanted = ["person_id", *CARE, *COST_PARTS.values(), *(c for c in claims.columns if c == "claim_date")]
    texts = [c for c in CARE if claims.schema[c] == pl.String]
    coded = claims.select(wanted).with_columns(pl.col(texts).cast(pl.Categorical))
    table = coded.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    batches = table.to_batches(max_chunksize=_PIECE)
    high = max((int(claims[name].max() or 0) for name in COST_PARTS.values()), default=0)  # type: ignore[arg-type]
    filling = _Filling([len(batch) for batch in batches], high, "claim_date" in wanted)
    each(lambda number: filling.fill(number, batches[number]), range(len(batches)), width(threads))
    return filling.whole()


class _Filling:
    """Arrays that are filled piece by piece, in any order."""

    def __init__(self, sizes: Sequence[int], high: int, dated: bool) -> None:
        """`sizes` of the pieces; `high`: no amount is above it."""
        self.places = np.cumsum([0, *sizes]).tolist()
        size = self.places[-1]
        self.money = np.empty((len(COST_PARTS), size), np.int32 if high <= SMALL else np.int64)
        self.sort, self.day = np.empty(size, np.int32), np.empty(size if dated else 0, np.int32)
        self.starts: list[Array] = [np.empty(0, np.int64)] * len(sizes)
        # by piece, of those who begin in it, and last of its last row
        self.ids: list[Array] = [np.empty(0, np.int64)] * len(sizes)
        self.cares, self.total, self.lock = Numbered(), 0, Lock()

    def fill(self, number: int, rows: pa.RecordBatch) -> None:
        """One piece."""
        begin, end = self.places[number : number + 2]
        arrays = self.money[:, begin:end], self.sort[begin:end], self.day[begin : end if self.day.size else 0]
        starts, ids, total = filled(rows, *arrays, self.cares)
        self.starts[number], self.ids[number] = starts[:-1] + begin, ids
        with self.lock:
            self.total += total

    def whole(self) -> Settled:
        """What was filled."""
        if self.total > MOST:
            raise Declined("amounts are too large to be multiplied by a rate in 64 bits")
        starts, ids = [], []
        last = None
        for begins, known in zip(self.starts, self.ids, strict=True):
            if not len(known):
                continue
            again = int(known[0] == last)  # a person whose bills began in the piece before
            starts.append(begins[again:])
            ids.append(known[again:-1])
            last = known[-1]
        first = np.append(np.concatenate([*starts, np.empty(0, np.int64)]), self.places[-1]).astype(np.int64)
        persons = np.concatenate(ids) if ids else np.empty(0, np.int64)
        if not (persons[1:] > persons[:-1]).all() and len(set(persons.tolist())) != len(persons):
            raise ValueError("rows of one person do not stand together: order them by person and date")
        return Settled(
            self.money, self.sort, self.day, first, self.cares.table(dict.fromkeys(CARE, pl.String)), persons
        )


def filled(
    rows: pa.RecordBatch, money: Array, sort: Array, day: Array, cares: "Numbered"
) -> tuple[Array, Array, int]:
    """Writes what a piece of bills says into arrays; gives where each person's begin, and one more, who that is, and once more
    the last, and the sum of all amounts."""
    total, low = 0, 0
    for part, name in zip(money, COST_PARTS.values(), strict=True):
        part[:] = amounts = numbers(rows[name])
        low = min(low, int(amounts.min(initial=0)))
        total += pc.sum(rows[name]).as_py() or 0
    if low < 0:
        raise Declined("an amount is below zero")
    cares.number([rows[name] for name in CARE], sort)
    ids = names(rows["person_id"])
    if day.size:
        day[:] = numbers(rows["claim_date"].view(pa.int32()), kernel.NO_DAY)
    starts = np.append(0, np.flatnonzero(ids[1:] != ids[:-1]) + 1)[: len(rows)]
    return np.append(starts, len(rows)), np.append(ids[starts], ids[-1:]), total


class Numbered:
    """Combinations of values, numbered as they are met, by whichever thread meets them."""

    def __init__(self) -> None:
        self.known = dict[tuple[Any, ...], int]()
        self._lock = Lock()

    def number(self, columns: Sequence[pa.Array], into: Array) -> None:
        """The number of every row's combination."""
        coded = [_coded(column) for column in columns]
        shape = [len(words) for _, words in coded]
        if prod(shape) > _SPACE**2:
            raise Declined("there are too many sorts of persons or care")
        wide = prod(shape) > _SPACE
        number = np.zeros(len(into), np.int64) if wide else into
        number[:] = 0
        for codes, words in coded:
            number *= len(words)
            number += codes
        if wide:
            found, number = np.unique(number, return_inverse=True)
            places = np.arange(len(found))
        else:
            places = found = np.flatnonzero(np.bincount(number))
        each = np.unravel_index(found, shape)
        met = zip(*([words[i] for i in at] for at, (_, words) in zip(each, coded, strict=True)), strict=True)
        of = np.zeros(places[-1] + 1 if len(places) else 1, np.int32)
        with self._lock:
            of[places] = [self.known.setdefault(one, len(self.known)) for one in met]
        np.take(of, number, out=into, mode="clip")

    def table(self, schema: Mapping[str, Any]) -> pl.DataFrame:
        """The combinations, in order of their numbers."""
        return pl.DataFrame(list(self.known), schema=schema, orient="row")


def _coded(column: pa.Array) -> tuple[Array, list[Any]]:
    """Small numbers, and the values they stand for."""
    if pa.types.is_boolean(column.type):
        return numbers(column.cast(pa.int8()), 2), [False, True, None]
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    words = [*column.dictionary.to_pylist(), None]
    return numbers(column.indices, len(words) - 1), words


def names(ids: pa.Array) -> Array:
    """Ids of persons."""
    return numbers(ids) if pa.types.is_integer(ids.type) else ids.to_numpy(zero_copy_only=False)


def numbers(values: pa.Array, unknown: int = 0) -> Array:
    """Whole numbers as they lie in memory; `unknown` in place of those that are not known."""
    known = pc.fill_null(values, unknown) if values.null_count else values
    held = known.buffers()[1]
    kind = np.dtype(str(known.type))
    return (
        np.frombuffer(held, kind, len(known), known.offset * kind.itemsize)
        if len(known)
        else np.empty(0, kind)
    )


def sorted_by(bills: Settled, persons: pl.DataFrame, columns: Sequence[str]) -> Sorted:
    """The bills with their persons sorted by `columns`; `persons`: one row each, in the order of the bills, with cover_start
    where it is known."""
    who, sorts = numbered(persons.select(columns))
    cares = bills.cares.height
    there = np.zeros((sorts.height, cares), np.bool_)
    shared(len(who), lambda a, b: sweeps.met(who, bills.first, bills.sort, a, b, there))
    pairs = np.flatnonzero(there)
    kind = np.full(there.shape, -1, np.int32)
    kind[there] = np.arange(len(pairs))
    kinds = pl.concat([sorts[pairs // max(cares, 1)], bills.cares[pairs % max(cares, 1)]], how="horizontal")
    since = _days(persons["cover_start"]) if "cover_start" in persons.columns else np.empty(0, np.int32)
    gross = bills.money[kernel.IN]  # in-policy cost is both: a part owed, and the gross base
    return Sorted(Bills(bills.money, gross, bills.sort, bills.day, bills.first, who, since, kind), kinds)


def numbered(frame: pl.DataFrame) -> tuple[Array, pl.DataFrame]:
    """The number of every row's combination of values, and the combinations."""
    number, size = np.zeros(frame.height, np.int64), 1
    for column in frame.iter_columns():
        known = column.dtype.is_integer() or column.dtype in (pl.Boolean, pl.Categorical, pl.Enum)
        codes = column.to_physical() if known else column.cast(pl.Categorical).to_physical()
        codes = codes.cast(pl.Int64)
        low, high = (int(x or 0) for x in (codes.min(), codes.max()))  # type: ignore[arg-type]
        size *= high - low + 2
        number *= high - low + 2
        number += (codes.fill_null(high + 1) if codes.null_count() else codes).to_numpy() - low
        if size > _SPACE:
            number, one = _dense(number, size)
            size = len(one)
    number, one = _dense(number, size)
    return number.astype(np.int32), frame[one]


def _dense(number: Array, size: int) -> tuple[Array, Array]:
    """Numbers without gaps, and where one of each stands."""
    one = np.full(size, -1)
    one[number] = np.arange(len(number))
    return (np.cumsum(one >= 0) - 1)[number], one[one >= 0]


def width(threads: int) -> int:
    """So many, or as many as a question has."""
    return threads or count_of("JIANFU_THREADS", THREADS)


def shared(size: int, work: Callable[[int, int], object], threads: int = 0) -> None:
    """Do `work(from, to)` on pieces of 0..size, several at once (`threads`, else as many as a question has); every piece writes
    places of its own.
    """
    edges = np.linspace(0, size, width(threads) * _PIECES + 1).astype(int).tolist()
    each(lambda piece: work(*piece), [(a, b) for a, b in pairwise(edges) if a < b], width(threads))


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

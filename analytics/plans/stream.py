"""Bills paid while they are read: one row group of a Parquet file after the other is read, paid and handed on in arrays that are
used again, so that memory does not grow with the bills."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock, local

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from analytics.plans import kernel
from analytics.plans.arrays import CARE, Declined, course
from analytics.plans.bills import MOST, SMALL, Numbered, filled, names, numbers, width
from analytics.plans.kernel import Array, Bills, Course, Rows
from analytics.plans.rowsql import COST_PARTS
from analytics.store.threads import each

UNORDERED = "rows of one person do not lie by date: order them by person and date"
OTHERS = "claims and persons do not match: both must lie by person, and every person must have some claim"
Take = Callable[[slice | Array, Array], object]


def paid(
    claims: Path, persons: Path, columns: Sequence[str], rows_for: Callable[[pl.DataFrame], Rows], take: Take | None = None,
    threads: int = 0,
) -> Array:  # fmt: skip
    """What every row of a plan pays in all. `claims`: rows with person_id, the columns of CARE, the cost parts in fen and, where
    known, claim_date, by person (ascending) and date (those of unknown date first); `persons`: a row for
    each of them, in that order, with the `columns` that sort persons, and cover_start where it is known; `rows_for`: the plan as
    arrays for a table of kinds of bills.

    `take(places, payments)` is given what every row (across) pays on bills (down), and where in the file these stand: piece by
    piece, in any order, on several threads. Its array is filled anew once it returns. Raises ValueError
    where claims lie otherwise or claims and persons are not of the same, Declined as `bills.settled`; what was taken by then is not to be used.
    """
    paying = _Paying(claims, _People(persons, columns, threads), rows_for, take)
    each(paying.group, range(len(paying.groups.sizes)), width(threads))
    return paying.rest()


class _Groups:
    """The row groups of a Parquet file that have rows, to be read by several threads."""

    def __init__(self, path: Path, columns: Sequence[str], coded: Sequence[str]) -> None:
        """`columns` of it, so far as there are, beside person_id; `coded`: those to be read as dictionaries."""
        self._path, self._coded, self._info = path, list(coded), pq.read_metadata(path)
        groups = [self._info.row_group(number) for number in range(self._info.num_row_groups)]
        self._some = [(number, group) for number, group in enumerate(groups) if group.num_rows]
        self.columns = ["person_id", *(c for c in columns if c in self._info.schema.names)]
        self.sizes = [group.num_rows for _, group in self._some]

    def read(self, number: int) -> pa.RecordBatch:
        """One of them."""
        file = pq.ParquetFile(self._path, metadata=self._info, read_dictionary=self._coded)
        table = file.read_row_group(self._some[number][0], self.columns, use_threads=False)
        return table.combine_chunks().to_batches()[0]

    def high(self) -> int:
        """No cost part is above it."""
        places = [self._info.schema.names.index(c) for c in COST_PARTS.values()]
        told = [group.column(place).statistics for _, group in self._some for place in places]
        return max((s.max if s and s.has_min_max else kernel.NEVER for s in told), default=0)


class _People:
    """Persons: their `ids`, ascending, which sort (a row of `sorts`) each of them is, and since when cover runs."""

    def __init__(self, path: Path, columns: Sequence[str], threads: int) -> None:
        kinds = pl.DataFrame(pq.read_schema(path).empty_table().select(list(columns))).schema
        texts = [name for name, kind in kinds.items() if kind == pl.String]
        self._groups = _Groups(path, [*columns, "cover_start"], texts)
        self._columns, self._sorts = columns, Numbered()
        self._places = np.cumsum([0, *self._groups.sizes]).tolist()
        self.who = np.empty(self._places[-1], np.int32)
        self.since = np.empty(self._places[-1] if "cover_start" in self._groups.columns else 0, np.int32)
        ids = each(self._fill, range(len(self._groups.sizes)), width(threads))
        self.ids = np.concatenate(ids) if ids else np.empty(0, np.int64)
        if not (self.ids[1:] > self.ids[:-1]).all():
            raise ValueError(OTHERS)
        self.sorts = self._sorts.table(kinds)

    def _fill(self, number: int) -> Array:
        begin, end = self._places[number : number + 2]
        rows = self._groups.read(number)
        self._sorts.number([rows[name] for name in self._columns], self.who[begin:end])
        if self.since.size:
            self.since[begin:end] = numbers(
                rows["cover_start"].cast(pa.date32()).view(pa.int32()), kernel.NO_DAY
            )
        return names(rows["person_id"])


class _Paying:
    """Bills that are read, paid and handed on, a few row groups at a time."""

    def __init__(
        self, path: Path, people: _People, rows_for: Callable[[pl.DataFrame], Rows], take: Take | None
    ) -> None:
        self.groups = _Groups(path, [*CARE, *COST_PARTS.values(), "claim_date"], CARE)
        self._begins = np.cumsum([0, *self.groups.sizes]).tolist()
        self._people, self._rows_for, self._take = people, rows_for, take
        self._wide = np.int32 if self.groups.high() <= SMALL else np.int64
        self._dated = "claim_date" in self.groups.columns
        self._cares, self._lock, self._mine = Numbered(), Lock(), local()
        self._known: tuple[Rows, Course, Array] | None = None
        self._waiting: list[tuple[pa.RecordBatch, Array] | None] = [None] * len(self.groups.sizes)
        self._spending: list[Array] = []
        self._total, self._count = 0, 0

    def group(self, number: int) -> None:
        """One row group: those in its midst are paid; the first and the last, who may have bills in its neighbours, wait."""
        rows, begin = self.groups.read(number), self._begins[number]
        bills, ids, total = self._bills(rows)
        first = bills.first
        edges = np.r_[: first[1], max(first[1], first[-2]) : len(rows)]
        self._waiting[number] = rows.take(pa.array(edges)), edges + begin
        with self._lock:
            self._total += total
            if self._total > MOST:
                raise Declined("amounts are too large to be multiplied by a rate in 64 bits")
        if len(ids) > 2:
            low = int(np.searchsorted(self._people.ids, ids[1]))
            self._pay(bills._replace(first=first[1:-1]), ids[1:-1], slice(low, low + len(ids) - 2), begin)

    def rest(self) -> Array:
        """Pays those who wait; gives what every row paid in all."""
        waiting = [piece for piece in self._waiting if piece]
        if waiting:
            table = pa.Table.from_batches([rows for rows, _ in waiting]).unify_dictionaries()
            bills, ids, _ = self._bills(table.combine_chunks().to_batches()[0])
            where = np.searchsorted(self._people.ids[:-1], ids)
            self._pay(bills, ids, where, np.concatenate([places for _, places in waiting]))
        if self._count != len(self._people.ids):
            raise ValueError(OTHERS)
        nothing = np.zeros(len(self._terms()[0].terms), np.int64)
        return np.sum([nothing, *self._spending], axis=0)  # type: ignore[no-any-return]

    def _bills(self, rows: pa.RecordBatch) -> tuple[Bills, Array, int]:
        """A piece without what is known of persons, who they are, and the sum of all amounts."""
        money = self._place("money", len(COST_PARTS), len(rows), self._wide)
        (sort,) = self._place("sort", 1, len(rows), np.int32)
        (day,) = self._place("day", 1, len(rows) if self._dated else 0, np.int32)
        first, ids, total = filled(rows, money, sort, day, self._cares)
        ids, falls = ids[:-1], day[1:] < day[:-1]
        if self._dated and falls.any():
            falls[first[1:-1] - 1] = False  # another person's
            if falls.any():
                raise ValueError(UNORDERED)
        if not (ids[1:] > ids[:-1]).all():
            raise ValueError(OTHERS)
        none = np.empty(0, np.int32)
        return Bills(money, money[kernel.IN], sort, day, first, none, none, none), ids, total

    def _pay(self, bills: Bills, ids: Array, where: slice | Array, places: int | Array) -> None:
        """Pay persons, who stand at `where`, and hand on. `places`: of the piece's bills in the file, or where they begin."""
        people = self._people
        if len(ids) > len(people.ids) or not np.array_equal(people.ids[where], ids):
            raise ValueError(OTHERS)
        rows, turns, kind = self._terms()
        since = people.since[where] if people.since.size else people.since
        bills = bills._replace(who=people.who[where], since=since, kind=kind)
        count, size = len(rows.terms), len(bills.sort) if self._take else 0
        by_bill = self._place("paid", count, size, self._wide)
        by_bill.fill(0)
        by_person, spent = np.empty((count, 0), np.int64), np.zeros(count, np.int64)
        state, sums = np.empty((len(COST_PARTS), 0), self._wide), np.empty((len(COST_PARTS) + 1, 0), np.int64)
        place = kernel.place(int(np.diff(bills.first).max()), count)
        some, owed = np.arange(len(ids)), np.empty(0, np.int64)
        kernel.pay(
            rows, turns, bills, place, 0, some, 0, len(ids), by_person, owed, state, sums, by_bill, spent
        )
        with self._lock:
            self._count += len(ids)
            self._spending.append(spent)
        if self._take:
            a, z = int(bills.first[0]), int(bills.first[-1])
            there = slice(places + a, places + z) if isinstance(places, int) else places[a:z]
            self._take(there, by_bill[:, a:z].T)

    def _terms(self) -> tuple[Rows, Course, Array]:
        """The plan as arrays for every sort of person with every sort of care met so far, and the kinds these are."""
        with self._lock:
            if self._known is None or self._known[-1].shape[1] < len(self._cares.known):
                cares, sorts = self._cares.table(dict.fromkeys(CARE, pl.String)), self._people.sorts
                kind = np.arange(sorts.height * cares.height, dtype=np.int32).reshape(
                    sorts.height, cares.height
                )
                rows = self._rows_for(sorts.join(cares, how="cross", maintain_order="left_right"))
                self._known = rows, course(rows, kind, 0, len(rows.terms)), kind
            return self._known

    def _place(self, name: str, rows: int, columns: int, kind: type[np.generic]) -> Array:
        """An array of this thread's own, with whatever is in it: memory taken anew for every piece costs more than paying."""
        flat = getattr(self._mine, name, None)
        if flat is None or flat.size < rows * columns:
            flat = np.empty(rows * columns, kind)
            setattr(self._mine, name, flat)
        return flat[: rows * columns].reshape(rows, columns)

"""The compiled half of paying: loops over bills and over the rows of a plan given as arrays. No rule stands here.

What a row pays is what `rowsql` says in SQL, one person after the other: money is whole fen, rates are basis points, and
what is due is rounded half up once, on the sum over the steps. Compiled once and kept beside the code, or in the user's
cache where that folder cannot be written; nothing here holds the interpreter's lock, so threads share the persons.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

PARTS = IN, ADVANCE, OUT, DRUG = tuple(range(4))  # what is owed of a bill
GROSS, ALL = -1, len(PARTS)  # as a base: the gross in-policy cost, all that is owed
WHOLE = 10_000  # basis points of one
HALF = WHOLE // 2
NEVER = np.iinfo(np.int64).max  # as a floor: is not paid; as a width: without end
NO_DAY = np.iinfo(np.int32).min
Array = npt.NDArray[Any]


class Rows(NamedTuple):
    """The rows of a plan, in order of payment. By row: `base`, `share` of advance self-pay, whether it pays per `event`, is
    `limited` to what is still owed, pays off several parts over the year (`pooled`), is `kept` in mind by later rows; `used`
    and `spent`: bits of earlier rows that share its deductible, its ceiling; first and last `day`, and days to `wait`. By kind
    of bill and row: `schedule` (-1: the row does not look at it) and what the ceiling `grows` by. By schedule: `cap` (-1:
    none) and its steps from `step[s]` to `step[s + 1]`: `over`, `width`, `rate`.
    """

    base: Array
    share: Array
    event: Array
    limited: Array
    pooled: Array
    kept: Array
    used: Array
    spent: Array
    day: Array
    wait: Array
    schedule: Array
    grows: Array
    cap: Array
    step: Array
    over: Array
    width: Array
    rate: Array


class Bills(NamedTuple):
    """The bills of a city-year, person by person in order of date. By bill: `gross` in-policy cost, the four parts `owed`
    (one array each), `sort` of care and `day`; by person: `first` bill (and one more), `who` (a sort of person) and day
    `since` when cover runs. `kind[who, sort]`: the kind of bill. Days are empty where no plan asked for them.
    """

    gross: Array
    owed: tuple[Array, Array, Array, Array]
    sort: Array
    day: Array
    first: Array
    who: Array
    since: Array
    kind: Array


def compiled(function: Callable[..., Any]) -> Any:
    """The function compiled, and kept on disk where some folder can be written."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # nowhere to keep it: compiled anew by every process
        return numba.njit(nogil=True)(function)


def _earned(rows: Rows, s: int, x: int) -> int:
    due = 0
    for k in range(rows.step[s], rows.step[s + 1]):
        above = x - rows.over[k]
        if above > 0:
            due += min(above, rows.width[k]) * rows.rate[k]
    return (due + HALF) // WHOLE


earned = compiled(_earned)


def _limit(rows: Rows, s: int, kind: int, r: int, gone: int) -> int:
    """The payout ceiling of a person: grown by loyalty, less what earlier rows have paid under it."""
    if rows.cap[s] < 0:
        return NEVER
    cap = rows.cap[s] + rows.grows[kind, r]
    return max(cap - gone, 0) if rows.spent[r] else cap


limit = compiled(_limit)


def _looks(rows: Rows, bills: Bills, r: int, kind: int, p: int, at: int) -> bool:
    """Whether a row looks at the bill `at` of person `p`."""
    if rows.schedule[kind, r] < 0:
        return False
    if bills.day.size and bills.day[at] != NO_DAY:
        day = bills.day[at]
        if day < rows.day[r, 0] or day > rows.day[r, 1]:
            return False
        if rows.wait[r] > 0 and bills.since.size and bills.since[p] != NO_DAY:
            return day >= bills.since[p] + rows.wait[r]  # type: ignore[no-any-return]
    return True


looks = compiled(_looks)


def _parts(base: int, share: int) -> tuple[int, int]:
    """First and last part a row pays off, in order."""
    if base == ALL:
        return IN, DRUG
    if share > 0:
        return IN, ADVANCE
    if base == GROSS:
        return IN, IN
    return base, base


parts = compiled(_parts)


def _pool(m: int, a: int, z: int, mine: Array, left: Array, pay: Array, room: Array, new: Array) -> None:
    """Pay off parts `a` to `z` in order over the whole year: a bill keeps what is left of a part as far as the year has it
    left, first bills first; what it cannot keep it owes of the next part."""
    money = 0
    for j in range(m):
        money += pay[j]
        room[j] = max(left[a, j] - pay[j], 0) if mine[j] >= 0 else 0
    before = 0
    for part in range(a, z):
        total = 0
        for j in range(m):
            if mine[j] >= 0:
                total += left[part, j]
        rest = max(total - max(money - before, 0), 0)
        before += total
        run = 0
        for j in range(m):
            if mine[j] < 0:
                continue
            kept = min(run + room[j], rest) - min(run, rest)
            run += room[j]
            new[part, j] = kept
            sofar = 0
            for earlier in range(a, part + 1):
                sofar += left[earlier, j]
            room[j] = max(left[part + 1, j] - max(pay[j] - sofar, 0), 0) + room[j] - kept
    for j in range(m):
        if mine[j] >= 0:
            for part in range(a, z):
                left[part, j] = new[part, j]
            left[z, j] = room[j]


pool = compiled(_pool)


def _row(
    rows: Rows, r: int, m: int, kinds: Array, mine: Array, gross: Array, left: Array, pay: Array, used: Array, gone: int,
    totals: Array, now: Array, room: Array, new: Array,
) -> int:  # fmt: skip
    """What row `r` pays on each of a person's `m` bills (`pay`), taken off what is `left`; gives the sum."""
    base, share, event = rows.base[r], rows.share[r], rows.event[r]
    a, z = parts(base, share)
    full, extra, run, paid, open_, here = 0, 0, 0, 0, 0, 0
    for j in range(m):
        pay[j] = 0
        s = mine[j]
        if s < 0:
            continue
        if base == GROSS:
            b = gross[j]
        elif base == ALL:
            b = left[IN, j] + left[ADVANCE, j] + left[OUT, j] + left[DRUG, j]
        else:
            b = left[base, j]
        more = left[ADVANCE, j] if share > 0 else 0
        cap = limit(rows, s, kinds[j], r, gone)
        if event:
            counted = b + (more * share + HALF) // WHOLE
            now[j] = counted
            due = earned(rows, s, used[j] + counted)
            if used[j] > 0:
                due -= earned(rows, s, used[j])
            if rows.limited[r]:
                due = min(due, left[IN, j])
            pay[j] = due if cap == NEVER else min(run + due, cap) - min(run, cap)
            run += due
        elif b or more:
            off = earned(rows, s, used[j]) if used[j] > 0 else 0
            before = min(earned(rows, s, used[j] + full + (extra * share + HALF) // WHOLE) - off, cap)
            full += b
            extra += more
            pay[j] = min(earned(rows, s, used[j] + full + (extra * share + HALF) // WHOLE) - off, cap) - before
        paid += pay[j]
        if rows.limited[r] and not event:
            open_ += left[IN, j]
            here += min(pay[j], left[IN, j])
    if rows.kept[r]:
        year = full + (extra * share + HALF) // WHOLE
        for j in range(m):
            totals[r, j] = year if not event else now[j] if mine[j] >= 0 else 0
    if rows.limited[r] and not event and paid > here:
        # a bill whose own rest is too small for what it earned leaves the difference to the other bills of the year
        late, run, paid = min(paid, open_) - here, 0, 0
        for j in range(m):
            if mine[j] >= 0:
                own = min(pay[j], left[IN, j])
                free = left[IN, j] - own
                pay[j] = own + min(run + free, late) - min(run, late)
                run += free
                paid += pay[j]
    if not paid:
        return 0
    if rows.pooled[r]:
        pool(m, a, z, mine, left, pay, room, new)
        return paid
    for j in range(m):
        rest = pay[j]
        for part in range(a, z + 1):
            off = min(rest, left[part, j])
            left[part, j] -= off
            rest -= off
    return paid


row = compiled(_row)


def _pay(
    rows: Rows, bills: Bills, first: int, last: int, some: Array, lo: int, hi: int,
    paid: Array, owed: Array, state: tuple[Array, Array, Array, Array], sums: Array, by_bill: Array,
) -> None:  # fmt: skip
    """Pay the persons `some[lo:hi]` by the rows `first` to `last`, the last one not included. Gives at each one's place in
    `some` what every row `paid` in the year and what is `owed` after it; where they are not empty, also what is owed of each
    bill by part (`state`), `sums` over the year by person (the gross cost and the four parts) and payments by bill and row.
    """
    n = rows.base.size
    most = 0
    for i in range(lo, hi):
        most = max(most, bills.first[some[i] + 1] - bills.first[some[i]])
    kinds, mine = np.empty(most, np.int64), np.empty(most, np.int64)
    gross, pay, used = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    now, room = np.empty(most, np.int64), np.empty(most, np.int64)
    left, new = np.empty((len(PARTS), most), np.int64), np.empty((len(PARTS), most), np.int64)
    totals, spent = np.zeros((n, most), np.int64), np.zeros(n, np.int64)
    for i in range(lo, hi):
        p = some[i]
        start = bills.first[p]
        m = bills.first[p + 1] - start
        for j in range(m):
            kinds[j] = bills.kind[bills.who[p], bills.sort[start + j]]
            gross[j] = bills.gross[start + j]
            left[IN, j] = bills.owed[IN][start + j]
            left[ADVANCE, j] = bills.owed[ADVANCE][start + j]
            left[OUT, j] = bills.owed[OUT][start + j]
            left[DRUG, j] = bills.owed[DRUG][start + j]
        for r in range(first, last):
            any_, gone = False, 0
            for j in range(m):
                mine[j] = -1
                if looks(rows, bills, r, kinds[j], p, start + j):
                    mine[j] = rows.schedule[kinds[j], r]
                    any_ = True
                used[j] = 0
            spent[r] = 0
            if not any_:
                if rows.kept[r]:
                    totals[r, :m] = 0
                paid[i, r - first] = 0
                continue
            if rows.used[r]:
                for k in range(first, r):
                    if rows.used[r] >> k & 1:
                        for j in range(m):
                            used[j] += totals[k, j]
            for k in range(first, r):
                if rows.spent[r] >> k & 1:
                    gone += spent[k]
            spent[r] = row(rows, r, m, kinds, mine, gross, left, pay, used, gone, totals, now, room, new)
            paid[i, r - first] = spent[r]
            if by_bill.size:
                for j in range(m):
                    by_bill[start + j, r - first] = pay[j]
        rest = 0
        for part in range(len(PARTS)):
            part_sum = 0
            for j in range(m):
                part_sum += left[part, j]
            rest += part_sum
            if sums.size:
                sums[part + 1, p] = part_sum
        owed[i] = rest
        if sums.size:
            year = 0
            for j in range(m):
                year += gross[j]
            sums[0, p] = year
        if state[IN].size:
            for j in range(m):
                state[IN][start + j] = left[IN, j]
                state[ADVANCE][start + j] = left[ADVANCE, j]
                state[OUT][start + j] = left[OUT, j]
                state[DRUG][start + j] = left[DRUG, j]


pay = compiled(_pay)


def _most(rows: Rows, r: int, sums: Array, p: int) -> int:
    """An upper bound of the base of the year."""
    if rows.base[r] == ALL:
        return sums[1 + IN, p] + sums[1 + ADVANCE, p] + sums[1 + OUT, p] + sums[1 + DRUG, p]  # type: ignore[no-any-return]
    if rows.share[r] > 0:
        return sums[1 + IN, p] + (sums[1 + ADVANCE, p] * rows.share[r] + HALF) // WHOLE  # type: ignore[no-any-return]
    return sums[rows.base[r] + 1, p]  # type: ignore[no-any-return]


most_of = compiled(_most)


def _reached(rows: Rows, floor: Array, who: Array, first: int, sums: Array, lo: int, hi: int, may: Array) -> None:
    """`may[p]`: False only where no row from `first` on can pay the person, whatever the bills are. `floor[who, row]`: the
    lowest base anything is paid above."""
    for p in range(lo, hi):
        may[p] = False
        for r in range(first, rows.base.size):
            lowest = floor[who[p], r]
            if lowest == NEVER:
                continue
            base = most_of(rows, r, sums, p)
            for k in range(r):
                if rows.used[r] >> k & 1:
                    base += most_of(rows, k, sums, p)
            if base > lowest:
                may[p] = True
                break


reached = compiled(_reached)


def _above(own: Array, resource: Array, thresholds: Array, lo: int, hi: int, counts: Array) -> None:
    """Adds to `counts[stage, resource, threshold]` the households whose own burden is above the threshold (basis points);
    `own[stage]` and `resource[kind]` by household. A resource that is not above zero counts nowhere."""
    for stage in range(own.shape[0]):
        for kind in range(resource.shape[0]):
            for h in range(lo, hi):
                means = resource[kind, h]
                if means > 0 and own[stage, h] > 0:
                    burden = own[stage, h] * WHOLE
                    for z in range(thresholds.size):
                        if burden > means * thresholds[z]:
                            counts[stage, kind, z] += 1


above = compiled(_above)


def _homes(own: Array, first: Array, persons: Array, before: Array, left: Array, lo: int, hi: int) -> None:
    """Takes off what each household owes (`own`) what its persons `first[h]` to `first[h + 1]` owe less of `before`."""
    for h in range(lo, hi):
        for i in range(first[h], first[h + 1]):
            own[h] -= before[persons[i]] - left[persons[i]]


homes = compiled(_homes)

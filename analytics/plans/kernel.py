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
GROSS, ALL = len(PARTS), -1  # as a base: the gross in-policy cost, all that is owed
WHOLE = 10_000  # basis points of one
HALF = WHOLE // 2
NEVER = np.iinfo(np.int64).max  # as a floor: is not paid; as a width: without end
NO_DAY = np.iinfo(np.int32).min
Array = npt.NDArray[Any]


# What is known of a row: `base`, `share` of advance self-pay, whether it pays per `event`, is `limited` to what is still owed,
# pays off several parts over the year (`pooled`), is `kept` in mind by later rows; bits of earlier rows that share its
# deductible (`used`), its ceiling (`spent`); first and last day, and days to wait.
TERMS = ("base", "share", "event", "limited", "pooled", "kept", "used", "spent", "from_day", "to_day", "wait")
BASE, SHARE, EVENT, LIMITED, POOLED, KEPT, USED, SPENT, FROM, TO, WAIT = range(len(TERMS))
STEP = OVER, WIDTH, RATE = tuple(range(2 + 1))  # what is known of a step of a schedule


class Rows(NamedTuple):
    """The rows of a plan, in order of payment: `terms[row]`. By kind of bill and row: `schedule` (-1: the row does not look at
    it) and what the ceiling `grows` by. By schedule: `cap` (-1: none) and its `steps`, from `start[s]` to `start[s + 1]`, ascending.
    """

    terms: Array
    schedule: Array
    grows: Array
    cap: Array
    start: Array
    steps: Array


class Course(NamedTuple):
    """Which rows come up, in order. First those that pay each bill by itself and need nothing of other rows: for kind `k` the
    rows `event[at[k]:at[k + 1]]`. Then the others: for a sort of person `other[on[who]:on[who + 1]]`, which pay where their base
    of the year is above `floor[who, row]`.
    """

    at: Array
    event: Array
    on: Array
    other: Array
    floor: Array


class Bills(NamedTuple):
    """The bills of a city-year, person by person in order of date. By bill: `money` (the parts owed), the `gross` in-policy
    cost, `sort` of care and `day`; by person: `first` bill (and one more), `who` (a sort of person) and day `since` when cover
    runs. `kind[who, sort]`: the kind of bill, -1 where there is none. Days are empty where no plan asked for them.
    """

    money: Array
    gross: Array
    sort: Array
    day: Array
    first: Array
    who: Array
    since: Array
    kind: Array


_OF_BILL = _KINDS, _MINE, _PAY, _USED, _ROOM = tuple(range(len(PARTS) + 1))
_OF_ROW = _SPENT, _RUN, _PAYERS = tuple(range(2 + 1))


class Place(NamedTuple):
    """Where one person after the other is reckoned, with as many columns as a person can have bills: numbers by bill, the parts
    `left` (one column more, for the year) and `new`, `totals` by row; numbers by row."""

    bills: Array
    left: Array
    new: Array
    totals: Array
    rows: Array


def place(bills: int, rows: int) -> Place:
    """Such a place, all zeros."""
    n = len(PARTS) + 1
    shapes = ((len(_OF_BILL), bills), (n, bills + 1), (n, bills), (rows, bills), (len(_OF_ROW), rows))
    return Place(*(np.zeros(shape, np.int64) for shape in shapes))


# No function here may make an array: to count who holds which costs more than what is reckoned.
_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False, "no_cfunc_wrapper": True}


def compiled(function: Callable[..., Any]) -> Any:
    """The function compiled, and kept on disk where some folder can be written."""
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # nowhere to keep it: compiled anew by every process
        return numba.njit(**_OPTIONS)(function)


def part_of(function: Callable[..., Any], everywhere: bool = True) -> Any:
    """A function for others here only, written out `everywhere` it is called where it is short."""
    more = {"no_cpython_wrapper": True, "forceinline": everywhere}
    return numba.njit(**_OPTIONS | more)(function)


def _earned(start: Array, steps: Array, s: int, x: int) -> int:
    due = 0
    for k in range(start[s], start[s + 1]):
        above = x - steps[k, OVER]
        if above <= 0:
            break
        due += min(above, steps[k, WIDTH]) * steps[k, RATE]
    return (due + HALF) // WHOLE


earned = part_of(_earned)


def _ceiling(rows: Rows, r: int, s: int, kind: int, gone: int) -> int:
    """What the year may be paid: grown by loyalty, less what earlier rows have paid under it; NEVER for no limit."""
    if rows.cap[s] < 0:
        return NEVER
    cap = rows.cap[s] + rows.grows[kind, r]
    return int(max(cap - gone, 0) if rows.terms[r, SPENT] else cap)


ceiling = part_of(_ceiling)


def _take(left: Array, a: int, z: int, j: int, rest: int) -> None:
    """Take a payment off the parts `a` to `z` of a bill, in order."""
    for part in range(a, z + 1):
        off = min(rest, left[part, j])
        left[part, j] -= off
        rest -= off


take = part_of(_take)


def _in_time(terms: Array, r: int, day: int, since: int) -> bool:
    """Whether a row looks at a bill of this day, of cover that runs since then; what is not known is in time."""
    if day == NO_DAY:
        return True
    if day < terms[r, FROM] or day > terms[r, TO]:
        return False
    return terms[r, WAIT] == 0 or since == NO_DAY or day >= since + terms[r, WAIT]


in_time = part_of(_in_time)


def _parts(base: int, share: int) -> tuple[int, int]:
    """First and last part a row pays off, in order."""
    if base == ALL:
        return IN, DRUG
    if share > 0:
        return IN, ADVANCE
    if base == GROSS:
        return IN, IN
    return base, base


parts = part_of(_parts)


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


pool = part_of(_pool, False)


def _counted(left: Array, j: int, base: int, share: int) -> int:
    """What a row counts of column `j` of what is owed: the base, and the counted share of advance self-pay."""
    if base == ALL:
        return int(left[IN, j] + left[ADVANCE, j] + left[OUT, j] + left[DRUG, j])
    return int(left[base, j] + ((left[ADVANCE, j] * share + HALF) // WHOLE if share > 0 else 0))


counted = part_of(_counted)


def _by_year(
    rows: Rows, r: int, m: int, kinds: Array, mine: Array, left: Array, pay: Array, used: Array, gone: int,
    totals: Array, room: Array, new: Array,
) -> int:  # fmt: skip
    """What row `r` pays on each of a person's `m` bills (`pay`) out of what the year has earned, taken off what is `left`;
    gives the sum."""
    terms, start, steps = rows.terms, rows.start, rows.steps
    base, share, limited = terms[r, BASE], terms[r, SHARE], terms[r, LIMITED] > 0
    full, extra, paid, open_, here = 0, 0, 0, 0, 0
    known, at, due = -1, NEVER, 0  # what the bill before had earned, by its schedule and ceiling
    for j in range(m):
        pay[j] = 0
        s = mine[j]
        if s < 0:
            continue
        b, more = counted(left, j, base, 0), left[ADVANCE, j] if share > 0 else 0
        if b or more:
            cap = ceiling(rows, r, s, kinds[j], gone)
            off = earned(start, steps, s, used[j]) if used[j] > 0 else 0
            if s != known or cap != at or used[j] > 0:
                due = earned(start, steps, s, used[j] + full + (extra * share + HALF) // WHOLE) - off
            before = min(due, cap)
            full += b
            extra += more
            due = earned(start, steps, s, used[j] + full + (extra * share + HALF) // WHOLE) - off
            known, at = -1 if used[j] > 0 else s, cap
            pay[j] = min(due, cap) - before
            paid += pay[j]
        if limited:
            open_ += left[IN, j]
            here += min(pay[j], left[IN, j])
    if terms[r, KEPT]:
        totals[r, :m] = full + (extra * share + HALF) // WHOLE
    if limited and paid > here:
        # a bill whose own rest is too small for what it earned leaves the difference to the other bills of the year
        late, run, paid = min(paid, open_) - here, 0, 0
        for j in range(m):
            if mine[j] >= 0:
                own = min(pay[j], left[IN, j])
                free = left[IN, j] - own
                pay[j] = own + min(run + free, late) - min(run, late)
                run += free
                paid += pay[j]
    if paid:
        a, z = parts(base, share)
        if terms[r, POOLED]:
            pool(m, a, z, mine, left, pay, room, new)
        else:
            for j in range(m):
                take(left, a, z, j, pay[j])
    return paid


by_year = part_of(_by_year, False)


def _on_bill(
    rows: Rows, r: int, s: int, kind: int, left: Array, j: int, used: int, gone: int, run: int
) -> tuple[int, int, int]:
    """What row `r` counts of bill `j`, what that has earned, and what is paid of it, where `run` was earned in the year before;
    the payment is taken off what is `left`."""
    terms, start, steps = rows.terms, rows.start, rows.steps
    base, share = terms[r, BASE], terms[r, SHARE]
    mine = counted(left, j, base, share)
    if mine == 0:
        return 0, 0, 0
    due = earned(start, steps, s, used + mine)
    if used > 0:
        due -= earned(start, steps, s, used)
    if terms[r, LIMITED]:
        due = min(due, left[IN, j])
    cap = ceiling(rows, r, s, kind, gone)
    given = due if run + due <= cap else max(cap - run, 0)
    a, z = parts(base, share)
    take(left, a, z, j, given)
    return mine, due, given


on_bill = part_of(_on_bill)


def _by_event(
    rows: Rows, r: int, m: int, kinds: Array, mine: Array, left: Array, pay: Array, used: Array, gone: int, totals: Array
) -> int:  # fmt: skip
    """The same of a row that pays on every bill by itself."""
    run, paid = 0, 0
    for j in range(m):
        pay[j], totals[r, j] = 0, 0
        if mine[j] >= 0:
            totals[r, j], due, pay[j] = on_bill(rows, r, mine[j], kinds[j], left, j, used[j], gone, run)
            run += due
            paid += pay[j]
    return paid


by_event = part_of(_by_event, False)


def _pay(
    rows: Rows, course: Course, bills: Bills, place: Place, first: int, some: Array, lo: int, hi: int,
    paid: Array, owed: Array, state: Array, sums: Array, by_bill: Array, spending: Array,
) -> None:  # fmt: skip
    """Pay the persons `some[lo:hi]` by the rows of a course, which begins with row `first`. Adds to `spending` what every row
    pays, and gives, where they are not empty, at each one's place in `some` what every row `paid` in the year and what is `owed`
    after it; the money of each bill (`state`) and its `sums` over the year by person; payments by row and bill. What is not
    paid is not written: these arrays come as zeros.
    """
    terms, schedule, floor = rows.terms, rows.schedule, course.floor
    dated, covered = bills.day.size > 0, bills.since.size > 0
    in_, advance, out, drug = bills.money[IN], bills.money[ADVANCE], bills.money[OUT], bills.money[DRUG]
    kinds, mine, pay = place.bills[_KINDS], place.bills[_MINE], place.bills[_PAY]
    used, room = place.bills[_USED], place.bills[_ROOM]
    left, new, totals, most = place.left, place.new, place.totals, place.left.shape[1] - 1
    spent, run, payers = place.rows[_SPENT], place.rows[_RUN], place.rows[_PAYERS]
    for i in range(lo, hi):
        p = some[i]
        start, who, paying = bills.first[p], bills.who[p], 0
        m, since = bills.first[p + 1] - start, bills.since[p] if covered else NO_DAY
        left[:, most] = 0
        for j in range(m):
            at = start + j
            kind = bills.kind[who, bills.sort[at]]
            kinds[j], left[GROSS, j] = kind, bills.gross[at]
            left[IN, j], left[ADVANCE, j], left[OUT, j], left[DRUG, j] = (
                in_[at],
                advance[at],
                out[at],
                drug[at],
            )
            for e in range(course.at[kind], course.at[kind + 1]):
                r = course.event[e]
                if dated and not in_time(terms, r, bills.day[at], since):
                    continue
                _, due, given = on_bill(rows, r, schedule[kind, r], kind, left, j, 0, 0, run[r])
                if due and not run[r]:
                    payers[paying] = r
                    paying += 1
                run[r] += due
                spent[r] += given
                if given and by_bill.size:
                    by_bill[r - first, at] = given
            for part in range(len(PARTS) + 1):
                left[part, most] += left[part, j]
        for e in range(course.on[who], course.on[who + 1]):
            r = course.other[e]
            base, share, before = terms[r, BASE], terms[r, SHARE], terms[r, USED]
            if counted(left, most, base, share) <= floor[who, r]:
                continue
            full, extra, gone = 0, 0, 0
            for j in range(m):
                mine[j] = schedule[kinds[j], r]
                if mine[j] >= 0 and dated and not in_time(terms, r, bills.day[start + j], since):
                    mine[j] = -1
                if mine[j] >= 0:
                    full += counted(left, j, base, 0)
                    extra += left[ADVANCE, j]
            if full + (extra * share + HALF) // WHOLE <= floor[who, r]:
                continue
            for k in range(first, r):
                if before >> k & 1:
                    for j in range(m):
                        used[j] += totals[k, j]
                if terms[r, SPENT] >> k & 1:
                    gone += spent[k]
            if terms[r, EVENT]:
                spent[r] = by_event(rows, r, m, kinds, mine, left, pay, used, gone, totals)
            else:
                spent[r] = by_year(rows, r, m, kinds, mine, left, pay, used, gone, totals, room, new)
            if before:
                used[:m] = 0
            if spent[r]:
                payers[paying] = r
                paying += 1
                if by_bill.size:
                    for j in range(m):
                        if pay[j]:
                            by_bill[r - first, start + j] = pay[j]
                for part in range(len(PARTS)):
                    left[part, most] = 0
                    for j in range(m):
                        left[part, most] += left[part, j]
        for e in range(paying):
            r = payers[e]
            spending[r - first] += spent[r]
            if paid.size:
                paid[r - first, i] = spent[r]
            spent[r], run[r] = 0, 0
        if owed.size:
            owed[i] = counted(left, most, ALL, 0)
        if state.size:
            for part in range(len(PARTS)):
                for j in range(m):
                    state[part, start + j] = left[part, j]
        if sums.size:
            for part in range(len(PARTS) + 1):
                sums[part, p] = left[part, most]


pay = compiled(_pay)

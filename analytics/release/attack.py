"""The attacker: what anybody can work out of hidden cells from the published ones. Shares no code with the protector.

It is given what is published and common knowledge (which cells add up to which, amount bands, the rule that 1 to k - 1 is
never shown) and finds the least and the most every hidden cell can be, by linear programs over all tables at once. A program
that does not end as it should is an error, never a hidden cell that held.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import highspy
import numpy as np
from numpy.typing import NDArray

from analytics.release.disclosure import Policy
from analytics.release.system import OPEN, Flags, Ints, System

Floats = NDArray[np.float64]
Kind = Literal["recovered", "below k", "narrow", "money"]

_INF = highspy.kHighsInf
_NEAR = 1e-5  # of a unit: what the solver may be off
_ENDS = highspy.HighsModelStatus


@dataclass(frozen=True)
class Seen:
    """What is published of a system: structure, and per cell the least and most its count and its money (fen) can be.

    Hidden cells lie between 0 and OPEN.
    """

    structure: System
    hidden: Flags
    count_low: Ints
    count_high: Ints
    money_low: Ints
    money_high: Ints


@dataclass(frozen=True)
class Attack:
    """Least and most of every attacked cell (position in `cells`): counts whole, money in fen (inf: nothing is known)."""

    cells: NDArray[np.intp]
    count_low: Floats
    count_high: Floats
    money_low: Floats
    money_high: Floats
    programs: int
    disbelieved: int = 0  # values of the earlier publication that cannot be true any more
    earlier: bool = False
    insider: tuple[int, int] | None = None


@dataclass(frozen=True)
class Finding:
    """A cell that did not hold, and between what it is known to lie."""

    cell: str
    kind: Kind
    low: float
    high: float


def seen(
    system: System,
    hidden: Flags,
    policy: Policy,
    count: Ints | None = None,
    money: Ints | None = None,
    *,
    rounded: bool = False,
) -> Seen:
    """A publication: `count` and `money` as printed (default: exact), to the policy's bases where `rounded`.

    Takes from a system its structure, and values only where they are shown.
    """
    n = np.where(hidden, 0, system.count if count is None else count)
    m = np.where(hidden, 0, system.money if money is None else money)
    base, fen = (policy.base_count, policy.base_yuan * 100) if rounded else (1, 1)
    # a shown count is none at all or at least k
    count_low = np.where(n + base // 2 < policy.k, 0, np.maximum(n - base // 2, policy.k))
    count_high = np.where(count_low == 0, 0, n + base // 2)
    money_low, money_high = np.maximum(m - fen // 2, 0), m + fen // 2
    nobody = ~hidden & (count_high == 0)
    return Seen(
        structure=replace(
            system, count=np.zeros_like(n), money=np.zeros_like(m), top=((),) * len(n)
        ),  # the truth stays behind
        hidden=hidden.copy(),
        count_low=count_low,
        count_high=np.where(hidden, np.where(system.structural, 0, OPEN), count_high),
        money_low=np.where(nobody | hidden, 0, money_low),
        money_high=np.where(hidden, OPEN, np.where(nobody, 0, money_high)),
    )


class _Tables:
    """Every table that agrees with a publication: one column per value that is not known exactly, moved to start at 0."""

    def __init__(self, view: Seen) -> None:
        s, size = view.structure, len(view.structure)
        shown = s.priced & (view.money_high != OPEN)
        people = int(view.count_high[shown].sum())
        self.yuan = max(1.0, float(view.money_high[shown].sum()) / max(1, people))  # fen of one unit of money here
        self.low = np.concatenate([view.count_low, view.money_low])
        self.high = np.concatenate([view.count_high, view.money_high])
        wanted = np.concatenate([np.ones(size, np.bool_), s.priced]) & (self.low != self.high)
        self.values = np.flatnonzero(wanted)
        self.column = np.full(2 * size, -1)
        self.column[self.values] = np.arange(len(self.values))
        self.each = np.where(np.arange(2 * size) < size, 1.0, self.yuan)
        self.size, self.programs = size, 0
        self.solver = highspy.Highs()
        for option, value in (("output_flag", False), ("threads", 1), ("random_seed", 0), ("mip_rel_gap", 0.0)):
            self.solver.setOptionValue(option, value)
        top = np.where(self.high == OPEN, _INF, (self.high - self.low) / self.each)[self.values]
        self.solver.addVars(len(self.values), np.zeros(len(self.values)), top)
        for e in s.equations:
            if e.counts:
                self._row([*((i, 1) for i in e.parts), (e.total, -1)], equal=True)
            if e.money:
                self._row([*((size + i, 1) for i in e.parts), (size + e.total, -1)], equal=True)
        for i in np.flatnonzero(s.priced).tolist():
            if s.least[i] > 0:
                self._row([(size + i, 1), (i, -int(s.least[i]))])
            if s.most[i] != OPEN:
                self._row([(i, int(s.most[i])), (size + i, -1)])
        for smaller, bigger in s.subsets:
            self._row([(bigger, 1), (smaller, -1)])

    def _row(self, terms: Iterable[tuple[int, int]], *, equal: bool = False) -> None:
        """Terms (value, whole factor) add up to 0, or to 0 or more."""
        terms = list(terms)
        known = sum(factor * int(self.low[v]) for v, factor in terms)  # exact
        free = [(int(self.column[v]), factor * self.each[v]) for v, factor in terms if self.column[v] >= 0]
        by = self.yuan if any(v >= self.size for v, _ in terms) else 1.0
        if free:
            index = np.array([c for c, _ in free], np.int32)
            factors = np.array([f / by for _, f in free])
            self.solver.addRow(-known / by, -known / by if equal else _INF, len(free), index, factors)
        elif known < 0 or (equal and known):
            raise ValueError("attack: the published cells contradict each other; nothing can be told from them")

    def run(self) -> Any:
        self.programs += 1
        self.solver.run()
        return self.solver.getModelStatus()

    def know(self, value: int, least: int) -> None:
        """This value is at least so much."""
        column = int(self.column[value])
        if column < 0:
            return
        self.solver.changeColBounds(
            column, max(0.0, (least - self.low[value]) / self.each[value]), self.solver.getLp().col_upper_[column]
        )

    def whole(self) -> None:
        """Counts are whole numbers."""
        for column in np.flatnonzero(self.values < self.size).tolist():
            self.solver.changeColIntegrality(column, highspy.HighsVarType.kInteger)

    def range(self, value: int) -> tuple[float, float]:
        """The least and the most a value can be."""
        column = int(self.column[value])
        if column < 0:
            return float(self.low[value]), float(self.high[value])
        found = []
        self.solver.changeColCost(column, 1.0)
        for sense, ends in (
            (highspy.ObjSense.kMinimize, (_ENDS.kOptimal,)),
            (highspy.ObjSense.kMaximize, (_ENDS.kOptimal, _ENDS.kUnbounded)),
        ):
            self.solver.changeObjectiveSense(sense)
            status = self.run()
            if status not in ends:
                name = value % self.size
                raise RuntimeError(f"attack on cell {name}: the solver ended with {status}; nothing is published")
            reach = np.inf if status == _ENDS.kUnbounded else self.solver.getInfo().objective_function_value
            found.append(float(self.low[value]) + reach * float(self.each[value]))
        self.solver.changeColCost(column, 0.0)
        if np.isnan(found).any():
            raise RuntimeError(f"attack on cell {value % self.size}: the solver's answer is no number")
        return found[0], found[1]


def attack(
    view: Seen,
    *,
    cells: Sequence[int] | NDArray[np.intp] | None = None,
    earlier: Seen | None = None,
    insider: tuple[int, int] | None = None,
    integers: bool = False,
) -> Attack:
    """The least and most of hidden cells (or of `cells`).

    `earlier`: another publication of the same cells, believed wherever it does not contradict this one. `insider`: (cell,
    fen) of somebody in this cell who knows what is their own. `integers`: counts are whole numbers; slow, for a sample.
    """
    disbelieved = 0
    if earlier is not None:
        view, disbelieved = _together(view, earlier)
    tables = _Tables(view)
    if insider is not None:
        tables.know(insider[0], 1)
        tables.know(tables.size + insider[0], insider[1])
    if integers:
        tables.whole()
    if (status := tables.run()) != _ENDS.kOptimal:
        raise RuntimeError(f"attack: no table agrees with what is published ({status}); nothing is published")
    chosen = np.flatnonzero(view.hidden) if cells is None else np.asarray(cells, np.intp)
    counts = np.array([tables.range(int(i)) for i in chosen]).reshape(-1, 2)
    money = np.array([tables.range(tables.size + int(i)) for i in chosen]).reshape(-1, 2)
    return Attack(
        chosen,
        np.ceil(counts[:, 0] - _NEAR),
        np.floor(counts[:, 1] + _NEAR),
        money[:, 0],
        money[:, 1],
        tables.programs,
        disbelieved,
        earlier is not None,
        insider,
    )


def _together(view: Seen, earlier: Seen) -> tuple[Seen, int]:
    """Both publications as one, as far as they can be true of the same cells; and how many values had to be left out."""
    raise NotImplementedError

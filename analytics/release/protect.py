"""Complementary protection: which further cells to hide so that no small or dominated cell follows from what is shown.

For every cell at risk, upwards and downwards, a linear program looks for another table that agrees with everything shown
and has this cell far enough away; what must move for that is hidden too. The tables found are the proof: whoever sees the
published cells cannot tell them from the truth. A program of our own, because counts and sums of money (tied by amount
bands), nested thresholds and an insider's knowledge have to be protected together; a suppression package (pytauargus was
tried) protects one additive table of one quantity, and with its pattern the sums of money gave cells away as small.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from analytics.release.disclosure import Policy
from analytics.release.system import NOBODY, OPEN, Flags, System, Unproven, dominated, small

Floats = NDArray[np.float64]

_STILL = 1e-6  # a move smaller than this (units; money in means per unit) is none
_MARGIN = 1e-3  # so much further than p percent, so that rounding in the solver cannot fall short
_STEP, _LEVELS = 3.0, 8  # what one level of totals costs more than its parts, and up to which level
_ROOT = 100.0  # what a total costs more that is part of nothing


@dataclass(frozen=True)
class Protection:
    """`hidden`: cells not shown. `told`: how many cells, at_risk, hidden, also (given), programs (solved), worlds (other tables
    found), open_to_insiders (cells an insider knows too much of in any table; the attack says which).
    """

    hidden: Flags
    told: dict[str, int]


@dataclass(frozen=True)
class _Aim:
    """Tables wanted, one per target cell: its count and money at least (up) or at most (down) so much; infinite where it is
    all the same. Cell `insider` holds at least one unit and `own` fen there.
    """

    cells: NDArray[np.intp]
    up: bool
    count: Floats
    money: Floats
    insider: int | None
    own: float

    def met(self, count: Floats, money: Floats) -> Flags:
        """Which targets any of these tables (one a row, a column per target) serves."""
        sign = 1 if self.up else -1
        if self.insider is not None:
            at = int(np.flatnonzero(self.cells == self.insider)[0])
            held = (count[:, at] >= 1 - _STILL) & (money[:, at] >= self.own * (1 - _STILL))
            count, money = count[held], money[held]
        near = sign * (count - self.count) >= -_STILL
        far = sign * (money - self.money) >= 0
        return np.asarray((near & far).any(axis=0))


class _Model:
    """All moves away from the truth that keep the equations, as one program: per cell up and down, of count and of money."""

    def __init__(self, system: System) -> None:
        self.system, self.size = system, len(system)
        units = int(system.count[system.priced].sum())
        self.scale = max(1.0, float(system.money[system.priced].sum()) / max(1, units))
        self.n, self.m = system.count.astype(float), system.money / self.scale
        free, priced = ~system.structural, ~system.structural & system.priced
        none = np.zeros(self.size)
        # columns: count up, count down, money up, money down
        self.lower = np.zeros(4 * self.size)
        self.upper = np.concatenate(
            [
                np.where(free, highspy.kHighsInf, none),
                np.where(free, self.n, none),
                np.where(priced, highspy.kHighsInf, none),
                np.where(priced, self.m, none),
            ]
        )
        self.cost = np.zeros(4 * self.size)
        self.solved = 0
        self.solver = highspy.Highs()  # type: ignore[no-untyped-call]
        self.solver.setOptionValue("output_flag", False)
        self.solver.setOptionValue("threads", 1)
        self.solver.setOptionValue("random_seed", 0)
        empty = np.zeros(0)
        self.solver.addCols(
            4 * self.size,
            self.cost,
            self.lower,
            self.upper,
            0,
            np.zeros(0, np.int32),
            np.zeros(0, np.int32),
            empty,
        )
        starts, index, value, low = [0], [], [], []
        for terms, least in self._rows():
            for column, factor in terms:
                index.append(column)
                value.append(factor)
            starts.append(len(index))
            low.append(least)
        low_ = np.array(low)
        equal = np.array([k < self._equal for k in range(len(low))], np.bool_)
        self.solver.addRows(
            len(low),
            low_,
            np.where(equal, low_, highspy.kHighsInf),
            len(index),
            np.array(starts[:-1], np.int32),
            np.array(index, np.int32),
            np.array(value),
        )

    def _rows(self) -> Iterator[tuple[list[tuple[int, float]], float]]:
        """Terms and lower bound of every row; the first `_equal` are equations."""
        s, size = self.system, self.size

        def move(i: int, factor: float, money: bool = False) -> list[tuple[int, float]]:
            up = i + 2 * size * money
            return [(up, factor), (up + size, -factor)]

        self._equal = 0
        for e in s.equations:
            for money in (False, True):
                if e.money if money else e.counts:
                    parts = [t for i in e.parts for t in move(i, 1.0, money)]
                    self._equal += 1
                    yield [*parts, *move(e.total, -1.0, money)], 0.0
        for i in np.flatnonzero(s.priced & ~s.structural).tolist():
            least, most = s.least[i] / self.scale, s.most[i] / self.scale
            if s.least[i] > 0:
                yield [*move(i, 1.0, True), *move(i, -least)], min(0.0, least * self.n[i] - self.m[i])
            if s.most[i] != OPEN:
                yield [*move(i, most), *move(i, -1.0, True)], min(0.0, self.m[i] - most * self.n[i])
        for a, b in s.subsets:
            yield [*move(b, 1.0), *move(a, -1.0)], self.n[a] - self.n[b]

    def find(self, aim: _Aim, k: int) -> tuple[Floats, Floats] | None:
        """Count and money moves of the cheapest table that meets the aim for its k-th target; None where there is none."""
        size, cell = self.size, int(aim.cells[k])
        columns: list[int] = []
        lower, upper = self.lower.copy(), self.upper.copy()

        for at, now, rise in (
            (aim.count[k], self.n[cell], cell),
            (aim.money[k] / self.scale, self.m[cell], cell + 2 * size),
        ):
            toward, against = (rise, rise + size) if aim.up else (rise + size, rise)
            by = (at - now) * (1 if aim.up else -1)
            columns.extend((toward, against))
            if by > 0:
                lower[toward], upper[against] = by, 0.0
        if aim.insider is not None:
            units, money = aim.insider + size, aim.insider + 3 * size
            columns.extend((units, money))
            upper[units] = self.n[aim.insider] - 1
            upper[money] = max(0.0, self.m[aim.insider] - aim.own / self.scale)
        changed = np.unique(np.array(columns, np.int32))
        self._bounds(changed, lower, upper)
        self.solver.run()
        self.solved += 1
        status = self.solver.getModelStatus()
        found = None
        if status == highspy.HighsModelStatus.kOptimal:
            x = np.asarray(self.solver.getSolution().col_value).reshape(4, size)
            found = x[0] - x[1], x[2] - x[3]
        elif status != highspy.HighsModelStatus.kInfeasible:
            name = self.system.names[cell]
            raise Unproven(f"protection of {name}: the solver ended with {status}; nothing is published")
        self._bounds(changed, self.lower, self.upper)
        return found

    def _bounds(self, at: NDArray[np.int32], lower: Floats, upper: Floats) -> None:
        self.solver.changeColsBounds(len(at), at, lower[at], upper[at])

    def charge(self, cells: NDArray[np.intp], cost: Floats) -> None:
        """What hiding these cells costs from now on."""
        at = np.concatenate([cells + k * self.size for k in range(4)]).astype(np.int32)
        self.solver.changeColsCost(len(at), at, np.tile(cost, 4))


def _loss(system: System) -> Floats:
    """What readers lose with a cell: little with small inner ones, most with a grand total."""
    level, part = np.zeros(len(system), np.int64), np.zeros(len(system), np.bool_)
    for _ in range(_LEVELS):  # totals of totals, the highest level costs no more than the one before
        for e in system.equations:
            level[e.total] = max(level[e.total], 1 + level[list(e.parts)].max(initial=-1))
    for e in system.equations:
        part[list(e.parts)] = True
    loss = _STEP ** np.minimum(level, _LEVELS) * np.log2(2.0 + system.count)
    return np.asarray(np.where((level > 0) & ~part, _ROOT * loss, loss))


def protect(system: System, policy: Policy, also: Flags | tuple[()] = ()) -> Protection:
    """Hide what must be hidden. `also`: cells hidden before (a previous snapshot's pattern); they stay hidden and cost nothing."""
    few, known = small(system, policy), dominated(system, policy)
    risk = few | known
    before = np.zeros(len(system), np.bool_) if len(also) == 0 else np.asarray(also, np.bool_)
    if len(before) != len(system):
        raise ValueError(
            f"pattern hidden before: {len(before)} cells, the system holds {len(system)}; map it by name"
        )
    need = np.where(few, policy.k - system.count, 0)
    order = np.array(sorted(np.flatnonzero(risk).tolist(), key=lambda i: (-int(need[i]), i)), np.intp)
    search = _Search(system, order, risk | before)
    for insider, part in ((None, 0.0), *insiders(system, few)):
        for up in (True, False):
            search.meet(_aim(system, policy, order, few, up, insider, part))
    told = {
        "cells": len(system),
        "at_risk": int(risk.sum()),
        "hidden": int(search.hidden.sum()),
        "also": int(before.sum()),
        "programs": search.model.solved,
        "worlds": search.worlds,
        "open_to_insiders": search.failed,
    }
    return Protection(search.hidden, told)


class _Search:
    """The pattern so far and the tables found for it, of which only the targets are kept."""

    def __init__(self, system: System, cells: NDArray[np.intp], hidden: Flags) -> None:
        self.model, self.cells, self.hidden, self.failed = _Model(system), cells, hidden.copy(), 0
        self.worlds, self._found = 0, np.empty((2, 16, len(cells)))
        self.model.charge(np.arange(len(system)), np.where(hidden, 0.0, _loss(system)))

    def meet(self, aim: _Aim) -> None:
        """Find a table for every target of the aim that no table found before serves."""
        unmet = ~aim.met(*self._found[:, : self.worlds])
        for k in range(len(aim.cells)):
            if not unmet[k]:
                continue
            found = self.model.find(aim, k)
            if found is None:
                if aim.insider is None:
                    name = self.model.system.names[aim.cells[k]]
                    raise Unproven(f"protection of {name}: there is no other table; nothing is published")
                self.failed += 1
                continue
            moved = ((abs(found[0]) > _STILL) | (abs(found[1]) > _STILL)) & ~self.hidden
            self.hidden |= moved
            at = np.flatnonzero(moved)
            self.model.charge(at, np.zeros(len(at)))
            self._keep(self.model.n + found[0], (self.model.m + found[1]) * self.model.scale)
            unmet &= ~aim.met(*self._found[:, self.worlds - 1 : self.worlds])

    def _keep(self, count: Floats, money: Floats) -> None:
        if self.worlds == self._found.shape[1]:
            self._found = np.concatenate([self._found, np.empty_like(self._found)], axis=1)
        self._found[:, self.worlds] = count[self.cells], money[self.cells]
        self.worlds += 1


def _aim(
    system: System,
    policy: Policy,
    cells: NDArray[np.intp],
    few: Flags,
    up: bool,
    insider: int | None,
    part: float,
) -> _Aim:
    """How far away the cells at risk must be able to lie, for the public or for somebody who holds `part` fen of cell `insider`.

    The public must be able to exclude neither nobody nor k. A household, or a hospital, knows that there is one at least, and what
    it holds; of a sum with this in it, the others' part must stay unknown.
    """
    share = policy.p * (1 + _MARGIN) / 100 * (1 if up else -1)
    n, m = system.count[cells].astype(float), system.money[cells].astype(float)
    fewest = np.zeros(len(cells))
    own: Floats = np.zeros(len(cells))
    if insider is not None:
        fewest = np.minimum(n, 1.0)
        holds = np.zeros(len(system), np.bool_)
        holds[list(system.around(insider))] = True
        own = np.where(holds[cells], part, 0.0)
    none = -np.inf if up else np.inf
    return _Aim(
        cells,
        up,
        np.where(few[cells], float(policy.k) if up else fewest, none),
        np.where(system.priced[cells] & (m > own), own + (1 + share) * (m - own), none),
        insider,
        part,
    )


def insiders(system: System, few: Flags) -> Iterator[tuple[int, float]]:
    """Who knows something of its own of a small cell: the cell, and what its largest household holds there (fen), as far as that
    is known; then what its largest hospital holds, where that is something else.
    """
    for cell in np.flatnonzero(few).tolist():
        home, *others = (float(first) for first, _ in system.top[cell] or (NOBODY,))
        home = float(system.money[cell]) if system.count[cell] == 1 else home
        yield cell, home
        yield from ((cell, part) for part in others if part not in (0, home))

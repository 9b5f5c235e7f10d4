"""Complementary protection: which further cells to hide so that no small or dominated cell follows from what is shown.

For every cell at risk, upwards and downwards, a linear program looks for another table that agrees with everything shown
and has this cell far enough away; what must move for that is hidden too. The tables found are the proof: whoever sees the
published cells cannot tell them from the truth. A program of our own, because counts and sums of money (tied by amount
bands), nested thresholds and an insider's knowledge have to be protected together; suppression packages protect one
additive table of one quantity.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from analytics.release.disclosure import Policy
from analytics.release.system import OPEN, Flags, System, dominated, small

Floats = NDArray[np.float64]

_STILL = 1e-6  # a move smaller than this (units; money in means per unit) is none
_MARGIN = 1e-3  # so much further than p percent, so that rounding in the solver cannot fall short
_STEP = 8.0  # what one level of totals costs more than its parts


@dataclass(frozen=True)
class Protection:
    """`hidden`: cells not shown. `told`: cells, at_risk, hidden, also, programs (solved), worlds (tables found)."""

    hidden: Flags
    told: dict[str, int]


@dataclass(frozen=True)
class _Aim:
    """A table wanted: the target's count and money at least (up) or at most (down) this; what one insider knows holds."""

    cell: int
    up: bool
    count: float | None
    money: float | None
    insider: int | None = None


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
        self.solver = highspy.Highs()
        self.solver.setOptionValue("output_flag", False)
        self.solver.setOptionValue("threads", 1)
        self.solver.setOptionValue("random_seed", 0)
        empty = np.zeros(0)
        self.solver.addCols(
            4 * self.size, self.cost, self.lower, self.upper, 0, np.zeros(0, np.int32), np.zeros(0, np.int32), empty
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

    def find(self, aim: _Aim) -> tuple[Floats, Floats] | None:
        """Count and money moves of the cheapest table that meets the aim; None where there is none."""
        size, columns = self.size, []
        lower, upper = self.lower.copy(), self.upper.copy()

        def bound(cell: int, at: float, now: float, up: bool, money: bool) -> None:
            rise, fall = cell + 2 * size * money, cell + size + 2 * size * money
            toward, against, by = (rise, fall, at - now) if up else (fall, rise, now - at)
            columns.extend((rise, fall))
            if by > 0:
                lower[toward], upper[against] = by, 0.0

        if aim.count is not None:
            bound(aim.cell, aim.count, self.n[aim.cell], aim.up, False)
        if aim.money is not None:
            bound(aim.cell, aim.money / self.scale, self.m[aim.cell], aim.up, True)
        if aim.insider is not None:
            for fall in (aim.insider + size, aim.insider + 3 * size):
                columns.append(fall)
                upper[fall] = 0.0
                if lower[fall] > 0:
                    return None
        at = np.unique(np.array(columns, np.int32))
        self._bounds(at, lower, upper)
        self.solver.run()
        self.solved += 1
        status = self.solver.getModelStatus()
        found = None
        if status == highspy.HighsModelStatus.kOptimal:
            x = np.asarray(self.solver.getSolution().col_value).reshape(4, size)
            found = x[0] - x[1], x[2] - x[3]
        elif status != highspy.HighsModelStatus.kInfeasible:
            name = self.system.names[aim.cell]
            raise RuntimeError(f"protection of {name}: the solver ended with {status}; nothing is published")
        self._bounds(at, self.lower, self.upper)
        return found

    def _bounds(self, at: NDArray[np.int32], lower: Floats, upper: Floats) -> None:
        self.solver.changeColsBounds(len(at), at, lower[at], upper[at])

    def charge(self, cells: NDArray[np.intp], cost: Floats) -> None:
        """What hiding these cells costs from now on."""
        at = np.concatenate([cells + k * self.size for k in range(4)]).astype(np.int32)
        self.solver.changeColsCost(len(at), at, np.tile(cost, 4))


def levels(system: System) -> NDArray[np.int64]:
    """How many sums lie below a cell: 0 of inner cells, most of grand totals."""
    level = np.zeros(len(system), np.int64)
    for _ in range(len(system)):
        before = level.copy()
        for e in system.equations:
            level[e.total] = max(level[e.total], 1 + level[list(e.parts)].max(initial=-1))
        if (before == level).all():
            return level
    raise ValueError("system of cells: a cell is a part of itself; check the equations")


def protect(system: System, policy: Policy, also: Flags | tuple[()] = ()) -> Protection:
    """Hide what must be hidden. `also`: cells hidden before (a previous snapshot's pattern); they stay hidden and cost nothing."""
    model = _Model(system)
    few, known = small(system, policy), dominated(system, policy)
    risk = few | known
    before = np.zeros(len(system), np.bool_) if len(also) == 0 else np.asarray(also, np.bool_)
    hidden = risk | before
    cost = _STEP ** levels(system) * np.log2(2.0 + system.count)
    model.charge(np.arange(len(system)), np.where(hidden, 0.0, cost))
    worlds: list[tuple[Floats, Floats]] = []
    for aim in aims(system, policy, few, known):
        if any(_meets(aim, system, n, m) for n, m in worlds):
            continue
        found = model.find(aim)
        if found is None:
            raise RuntimeError(f"protection of {system.names[aim.cell]}: no other table exists; nothing is published")
        moved = ((abs(found[0]) > _STILL) | (abs(found[1]) > _STILL)) & ~hidden
        hidden |= moved
        at = np.flatnonzero(moved)
        model.charge(at, np.zeros(len(at)))
        worlds.append((model.n + found[0], (model.m + found[1]) * model.scale))
    told = {
        "cells": len(system),
        "at_risk": int(risk.sum()),
        "hidden": int(hidden.sum()),
        "also": int(before.sum()),
        "programs": model.solved,
        "worlds": len(worlds),
    }
    return Protection(hidden, told)


def aims(system: System, policy: Policy, few: Flags, known: Flags) -> Iterator[_Aim]:
    share = policy.p * (1 + _MARGIN) / 100
    need = np.where(few, policy.k - system.count, 0)
    order = sorted(np.flatnonzero(few | known).tolist(), key=lambda i: (-int(need[i]), i))
    for i in order:
        n, m = float(system.count[i]), float(system.money[i])
        priced = bool(system.priced[i]) and m > 0
        for up in (True, False):
            yield _Aim(
                i,
                up,
                (float(policy.k) if up else 0.0) if few[i] else None,
                m * (1 + share if up else 1 - share) if priced else None,
            )


def _meets(aim: _Aim, system: System, n: Floats, m: Floats) -> bool:
    sign = 1 if aim.up else -1
    return (aim.count is None or sign * (n[aim.cell] - aim.count) >= -_STILL) and (
        aim.money is None or sign * (m[aim.cell] - aim.money) >= 0
    )

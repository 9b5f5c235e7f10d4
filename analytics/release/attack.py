"""The attacker: what anybody can work out of hidden cells from the published ones. Shares no code with the protector.

It is given what is published and what everybody knows (which cells add up to which, amount bands, that 1 to k - 1 is never
shown) and finds the least and the most every hidden cell can be, by linear programs over all tables at once. A program that
does not end as it should is an error, never a hidden cell that held.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import highspy
import numpy as np
from numpy.typing import NDArray

from analytics.release.disclosure import Policy
from analytics.release.system import KINDS, OPEN, Flags, Ints, System, Unproven

Floats = NDArray[np.float64]
Kind = Literal["shown", "recovered", "below k", "narrow", "money"]
COUNT, MONEY = 0, 1  # rows of every low and high

_NEAR = 1e-5  # of a unit: what the solver may be off
_FINE = 1e-9  # what the solver is asked to keep to
_ENDS, _SENSE = highspy.HighsModelStatus, highspy.ObjSense
# Where tables are known the most can only be endless: the least is found before the most is asked.
_ENDLESS = (_ENDS.kUnbounded, _ENDS.kUnboundedOrInfeasible)


@dataclass(frozen=True)
class Seen:
    """What is published of a system: its structure, and between what the count and the money (fen) of every cell lie.

    `low`, `high`: two rows, counts and money; 0 and inf where nothing is known.
    """

    structure: System
    hidden: Flags
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Attack:
    """Between what the attacked `cells` (positions) lie: two rows, counts (whole) and money (fen)."""

    cells: NDArray[np.intp]
    low: Floats
    high: Floats
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
    """A publication: `count` and `money` as printed (default: exact), to the policy's bases, half up, where `rounded`.

    Takes the structure of a system, and values only where they are shown.
    """
    rows = (
        (system.count if count is None else count, policy.base_count if rounded else 1),
        (system.money if money is None else money, policy.base_yuan * 100 if rounded else 1),
    )
    low = np.array([np.maximum(printed - base // 2, 0) for printed, base in rows], float)
    high = np.array([printed + (base - 1) // 2 for printed, base in rows], float)
    nobody = rows[COUNT][0] == 0
    low[:, nobody] = high[:, nobody] = 0.0
    low[COUNT] = np.where(high[COUNT] >= policy.k, np.maximum(low[COUNT], policy.k), low[COUNT])
    low[:, hidden], high[:, hidden] = 0.0, np.inf
    high[:, system.structural] = 0.0
    nothing = np.zeros_like(system.count)  # the truth stays behind
    structure = replace(system, count=nothing, money=nothing, top=((),) * len(system))
    return Seen(structure, np.array(hidden, np.bool_), low, high)


class _Tables:
    """Every table that agrees with a publication: one column per value that is not known exactly, moved to start at 0."""

    def __init__(self, view: Seen) -> None:
        s, size = view.structure, len(view.structure)
        shown = s.priced & np.isfinite(view.high).all(axis=0)
        self.view, self.size, self.programs = view, size, 0
        scale = max(1.0, view.high[MONEY, shown].sum() / max(1.0, view.high[COUNT, shown].sum()))
        self.low, self.high = view.low.ravel(), view.high.ravel()
        self.each = np.repeat([1.0, scale], size)  # fen of one unit of money here
        self.values = np.flatnonzero(
            np.concatenate([np.ones(size, np.bool_), s.priced]) & (self.low < self.high)
        )
        self.column = np.full(2 * size, -1)
        self.column[self.values] = np.arange(len(self.values))
        self.room = ((self.high - self.low) / self.each)[self.values]
        self.solver = highspy.Highs()  # type: ignore[no-untyped-call]
        for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
            self.solver.setOptionValue(option, _FINE)
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", 0),
            ("mip_rel_gap", 0.0),
        ):
            self.solver.setOptionValue(option, value)
        # The least and the most that any table found so far holds; infinitely far where there is none yet.
        self.least, self.most = np.full(len(self.values), np.inf), np.full(len(self.values), -np.inf)
        self.solver.addVars(len(self.values), np.zeros(len(self.values)), self.room)
        for e in s.equations:
            for row in (COUNT,) * e.counts + (MONEY,) * e.money:
                self._row([*((row * size + i, 1) for i in e.parts), (row * size + e.total, -1)], equal=True)
        for i in np.flatnonzero(s.priced).tolist():
            if s.least[i] > 0:
                self._row([(size + i, 1), (i, -int(s.least[i]))])
            if s.most[i] != OPEN:
                self._row([(i, int(s.most[i])), (size + i, -1)])
        for smaller, bigger in s.subsets:
            self._row([(bigger, 1), (smaller, -1)])

    def _row(self, terms: Sequence[tuple[int, int]], *, equal: bool = False) -> None:
        """Terms (value, whole factor) add up to 0, or to 0 or more."""
        known = sum(factor * int(self.low[v]) for v, factor in terms)  # exact
        free = [(v, factor) for v, factor in terms if self.column[v] >= 0]
        by = float(max(self.each[v] for v, _ in terms))
        if free:
            index = self.column[[v for v, _ in free]].astype(np.int32)
            factors = np.array([factor * self.each[v] / by for v, factor in free])
            self.solver.addRow(-known / by, -known / by if equal else np.inf, len(free), index, factors)
        elif known < 0 or (equal and known):
            names = ", ".join(self.view.structure.names[v % self.size] for v, _ in terms[-1:])
            raise Unproven(
                f"attack: the published cells contradict each other at {names}; check what was published"
            )

    def run(self) -> Any:
        self.programs += 1
        self.solver.run()
        # Presolve says so of programs that have a table.
        if self.solver.getModelStatus() == _ENDS.kInfeasible:
            self.solver.setOptionValue("presolve", "off")
            self.solver.run()
            self.solver.setOptionValue("presolve", "choose")
        return self.solver.getModelStatus()

    def know(self, value: int, least: int) -> None:
        """This value is at least so much."""
        if (column := int(self.column[value])) >= 0:
            bound = max(0.0, (least - self.low[value]) / self.each[value])
            self.solver.changeColBounds(column, bound, self.room[column])

    def whole(self) -> None:
        """Counts are whole numbers."""
        for column in np.flatnonzero(self.values < self.size).tolist():
            self.solver.changeColIntegrality(column, highspy.HighsVarType.kInteger)

    def range(self, value: int, enough: tuple[float, float] = (-np.inf, np.inf)) -> tuple[float, float]:
        """The least and the most a value can be; a side on which some table found before lies far `enough` is looked at no more."""
        if (column := int(self.column[value])) < 0:
            return float(self.low[value]), float(self.high[value])
        found = []
        self.solver.changeColCost(column, 1.0)
        for sense, reached, sign in ((_SENSE.kMinimize, self.least, 1), (_SENSE.kMaximize, self.most, -1)):
            known = float(self.low[value] + reached[column] * self.each[value])
            if sign * known <= sign * enough[sign < 0]:
                found.append(known)
                continue
            self.solver.changeObjectiveSense(sense)
            status = self.run()
            reach = self.solver.getInfo().objective_function_value
            if status in _ENDLESS and sense == _SENSE.kMaximize:
                reach = np.inf
            elif status != _ENDS.kOptimal or np.isnan(reach):
                name = self.view.structure.names[value % self.size]
                raise Unproven(f"attack on {name}: the solver ended with {status}; nothing is published")
            else:
                table = np.asarray(self.solver.getSolution().col_value)
                self.least, self.most = np.minimum(self.least, table), np.maximum(self.most, table)
            found.append(float(self.low[value] + reach * self.each[value]))
        self.solver.changeColCost(column, 0.0)
        return found[0], found[1]

    def strain(self, values: NDArray[np.intp], low: Floats, high: Floats) -> Flags:
        """Which values cannot lie between low and high, if as few as possible shall not. Spoils the tables for other use."""
        columns, first = self.column[values], len(self.values)
        self.solver.addVars(2 * len(values), np.zeros(2 * len(values)), np.full(2 * len(values), np.inf))
        for k, v in enumerate(values.tolist()):
            index = np.array([columns[k], first + 2 * k, first + 2 * k + 1], np.int32)
            bounds = (low[k] - self.low[v]) / self.each[v], (high[k] - self.low[v]) / self.each[v]
            self.solver.addRow(*bounds, 3, index, np.array([1.0, 1.0, -1.0]))
        slack = np.arange(first, first + 2 * len(values), dtype=np.int32)
        self.solver.changeColsCost(len(slack), slack, np.ones(len(slack)))
        if (status := self.run()) != _ENDS.kOptimal:
            raise Unproven(
                f"attack on two publications: the solver ended with {status}; nothing is published"
            )
        by = np.asarray(self.solver.getSolution().col_value)[first:].reshape(-1, 2).sum(axis=1)
        return np.asarray(by * self.each[values] > _NEAR)


def attack(
    view: Seen,
    *,
    cells: Iterable[int] | None = None,
    earlier: Seen | None = None,
    insider: tuple[int, int] | None = None,
    integers: bool = False,
    enough: tuple[Floats, Floats] | None = None,
) -> Attack:
    """Between what hidden cells (or `cells`) lie.

    `earlier`: another publication of the same cells, believed wherever it does not contradict this one. `insider`: (cell,
    fen) of a household in this cell, or of a hospital, which knows what is its own. `integers`: counts are whole numbers; slow, for a sample. `enough`: two rows each of
    least and most, per cell of the system: a range is worked out only as far as that (see `holding`).
    """
    disbelieved = 0
    if earlier is not None:
        view, disbelieved = _together(view, earlier)
    tables = _Tables(view)
    if insider is not None:
        tables.know(insider[0], 1)
        tables.know(tables.size + insider[0], insider[1])
    if len(tables.values) and (status := tables.run()) != _ENDS.kOptimal:
        raise Unproven(f"attack: no table agrees with what is published ({status}); nothing is published")
    if integers:
        tables.whole()
    chosen = np.flatnonzero(view.hidden) if cells is None else np.array(sorted(cells), np.intp)
    none = np.full((2, tables.size), -np.inf), np.full((2, tables.size), np.inf)
    far = [side.ravel().tolist() for side in enough or none]
    ranges = [
        [
            tables.range(value, (far[0][value], far[1][value]))
            for value in (chosen + row * tables.size).tolist()
        ]
        for row in (COUNT, MONEY)
    ]
    low, high = np.moveaxis(np.array(ranges, float).reshape(2, len(chosen), 2), 2, 0)
    low[COUNT], high[COUNT] = np.ceil(low[COUNT] - _NEAR), np.floor(high[COUNT] + _NEAR)
    return Attack(chosen, low, high, tables.programs, disbelieved, earlier is not None, insider)


def _together(view: Seen, earlier: Seen) -> tuple[Seen, int]:
    """Both publications as one, as far as they can be true of the same cells, and how many old values had to be left out."""
    if view.structure.names != earlier.structure.names:
        raise ValueError(
            "attack on two publications: their cells differ; give both the same names in the same order"
        )
    low, high = view.low.ravel().copy(), view.high.ravel().copy()
    old_low, old_high = earlier.low.ravel(), earlier.high.ravel()
    apart = (old_low > high) | (old_high < low)
    tables = _Tables(view)
    asked = np.flatnonzero(((old_low > low) | (old_high < high)) & ~apart & (tables.column >= 0))
    wrong = tables.strain(asked, old_low[asked], old_high[asked]) if len(asked) else np.zeros(0, np.bool_)
    keep = asked[~wrong]
    low[keep], high[keep] = np.maximum(low, old_low)[keep], np.minimum(high, old_high)[keep]
    shape = view.low.shape
    return replace(view, low=low.reshape(shape), high=high.reshape(shape)), int(apart.sum() + wrong.sum())


def holding(
    system: System, policy: Policy, own: int = 0, around: Collection[int] = ()
) -> tuple[Floats, Floats]:
    """What every cell must be able to be, at least and at most, to be safe and still hold the truth: two rows, counts and money.

    `own`: fen that an insider knows to be in the cells `around` it.
    """
    few = (system.count > 0) & (system.count < policy.k)
    others = system.money - np.where(np.isin(np.arange(len(system)), list(around)), own, 0)
    away = np.where(others > 0, others * policy.p / 100, 0.0)
    least = [np.where(few, 1, system.count), np.minimum(system.money - away, system.money)]
    most = [np.where(few, policy.k, system.count), system.money + away]
    return np.array(least, float), np.array(most, float)


def judge(found: Attack, system: System, policy: Policy, targets: Flags) -> list[Finding]:
    """Which targets did not hold, against the truth.

    Raises Unproven where the truth lies outside of what was found: such an attack is broken, and would find nothing. With
    an earlier publication it may simply be mistaken about a cell that changed.
    """
    findings = []
    who, own = found.insider or (-1, 0)
    around = system.around(who) if found.insider else set()
    for j, i in enumerate(found.cells.tolist()):
        if not targets[i]:
            continue
        name, n, m = system.names[i], int(system.count[i]), int(system.money[i])
        (least, low), (most, high) = found.low[:, j].tolist(), found.high[:, j].tolist()
        off = 1 + m * _NEAR
        if not (least <= n <= most and (not system.priced[i] or low - off <= m <= high + off)):
            if found.earlier:
                continue
            raise Unproven(
                f"attack on {name}: the truth lies outside of what was found; the attack is broken"
            )
        if 0 < n < policy.k:
            if least == most:
                findings.append(Finding(name, "recovered", least, most))
            elif most < policy.k:
                findings.append(Finding(name, "below k", least, most))
            elif most - least < policy.k - 1:
                findings.append(Finding(name, "narrow", least, most))
        others = m - own if i in around else m
        away = others * policy.p / 100
        if system.priced[i] and others > 0 and (low > m - away or high < m + away):
            findings.append(Finding(name, "money", low, high))
    return findings


def undone(
    view: Seen,
    system: System,
    policy: Policy,
    targets: Flags,
    *,
    earlier: Seen | None = None,
    insiders: int = 0,
    sample: int = 0,
) -> list[str]:
    """Lines for a human: every way in which a publication gives a target away; none means that it held.

    Attacked by the public, with an `earlier` publication, by the largest household and the largest hospital of each of the
    `insiders` smallest cells, and in whole numbers on a `sample` of targets.
    """
    at = np.flatnonzero(targets & view.hidden)
    few = [int(i) for i in at[np.argsort(system.count[at], kind="stable")] if 0 < system.count[i] < policy.k]
    lines = [f"{system.names[i]}: is shown and must not be" for i in np.flatnonzero(targets & ~view.hidden)]

    def by(who: str, found: Attack) -> None:
        for f in judge(found, system, policy, targets):
            what = "fen" if f.kind == "money" else system.unit[system.names.index(f.cell)]
            lines.append(
                f"{f.cell}: {who} can tell that it lies between {f.low:.0f} and {f.high:.0f} {what} ({f.kind})"
            )

    enough = holding(system, policy)
    by("anybody", attack(view, cells=at, enough=enough))
    if earlier is not None:
        by("whoever kept the earlier publication", attack(view, cells=at, earlier=earlier, enough=enough))
    for i in few[:insiders]:
        held = {kind: first for kind, (first, _) in zip(KINDS, system.top[i], strict=False) if first > 0}
        held["household"] = int(system.money[i]) if system.count[i] == 1 else held.get("household", 0)
        for kind, own in held.items():
            enough_of_others = holding(system, policy, own, system.around(i))
            by(
                f"a {kind} of {system.names[i]}",
                attack(view, cells=at, insider=(i, own), enough=enough_of_others),
            )
    if sample:
        by(
            "anybody, in whole numbers,",
            attack(view, cells=few[:: max(1, len(few) // sample)][:sample], integers=True),
        )
    return lines

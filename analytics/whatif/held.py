"""A city-year in arrays: its settlements, persons and households, paid by the compiled kernel under one plan after the other."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import polars as pl

from analytics.plans import Plan, kernel, split, sweeps
from analytics.plans import bills as paying
from analytics.plans.arrays import CARE, carries, classes_sql, floors, program, sorts
from analytics.plans.bills import Payment, Sorted, shared
from analytics.plans.kernel import Array
from analytics.plans.rowsql import COST_PARTS
from analytics.plans.schedule import PERSON
from analytics.store import Engine
from analytics.tiers import TIER

_READING = 600  # seconds a whole city may take to read


@dataclass(frozen=True)
class Cells:
    """What a plan paid every person with settlements: rows per settlement at the head (`head`, everybody), later rows (`later`,
    of the persons `some` only, whom such a row may pay), and after them the tiers without rules, `extra`, as recorded.
    """

    held: "Held"
    plan: Plan
    extra: tuple[str, ...]
    first: int
    head: Payment
    some: Array
    later: Payment

    @cached_property
    def left(self) -> Array:
        """Fen each person owes once the plan has paid, before tiers without rules."""
        owed = self.head.owed.copy()
        owed[self.some] = self.later.owed
        return owed

    @property
    def owed(self) -> Array:
        """Fen each of the persons `some` owes at the end."""
        return np.maximum(self.later.owed - self.held.recorded(self.extra)[self.some], 0)  # type: ignore[no-any-return]

    @cached_property
    def columns(self) -> dict[str, list[int]]:
        """Rows of the plan by the name of their payments: by liability, and by tier."""
        found: dict[str, list[int]] = {}
        for name in ("{0.id}__{0.liability}_paid_fen", "{0.id}_paid_fen"):
            for position, rule in enumerate(self.plan.tier):
                found.setdefault(name.format(rule), []).append(position)
        return found

    def paid(self, name: str) -> Array:
        """Fen each person was paid, by the name of a column of payments."""
        return self._paid(name, slice(None), self.some)

    def _paid(self, name: str, who: Any, places: Array, head: bool = True) -> Array:
        """The same of some persons, among them all of `some`, who stand at `places`; `head`: with rows at the head."""
        tier = name.removesuffix("_paid_fen")
        if name not in self.columns and tier in self.extra:
            return self._as_recorded(tier, self.left[who], who)
        whole = np.zeros(len(self.head.owed[who]), np.int64)
        for position in self.columns.get(name, ()):
            if position >= self.first:
                whole[places] += self.later.paid[:, position - self.first]
            elif head:
                whole += self.head.paid[who, position]
        return whole

    def _as_recorded(self, tier: str, left: Array, who: Any) -> Array:
        """What is kept of a tier without rules, of what some persons have `left`."""
        before = self.held.recorded(self.extra[: self.extra.index(tier)])[who]
        so_far = before + self.held.recorded((tier,))[who]
        return np.minimum(so_far, left) - np.minimum(before, left)  # type: ignore[no-any-return]

    def total(self, name: str) -> int:
        """Fen paid to all persons."""
        tier = name.removesuffix("_paid_fen")
        if name not in self.columns and tier in self.extra:
            whole = self.held.resting(self).spent
            if tier not in whole:
                whole[tier] = int(self._as_recorded(tier, self.head.owed, slice(None)).sum())
            some = (
                self._as_recorded(tier, left, self.some)
                for left in (self.later.owed, self.head.owed[self.some])
            )
            now, was = (int(part.sum()) for part in some)
            return whole[tier] + now - was
        every = [*self.head.total, *self.later.total]
        return sum(int(every[r]) for r in self.columns.get(name, ()))

    def frame(self) -> pl.DataFrame:
        """The payments as a table of persons."""
        names = [*self.columns, *(TIER[k].paid for k in self.extra)]
        paid = {name: self.paid(name) for name in names}
        return pl.DataFrame({"person_id": self.held.persons["person_id"], "left_fen": self.left, **paid})

    def differing(self, other: "Cells") -> int:
        """Persons of whom some tier is paid differently."""
        alike = self.head is other.head and self.extra == other.extra
        among = np.full(len(self.head.owed), not alike)
        among[self.some] = among[other.some] = True
        both = np.flatnonzero(among)
        sides = [(cells, np.searchsorted(both, cells.some)) for cells in (self, other)]
        tiers = {*self.plan.order, *self.extra, *other.plan.order, *other.extra}
        differ = np.zeros(len(both), np.bool_)
        for name in (TIER[k].paid for k in tiers):
            a, b = (cells._paid(name, both, places, not alike) for cells, places in sides)
            differ |= a != b
        return int(differ.sum())


@dataclass(frozen=True)
class Resting:
    """What holds of a head whatever comes after it: fen each person has `owed` once all tiers as recorded are taken off,
    each household its `own`; kept once asked for, what those tiers `spent`, and `counts` of households by resource and
    thresholds."""

    owed: Array
    own: Array
    spent: dict[str, int]
    counts: dict[tuple[Any, ...], Array]


class Held:
    """The settlements of a city-year, read once."""

    def __init__(
        self, engine: Engine, claims: str, standing: Callable[[], str], recorded: Sequence[str]
    ) -> None:
        """`claims`: table of settlements; `standing`: makes and names that of what persons' years and incomes are, asked for
        only where a plan looks at them; `recorded`: tiers of which something is. Raises plans.arrays.Declined.
        """
        self._engine, self._standing = engine, standing
        with ThreadPoolExecutor(1) as aside:
            ready = aside.submit(
                warm
            )  # compiling takes seconds, once in an installation: meanwhile it is read
            claim = f"SELECT person_id, claim_date, {', '.join((*CARE, *COST_PARTS.values()))} FROM {claims} ORDER BY seq"
            self.settled = paying.settled(engine.ask(claim, seconds=_READING))
            alike = ", ".join(f"any_value({c}) AS {c}" for c in PERSON)
            paid = "".join(f", coalesce(p.{TIER[k].paid}, 0)::BIGINT AS {k}" for k in recorded)
            engine.keep(
                "homes",
                "SELECT household_key, is_linked, own_before_fen, row_number() OVER () - 1 AS home FROM household_year",
            )
            self.persons = engine.ask(
                f"SELECT s.*, p.own_before_fen::BIGINT AS before_fen, coalesce(home, -1)::BIGINT AS home{paid}"
                f" FROM (SELECT person_id, {alike} FROM {claims} GROUP BY person_id) AS s JOIN person_year AS p ON p.person_key = person_id"
                " LEFT JOIN homes AS h ON h.household_key = coalesce(p.household_key, p.person_key) AND h.is_linked = (p.household_key IS NOT NULL)"
                " ORDER BY person_id",
                seconds=_READING,
            )
            ready.result()
        if not np.array_equal(self.persons["person_id"].to_numpy(), self.settled.persons):
            raise ValueError("settlements and persons of the city-year do not match")
        self._before = np.array(self.persons["before_fen"])
        self._sorted: dict[tuple[str, ...], tuple[str, Sorted]] = {}
        self._heads: dict[tuple[Any, ...], Payment] = {}
        self._means: dict[str, Array] = {}
        self._home = self.persons["home"].to_numpy()
        self._resting: dict[tuple[int, tuple[str, ...]], Resting] = {}  # by the head, which is held as long
        self._recorded: dict[tuple[str, ...], Array] = {}

    @property
    def bytes(self) -> int:
        """Memory the arrays take."""
        parts = [self.settled.money, self.settled.sort, self.settled.day, self.settled.first, self._before]
        parts += [a for head in self._heads.values() for a in (head.paid, head.owed, head.state, head.sums)]
        parts += [a for rest in self._resting.values() for a in (rest.owed, rest.own)]
        return sum(a.nbytes for a in parts) + int(self.persons.estimated_size())

    def pay(self, plan: Plan, wanted: frozenset[str], extra: Sequence[str] = (), dated: bool = True) -> Cells:
        """Pay by a plan. `wanted`: what it `needs`; `dated`: whether days of bills are looked at. Raises plans.PlanHoles,
        plans.arrays.Declined."""
        table, sort = self._by(wanted - {"claim_date"})
        kinds = self._engine.ask(
            f"SELECT {', '.join([*classes_sql(plan), 'number'])} FROM {table} ORDER BY number"
        )
        rows = program(plan, kinds, dated)
        first = split(plan)
        first = 0 if carries(rows, first) else first
        made = repr(plan.tier[:first]), repr(plan.period), table, dated
        if made not in self._heads:
            self._heads[made] = paying.pay(rows, sort.bills, 0, first, keep=True)
        head = self._heads[made]
        floor = floors(rows, sort.bills.kind, first)
        may = np.zeros(len(head.owed), np.bool_)
        shared(
            len(may), lambda a, b: sweeps.reached(rows, floor, sort.bills.who, first, head.sums, a, b, may)
        )
        some = np.flatnonzero(may)
        later = paying.pay(rows, sort.bills._replace(money=head.state), first, None, some)
        return Cells(self, plan, tuple(extra), first, head, some, later)

    def headcounts(self, cells: Cells, thresholds_bp: Sequence[int], resource: str) -> dict[int, int]:
        """Households whose own burden is above each threshold of a resource column: those of the head alone, and anew the
        households of persons whom a later row may pay."""
        rest, some = self.resting(cells), cells.some
        if (resource, *thresholds_bp) not in rest.counts:
            rest.counts[resource, *thresholds_bp] = self._above(
                rest.own, self._resource(resource), thresholds_bp
            )
        eased, homes = rest.owed[some] - cells.owed, self._home[some]
        homes, eased = homes[(homes >= 0) & (eased != 0)], eased[(homes >= 0) & (eased != 0)]
        there, place = np.unique(homes, return_inverse=True)
        was, now = rest.own[there], rest.own[there]
        np.subtract.at(now, place, eased)
        means = self._resource(resource)[there]
        counts = rest.counts[resource, *thresholds_bp] + (
            self._above(now, means, thresholds_bp) - self._above(was, means, thresholds_bp)
        )
        return {z: int(counts[i]) for i, z in enumerate(thresholds_bp)}

    def _above(self, own: Array, means: Array, thresholds_bp: Sequence[int]) -> Array:
        """Households above each threshold."""
        limits = np.array(thresholds_bp, np.int64)
        means = np.minimum(means, kernel.NEVER // max([1, *thresholds_bp]))  # no burden comes near it
        pieces = [np.zeros(len(limits), np.int64)]

        def count(a: int, b: int) -> None:
            piece = np.zeros((1, 1, len(limits)), np.int64)
            sweeps.above(own[None, :], means[None, :], limits, a, b, piece)
            pieces.append(piece[0, 0])

        shared(len(own), count)
        return np.sum(pieces, axis=0)  # type: ignore[no-any-return]

    def resting(self, cells: Cells) -> "Resting":
        """What the rows at the head leave, with the tiers kept as recorded: the same for every plan that differs after it."""
        if (id(cells.head), cells.extra) not in self._resting:
            first, persons, before = self._homes
            owed = np.maximum(cells.head.owed - self.recorded(cells.extra), 0)
            eased = np.empty((1, len(before)), np.int64)
            shared(
                len(before), lambda a, b: sweeps.rolled(first, persons, (self._before - owed,), a, b, eased)
            )
            self._resting[id(cells.head), cells.extra] = Resting(owed, before - eased[0], {}, {})
        return self._resting[id(cells.head), cells.extra]

    def recorded(self, tiers: Sequence[str]) -> Array:
        """Fen recorded of some tiers, by person."""
        if tuple(tiers) not in self._recorded:
            whole = np.zeros(len(self._before), np.int64)
            for k in tiers:
                whole += self.persons[k].to_numpy()
            self._recorded[tuple(tiers)] = whole
        return self._recorded[tuple(tiers)]

    @cached_property
    def _homes(self) -> tuple[Array, Array, Array]:
        """Persons by household: where each one's begin, and one more; their places; what the household owes before any tier."""
        own = self._engine.ask("SELECT own_before_fen::BIGINT AS own FROM homes ORDER BY home")[
            "own"
        ].to_numpy()
        persons = np.argsort(self._home, kind="stable")
        first = np.searchsorted(self._home[persons], np.arange(len(own) + 1))
        return first, persons, own

    def _resource(self, name: str) -> Array:
        if name not in self._means:
            self._means[name] = self._engine.ask(
                f"SELECT coalesce(f.{name}, 0)::BIGINT AS means FROM homes JOIN household_year AS f USING (household_key, is_linked) ORDER BY home"
            )["means"].to_numpy()
        return self._means[name]

    def _by(self, extra: frozenset[str]) -> tuple[str, Sorted]:
        """The bills with persons sorted by what plans tell apart, some also by `extra` columns, and the table of their kinds."""
        columns, key = sorts(extra), tuple(sorted(extra))
        if key not in self._sorted:
            persons = self.persons
            if extra:
                standing = self._engine.ask(f"SELECT * FROM {self._standing()}", seconds=_READING)
                wanted = standing.select("person_id", *sorted(extra))
                persons = persons.join(wanted, on="person_id", how="left", maintain_order="left")
            sort = paying.sorted_by(self.settled, persons, columns)
            table = f"kinds_{len(self._sorted)}"
            self._engine.hold(table, sort.kinds.with_row_index("number"))
            self._sorted[key] = table, sort
        return self._sorted[key]


@cache
def warm() -> None:
    """Compile the kernel, or load it where it was compiled before, by paying one bill of one person by no rule."""
    money = np.zeros((len(kernel.PARTS), 1), np.int32)
    none, one = np.zeros((1, 0), np.int32), np.zeros(1, np.int64)
    day = np.zeros(1, np.int32)
    wide = none.astype(np.int64)
    terms, steps = np.zeros((0, len(kernel.TERMS)), np.int64), np.zeros((0, len(kernel.STEP)), np.int64)
    rows = kernel.Rows(terms, none, wide, one[:0], one, steps)
    kind = np.zeros((1, 1), np.int32)
    bills = kernel.Bills(money, money[0], day, day, np.arange(2), day, day, kind)
    got = paying.pay(rows, bills, keep=True, threads=1)
    sweeps.reached(rows, wide, bills.who, 0, got.sums, 0, 1, np.zeros(1, np.bool_))
    own = np.zeros((1, 1), np.int64)
    sweeps.rolled(np.arange(2), one, (one,), 0, 1, own)
    sweeps.above(own, one[None, :], one, 0, 1, np.zeros((1, 1, 1), np.int64))

"""Linked cells of one population as plain data: what a set of tables says, and which equations tie its cells together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analytics.release.disclosure import Policy

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Of = Literal["both", "counts", "money"]
Pair = tuple[int, int]  # the largest and the second largest contribution, fen
OPEN = -1  # in `most`: no upper limit
KINDS = ("household", "hospital")  # of contributors, in the order of the pairs of a `top`
NOBODY: Pair = (0, 0)  # of a kind that is not known


class Unproven(RuntimeError):
    """Cells could not be protected, or what is published of them not attacked, to the end: none of it may be shown."""


@dataclass(frozen=True)
class Cell:
    """One cell: `count` units, their `money` in fen (None: a cell of counts only).

    `least`, `most`: fen per unit between which money lies, known to everybody (amount bands). `top`: the largest and second
    largest contribution in fen, one pair per kind of contributor (see KINDS), NOBODY where it is not known. `structural`: known to be empty.
    """

    name: str
    count: int
    money: int | None = None
    unit: str = "households"
    least: int = 0
    most: int | None = None
    top: tuple[Pair, ...] = ()
    structural: bool = False


@dataclass(frozen=True)
class Equation:
    """Cell `total` is the sum of cells `parts`, by position: of counts, of money, or of both."""

    total: int
    parts: tuple[int, ...]
    of: Of = "both"

    @property
    def counts(self) -> bool:
        return self.of != "money"

    @property
    def money(self) -> bool:
        return self.of != "counts"


@dataclass(frozen=True)
class System:
    """All cells of one independent population (a city-year, a cube with margins), one entry per cell.

    `money` is 0 where `priced` is False; `most` is OPEN where nothing is known. A pair (i, j) of `subsets`: the units of
    cell i are among those of cell j. A complement or a difference of nested sets is a cell of its own, tied by an equation.
    """

    names: tuple[str, ...]
    unit: tuple[str, ...]
    count: Ints
    money: Ints
    priced: Flags
    least: Ints
    most: Ints
    top: tuple[tuple[Pair, ...], ...]
    structural: Flags
    equations: tuple[Equation, ...]
    subsets: tuple[tuple[int, int], ...]

    @classmethod
    def of(
        cls,
        cells: Sequence[Cell],
        equations: Iterable[tuple[str, Sequence[str], Of]] = (),
        subsets: Iterable[tuple[str, str]] = (),
    ) -> "System":
        """Cells tied by name: (total, parts, what the equation holds for), (smaller, bigger). Raises ValueError, every
        problem at once, where a name is unknown or the numbers contradict what is said of them.
        """
        place = {cell.name: i for i, cell in enumerate(cells)}
        if len(place) < len(cells):
            twice = sorted({c.name for i, c in enumerate(cells) if place[c.name] != i})
            raise ValueError(f"system of cells: these names stand twice: {', '.join(twice[:5])}")
        try:
            tied = tuple(Equation(place[t], tuple(place[n] for n in parts), of) for t, parts, of in equations)
            nested = tuple((place[a], place[b]) for a, b in subsets)
        except KeyError as error:
            raise ValueError(f"system of cells: {error} is tied but is no cell; add the cell") from None
        system = cls(
            names=tuple(c.name for c in cells),
            unit=tuple(c.unit for c in cells),
            count=np.array([c.count for c in cells], np.int64),
            money=np.array([c.money or 0 for c in cells], np.int64),
            priced=np.array([c.money is not None for c in cells], np.bool_),
            least=np.array([c.least for c in cells], np.int64),
            most=np.array([OPEN if c.most is None else c.most for c in cells], np.int64),
            top=tuple(c.top for c in cells),
            structural=np.array([c.structural for c in cells], np.bool_),
            equations=tied,
            subsets=nested,
        )
        if problems := list(system.contradictions()):
            more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
            raise ValueError(f"system of cells: {'; '.join(problems[:5])}{more}")
        return system

    def __len__(self) -> int:
        return len(self.names)

    def contradictions(self) -> Iterable[str]:
        """What does not hold in the numbers; a protector that believed it would protect another table."""
        for i, name in enumerate(self.names):
            n, m = int(self.count[i]), int(self.money[i])
            if n < 0 or m < 0:
                yield f"{name}: {n} {self.unit[i]} and {m} fen; neither can be negative"
            if self.structural[i] and n:
                yield f"{name}: is said to be empty by its structure and holds {n} {self.unit[i]}"
            if self.priced[i] and n == 0 and m:
                yield f"{name}: {m} fen of nobody"
            if self.priced[i] and not (
                self.least[i] * n <= m and (self.most[i] == OPEN or m <= self.most[i] * n)
            ):
                yield f"{name}: {m} fen of {n} {self.unit[i]} lie outside {self.least[i]} to {self.most[i]} fen each"
            if any(not 0 <= second <= first or first + second > m for first, second in self.top[i]):
                yield f"{name}: largest contributions {self.top[i]} do not fit into {m} fen"
        for e in self.equations:
            parts, name = list(e.parts), self.names[e.total]
            if e.counts and self.count[parts].sum() != self.count[e.total]:
                yield f"{name}: {self.count[e.total]} {self.unit[e.total]}, its parts hold {self.count[parts].sum()}"
            if e.money and not self.priced[[e.total, *parts]].all():
                yield f"{name}: an equation of money with a cell that has none"
            elif e.money and self.money[parts].sum() != self.money[e.total]:
                yield f"{name}: {self.money[e.total]} fen, its parts hold {self.money[parts].sum()}"
        for a, b in self.subsets:
            if self.count[a] > self.count[b]:
                yield f"{self.names[a]}: holds more than {self.names[b]}, of which it is a part"

    @cached_property
    def _holders(self) -> tuple[frozenset[int], ...]:
        """Of every cell those that hold its units for certain, next to it."""
        found: list[set[int]] = [set() for _ in range(len(self))]
        for e in self.equations:
            if e.counts:
                parts = [part for part in e.parts if not self.structural[part]]
                for part in parts:
                    found[part].add(e.total)
                if len(parts) == 1:
                    found[e.total].add(parts[0])
        for smaller, bigger in self.subsets:
            found[smaller].add(bigger)
        return tuple(map(frozenset, found))

    def around(self, cell: int) -> set[int]:
        """The cell and all that hold its units for certain."""
        found, new = {cell}, [cell]
        while new:
            more = self._holders[new.pop()] - found
            new.extend(more)
            found |= more
        return found


def small(system: System, policy: Policy) -> Flags:
    """Cells of 1 to k - 1 units."""
    return (system.count > 0) & (system.count < policy.k)


def dominated(system: System, policy: Policy) -> Flags:
    """Cells whose money one or two contributors make up: by p % or by dominance, for any kind of contributor."""

    def sensitive(total: int, first: int, second: int) -> bool:
        largest = first + second if policy.dominance_n == 2 else first
        near = (total - first - second) * 100 < policy.p * first
        return near or largest * 100 > policy.dominance_share * total

    return np.array(
        [
            any(first > 0 and sensitive(int(m), first, second) for first, second in pairs)
            for m, pairs in zip(system.money, system.top, strict=True)
        ],
        np.bool_,
    )


def primary(system: System, policy: Policy) -> Flags:
    """Cells that need protection for what they are; the rest is hidden only to protect these."""
    return small(system, policy) | dominated(system, policy)

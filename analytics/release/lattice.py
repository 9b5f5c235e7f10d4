"""The cells behind the prepared answers of a city-year as one linked system, by `lattice.toml`."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from analytics import reference
from analytics.measures import BEFORE_ALL, LARGEST
from analytics.reference import Form, load_toml
from analytics.release.system import KINDS, NOBODY, Cell, Equation, Of, Pair, System

_SLOT = re.compile(r"\{(\w+)\}")
_FEN = 100
Env = Mapping[str, str]
Row = Mapping[str, Any]


class CellForm(Form):
    """A cell read from a prepared answer, see lattice.toml."""

    name: str
    source: str = Field(alias="from")
    by: tuple[str, ...] | None = None
    count: str = ""
    like: str = Field("", alias="as")
    money: str = ""
    amount: Literal["fen", "persons"] = "fen"
    top: str = ""
    part: str = ""
    within: bool = False
    unit: str = "households"


class Rest(Form):
    name: str
    of: str
    less: str
    money: bool = False


class Chain(Form):
    cell: str
    each: tuple[str, ...] = ()


class Sum(Form):
    total: str
    parts: tuple[str, ...]
    of: Of = "both"


class Same(Form):
    cells: tuple[str, ...]
    together: bool = False


class Within(Form):
    smaller: str
    bigger: str


class Part(Form):
    """A numerator or denominator: the count or the money of a cell."""

    count: str = ""
    money: str = ""

    @property
    def cell(self) -> str:
        return self.count or self.money


class Answer(Form):
    measure: str
    by: tuple[str, ...] = ()
    n: str
    numerator: Part | None = None
    denominator: Part | None = None
    rests: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    twice: bool = False


class Plan(Form):
    """All of lattice.toml."""

    most_hidden: float
    digits: int
    cell: tuple[CellForm, ...]
    rest: tuple[Rest, ...]
    chain: tuple[Chain, ...]
    sum: tuple[Sum, ...]
    same: tuple[Same, ...]
    within: tuple[Within, ...]
    answer: tuple[Answer, ...]


@cache
def plan() -> Plan:
    return Plan.model_validate(load_toml(Path(__file__).with_name("lattice.toml")))


@dataclass(frozen=True)
class Shown:
    """One row of a prepared answer: which cells it is made of. `at`: its dimensions; `row`: as it was prepared."""

    answer: Answer
    at: Env
    row: Row
    n: str
    numerator: str
    denominator: str
    rests: tuple[str, ...]

    @property
    def made_of(self) -> tuple[str, ...]:
        """Cells whose figures it prints."""
        return tuple(dict.fromkeys(c for c in (self.n, self.numerator, self.denominator) if c))

    @property
    def together(self) -> tuple[object, ...]:
        """What it is shown together with, or not at all; itself where that is nothing."""
        whole = self.answer.whole
        return self.row["key"], *((k, v) for k, v in self.at.items() if k not in whole)

    @property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """The lines of a table of several dimensions that it stands in, one for each."""
        table = (self.answer.measure, *self.answer.by)
        return tuple((*table, f"{d}={self.at[d]}") for d in self.answer.by) if len(self.at) > 1 else ()


@dataclass(frozen=True)
class Lattice:
    """`system`: all cells, linked; `rows`: what is made of them; `left_out`: answers that are not, and why; `together`: cells
    hidden with one pattern; `persons`: cells whose amount counts persons; `edges`: (of, less, rest) of nested cells; `chains`: cells
    of every tier, in order of payment.
    """

    system: System
    rows: tuple[Shown, ...]
    left_out: tuple[str, ...]
    together: tuple[tuple[str, ...], ...]
    persons: frozenset[str]
    edges: tuple[tuple[str, str, str], ...]
    chains: tuple[tuple[tuple[str, ...], ...], ...]
    place: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", {name: i for i, name in enumerate(self.system.names)})


def lattice(cube: pl.DataFrame, order: Sequence[str], contributors: Sequence[str] = KINDS) -> Lattice:
    """The lattice of a city-year from its prepared answers. `order`: tiers in order of payment; `contributors`: kinds whose large
    contributions count. Raises ValueError where the answers contradict what the lattice says of them.
    """
    return _Maker(cube, order, contributors).made()


def apart(system: System) -> list[tuple[NDArray[np.intp], System]]:
    """The system as systems that nothing ties together, each with the positions of its cells."""
    root = list(range(len(system)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    ties = [(e.total, *e.parts) for e in system.equations] + list(system.subsets)
    for tie in ties:
        for i in tie:
            root[find(i)] = find(tie[0])
    groups: dict[int, list[int]] = defaultdict(list)
    for i in range(len(system)):
        groups[find(i)].append(i)
    found = []
    for key, at in groups.items():
        to = {old: new for new, old in enumerate(at)}
        here = np.array(at, np.intp)
        part = System(
            names=tuple(system.names[i] for i in at),
            unit=tuple(system.unit[i] for i in at),
            count=system.count[here],
            money=system.money[here],
            priced=system.priced[here],
            least=system.least[here],
            most=system.most[here],
            top=tuple(system.top[i] for i in at),
            structural=system.structural[here],
            equations=tuple(
                Equation(to[e.total], tuple(to[p] for p in e.parts), e.of)
                for e in system.equations
                if find(e.total) == key
            ),
            subsets=tuple((to[a], to[b]) for a, b in system.subsets if find(a) == key),
        )
        found.append((here, part))
    return found


class _Maker:
    """Expands the patterns of the plan over what a city-year has."""

    def __init__(self, cube: pl.DataFrame, order: Sequence[str], contributors: Sequence[str]) -> None:
        self.plan = plan()
        kinds = {LARGEST[kind]: kind for kind in contributors}
        self.answers: dict[tuple[str, tuple[str, ...]], list[Row]] = defaultdict(list)
        self.largest: dict[str, dict[tuple[str, ...], Pair]] = {kind: {} for kind in KINDS}
        for row in cube.filter(pl.col("at").is_not_null()).iter_rows(named=True):
            if kind := kinds.get(row["key"]):
                self.largest[kind][tuple(row["at"])] = (int(row["numerator"]), int(row["denominator"]))
            elif row["key"].startswith("["):
                measure, by, _ = json.loads(row["key"])
                self.answers[measure, tuple(by)].append({**row, "env": dict(zip(by, row["at"], strict=True))})
        tiers = {row["env"]["tier"] for row in self.answers["tier_share", ("tier",)]}
        tiers |= {row["env"]["tier"] for row in self.answers["catastrophic_headcount", ("threshold", "tier")]}
        chain = [BEFORE_ALL, *(k for k in order if k in tiers)]
        self.before = {"tier": ("previous", chain)}
        steps = sorted(
            {r["env"]["threshold"] for r in self.answers["catastrophic_headcount", ("threshold", "tier")]}
        )
        self.before["threshold"] = ("lower", steps)
        self.bands = {b.id: b.up_to * _FEN for b in reference.bands() if b.up_to is not None}
        self.cells: dict[str, Cell] = {}
        self.found: dict[str, list[Env]] = defaultdict(list)  # by pattern
        self.persons: set[str] = set()
        self.counted: list[tuple[str, Sequence[str], Of]] = []  # cells that count as many as another

    def made(self) -> Lattice:
        for form in self.plan.cell:
            self._read(form)
        equations, edges = self.counted, []
        for rest in self.plan.rest:
            for name, of, less in self._rests(rest):
                whole, part = self.cells[of], self.cells[less]
                money = (
                    whole.money - part.money
                    if rest.money and whole.money is not None and part.money is not None
                    else None
                )
                self.cells[name] = Cell(name, whole.count - part.count, money, whole.unit)
                if of in self.persons and money is not None:
                    self.persons.add(name)
                equations.append((of, (less, name), "both" if money is not None else "counts"))
                edges.append((of, less, name))
        equations += [*self._sums(), *self._same()]
        subsets = [
            (small, big)
            for form in self.plan.within
            for env in self._envs(form.smaller) or self._envs(form.bigger)
            for small, big in [(self._name(form.smaller, env), self._name(form.bigger, env))]
            if big in self.cells and small in self.cells and self.cells[small].count <= self.cells[big].count
        ]
        rows, left_out = self._rows()
        together = tuple(
            cells
            for form in self.plan.same
            if form.together
            for env in self._envs(form.cells[0])
            if len(cells := tuple(c for p in form.cells if (c := self._name(p, env)) in self.cells)) > 1
        )
        system = System.of(list(self.cells.values()), equations, subsets)
        return Lattice(
            system,
            tuple(rows),
            tuple(left_out),
            together,
            frozenset(self.persons),
            tuple(edges),
            tuple(self._chains()),
        )

    def _name(self, pattern: str, env: Env) -> str:
        """The cell a pattern means here; empty where there is none, as before the first tier."""
        more = dict(env)
        for slot, (name, chain) in self.before.items():
            if slot in env and env[slot] in chain and chain.index(env[slot]):
                more[name] = chain[chain.index(env[slot]) - 1]
        if set(_SLOT.findall(pattern)) - more.keys():
            return ""
        return pattern.format(**more)

    def _envs(self, pattern: str) -> list[Env]:
        return self.found[pattern] if _SLOT.search(pattern) else [{}] if pattern in self.cells else []

    def _read(self, form: CellForm) -> None:
        slots = tuple(_SLOT.findall(form.name))
        for row in self.answers.get((form.source, slots if form.by is None else form.by), ()):
            env = {slot: row["env"][slot] for slot in slots}
            name = self._name(form.name, env)
            if name in self.cells or (form.like and form.like not in self.cells):
                continue
            count = self.cells[form.like].count if form.like else row[form.count]
            if count is None or (form.money and row[form.money] is None):
                continue
            scale = 1 if form.amount == "persons" else _FEN
            money = round(row[form.money] * scale) if form.money else None
            part = (*(v for k, v in env.items() if k != "tier"), *([env["tier"]] if "tier" in env else []))
            sum_of = (form.top, *([form.part] if form.part else part))
            most = self.bands.get(env["cost_band"]) if form.within else None
            least = int(form.amount == "persons")
            top = self._top(sum_of, money) if form.top and money is not None else ()
            self.cells[name] = Cell(name, int(count), money, form.unit, least, most, top)
            self.found[form.name].append(env)
            if form.like:
                self.counted.append((form.like, (name,), "counts"))
            if form.amount == "persons":
                self.persons.add(name)

    def _top(self, sum_of: tuple[str, ...], money: int) -> tuple[Pair, ...]:
        """The largest contributions to a sum, one pair per kind. A payment that no hospital is known for is taken off the sum and
        off no hospital's own: what that leaves a hospital is at most the sum.
        """
        home, (first, second) = (self.largest[kind].get(sum_of, NOBODY) for kind in KINDS)
        first = min(max(first, 0), money)
        hospital = first, min(max(second, 0), money - first)
        return (home, hospital) if (home, hospital) != (NOBODY, NOBODY) else ()

    def _rests(self, form: Rest) -> Iterator[tuple[str, str, str]]:
        for env in self._envs(form.less):
            name, of, less = (self._name(p, env) for p in (form.name, form.of, form.less))
            if of in self.cells and name:
                self.found[form.name].append(env)
                yield name, of, less

    def _chains(self) -> Iterator[tuple[tuple[str, ...], ...]]:
        order = self.before["tier"][1]
        for form in self.plan.chain:
            found: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
            for env in self._envs(form.cell):
                found[tuple(env[slot] for slot in form.each)][env["tier"]].append(self._name(form.cell, env))
            yield from (tuple(tuple(sorted(one[k])) for k in order if k in one) for one in found.values())

    def _sums(self) -> Iterator[tuple[str, Sequence[str], Of]]:
        for form in self.plan.sum:
            parts: dict[str, list[str]] = defaultdict(list)
            for pattern in form.parts:
                for env in self._envs(pattern):
                    total = self._name(form.total, env)
                    if total in self.cells:
                        parts[total].append(self._name(pattern, env))
            for total, names in parts.items():
                yield total, tuple(names), form.of

    def _same(self) -> Iterator[tuple[str, Sequence[str], Of]]:
        for form in self.plan.same:
            for env in self._envs(form.cells[0]):
                cells = [self.cells[c] for p in form.cells if (c := self._name(p, env)) in self.cells]
                for i, other in enumerate(cells):
                    one = next((c for c in reversed(cells[:i]) if c.count == other.count), None)
                    if one is not None:
                        money = one.money is not None and one.money == other.money
                        yield one.name, (other.name,), "both" if money else "counts"

    def _rows(self) -> tuple[list[Shown], list[str]]:
        rows, left_out = [], []
        known = {(a.measure, a.by): a for a in self.plan.answer}
        for (measure, by), raws in self.answers.items():
            told = f"{measure} by {', '.join(by) or 'nothing'}"
            answer = known.get((measure, by))
            if answer is None:
                left_out += [f"{told}: not in the lattice"] if raws else []
                continue
            made = [self._shown(answer, raw) for raw in raws]
            if all(made):
                rows += [one for one in made if one]
            else:
                left_out.append(
                    f"{told}: not made of cells of the lattice here (weights, or cells that are not there)"
                )
        return rows, left_out

    def _shown(self, answer: Answer, raw: Row) -> Shown | None:
        """The row with its cells, None where its figures are not theirs."""
        env = raw["env"]
        parts = {"numerator": answer.numerator, "denominator": answer.denominator}
        names = {k: self._name(part.cell, env) if part else "" for k, part in parts.items()}
        n, rests = self._name(answer.n, env), tuple(self._name(r, env) for r in answer.rests)
        if any(c not in self.cells for c in (n, *rests)) or self.cells[n].count != raw["n"]:
            return None
        for key, part in parts.items():
            if part is None:
                continue
            cell = self.cells.get(names[key])
            scale = 1 if names[key] in self.persons or part.count else _FEN
            if cell is None or round(raw[key] * scale) != (cell.count if part.count else cell.money):
                return None
        return Shown(answer, env, raw, n, names["numerator"], names["denominator"], rests)

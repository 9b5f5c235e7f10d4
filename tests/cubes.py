"""Random cubes of households and what they paid, city x year x amount band with all margins, made household by household."""

import itertools
from collections.abc import Iterator

import numpy as np

from analytics.release.disclosure import Policy
from analytics.release.system import Cell, System

RULE = Policy(
    k=11,
    contributors=["household", "hospital"],
    p=10,
    dominance_n=2,
    dominance_share=90,
    base_count=5,
    insiders=0,
    whole_numbers=0,
    base_yuan=1000,
)


def hide(system: System, *names: str) -> np.ndarray:
    return np.isin(np.array(system.names), names)


YUAN = 100
EDGES = [edge * YUAN for edge in (0, 1_000, 5_000, 10_000, 20_000, 50_000, 200_000)]
FREQUENT = (4.0, 2.5, 1.4, 1.0, 0.5, 0.25)  # households by band: the dear ones are few
FULL, QUARTER = (11, 5, 6), (6, 4, 5)


def cube(seed: int, shape: tuple[int, int, int] = FULL, *, money: bool = True, mean: float = 45) -> System:
    """About one cell in thirteen holds 1 to 10 households. The last band has no upper edge."""
    rng = np.random.default_rng(seed)
    size = rng.lognormal(0, 0.5, shape[0])[:, None, None] * rng.lognormal(0, 0.3, shape)
    number = rng.poisson(mean * size * np.array(FREQUENT[: shape[2]]))
    paid = {i: rng.integers(EDGES[i[2]], EDGES[i[2] + 1], number[i]) for i in np.ndindex(*shape)}
    cells, equations = [], []
    for at in itertools.product(*(range(-1, s) for s in shape)):  # -1: all
        inside = np.concatenate([paid[i] for i in _inner(at, shape)])
        first, second, *_ = [*np.sort(inside)[::-1].tolist(), 0, 0]
        band = at[2]
        cells.append(
            Cell(
                name=_name(at),
                count=len(inside),
                money=int(inside.sum()) if money else None,
                least=EDGES[band] if money and band >= 0 else 0,
                most=EDGES[band + 1] if money and 0 <= band < shape[2] - 1 else None,
                top=((first, second),) if money else (),
            )
        )
        for d in (d for d in range(3) if at[d] < 0):
            parts = [_name((*at[:d], x, *at[d + 1 :])) for x in range(shape[d])]
            equations.append((_name(at), parts, "both" if money else "counts"))
    return System.of(cells, equations)


def _name(at: tuple[int, ...]) -> str:
    return "/".join("all" if x < 0 else str(x) for x in at)


def _inner(at: tuple[int, ...], shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(s) if x < 0 else (x,) for x, s in zip(at, shape, strict=True)))


def plane(rows: list[list[int]]) -> System:
    """A table of counts with margins: cells r,c; rows r,*; columns *,c; all of it *,*."""
    table = np.array(rows)
    r, c = table.shape
    cells = [Cell(f"{i},{j}", int(table[i, j])) for i in range(r) for j in range(c)]
    cells += [Cell(f"{i},*", int(table[i].sum())) for i in range(r)]
    cells += [Cell(f"*,{j}", int(table[:, j].sum())) for j in range(c)] + [Cell("*,*", int(table.sum()))]
    lines = [(f"{i},*", [f"{i},{j}" for j in range(c)], "counts") for i in range(r)]
    lines += [(f"*,{j}", [f"{i},{j}" for i in range(r)], "counts") for j in range(c)]
    return System.of(
        cells,
        [
            *lines,
            ("*,*", [f"{i},*" for i in range(r)], "counts"),
            ("*,*", [f"*,{j}" for j in range(c)], "counts"),
        ],
    )


def worlds(system: System, hidden: np.ndarray) -> np.ndarray:
    """Every table of whole numbers that agrees with the shown counts, one per row: by trying all, with no solver.

    For tables whose hidden cells all stand in an equation with a shown total.
    """
    shown = {i: int(system.count[i]) for i in np.flatnonzero(~hidden)}

    def filled(known: dict[int, int]) -> Iterator[dict[int, int]]:
        known = dict(known)
        again = True
        while again:  # what one equation leaves open follows
            again = False
            for e in system.equations:
                line = [*e.parts, e.total]
                gaps = [i for i in line if i not in known]
                if len(gaps) > 1:
                    continue
                parts = sum(known[i] for i in e.parts if i in known)
                if not gaps:
                    if parts != known[e.total]:
                        return
                    continue
                value = parts if gaps[0] == e.total else known[e.total] - parts
                if value < 0:
                    return
                known[gaps[0]], again = value, True
        if len(known) == len(system):
            yield known
            return
        limit, gap = min(
            (known[e.total] - sum(known.get(i, 0) for i in e.parts), i)
            for e in system.equations
            if e.total in known
            for i in e.parts
            if i not in known
        )
        for value in range(limit + 1):
            yield from filled({**known, gap: value})

    return np.array([[w[i] for i in range(len(system))] for w in filled(shown)])

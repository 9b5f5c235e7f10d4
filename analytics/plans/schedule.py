"""What a row pays on an accumulated base: values resolved for one class of persons, in fen and basis points.

`Schedule.sql` is the only place where the formula is written; everything that pays runs this text.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product

from analytics.plans.model import MISSING, Ceiling, TierRule, Variant


@dataclass(frozen=True)
class Step:
    """A piece of the accumulated base, fen, with its rate. `up_to` None: no upper end."""

    over: int
    up_to: int | None
    rate_bp: int

    def base_sql(self, x: str) -> str:
        """SQL for the part of `x` (fen, BIGINT) that lies in this step."""
        above = f"greatest({x} - {self.over}, 0)" if self.over else f"greatest({x}, 0)"
        return above if self.up_to is None else f"least({above}, {self.up_to - self.over})"


@dataclass(frozen=True)
class Schedule:
    """A payment rule: paying steps in ascending order, and the yearly limit of the payment (fen, None: no limit).

    The deductible is the lower end of the first step and a ceiling on the eligible base the upper end of the last.
    `starts_late`: the bands leave a gap above the deductible, which a plan file may not do.
    """

    steps: tuple[Step, ...]
    payout_ceiling: int | None = None
    starts_late: bool = False

    def sql(self, x: str, used: str | None = None) -> str:
        """SQL (BIGINT, fen) of what the accumulated base `x` has been paid so far.

        Rounded once, half up, on the sum over the steps. `used` is the part of the base that an earlier liability
        has used up where both share a deductible: it moves this one up the steps but is not paid here. The ceiling
        limits what is paid here.
        """
        due = (
            self._uncapped(x)
            if used is None or not self.steps
            else f"{self._uncapped(x)} - {self._uncapped(used)}"
        )
        return due if self.payout_ceiling is None else f"least({due}, {self.payout_ceiling})"

    def uncapped(self) -> "Schedule":
        """The same schedule without the limit of the payment."""
        return replace(self, payout_ceiling=None)

    def _uncapped(self, x: str) -> str:
        if not self.steps:
            return "0::BIGINT"
        return (
            f"({' + '.join(f'{step.base_sql(x)} * {step.rate_bp}' for step in self.steps)} + 5000) // 10000"
        )


class Unresolved(ValueError):
    """The row lacks a value that this class of persons needs."""


def applies(
    variant: Variant,
    groups: Collection[str],
    hospital_level: str | None,
    cross_region: str | None,
) -> bool:
    """Whether a variant is for these persons and this settlement: every selector it names must hold."""
    return (
        (not variant.groups or any(g in groups for g in variant.groups))
        and (not variant.hospital_level or hospital_level in variant.hospital_level)
        and (not variant.cross_region or cross_region in variant.cross_region)
    )


def resolve(
    rule: TierRule,
    groups: Iterable[str] = (),
    hospital_level: str | None = None,
    cross_region: str | None = None,
) -> Schedule:
    """The schedule of a row for a person in these groups and, for a row per event, this settlement.

    Raises Unresolved where a value needed is "missing".
    """
    deductible, bands, ceiling, shift = (
        rule.deductible,
        rule.bands,
        rule.ceiling,
        Decimal(0),
    )
    members = frozenset(groups)
    for variant in rule.variants:
        if not applies(variant, members, hospital_level, cross_region):
            continue
        deductible = deductible if variant.deductible is None else variant.deductible
        ceiling = ceiling if variant.ceiling is None else variant.ceiling
        if variant.bands is not None:
            bands, shift = variant.bands, Decimal(0)
        shift = shift if variant.rate_plus is None else variant.rate_plus
    if deductible == MISSING or bands == MISSING or ceiling == MISSING:
        raise Unresolved(f"{rule.label}: {', '.join(rule.holes())} missing")
    floor = deductible * 100
    limit = ceiling if isinstance(ceiling, Ceiling) else None
    top = limit.amount * 100 if limit and limit.on == "eligible" else None
    steps = []
    for position, band in enumerate(bands):
        over = max(band.over * 100, floor)
        following = bands[position + 1].over * 100 if position + 1 < len(bands) else None
        ends = [end for end in (following, top) if end is not None]
        up_to = min(ends) if ends else None
        if up_to is None or up_to > over:
            steps.append(Step(over, up_to, int((band.rate + shift) * 10_000)))
    cap = limit.amount * 100 if limit and limit.on == "payout" else None
    return Schedule(tuple(steps), cap, starts_late=bands[0].over * 100 > floor)


PERSON_GROUPS = ("low_income", "destitute", "near_low_income", "monitored")
FLAGS = {
    "pre_existing": "is_pre_existing",
    "retired": "is_retired",
    "employee": "insurance_type = 'employee'",
}
OTHER = "other"


@dataclass(frozen=True)
class Cell:
    """A class of rows: per dimension the values it holds. Dimensions and values are those the variants name."""

    values: tuple[tuple[str, frozenset[str]], ...]

    def groups(self) -> frozenset[str]:
        """The groups a person of this (single-valued) class is in."""
        named = dict(self.values)
        flags = frozenset(flag for flag in FLAGS if named.get(flag) == frozenset({"yes"}))
        return flags | (named.get("person_group", frozenset()) - {OTHER})

    def one(self, dimension: str) -> str | None:
        """The value of a dimension of a single-valued class; None if it is not named or any other."""
        value = next(iter(dict(self.values).get(dimension, frozenset({OTHER}))))
        return None if value == OTHER else value


def _dimensions(rule: TierRule) -> dict[str, tuple[str, ...]]:
    """The values that the variants of a row tell apart, per dimension, with `other` for all the rest."""
    used = {g for v in rule.variants for g in v.groups}
    levels = tuple(dict.fromkeys(x for v in rule.variants for x in v.hospital_level))
    regions = tuple(dict.fromkeys(x for v in rule.variants for x in v.cross_region))
    groups = tuple(g for g in PERSON_GROUPS if g in used)
    named = {"person_group": groups, "hospital_level": levels, "cross_region": regions}
    found: dict[str, tuple[str, ...]] = {k: (*values, OTHER) for k, values in named.items() if values}
    return found | {flag: ("yes", "no") for flag in FLAGS if flag in used}


def cells(rule: TierRule) -> list[Cell]:
    """Every class of rows that the variants tell apart; a row without variants has one."""
    dimensions = _dimensions(rule)
    return [
        Cell(tuple((name, frozenset({value})) for name, value in zip(dimensions, values, strict=True)))
        for values in product(*dimensions.values())
    ]


def resolve_cell(rule: TierRule, cell: Cell) -> Schedule:
    """The schedule of a class. Raises Unresolved."""
    return resolve(rule, cell.groups(), cell.one("hospital_level"), cell.one("cross_region"))


def by_class(rule: TierRule, text: Callable[[Schedule], str]) -> str:
    """SQL of `text` with the schedule that holds for the claim: a CASE over the classes for which it differs.

    Classes with equal text are one branch. Raises Unresolved.
    """
    rest = text(resolve(rule))
    members: dict[str, list[Cell]] = {}
    for cell in cells(rule):
        members.setdefault(text(resolve_cell(rule, cell)), []).append(cell)
    dimensions = _dimensions(rule)
    branches = [
        f"WHEN {' OR '.join(_condition(cell, dimensions) for cell in _merged(group))} THEN {sql}"
        for sql, group in members.items()
        if sql != rest
    ]
    return "\n      ".join(["CASE", *branches, f"ELSE {rest} END"]) if branches else rest


def _merged(group: list[Cell]) -> list[Cell]:
    """Fewer classes for the same rows: two that differ in one dimension become one, until none do."""
    group = list(group)
    pairs = [(0, 0)]
    while pairs:
        pairs = [(i, j) for i in range(len(group)) for j in range(i) if _joined(group[j], group[i])]
        for i, j in pairs[:1]:
            joined = _joined(group[j], group[i])
            group = [joined if k == j and joined else cell for k, cell in enumerate(group) if k != i]
    return group


def _joined(a: Cell, b: Cell) -> Cell | None:
    """Both classes as one, where they differ in one dimension only."""
    differ = [k for k, (x, y) in enumerate(zip(a.values, b.values, strict=True)) if x != y]
    if len(differ) != 1:
        return None
    k = differ[0]
    return Cell((*a.values[:k], (a.values[k][0], a.values[k][1] | b.values[k][1]), *a.values[k + 1 :]))


def _condition(cell: Cell, dimensions: dict[str, tuple[str, ...]]) -> str:
    terms = []
    for name, values in cell.values:
        if len(values) == len(dimensions[name]):
            continue
        if name in FLAGS:
            terms.append(FLAGS[name] if "yes" in values else f"NOT ({FLAGS[name]})")
        elif OTHER in values:
            terms.append(_among(name, [v for v in dimensions[name] if v not in values], "<>", "NOT IN"))
        else:
            terms.append(_among(name, [v for v in dimensions[name] if v in values], "=", "IN"))
    return "(" + " AND ".join(terms) + ")"


def _among(name: str, values: list[str], one: str, several: str) -> str:
    return f"{name} {one} '{values[0]}'" if len(values) == 1 else f"{name} {several} ({quoted(values)})"


def quoted(values: Iterable[str]) -> str:
    """Words of a closed list as SQL literals."""
    return ", ".join(f"'{value}'" for value in values)


def in_group(group: str) -> str:
    """SQL condition: the person is in this group."""
    return FLAGS.get(group, f"person_group = '{group}'")

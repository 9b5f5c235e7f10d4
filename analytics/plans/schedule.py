"""What a row pays on an accumulated base: values resolved for one class of persons, in fen and basis points.

`Schedule.sql` is the only place where the formula is written; everything that pays runs this text.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from typing import Any

from analytics.plans.model import MISSING, Band, Ceiling, Missing, TierRule, Variant


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

    def sql(self, x: str, used: str | None = None, cap: str | None = None) -> str:
        """SQL (BIGINT, fen) of what the accumulated base `x` has been paid so far.

        Rounded once, half up, on the sum over the steps. `used` is the part of the base that an earlier liability
        has used up where both share a deductible: it moves this one up the steps but is not paid here. The ceiling
        limits what is paid here; `cap`: SQL of the ceiling where it is a person's own.
        """
        due = (
            self._uncapped(x)
            if used is None or not self.steps
            else f"{self._uncapped(x)} - {self._uncapped(used)}"
        )
        return due if self.payout_ceiling is None else f"least({due}, {cap or self.payout_ceiling})"

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
    years: int | None = None,
    capacity: str | None = None,
) -> bool:
    """Whether a variant is for these persons and this settlement: every selector it names must hold."""
    covered = FIRST if years is None else years
    return (
        (not variant.groups or any(g in groups for g in variant.groups))
        and (not variant.hospital_level or hospital_level in variant.hospital_level)
        and (not variant.cross_region or cross_region in variant.cross_region)
        and (variant.years_at_least is None or covered >= variant.years_at_least)
        and (variant.years_at_most is None or covered <= variant.years_at_most)
        and (not variant.capacity or capacity in variant.capacity)
    )


@dataclass(frozen=True)
class Terms:
    """The values of a row for one class, and per value the variant that set it, where the row did not."""

    deductible: int | Missing
    bands: tuple[Band, ...] | Missing
    shift: Decimal
    ceiling: Ceiling | str
    set_by: Mapping[str, Variant]


def terms_of(rule: TierRule, variants: Iterable[Variant]) -> Terms:
    """The values of a row once the variants that apply, in file order, have changed them."""
    values: dict[str, Any] = {f: getattr(rule, f) for f in ("deductible", "bands", "ceiling")}
    shift = Decimal(0)
    set_by: dict[str, Variant] = {}
    for variant in variants:
        for field in values:
            if (value := getattr(variant, field)) is not None:
                values[field], set_by[field] = value, variant
        if variant.bands is not None:
            shift = Decimal(0)
        if variant.rate_plus is not None:
            shift, set_by["bands"] = variant.rate_plus, variant
    return Terms(shift=shift, set_by=set_by, **values)


def resolve(
    rule: TierRule,
    groups: Iterable[str] = (),
    hospital_level: str | None = None,
    cross_region: str | None = None,
) -> Schedule:
    """The schedule of a row for a person in these groups, in the first year of cover, and, for a row per event, this settlement.

    Raises Unresolved where a value needed is "missing".
    """
    members = frozenset(groups)
    chosen = [v for v in rule.variants if applies(v, members, hospital_level, cross_region)]
    return schedule_of(rule, terms_of(rule, chosen))


def schedule_of(rule: TierRule, terms: Terms) -> Schedule:
    """Terms in fen and basis points. Raises Unresolved."""
    deductible, bands, ceiling = terms.deductible, terms.bands, terms.ceiling
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
            steps.append(Step(over, up_to, int((band.rate + terms.shift) * 10_000)))
    cap = limit.amount * 100 if limit and limit.on == "payout" else None
    return Schedule(tuple(steps), cap, starts_late=bands[0].over * 100 > floor)


# Columns of a person that decide the terms of some row.
PERSON = ("insurance_type", "person_group", "is_pre_existing", "is_retired", "product")
PERSON_GROUPS = ("low_income", "destitute", "near_low_income", "monitored")
FLAGS = {
    "pre_existing": "is_pre_existing",
    "retired": "is_retired",
    "employee": "insurance_type = 'employee'",
}
OTHER = "other"
FIRST = 1  # year of cover of a person whose years are not known


@dataclass(frozen=True)
class Cell:
    """A class of rows: per dimension the values it holds. Dimensions and values are those the variants name."""

    values: tuple[tuple[str, frozenset[str]], ...]

    def groups(self) -> frozenset[str]:
        """The groups a person of this (single-valued) class is in."""
        named = dict(self.values)
        flags = frozenset(flag for flag in FLAGS if named.get(flag) == frozenset({"yes"}))
        return flags | (named.get("person_group", frozenset()) - {OTHER})

    def years(self) -> int | None:
        """Years of cover of this (single-valued) class: the first of its span."""
        start = self.one("years")
        return None if start is None else int(start)

    def one(self, dimension: str) -> str | None:
        """The value of a dimension of a single-valued class; None if it is not named or any other."""
        value = next(iter(dict(self.values).get(dimension, frozenset({OTHER}))))
        return None if value == OTHER else value


def _dimensions(rule: TierRule) -> dict[str, tuple[str, ...]]:
    """The values that the variants of a row tell apart, per dimension, with `other` for all the rest.

    `years` is cut into spans, each named by its first year.
    """
    used = {g for v in rule.variants for g in v.groups}
    groups = tuple(g for g in PERSON_GROUPS if g in used)
    lists: dict[str, list[str]] = {
        "hospital_level": [x for v in rule.variants for x in v.hospital_level],
        "cross_region": [x for v in rule.variants for x in v.cross_region],
        "capacity": [x for v in rule.variants for x in v.capacity],
    }
    named = {"person_group": groups, **{name: tuple(dict.fromkeys(xs)) for name, xs in lists.items()}}
    found: dict[str, tuple[str, ...]] = {k: (*values, OTHER) for k, values in named.items() if values}
    starts = {v.years_at_least for v in rule.variants if v.years_at_least}
    starts |= {v.years_at_most + 1 for v in rule.variants if v.years_at_most}
    if starts:
        found["years"] = tuple(str(start) for start in sorted({FIRST, *starts}))
    return found | {flag: ("yes", "no") for flag in FLAGS if flag in used}


def cells(rule: TierRule) -> list[Cell]:
    """Every class of rows that the variants tell apart; a row without variants has one."""
    dimensions = _dimensions(rule)
    return [
        Cell(tuple((name, frozenset({value})) for name, value in zip(dimensions, values, strict=True)))
        for values in product(*dimensions.values())
    ]


def classes(rule: TierRule) -> dict[Cell, Schedule | None]:
    """The schedule of every class; None where a value that the class needs is "missing"."""
    made: dict[tuple[int, ...], Schedule | None] = {}
    found = {}
    for cell in cells(rule):
        level, region, capacity = (cell.one(name) for name in ("hospital_level", "cross_region", "capacity"))
        who = (cell.groups(), level, region, cell.years(), capacity)
        chosen = tuple(i for i, variant in enumerate(rule.variants) if applies(variant, *who))
        if chosen not in made:
            try:
                made[chosen] = schedule_of(rule, terms_of(rule, [rule.variants[i] for i in chosen]))
            except Unresolved:
                made[chosen] = None
        found[cell] = made[chosen]
    return found


def years_sql(rule: TierRule) -> str:
    """SQL: the person's continuous years of the cover that a row belongs to."""
    return f"coalesce({'product_years' if rule.voluntary else 'insured_years'}, {FIRST})"


def by_class(rule: TierRule, schedules: Mapping[Cell, Schedule], text: Callable[[Schedule], str]) -> str:
    """SQL of `text` with the schedule that holds for the claim: a CASE over the classes for which it differs.

    Classes with equal text are one branch.
    """
    made = {schedule: text(schedule) for schedule in set(schedules.values())}
    # what most claims are: none of the groups and values named, first years
    rest = next(s for cell, s in reversed([*schedules.items()]) if cell.years() in (None, FIRST))
    return case(rule, {cell: made[schedule] for cell, schedule in schedules.items()}, made[rest])


def case(rule: TierRule, texts: Mapping[Cell, str], rest: str) -> str:
    """SQL: the text of the class that the claim is in, as few branches as the texts differ; `rest` is the last one."""
    members: dict[str, list[Cell]] = {}
    for cell, sql in texts.items():
        members.setdefault(sql, []).append(cell)
    dimensions = _dimensions(rule)
    branches = [
        f"WHEN {' OR '.join(_condition(rule, cell, dimensions) for cell in _merged(group))} THEN {sql}"
        for sql, group in members.items()
        if sql != rest
    ]
    return "\n      ".join(["CASE", *branches, f"ELSE {rest} END"]) if branches else rest


def _merged(group: list[Cell]) -> list[Cell]:
    """Fewer classes for the same rows: those that differ in one dimension become one, dimension by dimension."""
    for k in range(len(group[0].values)):
        joined: dict[tuple[Any, ...], frozenset[str]] = {}
        for cell in group:
            apart = (cell.values[:k], cell.values[k + 1 :])
            joined[apart] = joined.get(apart, frozenset()) | cell.values[k][1]
        name = group[0].values[k][0]
        group = [Cell((*before, (name, held), *after)) for (before, after), held in joined.items()]
    return group


def _condition(rule: TierRule, cell: Cell, dimensions: dict[str, tuple[str, ...]]) -> str:
    terms = []
    for name, values in cell.values:
        if len(values) == len(dimensions[name]):
            continue
        if name in FLAGS:
            terms.append(FLAGS[name] if "yes" in values else f"NOT ({FLAGS[name]})")
        elif name == "years":
            terms.append(_spans(years_sql(rule), values, dimensions[name]))
        else:
            # an unknown capacity is none of those named, and a comparison with NULL would be neither true nor false
            column = f"coalesce({name}, '{OTHER}')" if name == "capacity" else name
            named = [v for v in dimensions[name] if v != OTHER and (v in values) != (OTHER in values)]
            words = ("<>", "NOT IN") if OTHER in values else ("=", "IN")
            terms.append(_among(column, named, *words))
    return "(" + " AND ".join(terms) + ")"


def _spans(years: str, values: frozenset[str], starts: tuple[str, ...]) -> str:
    """SQL: the years lie in one of these spans; neighbours are written as one."""
    spans = []
    for position, start in enumerate(starts):
        if start not in values or (position and starts[position - 1] in values):
            continue
        end = next((later for later in starts[position:] if later not in values), None)
        low = [f"{years} >= {start}"] if position else []
        spans.append(" AND ".join([*low, *([f"{years} < {end}"] if end else [])]))
    return f"({' OR '.join(spans)})" if len(spans) > 1 else spans[0]


def _among(name: str, values: list[str], one: str, several: str) -> str:
    return f"{name} {one} '{values[0]}'" if len(values) == 1 else f"{name} {several} ({quoted(values)})"


def quoted(values: Iterable[str]) -> str:
    """Words of a closed list as SQL literals."""
    return ", ".join(f"'{value}'" for value in values)


def in_group(group: str) -> str:
    """SQL condition: the person is in this group."""
    return FLAGS.get(group, f"person_group = '{group}'")

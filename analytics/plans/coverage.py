"""What is known of every scheme in every year: the register `data/plans/coverage.toml` beside the plan files.

The register says it in words, the plan files in values; `coverage` joins the two, and `status_of` is what the values
say, so that the words can be held against them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from analytics import reference
from analytics.plans.load import folder_of_plans, load_plans
from analytics.plans.model import (
    ALWAYS_SAID,
    MISSING,
    SAID_WHERE_GIVEN,
    NotModelled,
    Plan,
    Slug,
    TierRule,
)
from analytics.reference import Form, SourceClass, Text

Status = Literal["complete", "partly", "skeleton"]
# The fields of a row that say what it pays; the others only say whose row it is.
_CHANGES = ("deductible", "bands", "rate_plus", "ceiling")


class Years(Form):
    """Years in which the same is known of a scheme; `missing` says what is not, and is left out where all is known."""

    years: Annotated[tuple[int, ...], Field(min_length=1)]
    status: Status
    missing: Text | None = None


class Scheme(Form):
    """One tier of one place, named by its slug, over the years."""

    id: Slug
    title: Text
    place: str
    tier: str
    known: Annotated[tuple[Years, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Value:
    """One value of a row: `where` it stands, and the class of its source; None: it is missing."""

    where: str
    source_class: SourceClass | None


@dataclass(frozen=True)
class Covered:
    """What is known of a scheme in a year: the register's word, and what the plan file holds of the tier."""

    scheme: str
    title: Text
    place: str
    tier: str
    plan_year: int
    status: Status
    missing: Text | None
    values: tuple[Value, ...]
    not_modelled: tuple[NotModelled, ...]

    @property
    def by_class(self) -> Mapping[str, int]:
        """Number of values by source class."""
        return Counter(v.source_class for v in self.values if v.source_class)

    @property
    def holes(self) -> tuple[str, ...]:
        """Values that are missing."""
        return tuple(v.where for v in self.values if v.source_class is None)

    @property
    def assumed(self) -> tuple[str, ...]:
        """Values that are assumed."""
        return tuple(v.where for v in self.values if v.source_class == "assumed")


def coverage(plans: Mapping[tuple[str, int], Plan] | None = None) -> list[Covered]:
    """Every scheme and year of the register, by place, tier and year; `plans`: the shipped ones by default."""
    held = load_plans() if plans is None else plans
    found = [
        _covered(scheme, known, year, held.get((reference.place_code(scheme.place), year)))
        for scheme in register()
        for known in scheme.known
        for year in known.years
    ]
    return sorted(found, key=lambda row: (row.place, row.tier, row.plan_year))


@cache
def register() -> tuple[Scheme, ...]:
    """The register as it is written. Raises pydantic.ValidationError."""
    rows = reference.load_toml(folder_of_plans() / "coverage.toml")["scheme"]
    return tuple(Scheme.model_validate(row) for row in rows)


def values_of(plan: Plan, tier: str) -> tuple[Value, ...]:
    """Every value that decides what the rows of a tier pay."""
    return tuple(value for rule in plan.rules(tier) for value in _values(plan, rule))


def status_of(values: Sequence[Value]) -> Status:
    """`complete`: every value is published; `skeleton`: none is; `partly`: some are, others missing or assumed."""
    published = [v for v in values if v.source_class not in (None, "assumed")]
    if not published:
        return "skeleton"
    return "complete" if len(published) == len(values) else "partly"


def _covered(scheme: Scheme, known: Years, year: int, plan: Plan | None) -> Covered:
    return Covered(
        scheme=scheme.id,
        title=scheme.title,
        place=reference.place_code(scheme.place),
        tier=scheme.tier,
        plan_year=year,
        status=known.status,
        missing=known.missing,
        values=values_of(plan, scheme.tier) if plan else (),
        not_modelled=plan.not_modelled if plan else (),
    )


def _values(plan: Plan, rule: TierRule) -> Iterator[Value]:
    for field in (*ALWAYS_SAID, *(f for f in SAID_WHERE_GIVEN if getattr(rule, f))):
        known = None if getattr(rule, field) == MISSING else plan.source_class(rule, field)
        yield Value(f"{rule.label}: {field}", known)
    for position, variant in enumerate(rule.variants, 1):
        given = plan.sources[variant.source].source_class if variant.source else None
        source = given or plan.source_class(rule, "variants")
        for field in _CHANGES:
            if (value := getattr(variant, field)) is not None:
                where = f"{rule.label}: variants[{position}] ({variant.selects}): {field}"
                yield Value(where, None if value == MISSING else source)

"""Measures, dimensions and grammar as data: `catalogue/*.toml`, `dimensions.toml`, `grammar.toml`."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from analytics.reference import Form, Text, load_toml

HERE = Path(__file__).parent
Grain = Literal["person_year", "household_year", "policy_year", "claim"]
Unit = Literal["share", "points", "yuan", "per_100", "days"]
LEDGERS = ("person_year", "household_year")  # facts with what each tier paid and left


class Reference(Form):
    """Where a definition comes from."""

    title: str
    where: str = ""


class Measure(Form):
    """One measure: a sum over a sum on one grain. `counts`: numerator and denominator count persons or households, so
    both the counted and the uncounted must be numerous enough to show. `needs` replay: it compares with what was before.
    `credit`: the numerator is a value of the own burden (`own`), and its fall is credited to the tiers (see credit.py).
    `known`: rows it does not hold for are left out and counted, for want of what `told_by` names. `quantile`: not a sum over
    a sum, but this quantile of the numerator (see quantile.py). `not_by`: dimensions that are what it counts.
    """

    id: str
    title: Text
    grain: Grain
    per: Literal["tier"] | None = None
    before_all: bool = False
    numerator: str
    denominator: str
    where: str = "true"
    known: str = "true"
    told_by: str = ""
    quantile: float | None = Field(None, gt=0, lt=1)
    not_by: tuple[str, ...] = ()
    unit: Unit
    better: Literal["higher", "lower", "none"]
    counts: bool = False
    needs: Literal["", "replay"] = ""
    credit: Literal["", "shapley", "first_in", "last_in", "sequential"] = ""
    parameters: tuple[str, ...] = ()
    plain: Text
    formula: str
    caveat: Text
    source: tuple[Reference, ...] = Field(min_length=1)
    checked_by: str

    @property
    def tier_optional(self) -> bool:
        """Asked without the dimension `tier`, the measure looks at the burden after all tiers."""
        return self.per is None or self.grain == "household_year"

    @property
    def counted(self) -> str:
        """SQL of what a row adds to the number of persons or households: itself, or its person."""
        return "DISTINCT person_key" if self.grain == "claim" else "*"


class Dimension(Form):
    """One way to cut a result; `values` labels codes, other codes are shown as they are."""

    id: str
    title: Text
    column: str = ""
    bands: str = ""
    grains: tuple[Grain, ...] = ()  # facts that have it, where not all do
    values: dict[str, Text] = Field(default_factory=dict)

    def fits(self, measure: Measure) -> bool:
        """Whether the measure can be cut by it."""
        return (not self.grains or measure.grain in self.grains) and self.id not in measure.not_by

    def label(self, code: str, language: str) -> str:
        text = self.values.get(code)
        return text.in_(language) if text else code


class Choice(Form):
    """A parameter value that stands for SQL."""

    title: Text
    sql: str
    nonpositive: Literal["catastrophic", "excluded"] = "catastrophic"


class Parameter(Form):
    title: Text
    default: str
    values: tuple[str, ...]


class Grammar(Form):
    parameters: dict[str, Parameter]
    resources: dict[str, Choice]
    weights: dict[str, Choice]
    own_burdens: dict[str, Choice]
    terms: dict[str, str]


@cache
def measures() -> dict[str, Measure]:
    """The catalogue, by id, in the order of the file names."""
    found = [Measure.model_validate(load_toml(path)) for path in sorted((HERE / "catalogue").glob("*.toml"))]
    return {measure.id: measure for measure in found}


@cache
def dimensions() -> dict[str, Dimension]:
    return {
        d.id: d
        for d in (Dimension.model_validate(row) for row in load_toml(HERE / "dimensions.toml")["dimension"])
    }


@cache
def grammar() -> Grammar:
    return Grammar.model_validate(load_toml(HERE / "grammar.toml"))


@cache
def version() -> str:
    """Hash of everything in this wing that decides a number."""
    files = sorted([*HERE.glob("*.py"), *HERE.glob("*.toml"), *HERE.glob("catalogue/*.toml")])
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]

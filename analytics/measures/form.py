"""Measures, dimensions and grammar as data: `catalogue/*.toml`, `dimensions.toml`, `grammar.toml`."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from analytics.reference import Form, Text, bands, diseases, load_toml

HERE = Path(__file__).parent
Grain = Literal["person_year", "household_year", "policy_year", "claim"]
Unit = Literal["share", "points", "yuan", "index", "per_100", "days"]
# Kinds of measures, in the order in which they are listed; `standard`: those of SDG 3.8.2 and WHO Europe.
Group = Literal[
    "burden", "catastrophic", "inequality", "poverty", "standard", "credit", "spending", "product", "scenario"
]


class Reference(Form):
    """Where a definition comes from."""

    title: str
    where: str = ""


class Sum(Form):
    """A named sum: `of`, an expression of one row; `times`, where the row's `rank` weighs it: an expression of the fractional
    rank (mid-rank within ties) by living standard, or by what is left of it (`by` after).
    """

    of: str
    times: str = ""
    by: Literal["living", "after"] = "living"


class Measure(Form):
    """One measure: a sum over a sum on one grain; with `sums`, numerator and denominator are expressions of named sums.
    `usable`: rows it is defined for, the others are left out and counted. `defaults`, `fixed`: values of parameters that
    differ from the grammar's, or belong to the definition. `hit`: the sum whose rows are counted as its numerator. `counts`: numerator and denominator count persons or households, so
    both the counted and the uncounted must be numerous enough to show. `needs` replay: it compares with what was before.
    `uncertainty`
    convenient: its standard error is that of a regression on the rank. `credit`: the numerator is a value of the own burden (`own`), and its fall is credited to the tiers (see credit.py).
    `told_by`: what rows lack that are not usable. `quantile`: not a sum over a sum, but this quantile of the numerator (see
    quantile.py). `not_by`: dimensions that are what it counts.
    """

    id: str
    title: Text
    group: Group
    grain: Grain
    per: Literal["tier"] | None = None
    before_all: bool = False
    numerator: str
    denominator: str
    sums: dict[str, Sum] = Field(default_factory=dict)
    hit: str = ""
    where: str = "true"
    usable: str = "true"
    told_by: str = ""
    quantile: float | None = Field(None, gt=0, lt=1)
    not_by: tuple[str, ...] = ()
    unit: Unit
    better: Literal["higher", "lower", "none"]
    counts: bool = False
    uncertainty: Literal["", "convenient"] = ""
    needs: Literal["", "replay"] = ""
    credit: Literal["", "shapley", "first_in", "last_in", "sequential"] = ""
    parameters: tuple[str, ...] = ()
    defaults: dict[str, str] = Field(default_factory=dict)
    fixed: dict[str, str] = Field(default_factory=dict)
    plain: Text
    formula: str
    caveat: Text
    source: tuple[Reference, ...] = Field(min_length=1)
    checked_by: str

    @property
    def is_of_paid(self) -> bool:
        """Whether it looks only at those whom a tier paid."""
        return "paid > 0" in self.where

    @property
    def tier_optional(self) -> bool:
        """Asked without the dimension `tier`, the measure looks at the burden after all tiers."""
        return self.per is None or self.before_all

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
    grains: tuple[str, ...] = ()  # facts that have it, where not all do
    diseases: bool = False  # its values are the chapters of ICD-10 first
    values: dict[str, Text] = Field(default_factory=dict)

    @property
    def listed(self) -> tuple[str, ...]:
        """The codes that are known of whatever the facts hold: its bands, or the values with a label."""
        return tuple(band.id for band in bands()) if self.bands else tuple(self.values)

    def fits(self, measure: Measure) -> bool:
        """Whether the measure can be cut by it."""
        return (not self.grains or measure.grain in self.grains) and self.id not in measure.not_by

    def label(self, code: str, language: str) -> str:
        text = self.values.get(code)
        return text.in_(language) if text else code


class Choice(Form):
    """A parameter value that stands for SQL. `needs`: columns of the fact; `parameters`: what it may be asked with besides."""

    title: Text
    sql: str
    needs: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


class Resource(Choice):
    """What a burden is held against. `living`: the living standard it is taken from, where only one will do."""

    living: str = ""
    line: str = ""
    threshold: str
    at_least: bool = False
    nonpositive: Literal["catastrophic", "excluded"]


class Line(Form):
    """A poverty line of each city and year, by a file of `lines/`; `size`: SQL of the equivalent persons of a household;
    `need`: of what all of them need, to the fen; `amount`, `of`: what the mean is taken of, and what the band of households is one of.
    """

    title: Text
    file: str
    size: str
    need: str = "line * size"
    amount: str = ""
    of: str = ""
    needs: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    bound: dict[str, int] = Field(default_factory=dict)


class Parameter(Form):
    """`number`: decimals between `least` and `most` will do as well as the values: a share (kept in basis points), an amount of
    yuan (kept in fen) or a factor. `auto`: what the value auto may become, the first the extract holds.
    """

    title: Text
    default: str
    values: tuple[str, ...] = ()
    number: Literal["", "share", "yuan", "factor"] = ""
    least: float = 0
    most: float = 0
    auto: tuple[str, ...] = ()


class Resampling(Form):
    """See uncertainty.toml."""

    seed: int
    exact: int
    fewest: int
    most: int
    rows: int
    at_once: int
    hashes: int
    poisson: tuple[float, ...]


class Interval(Form):
    title: str
    half: float


class Uncertainty(Form):
    step: float
    interval: Interval
    resample: Resampling


class Grammar(Form):
    narrow_fen: int
    parameters: dict[str, Parameter]
    resources: dict[str, Resource]
    weights: dict[str, Choice]
    own_burdens: dict[str, Choice]
    living_standards: dict[str, Choice]
    scales: dict[str, Choice]
    payments: dict[str, Choice]
    negatives: dict[str, Choice]
    lines_of: dict[str, Choice]
    lines: dict[str, Line]
    columns: dict[str, Text]
    covariates: dict[str, str]
    clusters: dict[str, str]
    strata: dict[str, str]
    standardise: dict[str, Choice]
    terms: dict[str, str]

    def choices(self, parameter: str) -> Mapping[str, Choice | Line]:
        """What the values of a parameter stand for; empty for numbers and for `game`."""
        named: dict[str, Mapping[str, Choice | Line]] = {
            "resource": self.resources, "weight": self.weights, "own_burden": self.own_burdens,
            "living_standard": self.living_standards, "scale": self.scales, "payments": self.payments,
            "negative": self.negatives, "line_of": self.lines_of, "poverty_line": self.lines,
            "standardise": self.standardise,
        }  # fmt: skip
        return named.get(parameter, {})


@cache
def measures() -> dict[str, Measure]:
    """The catalogue, by id, in the order of the file names."""
    found = [Measure.model_validate(load_toml(path)) for path in sorted((HERE / "catalogue").glob("*.toml"))]
    return {measure.id: measure for measure in found}


@cache
def dimensions() -> dict[str, Dimension]:
    rows = load_toml(HERE / "dimensions.toml")["dimension"]
    chapters = {c.id: {"zh": c.zh, "en": c.en} for c in diseases()}
    named = (row | {"values": chapters | row["values"]} if row.get("diseases") else row for row in rows)
    return {d.id: d for d in map(Dimension.model_validate, named)}


@cache
def grammar() -> Grammar:
    return Grammar.model_validate(load_toml(HERE / "grammar.toml"))


@cache
def uncertainty() -> Uncertainty:
    return Uncertainty.model_validate(load_toml(HERE / "uncertainty.toml"))


@cache
def version() -> str:
    """Hash of everything in this wing that decides a number."""
    files = sorted(path for kind in ("py", "toml", "sql") for path in HERE.rglob(f"*.{kind}"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]

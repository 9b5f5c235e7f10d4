"""The form of a plan file: one city and plan year, tiers in order of payment, a source for every value.

Amounts are whole yuan and rates are shares, as the rules print them; `schedule` turns them into fen and basis points.
A value that is neither published nor assumed is the word "missing": the tier can be shown but not simulated.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag

from analytics.reference import Form, SourceClass, Text

MISSING: Literal["missing"] = "missing"
Missing = Literal["missing"]
Group = Literal[
    "low_income",
    "destitute",
    "near_low_income",
    "monitored",
    "pre_existing",
    "employee",
    "retired",
]
InsuranceType = Literal["resident", "employee"]
CareType = Literal["inpatient", "special_outpatient", "outpatient", "pharmacy"]
CrossRegion = Literal["local", "in_province", "out_province"]
HospitalLevel = Literal["3", "2", "1", "ungraded"]
Capacity = Literal["1", "2", "3", "4", "5"]  # fifth of household income per member, "1" the poorest
BaseKind = Literal["in_policy_cost", "in_policy_own", "out_of_catalogue", "special_drug", "total_own"]
GROUPS: tuple[str, ...] = get_args(Group)


def _word_or_value(raw: Any) -> str:
    return "word" if isinstance(raw, str) else "value"


def _share(raw: Any) -> Decimal:
    if isinstance(raw, bool) or not isinstance(raw, (int, float, Decimal)):
        raise ValueError("is not a number: write a share such as 0.60")  # noqa: TRY004 - pydantic collects ValueError
    share = Decimal(str(raw))
    if share * 10_000 % 1:
        raise ValueError("is finer than a basis point: write at most four decimals")
    return share


def _rate(raw: Any) -> Decimal:
    rate = _share(raw)
    if not 0 <= rate <= 1:
        raise ValueError("is not between 0 and 1: write 60 % as 0.60")
    return rate


def _shift(raw: Any) -> Decimal:
    shift = _share(raw)
    if not -1 <= shift <= 1 or not shift:
        raise ValueError(
            "is not a shift between -1 and 1: write five points more as 0.05, ten points less as -0.10"
        )
    return shift


Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Whole = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, gt=0)]
Rate = Annotated[Decimal, BeforeValidator(_rate)]
Shift = Annotated[Decimal, BeforeValidator(_shift)]
YuanOrMissing = Annotated[
    Annotated[Whole, Tag("value")] | Annotated[Missing, Tag("word")],
    Discriminator(_word_or_value),
]


class Source(Form):
    """Where values come from. Class `assumed`: invented so that the plan can be simulated; the note says why so."""

    title: str = Field(min_length=1)
    url: str | None = None
    source_class: SourceClass = Field(alias="class")
    checked: date | None = None
    note: str | None = None


class Period(Form):
    """First and last day of a plan year that is not the calendar year."""

    start: date
    end: date


class Product(Form):
    """An inclusive insurance product sold in this plan year."""

    code: Slug
    name: Text
    source: str | None = None
    note: str | None = None


class Premium(Form):
    """What a product costs a person per plan year, yuan; `who` in words, the selectors for `premium_of`."""

    product: str
    who: Text
    groups: tuple[Group, ...] = Field(default=(), alias="for")
    age_from: Whole | None = None
    age_to: Whole | None = None
    years_at_least: Positive | None = None
    yuan: YuanOrMissing
    source: str
    note: str | None = None

    @property
    def selects(self) -> bool:
        """Whether the row says in selectors whom it is for."""
        limits = (self.age_from, self.age_to, self.years_at_least)
        return bool(self.groups) or any(limit is not None for limit in limits)


class Eligibility(Form):
    """Who may join, or is covered without joining: shown, not simulated."""

    who: Text
    product: str | None = None
    source: str
    note: str | None = None


class Band(Form):
    """A rate that holds from `over` yuan of the accumulated base up to the next band."""

    over: Whole
    rate: Rate


class Ceiling(Form):
    """Yearly limit in yuan: of what is paid, or of the base that is counted."""

    on: Literal["payout", "eligible"]
    amount: Positive


class Loyalty(Form):
    """What a person's payout ceiling grows by, yuan: `per_year` for every continuous year of cover beyond `over_years`,
    `zero_claim` for every year without a claim, together at most `at_most`."""

    over_years: Whole
    per_year: Whole
    zero_claim: Whole = 0
    at_most: Annotated[
        Annotated[Positive, Tag("value")] | Annotated[Literal["none"], Tag("word")],
        Discriminator(_word_or_value),
    ]


BandsOrMissing = Annotated[
    Annotated[tuple[Band, ...], Field(min_length=1), Tag("value")] | Annotated[Missing, Tag("word")],
    Discriminator(_word_or_value),
]
CeilingOrWord = Annotated[
    Annotated[Ceiling, Tag("value")] | Annotated[Literal["none", "missing"], Tag("word")],
    Discriminator(_word_or_value),
]


class Variant(Form):
    """Other values for some persons or settlements.

    Every matching variant is applied in file order, a later one overriding an earlier one field by field. `bands`
    and `rate_plus` are one field in this sense: new bands drop an earlier shift, a new shift replaces an earlier one.
    Years are continuous years of cover, this one included: of the product for voluntary rows, of basic insurance for
    others. A person whose years are not known is in the first one; an unknown capacity is none of those named.
    """

    groups: tuple[Group, ...] = Field(default=(), alias="for")
    hospital_level: tuple[HospitalLevel, ...] = ()
    cross_region: tuple[CrossRegion, ...] = ()
    years_at_least: Positive | None = None
    years_at_most: Positive | None = None
    capacity: tuple[Capacity, ...] = ()
    deductible: YuanOrMissing | None = None
    bands: BandsOrMissing | None = None
    rate_plus: Shift | None = None
    ceiling: CeilingOrWord | None = None
    source: str | None = None
    note: str | None = None

    @property
    def selectors(self) -> tuple[Any, ...]:
        """What decides whom the variant is for."""
        years = (self.years_at_least, self.years_at_most)
        return (self.groups, self.hospital_level, self.cross_region, *years, self.capacity)

    @property
    def selects(self) -> str:
        """Short text of the selectors, for messages."""
        limits = (("years>=", self.years_at_least), ("years<=", self.years_at_most))
        return " ".join(
            (
                *self.groups,
                *(f"level-{v}" for v in self.hospital_level),
                *self.cross_region,
                *(f"{name}{years}" for name, years in limits if years is not None),
                *(f"capacity-{v}" for v in self.capacity),
            )
        )


class TierRule(Form):
    """One liability of one tier."""

    id: str
    liability: Slug = "main"
    name: Text | None = None
    insurance_type: Literal["resident", "employee", "all"]
    groups: tuple[Group, ...] = Field(default=(), alias="for")
    not_for: tuple[Group, ...] = ()
    voluntary: bool = False
    product: tuple[Slug, ...] = ()
    waiting_days: Positive | None = None
    base: BaseKind
    advance_share: Rate = Decimal(0)
    scope: tuple[CareType, ...] = Field(min_length=1)
    cross_region: tuple[CrossRegion, ...] = ()
    per: Literal["year", "event"]
    deductible: YuanOrMissing
    shared_deductible: Slug | None = None
    bands: BandsOrMissing
    ceiling: CeilingOrWord
    shared_ceiling: Slug | None = None
    loyalty: Loyalty | None = None
    variants: tuple[Variant, ...] = ()
    source: str
    source_of: dict[str, str] = Field(default_factory=dict)
    note: str | None = None

    @property
    def label(self) -> str:
        """`tier/liability`, with the insurance type and the products where the row is for these only."""
        only = [*([] if self.insurance_type == "all" else [self.insurance_type]), *self.product]
        return f"{self.id}/{self.liability}" + (f" ({', '.join(only)})" if only else "")

    def is_for(self, insurance_type: str | None) -> bool:
        """Whether persons of this insurance type can be paid by the row; None asks for no type in particular."""
        return insurance_type is None or self.insurance_type in ("all", insurance_type)

    def shares_persons_with(self, other: "TierRule") -> bool:
        """Whether some person can fall under both rows, judged by insurance type and product."""
        kinds = {self.insurance_type, other.insurance_type}
        products = not self.product or not other.product or bool(set(self.product) & set(other.product))
        return products and ("all" in kinds or len(kinds) == 1)

    def holes(self) -> list[str]:
        """Fields that are "missing"."""
        found = [f for f in ("deductible", "bands", "ceiling") if getattr(self, f) == MISSING]
        for position, variant in enumerate(self.variants, 1):
            fields = [f for f in ("deductible", "bands", "ceiling") if getattr(variant, f) == MISSING]
            found += [f"variants[{position}] ({variant.selects}): {f}" for f in fields]
        return found


SOURCED_FIELDS = tuple(
    TierRule.model_fields[f].alias or f
    for f in TierRule.model_fields
    if f not in ("id", "liability", "name", "source", "source_of", "note")
)


# What every row says, and what it says where it is given; variants apart.
ALWAYS_SAID = ("base", "scope", "deductible", "bands", "ceiling")
SAID_WHERE_GIVEN = ("advance_share", "not_for", "waiting_days", "loyalty")


class NotModelled(Form):
    """A clause of the published rules that the tier rows do not express."""

    clause: Text
    why: Text
    source: str | None = None


class Plan(Form):
    """The benefit rules of one city and plan year. `tier` holds the rows in order of payment."""

    city: str = Field(pattern=r"^[0-9]{6}$")
    plan_year: Annotated[int, Field(strict=True, ge=1998, le=2100)]
    period: Period | None = None
    sources: dict[str, Source] = Field(default_factory=dict)
    product: tuple[Product, ...] = ()
    premium: tuple[Premium, ...] = ()
    eligibility: tuple[Eligibility, ...] = ()
    tier: tuple[TierRule, ...] = ()
    not_modelled: tuple[NotModelled, ...] = ()

    def __hash__(self) -> int:
        """Of what can be hashed, so that answers may be kept by plan; equality is that of every value."""
        return hash((self.city, self.plan_year))

    @property
    def order(self) -> tuple[str, ...]:
        """Tier ids in order of payment."""
        return tuple(dict.fromkeys(rule.id for rule in self.tier))

    def rules(self, tier_id: str | None = None, insurance_type: str | None = None) -> Iterator[TierRule]:
        """The rows of one tier (or of all), for one insurance type (or for any), in order of payment."""
        return (r for r in self.tier if tier_id in (None, r.id) and r.is_for(insurance_type))

    def holes(self, insurance_type: str | None = None) -> list[str]:
        """Every "missing" value of the tiers, one line each; a plan with holes cannot be simulated."""
        return [f"{rule.label}: {hole}" for rule in self.rules(None, insurance_type) for hole in rule.holes()]

    def source(self, rule: TierRule, field: str) -> Source:
        """Where a field of a row comes from. Raises KeyError for a field that carries no source."""
        if field not in SOURCED_FIELDS:
            raise KeyError(f"{field} is no field with a source; these are: {', '.join(SOURCED_FIELDS)}")
        return self.sources[rule.source_of.get(field, rule.source)]

    def clause(self, rule: TierRule, field: str, variant: Variant | None = None) -> dict[str, Any]:
        """What a value of a row rests on, `variant` being the one that set it: the source, as title, url and class, the
        note of the row or variant, and the persons and settlements the variant is for."""
        named = variant.source if variant else None
        source = self.sources[named] if named else self.source(rule, "variants" if variant else field)
        return {
            "field": field,
            "title": source.title,
            "url": source.url,
            "class": source.source_class,
            "note": variant.note if variant else rule.note,
            "for": variant.selects if variant else None,
        }

    def source_class(self, rule: TierRule, field: str) -> SourceClass:
        """How reliable a field of a row is."""
        return self.source(rule, field).source_class

    def assumed(self) -> list[tuple[TierRule, str, Variant | None]]:
        """Every value of the tiers that is assumed: its row and field; of a variant with a source of its own, the variant too."""
        found: list[tuple[TierRule, str, Variant | None]] = []
        for rule in self.tier:
            given = (f for f in (*SAID_WHERE_GIVEN, "variants") if getattr(rule, f))
            fields = (*ALWAYS_SAID, *given)
            found += [(rule, f, None) for f in fields if self.source_class(rule, f) == "assumed"]
            found += [
                (rule, "variants", variant)
                for variant in rule.variants
                if variant.source and self.sources[variant.source].source_class == "assumed"
            ]
        return found

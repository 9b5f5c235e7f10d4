"""The parameters of the synthetic delivery: `calibration.toml`, checked."""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from analytics.reference import Form, SourceClass, incomes, load_toml, problems
from analytics.reference import cities as known_cities


class Block(Form):
    """A group of parameters from one kind of source."""

    class_: SourceClass
    source: str = ""
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _class(cls, value: Any) -> Any:
        return (
            {("class_" if k == "class" else k): v for k, v in value.items()}
            if isinstance(value, dict)
            else value
        )


class Referral(BaseModel):
    """Places a city's patients travel to, six-digit codes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    in_province: tuple[str, ...]
    out_province: tuple[str, ...]


class City(Block):
    code: str
    districts: tuple[str, ...]
    employee_share: float
    urban_share: float
    household_size: float
    resident_mix: tuple[float, float, float]
    cost_index: float
    drug_takers: float
    participation: tuple[float, ...]
    premium_year: int = 0
    referral: Referral


class Utilisation(Block):
    years: tuple[int, ...]
    resident_admissions: tuple[float, ...]
    resident_cost: tuple[float, ...]
    employee_admissions: tuple[float, ...]
    employee_cost: tuple[float, ...]
    retired_ratio: tuple[float, ...]


class Level(Block):
    resident_cost: tuple[float, float, float]
    employee_cost: tuple[float, float, float]
    employee_mix: tuple[float, float, float]
    serious_mix: tuple[float, float, float]
    serious_cost: float
    sigma: float
    serious_sigma: float
    remote_cost: tuple[float, float, float]
    cross_region: tuple[tuple[float, float], ...]
    serious_cross_region: tuple[tuple[float, float], ...]
    bed_days: tuple[float, float, float]


class Illness(Block):
    serious_share: float
    serious_exit: float
    serious_age: tuple[float, ...]
    serious_admissions: float
    serious_shape: float
    dispersion: float
    admission_age: tuple[float, ...]
    pre_existing_share: float
    pre_existing_serious: float
    pre_existing_age: tuple[float, ...]
    pre_existing_admissions: float
    group_admissions: tuple[float, ...]
    group_serious: tuple[float, ...]
    cancer_share: float


class Outpatient(Block):
    serious_yearly_cost: float
    serious_yearly_sigma: float
    serious_visits: float
    chronic_pre_existing: float
    chronic_other: float
    chronic_visits: float
    chronic_cost: float
    chronic_sigma: float
    visits: float
    visit_cost: float
    visit_sigma: float
    pharmacy_employee: float
    pharmacy_cost: float
    level_mix: tuple[float, float, float]


class Split(Block):
    share: float
    per_log_cost: float
    pivot: float
    sd: float
    outside: float
    cancer_extra: float
    over_limit_claims: float
    over_limit_share: float
    hospital_borne: float
    drug_share_inpatient: float
    drug_yearly_cost: float
    drug_sigma: float
    outpatient_share: float


class Household(Block):
    urban_rural: float
    income_sigma: float
    income_year_sigma: float
    growth_after_last: float
    propensity: float
    consumption_elasticity: float
    consumption_sigma: float
    food_share: float
    food_elasticity: float
    food_sigma: float
    housing_share: float
    housing_elasticity: float
    housing_sigma: float
    group_share: tuple[float, float, float, float]
    group_income: tuple[float, float, float, float]
    group_noise: float
    group_employee: float
    unlinked: float


class Inclusive(Block):
    persistence: float
    pre_existing_pull: float
    manual_claims: float
    product_shares: tuple[float, ...]
    one_stop: tuple[float, ...]
    days_median: tuple[float, ...]
    days_sigma: float


class Settling(Block):
    refunds: float
    replaced: float
    mid_stay: float
    public_aid: float
    public_aid_share: float
    account_active: float
    account_retired: float
    account_sigma: float
    threshold_households: int


class Disease(Block):
    """Relative frequency of ICD-10 codes among stays and visits: of cancer patients, of others by age, of the chronically ill."""

    cancer: dict[str, float]
    child: dict[str, float]
    adult: dict[str, float]
    old: dict[str, float]
    chronic: dict[str, float]


class Calibration(Form):
    """All parameters; `city` in the order of the file, which is the order of the delivery."""

    base_year: int
    last_year: int
    city: tuple[City, ...]
    utilisation: Utilisation
    level: Level
    illness: Illness
    outpatient: Outpatient
    split: Split
    household: Household
    inclusive: Inclusive
    settling: Settling
    disease: Disease

    def of(self, code: str) -> City:
        """The city with this six-digit code; ValueError names the codes there are."""
        for city in self.city:
            if city.code == code:
                return city
        raise ValueError(f"no synthetic city {code}; there are {', '.join(c.code for c in self.city)}")

    def year_index(self, year: int) -> int:
        """Position of a year in every per-year list; ValueError names the span."""
        if not self.base_year <= year <= self.last_year:
            raise ValueError(f"no synthetic year {year}; there are {self.base_year} to {self.last_year}")
        return year - self.base_year

    def level_mix(self, city: City, *, employee: bool) -> tuple[float, float, float]:
        """Shares of a city's stays by hospital level: 3, 2, 1."""
        return self.level.employee_mix if employee else city.resident_mix

    def relative_cost(self, city: City, *, employee: bool) -> float:
        """Cost level of a city, scaled so that the mean over the insured of all cities is 1."""
        mean = sum(w * c.cost_index for w, c in self._weighted(employee))
        return city.cost_index / mean

    def level_cost(self, city: City, year: int, *, employee: bool) -> list[float]:
        """Mean cost of a city's stay by hospital level (3, 2, 1), yuan.

        The published costs by level belong to another year: their ratios are kept, and their height is such that
        the mean stay over all cities costs what was published for this one.
        """
        use, at = self.utilisation, self.year_index(year)
        by_level = self.level.employee_cost if employee else self.level.resident_cost
        mean = 0.0
        for weight, c in self._weighted(employee):
            mix = self.level_mix(c, employee=employee)
            mean += weight * c.cost_index * sum(m * cost for m, cost in zip(mix, by_level, strict=True))
        target = (use.employee_cost if employee else use.resident_cost)[at]
        return [cost * city.cost_index * target / mean for cost in by_level]

    def _weighted(self, employee: bool) -> list[tuple[float, City]]:
        shares = [c.employee_share if employee else 1 - c.employee_share for c in self.city]
        return [(share / sum(shares), c) for share, c in zip(shares, self.city, strict=True)]


@cache
def calibration() -> Calibration:
    """Parameters from `calibration.toml`. Raises ValueError listing every problem of the file."""
    path = Path(__file__).with_name("calibration.toml")
    try:
        return Calibration.model_validate(load_toml(path))
    except ValidationError as error:
        raise ValueError("\n".join(problems(error, path.name))) from error


def mean_income(code: str, year: int) -> float:
    """Per-capita disposable income of a city, yuan: its own, else its province's, the latest one grown."""
    rows = incomes()
    for area in (code, known_cities()[code].province):
        if (area, year) in rows:
            return float(rows[area, year].yuan)
        earlier = [y for a, y in rows if a == area and y < year]
        if earlier:
            growth = calibration().household.growth_after_last
            return float(rows[area, max(earlier)].yuan * growth ** (year - max(earlier)))
    raise ValueError(
        f"data/reference/incomes.toml: no income for {code} or its province before {year}; add a row"
    )

"""The population of one city: persons, households, illness, insurance; drawn once and followed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from analytics.synthetic.calibration import Calibration, City, mean_income

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

GROUPS = ("general", "low_income", "destitute", "near_low_income", "monitored")


def generator(seed: int, city: str, year: int, stage: int) -> np.random.Generator:
    """Random numbers that depend only on these four, so no city or year disturbs another."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int(city), year, stage])))


@dataclass(frozen=True)
class Population:
    """Arrays with an entry per person, or per household (`h_...`); `serious` and `willing` also by year."""

    n: int
    household: Ints
    male: Bools
    birth_year: Ints
    employee: Bools
    district: Ints
    group: Ints
    pre_existing: Bools
    chronic: Bools
    cancer: Bools
    serious: dict[int, Bools]
    willing: dict[int, Floats]
    account: Floats
    taste: Floats
    h_size: Ints
    h_urban: Bools
    h_income: Floats
    h_linked: Bools

    def age(self, year: int) -> Ints:
        """Whole years of age at the end of the year."""
        return year - self.birth_year

    def retired(self, year: int) -> Bools:
        """Employees past the statutory age (60 for men, 55 for women)."""
        return self.employee & (self.age(year) >= np.where(self.male, 60, 55))


def age_factor(age: Ints, factors: tuple[float, ...]) -> Floats:
    """Relative risk by age class: under 18, 18-39, 40-59, 60-74, 75 and over."""
    return np.asarray(factors)[np.searchsorted([18, 40, 60, 75], age, side="right")]


def populate(cal: Calibration, city: City, persons: int, seed: int) -> Population:
    """Draw a city's population as of the base year and follow illness and willingness to the last year."""
    rng = generator(seed, city.code, 0, 0)
    size, household, place = _households(rng, persons, city.household_size)
    age, male = _ages(rng, size, household, place)
    h_urban = rng.random(len(size)) < city.urban_share
    h_income = rng.normal(0.0, cal.household.income_sigma, len(size))
    group = _groups(rng, cal, size, household, age, place, h_income, h_urban)
    employee = _employees(rng, cal, city, age, h_urban[household], h_income[household], group, household)
    risk = age_factor(age, cal.illness.serious_age) * np.asarray(cal.illness.group_serious)[group]
    serious = _serious(rng, cal, risk)
    ever = np.logical_or.reduce(list(serious.values()))
    odds = age_factor(age, cal.illness.pre_existing_age)
    odds = odds * cal.illness.pre_existing_share / odds.mean()
    pre_existing = rng.random(persons) < np.where(
        serious[cal.base_year], cal.illness.pre_existing_serious, odds
    )
    chronic_share = np.where(pre_existing, cal.outpatient.chronic_pre_existing, cal.outpatient.chronic_other)
    account = np.exp(rng.normal(0.0, cal.settling.account_sigma, persons))
    return Population(
        n=persons,
        household=household,
        male=male,
        birth_year=cal.base_year - age,
        employee=employee,
        district=rng.integers(0, len(city.districts), len(size))[household],
        group=group,
        pre_existing=pre_existing,
        chronic=rng.random(persons) < chronic_share,
        cancer=ever & (rng.random(persons) < cal.illness.cancer_share),
        serious=serious,
        willing=_willing(rng, cal, household, len(size), pre_existing),
        account=account,
        taste=rng.random(persons),
        h_size=size,
        h_urban=h_urban,
        h_income=h_income,
        h_linked=rng.random(len(size)) >= cal.household.unlinked,
    )


def products(cal: Calibration, city: City, pop: Population, sold: Sequence[str], year: int) -> pl.Series:
    """The inclusive product of each person, null without one.

    The most willing buy, as many as the city's participation rate says; most take the product listed first.
    """
    count = round(city.participation[cal.year_index(year)] * pop.n) if sold else 0
    buyers = np.argsort(-pop.willing[year], kind="stable")[:count]
    code = np.full(pop.n, None, dtype=object)
    edges = np.asarray(cal.inclusive.product_shares[: max(len(sold) - 1, 0)])
    code[buyers] = np.asarray(sold, dtype=object)[np.searchsorted(edges, pop.taste[buyers])] if sold else None
    return pl.Series("product_code", code.tolist(), dtype=pl.String)


def economy(
    cal: Calibration, city: City, pop: Population, year: int, seed: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """Yearly income, consumption without medical care, food, and housing with utilities of each household, yuan.

    Incomes have the city's per-capita disposable income as their mean over persons, urban twice the rural.
    """
    rng = generator(seed, city.code, year, 1)
    par = cal.household
    count = len(pop.h_size)
    target = mean_income(city.code, year)
    group = np.zeros(count, dtype=np.int64)
    group[pop.household] = pop.group
    relative = np.exp(pop.h_income + rng.normal(0.0, par.income_year_sigma, count))
    relative *= np.where(pop.h_urban, par.urban_rural, 1.0) * np.asarray((1.0, *par.group_income))[group]
    relative /= np.average(relative, weights=pop.h_size)
    per_head = relative * target
    spend = par.propensity * target * relative**par.consumption_elasticity
    spend *= np.exp(rng.normal(0.0, par.consumption_sigma, count))
    food = par.food_share * spend.mean() * (spend / spend.mean()) ** par.food_elasticity
    food = np.minimum(food * np.exp(rng.normal(0.0, par.food_sigma, count)), 0.9 * spend)
    housing = par.housing_share * spend.mean() * (spend / spend.mean()) ** par.housing_elasticity
    housing = np.minimum(housing * np.exp(rng.normal(0.0, par.housing_sigma, count)), 0.9 * (spend - food))
    return tuple(amount * pop.h_size for amount in (per_head, spend, food, housing))  # type: ignore[return-value]


def _households(rng: np.random.Generator, persons: int, mean: float) -> tuple[Ints, Ints, Ints]:
    """Household sizes (1 to 7), the household of each person, and each person's place in it (0 = head)."""
    size = np.minimum(1 + rng.poisson(mean - 1.0, persons), 7).astype(np.int64)
    ends = np.cumsum(size)
    count = int(np.searchsorted(ends, persons)) + 1
    size = size[:count].copy()
    size[-1] -= int(ends[count - 1]) - persons
    household = np.repeat(np.arange(count), size)
    place = np.arange(persons) - np.repeat(np.cumsum(size) - size, size)
    return size, household, place


def _ages(rng: np.random.Generator, size: Ints, household: Ints, place: Ints) -> tuple[Ints, Bools]:
    """Ages and sexes by place: head, spouse, then children (or a head's parent)."""
    count, n = len(size), len(household)
    # Couples and single persons of every age; larger households are mostly parents with children.
    young = 26 + 30 * rng.beta(1.1, 1.5, count)
    head = np.where(size <= 2, 25 + 60 * rng.beta(1.6, 1.5, count), young)
    head_male = rng.random(count) < 0.62
    own = head[household]
    child = own - rng.normal(28.0, 4.0, n)
    child = np.where(child < 0, 12 * rng.random(n), child)
    parent = own + rng.normal(26.0, 4.0, n)
    is_parent = (place >= 2) & (own < 62) & (rng.random(n) < np.where(place >= 3, 0.40, 0.10))
    age = np.select([place == 0, place == 1, is_parent], [own, own + rng.normal(-1.0, 3.0, n), parent], child)
    male = np.select(
        [place == 0, place == 1], [head_male[household], ~head_male[household]], rng.random(n) < 0.51
    )
    return np.clip(np.floor(age), 0, 98).astype(np.int64), male.astype(np.bool_)


def _groups(
    rng: np.random.Generator,
    cal: Calibration,
    size: Ints,
    household: Ints,
    age: Ints,
    place: Ints,
    h_income: Floats,
    h_urban: Bools,
) -> Ints:
    """Special groups, a household matter: the poorest in turn until each group holds its share of persons."""
    par = cal.household
    n = len(household)
    score = (
        h_income
        + np.where(h_urban, np.log(par.urban_rural), 0.0)
        + rng.normal(0.0, par.group_noise, len(size))
    )
    head_age = age[place == 0]
    group = np.zeros(len(size), dtype=np.int64)
    low, destitute, near, monitored = (share * n for share in par.group_share)
    # Persons in extreme difficulty live alone or as an old couple; the other groups follow by income alone.
    alone = (size <= 2) & (head_age >= 55)
    for code, persons, eligible in (
        (2, destitute, alone),
        (1, low, np.ones(len(size), dtype=np.bool_)),
        (3, near, np.ones(len(size), dtype=np.bool_)),
        (4, monitored, ~h_urban),
    ):
        order = np.argsort(np.where(eligible & (group == 0), score, np.inf), kind="stable")
        taken = int(np.searchsorted(np.cumsum(size[order]), persons)) + 1
        group[order[:taken]] = code
    return group[household]


def _employees(
    rng: np.random.Generator,
    cal: Calibration,
    city: City,
    age: Ints,
    urban: Bools,
    income: Floats,
    group: Ints,
    household: Ints,
) -> Bools:
    """Employee insurance: the adults most likely to have it (urban, better-off), up to the city's share."""
    n = len(age)
    score = rng.normal(0.0, 1.0, n) + 0.9 * urban + 0.5 * income - 0.2 * (age >= 60)
    score += rng.normal(0.0, 0.6, int(household[-1]) + 1)[household]
    shut_out = (age < 22) | ((group > 0) & (rng.random(n) >= cal.household.group_employee))
    score[shut_out] = -np.inf
    chosen = np.zeros(n, dtype=np.bool_)
    chosen[np.argsort(-score, kind="stable")[: round(city.employee_share * n)]] = True
    return chosen & ~shut_out


def _serious(rng: np.random.Generator, cal: Calibration, risk: Floats) -> dict[int, Bools]:
    """Serious illness by year: some recover or die each year, as many fall ill, so the share stays."""
    par = cal.illness
    share = np.minimum(par.serious_share * risk / risk.mean(), 0.5)
    state = rng.random(len(risk)) < share
    years = {cal.base_year: state}
    for year in range(cal.base_year + 1, cal.last_year + 1):
        leave = rng.random(len(risk)) < par.serious_exit
        enter = rng.random(len(risk)) < par.serious_exit * share / (1 - share)
        state = np.where(state, ~leave, enter)
        years[year] = state
    return years


def _willing(
    rng: np.random.Generator, cal: Calibration, household: Ints, count: int, pre_existing: Bools
) -> dict[int, Floats]:
    """Willingness to buy the inclusive product by year: a lasting part and a passing one."""
    par = cal.inclusive
    n = len(household)
    lasting = np.sqrt(0.6) * rng.normal(size=count)[household] + np.sqrt(0.4) * rng.normal(size=n)
    lasting += par.pre_existing_pull * pre_existing
    return {
        year: np.sqrt(par.persistence) * lasting + np.sqrt(1 - par.persistence) * rng.normal(size=n)
        for year in range(cal.base_year, cal.last_year + 1)
    }

"""The bills of one city and year: stays, special outpatient care, visits, pharmacies, in cost parts."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from analytics.synthetic.calibration import Calibration, City
from analytics.synthetic.people import Bools, Floats, Ints, Population, age_factor, generator

CARE = ("inpatient", "special_outpatient", "outpatient", "pharmacy")
LEVELS = ("3", "2", "1", "ungraded")
REGIONS = ("local", "in_province", "out_province")


@dataclass
class Bills:
    """Bills before they are split: arrays of one length; cost in yuan, days counted from 1 January."""

    person: Ints
    care: Ints
    level: Ints
    region: Ints
    cost: Floats
    drug: Floats
    first_day: Ints
    last_day: Ints


def draw_bills(cal: Calibration, city: City, pop: Population, year: int, seed: int) -> pl.DataFrame:
    """All bills of a city-year, one row per settlement, in order of settling; every amount in fen.

    Columns: person, stay (bills of one stay share it), mid (first part of a stay settled twice), care, level,
    region (codes into CARE, LEVELS, REGIONS), first_day, last_day, and `*_fen`: cost, in_policy, advance,
    over_limit, hospital (borne by it, inside over_limit), drug (special drugs), outside (out of catalogue, with
    the over-limit price but not special drugs and the hospital's part).
    cost = in_policy + advance + outside + drug + hospital.
    """
    rng = generator(seed, city.code, year, 2)
    parts = [
        _stays(rng, cal, city, pop, year),
        _special(rng, cal, city, pop, year),
        _visits(rng, cal, city, pop),
    ]
    bills = Bills(*(np.concatenate([getattr(p, f) for p in parts]) for f in Bills.__dataclass_fields__))
    return (
        _split(rng, cal, pop, bills).with_row_index("order").sort("last_day", "person", "order").drop("order")
    )


def _pick(rng: np.random.Generator, shares: Floats) -> Ints:
    """One draw per row of a matrix of shares (rows add up to 1)."""
    edges = np.cumsum(shares, axis=1)[:, :-1]
    picked: Ints = (rng.random(len(shares))[:, None] >= edges).sum(axis=1).astype(np.int64)
    return picked


def _lognormal(rng: np.random.Generator, mean: Floats, sigma: Floats | float) -> Floats:
    """Lognormal with the given mean (not median)."""
    s = np.broadcast_to(np.asarray(sigma, dtype=np.float64), mean.shape)
    drawn: Floats = mean * np.exp(rng.normal(size=mean.shape) * s - s**2 / 2)
    return drawn


def _admissions(rng: np.random.Generator, cal: Calibration, pop: Population, year: int) -> Ints:
    """Stays per person. Residents and employees each meet the year's published rate in expectation."""
    par, use, at = cal.illness, cal.utilisation, cal.year_index(year)
    serious = pop.serious[year]
    weight = age_factor(pop.age(year), par.admission_age) * np.asarray(par.group_admissions)[pop.group]
    weight = weight * np.where(pop.pre_existing, par.pre_existing_admissions, 1.0)
    retired = pop.retired(year)
    active = pop.employee & ~retired
    # The published ratio of retired to active rates stands in for the ages of employees.
    ratio, share = use.retired_ratio[at], retired.sum() / max(pop.employee.sum(), 1)
    active_rate = use.employee_admissions[at] / (1 - share + share * ratio)
    rate = np.where(serious, par.serious_admissions, weight)
    for status, target in (
        (active, active_rate),
        (retired, active_rate * ratio),
        (~pop.employee, use.resident_admissions[at]),
    ):
        others = status & ~serious
        left = target * status.sum() - par.serious_admissions * (status & serious).sum()
        rate[others] *= max(left, 0.0) / max(rate[others].sum(), 1e-9)
    shape = np.where(serious, par.serious_shape, 1 / par.dispersion)
    return rng.poisson(rate * rng.gamma(shape) / shape).astype(np.int64)


def _stays(rng: np.random.Generator, cal: Calibration, city: City, pop: Population, year: int) -> Bills:
    par = cal.level
    person = np.repeat(np.arange(pop.n), _admissions(rng, cal, pop, year))
    serious, employee = pop.serious[year][person], pop.employee[person]
    level = np.zeros(len(person), dtype=np.int64)
    cost = np.zeros(len(person))
    place = np.zeros((len(person), 3))
    for ill, shares in ((False, par.cross_region), (True, par.serious_cross_region)):
        away = np.asarray([[1 - sum(s), *s] for s in shares])
        for status in (False, True):
            rows = (serious == ill) & (employee == status)
            mix = _mix(
                cal.level_mix(city, employee=status), par.serious_mix, serious[employee == status], ill
            )
            level[rows] = _pick(rng, np.broadcast_to(mix, (int(rows.sum()), 3)))
            place[rows] = away[level[rows]]
    region = _pick(rng, place)
    weight = np.where(serious, par.serious_cost, 1.0) * np.asarray(par.remote_cost)[region]
    for status in (False, True):
        for at_level, mean in enumerate(cal.level_cost(city, year, employee=status)):
            rows = (employee == status) & (level == at_level)
            if rows.any():
                cost[rows] = mean * weight[rows] / weight[rows].mean()
    cost = _lognormal(rng, cost, np.where(serious, par.serious_sigma, par.sigma))
    days = np.asarray(par.bed_days)[level] * np.exp(rng.normal(-0.1, 0.45, len(person)))
    first = rng.integers(0, 365, len(person))
    last = first + np.clip(np.rint(days), 1, 180).astype(np.int64)
    return Bills(
        person,
        np.zeros_like(level),
        level,
        region,
        np.maximum(cost, 300.0),
        np.zeros(len(person)),
        first,
        last,
    )


def _mix(mix: tuple[float, ...], serious_mix: tuple[float, ...], serious: Bools, ill: bool) -> Floats:
    """Level shares of the seriously ill, or of the others such that both together show the mix of the city."""
    if ill:
        return np.asarray(serious_mix)
    share = float(serious.mean()) if len(serious) else 0.0
    others = np.maximum((np.asarray(mix) - share * np.asarray(serious_mix)) / max(1 - share, 1e-9), 0.02)
    shares: Floats = others / others.sum()
    return shares


def _special(rng: np.random.Generator, cal: Calibration, city: City, pop: Population, year: int) -> Bills:
    """Special outpatient care: the seriously ill (with special drugs for some) and the chronically ill."""
    par = cal.outpatient
    serious = pop.serious[year]
    lean = np.asarray([cal.relative_cost(city, employee=e) for e in (False, True)])[pop.employee.astype(int)]
    visits = np.where(serious, 1 + rng.poisson(par.serious_visits, pop.n), 0)
    visits = np.where(~serious & pop.chronic, rng.poisson(par.chronic_visits, pop.n), visits)
    yearly = _lognormal(rng, par.serious_yearly_cost * lean, par.serious_yearly_sigma)
    takes = serious & pop.cancer & (rng.random(pop.n) < city.drug_takers)
    drugs = np.where(
        takes, _lognormal(rng, np.full(pop.n, cal.split.drug_yearly_cost), cal.split.drug_sigma), 0.0
    )
    person = np.repeat(np.arange(pop.n), visits)
    ill = serious[person]
    share = rng.gamma(4.0, size=len(person))
    share /= np.bincount(person, weights=share, minlength=pop.n)[person]
    single = _lognormal(rng, par.chronic_cost * lean[person], par.chronic_sigma)
    cost = np.maximum(np.where(ill, yearly[person] * share, single), 20.0)
    drug = drugs[person] * share
    sick_mix, usual = np.asarray(cal.level.serious_mix), np.asarray(par.level_mix)
    level = _pick(rng, np.where(ill[:, None], sick_mix, usual))
    day = rng.integers(0, 365, len(person))
    care = np.ones(len(person), dtype=np.int64)
    return Bills(person, care, level, np.zeros_like(care), cost + drug, drug, day, day)


def _visits(rng: np.random.Generator, cal: Calibration, city: City, pop: Population) -> Bills:
    """Ordinary outpatient visits, and pharmacy purchases of employees."""
    par = cal.outpatient
    visit = np.repeat(np.arange(pop.n), rng.poisson(par.visits, pop.n))
    buy = np.repeat(np.arange(pop.n), rng.poisson(np.where(pop.employee, par.pharmacy_employee, 0.0)))
    mean = np.concatenate([np.full(len(visit), par.visit_cost), np.full(len(buy), par.pharmacy_cost)])
    person = np.concatenate([visit, buy])
    care = np.concatenate([np.full(len(visit), 2), np.full(len(buy), 3)])
    level = _pick(rng, np.broadcast_to(np.asarray(par.level_mix), (len(person), 3)))
    level = np.where(care == 3, 3, level)
    cost = np.maximum(_lognormal(rng, mean * city.cost_index, par.visit_sigma), 5.0)
    day = rng.integers(0, 365, len(person))
    return Bills(person, care, level, np.zeros_like(care), cost, np.zeros(len(person)), day, day)


def _split(rng: np.random.Generator, cal: Calibration, pop: Population, bills: Bills) -> pl.DataFrame:
    """Each bill in its parts, exact in fen, and some stays settled in two halves."""
    par = cal.split
    n = len(bills.person)
    stay = bills.care == 0
    cost = np.rint(bills.cost * 100).astype(np.int64)
    extra = np.minimum(np.rint(bills.drug * 100).astype(np.int64), cost)
    rest = cost - extra
    away = (
        par.share
        + par.per_log_cost * np.log(np.maximum(rest, 100) / (par.pivot * 100))
        + rng.normal(0.0, par.sd, n)
    )
    away = np.where(bills.care >= 2, par.outpatient_share * rng.random(n) * 2, away)
    away = np.clip(away, 0.02, 0.60)
    outside_share = np.clip(par.outside + rng.normal(0.0, 0.10, n), 0.1, 0.9) * away
    outside_share += np.where(stay & pop.cancer[bills.person], par.cancer_extra, 0.0)
    outside = np.floor(rest * outside_share).astype(np.int64)
    advance = np.floor(rest * away * 0.999).astype(np.int64) - np.floor(
        rest * np.minimum(outside_share, away * 0.999)
    ).astype(np.int64)
    advance = np.maximum(np.minimum(advance, rest - outside), 0)
    limited = rng.random(n) < par.over_limit_claims
    over_limit = np.where(limited, np.floor(outside * par.over_limit_share).astype(np.int64), 0)
    borne = stay & limited & (rng.random(n) < par.hospital_borne)
    hospital = np.where(borne, over_limit, 0)
    inside_drug = np.where(
        stay & pop.cancer[bills.person],
        np.floor((outside - over_limit) * par.drug_share_inpatient).astype(np.int64),
        0,
    )
    frame = pl.DataFrame(
        {
            "person": bills.person,
            "stay": np.arange(n),
            "mid": np.zeros(n, dtype=np.bool_),
            "care": bills.care,
            "level": bills.level,
            "region": bills.region,
            "first_day": bills.first_day,
            "last_day": bills.last_day,
            "in_policy_fen": rest - outside - advance,
            "advance_fen": advance,
            "over_limit_fen": over_limit,
            "hospital_fen": hospital,
            "drug_fen": extra + inside_drug,
            "outside_fen": outside - inside_drug - hospital,
        }
    )
    amounts = [c for c in frame.columns if c.endswith("_fen")]
    twice = stay & (rng.random(n) < cal.settling.mid_stay) & (bills.last_day - bills.first_day >= 4)
    halves = frame.filter(pl.Series(twice))
    middle = (pl.col("first_day") + pl.col("last_day")) // 2
    early = halves.with_columns(*(pl.col(c) // 2 for c in amounts), mid=pl.lit(True), last_day=middle)
    late = halves.with_columns(*(pl.col(c) - pl.col(c) // 2 for c in amounts), first_day=middle)
    whole = pl.concat([frame.filter(pl.Series(~twice)), early, late])
    parts = ("in_policy_fen", "advance_fen", "outside_fen", "drug_fen", "hospital_fen")
    return whole.with_columns(cost_fen=pl.sum_horizontal(*parts))

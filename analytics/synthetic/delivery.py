"""Write a synthetic delivery: Parquet in the national spelling, a file per table and city-year (or city)."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from analytics.plans import Plan, plan_for
from analytics.reference import city_code
from analytics.synthetic.calibration import Calibration, City, calibration
from analytics.synthetic.claims import draw_bills
from analytics.synthetic.commercial import commercial_claims
from analytics.synthetic.people import GROUPS, Ints, Population, economy, populate, products
from analytics.synthetic.premium import premiums
from analytics.synthetic.record import MONEY, person_numbers, person_types, settlements
from analytics.synthetic.settle import commercial_fen, settle

TABLES = ("settlement", "commercial_claim", "enrolment", "person", "household_member", "household_economy")
SETTLEMENT = (
    "setl_id", "init_setl_id", "mdtrt_id", "psn_no", "fixmedins_code", "fix_blng_admdvs", "insuplc_admdvs",
    "insutype", "psn_type", "med_type", "dedc_hosp_lv", "begndate", "enddate", "setl_time", "year",
    "setl_type", "pay_loc", "refd_setl_flag", "mid_setl_flag", "dise_no", "gend", *MONEY,
)  # fmt: skip
YEARS = (2021, 2022, 2023, 2024, 2025)
YUAN = {
    *MONEY,
    "scope_amt",
    "paid_amt",
    "premium",
    "income_annual",
    "consumption_annual",
    "food_annual",
    "housing_annual",
}
THRESHOLD = 10  # edge-case households: income = ten times the burden
Progress = Callable[[str, int, int], None]


def write_delivery(
    folder: Path,
    *,
    persons: int = 20_000,
    cities: Sequence[str] | None = None,
    years: Sequence[int] = YEARS,
    seed: int = 20_260_101,
    progress: Progress | None = None,
) -> dict[str, list[Path]]:
    """Write a delivery of invented persons into `folder` and return its files by table.

    `persons` is the population of each city, the same over the years; `cities` are codes or slugs (default: all
    seven). The same arguments give the same bytes, and a city-year does not depend on which others are
    asked for. `progress(label, done, total)` is called before each city-year and once at the end.
    Raises ValueError for a city or year without parameters, an absent plan and one with missing values.
    """
    cal = calibration()
    chosen = [cal.of(city_code(name)) for name in cities] if cities is not None else list(cal.city)
    for year in years:
        cal.year_index(year)
    if persons < 1:
        raise ValueError(f"persons is {persons}: at least 1 is needed")
    plans = {(city.code, year): _plan(city, year) for city in chosen for year in years}
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, list[Path]] = {table: [] for table in TABLES}
    done, total = 0, len(plans)
    for city in chosen:
        pop = populate(cal, city, persons, seed)
        for table, frame in _city_tables(cal, city, pop):
            files[table].append(_write(folder / table / f"{city.code}.parquet", frame))
        for year in years:
            if progress:
                progress(f"{city.code} {year}", done, total)
            for table, frame in _year_tables(cal, city, plans[city.code, year], pop, year, seed):
                if frame.is_empty():
                    continue  # a small city may have no claim in a year
                files[table].append(_write(folder / table / f"{city.code}-{year}.parquet", frame))
            done += 1
    if progress:
        progress("", done, total)
    return files


def _plan(city: City, year: int) -> Plan:
    plan = plan_for(city.code, year)
    if plan is None:
        raise ValueError(f"data/plans: no plan for {city.code} {year}; add one or leave the year out")
    if holes := plan.holes():
        raise ValueError(f"data/plans: {city.code} {year} cannot be simulated: {'; '.join(holes)}")
    return plan


def _city_tables(cal: Calibration, city: City, pop: Population) -> Iterator[tuple[str, pl.DataFrame]]:
    numbers = person_numbers(city, np.arange(pop.n))
    yield (
        "person",
        pl.DataFrame(
            [
                numbers,
                pl.Series("gend", np.where(pop.male, "1", "2")),
                pl.Series("birth_year", pop.birth_year.astype(np.int32)),
            ]
        ),
    )
    member = pl.DataFrame(
        {
            "household_id": household_numbers(city, pop.household),
            "psn_no": numbers,
            "start_date": pl.repeat(date(cal.base_year, 1, 1), pop.n, eager=True),
            "end_date": pl.repeat(None, pop.n, dtype=pl.Date, eager=True),
        }
    )
    yield "household_member", member.filter(pl.Series(pop.h_linked[pop.household]))


def household_numbers(city: City, households: Ints) -> pl.Series:
    """Household ids: H, the city's code, a number."""
    return (
        pl.Series("household_id", households).cast(pl.String).str.zfill(8).str.replace("^", f"H{city.code}")
    )


def _year_tables(
    cal: Calibration, city: City, plan: Plan, pop: Population, year: int, seed: int
) -> Iterator[tuple[str, pl.DataFrame]]:
    product = products(cal, city, pop, [p.code for p in plan.product], year)
    bills = draw_bills(cal, city, pop, year, seed)
    frame = settle(cal, city, plan, pop, product, bills, year, seed)
    settled = settlements(cal, city, plan, pop, frame, year, seed)
    yield "settlement", settled.sort("setl_time", "setl_id").select(SETTLEMENT)
    yield ("commercial_claim", commercial_claims(cal, city, plan, pop, frame, settled, year, seed))
    yield "enrolment", _enrolment(city, plan, pop, product, year)
    yield "household_economy", _economy(cal, city, pop, frame, year, seed)


def _enrolment(city: City, plan: Plan, pop: Population, product: pl.Series, year: int) -> pl.DataFrame:
    """One spell a person: the calendar year."""
    return pl.DataFrame(
        {
            "psn_no": person_numbers(city, np.arange(pop.n)),
            "insuplc_admdvs": np.asarray(city.districts)[pop.district],
            "insutype": np.where(pop.employee, "310", "390"),
            "psn_type": person_types(pop, year),
            "psn_insu_date": pl.repeat(date(year, 1, 1), pop.n, eager=True),
            "paus_insu_date": pl.repeat(date(year, 12, 31), pop.n, eager=True),
            "psn_idet_type": np.asarray(GROUPS)[pop.group],
            "is_pre_existing": pop.pre_existing,
            "product_code": product,
            "premium": premiums(city, plan, pop, product, year),
        }
    )


def _economy(
    cal: Calibration, city: City, pop: Population, frame: pl.DataFrame, year: int, seed: int
) -> pl.DataFrame:
    """Resources of the households, fen. Consumption holds what they themselves paid for care."""
    money = [np.rint(values * 100).astype(np.int64) for values in economy(cal, city, pop, year, seed)]
    income, consumption, food, housing = money
    net = frame.select(pl.col("personal_fen") - commercial_fen(frame)).to_series().to_numpy()
    burden = np.zeros(len(income), dtype=np.int64)
    np.add.at(burden, pop.household[frame["person"].to_numpy()], net)
    near = np.flatnonzero(pop.h_linked & (np.abs(THRESHOLD * burden / income - 1) < 0.3))
    edge = near[: cal.settling.threshold_households]
    income[edge] = THRESHOLD * burden[edge]
    return pl.DataFrame(
        {
            "household_id": household_numbers(city, np.arange(len(income))),
            "year": np.full(len(income), year, dtype=np.int32),
            "size": pop.h_size.astype(np.int32),
            "children": np.bincount(pop.household[pop.age(year) < 14], minlength=len(pop.h_size)).astype(
                np.int32
            ),
            "income_annual": income,
            "consumption_annual": consumption + burden,
            "food_annual": food,
            "housing_annual": housing,
            "urban": pop.h_urban,
        }
    ).filter(pl.Series(pop.h_linked))


def _write(path: Path, frame: pl.DataFrame) -> Path:
    """Write Parquet, money columns from fen to DECIMAL(16,2) yuan. The bytes depend on the rows alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {c: _yuan(frame[c]) if c in YUAN else _arrow(frame[c]) for c in frame.columns}
    pq.write_table(pa.table(columns), path, compression="zstd", store_schema=False)
    return path


def _arrow(column: pl.Series) -> pa.Array:
    """Text as plain strings, so every reader knows the type."""
    array = column.to_arrow()
    return array.cast(pa.string()) if column.dtype == pl.String else array


def _yuan(fen: pl.Series) -> pa.Array:
    """Whole fen as DECIMAL(16,2) yuan: the same integer with two digits behind the point."""
    low = fen.fill_null(0).to_numpy().astype(np.int64)
    words = np.ascontiguousarray(np.stack([low, low >> 63], axis=1))
    known = pa.array(fen.is_not_null().to_numpy()).buffers()[1] if fen.null_count() else None
    return pa.Array.from_buffers(pa.decimal128(16, 2), len(low), [known, pa.py_buffer(words)])

"""Settlements and insurer's claims in the spelling of the national record, refunds included."""

import numpy as np
import numpy.typing as npt
import polars as pl

from analytics.plans import Plan
from analytics.plans.schedule import resolve
from analytics.synthetic.calibration import Calibration, City
from analytics.synthetic.diseases import diseases
from analytics.synthetic.people import Ints, Population, generator
from analytics.synthetic.settle import draw_down

MONEY = (
    "medfee_sumamt", "fulamt_ownpay_amt", "special_drug_amt", "overlmt_selfpay", "preselfpay_amt", "inscp_scp_amt",
    "act_pay_dedc", "hifp_pay", "cvlserv_pay", "hifes_pay", "hifmi_pay", "hifob_pay", "hifdm_pay", "maf_pay",
    "oth_pay", "fund_pay_sumamt", "hosp_part_amt", "psn_part_amt", "acct_pay", "acct_mulaid_pay", "psn_cash_pay",
)  # fmt: skip
FUNDS = MONEY[MONEY.index("hifp_pay") : MONEY.index("fund_pay_sumamt")]
MED_TYPE = np.asarray(["21", "14", "11", "41"])
LEVEL_CODE = np.asarray(["3", "2", "1", "9"])
PAY_LOC = np.asarray(["2", "3", "4"])
PROVIDERS = np.asarray([6, 15, 40, 80])  # hospitals of a city by level, and its pharmacies
SECOND = 1_000_000


def person_numbers(city: City, persons: Ints) -> pl.Series:
    """Person numbers: 20 digits, the city's code first."""
    return pl.Series("psn_no", persons).cast(pl.String).str.zfill(14).str.replace("^", city.code)


def person_types(pop: Population, year: int) -> npt.NDArray[np.str_]:
    """National person types: retired, active, minor, adult."""
    classes = [pop.retired(year), pop.employee, pop.age(year) < 18]
    return np.select(classes, ["1201", "1101", "1403"], "1501").astype(str)


def settlements(
    cal: Calibration, city: City, plan: Plan, pop: Population, frame: pl.DataFrame, year: int, seed: int
) -> pl.DataFrame:
    """The settlement table of a city-year, money in fen (named as in the record), refunded pairs included.

    The first rows are those of `frame`, in its order; `row` is the position in `frame`, for rows that refunds
    add (flag 1) that of the bill they were copied from.
    """
    rng = generator(seed, city.code, year, 4)
    n = len(frame)
    paid = {
        c.removesuffix("_paid_fen"): frame[c].to_numpy().astype(np.int64)
        for c in frame.columns
        if c.endswith("_paid_fen")
    }
    nothing = np.zeros(n, dtype=np.int64)

    def tier(name: str) -> Ints:
        return paid.get(name, nothing)

    employee = (frame["insurance_type"] == "employee").to_numpy()
    fen = {
        name: frame[f"{name}_fen"].to_numpy().astype(np.int64)
        for name in ("in_policy", "advance", "over_limit", "hospital", "drug", "outside")
    }
    money = dict.fromkeys(MONEY, nothing) | {
        "medfee_sumamt": frame["cost_fen"].to_numpy().astype(np.int64),
        # The special drugs and the part the hospital bears are out of the catalogue or above its price.
        "fulamt_ownpay_amt": fen["outside"] + fen["drug"] + fen["hospital"] - fen["over_limit"],
        "special_drug_amt": fen["drug"],
        "overlmt_selfpay": fen["over_limit"],
        "preselfpay_amt": fen["advance"],
        "inscp_scp_amt": fen["in_policy"],
        "act_pay_dedc": _deductible_paid(plan, frame, fen["in_policy"]),
        "hifp_pay": tier("basic"),
        "cvlserv_pay": np.where(employee, tier("statutory_supplement"), 0),
        "hifes_pay": np.where(employee, 0, tier("statutory_supplement")),
        "hifmi_pay": np.where(employee, 0, tier("serious_illness")),
        "hifob_pay": np.where(employee, tier("serious_illness"), 0),
        "maf_pay": tier("medical_assistance"),
        "oth_pay": tier("other") + frame["public_aid_fen"].to_numpy(),
        "hosp_part_amt": fen["hospital"],
        "psn_part_amt": frame["personal_fen"].to_numpy(),
        "acct_pay": frame["account_fen"].to_numpy(),
        "psn_cash_pay": frame["cash_fen"].to_numpy(),
    }
    money["fund_pay_sumamt"] = np.sum([money[f] for f in FUNDS], axis=0)
    kept = _described(city, pop, frame, year, rng).with_columns(
        diseases(cal, city, pop, frame, year, seed), *(pl.Series(k, v) for k, v in money.items())
    )
    return _with_refunds(cal, kept, f"S{city.code}{year}", rng)


def _described(
    city: City, pop: Population, frame: pl.DataFrame, year: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Who, where, when and what of each settlement."""
    n = len(frame)
    person, level, region = (frame[c].to_numpy() for c in ("person", "level", "region"))
    care = frame["care"].to_numpy()
    home = np.asarray(city.districts)[pop.district[person]]
    near, far = (np.asarray(city.referral.in_province), np.asarray(city.referral.out_province))
    place = np.select(
        [region == 1, region == 2],
        [near[rng.integers(0, len(near), n)], far[rng.integers(0, len(far), n)]],
        home,
    ).astype(str)
    # A quarter of local care is sought in another district of the city than one's own.
    elsewhere = (region == 0) & (rng.random(n) < 0.25)
    place = np.where(elsewhere, np.asarray(city.districts)[rng.integers(0, len(city.districts), n)], place)
    number = rng.integers(0, PROVIDERS[level]) + 1000 * (level + 1)
    opening = np.datetime64(f"{year}-01-01")
    first = opening + frame["first_day"].to_numpy().astype("timedelta64[D]")
    last = opening + frame["last_day"].to_numpy().astype("timedelta64[D]")
    clock = (12 * 3600 + rng.integers(0, 6 * 3600, n)) * SECOND
    return pl.DataFrame(
        {
            "row": np.arange(n),
            "mdtrt_id": pl.Series(frame["stay"])
            .cast(pl.String)
            .str.zfill(9)
            .str.replace("^", f"M{city.code}{year}"),
            "psn_no": person_numbers(city, person),
            "fixmedins_code": pl.Series(np.where(care == 3, "P", "H"))
            + pl.Series(place)
            + pl.Series(number).cast(pl.String).str.zfill(5),
            "fix_blng_admdvs": place,
            "insuplc_admdvs": home,
            "insutype": np.where(pop.employee[person], "310", "390"),
            "psn_type": person_types(pop, year)[person],
            "med_type": MED_TYPE[care],
            "dedc_hosp_lv": LEVEL_CODE[level],
            "begndate": first.astype("datetime64[ms]"),
            "enddate": last.astype("datetime64[ms]"),
            "setl_time": last.astype("datetime64[us]") + clock.astype("timedelta64[us]"),
            "year": np.full(n, str(year)),
            "setl_type": np.full(n, "2"),
            "pay_loc": PAY_LOC[region],
            "refd_setl_flag": np.full(n, "0"),
            "mid_setl_flag": np.where(frame["mid"].to_numpy(), "1", "0"),
            "gend": np.where(pop.male[person], "1", "2"),
        }
    ).with_columns(pl.col("begndate", "enddate").cast(pl.Date))


def _deductible_paid(plan: Plan, frame: pl.DataFrame, in_policy: Ints) -> Ints:
    """The part of each bill that went into the basic deductible, fen."""
    result = np.zeros(len(frame), dtype=np.int64)
    person = frame["person"].to_numpy()
    keys = (
        "person_group",
        "is_pre_existing",
        "is_retired",
        "insurance_type",
        "hospital_level",
        "cross_region",
    )
    for rule in plan.rules("basic"):
        rows = frame.select(
            pl.col("care_type").is_in(rule.scope)
            & (pl.lit(rule.insurance_type == "all") | (pl.col("insurance_type") == rule.insurance_type))
            & (pl.lit(not rule.cross_region) | pl.col("cross_region").is_in(rule.cross_region))
        ).to_series()
        kinds = frame.select(keys).filter(rows).unique(maintain_order=True)
        floors = []
        for group, ill, retired, insurance, level, region in kinds.iter_rows():
            flags = (("pre_existing", ill), ("retired", retired), ("employee", insurance == "employee"))
            steps = resolve(rule, {group, *(f for f, on in flags if on)}, level, region).steps
            floors.append(steps[0].over if steps else 0)
        table = kinds.with_columns(pl.Series("floor", floors, dtype=pl.Int64))
        floor = (
            frame.select(keys)
            .join(table, on=keys, how="left", maintain_order="left")["floor"]
            .fill_null(0)
            .to_numpy()
        )
        base = np.where(rows.to_numpy(), in_policy, 0)
        if rule.per == "event":
            result += np.minimum(base, np.where(rows.to_numpy(), floor, 0))
        else:
            yearly = np.zeros(int(person.max(initial=0)) + 1, dtype=np.int64)
            np.maximum.at(yearly, person[rows.to_numpy()], floor[rows.to_numpy()])
            result += draw_down(person, base, yearly)
    return result


def _with_refunds(
    cal: Calibration, kept: pl.DataFrame, prefix: str, rng: np.random.Generator
) -> pl.DataFrame:
    """Number the rows and add refunded originals and their mirrors; the kept rows stay first.

    A replaced original billed one item too many, paid in cash: the kept row is its correction. An original
    without a replacement is the copy of another day's bill of the person, withdrawn as a whole, some late.
    """
    source = kept.filter(pl.Series(rng.random(len(kept)) < cal.settling.refunds))
    count, n = len(kept), len(source)
    replaced = rng.random(n) < cal.settling.replaced
    extra = pl.lit(pl.Series(np.where(replaced, 100 * rng.integers(5, 400, n), 0)))
    days = pl.lit(pl.Series(np.where(replaced, 0, rng.integers(1, 20, n))))
    late = pl.lit(pl.Series(np.where(~replaced & (rng.random(n) < 0.3), 40, 0)))

    def numbers(start: int, rows: int) -> pl.Series:
        return prefix + pl.int_range(start, start + rows, eager=True).cast(pl.String).str.zfill(9)

    encounter = pl.when(pl.Series(replaced)).then("mdtrt_id").otherwise(pl.col("mdtrt_id") + "R")
    original = source.with_columns(
        *(pl.col(c) + extra for c in ("medfee_sumamt", "fulamt_ownpay_amt", "psn_part_amt", "psn_cash_pay")),
        pl.col("begndate", "enddate") + pl.duration(days=days),
        setl_id=numbers(count, n),
        init_setl_id=pl.lit(None, dtype=pl.String),
        mdtrt_id=encounter,
        setl_time=pl.col("setl_time") - pl.duration(hours=3) + pl.duration(days=days),
        refd_setl_flag=pl.lit("1"),
    )
    mirror = original.with_columns(
        *(-pl.col(c) for c in MONEY),
        setl_id=numbers(count + n, n),
        init_setl_id=pl.col("setl_id"),
        setl_time=pl.col("setl_time") + pl.duration(hours=1) + pl.duration(days=late),
    )
    numbered = kept.with_columns(setl_id=numbers(0, count), init_setl_id=pl.lit(None, dtype=pl.String))
    return pl.concat([numbered, original.select(numbered.columns), mirror.select(numbered.columns)])

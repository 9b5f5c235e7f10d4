"""Bills -> paid bills: the plan pays through its waterfall, then public aid, personal account and cash."""

import numpy as np
import polars as pl

from analytics.plans import OPTIONAL, Plan, claims_sql, filled
from analytics.store import closed
from analytics.synthetic.calibration import Calibration, City
from analytics.synthetic.claims import CARE, LEVELS, REGIONS
from analytics.synthetic.people import GROUPS, Bools, Ints, Population, generator

BASE = {
    "in_policy_cost": ("in_policy_fen",),
    "in_policy_own": ("in_policy_fen",),
    "out_of_catalogue": ("outside_fen",),
    "special_drug": ("drug_fen",),
    "total_own": ("in_policy_fen", "advance_fen", "outside_fen", "drug_fen"),
}

COMMERCIAL = ("inclusive", "charity")  # tiers outside the national record
SCOPED = {
    "row": pl.Int64,
    "tier": pl.String,
    "duty_code": pl.String,
    "scope_amt": pl.Int64,
    "paid_amt": pl.Int64,
}


def settle(
    cal: Calibration,
    city: City,
    plan: Plan,
    pop: Population,
    product: pl.Series,
    bills: pl.DataFrame,
    year: int,
    seed: int,
) -> pl.DataFrame:
    """Bills, one row per settlement, with what each tier paid (`<tier>_paid_fen`,
    `<tier>__<liability>_paid_fen`, `own_fen`) and how the rest was borne (`public_aid_fen`, `personal_fen` =
    `account_fen` + `cash_fen`).

    `product` is the inclusive product of each person of the population, null without one.
    """
    retired = pop.retired(year)
    rng = generator(seed, city.code, year, 3)
    person = bills["person"].to_numpy()
    claims = bills.select(
        pl.col("person").alias("person_id"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("seq"),
        pl.Series("insurance_type", np.where(pop.employee, "employee", "resident")[person]),
        pl.Series("person_group", np.asarray(GROUPS)[pop.group][person]),
        pl.Series("is_pre_existing", pop.pre_existing[person]),
        pl.Series("is_retired", retired[person]),
        product.gather(person).alias("product"),
        pl.Series("hospital_level", np.asarray(LEVELS)[bills["level"].to_numpy()]),
        pl.Series("care_type", np.asarray(CARE)[bills["care"].to_numpy()]),
        pl.Series("cross_region", np.asarray(REGIONS)[bills["region"].to_numpy()]),
        "in_policy_fen",
        "advance_fen",
        pl.col("outside_fen").alias("out_of_catalogue_fen"),
        pl.col("drug_fen").alias("special_drug_fen"),
    )
    with closed(threads=2) as con:
        con.register("claims", claims.to_arrow())
        paid = con.sql(claims_sql(plan, filled(plan))).pl()
    paid = (
        paid.sort("seq")
        .drop("in_policy_fen", "advance_fen", "out_of_catalogue_fen", "special_drug_fen", "person_id")
        .select(pl.exclude(*OPTIONAL))
    )
    return _personal(cal, pop, retired, pl.concat([bills, paid], how="horizontal"), rng)


def commercial_fen(frame: pl.DataFrame) -> pl.Expr:
    """What the tiers outside the national record paid."""
    columns = [f"{k}_paid_fen" for k in COMMERCIAL if f"{k}_paid_fen" in frame.columns]
    return pl.sum_horizontal(*columns) if columns else pl.lit(0, dtype=pl.Int64)


def _personal(
    cal: Calibration, pop: Population, retired: Bools, frame: pl.DataFrame, rng: np.random.Generator
) -> pl.DataFrame:
    """A little other public aid, then the personal account as far as its balance goes, then cash."""
    par = cal.settling
    n = len(frame)
    left = frame["own_fen"].to_numpy()
    helped = (
        (frame["person_group"] != "general").to_numpy()
        & (frame["care"] == 0).to_numpy()
        & (rng.random(n) < par.public_aid)
    )
    aid = np.where(helped, np.floor(left * par.public_aid_share).astype(np.int64), 0)
    burden = (frame.select(pl.col("own_fen") + commercial_fen(frame)).to_series().to_numpy() - aid).astype(
        np.int64
    )
    person = frame["person"].to_numpy()
    yearly = pop.account * np.where(retired, par.account_retired, par.account_active)
    balance = np.where(pop.employee, np.rint(yearly * 100), 0).astype(np.int64)
    account = draw_down(person, burden, balance)
    return frame.with_columns(
        pl.Series("public_aid_fen", aid),
        pl.Series("personal_fen", burden),
        pl.Series("account_fen", account),
        pl.Series("cash_fen", burden - account),
    )


def draw_down(person: Ints, amount: Ints, balance: Ints) -> Ints:
    """What each bill takes from its person's balance, bills in order."""
    order = np.argsort(person, kind="stable")
    by_person, running = person[order], np.cumsum(amount[order])
    first = np.searchsorted(by_person, by_person)
    before_person = running[first] - amount[order][first]
    spent = np.minimum(running - before_person, balance[by_person])
    taken = np.diff(spent, prepend=0)
    taken[first == np.arange(len(first))] = spent[first == np.arange(len(first))]
    result = np.empty_like(amount)
    result[order] = taken
    return result


def scopes(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """A row (SCOPED, fen) for each bill an inclusive or charity liability paid on; `row` is that of `frame`.

    The scope is the part of the bill the liability looks at, as the tiers before it left it.
    """
    n = len(frame)
    parts = ("in_policy_fen", "advance_fen", "outside_fen", "drug_fen")
    own = {c: frame[c].to_numpy().astype(np.int64).copy() for c in parts}
    insurance = frame["insurance_type"].to_numpy()
    found = [pl.DataFrame(schema=SCOPED)]
    for rule in plan.tier:
        column = f"{rule.id}__{rule.liability}_paid_fen"
        if column not in frame.columns:
            continue
        mine = (
            np.ones(n, dtype=np.bool_) if rule.insurance_type == "all" else insurance == rule.insurance_type
        )
        paid = np.where(mine, frame[column].to_numpy(), 0)
        base = BASE[rule.base]
        seen = np.sum([own[c] for c in base], axis=0)
        if rule.base == "in_policy_own" and rule.advance_share:
            seen = seen + np.floor(own["advance_fen"] * float(rule.advance_share)).astype(np.int64)
            base = ("in_policy_fen", "advance_fen")
        if rule.id in COMMERCIAL:
            rows = np.flatnonzero(paid > 0)
            values = ([rule.id] * len(rows), [rule.liability] * len(rows), seen[rows], paid[rows])
            found.append(pl.DataFrame([rows, *values], schema=SCOPED))
        for part in base:
            used = np.minimum(paid, own[part])
            own[part] -= used
            paid = paid - used
    return pl.concat(found)

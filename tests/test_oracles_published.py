"""Numbers as others printed them (tests/oracles/published.toml), asked of households made up so that they must come out.

The surveys behind them are not public. So each table becomes a small survey with the printed headcount, overshoot and concentration
exactly, and what the authors derived from these, in their own digits, is what our SQL must answer for it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
from oracles import measure_oracle as oracle
from oracles.expected import read
from survey import Survey

PUBLISHED = read("published")
PLACES = np.arange(100)  # of equal weight along the line from poor to rich
RICH = (2 * PLACES + 1) / len(PLACES) - 1  # 2 R - 1 of a place


def tilted(target: float) -> np.ndarray:
    """Shares of the places that add up to one and whose concentration is `target`: exp(a (2 R - 1)), a found by halving."""
    low, high = -20.0, 20.0
    for _ in range(200):
        middle = (low + high) / 2
        share = np.exp(middle * RICH)
        share /= share.sum()
        low, high = (middle, high) if (share * RICH).sum() < target else (low, middle)
    return share


def made_up(row: Mapping[str, Any]) -> pl.DataFrame:
    """At every place one household above the threshold and one that pays nothing; living standards rise from place to place."""
    above = row["h"] / 100 * tilted(row["c_e"]) * len(PLACES)  # of the weight 1 of a place
    over = row["o"] / 100 * tilted(row["c_o"]) * len(PLACES) / above
    assert (above < 1).all()
    living = (1_000_000 + PLACES) * 10_000_000
    threshold = float(row["threshold"])
    own = [round(x) for x in living * (threshold + over)]
    food = 0 if row["of"] == "total" else 1
    half = pl.DataFrame({"consumption_fen": living + food, "food_fen": np.full(len(PLACES), food)})
    return pl.concat([
        half.with_columns(own_fen=pl.Series(own), weight=pl.Series(above)),
        half.with_columns(own_fen=pl.lit(0, pl.Int64), weight=pl.Series(1 - above)),
    ])  # fmt: skip


@pytest.mark.parametrize(
    "row", PUBLISHED["table18"]["rows"], ids=lambda row: f"{row['of']}-{row['threshold']}"
)
def test_tables_18_1_and_18_2_of_odonnell(row: Mapping[str, Any]) -> None:
    """From the printed H, O, C_E and C_O: mean positive overshoot, H^W and O^W as printed, within the digits both were rounded to."""
    survey = Survey()
    survey.put(made_up(row))
    parameters = {
        "resource": "consumption" if row["of"] == "total" else "nonfood",
        "threshold": row["threshold"],
    }

    def ask(measure: str) -> float:
        value = survey.value(measure, **parameters)
        assert value is not None
        return value

    given = [ask(f"catastrophic_{name}") for name in ("headcount", "overshoot", "concentration")]
    given.append(ask("overshoot_concentration"))
    assert given == pytest.approx([row["h"] / 100, row["o"] / 100, row["c_e"], row["c_o"]], rel=1e-6)
    digit = 0.005
    h_w, o_w = 100 * ask("catastrophic_headcount_weighted"), 100 * ask("catastrophic_overshoot_weighted")
    assert h_w == pytest.approx(row["h_w"], abs=2 * digit + row["h"] * 0.00005)
    assert o_w == pytest.approx(row["o_w"], abs=2 * digit + row["o"] * 0.00005)
    worst = row["o"] / row["h"] * (digit / row["o"] + digit / row["h"])  # of a ratio of two rounded numbers
    assert 100 * ask("mean_positive_overshoot") == pytest.approx(row["mpo"], abs=100 * worst + digit)


def test_relative_concentration_of_healthequal() -> None:
    """Five groups in order, populations as weights. Their standard error assumes equal variances; ours does not, and is held
    against the same regression written out, of which the first is the equal-variance case."""
    given = PUBLISHED["healthequal"]
    order, weight, y = (np.array(given[name], dtype=float) for name in ("order", "population", "estimate"))
    survey = Survey()
    survey.put(pl.DataFrame({
        "income_fen": (order * 100).astype(int), "own_fen": (y * 100).astype(int), "weight": weight, "n_members": [1] * 5,
    }))  # fmt: skip
    assert survey.value("payment_concentration") == pytest.approx(
        given["rci"], rel=2e-7
    )  # printed from single precision
    assert oracle.mean(y, weight) * oracle.concentration(y, order, weight) == pytest.approx(
        given["aci"], rel=1e-7
    )
    assert oracle.equal_variances(y, order, weight) == pytest.approx(given["se"], rel=1e-6)
    equal = survey.book.ask("payment_concentration", se="superpopulation", se_method="equal_variances").table
    assert equal["se"][0] == pytest.approx(given["se"], rel=1e-6)
    (row,) = survey.uncertain("payment_concentration").to_dicts()
    assert row["se"] == pytest.approx(oracle.convenient(y, order, weight, order), rel=1e-9)


@pytest.mark.parametrize(
    "row", PUBLISHED["hefpi"]["rows"], ids=lambda row: f"{row['country']}-{row['year']}-{row['line']}"
)
def test_pushed_and_pushed_further_of_hefpi(row: Mapping[str, Any]) -> None:
    """A population with the published shares, as many persons per household as differ: pushed and further pushed come out,
    and add up to what was published for both."""
    size = np.array([1, 4, 2, 5])  # pushed, poor and paying, poor and not paying, never poor
    shares = np.array([row["pushed"], row["further"], (1 - row["both"]) / 2, (1 - row["both"]) / 2])
    living, own = size * [12_000, 8_000, 8_000, 30_000], [3_000, 500, 0, 40_000]
    survey = Survey()
    survey.put(
        pl.DataFrame({"consumption_fen": living, "own_fen": own, "n_members": size, "weight": shares / size})
    )
    pushed, further = (
        survey.value(name, poverty_line="100")
        for name in ("impoverishment_headcount", "further_impoverished")
    )
    assert pushed is not None and further is not None
    assert (pushed, further) == pytest.approx((row["pushed"], row["further"]), rel=1e-6)
    assert pushed + further == pytest.approx(row["both"], abs=1e-7)

"""Every measure on ten invented households against exact fractions (tests/oracles/tiny10.toml), delivered, built and asked."""

import polars as pl
import pytest
from deliveries import bare
from oracles.expected import Check, asked, checks, number, read
from survey import fact

from analytics import verbs
from analytics.desk.answer import Desk

TINY = read("tiny10")
TIERS = ("basic", "serious_illness", "medical_assistance")  # bits 1, 2, 4 of a coalition


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("ten")
    rows = pl.DataFrame(TINY["data"]["rows"], schema=TINY["data"]["columns"], orient="row")
    rows.with_columns(city=pl.lit("ten"), plan_year=2023).write_parquet(folder / "ten.parquet")
    verbs.ingest(folder / "store", [folder / "ten.parquet"], "household_year")
    bare(folder / "store")
    return Desk.open(folder / "store")


@pytest.mark.parametrize("check", checks("tiny10"), ids=str)
def test_exact_fractions(ten: Desk, check: Check) -> None:
    row = asked(ten, check)
    assert row["value"] == pytest.approx(check.value, rel=1e-12, abs=1e-15)
    assert row["n"] == 10


@pytest.mark.parametrize("threshold", TINY["coalition"])
def test_credit_of_each_tier(ten: Desk, threshold: str) -> None:
    """Shapley, first-in, last-in and sequential credit, and the headcount under all eight coalitions they are made of."""
    expected = TINY["coalition"][threshold]
    parameters = {"threshold": threshold, "resource": "consumption"}
    credit = {}
    for name in [name for name in expected if name != "headcount"]:
        rows = ten.ask(name, parameters=parameters, protect=False).table
        credit[name] = dict(zip(rows["tier"], rows["value"], strict=True))
        want = {tier: number(v) for tier, v in expected[name].items()}
        assert credit[name] == pytest.approx(want, rel=1e-12, abs=1e-15), name
    rows = ten.ask("catastrophic_headcount", ["tier"], parameters=parameters, protect=False).table
    after = dict(zip(rows["tier"], rows["value"], strict=True))
    first, last = credit["first_in_headcount"], credit["last_in_headcount"]
    got = {0: after["none"], 1: after["basic"], 3: after["serious_illness"], 7: after["medical_assistance"]}
    got |= {1 << bit: got[0] - first[tier] for bit, tier in enumerate(TIERS)}
    got |= {7 & ~(1 << bit): got[7] + last[tier] for bit, tier in enumerate(TIERS)}
    want = {mask: number(v) for mask, v in enumerate(expected["headcount"])}
    assert got == pytest.approx(want, rel=1e-12)


def test_shares_of_the_bill(ten: Desk) -> None:
    shares = TINY["share_of_bill"]
    money = ", ".join(
        f"sum(weight * {name}{'_fen' if name == 'own_net' else '_paid_fen'}) / sum(weight * cost_fen) AS {name}"
        for name in shares
    )
    sums = ten._book._engine.ask(f"SELECT {money} FROM household_year").row(0, named=True)
    assert sums == pytest.approx({name: number(v) for name, v in shares.items()}, rel=1e-12)


def test_surveys_in_memory_are_like_those_of_the_store(ten: Desk) -> None:
    """tests/survey.py lets many tests ask without building: its table has the columns and types the build writes."""
    rows = pl.DataFrame(TINY["data"]["rows"], schema=TINY["data"]["columns"], orient="row")
    paid = [(pl.col(f"{tier}_paid") * 100).alias(f"{tier}_paid_fen") for tier in TIERS]
    made = fact(rows.select((pl.col("own_burden") * 100).alias("own_fen"), "n_members", "weight", *paid))
    built = ten._book._engine.ask("SELECT * FROM household_year LIMIT 0")
    # columns that never came, codes and keys may be of another type
    loose = {
        name for name in built.columns if built[name].dtype in (pl.Null, pl.String, pl.Enum, pl.Categorical)
    }
    assert set(made.columns) == set(built.columns)
    assert {k: v for k, v in made.schema.items() if k not in loose} == {
        k: v for k, v in built.schema.items() if k not in loose
    }

"""Measures on the US Consumer Expenditure survey 2015 against R (tests/oracles/consumer.toml): 44,144 rows with weights, clusters,
ties and refunds. Asked where the survey is at hand.
"""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from oracles.expected import Check, asked, checks, exact
from survey import Survey

SCALE = 1_000_000  # fen of a dollar
YUAN = Decimal(SCALE) / 100


@pytest.fixture(scope="module")
def surveys() -> dict[str, Survey]:
    """All rows; those without refunds."""
    frame = pl.read_parquet(exact("us_ce2015_consumer_units"))
    frame = frame.filter((pl.col("is_dup_earlier") == 0) & (pl.col("exp_total_q") > 0)).select(
        "weight",
        pl.col("hhsize").alias("n_members"),
        pl.col("cu_id").cast(pl.String).alias("cluster_id"),
        (pl.col("exp_health_q") * SCALE).round().cast(pl.Int64).alias("own_fen"),
        (pl.col("exp_total_q") * SCALE).round().cast(pl.Int64).alias("consumption_fen"),
    )
    made = {"all": Survey(), "no refunds": Survey()}
    made["all"].put(frame)
    made["no refunds"].put(frame.filter(pl.col("own_fen") >= 0))
    return made


class Asking:
    """A survey in memory, asked like a desk."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def ask(self, measure: str, parameters: dict[str, str], protect: bool, se: str = "") -> Any:
        return self.survey.book.ask(measure, (), {}, parameters, se=se)


@pytest.mark.parametrize("check", checks("consumer"), ids=str)
def test_consumer_units(surveys: dict[str, Survey], check: Check) -> None:
    desk: Any = Asking(surveys["no refunds" if check.spec.startswith("B6") else "all"])
    own_error = check.se is not None and not check.se_by
    row = asked(desk, check, YUAN, **({"se": "superpopulation"} if own_error else {}))
    # Per member 13 ties of dollars and cents are broken in R by the last bit of a division; in whole fen they are ties.
    near = {"abs": 2e-8} if check.spec.startswith("B6") else {"rel": 1e-9}
    assert row["value"] == pytest.approx(check.value, **near)
    assert row["n"] == check.n
    if own_error:
        assert row["se"] == pytest.approx(check.se, rel=1e-6)

"""Random small surveys for the tests of the measures: ties, exact thresholds, zeros, nothing to spend, unequal weights, two places."""

from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st
from oracles.measure_oracle import Households

UNIT = 100_000  # fen: amounts are few whole multiples, so that households tie and stand on thresholds
CITIES = ("440400", "440800")
NAMES = (
    "income",
    "consumption",
    "food",
    "housing",
    "own",
    "basic",
    "assistance",
    "weight",
    "n_members",
    "n_children",
    "cluster",
    "city",
)

_household = st.tuples(
    st.integers(-2, 14), st.integers(1, 14), st.integers(0, 6), st.integers(0, 3), st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 9]),
    st.sampled_from([0, 0, 1, 2, 6]), st.sampled_from([0, 0, 0, 1, 2]), st.sampled_from([0.5, 1.0, 1.0, 2.0, 3.0]),
    st.integers(1, 5), st.integers(0, 4), st.integers(0, 3), st.sampled_from(CITIES),
)  # fmt: skip


def surveys(least: int = 4, most: int = 12) -> st.SearchStrategy[pl.DataFrame]:
    return st.lists(_household, min_size=least, max_size=most).map(table)


def table(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Columns of a survey as `survey.Survey` takes them."""
    frame = pl.DataFrame(rows, schema=list(NAMES), orient="row")
    money = ("income", "consumption", "food", "housing", "own")
    return frame.select(
        *[(pl.col(name) * UNIT).alias(f"{name}_fen") for name in money],
        (pl.col("basic") * UNIT).alias("basic_paid_fen"),
        (pl.col("assistance") * UNIT).alias("medical_assistance_paid_fen"),
        "weight",
        "n_members",
        pl.min_horizontal("n_children", pl.col("n_members") - 1).alias("n_children"),
        pl.col("cluster").cast(pl.String).alias("cluster_id"),
        "city",
    )


def arrays(frame: pl.DataFrame) -> Households:
    """The same households for the oracle."""
    column = {name: frame[name].to_numpy().astype(float) for name in frame.columns if name.endswith("_fen")}
    return Households(
        own=column["own_fen"],
        weight=frame["weight"].to_numpy(),
        members=frame["n_members"].to_numpy().astype(float),
        income=column["income_fen"],
        consumption=column["consumption_fen"],
        food=column["food_fen"],
        housing=column["housing_fen"],
        children=frame["n_children"].to_numpy().astype(float),
    )


def clusters(frame: pl.DataFrame) -> np.ndarray:
    return frame["cluster_id"].to_numpy()

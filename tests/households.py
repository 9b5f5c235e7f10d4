"""Random small surveys for the tests of the measures: ties, exact thresholds, zeros, nothing to spend, unequal weights.

Many at once, each a place of its own: a question cut by city answers for all of them.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st
from oracles.measure_oracle import Households

UNIT = 100_000  # fen: amounts are few whole multiples, so that households tie and stand on thresholds
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
AT_ONCE = 40  # surveys
# What a household may have, each as likely as it is listed.
_VALUES: dict[str, list[Any]] = {
    "income": [-2, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 10, 10, 12, 14],
    "consumption": [1, 2, 3, 4, 5, 5, 6, 7, 8, 10, 10, 12, 14],
    "food": [0, 1, 1, 2, 2, 3, 4, 6],
    "housing": [0, 1, 1, 2, 3],
    "own": [0, 0, 0, 1, 1, 2, 3, 5, 9],
    "basic": [0, 0, 1, 2, 6],
    "assistance": [0, 0, 0, 1, 2],
    "weight": [0.5, 1.0, 1.0, 2.0, 3.0],
    "n_members": [1, 2, 2, 3, 4, 5],
    "n_children": [0, 0, 1, 2, 3],
    "cluster": [0, 1, 2, 3],
}


def surveys(least: int = 3, most: int = 12) -> st.SearchStrategy[pl.DataFrame]:
    """AT_ONCE surveys of `least` to `most` households."""
    return st.integers(0, 2**32 - 1).map(lambda seed: many(seed, least, most))


def many(seed: int, least: int, most: int) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    size = draw.integers(least, most, AT_ONCE, endpoint=True)
    columns = {name: draw.choice(values, size.sum()) for name, values in _VALUES.items()}
    columns["city"] = np.repeat([f"{i:06d}" for i in range(AT_ONCE)], size)
    return table(pl.DataFrame(columns))


def table(rows: pl.DataFrame | list[tuple[Any, ...]]) -> pl.DataFrame:
    """Columns of a survey as `survey.Survey` takes them, from amounts in UNIT."""
    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, schema=list(NAMES), orient="row")
    money = ("income", "consumption", "food", "housing", "own")
    return frame.select(
        *[(pl.col(name) * UNIT).cast(pl.Int64).alias(f"{name}_fen") for name in money],
        (pl.col("basic") * UNIT).alias("basic_paid_fen"),
        (pl.col("assistance") * UNIT).alias("medical_assistance_paid_fen"),
        "weight",
        "n_members",
        pl.min_horizontal("n_children", pl.col("n_members") - 1).alias("n_children"),
        pl.col("cluster").cast(pl.String).alias("cluster_id"),
        "city",
    )


def places(frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """The surveys one by one."""
    for (city,), here in frame.partition_by("city", as_dict=True).items():
        yield str(city), here


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

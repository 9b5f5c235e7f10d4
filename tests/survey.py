"""A survey of a few households as a table in memory, asked like a built store: no files, so thousands can be asked.

The columns are those the build writes for a survey (analytics/facts/household_survey.sql and ledger.sql).
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

from analytics.facts.partition import DIMENSIONS
from analytics.measures import Book, Raw, Replayed
from analytics.store import Engine
from analytics.tiers import TIERS, full_order

PLACE = ("440400", 2023)
MONEY = ("cost_fen", "own_before_fen", "own_gross_fen", "own_cash_fen", "own_net_fen")
GIVEN = {
    "n_members": pl.Int32, "n_children": pl.Int32, "weight": pl.Float64, "cluster_id": pl.String, "stratum_id": pl.String,
    "income_fen": pl.Int64, "consumption_fen": pl.Int64, "food_fen": pl.Int64, "housing_fen": pl.Int64, "policy_line_fen": pl.Int64,
}  # fmt: skip


class Survey:
    """One engine; every `put` replaces the households."""

    def __init__(self) -> None:
        self.engine = Engine({})

    def put(self, frame: pl.DataFrame) -> None:
        """`frame`: own_fen and any of GIVEN, `city`, `<tier>_paid_fen`; what is not given is NULL. With own_0_fen, own_1_fen, ... it
        is a ledger replayed without each of its tiers."""
        connection = self.engine._con
        connection.register("given", fact(frame))
        connection.execute("CREATE OR REPLACE TABLE household_year AS SELECT * FROM given").fetchall()
        connection.unregister("given")
        snapshot: Any = SimpleNamespace(
            id="in memory", manifest={"synthetic": False, "facts_version": "test", "plans": []}
        )
        tiers = tuple(t.id for t in TIERS if t.paid in frame.columns) if "own_0_fen" in frame.columns else ()
        ledger = Replayed(self.engine, {"household_year": "household_year"}, PLACE, {}, full_order(), tiers)
        self.book = Book(snapshot, ledger)

    def raw(self, measure: str, by: tuple[str, ...] = (), **parameters: object) -> Raw:
        return self.book.ask(measure, by, {}, {k: str(v) for k, v in parameters.items()})

    def uncertain(self, measure: str, by: tuple[str, ...] = (), **parameters: object) -> pl.DataFrame:
        """The rows with standard errors."""
        given = {k: str(v) for k, v in parameters.items()}
        return self.book.ask(measure, by, {}, given, se="superpopulation").table

    def value(self, measure: str, **parameters: object) -> float | None:
        """The one number of a question without dimensions."""
        value: float | None = self.raw(measure, (), **parameters).table["value"][0]
        return value

    def values(self, measure: str, by: str, **parameters: object) -> dict[Any, float | None]:
        table = self.raw(measure, (by,), **parameters).table
        return dict(zip(table[by], table["value"], strict=True))

    def places(self, measure: str, **parameters: object) -> np.ndarray:
        """The numbers of all cities in their order, NaN where undefined."""
        return numbers(self.raw(measure, ("city",), **parameters).table)

    def places_by(self, measure: str, by: str, **parameters: object) -> dict[str, np.ndarray]:
        """The same for every value of a dimension."""
        table = self.raw(measure, ("city", by), **parameters).table
        return {str(key): numbers(rows) for (key,), rows in table.partition_by(by, as_dict=True).items()}


def numbers(table: pl.DataFrame, column: str = "value") -> np.ndarray:
    return table.sort("city")[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def fact(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows as the build would write them."""
    given = {name: pl.col(name) if name in frame.columns else pl.lit(None) for name in GIVEN}
    paid = [t for t in TIERS if t.paid in frame.columns]
    before = sum((pl.col(t.paid) for t in paid), pl.col("own_fen"))
    left, after = before, {}
    for tier in paid:
        left = left - pl.col(tier.paid)
        after[tier.id] = left
    rows = frame.with_row_index("at").select(
        (pl.col("city") if "city" in frame.columns else pl.lit(PLACE[0])).alias("city"),
        pl.lit(PLACE[1]).cast(pl.Int32).alias("plan_year"),
        *[pl.lit("unknown").alias(name) for name in DIMENSIONS],
        pl.lit("unknown").alias("income_group"),
        pl.col("at").cast(pl.Int64).alias("household_key"),
        pl.lit(True).alias("is_linked"),
        pl.lit(None).cast(pl.Boolean).alias("urban"),
        *[column.cast(GIVEN[name]).alias(name) for name, column in given.items()],
        *[(before if name in ("cost_fen", "own_before_fen") else pl.col("own_fen")).cast(pl.Int64).alias(name) for name in MONEY],
        *[(pl.col(t.paid) if t in paid else pl.lit(None)).cast(pl.Int64).alias(t.paid) for t in TIERS],
        pl.col("^own_\\d+_fen$"),
        *[after.get(t.id, pl.lit(None)).cast(pl.Int64).alias(t.after) for t in TIERS],
    )  # fmt: skip
    return rows.with_columns(
        pl.col("weight").fill_null(1.0),
        pl.col("cluster_id").fill_null(pl.col("household_key").cast(pl.String)),
    )

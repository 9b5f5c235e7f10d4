"""The largest contributions to the sums of a city-year: what disclosure rules on money ask for, by household."""

from pathlib import Path

import polars as pl

from analytics.measures.question import Question
from analytics.measures.rows import cut, ledger
from analytics.store import Engine, Query

LARGEST = "largest"  # key of the rows of a cube that hold them
_WHOLE = {"all_cost": "cost_fen", "all_own": "own_net_fen", "all_in_policy": "in_policy_fen"}
_WHOLE |= {"all_out_of_catalogue": "out_of_catalogue_fen"}


def largest(engine: Engine, table: str) -> pl.DataFrame:
    """Rows of a cube: `at` says what is summed (paid, before and cost of those paid by a tier, the whole by person), the cost
    band or person group and the tier; numerator and denominator are the largest and second largest share in fen.
    """
    query = Query.load(Path(__file__).with_suffix(".sql"))
    question = Question.of("tier_share", ["tier"])
    sql = query.fill(
        fact=table,
        ledger=ledger(question, {}),
        band=cut("cost_band"),
        whole=", ".join(f"sum({column}::DOUBLE) AS {name}" for name, column in _WHOLE.items()),
        each=", ".join(f"max({name}, 2) AS {name}" for name in _WHOLE),
    )
    rows = engine.ask(sql)
    return rows.select(
        pl.lit(LARGEST).alias("key"),
        at=pl.concat_list("what", "part", "tier").list.drop_nulls(),
        numerator=pl.col("first").cast(pl.Float64),
        denominator=pl.col("second").cast(pl.Float64),
    )

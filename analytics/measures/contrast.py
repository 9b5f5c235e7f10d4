"""Differences from a reference (a year, a city), with errors that know who stands on both sides, and Holm's adjustment for the
number of comparisons.
"""

from collections.abc import Mapping, Sequence
from math import erfc, sqrt
from typing import Any

import polars as pl

from analytics.measures.compile import Compiled
from analytics.measures.form import uncertainty
from analytics.measures.question import Question
from analytics.measures.resample import Resample, carried
from analytics.measures.rows import Fact
from analytics.measures.uncertainty import Errors, Sure
from analytics.reference import Unable
from analytics.store import Engine

COLUMNS = ("difference", "difference_se", "difference_low", "difference_high", "p_value", "p_adjusted")


def contrast(
    engine: Engine,
    question: Question,
    chosen: Mapping[str, str],
    fact: Fact,
    tiers: Sequence[str],
    sure: Sure,
    against: tuple[str, str],
) -> tuple[pl.DataFrame, str, dict[str, Any], dict[str, Any]]:
    """The groups of a question with COLUMNS: each less the group of its own other dimensions that has the reference value,
    NULL for the reference itself; SQL, what is bound in it, and how the errors were found.
    """
    dimension, reference = against
    if sure.method == "equal_variances":
        raise ValueError(
            "se_method = equal_variances: gives no error of a difference; leave it out or take convenient"
        )
    by = list(question.by)
    asked = Compiled(question, chosen, fact, tiers, carry=carried(question.measure))
    table = engine.ask(asked.sql, asked.bound)
    others = [name for name in by if name != dimension]
    base = table.filter(pl.col(dimension).cast(pl.String) == reference)
    if base.is_empty():
        raise Unable(f"against {dimension}={reference}: the answer holds no such row", "no_reference")
    sql, bound, told = asked.sql, dict(asked.bound), dict(sure.told)
    if sure.sampling == "population":
        error = table.select(*by, difference_se=pl.lit(None, dtype=pl.Float64))
    elif sure.method == "bootstrap":
        resample = Resample(engine, question, chosen, fact, tiers)
        drawn, last = zip(*resample.values(), strict=True)
        each = _less(pl.concat(drawn), dimension, reference, [*others, "replicate"])
        error = each.group_by(by).agg(
            (pl.col("difference").std() * sqrt(resample.part)).alias("difference_se")
        )
        sql += f"\n-- errors: the standard deviation of the difference over replicates of\n{last[-1].sql}"
        bound |= last[-1].bound
        told |= resample.told
    else:
        errors = Errors(asked, sure).of_difference(dimension)
        error = engine.ask(errors, {**asked.bound, "reference": reference})
        sql += f"\n-- errors of the differences\n{errors}"
        bound["reference"] = reference
    table = _less(table, dimension, reference, others)
    table = table.join(
        error.select(*by, "difference_se"), on=by, how="left", nulls_equal=True, maintain_order="left"
    )
    is_reference = pl.col(dimension).cast(pl.String) == reference
    table = table.with_columns(
        pl.when(~is_reference).then(pl.col(c)).alias(c) for c in ("difference", "difference_se")
    )
    half = uncertainty().interval.half * pl.col("difference_se")
    p = [_p(d, se) for d, se in table.select("difference", "difference_se").rows()]
    table = table.with_columns(
        difference_low=pl.col("difference") - half,
        difference_high=pl.col("difference") + half,
        p_value=pl.Series(p, dtype=pl.Float64),
        p_adjusted=pl.Series(holm(p), dtype=pl.Float64),
    )
    return table, sql, bound, told


def _less(table: pl.DataFrame, dimension: str, reference: str, others: Sequence[str]) -> pl.DataFrame:
    base = table.filter(pl.col(dimension).cast(pl.String) == reference).select(
        *others, pl.col("value").alias("base")
    )
    joined = (
        table.join(base, on=others, how="left", nulls_equal=True, maintain_order="left")
        if others
        else table.join(base, how="cross")
    )
    return joined.with_columns((pl.col("value") - pl.col("base")).alias("difference")).drop("base")


def _p(difference: float | None, se: float | None) -> float | None:
    """Two-sided, normal."""
    if difference is None or not se:
        return None
    return erfc(abs(difference) / se / sqrt(2))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment over all comparisons that could be made."""
    known = sorted((value, i) for i, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    highest: float = 0
    for place, (value, i) in enumerate(known):
        highest = max(highest, min(1, (len(known) - place) * value))
        adjusted[i] = highest
    return adjusted

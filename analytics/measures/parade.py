"""Pen's parade: persons lined up by living standard, in stretches of equal weight, before and after paying for care."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from analytics.measures.compile import Compiled
from analytics.measures.form import Measure
from analytics.measures.question import Question
from analytics.measures.rows import Fact
from analytics.reference import load_toml
from analytics.store import Engine


@cache
def form() -> Measure:
    """What the parade is."""
    return Measure.model_validate(load_toml(Path(__file__).with_suffix(".toml")))


def question(
    where: Mapping[str, Sequence[str | int]] | None, parameters: Mapping[str, str] | None
) -> Question:
    """Raises ValueError as every question does."""
    return Question.put(form(), ("point", "payments"), where, parameters)


def parade(
    engine: Engine, asked: Question, chosen: Mapping[str, str], fact: Fact, points: int, least: int
) -> tuple[pl.DataFrame, str, dict[str, Any]]:
    """Per `point` (1 the poorest) and `payments` (gross, net): `value`, the mean living standard before or after paying as a
    multiple of the line; `share`, of persons, up to the middle of the point; numerator and denominator in yuan per person.
    `points`: how many at most; `least`: households of a point at least. Raises ValueError for less than one point.
    """
    if points < 1:
        raise ValueError(f"points {points}: a parade has 1 point or more, such as 100")
    compiled = Compiled(asked, chosen, fact)
    compiled.by, compiled.ranks = (), ["living"]
    head = f"WITH {compiled.rows()}"
    n = engine.ask(f"{head}\nSELECT count(*) FROM cut WHERE usable", compiled.bound).item()
    compiled.bound["points"] = max(1, min(points, n // least))
    each = (
        f"SELECT point, '{payments}' AS payments, 'parade' AS measure, {column} / nullif(line, 0) AS value, {column} / 100 AS numerator, "
        "line / 100 AS denominator, n, n AS n_numerator, 0 AS n_excluded, share FROM stretch"
        for payments, column in (("gross", "living"), ("net", "left_over"))
    )
    sql = f"""\
{head},
{compiled.ranked("living")},
stretch AS (
    SELECT least(floor(rank * $points)::INTEGER, $points - 1) + 1 AS point, (min(below) + max(up_to)) / 2 AS share, sum(n)::BIGINT AS n,
        fsum(all_living) / sum(weighed) AS living, fsum(all_left) / sum(weighed) AS left_over, fsum(all_line) / sum(weighed) AS line
    FROM rank_living WHERE usable GROUP BY point
)
{" UNION ALL ".join(each)} ORDER BY point, payments
"""
    return engine.ask(sql, compiled.bound), sql, compiled.bound

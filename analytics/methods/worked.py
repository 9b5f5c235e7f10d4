"""Worked examples: ten invented households, every measure asked of them by the compiler and the engine that ask everything else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
from pydantic import Field

from analytics import reference
from analytics.measures import Book, Replayed, measures
from analytics.measures.compile import Compiled
from analytics.measures.rows import Fact
from analytics.release import Released, release
from analytics.store import Engine
from analytics.tiers import TIERS

PLACE = ("ten", 2023)
ORDER = ("basic", "serious_illness", "medical_assistance")  # tiers of the ten households, in order of payment
ALL = "all"  # stands for the tier where an answer is not by tier
FEN = 100
_DIMENSIONS = (
    "insurance_type", "person_group", "age_band", "sex", "hospital_level", "care_type", "cross_region", "product",
    "income_group",
)  # fmt: skip
# Column of the ledger -> column of the ten households.
_MONEY = {
    "consumption_fen": "consumption",
    "food_fen": "food",
    "housing_fen": "housing",
    "cost_fen": "cost",
    "own_net_fen": "own_burden",
    **{f"{k}_paid_fen": k for k in ORDER},
}
_COUNTS = {"n_members": "members", "n_children": "children", "weight": "weight"}
COLUMNS = {**_COUNTS, **_MONEY}


class Example(reference.Form):
    """What a measure is asked with, and the exact answer as a fraction, by tier or under `all`; none where it is no fraction."""

    set: dict[str, str] = Field(default_factory=dict)
    exact: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Worked:
    """A worked example. `answer`: its rows, nothing protected, since nobody real is in them; `exact`: by tier or `all`;
    `columns`: those of the ten households that the SQL looks at; `parts`: what each household adds to each sum, by household and tier.
    """

    answer: Released
    exact: Mapping[str, Fraction]
    columns: tuple[str, ...]
    parts: pl.DataFrame


def households() -> pl.DataFrame:
    """The ten as they are written down: yuan, members, children under 14, survey weight."""
    return pl.read_csv(reference.root() / "data" / "examples" / "ten_households.csv")


@cache
def examples() -> dict[str, Example]:
    """Examples by measure. Raises ValueError for one of a measure that is not in the catalogue."""
    rows = reference.load_toml(Path(__file__).with_name("worked.toml"))
    if unknown := rows.keys() - measures().keys():
        raise ValueError(f"worked.toml: no such measure: {', '.join(sorted(unknown))}")
    return {name: Example.model_validate(row) for name, row in rows.items()}


@cache
def worked(measure: str) -> Worked | None:
    """The worked example of a measure; None where the ten households cannot show it."""
    if measure not in examples():
        return None
    example, form = examples()[measure], measures()[measure]
    by = () if form.tier_optional and not form.credit else ("tier",)
    raw = book().ask(measure, by, parameters=example.set)
    asked = Compiled(raw.question, raw.parameters, Fact(form.grain), ORDER, carry={"id": "household_key"})
    sql = _parts(asked)
    parts = _engine().ask(sql, {name: value for name, value in asked.bound.items() if f"${name}" in sql})
    named = set(re.findall(r"\w+", raw.sql))
    if any(name.endswith(("_after_fen", "own_before_fen")) for name in named):
        named.add("cost_fen")  # what is left after a tier is the cost less the payments
    columns = tuple(ours for theirs, ours in COLUMNS.items() if theirs in named)
    exact = {tier: Fraction(text) for tier, text in example.exact.items()}
    return Worked(release(raw, protect=False), exact, columns, parts)


def _parts(asked: Compiled) -> str:
    """What every row adds to each sum; where its rank weighs it, the rank too."""
    tables = "".join(
        f" LEFT JOIN rank_{by} ON rank_{by}.key = cut.key_{by} AND rank_{by}.usable AND cut.usable"
        + "".join(f" AND rank_{by}.{name} = cut.{name}" for name in asked.by)
        for by in asked.ranks
    )
    select = ["cut.id", *(f"cut.{name}" for name in asked.by), "cut.usable"]
    select += [f"rank_{by}.rank AS rank_{by}" for by in asked.ranks]
    for piece in asked.pieces.values():
        times = re.sub(r"\b(rank|below|up_to)\b", rf"rank_{piece.by}.\1", piece.times)
        over = f" / {asked.divisor}" if asked.divisor > 1 and piece.column == "numerator" else ""
        select.append(f"cut.{asked.column(piece)}{f' * ({times})' if times else ''}{over} AS {piece.column}")
    ctes = ",\n".join([asked.rows(), *(asked.ranked(by) for by in asked.ranks)])
    order = "".join(f", cut.{name}" for name in asked.by)
    return f"WITH {ctes}\nSELECT {', '.join(select)} FROM cut{tables} ORDER BY cut.id{order}"


@cache
def book() -> Book:
    """The ten households as a survey, and as ten persons."""
    told: Any = SimpleNamespace(id=PLACE[0], manifest={"synthetic": True, "facts_version": "", "plans": []})
    tables = {"household_year": "household_year", "person_year": "person_year"}
    return Book(told, Replayed(_engine(), tables, PLACE, {}, ORDER))


@cache
def _engine() -> Engine:
    ten, engine = households(), Engine({})

    def fen(yuan: pl.Expr, name: str) -> pl.Expr:
        return (yuan * FEN).cast(pl.Int64).alias(name)

    ledger = [fen(pl.col(ours), theirs) for theirs, ours in _MONEY.items()]
    ledger += [fen(pl.col("cost"), "own_before_fen")]
    ledger += [fen(pl.col("own_burden"), name) for name in ("own_gross_fen", "own_cash_fen")]
    missing = ["income_fen", "policy_line_fen"]
    for tier in TIERS:
        if tier.id in ORDER:
            paid = [pl.col(k) for k in ORDER[: ORDER.index(tier.id) + 1]]
            ledger.append(fen(pl.col("cost") - pl.sum_horizontal(paid), tier.after))
        else:
            missing += [tier.paid, tier.after]
    fact = ten.select(
        pl.lit(PLACE[0]).alias("city"),
        pl.lit(PLACE[1]).cast(pl.Int32).alias("plan_year"),
        *[pl.lit("unknown").alias(name) for name in _DIMENSIONS],
        pl.col("id").alias("household_key"),
        *[pl.col(ours).alias(theirs) for theirs, ours in _COUNTS.items()],
        *ledger,
        *[pl.lit(None, pl.Int64).alias(name) for name in missing],
        pl.col("id").cast(pl.String).alias("cluster_id"),
        pl.lit(None, pl.String).alias("stratum_id"),
    )
    engine.hold("household_year", fact.with_columns(pl.col("weight").cast(pl.Float64)))
    engine.hold("person_year", fact.drop("weight"))
    return engine

"""Primary protection: small cells are hidden whole, with one pattern for value, numerator, denominator and count."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from pydantic import Field

from analytics.measures import DIFFERENCES, Measure, Raw
from analytics.reference import Form, load_toml

if TYPE_CHECKING:
    from analytics.release.figure import Figure

SHOWN, HIDDEN, UNDEFINED = "shown", "hidden", "undefined"


class Policy(Form):
    """`k`: fewest persons or households a shown cell may rest on. The rest is for protected tables, see policy.toml."""

    k: int = Field(ge=2)
    contributors: tuple[Literal["household", "hospital"], ...] = Field(min_length=1)
    p: int = Field(ge=1, le=99)
    dominance_n: Literal[1, 2]
    dominance_share: int = Field(ge=1, le=100)
    base_count: int = Field(ge=1)
    base_yuan: int = Field(ge=1)
    insiders: int = Field(ge=0)
    whole_numbers: int = Field(ge=0)


@cache
def policy() -> Policy:
    return Policy.model_validate(load_toml(Path(__file__).parent / "policy.toml"))


@dataclass(frozen=True)
class Released:
    """A protected answer, the only thing charts, tables, reports and downloads accept.

    `table`: dimensions asked, measure, value, numerator, denominator, n, n_excluded, n_no_resource (of measures with a resource), status (shown, hidden: protected,
    everything null; undefined: nothing to divide by). Money in yuan, shares as fractions. `figures`: the answers it is made of, one
    unless several were put together. `behind`: of every cell shown, what else protection counts: the persons or households that add
    to its numerator (`n_numerator`) and, of a measure that counts, those that do not (`n_rest`); None of tables published.
    """

    measure: Measure
    by: tuple[str, ...]
    where: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, str]
    table: pl.DataFrame
    sql: str
    bound: Mapping[str, Any]
    provenance: Mapping[str, Any]
    figures: "tuple[Figure, ...]" = ()
    behind: pl.DataFrame | None = None


def release(raw: Raw | Released, *, protect: bool = True) -> Released:
    """Protect an answer; releasing twice changes nothing. `protect=False` is for the local user's own eyes."""
    if isinstance(raw, Released):
        return raw
    k = policy().k
    n, hit = pl.col("n"), pl.col("n_numerator")
    least = 2 * k if raw.question.measure.quantile else k  # so many on each side of a quantile
    small = n.is_between(1, least - 1) | hit.is_between(1, k - 1)
    counted = [hit]
    if raw.question.measure.counts:
        rest = pl.col("n_rest") if "n_rest" in raw.table.columns else n - hit
        small = small | rest.is_between(1, k - 1)
        counted.append(rest.alias("n_rest"))
    hidden = small if protect else pl.lit(False)
    status = (
        pl.when(hidden)
        .then(pl.lit(HIDDEN))
        .when(pl.col("denominator") == 0)
        .then(pl.lit(UNDEFINED))
        .otherwise(pl.lit(SHOWN))
    )
    known = ("value", "numerator", "denominator", "n", "n_excluded")
    more = [
        name
        for name in raw.table.columns
        if name not in (*raw.question.by, "measure", "n_numerator", "n_rest", *known)
    ]
    shown = (*known, *more)
    judged = raw.table.with_columns(status.alias("status"))
    behind = judged.filter(pl.col("status") != HIDDEN).select(*raw.question.by, *counted)
    table = judged.with_columns(
        pl.when(pl.col("status") == HIDDEN).then(None).otherwise(pl.col(name)).alias(name) for name in shown
    )
    if "n_no_resource" in table.columns and protect:
        few = pl.col("n_no_resource").is_between(1, k - 1)
        table = table.with_columns(n_no_resource=pl.when(~few).then("n_no_resource"))
    if raw.against:
        table = _hide_differences(table, raw.question.by, raw.against)
    columns = [*raw.question.by, "measure", *shown, "status"]
    question, several = raw.question, raw.provenance.get("in_several_cities", 0)
    provenance = {
        **raw.provenance,
        **({"n_no_resource": _in_all(table, question.by, k)} if "n_no_resource" in table.columns else {}),
        "protection": f"n < {k}" if protect else "none",
        **({"in_several_cities": f"n < {k}"} if protect and 0 < several < k else {}),
        "hidden": table.filter(pl.col("status") == HIDDEN).height,
    }
    return Released(
        question.measure,
        question.by,
        question.where,
        raw.parameters,
        table.select(columns),
        raw.sql,
        raw.bound,
        provenance,
        behind=behind,
    )


def _in_all(table: pl.DataFrame, by: tuple[str, ...], k: int) -> int | str:
    """Households without resources behind the whole answer, as far as its cells tell; tiers and thresholds look at the same
    households again.
    """
    again = [name for name in by if name in ("tier", "threshold")]
    sums = table.group_by(again or pl.lit(0)).agg(pl.col("n_no_resource").sum())["n_no_resource"]
    known = int(sums.max() or 0)  # type: ignore[arg-type]
    if not table["n_no_resource"].null_count():
        return known
    return f">= {known}" if known else f"n < {k}" if table.height == 1 else "protected"


def _hide_differences(table: pl.DataFrame, by: tuple[str, ...], against: tuple[str, str]) -> pl.DataFrame:
    """A difference from a hidden cell would give the hidden value away."""
    others = [name for name in by if name != against[0]]
    hidden = table.filter((pl.col(against[0]).cast(pl.String) == against[1]) & (pl.col("status") == HIDDEN))
    gone = (
        table.join(hidden.select(others), on=others, how="semi", nulls_equal=True)
        if others
        else table
        if hidden.height
        else table.clear()
    )
    rows = gone.select(by).with_columns(gone=pl.lit(True))
    return (
        table.join(rows, on=by, how="left", nulls_equal=True, maintain_order="left")
        .with_columns(
            pl.when(pl.col("gone").is_null()).then(pl.col(name)).alias(name) for name in DIFFERENCES
        )
        .drop("gone")
    )

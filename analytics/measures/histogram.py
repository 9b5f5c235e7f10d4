"""How burdens lie against resources, in bins of half a percent: made once per city-year, it answers every threshold of that grid
about the households of a place at any stage of payment, as the facts would.
"""

from collections.abc import Callable, Mapping, Sequence
from math import fsum
from pathlib import Path
from typing import Any

import polars as pl

from analytics.measures.compile import Compiled
from analytics.measures.form import Measure, grammar
from analytics.measures.question import BEFORE_ALL, Question, number
from analytics.measures.rows import Fact, over, steps
from analytics.reference import load_toml
from analytics.store import Engine, Query
from analytics.tiers import TIER

HISTOGRAM = "histogram"  # begins the key of its rows in a cube
_GRID = load_toml(Path(__file__).with_name("cube.toml"))["histogram"]
STEP, TOP = int(_GRID["step_bp"]), int(_GRID["top"])
_HEADS, _OVER = "w * (catastrophic)::INTEGER", "w * (overshoot)"
_OWN = "own_burden "  # stage without tiers: every definition of what is owed in the end
_FREE = ("threshold", "own_burden", "weight")  # what one histogram answers any value of


def question(where: Mapping[str, Sequence[str | int]], resource: str) -> Question:
    """What stands for all it answers."""
    return Question.of("catastrophic_headcount", ["tier"], where, {"resource": resource})


def histogram(engine: Engine, asked: Question, chosen: Mapping[str, str], fact: Fact) -> pl.DataFrame:
    """Rows of a cube: a key per stage, without a list of dimensions, and its bins."""
    compiled = Compiled(asked, chosen, fact, carry={"w_person": grammar().weights["person"].sql})
    stages = [(step.tier, step.columns["own"], step.there) for step in steps(asked)]
    stages += [(_OWN + code, one.sql, "") for code, one in grammar().own_burdens.items()]
    owns = [f"({own})::{fact.wide} * $per AS own_{i}" for i, (_, own, _) in enumerate(stages)]
    owns += [f"({there}) AS there_{i}" for i, (*_, there) in enumerate(stages) if there]
    parts = [
        f"SELECT {i}::UTINYINT AS stage, own_{i} AS own, resource, w, w_person, usable FROM home{f' WHERE there_{i}' if there else ''}"
        for i, (*_, there) in enumerate(stages)
    ]
    reached = over(chosen) == ">="
    query = Query.load(Path(__file__).with_suffix(".sql"))
    sql = query.fill(
        head=compiled.head([]),
        usable=compiled.usable(),
        owns=", ".join(owns),
        stages="\n    UNION ALL ".join(parts),
        reached="own" if reached else "own - 1",
        edge="bin BETWEEN 0 AND $top AND own = resource * bin" if reached else "false",
    )
    bound = {k: v for k, v in compiled.bound.items() if not k.startswith("threshold")}
    rows = engine.ask(sql, bound | {"per": 10_000 // STEP, "top": TOP})
    return (
        rows.group_by("stage", maintain_order=True)
        .agg(bins=pl.struct(pl.exclude("stage")))
        .select(key=pl.col("stage").map_elements(lambda i: key(chosen, stages[i][0]), pl.String), bins="bins")
    )


def key(chosen: Mapping[str, str], stage: str) -> str:
    """What tells the histogram of a stage from others of its city-year."""
    told = " ".join(f"{k}={v}" for k, v in sorted(chosen.items()) if k not in _FREE)
    return f"{HISTOGRAM} {told} {stage}"


def answers(measure: Measure) -> bool:
    """Whether a measure is made of what lies in the bins."""
    of = (measure.numerator, measure.denominator)
    plain = (
        measure.grain == "household_year" and measure.where == measure.usable == "true" and not measure.sums
    )
    made = of[0] in (_HEADS, _OVER) and of[1] in (_HEADS, "w") and measure.unit == "share"
    return plain and made and not measure.credit and not measure.hit


def answer(
    held: Callable[[str], pl.DataFrame | None], asked: Question, chosen: Mapping[str, str]
) -> pl.DataFrame | None:
    """The rows of a question about one place (threshold and tier besides what it is told without); None where it is no threshold of
    the grid or no such histogram is `held` under a key.
    """
    several = asked.thresholds if "threshold" in asked.by else (chosen.get("threshold", ""),)
    if not answers(asked.measure) or not all(several):
        return None
    points = {code: number("threshold", code) for code in several}
    if any(bp % STEP or not STEP <= bp <= STEP * TOP for bp in points.values()):
        return None
    if "tier" in asked.by:
        some = asked.where.get("tier") or (BEFORE_ALL, *TIER)
        stages = {tier: tier for tier in (BEFORE_ALL, *TIER) if tier in some}
    else:
        stages = {"": _OWN + chosen["own_burden"]}
    found = {tier: bins for tier, stage in stages.items() if (bins := held(key(chosen, stage))) is not None}
    if not found:
        return None
    by = [name for name in asked.by if name in ("threshold", "tier")]
    rows = [
        {"threshold": code, "tier": tier, **_point(bins, asked.measure, int(bp) // STEP, chosen["weight"])}
        for code, bp in sorted(points.items())
        for tier, bins in found.items()
    ]
    if by[:1] == ["tier"]:
        place = {tier: i for i, tier in enumerate(found)}
        rows.sort(key=lambda row: place[row["tier"]])
    return pl.DataFrame(rows).select(
        *by, pl.lit(asked.measure.id).alias("measure"), pl.exclude("threshold", "tier")
    )


def _point(bins: pl.DataFrame, measure: Measure, k: int, weight: str) -> dict[str, Any]:
    """One row of an answer, of the threshold k."""
    tag = "" if weight == "household" else "_person"
    usable, above = bins.filter(pl.col("bin") > -2), bins.filter(pl.col("bin") >= k)
    finite = above.filter(pl.col("bin") <= TOP)
    n = int(usable[f"n{tag}"].sum())
    everybody, heads = _sum(usable[f"w{tag}"]), _sum(above[f"w{tag}"])
    hit, numerator = int(above[f"n_hit{tag}"].sum()), heads
    if measure.numerator == _OVER:
        edge = bins.filter(pl.col("bin") == k)[f"n_edge{tag}"].sum()  # reached, not passed
        hit = int(finite[f"n_hit{tag}"].sum()) - int(edge)
        over = _sum(finite[f"r{tag}"]) - k * STEP / 10_000 * _sum(finite[f"w{tag}"])
        numerator = over * min(hit, 1)  # reached by some, passed by none: rounding alone
    denominator = heads if measure.denominator == _HEADS else everybody
    return {
        "value": numerator / denominator if denominator else None,
        "numerator": numerator,
        "denominator": denominator,
        "n": n,
        "n_numerator": hit,
        "n_excluded": int(bins["n"].sum()) - n,
        "n_no_resource": int(bins["n_no_resource"].sum()),
    }


def _sum(numbers: pl.Series) -> float:
    return fsum(numbers.drop_nulls())

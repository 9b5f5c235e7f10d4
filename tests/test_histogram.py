"""The histogram of burdens against resources: at every threshold of its grid what the facts answer, off the grid nothing."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from survey import PLACE, Survey

from analytics.measures import Book, grammar
from analytics.measures.cube import Kept
from analytics.measures.histogram import STEP, TOP, answer
from analytics.measures.question import Question
from analytics.release import digest
from analytics.store import Store
from analytics.tiers import TIERS

WHERE = {"city": [PLACE[0]], "plan_year": [PLACE[1]]}
GRID = [
    f"{k * STEP / 10_000:.3f}" for k in range(1, TOP + 1)
]  # three decimals: none is spelt as a listed one
MEASURES = ("catastrophic_headcount", "catastrophic_overshoot", "mean_positive_overshoot")
PLAIN = {
    "income": pl.col("income_fen"), "consumption": pl.col("consumption_fen"), "policy_line": pl.col("policy_line_fen"),
    "nonfood": pl.col("consumption_fen") - pl.col("food_fen"),
}  # fmt: skip


def _held(rows: pl.DataFrame) -> Callable[[str], pl.DataFrame | None]:
    def held(key: str) -> pl.DataFrame | None:
        found = rows.filter(pl.col("key") == key)
        return found.explode("bins").select("bins").unnest("bins") if found.height else None

    return held


def _both(
    survey: Survey, rows: pl.DataFrame, measure: str, by: tuple[str, ...], given: dict[str, str]
) -> tuple[pl.DataFrame | None, pl.DataFrame]:
    """By the histogram, and of the facts."""
    facts = survey.book.ask(measure, by, {}, given)
    asked = Question.of(measure, by, {}, given)
    return answer(_held(rows), asked, dict(facts.parameters)), facts.table


def _same(one: pl.DataFrame, other: pl.DataFrame) -> None:
    assert_frame_equal(one, other, check_exact=False, rel_tol=1e-12, abs_tol=1e-13)
    counts = ["n", "n_numerator", "n_excluded", "n_no_resource"]
    assert one.select(counts).equals(other.select(counts))


@pytest.fixture(scope="module")
def sample(sample_store: Path) -> tuple[Book, Book, pl.DataFrame]:
    """With prepared answers, without, and the households of one city-year."""
    snapshot = Store(sample_store).current()
    prepared, facts = Book(snapshot), Book(snapshot)
    facts._kept = Kept({})
    paths = [p.path for p in snapshot.partitions("household_year") if (p.city, p.plan_year) == PLACE]
    return prepared, facts, pl.concat(pl.read_parquet(path) for path in paths)


@pytest.mark.parametrize("resource", PLAIN)
def test_every_threshold_of_the_grid_by_every_stage(
    sample: tuple[Book, Book, pl.DataFrame], resource: str
) -> None:
    book, _, homes = sample
    given = {"threshold": ",".join(GRID), "resource": resource}
    raw = book.ask("catastrophic_headcount", ["threshold", "tier"], WHERE, given)
    assert raw.provenance["prepared"] is True
    stages = {"none": "own_before_fen"} | {t.id: t.after for t in TIERS if homes[t.paid].count()}
    assert raw.table.height == len(GRID) * len(stages) > 1000
    found = {(r["threshold"], r["tier"]): r for r in raw.table.iter_rows(named=True)}
    left_out = resource in ("nonfood", "policy_line")  # without a resource: left out, else any burden counts
    of = homes.with_columns(PLAIN[resource].alias("resource")).filter(pl.col("resource").is_not_null())
    for tier, own in stages.items():
        burden, means = of[own].to_list(), of["resource"].to_list()
        pairs = [(o, x) for o, x in zip(burden, means, strict=True) if x > 0 or not left_out]
        for k, code in enumerate(GRID, 1):
            hits = sum(o * 10_000 > x * k * STEP if x > 0 else o > 0 for o, x in pairs)
            row = found[code, tier]
            assert (row["n"], row["n_numerator"], row["numerator"]) == (len(pairs), hits, hits), (tier, code)
            assert row["n_excluded"] == homes.height - len(pairs)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("weight", ["household", "person"])
def test_the_facts_say_the_same(sample: tuple[Book, Book, pl.DataFrame], measure: str, weight: str) -> None:
    for resource in ("capacity_to_pay", "discretionary"):
        if resource not in sample[1].answerable(measure, "resource", WHERE):
            continue
        for by, threshold in (
            (["tier"], "0.175"),
            (["plan_year", "tier", "threshold"], "0.005,0.41,1"),
            ([], "0.33"),
        ):
            given = {"resource": resource, "weight": weight, "threshold": threshold}
            one, other = (book.ask(measure, by, WHERE, given) for book in sample[:2])
            assert one.provenance.get("prepared") and not other.provenance.get("prepared")
            _same(one.table, other.table)
            assert (one.sql, one.bound) == (other.sql, other.bound)


@pytest.mark.parametrize("own_burden", list(grammar().own_burdens))
def test_what_is_owed_in_the_end_by_every_definition(
    sample: tuple[Book, Book, pl.DataFrame], own_burden: str
) -> None:
    """And computed again from the facts, as a figure is, its digest is the same."""
    for measure in MEASURES:
        given = {"resource": "income", "threshold": "0.175", "own_burden": own_burden}
        one, other = (book.ask(measure, [], WHERE, given) for book in sample[:2])
        assert one.provenance.get("prepared") and not other.provenance.get("prepared")
        assert one.table["n_numerator"][0] > 0
        _same(one.table, other.table)
        assert digest(one.table) == digest(other.table)


@pytest.mark.parametrize("threshold", ["0.173", "0.0001", "1.005", "2"])
def test_off_the_grid_the_facts_are_asked(sample: tuple[Book, Book, pl.DataFrame], threshold: str) -> None:
    given = {"resource": "income", "threshold": threshold}
    assert "prepared" not in sample[0].ask("catastrophic_headcount", ["tier"], WHERE, given).provenance


@pytest.mark.parametrize(
    "more", [{"by": ["tier", "income_group"]}, {"where": {**WHERE, "income_group": ["1"]}}]
)
def test_of_some_households_the_facts_are_asked(
    sample: tuple[Book, Book, pl.DataFrame], more: dict[str, object]
) -> None:
    asked = {"by": ["tier"], "where": WHERE, "parameters": {"threshold": "0.175"}} | more
    assert "prepared" not in sample[0].ask("catastrophic_headcount", **asked).provenance  # type: ignore[arg-type]


def _edges() -> pl.DataFrame:
    """Burdens exactly on thresholds and one fen to each side, with every odd resource and weight."""
    rng = np.random.default_rng(7)
    rows = [
        {"own_fen": max(own + d, 0), "income_fen": income}
        for income in (200, 20_000, 123_400)
        for k in (1, 2, 20, 80, 199, 200, 201)
        for own in [income * k // 200]
        for d in (-1, 0, 1)
    ]
    rows += [{"own_fen": o, "income_fen": x} for o in (0, 1, 500) for x in (0, -300, None)]
    n = len(rows)
    return pl.DataFrame(rows, schema={"own_fen": pl.Int64, "income_fen": pl.Int64}).with_columns(
        consumption_fen=pl.col("income_fen"),
        food_fen=pl.lit(0, pl.Int64),
        weight=pl.Series(rng.choice([0.0, 0.3, 1.0, 2.7], n)),
        n_members=pl.Series([None if i % 11 == 5 else int(i % 5) for i in range(n)], dtype=pl.Int32),
        basic_paid_fen=pl.Series(rng.integers(0, 3, n) * 100),
        charity_paid_fen=pl.Series(rng.integers(0, 2, n) * 50),
    )


@pytest.fixture(scope="module")
def edges() -> tuple[Survey, pl.DataFrame]:
    survey = Survey()
    survey.put(_edges())
    rows = survey.book.histogram({})
    assert rows is not None
    return survey, rows


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("resource", ["income", "nonfood", "capacity_to_pay"])
@pytest.mark.parametrize("weight", ["household", "person"])
def test_on_the_edge_and_without_resources(
    edges: tuple[Survey, pl.DataFrame], measure: str, resource: str, weight: str
) -> None:
    given = {"threshold": "0.005,0.1,0.4,1", "resource": resource, "weight": weight}
    one, other = _both(*edges, measure, ("threshold", "tier"), given)
    assert one is not None and other["n_numerator"].n_unique() > 3
    _same(one, other)


@pytest.mark.parametrize("own", ["net_of_commercial", "gross"])
def test_what_is_owed_in_the_end(edges: tuple[Survey, pl.DataFrame], own: str) -> None:
    given = {"threshold": "0.4", "resource": "income", "own_burden": own}
    one, other = _both(*edges, "catastrophic_headcount", (), given)
    assert one is not None
    _same(one, other)


def test_a_changed_bin_is_found(edges: tuple[Survey, pl.DataFrame]) -> None:
    survey, rows = edges
    at = pl.col("key") == "histogram resource=income none"
    moved = rows.with_columns(
        bins=pl.when(at)
        .then(pl.col("bins").list.eval(pl.element().struct.with_fields(pl.field("bin") + 1)))
        .otherwise("bins")
    )
    compare = partial(
        _both,
        survey,
        measure="catastrophic_headcount",
        by=("tier",),
        given={"threshold": "0.1", "resource": "income"},
    )
    one, other = compare(rows)
    assert one is not None
    _same(one, other)
    one, other = compare(moved)
    assert one is not None
    with pytest.raises(AssertionError):
        _same(one, other)

"""Thresholds are compared exactly at every amount: in the fast whole numbers where the files say that they hold them, else in
wider ones. Expected: Python's whole numbers, which know no limit.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from survey import PLACE, fact

from analytics.measures import Book, Raw, Replayed, grammar
from analytics.measures.rows import wide
from analytics.store import Engine
from analytics.tiers import full_order

NARROW = grammar().narrow_fen
# Own burden, income: at, one fen above and one below a threshold of 2 of 10 000 and of ten times the income.
EDGES = {
    "narrow": [
        (NARROW // 5000, NARROW),
        (NARROW // 5000, NARROW - 1),
        (NARROW // 5000 - 1, NARROW),
        (NARROW, NARROW // 10),
        (NARROW, NARROW // 10 - 1),
        (NARROW - 1, NARROW // 10),
    ],
    "wide": [
        (10**15, 5 * 10**18),
        (10**15, 5 * 10**18 + 1),
        (10**15, 5 * 10**18 - 1),
        (9 * 10**18, 9 * 10**17),
        (9 * 10**18, 9 * 10**17 - 1),
        (9 * 10**18 - 1, 9 * 10**17),
    ],
}


def answer(engine: Engine, threshold: str, se: str = "") -> Raw:
    snapshot: Any = SimpleNamespace(
        id="edges", manifest={"synthetic": False, "facts_version": "", "plans": []}
    )
    book = Book(snapshot, Replayed(engine, {"household_year": "household_year"}, PLACE, {}, full_order()))
    asked = {"threshold": threshold, "resource": "income"}
    return book.ask("catastrophic_headcount", [], None, asked, se=se)


@pytest.mark.parametrize("kind", EDGES)
@pytest.mark.parametrize("threshold", ["0.0002", "10"])
def test_a_threshold_is_exact_at_every_amount(kind: str, threshold: str, tmp_path: Path) -> None:
    rows = EDGES[kind]
    made = fact(pl.DataFrame(rows, schema=["own_fen", "income_fen"], orient="row"))
    made.write_parquet(tmp_path / "household_year.parquet")
    engine = Engine({"household_year": [tmp_path / "household_year.parquet"]})
    bp = round(float(threshold) * 10_000)
    hit = [own * 10_000 > income * bp for own, income in rows]
    assert any(hit) and not all(hit)
    for found in (answer(engine, threshold), answer(engine, threshold, se="superpopulation")):
        assert found.table["n_numerator"].item() == sum(hit)
        assert ("own::HUGEINT * 10000" in found.sql) == (kind == "wide")
        assert ("own::BIGINT * 10000" in found.sql) == (kind == "narrow")


def test_what_files_do_not_tell_is_taken_for_large(tmp_path: Path) -> None:
    made = fact(
        pl.DataFrame({"own_fen": [1, None], "income_fen": [-3, None]}, schema_overrides={"own_fen": pl.Int64})
    )
    path = tmp_path / "household_year.parquet"
    made.write_parquet(path, statistics=False)
    (silent,) = Engine({"household_year": [path]}).told("household_year").values()
    assert wide(silent) == "HUGEINT"
    made.write_parquet(path)
    (told,) = Engine({"household_year": [path]}).told("household_year").values()
    assert (told["income_fen"].low, told["own_net_fen"].high) == (-3, 1)
    assert wide(told) == "BIGINT"
    held = Engine({})
    held.hold("household_year", made)
    assert held.told("household_year") == {}
    assert wide({}) == "HUGEINT"
    assert "own::HUGEINT * 10000" in answer(held, "0.10").sql

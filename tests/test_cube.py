"""Prepared answers: the same as asked of the facts, used only where that is certain, never from another program's hand."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from analytics.desk.answer import Desk
from analytics.measures import Book, made_by
from analytics.measures.cube import Kept, prepared, questions
from analytics.reference import root
from analytics.store import Store

PLACES = ({"city": ["440400"], "plan_year": ["2023"]}, {"city": ["440400"]}, {})
LEADS = ([], ["plan_year"], ["city", "plan_year"])


@pytest.fixture(scope="module")
def books(sample_store: Path) -> Iterator[tuple[Book, Book]]:
    """One that knows the prepared answers, one that does not."""
    snapshot = Store(sample_store).current()
    with_cube, without = Book(snapshot), Book(snapshot)
    without._kept = Kept({})
    yield with_cube, without


def _asked(book: Book, *question: object) -> object:
    try:
        return book.ask(*question)  # type: ignore[arg-type]
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("row", range(len(prepared())))
def test_prepared_answers_are_those_of_the_facts(books: tuple[Book, Book], row: int) -> None:
    wanted = set(prepared()[row].measures)
    compared = used = 0
    for measure, by, parameters in questions():
        if measure not in wanted or by not in prepared()[row].by:
            continue
        for where in PLACES:
            for lead in LEADS:
                question = (measure, [*lead, *by], where, parameters)
                one = _asked(books[0], *question)
                if not isinstance(one, str) and not one.provenance.get("prepared"):  # type: ignore[attr-defined]
                    compared += 1  # asked of the facts, as the other would
                    continue
                other = _asked(books[1], *question)
                if isinstance(one, str) or isinstance(other, str):
                    assert one == other
                    continue
                assert (one.sql, one.bound, one.parameters) == (other.sql, other.bound, other.parameters)  # type: ignore[attr-defined]
                assert_frame_equal(one.table, other.table, check_exact=False, rel_tol=1e-12)  # type: ignore[attr-defined]
                compared += 1
                used += 1
    assert used and compared > used, "some are prepared, and sums over places are asked of the facts"


def test_a_threshold_is_a_row_of_all_thresholds(books: tuple[Book, Book]) -> None:
    for threshold in ("0.05", "0.25", "0.40", "0.173"):
        one, other = (
            book.ask("catastrophic_headcount", ["city", "plan_year", "tier"], {}, {"threshold": threshold})
            for book in books
        )
        assert bool(one.provenance.get("prepared")) == (threshold != "0.173"), "what is off the grid is asked"
        assert_frame_equal(one.table, other.table)
        assert one.table.height > 20


@pytest.mark.parametrize("measure", ["burden_reduction_rate", "catastrophic_headcount"])
def test_some_tiers_are_rows_of_all(books: tuple[Book, Book], measure: str) -> None:
    where = {"plan_year": ["2023"], "tier": ["basic", "medical_assistance"]}
    one, other = (book.ask(measure, ["city", "tier"], where) for book in books)
    assert one.provenance.get("prepared") and set(one.table["tier"]) == set(where["tier"])
    assert_frame_equal(one.table, other.table)


def test_people_are_asked_of_the_facts(books: tuple[Book, Book]) -> None:
    where = {"city": ["440400"], "plan_year": ["2023"], "sex": ["female"]}
    raw = books[0].ask("reach", ["tier"], where)
    assert "prepared" not in raw.provenance


def test_what_another_program_prepared_is_not_used(
    sample_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Store(sample_store).current().manifest["prepared_by"] == made_by()
    # the bands of cost decide rows too, and stand outside the measures
    bands = tmp_path / "data" / "reference" / "bands.toml"
    bands.parent.mkdir(parents=True)
    bands.write_bytes((root() / "data" / "reference" / "bands.toml").read_bytes() + b"\n# moved\n")
    monkeypatch.setattr("analytics.measures.cube.reference.root", lambda: tmp_path)
    raw = Book(Store(sample_store).current()).ask("reach", ["tier"], PLACES[0])
    assert "prepared" not in raw.provenance


def test_the_answer_says_that_it_was_prepared(sample_store: Path) -> None:
    released = Desk.open(sample_store).ask("reach", ["tier"], PLACES[0])
    assert released.provenance["prepared"] is True
    json.dumps(dict(released.provenance))

"""Households whose resource is zero or negative are counted with every answer, protected, and the figure says what became of them."""

from typing import Any

import polars as pl
import pytest
from survey import Survey

from analytics.figures import tables, words
from analytics.methods.worked import book
from analytics.release import Released, release

# Of the first city 14 households without income (2 of them below zero) and 20 with it, of the second 3 and 20; two tell none.
INCOMES = [("440400", income) for income in [0] * 12 + [-500] * 2 + [100_000 + i for i in range(20)] + [None]]
INCOMES += [("440800", income) for income in [0, -1, 0] + [50_000 + i for i in range(20)] + [None]]
ALL, FIRST = 17, 14


def put(rows: list[tuple[str, int | None]]) -> Survey:
    made = Survey()
    city, income = zip(*rows, strict=True)
    frame = pl.DataFrame({"city": city, "income_fen": income}, schema_overrides={"income_fen": pl.Int64})
    columns = frame.with_columns(
        own_fen=pl.Series([(i * 37) % 20_000 for i in range(len(rows))]),
        consumption_fen=pl.Series([60_000 + i % 5 for i in range(len(rows))]),
        food_fen=pl.Series([70_000 if i < 15 else 1_000 for i in range(len(rows))]),
        n_members=pl.lit(2),
        basic_paid_fen=pl.lit(1_000),
        serious_illness_paid_fen=pl.lit(500),
    )  # fmt: skip
    made.put(columns)
    return made


@pytest.fixture(scope="module")
def survey() -> Survey:
    return put(INCOMES)


def ask(
    survey: Survey,
    measure: str,
    by: tuple[str, ...] = (),
    se: str = "",
    protect: bool = True,
    **parameters: str,
) -> Released:
    return release(survey.book.ask(measure, by, {}, parameters, se=se), protect=protect)


CASES: list[tuple[str, dict[str, str], str, int]] = [
    ("catastrophic_headcount", {"resource": "income"}, "catastrophic", ALL),
    ("catastrophic_concentration", {"resource": "income"}, "catastrophic", ALL),
    ("budget_share", {"resource": "income"}, "left_out", ALL),
    ("catastrophic_overshoot", {"resource": "nonfood"}, "left_out", 15),
    ("gini", {"living_standard": "income"}, "kept", ALL),
    ("kakwani", {"living_standard": "income"}, "kept", ALL),
    ("poverty_headcount", {"living_standard": "income"}, "kept", ALL),
    ("poverty_gap", {"living_standard": "income", "negative": "floored"}, "floored", ALL),
    ("mean_log_deviation", {"living_standard": "income"}, "left_out", ALL),
]  # fmt: skip


@pytest.mark.parametrize(("measure", "parameters", "rule", "n"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("se", ["", "superpopulation"])
def test_their_number_comes_with_the_answer(
    survey: Survey, measure: str, parameters: dict[str, str], rule: str, n: int, se: str
) -> None:
    found = ask(survey, measure, se=se, **parameters)
    assert found.table["n_no_resource"].to_list() == [n]
    assert (found.provenance["n_no_resource"], found.provenance["no_resource"]) == (n, rule)


def test_what_is_kept_and_what_is_left_out_is_told_rightly(survey: Survey) -> None:
    """Those kept are among n, those left out among n_excluded, beside the two who tell no income."""
    kept = ask(survey, "catastrophic_headcount", resource="income").table
    gone = ask(survey, "budget_share", resource="income").table
    assert (kept["n"].item(), kept["n_excluded"].item()) == (ALL + 40, 2)
    assert (gone["n"].item(), gone["n_excluded"].item()) == (40, ALL + 2)


def test_few_are_protected_and_cannot_be_taken_from_the_total(survey: Survey) -> None:
    found = ask(survey, "gini", ("city",), living_standard="income")
    assert dict(found.table.select("city", "n_no_resource").rows()) == {"440400": FIRST, "440800": None}
    assert found.table["status"].to_list() == ["shown", "shown"]
    assert found.provenance["n_no_resource"] == f">= {FIRST}"
    bare = ask(survey, "gini", ("city",), protect=False, living_standard="income")
    assert bare.provenance["n_no_resource"] == ALL
    second = put([row for row in INCOMES if row[0] == "440800"])
    alone = ask(second, "gini", living_standard="income")
    assert alone.provenance["n_no_resource"] == "n < 11" and alone.table["n_no_resource"].to_list() == [None]


def test_tiers_and_thresholds_look_at_the_same_households(survey: Survey) -> None:
    for by in (("threshold",), ("tier",), ("tier", "city")):
        found = ask(survey, "catastrophic_headcount", by, protect=False, resource="income")
        assert found.provenance["n_no_resource"] == ALL and found.table.height > 1


def test_measures_of_persons_know_nothing_of_it() -> None:
    found: Any = release(book().ask("own_burden_mean"), protect=False)
    assert "n_no_resource" not in found.table.columns and "no_resource" not in found.provenance


def test_the_figure_says_it_in_words(survey: Survey) -> None:
    one = ask(survey, "catastrophic_headcount", resource="income")
    cities = ask(survey, "catastrophic_headcount", ("city",), resource="income")
    with words.reading("zh", "auto"):
        assert tables.no_resource(one).startswith("家庭收入为零或负的家庭：17 户。")
        assert "至少 14 户" in tables.no_resource(cities)
    with words.reading("en", "auto"):
        assert tables.no_resource(one).startswith(
            "Households with zero or negative household income: 17. With any"
        )
    nobody = release(survey.book.ask("catastrophic_headcount", [], {}, {"resource": "consumption"}))
    assert tables.no_resource(nobody) == ""

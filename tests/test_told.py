"""What the footers of files tell of their columns, and questions that rely on it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from analytics.measures.expression import is_whole
from analytics.measures.form import measures
from analytics.measures.question import Question
from analytics.measures.rows import Fact, apart, together, wide
from analytics.measures.wide import compiled
from analytics.store import Column, Engine
from analytics.tiers import TIERS

N = 3000
INCOME = {"resource": "income", "threshold": "0.10", "weight": "household", "game": "accounting"}


def household(i: int, city: int, weight: float) -> dict[str, object]:
    """A household: the first city has no charity, the second has it for some; supplements are nowhere."""
    left, row = 1_000_000 + i * 7919 % 9_000_000, {"city": str(city), "plan_year": 2023, "weight": weight}
    row |= {"n_members": i % 4 + 1, "income_fen": None if i % 11 == 0 else i * 104_729 % 60_000_000 - 500_000}
    row |= {"cost_fen": left, "own_before_fen": left}
    for at, tier in enumerate(TIERS):
        some = tier.id != "statutory_supplement" and (tier.id != "charity" or (city == 2 and i % 3 > 0))
        paid = i * (at + 3) * 15_485_863 % (left // 2 + 1) if some else None
        left -= paid or 0
        row |= {tier.paid: paid, tier.after: left if some else None}
    return row | {"own_net_fen": left, "own_gross_fen": left, "own_cash_fen": left}


def files(folder: Path, weights: Sequence[float]) -> list[Path]:
    found = []
    for city in (1, 2):
        schema = dict.fromkeys((c for t in TIERS for c in (t.paid, t.after)), pl.Int64)
        rows = pl.DataFrame(
            [household(i, city, weights[i % len(weights)]) for i in range(N)], schema_overrides=schema
        )
        found.append(folder / f"{city}.parquet")
        rows.write_parquet(found[-1], statistics=True, row_group_size=1000)
    return found


@pytest.fixture(scope="module", params=[(1.0,), (0.5, 1.7, 2.0)], ids=["one", "fractions"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    paths = files(tmp_path_factory.mktemp("told"), request.param)
    return Engine({"household_year": paths, "first": paths[:1], "second": paths[1:]}, threads=1)


def told(engine: Engine, table: str = "household_year") -> dict[str, Column]:
    return together([*engine.told(table).values()])


def test_footers_tell_what_the_rows_hold(opened: Engine) -> None:
    for table in ("household_year", "first", "second"):
        rows = opened.ask(f"SELECT * FROM {table}")
        for name, known in told(opened, table).items():
            column = rows[name]
            assert known.empty == (column.null_count() == column.len()), name
            assert known.filled == (column.null_count() == 0), name
            if column.dtype.is_numeric() and not known.empty:
                assert (known.low, known.high) == (column.min(), column.max()), name
    first, second = told(opened, "first"), told(opened, "second")
    assert first["charity_paid_fen"].empty
    assert not second["charity_paid_fen"].empty
    assert not second["charity_paid_fen"].filled
    assert not told(opened)["charity_paid_fen"].empty


def test_files_are_apart_where_each_is_known_to_be_one_place() -> None:
    def file(city: float, year: float, last: float | None = None, filled: bool = True) -> dict[str, Column]:
        return {
            "city": Column(False, filled, city, last or city),
            "plan_year": Column(False, True, year, year),
        }

    assert apart([file(1, 2022), file(1, 2023), file(2, 2022)])
    for other in (file(1, 2022), file(2, 2022, last=3), file(2, 2022, filled=False), {}):
        assert not apart([file(1, 2022), other])
    assert not apart([file(1, 2022)]), "one place needs no groups"
    assert not apart([])


def test_nothing_is_told_where_footers_are_silent(tmp_path: Path) -> None:
    path = tmp_path / "silent.parquet"
    pl.DataFrame({"a_fen": [1, 2, None]}).write_parquet(path, statistics=False)
    (known,) = Engine({"t": [path]}).told("t").values()
    assert not known["a_fen"].empty
    assert not known["a_fen"].filled
    assert known["a_fen"].low is None
    assert wide(known) == "HUGEINT", "amounts nobody vouches for need room"
    assert wide({"a_fen": Column(False, True, -5, 10)}) == "BIGINT"
    assert wide({"a_fen": Column(False, True, -(10.0**13), 10)}) == "HUGEINT"
    assert wide({}) == "HUGEINT"
    assert together([]) == {}
    assert "b" not in together([{"a": known["a_fen"], "b": known["a_fen"]}, {"a": known["a_fen"]}])


@pytest.mark.parametrize("table", ["household_year", "first", "second"])
@pytest.mark.parametrize(
    "name",
    [
        "catastrophic_headcount",
        "catastrophic_overshoot",
        "shapley_headcount",
        "shapley_overshoot",
        "last_in_headcount",
    ],
)
def test_answers_are_the_same_whether_or_not_it_is_known(opened: Engine, name: str, table: str) -> None:
    tiers = tuple(t.id for t in TIERS if t.id not in ("statutory_supplement", "charity"))
    for by in (["tier"], ["city", "tier"], ["city", "plan_year", "tier"], ["city", "plan_year"], []):
        asked = Question.of(
            name, by, {}, {k: v for k, v in INCOME.items() if k in measures()[name].parameters}
        )
        chosen = {**asked.parameters, **{k: v for k, v in INCOME.items() if k in asked.parameters}}
        credited = tiers if asked.measure.credit else ()
        one, other = (
            compiled(asked, chosen, Fact(table, "BIGINT", told=known, apart=each), credited)
            for known, each in ((told(opened, table), apart([*opened.told(table).values()])), ({}, False))
        )
        assert ("GROUP BY file" in one.sql) == ("plan_year" in by and table == "household_year")
        assert (one.sql != other.sql) or not by, "what is known is used"
        found, expected = (opened.ask(c.sql, c.bound) for c in (one, other))
        assert found.height
        whole = [c for c in expected.columns if not expected[c].dtype.is_float()]
        assert found.select(whole).equals(expected.select(whole))
        for column in ("value", "numerator", "denominator"):
            assert found[column].to_list() == pytest.approx(
                expected[column].to_list(), rel=1e-13, nan_ok=True
            )


def test_headcount_by_tier_is_that_of_a_plain_query(opened: Engine) -> None:
    asked = Question.of("catastrophic_headcount", ["tier"], {}, {"resource": "income", "threshold": "0.10"})
    c = compiled(asked, {**asked.parameters, **INCOME}, Fact("household_year", "BIGINT", told=told(opened)))
    found = {row["tier"]: row for row in opened.ask(c.sql, c.bound).iter_rows(named=True)}
    assert set(found) == {"none", *(t.id for t in TIERS if t.id != "statutory_supplement")}
    for tier in TIERS:
        if tier.id in found:
            n, heads, everybody = opened.ask(
                f"SELECT count(*), sum(weight) FILTER (10 * {tier.after} > income_fen AND ({tier.after} > 0 OR income_fen > 0)), sum(weight) "
                f"FROM household_year WHERE {tier.paid} IS NOT NULL AND income_fen IS NOT NULL"
            ).row(0)
            row = found[tier.id]
            assert row["n"] == n
            assert (row["numerator"], row["denominator"]) == pytest.approx((heads, everybody), rel=1e-12)


def test_gini_after_each_tier_is_the_mean_difference_of_those_who_have_the_tier(opened: Engine) -> None:
    """One order of rows serves all tiers; that of charity has fewer rows in one city, and none in the other."""
    given = {"living_standard": "income", "scale": "none", "weight": "household"}
    for by in (["tier"], ["city", "tier"]):
        table = "household_year" if "city" in by else "second"
        asked = Question.of("gini_net", by, {}, given)
        c = compiled(asked, {**asked.parameters, **given}, Fact(table, "BIGINT", told=told(opened, table)))
        found = opened.ask(c.sql, c.bound)
        assert found.height == 7 + 6 * (len(by) - 1), "before all, and every tier that is there"
        for row in found.iter_rows(named=True):
            left = "own_before_fen" if row["tier"] == "none" else f"{row['tier']}_after_fen"
            kept = f"{left} IS NOT NULL AND income_fen IS NOT NULL AND city = '{row.get('city', '2')}'"
            x, w = (
                opened.ask(f"SELECT income_fen - {left} AS x, weight FROM {table} WHERE {kept}").to_numpy().T
            )
            apart = w @ np.abs(x[:, None] - x) @ w
            assert row["n"] == len(x)
            assert row["value"] == pytest.approx(apart / (2 * w.sum() * (w @ x)), rel=1e-11)


@pytest.mark.parametrize("table", ["first", "second"])
def test_what_a_tier_without_credit_paid_is_no_part_of_the_fall(opened: Engine, table: str) -> None:
    """The second city has a charity that no credit goes to, so its ledger leaves less than all of the others do."""
    tiers = tuple(t.id for t in TIERS if t.id not in ("statutory_supplement", "charity"))
    asked = Question.of("shapley_headcount", ["tier"], {}, INCOME)
    fact = Fact(table, "BIGINT", told=told(opened, table))
    c = compiled(asked, {**asked.parameters, **INCOME}, fact, tiers)
    left = "own_net_fen + coalesce(charity_paid_fen, 0)"
    heads = (
        f"sum(weight) FILTER (10 * ({own}) > income_fen AND (({own}) > 0 OR income_fen > 0))"
        for own in ("own_before_fen", left)
    )
    before, after, everybody = opened.ask(
        f"SELECT {', '.join(heads)}, sum(weight) FROM {table} WHERE income_fen IS NOT NULL"
    ).row(0)
    assert ("own_net_fen" in c.sql) == (table == "first"), "the ledger is used where it says just that"
    assert opened.ask(c.sql, c.bound)["value"].sum() == pytest.approx((before - after) / everybody, rel=1e-12)


def test_whole_expressions_are_told_by_their_words() -> None:
    assert is_whole("coalesce(basic_paid_fen, 0) + own", False)
    assert is_whole("w * (own > 0)::INTEGER", True)
    assert not is_whole("w * (own > 0)::INTEGER", False)
    for text in (
        "own / 2",
        "own * 0.5",
        "living ^ 2",
        "size * 2",
        "ln(own)",
        "own * multiplier",
        "sqrt(n_members)",
    ):
        assert not is_whole(text, True), text

"""Measures of a product year, by hand on a few policies and row by row in plain Python on the sample's deliveries."""

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from canonical import WEIHAI, built, deliver, settle
from policies import CARE, PAYMENTS, PEOPLE, PERSONS, Row, after, paid, spell

from analytics.desk.answer import Desk
from analytics.measures import Book, Question
from analytics.release import release
from analytics.store import Folder, Store

HERE = {"city": [WEIHAI], "plan_year": [2024]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    store = tmp_path_factory.mktemp("products")
    deliver(store, settlement=CARE, commercial_claim=PAYMENTS, enrolment=PEOPLE, person=PERSONS)
    return built(store)


def asked(snapshot: Folder, measure: str, by: tuple[str, ...] = (), where: Any = HERE) -> list[Row]:
    return release(Book(snapshot).ask(measure, by, where), protect=False).table.to_dicts()


# measure, numerator and denominator as shown (money in yuan), value, n, n_excluded; worked by hand from tests/policies.py
BY_HAND = [
    ("participation_rate", 5, 6, Fraction(5, 6), 6, 0),
    ("renewal_rate", 2, 3, Fraction(2, 3), 3, 0),
    # 8,900 + 8,900 + 3,900 + 1,000 fen of premium; one policy without a premium is left out with the 70 it was paid
    ("loss_ratio", 12.59, 227, Fraction(1_259, 22_700), 5, 1),
    ("claim_incidence", 2, 5, Fraction(2, 5), 5, 0),
    ("claims_per_100", 5, 5, Fraction(100), 6, 0),
    ("paid_per_person", 13.29, 5, Fraction(1_329, 500), 6, 0),
    ("paid_per_claim", 13.29, 5, Fraction(1_329, 500), 3, 0),
    ("one_stop_share", 1, 2, Fraction(1, 2), 2, 3),
    ("cross_region_share", 2, 3, Fraction(2, 3), 2, 2),
    ("days_to_pay_median", 1, 2, Fraction(0), 1, 3),  # 0 and 10 days: half of them do not pass 0
]


@pytest.mark.parametrize("expected", BY_HAND, ids=lambda e: e[0])
def test_by_hand(world: Folder, expected: tuple[str, float, float, Fraction, int, int]) -> None:
    measure, numerator, denominator, value, n, excluded = expected
    (row,) = asked(world, measure)
    assert (row["numerator"], row["denominator"]) == pytest.approx((numerator, denominator))
    assert row["value"] == pytest.approx(float(value))
    assert (row["n"], row["n_excluded"], row["status"]) == (n, excluded, "shown")


def test_the_loss_ratio_says_what_its_premiums_rest_on(world: Folder) -> None:
    cells = {r["premium_basis"]: r for r in asked(world, "loss_ratio", ("premium_basis",))}
    assert cells["record"]["value"] == pytest.approx(1_209 / 9_900)
    assert (cells["plan"]["value"], cells["plan"]["denominator"]) == (0, 128)
    assert (cells["none"]["status"], cells["none"]["numerator"], cells["none"]["n_excluded"]) == (
        "undefined",
        0.5,
        1,
    )


def test_a_year_the_extract_does_not_hold_is_undefined_not_zero(world: Folder) -> None:
    """Of 2023 nobody knows the year before; of 2025 there is care but no enrolment."""
    found = {
        r["plan_year"]: (r["status"], r["value"]) for r in asked(world, "renewal_rate", ("plan_year",), {})
    }
    assert found[2023] == found[2025] == ("undefined", None)
    found = {r["plan_year"]: r["status"] for r in asked(world, "participation_rate", ("plan_year",), {})}
    assert found == {2023: "shown", 2024: "shown"}


def test_claims_by_liability(world: Folder) -> None:
    cells = {r["liability"]: r["value"] for r in asked(world, "paid_per_claim", ("liability",))}
    assert cells == pytest.approx({"in_catalogue": (1_000 + 50 + 70 + 9) / 400, "special_drugs": 2.0})


WRONG = [
    ("participation_rate", ["product"], "dimension product: participation_rate cannot be cut by it; it can by city"),
    ("loss_ratio", ["liability"], "cannot be cut by it"),
    ("one_stop_share", ["care_type"], "cannot be cut by it"),
    ("claim_incidence", ["tier"], "cannot be cut by it"),
]  # fmt: skip


@pytest.mark.parametrize(("measure", "by", "message"), WRONG)
def test_cuts_that_say_nothing_are_refused(measure: str, by: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Question.of(measure, by)


def test_what_did_not_come_is_named(tmp_path: Path) -> None:
    deliver(
        tmp_path / "a",
        settlement=[settle("s", 10, year=2023)],
        enrolment=[spell(1, 2023)],  # Weihai published no premium for 2023
        commercial_claim=[paid("c", 5, plan_year=2023)],
    )
    bare = built(tmp_path / "a")
    for measure, wanted in (
        ("loss_ratio", "enrolment.premium"),
        ("one_stop_share", "commercial_claim.is_one_stop"),
        ("cross_region_share", "setl_id"),
        ("days_to_pay_median", "pay_date"),
        ("renewal_rate", "year before"),
    ):
        with pytest.raises(ValueError, match=f"nothing to compute it from here; it needs .*{wanted}"):
            asked(bare, measure, where={})
    with pytest.raises(ValueError, match=r"it needs enrolment\.premium"):
        Book(bare).ask("loss_ratio", se="superpopulation")
    deliver(tmp_path / "b", settlement=[settle("s", 10)])
    none = built(tmp_path / "b")
    with pytest.raises(ValueError, match="needs policy_year facts; nobody holds a product here"):
        asked(none, "loss_ratio", where={})
    with pytest.raises(ValueError, match=r"needs claim facts; .* deliver commercial_claim"):
        asked(none, "paid_per_claim", where={})


def test_a_store_built_before_says_build_again(tmp_path: Path) -> None:
    deliver(tmp_path, settlement=[settle("s", 10)])
    old = built(tmp_path)
    del old.manifest["facts"]
    with pytest.raises(ValueError, match="build it again: jianfu build STORE"):
        asked(old, "loss_ratio", where={})


# --- protection


def shown(store: Path, measure: str, payments: list[Row]) -> str:
    deliver(store, settlement=[settle("s", 10, year=2024)], commercial_claim=payments)
    (row,) = release(Book(built(store)).ask(measure, (), HERE)).table.to_dicts()
    return str(row["status"])


def test_persons_are_protected_not_payments(tmp_path: Path) -> None:
    many = [paid(f"k{i}", 100, person=1) for i in range(40)]
    assert shown(tmp_path / "a", "paid_per_claim", many) == "hidden"
    assert (
        shown(tmp_path / "b", "paid_per_claim", [paid(f"k{i}", 100, person=i) for i in range(11)]) == "shown"
    )
    # eleven persons paid one-stop, one of them by hand as well
    payments = [paid(f"k{i}", 100, person=i, is_one_stop=True) for i in range(11)]
    assert shown(tmp_path / "c", "one_stop_share", payments) == "shown"
    assert shown(tmp_path / "d", "one_stop_share", [*payments, paid("x", 9, is_one_stop=False)]) == "hidden"


@pytest.mark.parametrize(("persons", "status"), [(21, "hidden"), (22, "shown")])
def test_a_median_rests_on_enough_persons_on_each_side(tmp_path: Path, persons: int, status: str) -> None:
    payments = [paid(f"k{i}", 100, person=i, **after(i)) for i in range(persons)]
    assert shown(tmp_path, "days_to_pay_median", payments) == status


# --- the sample, from its deliveries


def delivered(store: Path, table: str) -> list[Row]:
    parts = [p for d in Store(store).deliveries() for p in d.partitions(table)]
    return [r for p in parts for r in pl.read_parquet(p.path).iter_rows(named=True)]


def middle(values: list[int]) -> int:
    return sorted(values)[(len(values) + 1) // 2 - 1]


def test_every_measure_equals_a_scalar_computation(sample_store: Path) -> None:
    desk, city, year = Desk.open(sample_store), "440400", 2023
    people = [r for r in delivered(sample_store, "enrolment") if r["city"] == city]
    now, before = (
        {r["person_key"]: r for r in people if r["start_date"].year == y and r["product_code"]} for y in (year, year - 1)
    )  # fmt: skip
    insured = {r["person_key"] for r in people if r["start_date"].year == year}
    claims = [
        r for r in delivered(sample_store, "commercial_claim")
        if (r["city"], r["plan_year"], r["tier"], r["status"]) == (city, year, "inclusive", "paid") and r["paid_amt_fen"] > 0
    ]  # fmt: skip
    place = {
        r["setl_id"]: r["cross_region"] for r in delivered(sample_store, "settlement") if r["city"] == city
    }
    total, premium = sum(r["paid_amt_fen"] for r in claims), sum(r["premium_fen"] for r in now.values())
    by_person = Counter(r["person_key"] for r in claims)
    assert set(by_person) <= set(now) and len(claims) > len(by_person) > 5
    away = [place[r["setl_id"]] != "local" for r in claims if r["setl_id"]]
    assert any(away) and any(r["setl_id"] is None for r in claims)
    expected = {
        "participation_rate": Fraction(len(now), len(insured)),
        "renewal_rate": Fraction(len(now.keys() & before.keys()), len(before)),
        "loss_ratio": Fraction(total, premium),
        "claim_incidence": Fraction(len(by_person), len(now)),
        "claims_per_100": Fraction(100 * len(claims), len(now)),
        "paid_per_person": Fraction(total, 100 * len(now)),
        "paid_per_claim": Fraction(total, 100 * len(claims)),
        "one_stop_share": Fraction(sum(r["is_one_stop"] for r in claims), len(claims)),
        "cross_region_share": Fraction(sum(away), len(away)),
        "days_to_pay_median": Fraction(middle([(r["pay_date"] - r["claim_date"]).days for r in claims])),
    }
    for measure, value in expected.items():
        (row,) = desk.ask(measure, [], {"city": [city], "plan_year": [year]}, protect=False).table.to_dicts()
        assert row["value"] == pytest.approx(float(value), rel=1e-12), measure
    assert 0.36 <= expected["participation_rate"] <= 0.55
    assert 0.70 <= expected["renewal_rate"] <= 0.90


def test_standard_errors_come_from_families(sample_store: Path) -> None:
    """The linearised error of a ratio, family by family; a median has none."""
    desk = Desk.open(sample_store)
    place = {"city": ["440400"], "plan_year": [2023]}
    parts = Store(sample_store).current().partitions("policy_year")
    frame = pl.concat(pl.read_parquet(p.path) for p in parts if (p.city, p.plan_year) == ("440400", 2023))
    home = [(r["household_key"] is None, r["household_key"] or r["person_key"]) for r in frame.to_dicts()]
    paid_in, premium = Counter[Any](), Counter[Any]()
    for family, row in zip(home, frame.to_dicts(), strict=True):
        if row["is_held"]:
            paid_in[family] += row["paid_fen"]
            premium[family] += row["premium_fen"]
    ratio = sum(paid_in.values()) / sum(premium.values())
    squares = sum((paid_in[f] - ratio * premium[f]) ** 2 for f in premium)
    families = len(set(home))
    expected = (families / (families - 1) * squares) ** 0.5 / sum(premium.values())
    (row,) = desk.ask("loss_ratio", [], place, protect=False, se="superpopulation").table.to_dicts()
    assert row["se"] == pytest.approx(expected, rel=1e-9)
    assert row["ci_low"] < row["value"] < row["ci_high"]
    (row,) = desk.ask("claims_per_100", [], place, protect=False, se="superpopulation").table.to_dicts()
    assert row["value"] / 100 < row["se"] < row["value"]  # of the value per hundred, not per one
    with pytest.raises(ValueError, match="a quantile, which has no standard error"):
        desk.ask("days_to_pay_median", [], place, se="superpopulation")

"""Editions that cross the turn of a year: a policy is of one edition, a payment lightens the burden of the year of care.

Weihai's first edition runs from 26 September 2021 to 25 September 2022 (its plan file). Expected values are counted by hand.
"""

import datetime
from pathlib import Path
from typing import Any

import pytest
from canonical import WEIHAI, ZHUHAI, built, claim, deliver, enrol, facts, settle

from analytics.desk.answer import Desk
from analytics.facts import jobs
from analytics.store import Store

DAY = datetime.date


def policy(person: int, year: int, **other: Any) -> dict[str, Any]:
    """A policy from 26 September to 25 September that does not say what edition it is of."""
    days = {"start_date": DAY(year, 9, 26), "end_date": DAY(year + 1, 9, 25)}
    return enrol(person, **({"product_code": "wnb", "premium_fen": 8_900} | days | other))


def test_a_policy_is_of_the_edition_its_middle_lies_in(tmp_path: Path) -> None:
    """Twenty hold the first edition, five of them the second: 5 of 20 renewed, and nobody holds one in two years."""
    rows = [policy(n, 2021) for n in range(1, 21)] + [policy(n, 2022) for n in range(1, 6)]
    visits = [settle(f"{y}-{n}", 100, person=n, year=y) for n in range(1, 21) for y in (2021, 2022, 2023)]
    deliver(tmp_path, enrolment=rows, settlement=visits)
    built(tmp_path)
    desk = Desk.open(tmp_path)

    def told(measure: str) -> dict[int, tuple[float, float]]:
        table = desk.ask(measure, ["plan_year"], protect=False).table
        return {
            r["plan_year"]: (r["numerator"], r["denominator"])
            for r in table.iter_rows(named=True)
            if r["status"] == "shown"
        }

    assert told("renewal_rate") == {2022: (5, 20)}
    assert told("participation_rate") == {2021: (20, 20), 2022: (5, 20)}
    assert {y: p for y, (_, p) in told("loss_ratio").items()} == {2021: 20 * 89, 2022: 5 * 89}


@pytest.mark.parametrize(
    "other",
    [
        {"product_year": 2022},  # the file says so
        {"start_date": DAY(2022, 1, 1), "end_date": DAY(2024, 12, 31)},  # no policy of one edition
        {"city": ZHUHAI, "start_date": DAY(2022, 1, 1), "end_date": DAY(2022, 12, 31)},  # the calendar year is the edition
        {"start_date": DAY(2022, 1, 1), "end_date": DAY(2022, 12, 31)},  # told by calendar years
        {"end_date": None, "start_date": DAY(2022, 3, 1)},
    ],
)  # fmt: skip
def test_what_the_file_says_or_leaves_open_stays(tmp_path: Path, other: dict[str, Any]) -> None:
    city = other.get("city", WEIHAI)
    deliver(
        tmp_path, enrolment=[policy(1, 2021, **other)], settlement=[settle("a", 100, year=2022, city=city)]
    )
    assert facts(tmp_path)[2022, 1]["product"] == "wnb"


def test_a_payment_lightens_the_year_of_care(tmp_path: Path) -> None:
    """30,000 yuan of own burden in March 2022 and 500 in October 2021; the first edition pays 20,000 of the one and 100 of the other."""
    visits = [settle("a", 50_000, person=1, year=2021), settle("b", 3_000_000, person=1, year=2022)]
    paid = [
        claim("k1", 2_000_000, plan_year=2021, incurred_date=DAY(2022, 3, 5), claim_date=DAY(2022, 4, 1), duty_code="a"),
        claim("k2", 10_000, plan_year=2021, claim_date=DAY(2021, 10, 9), duty_code="a"),
    ]  # fmt: skip
    deliver(tmp_path, settlement=visits, commercial_claim=paid)
    snapshot = built(tmp_path)
    assert {
        key: (r["inclusive_paid_fen"], r["own_net_fen"]) for key, r in facts(snapshot).items()
    } == {(2021, 1): (10_000, 40_000), (2022, 1): (2_000_000, 1_000_000)}  # fmt: skip
    household = facts(snapshot, "household_year")
    assert household[2022, 1]["inclusive_after_fen"] == 1_000_000
    # the product is asked by its own year
    answer = Desk.open(tmp_path).ask("paid_per_claim", ["plan_year"], protect=False).table
    assert [(r["plan_year"], r["numerator"], r["denominator"]) for r in answer.iter_rows(named=True)] == [
        (2021, 20_100, 2)
    ]
    over = {c["plan_year"]: c["rows"] for c in snapshot.manifest["checks"] if c["rule"] == "I11"}
    assert over == {2021: 0, 2022: 0}


@pytest.mark.parametrize(
    ("days", "year"),
    [
        ({"incurred_date": DAY(2021, 12, 31), "pay_date": DAY(2022, 2, 1)}, 2021),
        ({"claim_date": DAY(2022, 1, 1)}, 2022),
        ({"pay_date": DAY(2023, 1, 5)}, 2022),  # care was not after the edition
        ({"incurred_date": DAY(2020, 1, 5)}, 2021),
        ({}, 2021),
        (
            {"city": ZHUHAI, "incurred_date": DAY(2022, 1, 5)},
            2021,
        ),  # here the product year is the year of care
    ],
)
def test_which_year_that_is(tmp_path: Path, days: dict[str, Any], year: int) -> None:
    city = days.get("city", WEIHAI)
    visits = [settle(f"{y}", 100_000, year=y, city=city) for y in (2021, 2022, 2023)]
    deliver(tmp_path, settlement=visits, commercial_claim=[claim("k", 100, plan_year=2021, **days)])
    rows = facts(tmp_path)
    assert {y for (y, _), r in rows.items() if r["inclusive_paid_fen"]} == {year}
    if year == 2022:  # no file of a product of 2022 came, and yet it is known what was paid
        assert (rows[2022, 1]["inclusive_paid_fen"], rows[2023, 1]["inclusive_paid_fen"]) == (100, None)


@pytest.mark.parametrize(
    ("named", "year"),
    [
        ({"setl_id": "late", "claim_date": DAY(2022, 1, 20)}, 2021),  # care of December, claimed in January
        ({"setl_id": "early", "claim_date": DAY(2021, 12, 30)}, 2022),
        ({"setl_id": "early", "incurred_date": DAY(2021, 12, 28)}, 2022),  # its costs stand where it was settled
        ({"mdtrt_id": "Mlate", "claim_date": DAY(2022, 1, 20)}, 2021),
        ({"mdtrt_id": "Mearly", "setl_id": "late", "claim_date": DAY(2022, 1, 20)}, 2021),  # the settlement tells before the stay
        ({"mdtrt_id": "both", "claim_date": DAY(2022, 1, 20)}, 2022),  # a stay settled in two years tells none
        ({"setl_id": "nobody", "mdtrt_id": "nobody", "claim_date": DAY(2022, 1, 20)}, 2022),
        ({"setl_id": "far", "claim_date": DAY(2021, 12, 30)}, 2021),  # settled after the edition, which ran until September 2022
        ({"mdtrt_id": "Mfar", "claim_date": DAY(2021, 12, 30)}, 2021),
        ({"mdtrt_id": "long", "claim_date": DAY(2021, 12, 30)}, 2022),  # one of its two years is of the edition
        ({"setl_id": "other", "claim_date": DAY(2021, 12, 30)}, 2021),  # a number of another city
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "part", [jobs.PART, 2]
)  # all at once, or each city-year a range of persons at a time
def test_the_settlement_a_payment_names_tells_its_year(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: dict[str, Any], year: int, part: int
) -> None:
    """Person 1 was treated in all years; who the settlement was of does not matter, nor that other editions reach further."""
    monkeypatch.setattr(jobs, "PART", part)
    visits = [
        settle("late", 5_000, year=2021), settle("early", 5_000, year=2022), settle("far", 5_000, year=2023),
        *(settle(f"b{y}", 5_000, year=y, mdtrt_id="both", person=2) for y in (2021, 2022)),
        *(settle(f"l{y}", 5_000, year=y, mdtrt_id="long", person=2) for y in (2022, 2023)),
        settle("other", 5_000, year=2022, city="510700", person=3),
    ]  # fmt: skip
    others = [claim(f"n{y}", 0, plan_year=y, claim_date=DAY(y, 12, 1)) for y in (2020, 2022, 2023)]
    deliver(tmp_path, settlement=visits, commercial_claim=[claim("k", 100, plan_year=2021, **named), *others])
    rows = facts(tmp_path)
    paid = {y: r["inclusive_paid_fen"] for (y, _), r in rows.items() if r["inclusive_paid_fen"]}
    assert paid == {year: 100}


def test_a_settlement_delivered_later_moves_the_payment_that_names_it(tmp_path: Path) -> None:
    visits = [settle("a", 5_000, year=2021), settle("b", 5_000, year=2022)]
    paid = [claim("k", 100, plan_year=2021, setl_id="late", claim_date=DAY(2022, 1, 20))]
    deliver(tmp_path, settlement=visits, commercial_claim=paid)
    assert facts(tmp_path)[2022, 1]["inclusive_paid_fen"] == 100
    deliver(tmp_path, settlement=[settle("late", 5_000, year=2021)])
    rows = facts(tmp_path)
    assert (rows[2021, 1]["inclusive_paid_fen"], rows[2022, 1]["inclusive_paid_fen"]) == (100, 0)


def test_a_payment_for_a_year_nobody_told_of_stays_with_its_product(tmp_path: Path) -> None:
    paid = [claim("k", 100, plan_year=2021, incurred_date=DAY(2022, 1, 5))]
    deliver(tmp_path, settlement=[settle("a", 500, year=2021)], commercial_claim=paid)
    built(tmp_path)
    assert facts(tmp_path)[2021, 1]["inclusive_paid_fen"] == 0
    answer = Desk.open(tmp_path).ask("paid_per_claim", [], protect=False).table
    assert answer["numerator"].to_list() == [1]


def test_each_city_year_made_alone_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Years made together share a query; each alone has its own."""
    visits = [settle(f"{y}-{n}", 100_000, person=n, year=y) for n in range(1, 9) for y in (2021, 2022, 2023)]
    paid = [
        claim(f"{y}-{n}", 10 * n, person=n, plan_year=y, incurred_date=DAY(y + n % 2, 3 + n, 1))
        for n in range(1, 9)
        for y in (2021, 2022)
    ]
    deliver(tmp_path, settlement=visits, commercial_claim=paid)
    together = facts(tmp_path)
    assert sum(r["inclusive_paid_fen"] or 0 for r in together.values()) == 2 * 10 * sum(range(1, 9))

    monkeypatch.setattr(jobs, "PART", 2)  # every city-year outgrows memory: alone, a range at a time
    for name in ("snapshots", "current"):
        (Store(tmp_path).path / name).rename(tmp_path / f"old-{name}")
    assert facts(tmp_path) == together


def test_a_reversed_payment_of_another_edition_lightens_nothing(tmp_path: Path) -> None:
    visits = [settle("a", 100_000, year=2021), settle("b", 100_000, year=2022)]
    paid = [claim(k, 100, plan_year=2021, incurred_date=DAY(2022, 3, 5)) for k in ("k1", "k2")]
    deliver(tmp_path, settlement=visits, commercial_claim=paid)
    assert facts(tmp_path)[2022, 1]["inclusive_paid_fen"] == 200
    gone = {"claim_id": "k1", "city": WEIHAI, "plan_year": 2021}
    deliver(tmp_path, commercial_claim_undone=[gone])
    assert facts(tmp_path)[2022, 1]["inclusive_paid_fen"] == 100

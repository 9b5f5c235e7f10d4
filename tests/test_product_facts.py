"""Facts of the products from hand-made deliveries and from the sample. Expected values are worked by hand or from the delivered rows."""

import datetime
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import canonical
import polars as pl
import pytest
from canonical import WEIHAI, built, deliver, hashes, negative, settle, undo
from deliveries import bare, csv_file, record, take
from policies import CARE, PAYMENTS, PEOPLE, PERSONS, Row, paid, spell

from analytics.plans import load_plans, premium_of, premium_sql
from analytics.store import Engine, Folder, Store


def rows(snapshot: Folder, table: str, year: int = 2024) -> list[Row]:
    frames = (pl.read_parquet(p.path) for p in snapshot.partitions(table))
    return [r for f in frames for r in f.iter_rows(named=True) if r["plan_year"] == year]


def policies(snapshot: Folder, year: int = 2024) -> dict[tuple[int, str], Row]:
    return {(r["person_key"], r["product"]): r for r in rows(snapshot, "policy_year", year)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    store = tmp_path_factory.mktemp("products")
    deliver(store, settlement=CARE, commercial_claim=PAYMENTS, enrolment=PEOPLE, person=PERSONS)
    return built(store)


def test_who_holds_what_now_and_before(world: Folder) -> None:
    held = {key: (r["is_held"], r["was_held"], r["is_renewed"]) for key, r in policies(world).items()}
    assert held == {
        (1, "wnb"): (True, True, True),
        (2, "wnb"): (False, True, False),
        (3, "wnb"): (True, False, None),
        (4, "wnb"): (True, False, None),
        (5, "wnb"): (True, False, None),
        (6, "wnb"): (False, False, None),  # paid without a policy on record: kept
        (7, "wnb"): (False, True, True),  # changed to another product of the city
        (7, "other"): (True, False, None),
    }


def test_a_year_whose_year_before_is_not_in_the_extract_tells_of_no_renewal(world: Folder) -> None:
    """Zhuhai, where the other city's rows begin in 2023 as well, and Weihai 2023 alike."""
    first = policies(world, 2023)
    assert set(first) == {(1, "wnb"), (2, "wnb"), (7, "wnb")}
    assert {(r["is_held"], r["was_held"], r["is_renewed"]) for r in first.values()} == {(True, None, None)}


def test_premiums_on_record_by_the_plan_or_nowhere(world: Folder) -> None:
    premiums = {key: (r["premium_fen"], r["premium_of"]) for key, r in policies(world).items()}
    assert premiums == {
        (1, "wnb"): (8_900, "record"),
        (2, "wnb"): (None, "none"),
        (3, "wnb"): (8_900, "plan"),  # 34 years old
        (4, "wnb"): (None, "none"),  # nobody knows how old
        (5, "wnb"): (3_900, "plan"),  # assisted, whatever the age
        (6, "wnb"): (None, "none"),
        (7, "wnb"): (None, "none"),
        (7, "other"): (1_000, "record"),  # no product of the plan
    }
    assert {r["premium_of"] for r in policies(world, 2023).values()} == {"none"}  # Weihai published none


def test_payments_are_those_of_person_year(world: Folder) -> None:
    sums = {key: (r["n_claims"], r["paid_fen"]) for key, r in policies(world).items() if r["paid_fen"]}
    assert sums == {(1, "wnb"): (3, 1_209), (4, "wnb"): (1, 70), (6, "wnb"): (1, 50)}
    by_tier = Counter[str]()
    for row in rows(world, "claim"):
        by_tier[row["tier"]] += row["paid_fen"]
    assert by_tier == {"inclusive": 1_329, "charity": 300}
    # what names the settlement or the stay of 2025 lightens that year
    ledger = {year: rows(world, "person_year", year) for year in (2024, 2025)}
    in_year = {year: sum(r["inclusive_paid_fen"] for r in persons) for year, persons in ledger.items()}
    assert in_year == {2024: 1_329 - 250, 2025: 250}
    assert sum(r["charity_paid_fen"] or 0 for r in ledger[2024]) == 300
    stated = {
        f["table"]: f["paid_fen"]
        for f in world.manifest["files"]
        if f["plan_year"] == 2024 and "paid_fen" in f
    }
    assert stated == {"policy_year": 1_329, "claim": 1_629}


def test_each_payment_with_its_days_and_place(world: Folder) -> None:
    told = {
        (r["person_key"], r["paid_fen"]): (r["liability"], r["days_to_pay"], r["is_one_stop"], r["is_cross_region"])
        for r in rows(world, "claim")
    }  # fmt: skip
    assert told == {
        (1, 1_000): ("in_catalogue", 0, True, False),
        (1, 200): ("special_drugs", 10, None, True),
        (1, 300): ("unknown", None, None, None),
        (6, 50): ("in_catalogue", None, None, True),  # paid before it was claimed; found by its encounter
        (4, 70): ("in_catalogue", None, False, None),
        (1, 9): ("in_catalogue", None, None, None),
    }  # and nothing paid is no payment


def test_person_year_says_who_was_enrolled_and_who_held_a_product(world: Folder) -> None:
    told = {
        r["person_key"]: (r["is_enrolled"], r["is_holder"], r["product"]) for r in rows(world, "person_year")
    }
    cared = {r["person_key"]: r["is_enrolled"] for r in rows(world, "person_year", 2025)}
    assert told[1] == (True, True, "wnb")
    assert told[2] == (True, False, "none")
    assert 6 not in told and cared[6] is False  # the stay it was paid for was settled in 2025
    assert told[7] == (True, True, "other")


def test_a_year_without_any_holder_on_record_is_not_a_year_of_none(tmp_path: Path) -> None:
    deliver(tmp_path, settlement=[settle("a", 10)], enrolment=[spell(1, 2023, None)])
    (row,) = rows(built(tmp_path), "person_year", 2023)
    assert (row["is_enrolled"], row["is_holder"], row["product"]) == (True, None, "none")
    assert built(tmp_path).partitions("policy_year") == []


def test_a_year_of_reversals_alone_tells_who_held_a_policy_before(tmp_path: Path) -> None:
    """The one bill of 2023 is taken back in 2024, when nobody is treated and nobody holds anything."""
    bill = settle("a", 10, person=1)
    back = negative("r", bill, plan_year=2024)
    deliver(
        tmp_path,
        settlement=[bill, settle("b", 10, person=2), back],
        settlement_undone=[undo(bill, "refunded", back)],
        enrolment=[spell(2, 2023, "wnb")],
    )
    made = built(tmp_path)
    assert [(r["person_key"], r["cost_fen"]) for r in rows(made, "person_year", 2023)] == [(2, 10)]
    assert rows(made, "person_year", 2024) == []
    (row,) = rows(made, "policy_year", 2024)
    assert (row["person_key"], row["is_held"], row["paid_fen"]) == (2, False, 0)


def test_a_product_year_says_which_year_a_policy_and_its_premium_are_of(tmp_path: Path) -> None:
    """A policy from September to September, and a spell of many years."""
    september = {"start_date": datetime.date(2023, 9, 26), "end_date": datetime.date(2024, 9, 25)}
    long = {"start_date": datetime.date(2015, 1, 1), "end_date": None}
    deliver(
        tmp_path,
        settlement=[settle("a", 10, year=2023), settle("b", 10, year=2024)],
        enrolment=[
            spell(1, 2023, **september, product_year=2023, premium_fen=100),
            spell(2, 2023, **september, premium_fen=200),
            spell(3, 2024, **long, product_year=2024, premium_fen=300),
            spell(4, 2024, **long, premium_fen=400),
        ],
    )
    snapshot = built(tmp_path)
    found = {
        year: {k: (r["is_held"], r["premium_fen"]) for (k, _), r in policies(snapshot, year).items()}
        for year in (2023, 2024)
    }
    assert found[2023] == {1: (True, 100), 2: (True, 200), 4: (True, None)}
    # without a product year a policy is of the edition it lies in, and the premium of a longer spell counts in the year it begins
    assert found[2024] == {1: (False, None), 2: (False, None), 3: (True, 300), 4: (True, None)}
    held = {r["person_key"]: r["is_holder"] for r in rows(snapshot, "person_year")}
    assert held == {1: False, 2: False, 3: True, 4: True}


def test_two_spells_of_a_year_tell_of_one_premium(tmp_path: Path) -> None:
    moved = {"start_date": datetime.date(2024, 7, 1), "insutype": "310"}
    deliver(
        tmp_path,
        settlement=[settle("a", 10, year=2024)],
        enrolment=[spell(1, 2024, premium_fen=8_900), spell(1, 2024, **moved, premium_fen=8_900)],
    )
    assert policies(built(tmp_path))[1, "wnb"]["premium_fen"] == 8_900


def test_deliveries_of_before_lack_the_new_columns_and_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {
        table: " ".join(c for c in columns.split() if c not in ("premium_fen", "product_year", "duty_code", "is_one_stop", "claim_date", "pay_date"))
        for table, columns in canonical.COLUMNS.items()
    }  # fmt: skip
    with monkeypatch.context() as before:
        before.setattr(canonical, "COLUMNS", old)
        deliver(tmp_path, settlement=CARE, commercial_claim=PAYMENTS[:2], enrolment=PEOPLE[:2])
    alone = policies(built(tmp_path))
    told = alone[1, "wnb"]
    assert (told["premium_of"], told["premium_fen"]) == ("plan", 13_900)  # born 1960, by a settlement
    deliver(tmp_path, commercial_claim=PAYMENTS[4:5], enrolment=PEOPLE[-3:-1])
    snapshot = built(tmp_path)
    assert policies(snapshot)[7, "other"]["premium_fen"] == 1_000
    assert {r["liability"] for r in rows(snapshot, "claim")} == {"unknown", "in_catalogue"}


def test_equal_deliveries_give_equal_bytes_and_untouched_years_stay(tmp_path: Path) -> None:
    names = ("one", "other")
    for name in names:
        deliver(tmp_path / name, settlement=CARE, commercial_claim=PAYMENTS, enrolment=PEOPLE)
    one, other = (built(tmp_path / name) for name in names)
    assert one.id == other.id
    deliver(tmp_path / "one", commercial_claim=[paid("late", 5, person=3)])
    changed = {n for n, sha in hashes(built(tmp_path / "one")).items() if hashes(one)[n] != sha}
    assert changed and {n.rpartition("-")[2] for n in changed} == {"00002.parquet"}  # Weihai 2024


def persons() -> list[Row]:
    """Everybody a premium may depend on."""
    groups = ("general", "low_income", "destitute", "near_low_income", "monitored")
    return [
        {"age": age, "person_group": group, "is_pre_existing": ill, "is_retired": old, "insurance_type": kind, "product_years": years}
        for age in (0, 18, 19, 22, 23, 30, 31, 50, 51, 55, 56, 59, 60, 61, 90)
        for group in groups
        for ill in (False, True)
        for old, kind in ((False, "resident"), (True, "employee"))
        for years in (1, 2, 5)
    ]  # fmt: skip


def asked(person: Mapping[str, Any]) -> tuple[str, ...]:
    flags = {"pre_existing": person["is_pre_existing"], "retired": person["is_retired"], "employee": person["insurance_type"] == "employee"}  # fmt: skip
    return (person["person_group"], *(name for name, on in flags.items() if on))


def test_the_premium_of_many_persons_at_once_is_that_of_each() -> None:
    """SQL against the reading of one person, for every plan on file."""
    engine, everybody = Engine({}), persons()
    lines = " UNION ALL ".join(
        "SELECT " + ", ".join(f"{value!r} AS {name}" for name, value in {"n": n, **person}.items())
        for n, person in enumerate(everybody)
    )
    engine.keep("persons", lines)
    seen = 0
    for plan in load_plans().values():
        for product in plan.product:
            sql = f"SELECT {premium_sql(plan)} AS fen FROM (SELECT *, '{product.code}' AS product FROM persons) ORDER BY n"
            yuan = [premium_of(plan, product.code, p["age"], asked(p), p["product_years"]) for p in everybody]
            assert engine.ask(sql)["fen"].to_list() == [y if y is None else y * 100 for y in yuan]
            seen += any(y is not None for y in yuan)
    assert seen > 20


# --- the sample


def test_the_sample_meets_what_is_published_and_adds_up(sample_store: Path) -> None:
    """Zhuhai: 36 to 55 per cent took part over 2019-23, at 190 yuan each; Zhanjiang asks 59 yuan of everybody."""
    snapshot = Store(sample_store).current()
    held = [r for r in rows(snapshot, "policy_year", 2023) if r["is_held"]]
    enrolled = Counter(r["city"] for r in rows(snapshot, "person_year", 2023) if r["is_enrolled"])
    share = {city: n / enrolled[city] for city, n in Counter(r["city"] for r in held).items()}
    assert 0.36 <= share["440400"] <= 0.55
    premium = {city: {r["premium_fen"] for r in held if r["city"] == city} for city in share}
    assert premium["440400"] == {19_000}
    assert premium["440800"] == {5_900}
    assert premium[WEIHAI] <= {3_900, 8_900, 13_900, 15_000}  # the prices of 2024, for none is published
    assert {r["premium_of"] for r in held} == {"record"}
    delivered = pl.concat(
        pl.read_parquet(p.path)
        for d in Store(sample_store).deliveries()
        for p in d.partitions("commercial_claim")
    )
    told = delivered.filter(pl.col("paid_amt_fen") > 0)
    facts = [*rows(snapshot, "claim", 2022), *rows(snapshot, "claim", 2023)]
    assert len(facts) == len(told)
    assert sum(r["paid_fen"] for r in facts) == told["paid_amt_fen"].sum()
    assert not delivered.filter(pl.col("status") == "reversed").height
    # one-stop is the same day
    assert all(r["days_to_pay"] == 0 for r in facts if r["is_one_stop"])
    assert all(r["days_to_pay"] > 0 for r in facts if not r["is_one_stop"])


def test_reversed_payments_are_set_aside_and_in_no_fact(tmp_path: Path) -> None:
    take(tmp_path, [csv_file(tmp_path / "s.csv", [record(1), record(2)])])
    line = {
        "product_code": "dawj",
        "insu_admdvs": "440402",
        "product_year": "2021",
        "claim_date": "2021-09-01",
    }
    payments = [
        {**line, "claim_id": "C1", "psn_no": record(1)["psn_no"], "paid_amt": "12.34", "status": "paid"},
        {**line, "claim_id": "C2", "psn_no": record(2)["psn_no"], "paid_amt": "99.00", "status": "reversed"},
    ]
    take(tmp_path, [csv_file(tmp_path / "c.csv", payments)], "commercial_claim")
    snapshot = bare(tmp_path / "store")
    assert [Decimal(r["paid_fen"]) / 100 for r in rows(snapshot, "claim", 2021)] == [Decimal("12.34")]
    assert [r["n_claims"] for r in rows(snapshot, "policy_year", 2021)] == [1]

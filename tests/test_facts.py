"""Facts from hand-made canonical deliveries: refunds, versions, aliases, households, surveys.

Expected values are worked by hand, or by a plain-Python reference that shares no code with the build.
"""

import datetime
import random
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
from canonical import (
    ZHUHAI,
    Rows,
    built,
    checks,
    claim,
    deliver,
    enrol,
    facts,
    hashes,
    negative,
    settle,
    undo,
)
from conftest import unsealed
from hypothesis import given, settings
from hypothesis import strategies as st

# --- refunds and versions


def test_a_full_refund_removes_its_original(tmp_path: Path) -> None:
    kept, gone = settle("a", 50_000, 30_000), settle("b", 20_000, 5_000, row_kind="refunded_original")
    back = negative("c", gone)
    deliver(tmp_path, settlement=[kept, gone, back], settlement_undone=[undo(gone, "refunded", back)])
    row = facts(tmp_path)[2023, 1]
    assert (row["cost_fen"], row["basic_paid_fen"], row["own_net_fen"]) == (50_000, 30_000, 20_000)
    assert (row["n_settlements"], row["n_admissions"]) == (1, 1)


def test_a_refund_of_the_next_year_is_booked_to_its_original(tmp_path: Path) -> None:
    first, gone = settle("a", 50_000, 30_000), settle("b", 20_000, 5_000)
    deliver(tmp_path, settlement=[first, gone, settle("x", 7_000, year=2024)])
    before = built(tmp_path)
    back = negative("c", gone, plan_year=2024)
    deliver(tmp_path, settlement=[back], settlement_undone=[undo(gone, "refunded", back)])
    after = built(tmp_path)
    changed = {n for n, sha in hashes(after).items() if hashes(before)[n] != sha}
    assert changed == {
        "person_year-00001.parquet",
        "household_year-00001.parquet",
    }  # 2023; not a byte of 2024
    assert facts(tmp_path)[2023, 1]["cost_fen"] == 50_000
    assert facts(tmp_path)[2024, 1]["cost_fen"] == 7_000
    assert checks(after)["late_reversal"] == ("found", 1, 1, 20_000)
    assert checks(after)["Q4"][:3] == ("passed", 0, 0)
    assert checks(after, 2024)["Q4"][:3] == ("passed", 1, 0)  # the other half lies in 2023
    assert checks(after, 2024)["late_reversal"][0] == "passed"


@pytest.mark.parametrize("kind", ["normal", "refunded_original"])
def test_a_refund_in_part_counts_with_what_is_left(tmp_path: Path, kind: str) -> None:
    part = settle(
        "a", 40_000, 30_000, row_kind=kind, hosp_part_amt_fen=400, hifmi_pay_fen=4_000, maf_pay_fen=None
    )
    part["maf_pay_fen"] = 0
    quarter, tenth = negative("r1", part, 4), negative("r2", part, 10)
    twice = [undo(part, "partly_refunded", quarter)] * 2  # two deliveries tell of the same refund
    deliver(tmp_path, settlement=[part, quarter], settlement_undone=twice[:1])
    deliver(
        tmp_path, settlement=[tenth], settlement_undone=[*twice[1:], undo(part, "partly_refunded", tenth)]
    )
    row = facts(tmp_path)[2023, 1]
    # 40,000 less a quarter and a tenth
    assert row["cost_fen"] == 40_000 - 10_000 - 4_000
    assert row["basic_paid_fen"] == 30_000 - 7_500 - 3_000
    assert row["serious_illness_paid_fen"] == 4_000 - 1_000 - 400
    assert row["hospital_borne_fen"] == 400 - 100 - 40
    assert row["own_cash_fen"] == 10_000 - 2_500 - 1_000
    assert row["n_settlements"] == 1


def test_the_newest_version_counts_and_only_it(tmp_path: Path) -> None:
    old = settle("a", 50_000, 30_000, updt_time=datetime.datetime(2024, 1, 5))
    new = settle("a", 52_000, 31_000, updt_time=datetime.datetime(2024, 3, 5))
    moved_old, moved_new = (
        settle("b", 9_000, year=2023),
        settle("b", 9_000, year=2022, updt_time=datetime.datetime(2024, 1, 1)),
    )
    deliver(tmp_path, settlement=[old, moved_old])
    deliver(
        tmp_path,
        settlement=[new, moved_new],
        settlement_undone=[undo(old, "superseded"), undo(moved_old, "superseded")],
    )
    rows = facts(tmp_path)
    assert (rows[2023, 1]["cost_fen"], rows[2023, 1]["basic_paid_fen"], rows[2023, 1]["n_settlements"]) == (
        52_000,
        31_000,
        1,
    )
    assert rows[2022, 1]["cost_fen"] == 9_000


def test_a_version_that_was_refunded_in_part_and_superseded_does_not_count(tmp_path: Path) -> None:
    old = settle("a", 50_000, updt_time=datetime.datetime(2024, 1, 5))
    back = negative("r", old, 5)
    new = settle("a", 30_000, updt_time=datetime.datetime(2024, 3, 5))
    told = [undo(old, "partly_refunded", back), undo(old, "superseded")]
    deliver(tmp_path, settlement=[old, new, back], settlement_undone=told)
    assert facts(tmp_path)[2023, 1]["cost_fen"] == 30_000


def test_equal_numbers_in_two_cities_are_two_settlements(tmp_path: Path) -> None:
    here, there = settle("a", 50_000), settle("a", 60_000, person=2, city=ZHUHAI)
    back = negative("r", here)
    deliver(tmp_path, settlement=[here, there, back], settlement_undone=[undo(here, "refunded", back)])
    assert {key: row["cost_fen"] for key, row in facts(tmp_path).items()} == {(2023, 2): 60_000}


def test_halves_of_refunds_without_the_other_are_listed_and_do_not_count(tmp_path: Path) -> None:
    lone, odd = negative("r", settle("z", 8_000)), settle("o", 3_000, row_kind="refunded_original")
    deliver(tmp_path, settlement=[settle("a", 50_000), lone, odd])
    assert facts(tmp_path)[2023, 1]["cost_fen"] == 50_000
    assert checks(built(tmp_path))["Q4"] == ("found", 2, 2, 11_000)


def test_a_partner_that_comes_later_settles_the_check_of_an_untouched_year(tmp_path: Path) -> None:
    original = settle("a", 5_000)
    back = negative("r", original, plan_year=2024)
    deliver(tmp_path, settlement=[back, settle("x", 100, year=2024)])
    before = built(tmp_path)
    assert checks(before, 2024)["Q4"] == ("found", 1, 1, 5_000)
    deliver(tmp_path, settlement=[original], settlement_undone=[undo(original, "refunded", back)])
    after = built(tmp_path)
    assert checks(after, 2024)["Q4"] == ("passed", 1, 0, 0)
    # numbered anew, for 2023 is there now, and taken over: the same file on disk
    old, new = (s.path / f"person_year-0000{n}.parquet" for s, n in ((before, 1), (after, 2)))
    assert old.stat().st_ino == new.stat().st_ino


def test_a_city_year_whose_settlements_are_all_refunded_is_empty(tmp_path: Path) -> None:
    gone = settle("a", 5_000)
    back = negative("r", gone)
    deliver(tmp_path, settlement=[gone, back], settlement_undone=[undo(gone, "refunded", back)])
    snapshot = built(tmp_path)
    assert snapshot.partitions() == []
    assert checks(snapshot)["Q4"] == ("passed", 1, 0, 0)
    assert built(tmp_path).id == snapshot.id


STORY = {  # what became of each settlement: kind of end, share refunded
    "kept": 0, "refunded": 1, "refunded_late": 1, "half_back": 2, "two_parts": 4, "new_version": 0, "half_pair": 0
}  # fmt: skip


def told(stories: Sequence[tuple[str, int, int, int, int]]) -> tuple[Rows, Rows]:
    """Canonical rows of stories (what happened, person, year, fee, basic)."""
    rows, undone = [], []
    for n, (story, person, year, fee, basic) in enumerate(stories):
        at = datetime.datetime(year, 6, 1) if n % 2 else None
        row = settle(f"s{n}", fee, basic, person=person, year=year, updt_time=at)
        if story in ("refunded", "refunded_late"):
            back = negative(f"r{n}", row, plan_year=year + (story == "refunded_late"))
            rows.append(back)
            undone.append(undo(row, "refunded", back))
        elif story in ("half_back", "two_parts"):
            for part in range(2 if story == "two_parts" else 1):
                back = negative(f"r{n}-{part}", row, STORY[story])
                rows.append(back)
                undone.append(undo(row, "partly_refunded", back))
        elif story == "new_version":
            old = {**row, "medfee_sumamt_fen": fee + 1, "updt_time": datetime.datetime(2020, 1, 1)}
            rows.append(old)
            undone.append(undo(old, "superseded"))
        elif story == "half_pair":
            rows.append(negative(f"r{n}", row))
            row["row_kind"] = "refunded_original"
        rows.append(row)
    return rows, undone


def reckoned(
    stories: Sequence[tuple[str, int, int, int, int]],
) -> dict[tuple[int, int], tuple[int, int, int]]:
    """The same by hand: (year, person) -> settlements, cost, basic."""
    sums: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for story, person, year, fee, basic in stories:
        if story in ("refunded", "refunded_late", "half_pair"):
            continue
        parts = {"half_back": [2], "two_parts": [4, 4]}.get(story, [])
        left = [amount - sum(amount // share for share in parts) for amount in (fee, basic)]
        for place, amount in enumerate((1, *left)):
            sums[year, person][place] += amount
    return {key: (n, cost, basic) for key, (n, cost, basic) in sums.items()}


@settings(max_examples=20, deadline=None)
@given(
    stories=st.lists(
        st.tuples(
            st.sampled_from(list(STORY)), st.integers(1, 4), st.integers(2022, 2023),
            st.integers(1, 90_000), st.integers(0, 90_000),
        ).map(lambda s: (*s[:4], min(s[3], s[4]))),
        min_size=1, max_size=14,
    ),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_any_mixture_adds_up_whatever_the_deliveries(
    tmp_path_factory: pytest.TempPathFactory, stories: list[tuple[str, int, int, int, int]], seed: int
) -> None:
    rows, undone = told(stories)
    draw, found = random.Random(seed), []
    for _ in range(2):
        store = tmp_path_factory.mktemp("mixed")
        draw.shuffle(rows)
        cut = draw.randint(1, len(rows))
        for part in (rows[:cut], rows[cut:]):
            if part:
                some = [u for u in undone if draw.random() < 0.5]
                deliver(store, settlement=part, **({"settlement_undone": some} if some else {}))
        if undone:
            deliver(store, settlement_undone=undone)
        snapshot = built(store)
        got = {
            k: (r["n_settlements"], r["cost_fen"], r["basic_paid_fen"]) for k, r in facts(snapshot).items()
        }
        assert got == reckoned(stories)
        houses = facts(snapshot, "household_year")
        assert {k: r["cost_fen"] for k, r in houses.items()} == {k: cost for k, (_, cost, _) in got.items()}
        found.append(hashes(snapshot))
        shutil.rmtree(unsealed(store))
    assert found[0] == found[1]  # nor a byte by the order of deliveries


# --- persons and households


def test_a_person_keyed_by_number_becomes_the_one_of_the_certificate(tmp_path: Path) -> None:
    deliver(tmp_path, settlement=[settle("a", 100, person=5)])
    deliver(tmp_path, settlement=[settle("b", 20, person=-7)], numbered=True)
    deliver(tmp_path, household_member=[{"household_key": 77, "person_key": -7}], numbered=True)
    deliver(tmp_path, person=[{"person_key": -7, "birth_year": 2001, "sex": "male"}], numbered=True)
    deliver(tmp_path, person=[{"person_key": 5, "birth_year": 1980, "sex": "male"}])
    assert sorted(facts(tmp_path)) == [(2023, -7), (2023, 5)]
    deliver(tmp_path, person_alias=[{"number_key": -7, "person_key": 3}, {"number_key": -8, "person_key": 1}])
    deliver(tmp_path, person_alias=[{"number_key": -7, "person_key": 5, "n_rows": 2}])
    rows = facts(tmp_path)
    assert {key: row["cost_fen"] for key, row in rows.items()} == {
        (2023, 5): 120
    }  # the certificate of most rows, not the lowest key; rows of before they were counted are one each
    assert rows[2023, 5]["household_key"] == 77
    assert rows[2023, 5]["age_band"] == "18_44"
    assert list(facts(tmp_path, "household_year")) == [(2023, 77)]


def test_of_two_certificates_with_as_many_rows_no_key_decides(tmp_path: Path) -> None:
    deliver(tmp_path, settlement=[settle("a", 100, person=5), settle("b", 20, person=9)])
    deliver(tmp_path, settlement=[settle("c", 3, person=-7)], numbered=True)
    for key in (5, 9):
        deliver(tmp_path, person_alias=[{"number_key": -7, "person_key": key, "n_rows": 4}])
    told = {key: row["cost_fen"] for (_, key), row in facts(tmp_path).items()}
    assert told == {-7: 3, 5: 100, 9: 20}
    deliver(tmp_path, person_alias=[{"number_key": -7, "person_key": 9, "n_rows": 1}])
    assert {key: row["cost_fen"] for (_, key), row in facts(tmp_path).items()} == {5: 100, 9: 23}


def test_an_alias_touches_only_partitions_with_numbers(tmp_path: Path) -> None:
    deliver(tmp_path, settlement=[settle("a", 100, year=2022)])
    deliver(tmp_path, settlement=[settle("b", 20, person=-7)], numbered=True)
    before = built(tmp_path)
    deliver(tmp_path, person_alias=[{"number_key": -7, "person_key": 1}])
    after = built(tmp_path)
    same = [
        a["key"] == b["key"] for a, b in zip(before.manifest["files"], after.manifest["files"], strict=True)
    ]
    assert same == [True, True, False, False]


def test_a_birth_year_of_the_settlement_serves_where_the_person_is_not_known(tmp_path: Path) -> None:
    deliver(
        tmp_path,
        settlement=[settle("a", 1, person=1, birth_year=2006), settle("b", 1, person=2, birth_year=1900), settle("c", 1, person=3, birth_year=None)],
        person=[{"person_key": 2, "birth_year": 2005}],
    )  # fmt: skip
    bands = {key[1]: row["age_band"] for key, row in facts(tmp_path).items()}
    assert bands == {1: "0_17", 2: "18_44", 3: "unknown"}  # 17, 18 at the end of 2023


def test_households_sum_their_members_and_take_after_the_costliest(tmp_path: Path) -> None:
    members = [{"household_key": 70, "person_key": p} for p in (1, 2, 3)]
    members[2] |= {"end_date": datetime.date(2022, 12, 31)}  # left in time
    economy = {"household_key": 70, "year": 2023, "size": 4, "income_annual_fen": 900, "urban": True}
    deliver(
        tmp_path,
        settlement=[settle("a", 10_000, 4_000, person=1, hospital_level="3"), settle("b", 10_000, 1_000, person=2), settle("c", 6, person=3)],
        household_member=members,
        household_economy=[economy, {**economy, "year": 2022, "income_annual_fen": 1}],
        enrolment=[enrol(4, person_group="low_income", product_code="wnb")],
    )  # fmt: skip
    rows = facts(tmp_path, "household_year")
    assert sorted(key for _, key in rows) == [3, 4, 70]
    both = rows[2023, 70]
    assert (both["cost_fen"], both["basic_paid_fen"], both["basic_after_fen"], both["own_net_fen"]) == (
        20_000,
        5_000,
        15_000,
        15_000,
    )
    assert (both["hospital_level"], both["n_settlements"], both["n_members"], both["is_linked"]) == (
        "2",
        2,
        4,
        True,
    )
    assert (both["income_fen"], both["urban"], both["cluster_id"]) == (900, True, None)
    alone = rows[2023, 4]
    assert (alone["n_members"], alone["is_linked"], alone["person_group"], alone["product"]) == (
        1,
        False,
        "low_income",
        "wnb",
    )
    assert (alone["cost_fen"], alone["care_type"], alone["income_fen"]) == (0, "none", None)


def test_a_stay_settled_twice_is_one_admission(tmp_path: Path) -> None:
    deliver(
        tmp_path,
        settlement=[
            settle("a", 5, mdtrt_id="m"),
            settle("b", 6, mdtrt_id="m"),
            settle("c", 7, care_type="outpatient"),
        ],
    )
    row = facts(tmp_path)[2023, 1]
    assert (row["n_settlements"], row["n_admissions"], row["care_type"]) == (3, 1, "inpatient")


def test_what_an_insurer_paid_is_unknown_without_its_file(tmp_path: Path) -> None:
    deliver(tmp_path, settlement=[settle("a", 10_000, 4_000)])
    row = facts(tmp_path)[2023, 1]
    assert (row["inclusive_paid_fen"], row["inclusive_after_fen"], row["medical_assistance_paid_fen"]) == (
        None,
        None,
        0,
    )
    deliver(
        tmp_path,
        commercial_claim=[claim("k", 1_000), claim("k2", 500, tier="charity"), claim("k3", 50, person=8)],
    )
    rows = facts(tmp_path)
    row = rows[2023, 1]
    assert (row["inclusive_paid_fen"], row["charity_paid_fen"], row["own_gross_fen"], row["own_net_fen"]) == (
        1_000,
        500,
        6_000,
        4_500,
    )
    assert rows[2023, 8]["own_net_fen"] == -50


def test_a_survey_keeps_its_clusters_and_payments(tmp_path: Path) -> None:
    one = {
        "city": "area",
        "plan_year": 2023,
        "weight": 2.0,
        "cost_fen": 900,
        "basic_paid_fen": 500,
        "inclusive_paid_fen": 100,
    }
    two = {
        "city": "area",
        "plan_year": 2023,
        "weight": 1.0,
        "own_burden_fen": 50,
        "basic_paid_fen": 20,
        "cluster_id": "c9",
    }
    deliver(tmp_path, household_year=[{"household_key": 1, **one}, {"household_key": 2, **two}])
    rows = facts(tmp_path, "household_year")
    names = (
        "cost_fen",
        "own_before_fen",
        "basic_after_fen",
        "inclusive_after_fen",
        "own_net_fen",
        "charity_paid_fen",
        "cluster_id",
        "n_members",
    )
    assert [rows[2023, 1][n] for n in names] == [900, 900, 400, 300, 300, None, None, None]
    assert [rows[2023, 2][n] for n in names] == [70, 70, 50, 50, 50, None, "c9", None]
    statuses = {status for status, *_ in checks(built(tmp_path), city="area").values()}
    assert statuses == {"not_applicable"}

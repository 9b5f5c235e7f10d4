"""Checks over tables and partitions, kept with the snapshot; and what is built again when something new has come."""

import datetime
import importlib
import itertools
import shutil
from pathlib import Path

import pytest
from canonical import (
    WEIHAI,
    ZHUHAI,
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
from conftest import Run

from analytics.desk.answer import Desk
from analytics.facts import FACTS
from analytics.measures import Question, origin
from analytics.store import Folder, Store
from analytics.tiers import LEDGERS

# --- checks over tables


def links(snapshot: Folder) -> dict[tuple[str, str], tuple[int, int]]:
    return {(r["product"], r["level"]): (r["claims"], r["paid_fen"]) for r in snapshot.manifest["links"]}


def test_claims_are_linked_at_the_best_level_within_the_products_own_year(tmp_path: Path) -> None:
    claims = [
        claim("1", 100, setl_id="in", mdtrt_id="Min"),
        claim("2", 50, setl_id="next"),  # settled in 2024, which the product year 2023 covers
        claim("3", 30, setl_id="?", mdtrt_id="Min", person=9),
        claim("4", 7, setl_id="before", person=1),  # a settlement of 2022: the year does not cover it, but the person was treated
        claim("5", 11, setl_id="before", mdtrt_id="Mbefore", person=9),
        claim("6", 13, setl_id="in", person=9, product_code="other"),
    ]  # fmt: skip
    settlements = [
        settle("in", 1_000),
        settle("next", 1_000, year=2024, person=2),
        settle("before", 1_000, year=2022, person=9),
    ]
    deliver(tmp_path, settlement=settlements, commercial_claim=claims)
    got = links(built(tmp_path))
    assert got == {
        ("other", "settlement"): (1, 13), ("other", "encounter"): (0, 0), ("other", "person_year"): (0, 0), ("other", "none"): (0, 0),
        ("wnb", "settlement"): (2, 150), ("wnb", "encounter"): (1, 30), ("wnb", "person_year"): (1, 7), ("wnb", "none"): (1, 11),
    }  # fmt: skip
    assert checks(built(tmp_path))["Q27"] == ("found", 6, 1, 11)  # 200 of 211 are linked: 94.8 %


def test_the_year_of_a_calendar_product_covers_only_itself(tmp_path: Path) -> None:
    here = {"city": ZHUHAI, "person": 2}
    deliver(
        tmp_path,
        settlement=[settle("in", 1, **here), settle("next", 1, year=2024, city=ZHUHAI, person=3)],
        commercial_claim=[
            claim("1", 95, setl_id="in", city=ZHUHAI),
            claim("2", 5, setl_id="next", city=ZHUHAI, person=4),
        ],
    )
    snapshot = built(tmp_path)
    assert links(snapshot)["wnb", "none"] == (1, 5)
    assert checks(snapshot, city=ZHUHAI)["Q27"] == ("passed", 2, 1, 5)  # exactly 95 % is enough


def test_a_settlement_that_comes_later_links_its_claims(tmp_path: Path) -> None:
    deliver(
        tmp_path, settlement=[settle("a", 9)], commercial_claim=[claim("1", 100, setl_id="next", person=3)]
    )
    before = built(tmp_path)
    assert checks(before)["Q27"] == ("found", 1, 1, 100)
    deliver(tmp_path, settlement=[settle("next", 1_000, year=2024, person=2)])
    after = built(tmp_path)
    assert links(after)["wnb", "settlement"] == (1, 100)
    changed = {n for n, sha in hashes(before).items() if hashes(after)[n] != sha}
    # the payment's place of care is known now, and that it lightens the year after
    assert changed == {f"{table}-00001.parquet" for table in ("claim", "person_year", "household_year")}


def test_a_number_links_a_person_through_the_alias(tmp_path: Path) -> None:
    deliver(tmp_path, settlement=[settle("a", 9, person=5)])
    deliver(tmp_path, commercial_claim=[claim("1", 100, person=-7)], numbered=True)
    assert links(built(tmp_path))["wnb", "none"] == (1, 100)
    deliver(tmp_path, person_alias=[{"number_key": -7, "person_key": 5}])
    assert links(built(tmp_path))["wnb", "person_year"] == (1, 100)


def test_settlements_without_enrolment(tmp_path: Path) -> None:
    deliver(
        tmp_path,
        settlement=[
            settle("a", 10),
            settle("b", 20, person=2),
            settle("c", 30, person=2),
            settle("d", 5, year=2022),
        ],
    )
    assert checks(built(tmp_path))["Q28"] == ("not_applicable", 0, 0, 0)
    deliver(
        tmp_path,
        enrolment=[
            enrol(1, start_date=datetime.date(2023, 12, 31)),
            enrol(9),
            enrol(2, end_date=datetime.date(2022, 12, 31)),
        ],
    )
    after = built(tmp_path)
    assert checks(after)["Q28"] == ("found", 3, 2, 50)  # person 2 left with 2022
    assert checks(after, 2022)["Q28"] == ("found", 1, 1, 5)  # person 1 came with the last day of 2023
    assert facts(tmp_path)[2023, 9]["cost_fen"] == 0


def test_a_year_nobody_is_enrolled_in_was_not_delivered(tmp_path: Path) -> None:
    deliver(tmp_path, settlement=[settle("a", 10, year=2019)], enrolment=[enrol(1)])
    assert checks(built(tmp_path), 2019)["Q28"][0] == "not_applicable"


@pytest.mark.parametrize(("paid", "found"), [(6_100, 0), (6_101, 1)])
def test_more_paid_than_the_burden_was(tmp_path: Path, paid: int, found: int) -> None:
    """Burden 6,000 fen; one yuan more is rounding."""
    rows = [settle("a", 10_000, 4_000), settle("b", 500, person=2)]
    deliver(tmp_path, settlement=rows)
    assert checks(built(tmp_path))["I11"][0] == "not_applicable"
    deliver(
        tmp_path,
        commercial_claim=[claim("1", paid - 100), claim("2", 100, tier="charity"), claim("3", 500, person=2)],
    )
    status = "found" if found else "passed"
    assert checks(built(tmp_path))["I11"] == (status, 2, found, found * 101)


@pytest.mark.parametrize(("paid", "told"), [(606_000, None), (606_200, "371000 2023 (1%)"), (6_000_000, "371000 2023 (90%)")])  # fmt: skip
def test_answers_say_where_payments_are_above_the_burden(
    tmp_path: Path, paid: int, told: str | None, run: Run
) -> None:
    """Burden 600,000 fen; up to one per cent of the payments is let pass. Other years are not spoken of."""
    rows = [settle("a", 1_000_000, 400_000), settle("b", 1_000_000, person=2, year=2022)]
    deliver(tmp_path, settlement=rows, commercial_claim=[claim("1", paid)])
    code, out, err = run("build", tmp_path)
    assert code == 0 and out.startswith("published snapshot ")
    excess = f"commercial payments of 1 persons exceed their burden by {(paid - 600_000) / 100:,.2f} yuan"
    assert (f"warn: I11: 371000 2023: {excess}" in err) == (told is not None)
    desk = Desk.open(tmp_path)
    for where, over in (({}, told), ({"plan_year": ["2023"]}, told), ({"plan_year": ["2022"]}, None)):
        answer = desk.ask("own_burden_mean", where=where, protect=False)
        assert answer.provenance.get("payments_over_burden") == over
    question = Question.of("own_burden_mean", (), None, None)  # one may not hear of a place one may not see
    assert "payments_over_burden" not in origin(Store(tmp_path).current(), question, [(WEIHAI, 2022)])
    code, _, err = run("measure", tmp_path, "own_burden_mean")
    assert code == 0 and (str(told) in err) == (told is not None)


def test_checks_whose_tables_did_not_come_are_not_applicable(tmp_path: Path) -> None:
    deliver(tmp_path, commercial_claim=[claim("1", 100)])
    snapshot = built(tmp_path)
    assert {status for status, *_ in checks(snapshot).values()} == {"not_applicable"}
    assert links(snapshot)["wnb", "none"] == (1, 100)


# --- what is built again, and how


def world(store: Path) -> None:
    """Six city-years that differ in what came for them; in the last all settlements are refunded."""
    people, years = range(1, 30), (2022, 2023, 2024)
    rows = [
        settle(f"s{c}{y}{p}", 100 * p + y, 10 * p, person=p, city=c, year=y)
        for c, y, p in itertools.product((WEIHAI, ZHUHAI), years, people)
    ]
    gone = [row for row in rows if (row["city"], row["plan_year"]) == (WEIHAI, 2024)]
    backs = [negative(f"r{row['setl_id']}", row) for row in gone]
    deliver(
        store, settlement=rows, commercial_claim=[claim(f"k{p}", p, person=p) for p in people if p % 3 == 0]
    )
    deliver(
        store,
        settlement=backs,
        settlement_undone=[undo(r, "refunded", b) for r, b in zip(gone, backs, strict=True)],
    )
    deliver(
        store, enrolment=[enrol(p, city=ZHUHAI, end_date=datetime.date(2023, 5, 1)) for p in range(20, 40)]
    )
    deliver(store, household_member=[{"household_key": 100 + p // 2, "person_key": p} for p in range(40)])
    deliver(
        store,
        household_economy=[
            {"household_key": k, "year": 2023, "size": 2, "income_annual_fen": k} for k in range(100, 120)
        ],
    )
    deliver(
        store,
        household_year=[
            {"household_key": 3, "city": ZHUHAI, "plan_year": 2023, "weight": 1.0, "cost_fen": 5}
        ],
    )


def inodes(snapshot: Folder) -> dict[str, int]:
    return {p.path.name: p.path.stat().st_ino for p in snapshot.partitions()}


def test_only_touched_partitions_are_built_again(tmp_path: Path) -> None:
    world(tmp_path)
    before = built(tmp_path)
    deliver(tmp_path, settlement=[settle("late", 77, year=2023)])
    after = built(tmp_path)
    built_again = {f"{table}-00002.parquet" for table in FACTS} | {"shared-2023.parquet"}  # Weihai 2023
    assert {n for n, inode in inodes(after).items() if inodes(before)[n] != inode} == built_again
    touched = {f"{table}-00002.parquet" for table in LEDGERS}  # its claims say what they said
    assert {n for n, sha in hashes(after).items() if hashes(before)[n] != sha} == touched


def test_building_nothing_new_gives_the_same_snapshot(tmp_path: Path) -> None:
    world(tmp_path)
    before = built(tmp_path)
    assert built(tmp_path).id == before.id
    assert before.manifest["checks"] and before.manifest["links"]
    shutil.rmtree(tmp_path / "snapshots")
    (tmp_path / "current").unlink()
    assert built(tmp_path).id == before.id  # nor does it matter what was taken over


def test_facts_do_not_depend_on_what_is_worked_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("analytics.facts.build")
    world(tmp_path)
    together = built(tmp_path)
    for limits in ((1, 200_000), (9, 1), (4, 200_000)):
        shutil.rmtree(tmp_path / "snapshots")
        (tmp_path / "current").unlink()
        monkeypatch.setattr(module, "TOGETHER", limits[0])
        monkeypatch.setattr(module, "ROWS", limits[1])
        assert built(tmp_path).id == together.id


@pytest.mark.parametrize("how", ["flip", "remove"])
def test_a_damaged_fact_is_not_taken_over_but_built_again(tmp_path: Path, how: str) -> None:
    world(tmp_path)
    before = built(tmp_path)
    whole, victim = hashes(before), before.path / "household_year-00002.parquet"
    victim.chmod(0o644)
    if how == "flip":
        victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    else:
        victim.unlink()
    deliver(tmp_path, settlement=[settle("late", 77, year=2022)])
    after = built(tmp_path)
    assert {n for n, sha in hashes(after).items() if whole[n] != sha} == {
        "person_year-00001.parquet",
        "household_year-00001.parquet",
    }
    assert after.damage() == []

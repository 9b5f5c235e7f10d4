"""Dominance by hospital: whose large contributions hide a sum, by the rules' text; what each hospital made, by another query."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import runners
from canonical import WEIHAI, cube_of, deliver, enrol, settle
from protected_world import of, view

from analytics import facts, verbs
from analytics.measures import LARGEST, PLACED
from analytics.release import Published, policy, tables
from analytics.release.attack import MONEY, attack, seen, undone
from analytics.release.lattice import lattice
from analytics.release.protect import insiders, protect
from analytics.release.system import Cell, System, dominated, primary, small
from analytics.store import Store

BOTH, HOMES = ("household", "hospital"), ("household",)
PLACE = (WEIHAI, 2023)
RATE = json.dumps(["burden_reduction_rate", ["tier"], []])
Pair = tuple[int, int]


# --- the rules' text, on a cube written by hand


def cube(hospitals: Pair, homes: Pair = (500, 400), paid: int = 100_000) -> pl.DataFrame:
    """One sum of `paid` yuan, what basic insurance paid 200 persons, who owed 300,000 yuan before: `homes` and `hospitals` are the two
    largest shares in it, in yuan. Of what was owed before nobody made much.
    """
    rows = [
        answer("tier_share", paid, 400_000, n=300, hit=200),
        answer("burden_reduction_rate", paid, 300_000, n=200, hit=200),
        *(top(kind, ["before", "basic"], (3_000, 2_000)) for kind in BOTH),
        top("household", ["paid", "basic"], homes),
        top("hospital", ["paid", "basic"], hospitals),
        {"key": PLACED, "at": ["cost"], "numerator": 1_000_00.0, "denominator": 400_000_00.0, "n": 12},
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def answer(measure: str, numerator: float, denominator: float, *, n: int, hit: int) -> dict[str, Any]:
    return {
        "key": json.dumps([measure, ["tier"], []]), "at": ["basic"], "value": numerator / denominator, "numerator": float(numerator),
        "denominator": float(denominator), "n": n, "n_numerator": hit, "n_excluded": 0,
    }  # fmt: skip


def top(kind: str, at: Sequence[str], yuan: Pair) -> dict[str, Any]:
    return {"key": LARGEST[kind], "at": at, "numerator": yuan[0] * 100.0, "denominator": yuan[1] * 100.0}


def status(made: pl.DataFrame, key: str, *at: str) -> str:
    """Of one row of protected tables."""
    rows = made.filter(pl.col("key") == key, pl.col("at") == pl.lit(list(at), pl.List(pl.String)))
    return str(rows["status"].item())


@pytest.fixture
def by_homes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: whose contributions count are the households alone."""
    rules = policy().model_copy(update={"contributors": HOMES})
    monkeypatch.setattr(tables, "policy", lambda: rules)


# of 100,000 yuan: a share above 90 % of the two largest together; or less than 10 % of the largest left to the third and all others
RULES: dict[str, tuple[Pair, str]] = {
    "one makes 95 %": ((95_000, 1_000), "hidden"),
    "one makes all": ((100_000, 0), "hidden"),
    "two make 91 %": ((46_000, 45_000), "hidden"),
    "two make 90 %, which is not above": ((45_000, 45_000), "shown"),
    "three equal": ((33_334, 33_333), "shown"),
    "the second, who knows its own, comes within 10 % of the first": ((85_000, 7_000), "hidden"),
    "nine others are as large": ((10_000, 10_000), "shown"),
}


@pytest.mark.parametrize("name", RULES)
def test_a_sum_that_hospitals_dominate_is_hidden(name: str) -> None:
    largest, told = RULES[name]
    made = tables.protected(cube(largest), ["basic"])
    assert status(made.rows, RATE, "basic") == told
    assert made.certificate["hospitals"] == {"tested": True, "known": 12, "cost_of_none_bp": 25}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.usefixtures("by_homes")
def test_with_households_alone_as_contributors_it_is_shown(name: str) -> None:
    made = tables.protected(cube(RULES[name][0]), ["basic"])
    assert status(made.rows, RATE, "basic") == "shown"
    assert made.certificate["hospitals"] == {"tested": False}
    homes = tables.protected(cube((10_000, 10_000), homes=(95_000, 1_000)), ["basic"])
    assert status(homes.rows, RATE, "basic") == "hidden"


def test_within_p_percent_by_p_alone() -> None:
    """85,000 and 7,000 of 100,000: 8,000 are left, under 10 % of 85,000 = 8,500; with 6,500 there are 8,500 left, which is enough."""
    alone = policy().model_copy(update={"dominance_share": 100})
    for second, risky in ((7_000, True), (6_501, True), (6_500, False)):
        cells = lattice(cube((85_000, second)), ["basic"]).system
        assert dominated(cells, alone)[cells.names.index("paid basic")] == risky, second


def test_what_is_taken_off_a_sum_leaves_a_hospital_at_most_the_sum() -> None:
    """A payment without a hospital makes a sum smaller than what one hospital made of it: it is that hospital's, and no contradiction."""
    system = lattice(cube((120_000, 30_000), paid=100_000), ["basic"]).system
    assert system.top[system.names.index("paid basic")] == ((500_00, 400_00), (100_000_00, 0))
    system = lattice(cube((70_000, 60_000), paid=100_000), ["basic"]).system
    assert system.top[system.names.index("paid basic")][1] == (70_000_00, 30_000_00)


# --- a hospital that knows its own


def small_world(hospital: int) -> System:
    """Two small cells of 100,000 yuan each, which with a third that costs nothing and a shown one make up a shown total; of the first
    its largest household holds 30,000 yuan, its largest `hospital` so much.
    """
    homes = (30_000_00, 30_000_00)
    cells = [
        Cell("all", 70, 500_000_00),
        Cell("few", 4, 100_000_00, top=(homes, (hospital, 1_000_00))),
        Cell("other", 6, 100_000_00, top=(homes, (0, 0))),
        Cell("free", 20, 0, most=0),
        Cell("rest", 40, 300_000_00),
    ]
    return System.of(cells, [("all", ["few", "other", "free", "rest"], "both")])


def test_a_hospital_that_knows_its_own_is_reckoned_with() -> None:
    """All three are hidden. The hospital made 95,000 yuan of the first: it knows that the second comes to 105,000 at most, and it is
    100,000. The households know of 30,000 alone.
    """
    rules, system = policy(), small_world(95_000_00)
    risk = primary(system, rules)
    hidden = np.array([name in ("few", "other", "free") for name in system.names])
    assert list(insiders(system, small(system, rules))) == [
        (1, 30_000_00.0),
        (1, 95_000_00.0),
        (2, 30_000_00.0),
    ]
    given = seen(system, hidden, rules)
    assert undone(given, system, rules, risk) == []
    lines = undone(given, system, rules, risk, insiders=2)
    assert lines and all(line.startswith("other: a hospital of few can tell") for line in lines)
    assert undone(given, small_world(80_000_00), rules, risk, insiders=2) == []
    # the protector, which shares no code with the attack, hides more for it
    assert not protect(small_world(80_000_00), rules, hidden).hidden[-1]
    wider = protect(system, rules, hidden).hidden
    assert wider[-1] and undone(seen(system, wider, rules), system, rules, risk, insiders=2) == []


def test_one_person_is_a_household_and_may_be_all_of_a_hospital() -> None:
    cells = [Cell("one", 1, 500, top=((500, 0), (500, 0))), Cell("two", 1, 500, top=((500, 0), (400, 100)))]
    system = System.of(cells)
    assert list(insiders(system, small(system, policy()))) == [(0, 500.0), (1, 500.0), (1, 400.0)]


# --- from a delivery to the tables


def world(most: int) -> dict[str, list[dict[str, Any]]]:
    """300 persons in general and 60 of low income in Weihai. Thirty hospitals treat the former, one `most` of the latter."""
    settlement, enrolment = [], []
    for p in range(1, 361):
        poor = p > 300
        at = "H00" if poor and p <= 300 + most else f"H{1 + p % 30:02d}"
        fee = 300_000 + 1_000 * (p * 37 % 100)
        settlement.append(settle(f"s{p}", fee, fee // 2, person=p, provider_id=at))
        enrolment.append(enrol(p, person_group="low_income" if poor else "general"))
    return {"settlement": settlement, "enrolment": enrolment}


GROUPS = json.dumps(["burden_reduction_rate", ["person_group", "tier"], []])


@pytest.mark.parametrize(("most", "told"), [(57, "hidden"), (30, "shown")])
def test_one_hospital_of_a_group(tmp_path: Path, most: int, told: str) -> None:
    """57 of 60 persons of one group are treated in one hospital: what was paid for the group is that hospital's, and is told nowhere."""
    deliver(tmp_path / "store", **world(most))
    snapshot = verbs.build(tmp_path / "store")
    cells, rows = of(snapshot, PLACE)
    assert status(rows, GROUPS, "low_income", "basic") == told
    assert status(rows, RATE, "basic") == "shown"
    risk = primary(cells.system, policy())
    assert undone(view(cells, rows), cells.system, policy(), risk, insiders=2) == []
    certified = Published(snapshot).certificates[0]
    assert certified["hospitals"] == {
        "tested": True, "known": 31, "cost_of_none_bp": 0, "claimed_of_none_bp": 0,
    }  # fmt: skip
    at = cells.place["paid low_income basic"]
    if told == "hidden":  # and by the published cells alone nobody comes near
        found, sum_of = attack(view(cells, rows), cells=[at]), int(cells.system.money[at])
        assert found.low[MONEY, 0] <= 0.9 * sum_of and found.high[MONEY, 0] >= 1.1 * sum_of


@pytest.mark.usefixtures("by_homes")
def test_one_hospital_of_a_group_is_told_by_households_alone(tmp_path: Path) -> None:
    deliver(tmp_path / "store", **world(57))
    cells, rows = of(verbs.build(tmp_path / "store"), PLACE)
    assert status(rows, GROUPS, "low_income", "basic") == "shown"
    assert dominated(cells.system, policy())[cells.place["paid low_income basic"]]


def test_without_any_hospital_nothing_is_tested_and_it_is_said(tmp_path: Path) -> None:
    rows = world(57)
    for n, row in enumerate(rows["settlement"]):  # nothing, an empty text, characters nobody can see
        row["provider_id"] = (None, "", "\x01\x7f医", "\ue000\ue001")[n % 4]
    deliver(tmp_path / "store", **rows)
    published = Published(verbs.build(tmp_path / "store"))
    assert published.certificates[0]["hospitals"] == {"tested": False}
    answer = published.ask("reach", ["tier"], {"plan_year": ["2023"]})
    assert answer.provenance["not_tested_by_hospital"] == f"{WEIHAI} 2023"


def test_a_survey_has_no_hospitals(tmp_path: Path) -> None:
    columns = "household_id,city,plan_year,n_members,weight,cost,own_burden,income,consumption,food"
    lines = [f"H{i},440400,2023,3,1,{i % 40 * 900},{i % 40 * 900},60000,40000,9000" for i in range(240)]
    (tmp_path / "h.csv").write_text("\n".join([columns, *lines]) + "\n")
    verbs.ingest(tmp_path / "store", [tmp_path / "h.csv"], "household_year")
    snapshot = verbs.build(tmp_path / "store")
    assert Published(snapshot).certificates[0]["hospitals"] == {"tested": False}
    assert cube_of(snapshot, ("440400", 2023)).filter(pl.col("key") == PLACED).is_empty()


# --- what is prepared again, and when


def test_what_another_hospital_made_is_another_cube(tmp_path: Path) -> None:
    """The same amounts, treated elsewhere: the facts of persons are the same rows, the answers are prepared anew."""
    found = []
    for most in (57, 30):
        deliver(tmp_path / str(most), **world(most))
        found.append(verbs.build(tmp_path / str(most)))
    one, other = ({p.table: p.sha256 for p in s.partitions()} for s in found)
    assert one["person_year"] == other["person_year"] and one["cube"] != other["cube"]


def test_answers_are_prepared_anew_from_facts_that_are_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Persons known by number only are joined to their certificate there, too."""
    store = tmp_path / "store"
    rows = world(57)
    for row in rows["settlement"][:20]:
        row["person_key"] += 10_000
    alias = [{"number_key": p + 10_000, "person_key": p} for p in range(1, 21)]
    deliver(store, numbered=True, **rows)
    deliver(store, person_alias=alias)
    whole = verbs.build(store)
    bare = runners.fresh(store, tmp_path / "bare")
    facts.build(bare)
    assert verbs.build(bare.path).id == whole.id
    assert not cube_of(whole).filter(pl.col("key") == LARGEST["hospital"]).is_empty()
    assert Store(store).current().id == whole.id

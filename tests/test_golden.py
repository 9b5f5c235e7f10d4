"""Golden tables: a fixed small sample's answers, recomputed here from the delivery's own rows with the standard library.

The expected table is not typed in: it is computed from the delivered Parquet (national spelling, yuan) in plain Python
with Fractions, sharing nothing with the facts or the measures but the definition.
"""

import tomllib
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from deliveries import bare

from analytics import intake
from analytics.desk.answer import Desk
from analytics.store import Store
from analytics.synthetic import write_delivery

FIELDS = {
    "basic": ["hifp_pay"],
    "statutory_supplement": ["cvlserv_pay", "hifes_pay"],
    "serious_illness": ["hifmi_pay", "hifob_pay"],
    "medical_assistance": ["maf_pay"],
    "other": ["hifdm_pay", "oth_pay"],
}
ZHUHAI = [
    "basic",
    "serious_illness",
    "inclusive",
    "medical_assistance",
]  # 大爱无疆 pays before medical assistance
STATUTORY = ["basic", "serious_illness", "medical_assistance", "inclusive"]


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, dict[str, list[Path]]]:
    folder = tmp_path_factory.mktemp("golden")
    (folder / "delivery").mkdir()
    files = write_delivery(
        folder / "delivery", persons=4000, cities=["440400", "370400"], years=[2023], seed=11
    )
    for table, paths in files.items():
        intake.ingest(Store(folder / "store"), paths, table, synthetic=True)
    bare(folder / "store")
    return Desk.open(folder / "store"), files


def persons(files: dict[str, list[Path]], city: str) -> dict[str, dict[str, Decimal]]:
    """Person -> cost, hospital part and payment by tier, of one city, from the delivered rows; refunds cancel out."""
    rows = pl.concat(pl.read_parquet(p) for p in files["settlement"])
    refunded = {r["init_setl_id"] for r in rows.iter_rows(named=True) if r["init_setl_id"]}
    enrolled = pl.concat(pl.read_parquet(p) for p in files["enrolment"])
    book: dict[str, dict[str, Decimal]] = {
        r["psn_no"]: defaultdict(Decimal)
        for r in enrolled.iter_rows(named=True)
        if r["insuplc_admdvs"][:4] == city[:4]
    }
    for r in rows.iter_rows(named=True):
        if r["insuplc_admdvs"][:4] != city[:4] or r["medfee_sumamt"] < 0 or r["setl_id"] in refunded:
            continue
        person = book[r["psn_no"]]
        person["cost"] += r["medfee_sumamt"]
        person["hospital"] += r["hosp_part_amt"]
        person["in_policy"] += r["inscp_scp_amt"]
        person["out_of_catalogue"] += r["fulamt_ownpay_amt"] + r["overlmt_selfpay"]
        person["part"] += r["psn_part_amt"]
        person["cash"] += r["psn_cash_pay"]
        for tier, fields in FIELDS.items():
            person[tier] += sum(r[f] for f in fields)
    for r in pl.concat(pl.read_parquet(p) for p in files["commercial_claim"]).iter_rows(named=True):
        if r["insuplc_admdvs"][:4] == city[:4] and r["status"] == "paid":
            book[r["psn_no"]][r["tier"]] += r["paid_amt"]
    return book


@pytest.mark.parametrize(("city", "order"), [("440400", ZHUHAI), ("370400", STATUTORY)])
def test_ledger_in_the_plans_order(
    golden: tuple[Desk, dict[str, list[Path]]], city: str, order: list[str]
) -> None:
    desk, files = golden
    book = persons(files, city)
    rows = desk.ask("own_share_after", ["tier"], {"city": [city]}, protect=False).table
    got = {
        tier: (numerator, denominator)
        for tier, numerator, denominator in rows.select("tier", "numerator", "denominator").iter_rows()
    }
    cost = sum(p["cost"] for p in book.values())
    left = cost - sum(p["hospital"] for p in book.values())
    assert [k for k in desk.order(city, 2023) if k in order] == order
    for tier in order:
        left -= sum(p[tier] for p in book.values())
        assert got[tier] == (float(left), float(cost)), tier


@pytest.mark.parametrize(("city", "order"), [("440400", ZHUHAI), ("370400", STATUTORY)])
def test_person_measures(golden: tuple[Desk, dict[str, list[Path]]], city: str, order: list[str]) -> None:
    desk, files = golden
    book = persons(files, city)
    for place, tier in enumerate(order):
        earlier = order[:place]
        pays = [
            (p[tier], p["cost"] - p["hospital"] - sum(p[k] for k in earlier), p["cost"])
            for p in book.values()
        ]
        paid = [(Fraction(x), Fraction(b), Fraction(c)) for x, b, c in pays if x > 0]
        assert paid, f"{city} {tier}: the sample has nobody paid by this tier, so the test would show nothing"
        expected = {
            "own_share_before": sum(Fraction(b) for _, b, _ in pays) / sum(Fraction(c) for _, _, c in pays),
            "reach": Fraction(len(paid), len(book)),
            "burden_reduction_rate": sum(x for x, _, _ in paid) / sum(b for _, b, _ in paid),
            "burden_reduction_mean": sum(x / b for x, b, _ in paid) / len(paid),
            "burden_reduction_points": sum(x for x, _, _ in paid) / sum(c for _, _, c in paid),
            "paid_per_beneficiary": sum(x for x, _, _ in paid) / len(paid),
            "tier_share": sum(x for x, _, _ in paid) / sum(Fraction(p["cost"]) for p in book.values()),
        }
        for measure, value in expected.items():
            got = desk.ask(measure, ["tier"], {"city": [city], "tier": [tier]}, protect=False).table["value"][
                0
            ]
            assert got == pytest.approx(float(value), rel=1e-12), (tier, measure)


def test_measures_of_the_whole_year(golden: tuple[Desk, dict[str, list[Path]]]) -> None:
    """Own burden is what the record itself calls the personal part (psn_part_amt), less commercial payments."""
    desk, files = golden
    book = persons(files, "440400")

    def total(*fields: str) -> Fraction:
        return sum((Fraction(p[f]) for p in book.values() for f in fields), Fraction())

    ill = sum(p["cost"] > 0 for p in book.values())
    commercial = total("inclusive", "charity")
    statutory = ("basic", "statutory_supplement", "serious_illness", "medical_assistance")
    assert commercial and total("out_of_catalogue") and ill < len(book)
    expected = {
        ("effective_reimbursement_rate", ""): (total(*FIELDS) + commercial) / total("cost"),
        ("in_policy_reimbursement_rate", ""): total(*statutory) / total("in_policy"),
        ("out_of_catalogue_share", ""): total("out_of_catalogue") / total("cost"),
        ("own_burden_mean", "gross"): total("part") / ill,
        ("own_burden_mean", "cash"): total("cash") / ill,
        ("own_burden_mean", "net_of_commercial"): (total("part") - commercial) / ill,
    }
    for (measure, own), value in expected.items():
        answer = desk.ask(
            measure, (), {"city": ["440400"]}, {"own_burden": own} if own else {}, protect=False
        )
        assert answer.table["value"][0] == pytest.approx(float(value), rel=1e-12), (measure, own)


def test_stays_in_hospital(golden: tuple[Desk, dict[str, list[Path]]]) -> None:
    """Admissions are distinct encounters of care type 21 (ordinary stays); what the fund paid is hifp_pay alone."""
    desk, files = golden
    rows = pl.concat(pl.read_parquet(p) for p in files["settlement"])
    refunded = {r["init_setl_id"] for r in rows.iter_rows(named=True) if r["init_setl_id"]}
    stays = [
        r
        for r in rows.iter_rows(named=True)
        if r["med_type"] == "21"
        and r["insuplc_admdvs"][:4] == "4404"
        and r["medfee_sumamt"] > 0
        and r["setl_id"] not in refunded
    ]
    admissions = len({r["mdtrt_id"] for r in stays})
    cost, policy, fund = (
        sum(Fraction(r[f]) for r in stays) for f in ("medfee_sumamt", "inscp_scp_amt", "hifp_pay")
    )
    assert admissions < len(stays), "no stay is settled in parts, so counting settlements would look right"
    expected = {
        "admission_rate": Fraction(admissions, len(persons(files, "440400"))),
        "cost_per_admission": cost / admissions,
        "inpatient_fund_share": fund / policy,
    }
    for measure, value in expected.items():
        got = desk.ask(measure, (), {"city": ["440400"]}, protect=False).table["value"][0]
        assert got == pytest.approx(float(value), rel=1e-12), measure


def test_above_the_serious_illness_line(golden: tuple[Desk, dict[str, list[Path]]]) -> None:
    """Persons whose in-policy cost less basic insurance passes the per-capita income of the year before, from the rows."""
    desk, files = golden
    rows = pl.concat(pl.read_parquet(p) for p in files["settlement"])
    refunded = {r["init_setl_id"] for r in rows.iter_rows(named=True) if r["init_setl_id"]}
    incomes = tomllib.loads((Path(__file__).parents[1] / "data/reference/incomes.toml").read_text("utf-8"))[
        "income"
    ]
    # the city's own figure is an estimate, so the published one of the province is the line
    line = next(r["yuan"] for r in incomes if (r["area"], r["year"]) == ("guangdong", 2022))
    owed: dict[str, Decimal] = defaultdict(Decimal)
    for r in rows.iter_rows(named=True):
        if r["insuplc_admdvs"][:4] == "4404" and r["medfee_sumamt"] > 0 and r["setl_id"] not in refunded:
            owed[r["psn_no"]] += r["inscp_scp_amt"] - r["hifp_pay"]
    above = sum(amount > line for amount in owed.values())
    row = desk.ask("serious_illness_line", (), {"city": ["440400"]}, protect=False).table.row(0, named=True)
    assert (row["numerator"], row["n"]) == (above, len(persons(files, "440400")))
    assert above > 0, "nobody above the line: the test would not see a wrong one"


def test_catastrophic_by_household(golden: tuple[Desk, dict[str, list[Path]]]) -> None:
    desk, files = golden
    book = persons(files, "440400")
    home = {
        r["psn_no"]: r["household_id"]
        for p in files["household_member"]
        for r in pl.read_parquet(p).iter_rows(named=True)
    }
    economy = pl.concat(pl.read_parquet(p) for p in files["household_economy"]).filter(
        pl.col("year").cast(pl.Int64) == 2023
    )
    income = {r["household_id"]: r["income_annual"] for r in economy.iter_rows(named=True)}
    own: dict[str, Decimal] = defaultdict(Decimal)
    for person, p in book.items():
        own[home.get(person, person)] += (
            p["cost"] - p["hospital"] - sum((p[k] for k in [*FIELDS, "inclusive", "charity"]), Decimal())
        )
    measured = {h: o for h, o in own.items() if income.get(h) is not None}
    for threshold in ("0.10", "0.25", "0.40"):
        hit = [
            h for h, o in measured.items() if (o > Decimal(threshold) * income[h] if income[h] > 0 else o > 0)
        ]
        row = desk.ask(
            "catastrophic_headcount",
            (),
            {"city": ["440400"]},
            {"threshold": threshold, "resource": "income"},
            protect=False,
        ).table.row(0, named=True)
        assert (row["numerator"], row["n"], row["n_excluded"]) == (
            len(hit),
            len(measured),
            len(own) - len(measured),
        )

"""Bad values a text extract cannot show: typed columns, replies, sheets; columns a file lacks; rows of the other tables."""

import datetime
import importlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deliveries import (
    MONEY,
    SMALL,
    Row,
    csv_file,
    findings,
    jsonl_file,
    loaded,
    parquet_file,
    record,
    reply,
    table,
    take,
    waiting,
    xlsx_file,
)

from analytics.intake import Refused, contract
from analytics.store import Folder


def test_bad_values_of_typed_columns(tmp_path: Path) -> None:
    """A Parquet file whose columns have types: what no text would show."""
    huge = datetime.date.max.toordinal() - datetime.date(1970, 1, 1).toordinal() + 10**9
    faults: list[tuple[str, str, str, Any]] = [
        ("not a number", "bad_amount(medfee_sumamt)|missing(medfee_sumamt)", "medfee_sumamt", float("nan")),
        ("infinity as a float", "bad_amount(medfee_sumamt)", "medfee_sumamt", float("inf")),
        ("half a fen as a float", "bad_amount(medfee_sumamt)", "medfee_sumamt", 23442.455),
        ("larger than a float is exact", "over_limit(medfee_sumamt)", "medfee_sumamt", 1e17),
        ("four decimals that are not exact", "bad_amount(preselfpay_amt)", "preselfpay_amt", Decimal("703.4401")),
        ("38 nines", "over_limit(maf_pay)", "maf_pay", Decimal("9" * 36 + ".99")),
        ("a NUL in a number", "bad_text(setl_id)", "setl_id", "S\0001"),
        ("a day beyond all calendars", "bad_date(begndate)|Q24", "begndate", huge),
        ("a day before all records", "bad_date(begndate)|Q24", "begndate", -700_000),
        ("the 31st at midnight in Greenwich", "loads", "setl_time", datetime.datetime(2021, 12, 31, 16, 30, tzinfo=datetime.UTC)),
    ]  # fmt: skip
    rows = [record(n, maf_pay="0.00") for n in range(1, len(faults) + 1)]
    data = table(rows)
    kinds = {
        "medfee_sumamt": (pa.float64(), float), "preselfpay_amt": (pa.decimal128(18, 4), Decimal),
        "maf_pay": (pa.decimal128(38, 2), Decimal), "setl_id": (pa.string(), str),
        "begndate": (pa.date32(), lambda t: (datetime.date.fromisoformat(t) - datetime.date(1970, 1, 1)).days),
        "setl_time": (pa.timestamp("us", "UTC"), lambda t: datetime.datetime.fromisoformat(t + "+08:00")),
    }  # fmt: skip
    for name, (kind, read) in kinds.items():
        values = [
            fault[3] if fault[2] == name else read(row[name]) for fault, row in zip(faults, rows, strict=True)
        ]
        array = pa.array(values, pa.int32()).cast(kind) if name == "begndate" else pa.array(values, kind)
        data = data.set_column(data.schema.get_field_index(name), name, array)
    pq.write_table(data, tmp_path / "s.parquet")
    delivery = take(tmp_path, [tmp_path / "s.parquet"])
    away = waiting(delivery)
    for place, (words, expected, _, _) in enumerate(faults[:-1], 1):
        state, reasons = away.get(("s.parquet", place), ("loads", []))
        assert (words, state) == (words, "waits")
        assert set(expected.split("|")) & set(reasons), (words, reasons)
    last = loaded(delivery).row(0, named=True)
    assert (len(away), last["plan_year"]) == (len(faults) - 1, 2021)
    assert last["setl_time"] == datetime.datetime(2022, 1, 1, 0, 30)


def test_single_precision(tmp_path: Path) -> None:
    """What a short float holds exactly loads; what it does not waits."""
    rows = [record(1), record(2, **SMALL, fixmedins_name="甲")]
    path = parquet_file(tmp_path / "s.parquet", rows, dict.fromkeys(MONEY, pa.float32()))
    delivery = take(tmp_path, [path])
    assert "bad_amount(medfee_sumamt)" in waiting(delivery)["s.parquet", 1][1]
    assert loaded(delivery)["psn_part_amt_fen"].to_list() == [32450]


def test_bad_replies(tmp_path: Path) -> None:
    """An error reply is no settlement; words, booleans and nests are no amounts; labels are no fund codes (I5)."""
    rows = [record(n) for n in range(1, 8)]
    lines: list[Any] = [reply(row) for row in rows]
    lines[0] = {"infcode": -1, "err_msg": "该人员未参保", "output": None}
    lines[1]["output"]["setlinfo"]["medfee_sumamt"] = True
    lines[2]["output"]["setlinfo"]["medfee_sumamt"] = None
    lines[3]["infcode"] = -1
    lines[4] = reply(rows[4], [("个人自付", "4152.06"), ("330101", "18785.39")])
    lines[5] = reply(rows[5], [("330101", "18785.39"), ("999996", "500.00"), ("310201", "170.04")])
    delivery = take(tmp_path, [jsonl_file(tmp_path / "r.jsonl", lines)])
    away = waiting(delivery)
    assert {place for _, place in away} == {1, 2, 3, 4}
    assert {state for state, _ in away.values()} <= {"waits", "set_aside"}
    assert "bad_amount(medfee_sumamt)" in away["r.jsonl", 2][1]
    assert "missing(medfee_sumamt)" in away["r.jsonl", 3][1]
    assert findings(delivery)["I5"] == 2


def test_bad_cells_of_a_sheet(tmp_path: Path) -> None:
    """A truth value and a date are no amounts."""
    rows = [record(n) for n in range(1, 4)]
    cells = [True, datetime.datetime(2021, 8, 27)]
    for row, cell in zip(rows, cells, strict=False):
        row["medfee_sumamt"] = cell
    delivery = take(tmp_path, [xlsx_file(tmp_path / "s.xlsx", rows)])
    away = waiting(delivery)
    assert {place for _, place in away} == {1, 2}
    for _, reasons in away.values():
        assert {"bad_amount(medfee_sumamt)", "missing(medfee_sumamt)"} & set(reasons)


# --- whole files that load, and what is said about them

WHOLE: list[tuple[str, str, Callable[[Path], Path]]] = [
    ("no column of the price cap", "column_absent(overlmt_selfpay)", lambda d: csv_file(d / "s.csv", [{k: v for k, v in record(n, **SMALL).items() if k != "overlmt_selfpay"} for n in (1, 2)])),
    ("funds in whole yuan", "Q9", lambda d: parquet_file(d / "s.parquet", [{**record(n), "hifob_pay": "18785"} for n in range(1, 31)], {"hifob_pay": pa.int64()})),
    ("a column of one value", "Q22", lambda d: csv_file(d / "s.csv", [record(n) for n in range(1, 131)])),
    ("a header in capitals", "Q29", lambda d: csv_file(d / "s.csv", [{k.upper(): v for k, v in record(1).items()}])),
    ("dates as a sheet counts them", "Q16", lambda d: csv_file(d / "s.csv", [record(n, begndate="44428", enddate="44435") for n in (1, 2)])),
]  # fmt: skip


@pytest.fixture(scope="module")
def flawless(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What the rules find where no file has a flaw."""
    folder = tmp_path_factory.mktemp("flawless")
    return checked(take(folder, [csv_file(folder / "s.csv", [record(1), record(2, gend="2")])]))


def checked(delivery: Folder) -> dict[str, int]:
    """Rows per rule that found something, those that only inform included."""
    found = {c["rule"]: c["rows"] for c in delivery.manifest["checks"] if c["status"] == "found"}
    return {**found, **findings(delivery)}


@pytest.mark.parametrize(("words", "rule", "make"), WHOLE, ids=[words for words, _, _ in WHOLE])
def test_a_file_with_a_flaw_loads_and_says_so(
    tmp_path: Path, flawless: dict[str, int], words: str, rule: str, make: Callable[[Path], Path]
) -> None:
    delivery = take(tmp_path, [make(tmp_path)])
    assert checked(delivery)[rule] >= 1
    assert delivery.manifest["rows_quarantined"] == 0
    assert rule == "Q22" or rule not in flawless  # a good extract has columns of one value too


def test_without_the_price_cap_the_split_is_a_bound(tmp_path: Path) -> None:
    """Q8: the parts that are there may not exceed the fee; they may fall short of it."""
    rows = [{k: v for k, v in record(n).items() if k != "overlmt_selfpay"} for n in (1, 2)]
    rows[1] |= {"fulamt_ownpay_amt": "3930.87"}  # 0.01 more than fee less the other two
    rows.append({**rows[0], "setl_id": "S3", "fulamt_ownpay_amt": "4000.00"})
    delivery = take(tmp_path, [csv_file(tmp_path / "s.csv", rows)])
    assert waiting(delivery) == {("s.csv", 3): ("waits", ["I1"])}


# --- the other tables

CLAIM = {"claim_id": "C1", "product_code": "dawj", "psn_no": "P1", "insu_admdvs": "440402", "product_year": "2021", "scope_amt": "500.00", "paid_amt": "120.00", "is_one_stop": "1", "status": "paid"}  # fmt: skip
SPELL = {"psn_no": "P1", "insu_admdvs": "440402", "insutype": "310", "psn_type": "1101", "start_date": "2021-01-01", "end_date": "9999-12-31", "person_group": "general", "is_pre_existing": "0", "premium": "0.00"}  # fmt: skip
HOME = {"household_id": "H1", "city": "440400", "plan_year": "2021", "weight": "1.5", "cost": "5000.00", "own_burden": "1200.00", "basic_paid": "3800.00"}  # fmt: skip
ECONOMY = {
    "household_id": "H1",
    "year": "2021",
    "size": "3",
    "income_annual": "30000.00",
    "food_annual": "9000.00",
    "children": "1",
}
PERSON = {"psn_no": "P1", "gend": "1", "birth_year": "1950"}
TABLES: list[tuple[str, str, str, Row, Row]] = [
    ("commercial_claim", "a negative payment", "waits negative_payment", CLAIM, {"paid_amt": "-1.00"}),
    ("commercial_claim", "a payer that is no insurer", "waits not_a_tier", CLAIM, {"tier": "basic"}),
    ("commercial_claim", "a payment taken back", "aside reversed_claim", CLAIM, {"status": "reversed"}),
    ("commercial_claim", "a payment in words", "waits bad_amount(paid_amt)", CLAIM, {"paid_amt": "一百"}),
    ("commercial_claim", "a claim of nobody", "waits missing(person_id)", CLAIM, {"psn_no": ""}),
    ("commercial_claim", "settled somehow", "waits bad_flag(is_one_stop)", CLAIM, {"is_one_stop": "半"}),
    ("commercial_claim", "a payment of no year", "waits no_year", CLAIM, {"product_year": ""}),
    ("commercial_claim", "a payment of no place", "waits bad_code(insu_admdvs)", CLAIM, {"insu_admdvs": "珠海"}),
    ("commercial_claim", "a payment of a year with a digit too many", "waits Q24", CLAIM, {"product_year": "20211"}),
    ("commercial_claim", "a payment of the year nought", "waits Q24", CLAIM, {"product_year": "0"}),
    ("commercial_claim", "paid before there were computers", "waits Q24", CLAIM, {"pay_date": "1900-01-01"}),
    ("enrolment", "a product of another century", "waits Q24", SPELL, {"product_year": "1921"}),
    ("enrolment", "insured in no place", "waits bad_code(insu_admdvs)", SPELL, {"insu_admdvs": "zhuhai"}),
    ("enrolment", "a negative premium", "waits negative_premium", SPELL, {"premium": "-0.01"}),
    ("enrolment", "an identity of no list", "waits not_a_person_group", SPELL, {"person_group": "rich"}),
    ("enrolment", "ended before it began", "waits end_before_begin", SPELL, {"end_date": "2020-12-31"}),
    ("enrolment", "neither yes nor no", "waits bad_flag(is_pre_existing)", SPELL, {"is_pre_existing": "也许"}),
    ("enrolment", "no begin", "waits missing(start_date)", SPELL, {"start_date": ""}),
    ("enrolment", "a product held since nobody knows when", "waits no_product_year", SPELL, {"start_date": "1900-01-01", "product_code": "dawj"}),
    ("enrolment", "insured from the next century on", "waits starts_late", SPELL, {"start_date": "2100-01-01"}),
    ("commercial_claim", "paid in the next century", "waits in_the_future", CLAIM, {"pay_date": "2099-12-31"}),
    ("commercial_claim", "incurred in the next century", "waits in_the_future", CLAIM, {"incurred_date": "2099-12-31"}),
    ("enrolment", "not insured after all", "aside not_insured", SPELL, {"status": "0"}),
    ("household_economy", "an income of 300 billion yuan", "waits implausible_amount", ECONOMY, {"income_annual": "300000000000.00"}),
    ("household_economy", "food for less than nothing", "waits implausible_amount", ECONOMY, {"food_annual": "-1.00"}),
    ("household_economy", "a household of nobody", "waits implausible_size", ECONOMY, {"size": "0"}),
    ("household_economy", "more children than members", "waits implausible_size", ECONOMY, {"children": "4"}),
    ("person", "born in the year nought", "waits Q24", PERSON, {"birth_year": "0"}),
    ("person", "born with a digit too many", "waits Q24", PERSON, {"birth_year": "19500"}),
    ("household_economy", "an economy of no year", "waits Q24", ECONOMY, {"year": "21"}),
    ("household_year", "a negative cost", "waits negative_cost", HOME, {"cost": "-5.00"}),
    ("household_year", "a household of no weight", "waits weight_not_positive", HOME, {"weight": "0"}),
    ("household_year", "neither cost nor burden", "waits no_burden", HOME, {"cost": "", "own_burden": ""}),
    ("household_year", "payments above the cost", "waits tier_over_cost", HOME, {"basic_paid": "5000.01"}),
    ("household_year", "a negative payment of a tier", "waits tier_negative", HOME, {"basic_paid": "-0.01"}),
    ("household_year", "a weight in words", "waits bad_number(weight)", HOME, {"weight": "heavy"}),
]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["commercial_claim", "enrolment", "household_economy", "household_year", "person"]
)
def test_bad_rows_of_the_other_tables(tmp_path: Path, name: str) -> None:
    kinds = [(words, expected, good, change) for t, words, expected, good, change in TABLES if t == name]
    first = kinds[0][2]
    extra = {"tier": "inclusive"} if name == "commercial_claim" else {"status": "1"} if name == "enrolment" else {}  # fmt: skip
    rows = [{**first, **extra}]
    for number, (_, _, good, change) in enumerate(kinds, 2):
        numbered = {
            k: f"{v[0]}{number}" for k, v in good.items() if k in ("claim_id", "psn_no", "household_id")
        }
        rows.append({**good, **extra, **numbered, **change})
    delivery = take(tmp_path, [csv_file(tmp_path / "t.csv", rows)], name)
    away = waiting(delivery)
    for number, (words, expected, _, _) in enumerate(kinds, 2):
        what, reason = expected.split(" ")
        state, reasons = away.get(("t.csv", number), ("loads", []))
        assert (words, state) == (words, {"waits": "waits", "aside": "set_aside"}[what])
        assert reason in reasons, words
    assert ("t.csv", 1) not in away


def test_a_loss_is_an_income_and_a_sex_of_no_list_is_counted(tmp_path: Path) -> None:
    lost = take(
        tmp_path / "a",
        [csv_file(tmp_path / "e.csv", [{**ECONOMY, "income_annual": "-5000.00"}])],
        "household_economy",
    )
    assert lost.manifest["rows_loaded"] == 1
    rows = [{**PERSON, "psn_no": f"P{n}", "gend": sex} for n, sex in enumerate(("男", "1", "0", "9", "3"))]
    assert findings(take(tmp_path / "b", [csv_file(tmp_path / "p.csv", rows)], "person"))["sex_unlisted"] == 2


def in_china(days: int) -> str:
    """A day counted from today's in China."""
    return str((datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, hours=8)).date())


def test_what_is_dated_ahead(tmp_path: Path) -> None:
    """Settled today loads, tomorrow waits; cover may begin within a year."""
    days = [{"begndate": in_china(n), "enddate": in_china(n), "year": in_china(n)[:4]} for n in (0, 1)]
    rows = [record(n, **day, setl_time=f"{day['enddate']} 23:59:59") for n, day in enumerate(days, 1)]
    away = waiting(take(tmp_path, [csv_file(tmp_path / "s.csv", rows)]))
    assert away == {("s.csv", 2): ("waits", ["in_the_future"])}
    spells = [{**SPELL, "psn_no": f"P{n}", "start_date": in_china(n)} for n in (0, 300, 365, 367)]
    away = waiting(take(tmp_path, [csv_file(tmp_path / "e.csv", spells)], "enrolment"))
    assert away == {("e.csv", 4): ("waits", ["starts_late"])}


def test_the_first_day_of_a_calendar_is_no_day(tmp_path: Path) -> None:
    """Who is on the register is insured: a begin nobody knows stays and is said; days that years of cover are counted from are emptied."""
    starts = ["1900-01-01", "1970-01-01", "1949-12-31", "1950-01-01", "2021-01-01"]
    rows = [{**SPELL, "psn_no": f"P{n}", "start_date": day, "insured_since": day, "product_since": "", "product_code": "", "product_year": ""} for n, day in enumerate(starts)]  # fmt: skip
    rows[4] |= {"product_since": "1900-01-01", "product_code": "dawj"}
    rows.append({**rows[0], "psn_no": "P9", "product_code": "dawj", "product_year": "2021"})
    delivery = take(tmp_path, [csv_file(tmp_path / "e.csv", rows)], "enrolment")
    found = findings(delivery)
    assert (found["start_unknown"], found["since_unknown"], waiting(delivery)) == (4, 5, {})
    held = loaded(delivery, "enrolment").sort("start_date", "product_year", nulls_last=True)
    assert [str(day) for day in held["start_date"]] == sorted([*starts, "1900-01-01"])
    assert [str(day) for day in held["insured_since"].drop_nulls()] == ["1950-01-01", "2021-01-01"]
    assert held["product_since"].null_count() == len(rows)
    assert "start_unknown" not in held.columns


BARE_CLAIM = {name: CLAIM[name] for name in ("claim_id", "product_code", "psn_no", "insu_admdvs", "paid_amt")}


def test_a_payment_that_no_year_can_be_told_of_is_not_lost(tmp_path: Path) -> None:
    """A day of any kind tells the year; a file without one waits as a whole."""
    rows = [{**BARE_CLAIM, "claim_id": f"C{n}"} for n in range(5)]
    for row, day in zip(rows[1:], ("incurred_date", "claim_date", "pay_date"), strict=False):
        row[day] = "2021-05-01"
    dated = take(tmp_path, [csv_file(tmp_path / "c.csv", rows)], "commercial_claim")
    assert waiting(dated) == {("c.csv", n): ("waits", ["no_year"]) for n in (1, 5)}
    assert loaded(dated, "commercial_claim")["plan_year"].to_list() == [2021] * 3
    none = take(tmp_path, [csv_file(tmp_path / "n.csv", [BARE_CLAIM])], "commercial_claim", store="other")
    assert (none.manifest["rows_loaded"], none.manifest["rows_quarantined"]) == (0, 1)
    assert none.manifest["fee_quarantined_fen"] == 120_00


@pytest.mark.parametrize("days", [{}, {"claim_date": "2021-05-01"}])
def test_a_row_that_falls_out_while_it_is_written_refuses_the_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: Row
) -> None:
    """What was counted as loaded is what the files hold, in rows and in fen."""
    rules = contract("commercial_claim")
    blind = rules.model_copy(update={"rules": tuple(r for r in rules.rules if r.id != "no_year")})
    monkeypatch.setattr(importlib.import_module("analytics.intake.ingest"), "contract", lambda _: blind)
    rows = [{**CLAIM, "claim_id": "C2"}, {**BARE_CLAIM, **days}]
    file = csv_file(tmp_path / "c.csv", rows)
    if days:
        assert take(tmp_path, [file], "commercial_claim").manifest["rows_loaded"] == 2
        return
    with pytest.raises(
        Refused, match=r"1 rows of 12000 fen were to be written, 0 rows of 0 fen were.*lost_rows"
    ):
        take(tmp_path, [file], "commercial_claim")
    assert not list((tmp_path / "store" / "deliveries").glob("*/manifest.json"))


def spell(person: int, home: str, start: str = "", end: str = "") -> Row:
    return {"household_id": home, "psn_no": f"P{person}", "start_date": start, "end_date": end}


def test_a_person_in_two_households_at_once_waits(tmp_path: Path) -> None:
    """Who moved, even while the first spell has no end, is in one at a time; what begins on one day, or no day, is not."""
    rows = [
        spell(1, "A", "2020-01-01"), spell(1, "B", "2021-05-01"), spell(2, "A"), spell(2, "B"), spell(3, "A", "2020-01-01"),
        spell(3, "B", "2020-01-01"), spell(4, "A"), spell(4, "A"), spell(5, "A", "", "2021-01-01"), spell(5, "B", "2021-01-01"),
    ]  # fmt: skip
    delivery = take(tmp_path, [csv_file(tmp_path / "h.csv", rows)], "household_member")
    conflict, copy = ("waits", ["Q1_conflict"]), ("set_aside", ["Q1"])
    states = dict.fromkeys((3, 4, 5, 6), conflict) | {8: copy}
    assert waiting(delivery) == {("h.csv", n): state for n, state in states.items()}


def test_a_household_has_one_row_of_a_year(tmp_path: Path) -> None:
    """Copies are set aside, others wait; what an earlier delivery said of it comes in all the same, and says which is newer."""

    def means(name: str, *incomes: str) -> Folder:
        rows = [{"household_id": "A", "year": "2021", "income_annual": income} for income in incomes]
        return take(tmp_path, [csv_file(tmp_path / name, rows)], "household_economy")

    first = means("a.csv", "90000", "90000")
    assert waiting(first) == {("a.csv", 2): ("set_aside", ["Q1"])}
    conflict = means("b.csv", "90000", "30000")
    assert waiting(conflict) == {("b.csv", n): ("waits", ["Q1_conflict"]) for n in (1, 2)}
    second = means("c.csv", "30000")
    assert (second.manifest["rows_loaded"], second.manifest["turn"]) == (1, 3)
    assert means("c.csv", "30000").id == second.id
    again = means("a.csv", "90000", "90000")  # taken back: what was delivered first holds once more
    assert (again.manifest["rows_loaded"], again.manifest["turn"]) == (1, 4)
    assert again.id != first.id

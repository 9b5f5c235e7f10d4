"""Bad rows inside good files: each waits, or is set aside, with its reason, or is loaded with what was corrected counted.

Kinds share deliveries: every kind has rows of its own in one of them and is judged on those. The same deliveries without the
faults load whole (`test_without_the_faults`). Whole files that must be refused: test_bad_input.py; typed columns, replies, sheets, other tables: test_bad_values.py.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deliveries import (
    PLATFORM,
    SMALL,
    Row,
    certificate,
    csv_file,
    findings,
    loaded,
    platform,
    record,
    reversal,
    take,
    waiting,
)

from analytics.store import Folder

LITTLE = {PLATFORM.get(k, k): v for k, v in SMALL.items()}
OLDER, NEWER = {"updt_time": "2021-08-28 00:00:00"}, {"updt_time": "2021-08-29 00:00:00"}
# 1,000.00: 700 outside the policy, of which the funds pay; every other identity holds
BEYOND = {**LITTLE, "fulamt_ownpay_amt": "700.00", "overlmt_selfpay": "0", "preselfpay_amt": "0", "inscp_amt": "300.00", "hifp_pay": "824.50", "fund_pay_sumamt": "900.00", "psn_pay": "100.00", "cash_payamt": "75.50"}  # fmt: skip
A_BIT_BEYOND = {**LITTLE, "fulamt_ownpay_amt": "300.00", "inscp_amt": "650.00"}


@dataclass(frozen=True)
class Kind:
    """A fault in words and what comes of it: `waits R`, `aside R`, `corrected R`, `warned R` or `loads`, R a reason (or several, any
    of which will do, where no rule text decides). `change` is the fault on a good row; `others` are further rows with theirs."""

    words: str
    expected: str
    change: Row
    others: tuple[tuple[str, Row], ...] = ()
    stored: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> list[tuple[str, Row]]:
        return [(self.expected, self.change), *self.others]


def fee(text: str) -> Row:
    return {"medfee_sumamt": text}


def who(number: int) -> Row:
    """Who a settlement is of."""
    return {name: platform(number)[name] for name in ("psn_no", "certno")}


def unread(words: str, text: str) -> Kind:
    return Kind(words, "waits bad_amount(medfee_sumamt)", fee(text))


def cleaned(words: str, text: str) -> Kind:
    return Kind(words, "corrected Q11", fee(text), stored={"medfee_sumamt_fen": 2344246})


READING = [
    unread("an amount in words", "约两万"),
    unread("an amount in ten thousands", "2.34万"),
    unread("three decimals that are not exact", "23442.455"),
    unread("a decimal comma", "23.442,46"),
    unread("separators at wrong places", "2,3442.46"),
    unread("too large for any number", "1e400"),
    Kind("larger than a settlement can be", "waits over_limit(medfee_sumamt)", fee("99999999999.00")),
    unread("infinity", "inf"),
    unread("underscores between digits", "23_442.46"),
    unread("a hexadecimal number", "0x5B92"),
    unread("two amounts in one", "23442.46/100"),
    unread("two decimal points", "23.442.46"),
    unread("an error of a spreadsheet", "#REF!"),
    unread("a formula", "=SUM(A1:A3)"),
    unread("a negative in brackets", "(23442.46)"),
    unread("digits of another script", "٢٣٤٤٢.٤٦"),
    unread("a zero-width character inside", "2344\u200b2.46"),
    unread("yes as an amount", "TRUE"),
    Kind("a fund in words", "waits bad_amount(hifob_pay)", {"hifob_pay": "约一万"}),
    Kind("no fee", "waits missing(medfee_sumamt)", fee("null")),
    Kind("no self-paid part", "waits missing(fulamt_ownpay_amt)", {"fulamt_ownpay_amt": ""}),
    Kind("nobody named", "waits missing(person_id)", {"psn_no": "", "certno": ""}),
    Kind("nobody named but by tokens", "waits missing(person_id)", {"psn_no": "***", "certno": "--"}),
    Kind("no settlement number", "waits missing(setl_id)", {"setl_id": "--"}),
    Kind("no encounter number", "waits missing(mdtrt_id)", {"mdtrt_id": ""}),
    Kind("no time of settlement", "waits missing(setl_time)", {"setl_time": ""}),
    Kind("no insured place", "waits missing(insu_admdvs)", {"insu_admdvs": ""}),
    Kind("no insurance type", "waits missing(insutype)", {"insutype": "NULL"}),
    Kind("a place named, not coded", "waits bad_code(insu_admdvs)|bad_text(insu_admdvs)", {"insu_admdvs": "广东珠海"}),
    Kind("a place cut short", "waits bad_code(insu_admdvs)|bad_text(insu_admdvs)", {"insu_admdvs": "44"}),
    Kind("a zero-width character in a number", "waits bad_text(setl_id)", {"setl_id": "S9\u200b001"}),
    Kind("a control character in a number", "waits bad_text(setl_id)", {"setl_id": "S9\x07002"}),
    Kind("a line break in a number", "waits bad_text(mdtrt_id)", {"mdtrt_id": "M9\n003"}),
    Kind("a replacement character in a number", "waits bad_text(setl_id)", {"setl_id": "S9\ufffd004"}),
    Kind("a time in words", "waits bad_timestamp(setl_time)", {"setl_time": "二〇二一年八月"}),
    Kind("an hour that is none", "waits bad_timestamp(setl_time)", {"setl_time": "2021-08-27 25:01:00"}),
    Kind("a day that is none", "waits bad_date(begndate)", {"begndate": "2021-02-30"}),
    Kind("a date in another language", "waits bad_date(begndate)", {"begndate": "20 août 2021"}),
    Kind("a bare number among dates", "waits bad_date(begndate)", {"begndate": "44428"}),
    Kind("the first day of all", "waits bad_date(begndate)|Q24", {"begndate": "0001-01-01"}),
    Kind("the last day of all", "waits bad_date(enddate)|Q24", {"enddate": "9999-12-31"}),
    Kind("a settlement in another century", "waits Q24", {"setl_time": "2121-08-27 09:58:41", "year": "2121"}),
    Kind("a settlement of the future", "waits in_the_future", {"setl_time": "2099-12-31 09:58:41", "year": "2099"}),
    Kind("a benefit year that is no number", "waits bad_integer(year)", {"year": "20x1"}),
    Kind("half a benefit year", "waits bad_integer(year)", {"year": "2021.5"}),
    Kind("a benefit year without its century", "waits bad_integer(year)|Q24", {"year": "21"}),
    Kind("the end before the begin", "waits Q24", {"enddate": "2021-08-19"}),
    Kind("settled before it began", "waits Q24", {"begndate": "2021-08-28", "enddate": "2021-08-29"}),
]  # fmt: skip

JUDGING = [
    # identities
    Kind("a fee that does not split", "waits I1", {"fulamt_ownpay_amt": "2433.97"}),
    Kind("funds that do not add up", "waits I2", {"maf_pay": "100.00"}),
    Kind("a burden that is not what is left", "waits I3", {"psn_pay": "4657.07", "cash_payamt": "4487.03"}),
    Kind("account and cash that are not the burden", "waits I4", {"acct_pay": "0"}),
    Kind("a fund above the fee", "waits I12", {"hifob_pay": "30000.00", "fund_pay_sumamt": "30000.00"}),
    Kind("a fund of the other sign", "waits I12", {"hifob_pay": "-18785.39", "fund_pay_sumamt": "-18785.39"}),
    Kind("negative cash", "waits I12", {"acct_pay": "4252.06", "cash_payamt": "-100.00"}),
    Kind("funds that pay what the policy leaves out", "waits I7_large", BEYOND),
    Kind("funds that pay a little of it", "warned I7", A_BIT_BEYOND),
    Kind("a deductible above the in-policy amount", "warned I6", {**LITTLE, "act_pay_dedc": "850.06"}),
    Kind("a split off by three fen", "corrected I1_rounding", {"fulamt_ownpay_amt": "2533.94"}, stored={"rounding_resid_fen": 3}),
    Kind("a large fee's split off by ten yuan", "corrected I1_rounding", {"fulamt_ownpay_amt": "2523.97"}, stored={"rounding_resid_fen": 1000}),
    Kind("no burden said", "corrected I3_derived", {"psn_pay": ""}, stored={"psn_part_amt_fen": 415206}),
    Kind("other funds spelled twice, differently", "waits alias_conflict(oth_pay)", {**LITTLE, "hifp_pay": "590.00", "othfund_pay": "10.00", "oth_pay": "12.00"}),
    # versions and copies
    Kind("a copy", "aside Q1", {"setl_id": "V1", "rid": "R1", "mdtrt_id": "MV1", **who(911)}, (("loads", {"setl_id": "V1", "rid": "R2", "mdtrt_id": "MV1", **who(911)}),)),
    Kind("an older version", "aside Q1", {"setl_id": "V2", **OLDER, "acct_pay": "0", "cash_payamt": "4152.06", **who(912)}, (("loads", {"setl_id": "V2", **NEWER, **who(912)}),)),
    Kind("declared invalid later", "aside Q1", {"setl_id": "V11", "mdtrt_id": "MV11", **OLDER, **who(919)}, (("aside Q2", {"setl_id": "V11", "mdtrt_id": "MV11", **NEWER, "vali_flag": "0", **who(919)}),)),
    Kind("a newer version that cannot be read", "aside Q1", {"setl_id": "V12", "mdtrt_id": "MV12", **OLDER, **who(920)}, (("waits bad_amount(medfee_sumamt)", {"setl_id": "V12", "mdtrt_id": "MV12", **NEWER, **fee("?"), **who(920)}),)),
    Kind("two truths at one time", "waits Q1_conflict", {"setl_id": "V3", "acct_pay": "0", "cash_payamt": "4152.06", **who(913)}, (("waits Q1_conflict", {"setl_id": "V3", **who(913)}),)),
    Kind("a row declared invalid", "aside Q2", {"vali_flag": "0"}),
    Kind("the other place's copy of care away", "aside Q5", {"setl_id": "V4", "out_flag": "2", "mdtrt_id": "MV4", **who(914)}, (("loads", {"setl_id": "V5", "out_flag": "1", "mdtrt_id": "MV4", **who(914)}),)),
    Kind("a test institution", "aside Q23", {"fixmedins_name": "市医保中心测试医院"}),
    Kind("a test patient", "aside Q23", {"psn_name": "测试患者"}),
    # refunds
    Kind("a refund of what was never seen", "warned Q4", {**reversal(platform(915, setl_id="V0"), "V6"), "mdtrt_id": "MV6"}, stored={"row_kind": "reversal"}),
    Kind("a refund and its original", "corrected Q3", {**reversal(platform(916, setl_id="V7"), "V8"), "mdtrt_id": "MV7"}, (("loads", {"setl_id": "V7", "mdtrt_id": "MV7", "refd_setl_flag": "1", **who(916)}),), {"row_kind": "reversal"}),
    Kind("a refund of a part", "warned I8", {**reversal(platform(917, setl_id="V9", **LITTLE), "V10"), "mdtrt_id": "MV9"}, (("loads", {"setl_id": "V9", "mdtrt_id": "MV9", "refd_setl_flag": "1", **who(917)}),), {"row_kind": "reversal"}),
    # people
    Kind("a certificate of 15 digits", "corrected Q19", {"certno": "440400500301901"}),
    Kind("a wrong check digit", "warned Q19_bad", {"certno": certificate(902)[:17] + ("0" if certificate(902)[17] != "0" else "1")}),
    Kind("a second person number", "corrected Q21", {"certno": certificate(903), "psn_no": "91"}, (("loads", {"certno": certificate(903), "psn_no": "92"}),)),
    Kind("a second certificate", "warned Q21_number", {"certno": certificate(904), "psn_no": "93"}, (("loads", {"certno": certificate(905), "psn_no": "93"}),)),
    Kind("born when clocks begin", "corrected Q17", {"certno": "", "brdy": "1970-01-01", "age": "59"}, stored={"birth_year": 1962}),
    Kind("born when clocks begin, by a certificate before", "corrected Q17", {"brdy": "1970-01-01", "age": ""}, stored={"birth_year": 1950}),
    Kind("born with the century", "corrected Q17", {"certno": "", "brdy": "1900-01-01", "age": "59"}, stored={"birth_year": 1962}),
    Kind("an age a year ahead", "corrected Q18", {"age": "72"}, stored={"birth_year": 1950}),
    Kind("an encrypted provider", "warned Q20", {"fixmedins_code": "\x01\x7f\x02医"}),
    # time and codes
    Kind("a benefit year that is not the year of settlement", "warned Q6", {"year": "2020"}, stored={"plan_year": 2020}),
    Kind("a settlement in mid-stay", "warned Q6", {"mid_setl_flag": "1", "mdtrt_id": "MV13", **who(918)}, (("warned Q6", {"mdtrt_id": "MV13", "mid_setl_flag": "1", **who(918)}),)),
    Kind("no benefit year", "corrected Q6_year", {"year": ""}, stored={"plan_year": 2021}),
    Kind("an insurance type of no list", "warned Q25", {**LITTLE, "insutype": "888"}, stored={"insurance_type": "other"}),
    Kind("a code that is a statement", "warned Q25", {**LITTLE, "insutype": "x'; DROP TABLE typed; --"}, stored={"insurance_type": "other"}),
    Kind("a care type of no list", "warned Q25", {**LITTLE, "med_type": "66"}, stored={"care_type": "other"}),
    Kind("a code in full-width digits", "corrected Q11", {"insutype": "３１０"}, stored={"insurance_type": "employee"}),
    Kind("a code with a decimal to spare", "corrected Q11", {"insutype": "310.0"}, stored={"insutype": "310"}),
    # amounts and blanks
    cleaned("thousands separators", "23,442.46"),
    cleaned("a yuan sign", "￥23442.46"),
    cleaned("another yuan sign and separators", "¥23,442.46"),
    cleaned("full-width digits", "２３４４２.４６"),
    cleaned("decimals to spare", "23442.4600"),
    cleaned("scientific notation that is exact", "2.344246E+04"),
    Kind("a word for nothing", "corrected Q12", {"dedc_hosp_lv": "null", "lmtpric_hosp_lv": "", "hosp_lv": ""}, stored={"hospital_level": "ungraded"}),
    Kind("stars for nothing", "corrected Q12", {"maf_pay": "***"}, stored={"maf_pay_fen": 0}),
    Kind("dashes for nothing", "corrected Q12", {"act_pay_dedc": "--"}, stored={"act_pay_dedc_fen": None}),
    Kind("a database's word for nothing", "corrected Q12", {"pay_loc": "\\N"}, stored={"pay_loc": None}),
]  # fmt: skip
ROWS = READING + JUDGING


@dataclass(frozen=True)
class Delivered:
    """A loaded delivery, and where each row of each kind stands in it."""

    delivery: Folder
    file: str
    places: dict[str, list[int]]
    ids: dict[tuple[str, int], str]

    def check(self, kind: Kind) -> None:
        away, here = waiting(self.delivery), loaded(self.delivery)
        counts = findings(self.delivery)
        for nth, (expected, _) in enumerate(kind.rows):
            what, _, wanted = expected.partition(" ")
            state, reasons = away.get((self.file, self.places[kind.words][nth]), ("loads", []))
            assert state == {"waits": "waits", "aside": "set_aside"}.get(what, "loads"), reasons
            if state == "loads":
                assert not wanted or any(counts.get(rule) for rule in wanted.split("|")), counts
            else:
                assert set(wanted.split("|")) & set(reasons), reasons
            if state == "loads" and nth == 0:
                row = here.filter(pl.col("setl_id") == self.ids[kind.words, nth]).row(0, named=True)
                assert {name: row[name] for name in kind.stored} == kind.stored


def deliver(folder: Path, kinds: list[Kind], faults: bool = True) -> Delivered:
    """All rows of the kinds as one setl_d extract in CSV, good rows before, between and after."""
    rows: list[Row] = [platform(899, oth_pay="")]
    places: dict[str, list[int]] = {}
    ids = {}
    for kind in kinds:
        for nth, (_, change) in enumerate(kind.rows):
            rows.append({**platform(len(rows)), "oth_pay": "", **(change if faults else {})})
            places.setdefault(kind.words, []).append(len(rows))
            ids[kind.words, nth] = rows[-1]["setl_id"]
    rows.append(platform(898, oth_pay=""))
    assert len(rows) < 100, "with a hundred rows the limits of a delivery refuse it: make two"
    return Delivered(take(folder, [csv_file(folder / "s.csv", rows)]), "s.csv", places, ids)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    return deliver(tmp_path_factory.mktemp("reading"), READING)


@pytest.fixture(scope="module")
def judging(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    return deliver(tmp_path_factory.mktemp("judging"), JUDGING)


@pytest.mark.parametrize("kind", READING, ids=lambda k: k.words)
def test_a_value_that_cannot_be_read(reading: Delivered, kind: Kind) -> None:
    reading.check(kind)


@pytest.mark.parametrize("kind", JUDGING, ids=lambda k: k.words)
def test_a_row_that_breaks_a_rule(judging: Delivered, kind: Kind) -> None:
    judging.check(kind)


COUNTED = {e for k in JUDGING for e, _ in k.rows if e.startswith(("corrected", "warned"))}


@pytest.mark.parametrize(
    "counted", sorted(COUNTED - {"corrected Q21", "warned Q21_number", "corrected Q3", "warned I7"})
)
def test_a_rule_counts_its_rows_and_no_others(judging: Delivered, counted: str) -> None:
    """As many findings as rows with that fault: neither a row missed nor a good row accused."""
    wanted = sum(e == counted for k in JUDGING for e, _ in k.rows)
    assert findings(judging.delivery)[counted.split(" ")[1]] == wanted


@pytest.mark.parametrize("kinds", [READING, JUDGING], ids=["reading", "judging"])
def test_without_the_faults(tmp_path: Path, kinds: list[Kind]) -> None:
    """The same rows without the faults: all load, and no rule of the table found anything."""
    told = deliver(tmp_path, kinds, faults=False).delivery
    assert told.manifest["rows_quarantined"] == 0
    accused = {rule for k in kinds for e, _ in k.rows for rule in e.partition(" ")[2].split("|")}
    assert findings(told).keys() & accused == set()


def test_nothing_is_lost(reading: Delivered, judging: Delivered) -> None:
    for kinds, told in ((READING, reading.delivery), (JUDGING, judging.delivery)):
        aside = sum(state == "set_aside" for state, _ in waiting(told).values())
        assert told.manifest["rows_in"] == len(loaded(told)) + len(waiting(told))
        assert told.manifest["rows_in"] == sum(len(k.rows) for k in kinds) + 2
        assert told.manifest["rows_set_aside"] == aside
        fee_in = told.manifest["fee_loaded_fen"] + told.manifest["fee_quarantined_fen"]
        assert told.manifest["fee_in_fen"] == fee_in
        assert told.manifest["fee_loaded_fen"] == loaded(told)["medfee_sumamt_fen"].cast(pl.Int64).sum()


def test_one_person_whatever_the_spelling_of_the_certificate(tmp_path: Path) -> None:
    """15 digits, 18 digits, a small x: one key. A certificate that fails its check is not used as one."""
    x = next(n for n in range(1, 100) if certificate(n).endswith("X"))
    number = certificate(x)
    rows = [
        record(1, certno=number), record(2, certno=number.lower()), record(3, certno=number[:6] + number[8:17]),
        record(4, certno=number[:17] + "0"), record(5, certno="", psn_no=record(4)["psn_no"]), record(6),
    ]  # fmt: skip
    keys = (
        loaded(take(tmp_path, [csv_file(tmp_path / "s.csv", rows)])).sort("setl_id")["person_key"].to_list()
    )
    assert len(set(keys[:3])) == 1
    assert keys[3] == keys[4]
    assert len(set(keys)) == 3

"""Published test replies and rows, amounts only, and what the intake makes of each.

The amounts are those of public test messages; persons, places and dates they lack are neutral ones of ours.
"""

from pathlib import Path
from typing import Any

from deliveries import csv_file, findings, jsonl_file, loaded, reply, take, waiting

Row = dict[str, Any]

NEUTRAL: Row = {
    "setl_id": "F1",
    "mdtrt_id": "M1",
    "psn_no": "44040000000000000000000001",
    "insuplc_admdvs": "440402",
}
CQ_2304: Row = {
    "insutype": "310", "psn_type": "12", "med_type": "21", "clr_type": "21", "setl_time": "2021-08-27 09:58:41",
    "medfee_sumamt": "23442.46", "fulamt_ownpay_amt": "2533.97", "overlmt_selfpay": "1396.89", "preselfpay_amt": "703.44",
    "inscp_scp_amt": "18808.16", "act_pay_dedc": "0", "hifp_pay": "0", "cvlserv_pay": "0", "hifes_pay": "0", "hifmi_pay": "0",
    "hifob_pay": "18785.39", "maf_pay": "0", "oth_pay": "0", "fund_pay_sumamt": "18785.39", "hosp_part_amt": "505.01",
    "psn_part_amt": "4152.06", "acct_pay": "170.04", "psn_cash_pay": "3982.02", "acct_mulaid_pay": "0",
}  # fmt: skip
CQ_2303_DUAL: Row = {
    "medfee_sumamt": "23442.46", "inscp_amt": "18808.16", "inscp_scp_amt": "18808.16", "psn_pay": "4152.06",
    "psn_part_amt": "4152.06", "cashPayamt": "3982.02", "psn_cash_pay": "3982.02", "othfund_pay": "0", "oth_pay": "0",
    "ownpay_hosp_part": "0", "hosp_part_amt": "505.01", "fund_pay_sumamt": "18785.39",
}  # fmt: skip
CQ_2305: Row = {
    "setl_type": "2", "begndate": "2021-07-29", "enddate": "2021-08-05", "setl_time": "2021-08-05 09:31:35",
    "medfee_sumamt": "-3379.26", "fulamt_ownpay_amt": "-956.34", "overlmt_selfpay": "-186.31", "preselfpay_amt": "-197.22",
    "inscp_scp_amt": "-2039.39", "hifob_pay": "-2039.39", "fund_pay_sumamt": "-2039.39", "ownpay_hosp_part": "-32.86",
    "hosp_part_amt": None, "psn_pay": "-1307.01", "psn_part_amt": None, "acct_pay": "0", "psn_cash_pay": "-1307.01",
    "acct_mulaid_pay": None,
}  # fmt: skip
HE_2207: Row = {
    "insutype": "310", "psn_type": "1101", "med_type": "11", "clr_type": "11", "medfee_sumamt": "4.52", "fulamt_ownpay_amt": "0",
    "overlmt_selfpay": "0", "preselfpay_amt": "0.23", "inscp_scp_amt": "4.29", "act_pay_dedc": "4.29", "fund_pay_sumamt": "0",
    "hosp_part_amt": "0", "psn_part_amt": "4.52", "acct_pay": "4.52", "psn_cash_pay": "0", "setl_time": "2021-08-05 09:00:00",
}  # fmt: skip
HE_2208: Row = {
    "insutype": "310", "med_type": "11", "medfee_sumamt": "-25.10", "fulamt_ownpay_amt": "0", "overlmt_selfpay": "0",
    "preselfpay_amt": "-0.23", "inscp_scp_amt": "-24.87", "act_pay_dedc": "-24.87", "fund_pay_sumamt": "0", "hosp_part_amt": None,
    "psn_part_amt": None, "acct_pay": "-25.10", "psn_cash_pay": "0", "setl_time": "2021-08-05 09:00:00",
}  # fmt: skip
SZ_5203: Row = {
    "insutype": "310", "psn_type": "1201", "med_type": "71", "clr_type": "21", "hosp_lv": "11", "dedc_hosp_lv": "9", "pay_loc": "2",
    "refd_setl_flag": "0", "medfee_sumamt": "78.56", "fulamt_ownpay_amt": "0.15", "overlmt_selfpay": "0", "preselfpay_amt": "78.41",
    "inscp_scp_amt": "0", "act_pay_dedc": "78.41", "fund_pay_sumamt": "0", "psn_pay": "78.56", "acct_pay": "0",
    "cash_payamt": "78.56", "setl_time": "2021-08-05 09:00:00",
}  # fmt: skip
CS_ROW: Row = {
    "insutype": "390", "psn_type": "16", "med_type": "14", "setl_type": "2", "pay_loc": "2", "refd_setl_flag": "0", "hosp_lv": "0",
    "medfee_sumamt": "576.07", "fulamt_ownpay_amt": "0", "preselfpay_amt": "0", "inscp_amt": "576.07", "hifp_pay": "210",
    "fund_pay_sumamt": "210", "psn_pay": "366.07", "acct_pay": "0", "cash_payamt": "366.07", "setl_time": "2021-08-05 09:00:00",
}  # fmt: skip
HN_5261_BAD: Row = {
    "insutype": "310", "med_type": "11", "med_fee_sumamt": "3300.00", "fulamt_ownpay_amt": "3300.00", "overlmt_selfpay": "0",
    "inscp_scp_amt": "", "fund_pay_sumamt": "0", "hosp_part_amt": "0", "psn_part_amt": "0", "acct_pay": "0", "psnCash_pay": "0",
    "setl_time": "2021-08-05 09:00:00",
}  # fmt: skip
DETAIL = {
    "CQ-2304": [("330101", "18785.39"), ("999996", "505.01"), ("310201", "170.04")],
    "CQ-2305": [("330100", "-2039.39"), ("999997", "-32.86")],
    "HE-2207": [("310200", "4.52")],
    "HE-2208": [("310200", "-25.10")],
    "SZ-5203": [("个人自付", "78.41"), ("个人自费", "0.15")],
}
ACCOUNTING = {f"I{n}" for n in range(1, 13)} | {"I7_large", "I1_rounding", "I3_derived"}


def one(tmp_path: Path, row: Row, detail: str = "") -> tuple[dict[str, Any], dict[str, int]]:
    """Load one reply; the stored row and what the rules found."""
    path = jsonl_file(tmp_path / "r.jsonl", [reply({**NEUTRAL, **row}, DETAIL.get(detail, []))])
    delivery = take(tmp_path, [path])
    assert waiting(delivery) == {}
    return loaded(delivery).row(0, named=True), findings(delivery)


def test_an_inpatient_stay_loads_clean(tmp_path: Path) -> None:
    """23442.46 - 18785.39 - 505.01 = 4152.06: what the hospital bears is not the patient's."""
    stored, found = one(tmp_path, CQ_2304, "CQ-2304")
    assert found.keys() & ACCOUNTING == set()
    assert (stored["row_kind"], stored["rounding_resid_fen"]) == ("normal", 0)
    assert (stored["hosp_part_amt_fen"], stored["psn_part_amt_fen"]) == (50501, 415206)
    assert (stored["acct_pay_fen"], stored["psn_cash_pay_fen"]) == (17004, 398202)


def test_a_visit_paid_from_the_account_loads_clean(tmp_path: Path) -> None:
    stored, found = one(tmp_path, HE_2207, "HE-2207")
    assert found.keys() & ACCOUNTING == set()
    assert (stored["psn_part_amt_fen"], stored["acct_pay_fen"], stored["psn_cash_pay_fen"]) == (452, 452, 0)


def test_both_spellings_the_hospital_part_is_505_01(tmp_path: Path) -> None:
    """A partial extract: what it lacks is the settlement's (CQ-2304). Not the first that is filled but the one that fits I3,
    whichever spelling it has; where none fits, the row waits."""
    dual = {**NEUTRAL, **CQ_2304, **CQ_2303_DUAL}
    turned = {**dual, "setl_id": "F2", "ownpay_hosp_part": "505.01", "hosp_part_amt": "0"}
    wrong = {**dual, "setl_id": "F3", "ownpay_hosp_part": "100.00", "hosp_part_amt": "200.00"}
    path = jsonl_file(tmp_path / "r.jsonl", [reply(row, []) for row in (dual, turned, wrong)])
    delivery = take(tmp_path, [path])
    assert [(place, "I3" in why) for place, (_, why) in waiting(delivery).items()] == [(("r.jsonl", 3), True)]
    assert loaded(delivery)["hosp_part_amt_fen"].to_list() == [50501, 50501]
    assert loaded(delivery)["psn_cash_pay_fen"].to_list() == [398202, 398202]


def test_an_inpatient_refund(tmp_path: Path) -> None:
    """The hospital part from the platform's spelling, or from the fund list alone, which has it under 999997, other funds;
    the burden from psn_pay; its original was never seen."""
    listed = {**CQ_2305, "setl_id": "F2", "mdtrt_id": "M2", "ownpay_hosp_part": None}
    lines = [reply({**NEUTRAL, **row}, DETAIL["CQ-2305"]) for row in (CQ_2305, listed)]
    delivery = take(tmp_path, [jsonl_file(tmp_path / "r.jsonl", lines)])
    assert waiting(delivery) == {}
    for stored in loaded(delivery).iter_rows(named=True):
        assert (stored["hosp_part_amt_fen"], stored["psn_part_amt_fen"]) == (-3286, -130701)
        assert stored["row_kind"] == "reversal"
    assert findings(delivery)["Q4"] == 2
    assert findings(delivery).keys() & ACCOUNTING == set()


def test_an_outpatient_refund_derives_its_burden(tmp_path: Path) -> None:
    stored, found = one(tmp_path, HE_2208, "HE-2208")
    assert (stored["psn_part_amt_fen"], stored["row_kind"]) == (-2510, "reversal")
    assert (found["Q4"], found["I3_derived"]) == (1, 1)


def test_labels_for_codes_and_a_deductible_above_the_policy_amount(tmp_path: Path) -> None:
    _, found = one(tmp_path, SZ_5203, "SZ-5203")
    assert {"I5", "I6"} <= found.keys()
    assert found.keys() & (ACCOUNTING - {"I5", "I6"}) == set()


def test_a_row_without_the_price_cap(tmp_path: Path) -> None:
    row = {**NEUTRAL, **CS_ROW, "insu_admdvs": NEUTRAL["insuplc_admdvs"]}
    delivery = take(tmp_path, [csv_file(tmp_path / "s.csv", [row])])
    assert waiting(delivery) == {}
    assert findings(delivery)["column_absent(overlmt_selfpay)"] >= 1
    assert loaded(delivery)["psn_part_amt_fen"].to_list() == [36607]


def test_a_broken_message_waits(tmp_path: Path) -> None:
    """All of 3300.00 self-paid, and a burden of nothing: I3 by 3300.00."""
    path = jsonl_file(tmp_path / "r.jsonl", [reply({**NEUTRAL, **HN_5261_BAD}, [])])
    delivery = take(tmp_path, [path])
    state, reasons = waiting(delivery)["r.jsonl", 1]
    assert state == "waits"
    assert "I3" in reasons
    assert delivery.manifest["fee_quarantined_fen"] == 330000

"""A store with a bit of everything: rows that wait, were set aside, corrected, dropped; with and without note and sign-off."""

from pathlib import Path
from typing import Any

from deliveries import csv_file, note_file, parquet_file, platform, record, take, xlsx_file

from analytics import verbs

FEE = 2344246  # fen of every settlement here
ROWS = 396  # of the first file: two fees of these waiting are just over half a percent
FILE = "珠海 2021.csv"
# Row (the first below the header is 1) -> what is wrong with it.
ODD: dict[int, dict[str, Any]] = {
    4: {
        "psn_pay": "4657.07",
        "cash_payamt": "4487.03",
    },  # I3: the hospital's part was left in; set right by a correction
    6: {"vali_flag": "0"},  # Q2: set aside
    7: {"out_flag": "2"},  # Q5: set aside
    8: {"medfee_sumamt": "约一万"},  # cannot be read; dropped by a correction
    10: {"medfee_sumamt": "23,442.46"},  # Q11: cleaned and loaded
    12: {"psn_pay": "4657.07", "cash_payamt": "4487.03"},  # I3: waits
}


def settlements(count: int = ROWS) -> list[dict[str, Any]]:
    """Rows of the platform table, odd ones among them."""
    rows = [platform(i, **ODD.get(i, {})) for i in range(1, count + 1)]
    return [{k: v for k, v in row.items() if k not in ("dedc_hosp_lv", "lmtpric_hosp_lv")} for row in rows]


def fixes(folder: Path, delivery: str) -> Path:
    """A corrections file: row 4 is set right, row 8 is dropped."""
    at = '[[fix]]\nrows = [{file = "' + FILE + '", rows = [%d]}]\nreason = "医院来函"\n'
    text = f'delivery = "{delivery}"\nwho = "王某"\n'
    for column, before, after in (("psn_pay", "4657.07", "4152.06"), ("cash_payamt", "4487.03", "3982.02")):
        text += at % 4 + f'action = "set"\ncolumn = "{column}"\nfrom = "{before}"\nto = "{after}"\n'
    path = folder / "fixes.toml"
    path.write_text(text + at % 8 + 'action = "drop"\n', encoding="utf-8")
    return path


def claims() -> list[dict[str, Any]]:
    """Commercial claims on settlements of 2022: one was reversed (set aside), one pays less than nothing (waits)."""
    odd = {2: {"status": "reversed"}, 3: {"paid_amt": "-10.00"}}
    return [
        {
            "claim_id": f"K{i}", "product_code": "zhuhai_hmb", "psn_no": record(i)["psn_no"], "setl_id": f"T{i:05d}",
            "insu_admdvs": "440402", "plan_year": "2022", "pay_date": "2022-05-01", "paid_amt": "1000.00", **odd.get(i, {}),
        }
        for i in range(1, 11)
    ]  # fmt: skip


def deliver(folder: Path) -> dict[str, str]:
    """Fill `folder`/store; returns the ids of its deliveries: noted, plain, claims, enrolment, correction."""
    first = csv_file(folder / FILE, settlements(), "gb18030")
    note = note_file(folder / "note.toml", [first], [ROWS], None, fee_total_yuan=None, sender="珠海医保局")
    signed = {"reason": "来函说明，先行入库", "who": "李某"}
    ids = {"noted": take(folder, [first], note=note, sign_off=signed).id}
    ids["correction"] = verbs.correct(folder / "store", fixes(folder, ids["noted"])).id
    dates = {
        "begndate": "2022-03-01",
        "enddate": "2022-03-08",
        "setl_time": "2022-03-08 09:00:00",
        "year": "2022",
    }
    second = [record(i, setl_id=f"T{i:05d}", mdtrt_id=f"N{i:05d}", **dates) for i in range(1, 41)]
    ids["plain"] = take(folder, [xlsx_file(folder / "珠海 2022 三月.xlsx", second)]).id
    ids["claims"] = take(folder, [csv_file(folder / "claims.csv", claims())], "commercial_claim").id
    people = [
        {
            "psn_no": record(i)["psn_no"],
            "insu_admdvs": "440402",
            "insutype": "310",
            "start_date": "2015-01-01",
        }
        for i in range(1, ROWS + 1)
    ]
    ids["enrolment"] = take(folder, [parquet_file(folder / "enrolment.parquet", people)], "enrolment").id
    return ids

"""Deliveries for tests: invented settlements whose identities hold to the fen, in every dialect, and a writer per format."""

import csv
import datetime
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from analytics import facts, verbs
from analytics.store import Folder, Store

Row = dict[str, Any]

# Amounts of a published in-patient test reply with a hospital-borne part: 23442.46 - 18785.39 - 505.01 = 4152.06.
LARGE: Row = {
    "medfee_sumamt": "23442.46", "fulamt_ownpay_amt": "2533.97", "overlmt_selfpay": "1396.89", "preselfpay_amt": "703.44",
    "inscp_scp_amt": "18808.16", "act_pay_dedc": "0.00", "hifp_pay": "0.00", "cvlserv_pay": "0.00", "hifes_pay": "0.00",
    "hifmi_pay": "0.00", "hifob_pay": "18785.39", "hifdm_pay": "0.00", "maf_pay": "0.00", "oth_pay": "0.00",
    "fund_pay_sumamt": "18785.39", "hosp_part_amt": "505.01", "psn_part_amt": "4152.06", "acct_pay": "170.04",
    "acct_mulaid_pay": "0.00", "psn_cash_pay": "3982.02",
}  # fmt: skip
# Many funds at once, nothing borne by the hospital (the query interface cannot say it).
SMALL: Row = {
    **LARGE, "medfee_sumamt": "1000.00", "fulamt_ownpay_amt": "100.00", "overlmt_selfpay": "20.00", "preselfpay_amt": "30.00",
    "inscp_scp_amt": "850.00", "act_pay_dedc": "100.00", "hifp_pay": "600.00", "cvlserv_pay": "10.00", "hifes_pay": "5.00",
    "hifmi_pay": "20.00", "hifob_pay": "0.00", "maf_pay": "40.50", "fund_pay_sumamt": "675.50", "hosp_part_amt": "0.00",
    "psn_part_amt": "324.50", "acct_pay": "24.50", "psn_cash_pay": "300.00",
}  # fmt: skip
MONEY = tuple(LARGE)
FUNDS = ("hifp_pay", "cvlserv_pay", "hifes_pay", "hifmi_pay", "hifob_pay", "hifdm_pay", "maf_pay", "oth_pay")

# The same thing in the platform table and in the query interface.
PLATFORM = {
    "inscp_scp_amt": "inscp_amt", "oth_pay": "othfund_pay", "psn_part_amt": "psn_pay", "psn_cash_pay": "cash_payamt",
    "hosp_part_amt": "ownpay_hosp_part", "insuplc_admdvs": "insu_admdvs",
}  # fmt: skip
QUERY = {"psn_part_amt": "psn_pay", "psn_cash_pay": "cash_payamt"}
DETAIL_CODE = {"hifp_pay": "310100", "cvlserv_pay": "320100", "hifes_pay": "370100", "hifmi_pay": "390200", "hifob_pay": "330101", "hifdm_pay": "350100", "maf_pay": "610100", "oth_pay": "999997", "hosp_part_amt": "999996", "acct_pay": "310201"}  # fmt: skip


def certificate(number: int, birth: str = "19500301") -> str:
    """An 18-digit certificate number with a right check digit; 440400 is a whole city, which no person's number has."""
    body = f"440400{birth}{number % 1000:03d}"
    weighed = sum(int(d) * (2 ** (17 - i) % 11) for i, d in enumerate(body))
    return body + "10X98765432"[weighed % 11]


def record(number: int, **changes: Any) -> Row:
    """Settlement `number` of person `number`, every value a text, in the spelling of the interface (2207/2304)."""
    return {
        "setl_id": f"S{number:05d}", "mdtrt_id": f"M{number:05d}", "psn_no": f"{44040000000000000000 + number:026d}",
        "psn_cert_type": "01", "certno": certificate(number), "psn_name": "甲乙", "gend": "1", "brdy": "1950-03-01", "age": "71",
        "insutype": "310", "psn_type": "1201", "cvlserv_flag": "0", "med_type": "21", "dedc_hosp_lv": "3",
        "insuplc_admdvs": "440402", "fix_blng_admdvs": "440402", "fixmedins_code": "H44040200001", "fixmedins_name": "甲医院",
        "begndate": "2021-08-20", "enddate": "2021-08-27", "setl_time": "2021-08-27 09:58:41", "year": "2021",
        "clr_type": "21", "mid_setl_flag": "0", "refd_setl_flag": "0", **LARGE, **changes,
    }  # fmt: skip


def platform(number: int, **changes: Any) -> Row:
    """The same settlement as a row of the platform's setl_d; `changes` in its own spelling."""
    more = {
        "init_setl_id": "", "lmtpric_hosp_lv": "3", "hosp_lv": "03", "setl_type": "2", "pay_loc": "2", "out_flag": "0",
        "vali_flag": "1", "rid": f"R{number:05d}", "updt_time": "2021-08-28 00:00:00", "poolarea_no": "440402",
    }  # fmt: skip
    return {**{PLATFORM.get(name, name): value for name, value in record(number).items()}, **more, **changes}


def query(number: int, **changes: Any) -> Row:
    """The same settlement as the query interface 5203 answers it: no hospital part, no fund for the disabled."""
    gone = {"hosp_part_amt", "hifdm_pay"}
    row = {QUERY.get(k, k): v for k, v in record(number, **SMALL).items() if k not in gone}
    return {**row, "hosp_lv": "03", "pay_loc": "2", "setl_type": "2", **changes}


def presettled(number: int, **changes: Any) -> Row:
    """A 2206/2303 reply: five amounts in both spellings, and the platform's hospital part is zero where the other is right."""
    row = record(number)
    both = {new: row[old] for old, new in PLATFORM.items() if old.endswith(("amt", "pay"))}
    return {**row, **both, "cashPayamt": row["psn_cash_pay"], "ownpay_hosp_part": "0", **changes}


def negative(row: Row) -> Row:
    """The row with the sign of every amount turned."""
    names = {*MONEY, *PLATFORM.values(), *QUERY.values()}
    return {k: str(-Decimal(v)) if k in names and v and k != "insu_admdvs" else v for k, v in row.items()}


def reversal(original: Row, setl_id: str, **changes: Any) -> Row:
    """The row that takes a settlement of setl_d back: new id, the original's id, every amount negative."""
    link = {"setl_id": setl_id, "init_setl_id": original["setl_id"], "refd_setl_flag": "1"}
    return {**negative(original), **link, "rid": f"R{setl_id}", "setl_time": "2021-08-29 10:00:00", **changes}


def reversal_reply(original: Row, setl_id: str, **changes: Any) -> Row:
    """The 2208/2305 answer to taking a settlement back: it says neither insurance, nor person's, nor care type."""
    gone = ("insutype", "psn_type", "med_type")
    row = {k: v for k, v in negative(original).items() if k not in gone}
    return {**row, "setl_id": setl_id, "setl_time": "2021-08-29 10:00:00", **changes}


def amounts(funds: Sequence[int], own: int, hospital: int, outside: Sequence[int], account: int) -> Row:
    """Amounts whose identities hold, from parts in fen: payments per fund, own part within the policy, what of it the
    hospital bears, the three parts outside the policy, percent of the burden taken from the account."""
    borne = min(hospital, own)
    fund, out = sum(funds), sum(outside)
    burden = out + own - borne
    acct = burden * account // 100
    fen = {
        **dict.fromkeys(MONEY, 0),
        **dict(zip(FUNDS, funds, strict=False)),
        **dict(zip(("fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt"), outside, strict=True)),
        "medfee_sumamt": fund + own + out,
        "inscp_scp_amt": fund + own,
        "fund_pay_sumamt": fund,
        "hosp_part_amt": borne,
        "psn_part_amt": burden,
        "acct_pay": acct,
        "psn_cash_pay": burden - acct,
    }
    return {name: f"{Decimal(value) / 100:.2f}" for name, value in fen.items()}


def clean(count: int) -> list[Row]:
    """Rows without a fault, amounts of two kinds, so that no fund is zero throughout."""
    return [record(n, **(SMALL if n % 3 == 0 else {})) for n in range(1, count + 1)]


def fen(rows: Iterable[Mapping[str, Any]]) -> int:
    """Total fee in fen."""
    return int(sum(Decimal(str(row["medfee_sumamt"])) for row in rows) * 100)


def names_of(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


# --- writers; every one returns the path it wrote


def csv_file(path: Path, rows: Sequence[Row], encoding: str = "utf-8", **style: Any) -> Path:
    """CSV; a row without a column leaves it empty. `style` as csv.DictWriter takes it."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names_of(rows), restval="", **{"lineterminator": "\n", **style})
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def table(rows: Sequence[Row], types: Mapping[str, pa.DataType] | None = None) -> pa.Table:
    """Arrow table, text but for the `types` named; texts of amounts become what the type asks for, exactly."""
    columns = {}
    for name in names_of(rows):
        kind = (types or {}).get(name, pa.string())
        columns[name] = pa.array([_as(row.get(name), kind) for row in rows], kind)
    return pa.table(columns)


def _as(value: Any, kind: pa.DataType) -> Any:
    if not isinstance(value, str) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return value
    if not value:
        return None
    if pa.types.is_decimal(kind):
        return Decimal(value).quantize(Decimal(1).scaleb(-kind.scale))
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_integer(kind):
        return int(Decimal(value))
    if pa.types.is_date(kind):
        return datetime.date.fromisoformat(value)
    return datetime.datetime.fromisoformat(value) if pa.types.is_timestamp(kind) else value


def parquet_file(path: Path, rows: Sequence[Row], types: Mapping[str, Any] | None = None, **how: Any) -> Path:
    """Parquet; `how` as pyarrow.parquet.write_table takes it."""
    pq.write_table(table(rows, types), path, **how)
    return path


def xlsx_file(path: Path, rows: Sequence[Row], numbers: Iterable[str] = (), above: int = 0) -> Path:
    """Workbook of text cells; columns in `numbers` as numbers, `above` title rows before the header."""
    book = openpyxl.Workbook()
    sheet = book.active
    for _ in range(above):
        sheet.append(["结算明细表"])
    names, numeric = names_of(rows), set(numbers)
    sheet.append(names)
    for row in rows:
        sheet.append([float(row[n]) if n in numeric and row.get(n) else row.get(n) or None for n in names])
    book.save(path)
    return path


def reply(row: Row, detail: Sequence[tuple[str, Any]] | None = None) -> Row:
    """A 2207/2304 reply with its fund list (none where it is empty); amounts as JSON numbers would be written, texts as texts."""
    if detail is None:
        detail = [(code, row[name]) for name, code in DETAIL_CODE.items() if Decimal(row.get(name) or 0)]
    split = [{"fund_pay_type": code, "fund_payamt": _number(amount)} for code, amount in detail]
    info = {name: _number(v) if name in MONEY or name in PLATFORM.values() else v for name, v in row.items()}
    return {"infcode": 0, "output": {"setlinfo": info, **({"setldetail": split} if split else {})}}


class _Digits(float):
    """A number JSON writes with the digits it was given."""

    def __new__(cls, text: str) -> "_Digits":
        new = super().__new__(cls, text)
        new.text = text
        return new

    def __repr__(self) -> str:
        return str(self.text)


def _number(value: Any) -> Any:
    try:
        return _Digits(value) if isinstance(value, str) and Decimal(value).is_finite() else value
    except ArithmeticError:
        return value


def json_text(value: Any) -> str:
    """JSON in which amounts keep their digits (the encoder in C would write the shortest float)."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {json_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(json_text, value)) + "]"
    return value.text if isinstance(value, _Digits) else json.dumps(value, ensure_ascii=False)


def jsonl_file(path: Path, replies: Sequence[Any]) -> Path:
    """One reply a line (a text is written as it is); a `.json` file is one array."""
    lines = [r if isinstance(r, str) else json_text(r) for r in replies]
    text = "[" + ",\n".join(lines) + "]" if path.suffix == ".json" else "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    return path


def note_file(path: Path, files: Sequence[Path], rows: Sequence[int], fee: Any, **more: Any) -> Path:
    """A delivery note; `more` overrides its keys (None leaves one out)."""
    keys = {"fee_total_yuan": str(fee), "jurisdiction": ["440400"], "money_unit": "yuan", **more}
    lines = [f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in keys.items() if v is not None]
    for file, count in zip(files, rows, strict=True):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines += ["[[file]]", f"name = {json.dumps(file.name)}", f'sha256 = "{digest}"', f"rows = {count}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# --- asking the system


def take(folder: Path, files: Sequence[Path], name: str = "settlement", **options: Any) -> Folder:
    """Load files into the store of a test's folder; every store of that folder has the same key."""
    store = options.pop("store", "store")
    return verbs.ingest(folder / store, list(files), name, **options)


def bare(store: Store | Path, progress: Any = None, runner: Any = None) -> Folder:
    """Build the facts alone: prepared and protected answers take most of a build, and change no answer to whoever may see all."""
    at = store if isinstance(store, Store) else Store(store)
    return facts.build(at, progress=progress, runner=runner)


def loaded(delivery: Folder, name: str = "settlement") -> pl.DataFrame:
    """Every loaded row of a delivery."""
    frames = [pl.read_parquet(p.path, hive_partitioning=False) for p in delivery.partitions(name)]
    return pl.concat(frames) if frames else pl.DataFrame()


def waiting(delivery: Folder) -> dict[tuple[str, int], tuple[str, list[str]]]:
    """State and reasons of every row that is not loaded, by file and place."""
    frames = [pl.read_parquet(p.path) for p in delivery.partitions("quarantine")]
    return {(r["src_name"], r["src_row"]): (r["state"], r["reasons"]) for f in frames for r in f.iter_rows(named=True)}  # fmt: skip


def findings(delivery: Folder) -> dict[str, int]:
    """Rows per rule, for the rules that found something."""
    return {rule["rule"]: rule["rows"] for rule in delivery.manifest["rules"]}

"""Good deliveries in ugly clothes: each must load whole, no row waiting, the fee exact to the fen, the rows the same rows.

Every delivery holds the rows of `ROWS` in some other form; what is stored must equal what the plain CSV file of them stores.
Several come together, under numbers of their own, because each file is read by itself anyway.
"""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deliveries import (
    MONEY,
    PLATFORM,
    SMALL,
    Row,
    amounts,
    csv_file,
    fen,
    findings,
    jsonl_file,
    loaded,
    negative,
    note_file,
    parquet_file,
    platform,
    presettled,
    query,
    record,
    reply,
    reversal,
    reversal_reply,
    take,
    waiting,
    xlsx_file,
)

from analytics.intake import Refused
from analytics.store import Folder

WHOLE = amounts([600_00, 100_00], 300_00, 0, [50_00, 0, 20_00], 10)  # whole yuan throughout
ROWS = [
    record(1),
    record(2, **SMALL),
    record(3, **SMALL, gend="2"),
    record(4, begndate="2021-08-27"),
    record(5),
]
AMOUNTS = [m for m in MONEY if m != "act_pay_dedc"]


def every(**changes: Any) -> list[Row]:
    """All rows changed; a function gets the value that was there."""
    return [{**row, **{k: v(row[k]) if callable(v) else v for k, v in changes.items()}} for row in ROWS]


def money(change: Callable[[str], str]) -> list[Row]:
    return every(**dict.fromkeys(MONEY, change))


def full_width(text: str) -> str:
    return text.translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789"})


def grouped(text: str) -> str:
    return f"{int(text[:-3]):,}.{text[-2:]}"


def serial(text: str) -> str:
    """A day as Excel counts it: 1 is 1 January 1900, and 1900 has a 29 February there."""
    return str((datetime.date.fromisoformat(text) - datetime.date(1899, 12, 30)).days)


def compact(text: str) -> str:
    return text.translate(str.maketrans("", "", "-: "))


def without(*names: str) -> list[Row]:
    return [{k: v for k, v in row.items() if k not in names} for row in ROWS]


def types(kind: pa.DataType, *names: str) -> dict[str, pa.DataType]:
    return dict.fromkeys(names or MONEY, kind)


def own(folder: Path, rows: list[Row] | None = None) -> list[Row]:
    """The rows under numbers of their own, so that several deliveries fit into one: the folder's name, then the number."""
    return [
        {k: folder.name + v if k.casefold() == "setl_id" else v for k, v in row.items()}
        for row in rows or ROWS
    ]


def csv(rows: list[Row] | None = None, encoding: str = "utf-8", **style: Any) -> Callable[[Path], list[Path]]:
    return lambda d: [csv_file(d / f"{d.name}.csv", own(d, rows), encoding, **style)]


def raw(change: Callable[[bytes], bytes]) -> Callable[[Path], list[Path]]:
    """The CSV file with its bytes changed."""

    def make(folder: Path) -> list[Path]:
        path = csv_file(folder / f"{folder.name}.csv", own(folder))
        path.write_bytes(change(path.read_bytes()))
        return [path]

    return make


def parquet(rows: list[Row] | None = None, typed: Any = None, **how: Any) -> Callable[[Path], list[Path]]:
    return lambda d: [parquet_file(d / f"{d.name}.parquet", own(d, rows), typed, **how)]


def xlsx(rows: list[Row] | None = None, **how: Any) -> Callable[[Path], list[Path]]:
    return lambda d: [xlsx_file(d / f"{d.name}.xlsx", own(d, rows), **how)]


def replies(suffix: str, rows: list[Row] | None = None, bare: bool = False) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        told = [reply(row) for row in own(folder, rows)]
        return [jsonl_file(folder / f"{folder.name}{suffix}", [t["output"] if bare else t for t in told])]

    return make


def renamed(name: str, make: Callable[[Path], list[Path]]) -> Callable[[Path], list[Path]]:
    return lambda d: [make(d)[0].rename(d / (d.name + name))]


def split(folder: Path) -> list[Path]:
    return [csv_file(folder / f"{folder.name}{n}.csv", [row]) for n, row in enumerate(own(folder))]


def linked(folder: Path) -> list[Path]:
    link = folder / f"{folder.name}link.csv"
    link.symlink_to(csv_file(folder / "s.csv", own(folder)))
    return [link]


def hidden(folder: Path) -> list[Path]:
    """Read as a partition of a hive, the folder would give every row its fee."""
    (hive := folder / "medfee_sumamt=9.99").mkdir()
    return [parquet_file(hive / f"{folder.name}.parquet", own(folder))]


def two(one: list[int], change: Callable[[Row], Row]) -> Callable[[Path], list[Path]]:
    """Two files: the rows named, changed, and the others."""

    def make(folder: Path) -> list[Path]:
        rows = own(folder)
        first = [change(rows[n]) for n in one]
        rest = [row for n, row in enumerate(rows) if n not in one]
        return [csv_file(folder / f"{folder.name}{n}.csv", part) for n, part in enumerate((first, rest))]

    return make


def dialects(folder: Path) -> list[Path]:
    """One delivery in four dialects and four formats."""
    rows, name = own(folder), folder.name
    third = {PLATFORM.get(k, k): v for k, v in rows[2].items()}
    both = [{**presettled(n), **rows[n - 1]} for n in (4, 5)]
    return [
        csv_file(folder / f"{name}.csv", rows[:1]),
        jsonl_file(folder / f"{name}.jsonl", [reply(rows[1])]),
        parquet_file(folder / f"{name}.parquet", [third]),
        xlsx_file(folder / f"{name}.xlsx", both),
    ]


def numbers_and_texts(folder: Path) -> list[Path]:
    """Person numbers as integers in one file and as texts in the other."""
    short = own(folder, every(psn_no=lambda v: str(int(v[-6:]) + 10**6)))
    a, b = (folder / f"{folder.name}{n}.parquet" for n in "ab")
    return [parquet_file(a, short[:2], {"psn_no": pa.int64()}), parquet_file(b, short[2:])]


def twice(row: Row) -> Row:
    """The amounts in the platform's spelling too, the hospital part wrong there."""
    both = {new: row[old] for old, new in PLATFORM.items() if old.endswith(("amt", "pay"))}
    return {**row, **both, "cashPayamt": row["psn_cash_pay"], "ownpay_hosp_part": "0"}


BOM = "\ufeff".encode()
UGLY: dict[str, Callable[[Path], list[Path]]] = {
    # text
    "GB18030 with characters GBK does not have": csv(every(psn_name="䶮𠮷㛃", fixmedins_name="珠海㙍医院"), "gb18030"),
    "GBK": csv(every(fixmedins_name="珠海市人民医院"), "gbk"),
    "a byte-order mark": csv(encoding="utf-8-sig"),
    "UTF-16": csv(encoding="utf-16"),
    "UTF-16 big-endian": raw(lambda b: b"\xfe\xff" + b.decode().encode("utf-16-be")),
    "tabs": csv(delimiter="\t"),
    "semicolons": csv(delimiter=";"),
    "bars": csv(delimiter="|"),
    "line ends of Windows": csv(lineterminator="\r\n"),
    "every field in quotes": csv(quoting=1),
    "commas, quotes and line breaks inside a name": csv(every(fixmedins_name='甲 "一", 乙\n分院')),
    "no line end at the end": raw(lambda b: b.rstrip(b"\n")),
    "blank lines at the end": raw(lambda b: b + b"\n\n\r\n"),
    "a delimiter at the end of every line": raw(lambda b: b.replace(b"\n", b",\n")),
    # header
    "capitals in the header": csv([{k.upper(): v for k, v in row.items()} for row in ROWS]),
    "blanks, quotes and a mark in the header": raw(lambda b: BOM + b.replace(b"setl_id,mdtrt_id,psn_no", b'" setl_id","mdtrt_id ", psn_no', 1)),
    "full-width letters in the header": raw(lambda b: b.replace(b"setl_id", "ｓｅｔｌ＿ｉｄ".encode(), 1)),
    "no optional column": csv(without("hifdm_pay", "cvlserv_flag", "clr_type", "psn_name", "brdy", "age", "psn_cert_type", "mid_setl_flag")),
    "columns nobody asked for": csv(every(备注="，；", balc="88.00", **{'a"; DROP TABLE typed; --': "1", "select": "2"})),
    "a first file without an optional column": two([0, 3], lambda row: {k: v for k, v in row.items() if k != "maf_pay"}),
    "two orders of columns": two([2, 3, 4], lambda row: dict(reversed(row.items()))),
    "spellings from the wild": csv([{{"medfee_sumamt": "med_fee_sumamt", "psn_cash_pay": "cashPayamt", "psn_part_amt": "psn_part_am"}.get(k, k): v for k, v in row.items()} for row in ROWS]),
    # amounts
    "thousands separators": csv(money(grouped)),
    "yuan signs": csv(money(lambda v: f"￥{v}")),
    "yuan signs with blanks": csv(money(lambda v: f" ¥ {v} ")),
    "full-width digits": csv(money(full_width)),
    "four decimals": csv(money(lambda v: v + "00")),
    "no needless decimals": csv(money(lambda v: v.removesuffix(".00"))),
    "scientific notation that is exact": csv(money(lambda v: f"{float(v):.6E}")),
    "plus signs": csv(money(lambda v: "+" + v)),
    "tokens for zero": csv(every(**{name: lambda v: "null" if float(v) == 0 else v for name in ("cvlserv_pay", "hifdm_pay", "oth_pay", "acct_mulaid_pay")})),
    "floats": parquet(typed=types(pa.float64())),
    "four decimal places": parquet(typed=types(pa.decimal128(18, 4))),
    "38 digits": parquet(typed=types(pa.decimal128(38, 2))),
    # times
    "times without separators": csv(every(setl_time=compact, begndate=compact, enddate=compact)),
    "times with thousandths and no separator": csv(every(setl_time=lambda v: compact(v) + "000")),
    "times of Shanghai": csv(every(setl_time=lambda v: v.replace(" ", "T") + "+08:00")),
    "times with a T": csv(every(setl_time=lambda v: v.replace(" ", "T"))),
    "dates with a midnight": csv(every(begndate=lambda v: v + " 00:00:00", enddate=lambda v: v + " 00:00:00")),
    "dates with slashes": csv(every(begndate=lambda v: v.replace("-", "/"), enddate=lambda v: v.replace("-", "/"))),
    "dates as a sheet counts them": csv(every(begndate=serial, enddate=serial)),
    "dates that are dates": parquet(typed={**types(pa.date32(), "begndate", "enddate", "brdy"), "setl_time": pa.timestamp("ns")}),
    # codes and numbers
    "codes as integers": parquet(typed=types(pa.int64(), "insutype", "psn_type", "med_type", "insuplc_admdvs", "fix_blng_admdvs", "year", "gend", "dedc_hosp_lv", "refd_setl_flag", "mid_setl_flag")),
    "codes in dictionaries and large texts": parquet(typed=types(pa.large_string(), "setl_id", "psn_no", "insutype"), compression="gzip", row_group_size=2),
    "blanks round codes": csv(every(insutype=" 310 ", med_type="21 ", refd_setl_flag=" 0")),
    "certificates with a small x": csv(every(certno=str.lower)),
    "certificates of 15 digits": csv(every(certno=lambda v: v[:6] + v[8:17])),
    # containers
    "a workbook of texts": xlsx(),
    "a workbook with amounts as numbers": xlsx(numbers=MONEY),
    "a workbook with dates and short codes as such": xlsx(every(begndate=datetime.date.fromisoformat, enddate=datetime.date.fromisoformat, setl_time=datetime.datetime.fromisoformat), numbers=["insutype", "year", "gend", "med_type"]),
    "replies": replies(".jsonl"),
    "an array of replies": replies(".json"),
    "bare replies": replies(".ndjson", bare=True),
    "replies with times of Greenwich": replies(".jsonl", every(setl_time=lambda v: (datetime.datetime.fromisoformat(v) - datetime.timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%SZ"))),
    "pre-settlement replies in both spellings": replies(".jsonl", [twice(row) for row in ROWS]),
    "no compression": parquet(compression="none", use_dictionary=False),
    "lz4 and checksums": parquet(compression="lz4", write_page_checksum=True),
    # files
    "a name full of signs": renamed("结算 [2021]? *(终)'.csv", csv()),
    "Parquet under another name": renamed("p.csv", parquet()),
    "a workbook under another name": renamed("x.csv", xlsx()),
    "a link": linked,
    "a folder named like a column and its value": hidden,
    "one file a row": split,
    "four dialects in four formats": dialects,
    "person numbers as integers in one file, as texts in another": numbers_and_texts,
}  # fmt: skip

# Columns a delivery cannot know, or that differ for a reason; everything else must equal the plain file's.
DIFFER = {
    "no optional column": ["birth_year", "mid_setl_flag"],
}


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Folder, str]]:
    """The delivery an ugly one is part of (eight come together), and the folder its rows are known by."""
    folder = tmp_path_factory.mktemp("ugly")
    made: dict[int, Folder | Refused] = {}

    def of(words: str) -> tuple[Folder, str]:
        names = ["plain", *UGLY]
        group = names.index(words) // 8
        if group not in made:
            files = []
            for nth in range(group * 8, min(len(names), group * 8 + 8)):
                (place := folder / f"u{nth:02d}-").mkdir()
                files += csv()(place) if not nth else UGLY[names[nth]](place)
            try:
                made[group] = take(folder, files, store=f"store{group}")
            except Refused as refused:
                made[group] = refused
        if isinstance(held := made[group], Refused):
            raise held
        return held, f"u{names.index(words):02d}-"

    return of


def mine(delivery: Folder, prefix: str) -> pl.DataFrame:
    """The rows of one ugly delivery, under the numbers all have in common."""
    own_rows = loaded(delivery).filter(pl.col("setl_id").str.starts_with(prefix))
    return own_rows.with_columns(pl.col("setl_id").str.strip_prefix(prefix)).sort("setl_id")


@pytest.mark.parametrize("words", UGLY)
def test_an_ugly_delivery_loads_whole(delivered: Callable[[str], tuple[Folder, str]], words: str) -> None:
    delivery, prefix = delivered(words)
    got, wanted = mine(delivery, prefix), mine(*delivered("plain"))
    away = {place: why for place, why in waiting(delivery).items() if place[0].startswith(prefix)}
    assert away == {}
    assert len(got) == len(wanted) == 5
    assert got["medfee_sumamt_fen"].cast(pl.Int64).sum() == fen(ROWS) == 2 * 100_000 + 3 * 2_344_246
    assert got.columns == wanted.columns
    for name in wanted.columns:
        if name not in DIFFER.get(words, []):
            assert got[name].to_list() == wanted[name].to_list(), name


def test_nothing_of_the_ugly_waits(delivered: Callable[[str], tuple[Folder, str]]) -> None:
    for delivery in {id(d): d for d in (delivered(words)[0] for words in UGLY)}.values():
        told = delivery.manifest
        assert told["rows_in"] == told["rows_loaded"] == len(loaded(delivery))
        assert told["fee_in_fen"] == told["fee_loaded_fen"]


def test_there_are_enough_ugly_deliveries() -> None:
    assert len(UGLY) >= 20


# --- deliveries whose rows are others than the plain ones'


def whole(tmp_path: Path, files: list[Path], rows: int, fee: int, **options: Any) -> Folder:
    delivery = take(tmp_path, files, **options)
    assert waiting(delivery) == {}
    assert delivery.manifest["rows_loaded"] == rows
    assert delivery.manifest["fee_loaded_fen"] == fee
    return delivery


def test_whole_yuan_as_integers(tmp_path: Path) -> None:
    """Small amounts that happen to be whole are yuan, not fen, and nobody's cents were lost."""
    rows = [record(n, **WHOLE) for n in range(1, 121)]
    path = parquet_file(tmp_path / "s.parquet", rows, types(pa.int32()))
    delivery = whole(tmp_path, [path], 120, 120 * 1070_00)
    assert "Q9" not in findings(delivery)


def test_fen_when_the_note_says_fen(tmp_path: Path) -> None:
    rows = [{k: str(round(float(v) * 100)) if k in MONEY else v for k, v in row.items()} for row in ROWS]
    path = csv_file(tmp_path / "s.csv", rows)
    note = note_file(tmp_path / "n.toml", [path], [5], "72327.38", money_unit="fen")
    delivery = whole(tmp_path, [path], 5, fen(ROWS), note=note)
    assert delivery.manifest["fen_per_unit"] == 1
    assert loaded(delivery)["psn_cash_pay_fen"].cast(pl.Int64).sum() == 3 * 398202 + 2 * 30000


def test_refunds_with_their_originals(tmp_path: Path) -> None:
    first, second = platform(1, refd_setl_flag="1"), platform(2)
    rows = [first, second, reversal(first, "S9")]
    delivery = whole(tmp_path, [csv_file(tmp_path / "s.csv", rows)], 3, 2344246)
    kinds = dict(loaded(delivery).select("setl_id", "row_kind").iter_rows())
    assert kinds == {"S00001": "refunded_original", "S00002": "normal", "S9": "reversal"}
    assert findings(delivery)["Q3"] >= 1
    assert "Q4" not in findings(delivery)


def test_replies_that_take_a_settlement_back(tmp_path: Path) -> None:
    """2208/2305 say neither insurance nor care type, and come beside the settlements they undo."""
    lines = [reply(row) for row in ROWS] + [reply(reversal_reply(ROWS[1], "S9"))]
    delivery = whole(tmp_path, [jsonl_file(tmp_path / "r.jsonl", lines)], 6, fen(ROWS) - 1000_00)
    assert dict(loaded(delivery).select("setl_id", "row_kind").iter_rows())["S9"] == "reversal"


def test_a_flat_reply_that_takes_a_settlement_back(tmp_path: Path) -> None:
    info = reply(reversal_reply(ROWS[1], "S9"))["output"]
    flat = {"infcode": 0, "output": {**info["setlinfo"], "setldetail": info["setldetail"]}}
    delivery = whole(tmp_path, [jsonl_file(tmp_path / "r.jsonl", [flat])], 1, -1000_00)
    assert loaded(delivery)["row_kind"].to_list() == ["reversal"]


def test_a_reconciliation_file(tmp_path: Path) -> None:
    """3202: tabs, the word null, a settlement and its refund under one number, told apart by the sign."""
    rows = [record(1, refd_setl_flag="1"), {**negative(record(1)), "refd_setl_flag": "1"}, record(2)]
    rows = [{k: v if v not in ("0.00", "") else "null" for k, v in row.items()} for row in rows]
    for row in rows:
        row["act_pay_dedc"] = "null"
    delivery = whole(tmp_path, [csv_file(tmp_path / "s.csv", rows, delimiter="\t")], 3, 2344246)
    assert sorted(loaded(delivery)["row_kind"]) == ["normal", "refunded_original", "reversal"]


def test_several_settlements_of_one_stay(tmp_path: Path) -> None:
    """Mid-stay settlements share the encounter; deduplicating on it would lose money."""
    stay = {"mdtrt_id": "M1", "psn_no": "P1", "certno": ""}
    rows = [record(n, **SMALL, **stay, mid_setl_flag="1" if n < 3 else "0") for n in (1, 2, 3)]
    whole(tmp_path, [csv_file(tmp_path / "s.csv", rows)], 3, 3000_00)


def test_query_replies(tmp_path: Path) -> None:
    """5203: no hospital part, cash and burden in the platform's spelling."""
    rows = [query(n) for n in (1, 2, 3)]
    lines = [{"infcode": 0, "output": {"setlinfo": row}} for row in rows]
    delivery = whole(tmp_path, [jsonl_file(tmp_path / "q.jsonl", lines)], 3, 3000_00)
    assert loaded(delivery)["psn_part_amt_fen"].to_list() == [32450] * 3
    assert loaded(delivery)["hosp_part_amt_fen"].to_list() == [0] * 3


def test_a_stay_over_the_year(tmp_path: Path) -> None:
    """Begun in December, settled in January: the benefit year it says decides."""
    row = record(1, begndate="2021-12-20", enddate="2022-01-03", setl_time="2022-01-03 08:00:00", year="2021")
    delivery = whole(tmp_path, [csv_file(tmp_path / "s.csv", [row])], 1, 2344246)
    assert loaded(delivery)["plan_year"].to_list() == [2021]


def test_settled_seconds_before_the_begin(tmp_path: Path) -> None:
    """Q24 compares days: the same day is nothing to ask about."""
    row = record(1, begndate="2021-08-27 10:00:00", enddate="2021-08-27 10:00:00")
    whole(tmp_path, [csv_file(tmp_path / "s.csv", [row])], 1, 2344246)


def test_both_spellings_take_the_hospital_part_that_fits(tmp_path: Path) -> None:
    delivery = whole(tmp_path, [csv_file(tmp_path / "s.csv", [presettled(1)])], 1, 2344246)
    assert loaded(delivery)["hosp_part_amt_fen"].to_list() == [50501]

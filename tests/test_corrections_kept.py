"""Corrections keep how their delivery was read, and count every row of a store once."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deliveries import (
    LARGE,
    csv_file,
    fen,
    jsonl_file,
    loaded,
    negative,
    note_file,
    parquet_file,
    record,
    reply,
    take,
    waiting,
)
from fixes import BURDEN, CASH, WRONG, at, correct, deliver, ids

from analytics.intake import corrections
from analytics.store import Store

# --- the delivery's own reading is kept


def test_mapping_unit_and_jurisdiction_of_the_delivery_hold(tmp_path: Path) -> None:
    """Amounts in fen by the note, a foreign column by the mapping, and the jurisdiction still judges the corrected row."""

    def row(number: int, **changes: str) -> dict[str, Any]:
        whole = {k: str(int(Decimal(v) * 100)) if k in LARGE else v for k, v in record(number).items()}
        whole["total"] = whole.pop("medfee_sumamt")
        return {**whole, **changes}

    rows = [row(1), row(2, psn_part_amt="465707", psn_cash_pay="448703"), row(3, acct_pay="0")]
    path = csv_file(tmp_path / "a.csv", rows)
    note = note_file(tmp_path / "note.toml", [path], [3], 3 * Decimal("23442.46"), money_unit="fen")
    (tmp_path / "map.toml").write_text('[columns]\nmedfee_sumamt = "total"\n', encoding="utf-8")
    delivery = take(tmp_path, [path], note=note, mapping=tmp_path / "map.toml")
    assert set(waiting(delivery)) == {("a.csv", 2), ("a.csv", 3)}
    fixes = [
        {**at(2), "column": "psn_part_amt", "from": "465707", "to": "415206"},
        {**at(2), "column": "psn_cash_pay", "from": "448703", "to": "398202"},
        {**at(3), "column": "acct_pay", "from": "0", "to": "17004"},
        {**at(3), "column": "insu_admdvs", "from": "440402", "to": "360100"},
    ]
    done = correct(tmp_path, delivery, *fixes)
    assert loaded(done).select("setl_id", "medfee_sumamt_fen", "psn_part_amt_fen").rows() == [
        ("S00002", 2344246, 415206)
    ]
    assert waiting(done) == {("corrected-00001.parquet", 2): ("waits", ["Q26"])}


def test_the_family_account_is_read_as_in_the_delivery(tmp_path: Path) -> None:
    """In this delivery the shared account stands apart from the personal one. A row that is wrong that way must not pass
    because, alone in its file, it would fit the other way.
    """
    apart = {"acct_mulaid_pay": "100.00", "psn_cash_pay": "3882.02"}
    other = {"acct_mulaid_pay": "100.00"}  # fits only where the account includes the shared one
    delivery = deliver(tmp_path, [*(record(i, **apart) for i in range(1, 5)), record(9, **other)])
    assert waiting(delivery) == {("a.csv", 5): ("waits", ["I4"])}
    alone = deliver(tmp_path, [record(9, **other)], "alone.csv", store="other")
    assert alone.manifest["rows_loaded"] == 1  # such a file by itself would load
    done = correct(tmp_path, delivery, {**at(5), "column": "gend", "from": "1", "to": "2"})
    assert waiting(done) == {("corrected-00001.parquet", 1): ("waits", ["I4"])}


def test_rows_picked_for_being_bad_are_no_faulty_file(tmp_path: Path) -> None:
    """Of 120 rows sent in with their burden wrong, 110 are set right and ten to nothing better: no share is taken of them."""
    rows = [record(i) for i in range(1, 121)]
    delivery = deliver(
        tmp_path, [{**row, "setl_time": "?"} for row in rows], sign_off={"reason": "r", "who": "w"}
    )
    time = {"column": "setl_time", "from": "?", "to": "2021-08-27 09:58:41"}
    done = correct(tmp_path, delivery, {"rule": "bad_timestamp(setl_time)", **time}, {**at(*range(1, 11)), "column": "acct_pay", "from": "170.04", "to": "0"})  # fmt: skip
    assert (done.manifest["rows_loaded"], done.manifest["rows_quarantined"]) == (110, 10)


def test_of_equal_rows_of_two_files_one_is_corrected(tmp_path: Path) -> None:
    """The same bad row in two files: the copy is set aside at once, the other is corrected and loads."""
    files = [
        csv_file(tmp_path / name, [record(1, **WRONG), record(n)]) for n, name in ((2, "a.csv"), (3, "b.csv"))
    ]
    delivery = take(tmp_path, files)
    assert (delivery.manifest["rows_quarantined"], delivery.manifest["rows_set_aside"]) == (2, 1)
    done = correct(tmp_path, delivery, {"rule": "I3", **BURDEN}, {"rule": "I3", **CASH})
    assert (done.manifest["rows_in"], done.manifest["rows_loaded"], done.manifest["rows_set_aside"]) == (
        1,
        1,
        0,
    )


def test_the_same_fix_for_two_deliveries_decides_both(tmp_path: Path) -> None:
    first, second = (deliver(tmp_path, [record(1, **WRONG), record(n)], f"{n}.csv") for n in (2, 3))
    for delivery in (first, second):
        correct(tmp_path, delivery, {"rule": "I3", **BURDEN}, {"rule": "I3", **CASH})
    store = Store(tmp_path / "store")
    assert [corrections.counts(store)[d.id]["open"] for d in (first, second)] == [0, 0]


def test_an_identifier_can_be_set_and_is_stored_as_a_pseudonym(tmp_path: Path) -> None:
    """A row without person gets that of row 2, by number; a token in one row and the plain number in the other are one person."""
    number = record(2)["psn_no"]
    bare = {"certno": "", "psn_cert_type": ""}
    delivery = deliver(tmp_path, [record(1, psn_no="", **bare), record(2, **bare), record(3, psn_no=number, **bare, **WRONG)])  # fmt: skip
    who = {"column": "psn_no", "from": "", "to": number}
    done = correct(tmp_path, delivery, {**at(1), **who}, {**at(3), **BURDEN}, {**at(3), **CASH})
    assert set(loaded(done)["person_key"]) == set(loaded(delivery)["person_key"])
    assert number not in (done.path / "manifest.json").read_text("utf-8")


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_other_formats(tmp_path: Path, kind: str) -> None:
    """Typed columns and replies wait as texts, and are read again from texts."""
    rows = [record(1), record(2, acct_pay="0.00")]
    path = (
        parquet_file(tmp_path / "a.parquet", rows, {name: pa.decimal128(16, 2) for name in LARGE})
        if kind == "parquet"
        else jsonl_file(tmp_path / "a.jsonl", [reply(row) for row in rows])
    )
    delivery = take(tmp_path, [path])
    account = {"column": "acct_pay", "from": "0.00", "to": "170.04"}
    assert ids(correct(tmp_path, delivery, {**at(2, file=path.name), **account})) == ["S00002"]


def test_a_corrected_refund_takes_its_original_back(tmp_path: Path) -> None:
    """The refund waits for its time; corrected, it undoes the settlement an earlier delivery holds."""
    refund = {
        **negative(record(1)),
        "setl_id": "S9",
        "init_setl_id": "S00001",
        "refd_setl_flag": "1",
        "setl_time": "?",
    }
    delivery = deliver(tmp_path, [{"init_setl_id": "", **record(1)}, refund])
    done = correct(
        tmp_path, delivery, {**at(2), "column": "setl_time", "from": "?", "to": "2021-08-29 10:00:00"}
    )
    undone = loaded(done, "settlement_undone").row(0, named=True)
    assert (undone["setl_id"], undone["kind"], undone["by_setl_id"]) == ("S00001", "refunded", "S9")


# --- nothing is counted twice


def test_a_store_adds_up_after_corrections(tmp_path: Path) -> None:
    """Rows and fen that came once = loaded + open + dropped + set aside, and what corrections changed in the fee is told."""
    first = [record(1), record(2, **WRONG), record(3, setl_time="?"), record(4, **WRONG), record(1)]
    delivery = deliver(tmp_path, first)
    second = [record(5), record(6, **WRONG), record(7, fulamt_ownpay_amt="2433.97")]
    deliver(tmp_path, second, "b.csv")
    half = correct(
        tmp_path, delivery,
        {**at(2), **BURDEN}, {**at(2), **CASH}, {**at(3), "action": "drop"}, {**at(4), **BURDEN, "to": "4152.07"},
    )  # fmt: skip
    correct(
        tmp_path, half,
        {**at(2, file="corrected-00001.parquet"), **BURDEN, "from": "4152.07"}, {**at(2, file="corrected-00001.parquet"), **CASH},
        {**at(2, file="corrected-00001.parquet"), "column": "medfee_sumamt", "from": "23442.46", "to": "23442.45"},
        {**at(2, file="corrected-00001.parquet"), "column": "preselfpay_amt", "from": "703.44", "to": "703.43"},
    )  # fmt: skip
    store = Store(tmp_path / "store")
    deliveries, counts = store.deliveries(), corrections.counts(store)
    came = [d.manifest for d in deliveries if not d.manifest["corrects"]]
    total = {
        state: sum(count[state] for count in counts.values())
        for state in ("open", "fixed", "dropped", "set_aside")
    }
    assert total == {"open": 2, "fixed": 3, "dropped": 1, "set_aside": 1}
    on_disk = pl.concat([loaded(d).select("setl_id", "medfee_sumamt_fen") for d in deliveries if ids(d)])
    assert sum(m["rows_in"] for m in came) == len(first) + len(second)
    assert len(first) + len(second) == on_disk.height + total["open"] + total["dropped"] + total["set_aside"]
    fees = {s: sum(r["fee_fen"] for r in corrections.waiting(store) if r["state"] == s) for s in total}
    fixes = [d.manifest for d in deliveries if d.manifest["corrects"]]
    changed = sum(m["fee_in_fen"] - m["corrects"]["fee_fen"] for m in fixes)
    assert changed == -1  # the fen taken off settlement 4
    assert sum(m["fee_in_fen"] for m in came) == fen(first) + fen(second)
    assert fen(first) + fen(second) + changed == (
        on_disk["medfee_sumamt_fen"].sum() + fees["open"] + fees["dropped"] + fees["set_aside"]
    )

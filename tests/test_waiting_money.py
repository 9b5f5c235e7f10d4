"""How much may wait without a signature: money that cannot be read, or that cancels out, is not nothing."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deliveries import MONEY, Row, amounts, clean, csv_file, fen, record, reversal, take, waiting

from analytics import verbs
from analytics.intake import Refused, contract

SIGNED = {"reason": "已核对", "who": "李四"}
N = 2000  # 1 % of it are 20 rows


def with_faults(change: Row, rows: int) -> list[Row]:
    every = clean(N)
    for row in every[:rows]:
        row.update(change)
    return every


@pytest.mark.parametrize("text", ["200000000.00", "21474836.48", "-21474836.48", "约两亿", ""])
def test_rows_of_unknown_money_wait_for_a_signature(tmp_path: Path, text: str) -> None:
    """19 of 2,000 rows are below the limit of rows; whether they are below that of the fee nobody knows."""
    file = csv_file(tmp_path / "s.csv", with_faults({"medfee_sumamt": text}, 19))
    with pytest.raises(Refused, match=r"19 rows whose medfee_sumamt cannot be read.*\[limits\]"):
        take(tmp_path, [file])
    delivery = take(tmp_path, [file], sign_off=SIGNED)
    assert delivery.manifest["fee_unreadable_rows"] == 19
    (books,) = verbs.quality(tmp_path / "store")
    assert (books["rows_open"], books["fee_open_yuan"], books["fee_unreadable_rows"]) == (19, 0, 19)


def test_below_a_hundred_rows_a_share_says_nothing(tmp_path: Path) -> None:
    rows = clean(99)
    rows[0]["medfee_sumamt"] = "200000000.00"
    assert take(tmp_path, [csv_file(tmp_path / "s.csv", rows)]).manifest["rows_waiting"] == 1


def test_opposite_signs_do_not_cancel(tmp_path: Path) -> None:
    """Ten bills and ten refunds of a million each wait: 20 of 46 and 20 million, and not nothing."""
    rows = clean(N)
    for n in range(10):
        big = {**rows[n], "medfee_sumamt": "1000000.00"}
        rows[n], rows[n + 10] = big, {**reversal(big, f"X{n}"), "medfee_sumamt": "-1000000.00"}
    with pytest.raises(Refused, match=r"20,000,000\.00 of .* yuan would wait"):
        take(tmp_path, [csv_file(tmp_path / "s.csv", rows)])


def test_copies_set_aside_do_not_thin_the_share(tmp_path: Path) -> None:
    """Seven of 1,000 bills wait: below 1 % of the rows, above 0.5 % of the fee of the bills without their copies."""
    rows = clean(1000)
    rows[0] = {**rows[0], "hifob_pay": "1.00"}
    rows += [dict(rows[1])] * 10
    for row in rows[3:9]:
        row["hifob_pay"] = "1.00"
    total = sum(Decimal(r["medfee_sumamt"]) for r in rows[:1000])
    stuck = sum(Decimal(r["medfee_sumamt"]) for r in rows[:1000] if r["hifob_pay"] == "1.00")
    assert stuck / total > Decimal("0.005")
    with pytest.raises(Refused, match=rf"{stuck:,.2f} of {total:,.2f} yuan would wait"):
        take(tmp_path, [csv_file(tmp_path / "s.csv", rows)])


HELD: list[tuple[Any, str]] = [
    ("21474836.47", ""),
    ("21474836.48", "over_limit"),
    ("¥200,000,000.00", "over_limit"),
    ("2e8", "over_limit"),
    ("一亿", "bad_amount"),
    ("1.005", "bad_amount"),
    (2e8, "over_limit"),
    (float("inf"), "bad_amount"),
    (200_000_000, "over_limit"),
    (Decimal("200000000.00"), "over_limit"),
    (Decimal("200000000.0000"), "over_limit"),
]


@pytest.mark.parametrize(("value", "reason"), HELD)
def test_an_amount_above_the_limit_is_called_so(tmp_path: Path, value: Any, reason: str) -> None:
    """2,147,483,647 fen are the last the column holds. Only one reason stands for one cell."""
    row = {**record(1), "medfee_sumamt": value}
    if isinstance(value, str):
        delivery = take(tmp_path, [csv_file(tmp_path / "s.csv", [row])])
    else:
        frame = pl.DataFrame([row])
        frame.write_parquet(tmp_path / "s.parquet")
        delivery = take(tmp_path, [tmp_path / "s.parquet"])
    ((_, reasons),) = waiting(delivery).values()
    told = [r for r in reasons if r.endswith("(medfee_sumamt)")]
    assert told == ([f"{reason}(medfee_sumamt)"] if reason else [])


def test_in_ten_thousands_the_limit_is_the_same(tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text("[money]\nscale = 1000000\n")
    rows = [{**record(1), "medfee_sumamt": text} for text in ("3000", "inf")]
    rows[1] |= {"setl_id": "S2"}
    delivery = take(tmp_path, [csv_file(tmp_path / "s.csv", rows)], mapping=mapping)
    reasons = {row: told for (_, row), (_, told) in waiting(delivery).items()}
    assert "over_limit(medfee_sumamt)" in reasons[1] and "bad_amount(medfee_sumamt)" in reasons[2]


def test_the_limit_is_told_in_both_languages() -> None:
    title = contract("settlement").reason("over_limit(medfee_sumamt)")
    assert "上限" in title.zh and "medfee_sumamt" in title.zh and "above" in title.en


# --- what a refusal says


def test_a_refusal_names_the_reasons_and_rows_to_look_at(tmp_path: Path) -> None:
    """Two files: every reason with how many rows, what our rule says, and the first of its rows."""
    rows = clean(200)
    for n in (30, 121, 140, 160):
        rows[n]["medfee_sumamt"] = "?"
    for n in (150, 7):
        rows[n]["enddate"] = "2021-08-19"
    files = [csv_file(tmp_path / "a.csv", rows[:120]), csv_file(tmp_path / "b.csv", rows[120:])]
    with pytest.raises(Refused) as refused:
        take(tmp_path, files)
    (line,) = refused.value.lines
    assert "6 of 200 rows would wait" in line
    assert "bad_amount(medfee_sumamt) 4, first a.csv row 31, b.csv row 2, b.csv row 21; " in line
    assert "Q24 2, Dates out of order, or outside 2000-2100, first a.csv row 8, b.csv row 31)" in line
    assert "[money]" not in line and line.endswith("[limits]")


def test_of_money_that_waits_the_reason_of_most_of_it_comes_first(tmp_path: Path) -> None:
    """Two small bills and a large one of 2,000: the large one is what is over the limit."""
    rows = clean(N)
    rows[2]["enddate"] = rows[5]["enddate"] = "2021-08-19"
    rows[9] |= {"medfee_sumamt": "1000000.00"}
    with pytest.raises(Refused, match=r"yuan would wait.*: I1 1, .*first s\.csv row 10;.* Q24 2, "):
        take(tmp_path, [csv_file(tmp_path / "s.csv", rows)])


def scaled(rows: list[Row], by: str) -> list[Row]:
    return [{k: f"{Decimal(v) * Decimal(by):f}" if k in MONEY else v for k, v in row.items()} for row in rows]


HUGE = amounts([200_000_00, 50_000_00], 100_000_00, 0, [1_000_00, 0, 0], 0)
UNITS: list[tuple[str, list[Row], str]] = [
    ("0.0001", clean(120), "1000000"),  # ten thousand yuan
    ("100", [record(n, **HUGE, med_type="11") for n in range(1, 121)], "1"),  # fen
]


@pytest.mark.parametrize(("by", "rows", "scale"), UNITS, ids=["ten thousands", "fen"])
def test_a_refusal_of_amounts_in_another_unit_names_the_mapping(
    tmp_path: Path, by: str, rows: list[Row], scale: str
) -> None:
    """With the unit it names the delivery loads, to the fen."""
    file = csv_file(tmp_path / "s.csv", scaled(rows, by))
    with pytest.raises(Refused, match=rf"\[money\] scale = {scale} in a --mapping; .*\[limits\]$"):
        take(tmp_path, [file])
    mapping = tmp_path / "m.toml"
    mapping.write_text(f"[money]\nscale = {scale}\n")
    delivery = take(tmp_path, [file], mapping=mapping)
    assert (waiting(delivery), delivery.manifest["fee_loaded_fen"]) == ({}, fen(rows))


def test_a_unit_that_was_named_and_does_not_fit_is_doubted(tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text("[money]\nscale = 1000000\n")
    rows = [record(n, **HUGE) for n in range(1, 121)]
    with pytest.raises(Refused, match=r"\[money\] scale = 1000000 of the mapping, see whether.*\[limits\]$"):
        take(tmp_path, [csv_file(tmp_path / "s.csv", rows)], mapping=mapping)

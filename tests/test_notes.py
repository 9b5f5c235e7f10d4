"""What a sender says of a delivery is held against it, and what exceeds the limits of a delivery needs a signature."""

import csv
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deliveries import SMALL, Row, clean, csv_file, fen, findings, note_file, take, waiting

from analytics.intake import Refused, contract
from analytics.store import Store


def some(every: int, **changes: Any) -> list[Row]:
    """300 rows, every n-th changed."""
    return [{**row, **changes} if n % every == 0 else row for n, row in enumerate(clean(300))]


TOTAL = Decimal(fen(clean(30))) / 100
NOTES: list[tuple[str, str, dict[str, Any]]] = [
    ("a digest that is none", "note", {"spoil": lambda t: t.replace('sha256 = "', 'sha256 = "xyz')}),
    ("another digest", "note", {"spoil": lambda t: t.replace(t.split('sha256 = "')[1][:8], "00000000")}),
    ("rows that do not agree", "note|control_total", {"spoil": lambda t: t.replace("rows = 30", "rows = 31")}),
    ("a total fee off by a hundredth", "control_total", {"fee": TOTAL * Decimal("1.01")}),
    ("a total fee off by a little over 0.1 %", "control_total", {"fee": TOTAL * Decimal("1.0011")}),
    ("a noted file that did not come", "note", {"spoil": lambda t: t + '[[file]]\nname = "t.csv"\nsha256 = "' + "0" * 64 + '"\nrows = 1\n'}),
    ("a file that is not noted", "note", {"spoil": lambda t: t.replace('"s.csv"', '"t.csv"')}),
    ("a key nobody knows", "note", {"fee_total": "1"}),
    ("a unit of money nobody knows", "note", {"money_unit": "dollar"}),
    ("a total that is no number", "note", {"fee": "about 700,000"}),
    ("no TOML at all", "note", {"spoil": lambda t: "dear colleagues, enclosed please find"}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "code", "how"), NOTES, ids=[words for words, _, _ in NOTES])
def test_a_delivery_that_is_not_as_noted_is_refused(
    tmp_path: Path, words: str, code: str, how: dict[str, Any]
) -> None:
    path = csv_file(tmp_path / "s.csv", clean(30))
    keys = {k: v for k, v in how.items() if k not in ("fee", "spoil")}
    note = note_file(tmp_path / "note.toml", [path], [30], how.get("fee", TOTAL), **keys)
    note.write_text(how.get("spoil", str)(note.read_text("utf-8")), encoding="utf-8")
    with pytest.raises(Refused) as refused:
        take(tmp_path, [path], note=note)
    for told in refused.value.lines:
        assert told.endswith(tuple(f"[{c}]" for c in code.split("|"))), told
    assert Store(tmp_path / "store").deliveries() == []


@pytest.mark.parametrize("fee", [TOTAL * Decimal("1.0009"), TOTAL * Decimal("0.9991"), None])
def test_a_delivery_as_noted_loads(tmp_path: Path, fee: Decimal | None) -> None:
    """Up to 0.1 % the total may differ; a total need not be given."""
    path = csv_file(tmp_path / "s.csv", clean(30))
    keys: dict[str, Any] = {} if fee else {"fee_total_yuan": None}
    delivery = take(tmp_path, [path], note=note_file(tmp_path / "n.toml", [path], [30], fee, **keys))
    assert delivery.manifest["note"]
    assert delivery.manifest["rows_loaded"] == 30


def test_no_note_is_recorded(tmp_path: Path) -> None:
    assert take(tmp_path, [csv_file(tmp_path / "s.csv", clean(3))]).manifest["note"] is None


def test_rows_outside_the_noted_jurisdiction_wait(tmp_path: Path) -> None:
    """Q26: they must not load, and the others do. A pool of its own (suffix 99) is the same city."""
    rows = clean(30)
    rows[4] |= {"insuplc_admdvs": "440802"}
    rows[5] |= {"insuplc_admdvs": "440499"}
    path = csv_file(tmp_path / "s.csv", rows)
    delivery = take(
        tmp_path, [path], note=note_file(tmp_path / "n.toml", [path], [30], None, fee_total_yuan=None)
    )
    assert waiting(delivery) == {("s.csv", 5): ("waits", ["Q26"])}
    assert findings(take(tmp_path, [path], store="other")).get("Q26") is None


def test_beyond_the_limits_somebody_signs(tmp_path: Path) -> None:
    """Q batch policy (c): more than 1 % of the rows wait, and one who answers for it said why."""
    path = csv_file(tmp_path / "s.csv", some(50, medfee_sumamt="?"))
    with pytest.raises(Refused, match=r"\[limits\]$"):
        take(tmp_path, [path])
    delivery = take(tmp_path, [path], sign_off={"reason": "the hospital closed", "who": "case officer"})
    assert delivery.manifest["rows_quarantined"] == 6
    assert delivery.manifest["sign_off"] == {"reason": "the hospital closed", "who": "case officer"}


def test_just_below_the_limits_needs_nobody(tmp_path: Path) -> None:
    """3 rows of 300 are 1 %, not more than it; what they owe stays under 0.5 % of the fee."""
    rows = some(100, **{**SMALL, "acct_pay": "0.00"})
    assert take(tmp_path, [csv_file(tmp_path / "s.csv", rows)]).manifest["rows_quarantined"] == 3


# --- what is seen on whole files

ENROLLED = [{"person_id": f"P{n}", "insu_admdvs": "440400", "insutype": "310", "start_date": "2021-01-01", "premium": "169.00"} for n in (1, 2)]  # fmt: skip
ENDS: list[tuple[str, bool, dict[str, Any], Callable[[bytes], bytes]]] = [
    ("a value cut short", True, {}, lambda b: b.removesuffix(b"69.00\n")),
    ("a value cut off whole", True, {}, lambda b: b.removesuffix(b"169.00\n")),
    ("no line end", True, {}, lambda b: b.removesuffix(b"\n")),
    ("UTF-16, whose last character ends in the byte of a line end", True, {"encoding": "utf-16-be"}, lambda b: b"\xfe\xff" + b.removesuffix("\n".encode("utf-16-be")) + "上".encode("utf-16-be")),
    ("as it was written", False, {}, bytes),
    ("line ends of Windows", False, {"lineterminator": "\r\n"}, bytes),
    ("UTF-16 with its line end", False, {"encoding": "utf-16"}, bytes),
    ("a closed quote", False, {"quoting": csv.QUOTE_ALL}, lambda b: b.removesuffix(b"\n")),
    ("a delimiter behind every row", False, {}, lambda b: b.replace(b"\n", b",\n").removesuffix(b"\n")),
]  # fmt: skip


@pytest.mark.parametrize(("is_told", "style", "change"), [end[1:] for end in ENDS], ids=[end[0] for end in ENDS])  # fmt: skip
def test_a_last_row_that_may_be_cut_short_is_told(
    tmp_path: Path, is_told: bool, style: dict[str, Any], change: Callable[[bytes], bytes]
) -> None:
    """A value that is shortened is still a value: only the missing line end tells. Many write none, so the file loads."""
    path = csv_file(tmp_path / "e(1).csv", ENROLLED, **style)
    path.write_bytes(change(path.read_bytes()))
    delivery = take(tmp_path, [path], "enrolment")
    assert delivery.manifest["rows_in"] == 2
    assert findings(delivery).get("no_line_end(e(1).csv:2)") == (1 if is_told else None)
    if is_told:
        title = contract("enrolment").reason("no_line_end(e(1).csv:2)")
        assert title.en.endswith(": e(1).csv:2") and title.zh.endswith("：e(1).csv:2")


def test_a_digest_of_the_sender_settles_that_the_last_row_is_whole(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "s.csv", clean(3))
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    total = Decimal(fen(clean(3))) / 100
    note = note_file(tmp_path / "n.toml", [path], [3], total)
    assert "no_line_end(s.csv:3)" not in findings(take(tmp_path, [path], note=note))
    note.write_text("\n".join(t for t in note.read_text().splitlines() if not t.startswith("sha256")))
    assert "no_line_end(s.csv:3)" in findings(take(tmp_path, [path], note=note, store="other"))


def test_one_content_under_two_names_is_loaded_once_and_told(tmp_path: Path) -> None:
    """A note may list both: both came."""
    first, other = (csv_file(tmp_path / f"{name}.csv", clean(3)) for name in "ab")
    total = Decimal(fen(clean(3))) / 100
    note = note_file(tmp_path / "n.toml", [first, other], [3, 3], total)
    for how in ({}, {"note": note, "store": "noted"}):
        delivery = take(tmp_path, [first, other], **how)
        assert delivery.manifest["rows_in"] == 3
        assert findings(delivery) == {"same_file(b.csv)": 3}
    assert findings(take(tmp_path, [first], store="alone")) == {}


MEMBERS = [{"person_id": "P1", "household_id": "H1", "start_date": "2021-01-01", "end_date": ""}]
PEOPLE = [{"psn_no": "P1", "certno": "", "gend": "1", "birth_year": "1950", "town": "x", "job": "y"}]


@pytest.mark.parametrize(
    ("rows", "table", "other"),
    [
        (clean(3), "enrolment", "settlement"),
        (clean(3), "household_member", "settlement"),
        (ENROLLED, "settlement", "enrolment"),
        (MEMBERS, "enrolment", "household_member"),
        ([{k: v for k, v in row.items() if k != "medfee_sumamt"} for row in clean(3)], "settlement", ""),
        ([{"psn_no": "P1", "town": "x"}], "enrolment", ""),
    ],
)
def test_a_refused_file_that_has_the_columns_of_another_table(
    tmp_path: Path, rows: list[Row], table: str, other: str
) -> None:
    """The table it looks like is named; where a column of the right table is missing, or no table fits better, none is."""
    with pytest.raises(Refused) as refused:
        take(tmp_path, [csv_file(tmp_path / "s.csv", rows)], table)
    told = [line for line in refused.value.lines if line.endswith("[other_table]")]
    assert len(told) == bool(other)
    assert all(line.startswith("s.csv: ") and f"--as {other} " in line for line in told)
    assert any(line.endswith("[column_missing]") for line in refused.value.lines)


@pytest.mark.parametrize(
    ("rows", "table", "mapping", "told"),
    [
        (clean(3), "person", "", {"looks_like(s.csv: settlement)": 3}),
        (clean(3), "settlement", "", {}),
        (clean(3), "person", '[columns]\nperson_id = "psn_no"\n', {}),
        (PEOPLE, "person", "", {}),
    ],
)
def test_a_file_that_loads_as_what_it_hardly_is(
    tmp_path: Path, rows: list[Row], table: str, mapping: str, told: dict[str, int]
) -> None:
    """A settlement names a person, so it loads as persons; whoever maps its columns means it."""
    (tmp_path / "m.toml").write_text(mapping)
    how: dict[str, Any] = {"mapping": tmp_path / "m.toml"} if mapping else {}
    found = findings(take(tmp_path, [csv_file(tmp_path / "s.csv", rows)], table, **how))
    assert {rule: n for rule, n in found.items() if rule.startswith("looks_like")} == told

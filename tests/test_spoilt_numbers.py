"""Person numbers a spreadsheet spoilt: digits that are gone refuse the file, marks around them go and are counted."""

from pathlib import Path

import pytest
from deliveries import clean, csv_file, findings, loaded, record, take, waiting, xlsx_file

from analytics.intake import Refused

NUMBER = "000123456789012"  # 15 digits: Excel keeps it whole, but for its zeros


@pytest.mark.parametrize("text", [NUMBER, "7"])
def test_a_number_of_few_digits_in_a_cell_is_refused(tmp_path: Path, text: str) -> None:
    rows = [record(n, psn_no=text) for n in (1, 2)]
    file = xlsx_file(tmp_path / "s.xlsx", rows, ["psn_no"])
    column = chr(ord("A") + list(rows[0]).index("psn_no"))
    with pytest.raises(Refused, match=rf"column psn_no cell {column}2 is a number.*as text.*\[float_id\]"):
        take(tmp_path, [file])
    kept = take(tmp_path, [xlsx_file(tmp_path / "t.xlsx", rows)])
    assert kept.manifest["rows_loaded"] == 2


@pytest.mark.parametrize("spoilt", ["'{}", "{}\t", "\t{}", " '{} \t"])
def test_marks_around_a_number_go_and_are_counted(tmp_path: Path, spoilt: str) -> None:
    """The person is the one whose number came clean."""
    rows = [{k: v for k, v in row.items() if k != "certno"} for row in clean(3)]
    plain = take(tmp_path, [csv_file(tmp_path / "a.csv", rows)])
    for row in rows:
        row |= {"psn_no": spoilt.format(row["psn_no"]), "setl_id": "T" + row["setl_id"]}
    marked = take(tmp_path, [csv_file(tmp_path / "b.csv", rows)])
    assert waiting(marked) == {} and findings(marked)["Q11"] == 3
    assert loaded(marked)["person_key"].to_list() == loaded(plain)["person_key"].to_list()
    assert "Q11" not in findings(plain)


def test_tabs_around_amounts_and_days_go_too(tmp_path: Path) -> None:
    row = record(1, medfee_sumamt="23442.46\t", setl_time="2021-08-27 09:58:41\t")
    delivery = take(tmp_path, [csv_file(tmp_path / "s.csv", [row])])
    assert (waiting(delivery), findings(delivery)["Q11"]) == ({}, 1)


def test_a_number_that_cannot_be_read_is_not_empty_as_well(tmp_path: Path) -> None:
    row = {k: v for k, v in record(1, psn_no="44\u200b04").items() if k != "certno"}
    delivery = take(tmp_path, [csv_file(tmp_path / "s.csv", [row])])
    assert waiting(delivery) == {("s.csv", 1): ("waits", ["bad_text(person_id)"])}


@pytest.mark.parametrize(
    ("column", "value", "form"),
    [
        ("psn_no", "4.40402E+25", "#.#####E+25"),
        ("certno", "4E+17", "#E+17"),
        ("setl_id", "440402199001.0", "############.0"),
    ],
)
def test_where_the_digits_were_lost_is_told_and_not_what_is_left(
    tmp_path: Path, column: str, value: str, form: str
) -> None:
    """Column as the file calls it, file and row; and no digit of a person's number."""
    rows = clean(6)
    rows[4][column] = value
    files = [csv_file(tmp_path / "a.csv", rows[:3]), csv_file(tmp_path / "b.csv", rows[3:])]
    with pytest.raises(Refused) as refused:
        take(tmp_path, files)
    told = f"b.csv: column {column} row 2 holds an identifier like {form}, its digits are lost; deliver it as text [float_id]"
    assert refused.value.lines == [told]

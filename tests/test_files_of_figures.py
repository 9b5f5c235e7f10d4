"""A figure's files and the number behind a cell: every file opens with its library's reader and holds the answer and its notes."""

import io
import json
import zipfile
from pathlib import Path

import openpyxl
import polars as pl
import pyarrow.parquet as pq
import pytest

from analytics.desk.answer import Desk
from analytics.figures import about, files, lookup, names, tables, words
from analytics.measures import measures
from analytics.release import Released
from analytics.view import downloads

WHERE = {"city": ["440400"], "plan_year": ["2022"]}


@pytest.fixture(scope="module")
def answers(sample_store: Path) -> list[Released]:
    desk = Desk.open(sample_store)
    return [desk.ask(m, ["person_group", "tier"], WHERE) for m in ("own_share_after", "tier_share")]


def _shown(answers: list[Released]) -> list[float]:
    return [v for a in answers for v in a.table.filter(pl.col("status") == "shown")["value"].to_list()]


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ({"city": ("440400",), "plan_year": ("2024",)}, "reach_zhuhai_2024_city_tier"),
        ({"city": ("440400", "440800"), "plan_year": ("2021", "2022", "2024")}, "reach_zhuhai_zhanjiang_2021-2024_city_tier"),
        ({"city": ("440400", "440800", "371000"), "plan_year": ("2025",), "tier": ("inclusive",)}, "reach_3_cities_2025_inclusive_city_tier"),
        ({}, "reach_city_tier"),
    ],
)  # fmt: skip
def test_a_file_is_named_by_what_is_in_it(where: dict[str, tuple[str, ...]], name: str) -> None:
    """Files of two years, or of other cities, do not have one name."""
    found = Released(measures()["reach"], ("city", "tier"), where, {}, pl.DataFrame(), "", {}, {})
    assert downloads._name([found]) == name


def test_excel_holds_exact_numbers_and_notes(answers: list[Released]) -> None:
    table, lines = files.full(answers), about.block("标题", answers, "http://x/?a=1")
    book = openpyxl.load_workbook(io.BytesIO(files.excel(table, lines)))
    data, notes = book.worksheets
    head, *rows = data.iter_rows(values_only=True)
    value, status = head.index("value"), head.index("status")
    assert [r[value] for r in rows if r[status] == "shown"] == pytest.approx(_shown(answers), rel=1e-15)
    hidden = [r for r in rows if r[status] == "hidden"]
    assert hidden and all(r[head.index(c)] is None for r in hidden for c in ("value", "numerator", "n"))
    told = dict(notes.iter_rows(values_only=True))
    assert told["链接"] == "http://x/?a=1" and answers[0].provenance["snapshot"] in told["引用"]
    assert told["注意"].startswith("合成数据")


def test_parquet_and_csv_hold_the_same(answers: list[Released]) -> None:
    table, lines = files.full(answers), about.block("t", answers)
    read = pq.read_table(io.BytesIO(files.parquet(table, lines)))
    assert pl.from_arrow(read).filter(pl.col("status") == "shown")["value"].to_list() == _shown(answers)
    assert json.loads(read.schema.metadata[b"jianfu"]) == [list(line) for line in lines]
    made = files.csv(table, lines, "x")
    assert made == files.csv(table, lines, "x")
    with zipfile.ZipFile(io.BytesIO(made)) as bundle:
        again = pl.read_csv(bundle.read("x.csv")[3:])
    assert again.filter(pl.col("status") == "shown")["value"].to_list() == _shown(answers)


def test_no_text_of_a_file_opens_as_a_formula() -> None:
    table = pl.DataFrame({"=a": ["=1+1", "@SUM(A1)", "-0.5"], "n": [1.5, None, -2.0]})
    sheet = openpyxl.load_workbook(io.BytesIO(files.excel(table, [("a", "=1")]))).worksheets
    cells = [c for page in sheet for row in page.iter_rows() for c in row]
    assert not any(c.data_type == "f" for c in cells)
    assert sheet[0]["A2"].value == "'=1+1" and sheet[0]["B2"].value == 1.5 and sheet[0]["B4"].value == -2
    with zipfile.ZipFile(io.BytesIO(files.csv(table, [], "x"))) as bundle:
        assert b"'=1+1" in bundle.read("x.csv")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_cell_finds_its_number(answers: list[Released], language: str) -> None:
    with words.reading(language):
        one = answers[0]
        frame = tables.crossed(one, "person_group", "tier")
        asked = 0
        for row, line in enumerate(frame.iter_rows(named=True)):
            for column in frame.columns[1:]:
                found = lookup.found([one], frame, row, column)
                if found is None:  # not covered: the answer holds nothing
                    assert line[column] == words.t("cell.not_covered")
                    continue
                cells = found[1]
                assert names.member("tier", cells["tier"]) == column
                assert names.member("person_group", cells["person_group"]) == line[frame.columns[0]]
                assert tables.cell(cells, "share") == line[column]
                asked += 1
        assert asked == one.table.height
        both = tables.side_by_side(answers)
        for row in range(both.height):
            for column, answer in zip(both.columns[2:], answers, strict=True):
                found = lookup.found(answers, both, row, column)
                assert found is not None and found[0] is answer


def test_a_difference_is_no_number_of_the_answer(sample_store: Path) -> None:
    where = {"city": ["440400", "371000"], "plan_year": ["2022", "2023"]}
    answer = Desk.open(sample_store).ask("effective_reimbursement_rate", ["city", "plan_year"], where)
    apart = tables.against(answer, "city", "plan_year", "440400", ["440400", "371000"], ["2022", "2023"])
    assert apart.height == 1
    assert lookup.found([answer], apart, 0, "2022") is None

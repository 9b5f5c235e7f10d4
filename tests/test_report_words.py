"""What a report says of its numbers: what is called the largest, how a number is rounded once, how totals are compared."""

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analytics.desk.answer import Desk
from analytics.figures import formats, published, words
from analytics.report import beside, layout, sentences
from analytics.report.compose import compose
from analytics.report.document import Cell, Text
from analytics.report.look import Number
from analytics.view import ledger, whatif


def number(yuan: float | None) -> Number:
    row = {"value": yuan, "numerator": yuan}
    return Number("hidden" if yuan is None else "shown", "x", "yuan", row)


@pytest.mark.parametrize(
    ("parts", "total", "largest"),
    [
        ({"a": 60.0, "b": 30.0}, 90.0, "a"),
        ({"a": 60.0, "b": None, "c": None}, 100.0, "a"),  # 40 are hidden in all: none can be more than 60
        ({"a": 60.0, "b": None, "c": None}, 130.0, None),  # one of the hidden may be 70
        ({"a": 60.0, "b": None}, None, None),  # nobody knows the rest
    ],
)
def test_the_largest_is_named_where_nothing_hidden_can_be_more(
    parts: dict[str, float | None], total: float | None, largest: str | None
) -> None:
    found = [(code, number(yuan)) for code, yuan in parts.items()]
    shown = [pair for pair in found if pair[1]]
    if largest is None:
        with pytest.raises(sentences.Unsaid) as unsaid:
            sentences._most(found, shown, number(total))
        assert {one.status for one in unsaid.value.lacks} == {"hidden"}
    else:
        assert sentences._most(found, shown, number(total))[0] == largest


def row(value: float | None, n: int) -> dict[str, Any]:
    return {"value": value, "status": "undefined" if value is None else "shown", "n": n}


def test_a_cell_is_rounded_once() -> None:
    """0.54349981 is 54.3 %; by way of 0.543500 it would be 54.4."""
    assert layout.cell(row(0.54349981, 20), "share", "").text == "54.3%"
    assert layout.cell(row(0.1 + 0.2, 20), "count", "").text == "0.3"


def test_nobody_at_all_is_no_data_and_nothing_to_divide_by_is_undefined() -> None:
    assert layout.cell(row(None, 0), "share", "").text == "无数据"
    assert layout.cell(row(None, 20), "share", "").text == "无定义"


def test_totals_of_two_years_are_compared_where_both_are_shown() -> None:
    assert layout._of_totals(Cell("", 100.0), Cell("", 130.0), "yuan").text == "+30 元"
    assert layout._of_totals(Cell("受保护"), Cell("", 130.0), "yuan").text == "—"


@pytest.mark.parametrize(
    ("covers", "text"),
    [([("440400", 2023)], "55.00%"), ([("440400", 2021), ("440400", 2022)], "55.00%（2021–2022 年）")],
)
def test_ours_of_other_years_than_the_report_says_so(covers: list[tuple[str, int]], text: str) -> None:
    figure = SimpleNamespace(unit="percent", value=Decimal("55"))
    one = SimpleNamespace(value=Decimal("55"), status="shown", covers=covers, figure=figure)
    assert beside._ours(one, SimpleNamespace(year=2023)) == text  # type: ignore[arg-type]


def test_ours_has_as_many_decimals_as_were_published() -> None:
    figure = SimpleNamespace(unit="yuan", value=Decimal("69.6"), target=None, high=None)
    one: Any = SimpleNamespace(value=Decimal("79.04"), status="shown", apart=Decimal("9.44"), figure=figure)
    assert published.ours(one) == "79.0 元" and published.apart(one) == "+9.4 元 (+13.6%)"


@pytest.mark.parametrize(("loaded", "share"), [(60, "66.7%"), (90, "100.0%")])
def test_a_share_of_rows_is_rounded(loaded: int, share: str) -> None:
    one = {
        "table": "person",
        "corrects": None,
        "rows_in": 90,
        "rows_loaded": loaded,
        "rows_open": 90 - loaded,
        "rows_set_aside": 0,
    }
    assert f"（{share}）" in ledger.answer([one])


def test_what_is_not_all_does_not_read_as_all() -> None:
    one = {
        "table": "person",
        "corrects": None,
        "rows_in": 10_000,
        "rows_loaded": 9_999,
        "rows_open": 1,
        "rows_set_aside": 0,
    }
    assert "（99.9%）" in ledger.answer([one])


@pytest.mark.parametrize(("high", "apart", "told"), [(55, 0, True), (55, 2, False), (None, 0, False)])
def test_inside_a_published_range_there_is_no_difference(high: int | None, apart: int, told: bool) -> None:
    figure = SimpleNamespace(high=high, unit="percent", target=None, value=Decimal(36))
    found = published.apart(SimpleNamespace(figure=figure, apart=Decimal(apart)))  # type: ignore[arg-type]
    assert (found == "在公布区间内") is told


def test_a_relief_below_zero_is_a_burden_above_it() -> None:
    assert whatif._relief(row(-2634.0, 20)) == ("受影响者人均多负担", "2,634 元")
    assert whatif._relief(row(2634.0, 20)) == ("受影响者人均减负", "2,634 元")


def test_a_report_cites_synthetic_data_as_that_and_tells_the_year_of_catastrophic_spending(
    sample_store: Path,
) -> None:
    document = compose(Desk.open(sample_store), "zhuhai", 2023)
    assert dict(document.facts)["引用"].endswith("（合成数据，非真实记录）")
    said = {s.title: [b.text for b in s.blocks if isinstance(b, Text)] for s in document.sections}
    assert any("；灾难性卫生支出发生率（" in text for text in said["主要结论"])
    assert not any("费用最高的一段" in text for text in said["各层保障的作用"])
    assert any("费用最高的一段" in text for text in said["按费用段"])
    assert "灾难性卫生支出" in said or "灾难性卫生支出" in [s.title for s in document.sections]


def test_sums_that_stand_beside_each_other_are_in_one_unit() -> None:
    """5,163.27 ten thousand beside 18,400 yuan reads as less."""

    def even(*yuan: float, unit: str = "auto") -> list[str]:
        with words.reading("zh", unit):
            cells = [Cell(formats.money(v, "zh", unit), v, "yuan") for v in yuan]
            return [c.text for c in layout._even([Cell("基本医保"), *cells, Cell("受保护")])][1:-1]

    assert even(51_632_719.47, 309_690.0, 18_400.0) == ["5,163.27 万元", "30.97 万元", "1.84 万元"]
    assert even(18_400.0, 990.0) == ["18,400 元", "990 元"]
    assert even(51_632_719.47, 0.0) == ["5,163.27 万元", "0 万元"]
    # one that would read as nothing takes all to yuan
    assert even(51_632_719.0, 12.0) == ["51,632,719 元", "12 元"]
    moved = [Cell("91.03 万元", 910_300.0, "yuan"), Cell("+71,857 元", 71_857.0, "yuan")]
    with words.reading("zh"):
        assert [c.text for c in layout._even(moved)] == ["91.03 万元", "+7.19 万元"]

"""The pages on benefit plans and published figures, run without a browser: what stands there is what the files and the desk say."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from analytics.desk import benchmarks
from analytics.desk.answer import Desk
from analytics.figures import words
from analytics.plans import coverage, load_plans, plan_for
from analytics.reference import root
from analytics.view import asking, beside

FRAME = Path(asking.__file__).with_name("frame.py")
Visit = Callable[..., AppTest]


@pytest.fixture
def visit(sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    monkeypatch.setenv("JIANFU_STORE", str(sample_store))

    def open_(page: str, /, **link: str) -> AppTest:
        at = AppTest.from_file(str(FRAME), default_timeout=60)
        for name, value in link.items():
            at.query_params[name] = value
        at.switch_page(str(root() / "pages" / f"{page}.py"))
        at.run()
        assert not at.exception, at.exception
        assert not at.error
        return at

    return open_


def _tables(at: AppTest) -> list[pd.DataFrame]:
    return [table.value for table in at.get("table")]


def _lines(at: AppTest) -> list[list[str]]:
    """Every line of every table of words."""
    return [[str(cell) for cell in row] for table in _tables(at) for row in table.to_numpy().tolist()]


def _rule(at: AppTest, liability: str, field: str) -> list[str]:
    """The cells of a line of the plans page, by the liability it belongs to."""
    named = ""
    for line in _lines(at):
        named = line[0].strip("*") or named
        if (named, line[1]) == (liability, field):
            return line[2:]
    raise AssertionError(f"no line {liability}, {field}")


# --- plans


def test_a_plan_is_told_line_by_line(visit: Visit) -> None:
    """Weihai 2024 as its rules say: typed from the published text, not read from the file."""
    at = visit("plans", city="weihai", year="2024")
    title = at.title[0].value
    assert "2024 年威海" in title and "2023 年威海" in title
    assert _rule(at, "居民大病保险", "起付线")[0].startswith("18,000 元")
    bands = _rule(at, "居民大病保险", "支付比例")[0]
    for piece in ("60%", "100,000 元以上 65%", "200,000 元以上 70%", "300,000 元以上 75%"):
        assert piece in bands
    special = _rule(at, "居民大病保险", "特殊规定")[0]
    for piece in ("低保、特困", "起付线 9,000 元", "支付比例 +5 个百分点", "封顶线 不封顶"):
        assert piece in special
    assert _rule(at, "医保目录内住院", "起付线") == ["6,000 元", "≠ 16,000 元"]
    assert "与特定药品合用" in _rule(at, "门诊药品", "起付线")[0]
    assert "无此责任" in _rule(at, "门诊药品", "对象")[1]
    assert "whnews.cn" in _rule(at, "医保目录内住院", "来源与等级")[0]
    assert "甲：官方或学术" in _rule(at, "医保目录内住院", "来源与等级")[0]
    assert "22岁及以下：39 元" in _rule(at, "方案整体", "保费")[0]
    clauses = " ".join(m.value for m in at.markdown)
    plan = plan_for("weihai", 2024)
    assert plan is not None and plan.not_modelled
    for left in plan.not_modelled:
        assert words.plain(left.clause.zh) in clauses and words.plain(left.why.zh) in clauses


def test_every_difference_is_marked_and_told(visit: Visit) -> None:
    at = visit("plans", city="wenzhou", year="2020", other_year="2018")
    lines = _lines(at)
    marked = [cell for line in lines for cell in line if cell.startswith("≠")]
    told = [
        line for m in at.markdown for line in m.value.splitlines() if line.startswith("* ") and "≠" in line
    ]
    count = re.search(r"：(\d+) 处不同", at.title[0].value)
    assert marked and count and int(count[1]) == len(told)
    # the rule of 2018: 32,600, 60 % and 70 % from five times it; of 2020: 23,500 and 60 %
    (line,) = [line for line in told if "起付线" in line and "特殊" not in line]
    assert "23,500 元" in line and "32,600 元" in line
    whole = visit("plans", city="wenzhou", year="2020", other_year="2018", differing="only")
    assert {cell for line in _lines(whole) for cell in line if cell.startswith("≠")} == set(marked)
    assert len(_lines(whole)) < len(lines)


def test_a_plan_beside_itself_is_shown_alone(visit: Visit) -> None:
    at = visit("plans", city="zhanjiang", year="2022", other_year="2022")
    assert "层保障" in at.title[0].value
    assert not any(cell.startswith("≠") for line in _lines(at) for cell in line)


@pytest.mark.parametrize(("language", "first"), [("zh", 0), ("en", 6)])
def test_places_without_data_have_plans_too(visit: Visit, language: str, first: int) -> None:
    """Frames, products and years of which no store holds claims; values not published say so."""
    known = load_plans()
    simulated = {"440400", "440800", "330300", "370400", "371000", "450100", "510700"}
    others = [(city, year) for city, year in known if city not in simulated or year < 2021]
    assert len({city for city, _ in others}) >= 5
    for city, year in others[first::12]:
        at = visit("plans", city=city, year=str(year), lang=language)
        assert str(year) in at.title[0].value and not at.warning
        if language == "en":
            assert not [cell for line in _lines(at) for cell in line if re.search(r"[\u4e00-\u9fff]", cell)]
        if known[(city, year)].holes():
            missing = "未公布" if language == "zh" else "not published"
            assert any(missing in cell for line in _lines(at) for cell in line)


def test_the_new_terms_of_a_row_are_worded(visit: Visit) -> None:
    """Loyalty of Zhanjiang 2025, waiting of Zhuhai, several products of Nanning 2024."""
    at = visit("plans", city="zhanjiang", year="2025")
    loyal = [line[2] for line in _lines(at) if line[1:2] == ["连续参保激励"]]
    assert loyal and "4 年" in loyal[0] and "3,800 元" in loyal[0]
    at = visit("plans", city="zhuhai", year="2020")
    assert any(line[1:2] == ["等待期"] and "60 天" in line[2] for line in _lines(at))
    at = visit("plans", city="nanning", year="2024", lang="en")
    assert any("holders of" in line[2] for line in _lines(at) if line[1:2] == ["For"])


def test_the_register_of_what_is_known(visit: Visit) -> None:
    at = visit("plans", city="lecheng", year="2020")
    here = [row for row in coverage() if row.place == "469002"]
    assert here
    shown = _tables(at)[-1]
    assert len(shown) == len(here)
    assert [line[1] for line in shown.to_numpy().tolist()] == [
        {"complete": "完整", "partly": "部分", "skeleton": "骨架"}[row.status] for row in here
    ]
    at.session_state["register"] = True
    at.run()
    grid = at.dataframe[0].value
    assert len(grid) == len({row.scheme for row in coverage()})


# --- published figures


def test_published_and_ours_stand_beside_each_other(visit: Visit, sample_store: Path) -> None:
    rows = {row.figure.id: row for row in benchmarks.compare(Desk.open(sample_store))}
    at = visit("benchmarks", place="national")
    found = {
        line[0].split("  \n")[0].strip("*") + line[0].split("  \n")[1][:4]: line
        for line in _lines(at)
        if len(line) == 3
    }
    line = found["职工住院率2023"]
    ours = rows["admission_rate_employee_2023"]
    assert ours.value is not None and ours.apart is not None
    assert line[1] == "21.86%" and line[2].startswith(f"{ours.value:.2f}%")
    assert f"{ours.apart:+.2f} 个百分点" in line[2]
    assert "住院人次 / 参保人数" in line[0] and "乙：报刊或转载" in line[0] and "](http" in line[0]
    assert found["职工住院率2024"][2] == "无数据"
    judged = [line for line in _lines(at) if len(line) == 4]
    words_of = {"pass": "**达到 ✓**", "fail": "**未达到 ✗**"}
    expected = [
        words_of[row.verdict] for row in rows.values() if row.verdict in words_of and row.place == "national"
    ]
    assert sorted(line[3] for line in judged) == sorted(expected)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_figure_of_every_place_is_listed(visit: Visit, language: str) -> None:
    at = visit("benchmarks", lang=language)
    places = benchmarks.places()
    for place in places:
        at.session_state[f"p_{place}"] = True
    at.run()
    assert not at.exception
    if language == "en":
        assert not [cell for line in _lines(at) for cell in line if re.search(r"[\u4e00-\u9fff]", cell)]
    for place, listed in zip(places.values(), _tables(at)[-len(places) :], strict=True):
        assert len(listed) == len(place.figure)
        for figure, line in zip(place.figure, listed.to_numpy().tolist(), strict=True):
            assert words.plain(figure.zh if language == "zh" else figure.en) in line[0]
            digits = re.sub(r"[^0-9.]", "", line[1])
            assert figure.value >= Decimal(10**5) or digits.startswith(str(abs(figure.value)))


def test_the_three_definitions_are_kept_apart(visit: Visit) -> None:
    at = visit("benchmarks")
    heads = [m.value for m in at.markdown if re.match(r"\*\*口径( R\d|不明)", m.value)]
    assert [head[4:7].strip() for head in heads] == ["R1", "R2", "R3", "明**"] or len(heads) == 4
    assert len(at.latex) == 3
    groups = [table for table in _tables(at) if table.shape[1] == 3][:3]  # R1, R3, unknown: R2 has none
    for table, method in zip(groups, ("口径 R1", "口径 R3", "口径不明"), strict=True):
        assert all(method in cell for cell in table.iloc[:, 0])
    assert any("没有按这一口径公布的数" in c.value for c in at.caption)
    nanning = [cell for cell in groups[2].iloc[:, 0] if "惠邕保" in cell]
    assert nanning and not any("珠海大爱" in cell for cell in groups[2].iloc[:, 0])


@pytest.mark.parametrize(
    ("number", "unit", "expected"),
    [
        ("16716100", "yuan", "1,671.61 万元"),
        ("1062000000", "yuan", "10.62 亿元"),
        ("903.6", "yuan", "903.6 元"),
        ("25830", "yuan", "25,830 元"),
        ("5889900", "persons", "5,889,900 人"),
        ("1.20", "percent", "1.20%"),
        ("-22", "percent", "-22%"),
    ],
)
def test_a_published_number_loses_no_digit(number: str, unit: str, expected: str) -> None:
    assert beside.amount(Decimal(number), unit) == expected


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("枣惠保2025年度发布 · Zaozhuang product 2025", "枣惠保2025年度发布"),
        ("返贫致贫人口同享倾斜。Persons fallen back share the tilt.", "返贫致贫人口同享倾斜。"),
        ("起付线10,000元，比例60%", "起付线10,000元，比例60%"),
        ("TASS: Boao Lecheng 2021", "TASS: Boao Lecheng 2021"),
    ],
)
def test_a_text_in_both_languages_is_shown_in_one(text: str, chinese: str) -> None:
    assert words.either(text) == chinese


def test_ours_has_its_drawer(visit: Visit) -> None:
    at = visit("benchmarks", place="national")
    at.session_state["x_p_national"] = True
    at.run()
    assert not at.exception
    options: Any = at.selectbox(key="w_x_p_national").options
    assert any("住院率 (2023)" in name for name in options)
    assert any("FROM person_year" in code.value for code in at.code)

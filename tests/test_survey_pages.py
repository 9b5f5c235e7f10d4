"""A household survey on the pages: the first page leads to those that answer, and nothing is said of tiers there are none of."""

from collections.abc import Callable
from pathlib import Path

import pytest
import visiting
from deliveries import amounts, bare, csv_file, record
from streamlit.testing.v1 import AppTest

from analytics import verbs
from analytics.view import menu

PAGES = [name for names in menu.PAGES.values() for name in names]
Visit = Callable[..., AppTest]


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survey")
    _surveyed(folder)
    bare(folder / "s")
    return folder / "s"


def _surveyed(folder: Path) -> None:
    """Weihai 2023: forty households of 5,000 yuan or one more, paying 0, 50, ... 1,950: 29 of them more than a tenth."""
    lines = [f"h{i},371000,2023,1,{i * 50},{5000 + i % 2}" for i in range(40)]
    (folder / "h.csv").write_text("household_id,city,plan_year,n_members,cost,income\n" + "\n".join(lines))
    verbs.ingest(folder / "s", [folder / "h.csv"], "household_year")


@pytest.fixture
def visit(survey: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    monkeypatch.setenv("JIANFU_STORE", str(survey))

    return visiting.visit


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_a_title_and_those_of_claims_lead_on(page: str, language: str, visit: Visit) -> None:
    at = visit(page, lang=language)
    assert len(at.title) == 1 and not at.error
    told = [i.value for i in at.info if "住户调查" in i.value or "household survey" in i.value]
    assert bool(told) == (page in menu.OF_CLAIMS)
    leads = {link.proto.page for link in at.get("page_link")}
    assert leads == (set(PAGES) - set(menu.OF_CLAIMS) if told else set())


def test_no_word_of_tiers_where_there_are_none(visit: Visit) -> None:
    at = visit("catastrophic")
    assert at.title[0].value == "2023 年威海：72.5% 的户发生灾难性支出"  # 29 of 40
    (leans,) = [c.value for c in at.caption if "（Erreygers 指数" in c.value]
    assert "全部保障后" not in leans and "支付前" not in leans
    assert (
        visit("catastrophic", lang="en").title[0].value
        == "Weihai 2023: 72.5% of households are in catastrophic expenditure"
    )


def test_places_of_a_survey_are_compared_by_their_households(visit: Visit) -> None:
    at = visit("compare")
    assert at.title[0].value == "灾难性卫生支出发生率 · 任何支付前：2023 年威海 72.5%"
    (cells, *_) = [d.value for d in at.dataframe if "2023" in d.value.columns]
    assert [cell.split(" ")[0] for cell in cells["2023"]] == ["72.5%"]


def test_a_group_that_is_not_recorded_is_said_in_words(visit: Visit) -> None:
    at = visit("catastrophic", by="person_group")
    (groups, *_) = [d.value for d in at.dataframe if "人群" in d.value.columns]
    assert groups["人群"].to_list() == ["未记录"]


def test_beside_claims_a_survey_is_told_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims of which basic insurance alone pays, 600 of 1,000 yuan each; in the same store, a survey of another city."""
    rows = [record(n, **amounts([600_00], 250_00, 0, [100_00, 20_00, 30_00], 0)) for n in range(1, 41)]
    verbs.ingest(tmp_path / "s", [csv_file(tmp_path / "c.csv", rows)], "settlement")
    _surveyed(tmp_path)
    bare(tmp_path / "s")
    monkeypatch.setenv("JIANFU_STORE", str(tmp_path / "s"))
    claims = {"city": "zhuhai", "year": "2021"}
    title = "2021 年珠海：每 100 元医疗费用，基本医保后个人负担 40.0 元，其余各层没有再减"
    assert visiting.visit("overview", **claims).title[0].value == title
    assert "40.0 are the patient's own" in visiting.visit("overview", lang="en", **claims).title[0].value
    weihai = {"city": "weihai", "year": "2023"}
    assert visiting.visit("overview", **weihai).title[0].value == "2023 年威海：医疗费用由谁承担"
    assert "没有结算，方案无法重放" in visiting.visit("simulate", **weihai).info[0].value

"""A household survey on the pages: the first page leads to those that answer, and nothing is said of tiers there are none of."""

from collections.abc import Callable
from pathlib import Path

import pytest
from deliveries import bare
from streamlit.testing.v1 import AppTest

from analytics import verbs
from analytics.reference import root
from analytics.view import asking, menu

FRAME = Path(asking.__file__).with_name("frame.py")
PAGES = [name for names in menu.PAGES.values() for name in names]
Visit = Callable[..., AppTest]


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty households of 5,000 yuan or one more, paying 0, 50, ... 1,950: 29 of them more than a tenth."""
    folder = tmp_path_factory.mktemp("survey")
    lines = [f"h{i},371000,2023,1,{i * 50},{5000 + i % 2}" for i in range(40)]
    (folder / "h.csv").write_text("household_id,city,plan_year,n_members,cost,income\n" + "\n".join(lines))
    verbs.ingest(folder / "s", [folder / "h.csv"], "household_year")
    bare(folder / "s")
    return folder / "s"


@pytest.fixture
def visit(survey: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    monkeypatch.setenv("JIANFU_STORE", str(survey))

    def call(page: str, **link: str) -> AppTest:
        at = AppTest.from_file(str(FRAME), default_timeout=90)
        for name, value in {"figures": "both", **link}.items():
            at.query_params[name] = value
        at.switch_page(str(root() / "pages" / f"{page}.py")).run()
        assert not at.exception and not at.error, (at.exception, at.error)
        return at

    return call


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_a_title_and_those_of_claims_lead_on(page: str, language: str, visit: Visit) -> None:
    at = visit(page, lang=language)
    assert len(at.title) == 1
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
    assert at.title[0].value == "灾难性卫生支出发生率 · 全部保障后：2023 年威海 72.5%"
    (cells, *_) = [d.value for d in at.dataframe if "2023" in d.value.columns]
    assert [cell.split(" ")[0] for cell in cells["2023"]] == ["72.5%"]


def test_a_group_that_is_not_recorded_is_said_in_words(visit: Visit) -> None:
    at = visit("catastrophic", by="person_group")
    (groups, *_) = [d.value for d in at.dataframe if "人群" in d.value.columns]
    assert groups["人群"].to_list() == ["未记录"]

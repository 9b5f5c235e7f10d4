"""The dashboard in a real browser, started as a user starts it: `jianfu serve STORE --port P`."""

import io
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import Browser, Page, expect
from serving import SETTLED, chromium, serving

from analytics.desk.answer import Desk

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from chromium()


@pytest.fixture(scope="module")
def site(browser: Browser, sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The running dashboard; started from a folder that is not the checkout."""
    with serving(sample_store, tmp_path_factory.mktemp("elsewhere")) as address:
        yield address


def _tab(browser: Browser, width: int, height: int) -> Iterator[Page]:
    """One tab for the whole module, so that scripts are loaded once; every `goto` is a new session of the app."""
    tab = browser.new_page(viewport={"width": width, "height": height})
    tab.set_default_timeout(60_000)
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    yield from _tab(browser, 1440, 900)


def _open(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("h1")
    page.wait_for_selector(SETTLED)


def _choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).first.click()
    page.get_by_role("option", name=option, exact=True).click()


def _link_holds(page: Page, *pieces: str) -> None:
    """The link follows a choice once the run that drew it has ended."""
    page.wait_for_url(lambda url: all(piece in url for piece in pieces))


def _own_share(store: Path, city: str, year: str) -> str:
    """Own share after the last tier, as the page's title must state it."""
    desk = Desk.open(store)
    table = desk.ask("own_share_after", ["tier"], {"city": [city], "plan_year": [year]}).table
    held = dict(table.select("tier", "value").iter_rows())
    last = [tier for tier in desk.order(city, int(year)) if tier in held][-1]
    return f"{held[last] * 100:.1f} 元"


def test_choosing_city_and_year_changes_the_numbers(page: Page, site: str, sample_store: Path) -> None:
    _open(page, f"{site}/?city=zhuhai&year=2022")
    title, metrics = page.locator("h1"), page.get_by_test_id("stMetricValue")
    expect(title).to_contain_text(_own_share(sample_store, "440400", "2022"))
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    before = metrics.all_inner_texts()
    _choose(page, "城市", "湛江")
    expect(title).to_contain_text("湛江")
    expect(title).to_contain_text(_own_share(sample_store, "440800", "2022"))
    _choose(page, "年度", "2023")
    expect(title).to_contain_text("2023")
    expect(title).to_contain_text(_own_share(sample_store, "440800", "2023"))
    assert metrics.all_inner_texts() != before
    _link_holds(page, "city=zhanjiang", "year=2023")


def test_the_front_page_by_its_name(page: Page, site: str) -> None:
    _open(page, f"{site}/overview?city=weihai&year=2022")
    expect(page.locator("h1")).to_contain_text("2022 年威海")
    expect(page.get_by_text("Page not found")).to_have_count(0)


def test_cold_deep_link_in_a_fresh_session(browser: Browser, site: str) -> None:
    """Twice: a first visitor and a second one meet the same page with the same choices and the frame around it."""
    for _ in range(2):
        tab = browser.new_page()
        tab.set_default_timeout(60_000)
        _open(
            tab,
            f"{site}/catastrophic?city=weihai&year=2022&threshold=0.25&resource=consumption&by=sex&lang=en",
        )
        expect(tab.locator("h1")).to_contain_text("Weihai 2022")
        expect(tab.get_by_test_id("stSidebarNav")).to_contain_text("Cost bands")
        expect(tab.get_by_text("Page not found")).to_have_count(0)
        _link_holds(
            tab, "threshold=0.25", "city=weihai", "year=2022", "resource=consumption", "by=sex", "lang=en"
        )
        expect(tab.locator("html")).to_have_attribute("lang", "en")
        tab.close()


def test_language_switch_keeps_the_selection(page: Page, site: str) -> None:
    _open(page, f"{site}/compare?cities=zhuhai,weihai&years=2022&measure=reach&tier=inclusive")
    page.get_by_test_id("stSidebar").get_by_text("English").click()
    expect(page.locator("h1")).to_contain_text("cities compared: 2")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.wait_for_url("**lang=en**")
    _choose(page, "Person group", "General")
    expect(page.locator("h1")).to_contain_text("cities compared: 2")
    chosen = ("zhuhai", "weihai", "years=2022", "measure=reach", "tier=inclusive")
    _link_holds(page, "person_group=general", *chosen)


def test_switching_pages_by_the_menu_keeps_the_place(page: Page, site: str) -> None:
    _open(page, f"{site}/tiers?city=zhanjiang&year=2022")
    page.get_by_test_id("stSidebarNav").get_by_text("费用分段").click()
    expect(page.locator("h1")).to_contain_text("2022 年湛江")
    page.wait_for_url("**/cost_bands?**city=zhanjiang**")


def test_drawer_opens_with_formula_and_sql(page: Page, site: str) -> None:
    _open(page, f"{site}/cost_bands?city=zhuhai&year=2022&measure=burden_reduction_rate")
    page.get_by_text("这些数字是怎么算出来的？").first.click()
    expect(page.locator(".katex").first).to_be_visible()
    page.get_by_text("实际执行的 SQL").click()
    expect(page.get_by_test_id("stCode").first).to_contain_text("FROM person_year")


def test_back_returns_to_the_page_before(page: Page, site: str) -> None:
    _open(page, f"{site}/tiers?city=weihai&year=2022")
    page.get_by_test_id("stSidebarNav").get_by_text("待遇方案").click()
    page.wait_for_url("**/plans?**")
    page.wait_for_selector(SETTLED)
    page.go_back()
    page.wait_for_url("**/tiers?**")
    expect(page.locator("h1")).to_contain_text("2022 年威海")


def _numbers(file: Path) -> set[float]:
    """Every number of a workbook."""
    sheets = openpyxl.load_workbook(io.BytesIO(file.read_bytes())).worksheets
    rows = [row for sheet in sheets for row in sheet.iter_rows(values_only=True)]
    return {round(float(v), 10) for row in rows for v in row if isinstance(v, int | float)}


def _asked(store: Path, measure: str, by: str) -> set[float]:
    where = {"city": ["440400"], "plan_year": ["2022"]}
    table = Desk.open(store).ask(measure, [by], where).table
    found = {round(v, 10) for v in table["value"].to_list() if v is not None}
    assert len(found) > 2
    return found


def test_a_figure_downloaded_is_the_answer(page: Page, site: str, sample_store: Path) -> None:
    _open(page, f"{site}/tiers?city=zhuhai&year=2022")
    page.get_by_text("下载与引用").first.click()
    for form, start in (("Excel", b"PK"), ("图 SVG", b"<svg"), ("图 PNG", b"\x89PNG")):
        with page.expect_download() as download:
            page.get_by_role("button", name=form, exact=True).click()
        file = Path(download.value.path())
        assert file.read_bytes().startswith(start)
        if form == "Excel":
            assert _asked(sample_store, "own_share_after", "tier") <= _numbers(file)


def test_a_report_downloaded_holds_what_measure_answers(page: Page, site: str, sample_store: Path) -> None:
    _open(page, f"{site}/?city=zhuhai&year=2022")
    page.get_by_text("生成报告").first.click()
    page.get_by_role("radio", name="Excel").or_(page.get_by_role("button", name="Excel")).first.click()
    page.wait_for_selector(SETTLED)
    page.wait_for_timeout(500)
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").last.click()
    assert download.value.suggested_filename.endswith(".xlsx")
    # by tier a report of few persons protects what its totals would give away
    asked = _asked(sample_store, "effective_reimbursement_rate", "age_band")
    assert asked <= _numbers(Path(download.value.path()))


def test_headers_and_compressed_assets(site: str, browser: Browser) -> None:
    def fetch(path: str, **headers: str) -> tuple[dict[str, str], bytes]:
        request = urllib.request.Request(site + path, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return {k.lower(): v for k, v in answer.headers.items()}, answer.read()

    headers, html = fetch("/", Accept="text/html")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert b'<html lang="zh-CN">' in html and int(headers["content-length"]) == len(html)
    assert b'<html lang="en">' in fetch("/tiers?lang=en", Accept="text/html")[1]
    script = html.split(b'src="./')[1].split(b'"')[0].decode()
    plain_headers, plain = fetch(f"/{script}")
    small_headers, small = fetch(f"/{script}", **{"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain_headers and small_headers["content-encoding"] == "gzip"
    assert len(small) < len(plain) / 2
    assert "javascript" in small_headers["content-type"]

"""The first minutes in a real browser: from an empty folder to a dashboard by clicks, and a delivery that changes its numbers."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from deliveries import csv_file, record
from playwright.sync_api import Browser, Page, expect
from serving import PATIENCE, SETTLED, chromium, serving

from analytics.desk.answer import Desk
from analytics.store import Store

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    for started in chromium():
        expect.set_options(timeout=150_000)  # a sample is made meanwhile
        yield started
        expect.set_options(timeout=PATIENCE)


def _cost(store: Path) -> str:
    """Medical cost of Zhuhai 2022 in 10,000 yuan, as the first card must show it."""
    where = {"city": ["440400"], "plan_year": ["2022"]}
    (row,) = Desk.open(store).ask("effective_reimbursement_rate", [], where).table.to_dicts()
    return f"{row['denominator'] / 10_000:,.0f} 万元"


def _shows(page: Page, address: str, store: Path) -> str:
    cost = _cost(store)
    page.goto(f"{address}/?city=zhuhai&year=2022&unit=wan")
    expect(page.get_by_test_id("stMetricValue").first).to_have_text(cost)
    return cost


def test_from_nothing_to_a_dashboard_and_on_to_own_numbers(browser: Browser, tmp_path: Path) -> None:
    store, scratch = tmp_path / "store", tmp_path / "scratch"
    scratch.mkdir()
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(150_000)
    with serving(store, tmp_path, TMPDIR=str(scratch), TEMP=str(scratch)) as address:
        page.goto(address)
        page.get_by_role("button", name="生成样例").click()
        expect(page.get_by_role("button", name="停止")).to_be_visible()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("导览 1/6")
        expect(page.locator("h1").last).to_contain_text("每 100 元")
        dialog.get_by_role("button", name="下一步").press("Enter")
        expect(dialog).to_contain_text("导览 2/6")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        sample = Store(store).current_id()
        before = _shows(page, address, store)
        expect(dialog).to_have_count(0)  # a link is not in the way of the tour

        rows = [record(n, setl_time="2022-08-27 09:58:41", year="2022", begndate="2022-08-20", enddate="2022-08-27") for n in range(1, 31)]  # fmt: skip
        given = csv_file(tmp_path / "=珠海 2022.csv", rows)
        page.get_by_test_id("stSidebarNav").get_by_text("数据与核对").click()
        page.wait_for_url("**/data?**")
        page.get_by_text("交付数据", exact=True).click()
        page.get_by_test_id("stFileUploader").first.locator("input").set_input_files(given)
        page.get_by_role("button", name="校验并入库").click()
        expect(
            page.get_by_text("收到 30 行，入库 30 行，按规则剔除 0 行，待处理 0 行", exact=False)
        ).to_be_visible()
        assert Store(store).current_id() == sample, "what is served changes when it is built, not before"
        page.get_by_role("button", name="现在构建").click()
        expect(page.get_by_text("构建完成", exact=False)).to_be_visible()
        page.wait_for_selector(SETTLED)
        assert Store(store).current_id() != sample
        assert _shows(page, address, store) != before
        names = [i["name"] for d in Store(store).deliveries() for i in d.manifest["inputs"]]
        assert "珠海 2022.csv" in names and not [n for n in names if re.match(r"\W", n)]
        assert list(scratch.glob("jianfu-*")) == []
    page.close()

"""Every page in both languages at both widths: nothing is refused or asked elsewhere, nothing is cut off, and a screen reader gets along."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize
from serving import SETTLED, chromium, serving

from analytics.view.menu import PAGES

NAMES = ["" if name == "overview" else name for names in PAGES.values() for name in names]
PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1440, "height": 900}
HARMLESS = ("Infinite extent",)  # Vega, of a sparkline whose values are all the same
SERIOUS = ("serious", "critical")
# What no rule of ours can change: parts of the page that belong to the framework or to a drawing.
FOREIGN = {"exclude": [[".js-plotly-plot"], ["[data-testid=stMetricChart]"]]}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from chromium()


@pytest.fixture(scope="module")
def site(browser: Browser, sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(sample_store, tmp_path_factory.mktemp("elsewhere")) as address:
        yield address


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """One tab for the whole module, so that scripts are loaded once."""
    found = browser.new_page()
    found.set_default_timeout(60_000)
    yield found
    found.close()


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", NAMES)
def test_page(tab: Page, site: str, name: str, language: str) -> None:
    """Opened on a phone, where room is scarcest, then seen at the width of a desktop."""
    said: list[str] = []
    asked: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(known in message.text for known in HARMLESS):
            said.append(message.text)

    def see(url: str) -> None:
        if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != urlsplit(site).netloc:
            asked.append(url)

    listeners = {
        "console": hear,
        "pageerror": lambda error: said.append(str(error)),
        "request": lambda request: see(request.url),
        "websocket": lambda socket: see(socket.url),
    }
    for event, listener in listeners.items():
        tab.on(event, listener)  # type: ignore[call-overload]
    try:
        tab.set_viewport_size(PHONE)
        tab.goto(f"{site}/{name}?lang={language}")
        tab.wait_for_selector("h1")
        look(tab)
        tab.set_viewport_size(DESKTOP)
        tab.wait_for_selector("[data-testid=stSidebar][data-collapsed=false]")
        look(tab)
        assert said == [] and asked == []
    finally:
        for event, listener in listeners.items():
            tab.remove_listener(event, listener)


def look(tab: Page) -> None:
    tab.wait_for_selector(SETTLED)
    tab.wait_for_timeout(400)
    assert tab.get_by_test_id("stException").count() == 0
    assert cut_off(tab) == [0, 0, []]
    assert stumbles(tab) == []


def cut_off(tab: Page) -> list[object]:
    """By how much the page and its main part can be scrolled sideways, and what reaches over the edge."""
    found: list[object] = tab.evaluate(
        """() => {
            const main = document.querySelector('[data-testid=stMain]');
            const wide = [...main.querySelectorAll('h1, h2, h3, p, button, [data-testid=stMetric], .js-plotly-plot')]
                .filter(e => e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 1)
                .map(e => e.tagName + ' ' + e.textContent.slice(0, 40));
            return [Math.max(0, document.documentElement.scrollWidth - innerWidth), Math.max(0, main.scrollWidth - main.clientWidth), wide];
        }"""
    )
    return found


@pytest.mark.parametrize("name", ["plans", "benchmarks"])
def test_on_a_phone_a_cell_holds_a_word_a_line(tab: Page, site: str, name: str) -> None:
    """Four Chinese characters beside each other, as 支付比例, in the narrowest column of a table of sentences."""
    tab.set_viewport_size(PHONE)
    tab.goto(f"{site}/{name}?lang=zh")
    tab.wait_for_selector("[data-testid=stTable] td")
    tab.wait_for_selector(SETTLED)
    narrowest = tab.evaluate(
        """() => Math.min(...[...document.querySelectorAll('[data-testid=stTable] :is(th, td)')]
            .filter(e => e.getClientRects().length)
            .map(e => {
                const has = getComputedStyle(e);
                const room = e.clientWidth - parseFloat(has.paddingLeft) - parseFloat(has.paddingRight);
                return room / parseFloat(has.fontSize);
            }))"""
    )
    assert narrowest >= len("支付比例")


def test_the_label_of_a_number_is_not_cut(tab: Page, site: str) -> None:
    """Beside four others, in the narrowest window of a desktop; with the framework's own setting they are."""
    tab.set_viewport_size({"width": 1280, "height": 860})
    tab.goto(f"{site}/?lang=zh")
    tab.wait_for_selector("[data-testid=stMetricLabel] p")
    tab.wait_for_selector(SETTLED)
    cut = """() => [...document.querySelectorAll('[data-testid=stMetricLabel] p')]
        .filter(e => e.getBoundingClientRect().right > e.parentElement.getBoundingClientRect().right + 1)
        .map(e => e.textContent)"""
    assert tab.evaluate(cut) == []
    tab.add_style_tag(content="p { white-space: nowrap !important }")
    assert "支付前灾难性支出" in tab.evaluate(cut)


def stumbles(tab: Page) -> list[str]:
    """What axe calls serious or critical."""
    report = Axe().run(tab, context=FOREIGN, options={"resultTypes": ["violations"]}).response
    return [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in report["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


def test_what_is_wrong_is_found(browser: Browser, site: str) -> None:
    """The three looks see a page that is cut off, one that speaks too faintly, and one that asks elsewhere."""
    tab = browser.new_page(viewport=PHONE)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"{site}/?lang=en")
    tab.wait_for_selector("h1")
    tab.wait_for_selector(SETTLED)
    tab.evaluate(
        """() => {
            document.querySelector('h1').insertAdjacentHTML('afterend', '<p style="width:900px;color:#ccc">wide</p><p style="color:#ccc">faint</p><img width=9 height=9 src="http://127.0.0.1:9/x.png">');
        }"""
    )
    tab.wait_for_timeout(300)
    assert any("wide" in str(part) for part in cut_off(tab)[2])  # type: ignore[attr-defined]
    found = stumbles(tab)
    assert any("color-contrast" in line for line in found), found
    assert any("image-alt" in line for line in found), found
    assert any(urlsplit(url).netloc != urlsplit(site).netloc for url in asked)
    tab.close()

"""Logging in as a bureau does, against a provider on this machine: what must not get in does not, and what is fetched is one's own."""

import json
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import bureaus
import oidc
import pytest
from bureaus import MARKS, WEIHAI, ZHUHAI
from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import Browser, BrowserContext, Page, Route
from serving import SETTLED, chromium, serving
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from analytics.figures import words
from analytics.release import log_of

pytestmark = pytest.mark.browser
COOKIE = "_streamlit_user"
OWN = words.both("access.welcome")["zh"]
NOBODY = words.both("closed_title.nobody")["zh"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bureaus.deliver(tmp_path_factory.mktemp("bureaus"))


@pytest.fixture(scope="module")
def site(folder: Path, store: Path) -> Iterator[str]:
    port = oidc.free_port()
    with run_server_in_thread(user_claims=[User(sub=sub) for sub in oidc.USERS]) as provider:
        path = oidc.configuration(folder, port, provider.server_port)
        with serving(store, folder, "--server", str(path), port=port, NO_PROXY="localhost,127.0.0.1"):
            yield f"http://localhost:{port}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from chromium()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as fresh:
        fresh.set_default_timeout(60_000)
        yield fresh


def settled(page: Page) -> str:
    """The title of a page once it is drawn."""
    page.wait_for_selector(SETTLED)
    page.wait_for_selector("h1")
    return page.inner_text("h1")


def sign_in(page: Page, site: str, sub: str, to: str = "") -> str:
    page.goto(site + to)
    assert settled(page) == OWN
    page.click(".st-key-sign_in button")
    page.fill("input[name=sub]", sub)
    page.click("button:has-text('Authorize')")
    page.wait_for_url(f"{site}/**")
    return settled(page)


def cookie(folder: Path, site: str, sub: str, **changed: Any) -> Any:
    """A login cookie as the server itself would sign it."""
    secret = tomllib.loads((folder / "server.toml").read_text())["auth"]["cookie_secret"]
    told = {**bureaus.claims(sub, **changed), "origin": site, "provider": "default"}
    return {
        "name": COOKIE,
        "value": create_signed_value(secret, COOKIE, json.dumps(told)).decode(),
        "url": site,
    }


def arrive(context: BrowserContext, site: str, cookies: Any = None, page: str = "methods") -> str:
    """The title a browser meets that comes with these cookies."""
    if cookies:
        context.add_cookies(cookies)
    tab = context.new_page()
    tab.goto(f"{site}/{page}")
    return settled(tab)


def fetched(address: str, cookies: Any = (), method: str = "GET") -> tuple[int, bytes]:
    """What a program without a browser gets."""
    told = {"Cookie": "; ".join(f"{c['name']}={c['value']}" for c in cookies)} if cookies else {}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address, headers=told, method=method), timeout=20
        ) as found:
            return found.status, found.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_login_sees_its_own_city_and_fetches_its_own_files(
    browser: Browser, context: BrowserContext, site: str, folder: Path, store: Path
) -> None:
    frames: list[bytes] = []
    page = context.new_page()

    def keep(payload: Any) -> None:
        frames.append(payload if isinstance(payload, bytes) else payload.encode())

    page.on("websocket", lambda socket: socket.on("framereceived", keep))
    assert "珠海" in sign_in(page, site, "zhuhai")
    assert page.inner_text(".st-key-who").startswith("珠海经办")
    page.goto(f"{site}/data")
    assert "1 次交付" in settled(page)
    page.goto(f"{site}/compare?cities=weihai,zhuhai&lang=en")
    settled(page)
    sent = b"".join(frames)
    assert MARKS[ZHUHAI].encode() in sent and MARKS[WEIHAI].encode() not in sent and len(sent) > 50_000

    page.goto(f"{site}/tiers")
    settled(page)
    page.locator("[class*=st-key-p_] button").first.click()
    with page.expect_download() as found:
        page.locator("[class*=st-key-d_csv_] button").first.click()
    link = found.value.url
    assert urlsplit(link).path.startswith("/media/")
    mine = [c for c in context.cookies(site) if c["name"].startswith(COOKIE)]
    theirs = [cookie(folder, site, "weihai")]
    status, content = fetched(link, mine)
    assert status == 200 and content[:2] == b"PK"  # the control
    with browser.new_context() as other:
        assert "威海" in arrive(other, site, theirs, "")
        assert fetched(link, theirs)[0] == 403
    assert fetched(link)[0] == 403
    assert fetched(link, [{**mine[0], "value": mine[0]["value"][:-3] + "abc"}])[0] == 403
    assert fetched(f"{site}/_stcore/upload_file/x/y", mine, "PUT")[0] == 403

    page.click(".st-key-sign_out button")
    page.wait_for_selector(".st-key-who", state="detached")  # the page that was left is gone
    assert fetched(link, mine)[0] == 403
    with (
        browser.new_context() as thief
    ):  # a copy of the cookie outlives the logout in the browser, and counts no longer
        assert arrive(thief, site, mine) == OWN
    entered = [e["kind"] for e in log_of(store).entries() if e.get("user") == "zhuhai"]
    assert entered[0] == "login" and entered[-1] == "logout" and {"answer", "download"} <= set(entered)


def test_a_login_leads_to_the_page_that_was_asked_for(
    context: BrowserContext, site: str, folder: Path
) -> None:
    page = context.new_page()
    sign_in(page, site, "zhuhai", "/tiers?city=zhuhai&lang=zh")
    assert page.url.startswith(f"{site}/tiers?") and "city=zhuhai" in page.url
    page.goto(site)  # once
    page.wait_for_selector(SETTLED)
    assert "/tiers" not in page.url
    for wanted, leads in (
        ("/tiers?lang=en", "/tiers?lang=en"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example", "/"),
        ("/tiers?a=1\r\nSet-Cookie: b=1", "/tiers?a=1%0D%0ASet-Cookie:%20b=1"),
        ("/auth/logout", "/"),
    ):
        context.clear_cookies()
        context.add_cookies(
            [
                cookie(folder, site, "zhuhai"),
                {"name": "jianfu_next", "value": quote(wanted, safe=""), "url": site},
            ]
        )
        answer = context.request.get(site, headers={"accept": "text/html"}, max_redirects=0)
        assert (answer.status, answer.headers["location"]) == (307, leads)


def test_a_logout_by_address_ends_the_login(context: BrowserContext, site: str, folder: Path) -> None:
    kept = [cookie(folder, site, "weihai", iat=int(time.time()) - 5)]
    assert arrive(context, site, kept) != OWN
    fetched(f"{site}/auth/logout", kept)
    assert arrive(context, site, kept) == OWN


def test_a_wrong_state_is_refused(context: BrowserContext, site: str) -> None:
    page = context.new_page()
    page.goto(f"{site}/oauth2callback?code=stolen&state=wrong")
    assert settled(page) == OWN
    assert not [c for c in context.cookies(site) if c["name"].startswith(COOKIE)]


def test_a_wrong_nonce_is_refused(context: BrowserContext, site: str) -> None:
    """The provider answers another login than the one begun here."""
    page = context.new_page()
    turned: list[str] = []

    def turn(route: Route) -> None:
        parts = urlsplit(route.request.url)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        turned.append(query["nonce"])
        route.continue_(url=parts._replace(query=urlencode({**query, "nonce": "another"})).geturl())

    page.route("**/oauth2/authorize?**", turn)
    assert sign_in(page, site, "zhuhai") == OWN and turned
    assert not [c for c in context.cookies(site) if c["name"].startswith(COOKIE)]


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(time.time()) - 1},
        {"iat": int(time.time()) - 9 * 3600, "exp": int(time.time()) + 9000},
        {"exp": None},
    ],
)
def test_an_expired_login_is_refused(
    context: BrowserContext, site: str, folder: Path, changed: dict[str, Any]
) -> None:
    assert arrive(context, site, [cookie(folder, site, "zhuhai", **changed)]) == OWN


def test_a_cookie_that_was_tampered_with_is_refused(context: BrowserContext, site: str, folder: Path) -> None:
    good = cookie(folder, site, "zhuhai")
    body, rest = good["value"].split(".", 1)
    for value in (f"{body[:-1]}A.{rest}", good["value"][:-2]):
        assert arrive(context, site, [{**good, "value": value}]) == OWN
    assert arrive(context, site, [good]) != OWN  # the control


def test_what_is_revoked_is_gone_with_the_next_run(context: BrowserContext, site: str, folder: Path) -> None:
    context.add_cookies([cookie(folder, site, "guangdong")])
    page = context.new_page()
    page.goto(f"{site}/methods")
    assert settled(page) not in (OWN, NOBODY)
    oidc.grants(folder, oidc.GRANTS.replace("version = 1", "version = 2").replace('"guangdong"', '"gone"', 1))
    page.get_by_text("English", exact=True).click()
    page.wait_for_selector(f"h1:has-text('{words.both('closed_title.nobody')['en']}')")

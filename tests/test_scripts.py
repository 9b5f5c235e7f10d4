"""Data that hold scripts, every page in a real browser, a network that has nothing but loopback: nothing fires, nothing goes out."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hostile import SCRIPTS, store_of
from house import ROOT
from playwright.sync_api import Browser
from serving import CHROMIUM, chromium
from visit import ELSEWHERE, NAMES

pytestmark = pytest.mark.timeout(400)


def _can_be_alone() -> bool:
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return (
        subprocess.run(
            ["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True, check=False
        ).returncode
        == 0
    )


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of a visit to every page of a store that holds scripts wherever data have a text."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    folder = tmp_path_factory.mktemp("scripts")
    alone = _can_be_alone()
    command = [sys.executable, str(ROOT / "tests" / "visit.py"), str(store_of(folder, SCRIPTS)), str(folder)]
    told = subprocess.run(
        [*(["unshare", "-n"] if alone else []), *command, *(["alone"] if alone else [])],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    found: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return found


def test_no_script_of_the_data_fires(visited: dict[str, Any]) -> None:
    pages = visited["pages"]
    assert len(pages) == len(NAMES) >= 11
    assert {name: page["fired"] for name, page in pages.items() if page["fired"]} == {}
    assert visited["errors"] == [] and not any(page["exceptions"] for page in pages.values())
    assert [
        link
        for page in pages.values()
        for link in page["links"]
        if link.startswith(("javascript:", "data:text"))
    ] == []
    for shown in ("operations", "data"):  # they are there, as the texts they are
        assert "<script>" in pages[shown]["text"] and "onerror" in pages[shown]["text"]


def test_every_answer_carries_the_policy(visited: dict[str, Any]) -> None:
    assert visited["bare"] == []
    assert visited["planted"] == 0, "a script put into the page by other ways is held back by the policy"


def test_nothing_goes_out(visited: dict[str, Any]) -> None:
    assert visited["asked"] == []
    if visited["away"] is None:
        pytest.skip("no network of its own can be made here")
    assert visited["away"] == 0
    assert visited["planted_away"] > 0, "a call that goes out is counted"


def test_the_server_calls_nobody(visited: dict[str, Any]) -> None:
    """Neither by IPv4 nor by IPv6, on any page: its own calls to the system are written down."""
    if visited["called"] is None:
        pytest.skip("nobody may look at calls to the system here")
    assert visited["called"] == []
    assert set(visited["planted_called"]) >= set(ELSEWHERE), "a call of either kind is written down"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from chromium()


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_fire_where_nothing_guards(browser: Browser, script: str) -> None:
    """On a plain page each does what it says; a link of Markdown as the link it becomes."""
    page = browser.new_page()
    if script.startswith("[x]("):
        script = f'<a href="{script[4:-1]}">x</a>'
    page.set_content(f"<body><p>{script}</p></body>")
    page.wait_for_timeout(50)
    for link in page.locator("a").all():
        link.hover()
        link.click()
    page.wait_for_function("() => window.__fired > 0", timeout=5000)
    page.close()

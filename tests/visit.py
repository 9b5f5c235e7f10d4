"""A visit to every page: `python visit.py STORE FOLDER [alone]` serves the store, looks, hovers and clicks, and prints what came of it.

`alone`: in a network of its own that has nothing but loopback; what wants to go elsewhere is counted there by the system.
"""

import ipaddress
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, Response, sync_playwright
from serving import ARGUMENTS, CHROMIUM, SETTLED, serving

from analytics.view.menu import PAGES

NAMES = ["" if name == "overview" else name for names in PAGES.values() for name in names]
# The browser itself asks nobody; what a page asks for is heard as a request.
QUIET = [
    *ARGUMENTS,
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-features=OptimizationHints,AsyncDns",
]
LINKS = "() => [...document.querySelectorAll('a[href], iframe[src], img[src], form[action]')].map(e => e.href || e.src || e.action)"


def away() -> int:
    """Packets of this network that had nowhere to go, or were questions for names. (Of IPv6 the browser itself tries on every
    page whether there is any; a name that leads there is asked for first.)
    """
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()]
    told = {
        f"{head[0]}{name}": int(n)
        for head, row in zip(lines[::2], lines[1::2], strict=True)
        for name, n in zip(head[1:], row[1:], strict=True)
    }
    return told["Ip:OutNoRoutes"] + told["Udp:OutDatagrams"]


ELSEWHERE = ("198.51.100.9", "2001:db8::9")
PLANT = """
import socket, sys
for where in sys.argv[1:]:
    try:
        socket.create_connection((where, 80), timeout=1)
    except OSError:
        continue
"""


def plant(*through: str) -> None:
    """What must be counted: somebody elsewhere is called, and a name is asked for."""
    subprocess.run([*through, sys.executable, "-c", PLANT, *ELSEWHERE, "example.invalid"], check=True)


def watched(log: Path) -> list[str]:
    """A command that runs another, and writes down whom it calls; empty where nobody may look."""
    command = [
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-e",
        "trace=connect,sendto,sendmsg,sendmmsg",
        "-o",
        str(log),
    ]
    try:
        tried = subprocess.run([*command[:-1], os.devnull, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return [] if tried.returncode else command


def called(log: Path) -> list[str]:
    """Addresses of IPv4 and IPv6 beyond this machine that were called, whatever came of it, once the log is whole."""
    end = time.monotonic() + 10
    while " +++" not in log.read_text() and time.monotonic() < end:
        time.sleep(0.1)
    found = re.findall(r'(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"', log.read_text())
    return [a for a in found if not ipaddress.ip_address(a.removeprefix("::ffff:")).is_loopback]


def over(page: Page, part: Locator, *shares: float) -> None:
    """Move the mouse over a part of the page, at these shares of its width. What a page that is drawn again has just taken away
    has no place any more: hovering would wait for it, or fail.
    """
    part.evaluate_all("found => found.forEach(e => e.scrollIntoView({block: 'nearest'}))")
    boxes = part.evaluate_all("found => found.map(e => e.getBoundingClientRect().toJSON())")
    for box in boxes:
        for share in shares if box["width"] and box["height"] else ():
            page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def use(page: Page) -> None:
    """Open what is folded, turn to every table, go over every figure and into every table's cells."""
    page.evaluate("() => document.querySelectorAll('details:not([open]) > summary').forEach(s => s.click())")
    for table in page.get_by_text("图和表", exact=True).all()[:2]:
        table.click()
        page.wait_for_selector(SETTLED)
    for frame in page.get_by_test_id("stDataFrame").all()[:1]:
        if frame.is_visible():
            frame.click(position={"x": 60, "y": 55})
    for part in page.locator("h1, h2, h3, [data-testid=stMain] a, [data-testid=stTooltipIcon]").all()[:6]:
        over(page, part, 0.5)
    for plot in page.locator(".js-plotly-plot").all()[:2]:
        over(page, plot, 0.2, 0.5, 0.8)
    page.wait_for_selector(SETTLED)


def visits(browser: Browser, site: str, bypass: bool = False) -> dict[str, Any]:
    """What every page did: scripts that fired, errors, answers without a policy, requests elsewhere, what it says and links to."""
    page = browser.new_context(viewport={"width": 1440, "height": 1000}, bypass_csp=bypass).new_page()
    page.set_default_timeout(60_000)
    bare: list[str] = []
    asked: list[str] = []
    errors: list[str] = []

    def hear(response: Response) -> None:
        if response.url.startswith(site):
            policy = response.headers.get("content-security-policy", "")
            if (
                "script-src 'self'" not in policy
                or "unsafe-eval" in policy
                or "script-src 'self' 'unsafe-inline'" in policy
            ):
                bare.append(response.url)

    page.on("response", hear)
    page.on(
        "request", lambda r: asked.append(r.url) if not r.url.startswith((site, "data:", "blob:")) else None
    )
    page.on(
        "websocket",
        lambda s: asked.append(s.url) if not s.url.startswith(site.replace("http", "ws")) else None,
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    told: dict[str, Any] = {}
    for name in NAMES:
        page.goto(f"{site}/{name}?lang=en&city=zhuhai&year=2022")
        page.wait_for_selector("h1")
        page.wait_for_selector(SETTLED)
        use(page)
        told[name or "overview"] = {
            "fired": page.evaluate("() => window.__fired || 0"),
            "links": page.evaluate(LINKS),
            "text": page.get_by_test_id("stMain").inner_text(),
            "exceptions": page.get_by_test_id("stException").count(),
        }
    page.evaluate(
        "() => document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.__planted=1\">')"
    )
    page.wait_for_timeout(300)
    planted = page.evaluate("() => window.__planted || 0")
    return {"pages": told, "bare": bare, "asked": asked, "errors": errors, "planted": planted}


def main() -> None:
    store, folder, alone = Path(sys.argv[1]), Path(sys.argv[2]), len(sys.argv) > 3
    if alone:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    through = watched(folder / "calls")
    with sync_playwright() as play, serving(store, folder, through=through) as site:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        before = away() if alone else 0
        told = visits(browser, site)
        told["away"] = away() - before if alone else None
        plant()
        told["planted_away"] = away() - before if alone else None
        browser.close()
    told["called"] = called(folder / "calls") if through else None
    if through:
        plant(*watched(folder / "planted"))
        told["planted_called"] = called(folder / "planted")
    print(json.dumps(told))


if __name__ == "__main__":
    main()

"""Speed of use of the dashboard: a browser's filter changes and page switches, many sessions at once, memory.

    .venv/bin/python tests/benchmarks/dashboard.py STORE [--sessions 1,20,60] [--seconds 25] [--rounds 24]

The server is started as a user starts it. In the browser a change is timed by the page's own clock, from the click it gets
until it has settled (the run has ended and the title has changed): what drives the browser has to find the place to click first,
which takes it 50 to 100 ms that no visitor waits for. The other sessions speak Streamlit's own messages over its socket: each
changes the city or the year at random every two to six seconds, and a change is timed until its run has finished. All of it
runs on one machine, so the browser and the sessions take processor time from the server. What such a page costs at least is
measured in the same run on `floor.py`, bare and with as many elements as our front page; the ratio is what can be compared
between machines. Prints JSON.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websockets
from playwright.sync_api import Locator, Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

SETTLED = "[data-testid=stApp][data-test-script-state=notRunning]"
SWITCHES = ("各层保障", "灾难性支出", "费用分段", "城市与年度比较", "待遇方案", "概览")
OPENING = 10.0  # seconds in which the sessions of a crowd come
PAUSE = (2.0, 6.0)  # seconds between two changes of a session
LABELS = ("城市", "年度")


# --- one session, as its browser would speak


@dataclass
class Session:
    """One visitor of a page. `choices`: what its selection boxes offer, by widget id."""

    address: str
    draw: random.Random
    choices: dict[str, list[str]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    failed: int = 0

    async def live(self, since: float, until: float) -> None:
        """Open the page and change it at random until the time is over; what began before `since` does not count."""
        async with websockets.connect(self.address, subprotocols=["streamlit"], max_size=None) as wire:  # type: ignore[list-item]
            await self._run(wire, {})
            while time.monotonic() < until:
                await asyncio.sleep(self.draw.uniform(*PAUSE))
                widget = self.draw.choice(sorted(self.choices))
                began = time.perf_counter()
                await self._run(wire, {widget: self.draw.choice(self.choices[widget])})
                if time.monotonic() - (time.perf_counter() - began) >= since:
                    self.times.append((time.perf_counter() - began) * 1000)

    async def _run(self, wire: Any, values: dict[str, str]) -> None:
        message = BackMsg()
        message.rerun_script.query_string = ""
        for widget, value in values.items():
            state = message.rerun_script.widget_states.widgets.add()
            state.id, state.string_value = widget, value
        await wire.send(message.SerializeToString())
        while True:
            told = ForwardMsg()
            told.ParseFromString(await asyncio.wait_for(wire.recv(), 60))
            kind = told.WhichOneof("type")
            if kind == "delta" and told.delta.WhichOneof("type") == "new_element":
                element = told.delta.new_element
                if element.WhichOneof("type") == "selectbox" and element.selectbox.label in LABELS:
                    self.choices[element.selectbox.id] = list(element.selectbox.options)
                self.failed += element.WhichOneof("type") == "exception"
            if kind == "script_finished":
                return


def crowd(port: int, sessions: int, seconds: float) -> tuple[list[float], int]:
    """Times of all changes of many sessions, in milliseconds, once all have opened their page, and how many failed."""
    address = f"ws://127.0.0.1:{port}/_stcore/stream"

    async def together() -> list[Session]:
        since = time.monotonic() + OPENING
        until = since + seconds
        held = [Session(address, random.Random(seed)) for seed in range(sessions)]

        async def one(session: Session, wait: float) -> None:
            await asyncio.sleep(wait)
            await session.live(since, until)

        await asyncio.gather(*(one(s, i * 0.6 * OPENING / sessions) for i, s in enumerate(held)))
        return held

    held = asyncio.run(together())
    return [t for s in held for t in s.times], sum(s.failed for s in held)


# --- the browser


CLOCK = """(() => {
    const title = () => document.querySelector('h1')?.innerText
    const told = { armed: false }
    window.clicked = told
    addEventListener('click', event => {
        if (told.armed) Object.assign(told, { armed: false, began: event.timeStamp, was: title(), ended: 0 })
    }, true)
    const look = () => {
        const rests = document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
        if (told.began && !told.ended && rests && title() && title() !== told.was) told.ended = performance.now()
    }
    const what = { subtree: true, childList: true, characterData: true, attributeFilter: ['data-test-script-state'] }
    new MutationObserver(look).observe(document, what)
})()"""


def settled(page: Page, place: Locator) -> float:
    """Milliseconds from the click on a place until the page has settled."""
    page.evaluate("() => Object.assign(window.clicked, { armed: true, began: 0 })")
    place.click()
    page.wait_for_function("() => window.clicked.began && window.clicked.ended")
    return float(page.evaluate("() => window.clicked.ended - window.clicked.began"))


def changes(page: Page, site: str, rounds: int) -> list[float]:
    """Milliseconds of so many changes of year and city on the front page."""
    page.goto(f"{site}/?lang=zh")
    page.wait_for_selector("h1")
    page.wait_for_selector(SETTLED)
    page.wait_for_timeout(1500)
    draw, times = random.Random(7), []
    for at in range(rounds):
        box = page.get_by_role("combobox", name=LABELS[at % 2]).first
        box.click()
        options = page.get_by_role("option")
        others = [o for o in options.all() if o.get_attribute("aria-selected") != "true"]
        times.append(settled(page, draw.choice(others)))
        page.wait_for_timeout(400)
    return times


def switches(page: Page, rounds: int) -> list[float]:
    """Milliseconds of so many switches between pages by the menu."""
    times = []
    for at in range(rounds):
        link = page.get_by_test_id("stSidebarNav").get_by_text(SWITCHES[at % len(SWITCHES)], exact=True)
        times.append(settled(page, link))
        page.wait_for_timeout(500)
    return times


# --- the server


def memory(pid: int) -> float:
    """Megabytes held by a process and its children."""
    total = 0.0
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        total = int(status.split("VmRSS:")[1].split()[0]) / 1024
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            total += memory(int(child))
    return total


def serve(folder: Path, *program: str) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = (folder / "log").open("wb")
    where = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, *(part.replace("PORT", str(port)) for part in program)]
    server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=where)
    for _ in range(240):
        with suppress(OSError):
            if urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).read() == b"ok":
                return server, port
        time.sleep(0.25)
    raise SystemExit((folder / "log").read_text())


def told(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "n": len(times),
        "p50_ms": round(statistics.median(ordered)),
        "p95_ms": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]),
    }


JIANFU = ("-c", "from analytics.cli import main; main()", "serve")
FLOOR = ("-m", "streamlit", "run", str(Path(__file__).with_name("floor.py")), "--server.port", "PORT", "--server.address", "127.0.0.1", "--server.headless", "true", "--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none")  # fmt: skip


def measured(args: argparse.Namespace, *program: str, floor: str = "") -> dict[str, dict[str, float]]:
    """Every figure of one server; `floor`: which page of floor.py."""
    os.environ["FLOOR"] = floor
    folder = Path(tempfile.mkdtemp(prefix="jianfu-bench-"))
    server, port = serve(folder, *program)
    site, found = f"http://127.0.0.1:{port}", {}
    ours = "serve" in program
    try:
        with sync_playwright() as play:
            chromium = shutil.which("chromium") or shutil.which("google-chrome")
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(60_000)
            page.add_init_script(CLOCK)
            found["filter change, alone"] = told(changes(page, site, args.rounds))
            if ours:
                found["page switch, alone"] = told(switches(page, args.rounds))
            found["memory, one session"] = {"mb": round(memory(server.pid))}
            others = threading.Thread(target=crowd, args=(port, 20, args.rounds * 1.6 + 10))
            others.start()
            time.sleep(6)
            found["filter change, 20 other sessions"] = told(changes(page, site, args.rounds))
            others.join()
            browser.close()
        for sessions in map(int, args.sessions.split(",")):
            times, failed = crowd(port, sessions, args.seconds)
            found[f"{sessions} active sessions"] = {
                **told(times), "per_s": round(len(times) / args.seconds, 1), "failed": failed, "mb": round(memory(server.pid))
            }  # fmt: skip
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--sessions", default="20,60")
    parser.add_argument("--seconds", type=float, default=25)
    parser.add_argument("--rounds", type=int, default=24)
    args = parser.parse_args()
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    floors = {floor: measured(args, *FLOOR, floor=floor) for floor in ("bare", "full")}
    ours = measured(args, *JIANFU, str(args.store.resolve()), "--port", "PORT")
    ratios = {
        floor: {
            name: {part: round(ours[name][part] / least[name][part], 2) for part in ("p50_ms", "p95_ms")}
            for name in ours
            if name in least and "p95_ms" in ours[name]
        }
        for floor, least in floors.items()
    }
    told_of = {**machine, "floors": floors, "ours": ours, "ratios": ratios}
    print(json.dumps(told_of, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()

"""What browser tests share: a Chromium, and the dashboard started as a user starts it, `jianfu serve STORE --port P`."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
PATIENCE = 30_000  # ms: a busy machine takes 5 s to load the scripts that draw the first chart
SETTLED = "[data-testid=stApp][data-test-script-state=notRunning]"


def chromium() -> Iterator[Browser]:
    """A headless Chromium; the test is skipped where none is installed, unless one is required."""
    if CHROMIUM is None:
        if os.environ.get("JIANFU_REQUIRE_BROWSER") == "1":
            pytest.fail("JIANFU_REQUIRE_BROWSER=1, but no chromium is installed")
        pytest.skip("no chromium is installed")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@contextmanager
def serving(
    store: Path, folder: Path, *more: str, port: int = 0, through: Sequence[str] = (), **environment: str
) -> Iterator[str]:
    """Serve a store from a folder that is not the checkout; gives the address, ends the server. `more`: options of the command;
    `through`: a command that runs it.
    """
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    jianfu = Path(sys.executable).with_name("jianfu")
    log = folder / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*through, str(jianfu), "serve", str(store), "--port", str(port), *more],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
        )
    address = f"http://{'localhost' if '--server' in more else '127.0.0.1'}:{port}"
    try:
        for _ in range(600):
            if server.poll() is not None:
                pytest.fail(f"jianfu serve ended: {log.read_text()}")
            try:
                if urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).read() == b"ok":
                    break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail(f"jianfu serve did not answer: {log.read_text()}")
        yield address
    finally:
        server.terminate()
        server.wait(20)

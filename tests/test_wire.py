"""What the server answers to whom: other names, addresses nobody asks, policy on every answer, errors that tell nothing."""

import asyncio
import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from house import ROOT
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from streamlit import config, file_util
from streamlit.elements.exception import marshall
from streamlit.proto.Exception_pb2 import Exception as ExceptionProto

from analytics.view import guard, server

PAGE = (Path(file_util.get_static_dir()) / "index.html").read_text("utf-8")


async def _page(_: Any) -> HTMLResponse:
    return HTMLResponse(PAGE)


async def _plain(_: Any) -> PlainTextResponse:
    return PlainTextResponse("told")


async def _socket(socket: Any) -> None:
    await socket.accept()
    await socket.send_text("told")
    await socket.close()


def client(host: str = "127.0.0.1:8501") -> TestClient:
    """The layers of the server round an app that answers everything."""
    routes = [Route("/", _page), Route("/{rest:path}", _plain), WebSocketRoute("/_stcore/stream", _socket)]
    return TestClient(Starlette(routes=routes, middleware=server.middleware()), base_url=f"http://{host}")


def test_every_inline_script_is_named_by_its_hash_and_no_other_runs() -> None:
    answer = client().get("/", headers={"accept": "text/html"})
    policy = answer.headers["content-security-policy"]
    scripts = guard.inline_scripts(answer.content)
    assert len(scripts) >= 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert (
        "unsafe" not in rules["script-src"] and rules["default-src"] == "'none'" == rules["frame-ancestors"]
    )
    assert re.search(r"https?:|\*", policy) is None
    assert not re.search(r"<script(?![^>]*src=)[^>]+>|\son\w+=", answer.text), (
        "a script the policy would hold back"
    )


@pytest.mark.parametrize("path", ["/", "/x", "/static/x.js", "/media/x", "/_stcore/health", *guard.CLOSED])
def test_every_answer_is_guarded(path: str) -> None:
    headers = client().get(path).headers
    assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
    assert "script-src 'self'" in headers["content-security-policy"]


@pytest.mark.parametrize("path", guard.CLOSED)
def test_what_nobody_asks_is_closed(path: str) -> None:
    assert client().get(path).status_code == client().get(f"{path}/openapi.json").status_code == 404
    assert client().get("/_stcore/health").text == "told"


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8501", True), ("localhost", True), ("LOCALHOST:9", True), ("[::1]:8501", True),
        ("evil.example", False), ("127.0.0.1.evil.example", False), ("localhost.evil.example", False), ("10.0.0.5:8501", False),
    ],
)  # fmt: skip
def test_other_names_lead_nowhere(host: str, known: bool) -> None:
    """A site whose name is made to lead to this machine is told nothing, neither a page nor a socket."""
    asked = client()
    assert asked.get("/x", headers={"host": host}).status_code == (200 if known else 421)
    if known:
        with asked.websocket_connect("/_stcore/stream", headers={"host": host}) as socket:
            assert socket.receive_text() == "told"
    else:
        with (
            pytest.raises(WebSocketDisconnect),
            asked.websocket_connect("/_stcore/stream", headers={"host": host}),
        ):
            pass


def test_the_names_of_a_server_are_those_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"server.allowedHosts": ["jianfu.bureau.example", "*.inner.example"]}
    monkeypatch.setattr(config, "get_option", lambda name: told[name])
    guarded = guard.KnownHosts(lambda *_: asyncio.sleep(0))  # type: ignore[arg-type,return-value]
    known = ("jianfu.bureau.example", "JIANFU.bureau.example:443", "a.inner.example")
    assert all(guarded._knows(host) for host in known)
    assert not any(
        guarded._knows(host)
        for host in ("127.0.0.1", "inner.example", "xinner.example", "bureau.example", "")
    )


# --- errors


def test_an_error_of_ours_tells_a_page_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kind alone reaches the browser: no message, which may hold a person's number, no path, no line of code."""
    error = ValueError("person 440402199001011234 in /srv/store")

    def sent(shown: str) -> str:
        monkeypatch.setattr(config, "get_option", lambda name: {"client.showErrorDetails": shown}.get(name))
        proto = ExceptionProto()
        try:
            raise error
        except ValueError as raised:
            marshall(proto, raised, apply_show_error_details=True)
        return str(proto)

    told = sent(_shown())
    assert "440402" not in told and "/srv" not in told and "test_wire" not in told
    assert "440402" in sent("full") and "test_wire" in sent("stacktrace"), "said in full it would be seen"


def _shown() -> str:
    text = (ROOT / ".streamlit" / "config.toml").read_text("utf-8")
    found = re.search(r'showErrorDetails = "(\w+)"', text)
    assert found and found[1] in ("type", "none")
    return found[1]


@pytest.mark.parametrize(
    "line",
    [
        "measure {none} burden_reduction_rate", "build {none}", "verify {none}", "quality {none}", "measure {torn} reach", "verify {torn}",
        "build {torn}", "quality {torn}", "ingest {torn} {torn}/current --as settlement", "ingest {torn} nothing.csv --as settlement",
        "simulate {torn} nothing.toml", "plans show nowhere 2023", "report {torn} --city x --plan-year 1 --out x.docx",
        "measure {torn} reach --where city=1 --set threshold=x", "measure {file} reach", "plans pay zhuhai 2023 --tier x --amount 1e400",
    ],
)  # fmt: skip
def test_the_command_line_says_what_is_wrong_without_a_traceback(line: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    torn, file = tmp_path / "torn", tmp_path / "file"
    (torn / "snapshots" / "0123456789abcdef0123").mkdir(parents=True)
    (torn / "current").write_bytes(b"0123456789abcdef0123\n")
    (torn / "snapshots" / "0123456789abcdef0123" / "manifest.json").write_bytes(b"{\xff")
    file.write_text("x")
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*(part.format(none=tmp_path / "none", torn=torn, file=file) for part in line.split()))
    assert code in (1, 2, 75) and err.strip()
    assert "Traceback" not in err and not re.search(r"\.py\b|, line \d", err)

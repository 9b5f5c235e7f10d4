"""What protects the browser and the server on the wire: content security policy, security headers, host names, closed doors."""

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config, file_util

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# No page of ours asks them: they tell anybody what runs here or how to drive it, or serve files of parts we do not have.
CLOSED = ("/_stcore/metrics", "/_stcore/agent", "/_stcore/script-health-check", "/_stcore/bidi-components", "/component/")  # fmt: skip
_PORT = re.compile(r":\d+$")
_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def inline_scripts(page: bytes) -> list[bytes]:
    """What stands between the tags of scripts that have no source."""
    return _INLINE.findall(page)


def policy(scripts: Iterable[bytes]) -> str:
    """The content security policy under which these inline scripts run, and no others, and no text as code."""
    known = sorted({base64.b64encode(hashlib.sha256(script).digest()).decode() for script in scripts})
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(["'self'", *(f"'sha256-{digest}'" for digest in known)]),
        "style-src": "'self' 'unsafe-inline'",  # the framework writes its styles as it runs
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "manifest-src": "'self'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def headers(scripts: Iterable[bytes]) -> dict[str, str]:
    """The security headers of every answer."""
    page = (Path(file_util.get_static_dir()) / "index.html").read_bytes()
    return {
        "Content-Security-Policy": policy([*inline_scripts(page), *scripts]),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


class SecureHeaders:
    """Adds the security headers to every answer; `scripts`: the inline scripts of ours that a page may hold."""

    def __init__(self, app: ASGIApp, scripts: Iterable[bytes]) -> None:
        self.app, self.headers = app, headers(scripts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    told[name] = value
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class KnownHosts:
    """Answers only to the names the server goes by (`server.allowedHosts`, else loopback), so that no other site's name can
    be made to lead here; and closes the addresses nobody asks.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        told = config.get_option("server.allowedHosts") or LOOPBACK
        self.names = [str(name).casefold() for name in told]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        if not self._knows(Headers(scope=scope).get("host", "")):
            return await _refuse(scope, receive, send, "This server is not known by that name.", 421)
        if any(part in scope["path"] for part in CLOSED):
            return await _refuse(scope, receive, send, "Not found.", 404)
        await self.app(scope, receive, send)

    def _knows(self, host: str) -> bool:
        asked = _PORT.sub("", host.casefold())
        return any(
            asked.endswith(name[1:]) if name.startswith("*.") else asked.strip("[]") == name.strip("[]")
            for name in self.names
        )


async def _refuse(scope: Scope, receive: Receive, send: Send, text: str, status: int) -> None:
    if scope["type"] == "websocket":
        await receive()
        return await send({"type": "websocket.close", "code": 1008})
    await PlainTextResponse(text, status_code=status)(scope, receive, send)

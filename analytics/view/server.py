"""What surrounds the frame on the wire: warm start, page language, assets compressed once; see `guard` for what protects it."""

import gc
import gzip
import mimetypes
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import file_util

from analytics.release import Unsafe
from analytics.view import controls, door
from analytics.view.gate import Gate
from analytics.view.guard import KnownHosts, SecureHeaders

FRAME = Path(__file__).with_name("frame.py")


# Where the server is, told outright: on a deep link Streamlit's script would ask below the page first and be refused. And
# its menu of pages is a list with sections in it, which is no list: a screen reader is told of links only. A page writes its
# choices to its own address: that takes the place of the address before, so that "back" leads to the page before.
_SCRIPT = b"""
window.__streamlit = {BACKEND_BASE_URL: new URL('.', location.href).href};
const push = history.pushState.bind(history);
history.pushState = (state, title, url) =>
  url && new URL(url, location.href).pathname === location.pathname
    ? history.replaceState(state, title, url) : push(state, title, url);
new MutationObserver(() => document.querySelectorAll(
  '[data-testid=stSidebarNavItems]:not([role]), [data-testid=stSidebarNavItems] li:not([role])'
).forEach(part => part.setAttribute('role', 'none'))).observe(document, {childList: true, subtree: true});
"""


class PageLanguage:
    """States the language and the name of the page in its HTML, which Streamlit fixes at English and its own name."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wants_page = (
            scope["type"] == "http"
            and scope["method"] == "GET"
            # a file that is given stays, byte for byte, what was entered in the log
            and not scope["path"].startswith("/media/")
            and "text/html" in Headers(scope=scope).get("accept", "")
        )
        if not wants_page:
            return await self.app(scope, receive, send)
        # The page is small: have it uncompressed and whole, so that it can be rewritten.
        unwanted = (b"accept-encoding", b"if-none-match", b"if-modified-since")
        scope = {
            **scope,
            "headers": [(k, v) for k, v in scope["headers"] if k not in unwanted],
            "extensions": {},
        }
        language = parse_qs(scope["query_string"].decode("latin-1")).get("lang", ["zh"])[0]
        start: dict[str, Any] = {}
        body = bytearray()

        async def rewrite(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            if not MutableHeaders(scope=start).get("content-type", "").startswith("text/html"):
                return await send(message)
            if message["type"] != "http.response.body":
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            tag = controls.TAGS.get(language, controls.TAGS["zh"]).encode()
            page = bytes(body).replace(b'<html lang="en">', b'<html lang="' + tag + b'">', 1)
            page = page.replace(b"<title>Streamlit</title>", "<title>减负 Jianfu</title>".encode(), 1)
            page = page.replace(b"<head>", b"<head><script>" + _SCRIPT + b"</script>", 1)
            headers = MutableHeaders(scope=start)
            for name in ("etag", "last-modified"):
                if name in headers:
                    del headers[name]
            headers["content-length"] = str(len(page))
            await send(start)
            await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, rewrite)


class StaticGzip:
    """Serves Streamlit's hashed scripts and styles compressed; each file is compressed once and kept."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        root = Path(file_util.get_static_dir())
        # Listed once: another way to write a path of these finds nothing here, so what is kept cannot grow with what is asked.
        self.files = {
            f"/{path.relative_to(root).as_posix()}": path
            for path in (root / "static").rglob("*")
            if path.suffix in (".js", ".css")
        }
        self.kept: dict[str, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        asset = scope["type"] == "http" and scope["method"] == "GET" and path in self.files
        if not asset or "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            return await self.app(scope, receive, send)
        squeezed = self.kept.get(path) or await to_thread.run_sync(self._squeeze, path)
        headers = {
            "content-encoding": "gzip",
            "vary": "accept-encoding",
            "cache-control": "public, immutable, max-age=31536000",
        }
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        await Response(squeezed, media_type=kind, headers=headers)(scope, receive, send)

    def _squeeze(self, path: str) -> bytes:
        self.kept[path] = gzip.compress(self.files[path].read_bytes(), 6, mtime=0)
        return self.kept[path]


def middleware() -> list[Middleware]:
    """The layers around the app, outermost first."""
    ours = [_SCRIPT, *(controls.language_script(tag).encode() for tag in controls.TAGS.values())]
    return [
        Middleware(SecureHeaders, scripts=ours),
        Middleware(KnownHosts),
        Middleware(Gate),
        Middleware(PageLanguage),
        Middleware(StaticGzip),
    ]


async def _to_front(request: Request) -> RedirectResponse:
    return RedirectResponse(f"./?{request.url.query}", status_code=307)


def routes() -> list[BaseRoute]:
    """Addresses Streamlit does not know: the front page by its own name."""
    return [Route("/overview", _to_front)]


@asynccontextmanager
async def lifespan(app: Any) -> AsyncGenerator[None, None]:
    """Refuses settings nobody should be served by; opens the store before the first visitor, then takes what was loaded out of garbage
    collection.

    Streamlit collects all garbage after every run of a page; without the freeze each run walks over the libraries.
    """
    if lines := door.unsafe():
        raise Unsafe("\n".join(["will not start:", *lines]))
    await to_thread.run_sync(_warm_up)
    gc.collect()
    gc.freeze()
    from analytics.view.asking import ahead  # not before the server knows its settings

    with ahead:
        yield


def _warm_up() -> None:
    # Streamlit loads these at the first chart otherwise, and where two visitors come at once, one meets a half-loaded pandas.
    import_module("pandas")
    import_module("plotly.io")
    import_module("plotly.tools")
    # What the pages are made of, before the freeze; not before the server knows its settings.
    from analytics.view import (  # noqa: F401
        asking,
        bearing,
        begin,
        benefits,
        beside,
        changing,
        compare,
        methods,
        operations,
        ranking,
        registry,
        reporting,
        tour,
        upload,
        whatif,
        working,
        workplace,
    )

    if door.server() is None:
        asking.warm_up()

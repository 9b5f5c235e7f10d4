"""What a browser may fetch besides pages where others are served: a file only by the login it was made for, and nothing handed in.

A page asked for before the login is where the login leads to.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.auth_util import get_cookie_with_chunks
from streamlit.runtime import get_instance
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from analytics.release import BadGrants, LoginOver
from analytics.view import door, menu

_NEXT = "jianfu_next"  # cookie: the page asked for before the login
_NEXT_SECONDS = 600
_ADDRESSES = {"/", *(f"/{name}" for names in menu.PAGES.values() for name in names)}


class Gate:
    """Refuses what the login of a request may not have. Without a server configuration it stands open."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        config = door.server()
        if config is None or scope["type"] != "http":
            return await self.app(scope, receive, send)
        request, path = Request(scope), scope["path"]
        if path.startswith("/_stcore/upload_file") and scope["method"] != "OPTIONS":
            return await _refused(scope, receive, send)
        if path.startswith("/media"):
            if not _may_fetch(_claims(request), path.rsplit("/", 1)[-1]):
                return await _refused(scope, receive, send)
        elif path == "/auth/logout":
            config.sessions.end(_claims(request))
        wanted = ""  # to be remembered
        if (
            scope["method"] == "GET"
            and path in _ADDRESSES
            and "text/html" in request.headers.get("accept", "")
        ):
            here = f"{path}?{request.url.query}" if request.url.query else path
            if not _may_enter(_claims(request)):
                wanted = here
            elif here == "/" and _NEXT in request.cookies:
                return await _onward(request)(scope, receive, send)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start" and wanted not in ("", "/"):
                about = f"Max-Age={_NEXT_SECONDS}; Path=/; HttpOnly; SameSite=Lax"
                MutableHeaders(scope=message).append(
                    "set-cookie", f"{_NEXT}={quote(wanted, safe='')}; {about}"
                )
            if message["type"] == "http.response.start" and config.setup.tls_at_proxy:
                headers = MutableHeaders(scope=message)
                cookies = headers.getlist("set-cookie")
                if cookies:
                    del headers["set-cookie"]
                for cookie in cookies:
                    headers.append(
                        "set-cookie", cookie if "secure" in cookie.lower() else f"{cookie}; Secure"
                    )
            if message["type"] == "http.response.start" and path.startswith("/media"):
                MutableHeaders(scope=message)["cache-control"] = "no-store"
            await send(message)

        await self.app(scope, receive, marked)


async def _refused(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("not granted", 403, {"cache-control": "no-store"})(scope, receive, send)


def _onward(request: Request) -> RedirectResponse:
    """To the page asked for before the login; one of ours, whatever the cookie says."""
    path, _, query = unquote(request.cookies[_NEXT]).partition("?")
    query = quote(query, safe="=&%,+-._~:")
    leads = (
        RedirectResponse(f"{path}?{query}" if query else path)
        if path in _ADDRESSES
        else RedirectResponse("/")
    )
    leads.delete_cookie(_NEXT, httponly=True, samesite="lax")
    return leads


def _may_enter(claims: Mapping[str, Any]) -> bool:
    config = door.server()
    assert config
    try:
        return bool(claims) and config.viewer(claims) is not None
    except (LoginOver, BadGrants):
        return False


def _claims(request: Request) -> Mapping[str, Any]:
    """What the login cookie of a request says, where it is signed by us; empty otherwise."""

    def one(name: str) -> bytes | None:
        value = request.cookies.get(name)
        return decode_signed_value(get_cookie_secret(), name, value.encode("latin-1")) if value else None

    try:
        raw = get_cookie_with_chunks(one, USER_COOKIE_NAME)
        found = json.loads(raw) if raw else {}
    except (ValueError, UnicodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _may_fetch(claims: Mapping[str, Any], name: str) -> bool:
    """Whether a login counts, and the file was made for this very login or a session of it holds it."""
    if not _may_enter(claims):
        return False
    runtime, file = get_instance(), name.partition(".")[0]
    stored = runtime.media_file_mgr.read_file(name)
    if stored is not None and door.was_given(claims, stored.content):
        return True
    # Streamlit keeps which session holds which file, and whose session it is, but has no public way to ask.
    for session, files in list(runtime.media_file_mgr._files_by_session_and_coord.items()):
        if file in list(files.values()):
            info = runtime._session_mgr.get_session_info(session)
            whose = info.session._user_info if info else {}
            if all(whose.get(name) == claims.get(name) for name in door.LOGIN):
                return True
    return False

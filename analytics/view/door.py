"""Who looks: the local user, or who is logged in and granted something. Asked anew on every run, never remembered."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import streamlit as st

from analytics.release import (
    LOCAL,
    BadGrants,
    Denied,
    LoginOver,
    Record,
    Server,
    Unwritten,
    Viewer,
    is_loopback,
    log_of,
)

LOGIN = ("iss", "sub", "iat")  # what tells logins apart
_KEPT = 5000  # files made that are remembered
_given: OrderedDict[tuple[Any, ...], None] = OrderedDict()
_giving = threading.Lock()


def store_path() -> Path:
    """The store served here: JIANFU_STORE, else `store` in the working directory."""
    return Path(os.environ.get("JIANFU_STORE") or "store").resolve()


def server() -> Server | None:
    """The configuration others are served by (JIANFU_SERVER); None for the local user's own dashboard."""
    named = os.environ.get("JIANFU_SERVER")
    return _server(named, str(store_path())) if named else None


@lru_cache(maxsize=4)
def _server(path: str, store: str) -> Server:
    return Server(Path(path), Path(store))


def viewer() -> Viewer:
    """Who looks at this run of a page. Raises Denied with what is in the way: a login (absent, expired, ended, foreign), a grant
    (nobody), or the file of grants itself (grants).
    """
    config = server()
    return LOCAL if config is None else _viewer(config, st.user.to_dict())


def _viewer(config: Server, claims: Mapping[str, Any]) -> Viewer:
    try:
        found = config.viewer(claims)
    except LoginOver as over:
        raise Denied(over.code, str(over)) from over
    except BadGrants as error:
        raise Denied("grants", "the grants cannot be read") from error
    if found is None:
        raise Denied("nobody", "nothing is granted to this login")
    return found


def name(who: Viewer) -> str:
    """What a viewer is called in the sidebar."""
    config = server()
    if config is None:
        return who.user
    try:
        return config.grants().names.get(who.user, who.user)
    except BadGrants:  # changed since the run began; the next run says so
        return who.user


def leave() -> None:
    """Log out here first, so that a copy of the cookie counts no longer; then at the browser and the provider."""
    if config := server():
        with suppress(Denied, Unwritten):  # nobody is kept in by a full disk
            Record(log_of(store_path()), viewer()).note("logout")
        config.sessions.end(st.user.to_dict())
    st.logout()


def held(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """A file made when it is asked for: only while the viewer it was offered to still counts, unchanged."""
    config = server()
    if config is None:
        return make
    claims, offered = st.user.to_dict(), viewer()

    def made() -> bytes:
        if _viewer(config, claims) != offered:
            raise Denied("nobody", "what is granted has changed; open the page again")
        content = make()
        with _giving:
            _given[_mark(claims, content)] = None
            if len(_given) > _KEPT:
                _given.popitem(last=False)
        return content

    return made


def was_given(claims: Mapping[str, Any], content: bytes) -> bool:
    """Whether a file was made for this very login."""
    return _mark(claims, content) in _given


def _mark(claims: Mapping[str, Any], content: bytes) -> tuple[Any, ...]:
    return *(claims.get(name) for name in LOGIN), hashlib.sha256(content).hexdigest()


def options() -> dict[str, Any]:
    """What the server is started with, beside its own configuration file."""
    found: dict[str, Any] = {}
    if port := os.environ.get("JIANFU_PORT"):
        found["server.port"] = int(port)
    if config := server():
        found |= {
            "server.address": config.setup.address,
            "server.allowedHosts": list(config.setup.hosts),
            "client.showErrorDetails": "none",
            "server.enableXsrfProtection": True,
        }
    return found


def secrets() -> dict[str, Any] | None:
    """What logging in needs."""
    config = server()
    return {"auth": dict(config.auth)} if config else None


def unsafe() -> list[str]:
    """Why nobody should be served by the settings in force, one line each."""
    config, address = server(), str(st.get_option("server.address") or "")
    if config is None:
        if is_loopback(address):
            return []
        return [
            f"address {address or '(every one)'}: without a login the dashboard is for this machine only; "
            "listen on 127.0.0.1, or serve others by `jianfu serve STORE --server CONFIG`"
        ]
    found = config.refusals()
    wanted = {
        "client.showErrorDetails": "none",
        "server.address": config.setup.address,
        "server.enableXsrfProtection": True,
        "server.enableStaticServing": False,
        "server.trustedUserHeaders": {},
    }
    for option, value in wanted.items():
        if (held := st.get_option(option)) != value and (held or value):
            found.append(
                f"{option} is {held!r}, must be {value!r}; start by `jianfu serve STORE --server CONFIG`"
            )
    if set(st.get_option("server.allowedHosts") or ()) != set(config.setup.hosts):
        found.append("server.allowedHosts: not the hosts of the configuration; start by `jianfu serve`")
    return found

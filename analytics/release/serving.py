"""Serving to others: what the configuration says, and why the server would not start with it.

Without a configuration the dashboard is for whoever sits at the machine: loopback only, nobody logs in.
"""

import ipaddress
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from analytics.reference import Form
from analytics.release.access import Viewer
from analytics.release.grants import BadGrants, Grants, read
from analytics.release.sessions import Sessions

SECRET = 32  # bytes a cookie secret must have
_VARIED = 8  # different characters it must have; a random one has more
# What examples write where a secret belongs; everybody knows it.
_EXAMPLES = ("…", "...", "at least 32 random bytes", "随机文字")
_RANDOM = 'take a random one: python -c "import secrets; print(secrets.token_hex(32))"'
_AUTH = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")


class Unsafe(ValueError):
    """A configuration nobody should be served by; one line per reason."""


class Setup(Form):
    """The table [server]; paths are taken from the folder of the file."""

    address: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()
    tls_at_proxy: bool = False
    error_details: str = "none"
    grants: str = ""
    grants_key: str = ""
    state: str = "state"


class _File(Form):
    server: Setup = Setup()
    auth: dict[str, Any] = Field(default_factory=dict)


class Server:
    """A configuration that was read."""

    def __init__(self, path: Path, store: Path) -> None:
        """Raises Unsafe where the file cannot be read as one."""
        self.path, self.store = path.resolve(), store.resolve()
        try:
            form = _File.model_validate(tomllib.loads(self.path.read_text(encoding="utf-8")))
        except OSError as error:
            raise Unsafe(f"{path}: cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise Unsafe(f"{path}: not valid TOML (UTF-8): {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            raise Unsafe(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        self.setup, self.auth = form.server, form.auth
        self._seen: tuple[tuple[bytes, bytes], Grants] | None = None

    def at(self, name: str) -> Path:
        """A path of the configuration."""
        return (self.path.parent / name).resolve()

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.at(self.setup.state) / "sessions.sqlite")

    def grants(self) -> Grants:
        """What is granted now: the file and its key are looked at every time. Raises release.BadGrants for one that does not count."""
        try:
            raw = self.at(self.setup.grants).read_bytes(), self.at(self.setup.grants_key).read_bytes()
            if self._seen is None or self._seen[0] != raw:
                self._seen = raw, read(*raw)
        except OSError as error:
            raise BadGrants(f"cannot be read: {error.filename}: {error.strerror}") from error
        found = self._seen[1]
        if found.version != self.sessions.newest() and not self.sessions.rises(found.version):
            raise BadGrants(f"version {found.version}: version {self.sessions.newest()} was in force already")
        return found

    def viewer(self, claims: Mapping[str, Any]) -> Viewer | None:
        """Who this login is, now: None where nothing is granted. Raises LoginOver, BadGrants."""
        subject = self.sessions.check(claims)
        return self.grants().viewers.get(subject)

    def refusals(self) -> list[str]:
        """Why nobody should be served by this, one line each; empty where all is in order."""
        return list(self._refusals())

    def _refusals(self) -> Iterator[str]:
        setup, auth = self.setup, self.auth
        if missing := [name for name in _AUTH if not auth.get(name)]:
            yield f"[auth]: login is not configured: {', '.join(missing)} missing"
        if len(str(auth.get("cookie_secret", "")).encode()) < SECRET:
            yield f"[auth] cookie_secret: shorter than {SECRET} bytes; {_RANDOM}"
        elif _is_example(auth["cookie_secret"]) or len(set(str(auth["cookie_secret"]))) < _VARIED:
            yield f"[auth] cookie_secret: anybody can guess it; {_RANDOM}"
        if _is_example(auth.get("client_secret", "")):
            yield "[auth] client_secret: is that of an example; write the one your login provider gave"
        if not setup.hosts or any("*" in host for host in setup.hosts):
            yield "[server] hosts: name the hosts the dashboard is reached under, without *"
        if setup.error_details != "none":
            yield '[server] error_details: must be "none"; an error may show what it met in the data'
        inside = bool(setup.hosts) and all(is_loopback(host) for host in setup.hosts)
        if not setup.tls_at_proxy and not inside:
            yield "[server] tls_at_proxy: declare that the proxy before this server speaks TLS only"
        yield from self._addresses(inside)
        if _anybody(setup.address):
            yield f"[server] address: {setup.address} listens to everybody; name the address the proxy connects to"
        if os.name == "posix" and self.path.stat().st_mode & 0o077:
            yield f"{self.path.name}: holds secrets and others may read it; chmod 600"
        if self.store.exists() and _writable(self.store):
            yield f"{self.store}: anybody may write to the store; chmod o-w"
        state = self.at(setup.state)
        if state.is_relative_to(self.store):
            yield f"[server] state: {state} lies inside the store; keep logins apart from the data"
        elif state.exists() and _writable(state):
            yield f"[server] state: anybody may write to {state}; chmod o-w"
        yield from self._granted()

    def _addresses(self, inside: bool) -> Iterator[str]:
        back = urlsplit(str(self.auth.get("redirect_uri", "")))
        if back.netloc:
            if back.hostname not in self.setup.hosts or not back.path.endswith("/oauth2callback"):
                yield "[auth] redirect_uri: must be https://<one of hosts>/oauth2callback"
            if back.scheme != "https" and not inside:
                yield "[auth] redirect_uri: must begin with https://"
        provider = urlsplit(str(self.auth.get("server_metadata_url", "")))
        if provider.netloc and provider.scheme != "https" and not is_loopback(provider.hostname or ""):
            yield "[auth] server_metadata_url: the provider must be reached by https://"

    def _granted(self) -> Iterator[str]:
        for name in ("grants", "grants_key"):
            file = self.at(getattr(self.setup, name))
            if not getattr(self.setup, name) or not file.is_file():
                yield f"[server] {name}: no such file; write one and sign it with `jianfu grants sign`"
                return
            if _writable(file) or _writable(file.parent):
                yield f"[server] {name}: anybody may write to {file} or its folder; chmod o-w"
        if not self.at(self.setup.state).is_relative_to(self.store):
            try:
                self.grants()
            except BadGrants as error:
                yield f"[server] grants: {error}"


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_example(secret: object) -> bool:
    return any(text in str(secret) for text in _EXAMPLES)


def _anybody(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_unspecified
    except ValueError:
        return not address


def _writable(path: Path) -> bool:
    """Whether anybody may write there; a folder with the sticky bit protects what lies in it."""
    mode = path.stat().st_mode
    return os.name == "posix" and bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX

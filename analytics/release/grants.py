"""Who is granted what: a TOML file, signed with Ed25519, whose version only grows.

    version = 3
    [[grant]]
    sub = "the subject at the provider"
    name = "shown in the sidebar"
    role = "official"
    cities = ["zhuhai"]           # or "all"; provinces = ["guangdong"] names all cities of a province
    products = ["wnb"]            # of an insurer

The signature is the last line, a comment, over everything before it; so the file changes whole or not at all.
"""

import base64
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from analytics import reference
from analytics.reference import Form
from analytics.release.access import Viewer, roles

_MARK = b"# signature: "


class BadGrants(ValueError):
    """A grants file that does not count; the text says why."""


class Grant(Form):
    """A row of the file."""

    sub: str = Field(min_length=1)
    name: str = ""
    role: str
    cities: tuple[str, ...] | Literal["all"] = ()
    provinces: tuple[str, ...] = ()
    products: tuple[str, ...] = ()

    def viewer(self) -> Viewer:
        """Raises ValueError for what cannot be granted."""
        known = reference.cities()
        cities = None
        is_everywhere = self.role in roles() and roles()[self.role].cities == "all"
        if self.cities != "all":
            named = {reference.city_code(name) for name in self.cities}
            areas = {c.province for c in known.values()}
            if lost := sorted([*(named - known.keys()), *({*self.provinces} - areas)]):
                raise ValueError(f"{', '.join(lost)}: no such city or province")
            named |= {code for code, city in known.items() if city.province in self.provinces}
            cities = frozenset(named)
            if not cities and not is_everywhere:
                raise ValueError('names no city; write cities, provinces, or cities = "all"')
        if is_everywhere:
            cities = None
        return Viewer(self.sub, self.role, cities, frozenset(self.products) if self.products else None)


class _File(Form):
    version: int = Field(ge=1)
    grant: tuple[Grant, ...] = ()


@dataclass(frozen=True)
class Grants:
    """A file that counts: viewers and shown names by subject."""

    version: int
    viewers: Mapping[str, Viewer]
    names: Mapping[str, str]


def read(raw: bytes, public: bytes) -> Grants:
    """What a signed file grants. Raises BadGrants with the first thing that is wrong with it."""
    body, mark, signature = raw.rpartition(_MARK)
    if not mark:
        raise BadGrants("it carries no signature; sign it with `jianfu grants sign`")
    _verify(body, signature.strip(), public)
    return check(body)


def check(body: bytes) -> Grants:
    """What a file would grant, its signature aside. Raises BadGrants."""
    try:
        form = _File.model_validate(tomllib.loads(body.decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadGrants(f"not valid TOML (UTF-8): {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadGrants(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    viewers: dict[str, Viewer] = {}
    for grant in form.grant:
        if grant.sub in viewers:
            raise BadGrants(f"{grant.sub}: granted twice")
        try:
            viewer = viewers[grant.sub] = grant.viewer()
        except ValueError as error:
            raise BadGrants(f"{grant.sub}: {error}") from error
        if viewer.may("command_line"):
            raise BadGrants(
                f"{grant.sub}: {grant.role} is who sits at the machine; nobody else is granted it"
            )
    return Grants(form.version, viewers, {g.sub: g.name or g.sub for g in form.grant})


def sign(path: Path, key: Path) -> Path:
    """Check a file and sign it in place; the key is made where there is none, and its public half beside it (`.pub`), which this
    returns. Raises BadGrants.
    """
    above, mark, below = path.read_bytes().rpartition(_MARK)
    if b"\n" in below.strip() and mark:
        raise BadGrants("something stands below the signature; move it above and sign again")
    body = above if mark else below
    check(body)
    body = body.rstrip(b"\n") + b"\n"
    public = key.with_name(key.name + ".pub")
    ed, serialization = _library()
    if key.exists():
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    else:
        private = ed.Ed25519PrivateKey.generate()
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _put(key, pem, 0o600)
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _put(public, pem, 0o644)
    _put(path, body + _MARK + base64.b64encode(private.sign(body)) + b"\n", 0o644)
    return public


def _put(path: Path, content: bytes, mode: int) -> None:
    """Write a small file whole or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _verify(body: bytes, signature: bytes, public: bytes) -> None:
    ed, serialization = _library()
    try:
        key = serialization.load_pem_public_key(public)
        if not isinstance(key, ed.Ed25519PublicKey):
            raise BadGrants("the public key is not an Ed25519 key")
        key.verify(base64.b64decode(signature, validate=True), body)
    except BadGrants:
        raise
    except Exception as error:  # every way a signature can be wrong
        raise BadGrants(
            "its signature does not fit the public key: changed since it was signed, or signed by another key"
        ) from error


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise BadGrants("needs the packages of logging in: pip install 'jianfu[login]'") from error
    return ed25519, serialization

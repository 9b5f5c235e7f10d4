"""Pseudonyms: persons and households become 64-bit keys, by HMAC under a secret that lies outside the store.

The secret file is TOML: `algorithm` ("sha256" or "sm3") and `keys`, hex, the oldest first. Rotating a secret adds a key: the
new pseudonym is the HMAC of the old one, so that the store can be keyed anew without the identifiers it no longer holds.
"""

import array
import hashlib
import os
import re
import secrets
import tomllib
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ALGORITHMS = ("sha256", "sm3")
_BLOCK = 64  # bytes; both algorithms
_DIGITS = re.compile(r"[0-9]{17}[0-9X]")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"  # GB 11643: check digit by the weighted sum modulo 11
STATES = (OK, RAISED, BAD, OTHER) = ("ok", "raised", "bad", "other")
_BATCH = 100_000
KEY_BYTES = 8
INT64 = 2**63 - 1
PREFIX = {"number": "P", "household": "H"}


@dataclass(frozen=True)
class Secret:
    """Algorithm and keys. `id` tells two secrets apart and gives nothing away."""

    algorithm: str
    keys: tuple[bytes, ...]

    @property
    def id(self) -> str:
        return hashlib.sha256(b"jianfu secret" + self.algorithm.encode() + b"".join(self.keys)).hexdigest()[
            :12
        ]

    def rotated(self) -> "Secret":
        """The same secret with one more key."""
        return Secret(self.algorithm, (*self.keys, secrets.token_bytes(32)))


# Invented persons need no protection, and a sample must come out the same on every machine.
SYNTHETIC = Secret("sha256", (b"synthetic persons have no secret",))


def load_secret(path: Path) -> Secret:
    """Read a secret file. Raises ValueError saying what is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="ascii"))
        keys = tuple(bytes.fromhex(key) for key in data["keys"])
        algorithm = str(data["algorithm"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a secret file ({error}); restore it from your copy [key]") from error
    if algorithm not in ALGORITHMS or not keys or min(map(len, keys)) < 16:
        raise ValueError(
            f"{path}: algorithm must be one of {', '.join(ALGORITHMS)}, keys at least 16 bytes each [key]"
        )
    return Secret(algorithm, keys)


def write_secret(path: Path, secret: Secret) -> None:
    """Write a secret file only its owner can read."""
    keys = ", ".join(f'"{key.hex()}"' for key in secret.keys)
    text = f'# Pseudonyms of this store hang on these keys. Keep a copy apart from the data; never send both together.\nalgorithm = "{secret.algorithm}"\nkeys = [{keys}]\n'
    fresh = path.with_name(path.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def new_secret(algorithm: str = "sha256") -> Secret:
    """A fresh secret."""
    return Secret(algorithm, (secrets.token_bytes(32),))


def certificate(text: str) -> tuple[str, str]:
    """A certificate number as 18 digits, and ok, raised (it had 15), bad (wrong check digit) or other (no national number)."""
    plain = unicodedata.normalize("NFKC", text).strip().upper()
    state = OK
    if re.fullmatch("[0-9]{15}", plain):
        plain, state = plain[:6] + "19" + plain[6:], RAISED
        plain += _check_digit(plain)
    if not _DIGITS.fullmatch(plain):
        return plain, OTHER
    return plain, state if plain[17] == _check_digit(plain) else BAD


def born(text: str) -> int:
    """Year of birth a certificate tells; 0 for one that is not valid."""
    number, state = certificate(text)
    return int(number[6:10]) if state in (OK, RAISED) else 0


def _check_digit(number: str) -> str:
    return _CHECK[sum(int(d) * w for d, w in zip(number[:17], _WEIGHTS, strict=True)) % 11]


def key_maker(secret: Secret) -> Callable[[bytes], int]:
    """HMAC of a message as a signed 64-bit number, under all keys of the secret one after the other."""
    pads = [  # as `hmac` does it, without its calls in between: a quarter of the time of a sm3 number
        tuple(
            hashlib.new(secret.algorithm, bytes(b ^ fill for b in _short(key, secret).ljust(_BLOCK, b"\0")))
            for fill in (0x36, 0x5C)
        )
        for key in secret.keys
    ]

    def make(message: bytes) -> int:
        for inner, outer in pads:
            first, second = inner.copy(), outer.copy()
            first.update(message)
            second.update(first.digest())
            message = second.digest()[:KEY_BYTES]
        return int.from_bytes(message, "big", signed=True)

    return make


def _short(key: bytes, secret: Secret) -> bytes:
    return key if len(key) <= _BLOCK else hashlib.new(secret.algorithm, key).digest()


def keyed(values: Iterable[str], kind: str, secret: Secret) -> list[tuple[int | None, str]]:
    """(key, state) of each value; `kind`: number, certificate or household. A certificate that is not valid has no key."""
    make = key_maker(secret)
    if kind != "certificate":
        return [(make((PREFIX[kind] + value).encode()), OK) for value in values]
    numbers = (certificate(value) for value in values)
    return [
        (make(("C" + number).encode()) if state in (OK, RAISED) else None, state) for number, state in numbers
    ]


def keys_of(identifier: str, secret: Secret) -> list[int]:
    """The keys a person named by number or by certificate number may have."""
    both = (keyed([identifier.strip()], kind, secret)[0][0] for kind in ("number", "certificate"))
    return [key for key in both if key is not None]


def _sql(secret: Secret, prefix: str) -> tuple[str, dict[str, bytes]]:
    """The same HMAC as SQL of a text `v`, as an unsigned number, and its parameters: the padded keys."""
    text, pads = f"encode('{prefix}' || v)", {}
    for at, key in enumerate(secret.keys):
        for name, byte in (("i", 0x36), ("o", 0x5C)):
            pads[f"{name}{at}"] = bytes(b ^ byte for b in _short(key, secret).ljust(_BLOCK, b"\0"))
        text = f"from_hex(left(sha256($o{at} || from_hex(sha256($i{at} || {text}))), 16))"
    return f"('0x' || hex({text}))::UBIGINT", pads


def fill(con: Any, select: str, into: str, kind: str, secret: Secret, again: bool) -> None:
    """Create table `into` (value, key, state, born) on a DuckDB connection from a SELECT of one text column `v`, batch by
    batch; `born`: year of birth a valid certificate tells.
    `again`: the rows come back from quarantine, where a value `#<key>` is a key already; no other delivery may say so.
    """
    import pyarrow as pa

    con.execute(f"CREATE TABLE {into} (value VARCHAR, key BIGINT, state VARCHAR, born INTEGER)").fetchall()
    if again:
        is_key = "v[:1] = '#' AND regexp_full_match(v, '#-?[0-9]{1,19}')"
        con.execute(
            f"INSERT INTO {into} SELECT v, v[2:]::BIGINT, '{OK}', NULL FROM ({select}) WHERE {is_key}"
        ).fetchall()
        select = f"SELECT v FROM ({select}) WHERE NOT ({is_key})"
    if kind in PREFIX and secret.algorithm == "sha256":  # the engine's own sha256, on all its threads
        text, pads = _sql(secret, PREFIX[kind])
        signed = f"(u::HUGEINT - CASE WHEN u > {INT64} THEN {INT64 * 2 + 2} ELSE 0 END)::BIGINT"
        made = f"SELECT v, {text} AS u FROM ({select})"
        con.execute(f"INSERT INTO {into} SELECT v, {signed}, '{OK}', NULL FROM ({made})", pads).fetchall()
        return
    reader = con.cursor().sql(select).to_arrow_reader(_BATCH)
    for batch in reader:
        values = batch.column(0)
        found = keyed(values.to_pylist(), kind, secret)
        keys = array.array("q", (key or 0 for key, _ in found))
        states = array.array("b", (STATES.index(state) for _, state in found))
        years = array.array("i", map(born, values.to_pylist()) if kind == "certificate" else [0] * len(found))
        # buffers, because building Arrow arrays of Python lists loads a data frame library first
        part = pa.Table.from_arrays(
            [
                values,
                pa.Array.from_buffers(pa.int64(), len(found), [None, pa.py_buffer(keys)]),
                pa.Array.from_buffers(pa.int8(), len(found), [None, pa.py_buffer(states)]),
                pa.Array.from_buffers(pa.int32(), len(found), [None, pa.py_buffer(years)]),
            ],
            names=["value", "key", "state", "born"],
        )
        con.register("part", part)
        con.execute(
            f"INSERT INTO {into} SELECT value, CASE WHEN state < 2 THEN key END, list_extract({list(STATES)}, state + 1), nullif(born, 0) FROM part"
        ).fetchall()
        con.unregister("part")

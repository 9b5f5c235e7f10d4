"""A figure computed again from its snapshot, by the id in the audit log or by the notes of an exported file."""

import hashlib
import html
import json
import re
import struct
import tomllib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from analytics.desk.answer import Desk
from analytics.desk.outcome import Outcome
from analytics.release import LOCAL, Figure, Log, Released, figure
from analytics.store import Store
from analytics.whatif import parse_scenario

Status = Literal["equal", "differs", "not_computed"]
_ID = re.compile(r"F-[0-9a-f]{16}")
_NOTE = '{"asked":'  # how a figure begins in the notes of a file
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Again:
    """`status`: whether the table is the same as the one that was given; `program`: the one that gave it, where it is not the
    one that computed it again; `reason`: why it could not be computed.
    """

    figure: Figure
    status: Status
    program: str = ""
    reason: str = ""
    answer: Released | None = None

    @property
    def text(self) -> str:
        """On one line."""
        line = f"{self.figure.id} {self.figure.asked['measure']}: {self.status.replace('_', ' ')}"
        if self.program:
            line += f" (given by another version of the program, {self.program})"
        return f"{line}; {self.reason}" if self.reason else line


def find(log: Log, wanted: str) -> list[Figure]:
    """The figures meant by an id or a file: those in the notes of the file, else those the log has of it. Raises ValueError
    where there are none: what was looked for, where.
    """
    if _ID.fullmatch(wanted):
        return list(_logged(log, {wanted}).values()) or _none(
            f"{wanted}: not in the audit log {log.folder}; give the exported file instead"
        )
    path = Path(wanted)
    if not path.is_file():
        raise ValueError(f"{wanted}: neither a figure id (F- and 16 hex digits) nor a file")
    found = {f.id: f for text in _texts(path) for f in _noted(text)}
    if found:
        return list(found.values())
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    ids = {i for entry in log.entries() if entry.get("sha256") == sha for i in entry["figures"]}
    ids |= {i for text in _texts(path) for i in _ID.findall(text)}
    logged = _logged(log, ids)
    return [logged[i] for i in sorted(logged)] or _none(
        f"{path.name}: holds no figures, and the audit log {log.folder} has no entry of this file"
    )


def is_on_record(log: Log, path: Path) -> bool:
    """Whether the log has a file as it is now; else its own numbers may be others than those of its figures."""
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    return any(entry.get("sha256") == sha for entry in log.entries())


def _none(why: str) -> list[Figure]:
    raise ValueError(why)


def _logged(log: Log, ids: set[str]) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for entry in log.entries():
        if entry.get("kind") == "answer":
            found |= {told["figure"]: figure.read(told) for told in entry["figures"] if told["figure"] in ids}
    return found


class Recomputer:
    """The kept snapshots of a store, opened as they are needed. Nothing prepared or answered before is used."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._desks: dict[tuple[Any, ...], Desk] = {}

    def again(self, wanted: Figure) -> Again:
        """Compute a figure again from the facts, and compare."""
        asked = wanted.asked
        folders = {folder.id: folder for folder in self._store.snapshots()}
        snapshot = folders.get(asked["snapshot"])
        if snapshot is None:
            held = ", ".join(folders) or "none"
            reason = (
                f"its snapshot {asked['snapshot']} is not in {self._store.path} (held: {held}); "
                "put its folder back into snapshots/ from a copy and try again"
            )
            return Again(wanted, "not_computed", reason=reason)
        other = "" if asked["program"] == figure.program() else str(asked["program"])
        role = "researcher" if asked["verb"] == "published" else LOCAL.role
        scope = asked.get("scope")
        at = (snapshot.id, role, tuple(scope) if scope else None)
        try:
            if at not in self._desks:
                self._desks[at] = Desk.anew(self._store, snapshot, scope, role)
            answer = _ask(self._desks[at], wanted)
        except (ValueError, KeyError) as error:
            return Again(wanted, "not_computed", other, str(error))
        same = figure.digest(answer.table) == wanted.digest
        return Again(wanted, "equal" if same else "differs", other, "", answer)


def _ask(desk: Desk, wanted: Figure) -> Released:
    asked: Mapping[str, Any] = wanted.asked
    where, parameters, protect = asked["where"], asked["parameters"], asked["protection"] != "none"
    ledger = asked.get("ledger", "observed")
    if asked["verb"] == "parade":
        return desk.parade(where, parameters, points=asked["points"], protect=protect)
    if asked["verb"] == "decompose":
        return desk.decompose(asked["measure"], asked["covariates"], where, parameters, protect=protect)
    scenario = (
        parse_scenario(tomllib.loads(asked["scenario"], parse_float=Decimal)) if "scenario" in asked else None
    )
    if asked["verb"] == "simulate" and scenario is not None:
        return _of_result(desk.simulate(scenario, protect=protect), asked)
    against = asked.get("against")
    return desk.ask(
        asked["measure"],
        asked["by"],
        where,
        parameters,
        scenario=scenario or ledger,
        se=asked.get("se", ""),
        se_method=asked.get("se_method", "auto"),
        against=(against[0], against[1]) if against else None,
        protect=protect,
    )


def _of_result(outcome: Outcome, asked: Mapping[str, Any]) -> Released:
    """The answer of a scenario's result to a question. Raises ValueError where there is none any more."""
    for released in outcome.figures():
        own = released.figures[0].asked
        if all(own.get(k) == asked[k] for k in ("measure", "by", "parameters", "ledger")):
            return released
    raise ValueError(
        f"{asked['measure']} of the {asked['ledger']} ledger is no longer part of a scenario's result"
    )


def _noted(text: str) -> Iterator[Figure]:
    """Figures written into a text."""
    decoder, at = json.JSONDecoder(), text.find(_NOTE)
    while at >= 0:
        try:
            told, end = decoder.raw_decode(text, at)
            yield figure.read(told)
        except json.JSONDecodeError:
            end = at + 1
        at = text.find(_NOTE, end)


def _texts(path: Path) -> Iterator[str]:
    """The texts of an exported file, notes as they were written."""
    raw = path.read_bytes()
    if zipfile.is_zipfile(path):  # CSV with its notes, Excel, Word
        with zipfile.ZipFile(path) as bundle:
            for name in bundle.namelist():
                text = bundle.read(name).decode("utf-8", "replace")
                yield html.unescape(text) if name.endswith(".xml") else text
    elif raw[:4] == b"PAR1":
        of = pq.read_metadata(path)
        if notes := (of.metadata or {}).get(b"jianfu"):
            yield from (line[1] for line in json.loads(notes))
        elif "figure" in of.schema.names:  # of the command line: its rows name their figure
            yield from sorted({str(i) for i in pq.read_table(path, columns=["figure"])["figure"].to_pylist()})
    elif raw.startswith(_PNG):
        yield from _lines(_png(raw))
    else:
        text = html.unescape(raw.decode("utf-8", "replace"))
        noted = re.search(r"<metadata>(.*?)</metadata>", text, re.DOTALL)
        yield from _lines(noted[1]) if noted else (text,)


def _lines(notes: str) -> Iterator[str]:
    yield from (line[1] for line in json.loads(notes or "[]"))


def _png(raw: bytes) -> str:
    at = len(_PNG)
    while at + 8 <= len(raw):
        length, kind = struct.unpack(">I4s", raw[at : at + 8])
        content = raw[at + 8 : at + 8 + length]
        if (
            kind == b"iTXt"
            and content.startswith(b"jianfu\0")
            and zlib.crc32(kind + content) == struct.unpack(">I", raw[at + 8 + length : at + 12 + length])[0]
        ):
            return content[len(b"jianfu\0\0\0\0\0") :].decode()
        at += 12 + length
    return ""

"""Who is answered, and the entries of what they get: an answer is entered before it leaves, once per session."""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from analytics.release.access import LOCAL, Viewer
from analytics.release.audit import Head, Log
from analytics.release.disclosure import HIDDEN, Released
from analytics.release.figure import Figure

_together: ContextVar[list[Released] | None] = ContextVar("together", default=None)


class Record:
    """One session of one person with one store: all it gets is entered in the log under their name."""

    def __init__(self, log: Log, viewer: Viewer = LOCAL, kind: str = "answer") -> None:
        """`kind`: what its answers are entered as."""
        self.log, self.viewer, self._kind = log, viewer, kind
        role, cities, products = viewer.scope
        told = {"cities": "all" if cities is None else cities, **({"products": products} if products else {})}
        self._who = {"user": viewer.user, "role": role, "scope": told}
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def give(self, answer: Released) -> Released:
        """Enter an answer; it may leave when this returns. Raises audit.Unwritten. What this session has seen is not entered
        again; within `together`, all answers are entered at its end.
        """
        waiting = _together.get()
        if waiting is not None:
            waiting.append(answer)
        else:
            self._enter([answer])
        return answer

    @contextmanager
    def together(self) -> Iterator[None]:
        """Answers given in this block are one entry, written when it ends: none of them may leave before."""
        if _together.get() is not None:
            yield
            return
        given: list[Released] = []
        token = _together.set(given)
        try:
            yield
        finally:
            _together.reset(token)
            self._enter(given)

    def _enter(self, answers: Sequence[Released]) -> None:
        fresh = {a.figures[0].id: a for a in answers if not {f.id for f in a.figures} <= self._seen}
        if not fresh:
            return
        figures = [
            {**f.told(), "cells": a.table.height, "hidden": _hidden(a)}
            for a in fresh.values()
            for f in a.figures
        ]
        self.note(
            self._kind,
            snapshot=next(iter(fresh.values())).provenance["snapshot"],
            figures=figures,
            cells=sum(f["cells"] for f in figures),
            hidden=sum(f["hidden"] for f in figures),
        )
        with self._lock:
            self._seen |= {f["figure"] for f in figures}

    def left(self, kind: str, name: str, content: bytes, figures: Iterable[Figure]) -> bytes:
        """Enter a file that leaves, by its sha256 and its figures; gives its content. Raises audit.Unwritten."""
        known = {figure.id: str(figure.asked["snapshot"]) for figure in figures}
        sha = hashlib.sha256(content).hexdigest()
        self.note(
            kind, file=name, sha256=sha, figures=list(known), snapshot=", ".join(sorted({*known.values()}))
        )
        return content

    def note(self, kind: str, **facts: Any) -> None:
        """Enter anything else. Raises audit.Unwritten."""
        entry: Mapping[str, Any] = {**self._who, "kind": kind, **facts}
        self.log.append(entry)

    @property
    def head(self) -> str:
        """The end of the log as it is printed on what leaves."""
        return (self.log.kept() or Head()).short


def _hidden(answer: Released) -> int:
    return int((answer.table["status"] == HIDDEN).sum())

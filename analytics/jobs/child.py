"""The process of a job: `python -m analytics.jobs.child`, one order a line in, reports in JSON lines out.

It is told in the order which folder to work in, and ends when the server does.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from analytics import verbs
from analytics.store import Busy, Store

_PAUSE = 0.2  # seconds between two reports of the same phase


def main() -> None:
    """Carry one order out, read from the standard input; report in JSON lines on the standard output."""
    order = json.loads(_first_line())
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed must not mix with the reports
    threading.Thread(target=_end_with_server, args=(Path(order["folder"]),), daemon=True).start()

    def say(message: Mapping[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    said: tuple[str, float] = ("", 0)

    def progress(phase: str, done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if phase != said[0] or done == total or now - said[1] > _PAUSE:
            said = phase, now
            say({"phase": phase, "done": done, "total": total})

    say(_carried_out(order, progress))


def _carried_out(order: Mapping[str, Any], progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    """How it ended: state, lines, and what came out."""
    try:
        told = {"sample": _sample, "ingest": _ingest, "build": _build}[order["verb"]](order, progress)
        return {"state": "done", "lines": [], "told": told}
    except Busy as error:
        return {"state": "busy", "lines": [str(error)], "told": {}}
    except verbs.REFUSALS as error:
        return {"state": "refused", "lines": verbs.reasons(error), "told": {}}
    except Exception as error:  # whoever waits must hear of it
        return {"state": "failed", "lines": [f"{type(error).__name__}: {error}"], "told": {}}


def _sample(order: Mapping[str, Any], progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    return {"snapshot": verbs.sample(order["store"], **order["arguments"], progress=progress).id}


def _ingest(order: Mapping[str, Any], progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    held = {d.id for d in Store(order["store"]).deliveries()}
    delivery = verbs.ingest(
        order["store"],
        order["files"],
        order["table"],
        mapping=next(iter(order["mapping"]), None),
        note=next(iter(order["note"]), None),
        sign_off=order["sign_off"],
        progress=progress,
    )
    kept = ("table", "inputs", "rows_in", "rows_loaded", "rows_set_aside", "rows_waiting", "rules")
    told = {name: delivery.manifest[name] for name in kept}
    secret = "" if held else str(verbs.secret_path(order["store"]))
    return {**told, "delivery": delivery.id, "held": delivery.id in held, "secret": secret}


def _build(order: Mapping[str, Any], progress: Callable[[str, int, int], None]) -> dict[str, Any]:
    return {"snapshot": verbs.build(order["store"], progress=progress).id}


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 1 << 16) or b"\n"
    return line


def _end_with_server(folder: Path) -> None:
    """Its end of the pipe closes when the server ends, however it ends: nobody waits for the work any more."""
    while os.read(0, 1 << 16):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    main()

"""Jianfu 减负: how far each tier of medical security lightens what a household pays for illness.

The public verbs, those of the command line, stand in VERBS (and `write_report`); they load on first use, so that a wing can be
imported without the others.
"""

from importlib import import_module
from typing import Any

VERBS = (
    "build", "correct", "decompose", "explain", "ingest", "measure", "parade", "quality", "sample", "simulate", "survey", "verify",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "write_report":  # a verb too, of a wing that stands behind the verbs
        return import_module("analytics.report").write_report
    if name in VERBS:
        return getattr(import_module("analytics.verbs"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

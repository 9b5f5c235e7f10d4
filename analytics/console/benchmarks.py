"""`jianfu benchmarks`: published figures beside ours, with the verdict on calibration targets."""

import argparse
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from analytics import console
from analytics.desk import benchmarks
from analytics.desk.answer import Desk
from analytics.desk.benchmarks import Row
from analytics.reference import Text
from analytics.release import csv_text

_SIGNS = {"about": "~", "more_than": ">", "at_least": ">=", "less_than": "<"}
_TABLE = ("place", "id", "title", "period", "published", "unit", "ours", "difference", "target", "tolerance", "verdict", "status")  # fmt: skip
_DECIMALS = Decimal("0.0001")


def add(command: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """Add the command to the parser; `command` takes its name, what runs it and its help."""
    beside = command("benchmarks", run, "published figures beside ours, and calibration targets met or not")
    beside.add_argument("store")
    beside.add_argument("--place", default="", metavar="PLACE", help="only this place, such as national")
    beside.add_argument("--targets", action="store_true", help="only calibration targets")
    beside.add_argument("--format", choices=("table", "json", "csv"), default="table")


def run(args: argparse.Namespace) -> None:
    """Print the figures. Raises store.NotBuilt, PublishedErrors, or ValueError for an unknown place."""
    known = benchmarks.places()
    if args.place and args.place not in known:
        raise ValueError(f"--place {args.place}: no figures of it; places are {', '.join(known)}")
    desk = Desk.open(args.store)
    rows = benchmarks.compare(desk, [p for p in known.values() if args.place in ("", p.id)])
    wanted = sorted((r for r in rows if r.figure.target), key=_number) if args.targets else rows
    lines = [_line(row) for row in wanted]
    if args.format == "json":
        provenance = {"snapshot": desk.snapshot_id, "synthetic": desk.is_synthetic}
        print(json.dumps({"rows": lines, "provenance": provenance}, ensure_ascii=False, indent=1))
    elif args.format == "csv":
        flat = [{k: _cell(v) for k, v in line.items()} for line in lines]
        print("\ufeff" + csv_text(pl.DataFrame(flat)), end="")
    else:
        console.table(_TABLE, [tuple(_cell(line[name]) for name in _TABLE) for line in lines])
        _tally(wanted)


def _number(row: Row) -> int:
    return int(row.figure.target.id[1:]) if row.figure.target else 0


def _line(row: Row) -> dict[str, Any]:
    figure, answer = row.figure, row.answer
    return {
        "place": row.place,
        "id": figure.id,
        "title": f"{figure.zh} {figure.en}",
        "period": _both(figure.period),
        "scope": _both(figure.scope),
        "definition": _both(figure.definition),
        "method": figure.method,
        "published": _SIGNS.get(figure.sign or "", "")
        + f"{figure.value:f}"
        + ("" if figure.high is None else f"-{figure.high:f}"),
        "value": float(figure.value),
        "sign": figure.sign,
        "high": None if figure.high is None else float(figure.high),
        "unit": figure.unit,
        "ours": _plain(row.value),
        "difference": _plain(row.apart),
        "status": row.status,
        "why": _both(figure.not_computed) or row.reason or None,
        "differs": _both(figure.differs) or None,
        "measure": figure.ours.measure if figure.ours else None,
        "where": {k: list(v) for k, v in answer.where.items()} if answer else None,
        "figure": answer.provenance["figure"] if answer else None,
        "target": figure.target.id if figure.target else None,
        "tolerance": figure.target.tolerance if figure.target else None,
        "verdict": row.verdict,
        "derived": _both(figure.derived) or None,
        "note": _both(figure.note) or None,
        "source": figure.source,
        "class": figure.source_class,
    }


def _plain(number: Decimal | None) -> float | None:
    return None if number is None else float(number.quantize(_DECIMALS))


def _both(text: Text | str | None) -> str:
    return f"{text.zh} {text.en}" if isinstance(text, Text) else text or ""


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _tally(rows: Sequence[Row]) -> None:
    verdicts = [row.verdict for row in rows if row.verdict]
    if verdicts:
        counted = ", ".join(f"{verdicts.count(v)} {v}" for v in ("pass", "fail", "not_applicable"))
        print(f"targets: {counted}")

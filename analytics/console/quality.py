"""`jianfu quality`: what came, what was loaded, corrected, decided away and waits, and what the checks found."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from analytics import console, verbs
from analytics.desk.quality import store_wide
from analytics.store import Store

_BOOKS = (
    "table", "delivery", "files", "formats", "dialects", "note", "sign_off", "rows_in", "rows_loaded", "rows_corrected",
    "rows_set_aside", "rows_open", "rows_fixed", "rows_dropped", "fee_in_yuan", "fee_loaded_yuan", "fee_set_aside_yuan", "fee_open_yuan",
    "fee_fixed_yuan", "fee_dropped_yuan", "fee_unreadable_rows",
)  # fmt: skip
_CHECKS = ("rule", "severity", "status", "rows", "rows_open", "checked", "share", "fee_yuan", "title")
_SAMPLES = ("delivery", "rule", "file", "row", "state", "reasons", "fee_yuan", "source")
_SEVERAL = ("plan_year", "persons_in_several_cities", "households_in_several_cities")
_WITHHELD = ("city", "plan_year", "withheld", "title")
_LINKS = ("city", "plan_year", "product", "level", "claims", "paid_yuan")


def add(command: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """Add the command to the parser; `command` takes its name, what runs it and its help."""
    state = command("quality", run, "what came, loaded, was set aside and waits, per delivery and rule")
    state.add_argument("store")
    state.add_argument("--format", choices=("table", "json"), default="table")
    state.add_argument(
        "--rows",
        type=int,
        default=0,
        metavar="N",
        help="also N quarantined rows per rule, for the local user's own eyes",
    )
    state.add_argument("--rule", default="", metavar="RULE", help="only this rule, also where it passed")


def run(args: argparse.Namespace) -> None:
    """Print the books of a store. Raises store.NotBuilt, or ValueError for an unknown rule."""
    if args.rows < 0:
        raise ValueError(f"--rows {args.rows}: write how many rows of each rule, such as 5")
    deliveries = verbs.quality(args.store, rows=args.rows, rule=args.rule)
    store = Store(args.store)
    built = store_wide(store.current() if store.is_published else None)
    if args.format == "json":
        provenance = {
            "store": Path(args.store).name,
            "snapshot": store.current_id() if store.is_published else None,
        }
        answer = {"rows": deliveries, "store_wide": built, "provenance": provenance}
        print(json.dumps(answer, ensure_ascii=False, indent=1))
        return
    _print(_BOOKS, deliveries)
    told = [
        {**check, "table": d["table"], "delivery": d["delivery"]} for d in deliveries for check in d["checks"]
    ]
    for head, checks in ((("table", "delivery"), told), (("city", "plan_year"), built["checks"])):
        wanted = [c for c in checks if args.rule in ("", c["rule"])]
        _print((*head, *_CHECKS), [c for c in wanted if args.rule or c["status"] == "found"])
        if checks and not args.rule:
            print(f"checks: {', '.join(f'{n} {status}' for status, n in _tally(checks).items())}")
    _print(_SAMPLES, [sample for d in deliveries for sample in d.get("samples", [])])
    _print(_LINKS, built["links"])
    _print(_SEVERAL, built["in_several_cities"])
    _print(_WITHHELD, built["withheld"])


def _tally(checks: list[dict[str, Any]]) -> dict[str, int]:
    statuses = ("found", "passed", "not_applicable")
    return {status: sum(c["status"] == status for c in checks) for status in statuses}


def _print(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    if rows:
        console.table(columns, [tuple(_cell(name, row.get(name)) for name in columns) for row in rows])


def _cell(name: str, value: Any) -> str:
    """A value on one line: nothing of what was delivered may move the cursor or start a new row."""
    if value is None:
        return "none" if name in ("note", "sign_off") else ""
    if name == "note":
        return str(value.get("sender") or "checked")
    if name == "sign_off":
        return _plain(f"{value['who']}: {value['reason']}")
    if name == "title":
        return f"{value['zh']} {value['en']}"
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return _plain(", ".join(str(v) for v in value))
    return (
        f"{value:.4%}"
        if name == "share"
        else f"{value:.2f}"
        if isinstance(value, float)
        else _plain(str(value))
    )


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)

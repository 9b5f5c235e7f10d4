"""`jianfu audit` and `jianfu replay`: is the log whole, what does it say, and is a figure still what was given?"""

import argparse
import json
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analytics import console, verbs


def add(command: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """Add the commands to the parser; `command` takes a name, what runs it and its help."""
    sub = command("audit", _verify, "the audit log of a store: verify it, show it")
    parts = sub.add_subparsers(required=True, metavar="WHAT")
    verify = parts.add_parser(
        "verify", help="whether every entry stands as it was written, and none is missing"
    )
    verify.add_argument("store")
    verify.add_argument("--head", default="", help="as printed on an export: the log must hold this entry")
    verify.set_defaults(run=_verify)
    show = parts.add_parser("show", help="the last entries")
    show.add_argument("store")
    show.add_argument("--last", type=int, default=20, metavar="N", help="so many (default 20)")
    show.add_argument("--format", choices=("table", "json"), default="table")
    show.set_defaults(run=_show)
    again = command("replay", _replay, "compute a figure again from its snapshot and compare")
    again.add_argument("store")
    again.add_argument(
        "figure", metavar="FIGURE_ID|FILE", help="an id such as F-0123456789abcdef, or an exported file"
    )
    again.add_argument("--format", choices=("table", "json"), default="table")


def _verify(args: argparse.Namespace) -> int:
    log = verbs.audit_log(args.store)
    found = log.verify(head=args.head)
    for line in found:
        print(line, file=sys.stderr)
    end = log.kept()
    print(
        f"{len(found)} problems in {log.folder}"
        if found
        else f"whole, {end.n if end else 0} entries, head {end.short if end else ''}"
    )
    return 1 if found else 0


def _show(args: argparse.Namespace) -> None:
    entries = deque(verbs.audit_log(args.store).entries(), maxlen=max(args.last, 1))
    if args.format == "json":
        print("\n".join(json.dumps(e, ensure_ascii=False) for e in entries))
        return
    columns = ("n", "at", "user", "role", "kind", "what")
    console.table(columns, [(*(str(e.get(c, "")) for c in columns[:-1]), _what(e)) for e in entries])


def _what(entry: dict[str, Any]) -> str:
    """What an entry is about, on one line."""
    if entry["kind"] in ("answer", "replay"):
        told = [f"{f['figure']} {f['asked']['measure']}" for f in entry["figures"]]
        return f"{', '.join(told)}; cells {entry['cells']}, hidden {entry['hidden']}"
    known = ("n", "at", "user", "role", "scope", "kind", "hash", "previous")
    return ", ".join(f"{k} {_text(v)}" for k, v in entry.items() if k not in known)


def _text(value: Any) -> str:
    """Of files their names; their hashes are in the log itself."""
    if isinstance(value, list):
        return " ".join(str(part["name"] if isinstance(part, dict) else part) for part in value)
    return str(value)


def _replay(args: argparse.Namespace) -> int:
    found = verbs.replay(args.store, args.figure)
    if args.format == "json":
        rows = [
            {**f.figure.told(), "status": f.status, "given_by": f.program, "reason": f.reason} for f in found
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        print("\n".join(f.text for f in found))
    if Path(args.figure).is_file() and not verbs.as_it_left(args.store, args.figure):
        told = "the audit log has no such file as it is now (changed since, or made by `measure --out`)"
        how = "its figures were computed again, the numbers that stand in it were not compared with them"
        print(f"warn: {args.figure}: {told}; {how}", file=sys.stderr)
    return 0 if all(f.status == "equal" for f in found) else 1

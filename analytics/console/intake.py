"""`jianfu ingest`, `correct` and `rotate-key`: what goes into a store."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from analytics import console, verbs
from analytics.intake import TABLES, contract
from analytics.store import Folder, Store


def add(command: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """Add the commands to the parser; `command` takes a name, what runs it and its help."""
    into = command("ingest", ingest, "load files of one canonical table into a store")
    into.add_argument("store")
    into.add_argument("files", nargs="+")
    into.add_argument("--as", dest="table", required=True, choices=TABLES)
    into.add_argument("--mapping", help="TOML that maps foreign columns")
    into.add_argument("--note", help="TOML delivery note of the sender: files, rows, fee total, jurisdiction")
    into.add_argument("--sign-off", metavar="REASON", help="accept a batch over the limits; needs --by")
    into.add_argument("--by", dest="who", metavar="WHO", help="who signs off")
    into.set_defaults(usage_error=into.error)
    fixes = command("correct", correct, "decide rows that wait in quarantine by a corrections file")
    fixes.add_argument("store")
    fixes.add_argument("fixes", metavar="FIX.toml", help="what to do with which rows, why, and who says so")
    rotate = command("rotate-key", rotate_key, "add a key to the secret and key every pseudonym anew")
    rotate.add_argument("store")
    for sub in (into, fixes, rotate):
        sub.add_argument(
            "--key", metavar="FILE", help="secret file of the pseudonyms (default: beside the store)"
        )


def ingest(args: argparse.Namespace) -> None:
    """Load files; say what they were taken for, and with the first delivery where the secret lies."""
    if bool((args.sign_off or "").strip()) != bool((args.who or "").strip()):
        args.usage_error("--sign-off REASON and --by WHO go together")
    held = {d.id for d in Store(args.store).deliveries()}
    with console.progress() as progress:
        delivery = verbs.ingest(
            args.store,
            args.files,
            args.table,
            mapping=args.mapping,
            note=args.note,
            key=args.key,
            sign_off={"reason": args.sign_off, "who": args.who} if args.who else None,
            progress=progress,
        )
    if delivery.id in held:
        print(f"delivery {delivery.id}: the same files are here already; nothing was added")
        return
    _tell(delivery)
    if not held:
        _keep(args)


def correct(args: argparse.Namespace) -> None:
    """Load corrected rows again."""
    with console.progress() as progress:
        delivery = verbs.correct(args.store, args.fixes, key=args.key, progress=progress)
    _tell(delivery)
    gone = sum(len(part["rows"]) for part in delivery.manifest["corrects"]["dropped"])
    if gone:
        print(f"{gone} rows dropped")


def rotate_key(args: argparse.Namespace) -> None:
    """Key a store anew."""
    with console.progress() as progress:
        snapshot = verbs.rotate_key(args.store, key=args.key, progress=progress)
    print(
        f"published snapshot {snapshot.id}"
        if snapshot
        else "every delivery is keyed anew; nothing to publish yet"
    )
    _keep(args)


def _tell(delivery: Folder) -> None:
    m = delivery.manifest
    for f in m["inputs"]:
        taken = ", ".join(part for part in (f["format"], f["encoding"], f["dialect"]) if part)
        print(f"{f['name']}: {f['rows']} rows, {taken}")
    parts = ("loaded", "set_aside", "waiting")
    counts = ", ".join(f"{m[f'rows_{part}']} {part.replace('_', ' ')}" for part in parts)
    print(f"delivery {delivery.id}: {m['rows_in']} rows in, {counts}")
    for rule in m["rules"]:
        title = contract(m["table"]).reason(rule["rule"])
        told = f"{rule['severity']}: {rule['rule']}: {rule['rows']} rows: {title.zh} {title.en}"
        print(told, file=sys.stderr)


def _keep(args: argparse.Namespace) -> None:
    path = verbs.secret_path(args.store, args.key)
    print(
        f"secret of the pseudonyms: {path}; nothing joins this store without it, keep a copy apart from the data"
    )

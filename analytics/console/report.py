"""`jianfu report`: a performance report of a city and plan year as a file."""

import argparse
from collections.abc import Callable
from typing import Any

from analytics.figures import formats, words
from analytics.report.form import KINDS


def add(command: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """Add the command to the parser; `command` takes its name, what runs it and its help."""
    sub = command("report", run, "write a performance report of a city and plan year")
    sub.add_argument("store")
    sub.add_argument("--city", required=True, help="slug or six-digit code")
    sub.add_argument("--plan-year", type=int, required=True)
    sub.add_argument("--out", required=True, metavar="FILE", help="ends in .docx, .xlsx, .pdf or .html")
    sub.add_argument("--kind", choices=KINDS, default="bureau", help="for whom (default bureau)")
    sub.add_argument("--lang", choices=tuple(words.LANGUAGES), default="zh")
    sub.add_argument("--unit", choices=("auto", *formats.SCALES), default="auto", help="unit of money")


def run(args: argparse.Namespace) -> None:
    """Write the file and say where it is. Raises ValueError: what is wrong, what is possible."""
    from analytics.report import write_report  # loads what sets pages, which no other command needs

    written = write_report(
        args.store,
        args.city,
        args.plan_year,
        args.out,
        kind=args.kind,
        language=args.lang,
        unit=args.unit,
    )
    print(written)

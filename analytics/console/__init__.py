"""What the command line prints: progress on stderr, tables, files."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from analytics.release import guarded

STEPS = {
    "draw": "生成合成数据 draw",
    "pay": "按方案赔付 pay",
    "write": "写出 write",
    "ingest": "入库 ingest",
    "read": "读取 read",
    "check": "校验 check",
    "work": "计算 work",
    "rotate": "换密钥 rotate",
    "build": "建事实表 build",
    "protect": "披露控制 protect",
}


def add_runner(command: argparse.ArgumentParser) -> None:
    """Let a command say where its work is done."""
    command.add_argument(
        "--runner",
        default="local",
        metavar="local|pool|spark://HOST:PORT",
        help="on threads of this process (default), a pool of processes, or a Spark cluster that sees the store at the same path",
    )


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per step on stderr; nothing where stderr is not a terminal but a line at each step's end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(STEPS.get(step, step), total=total)
            bars.update(tasks[step], completed=done, total=total)
            if not console.is_terminal and done == total:
                print(f"{STEPS.get(step, step)}: {done}/{total}", file=sys.stderr, flush=True)

        yield report


def put(text: str, out: str | None, *, bom: bool = False) -> None:
    if out:
        Path(out).write_text(text, encoding="utf-8-sig" if bom else "utf-8")
    else:
        print(text)


@contextmanager
def printing(out: str | None) -> Iterator[None]:
    """What is printed in this block goes to a file, where one is named, as it would go to the next program."""
    if out is None:
        yield
        return
    with Path(out).open("w", encoding="utf-8") as file, redirect_stdout(file):
        yield


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not sys.stdout.isatty():  # tab-separated for the next program, nothing cut off
        for row in (columns, *rows):
            print("\t".join(map(guarded, row)))
        return
    drawn = Table(*columns)
    for row in rows:
        drawn.add_row(*map(Text, row))  # a cell is data, never markup
    Console().print(drawn)


def pairs(items: Sequence[str], what: str) -> dict[str, str]:
    """NAME=VALUE of an option that may stand several times. Raises ValueError."""
    pairs = dict(item.partition("=")[::2] for item in items)
    wrong = [name for name, value in pairs.items() if not name or not value]
    if wrong or len(pairs) != len(items):
        raise ValueError(f"{what}: write {what} NAME=VALUE, each name once")
    return pairs

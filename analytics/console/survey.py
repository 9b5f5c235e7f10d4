"""`jianfu survey`, `parade`, `decompose`: what researchers ask of households, as tables."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from analytics import console, verbs
from analytics.release import Released, csv_text

_BRIEF = {
    "measure", "resource", "threshold", "poverty_line", "payments", "value", "se", "n", "status", "covariate", "coefficient", "mean", "concentration",
    "share", "point",
}  # fmt: skip


def add(command: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """Add the commands to the parser; `command` takes a name, what runs it and its help."""
    survey = command(
        "survey",
        _survey,
        "all tables of financial protection of a survey: catastrophic, poverty, inequality, Pen's parade",
    )
    parade = command("parade", _parade, "Pen's parade: living standards before and after paying for care")
    decompose = command("decompose", _decompose, "what a concentration index goes with")
    for sub in (survey, parade, decompose):
        sub.add_argument("store")
        sub.add_argument("--where", action="append", default=[], metavar="DIM=VALUE[,VALUE]")
        sub.add_argument(
            "--raw", action="store_true", help="without disclosure control, for the local user's own eyes"
        )
    survey.add_argument("--out", metavar="FOLDER", help="folder for one CSV file per table")
    parade.add_argument("--points", type=int, default=100, help="at most so many (default 100)")
    decompose.add_argument("measure", metavar="MEASURE", help="a concentration index")
    decompose.add_argument(
        "--on", required=True, help="comma-separated: dimensions, n_members, urban, log_living_standard"
    )
    for sub in (parade, decompose):
        sub.add_argument("--set", action="append", default=[], metavar="PARAM=VALUE")
        sub.add_argument("--format", choices=("table", "csv", "json"), default="table")
        sub.add_argument("--out", help="file to write")


def _survey(args: argparse.Namespace) -> None:
    found = verbs.survey(args.store, where=_where(args), raw=args.raw)
    for line in found.left_out:
        print(f"未列入 left out: {line}", file=sys.stderr)
    if args.out:
        folder = Path(args.out)
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in found.tables.items():
            console.put(csv_text(table), str(folder / f"{name}.csv"), bom=True)
        print(
            f"{folder}: {', '.join(f'{name}.csv ({table.height})' for name, table in found.tables.items())}"
        )
        return
    for name, table in found.tables.items():
        print(f"\n# {name}")
        _print(table)


def _parade(args: argparse.Namespace) -> None:
    answer = verbs.parade(
        args.store, where=_where(args), parameters=_pairs(args.set), points=args.points, raw=args.raw
    )
    _put(answer, args)


def _decompose(args: argparse.Namespace) -> None:
    covariates = [name.strip() for name in args.on.split(",") if name.strip()]
    _put(
        verbs.decompose(
            args.store,
            args.measure,
            covariates,
            where=_where(args),
            parameters=_pairs(args.set),
            raw=args.raw,
        ),
        args,
    )


def _put(answer: Released, args: argparse.Namespace) -> None:
    if args.format == "csv":
        noted = answer.table.with_columns(figure=pl.lit(answer.provenance["figure"]))
        console.put(csv_text(noted), args.out, bom=True)
    elif args.format == "json":
        told = {
            **answer.provenance,
            "parameters": dict(answer.parameters),
            "sql": answer.sql,
            "bound": dict(answer.bound),
        }
        console.put(
            json.dumps(
                {"rows": answer.table.to_dicts(), "provenance": told},
                ensure_ascii=False,
                indent=1,
                default=str,
            ),
            args.out,
        )
    else:
        with console.printing(args.out):
            _print(answer.table)


def _print(table: pl.DataFrame) -> None:
    shown = table.select(name for name in table.columns if name in _BRIEF)
    texts = [
        tuple("" if v is None else f"{v:.6g}" if isinstance(v, float) else str(v) for v in row)
        for row in shown.rows()
    ]
    console.table(shown.columns, texts)


def _pairs(items: Sequence[str]) -> dict[str, str]:
    return console.pairs(items, "--set")


def _where(args: argparse.Namespace) -> dict[str, list[str]]:
    return {
        name: [v.strip() for v in text.split(",") if v.strip()]
        for name, text in console.pairs(args.where, "--where").items()
    }

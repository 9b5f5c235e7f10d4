"""`jianfu simulate`: what a changed plan would have done, beside the plan in force and the records."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from analytics import console, verbs
from analytics.desk.outcome import LEDGERS, Outcome, sections
from analytics.release import csv_text
from analytics.tiers import TIER


def add(command: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """Add the command to the parser; `command` takes its name, what runs it and its help."""
    sub = command(
        "simulate", run, "carry scenario files out: fit, people touched, spending, burden before and after"
    )
    sub.add_argument("store")
    sub.add_argument("scenarios", nargs="+", metavar="SCENARIO.toml")
    sub.add_argument(
        "--raw", action="store_true", help="without disclosure control, for the local user's own eyes"
    )
    sub.add_argument("--format", choices=("table", "csv", "json"), default="table")
    sub.add_argument("--out", help="file to write")
    console.add_runner(sub)


def run(args: argparse.Namespace) -> None:
    """Print the result. Raises plans.PlanErrors, plans.PlanHoles, whatif.NoEffect, ValueError."""
    outcomes = verbs.simulations(args.store, args.scenarios, raw=args.raw, runner=args.runner)
    tables = [outcome.table() for outcome in outcomes]
    if args.format == "csv":
        if len(tables) > 1:
            named = zip(args.scenarios, tables, strict=True)
            tables = [
                table.select(pl.lit(Path(file).stem).alias("scenario"), pl.all()) for file, table in named
            ]
        console.put(csv_text(pl.concat(tables, how="diagonal_relaxed")), args.out, bom=True)
    elif args.format == "json":
        told = [
            {"rows": table.to_dicts(), "provenance": _told(outcome)}
            for outcome, table in zip(outcomes, tables, strict=True)
        ]
        whole = told[0] if len(told) == 1 else told
        console.put(json.dumps(whole, ensure_ascii=False, indent=1, default=str), args.out)
    else:
        with console.printing(args.out):
            for outcome, table in zip(outcomes, tables, strict=True):
                _print(outcome, table)


def _told(outcome: Outcome) -> dict[str, Any]:
    """What makes the result checkable: the scenario as carried out, and how each figure was made."""
    answers = [
        {"section": a.section, "measure": a.question.measure, "by": a.question.by, "ledger": name,
         "figure": r.provenance["figure"], "parameters": dict(r.parameters),
         "sql": r.sql, "bound": dict(r.bound)}
        for a in outcome.answers for name, r in a.of.items()
    ]  # fmt: skip
    reform = outcome.answer("own_burden_mean").of["reform"]
    return {
        "scenario": outcome.scenario.model_dump(mode="json", by_alias=True),
        **{k: v for k, v in reform.provenance.items() if k != "scenario"},
        "answers": answers,
    }


def _print(outcome: Outcome, table: pl.DataFrame) -> None:
    place = f"{outcome.scenario.city} {outcome.scenario.plan_year}"
    print(f"{outcome.scenario.name.zh} · {outcome.scenario.name.en} ({place})")
    changes = [
        (c.label, json.dumps(c.value, ensure_ascii=False, default=str)) for c in outcome.scenario.change
    ]
    if changes:
        console.table(("change", "value"), changes)
    for section in sections():
        print(f"\n{section.title.zh} · {section.title.en}")
        rows = table.filter(pl.col("section") == section.id)
        dimensions = [
            c
            for c in rows.columns
            if c not in ("section", "change") and not c.startswith(LEDGERS) and rows[c].drop_nulls().len()
        ]
        shown = [
            f"{name}_{part}"
            for name in LEDGERS
            for part in ("value", "numerator")
            if rows[f"{name}_value"].len() and rows[f"{name}_status"].drop_nulls().len()
        ]
        console.table(
            (*dimensions, *shown, "change"),
            [_line(row, dimensions, shown) for row in rows.iter_rows(named=True)],
        )


def _line(row: dict[str, Any], dimensions: list[str], shown: list[str]) -> tuple[str, ...]:
    cells = [
        "" if row[d] is None else TIER[row[d]].zh if d == "tier" and row[d] in TIER else str(row[d])
        for d in dimensions
    ]
    for name in shown:
        hidden = row[f"{name.rpartition('_')[0]}_status"] == "hidden"
        cells.append(
            "protected"
            if hidden
            else ""
            if row[name] is None
            else f"{row[name]:.6g}"
            if name.endswith("value")
            else f"{row[name]:,.2f}".removesuffix(".00")
        )
    cells.append("" if row["change"] is None else f"{row['change']:+.6g}")
    return tuple(cells)

"""`jianfu`: the command line. Exit codes: 0 done, 1 refused (reasons on stderr), 2 usage, 75 another builder holds the lock."""

import argparse
import json
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import polars as pl

from analytics import console, console_benchmarks, console_intake, console_quality, plans, reference, verbs
from analytics.intake import Refused
from analytics.measures import measures
from analytics.release import Released, csv_text
from analytics.store import Busy, Damaged, NotBuilt, QueryTimeout

BUSY = 75


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    args = _parser().parse_args(arguments)
    try:
        return int(args.run(args) or 0)
    except Refused as refused:
        lines = refused.lines
    except plans.PlanErrors as error:
        lines = list(error.problems)
    except Busy as error:
        print(error, file=sys.stderr)
        return BUSY
    except (NotBuilt, Damaged, QueryTimeout, ValueError, OSError) as error:
        lines = [str(error)]
    for line in lines:
        print(line, file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jianfu", description="减负: burden reduction by tier, from claim extracts"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    sample = command("sample", _sample, "write a synthetic delivery, ingest and build it")
    sample.add_argument("store")
    sample.add_argument("--persons", type=int, default=20_000, help="per city and year (default 20000)")
    sample.add_argument("--cities", default="", help="comma-separated slugs or codes (default: all seven)")
    sample.add_argument("--years", default="2021-2025", help="such as 2023 or 2021-2025")
    sample.add_argument("--seed", type=int, default=20_260_101)
    console_intake.add(command)
    command("build", _build, "build the facts and publish a snapshot").add_argument("store")
    catalogue = command("measures", _measures, "the measure catalogue")
    catalogue.add_argument("--format", choices=("table", "json"), default="table")
    measure = command("measure", _measure, "ask measures of the published snapshot")
    measure.add_argument("store")
    measure.add_argument("measures", nargs="+", metavar="MEASURE")
    measure.add_argument("--by", default="", help="comma-separated dimensions")
    measure.add_argument("--where", action="append", default=[], metavar="DIM=VALUE[,VALUE]")
    measure.add_argument("--set", action="append", default=[], metavar="PARAM=VALUE")
    measure.add_argument(
        "--raw", action="store_true", help="without disclosure control, for the local user's own eyes"
    )
    measure.add_argument("--explain", action="store_true", help="also show definition, SQL and provenance")
    measure.add_argument("--format", choices=("table", "csv", "json", "parquet"), default="table")
    measure.add_argument("--out", help="file to write (needed for parquet)")
    rules = command("plans", _plans, "benefit plans: check, show CITY YEAR, pay CITY YEAR")
    verbs_of_plans = rules.add_subparsers(dest="verb", required=True)
    verbs_of_plans.add_parser("check", help="report every problem of every plan file")
    for verb in ("show", "pay"):
        sub = verbs_of_plans.add_parser(verb)
        sub.add_argument("city")
        sub.add_argument("year", type=int)
        sub.add_argument("--format", choices=("table", "json"), default="table")
    sub.add_argument("--tier", required=True)
    sub.add_argument(
        "--amount", required=True, help="yuan: the tier's eligible base accumulated over the year"
    )
    sub.add_argument("--for", dest="groups", default="general", help="person groups, comma-separated")
    sub.add_argument("--liability")
    console_quality.add(command)
    console_benchmarks.add(command)
    command("verify", _verify, "hash every file of a store again").add_argument("store")
    serve = command("serve", _serve, "serve the dashboard on this machine")
    serve.add_argument("store", nargs="?", default="store")
    serve.add_argument("--port", type=int, default=8501)
    return parser


def _pairs(items: Sequence[str], what: str) -> dict[str, str]:
    pairs = dict(item.partition("=")[::2] for item in items)
    wrong = [name for name, value in pairs.items() if not name or not value]
    if wrong or len(pairs) != len(items):
        raise ValueError(f"{what}: write {what} NAME=VALUE, each name once")
    return pairs


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _sample(args: argparse.Namespace) -> None:
    first, _, last = args.years.partition("-")
    if not (first + last).isdecimal() or int(last or first) < int(first):
        raise ValueError(f"--years {args.years}: write a year or a span of years, such as 2023 or 2021-2025")
    cities = [reference.city_code(name) for name in _names(args.cities)] or None
    with console.progress() as progress:
        snapshot = verbs.sample(
            args.store,
            persons=args.persons,
            cities=cities,
            years=list(range(int(first), int(last or first) + 1)),
            seed=args.seed,
            progress=progress,
        )
    print(f"published snapshot {snapshot.id} (synthetic data)")


def _build(args: argparse.Namespace) -> None:
    with console.progress() as progress:
        print(f"published snapshot {verbs.build(args.store, progress=progress).id}")


def _measures(args: argparse.Namespace) -> None:
    if args.format == "json":
        rows = [m.model_dump(mode="json") for m in measures().values()]
        print(json.dumps({"rows": rows, "provenance": {}}, ensure_ascii=False, indent=1))
        return
    console.table(
        ("measure", "名称", "title", "grain", "per"),
        [(m.id, m.title.zh, m.title.en, m.grain, m.per or "") for m in measures().values()],
    )


def _measure(args: argparse.Namespace) -> None:
    where = {name: _names(value) for name, value in _pairs(args.where, "--where").items()}
    answers = verbs.measure(
        args.store,
        args.measures,
        by=_names(args.by),
        where=where,
        parameters=_pairs(args.set, "--set"),
        raw=args.raw,
    )
    table = pl.concat([answer.table for answer in answers], how="diagonal")
    if args.format == "json":
        provenance: dict[str, Any] = {
            **answers[0].provenance,
            "measures": [_explained(a, args.explain) for a in answers],
        }
        console.put(
            json.dumps(
                {"rows": table.to_dicts(), "provenance": provenance},
                ensure_ascii=False,
                indent=1,
                default=str,
            ),
            args.out,
        )
        return
    if args.format == "parquet":
        if not args.out:
            raise ValueError("--format parquet needs --out FILE")
        table.write_parquet(args.out)
    elif args.format == "csv":
        console.put(csv_text(table), args.out, bom=True)
    else:
        console.table(
            table.columns,
            [
                tuple("" if v is None else f"{v:.6g}" if isinstance(v, float) else str(v) for v in row)
                for row in table.rows()
            ],
        )
    if args.explain:
        for answer in answers:
            print(
                json.dumps(_explained(answer, True), ensure_ascii=False, indent=1, default=str).replace(
                    "\\n", "\n"
                ),
                file=sys.stderr,
            )


def _explained(answer: Released, whole: bool) -> dict[str, Any]:
    """What makes an answer checkable: parameters always; definition and the executed SQL when asked."""
    short: dict[str, Any] = {
        "measure": answer.measure.id,
        "parameters": dict(answer.parameters),
        "by": answer.by,
        "where": dict(answer.where),
    }
    if not whole:
        return short
    m = answer.measure
    more: Mapping[str, Any] = {
        "title": m.title.model_dump(), "plain": m.plain.model_dump(), "formula": m.formula, "caveat": m.caveat.model_dump(),
        "source": [s.model_dump() for s in m.source], "unit": m.unit, "grain": m.grain, "checked_by": m.checked_by,
        "sql": answer.sql, "bound": dict(answer.bound), **answer.provenance,
    }  # fmt: skip
    return {**short, **more}


def _plans(args: argparse.Namespace) -> int:
    if args.verb == "check":
        found = plans.check_plans()
        for line in found:
            print(line, file=sys.stderr)
        print(f"{len(found)} problems" if found else f"{len(plans.load_plans())} plans, no problem")
        return 1 if found else 0
    plan = plans.plan_for(args.city, args.year)
    if plan is None:
        raise ValueError(
            f"no plan for {args.city} {args.year}; plans are {', '.join(f'{c}/{y}' for c, y in plans.load_plans())}"
        )
    if args.verb == "show":
        return _show_plan(plan, args.format)
    groups = [g for g in _names(args.groups) if g not in ("general", "resident")]
    result = plans.pay(plan, args.tier, _fen(args.amount), groups=groups, liability=args.liability)
    steps = [
        {
            "over_yuan": step["over_fen"] / 100,
            "up_to_yuan": None if step["up_to_fen"] is None else step["up_to_fen"] / 100,
            "rate": step["rate_bp"] / 10_000,
            "base_yuan": step["base_fen"] / 100,
            "paid_yuan": step["paid_fen_bp"] / 1_000_000,
        }
        for step in result["steps"]
    ]
    if args.format == "json":
        answer = {"paid_yuan": result["paid_fen"] / 100, "own_yuan": result["own_fen"] / 100, "steps": steps}
        more = {key: result[key] for key in ("tier", "liability", "insurance_type", "eligible", "source")}
        print(json.dumps({**answer, **more}, ensure_ascii=False, indent=1))
    else:
        console.table(
            ("paid_yuan", "own_yuan"), [(f"{result['paid_fen'] / 100:.2f}", f"{result['own_fen'] / 100:.2f}")]
        )
        if steps:
            console.table(
                tuple(steps[0]), [tuple("" if v is None else str(v) for v in step.values()) for step in steps]
            )
    return 0


def _fen(yuan: str) -> int:
    try:
        fen = Decimal(yuan) * 100
        if fen != fen.to_integral_value() or fen < 0:
            raise InvalidOperation
    except InvalidOperation as error:
        raise ValueError(
            f"--amount {yuan}: write yuan with at most two decimals, such as 60000 or 60000.50"
        ) from error
    return int(fen)


def _show_plan(plan: plans.Plan, form: str) -> int:
    if form == "json":
        print(
            json.dumps(
                {"rows": [plan.model_dump(mode="json", by_alias=True)], "provenance": {}},
                ensure_ascii=False,
                indent=1,
            )
        )
        return 0
    rows = []
    for r in plan.tier:  # every value with the class of its own source
        values = {"deductible": str(r.deductible), "bands": _bands(r.bands), "ceiling": _ceiling(r.ceiling)}
        shown = [f"{text} ({plan.source_class(r, field)})" for field, text in values.items()]
        rows.append((r.id, r.liability, r.insurance_type, *shown, str(len(r.variants))))
    console.table(("tier", "liability", "for", "deductible", "bands", "ceiling", "variants"), rows)
    return 0


def _bands(bands: Any) -> str:
    return bands if isinstance(bands, str) else "; ".join(f">{b.over}: {float(b.rate):.0%}" for b in bands)


def _ceiling(ceiling: Any) -> str:
    return ceiling if isinstance(ceiling, str) else f"{ceiling.on} {ceiling.amount}"


def _verify(args: argparse.Namespace) -> int:
    found = verbs.verify(args.store)
    for line in found:
        print(line, file=sys.stderr)
    print(f"{len(found)} problems" if found else "every file is as it was sealed")
    return 1 if found else 0


def _serve(args: argparse.Namespace) -> None:
    """Run app.py on the loopback address."""
    os.environ["JIANFU_STORE"] = str(Path(args.store).resolve())
    os.environ["JIANFU_PORT"] = str(args.port)
    os.chdir(reference.root())
    sys.argv = ["app.py"]
    runpy.run_path(str(reference.root() / "app.py"), run_name="__main__")


if __name__ == "__main__":
    sys.exit(main())

"""`jianfu`: the command line. Exit codes: 0 done, 1 refused (reasons on stderr), 2 usage, 75 another builder holds the lock,
130 stopped by Ctrl-C.
"""

import argparse
import io
import json
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from analytics import console, reference, verbs
from analytics.console import (
    access,
    audit,
    benchmarks,
    intake,
    measures,
    plans,
    quality,
    report,
    survey,
    whatif,
)
from analytics.desk.quality import store_wide
from analytics.facts.checks import overpaid
from analytics.figures import words
from analytics.release import Released, csv_text
from analytics.store import Busy, check_settings

BUSY, STOPPED = 75, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    for stream in (sys.stdout, sys.stderr):  # what is written is not of the code page of a terminal
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=stream.errors)
    args = _parser().parse_args(arguments)
    try:
        check_settings()
        code = int(args.run(args) or 0)
        sys.stdout.flush()
        return code
    except Busy as error:
        print(error, file=sys.stderr)
        return BUSY
    except BrokenPipeError:  # the next program has read enough; nothing is left to be told at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
    except verbs.REFUSALS as error:
        lines = verbs.reasons(error)
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
    intake.add(command)
    build = command("build", _build, "build the facts and publish a snapshot")
    build.add_argument("store")
    console.add_runner(build)
    measures.add(command)
    measure = command("measure", _measure, "ask measures of the published snapshot")
    measure.add_argument("store")
    measure.add_argument("measures", nargs="+", metavar="MEASURE")
    measure.add_argument("--by", default="", help="comma-separated dimensions")
    measure.add_argument("--where", action="append", default=[], metavar="DIM=VALUE[,VALUE]")
    measure.add_argument("--set", action="append", default=[], metavar="PARAM=VALUE")
    measure.add_argument(
        "--se",
        nargs="?",
        const="superpopulation",
        default="",
        metavar="superpopulation|population",
        help="standard errors: as if one draw from a larger population (default), or none, since everybody is in the data",
    )
    measure.add_argument(
        "--se-method",
        default="auto",
        metavar="auto|linearised|convenient|equal_variances|delta|bootstrap",
        help="how (default: what fits)",
    )
    measure.add_argument(
        "--against",
        default="",
        metavar="DIM=VALUE",
        help="differences from this value, with Holm-adjusted p, such as plan_year=2022",
    )
    measure.add_argument(
        "--raw", action="store_true", help="without disclosure control, for the local user's own eyes"
    )
    measure.add_argument(
        "--published", action="store_true", help="from the protected tables alone, as a researcher sees it"
    )
    measure.add_argument("--explain", action="store_true", help="also show definition, SQL and provenance")
    measure.add_argument("--format", choices=("table", "csv", "json", "parquet"), default="table")
    measure.add_argument("--out", help="file to write (needed for parquet)")
    measure.add_argument(
        "--scenario",
        default="observed",
        metavar="observed|plan|FILE",
        help="as recorded (default), the plan in force replayed, or a scenario file; the latter two of one city and year",
    )
    console.add_runner(measure)
    whatif.add(command)
    plans.add(command)
    quality.add(command)
    survey.add(command)
    benchmarks.add(command)
    report.add(command)
    access.add(command)
    audit.add(command)
    command("verify", _verify, "hash every file of a store again").add_argument("store")
    serve = command("serve", _serve, "serve the dashboard on this machine")
    serve.add_argument("store", nargs="?", default="store")
    serve.add_argument("--port", type=int, default=8501)
    serve.add_argument("--server", metavar="CONFIG", help="serve others, who log in, as this file says")
    return parser


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
        snapshot = verbs.build(args.store, runner=args.runner, progress=progress)
    print(f"published snapshot {snapshot.id}")
    for place in store_wide(snapshot)["withheld"]:
        text = "{city} {plan_year}: 没有受保护的表格 no protected tables: {title[zh]} {title[en]}"
        print(text.format(**place), file=sys.stderr)
    for row in overpaid(snapshot.manifest):
        told = f"commercial payments of {row['rows']} persons exceed their burden by {row['fee_fen'] / 100:,.2f} yuan ({row['over_limit']:.0%} of the payments)"
        how = f"check amounts, year and persons of the claims; `jianfu quality {args.store} --rule I11`"
        print(f"warn: I11: {row['city']} {row['plan_year']}: {told}; {how}", file=sys.stderr)


def _measure(args: argparse.Namespace) -> None:
    where = {name: _names(value) for name, value in console.pairs(args.where, "--where").items()}
    if args.se_method != "auto" and not (args.se or args.against):
        raise ValueError("--se-method: says how errors are computed; ask for them by --se or --against")
    answers = verbs.measure(
        args.store,
        args.measures,
        by=_names(args.by),
        where=where,
        parameters=console.pairs(args.set, "--set"),
        scenario=args.scenario,
        se=args.se,
        se_method=args.se_method,
        against=next(iter(console.pairs([args.against], "--against").items())) if args.against else None,
        raw=args.raw,
        published=args.published,
        runner=args.runner,
    )
    table = pl.concat([answer.table for answer in answers], how="diagonal")
    for over in dict.fromkeys(a.provenance.get("payments_over_burden") for a in answers):
        if over:
            print(
                f"warn: I11: commercial payments exceed the persons' burden by so much of the payments: {over}; burdens there cannot be relied on",
                file=sys.stderr,
            )
    noted = pl.concat([_noted(answer) for answer in answers], how="diagonal")
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
        noted.write_parquet(args.out)
    elif args.format == "csv":
        console.put(csv_text(noted), args.out, bom=True)
    else:
        with console.printing(args.out):
            console.table(
                table.columns,
                [
                    tuple("" if v is None else f"{v:.6g}" if isinstance(v, float) else str(v) for v in row)
                    for row in table.rows()
                ],
            )
    for places in dict.fromkeys(a.provenance["withheld"] for a in answers if "withheld" in a.provenance):
        for text in words.both("figure.withheld").values():
            print(text.format(places=places), file=sys.stderr)
    if args.explain:
        for answer in answers:
            print(
                json.dumps(_explained(answer, True), ensure_ascii=False, indent=1, default=str).replace(
                    "\\n", "\n"
                ),
                file=sys.stderr,
            )


def _noted(answer: Released) -> pl.DataFrame:
    """The rows with the id of the answer they are of."""
    return answer.table.with_columns(figure=pl.lit(answer.provenance["figure"]))


def _explained(answer: Released, whole: bool) -> dict[str, Any]:
    """What makes an answer checkable: parameters always; definition and the executed SQL when asked."""
    short: dict[str, Any] = {
        "measure": answer.measure.id,
        "figure": answer.provenance["figure"],
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


def _verify(args: argparse.Namespace) -> int:
    found = verbs.verify(args.store)
    for line in found:
        print(line, file=sys.stderr)
    print(f"{len(found)} problems" if found else "every file is as it was sealed")
    return 1 if found else 0


def _serve(args: argparse.Namespace) -> None:
    """Run app.py: on the loopback address, or as a server configuration says."""
    if not 0 < args.port < 65_536:
        raise ValueError(f"--port {args.port}: write a number from 1 to 65535")
    store, config = Path(args.store).resolve(), args.server or os.environ.get("JIANFU_SERVER")
    access.must_be_safe(store, config)
    os.environ["JIANFU_STORE"] = str(store)
    if config:
        os.environ["JIANFU_SERVER"] = str(Path(config).resolve())
    os.environ["JIANFU_PORT"] = str(args.port)
    os.chdir(reference.root())
    sys.argv = ["app.py"]
    runpy.run_path(str(reference.root() / "app.py"), run_name="__main__")


if __name__ == "__main__":
    sys.exit(main())

"""`jianfu plans`: check the plan files, show one, pay an amount by it, explain a person's year."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from analytics import console, plans, verbs
from analytics.plans.case import fen
from analytics.plans.model import Capacity, CrossRegion, HospitalLevel


def add(command: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """Add the command to the parser; `command` takes its name, what runs it and its help."""
    text = "benefit plans: check, show CITY YEAR, pay CITY YEAR, explain CITY YEAR CASE.csv"
    parts = command("plans", run, text).add_subparsers(dest="verb", required=True)
    parts.add_parser("check", help="report every problem of every plan file")
    made = {}
    for verb, what in (
        ("show", "every row with the class of its sources"),
        ("pay", "what one liability pays on an amount, step by step"),
        ("explain", "every step of one person's year, claims from a CSV in yuan"),
    ):
        made[verb] = parts.add_parser(verb, help=what, description=what)
        made[verb].add_argument("city")
        made[verb].add_argument("year", type=int)
        made[verb].add_argument("--format", choices=("table", "json"), default="table")
    pay = made["pay"]
    pay.add_argument("--tier", required=True)
    pay.add_argument(
        "--amount", required=True, help="yuan: the tier's eligible base accumulated over the year"
    )
    pay.add_argument("--for", dest="groups", default="general", help="person groups, comma-separated")
    pay.add_argument("--liability")
    pay.add_argument("--years", type=int, help="continuous years of cover, this one included (default 1)")
    pay.add_argument(
        "--capacity", choices=get_args(Capacity), help="fifth of household income, 1 the poorest"
    )
    pay.add_argument("--product", help="code of the product bought")
    pay.add_argument("--level", choices=get_args(HospitalLevel), help="hospital level of the settlement")
    pay.add_argument("--region", choices=get_args(CrossRegion), default="local", help="where care was given")
    explain = made["explain"]
    explain.add_argument(
        "case", nargs="?", help="CSV of claims, header as in data/plans/README.md, amounts in yuan"
    )
    explain.add_argument(
        "--store", help="instead of a CSV: a person of this store, for the local user's own eyes"
    )
    explain.add_argument("--person", help="number or certificate number as delivered")
    explain.add_argument(
        "--key", help="secret file of the pseudonyms, where it does not lie beside the store"
    )


def run(args: argparse.Namespace) -> int:
    """Run one verb; returns the exit code. Raises ValueError for what cannot be asked."""
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
    {"show": _show, "pay": _pay, "explain": _explain}[args.verb](plan, args)
    return 0


def _pay(plan: plans.Plan, args: argparse.Namespace) -> None:
    try:
        amount = fen(args.amount)
    except ValueError as error:
        raise ValueError(f"--amount {args.amount}: {error}") from error
    groups = [g for g in map(str.strip, args.groups.split(",")) if g not in ("", "general", "resident")]
    result = plans.pay(
        plan,
        args.tier,
        amount,
        groups=groups,
        liability=args.liability,
        hospital_level=args.level,
        cross_region=args.region,
        years=args.years,
        capacity=args.capacity,
        product=args.product,
    )
    steps = [
        {
            "over_yuan": _yuan(step["over_fen"]),
            "up_to_yuan": _yuan(step["up_to_fen"]),
            "rate": step["rate_bp"] / 10_000,
            "base_yuan": _yuan(step["base_fen"]),
            "paid_yuan": step["paid_fen_bp"] / 1_000_000,
            "clause": step["clause"],
        }
        for step in result["steps"]
    ]
    paid = {f"{key}_yuan": _yuan(result[f"{key}_fen"]) for key in ("paid", "own", "due", "ceiling")}
    if args.format == "json":
        more = {
            key: result[key]
            for key in ("tier", "liability", "insurance_type", "eligible", "source", "ceiling_clause")
        }
        print(json.dumps({**paid, "steps": steps, **more}, ensure_ascii=False, indent=1))
        return
    console.table(("paid_yuan", "own_yuan"), [(f"{paid['paid_yuan']:.2f}", f"{paid['own_yuan']:.2f}")])
    rows = [{**step, "clause": _clause(step["clause"])} for step in steps]
    console.table(
        tuple(rows[0]), [tuple("" if v is None else str(v) for v in step.values()) for step in rows]
    )


def _yuan(amount: int | None) -> float | None:
    return None if amount is None else amount / 100


def _clause(clause: dict[str, Any]) -> str:
    return f"{clause['field']}: {clause['title']} ({clause['class']})"


def _explain(plan: plans.Plan, args: argparse.Namespace) -> None:
    if bool(args.case) == bool(args.store) or bool(args.store) != bool(args.person):
        raise ValueError("plans explain: name either a CSV of claims, or --store STORE and --person NUMBER")
    if args.store:
        steps, case = verbs.explain(args.store, plan.city, plan.plan_year, args.person, key=args.key), "store"
    else:
        steps, case = plans.explain(plan, _case(plan, Path(args.case))), Path(args.case).name
    if args.format == "json":
        provenance = {"city": plan.city, "plan_year": plan.plan_year, "case": case}
        print(
            json.dumps(
                {"rows": [_in_yuan(step) for step in steps], "provenance": provenance},
                ensure_ascii=False,
                indent=1,
            )
        )
        return
    columns = ("row", "seq", "label", "base_yuan", "paid_yuan", "own_yuan", "clause", "说明", "sentence")
    rows = []
    for step in steps:
        amounts = (_yuan(step.get(f"{key}_fen")) for key in ("base", "paid", "own"))
        shown = ("" if amount is None else f"{amount:.2f}" for amount in amounts)
        said = (_clause(step["clause"]), step["sentence"]["zh"], step["sentence"]["en"])
        rows.append((str(step["row"]), str(step["seq"]), step["label"], *shown, *said))
    console.table(columns, rows)


def _case(plan: plans.Plan, path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: is not UTF-8 text: save it as CSV UTF-8") from error
    try:
        return plans.read_case(text, [product.code for product in plan.product])
    except ValueError as error:
        raise ValueError("\n".join(f"{path.name}: {line}" for line in str(error).splitlines())) from error


def _in_yuan(value: Any) -> Any:
    """The same answer in outside units: every `<name>_fen` becomes `<name>_yuan`, and rate_bp a rate."""
    if isinstance(value, list):
        return [_in_yuan(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, item in value.items():
        name = key.removesuffix("_fen").removesuffix("_bp")
        if key.endswith("_fen"):
            found[f"{name}_yuan"] = _yuan(item)
        else:
            found[name] = item / 10_000 if key.endswith("_bp") else _in_yuan(item)
    return found


def _show(plan: plans.Plan, args: argparse.Namespace) -> None:
    if args.format == "json":
        print(
            json.dumps(
                {"rows": [plan.model_dump(mode="json", by_alias=True)], "provenance": {}},
                ensure_ascii=False,
                indent=1,
            )
        )
        return
    rows = []
    for r in plan.tier:  # every value with the class of its own source
        values = {"deductible": str(r.deductible), "bands": _bands(r.bands), "ceiling": _ceiling(r.ceiling)}
        shown = [f"{text} ({plan.source_class(r, field)})" for field, text in values.items()]
        who = ", ".join([r.insurance_type, *r.product])
        rows.append((r.id, r.liability, who, *shown, str(len(r.variants))))
    console.table(("tier", "liability", "for", "deductible", "bands", "ceiling", "variants"), rows)


def _bands(bands: Any) -> str:
    return bands if isinstance(bands, str) else "; ".join(f">{b.over}: {float(b.rate):.0%}" for b in bands)


def _ceiling(ceiling: Any) -> str:
    return ceiling if isinstance(ceiling, str) else f"{ceiling.on} {ceiling.amount}"

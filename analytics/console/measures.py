"""`jianfu measures`: the catalogue, and the method card of a measure in both languages."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from analytics import console, methods
from analytics.measures import measures
from analytics.methods import Card, Worked
from analytics.reference import Text


def add(command: Any) -> None:
    """Add the command to the parser."""
    parser = command("measures", run, "the measure catalogue, or the method cards of some measures")
    parser.add_argument("measures", nargs="*", metavar="MEASURE")
    parser.add_argument("--format", choices=("table", "json"), default="table")


def run(args: argparse.Namespace) -> None:
    wanted = args.measures or list(measures())
    cards = [methods.card(name) for name in wanted]
    if args.format == "json":
        rows = [_data(card, bool(args.measures)) for card in cards]
        print(json.dumps({"rows": rows, "provenance": {}}, ensure_ascii=False, indent=1, default=str))
    elif args.measures:
        print("\n\n".join(_text(card) for card in cards))
    else:
        console.table(
            ("measure", "名称", "title", "group", "grain", "per"),
            [
                (m.id, m.title.zh, m.title.en, m.group, m.grain, m.per or "")
                for m in (card.measure for card in cards)
            ],
        )


def _data(card: Card, worked: bool) -> dict[str, Any]:
    """`worked`: with the worked example, which takes a moment to compute."""
    example = card.example if worked else None
    more: dict[str, Any] = {
        "rules": [
            {
                "resource": r.resource,
                "threshold": r.threshold,
                "sign": r.sign.model_dump(),
                "zero": r.zero.model_dump(),
            }
            for r in card.rules
        ],
        "settings": [
            {"id": s.id, "default": s.default.model_dump(), "values": list(s.values), "fixed": s.fixed}
            for s in card.settings
        ],
        "checks": [text.model_dump() for text in card.checks],
        "example": None
        if example is None
        else {
            "parameters": dict(example.answer.parameters),
            "rows": example.answer.table.to_dicts(),
            "exact": {tier: str(value) for tier, value in example.exact.items()},
            "households": methods.households().select("id", *example.columns).to_dicts(),
            "adds": example.parts.to_dicts(),
            "sql": example.answer.sql,
            "bound": dict(example.answer.bound),
        },
    }
    return {**card.measure.model_dump(mode="json"), **more}


def _both(text: Text) -> str:
    return text.zh if text.zh == text.en else f"{text.zh}  {text.en}"


def _text(card: Card) -> str:
    form, said = card.measure, methods.words()
    lines = [f"{form.title.zh}  {form.title.en}  ({form.id})", f"  {_both(said.group[form.group])}"]
    lines += ["", f"  {form.plain.zh}", f"  {form.plain.en}", "", f"  {form.formula}"]
    lines += ["", f"  分子 numerator    {form.numerator}", f"  分母 denominator  {form.denominator}"]
    for name, each in form.sums.items():
        lines.append(f"    {name} = sum of {each.of}{f' x ({each.times})' if each.times else ''}")
    only = [text for text in (form.where, form.usable) if text != "true"]
    lines += [f"  只计 only         {text}" for text in only]
    lines += [
        f"  单位 unit         {form.unit}",
        "",
        f"  注意 caveat: {form.caveat.zh}",
        f"    {form.caveat.en}",
    ]
    lines += [f"  出处 source: {', '.join(p for p in (s.title, s.where) if p)}" for s in form.source]
    if card.rules:
        lines += ["", "  怎样算超过 when a burden counts as above"]
        lines += [
            f"    {r.resource} {r.threshold}: {'; '.join(text.en for text in (r.sign, r.zero) if text.en)}"
            for r in card.rules
        ]
    if card.settings:
        lines += ["", "  参数 parameters"]
        fixed = f" ({_both(said.words['fixed'])})"
        for one in card.settings:
            told = f"{_both(one.default)}{fixed if one.fixed else ''}"
            lines.append(f"    {one.id}: {told}; {', '.join(one.values)}")
    lines += ["", "  算例 worked example"]
    lines += [
        f"    {line}"
        for line in (_example(card.example) if card.example else [_both(said.words["no_example"])])
    ]
    lines += ["", "  核对 checks", *(f"    {_both(text)}" for text in card.checks)]
    return "\n".join(lines)


def _example(example: Worked) -> list[str]:
    asked = " ".join(f"--set {name}={value}" for name, value in example.answer.parameters.items())
    homes = methods.households().select("id", *example.columns)
    sums = [c for c in example.parts.columns if c not in homes.columns and c not in ("usable", "tier")]
    tiers = example.answer.table["tier"] if "tier" in example.answer.by else [""]
    lines = [asked] if asked else []
    for tier in tiers:
        rows = example.parts.filter(pl.col("tier") == tier) if tier else example.parts
        table = homes.join(rows.filter("usable").select("id", *sums), on="id", how="left").sort("id")
        lines += [*([f"[{tier}]"] if tier else []), *_columns(table)]
    for row in example.answer.table.to_dicts():
        exact = example.exact.get(row.get("tier") or "all")
        told = f"{row['numerator']:.10g} / {row['denominator']:.10g} = {row['value']:.10g}"
        lines.append(
            f"{row.get('tier', '')} {told}{f' (exactly {exact})' if exact is not None else ''}".strip()
        )
    return [*lines, "SQL", *example.answer.sql.splitlines()]


def _columns(table: pl.DataFrame) -> Sequence[str]:
    """A table in columns of equal width."""
    cells = [table.columns, *([("" if v is None else f"{v:.6g}") for v in row] for row in table.rows())]
    widths = [max(len(row[i]) for row in cells) for i in range(table.width)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]

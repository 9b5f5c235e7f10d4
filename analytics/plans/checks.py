"""What must hold between the values of a plan file, beyond the form of each value.

Every function returns problems as (row label, field, text); an empty list means none.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from analytics.plans.model import SOURCED_FIELDS, Ceiling, TierRule
from analytics.plans.schedule import Unresolved, cells, resolve_cell
from analytics.reference import City
from analytics.tiers import TIER

Problem = tuple[str, str, str]


def check_rows(rows: Sequence[TierRule]) -> list[Problem]:
    """The rows that passed the form, in file order, each alone and against the others."""
    found = [problem for rule in rows for problem in check_row(rule)]
    return found + _adjacent(rows) + _unique(rows) + _shared(rows)


def check_row(rule: TierRule) -> list[Problem]:
    """One row: tier id, lists, the base, selectors, bands of every class of persons."""
    found = []

    def problem(field: str, text: str) -> None:
        found.append((rule.label, field, text))

    if rule.id not in TIER:
        problem("id", f"{rule.id!r} is no tier: write one of {', '.join(TIER)}")
    if rule.advance_share and rule.base != "in_policy_own":
        problem(
            "advance_share",
            f'counts only with base = "in_policy_own", not {rule.base!r}: drop it or change base',
        )
    lists: list[tuple[str, Sequence[str]]] = [
        ("scope", rule.scope), ("for", rule.groups), ("cross_region", rule.cross_region)
    ]  # fmt: skip
    for position, variant in enumerate(rule.variants, 1):
        at = f"variants[{position}]"
        lists += [
            (f"{at}.for", variant.groups),
            (f"{at}.hospital_level", variant.hospital_level),
        ]
        lists += [(f"{at}.cross_region", variant.cross_region)]
        if not (variant.groups or variant.hospital_level or variant.cross_region):
            problem(at, "selects nobody: give it for, hospital_level or cross_region")
        if all(
            v is None
            for v in (
                variant.deductible,
                variant.bands,
                variant.rate_plus,
                variant.ceiling,
            )
        ):
            problem(at, "changes nothing: give it deductible, bands, rate_plus or ceiling")
        if variant.hospital_level or variant.cross_region:
            if rule.per == "year":
                problem(
                    at,
                    'hospital_level and cross_region select single settlements: only with per = "event"',
                )
            if variant.ceiling is not None:
                problem(
                    f"{at}.ceiling",
                    "a ceiling is for the year: it cannot depend on the hospital or the place",
                )
    found += [
        (rule.label, name, "names a value twice: keep one") for name, xs in lists if len(set(xs)) < len(xs)
    ]
    for field in rule.source_of:
        if field not in SOURCED_FIELDS:
            problem(
                f"source_of.{field}",
                f"is no field of a row: write one of {', '.join(SOURCED_FIELDS)}",
            )
    ordered = True
    for name, bands in [
        ("bands", rule.bands),
        *((f"variants[{i}].bands", v.bands) for i, v in _numbered(rule)),
    ]:
        edges = [band.over for band in bands or () if not isinstance(band, str)]
        if edges != sorted(set(edges)):
            ordered = False
            problem(
                name, f"are not ascending in over ({', '.join(map(str, edges))}): order them, each edge once"
            )
    for name, ceiling in [
        ("ceiling", rule.ceiling),
        *((f"variants[{i}].ceiling", v.ceiling) for i, v in _numbered(rule)),
    ]:
        if isinstance(ceiling, Ceiling) and ceiling.on == "eligible" and rule.per == "event":
            problem(
                name,
                'on = "eligible" limits the base of the year: only with per = "year"',
            )
    return found + (_classes(rule) if ordered else [])


def _numbered(rule: TierRule) -> list[tuple[int, Any]]:
    return list(enumerate(rule.variants, 1))


def _classes(rule: TierRule) -> list[Problem]:
    """Every class of persons the variants make: bands reach down to the deductible, rates stay shares."""
    found: dict[tuple[str, str], str] = {}
    for cell in cells(rule):
        values = {value for name, held in cell.values for value in (held if held - {"yes", "no"} else {name})
                  if held != {"no"} and value != "other"}  # fmt: skip
        who = f" for {', '.join(sorted(values))}" if values else ""
        try:
            schedule = resolve_cell(rule, cell)
        except Unresolved:
            continue
        for step in schedule.steps:
            if not 0 <= step.rate_bp <= 10_000:
                text = f"the rate{who} becomes {step.rate_bp / 10_000:.4g}, outside 0 to 1: change rate_plus or bands"
                found.setdefault(("variants", str(step.rate_bp)), text)
        if not schedule.steps:
            found.setdefault(
                ("ceiling", "none"),
                f"the eligible ceiling{who} lies at or below the deductible",
            )
        elif schedule.starts_late:
            edge = schedule.steps[0].over // 100
            text = f"the first band{who} starts at {edge}, above the deductible: start it at or below (over = 0 will do)"
            found.setdefault(("bands", str(edge)), text)
    return [(rule.label, field, text) for (field, _), text in found.items()]


def _adjacent(rows: Sequence[TierRule]) -> list[Problem]:
    done: set[str] = set()
    found = []
    for before, rule in zip((None, *rows), rows, strict=False):
        if before is not None and rule.id != before.id:
            done.add(before.id)
            if rule.id in done:
                found.append(
                    (
                        rule.label,
                        "id",
                        f"rows of {rule.id} stand apart: put the rows of a tier together",
                    )
                )
    return found


def _unique(rows: Sequence[TierRule]) -> list[Problem]:
    return [
        (
            rule.label,
            "liability",
            f"overlaps with {before.label}: use another liability, or other insurance types",
        )
        for position, rule in enumerate(rows)
        for before in rows[:position]
        if (rule.id, rule.liability) == (before.id, before.liability) and rule.shares_persons_with(before)
    ]


def _shared(rows: Sequence[TierRule]) -> list[Problem]:
    found = []
    for position, rule in enumerate(rows):
        if rule.shared_deductible is None:
            continue
        alike = [
            (i, r)
            for i, r in enumerate(rows)
            if r is not rule and r.id == rule.id and r.shared_deductible == rule.shared_deductible
            and r.shares_persons_with(rule)
        ]  # fmt: skip
        if not alike:
            text = f"no other liability of {rule.id} shares {rule.shared_deductible!r}: name a second one or drop it"
            found.append((rule.label, "shared_deductible", text))
        for i, other in alike:
            if i > position:
                continue
            if rule.per != other.per:
                found.append(
                    (
                        rule.label,
                        "per",
                        f"differs from {other.label}, which shares the deductible: make them equal",
                    )
                )
            if _deductibles(rule) != _deductibles(other):
                text = f"differs from {other.label}, which shares it (in the row or in variants): make them equal"
                found.append((rule.label, "deductible", text))
    return found


def _deductibles(rule: TierRule) -> tuple[Any, ...]:
    changes = [(v.groups, v.hospital_level, v.cross_region, v.deductible) for v in rule.variants]
    return (rule.deductible, *(change for change in changes if change[-1] is not None))


def check_sources(
    declared: Iterable[str], used: Iterable[tuple[str, str, str]], complete: bool
) -> list[Problem]:
    """`used`: (row label, field, source id). Unused ones are reported only if `complete`: every row was readable."""
    ids = set(declared)
    uses = list(used)
    found = [
        (
            label,
            field,
            f"source {source!r} is not declared: add [sources.{source}] or correct the id",
        )
        for label, field, source in uses
        if source not in ids
    ]
    if complete:
        idle = sorted(ids - {source for _, _, source in uses})
        found += [("", f"sources.{source}", "is used by no value: use it or remove it") for source in idle]
    return found


def check_place(
    folder: str,
    stem: str,
    city: object,
    plan_year: object,
    known: dict[str, City] | None,
) -> list[Problem]:
    """City and year against the file's place `<city slug>/<year>.toml`. `known` None: the list of cities is absent."""
    found = []
    if isinstance(city, str) and re.fullmatch(r"[0-9]{6}", city) and known is not None:
        if city not in known:
            found.append(
                (
                    "",
                    "city",
                    f"{city} is not in data/reference/cities.toml: correct it or add the city there",
                )
            )
        elif known[city].slug != folder:
            found.append(
                (
                    "",
                    "city",
                    f"{city} is {known[city].slug}, but the file lies in {folder}/: move or correct it",
                )
            )
    if isinstance(plan_year, int) and stem != str(plan_year):
        found.append(
            (
                "",
                "plan_year",
                f"is {plan_year}, but the file is named {stem}.toml: rename or correct it",
            )
        )
    return found

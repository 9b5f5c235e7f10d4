"""What must hold between the values of a plan file, beyond the form of each value.

Every function returns problems as (row label, field, text); an empty list means none.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from analytics.plans.model import SOURCED_FIELDS, Ceiling, Eligibility, Premium, TierRule, Variant
from analytics.plans.schedule import OTHER, classes
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
    for group in sorted(set(rule.groups) & set(rule.not_for)):
        problem("not_for", f"{group!r} stands in for too: keep one")
    for name in ("product", "waiting_days"):
        if getattr(rule, name) and not rule.voluntary:
            problem(name, "is for insurance that is bought: add voluntary = true or drop it")
    for position, variant in _numbered(rule):
        found += _variant(rule, variant, f"variants[{position}]")
    found += [
        (rule.label, name, "names a value twice: keep one")
        for name, xs in _lists(rule)
        if len(set(xs)) < len(xs)
    ]
    found += _loyalty(rule)
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
    for name, ceiling in _ceilings(rule):
        if isinstance(ceiling, Ceiling) and ceiling.on == "eligible" and rule.per == "event":
            problem(
                name,
                'on = "eligible" limits the base of the year: only with per = "year"',
            )
    return found + (_classes(rule) if ordered else [])


def _numbered(rule: TierRule) -> list[tuple[int, Variant]]:
    return list(enumerate(rule.variants, 1))


def _lists(rule: TierRule) -> list[tuple[str, Sequence[str]]]:
    found: list[tuple[str, Sequence[str]]] = [
        ("scope", rule.scope), ("for", rule.groups), ("not_for", rule.not_for), ("product", rule.product),
        ("cross_region", rule.cross_region),
    ]  # fmt: skip
    for position, v in _numbered(rule):
        lists = {"for": v.groups, "hospital_level": v.hospital_level, "cross_region": v.cross_region}
        found += [
            (f"variants[{position}].{name}", xs) for name, xs in [*lists.items(), ("capacity", v.capacity)]
        ]
    return found


def _variant(rule: TierRule, variant: Variant, at: str) -> list[Problem]:
    """A variant selects someone, changes something, and only what its selectors can decide."""
    found = []

    def problem(field: str, text: str) -> None:
        found.append((rule.label, field, text))

    if not any(variant.selectors):
        problem(
            at,
            "selects nobody: give it for, hospital_level, cross_region, years_at_least, years_at_most or capacity",
        )
    if variant.years_at_least == 1:
        problem(f"{at}.years_at_least", "is 1, and everybody is in the first year or beyond: drop it")
    first, last = variant.years_at_least, variant.years_at_most
    if first is not None and last is not None and first > last:
        problem(f"{at}.years_at_most", f"is {last}, below years_at_least ({first}): correct one")
    changes = (variant.deductible, variant.bands, variant.rate_plus, variant.ceiling)
    if all(change is None for change in changes):
        problem(at, "changes nothing: give it deductible, bands, rate_plus or ceiling")
    if variant.hospital_level or variant.cross_region:
        if rule.per == "year":
            problem(at, 'hospital_level and cross_region select single settlements: only with per = "event"')
        if variant.ceiling is not None:
            problem(
                f"{at}.ceiling", "a ceiling is for the year: it cannot depend on the hospital or the place"
            )
    return found


def _ceilings(rule: TierRule) -> list[tuple[str, Any]]:
    """Every ceiling of a row, with its field."""
    own = [(f"variants[{i}].ceiling", v.ceiling) for i, v in _numbered(rule) if v.ceiling is not None]
    return [("ceiling", rule.ceiling), *own]


def _loyalty(rule: TierRule) -> list[Problem]:
    """Loyalty lifts what may be paid in a year: it needs such a limit, and something to lift it by."""
    if rule.loyalty is None:
        return []
    found = []
    if not (rule.loyalty.per_year or rule.loyalty.zero_claim):
        found.append((rule.label, "loyalty", "adds nothing: give it per_year or zero_claim, or drop it"))
    return found + _payout_only(rule, "loyalty lifts")


def _payout_only(rule: TierRule, what: str) -> list[Problem]:
    """Problems where a row has no payout ceiling, or an eligible one, though `what` a payout ceiling."""
    found = [
        (rule.label, field, f'{what} a payout ceiling: write on = "payout"')
        for field, ceiling in _ceilings(rule)
        if isinstance(ceiling, Ceiling) and ceiling.on == "eligible"
    ]
    if all(ceiling == "none" for _, ceiling in _ceilings(rule)):
        found.append((rule.label, "ceiling", f'{what} a payout ceiling: write one instead of "none"'))
    return found


def _classes(rule: TierRule) -> list[Problem]:
    """Every class of persons the variants make: bands reach down to the deductible, rates stay shares."""
    found: dict[tuple[str, str], str] = {}
    for cell, schedule in classes(rule).items():
        values = {
            _value(name, value) for name, held in cell.values for value in held if value not in ("no", OTHER)
        }
        who = f" for {', '.join(sorted(values))}" if values else ""
        if schedule is None:
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


def _value(dimension: str, value: str) -> str:
    """A value of a class as a message names it."""
    numbered = {"hospital_level": "level", "years": "year", "capacity": "capacity"}
    if dimension in numbered:
        return f"{numbered[dimension]} {value}"
    return dimension if value == "yes" else value


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
    """Rows of a tier that share a deductible or a ceiling: at least two, alike in what they share."""
    found = []
    for what in ("deductible", "ceiling"):
        for position, rule in enumerate(rows):
            name = getattr(rule, f"shared_{what}")
            if name is None:
                continue
            alike = [
                (i, r)
                for i, r in enumerate(rows)
                if r is not rule and r.id == rule.id and getattr(r, f"shared_{what}") == name
                and r.shares_persons_with(rule)
            ]  # fmt: skip
            if not alike:
                text = f"no other liability of {rule.id} shares {name!r}: name a second one or drop it"
                found.append((rule.label, f"shared_{what}", text))
            if what == "ceiling":
                found += _payout_only(rule, "shared is")
            for i, other in alike:
                found += _unlike(rule, other, what) if i < position else []
    return found


def _unlike(rule: TierRule, other: TierRule, what: str) -> list[Problem]:
    """How a row differs from an earlier one in what both share."""
    found = []
    if rule.per != other.per:
        text = f"differs from {other.label}, which shares the {what}: make them equal"
        found.append((rule.label, "per", text))
    pairs: list[tuple[str, Any, Any]] = [(what, _values(rule, what), _values(other, what))]
    if what == "ceiling":
        pairs.append(("loyalty", rule.loyalty, other.loyalty))
    for field, ours, theirs in pairs:
        if ours != theirs:
            text = f"differs from {other.label}, which shares it (in the row or in variants): make them equal"
            found.append((rule.label, field, text))
    return found


def _values(rule: TierRule, field: str) -> tuple[Any, ...]:
    changes = [(v.selectors, getattr(v, field)) for v in rule.variants]
    return (getattr(rule, field), *(change for change in changes if change[-1] is not None))


def check_products(
    codes: Sequence[str],
    rows: Iterable[TierRule],
    premiums: Iterable[Premium],
    eligibility: Iterable[Eligibility],
) -> list[Problem]:
    """Codes stand once; rows, premiums and eligibility name products that are declared; ages are in order."""
    found: list[Problem] = [
        ("", "product", f"code {code!r} stands twice: keep one")
        for code in sorted({c for c in codes if codes.count(c) > 1})
    ]
    named = [(rule.label, code) for rule in rows for code in rule.product]
    for position, premium in enumerate(premiums, 1):
        named.append((f"premium[{position}]", premium.product))
        first, last = premium.age_from, premium.age_to
        if first is not None and last is not None and first > last:
            text = f"is {last}, below age_from ({first}): correct one"
            found.append((f"premium[{position}]", "age_to", text))
    named += [(f"eligibility[{i}]", who.product) for i, who in enumerate(eligibility, 1) if who.product]
    known = ", ".join(codes) or "none declared"
    found += [
        (label, "product", f"{code!r} is no product here ({known}): add or correct it")
        for label, code in named
        if code not in codes
    ]
    return found


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

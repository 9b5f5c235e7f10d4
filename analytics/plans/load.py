"""Plan files into plans. All problems of all files are reported at once, one line each."""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from analytics import reference
from analytics.plans.checks import Problem, check_place, check_products, check_rows, check_sources
from analytics.plans.model import Eligibility, NotModelled, Plan, Premium, Product, TierRule

_PARTS: dict[str, type[reference.Form]] = {
    "tier": TierRule, "product": Product, "premium": Premium, "eligibility": Eligibility, "not_modelled": NotModelled
}  # fmt: skip


class PlanErrors(ValueError):
    """Plan files that cannot be used; `problems` has one line per problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def folder_of_plans() -> Path:
    """Where the plan files lie: `<city slug>/<year>.toml`."""
    return reference.root() / "data" / "plans"


def build_plan(data: Mapping[str, Any], where: str = "plan") -> Plan:
    """A plan from the content of a plan file. Raises PlanErrors with every problem, each line starting with `where`."""
    plan, problems = _examine(data)
    if plan is None or problems:
        raise PlanErrors([_line(where, problem) for problem in problems])
    return plan


def load_plans(
    root: Path | None = None, places: Collection[tuple[str, int]] | None = None
) -> dict[tuple[str, int], Plan]:
    """All plans by (city code, plan year), or those of some `places`. `root`: the folder of city folders, the shipped one by
    default. Raises PlanErrors with all problems of these files.
    """
    files = _stamp(root)
    if places is not None:
        known = reference.places()
        names = {(known[city].slug, str(year)) for city, year in places if city in known}
        files = tuple((path, at) for path, at in files if (path.parent.name, path.stem) in names)
    plans, problems = _read(files)
    if problems:
        raise PlanErrors(list(problems))
    return dict(plans)


def check_plans(root: Path | None = None) -> list[str]:
    """Problems of all plan files, one line each: file: tier/liability: field: what is wrong and what to do."""
    return list(_read(_stamp(root))[1])


def plan_for(city: str, plan_year: int, root: Path | None = None) -> Plan | None:
    """The plan of a place, named by six-digit code or slug, and a plan year; None if there is none."""
    return load_plans(root).get((reference.place_code(city), plan_year))


def _stamp(root: Path | None) -> tuple[tuple[Path, int], ...]:
    files = sorted((root or folder_of_plans()).glob("*/*.toml"))
    return tuple((path, path.stat().st_mtime_ns) for path in files)


@lru_cache(maxsize=4)
def _read(files: tuple[tuple[Path, int], ...]) -> tuple[dict[tuple[str, int], Plan], tuple[str, ...]]:
    """Files into plans and problems; remembered until a file changes."""
    plans: dict[tuple[str, int], Plan] = {}
    problems: list[str] = []
    for path, at in files:
        plan, found = _one(path, at)
        problems += found
        if plan is not None and plans.setdefault((plan.city, plan.plan_year), plan) is not plan:
            problems.append(f"{_where(path)}: file: another file has the same city and plan_year: remove one")
    return plans, tuple(problems)


@cache
def _one(path: Path, _: int) -> tuple[Plan | None, tuple[str, ...]]:
    """A file into its plan and its problems; remembered until it changes."""
    try:
        data = reference.load_toml(path)
    except (ValueError, OSError) as error:
        return None, (f"{_where(path)}: file: {error}",)
    plan, found = _examine(data)
    found += check_place(
        path.parent.name, path.stem, data.get("city"), data.get("plan_year"), _known_places()
    )
    return plan, tuple(_line(_where(path), problem) for problem in found)


def _where(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _known_places() -> dict[str, reference.City] | None:
    try:
        return reference.places()
    except FileNotFoundError:
        return None


def _line(where: str, problem: Problem) -> str:
    return ": ".join(part for part in (where, *problem) if part)


def _examine(data: Mapping[str, Any]) -> tuple[Plan | None, list[Problem]]:
    """The plan if its form is right, and the problems of form and content; rows that can be read are checked anyway."""
    problems: list[Problem] = []
    try:
        plan = Plan.model_validate(data)
    except ValidationError as error:
        plan = None
        # a list whose values are all wrong is also called too short: that says nothing new
        errors = [e for e in error.errors() if not (e["type"] == "too_short" and e["input"])]
        problems = [_form_problem(e, data) for e in errors]
    parts = {
        name: list(getattr(plan, name) if plan else _readable(data.get(name), form))
        for name, form in _PARTS.items()
    }
    rows = [row for row in parts["tier"] if isinstance(row, TierRule)]
    declared = data.get("sources")
    problems += check_rows(rows)
    premiums = [row for row in parts["premium"] if isinstance(row, Premium)]
    joining = [row for row in parts["eligibility"] if isinstance(row, Eligibility)]
    problems += check_products(_codes(data.get("product")), rows, premiums, joining)
    problems += check_sources(
        declared if isinstance(declared, Mapping) else (),
        _uses(parts),
        complete=plan is not None,
    )
    if plan is not None:
        problems += _whole(plan)
    return plan, problems


def _readable(items: Any, form: type[reference.Form]) -> Iterator[reference.Form]:
    for item in items if isinstance(items, list | tuple) else ():
        try:
            yield form.model_validate(item)
        except ValidationError:
            continue


def _codes(products: Any) -> list[str]:
    """The codes written under [[product]], of rows that cannot be read too: what names one is not to blame."""
    rows = products if isinstance(products, list | tuple) else ()
    return [str(row["code"]) for row in rows if isinstance(row, Mapping) and "code" in row]


def _uses(parts: Mapping[str, list[reference.Form]]) -> Iterator[tuple[str, str, str]]:
    """Every place that names a source: (label, field, source id)."""
    for rule in parts["tier"]:
        assert isinstance(rule, TierRule)
        yield rule.label, "source", rule.source
        for field, source in rule.source_of.items():
            yield rule.label, f"source_of.{field}", source
        for position, variant in enumerate(rule.variants, 1):
            if variant.source:
                yield rule.label, f"variants[{position}].source", variant.source
    for name in ("product", "premium", "eligibility", "not_modelled"):
        for position, item in enumerate(parts[name], 1):
            if used := getattr(item, "source", None):
                yield f"{name}[{position}]", "source", used


def _whole(plan: Plan) -> list[Problem]:
    """Dates."""
    found: list[Problem] = []
    if plan.period and not plan.period.start < plan.period.end:
        found.append(("", "period", "ends before it starts: correct the dates"))
    if plan.period and plan.plan_year not in (
        plan.period.start.year,
        plan.period.end.year,
    ):
        found.append(
            (
                "",
                "period",
                f"neither starts nor ends in {plan.plan_year}: correct the dates or plan_year",
            )
        )
    return found


_REMEDY = {
    "missing": "is missing: add it",
    "extra_forbidden": "is not a key of this form: correct the spelling or remove it",
    "too_short": "is empty: give at least one value",
    "string_too_short": "is empty: write a text",
    "int_type": "is not a whole number: write whole yuan without quotes or decimals",
    "greater_than": "is not above zero: write a positive number",
    "greater_than_equal": "is below zero: write zero or more",
    "dict_type": "is not a table",
    "model_type": "is not a table",
    "model_attributes_type": "is not a table",
    "tuple_type": "is not a list: put the values in [ ]",
    "date_from_datetime_parsing": "is not a date: write 2024-01-31 without quotes",
}


def _form_problem(error: Any, data: Mapping[str, Any]) -> Problem:
    """A pydantic error in the words of the file: which row, which field, what is wrong and what to do."""
    path = [step for step in error["loc"] if step not in ("value", "word")]
    kind, got = error["type"], error["input"]
    if kind == "literal_error":
        allowed = error["ctx"]["expected"].replace(" or ", ", ")
        also = "a value or " if "word" in error["loc"] else "one of " if "," in allowed else ""
        text = f"{got!r:.40} is not allowed: write {also}{allowed}"
    elif kind == "value_error":
        text = f"{got!s:.40} {error['ctx']['error']}"
    elif kind == "string_pattern_mismatch":
        text = f"{got!r:.40} does not fit the pattern {error['ctx']['pattern']}: correct it"
    else:
        text = _REMEDY.get(kind, f"{error['msg']} (got {got!r:.60})")
        if kind not in ("missing", "extra_forbidden", "too_short", "string_too_short"):
            text += f" (got {got!s:.40})"
    label = ""
    if len(path) > 1 and path[0] in _PARTS and isinstance(path[1], int):
        label, path = _row_label(str(path[0]), path[1], data), path[2:]
    field = ""
    for step in path:
        field += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if field else str(step)
    return label, field or "row", text


def _row_label(part: str, position: int, data: Mapping[str, Any]) -> str:
    row = data[part][position]
    if part != "tier" or not isinstance(row, Mapping):
        return f"{part}[{position + 1}]"
    return f"{row.get('id', f'tier[{position + 1}]')}/{row.get('liability', 'main')}"


def parse_plan(text: str, where: str = "plan") -> Plan:
    """A plan from the text of a plan file, decimals exact. Raises PlanErrors."""
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise PlanErrors([f"{where}: file: not valid TOML: {error}"]) from error
    return build_plan(data, where)

"""A scenario: named changes to the plan of one city and year. The changed plan passes every check of a plan file."""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from analytics import reference
from analytics.plans import Plan, PlanErrors, build_plan
from analytics.plans.model import Capacity, Group, InsuranceType, Positive, Rate
from analytics.reference import Form, Text, Unable

SOURCE = "scenario"  # source id of every changed value
VARYING = ("deductible", "bands", "ceiling", "rate_plus")  # what a group of persons can have of its own
SELECTORS = ("for", "capacity", "hospital_level", "cross_region", "years_at_least", "years_at_most")
Row = dict[str, Any]


class Change(Form):
    """One value of the rows of a tier (of one liability, one insurance type) set anew; `for`, `capacity`: for these persons
    only. `rate_plus` adds to every rate of the row, those of its variants too; field `tier` with value "none" takes the rows
    out.
    """

    tier: str
    liability: str | None = None
    insurance_type: InsuranceType | Literal["all"] | None = None
    groups: tuple[Group, ...] = Field(default=(), alias="for")
    capacity: tuple[Capacity, ...] = ()
    field: Literal[
        "deductible",
        "bands",
        "ceiling",
        "rate_plus",
        "advance_share",
        "base",
        "scope",
        "cross_region",
        "per",
        "tier",
    ]
    value: Any

    @property
    def label(self) -> str:
        """Short text of what is changed, for messages and tables."""
        who = "".join(f" {name} {', '.join(v)}" for name, v in self.selectors.items())
        kind = f" ({self.insurance_type})" if self.insurance_type else ""
        return f"{self.tier}{f'/{self.liability}' if self.liability else ''}{kind}: {self.field}{who}"

    @property
    def selectors(self) -> dict[str, tuple[str, ...]]:
        """For whom, in the words of a variant; empty: for everybody."""
        named: dict[str, tuple[str, ...]] = {"for": self.groups, "capacity": self.capacity}
        return {name: values for name, values in named.items() if values}


class Graded(Form):
    """The deductible of a tier graded by what households can bear, at the spending of the single one: a share of the
    median income per member of each fifth, found by search and rounded to `step` yuan.
    """

    tier: str
    liability: str | None = None
    insurance_type: InsuranceType | Literal["all"] | None = None
    step: Positive = 100


class Scenario(Form):
    """Changes to the plan of a city-year. `add`: whole rows in the form of a plan file; `order`: tiers in order of payment."""

    name: Text
    city: str
    plan_year: int
    change: tuple[Change, ...] = ()
    add: tuple[dict[str, Any], ...] = ()
    order: tuple[str, ...] = ()
    graded: Graded | None = None
    target_loss_ratio: Rate = Field(default=Decimal("0.85"), gt=0)
    note: Text | None = None

    def without(self, number: int) -> "Scenario":
        """The same scenario less one change."""
        return self.model_copy(update={"change": self.change[:number] + self.change[number + 1 :]})


class NoEffect(Unable):
    """A change that reaches nobody."""


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file. Raises plans.PlanErrors with every problem of its form, one line each."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal)
    except OSError as error:
        raise PlanErrors([f"{path.name}: cannot be read: {error.strerror}"]) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlanErrors([f"{path.name}: not valid TOML (UTF-8): {error}"]) from error
    return parse_scenario(data, path.name)


def parse_scenario(data: Mapping[str, Any], where: str = "scenario") -> Scenario:
    """A scenario from the content of a file. Raises plans.PlanErrors with every problem."""
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        raise PlanErrors(reference.problems(error, where)) from error
    if not (scenario.change or scenario.add or scenario.order or scenario.graded):
        raise PlanErrors([f"{where}: changes nothing: give it [[change]], [[add]], order or [graded]"])
    if scenario.graded and (scenario.change or scenario.add or scenario.order):
        raise PlanErrors([f"{where}: [graded] is searched against the plan in force: let it stand alone"])
    return scenario.model_copy(update={"city": reference.city_code(scenario.city)})


@cache
def shipped() -> Mapping[str, Scenario]:
    """The scenarios that come with the project, by the name of their file."""
    folder = reference.root() / "data" / "scenarios"
    return {path.stem: load_scenario(path) for path in sorted(folder.glob("*.toml"))}


def scenario_text(scenario: Scenario) -> str:
    """The scenario as a file that `load_scenario` reads back as the same."""
    data = scenario.model_dump(by_alias=True, exclude_unset=True)
    blocks = {name: data.pop(name) for name in ("change", "add") if name in data}
    lines = [f"{name} = {_toml(value)}" for name, value in data.items() if value is not None]
    for name, rows in blocks.items():
        for row in rows:
            lines += ["", f"[[{name}]]", *(f"{k} = {_toml(v)}" for k, v in row.items() if v is not None)]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A value on one line of TOML."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_toml(str(k))} = {_toml(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inside} }}"
    if _is_list(value):
        return f"[{', '.join(_toml(v) for v in value)}]"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def reform(plan: Plan, scenario: Scenario) -> Plan:
    """The plan with the changes made. Raises plans.PlanErrors with every problem: a change that matches no row or changes
    nothing, and whatever the changed plan breaks of the rules of a plan file.
    """
    where = f"scenario {scenario.name.en}"
    data = deepcopy(plan.model_dump(by_alias=True, exclude_unset=True))
    rows: list[Row] = [dict(row) for row in data.get("tier", ())]
    problems: list[str] = []
    for number, change in enumerate(scenario.change, 1):
        problems += [f"{where}: change {number} ({change.label}): {text}" for text in _make(change, rows)]
    rows += [{"source": SOURCE, **row} for row in scenario.add]
    if scenario.order:
        problems += [f"{where}: order: {text}" for text in _reorder(rows, scenario.order)]
    note = scenario.note.en if scenario.note else None
    invented = {
        "title": f"{scenario.name.zh} · {scenario.name.en}",
        "class": "assumed",
        **({"note": note} if note else {}),
    }
    data["tier"] = rows
    data["sources"] = {**data.get("sources", {}), SOURCE: invented}
    used = set(_sources(data))
    data["sources"] = {name: source for name, source in data["sources"].items() if name in used}
    try:
        changed = build_plan(data, where)
    except PlanErrors as error:
        raise PlanErrors([*problems, *error.problems]) from error
    if problems:
        raise PlanErrors(problems)
    return changed


def fingerprint(plan: Plan) -> str:
    """Equal fingerprints mean equal rules: everything of a plan that decides a payment."""
    kept = {"city", "plan_year", "period", "tier"}
    raw = plan.model_dump(mode="json", by_alias=True, exclude_unset=True, include=kept)
    return hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()[:12]


def _make(change: Change, rows: list[Row]) -> Iterator[str]:
    """Make one change in place; yields what is wrong with it."""
    held = [r for r in rows if r["id"] == change.tier]
    if not held:
        yield f"the plan has no such tier; it has {', '.join(dict.fromkeys(r['id'] for r in rows))}"
        return
    mine = [
        r for r in held
        if change.liability in (None, r.get("liability", "main")) and change.insurance_type in (None, r["insurance_type"])
    ]  # fmt: skip
    if not mine:
        names = dict.fromkeys(f"{r.get('liability', 'main')} ({r['insurance_type']})" for r in held)
        yield f"no row of the tier matches; it has {', '.join(names)}"
    if change.field == "tier":
        if change.value != "none" or change.selectors:
            yield 'field "tier" takes the value "none" and no selectors: the tier is taken out for everybody'
        for row in mine:
            rows.remove(row)
        return
    if change.selectors and change.field not in VARYING:
        yield f"{change.field} cannot differ between persons; what can is {', '.join(VARYING)}"
        return
    for row in mine:
        yield from _set_for_some(change, row) if change.selectors else _set(change, row)


def _set(change: Change, row: Row) -> Iterator[str]:
    if change.field == "rate_plus":
        if isinstance(row["bands"], str) or not isinstance(change.value, int | Decimal):
            yield "rate_plus needs published bands and a number such as 0.05"
            return
        row["bands"] = _shifted(row["bands"], change.value)
        row["variants"] = [
            {**v, "bands": _shifted(v["bands"], change.value), "source": SOURCE}
            if _is_list(v.get("bands"))
            else v
            for v in row.get("variants", ())
        ]
    elif _plain(row.get(change.field)) == _plain(change.value):
        yield f"it is {change.value} already: nothing would change"
    else:
        row[change.field] = change.value
    field = "bands" if change.field == "rate_plus" else change.field
    row["source_of"] = {**row.get("source_of", {}), field: SOURCE}


def _shifted(bands: Any, by: Any) -> list[Row]:
    return [{**band, "rate": band["rate"] + by} for band in bands]


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _set_for_some(change: Change, row: Row) -> Iterator[str]:
    """In the variant of exactly these persons, or in a new one: for groups behind the others, which it overrides; by capacity
    alone before them, so that assisted groups keep terms of their own.
    """
    variants = [dict(v) for v in row.get("variants", ())]
    wanted = {name: set(values) for name, values in change.selectors.items()}
    mine = [v for v in variants if {s: set(v[s]) if _is_list(v[s]) else v[s] for s in SELECTORS if v.get(s)} == wanted]  # fmt: skip
    if mine and _plain(mine[-1].get(change.field)) == _plain(change.value):
        yield f"it is {change.value} already: nothing would change"
    if mine:
        mine[-1].update({change.field: change.value, "source": SOURCE})
    else:
        selectors = {name: list(values) for name, values in change.selectors.items()}
        first = next(
            (i for i, v in enumerate(variants) if set(SELECTORS) & set(v) != {"capacity"}), len(variants)
        )
        place = len(variants) if change.groups else first
        variants.insert(place, {**selectors, change.field: change.value, "source": SOURCE})
    row["variants"] = variants


def _reorder(rows: list[Row], order: tuple[str, ...]) -> Iterator[str]:
    held = list(dict.fromkeys(r["id"] for r in rows))
    if sorted(order) != sorted(held):
        yield f"name every tier of the plan once: {', '.join(held)}"
    elif list(order) == held:
        yield "is the order of the plan already"
    else:
        rows.sort(key=lambda r: order.index(r["id"]))


def _plain(value: Any) -> Any:
    return json.loads(
        json.dumps(value, default=lambda x: str(x.normalize()) if isinstance(x, Decimal) else list(x))
    )


def _sources(data: Any, key: str = "") -> Iterator[str]:
    """Every source id that stands somewhere in a plan."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            yield from _sources(value, "source" if key == "source_of" else name) if name != "sources" else ()
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _sources(value)
    elif key == "source" and isinstance(data, str):
        yield data

"""A method card: everything a reader needs to recompute a measure, put together from the catalogue and the grammar."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import get_args

from pydantic import Field

from analytics import reference
from analytics.measures import Measure, grammar, measures
from analytics.measures.form import Group, Resource
from analytics.methods.worked import Worked, worked
from analytics.reference import Text

HERE = Path(__file__).parent
GROUPS: tuple[Group, ...] = get_args(Group)


class Words(reference.Form):
    """Texts of the cards (`card.toml`)."""

    group: dict[Group, Text]
    zero: dict[str, Text]
    sign: dict[str, Text]
    auto: dict[str, Text]
    words: dict[str, Text]


class Check(reference.Form):
    """A comparison with numbers made elsewhere. `within`: the largest relative difference, rounded up to a power of ten."""

    tool: str
    data: str
    values: int = Field(gt=0)
    within: float


class Checked(reference.Form):
    """All comparisons (`checked.toml`)."""

    tool: dict[str, Text]
    data: dict[str, Text]
    checked: dict[str, tuple[Check, ...]]


@dataclass(frozen=True)
class Setting:
    """A parameter of a measure. `values`: code -> words (empty: numbers); `default`: what holds unless asked otherwise."""

    id: str
    title: Text
    default: Text
    values: Mapping[str, Text]
    fixed: bool
    number: bool


@dataclass(frozen=True)
class Rule:
    """How a burden is held against one resource."""

    resource: str
    title: Text
    threshold: str
    sign: Text
    zero: Text


@dataclass(frozen=True)
class Card:
    measure: Measure

    @property
    def rules(self) -> list[Rule]:
        """The resources the measure may be asked with; empty where it knows none."""
        form, rules = self.measure, grammar()
        if "resource" not in form.parameters:
            return []
        names = [form.fixed["resource"]] if "resource" in form.fixed else list(rules.resources)
        return [self._rule(name, rules.resources[name]) for name in names]

    def _rule(self, name: str, resource: Resource) -> Rule:
        said, form = words(), self.measure
        with_threshold = "threshold" in form.parameters
        return Rule(
            name,
            resource.title,
            form.fixed.get("threshold", resource.threshold) if with_threshold else "",
            said.sign["at_least" if resource.at_least else "over"] if with_threshold else Text(zh="", en=""),
            said.zero[resource.nonpositive],
        )

    @property
    def settings(self) -> list[Setting]:
        form, found = self.measure, []
        for name in form.parameters:
            rule = grammar().parameters[name]
            titled = {code: choice.title for code, choice in grammar().choices(name).items()}
            code = form.fixed.get(name, form.defaults.get(name, rule.default))
            default = words().auto[name] if code == "auto" else titled.get(code, Text(zh=code, en=code))
            values = {c: titled.get(c, Text(zh=c, en=c)) for c in rule.values}
            found.append(Setting(name, rule.title, default, values, name in form.fixed, bool(rule.number)))
        return found

    @property
    def checks(self) -> list[Text]:
        """Which independent numbers the measure met and how nearly, and the test that checks it."""
        known, said = checked(), words().words
        told = [
            _filled(said["check"], known.tool[c.tool], known.data[c.data], c.values, c.within)
            for c in known.checked.get(self.measure.id, ())
        ]
        file = self.measure.checked_by
        return [*told, Text(zh=said["tested"].zh.format(file=file), en=said["tested"].en.format(file=file))]

    @cached_property
    def example(self) -> Worked | None:
        return worked(self.measure.id)


def _filled(text: Text, tool: Text, data: Text, values: int, within: float) -> Text:
    near = f"{within:.0e}".replace("e-0", "e-")
    return Text(
        zh=text.zh.format(tool=tool.zh, data=data.zh, values=values, within=near),
        en=text.en.format(tool=tool.en, data=data.en, values=values, within=near),
    )


@cache
def words() -> Words:
    return Words.model_validate(reference.load_toml(HERE / "card.toml"))


@cache
def checked() -> Checked:
    return Checked.model_validate(reference.load_toml(HERE / "checked.toml"))


def card(measure: str) -> Card:
    """The card of a measure. Raises ValueError for one that is not in the catalogue."""
    if measure not in measures():
        raise ValueError(
            f"measure {measure}: not in the catalogue; `jianfu measures` lists the {len(measures())} there are"
        )
    return Card(measures()[measure])


def grouped() -> dict[Group, list[Measure]]:
    """The catalogue by kind."""
    found: dict[Group, list[Measure]] = {group: [] for group in GROUPS}
    for form in measures().values():
        found[form.group].append(form)
    return found

"""The named choices of the pages: where, when, who, by what, at which threshold. Each returns neutral codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analytics.figures import formats, names, tables, words
from analytics.figures.words import say, t
from analytics.measures import Measure, dimensions, grammar, measures
from analytics.release import Released
from analytics.tiers import TIERS
from analytics.view import asking, assumptions, controls

UNITS = ("auto", "yuan", "wan", "yi")
THRESHOLDS = grammar().parameters["threshold"].values
_WHO = ("insurance_type", "person_group")
_GROUPS = (
    "person_group",
    "insurance_type",
    "age_band",
    "sex",
    "hospital_level",
    "care_type",
    "cross_region",
    "product",
    "cost_band",
)


@dataclass(frozen=True)
class Place:
    """A city, a plan year and the people looked at."""

    city: str
    year: str
    people: dict[str, list[str]] = field(default_factory=dict)

    @property
    def where(self) -> dict[str, list[str]]:
        """Filter of a question about this city-year."""
        return {"city": [self.city], "plan_year": [self.year], **self.people}

    @property
    def all_years(self) -> dict[str, list[str]]:
        """The same people of this city in every plan year."""
        return {"city": [self.city], **self.people}

    @property
    def name(self) -> str:
        """City, year and, where not everybody is looked at, who."""
        who = [names.member(d, code) for d, codes in self.people.items() for code in codes]
        text = t("place.name", city=words.city(self.city), year=self.year)
        return t("place.who", place=text, who=words.listing(who)) if who else text


@dataclass(frozen=True)
class Scope:
    """Cities and plan years compared, and the people looked at."""

    cities: list[str]
    years: list[str]
    people: dict[str, list[str]] = field(default_factory=dict)

    @property
    def where(self) -> dict[str, list[str]]:
        """Filter of a question about these places."""
        return {"city": self.cities, "plan_year": self.years, **self.people}

    def missing(self, seen: Released, tier: str | None, city: str, year: str) -> str:
        """What to say where an answer holds nothing: no such tier there, or nobody in it, no such city-year in the data, or none
        published of it."""
        known = {(at, str(y)) for at, y in asking.desk().places}
        if (city, year) in {(at, str(y)) for at, y in asking.desk().withheld}:
            return t("cell.withheld")
        if (city, year) not in known:
            return t("cell.no_data")
        return asking.absent(seen, city, year, tier) if tier else tables.nobody(seen.measure)


@dataclass(frozen=True)
class Yardstick:
    """When an expenditure is catastrophic: threshold, resources, whether households or persons count."""

    threshold: str
    resource: str
    weight: str

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters of a question."""
        return {"threshold": self.threshold, **self.at_any}

    @property
    def at_any(self) -> dict[str, str]:
        """Parameters of a question by thresholds."""
        return {"resource": self.resource, "weight": self.weight}


def catastrophic(released: Released) -> str:
    """What an answer counted as catastrophic, in words, from the parameters it was computed with."""
    chosen = released.parameters
    return t(
        "card.che_help",
        threshold=share(chosen["threshold"]),
        who=t(f"catastrophic.{chosen['weight']}"),
        resource=names.setting("resource", chosen["resource"]),
    )


def share(code: str) -> str:
    """A threshold code in words."""
    return formats.percent(float(code), 0)


def row() -> DeltaGenerator:
    """A row of controls: `with row(): ...`."""
    return st.container(horizontal=True, vertical_alignment="bottom")


def place() -> Place:
    """A city, one of its plan years, and who. Inside a row; `remarks` comes after it."""
    at = city()
    return Place(at, year(at), _people())


def city(among: Sequence[str] = ()) -> str:
    """A city of the store, or of those given. Inside a row."""
    known = among or list(dict.fromkeys(at for at, _ in asking.desk().places))
    return controls.one("city", known, words.city, width=140)


def year(city: str) -> str:
    """A plan year the store holds of a city, the newest unless chosen. Inside a row."""
    years = sorted({str(held) for at, held in asking.desk().places if at == city})
    return controls.one("year", years, str, default=years[-1], width=110)


def remarks(chosen: Place) -> None:
    """What is to be said about a place: choices that could not be kept, assumed values of its plan (listed when opened)."""
    controls.notices()
    plan = asking.desk().plan(chosen.city, int(chosen.year))
    values = plan.assumed() if plan else []
    if plan and values:
        name = t("place.name", city=words.city(chosen.city), year=chosen.year)
        box = st.expander(
            t("plan.assumed", place=name, n=len(values)),
            icon=":material/rule:",
            type="compact",
            key="x_assumed",
            on_change="rerun",
        )
        if box.open:
            box.markdown("\n".join(f"* {line}" for line in assumptions.lines(plan)))


def scope() -> Scope:
    """Cities and plan years to compare, and who."""
    known = asking.desk().places
    left, right = st.columns([3, 2])
    with left:
        cities = controls.many("cities", list(dict.fromkeys(city for city, _ in known)), words.city)
    with right:
        years = controls.many("years", sorted({str(year) for _, year in known}), str)
    with row():
        people = _people()
    controls.notices()
    return Scope(cities, years, people)


def _people() -> dict[str, list[str]]:
    """Filters on who is looked at: everybody unless chosen."""
    chosen = {}
    for name in _WHO:
        codes = names.members(name)
        if codes:
            code = controls.one(name, ["all", *codes], partial(_who, name), width=140)
            if code != "all":
                chosen[name] = [code]
    return chosen


def _who(dimension: str, code: str) -> str:
    return t("group.all") if code == "all" else names.member(dimension, code)


def yardstick(where: Mapping[str, Sequence[str]], weight: bool = False) -> Yardstick:
    """Threshold and resources of catastrophic expenditure, those the data of these places hold; `weight`: also who is
    counted."""
    form = asking.measure("catastrophic_headcount")
    counted = grammar().parameters["weight"].default
    return Yardstick(_threshold(), _resource(form, where), _weight(form) if weight else counted)


def _threshold() -> str:
    return controls.one("threshold", THRESHOLDS, share, default=THRESHOLDS[1], width=100)


def _resource(form: Measure, where: Mapping[str, Sequence[str]]) -> str:
    held = asking.answerable(form.id, "resource", where)
    return controls.one("resource", ["auto", *held], partial(names.setting, "resource"), width=210)


def _weight(form: Measure) -> str:
    known = grammar().parameters["weight"]
    default = form.defaults.get("weight", known.default)
    return controls.one("weight", known.values, partial(names.setting, "weight"), default, width=140)


def _own_burden() -> str:
    known = grammar().parameters["own_burden"]
    return controls.one("own_burden", known.values, partial(names.setting, "own_burden"), known.default)


def poverty_line(where: Mapping[str, Sequence[str]]) -> str:
    """A poverty line the data of these places hold; empty where they hold no living standard."""
    lines = asking.answerable("poverty_headcount", "poverty_line", where)
    default = grammar().parameters["poverty_line"].default
    show = partial(names.setting, "poverty_line")
    return controls.one("poverty_line", lines, show, default, width=260) if lines else ""


def mode(drawn: bool = False) -> str:
    """How places are looked at: over the years, one in depth, ranked in the newest year, by what would change if they did
    better; `drawn`: also on a map."""
    return of("mode", ["course", "explore", "ranking", "room", *(["map"] if drawn else [])], width=210)


def target() -> str:
    """What places are held against to see how much would change. Inside a row."""
    return of("target", ["best", "median"], width=210)


def notices() -> None:
    """Say which choices of the controls above could not be kept."""
    controls.notices()


def highlight(cities: Sequence[str], most: int) -> list[str]:
    """Cities picked out of the others, none unless chosen. Inside a row."""
    with st.container(width=300):
        return controls.few("highlight", cities, words.city, most)


def sampling() -> str:
    """Whether answers come with standard errors: none unless asked of claims, which hold everybody; of a survey always asked."""
    options = ["population", "superpopulation"]
    claims = asking.desk().has_persons
    chosen = of("sampling", options, options[0] if claims else options[1], width=250)
    return "" if chosen == "population" else chosen


def parameters(measure_id: str, by_tier: bool, where: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Parameters of a question about a measure: the controls appear for the measures that take them, and not for what its
    definition fixes."""
    form, chosen = asking.measure(measure_id), {}
    takes = set(form.parameters) - set(form.fixed)
    with row():
        if "threshold" in takes:
            chosen["threshold"] = _threshold()
        if "resource" in takes:
            chosen["resource"] = _resource(form, where)
        if "poverty_line" in takes:
            chosen["poverty_line"] = poverty_line(where)
        if chosen:
            chosen["weight"] = _weight(form)
        elif "own_burden" in takes and not by_tier:
            chosen["own_burden"] = _own_burden()
    controls.notices()
    return {name: code for name, code in chosen.items() if code}


def group(default: str, only: Sequence[str] = _GROUPS) -> str:
    """A dimension to break results down by."""
    options = [code for code in only if code in dimensions()]
    return _noticed(controls.one("by", options, names.dimension, default, own=True))


def of(
    name: str,
    options: Sequence[str],
    default: str | None = None,
    buttons: bool = False,
    width: int | None = None,
) -> str:
    """A choice whose codes are named in the texts as `<name>.<code>`."""
    return controls.one(name, options, lambda code: t(f"{name}.{code}"), default, buttons, width=width)


def tier(measure_id: str, default: str | None = None) -> str:
    """A tier, the state before any payment where the measure has it, or the state after all."""
    states = measure_id == "own_share_after" or asking.measure(measure_id).grain == "household_year"
    before = ["none"] if asking.measure(measure_id).grain == "household_year" else []
    options = [*before, *(tier.id for tier in TIERS), *(["last"] if states else [])]
    return _noticed(controls.one("tier", options, words.tier, default if default in options else TIERS[0].id))


def measure(options: Sequence[str], default: str | None = None) -> str:
    """A measure of the catalogue."""
    titles = {m.id: say(m.title) for m in measures().values()}
    return _noticed(
        controls.one("measure", [m for m in options if m in titles], titles.__getitem__, default, own=True)
    )


def benchmark(cities: Sequence[str]) -> str:
    """The city others are compared with."""
    return _noticed(controls.one("benchmark", list(cities), words.city))


def unit() -> str:
    """Unit in which money is shown; kept for the session."""
    return of("unit", UNITS)


def _noticed(code: str) -> str:
    controls.notices()
    return code

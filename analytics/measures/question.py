"""A question: measure, dimensions, filters, parameters; checked when it is put, completed by what the extract holds."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from analytics import reference
from analytics.measures.form import Choice, Line, Measure, dimensions, grammar, measures
from analytics.reference import Unable
from analytics.tiers import TIER

BEFORE_ALL = "none"  # the row of a before-all measure that looks at the burden before any payment


@dataclass(frozen=True)
class Question:
    """What is asked. Raises ValueError, naming what is wrong and what is possible, when it cannot be asked."""

    measure: Measure
    by: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        measure: str,
        by: Sequence[str] = (),
        where: Mapping[str, Sequence[str | int]] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> "Question":
        known = measures()
        if measure not in known:
            raise ValueError(f"measure {measure}: not in the catalogue; measures are {', '.join(known)}")
        form = known[measure]
        _must_fit(form, by)
        return cls.put(form, by, where, parameters)

    @classmethod
    def put(
        cls,
        form: Measure,
        by: Sequence[str] = (),
        where: Mapping[str, Sequence[str | int]] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> "Question":
        """A question of a measure that need not stand in the catalogue."""
        measure = form.id
        _must_fit(form, where or {})
        filters = {name: tuple(str(v) for v in values) for name, values in (where or {}).items()}
        if "city" in filters:
            filters["city"] = tuple(reference.city_code(name) for name in filters["city"])
        cut = tuple(dict.fromkeys(by))
        if (not form.tier_optional or form.credit) and "tier" not in cut:
            cut = (*cut, "tier")
        for name in (*cut, *filters):
            if name == "tier" and form.per is None:
                raise ValueError(f"{measure} is not per tier; leave the dimension tier out")
            if name == "threshold" and name in filters:
                raise ValueError(
                    "threshold is set, not filtered: write --set threshold=0.1, in Python parameters"
                )
            if name == "threshold" and (name not in form.parameters or form.credit):
                raise ValueError(f"dimension threshold: {measure} has no thresholds to be cut by")
        if wrong := set(filters.get("tier", ())) - {BEFORE_ALL, *TIER}:
            raise ValueError(f"tier {', '.join(sorted(wrong))}: tiers are {BEFORE_ALL}, {', '.join(TIER)}")
        return cls(form, cut, filters, _parameters(form, parameters or {}, cut, filters))

    def must_be_held(self, held: Callable[[str], Collection[str]]) -> None:
        """Raises Unable for a filter on what is not there: a mistake to name, not an empty table. `held`: the codes of a dimension
        that the store holds.
        """
        for name, asked in self.where.items():
            listed = dimensions()[name].listed
            if name == "tier" or {*asked} <= {*listed}:
                continue  # nobody need look
            known = [*listed, *sorted({*held(name)} - {*listed})]
            if unknown := [code for code in asked if code not in known]:
                there = f"{'possible are' if listed else 'it holds'} {', '.join(known)}"
                text = f"{name} {', '.join(unknown)}: not in this store; {there}"
                raise Unable(text, "elsewhere", places=unknown)

    @property
    def with_tier(self) -> bool:
        return "tier" in (*self.by, *self.where)

    @property
    def thresholds(self) -> tuple[str, ...]:
        """The thresholds asked, several where the question is cut by them."""
        asked = self.parameters.get("threshold", "")
        if "threshold" in self.by and asked == "auto":
            return grammar().parameters["threshold"].values
        return tuple(asked.split(",")) if asked else ()

    def settled(self, held: Callable[[Sequence[str]], set[str]]) -> dict[str, str]:
        """Parameters with every `auto` replaced. `held`: of these columns of the fact, those with values where the question
        looks. Raises ValueError where the extract cannot answer: what is missing, and what would work.
        """
        rules, chosen, form = grammar(), dict(self.parameters), self.measure
        wanted = [c for name in chosen for choice in rules.choices(name).values() for c in choice.needs]
        there = held(sorted({*wanted, *rules.columns})) if wanted else set()

        def ready(name: str, code: str) -> bool:
            choice = rules.choices(name)[code]
            line = rules.lines.get(getattr(choice, "line", ""))
            return {*choice.needs, *(line.needs if line else ())} <= there

        if chosen.get("resource") == "auto":
            chosen["resource"] = next(
                (c for c in rules.parameters["resource"].auto if ready("resource", c)), ""
            )
            if not chosen["resource"]:
                text = "no household resource: the extract holds no income or consumption and no policy line is known for these areas"
                raise Unable(text, "no_resource")
        resource = rules.resources.get(chosen.get("resource", ""))
        if chosen.get("living_standard") == "auto":
            first = resource.living if resource else ""
            auto = [first] if first else rules.parameters["living_standard"].auto
            chosen["living_standard"] = next((c for c in auto if ready("living_standard", c)), auto[0])
        if chosen.get("scale") == "auto":
            chosen["scale"] = "per_capita" if chosen.get("weight") == "person" else "none"
        if chosen.get("threshold") == "auto" and resource:
            chosen["threshold"] = resource.threshold
        if (
            "poverty_line" in chosen
            and chosen["poverty_line"] not in rules.lines
            and "n_members" not in there
        ):
            members = rules.columns["n_members"]
            text = f"{form.id}: a line per person needs {members.en}, which no household looked at has"
            raise Unable(text, "no_members", needs=[members])
        for name, code in chosen.items():
            if code in (choices := rules.choices(name)) and not ready(name, code):
                missing = [rules.columns[c] for c in choices[code].needs if c not in there]
                works = ", ".join(c for c in choices if c != code and ready(name, c))
                other = "catastrophic_headcount with " if name in form.fixed else ""
                lacks = ", ".join(column.en for column in missing)
                do = (
                    f"what works: {other}{name} = {works}"
                    if works
                    else "measures of persons and tiers need none of it"
                )
                text = f"{form.id}: {name} = {code} needs {lacks}, which no household looked at has; {do}"
                raise Unable(text, "no_columns", choice=choices[code].title, needs=missing)
        return chosen


def _must_fit(form: Measure, names: Iterable[str]) -> None:
    """Raises ValueError for a dimension the measure cannot be cut by."""
    for name in names:
        if name not in dimensions():
            raise ValueError(f"dimension {name}: unknown; dimensions are {', '.join(dimensions())}")
        if not dimensions()[name].fits(form):
            possible = ", ".join(d.id for d in dimensions().values() if d.fits(form))
            raise ValueError(f"dimension {name}: {form.id} cannot be cut by it; it can by {possible}")


def number(name: str, text: str) -> int | float:
    """A parameter that is a number: a share as whole basis points, yuan as whole fen, a factor as it is. Raises ValueError."""
    rules = grammar().parameters[name]
    scale, places = {"share": (10_000, 4), "yuan": (100, 2), "factor": (1, 2)}[rules.number]
    try:
        value = Decimal(text)
        if not rules.least <= value <= rules.most or value != round(value, places):
            raise InvalidOperation
    except InvalidOperation as error:
        named = [v for v in rules.values if not v[0].isdigit()]
        example = next((v for v in rules.values if "." in v), rules.default)
        raise ValueError(
            f"{name} {text}: must be a decimal between {rules.least:g} and {rules.most:g} with at most {places} decimals, "
            + (f"or one of {', '.join(named)}" if named else f"such as {example}")
        ) from error
    return float(value) if rules.number == "factor" else int(value * scale)


def _parameters(
    form: Measure, given: Mapping[str, str], by: Sequence[str], where: Mapping[str, object]
) -> dict[str, str]:
    """The values asked or meant, in the order of the measure's list."""
    known = grammar().parameters
    chosen = {name: form.defaults.get(name, known[name].default) for name in form.parameters}
    if form.grain == "person_year" and given.get("standardise", "none") != "none":
        chosen["standardise"] = "none"
    chosen |= form.fixed | {k: str(v) for k, v in given.items() if k in chosen or k in form.fixed}
    more = [
        p
        for name, code in chosen.items()
        for p in _choice_parameters(grammar().choices(name).get(code))
        if p not in chosen
    ]
    chosen |= {name: str(given.get(name, known[name].default)) for name in more}
    for name, value in given.items():
        if name == "standardise" and value == "none":
            continue
        if name not in chosen:
            takes = ", ".join(n for n in chosen if n not in form.fixed) or "no parameter"
            raise ValueError(f"parameter {name}: {form.id} takes {takes}")
        if name in form.fixed and value != form.fixed[name]:
            raise ValueError(f"parameter {name}: is {form.fixed[name]} by the definition of {form.id}")
        rules = known[name]
        if value not in (*rules.values, rules.default) and not rules.number:
            raise ValueError(f"parameter {name} = {value}: possible values are {', '.join(rules.values)}")
        if name == "threshold" and value != "auto":
            if "," in value and "threshold" not in by:
                raise ValueError("threshold: several at once need the dimension threshold (--by threshold)")
            once: dict[float, str] = {}
            for one in value.split(","):
                once.setdefault(number("threshold", one), one.strip())
            chosen[name] = ",".join(once.values())
        elif rules.number and value not in rules.values and value != rules.default:
            number(name, value)
    if ("tier" in by or "tier" in where) and chosen.get(
        "own_burden", "net_of_commercial"
    ) != "net_of_commercial":
        raise ValueError(
            "own_burden: burdens after each tier come from the ledger; leave own_burden out when asking by tier"
        )
    return chosen


def _choice_parameters(choice: Choice | Line | None) -> tuple[str, ...]:
    """What a choice may be asked with besides, that of its line included."""
    if choice is None:
        return ()
    line = grammar().lines.get(getattr(choice, "line", ""))
    return (*choice.parameters, *(line.parameters if line else ()))

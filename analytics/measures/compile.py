"""A question (measure, dimensions, filters, parameters) -> one SELECT on one fact, without joins."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from analytics import reference
from analytics.measures.credit import credit, flags
from analytics.measures.form import LEDGERS, Measure, dimensions, grammar, measures
from analytics.measures.quantile import quantile_sql
from analytics.store import literal
from analytics.tiers import TIER, TIERS

BEFORE_ALL = "none"  # the row of a before-all measure that looks at the burden before any payment
_MONEY = re.compile(r"^(paid|was|before|after|own|\w+_fen|coalesce\(\w+_fen, 0\)|[\s+()-])+$")


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
        filters = {name: tuple(str(v) for v in values) for name, values in (where or {}).items()}
        if "city" in filters:
            filters["city"] = tuple(reference.city_code(name) for name in filters["city"])
        cut = tuple(dict.fromkeys(by))
        if (not form.tier_optional or form.credit) and "tier" not in cut:
            cut = (*cut, "tier")
        for name in (*cut, *filters):
            if name not in dimensions():
                raise ValueError(f"dimension {name}: unknown; dimensions are {', '.join(dimensions())}")
            if name == "tier" and form.per is None:
                raise ValueError(f"{measure} is not per tier; leave the dimension tier out")
            if not dimensions()[name].fits(form):
                possible = ", ".join(d.id for d in dimensions().values() if d.fits(form))
                raise ValueError(f"dimension {name}: {measure} cannot be cut by it; it can by {possible}")
        if wrong := set(filters.get("tier", ())) - {BEFORE_ALL, *TIER}:
            raise ValueError(f"tier {', '.join(sorted(wrong))}: tiers are {BEFORE_ALL}, {', '.join(TIER)}")
        return cls(form, cut, filters, _parameters(form, parameters or {}, "tier" in (*cut, *filters)))

    @property
    def with_tier(self) -> bool:
        return "tier" in (*self.by, *self.where)

    def compile(
        self, resource: str = "", fact: str = "", tiers: Sequence[str] = ()
    ) -> tuple[str, dict[str, Any]]:
        """SQL and its bound parameters. `resource` replaces the choice `auto` (which depends on what the extract holds);
        `fact`: the table that holds the fact, where it is not named like its grain; `tiers`: those a credit goes to, in
        order of payment.
        """
        chosen = dict(self.parameters)
        if chosen.get("resource") == "auto":
            chosen["resource"] = resource
        bound: dict[str, Any] = {f"where_{name}": list(values) for name, values in self.where.items()}
        if "threshold" in chosen:
            bound["threshold_bp"] = threshold_bp(chosen["threshold"])
        return _sql(self, chosen, fact or self.measure.grain, tiers), bound


def threshold_bp(text: str) -> int:
    """A threshold like 0.10 as whole basis points. Raises ValueError beyond four decimals or outside 0..10."""
    try:
        value = Decimal(text) * 10000
        if value != value.to_integral_value() or not 0 <= value <= 100_000:
            raise InvalidOperation
    except InvalidOperation as error:
        raise ValueError(
            f"threshold {text}: must be a decimal between 0 and 10 with at most four decimals, such as 0.25"
        ) from error
    return int(value)


def _parameters(form: Measure, given: Mapping[str, str], with_tier: bool) -> dict[str, str]:
    known = grammar().parameters
    for name, value in given.items():
        if name not in form.parameters:
            raise ValueError(
                f"parameter {name}: {form.id} takes {', '.join(form.parameters) or 'no parameter'}"
            )
        if name != "threshold" and value not in (*known[name].values, known[name].default):
            raise ValueError(
                f"parameter {name} = {value}: possible values are {', '.join(known[name].values)}"
            )
    chosen = {name: str(given.get(name, known[name].default)) for name in form.parameters}
    if "threshold" in chosen:
        threshold_bp(chosen["threshold"])
    if with_tier and chosen.get("own_burden", "net_of_commercial") != "net_of_commercial":
        raise ValueError(
            "own_burden: burdens after each tier come from the ledger; leave own_burden out when asking by tier"
        )
    return chosen


def _sql(question: Question, chosen: Mapping[str, str], fact: str, tiers: Sequence[str]) -> str:
    form, rules = question.measure, grammar()
    cut = [_cut(name) for name in question.by]
    uses_resource = "resource" in chosen
    resource = rules.resources[chosen["resource"]] if uses_resource else None
    usable = (
        "resource > 0"
        if resource and resource.nonpositive == "excluded"
        else "resource IS NOT NULL"
        if resource
        else "true"
    )
    numerator, denominator = _term(form.numerator), _term(form.denominator)
    ledger, divisor = _ledger(question, chosen), 1
    if form.credit:
        ledger, divisor = _credits(form.credit, numerator, tiers, chosen["game"] == "replay")
        numerator = "credit"
    extra = [
        f"{resource.sql} AS resource" if resource else "",
        f"{rules.weights[chosen['weight']].sql} AS w" if "weight" in chosen else "",
    ]
    groups = "".join(f"{name}, " for name in question.by)
    order = ", ".join(f"{_order(name)}{name}" for name in question.by)
    scale = {
        part: " / 100" if _MONEY.match(text) and text != "w" else ""
        for part, text in (("num", form.numerator), ("den", form.denominator))
    }
    if divisor > 1:
        scale["num"] = f" / {divisor}"
    times = scale["num"] if form.unit == "yuan" or divisor > 1 else " * 100" if form.unit == "per_100" else ""
    value = "value" if form.quantile else f"numerator / NULLIF(denominator, 0){times}"
    summed = _summed(form, groups)
    return f"""\
WITH fact AS (
    SELECT *{"".join(f", {e}" for e in extra if e)}
    FROM {fact}
    WHERE {" AND ".join([_keep(n) for n in question.where if n != "tier" and not dimensions()[n].bands] or ["true"])}
),
ledger AS (
    {ledger}
),
cut AS (
    SELECT {"".join(f"{sql} AS {name}, " for name, sql in zip(question.by, cut, strict=True))}
        ({usable}) AND ({form.known}) AS usable, ({numerator})::DOUBLE AS num, ({denominator})::DOUBLE AS den{", person_key" if form.counted != "*" else ""}
    FROM ledger
    WHERE {" AND ".join([f"({form.where})", *(_keep(n) for n in question.where if n == "tier" or dimensions()[n].bands)])}
),
{summed}{" GROUP BY " + ", ".join(question.by) if question.by else ""}
)
SELECT {groups}{literal(form.id)} AS measure, {value} AS value,
    numerator{scale["num"]} AS numerator, denominator{scale["den"]} AS denominator, n, n_numerator, n_rest, n_excluded
FROM summed{" ORDER BY " + order if order else ""}
"""


def _summed(form: Measure, groups: str) -> str:
    if form.quantile:
        return quantile_sql(form.quantile, groups, form.counted)
    return f"""\
summed AS (
    SELECT {groups}
        coalesce(fsum(num) FILTER (usable), 0) AS numerator, coalesce(fsum(den) FILTER (usable), 0) AS denominator,
        count({form.counted}) FILTER (usable) AS n, count({form.counted}) FILTER (usable AND num <> 0) AS n_numerator,
        count({form.counted}) FILTER (usable AND num = 0) AS n_rest, count(*) FILTER (NOT usable) AS n_excluded
    FROM cut"""


def _ledger(question: Question, chosen: Mapping[str, str]) -> str:
    """The rows a measure sums over: the fact itself, or one row per fact row and tier the city-year has."""
    form = question.measure
    if form.grain not in LEDGERS:
        return "SELECT * FROM fact"
    if not question.with_tier:
        own = grammar().own_burdens[chosen.get("own_burden", "net_of_commercial")].sql
        return f"SELECT *, {own} AS own, own_net_fen AS burden_fen FROM fact"
    parts = [
        f"SELECT *, '{t.id}' AS tier, {t.paid} AS paid, {t.paid} + {t.after} AS before, {t.after} AS after, {t.after} AS own, "
        f"{f'{t.was} AS was, ' if form.needs else ''}{t.paid} + {t.after} AS burden_fen FROM fact WHERE {t.paid} IS NOT NULL"
        for t in TIERS
    ]
    if form.before_all:
        parts.insert(
            0,
            f"SELECT *, '{BEFORE_ALL}' AS tier, 0 AS paid, own_before_fen AS before, own_before_fen AS after, own_before_fen AS own, "
            "own_before_fen AS burden_fen FROM fact",
        )
    return "\n    UNION ALL ".join(parts)


def _credits(kind: str, value: str, tiers: Sequence[str], replayed: bool) -> tuple[str, int]:
    """One row per household and tier with the credit of the tier, and what the sum is to be divided by."""
    columns = flags(value, tiers, replayed)
    parts, divisor = [], 1
    for position, k in enumerate(tiers):
        sql, divisor = credit(kind, tiers, position)
        burden = f"{TIER[k].paid} + {TIER[k].after} AS burden_fen"
        parts.append(
            f"SELECT *, '{k}' AS tier, {burden}, {sql} AS credit FROM valued WHERE {TIER[k].paid} IS NOT NULL"
        )
    valued = f"WITH valued AS (SELECT *, {', '.join(columns)} FROM fact)"
    return f"{valued}\n    " + "\n    UNION ALL ".join(parts), divisor


def _term(expression: str) -> str:
    for name, sql in grammar().terms.items():
        expression = expression.replace(f"({name})", f"({sql})")
    return expression


def _cut(name: str) -> str:
    dimension = dimensions()[name]
    if not dimension.bands:
        return dimension.column or name
    whens = " ".join(
        f"WHEN {dimension.bands} <= {band.up_to * 100} THEN {literal(band.id)}"
        for band in reference.bands()
        if band.up_to is not None
    )
    return f"CASE {whens} ELSE {literal(reference.bands()[-1].id)} END"


def _keep(name: str) -> str:
    return f"list_contains($where_{name}, ({_cut(name)})::VARCHAR)"


def _order(name: str) -> str:
    dimension = dimensions()[name]
    known = (
        [t.id for t in TIERS]
        if name == "tier"
        else [b.id for b in reference.bands()]
        if dimension.bands
        else list(dimension.values)
    )
    if name == "tier":
        known.insert(0, BEFORE_ALL)
    return f"list_position({literal(known)}, {name}), " if known else ""

"""The rows a measure sums over: the ledger of the fact, by tier where it is asked, its dimensions and its shared terms."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from analytics import reference
from analytics.measures.credit import credit, flags, owing
from analytics.measures.form import Measure, dimensions, grammar
from analytics.measures.question import BEFORE_ALL, Question
from analytics.store import Column, Engine, banded, literal
from analytics.tiers import LEDGERS, TIER, TIERS, full_order

PLACE = ("city", "plan_year")


@dataclass(frozen=True)
class Fact:
    """What a question reads. `table`: the fact; `wide`: the type in which its amounts times a threshold are exact; `once`: of who
    stands in several of the cities asked, one row (see once_*.sql); `within`: dimensions whose filter every row passes; `told`: what the
    files tell of the columns, nothing where they are not known; `apart`: see there; `order`: of payment, where it is one.
    """

    table: str
    wide: str = "HUGEINT"
    once: bool = False
    within: tuple[str, ...] = ()
    told: Mapping[str, Column] = field(default_factory=dict)
    apart: bool = False
    order: tuple[str, ...] = ()

    def left(self) -> str:
        """SQL of what each tier left of several rows taken together: where a row's city lacks the tier, what those before it left."""
        order, found = full_order(self.order), []
        for position, k in enumerate(order):
            paid = "".join(f" - coalesce({TIER[j].paid}, 0)" for j in order[:position])
            left = f"sum(coalesce({TIER[k].after}, own_before_fen{paid})::DOUBLE)::BIGINT"
            found.append(f"CASE WHEN count({TIER[k].after}) > 0 THEN {left} END AS {TIER[k].after}")
        return ", ".join(found)


def apart(files: Sequence[Mapping[str, Column]]) -> bool:
    """Whether every one of several files is known to hold one city and year, and no other file these."""
    found = set()
    for file in files:
        place = [(c.low, c.high) for name in PLACE if (c := file.get(name)) and c.filled]
        if len(place) < len(PLACE) or any(low is None or low != high for low, high in place):
            return False
        found.add(tuple(place))
    return 1 < len(found) == len(files)


def together(files: Sequence[Mapping[str, Column]]) -> dict[str, Column]:
    """What several files tell of the columns they share."""
    shared = set.intersection(*(set(file) for file in files)) if files else set()
    found = {}
    for name in (n for n in (files[0] if files else ()) if n in shared):
        each = [file[name] for file in files]
        held = [c for c in each if not c.empty]
        low = [c.low for c in held if c.low is not None]
        high = [c.high for c in held if c.high is not None]
        found[name] = Column(
            not held,
            all(c.filled for c in each),
            min(low) if held and len(low) == len(held) else None,
            max(high) if held and len(high) == len(held) else None,
        )
    return found


def wide(told: Mapping[str, Column]) -> str:
    """The type in which the amounts of a fact times a threshold are exact, by what its files tell."""
    money = [c for name, c in told.items() if name.endswith("_fen") and not c.empty]
    known = bool(told) and all(c.low is not None and c.high is not None for c in money)
    most = max((abs(v) for c in money for v in (c.low, c.high) if v is not None), default=0)
    return "BIGINT" if known and most <= grammar().narrow_fen else "HUGEINT"


@dataclass(frozen=True)
class Step:
    """One tier in terms of the columns of the fact. `columns`: the columns of the ledger; `there`: which rows have it, empty for all."""

    tier: str
    columns: Mapping[str, str]
    there: str


def steps(question: Question, told: Mapping[str, Column] | None = None) -> list[Step]:
    """The tiers of a ledger, before all payments first where the measure looks at that; `told`: see Fact."""
    form, found = question.measure, []
    if form.before_all:
        own = "own_before_fen"
        same = dict.fromkeys(("before", "after", "own", "burden_fen"), own)
        found.append(Step(BEFORE_ALL, {"paid": "0", **same}, ""))
    for t in TIERS:
        columns = {"paid": t.paid, "before": f"{t.paid} + {t.after}", "after": t.after, "own": t.after}
        columns |= {"was": t.was} if form.needs else {}
        columns["burden_fen"] = columns["before"]
        known = (told or {}).get(t.paid)
        if not (known and known.empty):
            found.append(Step(t.id, columns, "" if known and known.filled else f"{t.paid} IS NOT NULL"))
    return found or steps(question)


def left_over(chosen: Mapping[str, str]) -> str:
    """SQL of what is left to live on, in terms of `own`; empty where it is not asked for."""
    if "payments" not in chosen:
        return ""
    rules = grammar()
    paid = rules.payments[chosen["payments"]].sql
    return rules.negatives[chosen.get("negative", "kept")].sql.replace("left_over", f"({paid})")


def ledger(question: Question, chosen: Mapping[str, str], told: Mapping[str, Column] | None = None) -> str:
    """The fact itself, or one row per fact row and tier the city-year has."""
    form = question.measure
    if form.grain not in LEDGERS:
        return "SELECT * FROM fact"
    left = f", {sql} AS left_over" if (sql := left_over(chosen)) else ""
    if not question.with_tier:
        own = grammar().own_burdens[chosen.get("own_burden", "net_of_commercial")].sql
        return f"SELECT *, {own} AS own, own_net_fen AS burden_fen{left} FROM fact"
    return "\n    UNION ALL ".join(
        f"SELECT *, {literal(step.tier)} AS tier, {', '.join(f'{sql} AS {name}' for name, sql in step.columns.items())}{left} FROM fact"
        f"{f' WHERE {step.there}' if step.there else ''}"
        for step in steps(question, told)
    )


def credited(
    question: Question, chosen: Mapping[str, str], tiers: Sequence[str], fact: Fact
) -> tuple[str, int]:
    """One row per household and tier with the credit of the tier, and what the sum is to be divided by."""
    form = question.measure
    value = term(form.numerator, sign=over(chosen), wide=fact.wide)
    columns = flags(value, owing(tiers, chosen["game"] == "replay", fact.told))
    parts, divisor = [], 1
    for position, k in enumerate(tiers):
        sql, divisor = credit(form.credit, tiers, position)
        burden = f"{TIER[k].paid} + {TIER[k].after} AS burden_fen"
        parts.append(
            f"SELECT *, '{k}' AS tier, {burden}, {sql} AS credit FROM valued WHERE {TIER[k].paid} IS NOT NULL"
        )
    valued = f"WITH valued AS (SELECT *, {', '.join(columns)} FROM fact)"
    return f"{valued}\n    " + "\n    UNION ALL ".join(parts), divisor


def usable(form: Measure, chosen: Mapping[str, str], has_line: bool, only: str) -> str:
    """Condition on rows that tell what a measure needs. `only`: a further one."""
    usable = []
    if resource := grammar().resources.get(chosen.get("resource", "")):
        usable.append("resource > 0" if resource.nonpositive == "excluded" else "resource IS NOT NULL")
    if "living_standard" in chosen:
        usable.append("living IS NOT NULL")
    if chosen.get("scale", "none") != "none":
        usable.append("scale > 0")
    if chosen.get("weight") == "person":
        usable.append("w IS NOT NULL")
    if has_line:
        usable.append("need IS NOT NULL")
    if only:
        usable.append(only)
    if form.usable != "true":
        usable.append(term(form.usable))
    if "resource > 0" in usable:  # which says that there is one
        usable = [one for one in dict.fromkeys(usable) if one != "resource IS NOT NULL"]
    return " AND ".join(usable) or "true"


def over(chosen: Mapping[str, str]) -> str:
    """Whether a threshold must be passed or only reached."""
    resource = grammar().resources.get(chosen.get("resource", ""))
    return ">=" if resource and resource.at_least else ">"


def term(expression: str, sign: str = ">", wide: str = "HUGEINT") -> str:
    """An expression with the shared terms written out; `wide`: see Fact."""
    for name, sql in grammar().terms.items():
        expression = expression.replace(f"({name})", f"({sql})")
    return expression.replace("{over}", sign).replace("{wide}", wide)


def cut(name: str) -> str:
    dimension = dimensions()[name]
    return banded(dimension.bands, reference.bands()) if dimension.bands else dimension.column or name


def keep(name: str) -> str:
    """Condition of the filter on a dimension."""
    return f"list_contains($where_{name}, ({cut(name)})::VARCHAR)"


def order(name: str) -> str:
    """What to order a dimension by before its own value, with a comma behind."""
    known = [BEFORE_ALL, *(t.id for t in TIERS)] if name == "tier" else list(dimensions()[name].listed)
    return f"list_position({literal(known)}, {name}), " if known else ""


def codes(engine: Engine, tables: Iterable[str], name: str) -> set[str]:
    """The codes of a dimension that facts hold in a column."""
    column, found = dimensions()[name].column, set[str]()
    for table in tables:
        if column in engine.ask(f"SELECT * FROM {table} LIMIT 0").columns:
            rows = engine.ask(
                f"SELECT DISTINCT {column}::VARCHAR AS code FROM {table} WHERE code IS NOT NULL"
            )
            found |= {*rows["code"]}
    return found

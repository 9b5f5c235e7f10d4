"""A plan as one SELECT over claims: every row of the plan pays in order, each on what the rows before left over.

A yearly row pays claim by claim what its schedule has earned on the base accumulated so far, less what it had earned
before, so its sum over the year depends neither on the order of claims nor on how they are cut. Over several rows
this holds as long as a later row looks at all claims the earlier one looked at, or at none; where scopes overlap in
part, or a row per event follows a yearly one, it matters which claim used up the deductible.
"""

import re
from collections.abc import Collection, Sequence
from itertools import zip_longest

from analytics.plans.model import Plan
from analytics.plans.rowsql import COST_PARTS, Columns, Row

_WINDOWS = {
    "OVER run": "run AS (PARTITION BY person_id ORDER BY seq ROWS UNBOUNDED PRECEDING)",
    "OVER all_year": "all_year AS (PARTITION BY person_id)",
}


# Columns of claims that only some plans ask for, and their types. NULL: inside the period, cover renewed, the first
# year, no year without claim, no fifth.
OPTIONAL = {
    "claim_date": "DATE", "cover_start": "DATE", "product_years": "INTEGER", "insured_years": "INTEGER",
    "zero_claim_years": "INTEGER", "capacity": "VARCHAR",
}  # fmt: skip


class PlanHoles(ValueError):
    """The plan lacks values it would need to pay; `holes` lists them."""

    def __init__(self, plan: Plan, holes: list[str]) -> None:
        lines = "\n".join(f"  {hole}" for hole in holes)
        super().__init__(
            f"plan {plan.city}/{plan.plan_year} cannot be simulated, values are missing:\n{lines}\n"
            'give each a published value, or one with a source of class "assumed"'
        )
        self.holes = holes


def claims_sql(
    plan: Plan, relation: str = "claims", *, first: int = 0, last: int | None = None, keep_state: bool = False
) -> str:
    """One SELECT that pays every claim of `relation` (one city and plan year) by the plan.

    Needs person_id, seq (unique within the person), insurance_type, person_group, is_pre_existing, is_retired,
    product (NULL: not enrolled), hospital_level, care_type, cross_region and the four cost parts in fen, none
    negative; and of OPTIONAL the columns `needs` names. Groups, years and capacity are those of the claim and are
    taken to hold for the year. Adds, in fen, `<tier>__<liability>_paid_fen`, `<tier>_paid_fen` and `own_fen`; paid
    and own add up to the cost parts in every row. Raises PlanHoles where a value is missing.

    Only the rows `first` to `last` (positions in plan.tier, the last one not included) pay. With `keep_state` the
    state they leave is given instead of own_fen: the four parts still owed and what later rows must know. With
    `first` > 0 the relation is such an answer of the rows before, or some whole persons of it; payments of those rows
    under the same name are added to.
    """
    rows = rows_of(plan)
    last = len(rows) if last is None else last
    ctes, source = [f"claim AS (\n  SELECT *\n  FROM {relation}\n)" if first else _claim(relation)], "claim"
    for stage in _stages(rows[first:last]):
        name = f"after_{stage[-1].number}"
        ctes += _stage(stage, source, name)
        source = name
    state = [*COST_PARTS, *_carried(rows, last)] if keep_state else []
    helpers = [*COST_PARTS, *_carried(rows, first), *(c for row in rows[first:last] for c in row.kept())]
    chosen = _chosen(rows[:first], rows[first:last], [c for c in helpers if c not in state])
    own = [] if keep_state else [f"{' + '.join(COST_PARTS)} AS own_fen"]
    return "WITH " + ",\n".join(ctes) + "\nSELECT " + ",\n  ".join([*chosen, *own]) + f"\nFROM {source}"


def trace_sql(plan: Plan) -> str:
    """The same payments of the table `claims` row by row, with everything each row saw and left: for a person's claims, not for a city's.

    Adds for every row of the plan the columns of `Row` (see there), those of `Row.traced`, and what the claim still
    owed of each part once the row had paid: `_in3`, `_adv3`, `_out3`, `_drug3` of row 3. Raises PlanHoles.
    """
    ctes, source = [_claim("claims")], "claim"
    for row in rows_of(plan):
        ctes += _stage([row], source, f"after_{row.number}", trace=True)
        source = f"after_{row.number}"
    return "WITH " + ",\n".join(ctes) + f"\nSELECT * FROM {source}"


def rows_of(plan: Plan) -> list[Row]:
    """The rows of a plan, in order of payment. Raises PlanHoles where a value is missing."""
    if holes := plan.holes():
        raise PlanHoles(plan, holes)
    return [Row(plan.tier, position, plan.period) for position in range(len(plan.tier))]


def _claim(relation: str) -> str:
    parts = ", ".join(f"{column}::BIGINT AS {part}" for part, column in COST_PARTS.items())
    return f"claim AS (\n  SELECT *, {parts}\n  FROM {relation}\n)"


def needs(plan: Plan) -> frozenset[str]:
    """The columns of OPTIONAL that the query of this plan refers to. Raises PlanHoles."""
    return frozenset(re.findall(r"\w+", claims_sql(plan))) & OPTIONAL.keys()


def filled(plan: Plan, relation: str = "claims", held: Collection[str] = ()) -> str:
    """`relation` with the columns of OPTIONAL that the plan needs and that are not `held`, all unknown."""
    lacking = [f"NULL::{OPTIONAL[name]} AS {name}" for name in sorted(needs(plan) - set(held))]
    return f"(SELECT {', '.join(['*', *lacking])} FROM {relation})"


def split(plan: Plan) -> int:
    """How many rows at the head pay per event: what they pay hangs on nothing but the claim and a yearly ceiling."""
    return next((i for i, rule in enumerate(plan.tier) if rule.per != "event"), len(plan.tier))


def _carried(rows: Sequence[Row], at: int) -> list[str]:
    """Columns of the rows before `at` that later ones need."""
    before = {column for row in rows[:at] for column in row.kept()}
    wanted = dict.fromkeys(c for row in rows[at:] for c in (*row.used_by, *row.spent_by))
    return [column for column in wanted if column in before]


def _chosen(before: Sequence[Row], rows: Sequence[Row], dropped: Sequence[str]) -> list[str]:
    """The columns of the answer: the given ones without those dropped, and payments by liability and by tier."""
    outputs: dict[str, list[str]] = {}
    for name in (_by_liability, _by_tier):
        for row in rows:
            outputs.setdefault(name(row), []).append(row.paid)
    already = {name(row) for row in before for name in (_by_liability, _by_tier)}
    sums = {name: f"{' + '.join(columns)} AS {name}" for name, columns in outputs.items()}
    more = ", ".join(f"{name} + {sql}" for name, sql in sums.items() if name in already)
    given = (
        "*" + (f" EXCLUDE ({', '.join(dropped)})" if dropped else "") + (f" REPLACE ({more})" if more else "")
    )
    return [given, *(sql for name, sql in sums.items() if name not in already)]


def _by_liability(row: Row) -> str:
    return f"{row.rule.id}__{row.rule.liability}_paid_fen"


def _by_tier(row: Row) -> str:
    return f"{row.rule.id}_paid_fen"


def _stages(rows: Sequence[Row]) -> list[list[Row]]:
    """Consecutive rows together as long as none can see what another one pays: fewer passes over the claims."""
    stages: list[list[Row]] = []
    for row in rows:
        if stages and all(row.is_blind_to(other) for other in stages[-1]):
            stages[-1].append(row)
        else:
            stages.append([row])
    return stages


def _stage(stage: Sequence[Row], source: str, name: str, trace: bool = False) -> list[str]:
    """The CTEs of one stage; the last one, `name`, holds what is left and drops the helper columns, unless they are
    to be traced."""
    empty: Columns = {}
    layers: list[Columns] = []
    for step in zip_longest(*(row.layers() for row in stage), fillvalue=empty):
        columns = {column: sql for new in step for column, sql in new.items()}
        layers += [columns] if columns else []
    layers += [row.traced() for row in stage if trace]
    ctes = []
    for position, columns in enumerate(layers):
        title = "".join(f"  -- {row.rule.label}\n" for row in stage) if position == 0 else ""
        new = ",\n    ".join(f"{sql} AS {column}" for column, sql in columns.items())
        windows = [window for use, window in _WINDOWS.items() if use in new]
        tail = f"\n  WINDOW {', '.join(windows)}" if windows else ""
        ctes.append(f"{name}_{position} AS (\n{title}  SELECT *,\n    {new}\n  FROM {source}{tail}\n)")
        source = f"{name}_{position}"
    left: Columns = {}
    for row in stage:
        for part, rest in row.left().items():
            left[part] = f"{left[part]} - {row.paid}" if part in left else rest
    kept = {column for row in stage for column in row.kept()}
    helpers = ", ".join(column for columns in layers for column in columns if column not in kept)
    rests = ", ".join(f"{sql} AS {part}" for part, sql in left.items())
    given = f"* REPLACE ({rests})" if trace else f"* EXCLUDE ({helpers}) REPLACE ({rests})"
    copies = [f"{left.get(p, p)} AS {p}{row.number}" for row in stage for p in COST_PARTS if trace]
    ctes.append(f"{name} AS (\n  SELECT {', '.join([given, *copies])}\n  FROM {source}\n)")
    return ctes

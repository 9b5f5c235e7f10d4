"""A plan as one SELECT over claims: every row of the plan pays in order, each on what the rows before left over.

A yearly row pays claim by claim what its schedule has earned on the base accumulated so far, less what it had earned
before, so its sum over the year depends neither on the order of claims nor on how they are cut. Over several rows
this holds as long as a later row looks at all claims the earlier one looked at, or at none; where scopes overlap in
part, or a row per event follows a yearly one, it matters which claim used up the deductible.
"""

from collections.abc import Sequence
from itertools import zip_longest

from analytics.plans.model import Plan
from analytics.plans.rowsql import COST_PARTS, Columns, Row

_WINDOWS = {
    "OVER run": "run AS (PARTITION BY person_id ORDER BY seq ROWS UNBOUNDED PRECEDING)",
    "OVER all_year": "all_year AS (PARTITION BY person_id)",
}


class PlanHoles(ValueError):
    """The plan lacks values it would need to pay; `holes` lists them."""

    def __init__(self, plan: Plan, holes: list[str]) -> None:
        lines = "\n".join(f"  {hole}" for hole in holes)
        super().__init__(
            f"plan {plan.city}/{plan.plan_year} cannot be simulated, values are missing:\n{lines}\n"
            'give each a published value, or one with a source of class "assumed"'
        )
        self.holes = holes


def claims_sql(plan: Plan, relation: str = "claims") -> str:
    """One SELECT that pays every claim of `relation` (one city and plan year) by the plan.

    Needs person_id, seq (unique within the person), insurance_type, person_group, is_pre_existing, is_retired,
    product (NULL: not enrolled), hospital_level, care_type, cross_region and the four cost parts in fen, none
    negative. Groups are those of the claim and are taken to hold for the year. Adds, in fen,
    `<tier>__<liability>_paid_fen`, `<tier>_paid_fen` and `own_fen`; paid and own add up to the cost parts in every
    row. Raises PlanHoles where a value is missing.
    """
    if holes := plan.holes():
        raise PlanHoles(plan, holes)
    rows = [Row(plan.tier, position) for position in range(len(plan.tier))]
    parts = ", ".join(f"{column}::BIGINT AS {part}" for part, column in COST_PARTS.items())
    ctes, source = [f"claim AS (\n  SELECT *, {parts}\n  FROM {relation}\n)"], "claim"
    for stage in _stages(rows):
        name = f"after_{stage[-1].number}"
        ctes += _stage(stage, source, name)
        source = name
    outputs: dict[str, list[str]] = {}
    for row in rows:
        outputs.setdefault(f"{row.rule.id}__{row.rule.liability}_paid_fen", []).append(row.paid)
    for row in rows:
        outputs.setdefault(f"{row.rule.id}_paid_fen", []).append(row.paid)
    outputs["own_fen"] = list(COST_PARTS)
    selected = ",\n  ".join(f"{' + '.join(columns)} AS {name}" for name, columns in outputs.items())
    kept = [*COST_PARTS, *(column for row in rows for column in _kept(row))]
    head = "WITH " + ",\n".join(ctes)
    return f"{head}\nSELECT * EXCLUDE ({', '.join(kept)}),\n  {selected}\nFROM {source}"


def _kept(row: Row) -> list[str]:
    """Columns of a row that later ones or the result need."""
    return [row.paid, row.total] if row.is_shared else [row.paid]


def _stages(rows: Sequence[Row]) -> list[list[Row]]:
    """Consecutive rows together as long as none can see what another one pays: fewer passes over the claims."""
    stages: list[list[Row]] = []
    for row in rows:
        if stages and all(row.is_blind_to(other) for other in stages[-1]):
            stages[-1].append(row)
        else:
            stages.append([row])
    return stages


def _stage(stage: Sequence[Row], source: str, name: str) -> list[str]:
    """The CTEs of one stage; the last one, `name`, holds what is left and drops the helper columns."""
    empty: Columns = {}
    layers: list[Columns] = []
    for step in zip_longest(*(row.layers() for row in stage), fillvalue=empty):
        columns = {column: sql for new in step for column, sql in new.items()}
        layers += [columns] if columns else []
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
    kept = {column for row in stage for column in _kept(row)}
    helpers = ", ".join(column for columns in layers for column in columns if column not in kept)
    rests = ", ".join(f"{sql} AS {part}" for part, sql in left.items())
    ctes.append(f"{name} AS (\n  SELECT * EXCLUDE ({helpers}) REPLACE ({rests})\n  FROM {source}\n)")
    return ctes

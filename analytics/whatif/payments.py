"""SQL of what a plan pays persons, for a replay."""

import hashlib
from collections.abc import Sequence

from analytics.plans import Plan, claims_sql
from analytics.tiers import TIER

STATE = ("_in", "_adv", "_out", "_drug")  # what is owed of each cost part


def definition(plan: Plan, relation: str, extra: Sequence[str] = ()) -> str:
    """SELECT of what the plan pays each person of `relation`, and what is then kept of the tiers `extra` as recorded: what the
    kernel's payments equal, cell by cell."""
    sums = "".join(f", {total(name)} AS {name}" for name in names(plan))
    paid = f"SELECT person_id, {total('own_fen')} AS left_fen{sums} FROM ({claims_sql(plan, relation)}) GROUP BY person_id"
    if not extra:
        return paid
    columns = ", ".join(f"coalesce({TIER[k].paid}, 0) AS {k}_recorded" for k in extra)
    return (
        f"SELECT r.*{as_recorded(extra)} FROM ({paid}) AS r"
        f" JOIN (SELECT person_key AS person_id, {columns} FROM person_year) USING (person_id)"
    )


def names(plan: Plan, since: int = 0, last: int | None = None) -> list[str]:
    """Payment columns of some rows of a plan, by liability and by tier."""
    rows = plan.tier[since:last]
    return list(
        dict.fromkeys([f"{r.id}__{r.liability}_paid_fen" for r in rows] + [f"{r.id}_paid_fen" for r in rows])
    )


def total(column: str) -> str:
    return f"sum({column}::DOUBLE)::BIGINT"  # exact below 2^53, and several times faster than a sum of BIGINT


def either(later: str, early: str) -> str:
    return f"{later}\nUNION ALL BY NAME\n{early}"


def digest(sql: str) -> str:
    return hashlib.sha256(sql.encode()).hexdigest()[:10]


def sum_recorded(tiers: Sequence[str]) -> str:
    return " + ".join(f"{k}_recorded" for k in tiers) or "0"


def as_recorded(tiers: Sequence[str]) -> str:
    """Columns of the tiers without rules: what was recorded of them, one after the other, as far as something is left."""
    columns, before = "", "0"
    for k in tiers:
        so_far = f"{before} + {k}_recorded"
        columns += f", least({so_far}, left_fen) - least({before}, left_fen) AS {TIER[k].paid}"
        before = so_far
    return columns


def owed_after(tiers: Sequence[str]) -> str:
    """What a person would owe if only the rows per settlement and the tiers without rules paid."""
    return f"greatest({' + '.join(STATE)} - ({sum_recorded(tiers)}), 0)"

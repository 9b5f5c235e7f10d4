"""A plan paid by the compiled kernel on the claims of the random worlds, claim by claim."""

from collections.abc import Sequence
from typing import Any

import duckdb
import polars as pl
from plan_worlds import SCHEMA, Claim

from analytics.plans import Plan, bills, needs
from analytics.plans.arrays import classes_sql, program, sorts


def arranged(plan: Plan, claims: Sequence[Claim]) -> tuple[pl.DataFrame, bills.Sorted]:
    """Claims in order of person and date, `at` their place before, and as arrays."""
    frame = pl.DataFrame(claims, schema=SCHEMA).with_row_index("at").sort("person_id", "seq")
    wanted = needs(plan)
    settled = bills.settled(frame if "claim_date" in wanted else frame.drop("claim_date"))
    persons = frame.group_by("person_id", maintain_order=True).first()
    return frame, bills.sorted_by(settled, persons, sorts(wanted))


def rows_for(plan: Plan, held: bills.Sorted) -> Any:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("kinds", held.kinds)
        return program(plan, connection.sql(f"SELECT {', '.join(classes_sql(plan))} FROM kinds").pl())


def paid_by_kernel(plan: Plan, claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """What the kernel pays on each claim, in the order given: every column the query of the plan adds but own_fen."""
    frame, held = arranged(plan, claims)
    got = bills.pay(rows_for(plan, held), held.bills, by_bill=True, threads=1)
    found: list[dict[str, Any]] = [{} for _ in claims]
    for place, at in enumerate(frame["at"]):
        for number, rule in enumerate(plan.tier):
            for name in (f"{rule.id}__{rule.liability}_paid_fen", f"{rule.id}_paid_fen"):
                found[at][name] = found[at].get(name, 0) + int(got.by_bill[place, number])
    return found

"""A city-year replayed under every subset of a plan's tiers: what each household would owe if only these paid.

A tier without rules in the plan pays what was recorded of it, as far as something is left, in the coalitions it is in.
"""

from dataclasses import replace

from analytics.measures import Replayed, coalition
from analytics.plans import Plan
from analytics.tiers import TIER
from analytics.whatif.replay import Replay

_NOBODY = "(SELECT NULL::BIGINT AS person_id, NULL::BIGINT AS left_fen WHERE false)"


def coalitions(replay: Replay, plan: Plan, in_force: Plan | None = None) -> Replayed:
    """The ledger of the plan, with what a household owes under every coalition of tiers (columns of measures.coalition).
    `in_force`: as in Replay.pay. Raises plans.PlanHoles where values are missing.
    """
    with replay.lock:  # its tables are named by the plan: two who ask at once would take them from each other
        return _coalitions(replay, plan, in_force)


def _coalitions(replay: Replay, plan: Plan, in_force: Plan | None) -> Replayed:
    paid = replay.pay(plan, in_force)
    order = paid.order
    ruled = [k for k in order if k in plan.order]
    extra = [k for k in order if k not in plan.order]
    bit = {k: 1 << position for position, k in enumerate(order)}
    whole, names = replay.ledger(paid), []
    for subset in range(1 << len(ruled)):
        chosen = [k for position, k in enumerate(ruled) if subset >> position & 1]
        owed = []
        for more in range(1 << len(extra)):
            added = [k for position, k in enumerate(extra) if more >> position & 1]
            recorded = " + ".join(f"coalesce({TIER[k].paid}, 0)" for k in added) or "0"
            rest = f"sum(greatest(coalesce(left_fen, own_before_fen) - ({recorded}), 0)::DOUBLE)::BIGINT"
            owed.append(f"{rest} AS {coalition(sum(bit[k] for k in (*chosen, *added)))}")
        only = plan.model_copy(update={"tier": tuple(r for r in plan.tier if r.id in chosen)})
        names.append(f"coalition_{paid.mark}_{subset}")
        with replay.scratch():
            replay.engine.keep(
                names[-1],
                f"SELECT coalesce(household_key, person_key) AS household_key, household_key IS NOT NULL AS is_linked, {', '.join(owed)}"
                f" FROM person_year LEFT JOIN {replay.left(only) if chosen else _NOBODY} AS l ON l.person_id = person_key GROUP BY ALL",
            )
    joins = "".join(f" JOIN {name} USING (household_key, is_linked)" for name in names)
    table = f"household_coalitions_{paid.mark}"
    replay.engine.keep(table, f"SELECT * FROM {whole.tables['household_year']}{joins}")
    for name in names:
        replay.engine.drop(name)
    return replace(whole, tables={**whole.tables, "household_year": table}, coalitions=order)

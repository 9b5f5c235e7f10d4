"""The ledger of a fact with other payments in it."""

from collections.abc import Sequence

from analytics.tiers import TIER, TIERS

Payments = tuple[str, Sequence[str]]  # table, and its tiers in order of payment
_REPLACED = [
    "own_net_fen", "own_gross_fen", "own_cash_fen", "statutory_paid_fen", *(t.paid for t in TIERS), *(t.after for t in TIERS)
]  # fmt: skip


def ledger_sql(fact: str, same: str, paid: Payments, was: Payments | None) -> str:
    """SELECT of a fact (`f`) with payments (`d`) in place of those recorded, and `<tier>_was_fen`, `own_was_fen`: what `was`
    (`w`) paid and left, or what was recorded. `same`: the condition that joins a table of payments, its alias at {0}. Who
    does not stand in a table was paid nothing.
    """
    table, order = paid
    told = [f"coalesce(d.{TIER[k].paid}, 0) AS {TIER[k].paid}" for k in order]
    joins = f" LEFT JOIN {table} AS d ON {same.format('d')}"
    if was:
        before = was[1]
        joins += f" LEFT JOIN {was[0]} AS w ON {same.format('w')}"
        told += [f"coalesce(w.{TIER[k].paid}, 0) AS {TIER[k].was}" for k in before]
        told += [f"0::BIGINT AS {t.was}" for t in TIERS if t.id not in before]
        own = " - ".join(["f.own_before_fen", *(f"coalesce(w.{TIER[k].paid}, 0)" for k in before)])
    else:
        told += [f"coalesce(f.{t.paid}, 0) AS {t.was}" for t in TIERS]
        own = "f.own_net_fen"
    kept = f"f.* EXCLUDE ({', '.join(_REPLACED)})"
    inner = f"SELECT {kept}, {', '.join(told)}, {own} AS own_was_fen FROM {fact} AS f{joins}"
    return f"SELECT *, {', '.join(_following(order))} FROM ({inner})"


def _following(order: Sequence[str]) -> list[str]:
    """SQL of the columns that follow from the payments. A tier that neither the plan nor the records have is NULL; how much
    of the rest is paid in cash nobody knows.
    """
    columns, left = [], "own_before_fen"
    for k in order:
        left += f" - {TIER[k].paid}"
        columns.append(f"{left} AS {TIER[k].after}")
    columns.append(f"{left} AS own_net_fen")
    public = [TIER[k].paid for k in order if TIER[k].national_fields]
    columns.append(f"{' + '.join(public) or '0::BIGINT'} AS statutory_paid_fen")
    columns.append(" - ".join(["own_before_fen", *public]) + " AS own_gross_fen")
    for t in TIERS:
        if t.id not in order:
            columns += [f"NULL::BIGINT AS {t.paid}", f"NULL::BIGINT AS {t.after}"]
    return [*columns, "NULL::BIGINT AS own_cash_fen"]

"""What a delivery may hold back before somebody must sign: rows, money, and the distance from its control total."""

from typing import TYPE_CHECKING, Any

from analytics.intake.gate import Refused
from analytics.store import literal

if TYPE_CHECKING:
    from analytics.intake.load import Load

EXAMPLES = 3  # reasons that are told, and rows of each
_YUAN = 100  # fen per source unit
_FINE = '[:]"?[+-]?[0-9]+[.][0-9]{3,}"?[,}]'  # an amount finer than fen, in a row as it came
_UNREAD, _HUGE = "bad_amount[(].*", "over_limit[(].*|implausible_amount"


def check(load: "Load", facts: dict[str, Any], where: str) -> None:
    """A batch with too much waiting, or far from its control total, needs somebody's word. Raises Refused."""
    rules, limit, lines = load.rules, load.rules.batch, []
    unit = rules.per_yuan(load.readings[0].mapping.money.scale)
    waits = facts["rows_quarantined"] - facts["rows_set_aside"]
    rows = facts["rows_in"] - facts["rows_set_aside"]
    how = "correct them at the source, or accept with --sign-off REASON --by WHO [limits]"
    if rows >= limit.rows and waits > limit.waiting * rows:
        why = f"{_why(load, 'count(*)')}){_unit(load, rows)}"
        lines.append(
            f"{where}: {waits} of {rows} rows would wait in quarantine (more than {limit.waiting:.1%}: {why}; {how}"
        )
    elif rows >= limit.rows and rules.fee and waits:
        # signs may not cancel, and what a rule set aside is no part of the whole
        of = "coalesce(sum(abs(fee_fen::HUGEINT)) FILTER (state = '{}'), 0)::VARCHAR".format
        ((stuck, aside, unread),) = load.gate.rows(
            f"SELECT {of('waits')}, {of('set_aside')}, count(*) FILTER (state = 'waits' AND fee_fen IS NULL) FROM quarantine"
        )
        every = f"SELECT coalesce(sum(abs({rules.fee_fen}::HUGEINT)), 0)::VARCHAR FROM typed"
        fee = int(load.gate.rows(every)[0][0]) - int(aside)
        if int(stuck) > limit.fee * fee:
            why = _why(load, "coalesce(sum(abs(fee_fen::DOUBLE)), 0)")
            lines.append(
                f"{where}: {int(stuck) / unit:,.2f} of {fee / unit:,.2f} yuan would wait in quarantine (more than {limit.fee:.1%}: {why}); {how}"
            )
        elif unread:
            why = _why(load, "count(*) FILTER (fee_fen IS NULL)")
            lines.append(
                f"{where}: {unread} rows whose {rules.fee} cannot be read would wait in quarantine, and nobody knows how much of the total they are ({why}); {how}"
            )
    total = load.note.fee_total_yuan if load.note else None
    if total is not None and rules.fee:
        said, came = int(total * unit), facts["fee_in_fen"]
        if abs(came - said) > limit.control * abs(said):
            lines.append(
                f"{where}: the fee adds up to {came / unit:,.2f} yuan, the note says {said / unit:,.2f}; find what is missing, or accept with --sign-off REASON --by WHO [control_total]"
            )
    if lines:
        raise Refused(lines)


def _why(load: "Load", weight: str) -> str:
    """The reasons that hold back most, how many rows each, what a rule of ours says, and the first rows to look at."""
    reasons = "SELECT unnest(reasons) AS reason, fee_fen, src_name, src_row, row(src_file, src_row) AS place FROM quarantine WHERE state = 'waits'"
    rows = load.gate.rows(
        f"SELECT reason, count(*), min_by(concat(src_name, ' row ', src_row), place, {EXAMPLES}) FROM ({reasons}) GROUP BY reason ORDER BY {weight} DESC, reason LIMIT {EXAMPLES}"
    )
    titles = {rule.id: f", {rule.title.en}" for rule in load.rules.rules}
    return "; ".join(
        f"{reason} {n}{titles.get(reason, '')}, first {', '.join(first)}" for reason, n, first in rows
    )


def _unit(load: "Load", rows: int) -> str:
    """A hint where amounts of another unit alone would be too many."""
    scale = load.readings[0].mapping.money.scale
    has = "len(list_filter(reasons, lambda x: regexp_full_match(x, {}))) > 0".format
    fine, huge = load.gate.rows(
        f"SELECT count(*) FILTER ({has(literal(_UNREAD))} AND regexp_matches(row, {literal(_FINE)})), count(*) FILTER ({has(literal(_HUGE))}) FROM quarantine WHERE state = 'waits'"
    )[0]
    most = load.rules.batch.waiting * rows
    if max(fine, huge) <= most:
        return ""
    if scale != _YUAN:
        return (
            f"; amounts are read with [money] scale = {scale} of the mapping, see whether that is their unit"
        )
    if fine > most:
        return "; amounts have more than two decimals: if they are in ten thousand yuan (万元), say so with [money] scale = 1000000 in a --mapping"
    return "; amounts are very large: if they are in fen, say so with [money] scale = 1 in a --mapping"

"""The SQL of one row of a plan: columns computed layer by layer, each layer from the one before.

Columns of row 3 end in 3: `_b3` base of the claim, `_a3` advance self-pay beside it, `_now3` and `_before3` base
accumulated with and without the claim, `_p3` payment. The state of a claim, fen: `_in` in-policy cost not yet paid,
`_adv` advance self-pay, `_out` out of catalogue, `_drug` special drugs; of the year `_total3`, base used up of a shared
deductible, and `_spent3`, what was paid of a shared ceiling.
"""

from collections.abc import Callable, Sequence

from analytics.plans.model import Period, TierRule
from analytics.plans.schedule import (
    Schedule,
    by_class,
    classes,
    in_group,
    quoted,
    years_sql,
)

COST_PARTS = {
    "_in": "in_policy_fen",
    "_adv": "advance_fen",
    "_out": "out_of_catalogue_fen",
    "_drug": "special_drug_fen",
}
Columns = dict[str, str]  # name of a new column -> SQL


def paid_parts(rule: TierRule) -> list[str]:
    """Parts of a claim that a row pays off, in this order."""
    if rule.base == "total_own":
        return list(COST_PARTS)
    if rule.advance_share:
        return ["_in", "_adv"]
    return [{"out_of_catalogue": "_out", "special_drug": "_drug"}.get(rule.base, "_in")]


def same_claims(a: TierRule, b: TierRule) -> bool:
    """Whether some claim can fall under both rows."""
    places = not a.cross_region or not b.cross_region or bool(set(a.cross_region) & set(b.cross_region))
    return a.shares_persons_with(b) and bool(set(a.scope) & set(b.scope)) and places


def shares(a: TierRule, b: TierRule, what: str) -> bool:
    """Whether both rows share a deductible or a ceiling (`what`: the field that names it)."""
    name = getattr(a, what)
    return name is not None and (a.id, name) == (b.id, getattr(b, what))


def conditions(rule: TierRule, period: Period | None) -> dict[str, str]:
    """What a claim must fulfil so that a row looks at it: field of the row (or `period`) -> SQL."""
    found = {"scope": f"care_type IN ({quoted(rule.scope)})"}
    if rule.insurance_type != "all":
        found["insurance_type"] = f"insurance_type = '{rule.insurance_type}'"
    if rule.cross_region:
        found["cross_region"] = f"cross_region IN ({quoted(rule.cross_region)})"
    if rule.voluntary:
        found["voluntary"] = "product IS NOT NULL"
    if rule.product:
        found["product"] = f"product IN ({quoted(rule.product)})"
    if rule.voluntary and period:
        days = f"DATE '{period.start.isoformat()}' AND DATE '{period.end.isoformat()}'"
        found["period"] = f"(claim_date IS NULL OR claim_date BETWEEN {days})"
    if rule.waiting_days:
        waited = f"claim_date >= cover_start + {rule.waiting_days}"
        found["waiting_days"] = f"(cover_start IS NULL OR claim_date IS NULL OR {waited})"
    return found | persons(rule)


def persons(rule: TierRule) -> dict[str, str]:
    """The conditions on the groups of a person: field of the row -> SQL."""
    found = {}
    if rule.groups:
        found["for"] = f"({' OR '.join(in_group(group) for group in rule.groups)})"
    if rule.not_for:
        # who is not known to be in the group is not excluded
        found["not_for"] = f"NOT coalesce({' OR '.join(in_group(group) for group in rule.not_for)}, false)"
    return found


def growth(rule: TierRule) -> str:
    """SQL (fen): what the person's payout ceiling grows by."""
    loyalty, terms = rule.loyalty, []
    if loyalty is None:
        return "0::BIGINT"
    if loyalty.per_year:
        beyond = f"greatest({years_sql(rule)} - {loyalty.over_years}, 0)"
        terms.append(f"{beyond} * {loyalty.per_year * 100}")
    if loyalty.zero_claim:
        terms.append(f"greatest(coalesce(zero_claim_years, 0), 0) * {loyalty.zero_claim * 100}")
    grown = f"({' + '.join(terms)})::BIGINT"
    return grown if loyalty.at_most == "none" else f"least({grown}, {loyalty.at_most * 100})"


def running(what: str) -> str:
    """SQL: the sum over the person's claims so far."""
    # exact: fen stay below 2^53; a sum of BIGINT would come as HUGEINT and be several times slower
    return f"(sum(({what})::DOUBLE) OVER run)::BIGINT"


def of_year(what: str) -> str:
    """SQL: the sum over the person's claims of the year."""
    return f"(sum(({what})::DOUBLE) OVER all_year)::BIGINT"


class Row:
    """One row of a plan, with what it must know of the rows before and after it."""

    def __init__(self, rules: Sequence[TierRule], position: int, period: Period | None = None) -> None:
        self.rule, self.number = rules[position], position + 1
        self.paid = f"_p{self.number}"
        self.total = f"_total{self.number}"
        self.spent = f"_spent{self.number}"
        self.parts = paid_parts(self.rule)
        self.schedules = {cell: s for cell, s in classes(self.rule).items() if s is not None}
        self.conditions = conditions(self.rule, period)
        self.condition = " AND ".join(self.conditions.values())
        earlier = [(n, r) for n, r in enumerate(rules[:position], 1) if r.shares_persons_with(self.rule)]
        later = [r for r in rules[position + 1 :] if r.shares_persons_with(self.rule)]
        self.is_shared = self.rule.shared_deductible is not None
        # base that rows before have used up of the same deductible, payments they have made under the same ceiling
        self.rows_used = [n for n, r in earlier if shares(r, self.rule, "shared_deductible")]
        self.rows_spent = [n for n, r in earlier if shares(r, self.rule, "shared_ceiling")]
        self.used_by = [f"_total{n}" for n in self.rows_used]
        self.spent_by = [f"_spent{n}" for n in self.rows_spent]
        self.used = f"({' + '.join(self.used_by)})" if self.used_by else None
        # the base is gross, and a row before may have paid part of it
        gross = self.rule.base == "in_policy_cost"
        self.is_limited = gross and any(
            "_in" in paid_parts(r) and same_claims(r, self.rule) for _, r in earlier
        )
        # several parts of a claim are paid at once over the year, and a later row looks at one of them
        self.is_mixed = len(self.parts) > 1
        looks = any(r.base != "total_own" and set(paid_parts(r)) & set(self.parts) for r in later)
        self.is_pooled = self.is_mixed and self.rule.per == "year" and looks

    def is_blind_to(self, other: "Row") -> bool:
        """Whether nothing this row computes depends on what `other` pays."""
        if other.spent in self.spent_by:
            return False
        if not set(self.parts) & set(other.parts):
            return True
        return not (self.is_mixed or other.is_mixed or same_claims(self.rule, other.rule))

    def layers(self) -> list[Columns]:
        """New columns of the row, layer by layer: base, total, accumulated base, payment, rest of mixed parts."""
        spent = [{self.spent: of_year(self.paid)}] if self.rule.shared_ceiling else []
        return [self._base(), self._total(), self._accumulated(), *self._payment(), *self._pool(), *spent]

    def kept(self) -> list[str]:
        """New columns that later rows or the result need."""
        shared = [(self.total, self.is_shared), (self.spent, self.rule.shared_ceiling)]
        return [self.paid, *(column for column, needed in shared if needed)]

    def traced(self) -> Columns:
        """What explains a payment, beside the columns that made it: `_from3` base up to the claim, with what others
        used up of the deductible; `_cap3` the person's payout ceiling; `_gave3` paid in the year before the claim;
        `_looks3_<field>` whether the claim fulfils each condition."""
        n = self.number
        before = f"_before{n}" if self.rule.per == "year" else self.used or "0::BIGINT"
        cap = by_class(self.rule, self.schedules, lambda schedule: self._cap(schedule) or "NULL::BIGINT")
        seen = {f"_from{n}": before, f"_cap{n}": cap, f"_gave{n}": f"{running(self.paid)} - {self.paid}"}
        return seen | {
            f"_looks{n}_{field}": f"coalesce({sql}, false)" for field, sql in self.conditions.items()
        }

    def _base(self) -> Columns:
        whole = {"in_policy_cost": "in_policy_fen::BIGINT", "total_own": " + ".join(COST_PARTS)}
        base = whole.get(self.rule.base) or self.parts[0]
        columns = {f"_b{self.number}": self._mine(base)}
        if self.rule.advance_share:
            columns[f"_a{self.number}"] = self._mine("_adv")
        if self.rule.loyalty:
            columns[f"_more{self.number}"] = growth(self.rule)
        return columns

    def _cap(self, schedule: Schedule) -> str | None:
        """SQL of the payout ceiling that holds for the person: grown by loyalty, less what earlier rows have paid."""
        if schedule.payout_ceiling is None:
            return None
        grown = f" + _more{self.number}" if self.rule.loyalty else ""
        if not self.spent_by:
            return f"{schedule.payout_ceiling}{grown}"
        return f"greatest({schedule.payout_ceiling}{grown} - {' - '.join(self.spent_by)}, 0)"

    def _counted(self, amount: Callable[[str], str]) -> str:
        """Own cost plus the counted share of advance self-pay; the share is rounded half up, once, on the sum."""
        own = amount(f"_b{self.number}")
        if not self.rule.advance_share:
            return own
        share = int(self.rule.advance_share * 10_000)
        return f"{own} + (({amount(f'_a{self.number}')}) * {share} + 5000) // 10000"

    def _total(self) -> Columns:
        if not self.is_shared:
            return {}
        return {self.total: self._counted(str if self.rule.per == "event" else of_year)}

    def _accumulated(self) -> Columns:
        used = f"{self.used} + " if self.used else ""
        if self.rule.per == "event":
            return {f"_now{self.number}": used + self._counted(str)}
        return {
            f"_now{self.number}": used + self._counted(running),
            f"_before{self.number}": used + self._counted(lambda column: f"{running(column)} - {column}"),
        }

    def _payment(self) -> list[Columns]:
        return self._by_event() if self.rule.per == "event" else self._by_year()

    def _by_event(self) -> list[Columns]:
        n = self.number
        due = by_class(
            self.rule, self.schedules, lambda schedule: schedule.uncapped().sql(f"_now{n}", self.used)
        )
        if self.is_limited:
            due = f"least({due}, _in)"
        if all(schedule.payout_ceiling is None for schedule in self.schedules.values()):
            return [{self.paid: due}]

        def still_allowed(schedule: Schedule) -> str:
            cap = self._cap(schedule)
            return f"_due{n}" if cap is None else f"least(_sum{n}, {cap}) - least(_sum{n} - _due{n}, {cap})"

        return [
            {f"_due{n}": due},
            {f"_sum{n}": running(f"_due{n}")},
            {self.paid: by_class(self.rule, self.schedules, still_allowed)},
        ]

    def _by_year(self) -> list[Columns]:
        n = self.number

        def earned(schedule: Schedule) -> str:
            now, before = (
                schedule.sql(f"_{when}{n}", self.used, self._cap(schedule)) for when in ("now", "before")
            )
            return f"{now} - ({before})"

        due = by_class(self.rule, self.schedules, earned)
        if not self.is_limited:
            return [{self.paid: due}]
        # The year pays the lesser of what is due and what is still owed. A claim whose own rest is too small for
        # what it earned leaves the difference to the other claims of the year, so order and cut do not matter.
        late = f"least({of_year(f'_due{n}')}, {of_year(f'_open{n}')}) - {of_year(f'_here{n}')}"
        room = f"_open{n} - _here{n}"
        return [
            {f"_due{n}": due, f"_open{n}": self._mine("_in")},
            {f"_here{n}": f"least(_due{n}, _open{n})"},
            {f"_late{n}": late, f"_room{n}": running(room)},
            {self.paid: f"_here{n} + least(_room{n}, _late{n}) - least(_room{n} - ({room}), _late{n})"},
        ]

    def _pool(self) -> list[Columns]:
        """Pay off the parts in order over the whole year instead of within each claim.

        Within a claim the split would depend on which claim used up the deductible, and so would every later row
        that looks at one part. Each claim keeps what is left of a part (`_room`) as far as the year has it left
        (`_rest`), first claims first (`_fill`); what it cannot keep it owes of the next part.
        """
        if not self.is_pooled:
            return []
        n, last = self.number, len(self.parts)
        first = {f"_room1_{n}": self._mine(self._rest(0))}
        for number, part in enumerate(self.parts[:-1], 1):
            before = "".join(f" - {of_year(self._mine(p))}" for p in self.parts[: number - 1])
            off = f"greatest({of_year(self.paid)}{before}, 0)"
            first[f"_rest{number}_{n}"] = f"greatest({of_year(self._mine(part))} - {off}, 0)"
        layers = [first]
        for number in range(1, last):
            room, rest, fill = (f"_{kind}{number}_{n}" for kind in ("room", "rest", "fill"))
            layers.append({fill: f"least({running(room)}, {rest}) - least({running(room)} - {room}, {rest})"})
            layers.append({f"_room{number + 1}_{n}": f"{self._mine(self._rest(number))} + {room} - {fill}"})
        return layers

    def _mine(self, sql: str) -> str:
        """The value for the claims the row looks at, 0 for others."""
        return f"CASE WHEN {self.condition} THEN {sql} ELSE 0 END"

    def left(self) -> Columns:
        """What the claim still owes of each part that the row pays off."""
        if not self.is_mixed:
            return {self.parts[0]: f"{self.parts[0]} - {self.paid}"}
        if not self.is_pooled:
            return {part: self._rest(position) for position, part in enumerate(self.parts)}
        last = len(self.parts)
        names = [*(f"_fill{i}_{self.number}" for i in range(1, last)), f"_room{last}_{self.number}"]
        return {
            part: f"CASE WHEN {self.condition} THEN {name} ELSE {part} END"
            for part, name in zip(self.parts, names, strict=True)
        }

    def _rest(self, position: int) -> str:
        """What is left of one part when the parts before it are paid off first."""
        before = "".join(f" - {part}" for part in self.parts[:position])
        already = f"greatest({self.paid}{before}, 0)" if before else self.paid
        return f"greatest({self.parts[position]} - {already}, 0)"

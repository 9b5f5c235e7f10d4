"""One city-year replayed under a plan: the settlements paid again by its rules, in the same ledger columns as the facts.

A tier without rules in the plan keeps what was recorded of it, after all tiers that have rules and as far as something is left.
The compiled kernel pays where it can; what it declines, and every settlement shown by itself, the plan's SQL pays. Both give
the same, person by person.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import duckdb

from analytics.facts import claims
from analytics.facts.claims import Claims
from analytics.measures import Replayed
from analytics.plans import Plan, claims_sql, may_pay, needs, split
from analytics.plans.schedule import PERSON
from analytics.store import Engine, Folder, NotBuilt
from analytics.tiers import LEDGERS, TIER, TIERS, full_order
from analytics.whatif.ledger import ledger_sql
from analytics.whatif.payments import (
    STATE,
    as_recorded,
    definition,
    digest,
    either,
    names,
    owed_after,
    sum_recorded,
    total,
)

if TYPE_CHECKING:
    import polars as pl

    from analytics.whatif.held import Cells, Held

_HERE = "claims_looked_at"
_SAME_HOUSEHOLD = "{0}.household_key = f.household_key AND {0}.is_linked = f.is_linked"


@dataclass(frozen=True)
class Paid:
    """What a plan paid: `table` has one row per person with settlements (person_id, `<tier>_paid_fen` of every tier in `order`,
    `<tier>__<liability>_paid_fen`), and `sql` gives it. `cells`: the same paid by the kernel, or None, and `declined` why. Paid by
    SQL, `later` is a table of those of them whom a yearly row may pay, `head` names what the rows per settlement left, which many
    plans share.
    """

    plan: Plan
    mark: str
    sql: str
    order: tuple[str, ...]
    head: str = ""
    cells: "Cells | None" = None
    declined: str = ""

    @property
    def later(self) -> str:
        return f"later_{self.mark}"

    @property
    def table(self) -> str:
        return f"paid_{self.mark}"


class Replay:
    """The settlements of one city and plan year, held in memory, to be paid under one plan after the other."""

    def __init__(
        self, snapshot: Folder, deliveries: Sequence[Folder], city: str, plan_year: int, compiled: bool = True
    ) -> None:
        """`deliveries`: those of the store; read are those the snapshot was built of. `compiled`: whether the kernel is asked at
        all. Raises ValueError where the city-year has no settlements, store.Damaged where a file is not as it was sealed.
        """
        built = {d["id"] for d in snapshot.manifest["deliveries"]}
        source = claims([d for d in deliveries if d.id in built], city, plan_year)
        facts = {
            name: [p for p in snapshot.partitions(name) if (p.city, p.plan_year) == (city, plan_year)]
            for name in LEDGERS
        }
        for part in (*source.files, *(p for parts in facts.values() for p in parts)):
            part.check()
        files = {name: [p.path for p in parts] for name, parts in facts.items()}
        self._open(Engine(files, also=[p.path for p in source.files]), source, (city, plan_year), compiled)

    def _open(self, engine: Engine, source: Claims, place: tuple[str, int], compiled: bool) -> None:
        self.engine, self._source, self.place = engine, source, place
        self._declined = "" if compiled else "asked to be paid by SQL"  # why no plan is paid by the kernel
        self.lock = threading.RLock()
        self._made: dict[str, str] = {}  # name -> kind of what is held

    def left(self, plan: Plan) -> str:
        """Table of what the plan alone leaves each person with settlements: person_id, left_fen."""
        with self.lock:
            wanted = needs(plan)
            name = f"left_{digest(definition(plan, self._relation(wanted, plan)))}"
            cells, _ = self._cells(plan, wanted)
            if not cells:
                self._hold(
                    name,
                    f"SELECT person_id, left_fen FROM ({either(*self._paid_sql(plan, plan.order, self._head(plan)))})",
                )
            elif name not in self._made:
                self._give(name, cells.frame().select("person_id", "left_fen"))
            return name

    def pay(self, plan: Plan, in_force: Plan | None = None) -> Paid:
        """Pay the city-year by a plan. `in_force`: the plan it changes; a tier only that one has rules for pays nothing, not
        what was recorded. Raises plans.PlanHoles where values are missing.
        """
        with self.lock:
            ruled = {*plan.order, *(in_force.order if in_force else ())}
            extra = tuple(k for k in self.recorded if k not in ruled)
            order = (*plan.order, *extra)
            wanted = needs(plan)
            cells, declined = self._cells(plan, wanted, extra)
            if cells:
                sql = definition(plan, self._relation(wanted, plan), extra)
                return Paid(plan, digest(sql), sql, order, cells=cells)
            head = self._head(plan)
            later, early = self._paid_sql(plan, order, head)
            paid = Paid(plan, digest(later + early), either(later, early), order, head, declined=declined)
            self._hold(paid.later, later)
            self._hold(paid.table, either(f"FROM {paid.later}", early), "VIEW")
            return paid

    def _cells(
        self, plan: Plan, wanted: frozenset[str], extra: Sequence[str] = ()
    ) -> "tuple[Cells | None, str]":
        """The plan paid by the kernel; or None, and why it declines."""
        from analytics.plans.arrays import Declined

        if self._declined:
            return None, self._declined
        try:
            return self._held.pay(plan, wanted, extra, is_calendar(plan)), ""
        except Declined as why:
            return None, str(why)

    @cached_property
    def _held(self) -> "Held":
        """The settlements as arrays. Raises plans.arrays.Declined."""
        from analytics.whatif.held import Held

        return Held(self.engine, self._claims, lambda: self._standing, self.recorded)

    def _table(self, paid: Paid) -> str:
        """The table of payments, made where it is not yet."""
        if paid.cells and paid.table not in self._made:
            self._give(paid.table, paid.cells.frame())
        return paid.table

    def _give(self, name: str, rows: "pl.DataFrame") -> None:
        self.engine.hold(name, rows)
        self._made[name] = "TABLE"

    def case(self, keys: Sequence[int], plan: Plan) -> list[dict[str, Any]]:
        """Settlements of one person, for plans.explain; `keys`: what the person may be known by. For the local user only."""
        with self.lock:
            relation = self._relation(needs(plan), plan)
            listed = ", ".join(map(str, keys))
            known = (
                f"SELECT person_key FROM alias WHERE number_key IN ({listed})"
                if self._source.alias
                else "SELECT NULL::BIGINT"
            )
            rows = self.engine.ask(
                f"SELECT * FROM {relation} WHERE person_id IN ({listed}) OR person_id IN ({known}) ORDER BY seq"
            )
        return rows.to_dicts()

    def spent(self, paid: Paid, tier: str) -> int:
        """What a tier paid in the year, fen. Not to be shown as it is."""
        if paid.cells:
            return paid.cells.total(TIER[tier].paid)
        total = self.engine.ask(
            f"SELECT coalesce(sum({TIER[tier].paid}::DOUBLE), 0)::BIGINT AS fen FROM {paid.table}"
        )
        return int(total["fen"][0])

    def ledger(self, paid: Paid, was: Paid | None = None, told: Mapping[str, Any] | None = None) -> Replayed:
        """Both ledgers with the plan's payments in place of those recorded; `<tier>_was_fen` and `own_was_fen` hold what `was`
        paid and left, or what was recorded. `told`: more for the provenance.
        """
        with self.lock:
            mark = f"{paid.mark}_{was.mark if was else 'recorded'}"
            tables = {name: f"{name}_{mark}" for name in LEDGERS}
            persons = (self._table(paid), paid.order), (self._table(was), was.order) if was else None
            homes = (
                (self._by_household(paid), paid.order),
                (self._by_household(was), was.order) if was else None,
            )
            same = "{0}.person_id = f.person_key"
            self._hold(tables["person_year"], ledger_sql("person_year", same, *persons), "VIEW")
            self._hold(tables["household_year"], ledger_sql("household_year", _SAME_HOUSEHOLD, *homes))
        replay = {
            "replay": {
                "plan": f"{paid.plan.city}/{paid.plan.plan_year}",
                "payments": paid.mark,
                "compared_with": was.mark if was else "recorded",
                "product_year": "as published" if is_calendar(paid.plan) else "taken as the calendar year",
                "as_recorded": [k for k in paid.order if k not in paid.plan.order],
                "special_drugs_known": self.knows_drugs,
                "sql": paid.sql,
                "paid_by": "kernel" if paid.cells else "sql",
                **({"kernel_declined": paid.declined} if paid.declined else {}),
            }
        }
        return Replayed(self.engine, tables, self.place, {**replay, **(told or {})}, paid.order)

    def catastrophic(
        self, paid: Paid, thresholds_bp: Sequence[int], resource: str = "policy_line_fen"
    ) -> dict[int, int]:
        """Households whose own burden is above each threshold (basis points of the resource column). For searches and for
        measuring; figures to be shown are asked of a Book.
        """
        if paid.cells:
            with self.lock:
                return paid.cells.held.headcounts(paid.cells, thresholds_bp, resource)
        home = "coalesce(household_key, person_id) AS household_key, household_key IS NOT NULL AS is_linked"
        by_home = f"SELECT {home}, {total('{0}')} AS eased FROM {{1}} JOIN {self._homes} ON person_key = person_id GROUP BY ALL"
        first = by_home.format(
            f"(own_before_fen - ({owed_after([k for k in paid.order if k not in paid.plan.order])}))",
            f"headsum_{paid.head}",
        )
        rest = f"rest_{digest(first + resource)}"
        with self.lock:
            self._hold(
                rest,
                f"SELECT household_key, is_linked, own_before_fen - coalesce(eased, 0) AS own, {resource} AS resource"
                f" FROM household_year LEFT JOIN ({first}) USING (household_key, is_linked)",
            )
        more = by_home.format("eased_fen", paid.later)
        above = (
            f"count(*) FILTER ((own - coalesce(eased, 0)) * 10000 > resource * {z}) AS z{z}"
            for z in thresholds_bp
        )
        row = self.engine.ask(
            f"SELECT {', '.join(above)} FROM {rest} LEFT JOIN ({more}) USING (household_key, is_linked) WHERE resource > 0"
        ).row(0, named=True)
        return {z: row[f"z{z}"] for z in thresholds_bp}

    def differing(self, a: Paid, b: Paid) -> int:
        """Persons of whom some tier is paid differently."""
        if a.cells and b.cells:
            return a.cells.differing(b.cells)
        columns = [TIER[k].paid for k in {*a.order, *b.order}]
        sides = [
            ", ".join(c if c.removesuffix("_paid_fen") in side.order else f"0 AS {c}" for c in columns)
            for side in (a, b)
        ]
        differ = " OR ".join(f"a.{c} <> b.{c}" for c in columns)
        return int(self.engine.ask(
            f"SELECT count(*) AS n FROM (SELECT person_id, {sides[0]} FROM {self._table(a)}) AS a"
            f" JOIN (SELECT person_id, {sides[1]} FROM {self._table(b)}) AS b USING (person_id) WHERE {differ}"
        )["n"][0])  # fmt: skip

    @cached_property
    def recorded(self) -> tuple[str, ...]:
        """Tiers of which something is recorded here, in statutory order."""
        sums = ", ".join(f"coalesce(sum({t.paid}::DOUBLE), 0) AS {t.id}" for t in TIERS)
        row = self.engine.ask(f"SELECT {sums} FROM person_year").row(0, named=True)
        return tuple(k for k in full_order() if row[k])

    @cached_property
    def knows_drugs(self) -> bool:
        """Whether the extract tells special drugs from other costs out of the catalogue."""
        return bool(
            self.engine.ask(f"SELECT coalesce(max(special_drug_fen), 0) > 0 AS x FROM {self._claims}")["x"][0]
        )

    @cached_property
    def _claims(self) -> str:
        self._keep("claim", self._source.settlements)
        return "claim"

    @cached_property
    def _standing(self) -> str:
        self._keep("standing", self._source.standing)
        return "standing"

    def _keep(self, name: str, sql: str) -> None:
        """Hold what is read of the deliveries. Raises NotBuilt where they lack columns that came later."""
        try:
            if self._source.alias:
                self.engine.keep("alias", self._source.alias)
            self.engine.keep(name, sql)
        except duckdb.BinderException as error:
            raise NotBuilt(
                "this store was made by an earlier version and cannot be replayed; ingest its files into a new store"
            ) from error

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """What is paid inside is let go of at the end; what single settlements were paid is kept, later plans share it."""
        with self.lock:
            before = set(self._made)
            try:
                yield
            finally:
                kept = ("head", "can_")
                for name in [n for n in reversed(self._made) if n not in before and not n.startswith(kept)]:
                    self.engine.drop(name, self._made.pop(name))

    @property
    def held(self) -> int:
        """Bytes of memory the settlements and ledgers take."""
        arrays = self.__dict__["_held"].bytes if "_held" in self.__dict__ else 0
        tables = self.engine.ask(
            "SELECT coalesce(sum(memory_usage_bytes), 0)::BIGINT AS bytes FROM duckdb_memory()"
        )
        return int(tables["bytes"][0]) + int(arrays)

    def _hold(self, name: str, sql: str, kind: str = "TABLE") -> None:
        if name not in self._made:
            self.engine.keep(name, sql, kind=kind)
            self._made[name] = kind

    def _relation(self, needed: frozenset[str], plan: Plan) -> str:
        """Settlements, with the columns of persons that the plan looks at beyond those every plan does (`needed`)."""
        wanted = needed - {"claim_date"}
        columns = "".join(f", s.{name}" for name in sorted(wanted))
        join = f" LEFT JOIN {self._standing} AS s USING (person_id)" if wanted else ""
        undated = "claim_date" in needed and not is_calendar(plan)
        given = "c.* REPLACE (NULL::DATE AS claim_date)" if undated else "c.*"
        return (
            f"(SELECT {given}{columns} FROM {self._claims} AS c{join})" if wanted or undated else self._claims
        )

    def _paid_sql(self, plan: Plan, order: Sequence[str], mark: str) -> tuple[str, str]:
        """Two SELECTs of what every tier and liability paid each person with settlements.

        The rows at the head that look at single settlements are paid once and kept: plans that differ in later rows share
        them. Claims of persons whom no later row can pay are then looked at no more. `mark`: that of the head.
        """
        first = split(plan)
        some = may_pay(plan, first)
        can = f"can_{digest(mark + some)}"
        self._hold(can, f"SELECT * FROM headsum_{mark} WHERE {some}")
        tail = claims_sql(plan, _HERE, first=first)
        looked_at = set(re.findall(r"\w+", tail)) | {"person_id", "seq"}
        columns = [c for c in self.engine.ask(f"SELECT * FROM head_{mark} LIMIT 0").columns if c in looked_at]
        claim = f"(SELECT {', '.join(columns)} FROM head_{mark} SEMI JOIN {can} USING (person_id))"
        early, every = names(plan, last=first), names(plan)
        added = set(names(plan, since=first))
        sums = "".join(f", {total(name)} AS {name}" for name in every if name in added)
        kept = "".join(f", {name}" for name in early if name not in added)
        same = "".join(f", {name if name in early else 0} AS {name}" for name in every)
        later = f"SELECT person_id, {total('own_fen')} AS left_fen{sums} FROM ({tail.replace(_HERE, claim)}) GROUP BY person_id"
        rest = f"SELECT person_id, {' + '.join(STATE)} AS left_fen{same} FROM headsum_{mark} ANTI JOIN {can} USING (person_id)"
        extra = [k for k in order if k not in plan.order]
        return (
            f"SELECT r.*{kept}{as_recorded(extra)}, {owed_after(extra)} - greatest(left_fen - ({sum_recorded(extra)}), 0) AS eased_fen"
            f" FROM ({later}) AS r JOIN {can} USING (person_id)",
            f"SELECT r.*{as_recorded(extra)}, 0 AS eased_fen FROM ({rest}) AS r JOIN headsum_{mark} USING (person_id)",
        )

    def _head(self, plan: Plan) -> str:
        """What the rows per settlement at the head of the plan pay and leave: settlements (`head_`), and sums by person with what
        was recorded of each tier (`headsum_`).
        """
        first = split(plan)
        head = claims_sql(plan, self._relation(needs(plan), plan), last=first, keep_state=True)
        mark = digest(head)
        self._hold(f"head_{mark}", head)
        sums = ", ".join(f"{total(c)} AS {c}" for c in ("in_policy_fen", *STATE, *names(plan, last=first)))
        alike = ", ".join(f"any_value({c}) AS {c}" for c in PERSON)
        recorded = "".join(f", coalesce(p.{TIER[k].paid}, 0) AS {k}_recorded" for k in self.recorded)
        self._hold(
            f"headsum_{mark}",
            f"SELECT s.*, own_before_fen{recorded} FROM (SELECT person_id, {alike}, {sums} FROM head_{mark} GROUP BY person_id) AS s"
            " JOIN person_year AS p ON p.person_key = s.person_id",
        )
        return mark

    def _by_household(self, paid: Paid) -> str:
        """Table of what each household with settlements was paid, by tier."""
        sums = ", ".join(f"{total(TIER[k].paid)} AS {TIER[k].paid}" for k in paid.order)
        self._hold(
            f"spent_{paid.mark}",
            f"SELECT coalesce(household_key, person_id) AS household_key, household_key IS NOT NULL AS is_linked, {sums}"
            f" FROM {self._table(paid)} JOIN {self._homes} AS p ON p.person_key = person_id GROUP BY ALL",
        )
        return f"spent_{paid.mark}"

    @cached_property
    def _homes(self) -> str:
        """Table of each person's household."""
        self.engine.keep("home", "SELECT person_key, household_key FROM person_year")
        return "home"


def is_calendar(plan: Plan) -> bool:
    """Whether the product's period lies in the plan year; one that does not is taken as the calendar year in a replay."""
    return plan.period is None or plan.period.start.year == plan.period.end.year == plan.plan_year

"""A measure of tiers in one pass over its fact: every tier has columns of its own, which become rows at the very end.

The rows it gives are those of Compiled, which makes a row per tier of every row first: twice the work. What that is needed for
(cuts by what was still owed before a tier, errors of ranked measures and of differences) is asked that way, and so is a measure of
few rows of each tier, which that leaves out early, or one by thresholds too, whose columns would be dozens.
Tiers that rank the same rows alike share the ranks: by living standard they are sorted once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from analytics.measures.compile import Compiled, Piece
from analytics.measures.credit import credit, flags, listed, moves, only, owing
from analytics.measures.form import dimensions
from analytics.measures.question import BEFORE_ALL, Question
from analytics.measures.rank import RANKED_BY, fractional, one_order, unequal
from analytics.measures.rows import Fact, Step, keep, left_over, over, steps, term
from analytics.store import literal
from analytics.tiers import LEDGERS


def compiled(
    question: Question,
    chosen: Mapping[str, str],
    fact: Fact | None = None,
    tiers: Sequence[str] = (),
    *,
    carry: Mapping[str, str] | None = None,
    source: str = "",
    more: Sequence[str] = (),
) -> Compiled:
    """The SQL of a question in the shape that costs least; arguments as those of Compiled."""
    form = question.measure
    bands = {dimensions()[name].bands for name in (*question.by, *question.where)}
    fits = all(
        (
            form.grain in LEDGERS,
            "tier" in question.by,
            "threshold" not in question.by,
            "burden_fen" not in bands,
            form.where == "true",
            not form.quantile,
        )
    )
    return (Wide if fits else Compiled)(question, chosen, fact, tiers, carry=carry, source=source, more=more)


@dataclass
class Ranks:
    """One order of rows, by a column of `cut`: which rows are in it, and the totals made of the values it ranks."""

    key: str
    able: str
    totals: dict[str, str] = field(default_factory=dict)


@dataclass
class Tallies:
    """What every row adds (`each`; `credits`: which of these are a credit that few rows give), what is made
    of all rows (`totals`, `orders` of ranks by name, and `themselves`, keys with the rows that have them, by group), each SQL
    once and by name, and of every tier the columns of `summed` in terms of these, and which column holds what it adds to a sum
    (`held`, by expression).
    """

    each: dict[str, str] = field(default_factory=dict)
    totals: dict[str, str] = field(default_factory=dict)
    orders: dict[str, Ranks] = field(default_factory=dict)
    themselves: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    tiers: list[dict[str, str]] = field(default_factory=list)
    held: list[dict[str, str]] = field(default_factory=list)
    credits: set[str] = field(default_factory=set)

    def column(self, sql: str) -> str:
        """Column of `cut`."""
        return self.each.setdefault(sql, f"c_{len(self.each) + 1}")

    def total(self, sql: str) -> str:
        """Column of `wide`."""
        return self.totals.setdefault(sql, f"t_{len(self.totals) + 1}")

    def count(self, flag: str) -> str:
        """How many rows have the flag."""
        return f"{self.total('count(*)' if flag == 'true' else f'count_if({flag})')}::BIGINT"

    def ranked(self, key: str, able: str, value: str, times: str) -> str:
        """Sum of a value that the rank weighs, among the rows that are `able`."""
        name = f"{self.column(key)}_{able}"
        order = self.orders.setdefault(name, Ranks(self.column(key), able))
        return order.totals.setdefault(f"fsum({value} * ({times}))", f"t_{name}_{len(order.totals) + 1}")

    def unequal(self, key: str, able: str, group: str) -> str:
        """Sum of a key that its own rank weighs, see `unequal` of rank.py; `group`: those that one order serves best."""
        one = (self.column(key), able)
        group = next((name for name, keys in self.themselves.items() if one in keys), group)
        keys = self.themselves.setdefault(group, [])
        if one not in keys:
            keys.append(one)
        return f"t_{group}_{keys.index(one)}"


class Wide(Compiled):
    """The SQL of a question by tier as one pass; `cut` has a row per row of the fact."""

    @cached_property
    def steps(self) -> list[Step]:
        """The tiers asked."""
        asked = self.question.where.get("tier")
        every = [s for s in steps(self.question, self.read.told) if not self.tiers or s.tier in self.tiers]
        return [s for s in every if not asked or s.tier in asked] or every

    @property
    def is_everybody(self) -> bool:
        return {*self.where} <= {"city", "plan_year", "tier"} and not self.source

    @property
    def names(self) -> tuple[str, ...]:
        """What the rows are grouped by before tiers become rows."""
        return tuple(name for name in self.by if name != "tier")

    @cached_property
    def tallies(self) -> Tallies:
        made = Tallies()
        plain = (
            self.question.measure.credit != "shapley"
        )  # else credits have rows of their own, all of which can be used

        # what nothing else is ranked by than itself
        alone = {*self.ranks} - {
            p.by
            for p in self.pieces.values()
            if p.by and (p.of, p.times) != (f"w * {term(RANKED_BY[p.by])}", "2 * rank - 1")
        }

        def column(sql: str) -> str:
            return sql if sql == "true" else made.column(sql)

        for step in self.steps:
            usable = self._of(self.usable(), step)
            able = " AND ".join(c for c in (step.there, usable) if c and c != "true") or "true"
            there = column(step.there or "true")
            if able not in ("true", step.there):
                able = f"coalesce({able}, false)"
            able = column(able)
            held = {
                p.of: column(self._value(p, step, able if plain or p.of != "credit" else "true"))
                for p in self.distinct()
            }
            if "credit" in held and not plain:
                made.credits.add(held["credit"])
            row = {"tier": literal(step.tier)}
            for p in self.pieces.values():
                if p.times:
                    key = self._of(term(RANKED_BY[p.by]), step)
                    if p.by in alone:
                        # what was paid moves most rows, and each further tier few
                        first = "first_" if step.tier == BEFORE_ALL else ""
                        sql = made.unequal(key, able, first + p.by)
                    else:
                        sql = made.ranked(key, able, held[p.of], p.times)
                else:
                    sql = made.total(f"{self.sum(p)}({held[p.of]})")
                row[p.column] = f"coalesce({sql}, 0)"
            hit = self.question.measure.hit
            row["n"] = made.count(able)
            for k, case in enumerate(self.cases, 1):
                row[f"n_hit_{k}"] = made.count(f"{held[case[hit or next(iter(case))].of]} <> 0")
            row["n_in"] = made.count(there)
            row["n_excluded"] = "0::BIGINT" if there == able else f"{row['n_in']} - {row['n']}"
            if self.nothing:
                nothing = column(f"{self.nothing} <= 0")
                row["n_no_resource"] = made.count(nothing if there == "true" else f"{there} AND {nothing}")
            made.tiers.append(row)
            made.held.append(held)
        return made

    def rows(self) -> str:
        """CTEs up to `cut`: groups, and what every row adds."""
        late = [n for n in self.where if n == "tier" or dimensions()[n].bands]
        kept = " AND ".join(keep(n) for n in late if n != "tier") or "true"
        columns = self.place(self.names)
        columns += self.carry
        columns += [f"{sql} AS {name}" for sql, name in self.tallies.each.items()] or ["true AS row"]
        ranked = self.tallies.orders or self.tallies.themselves
        columns += [f"w{self.factor} AS weighed"] if ranked else []
        source = "fact"
        if self.tiers:
            replayed = self.chosen["game"] == "replay"
            owed = owing(self.tiers, replayed, self.read.told)
            value = term(self.question.measure.numerator, sign=over(self.chosen), wide=self.read.wide)
            if self.question.measure.credit == "shapley":
                return self._shapley(late, kept, columns, value, owed)
            used = set(re.findall(r"\bv\d+\b", " ".join(columns)))
            flagged = [c for c in flags(value, owed) if c.rpartition(" ")[2] in used]
            source = f"(SELECT *, {', '.join(flagged)} FROM fact)"
        # read once for every order, which is found out slowly where it is not said
        kind = "MATERIALIZED " if ranked else ""
        body = f"cut AS {kind}(\n    SELECT {', '.join(columns)}\n    FROM {source} WHERE {kept}\n)"
        return f"{self.head(late, body, apart=bool(self.carry) and not self.tiers)},\n{body}"

    def _shapley(
        self, late: Sequence[str], kept: str, columns: Sequence[str], value: str, owed: Sequence[str]
    ) -> str:
        """As `rows`, in two parts: `every` row with all but the credits, and the credits of the few rows whose value depends at all
        on who pays, which `moved` (put close together first, since an expression costs by the thousand rows). Of these most were paid
        by one tier alone, which all of the fall is credited to; only the rest are worked out coalition by coalition.
        """
        replayed, told = self.chosen["game"] == "replay", self.read.told
        is_whole = all(self.sum(p) == "sum" for p in self.distinct() if p.of == "credit")
        shared = [f"{listed(self.tiers, at, is_whole)} AS credit_{at}" for at in range(len(self.tiers))]
        several, fall, alone = only(value, self.tiers, owed, replayed, told)
        groups, rest = columns[: (n := len(self.place(self.names)) + len(self.carry))], columns[n:]
        is_credit = [column.rpartition(" ")[2] in self.tallies.credits for column in rest]
        of_every = [*groups, *(column for column, is_one in zip(rest, is_credit, strict=True) if not is_one)]
        credits = [column for column, is_one in zip(rest, is_credit, strict=True) if is_one]
        of_moved, less = [*groups, *credits], ""
        if self._apart == ["file"]:  # what the few rows need not carry
            of_moved, less = ["file", *credits], f" EXCLUDE ({', '.join(self.names)})"
        both = ",\ncut AS (FROM every UNION ALL BY NAME FROM moved)" if self.carry else ""
        body = f"""\
moving AS MATERIALIZED (
    SELECT *{less}, {several} AS several FROM fact
    WHERE {kept} AND {self.usable()} AND {moves(value, self.tiers, replayed, told)}
),
every AS (
    SELECT {", ".join(of_every)}
    FROM fact WHERE {kept}
),
moved AS (
    SELECT {", ".join(of_moved)}
    FROM (
        SELECT * EXCLUDE (v), {", ".join(shared)}
        FROM (SELECT *, list_transform([{", ".join(owed)}], lambda own: ({value})::DOUBLE) AS v FROM moving WHERE several)
        UNION ALL SELECT * EXCLUDE (fall), {", ".join(alone)}
        FROM (SELECT *, {fall} AS fall FROM moving WHERE NOT several)
    )
){both}"""
        return f"{self.head(late, body, apart=True)},\n{body}"

    @property
    def _apart(self) -> Sequence[str]:
        """What the two parts of `_shapley` are put together by."""
        return ["file"] if self._by_file(self.names) and not self.carry else self.names

    def _value(self, piece: Piece, step: Step, able: str) -> str:
        """What a row adds to a sum of a tier, NULL where it cannot be used."""
        of = self._of(piece.of, step)
        if of == "credit":
            at, kind = self.tiers.index(step.tier), self.question.measure.credit
            of = f"credit_{at}" if kind == "shapley" else credit(kind, self.tiers, at)[0]
        value = f"(({of}){self.factor})::DOUBLE"
        if of == "w" and able != "true":  # a product costs less than a case
            return f"({of}{self.factor} * {able}::INTEGER)::DOUBLE"
        return value if able == "true" else f"CASE WHEN {able} THEN {value} END"

    def _of(self, expression: str, step: Step) -> str:
        """An expression of the ledger in terms of the columns of the fact."""
        written = re.sub(r"\bleft_over\b", lambda _: f"({left_over(self.chosen)})", expression)
        return re.sub(
            r"\b[a-z_]+\b", lambda m: f"({step.columns[m[0]]})" if m[0] in step.columns else m[0], written
        )

    def _summed(self, names: str, group: str) -> str:
        """SELECT of the totals: of credits and of all else apart, where `rows` has them apart."""
        totals = {name: sql for sql, name in self.tallies.totals.items()}
        credits = {n for n, sql in totals.items() if self.tallies.credits & {*re.findall(r"\w+", sql)}}
        both = (
            ", ".join(f"{sql} AS {n}" for n, sql in totals.items() if (n in credits) == of)
            for of in (False, True)
        )
        every, moved = both
        if not credits:
            return f"SELECT {names}{every}\n    FROM cut{group}"
        on = " AND ".join(f"every.{n} IS NOT DISTINCT FROM moved.{n}" for n in self._apart)
        own = "".join(f"every.{n}, " for n in self.names)
        told = ", ".join(f"coalesce({n}, 0) AS {n}" if n in credits else n for n in totals)
        file = "file, " if self._apart == ["file"] else ""
        return f"""\
SELECT {own}{told}
    FROM (SELECT {names}{file}{every} FROM every{group}) AS every
    LEFT JOIN (SELECT {file or names}{moved} FROM moved{group}) AS moved ON {on or "true"}"""

    def totals(self) -> str:
        """CTEs from `cut` to `summed`, which has a row per group and tier."""
        names, made = "".join(f"{name}, " for name in self.names), self.tallies
        group = f" GROUP BY {', '.join(self.names)}" if self.names else ""
        columns = ((n, list(dict.fromkeys(row[n] for row in made.tiers))) for n in made.tiers[0])
        each = ", ".join(
            f"{same[0]} AS {n}"
            if len(same) == 1
            else f"unnest([{', '.join(row[n] for row in made.tiers)}]) AS {n}"
            for n, same in columns
        )
        kept = f" AND {keep('tier')}" if "tier" in self.where else ""
        parts = [f"wide AS (\n    {self._summed(*self.grouped(self.names))}\n)"]
        source = "wide"
        ranked: dict[str, tuple[str, str]] = {}
        for name, order in made.orders.items():
            alike = "".join(f" AND cut.{n} IS NOT DISTINCT FROM of.{n}" for n in self.names)
            totals = ", ".join(f"{sql} AS {column}" for sql, column in order.totals.items())
            # Rows are put beside their rank: in the order itself they would carry all of their values, which costs more.
            ranked[name] = (
                f"""\
cell_{name} AS (
    SELECT {names}{order.key} AS key, sum(weighed) AS weighed FROM cut WHERE {order.able} GROUP BY ALL
),
{fractional(name, self.names)},
placed_{name} AS (
    SELECT cut.*, below, up_to, rank FROM cut JOIN rank_{name} AS of ON cut.{order.key} = of.key{alike} WHERE {order.able}
)""",
                f"{totals} FROM placed_{name}",
            )
        for name, keys in made.themselves.items():
            totals = ", ".join(f"{unequal(j)} AS t_{name}_{j}" for j in range(len(keys)))
            ranked[name] = one_order(name, keys, "weighed", self.names), f"{totals} FROM ranks_{name}"
        for name, (ranks, totals) in ranked.items():
            parts.append(f"{ranks},\nwide_{name} AS (\n    SELECT {names}{totals}{group}\n)")
            on = " AND ".join(f"wide.{n} IS NOT DISTINCT FROM wide_{name}.{n}" for n in self.names)
            source += f" LEFT JOIN wide_{name} ON {on or 'true'}"
        own = "".join(f"wide.{name}, " for name in self.names)
        parts.append(f"""\
summed AS (
    SELECT * FROM (SELECT {own}{each} FROM {source}) WHERE n_in > 0{kept}
)""")
        return ",\n".join(parts)

"""A measure of tiers in one pass over its fact: every tier has columns of its own, which become rows at the very end.

The rows it gives are those of Compiled, which makes a row per tier of every row first: twice the work. What that is needed for
(ranks, cuts by what was still owed before a tier, the deviations of standard errors) is asked that way, and so is a measure of
few rows of each tier, which that leaves out early, or one by thresholds too, whose columns would be dozens.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from analytics.measures.compile import Compiled, Piece
from analytics.measures.credit import credit, extremes, flags, listed, owing
from analytics.measures.form import dimensions
from analytics.measures.question import Question
from analytics.measures.rows import Fact, Step, cut, keep, left_over, over, steps, term
from analytics.store import literal
from analytics.tiers import LEDGERS


def compiled(
    question: Question,
    chosen: Mapping[str, str],
    fact: Fact | None = None,
    tiers: Sequence[str] = (),
    *,
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
            not any(one.times for one in form.sums.values()),
        )
    )
    return (Wide if fits else Compiled)(question, chosen, fact, tiers, source=source, more=more)


class Wide(Compiled):
    """The SQL of a question by tier as one pass; `cut` has a row per row of the fact."""

    @property
    def _steps(self) -> list[Step]:
        asked = self.question.where.get("tier")
        every = [s for s in steps(self.question, self.read.told) if not self.tiers or s.tier in self.tiers]
        return [s for s in every if not asked or s.tier in asked] or every

    def _names(self) -> tuple[str, ...]:
        """What the rows are grouped by before tiers become rows."""
        return tuple(name for name in self.by if name != "tier")

    @cached_property
    def _tallies(self) -> tuple[dict[str, str], dict[str, str], list[dict[str, str]]]:
        """What every row adds, what is made of all rows, each once and by name, and of every tier the columns of `summed` in terms of these."""
        each: dict[str, str] = {}
        totals: dict[str, str] = {}
        plain = self.question.measure.credit != "shapley"  # else not every row of `cut` is a row of the fact

        def column(sql: str) -> str:
            return sql if sql == "true" and plain else each.setdefault(sql, f"c_{len(each) + 1}")

        def total(sql: str) -> str:
            return totals.setdefault(sql, f"t_{len(totals) + 1}")

        def count(flag: str) -> str:
            return f"{total('count(*)' if flag == 'true' else f'count_if({flag})')}::BIGINT"

        tiers = []
        for step in self._steps:
            usable = self._of(self.usable(), step)
            able = " AND ".join(c for c in (step.there, usable) if c and c != "true") or "true"
            there = column(step.there or "true")
            if able not in ("true", step.there):
                able = f"coalesce({able}, false)"
            can, able = able, column(able)
            held = {
                p.of: column(self._value(p, step, able if plain or p.of != "credit" else can))
                for p in self.distinct()
            }
            row = {
                p.column: f"coalesce({total(f'{self.sum(p)}({held[p.of]})')}, 0)"
                for p in self.pieces.values()
            }
            hit = self.question.measure.hit
            row["n"] = count(able)
            for k, case in enumerate(self.cases, 1):
                row[f"n_hit_{k}"] = count(f"{held[case[hit or next(iter(case))].of]} <> 0")
            row["n_in"] = count(there)
            row["n_excluded"] = "0::BIGINT" if there == able else f"{row['n_in']} - {row['n']}"
            if self.nothing:
                nothing = column(f"{self.nothing} <= 0")
                row["n_no_resource"] = count(nothing if there == "true" else f"{there} AND {nothing}")
            tiers.append({"tier": literal(step.tier), **row})
        return each, totals, tiers

    def rows(self) -> str:
        """CTEs up to `cut`: groups, and what every row adds."""
        late = [n for n in self.where if n == "tier" or dimensions()[n].bands]
        kept = " AND ".join(keep(n) for n in late if n != "tier") or "true"
        columns = [name if name in self.more else f"{cut(name)} AS {name}" for name in self._names()]
        columns += [f"{sql} AS {name}" for sql, name in self._tallies[0].items()] or ["true AS row"]
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
        body = f"cut AS (\n    SELECT {', '.join(columns)}\n    FROM {source} WHERE {kept}\n)"
        return f"{self.head(late, body)},\n{body}"

    def _shapley(
        self, late: Sequence[str], kept: str, columns: Sequence[str], value: str, owed: Sequence[str]
    ) -> str:
        """As `rows`, in two parts: of every row all but the credits, and the credits of the few rows whose value depends at all on who
        pays; these are put close together first, since an expression costs by the thousand rows.
        """
        low, high = extremes(value, self.tiers, self.chosen["game"] == "replay", self.read.told)
        of_all, of_some = [], []
        for i, column in enumerate(columns):
            name = column.rpartition(" ")[2]
            is_group, is_credit = i < len(self._names()), "list_dot_product(" in column
            able, has, _ = column.partition(" THEN ")
            nothing = f"{able} THEN 0::DOUBLE END AS {name}" if has else f"0::DOUBLE AS {name}"
            of_all.append(nothing if is_credit else column)
            of_some.append(column if is_group or is_credit else f"NULL AS {name}")
        body = f"""\
moving AS MATERIALIZED (
    SELECT * FROM fact WHERE {kept} AND {low} IS DISTINCT FROM {high}
),
cut AS (
    SELECT {", ".join(of_all)}
    FROM fact WHERE {kept}
    UNION ALL
    SELECT {", ".join(of_some)}
    FROM (SELECT *, list_transform([{", ".join(owed)}], lambda own: ({value})::DOUBLE) AS v FROM moving)
)"""
        return f"{self.head(late, body)},\n{body}"

    def _value(self, piece: Piece, step: Step, able: str) -> str:
        """What a row adds to a sum of a tier, NULL where it cannot be used."""
        of = self._of(piece.of, step)
        if of == "credit":
            at, kind = self.tiers.index(step.tier), self.question.measure.credit
            of = credit(kind, self.tiers, at)[0]
            if kind == "shapley":
                of = listed(self.tiers, at, self.sum(piece) == "sum")
        value = f"(({of}){self.factor})::DOUBLE"
        return value if able == "true" else f"CASE WHEN {able} THEN {value} END"

    def _of(self, expression: str, step: Step) -> str:
        """An expression of the ledger in terms of the columns of the fact."""
        written = re.sub(r"\bleft_over\b", lambda _: f"({left_over(self.chosen)})", expression)
        return re.sub(
            r"\b[a-z_]+\b", lambda m: f"({step.columns[m[0]]})" if m[0] in step.columns else m[0], written
        )

    def totals(self) -> str:
        """CTEs from `cut` to `summed`, which has a row per group and tier."""
        names = "".join(f"{name}, " for name in self._names())
        _, totals, tiers = self._tallies
        group = f" GROUP BY {', '.join(self._names())}" if self._names() else ""
        rows = ",\n        ".join(
            f"{{{', '.join(f'{n}: {sql}' for n, sql in row.items())}}}" for row in tiers
        )
        kept = f" AND {keep('tier')}" if "tier" in self.where else ""
        return f"""\
wide AS (
    SELECT {names}{", ".join(f"{sql} AS {name}" for sql, name in totals.items())}
    FROM cut{group}
),
summed AS (
    SELECT * FROM (SELECT {names}unnest([
        {rows}
    ], recursive := true) FROM wide) WHERE n_in > 0{kept}
)"""

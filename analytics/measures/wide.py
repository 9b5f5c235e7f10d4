"""A measure of tiers in one pass over its fact: every tier has columns of its own, which become rows at the very end.

The rows it gives are those of Compiled, which makes a row per tier of every row first: twice the work. What that is needed for
(ranks, cuts by what was still owed before a tier, the deviations of standard errors) is asked that way, and so is a measure of
few rows of each tier, which that leaves out early, or one by thresholds too, whose columns would be dozens.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from analytics.measures.compile import Compiled, Piece
from analytics.measures.credit import credit, extremes, flags, listed, values
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
        asked, every = self.question.where.get("tier"), steps(self.question, self.read.told)
        found = [
            s for s in every
            if (not asked or s.tier in asked) and (not self.tiers or s.tier in self.tiers)
        ]  # fmt: skip
        return found or every

    def _names(self) -> tuple[str, ...]:
        """What the rows are grouped by before tiers become rows."""
        return tuple(name for name in self.by if name != "tier")

    @cached_property
    def _tallies(self) -> tuple[dict[str, str], dict[str, str], list[dict[str, str]]]:
        """What every row adds, what is made of all rows, each once and by name, and of every tier the columns of `summed` in terms of these."""
        each: dict[str, str] = {}
        totals: dict[str, str] = {}

        def column(sql: str) -> str:
            return sql if sql == "true" else each.setdefault(sql, f"c_{len(each) + 1}")

        def total(sql: str) -> str:
            return totals.setdefault(sql, f"t_{len(totals) + 1}")

        def count(flag: str) -> str:
            return f"{total('count(*)' if flag == 'true' else f'count_if({flag})')}::BIGINT"

        tiers = []
        for step in self._steps:
            usable = self._of(self.usable(), step)
            able = " AND ".join(c for c in (step.there, usable) if c and c != "true") or "true"
            there = column(step.there or "true")
            able = (
                there
                if able == step.there
                else column(able if able == "true" else f"coalesce({able}, false)")
            )
            held = {p.of: column(self._value(p, step, able)) for p in self.distinct()}
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
            form, replayed = self.question.measure, self.chosen["game"] == "replay"
            value = term(form.numerator, sign=over(self.chosen), wide=self.read.wide)
            if form.credit == "shapley":
                low, high = extremes(value, self.tiers, replayed)
                listed = f"CASE WHEN moves THEN [{', '.join(values(value, self.tiers, replayed))}] END AS v"
                source = (
                    f"(SELECT *, {listed} FROM (SELECT *, {low} IS DISTINCT FROM {high} AS moves FROM fact))"
                )
            else:
                used = set(re.findall(r"\bv\d+\b", " ".join(columns)))
                flagged = [c for c in flags(value, self.tiers, replayed) if c.rpartition(" ")[2] in used]
                source = f"(SELECT *, {', '.join(flagged)} FROM fact)"
        body = f"cut AS (\n    SELECT {', '.join(columns)}\n    FROM {source} WHERE {kept}\n)"
        return f"{self.head(late, body)},\n{body}"

    def _value(self, piece: Piece, step: Step, able: str) -> str:
        """What a row adds to a sum of a tier, NULL where it cannot be used."""
        of = self._of(piece.of, step)
        if of == "credit":
            at, kind = self.tiers.index(step.tier), self.question.measure.credit
            of = credit(kind, self.tiers, at)[0]
            if kind == "shapley":  # of rows whose value no set of tiers changes: nothing
                of, able = listed(self.tiers, at), "moves" if able == "true" else f"{able} AND moves"
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

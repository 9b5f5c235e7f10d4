"""A measure of tiers in one pass over its fact: every tier has columns of its own, which become rows at the very end.

The rows it gives are those of Compiled, which makes a row per tier of every row first: twice the work. What that is needed for
(ranks, cuts by what was still owed before a tier, the deviations of standard errors) is asked that way, and so is a measure of
few rows of each tier, which that leaves out early, or one by thresholds too, whose columns would be dozens.
"""

import re
from collections.abc import Mapping, Sequence

from analytics.measures.compile import Compiled
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
        asked = self.question.where.get("tier")
        return [
            s for s in steps(self.question)
            if (not asked or s.tier in asked) and (not self.tiers or s.tier in self.tiers)
        ]  # fmt: skip

    def _names(self) -> tuple[str, ...]:
        """What the rows are grouped by before tiers become rows."""
        return tuple(name for name in self.by if name != "tier")

    def rows(self) -> str:
        """CTEs up to `cut`: groups, and of every tier whether it has the row (`in_`), can use it (`ok_`), and what it adds to each sum."""
        late = [n for n in self.question.where if n == "tier" or dimensions()[n].bands]
        kept = " AND ".join(keep(n) for n in late if n != "tier") or "true"
        names = [name if name in self.more else f"{cut(name)} AS {name}" for name in self._names()]
        names += [f"{self.nothing} <= 0 AS has_nothing"] if self.nothing else []
        each = [column for i, step in enumerate(self._steps) for column in self._columns(i, step)]
        if not self.tiers:
            return f"{self.head(late)},\ncut AS (\n    SELECT {', '.join([*names, *each])}\n    FROM fact WHERE {kept}\n)"
        form, replayed = self.question.measure, self.chosen["game"] == "replay"
        value = term(form.numerator, sign=over(self.chosen), wide=self.read.wide)
        if form.credit != "shapley":
            used = {name for column in each for name in re.findall(r"\bv\d+\b", column)}
            needed = [c for c in flags(value, self.tiers, replayed) if c.rpartition(" ")[2] in used]
            return f"""\
{self.head(late)},
cut AS (SELECT {", ".join([*names, *each])} FROM (SELECT *, {", ".join(needed)} FROM fact WHERE {kept}))"""
        low, high = extremes(value, self.tiers, replayed)
        still = [
            column for i, step in enumerate(self._steps) for column in self._columns(i, step, still=True)
        ]
        return f"""\
{self.head(late)},
moving AS (SELECT *, {low} IS DISTINCT FROM {high} AS moves FROM fact WHERE {kept}),
cut AS (
    SELECT {", ".join([*names, *each])} FROM (SELECT *, [{", ".join(values(value, self.tiers, replayed))}] AS v FROM moving WHERE moves)
    UNION ALL SELECT {", ".join([*names, *still])} FROM moving WHERE NOT moves
)"""

    def _columns(self, i: int, step: Step, still: bool = False) -> list[str]:
        """Columns of `cut` of a tier. `still`: of rows whose value no set of tiers changes."""
        usable = self._of(self.usable(), step)
        able = " AND ".join(c for c in (step.there, usable) if c and c != "true") or "true"
        columns = [f"coalesce({step.there or 'true'}, false) AS in_{i}", f"coalesce({able}, false) AS ok_{i}"]
        for piece in self.distinct():
            of = self._of(piece.of, step)
            if of == "credit":
                if still:
                    columns.append(f"0::DOUBLE AS {piece.column}_{i}")
                    continue
                at, kind = self.tiers.index(step.tier), self.question.measure.credit
                of = listed(self.tiers, at) if kind == "shapley" else credit(kind, self.tiers, at)[0]
            columns.append(f"CASE WHEN ok_{i} THEN (({of}){self.factor})::DOUBLE END AS {piece.column}_{i}")
        return columns

    def _of(self, expression: str, step: Step) -> str:
        """An expression of the ledger in terms of the columns of the fact."""
        written = re.sub(r"\bleft_over\b", lambda _: f"({left_over(self.chosen)})", expression)
        return re.sub(
            r"\b[a-z_]+\b", lambda m: f"({step.columns[m[0]]})" if m[0] in step.columns else m[0], written
        )

    def totals(self) -> str:
        """CTEs from `cut` to `summed`, which has a row per group and tier."""
        names = "".join(f"{name}, " for name in self._names())
        sums, parts = [], []
        hits = [self.column(case[self.question.measure.hit or next(iter(case))]) for case in self.cases]
        own = self._steps
        for i, _ in enumerate(own):
            sums += [f"fsum({p.column}_{i}) AS {p.column}_{i}" for p in self.distinct()]
            sums += [f"count_if({of}_{i} <> 0) AS n_hit_{k + 1}_{i}" for k, of in enumerate(hits)]
            sums += [f"count_if(ok_{i}) AS n_{i}", f"count_if(in_{i}) AS n_in_{i}"]
            sums += [f"count_if(in_{i} AND has_nothing) AS n_no_resource_{i}"] if self.nothing else []
        for i, step in enumerate(own):
            columns = [f"coalesce({self.column(p)}_{i}, 0) AS {p.column}" for p in self.pieces.values()]
            columns += [
                f"n_{i}::BIGINT AS n",
                *(f"n_hit_{k + 1}_{i}::BIGINT AS n_hit_{k + 1}" for k in range(len(hits))),
            ]
            columns.append(f"(n_in_{i} - n_{i})::BIGINT AS n_excluded")
            columns += [f"n_no_resource_{i}::BIGINT AS n_no_resource"] if self.nothing else []
            tier = f" AND {keep('tier')}" if "tier" in self.question.where else ""
            parts.append(
                f"SELECT {names}{literal(step.tier)} AS tier, {', '.join(columns)} FROM wide WHERE n_in_{i} > 0{tier}"
            )
        union = "\n    UNION ALL ".join(parts)
        group = f" GROUP BY {', '.join(self._names())}" if self._names() else ""
        return f"wide AS (\n    SELECT {names}{', '.join(sums)}\n    FROM cut{group}\n),\nsummed AS (\n    {union}\n)"

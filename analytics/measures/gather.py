"""A question asked of one city and plan year at a time, wherever a runner works, and put together where that is exact.

Where every row of the answer is of one city and year, the rows are those of the parts. Sums over several are added up from the sums
of the parts: only of whole numbers below 2^53, of which every order of adding gives the same, and only where nobody stands in
several cities. Ranks, quantiles, standards and errors over several places are no sums of parts: they are asked on one machine.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from analytics.measures.compile import Compiled
from analytics.measures.cube import PLACE
from analytics.measures.question import Question
from analytics.measures.rows import Fact, order
from analytics.measures.uncertainty import Errored, Sure, with_errors
from analytics.store import Engine, Place
from analytics.store.runner import Runner

_WHOLE = 2**sys.float_info.mant_dig  # whole numbers up to here are exact in a DOUBLE


@dataclass(frozen=True)
class Asked:
    """The part of a question that is asked of one place: in whole (`sums` false), or its sums and how far they are from inexact."""

    snapshot: Path
    question: Question
    chosen: Mapping[str, str]
    fact: Fact
    tiers: Sequence[str]
    sure: Sure | None
    sums: bool

    def __call__(self, place: tuple[str, int]) -> tuple[pl.DataFrame, Mapping[str, Any]]:
        """Its rows, and what is told of its errors. Raises as Book.ask does, and Damaged."""
        folder = Place(self.snapshot, *place)
        grain = self.question.measure.grain
        folder.check(grain)
        engine = Engine({grain: [p.path for p in folder.partitions(grain)]})
        if self.sure:
            found = with_errors(engine, self.question, self.chosen, self.fact, self.tiers, self.sure)
            return found.table, found.told
        c, sql = self.compiled()
        return engine.ask(sql, c.bound), {}

    def compiled(self) -> tuple[Compiled, str]:
        """The question, and what is asked of every place."""
        c = Compiled(self.question, self.chosen, self.fact, self.tiers)
        if not self.sums:
            return c, c.sql
        columns = {c.column(piece) for piece in c.pieces.values()}
        whole = " AND ".join(f"coalesce(bool_and({n} = trunc({n})), true)" for n in sorted(columns))
        most = ", ".join(f"coalesce(sum(abs({n})), 0)" for n in sorted(columns))
        return c, (
            f"WITH {c.rows()},\n{c.totals()},\n"
            f"exact AS (SELECT {whole} AS is_whole, greatest({most}) AS most FROM cut)\nSELECT * FROM summed CROSS JOIN exact"
        )


@dataclass(frozen=True)
class Spread:
    """Asks the parts of the questions to a snapshot by a runner."""

    runner: Runner
    snapshot: Path

    def answer(
        self,
        question: Question,
        chosen: Mapping[str, str],
        fact: Fact,
        tiers: Sequence[str],
        sure: Sure | None,
        places: Sequence[tuple[str, int]],
    ) -> Errored | None:
        """The answer made of parts; None where it must be asked on one machine. `places`: those that hold the fact."""
        apart = len(places) == 1 or set(PLACE) <= set(question.by)
        if not places or not (apart or self._adds_up(question, fact)):
            return None
        if len(places) > 1 and (
            chosen.get("standardise", "none") != "none" or (sure and sure.sampling != "population")
        ):
            return None  # all of them together are the standard, and the sample
        if sure and not apart:
            return None
        here = replace(fact, table=question.measure.grain, once=False)
        asked = Asked(self.snapshot, question, chosen, here, tiers, sure, not apart)
        names = [f"{city} {year}" for city, year in places]
        parts = self.runner.map(asked, list(places), names, at=self.snapshot, light=True)
        rows = pl.concat([table for table, _ in parts])
        told = {"runner": self.runner.name, "parts": len(parts)}
        if not apart and not (rows["is_whole"].all() and self._most(parts) < _WHOLE):
            return None
        engine, (c, sql) = Engine({}), asked.compiled()
        engine.hold("parts", rows)
        if apart:
            by = ", ".join(f"{order(name)}{name}" for name in question.by)
            table = engine.ask(f"SELECT * FROM parts{f' ORDER BY {by}' if by else ''}")
        else:
            merged = f"WITH summed AS ({_added(c, rows.columns)})\n{c.answer()}"
            sql = f"-- of every city and plan year\n{sql}\n-- the parts together\n{merged}"
            table = engine.ask(merged)
        if sure:
            told["uncertainty"] = parts[0][1]
        return Errored(table, sql, c.bound, told)

    @staticmethod
    def _adds_up(question: Question, fact: Fact) -> bool:
        """Whether the answer is made of sums that add up over places."""
        form = question.measure
        is_sum = not form.quantile and not any(one.times for one in form.sums.values())
        return is_sum and not fact.once and form.counted == "*"

    @staticmethod
    def _most(parts: Sequence[tuple[pl.DataFrame, Any]]) -> float:
        return sum(float(table["most"][0]) for table, _ in parts if table.height)


def _added(asked: Compiled, columns: Sequence[str]) -> str:
    """SELECT of the sums of all parts."""
    sums = [
        f"fsum({name}) AS {name}" if name in asked.pieces else f"sum({name})::BIGINT AS {name}"
        for name in columns
        if name not in (*asked.by, "is_whole", "most")
    ]
    by = ", ".join(asked.by)
    return f"SELECT {', '.join([*asked.by, *sums])} FROM parts{f' GROUP BY {by}' if by else ''}"

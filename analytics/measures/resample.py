"""Standard errors by resampling clusters: for what no formula covers. Drawn by a hash of cluster, replicate and seed: the same
question gives the same error each time, in whatever order its rows are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from analytics.measures.compile import Compiled
from analytics.measures.form import Measure, grammar, uncertainty
from analytics.measures.question import Question
from analytics.measures.rows import Fact, steps
from analytics.measures.wide import compiled
from analytics.store import Engine, Query


class Resample:
    """The values of a question in every replicate, in pieces that fit in memory."""

    def __init__(
        self, engine: Engine, question: Question, chosen: Mapping[str, str], fact: Fact, tiers: Sequence[str]
    ) -> None:
        self._engine = engine
        self._of = (question, chosen, fact, tiers)
        rules = self._rules = uncertainty().resample
        base = Compiled(question, chosen, fact, tiers)
        carry = carried(question.measure)
        keep = base.places()
        bound = {k: v for k, v in base.bound.items() if k in ("where_city", "where_plan_year")}
        rows, clusters = engine.ask(
            f"SELECT count(*), count(DISTINCT {carry['cluster']}) FROM {base.fact} WHERE {keep}", bound
        ).row(0)
        self.method = "Rao-Wu" if clusters <= rules.exact else "Poisson"
        self.replicates = min(rules.most, max(rules.fewest, rules.rows // max(rows, 1)))
        self.part = 1 if self.method == "Rao-Wu" else min(1, rules.rows / rules.fewest / max(rows, 1))
        times = len(steps(question, base.read.told)) if "tier" in question.by else 1
        self._step = max(1, rules.at_once // max(int(rows * self.part) * times, 1))
        draw = f"hash(hash(drawn, replicate, $seed)) % {rules.hashes}"
        slots = {"fact": base.fact, "keep": keep, **carry}
        if self.method == "Rao-Wu":
            self._source = _file("rao_wu").fill(**slots)
        else:
            edges = [int(edge * rules.hashes) for edge in rules.poisson]  # of all hashes
            cases = " ".join(f"WHEN {draw} < {edge} THEN {n}" for n, edge in enumerate(edges))
            self._source = _file("draws").fill(**slots, counts=f"CASE {cases} ELSE {len(edges)} END")

    def compiled(self) -> Compiled:
        """The question over the resampled rows, by replicate."""
        question, chosen, fact, tiers = self._of
        return compiled(question, chosen, fact, tiers, source=f"({self._source})", more=("replicate",))

    def values(self) -> Iterator[tuple[pl.DataFrame, Compiled]]:
        """Groups, replicate and value, some replicates at a time. Raises store.QueryTimeout."""
        for first in range(0, self.replicates, self._step):
            asked = self.compiled()
            asked.bound |= {
                "seed": self._rules.seed,
                "first": first,
                "last": min(first + self._step, self.replicates),
            }
            if self.method == "Poisson":
                asked.bound["part_bp"] = max(1, round(self.part * 10_000))
            by = [*asked.question.by, "replicate"]
            yield self._engine.ask(asked.sql, asked.bound).select(*by, "value"), asked

    @property
    def told(self) -> dict[str, Any]:
        """What an answer says of it."""
        part = {} if self.part == 1 else {"part": round(self.part, 4)}
        return {"draws": self.method, "replicates": self.replicates, "seed": self._rules.seed, **part}


def carried(measure: Measure) -> dict[str, str]:
    """Cluster and stratum of a row of the fact."""
    rules = grammar()
    return {"cluster": rules.clusters[measure.grain], "stratum": rules.strata.get(measure.grain, "''")}


@cache
def _file(name: str) -> Query:
    return Query.load(Path(__file__).parent / f"{name}.sql")

"""Standard errors by resampling clusters: for what no formula covers. Drawn by a hash of cluster, replicate and seed: the same
question gives the same error each time, in whatever order its rows are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from analytics.measures.compile import Compiled
from analytics.measures.form import Measure, grammar
from analytics.measures.question import Question
from analytics.store import Engine, Query

SEED = 20_260_101
# Clusters of which so many are drawn exactly (Rao-Wu); of more, each counts a Poisson number of times.
EXACT = 5_000
# Replicates, and rows in all of them together; where there are more, a random part of the clusters stands for all.
FEWEST, MOST, ROWS, AT_ONCE = 200, 400, 20_000_000, 8_000_000
# Of 2^64 hashes those that count 0, 1, 2, ... times: the cumulated Poisson distribution of mean 1.
_POISSON = (0.36787944117144233, 0.7357588823428847, 0.9196986029286058, 0.9810118431238462, 0.9963401531726563,
            0.9994058151824183, 0.9999167588507119, 0.9999897508033253, 0.9999988747974020)  # fmt: skip


class Resample:
    """The values of a question in every replicate, in pieces that fit in memory."""

    def __init__(
        self, engine: Engine, question: Question, chosen: Mapping[str, str], fact: str, tiers: Sequence[str]
    ) -> None:
        self._engine = engine
        self._of = (question, chosen, fact, tiers)
        base = Compiled(question, chosen, fact, tiers)
        carry = carried(question.measure)
        keep = base.places()
        bound = {k: v for k, v in base.bound.items() if k in ("where_city", "where_plan_year")}
        rows, clusters = engine.ask(
            f"SELECT count(*), count(DISTINCT {carry['cluster']}) FROM {fact} WHERE {keep}", bound
        ).row(0)
        self.method = "Rao-Wu" if clusters <= EXACT else "Poisson"
        self.replicates = min(MOST, max(FEWEST, ROWS // max(rows, 1)))
        self.part = 1.0 if self.method == "Rao-Wu" else min(1.0, ROWS / FEWEST / max(rows, 1))
        self._step = max(1, AT_ONCE // max(int(rows * self.part), 1))
        slots = {"fact": fact, "keep": keep, **carry}
        if self.method == "Rao-Wu":
            self._source = _file("rao_wu").fill(**slots)
        else:
            counts = " ".join(f"WHEN u < {edge} THEN {n}" for n, edge in enumerate(_POISSON))
            counts = f"CASE {counts} ELSE {len(_POISSON)} END"
            u = "hash(drawn, replicate, $seed) / 18446744073709551616.0"
            self._source = _file("draws").fill(**slots, counts=counts.replace("u <", f"{u} <"))

    def compiled(self) -> Compiled:
        """The question over the resampled rows, by replicate."""
        question, chosen, fact, tiers = self._of
        return Compiled(question, chosen, fact, tiers, source=f"({self._source})", more=("replicate",))

    def values(self) -> Iterator[tuple[pl.DataFrame, Compiled]]:
        """Groups, replicate and value, some replicates at a time. Raises store.QueryTimeout."""
        for first in range(0, self.replicates, self._step):
            asked = self.compiled()
            asked.bound |= {"seed": SEED, "first": first, "last": min(first + self._step, self.replicates)}
            if self.method == "Poisson":
                asked.bound["part_bp"] = max(1, round(self.part * 10_000))
            by = [*asked.question.by, "replicate"]
            yield self._engine.ask(asked.sql, asked.bound).select(*by, "value"), asked

    @property
    def told(self) -> dict[str, Any]:
        """What an answer says of it."""
        part = {} if self.part == 1 else {"part": round(self.part, 4)}
        return {"draws": self.method, "replicates": self.replicates, "seed": SEED, **part}


def carried(measure: Measure) -> dict[str, str]:
    """Cluster and stratum of a row of the fact."""
    rules = grammar()
    return {"cluster": rules.clusters[measure.grain], "stratum": rules.strata.get(measure.grain, "''")}


@cache
def _file(name: str) -> Query:
    return Query.load(Path(__file__).parent / f"{name}.sql")

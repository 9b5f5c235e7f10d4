"""Decomposition of a concentration index: how much of it goes with insurance type, age, size of household and the like.

The outcome is regressed on the covariates (weighted least squares; for a yes-or-no outcome a linear probability model); a
covariate's contribution is its coefficient times its own inequality over ranks. Wagstaff, van Doorslaer, Watanabe (2003).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from analytics.measures.compile import Compiled
from analytics.measures.form import dimensions, grammar
from analytics.measures.question import Question
from analytics.measures.rows import Fact, cut
from analytics.store import Engine, literal

WHOLE, REST = "total", "residual"


def decompose(
    engine: Engine, question: Question, chosen: Mapping[str, str], fact: Fact, covariates: Sequence[str]
) -> tuple[pl.DataFrame, str, dict[str, Any]]:
    """Rows: `covariate` (name, or name=level), `value` its contribution, the whole index (`total`) and what is left
    (`residual`); coefficient, mean, concentration index of the covariate, share of the index; n households. Raises ValueError
    for a measure that is no standard concentration index, an unknown covariate, or covariates that explain one another.
    """
    form, rules = question.measure, grammar()
    if form.uncertainty != "convenient" or len(form.sums) != len(("all", "unequal")) or question.by:
        fits = "catastrophic_concentration, overshoot_concentration, benefit_concentration, gini"
        raise ValueError(f"{form.id} cannot be decomposed; standard concentration indices can: {fits}")
    carry = {}
    for name in covariates:
        if name in rules.covariates:
            carry[f"x_{name}"] = f"({rules.covariates[name]})::DOUBLE"
        elif name in dimensions() and name not in ("tier", "threshold") and dimensions()[name].fits(form):
            carry[f"x_{name}"] = f"({cut(name)})::VARCHAR"
        else:
            raise ValueError(
                f"covariate {name}: unknown; there are {', '.join([*rules.covariates, *dimensions()])}"
            )
    if not carry:
        raise ValueError("covariates: name at least one")
    known = " AND ".join(f"{column} IS NOT NULL" for column in carry)
    asked = Compiled(question, chosen, fact, carry=carry, only=known)
    head = f"WITH {asked.rows()}"
    terms = _terms(engine, asked, head, [n for n in covariates if n not in rules.covariates], covariates)
    outcome = asked.column(next(iter(asked.cases[0].values())))
    xs = ["1", *(sql for _, sql in terms)]
    sums = [f"fsum(weighed * ({a}) * ({b}))" for i, a in enumerate(xs) for b in xs[: i + 1]]
    sums += [f"fsum({outcome} * ({x}))" for x in xs]
    sums += [f"fsum(weighed * (2 * k.rank - 1) * ({x}))" for x in xs]
    sums += [
        f"fsum({outcome} * (2 * k.rank - 1))",
        "count(*)",
        *(f"count(*) FILTER (({x}) <> 0)" for x in xs),
    ]
    sql = f"""\
{head},
{asked.ranked("living")}
SELECT {", ".join(f"{sql} AS sum_{i}" for i, sql in enumerate(sums))}
FROM (FROM cut WHERE usable) AS r JOIN (SELECT key, rank FROM rank_living WHERE usable) AS k ON r.key_living = k.key
"""
    row = [float(v or 0) for v in engine.ask(sql, asked.bound).row(0)]
    return _solved(row, [name for name, _ in terms], form.id), sql, asked.bound


def _terms(
    engine: Engine, asked: Compiled, head: str, named: Sequence[str], covariates: Sequence[str]
) -> list[tuple[str, str]]:
    """Name and SQL of every regressor: a number as it is, of a dimension every value but the most frequent."""
    terms = []
    for name in covariates:
        column = f"x_{name}"
        if name not in named:
            terms.append((name, column))
            continue
        sql = f"{head}\nSELECT {column} AS level, count(*) AS n FROM cut WHERE usable GROUP BY ALL ORDER BY n DESC, level"
        levels = engine.ask(sql, asked.bound)["level"].to_list()
        terms += [(f"{name}={level}", f"({column} = {literal(level)})::DOUBLE") for level in levels[1:]]
    return terms


def _solved(row: Sequence[float], names: Sequence[str], measure: str) -> pl.DataFrame:
    k = len(names) + 1
    values = iter(row)
    gram = np.zeros((k, k))
    for i in range(k):
        for j in range(i + 1):
            gram[i, j] = gram[j, i] = next(values)
    with_outcome = np.array([next(values) for _ in range(k)])
    with_rank = np.array([next(values) for _ in range(k)])
    unequal, n = next(values), next(values)
    hits = [next(values) for _ in range(k)]
    if not gram[0, 0] or not with_outcome[0]:
        raise ValueError(f"{measure}: nothing to decompose, the outcome is zero everywhere")
    root = np.sqrt(np.diag(gram))
    if (root == 0).any() or np.linalg.matrix_rank(gram / np.outer(root, root), hermitian=True) < k:
        raise ValueError("covariates: some explain one another wholly; leave one out")
    beta = np.linalg.solve(gram / np.outer(root, root), with_outcome / root) / root
    index = unequal / with_outcome[0]
    part = beta * with_rank / with_outcome[0]
    rows = [
        {
            "covariate": name, "measure": measure, "value": part[i], "numerator": beta[i] * with_rank[i], "denominator": with_outcome[0],
            "n": int(n), "n_numerator": int(hits[i]), "n_excluded": 0, "coefficient": beta[i], "mean": gram[i, 0] / gram[0, 0],
            "concentration": with_rank[i] / gram[i, 0] if gram[i, 0] else None, "share": part[i] / index if index else None,
        }
        for i, name in enumerate(names, 1)
    ]  # fmt: skip
    last = {
        "measure": measure,
        "denominator": with_outcome[0],
        "n": int(n),
        "n_numerator": int(n),
        "n_excluded": 0,
    }
    left = index - sum(part[1:])
    rows += [
        {
            "covariate": REST,
            "value": left,
            "numerator": left * with_outcome[0],
            "share": left / index if index else None,
            **last,
        },
        {"covariate": WHOLE, "value": index, "numerator": unequal, "share": 1 if index else None, **last},
    ]
    return pl.DataFrame(rows, infer_schema_length=None)

"""How sure an answer is, were the persons looked at one draw from a larger population: standard errors of the same sums.

Three ways, each in SQL over the rows of the question: linearised (a ratio of sums), the convenient regression of a
concentration index on the rank, and, for what neither fits, resampling of clusters. Clusters are those of the survey, else
families, since illness and its cost come to families; a panel keeps its clusters over years, so differences are paired.
Lines that were computed from the data (poverty, subsistence) are taken as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import polars as pl

from analytics.measures.compile import Compiled, Piece
from analytics.measures.form import Measure, uncertainty
from analytics.measures.question import Question
from analytics.measures.resample import Resample, carried
from analytics.measures.rows import PLACE, Fact
from analytics.measures.wide import Wide, compiled
from analytics.reference import Unable
from analytics.store import Engine, literal

SAMPLINGS = ("superpopulation", "population")
METHODS = ("auto", "linearised", "convenient", "equal_variances", "delta", "bootstrap")
_SUMS = "sum(d_{0} * d_{0}) AS q_{0}, sum(d_{0}) AS s_{0}"
_SQUARES = "(q_{0} - s_{0} ^ 2 / clusters) * clusters / nullif(clusters - 1, 0) AS v_{0}"
_LINEAR = {"2 * rank - 1": 1, "2 * (1 - rank)": -1}


@dataclass(frozen=True)
class Sure:
    """How the standard error of a question is found. `method` never auto."""

    sampling: str
    method: str

    @property
    def told(self) -> dict[str, str]:
        """What an answer says of it."""
        if self.sampling == "population":
            return {"sampling": self.sampling}
        return {"sampling": self.sampling, "method": self.method, "interval": uncertainty().interval.title}

    @classmethod
    def of(cls, measure: Measure, chosen: Mapping[str, str], sampling: str, method: str = "auto") -> "Sure":
        """Raises ValueError for a way that does not fit the measure, naming those that do."""
        if sampling not in SAMPLINGS:
            raise ValueError(f"se = {sampling}: possible values are {', '.join(SAMPLINGS)}")
        if method not in METHODS:
            raise ValueError(f"se_method = {method}: possible values are {', '.join(METHODS)}")
        if measure.quantile and sampling != "population":
            raise Unable(f"se: {measure.id} is a quantile, which has no standard error here", "no_error")
        fits = ["bootstrap"]
        if chosen.get("standardise", "none") != "none":
            fits = []  # its weights are of everybody, not of a draw
        if not any(one.times for one in measure.sums.values()):
            fits.insert(0, "linearised")
        elif measure.uncertainty == "convenient" and all(
            _slope(s.times, chosen) for s in measure.sums.values() if s.times
        ):
            fits = [
                "convenient",
                "equal_variances",
                *(["delta"] if len(measure.sums) == 2 else []),
                "bootstrap",
            ]
        if method == "auto":
            method = fits[0]
        if method not in fits:
            raise ValueError(f"se_method = {method}: does not fit {measure.id}; what fits: {', '.join(fits)}")
        return cls(sampling, method)


def _slope(times: str, chosen: Mapping[str, str]) -> int:
    """What a weight that is linear in the rank is, in terms of 2 rank - 1; 0 where it is not linear."""
    if "$nu" in times:
        return -1 if float(chosen["nu"]) == 2 else 0
    return _LINEAR.get(times, 0)


class Errors:
    """SQL of a question with the standard error of every value, by linearisation or by regression on the rank.

    Every cluster has a deviation `d`: what it adds to the error of the value of a case; the variance is that of their sum.
    """

    def __init__(self, asked: Compiled, sure: Sure) -> None:
        """`asked` carries `carried(grain)`."""
        self.asked, self.sure = asked, sure
        self.cases = [(i + 1, case) for i, case in enumerate(asked.cases)]

    @property
    def sql(self) -> str:
        """The answer with `se`, `ci_low`, `ci_high`."""
        return f"{self._errors('deviation')}\n{self.asked.answer('error', uncertainty().interval.half)}"

    def of_difference(self, dimension: str) -> str:
        """Groups with the standard error of their difference from the group of the value $reference: a cluster on both sides
        counts with what it adds to both.
        """
        c = self.asked
        keys = [n for n in c.by if n != dimension]
        names = "".join(f"m.{n}, " for n in c.by)
        values = ", ".join(f"d_{i}" for i, _ in self.cases)
        less = ", ".join(f"-d_{i} AS d_{i}" for i, _ in self.cases)
        sums = ", ".join(f"sum(d_{i}) AS d_{i}" for i, _ in self.cases)
        delta = f"""\
delta AS (
    SELECT {c.groups}stratum, cluster, {sums}
    FROM (
        SELECT {c.groups}stratum, cluster, {values} FROM deviation
        UNION ALL SELECT {names}stratum, cluster, {less}
        FROM deviation AS d JOIN (SELECT DISTINCT {", ".join(c.by)} FROM summed) AS m ON {_same(keys, "d", "m")} AND d.{dimension}::VARCHAR = $reference
    ) GROUP BY ALL
)"""
        return f"{self._errors('delta', delta)}\n{self._of_cases()}"

    def _of_cases(self) -> str:
        """The errors as rows, one threshold after another."""
        c = self.asked
        each = []
        for (i, _), code in zip(self.cases, c.codes(), strict=True):
            groups = "".join(
                f"{literal(code)} AS {n}, " if n == "threshold" else f"{n}, " for n in c.question.by
            )
            each.append(f"SELECT {groups}se_{i}{c.scale()[0]} AS difference_se FROM error")
        return " UNION ALL ".join(each)

    def _errors(self, deviation: str, more: str = "") -> str:
        c = self.asked
        small = (
            " * (any_value(n) - 1) / nullif(any_value(n) - 2, 0)" if self.sure.method != "linearised" else ""
        )
        if self.sure.method == "equal_variances":  # of rows, not of clusters
            small = " / nullif(any_value(n) - 2, 0)"
        # a stratum of one cluster does not show how clusters differ
        roots = (
            f"CASE WHEN count(v_{i}) = count(*) THEN sqrt(greatest(sum(v_{i}), 0){small}) END AS se_{i}"
            for i, _ in self.cases
        )
        rows_alone = self.sure.method == "equal_variances"
        strata = _strata(
            c.groups, [i for i, _ in self.cases], deviation, "s_{0} AS v_{0}" if rows_alone else _SQUARES
        )
        return f"""\
WITH {c.rows()},
{c.totals()},
{self.deviations()},
{more + "," if more else ""}{strata},
error AS (
    SELECT {", ".join([*(f"s.{n}" for n in c.by), *roots])}
    FROM by_stratum AS v JOIN summed AS s ON {_same(c.by, "v", "s")}{" GROUP BY " + ", ".join(f"s.{n}" for n in c.by) if c.by else ""}
)"""

    def deviations(self) -> str:
        """CTEs `design` (clusters of every stratum, whether or not they fall into a group) and `deviation`."""
        linear = self.sure.method == "linearised"
        return (
            f"{self._ratios()},\n{self._design(linear)}"
            if linear
            else f"{self._design()},\n{self._regressions()}"
        )

    def _design(self, by_cluster: bool = False) -> str:
        """`by_cluster`: where there is a `per_cluster` already."""
        c = self.asked
        if by_cluster and c.is_everybody:
            rows, cluster = "per_cluster", "cluster" if self.groups else ""
        else:
            carry = carried(c.question.measure)
            rows, cluster = f"{c.fact} WHERE {c.places()}", "" if self.is_apart else carry["cluster"]
        counted = f"DISTINCT {cluster}" if cluster else "*"
        stratum = "stratum" if rows == "per_cluster" else f"{carry['stratum']} AS stratum"
        return f"design AS (\n    SELECT {stratum}, count({counted}) AS clusters FROM {rows} GROUP BY ALL\n)"

    @property
    def groups(self) -> Sequence[str]:
        """What rows of `cut` are grouped by."""
        return self.asked.by

    @property
    def is_apart(self) -> bool:
        """Whether every row of a group is surely a cluster of its own: one city and year of households without clusters of a survey."""
        question, told = self.asked.question, self.asked.read.told
        form, asked = question.measure, question.where
        if form.grain != "household_year" or form.credit == "shapley":  # whose credits are rows of their own
            return False
        one_row = "tier" in question.by or "tier" not in asked
        one_place = all(len(asked.get(name, ())) == 1 for name in PLACE)
        home, survey = told.get("household_key"), told.get("cluster_id")
        return one_row and one_place and bool(home and home.filled and survey and survey.empty)

    def _ratios(self) -> str:
        c = self.asked
        columns = {c.column(piece): c.sum(piece) for _, case in self.cases for piece in case.values()}
        each = []
        for i, case in self.cases:
            whole = {name: f"s.{piece.column}" for name, piece in case.items()}
            part = {name: f"k.{c.column(piece)}" for name, piece in case.items()}
            each.append(f"{self._ratio(case, whole, part)} AS d_{i}")
        return self._by_cluster(columns, each, "summed")

    def _by_cluster(self, columns: Mapping[str, str], each: Sequence[str], whole: str) -> str:
        """CTEs `per_cluster` with the sums of `columns` of `cut` (by which function) and `deviation`: `each` in terms of these (k) and of the
        sums `whole` (s).
        """
        names = "".join(f"{n}, " for n in self.groups)
        added = {name: name if self.is_apart else f"{add}({name})" for name, add in sorted(columns.items())}
        sums = ", ".join(f"coalesce({sql}, 0) AS {name}" for name, sql in added.items())
        return f"""\
per_cluster AS (
    SELECT {names}stratum, cluster, {sums} FROM cut{"" if self.is_apart else " GROUP BY ALL"}
),
deviation AS (
    SELECT {"".join(f"k.{n}, " for n in self.groups)}k.stratum, k.cluster, {", ".join(each)}
    FROM per_cluster AS k JOIN {whole} AS s ON {_same(self.groups, "k", "s")}
)"""

    def _ratio(self, case: Mapping[str, Piece], whole: Mapping[str, str], part: Mapping[str, str]) -> str:
        """What a cluster adds to the error of a ratio of sums, or of a smooth function of sums (its slopes by differences). By sum: SQL
        of the `whole` and of the cluster's `part`.
        """
        c, step = self.asked, uncertainty().step
        if not c.question.measure.sums:
            over = f"nullif({whole['denominator']}, 0)"
            residual = f"{part['numerator']} - {whole['numerator']} / {over} * {part['denominator']}"
            return f"({residual}) / {over}"

        def value(name: str, moved: float) -> str:
            numerator, denominator = c.ratio(case, {**whole, name: f"({whole[name]} * {1 + moved})"})
            return f"({numerator}) / ({denominator})"

        slopes = (
            f"coalesce(({value(name, step)} - {value(name, -step)}) / nullif({whole[name]}, 0), 0) * {part[name]}"
            for name in case
        )
        return f"({' + '.join(slopes)}) / {2 * step}"

    def _regressions(self) -> str:
        """A row's residual from the regression on the rank, times the deviation of its rank, over the spread of ranks."""
        c = self.asked
        by = c.ranks[0]
        fits, each = [], []
        for i, case in self.cases:
            numerator, denominator = c.ratio(case)
            parts = {name: self._part(case, name) for name, piece in case.items() if piece.times}
            fits += [f"{part} AS part_{i}_{name}" for name, part in parts.items()]
            fits.append(
                f"{' + '.join(f'{part} * {_plain(case, name)}' for name, part in parts.items())} AS level_{i}"
            )
            fits.append(f"({numerator}) / nullif({denominator}, 0) AS index_{i}")
            fits.append(f"{_plain(case, next(iter(parts)))} / w_all AS mean_{i}")
            each.append(f"{self._residuals(i, case)} AS d_{i}")
        groups = f" GROUP BY {', '.join(c.by)}" if c.by else ""
        return f"""\
middle AS (
    SELECT {c.groups}sum(weighed) AS w_all, sum(weighed * (rank - 0.5) ^ 2) / nullif(sum(weighed), 0) AS variance
    FROM rank_{by} WHERE usable{groups}
),
fit AS (
    SELECT {"".join(f"s.{n}, " for n in c.by)}w_all, variance, {", ".join(fits)}
    FROM summed AS s JOIN middle AS m ON {_same(c.by, "s", "m")}
),
deviation AS (
    SELECT {"".join(f"r.{n}, " for n in c.by)}stratum, cluster, {", ".join(each)}
    FROM cut AS r JOIN rank_{by} AS k ON r.usable AND k.usable AND r.key_{by} = k.key AND {_same(c.by, "r", "k")}
    JOIN fit AS f ON {_same(c.by, "r", "f")} GROUP BY ALL
)"""

    def _part(self, case: Mapping[str, Piece], name: str) -> str:
        """How the value grows with one sum over 2 rank - 1, in terms of the plain sums; it is linear in these."""
        ranked = [n for n, piece in case.items() if piece.times]
        one, denominator = self.asked.ratio(case, {n: "1" if n == name else "0" for n in ranked})
        none, _ = self.asked.ratio(case, dict.fromkeys(ranked, "0"))
        return f"({_slope(case[name].times, self.asked.chosen)} * (({one}) - ({none})) / nullif({denominator}, 0))"

    def _residuals(self, i: int, case: Mapping[str, Piece]) -> str:
        c = self.asked
        ranked = {name: piece for name, piece in case.items() if piece.times}
        over = "nullif(any_value(f.w_all * f.variance), 0)"
        if self.sure.method != "delta":
            # scaled so that its slope on the rank is the index, as it stands
            scaled = " + ".join(f"f.part_{i}_{name} * r.{c.column(piece)}" for name, piece in ranked.items())
            line = f"2 * f.variance * f.level_{i} + f.index_{i} * (k.rank - 0.5)"
            residual = f"(2 * f.variance * f.w_all * ({scaled}) - r.weighed * ({line}))"
            if self.sure.method == "equal_variances":
                return f"sum({residual} * {residual} / nullif(r.weighed, 0)) / {over}"
            return f"sum({residual} * (k.rank - 0.5)) / {over}"
        # the variable itself; the index is a function of its slope and its mean
        slope = f"(f.index_{i} * f.mean_{i} / (2 * f.variance))"
        residual = f"(r.{c.column(next(iter(ranked.values())))} - r.weighed * (f.mean_{i} + {slope} * (k.rank - 0.5)))"
        of_slope, of_mean = (
            f"sum({residual} * (k.rank - 0.5)) / {over}",
            f"sum({residual}) / any_value(f.w_all)",
        )
        return f"any_value(2 * f.variance / f.mean_{i}) * ({of_slope} - any_value({slope} / f.mean_{i}) * {of_mean})"


class WideErrors(Errors):
    """The linearised errors of a question in the shape of Wide: every cluster is looked at once, whatever the number of tiers."""

    asked: Wide

    @property
    def groups(self) -> Sequence[str]:
        return self.asked.names

    @property
    def sql(self) -> str:
        c, ((_, case),) = self.asked, self.cases
        made = c.tallies
        columns: dict[str, str] = {}
        each: dict[str, int] = {}  # tiers of the same deviation share it
        at = []
        for row, held in zip(made.tiers, made.held, strict=True):
            columns |= {held[piece.of]: c.sum(piece) for piece in case.values()}
            whole = {name: row[piece.column] for name, piece in case.items()}
            part = {name: f"k.{held[piece.of]}" for name, piece in case.items()}
            at.append(each.setdefault(self._ratio(case, whole, part), len(each)))
        names = "".join(f"{n}, " for n in self.groups)
        # a stratum of one cluster does not show how clusters differ
        roots = (f"CASE WHEN count(v_{i}) = count(*) THEN sqrt(greatest(sum(v_{i}), 0)) END" for i in at)
        return f"""\
WITH {c.rows()},
{c.totals()},
{self._by_cluster(columns, [f"{sql} AS d_{i}" for sql, i in each.items()], "wide")},
{self._design(True)},
{_strata(names, [*each.values()], "deviation", _SQUARES)},
error AS (
    SELECT {names}unnest([{", ".join(row["tier"] for row in made.tiers)}]) AS tier, unnest(roots) AS se_1
    FROM (SELECT {names}[{", ".join(roots)}] AS roots FROM by_stratum GROUP BY ALL)
)
{c.answer("error", uncertainty().interval.half)}"""


def _strata(groups: str, deviations: Sequence[int], of: str, squares: str) -> str:
    """CTE `by_stratum`: what every stratum adds to the variance of each deviation."""
    sums, each = (", ".join(sql.format(i) for i in deviations) for sql in (_SUMS, squares))
    return f"""\
by_stratum AS (
    SELECT {groups}stratum, {each}
    FROM (SELECT {groups}stratum, {sums} FROM {of} GROUP BY ALL) JOIN design USING (stratum)
)"""


def _plain(case: Mapping[str, Piece], name: str) -> str:
    """Column of `summed` with the same sum without rank."""
    return next(piece.column for piece in case.values() if piece.of == case[name].of and not piece.times)


def _same(by: Sequence[str], left: str, right: str) -> str:
    """Condition that two rows are of one group; a group may be NULL."""
    return " AND ".join(f"{left}.{n} IS NOT DISTINCT FROM {right}.{n}" for n in by) or "true"


@dataclass(frozen=True)
class Errored:
    """An answer with its errors, how it was found, and what to tell of it."""

    table: pl.DataFrame
    sql: str
    bound: Mapping[str, Any]
    told: Mapping[str, Any]


def with_errors(
    engine: Engine,
    question: Question,
    chosen: Mapping[str, str],
    fact: Fact,
    tiers: Sequence[str],
    sure: Sure,
) -> Errored:
    """Ask a question with `se`, `ci_low`, `ci_high`; NULL where the whole population is looked at."""
    if sure.sampling == "population":
        asked = compiled(question, chosen, fact, tiers)
        empty = [pl.lit(None, dtype=pl.Float64).alias(name) for name in ("se", "ci_low", "ci_high")]
        table = engine.ask(asked.sql, asked.bound).with_columns(empty)
        return Errored(table, asked.sql, asked.bound, sure.told)
    if sure.method != "bootstrap":
        carry = carried(question.measure)
        asked = compiled(question, chosen, fact, tiers, carry=carry)
        if isinstance(asked, Wide) and sure.method == "linearised" and not any(s.there for s in asked.steps):
            sql = WideErrors(asked, sure).sql
        else:  # ranks of rows, tiers that not every row has
            asked = Compiled(question, chosen, fact, tiers, carry=carry)
            sql = Errors(asked, sure).sql
        return Errored(engine.ask(sql, asked.bound), sql, asked.bound, sure.told)
    resample = Resample(engine, question, chosen, fact, tiers)
    asked = compiled(question, chosen, fact, tiers)
    table = engine.ask(asked.sql, asked.bound)
    drawn, last = zip(*resample.values(), strict=True)
    by = list(question.by)
    # of a random part the errors are those of a smaller sample
    root = pl.col("value").std() * sqrt(resample.part)
    error = (
        pl.concat(drawn).group_by(by).agg(root.alias("se"))
        if by
        else pl.concat(drawn).select(root.alias("se"))
    )
    table = (
        table.join(error, on=by, how="left", nulls_equal=True, maintain_order="left")
        if by
        else table.hstack(error)
    )
    half = uncertainty().interval.half * pl.col("se")
    table = table.with_columns(ci_low=pl.col("value") - half, ci_high=pl.col("value") + half)
    sql = f"{asked.sql}\n-- standard errors: the standard deviation over replicates of\n{last[-1].sql}"
    return Errored(table, sql, {**asked.bound, **last[-1].bound}, {**sure.told, **resample.told})

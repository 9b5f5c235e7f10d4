"""A question with its parameters -> one SELECT on one fact, without joins of facts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from analytics.measures.expression import is_money, is_whole
from analytics.measures.form import Sum, dimensions, grammar
from analytics.measures.quantile import quantile_sql
from analytics.measures.question import Question, number
from analytics.measures.rank import RANKED_BY, fractional, running
from analytics.measures.rows import PLACE, Fact, credited, cut, keep, ledger, order, over, term, usable
from analytics.store import Query, literal
from analytics.tiers import LEDGERS


@dataclass(frozen=True)
class Piece:
    """One sum of a question: its column, the expression of a row, and what its rank weighs it by."""

    column: str
    of: str
    times: str = ""
    by: str = ""


class Compiled:
    """The SQL of a question, in parts that the measures of uncertainty build on as well.

    `chosen`: the parameters without `auto`; `fact`: what is read; `tiers`: those a credit goes to, in order of
    payment. `carry`: further columns of the fact to keep in `cut`, by name. `source`: rows of the fact with a `multiplier`, in
    place of the fact, and `more` columns to group by. `only`: a further condition on usable rows.
    """

    def __init__(
        self,
        question: Question,
        chosen: Mapping[str, str],
        fact: Fact | None = None,
        tiers: Sequence[str] = (),
        *,
        carry: Mapping[str, str] | None = None,
        source: str = "",
        more: Sequence[str] = (),
        only: str = "",
    ) -> None:
        self.question, self.chosen, self.tiers = question, chosen, tiers
        self.read = fact or Fact(question.measure.grain)
        self.where = {n: values for n, values in question.where.items() if n not in self.read.within}
        self.fact, self.counted = self._once()
        self.carry, self.source, self.more = dict(carry or {}), source, tuple(more)
        self.only = only
        self.is_standardised = chosen.get("standardise", "none") != "none"
        self.factor = " * multiplier" if source or self.is_standardised else ""
        self.bound: dict[str, Any] = {f"where_{name}": list(values) for name, values in self.where.items()}
        form, self.divisor = question.measure, 1
        self.ledger, numerator = ledger(question, chosen, self.read.told), form.numerator
        if form.credit:
            self.ledger, self.divisor = credited(question, chosen, tiers, self.read)
            self.bound["threshold_bp"] = number("threshold", chosen["threshold"])
            numerator = "credit"
        self.sums = form.sums or {"numerator": Sum(of=numerator), "denominator": Sum(of=form.denominator)}
        self.by = (*(name for name in question.by if name != "threshold"), *self.more)
        self.cases = self._cases()
        self.pieces = {p.column: p for case in self.cases for p in case.values()}
        self.ranks = list(dict.fromkeys(p.by for p in self.pieces.values() if p.by))

    @cached_property
    def sql(self) -> str:
        """The whole SELECT."""
        return f"WITH {self.rows()},\n{self.totals()}\n{self.answer()}"

    # --- the rows

    def _once(self) -> tuple[str, str]:
        """What rows are read from, and how persons are counted in them: who stands in several cities, once."""
        form = self.question.measure
        if not self.read.once or form.grain not in LEDGERS:
            return self.read.table, "DISTINCT person_key" if self.read.once else form.counted
        return (
            f"(\n{_file(f'once_{form.grain}').fill(keep=self.places(), left=self.read.left())})",
            form.counted,
        )

    def rows(self) -> str:
        """CTEs up to `cut`: a row per row of the ledger with dimensions, sums of one row, and what ranks it."""
        form = self.question.measure
        columns = self.place(self.by)
        able, rows = self.usable(), "ledger"
        head, tail = ("", "") if able == "true" else ("CASE WHEN usable THEN ", " END")
        if head and all(re.match(r"w\b", p.of) for p in self.distinct()):
            # a row that cannot be used adds nothing: said once, of its weight, which costs less than in every sum
            rows = f"(SELECT * REPLACE ({head}w{tail} AS w) FROM (SELECT *, coalesce({able}, false) AS usable FROM ledger))"
            columns, head, tail = [*columns, "usable"], "", ""
        else:
            columns += [f"coalesce({able}, false) AS usable"]
        columns += [f"{head}(({p.of}){self.factor})::DOUBLE{tail} AS {p.column}" for p in self.distinct()]
        columns += [f"{term(RANKED_BY[by])} AS key_{by}" for by in self.ranks]
        if self.ranks:
            columns.append(f"w{self.factor} AS weighed")
        columns += ["person_key"] if self._persons else []
        columns += [f"{self.nothing} <= 0 AS has_nothing"] if self.nothing else []
        columns += self.carry
        late = [n for n in self.where if n == "tier" or dimensions()[n].bands]
        body = f"""\
ledger AS (
    {self.ledger}
),
cut AS (
    SELECT {", ".join(columns)}
    FROM {rows}
    WHERE {" AND ".join([f"({form.where})", *(keep(n) for n in late)])}
)"""
        apart = bool(self.carry) and not self.question.with_tier
        return f"{self.head(late, body, apart)},\n{body}"

    def head(self, late: Sequence[str], body: str = "", apart: bool = False) -> str:
        """CTEs up to `fact`: the rows asked, but for what filters on the dimensions of `late` leave out, with what a measure may use: of
        the columns those that `body` names, where it is known which there are, since each costs time to plan. `apart`: each that reads
        `fact` reads the file itself, which costs less where one needs few columns and the other few rows.
        """
        line = self._line()
        before = f"line AS (\n{line}\n),\n" if line else ""
        source = self.source or self.fact
        if self.is_standardised:
            before += f"standard AS (\n{self._standard()}\n),\n"
            source += " JOIN standard USING (city, plan_year, age_band, sex)"
        named = set(re.findall(r"\w+", body))
        columns = [n for n in self.read.told if n in named] if source == self.read.table else []
        if "file" in named and source == self.read.table:
            columns, source = [*columns, "file"], f"{source}_by_file"
        return f"""\
{before}fact AS {"MATERIALIZED " if line else "NOT MATERIALIZED " if apart else ""}(
    SELECT {", ".join([*(columns or "*"), *self._extra()])}
    FROM {source}{" LEFT JOIN line USING (city, plan_year)" if line else ""}
    WHERE {" AND ".join([keep(n) for n in self.where if n not in late] or ["true"])}
)"""

    def _by_file(self, names: Sequence[str]) -> bool:
        """Whether rows can be grouped by the file they stand in, one number instead of a city and a year: a fifth of a question."""
        return self.read.apart and {*names} == {*PLACE} and not self.factor

    def place(self, names: Sequence[str]) -> list[str]:
        """Columns of `cut` to group by."""
        columns = [name if name in self.more else f"{cut(name)} AS {name}" for name in names]
        return [*columns, "file"] if self._by_file(names) else columns

    def grouped(self, names: Sequence[str]) -> tuple[str, str]:
        """The groups of `cut` as columns with a comma behind, and what puts rows into them."""
        if self._by_file(names):
            return "".join(f"any_value({name}) AS {name}, " for name in names), " GROUP BY file"
        return "".join(f"{name}, " for name in names), f" GROUP BY {', '.join(names)}" if names else ""

    def distinct(self) -> list[Piece]:
        """The pieces with an expression of their own: several sums may weigh the same one."""
        return list({p.of: p for p in reversed(self.pieces.values())}.values())[::-1]

    def sum(self, piece: Piece) -> str:
        """What adds a sum up: of whole numbers a plain sum, which is as exact there and costs a third."""
        of = term(self.question.measure.numerator) if piece.of == "credit" else piece.of
        weight = self.read.told.get("weight")
        counted = weight is not None and weight.filled and weight.low == weight.high == 1
        return "fsum" if self.factor or not is_whole(of, counted) else "sum"

    def column(self, piece: Piece) -> str:
        """Column of `cut` with the expression of a sum."""
        return next(p.column for p in self.distinct() if p.of == piece.of)

    def _cases(self) -> list[dict[str, Piece]]:
        """The sums of every threshold asked, by name; without thresholds one case."""
        asked = self.question.thresholds
        if "threshold" not in self.question.by:
            asked = (self.chosen["threshold"],) if "threshold" in self.chosen else ("",)
        cases = []
        for i, threshold in enumerate(asked):
            name = f"threshold_{i + 1}_bp" if len(asked) > 1 else "threshold_bp"
            case = {}
            for key, form in self.sums.items():
                of = term(form.of, sign=over(self.chosen), wide=self.read.wide)
                of = of.replace("$threshold_bp", f"${name}")
                if f"${name}" in of:
                    self.bound[name] = number("threshold", threshold)
                times = form.times
                if "$nu" in times:
                    self.bound["nu"] = number("nu", self.chosen["nu"])
                by = form.by if times or form.by != "living" else ""
                tag = f"_{i + 1}" if f"${name}" in of and len(asked) > 1 else ""
                case[key] = Piece(f"{key}{tag}", of, times, by)
            cases.append(case)
        return cases

    def _extra(self) -> list[str]:
        """Columns a measure may use besides those of the fact."""
        rules, chosen = grammar(), self.chosen
        extra = []
        if "living_standard" in chosen:
            extra.append(f"{rules.living_standards[chosen['living_standard']].sql} AS living")
        if "scale" in chosen:
            extra.append(f"{rules.scales[chosen['scale']].sql} AS scale")
        if size := self._size():
            line = rules.lines.get(self._line_name())
            extra += [
                f"{size} AS size",
                f"({line.need if line else '$poverty_line_fen * size'})::BIGINT AS need",
            ]
        if "resource" in chosen:
            extra.append(f"{rules.resources[chosen['resource']].sql} AS resource")
        if "weight" in chosen:
            extra.append(f"{rules.weights[chosen['weight']].sql} AS w")
        return [*extra, *(f"{sql} AS {name}" for name, sql in self.carry.items())]

    def _line_name(self) -> str:
        resource = grammar().resources.get(self.chosen.get("resource", ""))
        return (resource.line if resource else "") or self.chosen.get("poverty_line", "")

    def _size(self) -> str:
        """Equivalent persons the line of this question is multiplied by; empty without a line."""
        name = self._line_name()
        return grammar().lines[name].size if name in grammar().lines else "n_members" if name else ""

    def _line(self) -> str:
        """SQL of the line of every city and year looked at; empty without one, or where it is given as a number."""
        rules, chosen, name = grammar(), self.chosen, self._line_name()
        if not name:
            return ""
        if name not in rules.lines:
            self.bound["poverty_line_fen"] = number("poverty_line", name)
            return ""
        line = rules.lines[name]
        self.bound |= line.bound
        less = "0"
        if "line_share" in line.parameters:
            self.bound |= {
                "floor_fen": number("line_floor", chosen["line_floor"]),
                "base_fen": number("line_base", chosen["line_base"]),
                "share_bp": number("line_share", chosen["line_share"]),
            }
            less = rules.lines_of[chosen["line_of"]].sql
        living = rules.living_standards[chosen["living_standard"]].sql if "living_standard" in chosen else ""
        query = _file(f"lines/{line.file}")
        slots = {"fact": self.read.table, "keep": self.places(), "living": living, "less": less}
        one = all(len(self.question.where.get(n, ())) == 1 for n in ("city", "plan_year"))
        slots["running"] = running("cell", "x", "w", [] if one else ["city", "plan_year"])
        slots |= {"size": line.size, "amount": line.amount, "of": line.of}
        return query.fill(**{name: slots[name] for name in query.slots})

    def _standard(self) -> str:
        """SQL of the factor that gives every city and year the ages and sexes of all of them together."""
        return _file("standard").fill(fact=self.fact, keep=self.places())

    def places(self) -> str:
        """Condition on the cities and years asked."""
        return " AND ".join(keep(n) for n in self.where if n in ("city", "plan_year")) or "true"

    @property
    def is_everybody(self) -> bool:
        """Whether `cut` holds every row of the cities and years asked."""
        asked = {*self.where} <= {"city", "plan_year"} and self.question.measure.where == "true"
        return asked and "tier" not in self.by and not self.source

    def usable(self) -> str:
        """Condition on rows that tell what the question needs."""
        return usable(self.question.measure, self.chosen, bool(self._size()), self.only)

    # --- the sums

    def totals(self) -> str:
        """CTEs from `cut` to `summed`: the sums of every group, and how many rows made them."""
        counted, (groups, group) = self.counted, self.grouped(self.by)
        if quantile := self.question.measure.quantile:
            return quantile_sql(quantile, self.by, counted)
        if not self.ranks:
            sums = [
                f"coalesce({self.sum(p)}({self.column(p)}), 0) AS {p.column}" for p in self.pieces.values()
            ]
            if self._persons:
                sums += [
                    f"count({counted}) FILTER (usable) AS n", *self._hits(f"count({counted}) FILTER ({{of}} <> 0)"),
                    f"count({counted}) FILTER (numerator = 0) AS n_rest",
                ]  # fmt: skip
            else:
                sums += ["count_if(usable)::BIGINT AS n", *self._hits("count_if({of} <> 0)::BIGINT")]
            sums.append("count(*) - count_if(usable)::BIGINT AS n_excluded")
            sums += ["count_if(has_nothing)::BIGINT AS n_no_resource"] if self.nothing else []
            return f"summed AS (\n    SELECT {groups}{', '.join(sums)}\n    FROM cut{group}\n)"
        parts = [self.ranked(by) for by in self.ranks]
        for by in self.ranks:
            own = [p for p in self.pieces.values() if p.by == by or (by == self.ranks[0] and not p.by)]
            sums = [
                f"coalesce(fsum({self.column(p)}{f' * ({p.times})' if p.times else ''}) FILTER (usable), 0) AS {p.column}"
                for p in own
            ]
            if by == self.ranks[0]:
                sums += ["coalesce(sum(n) FILTER (usable), 0)::BIGINT AS n", *self._hits("coalesce(sum({name}) FILTER (usable), 0)::BIGINT"),
                         "coalesce(sum(n) FILTER (NOT usable), 0)::BIGINT AS n_excluded"]  # fmt: skip
                sums += ["coalesce(sum(n_no_resource), 0)::BIGINT AS n_no_resource"] if self.nothing else []
            name = "summed" if len(self.ranks) == 1 else f"summed_{by}"
            parts.append(
                f"{name} AS (\n    SELECT {self.groups}{', '.join(sums)}\n    FROM rank_{by}{self._group_by()}\n)"
            )
        if len(self.ranks) > 1:
            both = " UNION ALL BY NAME ".join(f"FROM summed_{by}" for by in self.ranks)
            groups = f"{', '.join(self.by)}, " if self.by else ""
            parts.append(
                f"summed AS (\n    SELECT {groups}any_value(COLUMNS(* EXCLUDE ({', '.join(self.by)})))"
                f"\n    FROM ({both}){self._group_by()}\n)"
                if self.by
                else f"summed AS (\n    SELECT any_value(COLUMNS(*)) FROM ({both})\n)"
            )
        return ",\n".join(parts)

    def ranked(self, by: str) -> str:
        """CTEs of the cells of equal rank, and their fractional rank."""
        sums = [f"fsum({p.column}) AS {p.column}" for p in self.distinct()]
        return f"""\
cell_{by} AS (
    SELECT {self.groups}usable, CASE WHEN usable THEN key_{by} END AS key, sum(weighed) AS weighed, {", ".join(sums)}, count(*) AS n{", count_if(has_nothing) AS n_no_resource" if self.nothing else ""}{"".join(f", {h}" for h in self._hits("count_if({of} <> 0)::BIGINT"))}
    FROM cut GROUP BY ALL
),
{fractional(by, self.by, "usable")}"""

    @property
    def _persons(self) -> bool:
        """Whether a person may stand in several rows, and both among those that add to the numerator and the rest."""
        return self.counted != "*"

    @property
    def nothing(self) -> str:
        """What households at or below zero of are counted, kept or left out: the resource, else the living standard, else nothing."""
        return (
            "resource" if "resource" in self.chosen else "living" if "living_standard" in self.chosen else ""
        )

    @property
    def groups(self) -> str:
        """Columns of the dimensions, with a comma behind."""
        return "".join(f"{name}, " for name in self.by)

    def _group_by(self) -> str:
        return f" GROUP BY {', '.join(self.by)}" if self.by else ""

    def _hits(self, counted: str) -> list[str]:
        """How many rows add to the sum that counts as the numerator, one column per case."""
        hit = self.question.measure.hit
        each = (
            (f"n_hit_{i + 1}", self.column(case[hit or next(iter(case))]))
            for i, case in enumerate(self.cases)
        )
        return [f"{counted.format(of=of, name=name)} AS {name}" for name, of in each]

    # --- the answer

    def answer(self, error: str = "", level: float = 0) -> str:
        """The last SELECT, over `summed`. `error`: table with `se_<case>` of every group; `level`: half the width of the
        interval in standard errors.
        """
        form, parts = self.question.measure, []
        scaled, over, under = self.scale()
        on = " AND ".join(f"s.{n} IS NOT DISTINCT FROM e.{n}" for n in self.by) or "true"
        for i, (case, code) in enumerate(zip(self.cases, self.codes(), strict=True)):
            groups = "".join(
                f"{literal(code)} AS {n}, " if n == "threshold" else f"s.{n}, "
                for n in (*self.question.by, *self.more)
            )
            numerator, denominator = self.ratio(case)
            told = (
                f",\n    se_{i + 1}{scaled} AS se, value - {level} * se AS ci_low, value + {level} * se AS ci_high"
                if error
                else ""
            )
            value = "value" if form.quantile else f"({numerator}) / nullif({denominator}, 0){scaled}"
            parts.append(
                f"SELECT {groups}{literal(form.id)} AS measure, {value} AS value,\n"
                f"    (({numerator}){over})::DOUBLE AS numerator, (({denominator}){under})::DOUBLE AS denominator, "
                f"n, n_hit_{i + 1} AS n_numerator, {'n_rest, ' if self._persons else ''}n_excluded{', n_no_resource' if self.nothing else ''}{told}\n"
                f"FROM summed AS s{f' LEFT JOIN {error} AS e ON {on}' if error else ''}"
            )
        ordered = ", ".join(f"{order(name)}{name}" for name in self.question.by)
        union = "\nUNION ALL ".join(parts)
        text = f"SELECT * FROM (\n{union}\n)" if len(parts) > 1 or error else union
        return f"{text} ORDER BY {ordered}\n" if ordered else f"{text}\n"

    def scale(self) -> tuple[str, str, str]:
        """What brings value, numerator and denominator from fen to yuan, or a credit from its whole numbers to a share."""
        form = self.question.measure
        is_yuan = form.unit == "yuan"
        up = is_yuan or (not form.sums and is_money(form.numerator))
        down = not form.sums and is_money(form.denominator)
        over = f" / {self.divisor}" if self.divisor > 1 else " / 100" if up else ""
        scaled = over if is_yuan or self.divisor > 1 else " * 100" if form.unit == "per_100" else ""
        return scaled, over, " / 100" if down else ""

    def codes(self) -> tuple[str, ...]:
        """The threshold of every case, where the question is cut by them."""
        return self.question.thresholds if "threshold" in self.question.by else ("",)

    def ratio(self, case: Mapping[str, Piece], fixed: Mapping[str, str] | None = None) -> tuple[str, str]:
        """Numerator and denominator in terms of the columns of `summed`; sums in `fixed` replaced by numbers. Divided by nothing
        they are NULL.
        """
        form = self.question.measure
        if not form.sums:
            return case["numerator"].column, case["denominator"].column
        names = {name: piece.column for name, piece in case.items()} | dict(fixed or {})
        guarded = (
            re.sub(r"/ ([a-z]\w*)", r"/ nullif(\1, 0)", text) for text in (form.numerator, form.denominator)
        )
        numerator, denominator = (
            re.sub(r"[a-z]\w*", lambda m: names.get(m[0], m[0]), text) for text in guarded
        )
        return numerator, denominator


@cache
def _file(name: str) -> Query:
    return Query.load(Path(__file__).parent / f"{name}.sql")

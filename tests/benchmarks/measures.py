"""Speed of the measures: over every city-year against the same questions by hand, in one city-year, prepared, with standard errors.

    .venv/bin/python tests/benchmarks/measures.py [--rows 10000000] [--rounds 5] [--folder FOLDER]

`rows`: person-years, in 42 city-years (see grown.py). Ours and the other run in turn on one connection with the same limits, equal
first; ratios are of medians of processor time (a busy machine disturbs them least), seconds are of the clock.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from grown import grown

from analytics.measures import Book, measures
from analytics.measures.uncertainty import Sure
from analytics.store import Folder
from analytics.tiers import TIERS

PLACE = ["city", "plan_year"]
BY_TIER = {t.id: (t.paid, t.after) for t in TIERS}
HIT = "CASE WHEN income_fen > 0 THEN {own} * 10000 > income_fen * 1000 ELSE {own} > 0 END"
Row = dict[str, Any]
Ask = Callable[[], pl.DataFrame]


def _wide(fact: str, numerator: str, denominator: str, where: str = "true", all_too: bool = False) -> str:
    """What one would write for a measure of tiers: one pass, a few columns per tier. {paid}, {before} and {own} stand for the tier's."""
    each = {"none": ("0", "own_before_fen", "own_before_fen", "true")} if all_too else {}
    each |= {k: (p, f"({p} + {a})", a, f"{p} IS NOT NULL") for k, (p, a) in BY_TIER.items()}
    columns = []
    for k, (paid, before, own, there) in each.items():
        up, down = (text.format(paid=paid, before=before, own=own) for text in (numerator, denominator))
        columns += [f"sum(({up})::DOUBLE) AS up_{k}", f"sum(({down})::DOUBLE) FILTER ({there}) AS down_{k}"]
        columns += [f"count(*) FILTER ({there}) AS n_{k}", f"count_if(({up}) <> 0) AS hit_{k}"]
    rows = " UNION ALL ".join(
        f"SELECT city, plan_year, '{k}' AS tier, up_{k} / nullif(down_{k}, 0) AS value, n_{k} AS n, hit_{k} AS n_numerator FROM wide WHERE n_{k} > 0"
        for k in each
    )
    return f"WITH wide AS (SELECT city, plan_year, {', '.join(columns)} FROM {fact} WHERE {where} GROUP BY city, plan_year) {rows}"


RANKED = """WITH cell AS (
    SELECT city, plan_year, income_fen::DOUBLE AS x, sum(weight) AS w, sum(weight * {of}) AS y, count(*) AS n, count_if({of} <> 0) AS hit
    FROM household_year WHERE income_fen IS NOT NULL GROUP BY ALL
),
ranked AS (
    SELECT *, (sum(w) OVER (PARTITION BY city, plan_year ORDER BY x) - w / 2) / sum(w) OVER (PARTITION BY city, plan_year) AS r FROM cell
)
SELECT city, plan_year, sum((2 * r - 1) * y) / sum(y) AS value, sum(n)::BIGINT AS n, sum(hit)::BIGINT AS n_numerator FROM ranked GROUP BY city, plan_year"""
PLAIN = """SELECT city, plan_year, sum({up}::DOUBLE) / nullif(sum({down}::DOUBLE), 0) AS value, count(*) AS n, count_if({up} <> 0) AS n_numerator
FROM {fact} WHERE {where} GROUP BY city, plan_year"""
ALL_PAID = " + ".join(f"coalesce({paid}, 0)" for paid, _ in BY_TIER.values())
OVER = "CASE WHEN income_fen > 0 AND {own} * 10000 > income_fen * 1000 THEN {own}::DOUBLE / income_fen - 0.1 ELSE 0 END"
KNOWN = "income_fen IS NOT NULL"
INCOME = {"resource": "income", "threshold": "0.10"}

BY_HAND: list[tuple[str, bool, dict[str, str], str]] = [  # measure, by tier, parameters, what one would write
    ("tier_share", True, {}, _wide("person_year", "{paid}", "cost_fen")),
    ("own_share_before", True, {}, _wide("person_year", "{before}", "cost_fen")),
    ("own_share_after", True, {}, _wide("person_year", "{own}", "cost_fen")),
    ("reach", True, {}, _wide("person_year", "({paid} > 0)::INTEGER", "1")),
    ("effective_reimbursement_rate", False, {}, PLAIN.format(up=f"({ALL_PAID})", down="cost_fen", fact="person_year", where="true")),
    ("out_of_catalogue_share", False, {}, PLAIN.format(up="out_of_catalogue_fen", down="cost_fen", fact="person_year", where="true")),
    ("own_burden_mean", False, {}, PLAIN.format(up="(own_net_fen / 100)", down="1", fact="person_year", where="cost_fen > 0")),
    ("catastrophic_headcount", True, INCOME, _wide("household_year", f"weight * ({HIT})::INTEGER", "weight", KNOWN, all_too=True)),
    ("catastrophic_overshoot", True, INCOME, _wide("household_year", f"weight * {OVER}", "weight", KNOWN, all_too=True)),
    ("catastrophic_headcount", False, INCOME, PLAIN.format(up=f"(weight * ({HIT.format(own='own_net_fen')})::INTEGER)", down="weight", fact="household_year", where=KNOWN)),
    ("budget_share", False, {"resource": "income"}, PLAIN.format(up="(weight * own_net_fen)", down="(weight * income_fen)", fact="household_year", where="income_fen > 0")),
    ("catastrophic_concentration", False, INCOME, RANKED.format(of=f"({HIT.format(own='own_net_fen')})::INTEGER")),
    ("gini", False, {"living_standard": "income", "weight": "household"}, RANKED.format(of="income_fen::DOUBLE")),
]  # fmt: skip


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(rounds: int, *what: Ask) -> list[tuple[float, float]]:
    """Median seconds of the clock and of the processor of each, taken in turn, after one that warms up."""
    taken: list[list[tuple[float, float]]] = [[] for _ in what]
    for at in range(rounds + 1):
        for i, one in enumerate(what):
            start, used = time.perf_counter(), _cpu()
            one()
            if at:
                taken[i].append((time.perf_counter() - start, _cpu() - used))
    return [(statistics.median(s for s, _ in t), statistics.median(c for _, c in t)) for t in taken]


def _alike(ours: pl.DataFrame, theirs: pl.DataFrame, by: list[str]) -> None:
    both = ours.select(*by, "value", "n", "n_numerator").join(theirs, on=by, suffix="_hand", nulls_equal=True)
    assert both.height == ours.height == theirs.height > 0
    assert both.filter(
        (pl.col("n") != pl.col("n_hand")) | (pl.col("n_numerator") != pl.col("n_numerator_hand"))
    ).is_empty()
    apart = (both["value"] - both["value_hand"]).abs().fill_null(0)
    assert float(apart.max()) <= 1e-9 * max(1, float(both["value"].abs().max() or 0)), float(apart.max())  # type: ignore[arg-type]


def _against(
    what: str, bound: float, rows: int, ours: tuple[float, float], theirs: tuple[float, float], against: str
) -> Row:
    return {"what": what, "seconds": ours[0], "against": against, "against_seconds": theirs[0], "ratio": ours[1] / theirs[1], "bound": bound, "rows": rows}  # fmt: skip


def by_hand(book: Book, rows: int, rounds: int) -> list[Row]:
    """Every city-year from the facts, against a query written for the question."""
    found = []
    for name, tiers, given, sql in BY_HAND:
        by = [*PLACE, "tier"] if tiers else PLACE

        def ours(name: str = name, by: list[str] = by, given: dict[str, str] = given) -> pl.DataFrame:
            return book.ask(name, by, {}, given).table

        def theirs(sql: str = sql) -> pl.DataFrame:
            return book._engine.ask(sql)

        _alike(ours(), theirs(), by)
        found.append(
            _against(
                f"{name}{' by tier' if tiers else ''}, every city-year",
                1.3,
                rows,
                *timed(rounds, ours, theirs),
                "by hand",
            )
        )
    return found


def one_place(book: Book, rows: int, rounds: int) -> list[Row]:
    """One city-year: every measure from the facts, each by tier where it has tiers; the slowest and the middle one."""
    city, year = book.places[0]
    where = {"city": [city], "plan_year": [year]}
    times = {}
    for name, form in measures().items():
        if form.needs:
            continue
        by = ["tier"] if form.per else []
        try:
            book.ask(name, by, where)
        except ValueError:
            continue  # no such facts here
        ((times[name], _),) = timed(rounds, lambda name=name, by=by: book.ask(name, by, where).table)  # type: ignore[misc]
    slow = sorted(times, key=lambda name: -times[name])
    named = ", ".join(f"{name} {times[name] * 1000:.0f}" for name in slow[:5])
    return [
        {
            "what": f"one city-year, median of {len(times)} measures",
            "seconds": statistics.median(times.values()),
            "bound_seconds": 0.05,
            "rows": rows,
        },
        {
            "what": f"one city-year, slowest (ms: {named})",
            "seconds": times[slow[0]],
            "bound_seconds": 0.05,
            "rows": rows,
        },
    ]


def prepared(snapshot: Folder, rows: int, rounds: int) -> list[Row]:
    """Prepared answers, and thresholds that only the histogram answers."""
    book, plain = Book(snapshot), Book(snapshot, prepared=False)
    files = snapshot.partitions("cube")
    city, year = files[0].city, files[0].plan_year
    where = {"city": [str(city)], "plan_year": [year or 0]}
    asked: list[tuple[str, str, list[str], dict[str, str]]] = [
        ("prepared: tier_share by tier", "tier_share", ["tier"], {}),
        ("prepared: catastrophic_headcount by threshold and tier", "catastrophic_headcount", ["threshold", "tier"], {}),
        ("histogram: catastrophic_overshoot at 17.5 % by tier", "catastrophic_overshoot", ["tier"], {"threshold": "0.175", "resource": "income"}),
    ]  # fmt: skip
    found = []
    for what, name, by, given in asked:
        ours, facts = (partial(_table, one, name, by, where, given) for one in (book, plain))
        _alike(ours(), facts().select(*by, "value", "n", "n_numerator"), by)
        assert book.ask(name, by, where, given).provenance.get("prepared")
        (clock, used), (other, cpu) = timed(rounds, ours, facts)
        found.append({"what": what, "seconds": clock, "against": "the facts", "against_seconds": other, "ratio": used / cpu, "bound_seconds": 0.01, "rows": rows})  # fmt: skip
    return found


def _table(book: Book, *asked: Any) -> pl.DataFrame:
    return book.ask(*asked).table


def credits(book: Book, rows: int, rounds: int) -> list[Row]:
    """Shapley over the tiers of a city against one coalition of the same tiers: the headcount once all of them have paid."""
    where = {"city": [book.places[0][0]]}
    one = lambda: book.ask("catastrophic_headcount", PLACE, where, INCOME).table  # noqa: E731
    last = lambda: book.ask("last_in_headcount", [*PLACE, "tier"], where, INCOME).table  # noqa: E731
    all_of_them = lambda: book.ask("shapley_headcount", [*PLACE, "tier"], where, INCOME).table  # noqa: E731
    none = book.ask("catastrophic_headcount", [*PLACE, "tier"], {**where, "tier": ["none"]}, INCOME).table[
        "value"
    ]
    fall = all_of_them().group_by(PLACE, maintain_order=True).agg(pl.col("value").sum()).sort(PLACE)["value"]
    assert float((none - one()["value"] - fall).abs().max()) < 1e-12, "the credits are the fall"  # type: ignore[arg-type]
    shapley, single, by_tier = timed(rounds, all_of_them, one, last)
    return [
        _against("shapley_headcount, five tiers", 2.5, rows, shapley, single, "one coalition"),
        _against(
            "shapley_headcount, five tiers",
            2.5,
            rows,
            shapley,
            by_tier,
            "one coalition less per tier (last_in)",
        ),
    ]


def errors(book: Book, rows: int, rounds: int) -> list[Row]:
    """All measures with linearised errors, in one city-year, with them against without."""
    city, year = book.places[0]
    where = {"city": [city], "plan_year": [year]}
    asked = []
    for name, form in measures().items():
        by = ["tier"] if form.per else []
        try:
            raw = book.ask(name, by, where)
            if Sure.of(form, raw.parameters, "superpopulation").method == "linearised":
                book.ask(name, by, where, se="superpopulation")
                asked.append((name, by))
        except ValueError:
            continue
    with_them, without = timed(
        rounds,
        lambda: pl.concat(
            [
                book.ask(name, by, where, se="superpopulation").table.select("value", "se")
                for name, by in asked
            ]
        ),
        lambda: pl.concat([book.ask(name, by, where).table.select("value") for name, by in asked]),
    )
    return [_against(f"linearised standard errors, {len(asked)} measures, one city-year", 2.5, rows, with_them, without, "the values alone")]  # fmt: skip


def results(rows: int, rounds: int, folder: Path | None = None) -> list[Row]:
    """Every figure of this file."""
    with tempfile.TemporaryDirectory(prefix="jianfu-bench-") as scratch:
        snapshot = grown(folder or Path(scratch), rows, prepared=1)
        book = Book(snapshot, prepared=False)
        found = by_hand(book, rows, rounds)
        for part in (one_place, credits, errors):
            found += part(book, rows, rounds)
        return found + prepared(snapshot, rows, max(rounds, 20))


def told(row: Row) -> str:
    """A figure as a line."""
    ratio = (
        f"  {row['ratio']:.2f} x {row['against']} ({row['against_seconds']:.3f} s)" if "ratio" in row else ""
    )
    return f"{row['what']}: {row['seconds']:.4f} s{ratio}  bound {row.get('bound', row.get('bound_seconds'))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    for row in results(args.rows, args.rounds, args.folder):
        print(told(row), flush=True)


if __name__ == "__main__":
    main()

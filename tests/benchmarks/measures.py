"""Speed of the measures on 20 million household-years: the concentration index, and catastrophic headcount and overshoot at nine
thresholds, by city and year, against the same questions written by hand. `python tests/benchmarks/measures.py [--rows N]`

Both run on one connection with the same limits; results are compared before they are timed. Ratios of medians in one run.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import polars as pl

from analytics.measures import Book, Replayed
from analytics.store import Engine, Folder
from analytics.tiers import TIERS

THRESHOLDS = ("0.05", "0.10", "0.15", "0.20", "0.25", "0.30", "0.40", "0.50", "0.60")
PLACE = "city, plan_year"

MADE = """
COPY (
    SELECT '44' || lpad((i % 12)::VARCHAR, 2, '0') || '00' AS city, (2021 + (i // 12) % 3)::INTEGER AS plan_year, i AS household_key,
        (1 + hash(i, 1) % 5)::INTEGER AS n_members, 1.0 AS weight, NULL::VARCHAR AS cluster_id, NULL::VARCHAR AS stratum_id,
        (2000000 + hash(i, 2) % 190009 * 100)::BIGINT AS income_fen, NULL::BIGINT AS consumption_fen,
        CASE WHEN hash(i, 3) % 10 < 7 THEN 0 ELSE hash(i, 4) % 6000000 END::BIGINT AS own_net_fen, {tiers}
    FROM range({rows}) AS r(i)
) TO '{path}' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)
"""

HEADCOUNT = "SELECT {place}, " + ", ".join(
    f"sum(CASE WHEN income_fen > 0 THEN own_net_fen::HUGEINT * 10000 > income_fen::HUGEINT * {int(float(t) * 10000)} ELSE own_net_fen > 0 END::INTEGER * weight) "
    f"/ sum(weight) AS h{i}"
    for i, t in enumerate(THRESHOLDS)
) + " FROM household_year WHERE income_fen IS NOT NULL GROUP BY {place} ORDER BY {place}"  # fmt: skip

CONCENTRATION = """
WITH cell AS (
    SELECT {place}, income_fen AS x, sum(weight) AS w,
        sum(weight * CASE WHEN income_fen > 0 THEN own_net_fen::HUGEINT * 10000 > income_fen::HUGEINT * 1000 ELSE own_net_fen > 0 END::INTEGER) AS we
    FROM household_year WHERE income_fen IS NOT NULL GROUP BY ALL
),
ranked AS (
    SELECT {place}, w, we, (sum(w) OVER (PARTITION BY {place} ORDER BY x) - w / 2) / sum(w) OVER (PARTITION BY {place}) AS r FROM cell
)
SELECT {place}, sum((2 * r - 1) * we) / sum(we) AS c FROM ranked GROUP BY {place} ORDER BY {place}
"""


def book(path: Path) -> tuple[Book, Engine]:
    engine = Engine({"household_year": [path]}, threads=2)
    snapshot = SimpleNamespace(id="benchmark", manifest={"synthetic": True, "facts_version": "", "plans": []})
    replayed = Replayed(engine, {"household_year": "household_year"}, ("", 0), {})
    found = Book(cast(Folder, snapshot), replayed)
    found._replay = None
    return found, engine


def timed(rounds: int, *what: Any) -> list[tuple[float, Any]]:
    """Median seconds and result of each, taken in turn."""
    seconds: list[list[float]] = [[] for _ in what]
    results: list[Any] = [None for _ in what]
    for _ in range(rounds):
        for i, one in enumerate(what):
            start = time.perf_counter()
            results[i] = one()
            seconds[i].append(time.perf_counter() - start)
    return [(statistics.median(s), r) for s, r in zip(seconds, results, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jianfu-bench-") as folder:
        path = Path(folder) / "household_year.parquet"
        tiers = ", ".join(f"NULL::BIGINT AS {t.paid}, NULL::BIGINT AS {t.after}" for t in TIERS)
        duckdb.sql(MADE.format(tiers=tiers, rows=args.rows, path=path))
        asked, engine = book(path)
        asked.snapshot = SimpleNamespace(id="benchmark", partitions=lambda *_: [])  # type: ignore[assignment]
        grid = {"threshold": ",".join(THRESHOLDS), "resource": "income"}
        one = {"threshold": "0.10", "resource": "income"}
        rows: list[tuple[str, Any, Any, Any]] = [
            ("decode floor: sum of three columns", lambda: engine.ask("SELECT sum(income_fen), sum(own_net_fen), sum(weight) FROM household_year"), None, None),
            (
                "catastrophic_headcount, nine thresholds",
                lambda: asked.ask("catastrophic_headcount", ["city", "plan_year", "threshold"], None, grid).table,
                lambda: engine.ask(HEADCOUNT.format(place=PLACE)),
                lambda ours, theirs: theirs.unpivot(index=["city", "plan_year"]).sort("city", "plan_year", "variable")["value"].equals(ours["value"]),
            ),
            (
                "catastrophic_concentration",
                lambda: asked.ask("catastrophic_concentration", ["city", "plan_year"], None, one).table,
                lambda: engine.ask(CONCENTRATION.format(place=PLACE)),
                lambda ours, theirs: float((ours["value"] - theirs["c"]).abs().max()) < 1e-12,
            ),
            ("catastrophic_headcount with standard errors", lambda: asked.ask("catastrophic_headcount", ["city", "plan_year"], None, one, se="superpopulation").table, None, None),
            ("catastrophic_concentration with standard errors", lambda: asked.ask("catastrophic_concentration", ["city", "plan_year"], None, one, se="superpopulation").table, None, None),
        ]  # fmt: skip
        print(f"{args.rows:,} household-years, 12 cities x 3 years, medians of {args.rounds}, 2 threads")
        for name, ours, theirs, equal in rows:
            if theirs is None:
                ((seconds, _),) = timed(args.rounds, ours)
                print(f"{name}: {seconds:.2f} s", flush=True)
                continue
            (seconds, got), (hand, wanted) = timed(args.rounds, ours, theirs)
            assert equal(cast(pl.DataFrame, got), wanted), name
            print(f"{name}: {seconds:.2f} s, by hand {hand:.2f} s, ratio {seconds / hand:.2f}", flush=True)


if __name__ == "__main__":
    main()

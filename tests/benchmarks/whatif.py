"""What-if on a city-year of five million persons, claim-dated rules from Parquet, and claims to the household matrix.

    .venv/bin/python tests/benchmarks/whatif.py                       five million persons of Weihai and Zhuhai 2023, five rounds
    .venv/bin/python tests/benchmarks/whatif.py --persons 200000 --rounds 3

A slider asks again and again: the changed plan is paid, households are counted at nine thresholds, spending of every tier is
summed and persons touched are counted. Ours (the kernel) stands against the plan's SQL as a replay runs it, and against the same
question written by hand with the constants in the text; all start from settlements held in memory and must count the same.
Dated rules are paid claim by claim from files clustered by person and date. The matrix is six stages of recorded payments by
three resources by three thresholds, against scanning and summing the same columns.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
from perclaim import dated, figure, matrix, timed

from analytics import verbs
from analytics.facts.claims import Claims
from analytics.plans import Plan, plan_for
from analytics.store import Engine, Store, parquet
from analytics.whatif import Replay, parse_scenario
from analytics.whatif.held import warm
from analytics.whatif.scenario import reform

THRESHOLDS = (500, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000)  # basis points
CITIES = {"weihai": "371000", "zhuhai": "440400"}
YEAR = 2023
DRAWN = 40_000  # persons drawn; the rest are these again under new keys

# Weihai 2023 by hand: serious illness of residents (general / low-income and destitute), its special drugs, employees,
# assistance by group, the product's three liabilities. {d}: the deductible that the slider moves, fen.
HAND = """
WITH c AS (SELECT person_id, seq, insurance_type = 'resident' AS res, person_group AS g, product IS NOT NULL AS held,
        care_type IN ('inpatient', 'special_outpatient') AS cov, care_type = 'inpatient' AS inp, _in, _adv, _out, _drug FROM {head}),
a AS (SELECT *, (sum(CASE WHEN cov THEN _in ELSE 0 END::DOUBLE) OVER w)::BIGINT AS x, (sum(_drug::DOUBLE) OVER w)::BIGINT AS y,
        CASE WHEN cov THEN _in ELSE 0 END AS bx FROM c WINDOW w AS (PARTITION BY person_id ORDER BY seq ROWS UNBOUNDED PRECEDING)),
b AS (SELECT *, CASE WHEN res AND g IN ('low_income', 'destitute') THEN low(x) - low(x - bx) WHEN res THEN gen(x) - gen(x - bx) ELSE emp(x) - emp(x - bx) END AS p,
        CASE WHEN res THEN drug(y) - drug(y - _drug) ELSE 0 END AS q FROM a),
m AS (SELECT *, (sum(CASE WHEN cov AND g <> 'general' THEN _in - p ELSE 0 END::DOUBLE) OVER w)::BIGINT AS z,
        CASE WHEN cov AND g <> 'general' THEN _in - p ELSE 0 END AS bz FROM b WINDOW w AS (PARTITION BY person_id ORDER BY seq ROWS UNBOUNDED PRECEDING)),
n AS (SELECT *, CASE g WHEN 'low_income' THEN aid(z, 7000, 0) - aid(z - bz, 7000, 0) WHEN 'destitute' THEN aid(z, 9000, 0) - aid(z - bz, 9000, 0)
        WHEN 'monitored' THEN aid(z, 5000, {near}) - aid(z - bz, 5000, {near}) WHEN 'near_low_income' THEN aid(z, 6000, {near}) - aid(z - bz, 6000, {near}) ELSE 0 END AS r FROM m),
s AS (SELECT person_id, any_value(g) AS g, any_value(held) AS held, sum((_in + _adv + _out + _drug - p - q - r)::DOUBLE)::BIGINT AS own,
        sum(CASE WHEN inp THEN _in - p - r ELSE 0 END::DOUBLE)::BIGINT AS i, sum(CASE WHEN inp THEN _out ELSE 0 END::DOUBLE)::BIGINT AS o,
        sum((_drug - q)::DOUBLE)::BIGINT AS d FROM n GROUP BY person_id),
t AS (SELECT person_id, greatest(own - CASE WHEN held THEN inc(i) + inc(o) + spec(d) ELSE 0 END - coalesce(other_paid_fen, 0), 0) AS own, own_before_fen, household_key
        FROM person_year LEFT JOIN s ON person_id = person_key),
h AS (SELECT coalesce(household_key, person_id) AS hk, household_key IS NOT NULL AS linked, sum((own_before_fen - own)::DOUBLE)::BIGINT AS paid FROM t WHERE person_id IS NOT NULL GROUP BY ALL)
SELECT {counts} FROM (SELECT own_before_fen - coalesce(paid, 0) AS own, income_fen FROM household_year LEFT JOIN h ON hk = household_key AND linked = is_linked) WHERE income_fen > 0
"""
BANDS = {
    "gen": ("{d}", 40_000_000, ((10_000_000, 6000), (20_000_000, 6500), (30_000_000, 7000), (None, 7500))),
    "low": ("900000", None, ((10_000_000, 6500), (20_000_000, 7000), (30_000_000, 7500), (None, 8000))),
    "emp": ("1800000", 50_000_000, ((10_000_000, 7000), (30_000_000, 8000), (None, 9000))),
    "drug": ("2000000", 40_000_000, ((None, 8000),)),
    "inc": ("1600000", 100_000_000, ((10_000_000, 6000), (30_000_000, 7000), (None, 8000))),
    "spec": ("2000000", 100_000_000, ((None, 6000),)),
}


def by_hand(head: str, deductible: int, near: int) -> str:
    """The query with every rule written out."""
    text = HAND
    for name, (floor, cap, bands) in BANDS.items():
        parts, start = [], floor.format(d=deductible)
        for up_to, bp in bands:
            above = f"greatest(@ - {start}, 0)"
            parts.append(f"{above if up_to is None else f'least({above}, {up_to} - {start})'} * {bp}")
            start = str(up_to)
        due = f"(({' + '.join(parts)} + 5000) // 10000)"
        due = f"least({due}, {cap})" if cap else due
        while (at := text.find(f"{name}(")) >= 0:
            end = text.index(")", at)
            text = text[:at] + due.replace("@", f"({text[at + len(name) + 1 : end]})") + text[end + 1 :]
    while (at := text.find("aid(")) >= 0:
        end = text.index(")", at)
        base, bp, floor = text[at + 4 : end].split(", ")
        text = (
            text[:at]
            + f"least((greatest(({base}) - {floor}, 0) * {bp} + 5000) // 10000, 5000000)"
            + text[end + 1 :]
        )
    counts = ", ".join(f"count(*) FILTER (own * 10000 > income_fen * {z})" for z in THRESHOLDS)
    return text.format(head=head, counts=counts, near=near)


def results(rows: int = 5_000_000, rounds: int = 5) -> list[dict[str, Any]]:
    """One row per figure: what-if of `rows` persons, dated rules and the matrix on as many claims."""
    folder = Path(tempfile.mkdtemp(prefix="jianfu-whatif-"))
    try:
        found = []
        for slug in CITIES:
            files = grown(folder, slug, rows)
            found += whatif(slug, files, rows, rounds)
            if slug == "weihai":
                found += dated(plan_for(slug, YEAR), files["claim"], folder, 2 * rows, rounds)
        return [*found, *matrix(folder, 2 * rows, rounds)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- a city of any size


def grown(folder: Path, slug: str, persons: int) -> dict[str, Path]:
    """Settlements, standing and facts of one drawn city-year, repeated under new keys up to `persons`."""
    drawn = min(DRAWN, persons)
    verbs.sample(folder / slug, persons=drawn, cities=[slug], years=[YEAR])
    store = Store(folder / slug)
    replay = Replay(store.current(), store.deliveries(), CITIES[slug], YEAR)
    tables = {
        "claim": replay._claims,
        "standing": replay._standing,
        "person_year": "person_year",
        "household_year": "household_year",
    }
    files = {name: folder / f"{slug}-{name}.parquet" for name in tables}
    con = duckdb.connect()
    for name, table in tables.items():
        frame = replay.engine.ask(f"SELECT * FROM {table}")
        keys = [c for c in frame.columns if c in ("person_id", "person_key", "household_key")]
        new = ", ".join(f"(hash({k}, copy) >> 1)::BIGINT AS {k}" for k in keys)
        order = "ORDER BY person_id, seq" if name == "claim" else ""
        con.register("given", frame)
        con.execute(
            f"COPY (SELECT * REPLACE ({new}) FROM given, range({-(-persons // drawn)}) AS c(copy) {order}) TO '{files[name]}' (FORMAT parquet)"
        ).fetchall()
    con.close()
    shutil.rmtree(folder / slug)
    return files


class City(Replay):
    """A replay of such files."""

    def __init__(self, slug: str, files: dict[str, Path], compiled: bool) -> None:
        facts = {name: [files[name]] for name in ("person_year", "household_year")}
        claim, standing = (f"SELECT * FROM {parquet([files[name]])}" for name in ("claim", "standing"))
        seq = "row_number() OVER (ORDER BY person_id, seq)"
        engine = Engine(facts, also=[files["claim"], files["standing"]], memory="8GB")
        self._open(
            engine,
            Claims(f"SELECT * REPLACE ({seq} AS seq) FROM ({claim}) ORDER BY seq", standing, "", ()),
            (CITIES[slug], YEAR),
            compiled,
        )


# --- what-if


def slid(plan: Plan, slug: str, number: int) -> tuple[Plan, int]:
    """The plan with the deductible of its first yearly row moved, and that deductible in yuan."""
    rule = next(r for r in plan.tier if r.per == "year" and r.deductible)
    assert isinstance(rule.deductible, int)
    value = rule.deductible * (98 - 2 * number) // 100
    change = {"tier": rule.id, "liability": rule.liability, "insurance_type": rule.insurance_type}
    change |= {"field": "deductible", "value": value}
    name = {"zh": "滑块", "en": "slider"}
    told = {"name": name, "city": slug, "plan_year": YEAR, "change": [change]}
    return reform(plan, parse_scenario(told)), value


def answer(replay: Replay, changed: Plan, plan: Plan, base: Any) -> tuple[Any, ...]:
    """What a slider shows: households at nine thresholds, spending by tier, persons touched."""
    paid = replay.pay(changed, plan)
    counts = replay.catastrophic(paid, THRESHOLDS, "income_fen")
    return (
        tuple(counts.values()),
        tuple(replay.spent(paid, k) for k in paid.order),
        replay.differing(paid, base),
    )


def whatif(slug: str, files: dict[str, Path], persons: int, rounds: int) -> list[dict[str, Any]]:
    plan = plan_for(slug, YEAR)
    assert plan
    start = time.perf_counter()
    warm()
    compiling, start = time.perf_counter() - start, time.perf_counter()
    fast = City(slug, files, True)
    base = fast.pay(plan)
    answer(fast, plan, plan, base)
    reading = time.perf_counter() - start
    slow = City(slug, files, False)
    slow_base = slow.pay(plan)
    answer(slow, plan, plan, slow_base)
    near = next(r for r in plan.rules("medical_assistance")).deductible
    ways: dict[str, list[float]] = {"kernel": [], "counts": [], "sql": [], "hand": []}
    for number in range(rounds):
        changed, deductible = slid(plan, slug, number)
        ours, seconds = timed(lambda n=number: answer(fast, slid(plan, slug, n)[0], plan, base))
        ways["kernel"].append(seconds)
        _, seconds = timed(lambda c=changed: fast.catastrophic(fast.pay(c, plan), THRESHOLDS, "income_fen"))
        ways["counts"].append(seconds)
        with slow.scratch():
            theirs, seconds = timed(lambda c=changed: answer(slow, c, plan, slow_base))
        ways["sql"].append(seconds)
        if ours != theirs:
            raise SystemExit(f"not the same answer: {ours} and {theirs}")
        if slug == "weihai":
            query = by_hand(f"head_{slow_base.head}", 100 * deductible, 100 * int(near))
            row, seconds = timed(lambda q=query: slow.engine.ask(q).row(0))
            ways["hand"].append(seconds)
            if row != ours[0]:
                raise SystemExit(f"not the same households: {ours[0]} and {row}")
    held = fast._held.bytes // 1_000_000
    what = f"what-if {slug}: {len(plan.tier)} rows, {len(plan.order)} tiers, CHE at nine thresholds"
    found = [
        figure(
            f"{what}, spending, persons touched",
            ways["kernel"],
            "the plan's SQL",
            ways["sql"],
            0.25,
            persons,
            peak_mb=held,
            bound_seconds=0.5,
        ),
        {
            "what": f"{what}: first, with reading and heads (compiling or loading the kernel: {compiling:.1f} s)",
            "seconds": reading,
            "rows": persons,
        },
    ]
    if ways["hand"]:
        found.append(
            figure(f"{what}: counts alone", ways["counts"], "SQL by hand", ways["hand"], 0.25, persons)
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--persons", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    for row in results(args.persons, args.rounds):
        told = f"{row['what']}: {row['seconds']:.3f} s"
        if "against" in row:
            told += f"; {row['against']}: {row['against_seconds']:.3f} s; ratio {row['ratio']:.2f}"
        print(told + (f" (bound {row['bound']})" if "bound" in row else ""))


if __name__ == "__main__":
    main()

"""A changed plan on one city-year of a million persons, with catastrophic expenditure at nine thresholds, against the same
question written by hand with the constants in the text.

    .venv/bin/python tests/benchmarks/whatif.py                       a million persons of Weihai 2023, five rounds
    .venv/bin/python tests/benchmarks/whatif.py --persons 200000 --rounds 3

Ours is what a slider asks again and again: the changed plan is paid and the households are counted, with what the rows per
settlement paid held in memory. The hand-written query starts from the same table. Both must count the same households.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from analytics import verbs
from analytics.plans import plan_for
from analytics.store import Store
from analytics.whatif import Replay, parse_scenario
from analytics.whatif.scenario import reform

THRESHOLDS = (500, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000)  # basis points
CITY, SLUG, YEAR = "371000", "weihai", 2023

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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--store", type=Path, help="a store of Weihai 2023 to use instead of drawing one")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="jianfu-whatif-"))
    try:
        if not args.store:
            verbs.sample(folder / "store", persons=args.persons, cities=[SLUG], years=[YEAR])
        run(Store(args.store or folder / "store"), args.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(store: Store, rounds: int) -> None:
    plan = plan_for(SLUG, YEAR)
    assert plan
    start = time.perf_counter()
    replay = Replay(store.current(), store.deliveries(), CITY, YEAR)
    paid = replay.pay(plan)
    print(f"read and first replay: {time.perf_counter() - start:.2f} s")
    near = next(r for r in plan.rules("medical_assistance")).deductible
    assert isinstance(near, int)
    ours, hand = [], []
    for number in range(rounds):
        deductible = 17_000 - 500 * number
        change = {
            "tier": "serious_illness",
            "liability": "main",
            "insurance_type": "resident",
            "field": "deductible",
            "value": deductible,
        }
        name = {"zh": "滑块", "en": "slider"}
        start = time.perf_counter()
        changed = reform(
            plan, parse_scenario({"name": name, "city": SLUG, "plan_year": YEAR, "change": [change]})
        )
        counts = replay.catastrophic(replay.pay(changed, plan), THRESHOLDS, "income_fen")
        ours.append(time.perf_counter() - start)
        query = by_hand(f"head_{paid.head}", 100 * deductible, 100 * near)
        start = time.perf_counter()
        row = replay.engine.ask(query).row(0)
        hand.append(time.perf_counter() - start)
        if tuple(counts.values()) != row:
            raise SystemExit(f"not the same households: {counts} and {row}")
    a, b = statistics.median(ours), statistics.median(hand)
    print(
        f"changed plan and nine thresholds: {a:.2f} s; written by hand: {b:.2f} s; ratio {a / b:.2f} (bound 1.5)"
    )


if __name__ == "__main__":
    main()

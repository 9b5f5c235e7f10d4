"""Random plans and claims for the tests of the waterfall, and the query run on them."""

import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import polars
from hypothesis import strategies as st

from analytics.plans import Plan, claims_sql

Claim = dict[str, Any]
PARTS = ("in_policy_fen", "advance_fen", "out_of_catalogue_fen", "special_drug_fen")
CARE = ["inpatient", "special_outpatient", "outpatient", "pharmacy"]
REGIONS = ["local", "in_province", "out_province"]
LEVELS = ["3", "2", "1", "ungraded"]
PERSON_GROUPS = ["general", "low_income", "destitute", "near_low_income", "monitored"]
PERIOD = {"start": date(2023, 3, 1), "end": date(2024, 2, 29)}
SCHEMA = {
    "person_id": polars.String, "seq": polars.Int64, "insurance_type": polars.String, "person_group": polars.String,
    "is_pre_existing": polars.Boolean, "is_retired": polars.Boolean, "product": polars.String,
    "hospital_level": polars.String, "care_type": polars.String, "cross_region": polars.String,
    **dict.fromkeys(PARTS, polars.Int64), "claim_date": polars.Date, "cover_start": polars.Date,
    "product_years": polars.Int32, "insured_years": polars.Int32, "zero_claim_years": polars.Int32,
    "capacity": polars.String,
}  # fmt: skip


def run(plan: Plan, claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """The claims with what the plan pays, in the order given."""
    return ask({"paid": claims_sql(plan)}, claims)[0]


def ask(queries: Mapping[str, str], claims: Sequence[Claim]) -> list[list[dict[str, Any]]]:
    """The rows of every query over claims, in the order of the claims; a later query may ask an earlier one by name."""
    frame = polars.DataFrame(claims, schema=SCHEMA).with_row_index("at")
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("claims", frame)
        for name, sql in queries.items():
            connection.execute(f"CREATE TABLE {name} AS {sql}")
        return [connection.table(name).pl().sort("at").to_dicts() for name in queries]


def year_sums(plan: Plan, claims: Sequence[Claim]) -> dict[str, dict[str, int]]:
    """What each tier paid and what was left, fen, per person of the year."""
    sums: dict[str, dict[str, int]] = {}
    for row in run(plan, claims):
        person = sums.setdefault(row["person_id"], {})
        for name, value in row.items():
            if name.endswith("_paid_fen") or name == "own_fen":
                person[name] = person.get(name, 0) + value
    return sums


def edges_of(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Every amount a plan names, fen: where mistakes hide."""
    found = {0}
    for row in rows:
        for values in (row, *row.get("variants", ())):
            found |= {v for v in [values.get("deductible")] if isinstance(v, int)}
            found |= {b["over"] for b in values.get("bands", ()) if isinstance(b, Mapping)}
            ceiling = values.get("ceiling")
            found |= {ceiling["amount"]} if isinstance(ceiling, Mapping) else set()
    return sorted(100 * x for x in found)


def random_claims(
    seed: int, persons: int, content: Mapping[str, Any], scale: int = 30_000_000
) -> list[Claim]:
    """Claims of many persons; amounts from nothing to `scale` fen, often exactly at or one fen beside an edge of the
    plan; days often the first or last of its period or of a waiting time, or one beside."""
    dice = random.Random(seed)
    rows, period = content["tier"], content.get("period", PERIOD)
    edges = edges_of(rows)
    waits = [row.get("waiting_days", 30) for row in rows] or [30]
    products = [None, *sorted({code for row in rows for code in row.get("product", ())} | {"x"})]
    days = [*period.values(), None, date(2023, 8, 15)]

    def day(start: date | None) -> date | None:
        near = dice.choice(days)
        if start is not None and dice.random() < 0.5:
            near = start + timedelta(days=dice.choice(waits))
        return None if near is None else near + timedelta(days=dice.choice((-1, 0, 1)))

    def amount(likely: float) -> int:
        if dice.random() > likely:
            return 0
        if dice.random() < 0.3:
            return max(0, dice.choice(edges) + dice.choice((-1, 0, 1)))
        return int(scale ** dice.random())

    claims = []
    for number in range(persons):
        person = {
            "person_id": f"p{number}",
            "insurance_type": dice.choice(["resident", "employee"]),
            "person_group": dice.choice(PERSON_GROUPS),
            "is_pre_existing": dice.random() < 0.4,
            "is_retired": dice.random() < 0.3,
            "product": dice.choice(products),
            "cover_start": day(None),
            "product_years": dice.choice([None, 1, 2, 4, 5, 6, 40]),
            "insured_years": dice.choice([None, 1, 2, 4, 5, 6, 40]),
            "zero_claim_years": dice.choice([None, 0, 1, 3]),
            "capacity": dice.choice([None, "1", "2", "3", "4", "5"]),
        }
        count = dice.randint(1, 5)
        for seq in dice.sample(range(100), count):
            parts = {part: amount(0.9 if part == "in_policy_fen" else 0.5) for part in PARTS}
            place = {
                "hospital_level": dice.choice(LEVELS),
                "care_type": dice.choice([*CARE, "inpatient", "inpatient"]),
                "cross_region": dice.choice([*REGIONS, "local"]),
            }
            claims.append({**person, "seq": seq, "claim_date": day(person["cover_start"]), **place, **parts})
    return claims


RATES = st.integers(0, 10_000).map(lambda bp: Decimal(bp) / 10_000)
MIDDLE_RATES = st.integers(1_000, 9_000).map(lambda bp: Decimal(bp) / 10_000)  # leave room for a shift
SHIFTS = st.sampled_from([Decimal("0.1"), Decimal("-0.1"), Decimal("0.0333")])
AMOUNTS = st.sampled_from([0, 1, 7, 100, 999, 5_000, 20_000])


@st.composite
def _bands(draw: st.DrawFn, rates: st.SearchStrategy[Decimal]) -> list[dict[str, Any]]:
    overs = [0, *sorted(draw(st.sets(st.sampled_from([3, 50, 800, 10_000, 40_000, 90_000]), max_size=3)))]
    return [{"over": over, "rate": draw(rates)} for over in overs]


def _subset(values: Sequence[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=len(values), unique=True)


BASES = [
    "in_policy_cost",
    "in_policy_own",
    "in_policy_own",
    "out_of_catalogue",
    "special_drug",
    "total_own",
]
TOPS = st.sampled_from([25_000, 60_000, 150_000])
LOYALTY = st.fixed_dictionaries(
    {
        "over_years": st.sampled_from([0, 1, 4]),
        "per_year": st.sampled_from([900, 3_800]),
        "zero_claim": st.sampled_from([0, 3_800]),
        "at_most": st.sampled_from(["none", 5_000, 120_000]),
    }
)


def _one_in(draw: st.DrawFn, number: int) -> bool:
    return draw(st.integers(1, number)) == number


@st.composite
def _row(draw: st.DrawFn, tier: str, liability: str, alike: Mapping[str, Any]) -> dict[str, Any]:
    """A row; `alike` holds what it shares with its neighbour."""
    shifts = draw(st.booleans())
    shared = "shared_deductible" in alike or "shared_ceiling" in alike
    row: dict[str, Any] = {
        "id": tier,
        "liability": liability,
        "insurance_type": "all" if shared else draw(st.sampled_from(["all", "all", "resident", "employee"])),
        "base": draw(st.sampled_from(BASES)),
        "scope": draw(_subset(CARE)),
        "per": draw(st.sampled_from(["year", "year", "event"])),
        "deductible": draw(AMOUNTS),
        "bands": draw(_bands(MIDDLE_RATES if shifts else RATES)),
        "source": "s",
    }
    row |= alike
    if "ceiling" not in row:
        kind = draw(st.sampled_from(["none", "payout", *(["eligible"] if row["per"] == "year" else [])]))
        row["ceiling"] = "none" if kind == "none" else {"on": kind, "amount": draw(TOPS)}
        if kind == "payout" and _one_in(draw, 2):
            row["loyalty"] = draw(LOYALTY)
    if row["base"] == "in_policy_own":
        row["advance_share"] = draw(
            st.sampled_from([Decimal(0), Decimal("0.5"), Decimal("0.3333"), Decimal(1)])
        )
    if _one_in(draw, 4):
        row["for"] = draw(_subset(["low_income", "monitored", "pre_existing", "retired", "employee"]))
    if _one_in(draw, 4):
        left = [g for g in ("destitute", "pre_existing", "retired") if g not in row.get("for", ())]
        row["not_for"] = draw(_subset(left))
    if _one_in(draw, 6):
        row["cross_region"] = draw(_subset(REGIONS))
    row.setdefault("voluntary", draw(st.booleans()))
    if row["voluntary"] and not shared and _one_in(draw, 3):
        row.setdefault("product", draw(_subset(["x", "y"])))
    if row["voluntary"] and _one_in(draw, 3):
        row["waiting_days"] = draw(st.sampled_from([1, 30, 60]))
    row["variants"] = draw(st.lists(_variant(row, shifts), max_size=3))
    return row


@st.composite
def _variant(draw: st.DrawFn, row: Mapping[str, Any], shifts: bool) -> dict[str, Any]:
    changes = [
        "bands",
        *(["rate_plus", "rate_plus"] if shifts else []),
        *([] if "shared_deductible" in row else ["deductible"]),
        *(["ceiling"] if row["per"] == "year" and "shared_ceiling" not in row else []),
    ]
    chosen = draw(st.lists(st.sampled_from(changes), min_size=1))
    made: dict[str, Any] = {}
    selectors = draw(_subset(["for", "for", "years", "capacity"]))
    if "for" in selectors:
        made["for"] = draw(_subset(["low_income", "destitute", "pre_existing", "employee", "retired"]))
    if "years" in selectors:
        spans = [{"years_at_least": 5}, {"years_at_most": 1}, {"years_at_least": 2, "years_at_most": 4}]
        made |= draw(st.sampled_from(spans))
    if "capacity" in selectors:
        made["capacity"] = draw(_subset(["1", "2", "3"]))
    if row["per"] == "event" and draw(st.booleans()):
        made["hospital_level"] = draw(_subset(LEVELS))
    if "bands" in chosen:
        made["bands"] = draw(_bands(MIDDLE_RATES if shifts else RATES))
    if "rate_plus" in chosen:
        made["rate_plus"] = draw(SHIFTS)
    if "deductible" in chosen:
        made["deductible"] = draw(AMOUNTS)
    if "ceiling" in chosen and (row["ceiling"] != "none" or "hospital_level" not in made):
        made["ceiling"] = draw(st.sampled_from(["none", {"on": "payout", "amount": 30_000}]))
    return made


@st.composite
def _pair(draw: st.DrawFn, tier: str) -> list[dict[str, Any]]:
    """Two rows of a tier: apart, under one deductible, one ceiling or both, or for buyers of different products."""
    kind = draw(st.sampled_from(["apart", "deductible", "ceiling", "both", "products"]))
    same: dict[str, Any] = {}
    if kind in ("deductible", "both"):
        same |= {"shared_deductible": "together", "deductible": 800}
    if kind in ("ceiling", "both"):
        same |= {"shared_ceiling": "one", "ceiling": {"on": "payout", "amount": draw(TOPS)}}
        same |= {"loyalty": draw(LOYALTY)} if draw(st.booleans()) else {}
    if same:
        same["per"] = draw(st.sampled_from(["year", "event"]))
    if kind == "products":
        return [draw(_row(tier, "l0", {"voluntary": True, "product": [code]})) for code in ("x", "y")]
    return [draw(_row(tier, f"l{number}", same)) for number in range(2)]


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """Content of a valid plan file with one to six rows of every kind."""
    rows: list[dict[str, Any]] = []
    tiers = ["basic", "statutory_supplement", "serious_illness", "medical_assistance", "inclusive", "charity"]
    for tier in draw(st.lists(st.sampled_from(tiers), min_size=1, max_size=3, unique=True)):
        rows += draw(_pair(tier)) if draw(st.booleans()) else [draw(_row(tier, "l0", {}))]
    return {
        "city": "440800",
        "plan_year": 2023,
        **({"period": PERIOD} if draw(st.booleans()) else {}),
        "sources": {"s": {"title": "made up", "class": "assumed"}},
        "product": [{"code": code, "name": {"zh": code, "en": code}} for code in ("x", "y")],
        "tier": rows,
    }


def alike(content: dict[str, Any], events_in_first_tier: bool = False) -> dict[str, Any]:
    """The plan with all rows on the same claims and by the year, so that nothing hangs on single claims.

    With `events_in_first_tier` its rows may pay per event, without a ceiling, as long as no yearly row went before:
    then only the cut of claims matters.
    """
    rows, events = [], events_in_first_tier
    for row in content["tier"]:
        changed = without(row, "cross_region", "waiting_days") | {"scope": CARE}
        events = events and row["per"] == "event" and row["id"] == content["tier"][0]["id"]
        if events:
            changed = without(changed, "shared_ceiling", "loyalty") | {"ceiling": "none"}
        else:
            changed["per"] = "year"
            changed["variants"] = [without(x, "hospital_level") for x in row["variants"]]
        rows.append(changed)
    return without(content, "period") | {"tier": rows}


def without(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in names}

"""Random plans and claims for the tests of the waterfall, and the query run on them."""

import random
from collections.abc import Mapping, Sequence
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
    frame = polars.DataFrame(claims, schema=SCHEMA).with_row_index("at")
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("claims", frame)
        return list(connection.sql(claims_sql(plan)).pl().sort("at").to_dicts())


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


def random_claims(seed: int, persons: int, edges: Sequence[int], scale: int = 30_000_000) -> list[Claim]:
    """Claims of many persons; amounts from nothing to `scale` fen, often exactly at or one fen beside an edge."""
    dice = random.Random(seed)

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
            "product": dice.choice([None, "x"]),
        }
        count = dice.randint(1, 5)
        for seq in dice.sample(range(100), count):
            parts = {part: amount(0.9 if part == "in_policy_fen" else 0.5) for part in PARTS}
            place = {
                "hospital_level": dice.choice(LEVELS),
                "care_type": dice.choice([*CARE, "inpatient", "inpatient"]),
                "cross_region": dice.choice([*REGIONS, "local"]),
            }
            claims.append({**person, "seq": seq, **place, **parts})
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


@st.composite
def _row(draw: st.DrawFn, tier: str, liability: str, per: str | None, shared: bool) -> dict[str, Any]:
    shifts = draw(st.booleans())
    rates = MIDDLE_RATES if shifts else RATES
    row: dict[str, Any] = {
        "id": tier,
        "liability": liability,
        "insurance_type": "all" if shared else draw(st.sampled_from(["all", "all", "resident", "employee"])),
        "base": draw(
            st.sampled_from(
                [
                    "in_policy_cost",
                    "in_policy_own",
                    "in_policy_own",
                    "out_of_catalogue",
                    "special_drug",
                    "total_own",
                ]
            )
        ),
        "scope": draw(_subset(CARE)),
        "per": per or draw(st.sampled_from(["year", "year", "event"])),
        "deductible": 800 if shared else draw(AMOUNTS),
        "bands": draw(_bands(rates)),
        "source": "s",
    }
    kinds = ["none", "payout", *(["eligible"] if row["per"] == "year" else [])]
    kind = draw(st.sampled_from(kinds))
    top = draw(st.sampled_from([25_000, 60_000, 150_000]))
    row["ceiling"] = "none" if kind == "none" else {"on": kind, "amount": top}
    if row["base"] == "in_policy_own":
        row["advance_share"] = draw(
            st.sampled_from([Decimal(0), Decimal("0.5"), Decimal("0.3333"), Decimal(1)])
        )
    if draw(st.integers(0, 3)) == 0:
        row["for"] = draw(_subset(["low_income", "monitored", "pre_existing", "retired", "employee"]))
    if draw(st.integers(0, 5)) == 0:
        row["cross_region"] = draw(_subset(REGIONS))
    row["voluntary"] = draw(st.booleans())
    row["variants"] = draw(st.lists(_variant(row["per"], shared, shifts), max_size=3))
    if shared:
        row["shared_deductible"] = "together"
    return row


@st.composite
def _variant(draw: st.DrawFn, per: str, shared: bool, shifts: bool) -> dict[str, Any]:
    rates = MIDDLE_RATES if shifts else RATES
    changes = [
        "bands",
        *(["rate_plus", "rate_plus"] if shifts else []),
        *([] if shared else ["deductible"]),
        *(["ceiling"] if per == "year" else []),
    ]
    chosen = draw(st.lists(st.sampled_from(changes), min_size=1))
    made: dict[str, Any] = {
        "for": draw(_subset(["low_income", "destitute", "pre_existing", "employee", "retired"]))
    }
    if per == "event" and draw(st.booleans()):
        made["hospital_level"] = draw(_subset(LEVELS))
    if "bands" in chosen:
        made["bands"] = draw(_bands(rates))
    if "rate_plus" in chosen:
        made["rate_plus"] = draw(SHIFTS)
    if "deductible" in chosen:
        made["deductible"] = draw(AMOUNTS)
    if "ceiling" in chosen:
        made["ceiling"] = draw(st.sampled_from(["none", {"on": "payout", "amount": 30_000}]))
    return made


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """Content of a valid plan file with one to five rows of every kind."""
    rows: list[dict[str, Any]] = []
    tiers = ["basic", "statutory_supplement", "serious_illness", "medical_assistance", "inclusive", "charity"]
    for tier in draw(st.lists(st.sampled_from(tiers), min_size=1, max_size=3, unique=True)):
        count = draw(st.integers(1, 2))
        shared = count == 2 and draw(st.booleans())
        per = draw(st.sampled_from(["year", "event"])) if shared else None
        rows += [draw(_row(tier, f"l{i}", per, shared)) for i in range(count)]
    return {
        "city": "440800",
        "plan_year": 2023,
        "sources": {"s": {"title": "made up", "class": "assumed"}},
        "tier": rows,
    }


def alike(content: dict[str, Any], events_in_first_tier: bool = False) -> dict[str, Any]:
    """The plan with all rows on the same claims and by the year, so that nothing hangs on single claims.

    With `events_in_first_tier` its rows may pay per event, without a ceiling, as long as no yearly row went before:
    then only the cut of claims matters.
    """
    rows, events = [], events_in_first_tier
    for row in content["tier"]:
        changed = {k: v for k, v in row.items() if k != "cross_region"} | {"scope": CARE}
        events = events and row["per"] == "event" and row["id"] == content["tier"][0]["id"]
        if events:
            changed["ceiling"] = "none"
        else:
            changed["per"] = "year"
            changed["variants"] = [
                {k: v for k, v in x.items() if k != "hospital_level"} for x in row["variants"]
            ]
        rows.append(changed)
    return content | {"tier": rows}

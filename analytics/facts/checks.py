"""Checks across rows, tables and partitions, made when facts are built. One whose inputs did not come is not applicable."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Literal

import duckdb

from analytics.facts.jobs import HERE, Job, Made, Row, source
from analytics.facts.product import treated
from analytics.reference import Form, Text, load_toml
from analytics.store import Query

LEVELS = ("settlement", "encounter", "person_year", "none")  # how a claim is linked, best first


class Check(Form):
    """`limit`: share of the money that must pass; `tolerance_fen`: what rounding may leave."""

    id: str
    category: Literal["conformance", "completeness", "plausibility", "accounting"]
    severity: Literal["warn"]
    title: Text
    limit: Decimal | None = None
    tolerance_fen: int = 0


@cache
def rules() -> dict[str, Check]:
    """The checks by id."""
    rows = load_toml(HERE / "checks.toml")["check"]
    return {row["id"]: Check.model_validate(row) for row in rows}


def own_checks(job: Job, totals: Row | None) -> list[Row]:
    """Checks of the person-year of one job; `totals`: its row of totals.sql."""
    if totals is None or not job.inputs["settlement"]:
        return [_row(job, job.key, rule) for rule in ("Q28", "several_households", "I11")]
    t = totals
    enrolled = (t["settlements"], t["unenrolled"], t["unenrolled_fen"]) if t["has_enrolled"] else None
    paid = (t["claimants"], t["overpaid"], t["overpaid_fen"]) if job.has_payments else None
    several = (t["linked"], t["several"], t["several_fen"]) if job.inputs["household_member"] else None
    over = _row(job, job.key, "I11", paid)
    if paid and t["claimed_fen"] - t["overpaid_fen"] < t["claimed_fen"] * (rules()["I11"].limit or 0):
        over["over_limit"] = float(Decimal(t["overpaid_fen"]) / t["claimed_fen"])
    return [_row(job, job.key, "Q28", enrolled), _row(job, job.key, "several_households", several), over]


def overpaid(manifest: Mapping[str, Any]) -> list[Row]:
    """Rows of a snapshot's manifest: the city-years whose commercial payments exceed the persons' burden by more than the limit
    of I11; `over_limit`: by which share of the payments. Measures of burden mean little there.
    """
    return [row for row in manifest.get("checks", ()) if row.get("over_limit")]


def wide_checks(con: duckdb.DuckDBPyConnection, jobs: Sequence[Job]) -> dict[str, Made]:
    """Checks of some jobs that look into other partitions, by check key: refunds, and the links of commercial claims."""
    refunds: dict[tuple[str, int], Sequence[int]] = {}
    links: dict[tuple[str, int], dict[tuple[str, str], tuple[int, int]]] = defaultdict(dict)
    settled = [job for job in jobs if job.inputs["settlement"]]
    if settled:
        query = Query.load(HERE / "reversals.sql").fill(
            settlement=source(settled, "settlement"),
            settlement_undone=source(settled, "settlement_undone", around=True),
        )
        refunds = {row[:2]: row[2:] for row in con.execute(query).fetchall()}
    claims = [job for job in jobs if job.inputs["commercial_claim"]]
    if claims:
        query = Query.load(HERE / "links.sql").fill(
            commercial_claim=source(claims, "commercial_claim"), treated=treated(con, claims)
        )
        for city, plan_year, product, level, n, fen in con.execute(query).fetchall():
            links[city, plan_year][product, LEVELS[level - 1]] = (n, fen)
    return {job.check_key: _wide(job, refunds.get(job.place, (0,) * 6), links[job.place]) for job in jobs}


def _wide(job: Job, refunds: Sequence[int], links: dict[tuple[str, str], tuple[int, int]]) -> Made:
    rows: list[Row] = []
    for product, level in itertools.product(sorted({name for name, _ in links}, key=str), LEVELS):
        claims, fen = links.get((product, level), (0, 0))
        rows.append({
            "city": job.city, "plan_year": job.plan_year, "key": job.check_key, "product": product, "level": level,
            "claims": claims, "paid_fen": fen,
        })  # fmt: skip
    all_n, all_fen = sum(r["claims"] for r in rows), sum(r["paid_fen"] for r in rows)
    lost_n, lost_fen = (sum(r[c] for r in rows if r["level"] == "none") for c in ("claims", "paid_fen"))
    settled, claimed = job.inputs["settlement"], job.inputs["commercial_claim"] and job.around["settlement"]
    checks = [
        _row(job, job.check_key, "Q4", refunds[:3] if settled else None),
        _row(job, job.check_key, "late_reversal", refunds[3:] if settled else None),
        _row(job, job.check_key, "Q27", (all_n, lost_n, lost_fen) if claimed else None),
    ]
    if claimed and all_fen - lost_fen >= all_fen * (rules()["Q27"].limit or 0):
        checks[-1]["status"] = "passed"
    return {"files": [], "checks": checks, "links": rows}


def _row(job: Job, key: str, rule: str, found: Sequence[int] | None = None) -> Row:
    """One row of the manifest's checks; `found`: rows looked at, rows found, their money."""
    check = rules()[rule]
    checked, rows, fen = found or (0, 0, 0)
    status = "not_applicable" if found is None else "found" if rows else "passed"
    limit = {} if check.limit is None else {"limit": float(check.limit)}
    return {
        "rule": rule, "category": check.category, "severity": check.severity, "status": status, "checked": checked,
        "rows": rows, "fee_fen": fen, "city": job.city, "plan_year": job.plan_year, "key": key, **limit,
    }  # fmt: skip

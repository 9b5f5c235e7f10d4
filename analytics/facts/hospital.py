"""What each hospital made of the sums of a city-year: what disclosure rules on money ask for besides the households.

The rows are staged for whoever finds the largest among them, and never sealed: a snapshot holds no sum of a hospital. A hospital is
a number there, its code stays in the deliveries.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from analytics import reference
from analytics.facts.jobs import (
    AMOUNTS,
    Job,
    at,
    in_parts,
    is_undone,
    leading,
    paid_in_year,
    place,
    query,
    source,
    undone,
)
from analytics.facts.partition import file_name, ledger
from analytics.facts.product import covered
from analytics.store import FACTS_FORMAT, banded, literal, parquet
from analytics.tiers import TIER, TIERS, full_order

HOSPITALS = "hospital_year"  # the table
_NAMES = ("cost_fen", "in_policy_fen", "out_of_catalogue_fen", "hospital_borne_fen")
_SUMMED = {name: AMOUNTS[name] for name in _NAMES}
_SUMMED |= {t.paid: t.national_fields for t in TIERS if t.national_fields}
_BITS = {t.id: 1 << n for n, t in enumerate(TIERS)}


def hospital_year(con: duckdb.DuckDBPyConnection, jobs: Sequence[Job], staging: Path) -> str:
    """Name of the file of hospital_year.sql of some city-years, made beside their person_year; empty where none of them has
    settlements. What is worked by ranges of keys is worked alone, as the facts are.
    """
    settled = [job for job in jobs if job.inputs["settlement"]]
    persons = {job.number: staging / file_name("person_year", job.number, "claims") for job in settled}
    jobs = [job for job in settled if persons[job.number].exists()]
    if not jobs:
        return ""
    if is_undone(jobs):
        con.execute(f"CREATE TEMP TABLE undone AS {undone(jobs, _SUMMED)}").fetchall()
    placed = query("placed").fill(
        settlement=source(jobs, "settlement", around=True),
        commercial_claim=paid_in_year(con, jobs),
        covered=covered(jobs),
    )
    con.execute(f"CREATE TEMP TABLE placed AS {placed}").fetchall()
    in_part = is_undone(jobs) and con.execute("SELECT 1 FROM undone WHERE NOT is_gone LIMIT 1").fetchall()
    several = len(jobs[0].ranges) > 1
    for number, keys in enumerate(jobs[0].ranges):
        some = [replace(jobs[0], keys=keys)] if several else jobs
        rows = _share(con, some, [persons[job.number] for job in jobs], bool(in_part))
        con.execute(f"{'INSERT INTO share' if number else 'CREATE TEMP TABLE share AS'} {rows}").fetchall()
    rows = " UNION ALL ".join(_rows(jobs, some) for some in _of_one_order(jobs))
    name = file_name(HOSPITALS, jobs[0].number, HOSPITALS)
    con.execute(
        f"COPY ({rows} ORDER BY city, plan_year) TO {literal(staging / name)} ({FACTS_FORMAT})"
    ).fetchall()
    return name


def _share(
    con: duckdb.DuckDBPyConnection, jobs: Sequence[Job], persons: Sequence[Path], in_part: bool
) -> str:
    """SELECT of hospital_share.sql; needs the tables `placed` and, where anything was refunded (`in_part`: not whole), `undone`."""
    kept, refunded = in_parts(jobs, (*at(jobs), "person_key", "provider_id"), _SUMMED)
    claimed = (f"CASE WHEN tier = {literal(t.id)} THEN paid_amt_fen END AS {t.paid}" for t in TIERS)
    keys = jobs[0].keys
    return query("hospital_share").fill(
        at=leading(jobs),
        settled=f"{kept} UNION ALL {refunded}" if in_part else kept,
        commercial_claim=paid_in_year(con, jobs),
        claimed=", ".join(claimed),
        person_year=parquet(persons) + (f" WHERE person_key BETWEEN {keys[0]} AND {keys[1]}" if keys else ""),
        band=banded("cost_fen", reference.bands()),
        bits=" + ".join(f"coalesce({TIER[k].paid} > 0, false)::INTEGER * {bit}" for k, bit in _BITS.items()),
    )


def _rows(jobs: Sequence[Job], some: Sequence[Job]) -> str:
    """SELECT of hospital_year.sql, of those with one order of payment."""
    tiers = (f"CASE WHEN (bits & {bit}) > 0 THEN {literal(k)} END" for k, bit in _BITS.items())
    places = ", ".join(f"({literal(job.city)}, {job.plan_year})" for job in some)
    return query("hospital_year").fill(
        place=place(jobs),
        at=leading(jobs),
        where=f"WHERE (city, plan_year) IN ({places})" if at(jobs) else "",
        tiers=f"[{', '.join(tiers)}]",
        ledger=ledger(full_order(some[0].plan_order)),
    )


def _of_one_order(jobs: Sequence[Job]) -> list[list[Job]]:
    found: dict[tuple[str, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        found[full_order(job.plan_order)].append(job)
    return list(found.values())

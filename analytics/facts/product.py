"""Facts of the products: who holds one and what it cost and paid, and its single payments."""

from collections.abc import Sequence

import duckdb

from analytics.facts.jobs import Job, query, source
from analytics.store import literal

# What is said of a person; how somebody was treated in the year is no trait of a policy.
_DIMENSIONS = ("insurance_type", "person_group", "age_band", "sex")
MAYBE = {
    "policy_year": ("household_key", "was_held", "is_renewed", "premium_fen"),
    "claim": ("household_key", "days_to_pay", "is_one_stop", "is_cross_region"),
}


def policy_year(jobs: Sequence[Job]) -> str:
    """SELECT of policy_year.sql, of all jobs together; needs the table `person_year` of the same jobs."""
    premiums = (
        f"WHEN city = {literal(job.city)} AND plan_year = {job.plan_year} THEN {job.premium}" for job in jobs
    )
    return query("policy_year").fill(
        enrolment=source(jobs, "enrolment"),
        commercial_claim=source(jobs, "commercial_claim"),
        places=", ".join(f"({literal(job.city)}, {job.plan_year})" for job in jobs),
        premium=f"CASE {' '.join(premiums)} END",
        **_persons(),
    )


def claim(con: duckdb.DuckDBPyConnection, jobs: Sequence[Job]) -> str:
    """SELECT of claim.sql, likewise, of jobs with commercial claims."""
    return query("claim").fill(
        commercial_claim=source(jobs, "commercial_claim"), treated=treated(con, jobs), **_persons()
    )


def treated(con: duckdb.DuckDBPyConnection, jobs: Sequence[Job]) -> str:
    """Name of a table of treated.sql, made the first time these jobs ask for it."""
    name = "_".join(["treated", *(str(job.number) for job in jobs)])
    rows = query("treated").fill(
        settlement=source(jobs, "settlement", around=True, grown=True),
        commercial_claim=source(jobs, "commercial_claim"),
        covered=covered(jobs),
    )
    con.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} AS {rows}").fetchall()
    return name


def covered(jobs: Sequence[Job]) -> str:
    """Rows (city, year of care, plan year): where the settlements a claim of these jobs may rest on stand."""
    return ", ".join(
        f"({literal(job.city)}, {year}, {job.plan_year})" for job in jobs for year in job.covered_years
    )


def _persons() -> dict[str, str]:
    named = ", ".join(_DIMENSIONS)
    told = ", ".join(f"coalesce({d}, 'unknown') AS {d}" for d in _DIMENSIONS)
    return {"described": named, "dimensions": told}

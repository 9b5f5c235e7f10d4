"""Facts of the products: who holds one and what it cost and paid, and its single payments."""

from collections.abc import Sequence

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


def claim(jobs: Sequence[Job]) -> str:
    """SELECT of claim.sql, likewise."""
    return query("claim").fill(
        commercial_claim=source(jobs, "commercial_claim"),
        settlement=source(jobs, "settlement", around=True, grown=True),
        covered=covered(jobs),
        **_persons(),
    )


def covered(jobs: Sequence[Job]) -> str:
    """Rows (city, year of care, plan year): where the settlements a claim of these jobs may rest on stand."""
    return ", ".join(
        f"({literal(job.city)}, {year}, {job.plan_year})" for job in jobs for year in job.covered_years
    )


def _persons() -> dict[str, str]:
    named = ", ".join(_DIMENSIONS)
    told = ", ".join(f"coalesce({d}, 'unknown') AS {d}" for d in _DIMENSIONS)
    return {"described": named, "dimensions": told}

"""Settlements of one city-year as benefit rules look at them: for the replay of plans, read from what the snapshot was built of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analytics.facts.jobs import AMOUNTS, counted, jobs_of, one_alias, query, source
from analytics.facts.partition import codes
from analytics.store import Folder, Partition, literal

_COLUMNS = ("person_key", "setl_time", "setl_id", "hospital_level", "care_type", "cross_region")
_AMOUNTS = {
    name: AMOUNTS[name] for name in ("cost_fen", "in_policy_fen", "advance_fen", "hospital_borne_fen")
} | {"special_drug_fen": ("special_drug_amt",)}


_CODED = {
    name: f"ENUM({', '.join(map(literal, codes()[name]))})"
    for name in ("insurance_type", "person_group", "hospital_level", "care_type", "cross_region")
}


class NoSettlements(ValueError):
    """A city-year without settlements: a survey cannot be replayed."""


@dataclass(frozen=True)
class Claims:
    """`settlements`: SELECT of one row per settlement (see claims.sql), which needs the fact `person_year` and, where
    `alias` is not empty, a table of that name made by it first; `standing`: SELECT of one row per person (see standing.sql),
    which needs both facts; `files`: all that is read.
    """

    settlements: str
    standing: str
    alias: str
    files: tuple[Partition, ...]


def claims(deliveries: Sequence[Folder], city: str, plan_year: int) -> Claims:
    """How to read a city-year. Raises NoSettlements where it has none."""
    jobs = [job for job in jobs_of(deliveries) if job.place == (city, plan_year)]
    if not jobs or not jobs[0].inputs["settlement"]:
        raise NoSettlements(
            f"{city} {plan_year}: no settlements in this store, so no plan can be replayed; deliver them with --as settlement"
        )
    inputs = jobs[0].inputs
    tables = ("settlement", "settlement_undone", "enrolment", "person_alias")
    paths: list[Path] = [p.path for p in inputs["person_alias"]]
    rows = counted(jobs, _COLUMNS, _AMOUNTS)
    return Claims(
        query("claims").fill(counted=rows, **_CODED),
        query("standing").fill(
            enrolment=source(jobs, "enrolment"), plan_year=str(plan_year), city=city.replace("'", "''")
        ),
        one_alias(paths) if paths else "",
        tuple(p for table in tables for p in inputs[table]),
    )

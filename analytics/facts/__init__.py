"""Canonical tables -> person_year and household_year, one file per city and plan year, every dimension attached once."""

from analytics.facts.build import FACTS, build
from analytics.facts.claims import Claims, NoSettlements, claims

__all__ = ["FACTS", "Claims", "NoSettlements", "build", "claims"]

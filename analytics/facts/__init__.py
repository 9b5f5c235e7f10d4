"""Canonical tables -> person_year and household_year, one file per city and plan year, every dimension attached once."""

from analytics.facts.build import FACTS, build

__all__ = ["FACTS", "build"]

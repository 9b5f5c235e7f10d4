"""Canonical tables -> facts of persons, households, policies and claims, one file per city and plan year, every dimension attached once."""

from analytics.facts.build import FACTS, build
from analytics.facts.claims import Claims, NoSettlements, claims
from analytics.facts.work import Cube, Guard

__all__ = ["FACTS", "Claims", "Cube", "Guard", "NoSettlements", "build", "claims"]

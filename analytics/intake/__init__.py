"""Delivery -> canonical tables: every row of a file ends in exactly one place, loaded or in quarantine with a reason."""

from analytics.intake.contract import TABLES, Contract, contract
from analytics.intake.gate import Refused
from analytics.intake.ingest import ingest
from analytics.intake.mapping import Mapping, load_mapping

__all__ = ["TABLES", "Contract", "Mapping", "Refused", "contract", "ingest", "load_mapping"]

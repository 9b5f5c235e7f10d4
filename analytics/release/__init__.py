"""The only door out: an answer is protected here before anybody sees it (Raw -> Released)."""

from analytics.release.disclosure import Policy, Released, policy, release
from analytics.release.published import Published
from analytics.release.sheet import csv_text, guarded
from analytics.release.tables import PROTECTED, Tables, Undone, protected, version

__all__ = [
    "PROTECTED",
    "Policy",
    "Published",
    "Released",
    "Tables",
    "Undone",
    "csv_text",
    "guarded",
    "policy",
    "protected",
    "release",
    "version",
]

"""The only door out: an answer is protected here before anybody sees it (Raw -> Released)."""

from analytics.release.access import ACTIONS, LOCAL, Denied, Role, Viewer, roles
from analytics.release.audit import Log, Unwritten, log_of
from analytics.release.disclosure import Policy, Released, policy, release
from analytics.release.figure import Figure, digest, identified, program
from analytics.release.record import Record
from analytics.release.sheet import csv_text, guarded

__all__ = [
    "ACTIONS",
    "LOCAL",
    "Denied",
    "Figure",
    "Log",
    "Policy",
    "Record",
    "Released",
    "Role",
    "Unwritten",
    "Viewer",
    "csv_text",
    "digest",
    "guarded",
    "identified",
    "log_of",
    "policy",
    "program",
    "release",
    "roles",
]

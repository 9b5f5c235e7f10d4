"""The only door out: an answer is protected here before anybody sees it (Raw -> Released)."""

from analytics.release.access import ACTIONS, LOCAL, Denied, Role, Viewer, roles
from analytics.release.audit import Log, Unwritten, log_of
from analytics.release.changes import changing, plain
from analytics.release.disclosure import HIDDEN, SHOWN, Policy, Released, policy, release
from analytics.release.figure import Figure, digest, identified, program
from analytics.release.grants import BadGrants, Grants
from analytics.release.grants import read as read_grants
from analytics.release.grants import sign as sign_grants
from analytics.release.published import Published, reasons_withheld
from analytics.release.record import Record
from analytics.release.serving import Server, Unsafe, is_loopback
from analytics.release.sessions import LoginOver, Sessions
from analytics.release.sheet import csv_text, guarded
from analytics.release.tables import PROTECTED, Tables, protected, version
from analytics.release.tables import guarded as guarded_tables

__all__ = [
    "ACTIONS",
    "HIDDEN",
    "LOCAL",
    "PROTECTED",
    "SHOWN",
    "BadGrants",
    "Denied",
    "Figure",
    "Grants",
    "Log",
    "LoginOver",
    "Policy",
    "Published",
    "Record",
    "Released",
    "Role",
    "Server",
    "Sessions",
    "Tables",
    "Unsafe",
    "Unwritten",
    "Viewer",
    "changing",
    "csv_text",
    "digest",
    "guarded",
    "guarded_tables",
    "identified",
    "is_loopback",
    "log_of",
    "plain",
    "policy",
    "program",
    "protected",
    "read_grants",
    "reasons_withheld",
    "release",
    "roles",
    "sign_grants",
    "version",
]

"""The only door out: an answer is protected here before anybody sees it (Raw -> Released)."""

from analytics.release.access import ACTIONS, LOCAL, Denied, Role, Viewer, roles
from analytics.release.disclosure import Policy, Released, policy, release
from analytics.release.sheet import csv_text, guarded

__all__ = [
    "ACTIONS",
    "LOCAL",
    "Denied",
    "Policy",
    "Released",
    "Role",
    "Viewer",
    "csv_text",
    "guarded",
    "policy",
    "release",
    "roles",
]

"""The only door out: an answer is protected here before anybody sees it (Raw -> Released)."""

from analytics.release.access import ACTIONS, LOCAL, Denied, Role, Viewer, roles
from analytics.release.disclosure import Policy, Released, policy, release
from analytics.release.grants import BadGrants, Grants
from analytics.release.grants import read as read_grants
from analytics.release.grants import sign as sign_grants
from analytics.release.serving import Server, Unsafe, is_loopback
from analytics.release.sessions import LoginOver, Sessions
from analytics.release.sheet import csv_text, guarded

__all__ = [
    "ACTIONS",
    "LOCAL",
    "BadGrants",
    "Denied",
    "Grants",
    "LoginOver",
    "Policy",
    "Released",
    "Role",
    "Server",
    "Sessions",
    "Unsafe",
    "Viewer",
    "csv_text",
    "guarded",
    "is_loopback",
    "policy",
    "read_grants",
    "release",
    "roles",
    "sign_grants",
]

"""The only door out: an answer is protected here before anybody sees it (Raw -> Released)."""

from analytics.release.disclosure import Policy, Released, policy, release
from analytics.release.sheet import csv_text, guarded

__all__ = ["Policy", "Released", "csv_text", "guarded", "policy", "release"]

"""The only door out: an answer is protected here before anybody sees it (Raw -> Released)."""

from analytics.release.disclosure import Policy, Released, policy, release

__all__ = ["Policy", "Released", "policy", "release"]

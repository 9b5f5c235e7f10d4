"""Reports people take to meetings: Word, Excel, PDF and HTML, from released answers only."""

from analytics.report.compose import compose, refusal
from analytics.report.form import KINDS

__all__ = ["KINDS", "compose", "refusal"]

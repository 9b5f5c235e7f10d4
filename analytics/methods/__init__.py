"""Method cards and worked examples: what a measure is, shown on ten households, and which independent numbers it met."""

from analytics.methods.card import GROUPS, Card, card, checked, grouped, words
from analytics.methods.worked import COLUMNS, Worked, examples, households

__all__ = [
    "COLUMNS",
    "GROUPS",
    "Card",
    "Worked",
    "card",
    "checked",
    "examples",
    "grouped",
    "households",
    "words",
]

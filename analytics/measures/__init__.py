"""Measures as data, compiled to one SELECT on one fact; every answer keeps its SQL, parameters and provenance (Raw)."""

from analytics.measures.contrast import COLUMNS as DIFFERENCES
from analytics.measures.credit import coalition
from analytics.measures.cube import HELD, PLACE, Kept, made_by, questions
from analytics.measures.evaluate import Book, Raw, Replayed
from analytics.measures.expression import is_money
from analytics.measures.form import Dimension, Measure, dimensions, grammar, measures, version
from analytics.measures.gather import Spread
from analytics.measures.largest import LARGEST, PLACED
from analytics.measures.prepare import prepared
from analytics.measures.question import BEFORE_ALL, Question
from analytics.measures.sealed import Sealed, origin

__all__ = [
    "BEFORE_ALL",
    "DIFFERENCES",
    "HELD",
    "LARGEST",
    "PLACE",
    "PLACED",
    "Book",
    "Dimension",
    "Kept",
    "Measure",
    "Question",
    "Raw",
    "Replayed",
    "Sealed",
    "Spread",
    "coalition",
    "dimensions",
    "grammar",
    "is_money",
    "made_by",
    "measures",
    "origin",
    "prepared",
    "questions",
    "version",
]

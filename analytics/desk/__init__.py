"""The desk: every question to a store is asked here, whoever asks, and its answer leaves protected and recorded.

Desk answers measures, scenarios and the books of a store; Room is a snapshot opened for one scope. Beside it: published figures
compared with ours, the tables of a survey, a figure computed again. See the modules.
"""

from analytics.desk.answer import Desk
from analytics.desk.room import Room

__all__ = ["Desk", "Room"]

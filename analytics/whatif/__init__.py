"""What another plan would have done: scenarios, replays of a city-year under any plan, credit per tier, equal-cost search."""

from analytics.facts import NoSettlements
from analytics.whatif.coalitions import coalitions
from analytics.whatif.pair import Pair, carry_out
from analytics.whatif.replay import Replay
from analytics.whatif.scenario import (
    Change,
    NoEffect,
    Scenario,
    load_scenario,
    parse_scenario,
    reform,
    scenario_text,
    shipped,
)

__all__ = [
    "Change",
    "NoEffect",
    "NoSettlements",
    "Pair",
    "Replay",
    "Scenario",
    "carry_out",
    "coalitions",
    "load_scenario",
    "parse_scenario",
    "reform",
    "scenario_text",
    "shipped",
]

"""What another plan would have done: scenarios, replays of a city-year under any plan, credit per tier, equal-cost search."""

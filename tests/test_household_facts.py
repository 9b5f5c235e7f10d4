"""Who is in which household of a year, and what it has: never decided by a key, and of several deliveries by the newest."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from canonical import built, checks, deliver, facts, settle

from analytics.store import Folder


def spell(person: int, household: int, start: str = "", end: str = "") -> dict[str, Any]:
    days = {"start_date": start, "end_date": end}
    told = {name: datetime.date.fromisoformat(day) for name, day in days.items() if day}
    return {"person_key": person, "household_key": household, **told}


def homes(snapshot: Folder, year: int = 2023) -> dict[int, int | None]:
    """Household of every person."""
    return {
        person: row["household_key"]
        for (plan_year, person), row in facts(snapshot).items()
        if plan_year == year
    }


# Spells of one person, and the household of 2023: 70 wherever the rule can tell.
SPELLS: list[tuple[str, int | None, list[tuple[Any, ...]]]] = [
    ("moved within the year", 70, [(71, "2020-01-01", "2023-06-30"), (70, "2023-07-01")]),
    ("moved on the last day", 70, [(71, "2020-01-01", "2023-12-31"), (70, "2023-12-31")]),
    ("moves in the next year", 70, [(70, "2020-01-01", "2024-01-01"), (71, "2024-01-02")]),
    ("the first is never ended", 70, [(71, "2020-01-01"), (70, "2023-03-01")]),
    ("left both, the one later", 70, [(70, "2022-01-01", "2023-09-30"), (71, "2023-01-01", "2023-06-30")]),
    ("left both on one day", 70, [(70, "2023-02-01", "2023-06-30"), (71, "2023-01-01", "2023-06-30")]),
    ("a begin that is told is later than one that is not", 70, [(71,), (70, "2021-01-01")]),
    ("one household, told twice", 70, [(70,), (70, "2021-01-01")]),
    ("undated in two households", None, [(70,), (71,)]),
    ("in two households since one day", None, [(70, "2021-01-01"), (71, "2021-01-01")]),
]  # fmt: skip


@pytest.mark.parametrize("sign", [1, -1])
def test_who_was_in_several_households_is_in_that_of_the_years_last_day(tmp_path: Path, sign: int) -> None:
    """Whatever the keys are: with the other sign the lower of two is the higher."""
    people = range(1, len(SPELLS) + 1)
    told = [spell(p, sign * (1000 * p + home), *days) for p, (_, _, spells) in zip(people, SPELLS, strict=True) for home, *days in spells]  # fmt: skip
    rows = [settle(f"s{p}", 100 * p, person=p) for p in (*people, 99)]
    deliver(tmp_path, settlement=rows, household_member=told)
    snapshot = built(tmp_path)
    found = homes(snapshot)
    for p, (words, home, _) in zip(people, SPELLS, strict=True):
        assert (words, found[p]) == (words, home and sign * (1000 * p + home))
    several = [
        p for p, (words, *_) in zip(people, SPELLS, strict=True) if not words.startswith("one household")
    ]
    in_force = len(SPELLS)  # person 99 is in none
    several.remove(3)  # was in one of 2023
    assert checks(snapshot)["several_households"] == ("found", in_force, len(several), 100 * sum(several))


def test_of_several_deliveries_the_newest_says_when_a_spell_ended(tmp_path: Path) -> None:
    rows = [settle(f"s{p}", 100, person=p) for p in (1, 2, 3)]
    first = [spell(1, 70, "2020-01-01"), spell(2, 70, "2020-01-01"), spell(3, 71)]
    deliver(tmp_path, settlement=rows)
    deliver(tmp_path, household_member=first, turn=1)
    assert homes(built(tmp_path)) == {1: 70, 2: 70, 3: 71}
    second = [spell(1, 70, "2020-01-01", "2022-12-31"), spell(2, 72, "2020-01-01"), spell(3, 70)]
    deliver(tmp_path, household_member=second, turn=2)
    assert homes(built(tmp_path)) == {1: None, 2: 72, 3: 70}
    assert checks(built(tmp_path))["several_households"] == ("passed", 2, 0, 0)


@pytest.mark.parametrize("turns", [(1, 2), (2, 1)])
def test_of_several_deliveries_the_newest_row_of_a_household_counts_whole(
    tmp_path: Path, turns: tuple[int, int]
) -> None:
    """A correction downward takes effect; no pair arises that was never delivered."""
    home = {"household_key": 70, "year": 2023}
    rows: list[dict[str, Any]] = [
        {"size": 4, "income_annual_fen": 900, "food_annual_fen": 50, "urban": True},
        {"size": 3, "income_annual_fen": 300, "consumption_annual_fen": 200, "urban": False},
    ]
    deliver(tmp_path, settlement=[settle("a", 100)], household_member=[spell(1, 70)])
    for row, turn in zip(rows, turns, strict=True):
        deliver(tmp_path, household_economy=[{**home, **row}], turn=turn)
    told, row = facts(tmp_path, "household_year")[2023, 70], rows[turns.index(2)]
    for name in ("income", "consumption", "food", "housing"):
        assert told[f"{name}_fen"] == row.get(f"{name}_annual_fen"), name
    assert (told["n_members"], told["urban"]) == (row["size"], row["urban"])


@pytest.mark.parametrize("sign", [1, -1])
def test_among_members_of_equal_cost_a_household_takes_after_the_oldest(tmp_path: Path, sign: int) -> None:
    people = [
        settle(f"s{p}", 100, person=sign * p, birth_year=1940 + p, hospital_level=str(p)) for p in (1, 2, 3)
    ]
    deliver(tmp_path, settlement=people, household_member=[spell(sign * p, 70) for p in (1, 2, 3)])
    row = facts(tmp_path, "household_year")[2023, 70]
    assert (row["cost_fen"], row["hospital_level"]) == (300, "1")

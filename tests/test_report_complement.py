"""Second protection of reports: no protected number is what a total of the same report leaves of the others."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from composed import Remembering

from analytics.desk.answer import Desk
from analytics.measures import measures
from analytics.release import Released
from analytics.report import complement
from analytics.report.compose import compose
from analytics.report.document import Text
from analytics.report.form import KINDS, Part, report
from analytics.report.look import Look, Unanswered

FEWEST = 11  # persons or households of a number that is shown


def answer(measure: str, rows: list[dict[str, Any]], *by: str) -> Released:
    """An answer as it is released: value, numerator and n of a row, or None where it is protected."""
    known = ("value", "numerator", "denominator", "n")
    lines = [
        {**{d: row[d] for d in by}, "measure": measure}
        | {c: row.get(c) for c in known}
        | {"status": "hidden" if row.get("n") is None else "shown"}
        for row in rows
    ]
    table = pl.DataFrame(lines, infer_schema_length=None)
    return Released(measures()[measure], by, {}, {}, table, "", {}, {})


def bands(*persons: int | None, measure: str = "own_burden_mean") -> Released:
    names = ("0_1w", "1w_3w", "3w_5w", "5w_10w", "10w_20w")
    rows = [
        {"cost_band": band, "n": n, "value": n and 1.0, "numerator": n, "denominator": n}
        for band, n in zip(names, persons, strict=False)
    ]
    return answer(measure, rows, "cost_band")


def whole(n: int, measure: str = "own_burden_mean", numerator: int | None = None) -> Released:
    rows = [{"n": n, "value": 1.0, "numerator": n if numerator is None else numerator, "denominator": n}]
    return answer(measure, rows)


def shown(released: Released, dimension: str = "cost_band") -> dict[str, int | None]:
    return dict(zip(released.table[dimension], released.table["n"], strict=True))


@pytest.mark.parametrize(
    ("persons", "total", "left"),
    [
        ([500, 60, 30, 20], 610, [500, 60, 30, 20]),  # nothing to protect
        ([500, 60, 30, None], 595, [500, 60, None, None]),  # one of 5: with the 30 next to it
        ([500, 60, None, None], 564, [500, None, None, None]),  # 4 in two cells are few: one more
        ([500, 60, None, None], 572, [500, 60, None, None]),  # 12 in two cells are enough
        ([None, 12], 15, [None, None]),
    ],
)
def test_a_part_that_a_total_gives_away_is_hidden_with_another(
    persons: list[int | None], total: int, left: list[int | None]
) -> None:
    found = complement.parts(bands(*persons), whole(total), "cost_band")
    assert [*shown(found).values()] == left
    hidden = found.table.filter(pl.col("n").is_null())
    assert hidden["status"].to_list() == ["hidden"] * hidden.height
    assert (
        not hidden.select(pl.col("value", "numerator", "denominator").is_not_null().any()).row(0).count(True)
    )


def test_counts_that_are_left_are_no_fewer_than_may_be_shown() -> None:
    """Of 40 and 50 households hidden, 3 and 4 are catastrophic: the total tells 7, so a third group is hidden."""
    groups = ("a", "b", "c", "d")
    rows = [{"person_group": g, "n": n, "value": 0.1, "numerator": k, "denominator": n} for g, n, k in zip(groups, (400, 90, None, None), (60, 12, None, None), strict=True)]  # fmt: skip
    of = answer("catastrophic_headcount", rows, "person_group")
    total = whole(580, "catastrophic_headcount", 79)
    assert [*shown(complement.parts(of, total, "person_group"), "person_group").values()] == [
        400,
        None,
        None,
        None,
    ]
    enough = whole(580, "catastrophic_headcount", 84)
    assert [*shown(complement.parts(of, enough, "person_group"), "person_group").values()] == [
        400,
        90,
        None,
        None,
    ]


def test_a_hidden_total_gives_nothing_away() -> None:
    total = answer("own_burden_mean", [{}])
    assert [*shown(complement.parts(bands(500, None), total, "cost_band")).values()] == [500, None]


def test_by_tier_no_cell_is_left_of_its_line_either() -> None:
    """A tier hidden in one band is what that band's total leaves; and what is hidden with it must not be left of its own tier."""
    cells = {
        ("x", "basic"): 50, ("x", "inclusive"): None, ("x", "charity"): 40,
        ("y", "basic"): 90, ("y", "inclusive"): None, ("y", "charity"): 80,
        ("z", "basic"): 70, ("z", "inclusive"): 60, ("z", "charity"): 30,
    }  # fmt: skip
    rows = [
        {"cost_band": b, "tier": k, "n": v and 100, "value": v, "numerator": v, "denominator": v and 100}
        for (b, k), v in cells.items()
    ]
    totals = [{"tier": k, "n": 300, "value": 1, "numerator": 200, "denominator": 300} for k in ("basic", "inclusive", "charity")]  # fmt: skip
    found = complement.parts(
        answer("tier_share", rows, "cost_band", "tier"),
        answer("tier_share", totals, "tier"),
        "cost_band",
        True,
    )
    gone = {(r["cost_band"], r["tier"]) for r in found.table.to_dicts() if r["status"] == "hidden"}
    assert gone >= {key for key, value in cells.items() if value is None}
    for at in (0, 1):
        for line in {key[at] for key in cells}:
            assert sum(key[at] == line for key in gone) != 1


ORDER = ("basic", "serious_illness", "medical_assistance", "inclusive", "charity")


@pytest.mark.parametrize(
    ("paid", "gone"),
    [
        ({"basic": 900, "inclusive": 40, "charity": 20}, set()),
        ({"basic": 900, "serious_illness": 60, "inclusive": None, "charity": 20}, {"inclusive", "charity"}),
        ({"basic": 900, "serious_illness": 60, "inclusive": None, "charity": 0}, {"inclusive", "serious_illness"}),
        ({"basic": 900, "inclusive": None, "charity": None}, {"inclusive", "charity"}),
        ({"basic": None}, {"basic"}),
        ({"basic": 900, "serious_illness": None, "inclusive": 30, "charity": None}, {"serious_illness", "inclusive", "charity"}),
    ],
)  # fmt: skip
def test_a_protected_tier_is_hidden_with_a_neighbour(
    paid: Mapping[str, float | None], gone: set[str]
) -> None:
    assert complement.companions(ORDER, paid) == gone


def tiers(measure: str, before_all: bool) -> Released:
    names = (*(["none"] if before_all else []), *ORDER)
    rows = [{"tier": k, "n": 100, "value": 0.5, "numerator": 50, "denominator": 100} for k in names]
    return answer(measure, rows, "tier")


@pytest.mark.parametrize(
    ("measure", "told"),
    [
        ("tier_share", {"inclusive", "charity"}),
        ("own_share_before", {"charity"}),  # what is left between the two
        ("own_share_after", {"inclusive"}),
        ("catastrophic_headcount", {"inclusive"}),
    ],
)
def test_what_is_left_between_protected_tiers_is_hidden(measure: str, told: set[str]) -> None:
    here = ("440400", "2023")
    found = complement.tiers(
        tiers(measure, measure == "catastrophic_headcount"), ORDER, here, {here: {"inclusive", "charity"}}
    )
    assert {r["tier"] for r in found.table.to_dicts() if r["status"] == "hidden"} == told


def test_a_difference_from_what_is_hidden_is_not_told() -> None:
    of = bands(500, 60, None)
    table = of.table.with_columns(pl.lit(0.25).alias("difference"))
    found = complement.hidden_too(Released(of.measure, of.by, {}, {}, table, "", {}, {}), {("1w_3w",)})
    assert found.table["difference"].null_count() == found.table.height


# --- whole reports, attacked with what they print


def crumbs(look: Look, part: Part) -> Iterator[tuple[str, str, float]]:
    """Protected parts of a table that the totals of the same questions give away: measure, value of the dimension, how many they
    rest on at most."""
    for column in part.column:
        along = [d for d in part.by if d not in ("tier", "plan_year", "threshold")]
        if part.layout != "columns" or len(along) != 1 or measures()[column.measure].quantile:
            continue
        where = {**part.where, **column.where}
        try:
            of = look.ask(column.measure, part.by, part.of, where).table
            total = look.desk.ask(column.measure, (), {**look.scope("here"), **where}).table
        except (ValueError, Unanswered):
            continue
        hidden = of.filter(pl.col("status") == "hidden")
        if total["status"][0] != "shown" or not hidden.height:
            continue
        n = float(total["n"][0]) - float(of["n"].sum() or 0)
        if hidden.height == 1 or n < FEWEST:
            yield column.measure, str(hidden[along[0]][0]), n


def fallen(look: Look) -> Iterator[tuple[str, str, float]]:
    """Tiers of protected reach whose payment is what is left before them less what is left after them."""
    few = {r["tier"] for r in look.desk.ask("reach", ("tier",), look.scope("here")).table.to_dicts() if r["status"] == "hidden"}  # fmt: skip
    sides = [
        {r["tier"]: r["numerator"] for r in look.ask(m, ("tier",)).table.to_dicts()}
        for m in ("own_share_before", "own_share_after")
    ]
    for tier in few:
        before, after = (side.get(tier) for side in sides)
        if before is not None and after is not None:
            yield "own_share", tier, before - after


def attacked(desk: Desk, places: list[tuple[str, int]]) -> list[tuple[str, str, float]]:
    found = []
    for (city, year), kind in itertools.product(places, KINDS):
        look = Look(desk, city, year)
        found += [c for s in report(kind).section for part in s.part for c in crumbs(look, part)]
        found += fallen(look)
    return found


@pytest.fixture(scope="module")
def desk(sample_store: Path) -> Desk:
    return Remembering.open(sample_store)


def test_nothing_protected_follows_from_a_report(desk: Desk) -> None:
    assert attacked(desk, sorted(desk.places)[:4]) == []


def test_without_it_the_same_attack_succeeds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Look, "_apart", lambda self, released, **more: released)
    found = attacked(desk, sorted(desk.places)[:4])
    assert {"own_share"} < {measure for measure, _, _ in found}


def test_a_report_tells_that_cells_are_hidden_for_their_totals(desk: Desk) -> None:
    city, year = sorted(desk.places)[0]
    document = compose(desk, city, year)
    notes = [b.note for s in document.sections for b in s.blocks if not isinstance(b, Text)]
    assert any("合计" in note for note in notes if "受保护：" in note)

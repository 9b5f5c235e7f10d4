"""Second protection of reports: no protected number is what a total of the same report leaves of the others."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from canonical import WEIHAI, deliver, settle
from composed import Remembering
from deliveries import bare
from policies import paid, spell

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
    """An answer as it is released: value, numerator and n of a row, or None where it is protected; `paid`: the persons paid."""
    known = ("value", "numerator", "denominator", "n")
    lines = [
        {**{d: row[d] for d in by}, "measure": measure}
        | {c: row.get(c) for c in known}
        | {"status": "hidden" if row.get("n") is None else "shown"}
        for row in rows
    ]
    table = pl.DataFrame(lines, infer_schema_length=None)
    paid = [{**{d: row[d] for d in by}, "n_numerator": row["paid"]} for row in rows if "paid" in row]
    return Released(
        measures()[measure], by, {}, {}, table, "", {}, {}, behind=pl.DataFrame(paid) if paid else None
    )


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


GROUPS = ("common", "low_income", "extreme_difficulty", "near_low_income", "monitored")
CLAIMS = [(10_367, 132, 39), None, None, (128, 0, 0), (90, 0, 0)]  # holders, claims, persons paid


def of_holders(measure: str, cells: Sequence[tuple[int, int, int] | None]) -> Released:
    rows = [
        {"person_group": g}
        | ({"n": c[0], "value": c[1] / c[0], "numerator": c[1], "paid": c[2]} if c else {})
        for g, c in zip(GROUPS, cells, strict=True)
    ]
    return answer(measure, rows, "person_group")


def test_what_is_left_is_of_persons_paid_enough_however_many_hold_a_product() -> None:
    """Of 11,000 holders 44 had 147 claims; without the largest group 415 hold a product in the two hidden, but 5 were paid."""
    total = answer("claims_per_100", [{"n": 11_000, "value": 1.34, "numerator": 147, "paid": 44}])
    found = complement.parts(of_holders("claims_per_100", CLAIMS), total, "person_group")
    assert [*shown(found, "person_group").values()] == [None] * 5
    enough = [(9_000, 90, 28), None, None, (128, 0, 0), (90, 0, 0)]  # 16 of the hidden were paid
    found = complement.parts(of_holders("claims_per_100", enough), total, "person_group")
    assert [*shown(found, "person_group").values()] == [9_000, None, None, 128, 90]
    nobody = [
        (9_000, 147, 44),
        None,
        None,
        (128, 0, 0),
        (90, 0, 0),
    ]  # that nobody was paid is no secret of few
    found = complement.parts(of_holders("claims_per_100", nobody), total, "person_group")
    assert [*shown(found, "person_group").values()] == [9_000, None, None, 128, 90]


@pytest.mark.parametrize("measure", ["claims_per_100", "paid_per_person", "loss_ratio"])
def test_no_zero_stands_beside_a_protected_share_of_persons_paid(measure: str) -> None:
    incidence = of_holders("claim_incidence", [(10_367, 39, 39), None, None, None, (90, 0, 0)])
    of = of_holders(measure, CLAIMS)
    assert complement.tells_who_was_paid(of) and not complement.tells_who_was_paid(incidence)
    assert [*shown(complement.unpaid(of, incidence), "person_group").values()] == [
        10_367,
        None,
        None,
        None,
        90,
    ]


def test_what_is_hidden_anyway_costs_no_difference() -> None:
    incidence = of_holders("claim_incidence", [(10_367, 39, 39), None, None, (128, 0, 0), (90, 0, 0)])
    of = of_holders("loss_ratio", CLAIMS)
    apart = replace(of, table=of.table.with_columns(difference=pl.lit(0.25)))
    assert complement.unpaid(apart, incidence).table["difference"].null_count() == 0


def test_an_answer_tells_protection_how_many_were_paid_where_it_is_shown(desk: Desk) -> None:
    where = {"city": ["440400"], "plan_year": ["2023"]}
    of = desk.ask("paid_per_person", ("age_band",), where)
    incidence = Desk.ask(desk, "claim_incidence", ("age_band",), where, protect=False).table
    assert of.behind is not None and of.behind.height == of.table.filter(pl.col("status") != "hidden").height
    persons = dict(incidence.select("age_band", "numerator").rows())
    assert dict(of.behind.select("age_band", "n_numerator").rows()) == {
        band: persons[band] for band in of.behind["age_band"]
    }


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


def shared(look: Look, kind: str) -> Iterator[tuple[str, str, float]]:
    """Groups of holders of which one column tells what few persons received, by what all columns of a report tell together: a zero of
    one is known of the others.
    """
    told: dict[str, list[Released]] = {}
    for part in (part for s in report(kind).section for part in s.part if part.layout == "columns"):
        if len(part.by) == 1 and part.by[0] not in ("tier", "plan_year") and not part.where:
            for measure in {c.measure for c in part.column if measures()[c.measure].grain == "policy_year"}:
                with suppress(Unanswered):
                    told.setdefault(part.by[0], []).append(look.ask(measure, part.by, part.of))
    for along, columns in told.items():
        of = [c for c in columns if c.measure.numerator in ("n_claims", "paid_fen")]
        rows = [r for c in (*of, *(c for c in columns if c.measure.id == "claim_incidence")) for r in c.table.to_dicts()]  # fmt: skip
        unpaid = {r[along] for r in rows if r["numerator"] == 0}
        for answer in of:
            everybody = look.desk.ask(answer.measure.id, (), look.scope("here")).table
            behind = Desk.ask(
                look.desk, answer.measure.id, (along,), look.scope("here"), protect=False
            ).behind
            assert behind is not None
            persons = dict(behind.select(along, "n_numerator").rows())
            hidden = set(answer.table.filter(pl.col("status") == "hidden")[along]) - unpaid
            n = sum(persons[code] for code in hidden)
            if everybody["status"][0] == "shown" and (0 < n < FEWEST or (len(hidden) == 1 and n)):
                yield answer.measure.id, "".join(sorted(map(str, hidden))), n


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
        found += [*fallen(look), *shared(look, kind)]
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


def test_a_count_of_holders_alone_does_not_protect_persons_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 60, 15 and 14 holders 30, 5 and none were paid; the attack finds the 5 where only holders are counted, and zeros stand."""
    groups = ["general"] * 60 + ["low_income"] * 15 + ["extreme_difficulty"] * 14
    paid_ones = [*range(30), *range(60, 65)]
    deliver(
        tmp_path,
        settlement=[settle(f"s{i}", 10_000, 5_000, person=i, year=2024) for i in range(89)],
        commercial_claim=[paid(f"k{i}", 1_000, person=i) for i in paid_ones],
        enrolment=[spell(i, 2024, person_group=group, premium_fen=8_900) for i, group in enumerate(groups)],
    )
    bare(tmp_path)
    look = Look(Remembering.open(tmp_path), WEIHAI, 2024)
    assert not [*shared(look, "insurer")]
    monkeypatch.setattr(complement, "_few", lambda total, parts, answer: total["n"] - sum(r["n"] for r in parts) < FEWEST)  # fmt: skip
    monkeypatch.setattr(complement, "unpaid", lambda answer, incidence: answer)
    found = [*shared(Look(look.desk, WEIHAI, 2024), "insurer")]
    assert {("paid_per_person", 5), ("claims_per_100", 5)} <= {(measure, n) for measure, _, n in found}
    assert all("low_income" in codes for _, codes, _ in found)


def test_a_report_tells_that_cells_are_hidden_for_their_totals(desk: Desk) -> None:
    city, year = sorted(desk.places)[0]
    document = compose(desk, city, year)
    notes = [b.note for s in document.sections for b in s.blocks if not isinstance(b, Text)]
    assert any("合计" in note for note in notes if "受保护：" in note)

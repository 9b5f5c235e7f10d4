"""Protected tables: what a role that sees nothing else can work out of them, and what becomes of a snapshot they would give away.

Figures are compared with unprotected answers of the desk, rounded here; nested sets and sums are those of the measures' definitions,
written out once more.
"""

import itertools
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import policies
import pytest
from canonical import WEIHAI, ZHUHAI, cube_of, deliver, settle
from conftest import Run
from protected_world import K, of, primary_only, view, where

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.measures import measures, questions
from analytics.release import Published, Released, policy, protected
from analytics.release.attack import COUNT, Attack, attack, seen
from analytics.release.lattice import plan
from analytics.release.system import System, primary
from analytics.release.tables import left_out, to_hide
from analytics.store import Folder, Store

BASE, YUAN = 5, 1000  # counts to 5, money to 1,000 yuan


@pytest.fixture(scope="module")
def snapshot(sample_store: Path) -> Folder:
    return Store(sample_store).current()


@pytest.fixture(scope="module")
def published(snapshot: Folder) -> Published:
    return Published(snapshot)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One city-year as large as those of the sample."""
    store = tmp_path_factory.mktemp("large") / "store"
    verbs.sample(store, persons=20_000, cities=[ZHUHAI], years=[2023], seed=3)
    return store


# --- nothing follows from what is printed


def given_away(found: Attack, truth: System) -> dict[str, int]:
    """Counts of targets by what the attack found out."""
    told: dict[str, int] = defaultdict(int)
    for j, i in enumerate(found.cells.tolist()):
        low, high, n = found.low[COUNT, j], found.high[COUNT, j], int(truth.count[i])
        assert low <= n <= high, "the truth lies in every interval, or the attack is broken"
        if 0 < n < K:
            told["targets"] += 1
            told["recovered"] += low == high
            told["below"] += high < K
            told["narrow"] += high - low < K - 1
    return told


def test_nothing_hidden_follows_from_what_is_printed(snapshot: Folder, published: Published) -> None:
    """Of some of the thinnest tables; every place was attacked when it was built."""
    targets = 0
    for place in published.places[::3]:
        cells, rows = of(snapshot, place)
        risk, given = primary(cells.system, policy()), view(cells, rows)
        assert not (risk & ~given.hidden).any(), "cells at risk are printed nowhere"
        told = given_away(attack(given, cells=np.flatnonzero(risk).tolist()), cells.system)
        targets += told.pop("targets")
        assert not any(told.values()), (place, told)
    assert targets > 100
    assert len(snapshot.manifest["protection"]) == len(published.places)


def test_the_same_attack_undoes_primary_protection(large: Path) -> None:
    """Positive control: steps from tier to tier and from threshold to threshold, hidden without what they are subtracted from."""
    snapshot = Store(large).current()
    cells, _ = of(snapshot, Published(snapshot).places[0])
    risk = primary(cells.system, policy())
    rests = {cells.place[rest] for _, _, rest in cells.edges}
    at = [i for i in np.flatnonzero(risk).tolist() if i in rests]
    known = given_away(attack(seen(cells.system, primary_only(cells), policy()), cells=at), cells.system)
    assert known["targets"] > 10 and known["recovered"] >= 0.6 * known["targets"]


def test_most_of_a_city_of_usual_size_is_shown(large: Path) -> None:
    """Of the lines that are told; what is left out is counted apart."""
    told = Store(large).current().manifest["protection"][0]
    assert 0 < told["hidden"] <= 0.25 * told["cells"], "counts and sums"
    assert told["cells_left_out"] < 0.5 * (told["cells"] + told["cells_left_out"])


def test_counts_alone_would_hide_less(large: Path) -> None:
    """The lattice without its money: at most 15 % of what is told."""
    snapshot = Store(large).current()
    cells, _ = of(snapshot, Published(snapshot).places[0])
    system = cells.system
    none = np.zeros(len(system), np.int64)
    ties = tuple(replace(e, of="counts") for e in system.equations if e.counts)
    alone = replace(system, priced=none.astype(bool), money=none, top=((),) * len(system), equations=ties)
    counts = replace(cells, system=alone)
    out = left_out(counts, primary(alone, policy()), K)
    hidden = to_hide(counts, policy(), out)
    told = {name for one in cells.rows for name in one.made_of} - out
    assert 0 < sum(hidden[cells.place[name]] for name in told) <= 0.15 * len(told)


# --- differences of what a role can get


def steps(released: Released, order: list[str]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of shown rows of which the households of the second are among those of the first."""
    rows = [row for row in released.table.to_dicts() if row["status"] == "shown"]
    for one, other in itertools.permutations(rows, 2):
        later = order.index(one.get("tier", "none")) <= order.index(other.get("tier", "none"))
        harder = one.get("threshold", "") <= other.get("threshold", "")
        if later and harder and one.get("person_group") == other.get("person_group"):
            yield one, other


NESTED = (
    ("catastrophic_headcount", ["threshold", "tier"], {}),
    ("catastrophic_headcount", ["person_group", "tier"], {"threshold": "0.10"}),
)


def test_no_difference_of_nested_sets_is_a_few_households(snapshot: Folder, published: Published) -> None:
    """What is printed as v can be v - 2 to v + 2, and a difference of 1 to 10 for certain must not come out of any pair."""
    pairs = 0
    for place, (measure, by, given) in itertools.product(published.places, NESTED):
        released = published.ask(measure, by, where(place), given)
        order = [
            "none",
            *next(p["order"] for p in snapshot.manifest["plans"] if (p["city"], p["plan_year"]) == place),
        ]
        for one, other in steps(released, order):
            at_least, at_most = (
                one["numerator"] - other["numerator"] - 4,
                one["numerator"] - other["numerator"] + 4,
            )
            assert not (at_least >= 1 and at_most < K), (place, one, other)
            pairs += 1
    assert pairs > 300


def test_exact_differences_of_what_is_shown_are_none_or_enough(
    snapshot: Folder, published: Published, sample_store: Path
) -> None:
    """Even if nothing were rounded: against the unprotected answers, row by row."""
    desk, few, pairs = Desk.open(sample_store), 0, 0
    for place, (measure, by, given) in itertools.product(published.places, NESTED):
        raw = desk.ask(measure, by, where(place), given, protect=False).table
        true = {tuple(row[d] for d in by): row["numerator"] for row in raw.iter_rows(named=True)}
        released = published.ask(measure, by, where(place), given)
        order = [
            "none",
            *next(p["order"] for p in snapshot.manifest["plans"] if (p["city"], p["plan_year"]) == place),
        ]
        few += sum(0 < a - b < K for a, b in itertools.pairwise(true.values()))
        for one, other in steps(released, order):
            step = true[tuple(one[d] for d in by)] - true[tuple(other[d] for d in by)]
            assert not 0 < step < K, (place, one, other)
            pairs += 1
    assert few > 20 and pairs > 300, "there are steps that had to be hidden"


# --- figures


def rounded(value: float, base: int) -> float:
    return base * math.floor(value / base + 0.5)


def test_figures_are_rounded_and_rates_made_of_the_rounded(published: Published, sample_store: Path) -> None:
    desk, compared, hidden = Desk.open(sample_store), 0, 0
    sums = {a.measure for a in plan().answer if a.numerator}
    persons = {"impoverishment_headcount", "further_impoverished"}
    for (name, by, given), place in itertools.product(questions(), published.places):
        try:
            shown = published.ask(name, by, where(place), given)
            raw = desk.ask(name, by, where(place), given, protect=False)
        except ValueError:
            continue
        assert shown.parameters == raw.parameters and shown.by == raw.by
        assert shown.table.select(*shown.by).equals(raw.table.select(*shown.by)), (
            "every row is there, hidden or not"
        )
        form = measures()[name]
        for one, true in zip(shown.table.to_dicts(), raw.table.to_dicts(), strict=True):
            figures = [one[c] for c in one if c not in (*shown.by, "measure", "status")]
            if one["status"] != "shown":
                hidden += one["status"] == "hidden"
                assert not any(f is not None for f in figures), "hidden in every column"
                continue
            assert one["n"] == rounded(true["n"], BASE)
            assert not 0 < true["n"] < K
            compared += 1
            if name not in sums:
                assert one["numerator"] is one["denominator"] is None
                assert one["value"] == pytest.approx(true["value"], rel=0.006)
                assert len(f"{abs(one['value']):.10g}".replace(".", "").strip("0")) <= 3
                continue
            money = {
                "numerator": form.unit in ("yuan", "points")
                or "paid" in form.numerator
                or "_fen" in form.numerator
            }
            money["numerator"] |= form.numerator in ("before", "after", "own")
            money["denominator"] = "_fen" in form.denominator or form.denominator == "before"
            if form.counts or name in persons:
                money = dict.fromkeys(money, False)
            for part, is_money in money.items():
                assert one[part] == rounded(true[part], YUAN if is_money else BASE), (name, part)
            scale = 100 if form.unit == "per_100" else 1
            assert one["value"] == pytest.approx(one["numerator"] / one["denominator"] * scale, rel=1e-12)
    assert compared > 300 and hidden > 300


def test_what_is_hidden_stands_nowhere_in_the_file(snapshot: Folder, published: Published) -> None:
    for place in published.places:
        _, rows = of(snapshot, place)
        dark = rows.filter(pl.col("status") == "hidden")
        assert dark.height
        for name in ("value", "numerator", "denominator", "n", "n_excluded", "n_no_resource"):
            assert dark[name].null_count() == dark.height
        assert set(rows["key"]) <= {"held", *(k for k in rows["key"] if k.startswith("["))}, (
            "no contributions"
        )


def of_a_hundred(store: Path, measure: str, known: int, left: int) -> dict[str, Any]:
    """The first protected row of a measure, of a hundred patients: `known` were paid within known days, `left` on a day nobody
    knows, and `left` have no income, the others no more than they paid."""
    each = range(100)
    deliver(
        store,
        settlement=[settle(f"s{i}", 10**5, person=i, year=2024, provider_id=f"H{i % 31}") for i in each],
        commercial_claim=[policies.paid(f"k{i}", 1, person=i, **(policies.after(3) if i < known else {})) for i in range(known + left)],
        household_member=[{"person_key": i, "household_key": 1000 + i} for i in each],
        household_economy=[
            {"household_key": 1000 + i, "year": 2024, "size": 1, "income_annual_fen": 0 if i < left else 10**5} for i in each
        ],
    )  # fmt: skip
    verbs.build(store)
    snapshot, place = Store(store).current(), (WEIHAI, 2024)
    order = next(p["order"] for p in snapshot.manifest["plans"] if (p["city"], p["plan_year"]) == place)
    rows = protected(cube_of(snapshot, place), order).rows
    return rows.filter(pl.col("key").str.contains(rf'"{measure}".*(income|\[\]\]$)')).row(0, named=True)


@pytest.mark.parametrize(("persons", "status"), [(21, "hidden"), (22, "shown")])
def test_a_median_rests_on_enough_persons_on_each_side(tmp_path: Path, persons: int, status: str) -> None:
    assert of_a_hundred(tmp_path, "days_to_pay_median", persons, 0)["status"] == status


@pytest.mark.parametrize(("left", "told"), [(10, None), (13, 15)])
def test_how_few_were_left_out_is_not_told(tmp_path: Path, left: int, told: int | None) -> None:
    """Neither persons left out of an answer nor households without a resource, beside figures that are shown."""
    for measure, column in (
        ("days_to_pay_median", "n_excluded"),
        ("catastrophic_headcount", "n_no_resource"),
    ):
        row = of_a_hundred(tmp_path / measure, measure, 40, left)
        assert (row["status"], row[column]) == ("shown", told)


def test_an_answer_says_what_it_was_read_from(published: Published, snapshot: Folder) -> None:
    released = published.ask("reach", ["tier"], where(published.places[0]))
    assert released.provenance["protection"] == "protected tables (k = 11, rounded to 5 and 1,000 yuan)"
    assert released.provenance["snapshot"] == snapshot.id
    assert released.provenance["hidden"] == released.table.filter(pl.col("status") == "hidden").height
    assert "protected" in released.sql and not released.bound
    json.dumps(dict(released.provenance))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("reach", ["tier"], {"sex": ["female"]}), "reach as asked: not among the protected tables"),
        (("gini", [], {}), "gini: not among the protected tables; they hold own_share_before"),
        (("reach", ["age_band", "tier"], {}), "there it is by tier"),
        (("reach", ["tier"], {}), "of one city and plan year"),
        (("catastrophic_headcount", ["tier"], {}, {"threshold": "0.17"}), "by threshold and tier"),
        (("reach", ["tier"], {"city": ["450100"]}), "450100: not among the protected tables"),
        (("reach", ["tier"], {"plan_year": [1999]}), "they hold 2022, 2023"),
    ],
)
def test_everything_else_is_refused(published: Published, asked: tuple[Any, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        published.ask(*asked)


def test_cities_out_of_scope_are_not_there(snapshot: Folder) -> None:
    published = Published(snapshot, [ZHUHAI])
    assert {city for city, _ in published.places} == {ZHUHAI}
    assert set(published.ask("reach", ["city", "plan_year", "tier"]).table["city"]) == {ZHUHAI}
    with pytest.raises(ValueError, match="371000: not among the protected tables"):
        published.ask("reach", ["tier"], {"city": ["371000"], "plan_year": [2023]})


def test_the_command_line_shows_what_a_researcher_sees(sample_store: Path, run: Run) -> None:
    question = ("measure", sample_store, "reach", "--by", "city,plan_year,tier", "--format", "json")
    code, out, _ = run(*question, "--published")
    rows = json.loads(out)["rows"]
    assert code == 0 and {row["status"] for row in rows} == {"shown", "hidden"}
    assert all(row["n"] % BASE == 0 for row in rows if row["status"] == "shown")
    code, _, err = run(*question, "--published", "--raw")
    assert code == 1 and "published" in err


def test_every_prepared_question_has_its_cells() -> None:
    """What is prepared and not named in the lattice would be left out of what others see without anybody noticing."""
    named: Mapping[tuple[str, tuple[str, ...]], Any] = {(a.measure, a.by): a for a in plan().answer}
    asked = {
        (m, tuple(by if "tier" in by or measures()[m].tier_optional else (*by, "tier")))
        for m, by, _ in questions()
    }
    assert asked == set(named)


def test_every_rule_of_the_lattice_ties_cells(large: Path, snapshot: Folder, published: Published) -> None:
    """A rule whose names are mistyped ties nothing, and neither protector nor attacker would know of it."""
    one = Store(large).current()
    worlds = [of(one, Published(one).places[0])[0], *(of(snapshot, place)[0] for place in published.places)]
    names = {name for cells in worlds for name in cells.place}
    ties = {
        (cells.system.names[e.total], tuple(cells.system.names[i] for i in e.parts))
        for cells in worlds
        for e in cells.system.equations
    }
    nested = {(c.system.names[a], c.system.names[b]) for c in worlds for a, b in c.system.subsets}
    form = plan()

    def is_of(pattern: str, name: str) -> bool:
        return re.fullmatch(shape(pattern), name) is not None

    for pattern in (*(c.name for c in form.cell), *(r.name for r in form.rest)):
        assert any(is_of(pattern, name) for name in names), pattern
    for rule in form.sum:
        parts = [p for p in rule.parts if p != "paid statutory_supplement"]  # a tier of few places
        assert any(
            is_of(rule.total, total) and all(any(is_of(p, n) for n in found) for p in parts)
            for total, found in ties
        ), rule
    pairs = [{total, *found} for total, found in ties if len(found) == 1]
    for same in form.same:
        for pattern in same.cells:
            others = [p for p in same.cells if p != pattern]
            tied = (
                any(is_of(pattern, a) for a in pair) and any(is_of(p, b) for p in others for b in pair)
                for pair in pairs
            )
            assert any(tied) or pattern == "asked whether elsewhere", (
                same,
                pattern,
            )  # some payments name no settlement
    for within in form.within:
        assert any(is_of(within.smaller, a) and is_of(within.bigger, b) for a, b in nested), within


def shape(pattern: str) -> str:
    return re.sub(r"\\{\w+\\}", ".+", re.escape(pattern))


def test_a_step_shown_in_turn_gives_nothing_small_away(
    snapshot: Folder, published: Published, sample_store: Path
) -> None:
    """The households a tier relieves in its turn are those before it less those after it: where two are shown, the third is known."""
    desk, known = Desk.open(sample_store), 0
    for place in published.places:
        asked = [
            (m, ["tier"], where(place), {"threshold": "0.10"})
            for m in ("sequential_headcount", "catastrophic_headcount")
        ]
        status = [dict(published.ask(*q).table.select("tier", "status").iter_rows()) for q in asked]
        true = [
            dict(desk.ask(*q, protect=False).table.select("tier", "numerator").iter_rows()) for q in asked
        ]
        order = next(p["order"] for p in snapshot.manifest["plans"] if (p["city"], p["plan_year"]) == place)
        for before, after in itertools.pairwise(["none", *(k for k in order if k in true[0])]):
            three = [
                (status[0][after], true[0][after]),
                (status[1][before], true[1][before]),
                (status[1][after], true[1][after]),
            ]
            assert true[1][before] - true[1][after] == true[0][after]
            hidden = [value for told, value in three if told == "hidden"]
            if len(hidden) < 2:
                assert not any(0 < value < K for value in hidden), (place, after)
                known += 1
    assert known > 5

"""Protector and attacker: what is hidden stays unknown, and an attack that finds nothing would have found something.

Expected intervals are worked by hand or by trying all whole-number tables; the rule is k = 11, p = 10 %, (2, 90 %).
"""

import inspect
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cubes import FULL, QUARTER, RULE, cube, hide, plane, worlds
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.release.attack import COUNT, MONEY, Seen, attack, holding, judge, seen, undone
from analytics.release.disclosure import Policy
from analytics.release.protect import protect
from analytics.release.system import Cell, System, dominated, primary, small


def interval(view: Seen, name: str, row: int = COUNT, **how: object) -> tuple[float, float]:
    at = view.structure.names.index(name)
    found = attack(view, cells=[at], **how)
    return float(found.low[row, 0]), float(found.high[row, 0])


def kinds(view: Seen, system: System, hidden: np.ndarray, **how: object) -> Counter[str]:
    return Counter(f.kind for f in judge(attack(view, **how), system, RULE, hidden))


# --- the data form


def test_contradictory_numbers_are_refused_all_at_once() -> None:
    cells = [
        Cell("all", 20, 900),
        Cell("a", 12, 500, most=40),
        Cell("b", 7, 400, top=((300, 200),)),
        Cell("c", 1, 5, structural=True),
    ]
    with pytest.raises(ValueError) as told:
        System.of(cells, [("all", ["a", "b"], "both")], [("all", "a")])
    for line in (
        "a: 500 fen of 12",
        "b: largest",
        "c: is said to be empty",
        "all: 20",
        "all: holds more than a",
    ):
        assert line in str(told.value), line
    with pytest.raises(ValueError, match="'d' is tied but is no cell"):
        System.of(cells[:1], [("all", ["d"], "both")])
    with pytest.raises(ValueError, match="stand twice: x"):
        System.of([Cell("x", 1), Cell("x", 2)])


def test_which_cells_hold_the_units_of_a_cell() -> None:
    """A total always; a single part that is not empty too; a bigger set; and so on upwards."""
    cells = [Cell(n, 1) for n in ("a", "all", "only", "over")] + [
        Cell("b", 0),
        Cell("none", 0, structural=True),
    ]
    lines = [("all", ["a", "b"], "counts"), ("all", ["only", "none"], "counts")]
    system = System.of(cells, lines, [("only", "over")])
    assert {system.names[i] for i in system.around(0)} == {"a", "all", "only", "over"}
    assert {system.names[i] for i in system.around(3)} == {"over"}


def test_which_cells_are_at_risk() -> None:
    """1 to 10 units; p %: 100 - 60 - 35 = 5 is less than 6; (2, 90 %): 94 of 100 but not 90 of 100; any contributor counts."""
    tops = [((60, 35),), ((60, 34),), ((55, 35),), ((10, 9), (80, 15)), ()]
    cells = [Cell(str(i), n) for i, n in enumerate((0, 1, 10, 11))]
    cells += [Cell(f"m{i}", 40, 100, top=top) for i, top in enumerate(tops)]
    system = System.of(cells)
    assert small(system, RULE).tolist() == [False, True, True, False] + [False] * 5
    assert dominated(system, RULE).tolist() == [False] * 4 + [True, True, False, True, False]
    assert primary(system, RULE).sum() == 5
    alone = RULE.model_copy(update={"dominance_n": 1})  # 60 of 100 is no dominance; p % stays
    assert dominated(system, alone).tolist() == [False] * 4 + [True, False, False, True, False]


# --- the attacker, against hand and brute force


def test_attacker_and_protector_share_no_code() -> None:
    for one, other in ((attack, "protect"), (protect, "attack")):
        source = Path(inspect.getfile(one)).read_text("utf-8")
        assert "analytics.release.system" in source and f"release.{other}" not in source


def test_what_a_rounded_publication_tells() -> None:
    """Nearest 5, half up: 10 is 8 to 12, and as 1 to 10 is never shown, 11 or 12; 0 is nobody; 1,000 yuan: 500 below to 499.99 above."""
    system = System.of(
        [Cell("a", 12, 1_234_500_00), Cell("b", 0, 0), Cell("c", 5, 100), Cell("d", 0, 0, structural=True)]
    )
    hidden = hide(system, "c", "d")
    view = seen(
        system, hidden, RULE, np.array([10, 0, 5, 0]), np.array([1_235_000_00, 0, 0, 0]), rounded=True
    )
    assert view.low.tolist() == [[11, 0, 0, 0], [1_234_500_00, 0, 0, 0]]
    assert view.high.tolist() == [[12, 0, np.inf, 0], [1_235_499_99, 0, np.inf, 0]]
    assert not view.structure.count.any() and not view.structure.money.any()  # the truth is not handed over


def test_amount_bands_tell_the_count() -> None:
    """27 households paid 350,000 yuan; below 10,000 each, or 10,000 to 20,000 each. At most 270,000 + 10,000 n is paid with n
    in the upper band, at least 10,000 n: so n is 8 to 27. And with 19 in the lower band known, the upper band is known.
    """
    wan = 1_000_000
    cells = [
        Cell("all", 27, 35 * wan),
        Cell("low", 19, 19 * wan, most=wan),
        Cell("high", 8, 16 * wan, least=wan, most=2 * wan),
    ]
    system = System.of(cells, [("all", ["low", "high"], "both")])
    both = seen(system, hide(system, "low", "high"), RULE)
    assert interval(both, "high") == (8, 27)
    assert interval(both, "high", MONEY) == pytest.approx(
        (16 * wan, 35 * wan)
    )  # 350,000 less 10,000 each of 19 at most
    one = seen(system, hide(system, "high"), RULE)
    assert interval(one, "high") == (8, 8)
    assert interval(one, "high", MONEY) == pytest.approx((16 * wan, 16 * wan))
    assert kinds(both, system, small(system, RULE)) == {"money": 1}  # not less than the true 160,000
    assert kinds(one, system, small(system, RULE)) == {"recovered": 1, "money": 1}


def test_a_programme_that_presolve_calls_infeasible_is_solved_without_it() -> None:
    """Shown: about 100 households in all, about 70 after all tiers. Nothing else is known: relieved are at most 102 - 68."""
    counts = {
        "all": 100, "reached": 90, "not reached": 10, "same": 90, "after basic": 80, "relieved": 10, "credited": 10,
        "above 15": 80, "from 15": 10, "above 20": 70, "above 25": 70, "after all": 70,
    }  # fmt: skip
    lines = {
        "all": ["reached", "not reached"], "same": ["reached"], "reached": ["after basic", "relieved"],
        "after basic": ["above 15"], "above 15": ["above 20", "from 15"], "above 20": ["above 25"], "above 25": ["after all"],
    }  # fmt: skip
    cells = [*(Cell(name, n) for name, n in counts.items()), Cell("paid", 1, 50_000, most=1_000_000)]
    sets = [("relieved", "credited"), ("credited", "same")]
    system = System.of(cells, [(t, parts, "counts") for t, parts in lines.items()], sets)
    shown = hide(system, "all", "after all")
    view = seen(system, ~shown, RULE, rounded=True)
    assert interval(view, "relieved", integers=True) == interval(view, "relieved") == (0, 34)
    assert interval(view, "reached", integers=True) == (68, 102)


def test_a_publication_that_contradicts_itself_is_an_error_not_a_success() -> None:
    system = plane([[3, 20, 30], [25, 40, 50]])
    hidden = hide(system, "0,0", "0,1", "1,0", "1,1")
    for cell in ("0,*", "1,2"):
        wrong = system.count + hide(system, cell)
        with pytest.raises((RuntimeError, ValueError), match="attack"):
            attack(seen(system, hidden, RULE, wrong))
    honest = attack(seen(system, hidden, RULE))
    other = plane([[93, 20, 30], [25, 40, 50]])
    with pytest.raises(RuntimeError, match="the attack is broken"):
        judge(honest, other, RULE, hidden)


TABLES = st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=3, max_size=3)


@settings(max_examples=25, deadline=None)
@given(rows=TABLES, pattern=st.lists(st.booleans(), min_size=9, max_size=9))
def test_intervals_are_those_of_all_tables(rows: list[list[int]], pattern: list[bool]) -> None:
    """In a plane with its margins the least and most of a linear program are whole: exactly those of all tables."""
    rule = RULE.model_copy(update={"k": 2})
    system = plane(rows)
    hidden = np.array(pattern + [False] * 7) | small(system, rule)
    hidden[9:] = False  # margins stay shown, whatever they are
    view = seen(system, hidden, rule.model_copy(update={"k": 1}))
    all_tables = worlds(system, hidden)
    for whole in (False, True):
        found = attack(view, integers=whole)
        assert found.low[COUNT].tolist() == all_tables[:, found.cells].min(axis=0).tolist()
        assert found.high[COUNT].tolist() == all_tables[:, found.cells].max(axis=0).tolist()


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.sampled_from([0, 1, 2, 3, 5, 6, 8, 12]), min_size=4, max_size=4), min_size=3, max_size=3
    )
)
def test_every_small_cell_can_be_nobody_or_k(rows: list[list[int]]) -> None:
    """Trying all tables that agree with what the protector shows (k = 3): one has nobody in the cell, one has three or more."""
    rule = RULE.model_copy(update={"k": 3})
    system = plane(rows)
    hidden = protect(system, rule).hidden
    if hidden[-1]:  # so few in all that everything goes
        return
    tables, at = worlds(system, hidden), np.flatnonzero(small(system, rule))
    assert (tables[:, at].min(axis=0) == 0).all() and (tables[:, at].max(axis=0) >= 3).all()


# --- who knows more than one publication: insiders, and whoever kept the one before


def test_a_household_that_knows_itself_sees_more_and_is_reckoned_with() -> None:
    """1 and 10 households make up a shown 11: for the public either may be nobody or 11, for the one the others are 10."""
    system = plane([[1, 10, 60], [30, 40, 50]])
    hidden = hide(system, "0,0", "0,1", "1,0", "1,1")
    view, risk = seen(system, hidden, RULE), small(system, RULE)
    assert kinds(view, system, risk) == {}
    assert interval(view, "0,1") == (0, 11)
    assert interval(view, "0,1", insider=(0, 0)) == (0, 10)
    assert kinds(view, system, risk, insider=(0, 0)) == {"below k": 1}
    assert any("a household of 0,0 can tell" in line for line in undone(view, system, RULE, risk, insiders=1))
    bare = seen(system, hidden & ~hide(system, "0,1"), RULE)
    assert undone(bare, system, RULE, risk)[0] == "0,1: is shown and must not be"
    wider = protect(system, RULE).hidden
    assert undone(seen(system, wider, RULE), system, RULE, risk, insiders=2, sample=2) == []


def test_every_household_of_a_small_cell_is_held_off() -> None:
    system = cube(3, QUARTER)
    risk, pattern = primary(system, RULE), protect(system, RULE)
    few = int(small(system, RULE).sum())
    assert few > 8 and pattern.told["open_to_insiders"] == 0
    printed = (system.count + 2) // 5 * 5, (system.money + 50_000) // 100_000 * 100_000
    for view in (
        seen(system, pattern.hidden, RULE),
        seen(system, pattern.hidden, RULE, *printed, rounded=True),
    ):
        assert undone(view, system, RULE, risk, insiders=8, sample=4) == []


def test_two_publications_of_the_same_truth() -> None:
    """Two patterns that hold alone show together what each hides; the pattern before is therefore kept."""
    system = plane([[3, 20, 30], [25, 40, 50], [22, 33, 44]])
    risk = small(system, RULE)
    first = hide(system, "0,0", "0,1", "1,0", "1,1")
    second = hide(system, "0,0", "0,2", "2,0", "2,2")
    before, now = seen(system, first, RULE), seen(system, second, RULE)
    assert kinds(before, system, risk) == kinds(now, system, risk) == {}
    assert kinds(now, system, risk, earlier=before) == {"recovered": 1}
    assert undone(now, system, RULE, risk, earlier=before)[0].startswith(
        "0,0: whoever kept the earlier publication"
    )
    kept = protect(system, RULE, also=second)
    assert (kept.hidden | ~second).all() and kept.told["also"] == 4
    assert undone(seen(system, kept.hidden, RULE), system, RULE, risk, earlier=now) == []
    with pytest.raises(ValueError, match="map it by name"):
        protect(system, RULE, also=second[:5])
    with pytest.raises(ValueError, match="their cells differ"):
        attack(now, earlier=seen(plane([[1, 2], [3, 4]]), np.zeros(9, bool), RULE))


def test_an_earlier_publication_is_believed_as_far_as_it_can_be() -> None:
    """A late claim moves a cell and its three totals. An old value that no longer fits is left out, one that does is used."""
    old, new = plane([[3, 20, 30], [25, 40, 50]]), plane([[4, 20, 30], [25, 40, 50]])
    hidden = hide(old, "0,0", "0,1", "1,0", "1,1")
    now = seen(new, hidden, RULE)
    found = attack(now, earlier=seen(old, hidden, RULE))
    assert found.disbelieved == 3 and found.low[COUNT].tolist() == attack(now).low[COUNT].tolist()
    bare = attack(now, earlier=seen(old, hide(old, "1,1"), RULE))  # 3 and 20 do not make 24, 3 and 25 not 29
    assert bare.disbelieved == 3 + 1
    assert (
        bare.low[COUNT].tolist() == bare.high[COUNT].tolist() == [4, 20, 25, 40]
    )  # one wrong value is the simplest story


# --- linked tables: thresholds and tiers


def tiers(seed: int) -> System:
    """Households of four bands above a threshold after each of four tiers: nested, with the rest and the steps between."""
    rng = np.random.default_rng(seed)
    bands, number = range(4), rng.integers(300, 900, 4)
    hits = [rng.binomial(number, 0.06)]
    for _ in range(3):
        hits.append(hits[-1] - rng.binomial(hits[-1], 0.25))
    values = {"n": number}
    lines, nested = [], []
    for t, hit in enumerate(hits):
        values |= {f"hit{t}": hit, f"rest{t}": number - hit}
        lines.append(("n", [f"hit{t}", f"rest{t}"]))
        if t:
            values[f"step{t}"] = hits[t - 1] - hit
            lines.append((f"hit{t - 1}", [f"hit{t}", f"step{t}"]))
            nested.append((f"hit{t}", f"hit{t - 1}"))
    places = [*bands, "all"]
    cells = [
        Cell(f"{v}/{b}", int(x.sum() if b == "all" else x[b])) for v, x in values.items() for b in places
    ]
    return System.of(
        cells,
        [(f"{t}/{b}", [f"{p}/{b}" for p in parts], "counts") for t, parts in lines for b in places]
        + [(f"{v}/all", [f"{v}/{b}" for b in bands], "counts") for v in values],
        [(f"{a}/{b}", f"{c}/{b}") for a, c in nested for b in places],
    )


def test_sets_within_sets_bound_what_stands_between_them() -> None:
    """b lies between a shown 30 and a shown 36, both together are 40: so a, which is 5, is 4 to 10."""
    cells = [Cell("both", 40), Cell("a", 5), Cell("b", 35), Cell("inner", 30), Cell("outer", 36)]
    line = [("both", ["a", "b"], "counts")]
    system = System.of(cells, line, [("inner", "b"), ("b", "outer")])
    blind, risk = protect(System.of(cells, line), RULE).hidden, small(system, RULE)
    assert blind.tolist() == hide(system, "a", "b").tolist()
    assert interval(seen(system, blind, RULE), "a") == (4, 10)
    assert kinds(seen(system, blind, RULE), system, risk) == {"below k": 1}
    assert undone(seen(system, protect(system, RULE).hidden, RULE), system, RULE, risk) == []


def test_money_of_one_household_is_protected_though_its_cell_is_large() -> None:
    """900 of 1,000 yuan are one household's: with the other cell shown the sum follows, so that is hidden too."""
    cells = [
        Cell("all", 100, 3_000_00),
        Cell("a", 40, 1_000_00, top=((900_00, 50_00),)),
        Cell("b", 60, 2_000_00),
    ]
    system = System.of(cells, [("all", ["a", "b"], "both")])
    risk = dominated(system, RULE)
    assert risk.tolist() == [False, True, False]
    assert kinds(seen(system, risk, RULE), system, risk) == {"money": 1}
    hidden = protect(system, RULE).hidden
    assert hidden.tolist() == [False, True, True]
    assert undone(seen(system, hidden, RULE), system, RULE, risk) == []


def test_money_of_two_hospitals_is_protected_though_no_household_stands_out() -> None:
    """Hospitals are contributors of their own kind: two hold 960 of 1,000 yuan (2, 90 %). By p % alone the second, who knows its own,
    must not come within 10 % of the first: of 1,000 less 500 less 460 there are 40 left, under 50; of 450, 50 are.
    """
    homes = (20_00, 15_00)
    cells = [
        Cell("all", 100, 3_000_00),
        Cell("a", 40, 1_000_00, top=(homes, (480_00, 480_00))),
        Cell("b", 60, 2_000_00, top=(homes, (300_00, 200_00))),
    ]
    system = System.of(cells, [("all", ["a", "b"], "both")])
    assert dominated(system, RULE).tolist() == [False, True, False]
    hidden = protect(system, RULE).hidden
    assert hidden.tolist() == [False, True, True]
    assert undone(seen(system, hidden, RULE), system, RULE, primary(system, RULE)) == []
    alone = Policy(**{**RULE.model_dump(), "dominance_share": 100})
    for second, risky in ((460_00, True), (450_00, False), (440_00, False)):
        cells = [Cell("a", 40, 1_000_00, top=(homes, (500_00, second)))]
        assert dominated(System.of(cells), alone).tolist() == [risky]
    assert dominated(System.of([Cell("a", 40, 1_000_00, top=(homes,))]), RULE).tolist() == [False]


def test_tables_protected_one_by_one_give_each_other_away_and_linked_ones_do_not() -> None:
    leaks = 0
    for seed in range(3):
        system = tiers(seed)
        risk = primary(system, RULE)
        alone = risk.copy()
        for kind in {name.split("/")[0] for name in system.names}:
            at = [i for i, name in enumerate(system.names) if name.split("/")[0] == kind]
            cells = [Cell(system.names[i], int(system.count[i])) for i in at]
            table = System.of(cells, [(f"{kind}/all", [f"{kind}/{b}" for b in range(4)], "counts")])
            alone[at] = protect(table, RULE).hidden
        leaks += len(undone(seen(system, alone, RULE), system, RULE, risk))
        hidden = protect(system, RULE).hidden
        half = hidden & ~(hidden & ~risk & (np.arange(len(system)) % 3 == 0))
        for shown in (alone, half, hidden):  # looking only as far as is enough finds the same cells
            view = seen(system, shown, RULE)
            whole, short = attack(view), attack(view, enough=holding(system, RULE))
            found = [{(f.cell, f.kind) for f in judge(one, system, RULE, risk)} for one in (whole, short)]
            assert found[0] == found[1] and bool(found[0]) == (shown is not hidden)
        assert short.programs < 0.8 * whole.programs
        assert not hidden[system.names.index("n/all")]
        assert undone(seen(system, hidden, RULE), system, RULE, risk, insiders=3, sample=3) == []
    assert leaks > 10


# --- the protector, on cubes


def held(system: System) -> tuple[int, int, Counter[str]]:
    """Hidden and recovered-on-primary-only of one cube; the protected one must hold against the public."""
    risk = primary(system, RULE)
    bare = kinds(seen(system, risk, RULE), system, risk)
    hidden = protect(system, RULE).hidden
    assert (hidden | ~risk).all()
    assert not hidden[system.names.index("all/all/all")]
    assert undone(seen(system, hidden, RULE), system, RULE, risk) == []
    return int(hidden.sum()), int(risk.sum()), bare


@pytest.mark.parametrize(("money", "most"), [(False, 0.15), (True, 0.25)])
def test_ten_cubes(money: bool, most: float) -> None:
    cubes = [cube(seed, FULL if seed < (3 if money else 6) else QUARTER, money=money) for seed in range(10)]
    hidden, risk, bare = zip(*(held(c) for c in cubes), strict=True)
    assert sum(hidden) <= most * sum(len(c) for c in cubes)
    assert (
        sum(b["recovered"] for b in bare) >= 0.6 * sum(risk) > 60
    )  # the attack works where nothing but the small is hidden


@pytest.mark.long
@pytest.mark.parametrize(("money", "most"), [(False, 0.15), (True, 0.25)])
def test_a_hundred_cubes(money: bool, most: float) -> None:
    cells, hidden, at_risk, recovered = 0, 0, 0, 0
    for seed in range(100):
        system = cube(seed, money=money)
        dark, few, bare = held(system)
        cells, hidden = cells + len(system), hidden + dark
        at_risk, recovered = at_risk + few, recovered + bare["recovered"]
        if seed % 20 == 0:  # every household of a small cell, and whole numbers
            risk, pattern = primary(system, RULE), protect(system, RULE).hidden
            assert (
                undone(seen(system, pattern, RULE), system, RULE, risk, insiders=len(system), sample=20) == []
            )
    assert hidden <= most * cells
    assert recovered >= 0.6 * at_risk

"""What must hold of the measures whatever the survey: relations between answers, on random small surveys.

| | property | where |
|---|---|---|
| P1-P12, P14 | overshoot, thresholds, money, weights, order, mirror, progressivity, poverty, hardship, places, credit | here |
| every value | the definition written out another way | test_measures_by_oracle.py |
| P13 | tiers and own burden add up to the bill | here; ledgers of claims: test_golden.py test_ledger_in_the_plans_order |
| P14 | credit when the rules are replayed | test_rand_replay.py |
| P15, P16 | a better rule, or one tier more, never leaves a person more | here (recorded payments); test_waterfall.py test_a_better_rule_never_leaves_a_person_more |
| P17 | claims cut in two, and their order | test_waterfall.py test_cutting_claims_does_not_change_the_year |
| P19 | small cells are hidden whole | test_measures.py test_small_cells_are_hidden_whole |
| P20 | files hold what is printed | test_cli.py test_files_hold_what_is_printed |

JIANFU_EXAMPLES=500 asks each property of 500 surveys; by default a few, to be quick.
"""

import os
from collections.abc import Iterator

import polars as pl
import pytest
from households import CITIES, UNIT, arrays, surveys
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from survey import Survey

EXAMPLES = int(os.environ.get("JIANFU_EXAMPLES", "8"))
INCOME = {"resource": "income"}
CONSUMPTION = {"resource": "consumption"}
# Shares and indices that do not know the unit of money, nor how often everybody stands in the file.
PURE = {
    "catastrophic_headcount": CONSUMPTION, "catastrophic_overshoot": INCOME, "mean_positive_overshoot": INCOME,
    "budget_share": CONSUMPTION, "budget_share_mean": CONSUMPTION, "catastrophic_headcount_weighted": INCOME,
    "catastrophic_overshoot_weighted": CONSUMPTION, "catastrophic_concentration": CONSUMPTION,
    "catastrophic_concentration_wagstaff": INCOME, "catastrophic_concentration_erreygers": CONSUMPTION,
    "catastrophic_concentration_generalised": INCOME, "overshoot_concentration": CONSUMPTION,
    "overshoot_concentration_generalised": CONSUMPTION, "payment_concentration": {"living_standard": "consumption"},
    "kakwani": {"living_standard": "consumption"}, "gini": {"living_standard": "consumption"},
    "theil": {"living_standard": "consumption"}, "mean_log_deviation": {"living_standard": "consumption"},
    "atkinson": {"living_standard": "income"},
}  # fmt: skip
REPEATABLE = PURE | {
    "poverty_headcount": {"poverty_line": "median_60"}, "poverty_gap": {"poverty_line": "2500"},
    "poverty_gap_normalised": {"poverty_line": "subsistence"}, "poverty_gap_squared": {"poverty_line": "societal"},
    "poverty_gap_positive": {"poverty_line": "median_50"}, "impoverishment_headcount": {"poverty_line": "median_40"},
    "further_impoverished": {"poverty_line": "2500"}, "financial_hardship": {}, "impoverishing_spending": {},
    "large_not_impoverishing": {}, "normative_no_spending": {}, "normative_not_at_risk": {}, "normative_at_risk": {},
    "normative_impoverished": {}, "normative_further_impoverished": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def survey() -> Iterator[Survey]:
    yield Survey()


def close(value: float | None, **tolerance: float) -> object:
    """Equal up to rounding of floats, or undefined as well."""
    return None if value is None else pytest.approx(value, **({"rel": 1e-9, "abs": 1e-12} | tolerance))


few = settings(max_examples=EXAMPLES)
twice = settings(max_examples=2 * EXAMPLES)


# --- overshoot and thresholds


@few
@given(frame=surveys(), resource=st.sampled_from(["income", "consumption", "capacity_to_pay"]))
def test_p1_overshoot_is_headcount_times_mean_positive_overshoot(
    survey: Survey, frame: pl.DataFrame, resource: str
) -> None:
    survey.put(frame)
    h, o, mpo = (
        survey.values(name, "threshold", resource=resource)
        for name in ("catastrophic_headcount", "catastrophic_overshoot", "mean_positive_overshoot")
    )
    assert len(h) == 7
    for z, headcount in h.items():
        assert headcount is not None
        assert o[z] == pytest.approx(headcount * (mpo[z] or 0.0), rel=1e-12)
        assert (mpo[z] is None) == (headcount == 0)


@few
@given(frame=surveys(), weight=st.sampled_from(["household", "person"]))
def test_p2_p3_a_higher_threshold_counts_no_more_and_the_overshoot_is_what_lies_under_the_headcount(
    survey: Survey, frame: pl.DataFrame, weight: str
) -> None:
    """The integral of H from 0.10 to 0.25 lies between the sums over its steps from above and below (where all have resources: who
    has none counts at any threshold, with nothing finite above it)."""
    survey.put(frame)
    step = 0.01
    grid = ",".join(f"{0.10 + k * step:.2f}" for k in range(16))
    h, o = (
        list(survey.values(name, "threshold", threshold=grid, weight=weight, **CONSUMPTION).values())
        for name in ("catastrophic_headcount", "catastrophic_overshoot")
    )
    assert h == sorted(h, reverse=True) and o == sorted(o, reverse=True)
    fall = o[0] - o[-1]
    assert sum(h[1:]) * step - 1e-12 <= fall <= sum(h[:-1]) * step + 1e-12


# --- unit of money, weights, order of rows


@twice
@given(frame=surveys(), measure=st.sampled_from(list(PURE)), factor=st.sampled_from([3, 100, 10_000]))
def test_p4_the_unit_of_money_changes_nothing(
    survey: Survey, frame: pl.DataFrame, measure: str, factor: int
) -> None:
    survey.put(frame)
    before = survey.values(measure, "city", **PURE[measure])
    survey.put(frame.with_columns(pl.col("^.*_fen$") * factor))
    after = survey.values(measure, "city", **PURE[measure])
    assert after == {city: close(value) for city, value in before.items()}


@twice
@given(frame=surveys(), measure=st.sampled_from(list(REPEATABLE)), seed=st.integers(0, 99))
def test_p5_p6_weights_repeated_rows_and_the_order_of_rows(
    survey: Survey, frame: pl.DataFrame, measure: str, seed: int
) -> None:
    """A weight of three is three rows; everybody three times over changes nothing; nor does the order of the file."""
    weighed = frame.with_columns((pl.col("weight") * 2).cast(pl.Int64).alias("times"))
    repeated = weighed.select(pl.all().repeat_by("times").list.explode()).with_columns(weight=pl.lit(1.0))
    survey.put(frame)
    before = survey.values(measure, "city", **REPEATABLE[measure])
    survey.put(repeated.sample(fraction=1, shuffle=True, seed=seed))
    after = survey.values(measure, "city", **REPEATABLE[measure])
    assert after == {city: close(value) for city, value in before.items()}


@few
@given(frame=surveys(6, 12))
def test_p5_standard_errors_do_not_grow_smaller_by_repeating_rows(
    survey: Survey, frame: pl.DataFrame
) -> None:
    """Clusters are drawn, not rows: everybody twice in the same clusters is the same sample."""
    survey.put(frame)
    before = survey.uncertain("catastrophic_headcount", threshold="0.10", **INCOME).to_dicts()[0]
    survey.put(pl.concat([frame, frame]))
    after = survey.uncertain("catastrophic_headcount", threshold="0.10", **INCOME).to_dicts()[0]
    assert (after["value"], after["se"]) == (close(before["value"]), close(before["se"]))


# --- concentration


@few
@given(frame=surveys())
def test_p7_a_mirrored_rank_turns_the_sign_and_bounds_hold(survey: Survey, frame: pl.DataFrame) -> None:
    frame = frame.with_columns(city=pl.lit(CITIES[0]))
    names = [name for name in PURE if name.startswith("catastrophic_concentration")]
    parameters = {**CONSUMPTION, "threshold": "0.10"}
    survey.put(frame)
    up = {name: survey.value(name, **parameters) for name in names}
    h = survey.value("catastrophic_headcount", **parameters)
    assert h is not None
    index, wagstaff = up["catastrophic_concentration"], up["catastrophic_concentration_wagstaff"]
    if index is not None:
        assert abs(index) <= 1 - h + 1e-12
    if wagstaff is not None:
        assert abs(wagstaff) <= 1 + 1e-12
    # the other way round: payments ranked by income, then by the income taken from a larger number
    paid = survey.value("payment_concentration", living_standard="income", weight="household")
    survey.put(frame.with_columns(income_fen=100 * UNIT - pl.col("income_fen")))
    mirrored = survey.value("payment_concentration", living_standard="income", weight="household")
    assert mirrored == close(None if paid is None else -paid)


@few
@given(frame=surveys(), amount=st.integers(1, 9), scale=st.sampled_from(["none", "square_root", "who"]))
def test_p7_what_everybody_pays_alike_is_not_concentrated(
    survey: Survey, frame: pl.DataFrame, amount: int, scale: str
) -> None:
    survey.put(frame.with_columns(own_fen=pl.lit(amount * UNIT), n_members=pl.lit(2)))
    assert survey.value("payment_concentration", scale=scale) == pytest.approx(0, abs=1e-12)


# --- progressivity


@few
@given(frame=surveys(), percent=st.integers(1, 60))
def test_p8_proportional_payments_change_nothing_and_a_poll_tax_is_regressive(
    survey: Survey, frame: pl.DataFrame, percent: int
) -> None:
    living = {"living_standard": "consumption"}
    survey.put(frame.with_columns(own_fen=pl.col("consumption_fen") * percent // 100))
    for name in ("kakwani", "reynolds_smolensky", "redistributive_effect", "reranking"):
        assert survey.value(name, **living) == pytest.approx(0, abs=1e-12), name
    survey.put(frame.with_columns(own_fen=pl.col("n_members") * UNIT // 2))
    gini = survey.value("gini", **living)
    assert gini is not None
    assert survey.value("kakwani", **living) == pytest.approx(-gini, abs=1e-12)


@few
@given(frame=surveys(), weight=st.sampled_from(["household", "person"]))
def test_p9_redistribution_is_the_average_rate_times_progressivity_less_reranking(
    survey: Survey, frame: pl.DataFrame, weight: str
) -> None:
    paid = (frame["weight"] * frame["own_fen"]).sum()
    assume(0 < paid < (frame["weight"] * frame["consumption_fen"]).sum())
    survey.put(frame)
    names = ("kakwani", "reynolds_smolensky", "redistributive_effect", "reranking", "gini", "gini_net")
    k, rs, re, reranking, gini, gini_net = (
        survey.value(name, living_standard="consumption", weight=weight) for name in names
    )
    assert None not in (k, rs, re, reranking, gini, gini_net)
    rate = survey.value("budget_share", **CONSUMPTION)  # the same per person: members cancel out
    assert rs == pytest.approx(rate / (1 - rate) * k, rel=1e-9, abs=1e-9)
    assert re == pytest.approx(rs - reranking, abs=1e-9)
    assert re == pytest.approx(gini - gini_net, abs=1e-9)
    assert reranking >= -1e-12


# --- poverty and hardship


@few
@given(frame=surveys(), line=st.sampled_from(["2500", "median_60", "subsistence"]))
def test_p10_payments_push_below_the_line_and_never_out_of_poverty(
    survey: Survey, frame: pl.DataFrame, line: str
) -> None:
    """Net less gross headcount are those pushed; the gap grows by T of the poor and by PL - (x - T) of those pushed."""
    survey.put(frame)
    common = {"poverty_line": line, "living_standard": "consumption"}

    def ask(name: str, **more: str) -> float:
        value = survey.value(name, **common, **more)
        assert value is not None
        return value

    gross, net = (ask("poverty_headcount", payments=side) for side in ("gross", "net"))
    pushed = ask("impoverishment_headcount")
    assert pushed == pytest.approx(net - gross, abs=1e-12)
    assert pushed >= 0
    for name in ("poverty_gap", "poverty_gap_normalised", "poverty_gap_squared"):
        assert ask(name, payments="net") >= ask(name, payments="gross") - 1e-12
        assert ask(name, payments="net", negative="floored") <= ask(name, payments="net") + 1e-12
    mean_gap = ask("poverty_gap_positive", payments="net") if net else 0
    assert ask("poverty_gap", payments="net") == pytest.approx(net * mean_gap, rel=1e-9)


@few
@given(frame=surveys(), living=st.sampled_from(["income", "consumption"]))
def test_p11_who_pays_nothing_suffers_no_hardship_and_who_has_nothing_left_does(
    survey: Survey, frame: pl.DataFrame, living: str
) -> None:
    """With everybody below a very high line, who pays is in hardship and is impoverished; else the larger part contains the smaller."""
    survey.put(frame)
    f = arrays(frame)
    paying = (f.weight * f.members)[f.own > 0].sum() / (f.weight * f.members).sum()

    def ask(name: str, floor: str) -> float:
        value = survey.value(name, line_floor=floor, line_base="0", line_share="0.5", living_standard=living)
        assert value is not None
        return value

    names = ("financial_hardship", "impoverishing_spending", "large_not_impoverishing")
    assert [ask(name, "100000") for name in names] == pytest.approx([paying, paying, 0], abs=1e-12)
    large, whole, between = (ask(name, "1000") for name in names)
    assert 0 <= whole <= large <= paying + 1e-12
    assert between == pytest.approx(large - whole, abs=1e-12)


@few
@given(frame=surveys())
def test_the_five_groups_are_everybody(survey: Survey, frame: pl.DataFrame) -> None:
    survey.put(frame)
    names = ("no_spending", "not_at_risk", "at_risk", "impoverished", "further_impoverished")
    shares = [survey.value(f"normative_{name}") for name in names]
    assert sum(share or 0 for share in shares) == pytest.approx(1, rel=1e-12)


# --- places and tiers

ADDITIVE = {
    "catastrophic_headcount": INCOME, "catastrophic_overshoot": CONSUMPTION, "budget_share": CONSUMPTION,
    "poverty_headcount": {"poverty_line": "2500"}, "poverty_gap_squared": {"poverty_line": "median_60"},
    "mean_positive_overshoot": INCOME, "financial_hardship": {"line_floor": "2000"}, "impoverishment_headcount": {},
}  # fmt: skip


@twice
@given(frame=surveys(), measure=st.sampled_from(list(ADDITIVE)))
def test_p12_places_add_up(survey: Survey, frame: pl.DataFrame, measure: str) -> None:
    """Sums of places are the sums of all, so the value of all is the mean of places by their denominators."""
    survey.put(frame)
    cities = survey.raw(measure, ("city",), **ADDITIVE[measure]).table
    (whole,) = survey.raw(measure, (), **ADDITIVE[measure]).table.to_dicts()
    for column in ("numerator", "denominator", "n", "n_excluded"):
        assert cities[column].sum() == pytest.approx(whole[column], rel=1e-12)
    if whole["value"] is not None:
        parts = (cities["value"].fill_null(0) * cities["denominator"]).sum()
        assert whole["value"] == pytest.approx(parts / whole["denominator"], rel=1e-9)


@few
@given(frame=surveys())
def test_p13_p15_tiers_lower_the_burden_step_by_step(survey: Survey, frame: pl.DataFrame) -> None:
    """What all tiers paid and the own burden make the bill; a tier more never raises headcount or overshoot."""
    survey.put(frame)
    money = "own_before_fen = own_net_fen + coalesce(basic_paid_fen, 0) + coalesce(medical_assistance_paid_fen, 0)"
    rows = survey.engine.ask(f"SELECT count(*) FILTER ({money}) AS kept, count(*) AS n FROM household_year")
    assert rows["kept"][0] == rows["n"][0] == frame.height
    for name in ("catastrophic_headcount", "catastrophic_overshoot", "catastrophic_headcount_weighted"):
        after = list(survey.values(name, "tier", **INCOME).values())
        assert len(after) == 3
        assert after == sorted(after, reverse=True)
        assert after[-1] == close(survey.value(name, **INCOME))


@few
@given(frame=surveys(), game=st.sampled_from(["headcount", "overshoot"]), z=st.sampled_from(["0.10", "0.25"]))
def test_p14_credit_is_the_whole_fall_and_a_tier_that_pays_nothing_has_none(
    survey: Survey, frame: pl.DataFrame, game: str, z: str
) -> None:
    """With two tiers Shapley is the mean of coming first and coming last, and lies between the two."""
    assume(frame["basic_paid_fen"].sum() and frame["medical_assistance_paid_fen"].sum())
    survey.put(frame)
    parameters = {**INCOME, "threshold": z}
    after = survey.values(f"catastrophic_{game}", "tier", **parameters)
    kinds = ("shapley", "first_in", "last_in", "sequential")
    credit = {kind: survey.values(f"{kind}_{game}", "tier", **parameters) for kind in kinds}
    fall = (after["none"] or 0) - (after["medical_assistance"] or 0)
    for kind in ("shapley", "sequential"):
        assert sum(v or 0 for v in credit[kind].values()) == pytest.approx(fall, abs=1e-12)
    for tier, value in credit["shapley"].items():
        first, last = credit["first_in"][tier], credit["last_in"][tier]
        assert first is not None and last is not None
        assert value == pytest.approx((first + last) / 2, abs=1e-12)
    survey.put(frame.with_columns(medical_assistance_paid_fen=pl.lit(0)))
    alone = survey.values(f"shapley_{game}", "tier", **parameters)
    assert alone["medical_assistance"] == pytest.approx(0, abs=1e-15)
    # tiers that pay everybody alike are credited alike
    survey.put(frame.with_columns(medical_assistance_paid_fen=pl.col("basic_paid_fen")))
    alike = survey.values(f"shapley_{game}", "tier", **parameters)
    assert alike["basic"] == pytest.approx(alike["medical_assistance"], abs=1e-12)

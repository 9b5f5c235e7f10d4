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

JIANFU_EXAMPLES=500 asks each property of 500 surveys; by default a few less, to be quick.
"""

import os
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from households import AT_ONCE, UNIT, arrays, places, surveys
from hypothesis import given, settings
from hypothesis import strategies as st
from survey import Survey

EXAMPLES = -(-int(os.environ.get("JIANFU_EXAMPLES", "80")) // AT_ONCE)  # of AT_ONCE surveys each
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


few = settings(max_examples=EXAMPLES)
twice = settings(max_examples=3 * EXAMPLES)


@pytest.fixture(scope="module")
def survey() -> Iterator[Survey]:
    yield Survey()


def same(got: np.ndarray, want: np.ndarray, **tolerance: float) -> None:
    """Equal in every place up to rounding of floats, or undefined in both."""
    np.testing.assert_allclose(got, want, equal_nan=True, **({"rtol": 1e-9, "atol": 1e-11} | tolerance))


def falls(values: list[np.ndarray]) -> None:
    """No later one is above an earlier one."""
    for higher, lower in pairwise(values):
        assert (lower <= higher + 1e-12).all()


# --- overshoot and thresholds


@few
@given(frame=surveys(), resource=st.sampled_from(["income", "consumption", "capacity_to_pay"]))
def test_p1_overshoot_is_headcount_times_mean_positive_overshoot(
    survey: Survey, frame: pl.DataFrame, resource: str
) -> None:
    survey.put(frame)
    h, o, mpo = (
        survey.places_by(name, "threshold", resource=resource)
        for name in ("catastrophic_headcount", "catastrophic_overshoot", "mean_positive_overshoot")
    )
    assert len(h) == 7
    for z in h:
        same(o[z], h[z] * np.nan_to_num(mpo[z]))
        assert (np.isnan(mpo[z]) == (h[z] == 0)).all()


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
        list(survey.places_by(name, "threshold", threshold=grid, weight=weight, **CONSUMPTION).values())
        for name in ("catastrophic_headcount", "catastrophic_overshoot")
    )
    assert len(h) == 16
    falls(h)
    falls(o)
    falls([sum(h[:-1]) * step, o[0] - o[-1], sum(h[1:]) * step])


# --- unit of money, weights, order of rows


@twice
@given(frame=surveys(), measure=st.sampled_from(list(PURE)), factor=st.sampled_from([3, 100, 10_000]))
def test_p4_the_unit_of_money_changes_nothing(
    survey: Survey, frame: pl.DataFrame, measure: str, factor: int
) -> None:
    survey.put(frame)
    before = survey.places(measure, **PURE[measure])
    survey.put(frame.with_columns(pl.col("^.*_fen$") * factor))
    same(survey.places(measure, **PURE[measure]), before)


@twice
@given(frame=surveys(), measure=st.sampled_from(list(REPEATABLE)), seed=st.integers(0, 99))
def test_p5_p6_weights_repeated_rows_and_the_order_of_rows(
    survey: Survey, frame: pl.DataFrame, measure: str, seed: int
) -> None:
    """A weight of three is three rows of one, or six of a half; nor does the order of the file decide anything."""
    times = frame.with_columns((pl.col("weight") * 2).cast(pl.Int64).alias("times"))
    repeated = times[np.repeat(np.arange(frame.height), times["times"].to_numpy())].drop("times")
    survey.put(frame)
    before = survey.places(measure, **REPEATABLE[measure])
    survey.put(repeated.with_columns(weight=pl.lit(1.0)).sample(fraction=1, shuffle=True, seed=seed))
    same(survey.places(measure, **REPEATABLE[measure]), before)


@twice
@given(frame=surveys(6, 12))
def test_p5_standard_errors_do_not_grow_smaller_by_repeating_rows(
    survey: Survey, frame: pl.DataFrame
) -> None:
    """Clusters are drawn, not rows: everybody twice in the same clusters is the same sample."""
    (_, here), *_ = places(frame)
    rows = []
    for twice_over in (here, pl.concat([here, here])):
        survey.put(twice_over)
        rows += survey.uncertain("catastrophic_headcount", threshold="0.10", **INCOME).to_dicts()
    one, two = rows
    assert (two["value"], two["se"]) == pytest.approx((one["value"], one["se"]), rel=1e-9)


# --- concentration


@few
@given(frame=surveys())
def test_p7_bounds_of_the_indices(survey: Survey, frame: pl.DataFrame) -> None:
    """Of a headcount H the index lies between H - 1 and 1 - H, Wagstaff's between -1 and 1, and so Erreygers'."""
    survey.put(frame)
    parameters = {**CONSUMPTION, "threshold": "0.10"}
    h = survey.places("catastrophic_headcount", **parameters)
    index, wagstaff, erreygers = (
        survey.places(f"catastrophic_concentration{name}", **parameters)
        for name in ("", "_wagstaff", "_erreygers")
    )
    assert (np.isnan(index) == (h == 0)).all()
    assert (np.abs(index[h > 0]) <= 1 - h[h > 0] + 1e-12).all()
    assert (np.abs(np.nan_to_num(wagstaff)) <= 1 + 1e-12).all()
    assert (np.abs(erreygers) <= 1 + 1e-12).all()


@few
@given(frame=surveys(), nobody_different=st.integers(1, 9))
def test_p7_a_mirrored_rank_turns_the_sign_and_what_all_pay_alike_is_not_concentrated(
    survey: Survey, frame: pl.DataFrame, nobody_different: int
) -> None:
    """Payments ranked by income, then by the income taken from a larger number."""
    by_income = {"living_standard": "income", "weight": "household"}
    survey.put(frame)
    paid = survey.places("payment_concentration", **by_income)
    survey.put(frame.with_columns(income_fen=100 * UNIT - pl.col("income_fen")))
    same(survey.places("payment_concentration", **by_income), -paid)
    survey.put(frame.with_columns(own_fen=pl.lit(nobody_different * UNIT)))
    same(survey.places("payment_concentration", **by_income), 0 * np.nan_to_num(paid))


# --- progressivity


@few
@given(frame=surveys(), percent=st.integers(1, 60))
def test_p8_proportional_payments_change_nothing_and_a_poll_tax_is_regressive(
    survey: Survey, frame: pl.DataFrame, percent: int
) -> None:
    living = {"living_standard": "consumption"}
    survey.put(frame.with_columns(own_fen=pl.col("consumption_fen") * percent // 100))
    gini = survey.places("gini", **living)
    for name in ("kakwani", "reynolds_smolensky", "redistributive_effect", "reranking"):
        same(survey.places(name, **living), 0 * gini)
    survey.put(frame.with_columns(own_fen=pl.col("n_members") * UNIT // 2))
    same(survey.places("kakwani", **living), -gini)


@few
@given(frame=surveys(), weight=st.sampled_from(["household", "person"]))
def test_p9_redistribution_is_the_average_rate_times_progressivity_less_reranking(
    survey: Survey, frame: pl.DataFrame, weight: str
) -> None:
    """Somebody pays in every place, and less than all have."""
    survey.put(frame.with_columns(pl.col("own_fen") + 1_000, pl.col("consumption_fen") + 9 * UNIT))
    names = ("kakwani", "reynolds_smolensky", "redistributive_effect", "reranking", "gini", "gini_net")
    k, rs, re, reranking, gini, gini_net = (
        survey.places(name, living_standard="consumption", weight=weight) for name in names
    )
    rate = survey.places("budget_share", **CONSUMPTION)  # the same per person: members cancel out
    same(rs, rate / (1 - rate) * k)
    same(re, rs - reranking)
    same(re, gini - gini_net)
    assert (reranking >= -1e-12).all()


# --- poverty and hardship


@few
@given(frame=surveys(), line=st.sampled_from(["2500", "median_60", "subsistence"]))
def test_p10_payments_push_below_the_line_and_never_out_of_poverty(
    survey: Survey, frame: pl.DataFrame, line: str
) -> None:
    """Net less gross headcount are those pushed; no gap gets smaller by paying; floored at zero it is no larger."""
    survey.put(frame)

    def ask(name: str, **more: str) -> np.ndarray:
        return survey.places(name, poverty_line=line, living_standard="consumption", **more)

    gross, net = (ask("poverty_headcount", payments=side) for side in ("gross", "net"))
    pushed = ask("impoverishment_headcount")
    same(pushed, net - gross)
    assert (pushed >= 0).all()
    for name in ("poverty_gap", "poverty_gap_squared"):
        falls([ask(name), ask(name, negative="floored"), ask(name, payments="gross")])
    same(ask("poverty_gap"), net * np.nan_to_num(ask("poverty_gap_positive")))


@few
@given(frame=surveys())
def test_p10_the_gap_grows_by_what_the_poor_pay_and_by_what_the_pushed_fall(
    survey: Survey, frame: pl.DataFrame
) -> None:
    """T of those already poor, line less what is left of those pushed, nothing of the others: household by household."""
    survey.put(frame)
    parameters = {"poverty_line": "2500", "living_standard": "consumption"}
    net, gross = (survey.places("poverty_gap", payments=side, **parameters) for side in ("net", "gross"))
    grown = []
    for _, here in places(frame):
        f, total = arrays(here), 0.0
        for own, living, size, w in zip(f.own, f.consumption, f.members, f.weight, strict=True):
            line = 250_000 * size
            total += w * (own if living < line else max(line - (living - own), 0))
        grown.append(total / (f.weight * f.members).sum() / 100)
    same(net - gross, np.array(grown), atol=1e-8)


@few
@given(frame=surveys(), living=st.sampled_from(["income", "consumption"]))
def test_p11_who_pays_nothing_suffers_no_hardship_and_who_has_nothing_left_does(
    survey: Survey, frame: pl.DataFrame, living: str
) -> None:
    """Below a very high line all who pay are impoverished; below a usual one the larger group holds the smaller."""
    survey.put(frame)
    paying = []
    for _, here in places(frame):
        f = arrays(here)
        paying.append((f.weight * f.members)[f.own > 0].sum() / (f.weight * f.members).sum())

    def ask(name: str, floor: str) -> np.ndarray:
        line = {"line_floor": floor, "line_base": "0", "line_share": "0.5"}
        return survey.places(name, living_standard=living, **line)

    names = ("financial_hardship", "impoverishing_spending", "large_not_impoverishing")
    for name, want in zip(names, (1, 1, 0), strict=True):
        same(ask(name, "100000"), want * np.array(paying))
    large, whole, between = (ask(name, "1000") for name in names)
    falls([np.array(paying), large, whole])
    same(between, large - whole)


@few
@given(frame=surveys())
def test_the_five_groups_are_everybody(survey: Survey, frame: pl.DataFrame) -> None:
    survey.put(frame)
    names = ("no_spending", "not_at_risk", "at_risk", "impoverished", "further_impoverished")
    shares = [survey.places(f"normative_{name}") for name in names]
    same(sum(shares[1:], shares[0]), np.ones(AT_ONCE))


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
        after = survey.places_by(name, "tier", **INCOME)
        assert list(after) == ["none", "basic", "medical_assistance"]
        falls(list(after.values()))
        same(after["medical_assistance"], survey.places(name, **INCOME))


@few
@given(frame=surveys(), of=st.sampled_from(["headcount", "overshoot"]), z=st.sampled_from(["0.10", "0.25"]))
def test_p14_credit_is_the_whole_fall_and_a_tier_that_pays_nothing_has_none(
    survey: Survey, frame: pl.DataFrame, of: str, z: str
) -> None:
    """With two tiers Shapley is the mean of coming first and coming last; tiers that pay alike are credited alike."""
    survey.put(frame)
    parameters = {**INCOME, "threshold": z}
    after = survey.places_by(f"catastrophic_{of}", "tier", **parameters)
    kinds = ("shapley", "first_in", "last_in", "sequential")
    credit = {kind: survey.places_by(f"{kind}_{of}", "tier", **parameters) for kind in kinds}
    for kind in ("shapley", "sequential"):
        same(
            credit[kind]["basic"] + credit[kind]["medical_assistance"],
            after["none"] - after["medical_assistance"],
        )
    for tier, value in credit["shapley"].items():
        same(value, (credit["first_in"][tier] + credit["last_in"][tier]) / 2)
    survey.put(frame.with_columns(medical_assistance_paid_fen=pl.lit(0)))
    same(survey.places_by(f"shapley_{of}", "tier", **parameters)["medical_assistance"], np.zeros(AT_ONCE))
    survey.put(frame.with_columns(medical_assistance_paid_fen=pl.col("basic_paid_fen")))
    alike = survey.places_by(f"shapley_{of}", "tier", **parameters)
    same(alike["basic"], alike["medical_assistance"])

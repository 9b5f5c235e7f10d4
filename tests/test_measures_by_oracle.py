"""Every measure of financial protection on random small surveys, against the same definition written out in NumPy
(tests/oracles/measure_oracle.py): places apart, households left out where the definition says so, undefined where it is undefined.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import polars as pl
import pytest
from households import AT_ONCE, arrays, clusters, places, surveys, table
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import measure_oracle as oracle
from oracles.measure_oracle import Households
from survey import Survey

from analytics.measures import measures

EXAMPLES = -(-int(os.environ.get("JIANFU_EXAMPLES", "200")) // AT_ONCE)  # of AT_ONCE surveys each
SHARES = ("budget_share", "budget_share_mean")
ENTROPY = ("theil", "mean_log_deviation", "atkinson")
BENEFITS = ("benefit_concentration", "benefit_progressivity")
few = settings(max_examples=EXAMPLES)
SE_PLACES = 2  # one by one: clusters are drawn over all places
Answers = Mapping[str, float]


@pytest.fixture(scope="module")
def survey() -> Iterator[Survey]:
    yield Survey()


OTHERS = [
    (8, 10, 2, 1, 2, 0, 0, 1.0, 2, 0, 0, "440400"),
    (3, 12, 3, 0, 0, 2, 0, 2.0, 3, 1, 0, "440400"),
    (3, 6, 2, 1, 4, 1, 1, 0.5, 4, 2, 1, "440400"),
    (10, 14, 6, 2, 1, 0, 0, 1.0, 1, 0, 1, "440400"),
    (12, 8, 3, 2, 3, 2, 1, 3.0, 2, 1, 2, "440400"),
    (5, 5, 4, 1, 1, 0, 0, 1.0, 1, 0, 2, "440400"),
]


def same(got: float | None, want: float, told: object = "") -> None:
    """Equal numbers, or undefined in both."""
    assert got == (pytest.approx(want, rel=1e-9, abs=1e-11) if np.isfinite(want) else None), told


def agree(
    survey: Survey,
    frame: pl.DataFrame,
    answers: Callable[[Households], Answers],
    measure: str,
    **parameters: object,
) -> None:
    """The answer of every place is what the oracle says of it; undefined where it says nothing."""
    survey.put(frame)
    got = survey.values(measure, "city", **parameters)
    for city, here in places(frame):
        same(got[city], answers(arrays(here)).get(measure, np.nan), here.rows(named=True))


# --- catastrophic spending

RESOURCES: dict[str, Callable[[Households], np.ndarray]] = {
    "income": lambda f: f.income,
    "consumption": lambda f: f.consumption,
    "nonfood": lambda f: f.consumption - f.food,
    "capacity_to_pay": oracle.capacity_to_pay,
    "normative": lambda f: f.consumption - oracle.basic_needs(f),
    "discretionary": lambda f: (
        f.income - oracle.societal_line(f, f.income, 300_000, 100_000, 0.5, True) * f.members
    ),
}
CATASTROPHIC = (
    "catastrophic_headcount", "catastrophic_overshoot", "mean_positive_overshoot", "catastrophic_headcount_weighted",
    "catastrophic_overshoot_weighted", "catastrophic_concentration", "catastrophic_concentration_generalised",
    "catastrophic_concentration_wagstaff", "catastrophic_concentration_erreygers", "overshoot_concentration",
    "overshoot_concentration_generalised",
)  # fmt: skip
SOCIETAL = {"line_floor": "3000", "line_base": "1000", "line_share": "0.5", "line_of": "net"}


def catastrophe(f: Households, resource: str, z: float, weight: str) -> Answers:
    amount = RESOURCES[resource](f)
    if resource == "nonfood":
        f, amount = f.keep(amount > 0), amount[amount > 0]
    if not len(amount):
        return {}
    living = f.income if resource in ("income", "discretionary") else f.consumption
    each, w = (living / f.members, f.weight * f.members) if weight == "person" else (living, f.weight)
    return oracle.catastrophe(f.own, amount, z, w, each, reached=resource == "capacity_to_pay")


@few
@given(
    frame=surveys(), measure=st.sampled_from(CATASTROPHIC), resource=st.sampled_from(list(RESOURCES)),
    z=st.sampled_from(["0.05", "0.10", "0.20", "0.25", "0.40", "1.00"]), weight=st.sampled_from(["household", "person"]),
)  # fmt: skip
def test_catastrophic_spending(
    survey: Survey, frame: pl.DataFrame, measure: str, resource: str, z: str, weight: str
) -> None:
    more = SOCIETAL if resource == "discretionary" else {}
    of = partial(catastrophe, resource=resource, z=float(z), weight=weight)
    agree(survey, frame, of, measure, resource=resource, threshold=z, weight=weight, **more)


@few
@given(
    frame=surveys(), measure=st.sampled_from(SHARES),
    resource=st.sampled_from(["income", "consumption", "nonfood"]), weight=st.sampled_from(["household", "person"]),
)  # fmt: skip
def test_budget_shares(survey: Survey, frame: pl.DataFrame, measure: str, resource: str, weight: str) -> None:
    """Ratio of sums and mean of ratios; without positive resources there is no share."""

    def shares(f: Households) -> Answers:
        amount = RESOURCES[resource](f)
        f, amount = f.keep(amount > 0), amount[amount > 0]
        if not len(amount):
            return {}
        w = f.weight * (f.members if weight == "person" else 1)
        return {
            "budget_share": (w * f.own).sum() / (w * amount).sum(),
            "budget_share_mean": oracle.mean(f.own / amount, w),
        }

    agree(survey, frame, shares, measure, resource=resource, weight=weight)


# --- poverty and hardship

LINES: dict[str, Callable[[Households], np.ndarray]] = {
    "3000": lambda f: 300_000 * f.members,
    "median_40": lambda f: oracle.half_up(oracle.median_line(f, f.consumption, 0.4) * f.members),
    "median_50": lambda f: oracle.half_up(oracle.median_line(f, f.consumption, 0.5) * f.members),
    "median_60": lambda f: oracle.half_up(oracle.median_line(f, f.consumption, 0.6) * f.members),
    "societal": lambda f: oracle.societal_line(f, f.consumption, 300_000, 100_000, 0.5, True) * f.members,
    "subsistence": lambda f: oracle.half_up(oracle.subsistence(f) * f.members**0.56),
}
OF_LEFT = (
    "poverty_headcount",
    "poverty_gap",
    "poverty_gap_normalised",
    "poverty_gap_squared",
    "poverty_gap_positive",
)
POVERTY = (*OF_LEFT, "impoverishment_headcount", "further_impoverished")


@few
@given(
    frame=surveys(), measure=st.sampled_from(POVERTY), line=st.sampled_from(list(LINES)),
    payments=st.sampled_from(["net", "gross"]), negative=st.sampled_from(["kept", "floored"]),
)  # fmt: skip
def test_poverty(
    survey: Survey, frame: pl.DataFrame, measure: str, line: str, payments: str, negative: str
) -> None:
    def poverty(f: Households) -> Answers:
        left = f.consumption if payments == "gross" and measure in OF_LEFT else f.consumption - f.own
        left = np.maximum(left, 0) if negative == "floored" else left
        need, size = LINES[line](f), f.members**0.56 if line == "subsistence" else f.members
        w = f.weight * f.members
        return oracle.poverty(left, need, size, w) | oracle.impoverishment(
            f.consumption, left, f.own, need, w
        )

    more = {"payments": payments} if measure in OF_LEFT else {}
    more |= SOCIETAL if line == "societal" else {}
    common = {"poverty_line": line, "living_standard": "consumption", "negative": negative}
    agree(survey, frame, poverty, measure, **common, **more)


HARDSHIP = ("financial_hardship", "impoverishing_spending", "large_not_impoverishing")


@few
@given(
    frame=surveys(), line_of=st.sampled_from(["net", "gross"]), living=st.sampled_from(["income", "consumption"]),
    measure=st.sampled_from(HARDSHIP),
)  # fmt: skip
def test_financial_hardship(
    survey: Survey, frame: pl.DataFrame, line_of: str, living: str, measure: str
) -> None:
    """SDG 3.8.2 as revised; the societal line of each place from the median net or gross of payments."""

    def hardship(f: Households) -> Answers:
        amount = getattr(f, living)
        line = oracle.societal_line(f, amount, 300_000, 100_000, 0.5, line_of == "net")
        return oracle.hardship(f.own, amount, f.members, f.weight, line)

    parameters = {**SOCIETAL, "line_of": line_of, "living_standard": living}
    agree(survey, frame, hardship, measure, **parameters)


FIVE = (
    "normative_no_spending", "normative_not_at_risk", "normative_at_risk", "normative_impoverished", "normative_further_impoverished",
)  # fmt: skip


@few
@given(frame=surveys(), group=st.sampled_from(FIVE))
def test_five_groups(survey: Survey, frame: pl.DataFrame, group: str) -> None:
    agree(survey, frame, oracle.five_groups, group)


# --- progressivity and inequality

PROGRESSIVITY = (
    "gini", "gini_net", "payment_concentration", "net_concentration", "kakwani", "reynolds_smolensky", "redistributive_effect",
    "reranking",
)  # fmt: skip
SCALES: dict[str, Callable[[Households], np.ndarray]] = {
    "none": lambda f: np.ones(len(f.own)),
    "per_capita": lambda f: f.members,
    "square_root": lambda f: np.sqrt(f.members),
    "who": lambda f: f.members**0.56,
}


@few
@given(
    frame=surveys(), measure=st.sampled_from(PROGRESSIVITY), scale=st.sampled_from(["auto", *SCALES]),
    weight=st.sampled_from(["household", "person"]),
)  # fmt: skip
def test_progressivity(survey: Survey, frame: pl.DataFrame, measure: str, scale: str, weight: str) -> None:
    used = scale if scale != "auto" else "per_capita" if weight == "person" else "none"

    def progressivity(f: Households) -> Answers:
        size, w = SCALES[used](f), f.weight * (f.members if weight == "person" else 1)
        return oracle.progressivity(f.consumption / size, f.own / size, w)

    # somewhat more for all: a mean of nothing but rounding has no index worth comparing
    frame = frame.with_columns(pl.col("consumption_fen") + 3_777_777)
    parameters = {"living_standard": "consumption", "scale": scale, "weight": weight}
    agree(survey, frame, progressivity, measure, **parameters)


@few
@given(frame=surveys(), nu=st.sampled_from(["1.5", "2", "3", "4"]))
def test_extended_concentration(survey: Survey, frame: pl.DataFrame, nu: str) -> None:
    """With weights that are no binary fractions, so that shares add up to one only nearly."""

    def extended(f: Households) -> Answers:
        each, w = f.income / f.members, f.weight * f.members
        return {"payment_concentration": oracle.concentration(f.own / f.members, each, w, float(nu))}

    agree(survey, frame.with_columns(pl.col("weight") * 0.7), extended, "payment_concentration", nu=nu)


@few
@given(
    frame=surveys(), measure=st.sampled_from(ENTROPY),
    payments=st.sampled_from(["net", "gross"]),
)  # fmt: skip
def test_entropy(survey: Survey, frame: pl.DataFrame, measure: str, payments: str) -> None:
    """Who has nothing, or less, has no logarithm: left out."""

    def entropy(f: Households) -> Answers:
        left = (f.consumption - f.own if payments == "net" else f.consumption) / f.members
        return oracle.entropy(left, f.weight * f.members) if (left > 0).any() else {}

    agree(survey, frame, entropy, measure, payments=payments, living_standard="consumption")


@few
@given(frame=surveys(), measure=st.sampled_from(BENEFITS))
def test_benefits(survey: Survey, frame: pl.DataFrame, measure: str) -> None:
    """Concentration of what each tier paid, and less the Gini."""
    survey.put(frame)
    got = survey.places_by(measure, "tier", living_standard="consumption")
    for tier in ("basic", "medical_assistance"):
        for value, (_, here) in zip(got[tier], places(frame), strict=True):
            f = arrays(here)
            each, w = f.consumption / f.members, f.weight * f.members
            paid = here[f"{tier}_paid_fen"].to_numpy() / f.members
            want = oracle.concentration(paid, each, w)
            want -= oracle.gini(each, w) if measure == "benefit_progressivity" else 0
            assert value == pytest.approx(want, rel=1e-9, abs=1e-11, nan_ok=True)


def test_every_measure_of_households_is_compared() -> None:
    """A new one needs its definition written out; credit: tests/test_rand_replay.py."""
    compared = {*CATASTROPHIC, *SHARES, *POVERTY, *HARDSHIP, *FIVE, *PROGRESSIVITY, *ENTROPY, *BENEFITS}
    asked = {m.id for m in measures().values() if m.grain == "household_year" and not m.credit}
    assert compared == asked


# --- missing is not zero

NEEDED = [
    ("catastrophic_headcount", "income_fen", {"resource": "income"}),
    ("catastrophic_overshoot", "consumption_fen", {"resource": "consumption"}),
    ("catastrophic_headcount", "food_fen", {"resource": "nonfood"}),
    ("catastrophic_headcount", "food_fen", {"resource": "capacity_to_pay"}),
    ("catastrophic_overshoot", "n_members", {"resource": "capacity_to_pay"}),
    ("catastrophic_headcount", "n_children", {"resource": "normative"}),
    ("catastrophic_headcount", "n_members", {"resource": "income", "weight": "person"}),
    ("catastrophic_headcount_weighted", "income_fen", {"resource": "income"}),
    ("catastrophic_concentration", "income_fen", {"resource": "consumption", "living_standard": "income"}),
    ("catastrophic_headcount", "income_fen", {"resource": "discretionary"}),
    ("budget_share", "income_fen", {"resource": "income"}),
    ("poverty_headcount", "consumption_fen", {"living_standard": "consumption"}),
    ("poverty_gap", "n_members", {"poverty_line": "2500"}),
    ("impoverishment_headcount", "income_fen", {"living_standard": "income"}),
    ("financial_hardship", "income_fen", {"living_standard": "income"}),
    ("gini", "n_members", {}),
    ("kakwani", "income_fen", {}),
    ("reranking", "consumption_fen", {"living_standard": "consumption"}),
    ("theil", "income_fen", {}),
    ("mean_log_deviation", "n_members", {"living_standard": "consumption"}),
]


@pytest.mark.parametrize(("measure", "column", "parameters"), NEEDED)
def test_a_household_without_a_column_is_left_out_and_counted(
    survey: Survey, measure: str, column: str, parameters: dict[str, str]
) -> None:
    """The answer is that of the others, as if it had not come; what it lacks is neither zero nor one."""
    others = table(OTHERS)
    survey.put(others)
    (before,) = survey.raw(measure, (), **parameters).table.to_dicts()
    lacking = others[:1].with_columns(
        pl.lit(None, others.schema[column]).alias(column), own_fen=pl.lit(1, pl.Int64)
    )
    survey.put(pl.concat([others, lacking]))
    (after,) = survey.raw(measure, (), **parameters).table.to_dicts()
    assert before["value"] is not None
    assert after["value"] == pytest.approx(before["value"], rel=1e-12)
    assert (after["n"], after["n_excluded"]) == (before["n"], before["n_excluded"] + 1)


UNDEFINED = (
    *PROGRESSIVITY,
    "theil",
    "mean_log_deviation",
    "atkinson",
    "mean_positive_overshoot",
    "budget_share",
)
UNDEFINED += ("budget_share_mean", "catastrophic_concentration", "catastrophic_concentration_wagstaff")
UNDEFINED += (
    "overshoot_concentration",
    "poverty_gap_positive",
    "benefit_concentration",
    "benefit_progressivity",
)


@pytest.mark.parametrize("measure", UNDEFINED)
def test_an_index_of_nothing_is_undefined(survey: Survey, measure: str) -> None:
    """Nobody has anything, nobody pays: there is no number, and none that only looks like one (NaN)."""
    nothing = {name: pl.lit(0, pl.Int64) for name in ("income_fen", "consumption_fen", "own_fen")}
    survey.put(table(OTHERS).with_columns(**nothing, basic_paid_fen=pl.lit(0, pl.Int64)))
    more = {"poverty_line": "0"} if measure == "poverty_gap_positive" else {}
    by = ("tier",) if measure.startswith("benefit") else ()
    rows = survey.raw(measure, by, **more).table
    assert rows["value"][0] is None


# --- standard errors


@few
@given(
    frame=surveys(4, 14), measure=st.sampled_from(["catastrophic_headcount", "catastrophic_overshoot", "mean_positive_overshoot"]),
    strata=st.booleans(),
)  # fmt: skip
def test_linearised_standard_errors(survey: Survey, frame: pl.DataFrame, measure: str, strata: bool) -> None:
    """Clusters drawn with replacement within strata; of one cluster, and of nothing, there is no error."""
    for city, here in list(places(frame))[:SE_PLACES]:
        stratum = np.array([int(c) % 2 if strata else 0 for c in clusters(here)])
        survey.put(here.with_columns(stratum_id=pl.Series([str(s) for s in stratum])))
        f = arrays(here)
        e, o = oracle.hit(f.own, f.income, 0.1), oracle.over(f.own, f.income, 0.1)
        top, bottom = {
            "catastrophic_headcount": (e, np.ones(len(e))),
            "catastrophic_overshoot": (o, np.ones(len(e))),
            "mean_positive_overshoot": (o, e),
        }[measure]
        (row,) = survey.uncertain(measure, resource="income", threshold="0.10").to_dicts()
        lonely = any(len(set(clusters(here)[stratum == s])) < 2 for s in set(stratum))
        if lonely or not (f.weight * bottom).sum():
            assert row["se"] is None, city
        else:
            want = oracle.linearised(top, bottom, f.weight, clusters(here), stratum)
            assert row["se"] == pytest.approx(want, rel=1e-9, abs=1e-12), city


@few
@given(frame=surveys(5, 14))
def test_convenient_standard_errors(survey: Survey, frame: pl.DataFrame) -> None:
    """Regression on the rank; without payments, or where all rank alike, there is nothing to regress."""
    for city, here in list(places(frame))[:SE_PLACES]:
        survey.put(here)
        f = arrays(here)
        each, paid, w = f.consumption / f.members, f.own / f.members, f.weight * f.members
        (row,) = survey.uncertain("payment_concentration", living_standard="consumption").to_dicts()
        if not paid.any() or len(set(clusters(here))) < 2 or len(set(each)) < 2:
            assert row["se"] is None, city
        else:
            want = oracle.convenient(paid, each, w, clusters(here))
            assert row["se"] == pytest.approx(want, rel=1e-7, abs=1e-10), city

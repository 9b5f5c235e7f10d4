"""Every measure of financial protection on random small surveys, against the same definition written out in NumPy
(tests/oracles/measure_oracle.py): places apart, households left out where the definition says so, undefined where it is undefined.
"""

import os
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import polars as pl
import pytest
from households import CITIES, arrays, clusters, surveys, table
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import measure_oracle as oracle
from oracles.measure_oracle import Households
from survey import Survey

EXAMPLES = int(os.environ.get("JIANFU_EXAMPLES", "12"))
Answers = Mapping[str, float]


@pytest.fixture(scope="module")
def survey() -> Iterator[Survey]:
    yield Survey()


OTHERS = [
    (8, 10, 2, 1, 2, 0, 0, 1.0, 2, 0, 0, CITIES[0]),
    (3, 12, 3, 0, 0, 2, 0, 2.0, 3, 1, 0, CITIES[0]),
    (3, 6, 2, 1, 4, 1, 1, 0.5, 4, 2, 1, CITIES[0]),
    (10, 14, 6, 2, 1, 0, 0, 1.0, 1, 0, 1, CITIES[0]),
    (12, 8, 3, 2, 3, 2, 1, 3.0, 2, 1, 2, CITIES[0]),
    (5, 5, 4, 1, 1, 0, 0, 1.0, 1, 0, 2, CITIES[0]),
]


def same(got: float | None, want: float) -> None:
    """Equal numbers, or undefined in both."""
    assert got == (pytest.approx(want, rel=1e-9, abs=1e-11) if np.isfinite(want) else None)


def agree(survey: Survey, measure: str, expected: Mapping[str, Answers], **parameters: object) -> None:
    """The answer by city is what the oracle says of each; undefined where it says nothing."""
    got = survey.values(measure, "city", **parameters)
    for city, of in expected.items():
        same(got[city], of.get(measure, np.nan))


def each_city(frame: pl.DataFrame, answers: Callable[[Households], Answers]) -> dict[str, Answers]:
    found = {}
    for city in CITIES:
        here = frame.filter(pl.col("city") == city)
        if here.height:
            found[city] = answers(arrays(here))
    return found


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
    person = weight == "person"
    living = f.income if resource in ("income", "discretionary") else f.consumption
    found = oracle.catastrophe(
        f.own, amount, z, f.weight * (f.members if person else 1), living / f.members if person else living,
        reached=resource == "capacity_to_pay",
    )  # fmt: skip
    return found


@settings(max_examples=2 * EXAMPLES)
@given(
    frame=surveys(), measure=st.sampled_from(CATASTROPHIC), resource=st.sampled_from(list(RESOURCES)),
    z=st.sampled_from(["0.05", "0.10", "0.20", "0.25", "0.40", "1.00"]), weight=st.sampled_from(["household", "person"]),
)  # fmt: skip
def test_catastrophic_spending(
    survey: Survey, frame: pl.DataFrame, measure: str, resource: str, z: str, weight: str
) -> None:
    survey.put(frame)
    expected = each_city(frame, lambda f: catastrophe(f, resource, float(z), weight))
    more = SOCIETAL if resource == "discretionary" else {}
    agree(survey, measure, expected, resource=resource, threshold=z, weight=weight, **more)


@settings(max_examples=EXAMPLES)
@given(frame=surveys(), resource=st.sampled_from(["income", "consumption", "nonfood"]), person=st.booleans())
def test_budget_shares(survey: Survey, frame: pl.DataFrame, resource: str, person: bool) -> None:
    """Ratio of sums and mean of ratios; without positive resources there is no share."""
    survey.put(frame)

    def shares(f: Households) -> Answers:
        amount = RESOURCES[resource](f)
        f, amount = f.keep(amount > 0), amount[amount > 0]
        w = f.weight * (f.members if person else 1)
        if not len(w):
            return {}
        return {
            "budget_share": (w * f.own).sum() / (w * amount).sum(),
            "budget_share_mean": oracle.mean(f.own / amount, w),
        }

    for measure in ("budget_share", "budget_share_mean"):
        weight = "person" if person else "household"
        agree(survey, measure, each_city(frame, shares), resource=resource, weight=weight)


# --- poverty and hardship

LINES: dict[str, Callable[[Households], np.ndarray]] = {
    "3000": lambda f: 300_000 * f.members,
    "median_40": lambda f: oracle.half_up(oracle.median_line(f, f.consumption, 0.4) * f.members),
    "median_50": lambda f: oracle.half_up(oracle.median_line(f, f.consumption, 0.5) * f.members),
    "median_60": lambda f: oracle.half_up(oracle.median_line(f, f.consumption, 0.6) * f.members),
    "societal": lambda f: oracle.societal_line(f, f.consumption, 300_000, 100_000, 0.5, True) * f.members,
    "subsistence": lambda f: oracle.half_up(oracle.subsistence(f) * f.members**0.56),
}
POVERTY = (
    "poverty_headcount",
    "poverty_gap",
    "poverty_gap_normalised",
    "poverty_gap_squared",
    "poverty_gap_positive",
)
POVERTY += ("impoverishment_headcount", "further_impoverished")


@settings(max_examples=2 * EXAMPLES)
@given(
    frame=surveys(), measure=st.sampled_from(POVERTY), line=st.sampled_from(list(LINES)), net=st.booleans(), floored=st.booleans(),
)  # fmt: skip
def test_poverty(
    survey: Survey, frame: pl.DataFrame, measure: str, line: str, net: bool, floored: bool
) -> None:
    survey.put(frame)

    def poverty(f: Households) -> Answers:
        left = f.consumption - f.own if net or measure not in POVERTY[:5] else f.consumption
        left = np.maximum(left, 0) if floored else left
        size = f.members**0.56 if line == "subsistence" else f.members
        found = oracle.poverty(left, LINES[line](f), size, f.weight * f.members)
        return found | oracle.impoverishment(f.consumption, left, f.own, LINES[line](f), f.weight * f.members)

    more: dict[str, str] = {"payments": "net" if net else "gross"} if measure in POVERTY[:5] else {}
    more |= SOCIETAL if line == "societal" else {}
    negative = "floored" if floored else "kept"
    expected = each_city(frame, poverty)
    agree(
        survey, measure, expected, poverty_line=line, living_standard="consumption", negative=negative, **more
    )


HARDSHIP = ("financial_hardship", "impoverishing_spending", "large_not_impoverishing")


@settings(max_examples=EXAMPLES)
@given(
    frame=surveys(), net=st.booleans(), living=st.sampled_from(["income", "consumption"]), measure=st.sampled_from(HARDSHIP),
)  # fmt: skip
def test_financial_hardship(
    survey: Survey, frame: pl.DataFrame, net: bool, living: str, measure: str
) -> None:
    """SDG 3.8.2 as revised; the societal line of each place from the median net or gross of payments."""
    survey.put(frame)

    def hardship(f: Households) -> Answers:
        amount = getattr(f, living)
        line = oracle.societal_line(f, amount, 300_000, 100_000, 0.5, net)
        return oracle.hardship(f.own, amount, f.members, f.weight, line)

    parameters = {**SOCIETAL, "line_of": "net" if net else "gross", "living_standard": living}
    agree(survey, measure, each_city(frame, hardship), **parameters)


FIVE = (
    "normative_no_spending", "normative_not_at_risk", "normative_at_risk", "normative_impoverished", "normative_further_impoverished",
)  # fmt: skip


@settings(max_examples=2 * EXAMPLES)
@given(frame=surveys(), group=st.sampled_from(FIVE))
def test_five_groups(survey: Survey, frame: pl.DataFrame, group: str) -> None:
    survey.put(frame)
    agree(survey, group, each_city(frame, oracle.five_groups))


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


@settings(max_examples=2 * EXAMPLES)
@given(
    frame=surveys(), measure=st.sampled_from(PROGRESSIVITY), scale=st.sampled_from(["auto", *SCALES]), person=st.booleans(),
)  # fmt: skip
def test_progressivity(survey: Survey, frame: pl.DataFrame, measure: str, scale: str, person: bool) -> None:
    survey.put(frame)
    used = scale if scale != "auto" else "per_capita" if person else "none"

    def progressivity(f: Households) -> Answers:
        size = SCALES[used](f)
        return oracle.progressivity(
            f.consumption / size, f.own / size, f.weight * (f.members if person else 1)
        )

    expected = each_city(frame, progressivity)
    for city in list(expected):  # a mean of nothing but rounding has no index worth comparing
        f = arrays(frame.filter(pl.col("city") == city))
        left = f.weight * (f.consumption - f.own) / SCALES[used](f) * (f.members if person else 1)
        if abs(left.sum()) < 1e-6:
            del expected[city]
    weight = "person" if person else "household"
    agree(survey, measure, expected, living_standard="consumption", scale=scale, weight=weight)


@settings(max_examples=EXAMPLES)
@given(frame=surveys(), nu=st.sampled_from(["1.5", "2", "3", "4"]))
def test_extended_concentration(survey: Survey, frame: pl.DataFrame, nu: str) -> None:
    """With weights that are no binary fractions, so that shares add up to one only nearly."""
    frame = frame.with_columns(pl.col("weight") * 0.7)
    survey.put(frame)

    def extended(f: Households) -> Answers:
        each, w = f.income / f.members, f.weight * f.members
        return {"payment_concentration": oracle.concentration(f.own / f.members, each, w, float(nu))}

    agree(survey, "payment_concentration", each_city(frame, extended), nu=nu)


@settings(max_examples=EXAMPLES)
@given(
    frame=surveys(), measure=st.sampled_from(["theil", "mean_log_deviation", "atkinson"]), net=st.booleans()
)
def test_entropy(survey: Survey, frame: pl.DataFrame, measure: str, net: bool) -> None:
    """Who has nothing, or less, has no logarithm: left out."""
    survey.put(frame)

    def entropy(f: Households) -> Answers:
        left = (f.consumption - f.own if net else f.consumption) / f.members
        return oracle.entropy(left, f.weight * f.members) if (left > 0).any() else {}

    payments = "net" if net else "gross"
    agree(survey, measure, each_city(frame, entropy), payments=payments, living_standard="consumption")


@settings(max_examples=EXAMPLES)
@given(frame=surveys(), less_gini=st.booleans())
def test_benefits(survey: Survey, frame: pl.DataFrame, less_gini: bool) -> None:
    """Concentration of what each tier paid, and less the Gini: both tiers of the survey."""
    survey.put(frame)
    f = arrays(frame)
    each, w = f.consumption / f.members, f.weight * f.members
    measure = "benefit_progressivity" if less_gini else "benefit_concentration"
    got = survey.values(measure, "tier", living_standard="consumption")
    for tier in ("basic", "medical_assistance"):
        paid = frame[f"{tier}_paid_fen"].to_numpy() / f.members
        want = oracle.concentration(paid, each, w) - (oracle.gini(each, w) if less_gini else 0)
        same(got[tier], want)


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


@settings(max_examples=EXAMPLES)
@given(
    frame=surveys(6, 14), measure=st.sampled_from(["catastrophic_headcount", "catastrophic_overshoot", "mean_positive_overshoot"]),
)  # fmt: skip
def test_linearised_standard_errors(survey: Survey, frame: pl.DataFrame, measure: str) -> None:
    survey.put(frame)
    f = arrays(frame)
    e, o = oracle.hit(f.own, f.income, 0.1), oracle.over(f.own, f.income, 0.1)
    top, bottom = {
        "catastrophic_headcount": (e, np.ones(len(e))),
        "catastrophic_overshoot": (o, np.ones(len(e))),
        "mean_positive_overshoot": (o, e),
    }[measure]
    (row,) = survey.uncertain(measure, resource="income", threshold="0.10").to_dicts()
    if not (f.weight * bottom).sum() or len(set(clusters(frame))) < 2:
        assert row["se"] is None
    else:
        want = oracle.linearised(top, bottom, f.weight, clusters(frame))
        assert row["se"] == pytest.approx(want, rel=1e-9, abs=1e-12)


@settings(max_examples=EXAMPLES)
@given(frame=surveys(6, 14))
def test_convenient_standard_errors(survey: Survey, frame: pl.DataFrame) -> None:
    survey.put(frame)
    f = arrays(frame)
    each, paid, w = f.consumption / f.members, f.own / f.members, f.weight * f.members
    (row,) = survey.uncertain("payment_concentration", living_standard="consumption").to_dicts()
    if not paid.any() or len(set(clusters(frame))) < 2 or len(set(each)) < 2:
        assert row["se"] is None
    else:
        want = oracle.convenient(paid, each, w, clusters(frame))
        assert row["se"] == pytest.approx(want, rel=1e-7, abs=1e-10)

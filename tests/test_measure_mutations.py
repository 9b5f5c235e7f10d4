"""Would a wrong measure be noticed? Faults are put into the catalogue, the grammar and the compiled SQL, one at a time; each must move
an answer off its expected number, which without the fault is met.

Expected numbers: exact fractions (tests/oracles/tiny10.toml) or the definition written out in NumPy. A fault whose place is no
longer found is an error: the list cannot rot.
"""

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from households import arrays, clusters, table
from oracles import measure_oracle as oracle
from oracles.expected import checks, number, read
from survey import Survey

import analytics.measures as measures_wing
from analytics.measures import form, measures

HERE = Path(measures_wing.__file__).parent
TINY = read("tiny10")

# Ties, nothing to spend, more food than consumption, households on a threshold, unequal weights and clusters; columns: NAMES.
ROWS = [
    (-2, 10, 2, 1, 1.8, 0, 0, 1.0, 2, 0, 0, "440400"),
    (0, 12, 2, 0, 0, 2, 0, 2.0, 3, 1, 0, "440400"),
    (3, 12, 2, 1, 4, 1, 1, 0.5, 4, 2, 1, "440400"),
    (10, 14, 6, 2, 1, 0, 0, 1.0, 1, 0, 1, "440400"),
    (10, 6, 3, 2, 2, 2, 1, 3.0, 2, 1, 2, "440400"),
    (5, 4, 5, 1, 1, 0, 0, 1.0, 1, 0, 2, "440400"),
    (8, 9, 4, 3, 9, 6, 0, 1.0, 5, 3, 3, "440400"),
    (14, 13, 5, 0, 0, 0, 2, 2.0, 2, 0, 3, "440400"),
    (10, 5, 2, 1, 3, 1, 0, 0.5, 3, 1, 3, "440400"),
    (2, 4, 1, 3, 0, 0, 1, 1.0, 3, 2, 1, "440400"),
    (7, 8, 1, 2, 2, 0, 0, 1.0, 4, 2, 0, "440800"),
    (1, 7, 3, 1, 9, 2, 1, 2.0, 1, 0, 1, "440800"),
    (12, 11, 4, 2, 1, 6, 0, 1.0, 3, 1, 2, "440800"),
    (4, 10, 6, 3, 0, 0, 1, 3.0, 2, 0, 2, "440800"),
]  # fmt: skip
STRATA = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1])  # of the same households
SOCIETAL = {"line_floor": "1500", "line_base": "1000", "line_share": "0.5", "line_of": "net"}


@dataclass(frozen=True)
class Case:
    """A question about one of the surveys and its answer; `city` where it is cut by city, `tier` by tier."""

    data: str
    measure: str
    parameters: dict[str, str]
    expected: float
    by: str = ""
    cell: str = ""
    column: str = "value"


def tiny() -> dict[str, Case]:
    cases = {}
    for check in checks("tiny10"):
        cases[str(check)] = Case("tiny", check.measure, check.parameters(), check.value)
    for z, of in TINY["coalition"].items():
        for name in ("shapley_headcount", "first_in_headcount", "last_in_headcount", "sequential_headcount"):
            for tier, value in of[name].items():
                parameters = {"threshold": z, "resource": "consumption"}
                cases[f"{name}-{z}-{tier}"] = Case("tiny", name, parameters, number(value), "tier", tier)
        for tier, mask in (("none", 0), ("basic", 1), ("serious_illness", 3)):
            cases[f"after-{z}-{tier}"] = Case(
                "tiny", "catastrophic_headcount", parameters, number(of["headcount"][mask]), "tier", tier
            )
    return cases


def crowd() -> dict[str, Case]:
    """Answers of the oracle, of both places together where lines do not differ by place, else of one."""
    cases: dict[str, Case] = {}
    frame = table(ROWS)
    both, one = arrays(frame), arrays(frame.filter(pl.col("city") == "440400"))

    def add(name: str, measure: str, value: float, by: str = "", cell: str = "", **parameters: str) -> None:
        cases[name] = Case("crowd", measure, parameters, float(value), by, cell)

    for resource, amount in (("income", both.income), ("nonfood", both.consumption - both.food)):
        kept = amount > 0 if resource == "nonfood" else amount > -np.inf
        f, x = both.keep(kept), amount[kept]
        living = f.income if resource == "income" else f.consumption
        for measure, value in oracle.catastrophe(f.own, x, 0.1, f.weight, living).items():
            add(f"{resource}-{measure}", measure, value, resource=resource, threshold="0.10")
    here = {"by": "city", "cell": "440400"}
    found = oracle.catastrophe(one.own, one.consumption, 0.1, one.weight, one.consumption)
    add("city-concentration", "catastrophic_concentration", found["catastrophic_concentration"], resource="consumption",
        threshold="0.10", **here)  # fmt: skip
    found = oracle.catastrophe(one.own, oracle.capacity_to_pay(one), 0.4, one.weight, one.consumption, True)
    for measure in ("catastrophic_headcount", "catastrophic_overshoot"):
        add(f"xu-{measure}", measure, found[measure], resource="capacity_to_pay", **here)
    for measure, value in oracle.five_groups(one).items():
        add(measure, measure, value, **here)
    w, each, paid = both.weight * both.members, both.consumption / both.members, both.own / both.members
    consumption = {"living_standard": "consumption"}
    for measure, value in (oracle.progressivity(each, paid, w) | oracle.entropy(each, w)).items():
        add(measure, measure, value, **consumption)
    add("extended", "payment_concentration", oracle.concentration(paid, each, w, 3), nu="3", **consumption)
    basic = frame["basic_paid_fen"].to_numpy() / both.members
    add(
        "benefit",
        "benefit_concentration",
        oracle.concentration(basic, each, w),
        by="tier",
        cell="basic",
        **consumption,
    )
    need = 250_000 * both.members
    for left, negative in (
        (both.consumption - both.own, "kept"),
        (np.maximum(both.consumption - both.own, 0), "floored"),
    ):
        found = oracle.poverty(left, need, both.members, w) | oracle.impoverishment(
            both.consumption, left, both.own, need, w
        )
        for measure, value in found.items():
            add(
                f"{negative}-{measure}", measure, value, poverty_line="2500", negative=negative, **consumption
            )
    found = oracle.poverty(both.consumption, 300_000 * both.members, both.members, w)
    add(
        "on-the-line",
        "poverty_headcount",
        found["poverty_headcount"],
        poverty_line="3000",
        payments="gross",
        **consumption,
    )
    line = oracle.subsistence(one) * one.members**0.56
    found = oracle.poverty(one.consumption, oracle.half_up(line), one.members**0.56, one.weight * one.members)
    add(
        "subsistence",
        "poverty_gap_normalised",
        found["poverty_gap_normalised"],
        poverty_line="subsistence",
        payments="gross",
        **consumption,
        **here,
    )
    for net, name in ((True, "net"), (False, "gross")):
        line = oracle.societal_line(one, one.consumption, 150_000, 100_000, 0.5, net)
        found = oracle.poverty(one.consumption, line * one.members, one.members, one.weight * one.members)
        add(f"societal-{name}", "poverty_gap", found["poverty_gap"], poverty_line="societal", payments="gross",
            **{**SOCIETAL, "line_of": name}, **consumption, **here)  # fmt: skip
        for measure, value in oracle.hardship(
            one.own, one.consumption, one.members, one.weight, line
        ).items():
            add(f"{measure}-{name}", measure, value, **{**SOCIETAL, "line_of": name}, **consumption, **here)
    cases |= errors(frame)
    # 29 of 100 is 0.29 and not above it, though 0.29 * 100 is 28.999999999999996
    cases["edge"] = Case("edge", "catastrophic_headcount", {"resource": "income", "threshold": "0.29"}, 0.0)
    return cases


def errors(frame: pl.DataFrame) -> dict[str, Case]:
    """Standard errors of ratios and of concentration indices, with the clusters and with the strata of the survey."""
    f, own_clusters = arrays(frame), clusters(frame)
    e, o = oracle.hit(f.own, f.income, 0.1), oracle.over(f.own, f.income, 0.1)
    income = {"resource": "income", "threshold": "0.10"}
    mpo = oracle.linearised(o, e, f.weight, own_clusters)
    strata = oracle.linearised(o, e, f.weight, own_clusters, STRATA)
    half = 1.959963984540054 * mpo
    food = f.keep(f.consumption > f.food)
    kept = own_clusters[f.consumption > f.food]
    hits = oracle.hit(food.own, food.consumption - food.food, 0.1)
    nonfood = oracle.linearised(hits, np.ones(len(hits)), food.weight, kept)
    w, each, paid = f.weight * f.members, f.consumption / f.members, f.own / f.members
    index = oracle.convenient(paid, each, w, own_clusters)
    measure = "mean_positive_overshoot"
    return {
        "se-ratio": Case("crowd", measure, income, mpo, column="se"),
        "se-low": Case("crowd", measure, income, oracle.mean(o, f.weight) / oracle.mean(e, f.weight) - half, column="ci_low"),
        "se-strata": Case("strata", measure, income, strata, column="se"),
        "se-nonfood": Case("crowd", "catastrophic_headcount", {"resource": "nonfood", "threshold": "0.10"}, nonfood, column="se"),
        "se-index": Case("crowd", "payment_concentration", {"living_standard": "consumption"}, index, column="se"),
        "se-gini": Case("crowd", "gini", {"living_standard": "consumption"}, oracle.convenient(each, each, w, own_clusters), column="se"),
    }  # fmt: skip


CASES = tiny() | crowd()


@dataclass(frozen=True)
class Fault:
    """`place`: sql (as compiled for the case), grammar, or the id of a measure; every `change` is a text and what takes its place."""

    case: str
    place: str
    change: tuple[tuple[str, str], ...]


def fault(case: str, place: str, *change: str) -> Fault:
    return Fault(case, place, tuple(zip(change[::2], change[1::2], strict=True)))


# fmt: off
FAULTS = {
    "threshold reached counts": fault("T1-catastrophic_headcount-0.10", "grammar", "10000 {over} resource", "10000 >= resource"),
    "threshold itself does not count for capacity to pay": fault("xu-catastrophic_headcount", "grammar", "at_least = true", "at_least = false"),
    "threshold one basis point higher": fault("T1-catastrophic_overshoot-0.10", "sql", "$threshold_bp", "($threshold_bp + 1)"),
    "threshold one basis point lower": fault("T1-catastrophic_headcount-0.25", "sql", "$threshold_bp", "($threshold_bp - 1)"),
    "threshold as a float": fault("edge", "sql", "own::HUGEINT * 10000 > resource::HUGEINT * $threshold_bp", "own > resource * ($threshold_bp / 10000)"),
    "nobody without resources counts": fault("income-catastrophic_headcount", "grammar", "ELSE own > 0 END", "ELSE false END"),
    "all without resources count": fault("income-catastrophic_headcount", "grammar", "ELSE own > 0 END", "ELSE true END"),
    "overshoot is the whole share": fault("T1-catastrophic_overshoot-0.10", "grammar", " - $threshold_bp / 10000", ""),
    "overshoot below the threshold is negative": fault("T1-catastrophic_overshoot-0.10", "grammar", "WHEN resource > 0 AND own::{wide} * 10000 > resource::{wide} * $threshold_bp THEN", "WHEN resource > 0 THEN"),
    "weight of the survey lost": fault("T1-catastrophic_headcount-0.10", "grammar", 'sql = "weight"', 'sql = "1"'),
    "persons counted as households": fault("T3-catastrophic_headcount-0.10", "grammar", 'sql = "weight * n_members"', 'sql = "weight"'),
    "ratio of sums made a mean of ratios": fault("T1-budget_share", "budget_share", '"w * own"', '"w * own / resource"', '"w * resource"', '"w"'),
    "mean of ratios made a ratio of sums": fault("T1-budget_share_mean", "budget_share_mean", '"w * own / resource"', '"w * own"', '"w"', '"w * resource"'),
    "overshoot of all, not of the catastrophic": fault("T1-mean_positive_overshoot-0.10", "mean_positive_overshoot", 'denominator = "w * (catastrophic)::INTEGER"', 'denominator = "w"'),
    "no rank within ties": fault("T1-catastrophic_concentration-0.10", "sql", "w AS weighed", "w AS weighed, row_number() OVER () AS tie", "END AS key,", "END AS key, tie,", "ORDER BY key", "ORDER BY key, tie"),
    "rank by the order of rows": fault("nonfood-catastrophic_concentration", "sql", "w AS weighed", "w AS weighed, -row_number() OVER () AS spot", "key_living END AS key", "spot END AS key"),
    "rank below, not in the middle": fault("T1-overshoot_concentration-0.10", "sql", "(below + up_to) / 2 AS rank", "below AS rank"),
    "rank at the end, not in the middle": fault("T1-overshoot_concentration-0.10", "sql", "(below + up_to) / 2 AS rank", "up_to AS rank"),
    "rank without weights": fault("T1-overshoot_concentration-0.10", "sql", "w AS weighed", "1 AS weighed"),
    "rich first": fault("T1-catastrophic_concentration-0.25", "sql", "ORDER BY key", "ORDER BY key DESC"),
    "rank over all places": fault("city-concentration", "sql", "PARTITION BY city, usable", "PARTITION BY usable"),
    "rank among households left out": fault("nonfood-catastrophic_headcount_weighted", "sql", "FILTER (usable) AS whole", "AS whole", "CASE WHEN usable THEN key_living END", "key_living", "CASE WHEN usable THEN w END", "w"),
    "rank by resource, not by living standard": fault("T2-overshoot_concentration-0.25", "sql", "(living / scale) AS key_living", "resource AS key_living"),
    "household left out is in the denominator": fault("nonfood-catastrophic_headcount", "sql", "((w))::DOUBLE AS denominator", "(weight)::DOUBLE AS denominator"),
    "household left out is in the numerator": fault("nonfood-catastrophic_headcount", "sql", "CASE WHEN usable THEN w END", "w", "((w))::DOUBLE AS denominator", "(CASE WHEN usable THEN w END)::DOUBLE AS denominator"),
    "nothing left after food is kept": fault("nonfood-catastrophic_headcount", "grammar", 'nonpositive = "excluded"', 'nonpositive = "catastrophic"'),
    "food not taken off": fault("T2-catastrophic_headcount-0.25", "grammar", "consumption_fen - food_fen", "consumption_fen"),
    "Wagstaff without its bound": fault("T1-catastrophic_concentration_wagstaff-0.10", "catastrophic_concentration_wagstaff", "(all_w - all_hit)", "all_w"),
    "Erreygers without its four": fault("T1-catastrophic_concentration_erreygers-0.10", "catastrophic_concentration_erreygers", "4 * unequal", "unequal"),
    "generalised divided by its mean": fault("income-catastrophic_concentration_generalised", "catastrophic_concentration_generalised", 'denominator = "all_w"', 'denominator = "all_hit"'),
    "rich count more": fault("T1-catastrophic_headcount_weighted-0.10", "catastrophic_headcount_weighted", "2 * (1 - rank)", "2 * rank"),
    "weights of ranks have mean one half": fault("T1-catastrophic_overshoot_weighted-0.10", "catastrophic_overshoot_weighted", "2 * (1 - rank)", "(1 - rank)"),
    "concentration not centred": fault("T4-net_concentration", "net_concentration", "2 * rank - 1", "2 * rank"),
    "Kakwani adds the Gini": fault("T4-kakwani", "kakwani", "- unequal /", "+ unequal /"),
    "Gini of households, not persons": fault("T4-gini", "gini", 'of = "w * (standard)", times', 'of = "weight * (standard)", times'),
    "living standard not per person": fault("T4-gini", "grammar", 'en = "Per person" }\nsql = "n_members"', 'en = "Per person" }\nsql = "1"'),
    "payments not per person": fault("T4-payment_concentration", "grammar", 'payment = "own / scale"', 'payment = "own"'),
    "net Gini ranked before payment": fault("T4-gini_net", "gini_net", ', by = "after"', ""),
    "net concentration ranked after payment": fault("T4-net_concentration", "net_concentration", 'times = "2 * rank - 1"', 'times = "2 * rank - 1", by = "after"'),
    "payments added, not taken off": fault("T4-reynolds_smolensky", "grammar", '"(living - own) / scale"', '"(living + own) / scale"'),
    "reranking the other way round": fault("T4-reranking", "reranking", "unequal_after - unequal_left", "unequal_left - unequal_after"),
    "redistribution without reranking": fault("T4-redistributive_effect", "redistributive_effect", ', by = "after"', ""),
    "aversion off by one": fault("extended", "payment_concentration", "$nu", "($nu + 1)"),
    "Theil not of shares": fault("theil", "theil", "entropy / all_living", "entropy / all_w"),
    "mean log deviation of the wrong sign": fault("mean_log_deviation", "mean_log_deviation", "ln(all_living / all_w) - logs / all_w", "logs / all_w - ln(all_living / all_w)"),
    "Atkinson of the logarithm": fault("atkinson", "atkinson", "exp(logs / all_w)", "(logs / all_w)"),
    "benefits counted as burdens": fault("benefit", "benefit_concentration", "w * paid / scale", "w * before / scale"),
    "poor at the line": fault("on-the-line", "grammar", 'poor = "left_over < need"', 'poor = "left_over <= need"'),
    "who is not poor has a negative gap": fault("T5-poverty_gap-gross", "grammar", "greatest(need - left_over, 0)", "(need - left_over)"),
    "gap of households, not per person": fault("T5-poverty_gap-net", "poverty_gap", " / size", ""),
    "squared gap not squared": fault("kept-poverty_gap_squared", "poverty_gap_squared", " ^ 2", ""),
    "net poverty before payment": fault("T5-poverty_headcount-net", "grammar", 'sql = "living - own"', 'sql = "living"'),
    "negative not floored": fault("floored-poverty_gap_squared", "sql", "greatest((living - own), 0)", "(living - own)"),
    "pushed counts the poor": fault("kept-impoverishment_headcount", "impoverishment_headcount", "living >= need AND ", ""),
    "poor who pay nothing are pushed further": fault("kept-further_impoverished", "further_impoverished", " AND own > 0", ""),
    "median of households": fault("societal-net", "sql", "weight * n_members AS w", "weight AS w"),
    "median one place up": fault("societal-gross", "sql", "running * 2 >= whole", "running * 2 >= whole * 1.4"),
    "median gross of payments": fault("societal-net", "grammar", 'sql = "own_net_fen"\n\n[lines_of.gross]', 'sql = "0"\n\n[lines_of.gross]'),
    "median not per person": fault("societal-net", "sql", "::DOUBLE / n_members AS x", "::DOUBLE AS x"),
    "societal line at its floor": fault("societal-net", "sql", "greatest($floor_fen,", "least($floor_fen,"),
    "societal line without its base": fault("societal-net", "sql", "$base_fen + floor", "0 * $base_fen + floor"),
    "hardship above half": fault("T6-financial_hardship", "financial_hardship", 'threshold = "0.40"', 'threshold = "1.00"'),
    "line not taken off the budget": fault("T6-impoverishing_spending", "grammar", 'sql = "living - need"', 'sql = "living"'),
    "large spending includes the impoverishing": fault("T6-large_not_impoverishing", "large_not_impoverishing", " AND NOT own > resource", ""),
    "subsistence from one end of the band": fault("subsistence", "sql", "x BETWEEN low AND high", "x > low AND x <= high"),
    "subsistence by the square root": fault("subsistence", "grammar", 'file = "band"\nsize = "n_members ^ 0.56"', 'file = "band"\nsize = "n_members ^ 0.5"'),
    "subsistence without weights": fault("subsistence", "sql", "sum(weight * amount) / sum(weight)", "avg(amount)"),
    "subsistence from all households": fault("subsistence", "grammar", "low_bp = 4500, high_bp = 5500", "low_bp = 0, high_bp = 10000"),
    "subsistence taken off where food is less": fault("xu-catastrophic_overshoot", "grammar", "THEN food_fen WHEN", "THEN need WHEN"),
    "food taken off where subsistence is less": fault("xu-catastrophic_overshoot", "grammar", "THEN need END", "THEN food_fen END"),
    "housing is no basic need": fault("normative_impoverished", "sql", "(food_fen + housing_fen)", "(food_fen)"),
    "children eat like adults": fault("normative_at_risk", "grammar", "+ 0.5 * n_children", "+ 0.7 * n_children"),
    "at risk within a quarter": fault("normative_at_risk", "normative_at_risk", "* 5 < need", "* 4 < need"),
    "who pays nothing is at risk": fault("normative_no_spending", "normative_no_spending", "own <= 0", "own < 0"),
    "impoverished includes those below before": fault("normative_impoverished", "normative_impoverished", " AND resource > 0", ""),
    "below before counts without paying": fault("normative_further_impoverished", "normative_further_impoverished", "own > 0 AND ", ""),
    "burden after a tier is that before it": fault("after-0.25-basic", "sql", "(basic_after_fen)", "(basic_paid_fen + basic_after_fen)"),
    "burden before all tiers is that after": fault("after-0.25-none", "sql", "(own_before_fen)", "(own_net_fen)"),
    "Shapley as a sum of orders, not a mean": fault("shapley_headcount-0.25-basic", "sql", " / 6 AS value", " AS value"),
    "Shapley with equal weights": fault("shapley_headcount-0.25-basic", "sql", "[2.0, 1.0, 1.0, 2.0]", "[1.0, 1.0, 1.0, 1.0]"),
    "a coalition forgets a tier": fault("last_in_headcount-0.40-basic", "sql", " - coalesce(medical_assistance_paid_fen, 0)", ""),
    "clusters as if all were drawn": fault("se-ratio", "sql", " * clusters / nullif(clusters - 1, 0)", ""),
    "households as clusters": fault("se-ratio", "sql", "coalesce(cluster_id, household_key::VARCHAR)", "household_key::VARCHAR"),
    "denominator taken as known": fault("se-ratio", "sql", " - s.numerator / nullif(s.denominator, 0) * k.denominator", ""),
    "interval of nine in ten": fault("se-low", "sql", "1.959963984540054", "1.6448536269514722"),
    "strata as one": fault("se-strata", "sql", "coalesce(stratum_id, '') AS stratum", "'' AS stratum"),
    "households left out in the error": fault("se-nonfood", "sql", "CASE WHEN usable THEN w END", "w"),
    "regression without its degrees of freedom": fault("se-index", "sql", " * (any_value(n) - 1) / nullif(any_value(n) - 2, 0)", ""),
    "regression through the origin": fault("se-gini", "sql", "2 * f.variance * f.level_1 +", ""),
    "regression without weights": fault("se-index", "sql", "r.weighed * (", "("),
    "variance of ranks about nothing": fault("se-index", "sql", "(rank - 0.5) ^ 2", "rank ^ 2"),
}
# fmt: on


@pytest.fixture(scope="module")
def surveys() -> Iterator[dict[str, Survey]]:
    made = {name: Survey() for name in ("tiny", "crowd", "strata", "edge")}
    rows = pl.DataFrame(TINY["data"]["rows"], schema=TINY["data"]["columns"], orient="row")
    money = ("consumption", "food", "basic_paid", "serious_illness_paid", "medical_assistance_paid")
    made["tiny"].put(
        rows.select(
            "n_members",
            "weight",
            (pl.col("own_burden") * 100).alias("own_fen"),
            *[(pl.col(name) * 100).alias(f"{name}_fen") for name in money],
        )
    )
    made["crowd"].put(table(ROWS))
    strata = pl.Series([str(s) for s in STRATA])
    made["strata"].put(table(ROWS).with_columns(stratum_id=strata))
    made["edge"].put(pl.DataFrame({"income_fen": [100], "own_fen": [29]}))
    yield made


def ask(survey: Survey, case: Case, change: tuple[tuple[str, str], ...] = ()) -> float | None:
    """The answer, with the SQL changed."""
    se = "superpopulation" if case.column != "value" else ""
    raw = survey.book.ask(case.measure, (case.by,) if case.by else (), {}, case.parameters, se=se)
    rows = survey.engine.ask(changed(raw.sql, change), raw.bound) if change else raw.table
    if case.by:
        rows = rows.filter(pl.col(case.by) == case.cell)
    value: float | None = rows[case.column][0]
    return value


def changed(text: str, change: tuple[tuple[str, str], ...]) -> str:
    for old, new in change:
        assert old in text, f"not found: {old}"
        text = text.replace(old, new)
    return text


def met(value: float | None, expected: float) -> bool:
    return value is not None and value == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("case", sorted({fault.case for fault in FAULTS.values()}))
def test_without_a_fault_the_number_is_met(surveys: dict[str, Survey], case: str) -> None:
    assert ask(surveys[CASES[case].data], CASES[case]) == pytest.approx(
        CASES[case].expected, rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_noticed(surveys: dict[str, Survey], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    one = FAULTS[name]
    case, place = CASES[one.case], one.place
    if place == "grammar":
        put(monkeypatch, "grammar", form.Grammar.model_validate(toml("grammar.toml", one.change)))
    elif place != "sql":
        wrong = form.Measure.model_validate(toml(f"catalogue/{place}.toml", one.change))
        monkeypatch.setitem(measures(), place, wrong)
    value = ask(surveys[case.data], case, one.change if place == "sql" else ())
    assert not met(value, case.expected), f"{name}: still {value}"


def toml(path: str, change: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return tomllib.loads(changed((HERE / path).read_text(encoding="utf-8"), change))


def put(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    """Let every module of the wing find `value` under this name."""
    for module, held in list(sys.modules.items()):
        if module.startswith("analytics.measures.") and hasattr(held, name):
            monkeypatch.setattr(held, name, lambda: value)


def test_there_are_faults_of_every_kind() -> None:
    assert len(FAULTS) >= 60
    assert {fault.place for fault in FAULTS.values()} > {"sql", "grammar", "kakwani", "poverty_gap"}

"""Measures against exact fractions worked by hand and an independent scalar computation."""

from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from deliveries import bare

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.measures import Question, dimensions, measures
from analytics.release import Released, Viewer

# Ten invented households: two rank ties, two exactly on a threshold. Columns: id, total, members, weight, bill, three payments, own.
TEN = [
    (1, 100, 2, 1, 0, 0, 0, 0, 0),
    (2, 200, 4, 2, 100, 50, 0, 20, 30),
    (3, 200, 1, 1, 40, 30, 0, 0, 10),
    (4, 300, 3, 1, 120, 60, 15, 0, 45),
    (5, 400, 2, 2, 100, 60, 0, 0, 40),
    (6, 500, 5, 1, 0, 0, 0, 0, 0),
    (7, 600, 4, 1, 500, 250, 100, 0, 150),
    (8, 800, 2, 1, 1200, 500, 300, 0, 400),
    (9, 1000, 1, 2, 200, 110, 0, 0, 90),
    (10, 1500, 3, 1, 2000, 800, 500, 0, 700),
]
# Exact answers, household weights, strict inequality: threshold -> headcount, overshoot, mean positive overshoot.
EXACT = {
    "0.10": (Fraction(6, 13), Fraction(16, 195), Fraction(8, 45)),
    "0.25": (Fraction(2, 13), Fraction(7, 195), Fraction(7, 30)),
    "0.40": (Fraction(2, 13), Fraction(1, 78), Fraction(1, 12)),
}


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("ten")
    names = [
        "household_id",
        "income",
        "n_members",
        "weight",
        "cost",
        "basic_paid",
        "serious_illness_paid",
        "medical_assistance_paid",
        "own",
    ]
    rows = (
        pl.DataFrame(TEN, schema=names, orient="row")
        .with_columns(city=pl.lit("ten"), plan_year=2023)
        .drop("own")
    )
    rows.write_parquet(folder / "ten.parquet")
    verbs.ingest(folder / "store", [folder / "ten.parquet"], "household_year")
    bare(folder / "store")
    return Desk.open(folder / "store")


@pytest.mark.parametrize("threshold", EXACT)
def test_exact_fractions(ten: Desk, threshold: str) -> None:
    names = ("catastrophic_headcount", "catastrophic_overshoot", "mean_positive_overshoot")
    got = [ten.ask(n, parameters={"threshold": threshold}, protect=False).table["value"][0] for n in names]
    assert got == pytest.approx([float(f) for f in EXACT[threshold]], rel=1e-12)


def test_before_any_payment_and_after_each_tier(ten: Desk) -> None:
    rows = ten.ask("catastrophic_headcount", ["tier"], parameters={"threshold": "0.25"}, protect=False).table
    got = dict(zip(rows["tier"], rows["value"], strict=True))
    # After basic: bills less basic are 0 50 10 60 40 0 250 700 90 1200 against a quarter of the totals.
    assert got["none"] == pytest.approx(6 / 13)
    assert got["basic"] == pytest.approx(3 / 13)
    assert got["medical_assistance"] == pytest.approx(2 / 13)
    assert list(rows["tier"]) == [
        "none",
        "basic",
        "serious_illness",
        "medical_assistance",
    ]  # a tier nobody has is no row


def test_person_weights(ten: Desk) -> None:
    got = ten.ask(
        "catastrophic_headcount", parameters={"threshold": "0.10", "weight": "person"}, protect=False
    ).table
    weights = [w * m for ((_, _, m, w, *_),) in zip(TEN, strict=True)]
    hit = [w * m for (_, x, m, w, *_, own) in TEN if 10 * own > x]
    assert got["value"][0] == pytest.approx(sum(hit) / sum(weights), rel=1e-12)


def test_strictly_above_the_threshold(ten: Desk) -> None:
    """Households 5 (40 of 400) and 7 at 0.25 (150 of 600) stand exactly on the line: they do not count."""
    at = ten.ask("catastrophic_headcount", parameters={"threshold": "0.25"}, protect=False).table[
        "numerator"
    ][0]
    below = ten.ask("catastrophic_headcount", parameters={"threshold": "0.2499"}, protect=False).table[
        "numerator"
    ][0]
    assert (at, below) == (2.0, 3.0)


def test_small_cells_are_hidden_whole(ten: Desk) -> None:
    protected = ten.ask("catastrophic_headcount", parameters={"threshold": "0.25"})
    row = protected.table.row(0, named=True)
    assert row["status"] == "hidden"
    assert [row[name] for name in ("value", "numerator", "denominator", "n", "n_excluded")] == [None] * 5
    assert (
        ten.ask("catastrophic_headcount", parameters={"threshold": "0.25"}, protect=False).table["status"][0]
        == "shown"
    )


def test_a_threshold_is_asked_once_however_it_is_written(ten: Desk) -> None:
    several = {"threshold": "0.1,0.25,0.10, 0.250, 0.173,1e-1"}
    answer = ten.ask("catastrophic_headcount", ["threshold"], parameters=several, protect=False)
    assert answer.parameters["threshold"] == "0.1,0.25,0.173", "as it was written first"
    assert answer.table["threshold"].to_list() == ["0.1", "0.173", "0.25"]


def test_a_place_the_store_does_not_hold_is_named(ten: Desk) -> None:
    with pytest.raises(ValueError, match=r"plan_year 1999: not in this store; it holds 2023"):
        ten.ask("catastrophic_headcount", where={"plan_year": [1999]})


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"sex": ["zzz"]}, "sex zzz: not in this store; possible are male, female"),
        ({"sex": ["male", "zzz"]}, "sex zzz: not in this store; possible are male, female"),
        (
            {"person_group": ["rich"]},
            "person_group rich: not in this store; possible are general, low_income",
        ),
        ({"cost_band": ["2w"]}, "cost_band 2w: not in this store; possible are to_1w, 1w_3w"),
        ({"insurance_type": ["x"]}, "insurance_type x: not in this store; possible are employee, resident"),
        (
            {"hospital_level": ["4"]},
            "hospital_level 4: not in this store; possible are 3, 2, 1, ungraded, none",
        ),
        ({"product": ["wnb", "zzz"]}, "product zzz: not in this store; possible are none, dawj, "),
    ],
)
def test_a_code_that_cannot_be_is_named(desk: Desk, where: dict[str, list[str]], told: str) -> None:
    for scenario in ("observed", "plan"):
        place: dict[str, list[str | int]] = {"city": ["371000"], "plan_year": [2023]}
        if scenario == "plan" and "product" in where:
            told = "product zzz: not in this store; possible are none, wnb"  # of this place alone
        with pytest.raises(ValueError, match=told):
            desk.ask("reach", where={**place, **where}, scenario=scenario)
    with pytest.raises(ValueError, match="not in this store"):
        desk.decompose("catastrophic_concentration", ["sex"], where)
    with pytest.raises(ValueError, match="not in this store"):
        desk.parade(where)


def test_a_code_without_a_label_can_be_asked_where_somebody_has_it(ten: Desk, desk: Desk) -> None:
    held = ten.ask("catastrophic_headcount", ["person_group"], protect=False).table["person_group"].to_list()
    assert held == ["unknown"] and "unknown" not in dimensions()["person_group"].values
    assert ten.ask("catastrophic_headcount", where={"person_group": held}, protect=False).table["n"][0] == 10
    # listed, and nobody has it: an answer all the same
    assert desk.ask("reach", where={"insurance_type": ["other"]}, protect=False).table.height == 0


def test_a_contract_may_name_a_product_that_is_not_held_here(sample_store: Path) -> None:
    def answer(*products: str) -> Released:
        viewer = Viewer("x", "official", frozenset({"371000"}), frozenset(products))
        return Desk.open(sample_store, viewer).ask("paid_per_claim")

    assert answer("wnb", "nowhere").table.equals(answer("wnb").table)
    with pytest.raises(ValueError, match="product nowhere: not in this store"):
        answer("nowhere")


def test_a_parade_of_what_is_no_dimension(desk: Desk) -> None:
    with pytest.raises(ValueError, match="dimension colour: unknown"):
        desk.parade({"colour": ["red"]})


def test_person_measures_need_persons(ten: Desk) -> None:
    with pytest.raises(ValueError, match="this store holds household_year"):
        ten.ask("reach")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"measure": "nothing"}, "not in the catalogue"),
        ({"measure": "reach", "by": ["colour"]}, "dimension colour: unknown"),
        ({"measure": "reach", "parameters": {"threshold": "0.1"}}, "takes no parameter"),
        ({"measure": "catastrophic_headcount", "parameters": {"threshold": "ten"}}, "threshold ten"),
        (
            {"measure": "catastrophic_headcount", "parameters": {"threshold": "0.12345"}},
            "at most 4 decimals",
        ),
        (
            {"measure": "catastrophic_headcount", "parameters": {"weight": "cat"}},
            "possible values are household, person",
        ),
        (
            {"measure": "catastrophic_headcount", "by": ["tier"], "parameters": {"own_burden": "cash"}},
            "by tier",
        ),
        ({"measure": "own_burden_mean", "by": ["tier"]}, "not per tier"),
        ({"measure": "reach", "where": {"tier": ["angel"]}}, "tier angel: tiers are none, basic"),
    ],
)
def test_a_wrong_question_says_what_is_possible(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Question.of(**arguments)  # type: ignore[arg-type]


def recompute(frame: pl.DataFrame, tier: str) -> dict[str, float]:
    """The person measures of one tier, row by row in Python, from the ledger alone."""
    rows = [r for r in frame.iter_rows(named=True) if r[f"{tier}_paid_fen"] is not None]
    paid = [r[f"{tier}_paid_fen"] for r in rows]
    before = [r[f"{tier}_paid_fen"] + r[f"{tier}_after_fen"] for r in rows]
    cost = [r["cost_fen"] for r in rows]
    claimants = [(p, b, c) for p, b, c in zip(paid, before, cost, strict=True) if p > 0]
    return {
        "own_share_before": sum(before) / sum(cost),
        "own_share_after": (sum(before) - sum(paid)) / sum(cost),
        "tier_share": sum(paid) / sum(cost),
        "reach": len(claimants) / len(rows),
        "burden_reduction_rate": sum(p for p, _, _ in claimants) / sum(b for _, b, _ in claimants),
        "burden_reduction_mean": sum(p / b for p, b, _ in claimants) / len(claimants),
        "burden_reduction_points": sum(p for p, _, _ in claimants) / sum(c for _, _, c in claimants),
        "paid_per_beneficiary": sum(p for p, _, _ in claimants) / len(claimants) / 100,
    }


@pytest.fixture(scope="module")
def desk(sample_store: Path) -> Desk:
    return Desk.open(sample_store)


@pytest.mark.parametrize("tier", ["basic", "serious_illness", "medical_assistance", "inclusive"])
def test_person_measures_equal_a_scalar_computation(desk: Desk, tier: str) -> None:
    frame = pl.concat(pl.read_parquet(p.path) for p in desk._book.snapshot.partitions("person_year"))
    for name, value in recompute(frame, tier).items():
        got = desk.ask(name, ["tier"], {"tier": [tier]}, protect=False).table
        assert got["value"][0] == pytest.approx(value, rel=1e-12), name


ASKABLE = [
    (m.id, d.id) for m in measures().values() for d in dimensions().values()
    if d.id not in ("tier", "threshold") and d.fits(m) and not (m.needs or m.sums) and m.credit != "sequential"
]  # fmt: skip


@pytest.fixture(scope="module")
def wholes() -> dict[str, pl.DataFrame]:
    """What is told without the dimension, by measure: asked once."""
    return {}


@pytest.mark.parametrize(("measure", "dimension"), ASKABLE)
def test_every_measure_by_every_dimension_adds_up(
    desk: Desk, wholes: dict[str, pl.DataFrame], measure: str, dimension: str
) -> None:
    """Cells of a dimension add to the whole, numerator and denominator alike."""
    base = [] if measures()[measure].tier_optional and not measures()[measure].credit else ["tier"]
    if measure not in wholes:
        wholes[measure] = desk.ask(measure, base, protect=False).table
    cells, whole = desk.ask(measure, [*base, dimension], protect=False).table, wholes[measure]
    of = measures()[measure]
    adding = [
        "denominator",
        *(["numerator"] if of.quantile is None else []),
        *(["n"] if of.grain != "claim" else []),
    ]
    for part in adding:  # a quantile does not add up, nor do persons who were paid more than once
        if base:
            summed = cells.group_by("tier").agg(pl.col(part).sum()).sort("tier")[part].to_list()
            assert summed == pytest.approx(whole.sort("tier")[part].to_list(), rel=1e-12)
        else:
            assert cells[part].sum() == pytest.approx(whole[part].sum(), rel=1e-12)


def test_every_measure_of_the_catalogue_is_complete() -> None:
    for form in measures().values():
        assert form.plain.zh and form.plain.en and form.caveat.zh and form.caveat.en and form.formula
        assert (Path(__file__).parent.parent / form.checked_by).is_file(), form.id


def test_answers_carry_their_sql_and_provenance(desk: Desk) -> None:
    answer = desk.ask("catastrophic_headcount", ["city"], parameters={"threshold": "0.25"})
    again = desk._book._engine.ask(
        answer.sql, answer.bound
    )  # the SQL shown, run as shown, gives the numbers shown
    assert again["value"].to_list() == answer.table["value"].to_list()
    assert answer.provenance["snapshot"] == desk.snapshot_id
    assert answer.provenance["synthetic"] is True
    assert answer.bound["threshold_bp"] == 2500
    assert "zhuhai/2023.toml" in answer.provenance["plans"]

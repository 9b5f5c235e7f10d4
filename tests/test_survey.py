"""A survey's tables, Pen's parade, and the decomposition of an index, against the same worked out in NumPy."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from survey import Survey

from analytics import cli
from analytics.desk import survey as tables
from analytics.desk.answer import Desk

RNG = np.random.default_rng(11)
UNIT = 100_000


def households(n: int = 500) -> pl.DataFrame:
    income = RNG.integers(4, 40, n) * UNIT
    members = RNG.integers(1, 6, n)
    ill = RNG.random(n) < 0.1 + 0.05 * members
    return pl.DataFrame(
        {
            "income_fen": income,
            "own_fen": np.where(ill, RNG.integers(1, 12, n), 0) * UNIT,
            "weight": RNG.choice([0.5, 1.0, 2.0], n),
            "n_members": members,
            "city": RNG.choice(["440400", "440800", "371000"], n),
        }
    )


def ranks(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Fractional rank, pair by pair."""
    below = (w[None, :] * (x[None, :] < x[:, None])).sum(1)
    equal = (w[None, :] * (x[None, :] == x[:, None])).sum(1)
    return (below + equal / 2) / w.sum()


@pytest.fixture(scope="module")
def world() -> tuple[Survey, pl.DataFrame]:
    survey, rows = Survey(), households()
    survey.put(rows)
    return survey, rows


def test_decomposition_is_least_squares_on_the_ranks(world: tuple[Survey, pl.DataFrame]) -> None:
    survey, rows = world
    raw = survey.book.decompose(
        "catastrophic_concentration", ["n_members", "city"], {}, {"threshold": "0.10"}
    )
    w, x = rows["weight"].to_numpy(), rows["income_fen"].to_numpy().astype(float)
    y = (rows["own_fen"] * 10 > rows["income_fen"]).to_numpy().astype(float)
    r = ranks(x, w)
    names = raw.table["covariate"].to_list()
    base = rows["city"].value_counts(sort=True)["city"][0]
    others = [c for c in sorted(rows["city"].unique()) if c != base]
    assert set(names) == {"n_members", *(f"city={c}" for c in others), "residual", "total"}
    design = {"n_members": rows["n_members"].to_numpy().astype(float)}
    design |= {f"city={c}": (rows["city"] == c).to_numpy().astype(float) for c in others}
    matrix = np.column_stack([np.ones(len(y)), *design.values()])
    root = np.sqrt(w)
    beta = np.linalg.lstsq(matrix * root[:, None], y * root, rcond=None)[0]
    mean = (w * y).sum() / w.sum()
    index = 2 * ((w * y * r).sum() / w.sum() - mean / 2) / mean
    got = {row["covariate"]: row for row in raw.table.iter_rows(named=True)}
    rest = index
    for at, (name, column) in enumerate(design.items(), 1):
        level = (w * column).sum() / w.sum()
        unequal = 2 * ((w * column * r).sum() / w.sum() - level / 2) / level
        part = beta[at] * level / mean * unequal
        rest -= part
        row = got[name]
        assert (row["coefficient"], row["mean"], row["concentration"], row["value"]) == pytest.approx(
            (beta[at], level, unequal, part), rel=1e-8
        )
        assert row["share"] == pytest.approx(part / index, rel=1e-8)
    assert (got["total"]["value"], got["residual"]["value"]) == pytest.approx((index, rest), rel=1e-8)


@pytest.mark.parametrize(
    ("measure", "covariates", "told"),
    [
        ("kakwani", ["n_members"], "cannot be decomposed"),
        ("catastrophic_headcount", ["n_members"], "cannot be decomposed"),
        ("catastrophic_concentration", ["height"], "covariate height: unknown"),
        ("catastrophic_concentration", [], "at least one"),
        ("catastrophic_concentration", ["n_members", "n_members"], "explain one another"),
        (
            "catastrophic_concentration",
            ["n_members", "insurance_type", "log_living_standard", "urban"],
            "nothing to decompose",
        ),
    ],
)
def test_a_decomposition_that_cannot_be(
    world: tuple[Survey, pl.DataFrame], measure: str, covariates: list[str], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        world[0].book.decompose(measure, covariates, {}, {})


@pytest.mark.parametrize("points", [0, -3])
def test_a_parade_has_points(world: tuple[Survey, pl.DataFrame], points: int) -> None:
    with pytest.raises(ValueError, match=f"points {points}: a parade has 1 point or more"):
        world[0].book.parade({}, {"poverty_line": "6000"}, points=points, least=22)


def test_the_parade(world: tuple[Survey, pl.DataFrame]) -> None:
    """Persons in the order of living standard per head, in ten stretches; each its mean before and after paying."""
    survey, rows = world
    raw = survey.book.parade({}, {"poverty_line": "6000"}, points=10, least=22)
    m = rows["n_members"].to_numpy().astype(float)
    w, x, t = (
        rows["weight"].to_numpy() * m,
        rows["income_fen"].to_numpy() / m / 100,
        rows["own_fen"].to_numpy() / m / 100,
    )
    point = np.minimum(np.floor(ranks(x, w) * 10), 9) + 1
    for row in raw.table.iter_rows(named=True):
        at = point == row["point"]
        value = x if row["payments"] == "gross" else x - t
        assert row["n"] == at.sum()
        assert row["numerator"] == pytest.approx((w * value)[at].sum() / w[at].sum(), rel=1e-9)
        assert row["value"] == pytest.approx(row["numerator"] / 6000, rel=1e-9)
    assert raw.table.height == 20
    gross = raw.table.filter(pl.col("payments") == "gross")["value"]
    assert gross.is_sorted()


def test_a_line_per_person_needs_the_number_of_persons() -> None:
    survey = Survey()
    survey.put(households().drop("n_members"))
    for given in (
        {"poverty_line": "6000", "weight": "household"},
        {"poverty_line": "6000"},
        {"poverty_line": "median_50", "weight": "household"},
    ):
        with pytest.raises(ValueError, match="n_members"):
            survey.raw("poverty_headcount", (), **given)
    assert survey.value("catastrophic_headcount", threshold="0.10") is not None


def test_a_small_survey_has_fewer_points(world: tuple[Survey, pl.DataFrame]) -> None:
    """So that no point rests on few households."""
    table = world[0].book.parade({}, {"poverty_line": "6000"}, points=100, least=22).table
    assert table["point"].max() == 500 // 22


def test_all_tables_of_the_sample(
    sample_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sample holds everything, so nothing is left out; the files are those of the tables."""
    where = ["--where", "city=440400", "--where", "plan_year=2023"]
    assert cli.main(["survey", str(sample_store), *where, "--out", str(tmp_path / "out")]) == 0
    assert "left out" not in capsys.readouterr().err
    files = {p.stem for p in (tmp_path / "out").glob("*.csv")}
    assert files == {form.id for form in tables.forms()} | {tables.PARADE}
    table = pl.read_csv(tmp_path / "out" / "catastrophic.csv")
    desk = Desk.open(sample_store)
    place = {"city": ["440400"], "plan_year": [2023]}
    asked = desk.ask(
        "catastrophic_headcount", ["threshold"], place, {"resource": "nonfood"}, se="superpopulation"
    ).table
    written = table.filter(
        (pl.col("measure") == "catastrophic_headcount") & (pl.col("resource") == "nonfood")
    )
    assert written["value"].to_list() == asked["value"].to_list() and written[
        "se"
    ].to_list() == pytest.approx(asked["se"].to_list())

"""Standard errors, differences and standardisation, against sums written out in NumPy and against each other."""

import math
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from survey import Survey

from analytics.desk.answer import Desk
from analytics.measures import DIFFERENCES, Book, measures, resample
from analytics.measures.contrast import holm
from analytics.measures.form import uncertainty
from analytics.measures.resample import Resample
from analytics.measures.uncertainty import Sure
from analytics.release import release
from analytics.store import Store

RNG = np.random.default_rng(7)
UNIT = 100_000


def frame(n: int = 600, clusters: int = 40, strata: bool = False) -> pl.DataFrame:
    """Households of two cities in shared clusters, as a panel has them."""
    cluster = RNG.integers(0, clusters, n)
    burden = RNG.integers(0, 6, n) * (RNG.random(n) < 0.2 + 0.6 * (cluster % 3 == 0))
    return pl.DataFrame(
        {
            "income_fen": RNG.integers(4, 30, n) * UNIT,
            "own_fen": burden * UNIT,
            "weight": RNG.choice([1.0, 2.0], n),
            "n_members": RNG.integers(1, 6, n),
            "cluster_id": cluster.astype(str),
            "stratum_id": (cluster % 4).astype(str) if strata else np.full(n, None),
            "city": RNG.choice(["440400", "440800"], n),
        },
        schema_overrides={"stratum_id": pl.String},
    )


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Survey, pl.DataFrame]]:
    survey, rows = Survey(), frame()
    survey.put(rows)
    yield survey, rows


def headcount(rows: pl.DataFrame) -> tuple[float, np.ndarray]:
    """Headcount at 10 %, and what each row adds to its error."""
    w = rows["weight"].to_numpy()
    hit = (rows["own_fen"] * 10 > rows["income_fen"]).to_numpy().astype(float)
    h = float((w * hit).sum() / w.sum())
    return h, w * (hit - h) / w.sum()


def by_cluster(rows: pl.DataFrame, u: np.ndarray, clusters: int) -> np.ndarray:
    return np.bincount(rows["cluster_id"].cast(pl.Int32).to_numpy(), weights=u, minlength=clusters)


def test_a_difference_knows_who_stands_on_both_sides(world: tuple[Survey, pl.DataFrame]) -> None:
    survey, rows = world
    row = survey.book.ask(
        "catastrophic_headcount", (), {}, {"threshold": "0.10"}, against=("city", "440400")
    ).table
    (a, ua), (b, ub) = (headcount(rows.filter(pl.col("city") == c)) for c in ("440400", "440800"))
    za = by_cluster(rows.filter(pl.col("city") == "440400"), ua, 40)
    zb = by_cluster(rows.filter(pl.col("city") == "440800"), ub, 40)
    paired = math.sqrt(40 / 39 * ((zb - za) ** 2).sum())
    apart = math.sqrt(40 / 39 * ((za**2).sum() + (zb**2).sum()))
    got = row.filter(pl.col("city") == "440800").row(0, named=True)
    assert got["difference"] == pytest.approx(b - a, rel=1e-12)
    assert got["difference_se"] == pytest.approx(paired, rel=1e-9)
    assert paired < 0.9 * apart  # the panel matters: clusters with more illness have it in both
    assert got["difference_high"] - got["difference_low"] == pytest.approx(
        2 * 1.959963984540054 * paired, rel=1e-9
    )
    assert got["p_value"] == pytest.approx(math.erfc(abs(b - a) / paired / math.sqrt(2)), rel=1e-9)
    assert row.filter(pl.col("city") == "440400")["difference"][0] is None


def test_strata_are_taken_out() -> None:
    survey, rows = Survey(), frame(strata=True)
    survey.put(rows)
    h, u = headcount(rows)
    z = by_cluster(rows, u, 40)
    stratum = np.arange(40) % 4
    variance = sum(
        n / (n - 1) * ((z[stratum == s] - z[stratum == s].mean()) ** 2).sum()
        for s in range(4) for n in [int((stratum == s).sum())]
    )  # fmt: skip
    got = survey.uncertain("catastrophic_headcount", threshold="0.10").row(0, named=True)
    assert (got["value"], got["se"]) == pytest.approx((h, math.sqrt(variance)), rel=1e-9)


@pytest.mark.parametrize(
    "measure", ["catastrophic_headcount", "mean_positive_overshoot", "theil", "poverty_gap_normalised"]
)
def test_resampling_agrees_with_the_formula(world: tuple[Survey, pl.DataFrame], measure: str) -> None:
    survey, _ = world
    given = {"threshold": "0.10"} if "threshold" in measures()[measure].parameters else {}
    if "poverty_line" in measures()[measure].parameters:
        given = {"poverty_line": "12000"}
    formula = survey.book.ask(measure, (), {}, given, se="superpopulation")
    drawn = survey.book.ask(measure, (), {}, given, se="superpopulation", se_method="bootstrap")
    assert drawn.table["se"][0] == pytest.approx(
        formula.table["se"][0], rel=0.12
    )  # 400 draws: 3.5 % to one standard error
    again = survey.book.ask(measure, (), {}, given, se="superpopulation", se_method="bootstrap")
    assert again.table["se"][0] == pytest.approx(drawn.table["se"][0], rel=1e-9)
    assert drawn.provenance["uncertainty"]["draws"] == "Rao-Wu"


def test_poisson_draws_agree_too() -> None:
    survey = Survey()
    rows = frame(12_000).with_columns(cluster_id=pl.int_range(12_000).cast(pl.String))
    survey.put(rows)
    formula = survey.uncertain("catastrophic_headcount", threshold="0.10")["se"][0]
    drawn = survey.book.ask(
        "catastrophic_headcount", (), {}, {"threshold": "0.10"}, se="superpopulation", se_method="bootstrap"
    )
    assert drawn.provenance["uncertainty"]["draws"] == "Poisson"
    assert drawn.table["se"][0] == pytest.approx(formula, rel=0.12)


def test_draws_of_a_part_give_the_error_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only a quarter of the rows is drawn from, half the error of that smaller sample."""
    survey = Survey()
    survey.put(frame(12_000).with_columns(cluster_id=pl.int_range(12_000).cast(pl.String)))
    formula = survey.uncertain("catastrophic_headcount", threshold="0.10")["se"][0]
    rules = uncertainty()
    few = rules.resample.model_copy(update={"rows": 12_000 * rules.resample.fewest // 4})
    monkeypatch.setattr(resample, "uncertainty", lambda: rules.model_copy(update={"resample": few}))
    drawn = survey.book.ask(
        "catastrophic_headcount", (), {}, {"threshold": "0.10"}, se="superpopulation", se_method="bootstrap"
    )
    told = drawn.provenance["uncertainty"]
    assert (told["draws"], told["part"], told["replicates"]) == ("Poisson", 0.25, rules.resample.fewest)
    assert drawn.table["se"][0] == pytest.approx(formula, rel=0.2)  # 200 draws: 5 % to one standard error


def spread(weights: np.ndarray, x: np.ndarray) -> dict[str, float]:
    """What is 1 where every weight (household by replicate) is an independent draw of mean and variance 1."""
    apart, over = x - x.mean(), weights - 1
    return {
        "mean": float(weights.mean()),
        "of a household over replicates": float(over.sum(axis=1).var() / weights.shape[1]),
        "of all households": float(over.sum(axis=0).var() / len(weights)),
        "of a sum": float((over * apart[:, None]).sum(axis=0).var() / (apart**2).sum()),
    }


def test_draws_of_households_and_replicates_are_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    """400 replicates of 6,000 households: each figure lies within five of its own standard errors of 1."""
    survey, used = Survey(), list[Resample]()
    n, replicates = 6_000, 400
    survey.put(frame(n).with_columns(cluster_id=pl.int_range(n).cast(pl.String)))
    values = Resample.values
    monkeypatch.setattr(Resample, "values", lambda self: used.append(self) or values(self))
    survey.book.ask("theil", (), {}, {}, se="superpopulation", se_method="bootstrap")
    (one,) = used
    assert (one.method, one.part) == ("Poisson", 1)

    def weights(source: str) -> np.ndarray:
        bound = {"seed": 7, "first": 0, "last": replicates, "part_bp": 10_000}
        rows = one._engine.ask(
            f"SELECT cluster_id::INTEGER AS i, replicate, multiplier FROM ({source})", bound
        )
        found = np.zeros((n, replicates))
        found[rows["i"].to_numpy(), rows["replicate"].to_numpy()] = rows["multiplier"].to_numpy()
        return found

    x = RNG.lognormal(size=n)
    near = {"mean": 5 / math.sqrt(n * replicates), "of a household over replicates": 5 * math.sqrt(2 / n)}
    far = 5 * math.sqrt(2 / replicates)
    told = spread(weights(one._source), x)
    assert {name for name, value in told.items() if abs(value - 1) > near.get(name, far)} == set()

    drawn = "hash(hash(drawn, replicate, $seed))"
    assert drawn in one._source
    for bad in (
        "hash(hash(drawn, $seed)) % 1000000007 + 100000000 * (replicate % 7)",
        "hash(hash(replicate, $seed)) % 1000000007 + hash(drawn) % 1000",
    ):
        told = spread(weights(one._source.replace(drawn, f"({bad})")), x)
        assert max(abs(value - 1) / near.get(name, far) for name, value in told.items()) > 3


def test_differences_by_resampling(world: tuple[Survey, pl.DataFrame]) -> None:
    survey, _ = world
    ask = {"against": ("city", "440400"), "se": "superpopulation"}
    formula = survey.book.ask("catastrophic_headcount", (), {}, {"threshold": "0.10"}, **ask)  # type: ignore[arg-type]
    drawn = survey.book.ask(
        "catastrophic_headcount", (), {}, {"threshold": "0.10"}, se_method="bootstrap", **ask
    )  # type: ignore[arg-type]
    one, two = (t.table.filter(pl.col("city") == "440800").row(0, named=True) for t in (formula, drawn))
    assert drawn.provenance["uncertainty"]["draws"] == "Rao-Wu"
    assert two["difference"] == pytest.approx(one["difference"], rel=1e-12)
    assert two["difference_se"] == pytest.approx(one["difference_se"], rel=0.12)


def test_where_everybody_is_in_the_data_there_is_no_error(world: tuple[Survey, pl.DataFrame]) -> None:
    survey, _ = world
    raw = survey.book.ask("gini", se="population")
    assert raw.table.select("se", "ci_low", "ci_high").row(0) == (None, None, None)
    assert raw.provenance["uncertainty"] == {"sampling": "population"}
    assert raw.table["value"][0] == survey.value("gini")


@pytest.mark.parametrize(
    ("measure", "se", "method", "told"),
    [
        ("gini", "sample", "auto", "superpopulation, population"),
        ("gini", "superpopulation", "jackknife", "linearised, convenient"),
        ("gini", "superpopulation", "linearised", "what fits: convenient, equal_variances, delta"),
        ("catastrophic_headcount", "superpopulation", "convenient", "what fits: linearised, bootstrap"),
        ("reranking", "superpopulation", "delta", "what fits: bootstrap"),
    ],
)
def test_a_way_that_does_not_fit_is_refused(measure: str, se: str, method: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Sure.of(measures()[measure], {}, se, method)


def test_delta_and_regression_are_near(world: tuple[Survey, pl.DataFrame]) -> None:
    """Two of the published ways for one index; neither is the other, both are of its size."""
    survey, _ = world
    given = {"threshold": "0.10"}
    one = survey.book.ask("catastrophic_concentration", (), {}, given, se="superpopulation").table["se"][0]
    two = survey.book.ask(
        "catastrophic_concentration", (), {}, given, se="superpopulation", se_method="delta"
    ).table["se"][0]
    drawn = survey.book.ask(
        "catastrophic_concentration", (), {}, given, se="superpopulation", se_method="bootstrap"
    ).table["se"][0]
    assert one != two
    assert two == pytest.approx(one, rel=0.3) and drawn == pytest.approx(two, rel=0.3)


def test_what_cannot_be_asked_together_is_refused(
    sample_store: Path, world: tuple[Survey, pl.DataFrame]
) -> None:
    desk = Desk.open(sample_store)
    with pytest.raises(ValueError, match="what fits: linearised"):
        desk.ask(
            "own_burden_mean",
            parameters={"standardise": "age_sex"},
            se="superpopulation",
            se_method="bootstrap",
        )
    with pytest.raises(ValueError, match="against threshold"):
        world[0].book.ask("catastrophic_headcount", ("threshold",), against=("threshold", "0.10"))


def test_holm() -> None:
    """Worked by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, then 0.04 held at the one before; gaps are passed over."""
    assert holm([0.01, 0.04, None, 0.03, 0.005]) == pytest.approx([0.03, 0.06, None, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_against_a_value_that_is_not_there(world: tuple[Survey, pl.DataFrame]) -> None:
    with pytest.raises(ValueError, match="against city=371000"):
        world[0].book.ask("gini", against=("city", "371000"))


def test_no_difference_from_a_protected_reference_is_told() -> None:
    """Of three cities with 5, 20 and 20 households all of the second and third are hit; beside either, the difference would tell
    how many of the 5 are."""
    survey = Survey()
    cities, hit = ["440400"] * 5 + ["440800"] * 20 + ["371000"] * 20, [0, 0, 0, 1, 1] + [1] * 40
    survey.put(
        pl.DataFrame({"city": cities, "own_fen": [h * UNIT for h in hit]}).with_columns(
            income_fen=UNIT, n_members=1
        )
    )

    def shown(reference: str, *more: str) -> dict[str, tuple[str, float | None]]:
        ask = {"against": ("city", reference), "se": "superpopulation"}
        raw = survey.book.ask("catastrophic_headcount", ("city", *more), {}, {"resource": "income"}, **ask)  # type: ignore[arg-type]
        table = release(raw).table
        untold = table.filter(pl.col("difference").is_null())
        assert all(untold[name].null_count() == untold.height for name in DIFFERENCES), "none of it is told"
        return {row["city"]: (row["status"], row["difference"]) for row in table.to_dicts()}

    for more in ((), ("income_group",)):
        assert shown("440400", *more) == {
            "440400": ("hidden", None), "440800": ("shown", None), "371000": ("shown", None)
        }  # fmt: skip
        assert shown("440800", *more) == {
            "440400": ("hidden", None), "440800": ("shown", None), "371000": ("shown", 0)
        }  # fmt: skip


def test_standardised_by_age_and_sex(sample_store: Path) -> None:
    """Every city is given the ages and sexes of all of them: the mean of its cells by their share in the whole."""
    desk = Desk.open(sample_store)
    rows = desk._book._engine.ask(
        "SELECT city, plan_year, age_band, sex, cost_fen > 0 AS ill, own_net_fen FROM person_year"
    )
    share = rows.group_by("age_band", "sex").len("all")
    cells = rows.group_by("city", "plan_year", "age_band", "sex").agg(
        (pl.col("own_net_fen").filter("ill").sum() / pl.len()).alias("own"), pl.col("ill").mean()
    )
    own, ill = ((pl.col(name) * pl.col("all")).sum() for name in ("own", "ill"))
    wanted = (
        cells.join(share, on=["age_band", "sex"])
        .group_by("city", "plan_year")
        .agg((own / ill / 100).alias("own_net_fen"))
        .sort("city", "plan_year")
    )
    got = desk.ask("own_burden_mean", ["city", "plan_year"], None, {"standardise": "age_sex"}).table
    assert got["value"].to_list() == pytest.approx(wanted["own_net_fen"].to_list(), rel=1e-9)
    raw = desk.ask("own_burden_mean", ["city", "plan_year"]).table
    assert got["value"].to_list() != pytest.approx(raw["value"].to_list(), rel=1e-3)
    assert got["n"].to_list() == raw["n"].to_list()
    with pytest.raises(ValueError, match="standardise"):
        desk.ask("catastrophic_headcount", parameters={"standardise": "age_sex"})


def test_every_household_is_a_cluster_where_no_survey_tells_clusters(sample_store: Path) -> None:
    """Also of a Shapley credit, which is worked out here order by order."""
    snapshot = Store(sample_store).current()
    file = snapshot.partitions("household_year")[0]
    where = {"city": [str(file.city)], "plan_year": [str(file.plan_year)]}
    given = {"resource": "income", "threshold": "0.10"}
    rows = pl.read_parquet(file.path).filter(pl.col("income_fen").is_not_null())
    everybody = pl.read_parquet(file.path).height
    income = rows["income_fen"].to_numpy()

    def hit(own: np.ndarray) -> np.ndarray:
        return np.where(income > 0, own * 10 > income, own > 0).astype(float)

    def error(x: np.ndarray) -> float:
        return math.sqrt(everybody / (everybody - 1) * ((x - x.mean()) ** 2).sum()) / len(x)

    asked = Book(snapshot, prepared=False).ask
    answer = asked("shapley_headcount", ["tier"], where, given, se="superpopulation").table
    paid = {k: rows[f"{k}_paid_fen"].fill_null(0).to_numpy() for k in answer["tier"]}
    credits = {k: np.zeros(len(income)) for k in paid}
    orders = list(permutations(paid))
    for order in orders:
        own = rows["own_before_fen"].to_numpy()
        for k in order:
            credits[k] += (hit(own) - hit(own - paid[k])) / len(orders)
            own = own - paid[k]
    for row in answer.iter_rows(named=True):
        assert row["se"] == pytest.approx(error(credits[row["tier"]]), rel=1e-9)
    after = asked("catastrophic_headcount", ["tier"], where, given, se="superpopulation").table
    for row in after.filter(pl.col("tier") != "none").iter_rows(named=True):
        own = rows[f"{row['tier']}_after_fen"].to_numpy()
        assert row["se"] == pytest.approx(error(hit(own)), rel=1e-9)

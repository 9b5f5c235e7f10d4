"""Bills paid while they are read, against the same bills read first and paid then."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import plan_oracle
from plan_worlds import PARTS, SCHEMA, plans, random_claims

from analytics.plans import Plan, bills, build_plan, kernel, needs, stream
from analytics.plans.arrays import Declined, classes_sql, program, sorts
from analytics.reference import root
from analytics.whatif.held import warm

PLANS = sorted((root() / "data" / "plans").glob("*/2024.toml"))
ZHUHAI = root() / "data" / "plans" / "zhuhai" / "2024.toml"


def rows_by(plan: Plan) -> Callable[[pl.DataFrame], kernel.Rows]:
    def rows(kinds: pl.DataFrame) -> kernel.Rows:
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.register("kinds", kinds)
            return program(plan, connection.sql(f"SELECT {', '.join(classes_sql(plan))} FROM kinds").pl())

    return rows


def world(content: dict[str, Any], persons: int = 60, scale: int = 150_000_000) -> pl.DataFrame:
    """Claims by person and date, with ids that are numbers."""
    claims = pl.DataFrame(random_claims(11, persons, content, scale=scale), schema=SCHEMA)
    return claims.with_columns(
        person_id=pl.col("person_id").str.slice(1).cast(pl.Int64),
        hospital_level=pl.when(pl.col("seq") % 7 > 0).then(pl.col("hospital_level")),
    ).sort("person_id", "claim_date", "seq")


def persons_of(claims: pl.DataFrame) -> pl.DataFrame:
    return claims.group_by("person_id", maintain_order=True).first()


def streamed(
    folder: Path, plan: Plan, claims: pl.DataFrame, persons: pl.DataFrame, size: int = 7, threads: int = 2
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """What every row pays in all, and on every claim, in files of row groups of a size."""
    for name, frame in (("claims", claims), ("persons", persons)):
        pq.write_table(frame.to_arrow(), folder / f"{name}.parquet", row_group_size=size)
    by_bill = np.full((len(claims), len(plan.tier)), -1, np.int64)

    def take(places: Any, payments: Any) -> None:
        assert (by_bill[places] == -1).all(), "no claim comes twice"
        by_bill[places] = payments

    files, columns = (folder / "claims.parquet", folder / "persons.parquet"), sorts(needs(plan))
    total = stream.paid(*files, columns, rows_by(plan), take, threads)
    assert (stream.paid(*files, columns, rows_by(plan), threads=threads) == total).all()
    return total, by_bill


def assert_as_read_first(folder: Path, plan: Plan, claims: pl.DataFrame, *sizes: int) -> None:
    persons = persons_of(claims)
    held = bills.sorted_by(bills.settled(claims), persons, sorts(needs(plan)))
    whole = bills.pay(rows_by(plan)(held.kinds), held.bills, by_bill=True, threads=1)
    for size in sizes:
        total, by_bill = streamed(folder, plan, claims, persons, size)
        assert (total == whole.total).all() and (by_bill == whole.by_bill).all()


@pytest.mark.parametrize("path", PLANS, ids=lambda p: p.parent.name)
def test_paid_as_when_read_first(path: Path, tmp_path: Path) -> None:
    """Wherever row groups cut persons in two, or a person fills many of them."""
    content = plan_oracle.read(path)
    plan = build_plan(content)
    if plan.holes():
        pytest.skip("has missing values")
    assert_as_read_first(tmp_path, plan, world(content), 1, 7, 50, 1000)


@settings(
    max_examples=settings().max_examples // 8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(content=plans(), size=st.integers(1, 40))
def test_any_plan(content: dict[str, Any], size: int, tmp_path: Path) -> None:
    assert_as_read_first(tmp_path, build_plan(content), world(content, 25, 20_000_000), size)


def test_amounts_of_64_bits_and_ids_that_are_texts(tmp_path: Path) -> None:
    content = plan_oracle.read(ZHUHAI)
    plan, claims = build_plan(content), world(content, scale=9_000_000_000)
    assert claims.select(pl.max_horizontal("in_policy_fen", "out_of_catalogue_fen").max()).item() > 1 << 31
    named = claims.with_columns(person_id=pl.format("p{}", pl.col("person_id") + 100))
    total, by_bill = streamed(tmp_path, plan, claims, persons_of(claims))
    again = streamed(tmp_path, plan, named, persons_of(named))
    assert by_bill.any() and (again[0] == total).all() and (again[1] == by_bill).all()


@pytest.mark.parametrize("yuan", [20_000_000, 30_000_000])
def test_half_of_one_bill_beyond_32_bits(tmp_path: Path, yuan: int) -> None:
    """Fen of the larger do not fit."""
    row = {
        "id": "inclusive", "insurance_type": "all", "base": "in_policy_own", "scope": ["inpatient"], "per": "year",
        "deductible": 0, "bands": [{"over": 0, "rate": 0.5}], "ceiling": "none", "source": "s",
    }  # fmt: skip
    sources = {"s": {"title": "made up", "class": "assumed"}}
    plan = build_plan({"city": "440400", "plan_year": 2024, "sources": sources, "tier": [row]})
    fee = {**dict.fromkeys(PARTS, 0), "in_policy_fen": yuan * 100}
    claims = world({"tier": []}, 1)[:1].with_columns(pl.lit("inpatient").alias("care_type"), **fee)
    total, by_bill = streamed(tmp_path, plan, claims, persons_of(claims))
    assert total.tolist() == [yuan * 50] and by_bill.tolist() == [[yuan * 50]]


def test_sorts_are_numbered_alike_however_many_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted through, or where that would take too much memory sorted; of texts, truths, numbers and nothing."""
    dice = np.random.default_rng(5)
    values: list[list[Any]] = [["a", "b", None], [True, False, None], [*range(-3, 9), None], [None]]
    frame = pl.DataFrame({str(i): dice.choice(np.array(v, object), 400) for i, v in enumerate(values)})
    frame = pl.DataFrame({c: pl.Series(frame[c].to_list()) for c in frame.columns})
    for space in (1_000_000, 200):
        monkeypatch.setattr(bills, "_SPACE", space)
        numbered, into = bills.Numbered(), np.empty(400, np.int32)
        for half in (slice(0, 150), slice(150, 400)):
            (batch,) = frame[half].rechunk().to_arrow().to_batches()
            numbered.number(batch.columns, into[half])
        assert numbered.table(frame.schema)[into].equals(frame, null_equal=True)
        assert len(numbered.known) == frame.n_unique()
    monkeypatch.setattr(bills, "_SPACE", 10)
    with pytest.raises(Declined, match="too many sorts"):
        numbered.number(batch.columns, into[half])


def test_nothing_is_compiled_anew(tmp_path: Path) -> None:
    """Arrays of a piece lie in memory as those of a whole city do: the kernel stands ready for them."""
    content = plan_oracle.read(ZHUHAI)
    warm()
    claims = world(content, scale=1_000)
    small = claims.with_columns(
        pl.col(name).cast(pl.Int32) for name in claims.columns if name.endswith("_fen")
    )
    known = set(kernel.pay.signatures)
    streamed(tmp_path, build_plan(content), small, persons_of(small))
    assert known and set(kernel.pay.signatures) == known


def test_no_claims(tmp_path: Path) -> None:
    content = plan_oracle.read(ZHUHAI)
    claims = world(content)[:0]
    total, by_bill = streamed(tmp_path, build_plan(content), claims, claims)
    assert len(total) == len(content["tier"]) and not total.any() and not by_bill.size


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = plan_oracle.read(ZHUHAI)
    plan, claims = build_plan(content), world(content)
    persons = persons_of(claims)

    def refused(claims: pl.DataFrame, persons: pl.DataFrame, why: str) -> None:
        for size in (1, 7, 1000):
            with pytest.raises(ValueError, match=why):
                streamed(tmp_path, plan, claims, persons, size)

    ids, days = claims["person_id"], claims["claim_date"]
    at = next(i for i in range(40, len(ids)) if ids[i] == ids[i + 1] and days[i] and days[i] < days[i + 1])
    refused(claims[[*range(at), at + 1, at, *range(at + 2, len(claims))]], persons, "do not lie by date")
    apart = [*range(at), *range(at + 1, len(claims)), at]
    refused(claims[apart], persons, "do not match")
    last = int(ids[-1])
    for gone in (0, 20, last):
        other = pl.col("person_id") != gone
        refused(claims, persons.filter(other), "do not match")
        refused(claims.filter(other), persons, "do not match")
    refused(claims, persons.with_columns(pl.col("person_id") + 1), "do not match")
    refused(claims, persons.reverse(), "do not match")
    first = claims["person_id"] < 30
    refused(pl.concat([claims.filter(~first), claims.filter(first)]), persons, "do not match")
    refused(claims, persons[:0], "do not match")
    with pytest.raises(Declined, match="below zero"):
        streamed(tmp_path, plan, claims.with_columns(pl.lit(-1).alias("advance_fen")), persons)
    monkeypatch.setattr(stream, "MOST", 1)
    with pytest.raises(Declined, match="too large"):
        streamed(tmp_path, plan, claims, persons)


def test_a_receiver_that_fails(tmp_path: Path) -> None:
    content = plan_oracle.read(ZHUHAI)
    plan, claims = build_plan(content), world(content)
    streamed(tmp_path, plan, claims, persons_of(claims))

    def take(places: Any, payments: Any) -> None:
        raise OSError("disk full")

    files = tmp_path / "claims.parquet", tmp_path / "persons.parquet"
    with pytest.raises(OSError, match="disk full"):
        stream.paid(*files, sorts(needs(plan)), rows_by(plan), take)

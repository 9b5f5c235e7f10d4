"""What each hospital made of the sums of a city-year, worked out once more from the delivered rows; the same on every runner."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import runners
from canonical import WEIHAI, claim, cube_of, deliver, enrol, negative, settle, undo

from analytics import verbs
from analytics.facts import jobs
from analytics.measures import LARGEST, PLACED
from analytics.reference import bands

SETTLED = {
    "basic": ["hifp_pay"],
    "statutory_supplement": ["cvlserv_pay", "hifes_pay"],
    "serious_illness": ["hifmi_pay", "hifob_pay"],
    "medical_assistance": ["maf_pay"],
    "other": ["hifdm_pay", "oth_pay"],
}
Sums = dict[tuple[str, ...], dict[str | None, int]]
Pair = tuple[int, int]


def made_by(
    world: Mapping[str, list[dict[str, Any]]],
    order: Sequence[str],
    groups: Mapping[int, str],
    band: Callable[[int], str],
) -> Sums:
    """What every hospital made of every sum (None: nobody knows which), from the rows of a year, person by person."""
    fen = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))  # person -> hospital -> what -> fen

    def add(row: Mapping[str, Any], who: int, at: str | None, sign: int = 1) -> None:
        one = fen[who][at]
        one["cost"] += sign * row["medfee_sumamt_fen"]
        one["in_policy"] += sign * row["inscp_scp_amt_fen"]
        one["out"] += sign * (row["fulamt_ownpay_amt_fen"] + row["overlmt_selfpay_fen"])
        one["owed"] += sign * (row["medfee_sumamt_fen"] - row["hosp_part_amt_fen"])
        for tier, fields in SETTLED.items():
            one[tier] += sign * sum(row[f"{f}_fen"] for f in fields)

    rows = {row["setl_id"]: row for row in world["settlement"]}
    gone = {u["setl_id"] for u in world["settlement_undone"] if u["kind"] != "partly_refunded"}
    for row in rows.values():
        if row["row_kind"] != "reversal" and row["setl_id"] not in gone:
            add(row, row["person_key"], row["provider_id"])
    for u in world["settlement_undone"]:
        if u["kind"] == "partly_refunded":
            add(u, rows[u["setl_id"]]["person_key"], rows[u["setl_id"]]["provider_id"])
    stays = defaultdict(set)
    for row in rows.values():
        stays[row["mdtrt_id"]].add(row["provider_id"])
    for paid in world["commercial_claim"]:
        at = rows[paid["setl_id"]]["provider_id"] if paid.get("setl_id") in rows else None
        if at is None and len(stays[paid.get("mdtrt_id")]) == 1:
            (at,) = stays[paid["mdtrt_id"]]
        fen[paid["person_key"]][at][paid["tier"]] += paid["paid_amt_fen"]
    sums: Sums = defaultdict(lambda: defaultdict(int))
    for who, each in fen.items():
        whole = {name: sum(one[name] for one in each.values()) for name in ("cost", *order)}
        for at, one in each.items():
            for name, key in (
                ("cost", "all_cost"),
                ("in_policy", "all_in_policy"),
                ("out", "all_out_of_catalogue"),
            ):
                sums[key,][at] += one[name]
            left = one["owed"]
            for tier in order:
                if whole[tier] > 0:
                    for cut in ((), (band(whole["cost"]),), (groups[who],)):
                        for name, amount in (("paid", one[tier]), ("before", left), ("cost", one["cost"])):
                            sums[(name, *cut, tier)][at] += amount
                left -= one[tier]
            sums["all_own",][at] += left
    return sums


def mixed() -> dict[str, list[dict[str, Any]]]:
    """Persons treated in several hospitals, refunds in whole and in part, payments linked by settlement, by encounter, by neither, a stay
    in two hospitals, settlements of nobody known, and of the year before.
    """
    rng = np.random.default_rng(11)
    settlement, undone_, claims, enrolment = [], [], [], []
    hospitals = [f"H{n:02d}" for n in range(9)]
    for p in range(1, 140):
        enrolment.append(enrol(p, person_group=str(rng.choice(["general", "low_income", "destitute"]))))
        for k in range(int(rng.integers(1, 5))):
            fee = int(rng.integers(20_000, 9_000_000))
            parts = rng.multinomial(fee, [0.4, 0.05, 0.05, 0.02, 0.48]).tolist()
            row = settle(
                f"s{p}-{k}", fee, parts[0], person=p, hifmi_pay_fen=parts[1] * (p % 3 == 0), maf_pay_fen=parts[2] * (p % 4 == 0),
                fulamt_ownpay_amt_fen=parts[3], inscp_scp_amt_fen=fee - parts[3], hosp_part_amt_fen=parts[3] // 3 * (p % 5 == 0),
                provider_id=None if rng.random() < 0.05 else str(rng.choice(hospitals)),
            )  # fmt: skip
            settlement.append(row)
            if rng.random() < 0.1:
                share = int(rng.integers(1, 4))
                back = negative(f"r{p}-{k}", row, share)
                settlement.append(back)
                undone_.append(undo(row, "refunded" if share == 1 else "partly_refunded", back))
            link = (
                {"setl_id": row["setl_id"]}, {"mdtrt_id": row["mdtrt_id"]}, {}, {"setl_id": "unheard", "mdtrt_id": row["mdtrt_id"]},
            )[k % 4]  # fmt: skip
            if rng.random() < 0.4:
                tier = "charity" if p % 7 == 0 else "inclusive"
                claims.append(claim(f"c{p}-{k}", fee // 9, person=p, tier=tier, **link))
    twice = [
        settle(f"t{n}", 500_000, 100_000, person=5, mdtrt_id="two", provider_id=f"H0{n}") for n in (1, 2)
    ]
    claims.append(claim("two", 70_000, person=5, mdtrt_id="two"))
    return {
        "settlement": [*settlement, *twice], "settlement_undone": undone_, "commercial_claim": claims, "enrolment": enrolment,
    }  # fmt: skip


def band_of(fen: int) -> str:
    return next(b.id for b in bands() if b.up_to is None or fen <= b.up_to * 100)


def largest_of(sums: Sums) -> dict[tuple[str, ...], Pair]:
    found = {}
    for key, each in sums.items():
        known = [*sorted((v for at, v in each.items() if at is not None), reverse=True), 0, 0]
        found[key] = known[0], known[1]
    return found


@pytest.mark.parametrize("part", [jobs.PART, 60])
def test_the_two_largest_are_those_of_the_delivered_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    """And so they are where a city-year is worked a range of persons at a time."""
    monkeypatch.setattr(jobs, "PART", part)
    rows = mixed()
    deliver(tmp_path / "store", **rows)
    snapshot = verbs.build(tmp_path / "store")
    order = next(p["order"] for p in snapshot.manifest["plans"])
    groups = {e["person_key"]: e["person_group"] for e in rows["enrolment"]}
    sums = made_by(rows, order, groups, band_of)
    want = largest_of(sums)
    cube = cube_of(snapshot)
    held = cube.filter(pl.col("key") == LARGEST["hospital"])
    got = {tuple(r["at"]): (int(r["numerator"]), int(r["denominator"])) for r in held.iter_rows(named=True)}
    assert len(got) > 60
    assert {k: v for k, v in want.items() if v != got.get(k, (0, 0))} == {}
    assert set(got) <= set(want)
    placed = {
        r["at"][0]: (r["numerator"], r["denominator"])
        for r in cube.filter(pl.col("key") == PLACED).iter_rows(named=True)
    }
    cost = sums["all_cost",]
    assert placed["cost"] == (cost[None], sum(cost.values())) and cost[None] > 0
    unlinked = sum(
        v
        for k, each in sums.items()
        if k in (("paid", "inclusive"), ("paid", "charity"))
        for at, v in each.items()
        if at is None
    )
    assert (
        placed["claimed"] == (unlinked, sum(c["paid_amt_fen"] for c in rows["commercial_claim"]))
        and unlinked > 0
    )
    persons = next(p.path for p in snapshot.partitions("person_year"))
    assert sum(cost.values()) == pl.read_parquet(persons)["cost_fen"].sum()


def test_a_payment_is_made_where_its_settlement_of_another_year_was(tmp_path: Path) -> None:
    """Weihai's product year 2023 runs into 2024: a payment of 2023 may rest on a settlement of either, and stands in its year."""
    rows = {
        "settlement": [settle("a", 900_000, person=1, provider_id="H1"), settle("b", 900_000, person=1, year=2024, provider_id="H2")],
        "commercial_claim": [claim("x", 50_000, setl_id="a"), claim("y", 70_000, setl_id="b")],
        "enrolment": [enrol(1)],
    }  # fmt: skip
    deliver(tmp_path / "store", **rows)
    snapshot = verbs.build(tmp_path / "store")

    def paid(year: int) -> tuple[float, float]:
        held = cube_of(snapshot, (WEIHAI, year)).filter(pl.col("key") == LARGEST["hospital"])
        row = next(r for r in held.iter_rows(named=True) if r["at"] == ["paid", "inclusive"])
        return row["numerator"], row["denominator"]

    assert (paid(2023), paid(2024)) == ((50_000, 0), (70_000, 0))


# --- the same everywhere, and nothing of it kept


@pytest.mark.usefixtures("program_of_its_own")
def test_every_runner_finds_the_same_and_no_hospital_is_sealed(tmp_path: Path) -> None:
    store = tmp_path / "store"
    rows = mixed()
    before = [{**row, "plan_year": 2022} for row in rows["settlement"]]
    deliver(store, **{**rows, "settlement": [*rows["settlement"], *before]})
    snapshot = verbs.build(store)
    assert verbs.build(runners.fresh(store, tmp_path / "again").path).id == snapshot.id
    assert verbs.build(runners.fresh(store, tmp_path / "pool").path, runner="pool").id == snapshot.id
    assert not snapshot.partitions("hospital_year") and not list(snapshot.path.glob("hospital*"))
    for path in snapshot.path.iterdir():
        assert b"H07" not in path.read_bytes(), path.name
    known = [p.path for p in snapshot.partitions("cube")]
    assert all("hospital" not in pl.read_parquet_schema(p) for p in known)

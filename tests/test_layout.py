"""How settlements lie in the files of a store, and that nothing read from them depends on it."""

import random
from pathlib import Path

import polars as pl
import pytest
from canonical import Rows, built, claim, deliver, enrol, facts, hashes, negative, settle, undo
from test_ingest import load, row, waiting

from analytics.facts import FACTS
from analytics.store import Store

MOST = 2**31 - 1  # fen of one amount of a settlement


def test_rows_of_a_person_lie_together_by_time_and_ties_as_they_came(tmp_path: Path) -> None:
    came = [("P2", 9), ("P1", 9), ("P2", 3), ("P3", 5), ("P1", 9), ("P2", 9), ("P1", 1)]
    rows = [
        row(n, psn_no=person, setl_time=f"2021-08-{day:02} 10:00:00") for n, (person, day) in enumerate(came)
    ]
    file = load(tmp_path, rows).partitions("settlement")[0].path
    held = pl.read_parquet(file).select("person_key", "setl_time", "setl_id").rows()
    assert [h[:2] for h in held] == sorted(h[:2] for h in held)
    assert [h[0] for h in held] != [
        h[0] for h in sorted(held, key=lambda h: h[2])
    ]  # they came in another order
    runs = [
        "".join(f"{i[1:]} " for _, _, i in held if came[int(i[1:])][0] == person)
        for person in ("P1", "P2", "P3")
    ]
    assert runs == ["6 1 4 ", "2 0 5 ", "3 "]


def test_an_amount_fits_32_bits_or_waits(tmp_path: Path) -> None:
    amounts = [MOST, MOST + 1, -MOST, -MOST - 1]
    rows = [
        row(n, act_pay_dedc=f"{'-' if a < 0 else ''}{abs(a) // 100}.{abs(a) % 100:02}")
        for n, a in enumerate(amounts)
    ]
    delivery = load(tmp_path, rows)
    waits = [reasons for reasons in waiting(delivery).values() if "over_limit(act_pay_dedc)" in reasons]
    assert len(waits) == 2
    held = pl.concat(pl.read_parquet(p.path) for p in delivery.partitions("settlement"))["act_pay_dedc_fen"]
    assert (sorted(held), held.dtype) == ([-MOST, MOST], pl.Int32)


def test_two_amounts_at_the_bound_add_up(tmp_path: Path) -> None:
    """The files hold 32 bits; a tier of two fields does not fit them."""
    one = settle("a", 100, cvlserv_pay_fen=MOST, hifes_pay_fen=MOST)
    deliver(tmp_path, settlement=[one, settle("b", 100)])
    narrow(tmp_path)
    assert facts(tmp_path)[2023, 1]["statutory_supplement_paid_fen"] == 2 * MOST


def narrow(store: Path) -> None:
    """Money of the one sealed delivery as ingest writes it: 32 bits."""
    kept = Store(store)
    (delivery,) = kept.deliveries()
    manifest = {k: v for k, v in delivery.manifest.items() if k != "files"}
    frames = {p.path.name: pl.read_parquet(p.path) for p in delivery.partitions()}
    files = [{k: v for k, v in f.items() if k != "sha256"} for f in delivery.manifest["files"]]
    with kept.building() as staging:
        for name, frame in frames.items():
            frame.with_columns(pl.col("^.*_fen$").cast(pl.Int32)).write_parquet(staging / name)
        sealed = kept.seal("deliveries", staging, files, manifest)
    assert sealed.id != delivery.id
    import shutil

    delivery.path.chmod(0o755)
    shutil.rmtree(delivery.path)


def world() -> Rows:
    draw = random.Random(7)
    return [
        settle(f"s{n:03}", draw.randrange(1, 90_000), person=draw.randrange(1, 40), year=draw.choice((2022, 2023)),
               care_type=draw.choice(("inpatient", "outpatient")), mdtrt_id=f"M{draw.randrange(150)}")
        for n in range(200)
    ]  # fmt: skip


def test_the_order_of_rows_decides_nothing(tmp_path: Path) -> None:
    """Files of an older store, in the order of their delivery, make the same bytes of facts."""
    rows = world()
    gone, part = rows[3], rows[5]
    backs = [negative("r1", gone), negative("r2", part, 4)]
    told = [undo(gone, "refunded", backs[0]), undo(part, "partly_refunded", backs[1])]
    enrolled = [enrol(person) for person in range(1, 45)]
    made = {}
    for name, order in (
        ("older", rows),
        ("sorted", sorted(rows, key=lambda r: (r["person_key"], r["setl_id"]))),
        ("other", rows[:-1]),
    ):
        deliver(tmp_path / name, settlement=[*order, *backs], settlement_undone=told, enrolment=enrolled)
        made[name] = {n: sha for n, sha in hashes(built(tmp_path / name)).items() if n.startswith(FACTS)}
    assert made["older"] == made["sorted"] != made["other"]


def test_city_years_worked_together_and_alone_hold_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone the person is the whole key; together city and plan year are told from row to row."""
    import importlib

    rows = world()
    gone, part = rows[3], rows[5]
    backs = [negative("r1", gone), negative("r2", part, 4)]
    told = [undo(gone, "refunded", backs[0]), undo(part, "partly_refunded", backs[1])]
    made = []
    for name, together in (("together", 9), ("alone", 1)):
        monkeypatch.setattr(importlib.import_module("analytics.facts.build"), "TOGETHER", together)
        deliver(
            tmp_path / name,
            settlement=[*rows, *backs],
            settlement_undone=told,
            enrolment=[enrol(p) for p in range(1, 45)],
        )
        made.append(hashes(built(tmp_path / name)))
    assert made[0] == made[1]
    fees = (
        sum(r["medfee_sumamt_fen"] for r in rows) - gone["medfee_sumamt_fen"] + backs[1]["medfee_sumamt_fen"]
    )
    assert sum(r["cost_fen"] for r in facts(tmp_path / "alone").values()) == fees


def test_a_city_year_worked_by_ranges_of_keys_holds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole or by ranges: the same rows of every fact and the same checks; by ranges, the same bytes each time."""
    import importlib

    spread = {n: n * 2**64 // 45 - 2**63 for n in range(1, 45)}
    keyed = [{**row, "person_key": spread[row["person_key"]]} for row in world()]
    gone, part = keyed[3], keyed[5]
    backs = [negative("r1", gone), negative("r2", part, 4)]
    told = [undo(gone, "refunded", backs[0]), undo(part, "partly_refunded", backs[1])]
    holders = {n: {"product_code": "P", "product_year": 2023} for n in range(1, 8)}
    paid = [claim(f"c{n}", 100 * n, person=spread[n], setl_id=f"s{n:03}") for n in (1, 20, 44)]
    members = [
        {"person_key": key, "household_key": spread[n % 9 + 1] + 1} for n, key in spread.items() if n % 4
    ]
    means = [
        {"household_key": spread[n] + 1, "year": year, "size": 3 + n % 3, "income_annual_fen": 1_000_000 * (n % 5)}
        for n in range(1, 10) for year in (2022, 2023)
    ]  # fmt: skip
    jobs, made, bytes_of = importlib.import_module("analytics.facts.jobs"), {}, {}
    for name, most in (("whole", 10_000), ("ranges", 20), ("again", 20)):
        monkeypatch.setattr(jobs, "PART", most)
        deliver(
            tmp_path / name, settlement=[*keyed, *backs], settlement_undone=told, commercial_claim=paid, household_economy=means,
            household_member=members, enrolment=[enrol(spread[n], **holders.get(n, {})) for n in spread],
        )  # fmt: skip
        store = Store(tmp_path / name)
        assert (max(len(job.ranges) for job in jobs.jobs_of(store.deliveries())) > 4) == (most == 20)
        snapshot = built(tmp_path / name)
        bytes_of[name] = hashes(snapshot)
        tables = {t: [p.path for p in snapshot.partitions(t)] for t in FACTS}
        made[name] = {t: sorted(map(repr, pl.read_parquet(paths).rows())) for t, paths in tables.items()}
        made[name] |= {part: snapshot.manifest[part] for part in ("checks", "links")}
        for path in tables["household_year"]:
            assert pl.read_parquet(path)["household_key"].is_sorted(), "households lie by key either way"
    assert made["whole"] == made["ranges"]
    assert bytes_of["ranges"] == bytes_of["again"]
    holds = pl.read_parquet([p.path for p in built(tmp_path / "ranges").partitions("person_year")])
    assert dict(
        holds.group_by("plan_year", "is_holder")
        .len()
        .filter(is_holder=True)
        .select("plan_year", "len")
        .rows()
    ) == {2023: 7}
    assert holds.filter(plan_year=2022)["is_holder"].null_count() == holds.filter(plan_year=2022).height
    assert holds.filter(plan_year=2023)["is_holder"].null_count() == 0  # though most ranges know of no holder

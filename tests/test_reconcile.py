"""Nothing is lost and nothing counts twice, whatever comes: every row is in one place, and rows and fen add up to zero difference.

Which place a row belongs in is decided here by the kind of row that was drawn, not by the rules under test.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deliveries import (
    MONEY,
    PLATFORM,
    SMALL,
    Row,
    amounts,
    bare,
    csv_file,
    fen,
    jsonl_file,
    loaded,
    negative,
    parquet_file,
    platform,
    record,
    reply,
    reversal,
    take,
    waiting,
    xlsx_file,
)
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

# No shrinking: it would load hundreds of deliveries.
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
MANY = settings().max_examples  # of the profile; every example here loads whole deliveries
LITTLE = {PLATFORM.get(k, k): v for k, v in SMALL.items()}
LATER = {"updt_time": "2021-09-01 00:00:00"}
Part = st.integers(0, 3_000_00)
Money = st.builds(
    amounts,
    st.lists(Part, min_size=8, max_size=8),
    st.integers(1_00, 3_000_00),  # more than any tolerance
    Part,
    st.lists(Part, min_size=3, max_size=3),
    st.integers(0, 100),
)


@dataclass(frozen=True)
class Event:
    """What happened: its rows, and how many of them are loaded, wait, or are set aside. `counts`: fee of what counts in the end."""

    rows: tuple[Row, ...]
    places: tuple[str, ...]
    counts: int


def event(kind: str, number: int, money: Row, year: int) -> Event:
    """One event of a kind about person `number`."""
    spelled = {PLATFORM.get(name, name): value for name, value in money.items()}
    good = platform(number, year=str(year), **spelled)
    fee = fen([good])
    back = reversal({**good, "refd_setl_flag": "1"}, f"N{number}")
    part = {**back, **negative(spelled), **negative(LITTLE)}
    larger = {**good, **_plus(spelled, LITTLE)}
    made: dict[str, tuple[list[Row], list[str], int]] = {
        "good": ([good], ["loads"], fee),
        "unreadable": ([{**good, "medfee_sumamt": "?"}], ["waits"], 0),
        "unequal": ([{**good, "cash_payamt": str(Decimal(good["cash_payamt"]) + 7)}], ["waits"], 0),
        "copied": ([good, good], ["loads", "set_aside"], fee),
        "renewed": ([{**good, **_plus(spelled, LITTLE)}, {**good, **LATER}], ["set_aside", "loads"], fee),
        "unclear": ([good, larger], ["waits", "waits"], 0),
        "refunded": ([{**good, "refd_setl_flag": "1"}, back], ["loads", "loads"], 0),
        "refunded next year": (
            [{**good, "refd_setl_flag": "1"}, {**back, "year": str(year + 1)}],
            ["loads", "loads"],
            0,
        ),
        "refunded in part": ([{**larger, "refd_setl_flag": "1"}, part], ["loads", "loads"], fee),
        "refunded in part, put right later": (
            [{**larger, "refd_setl_flag": "1"}, {**back, **negative(spelled)}, {**part, **LATER}],
            ["loads", "set_aside", "loads"],
            fee,
        ),
        "refund of the unseen": ([back], ["loads"], 0),
        "invalid": ([{**good, "vali_flag": "0"}], ["set_aside"], 0),
        "test": ([{**good, "fixmedins_name": "测试医院"}], ["set_aside"], 0),
    }
    rows, places, counts = made[kind]
    return Event(tuple(rows), tuple(places), counts)


def _plus(one: Row, other: Row) -> Row:
    """Amounts of two settlements together: their identities hold for the sum."""
    names = {PLATFORM.get(name, name) for name in MONEY}
    return {name: str(Decimal(one[name]) + Decimal(other[name])) for name in names}


SETTLED = (
    "good",
    "copied",
    "renewed",
    "refunded",
    "refunded next year",
    "refunded in part",
    "refunded in part, put right later",
    "refund of the unseen",
)
KINDS = (*SETTLED, "unreadable", "unequal", "unclear", "invalid", "test")


@st.composite
def events(draw: st.DrawFn, kinds: Sequence[str], most: int) -> list[Event]:
    drawn = draw(st.lists(st.tuples(st.sampled_from(kinds), Money, st.sampled_from([2021, 2022])), min_size=1, max_size=most))  # fmt: skip
    return [event(kind, number, money, year) for number, (kind, money, year) in enumerate(drawn, 1)]


def mixed(folder: Path, name: str, rows: Sequence[Row]) -> Path:
    """The rows in the format the name says."""
    path = folder / name
    if path.suffix == ".jsonl":
        return jsonl_file(path, [reply(row, []) for row in rows])
    writer: Any = {".csv": csv_file, ".parquet": parquet_file, ".xlsx": xlsx_file}[path.suffix]
    return writer(path, list(rows))


# --- every row in one place


@settings(max_examples=MANY // 12, phases=QUICK)
@given(happened=events(KINDS, 24), data=st.data())
def test_every_row_is_in_exactly_one_place(
    tmp_path_factory: pytest.TempPathFactory, happened: list[Event], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("mixture")
    places = [(nth, row) for nth, e in enumerate(happened) for row in e.rows]
    order = data.draw(st.permutations(range(len(places))))
    rows = [places[i][1] for i in order]
    delivery = take(folder, [csv_file(folder / "s.csv", rows)])
    told, away, here = delivery.manifest, waiting(delivery), loaded(delivery)

    states = {nth: Counter[str]() for nth in range(len(happened))}
    for place, i in enumerate(order, 1):
        states[places[i][0]][away.get(("s.csv", place), ("loads", []))[0]] += 1
    assert states == {nth: Counter(e.places) for nth, e in enumerate(happened)}

    kept = [row for place, row in enumerate(rows, 1) if ("s.csv", place) not in away]
    stored = sorted(here.select("setl_id", "medfee_sumamt_fen").iter_rows()) if len(here) else []
    assert stored == sorted((row["setl_id"], fen([row])) for row in kept)
    assert told["rows_in"] == len(rows) == told["rows_loaded"] + told["rows_quarantined"]
    assert told["rows_loaded"] == len(here)
    assert told["rows_set_aside"] == sum(state == "set_aside" for state, _ in away.values())
    readable = [row for row in rows if row["medfee_sumamt"] != "?"]
    assert told["fee_in_fen"] == fen(readable) == told["fee_loaded_fen"] + told["fee_quarantined_fen"]
    assert told["fee_loaded_fen"] == fen(kept)
    assert told["fee_unreadable_rows"] == len(rows) - len(readable)


# --- the same facts, byte for byte


def facts(store: Path) -> tuple[dict[tuple[Any, ...], str], int]:
    """Of a built store: sha256 of every fact file, and the fee that counts, in fen, by the fact of persons."""
    held = bare(store).partitions()
    people = [pl.read_parquet(p.path)["cost_fen"] for p in held if p.table == "person_year"]
    return {(p.table, p.city, p.plan_year): p.sha256 for p in held}, sum(int(c.sum() or 0) for c in people)


def rows_of(happened: Sequence[Event]) -> list[Row]:
    # one settlement that always counts: a store of nothing but refunds has no facts to compare
    return [row for e in happened for row in e.rows] + [platform(900)]


@settings(max_examples=MANY // 50, phases=QUICK)
@given(happened=events(KINDS, 16), data=st.data())
def test_order_splits_and_repeats_change_no_fact(
    tmp_path_factory: pytest.TempPathFactory, happened: list[Event], data: st.DataObject
) -> None:
    """Rows shuffled, cut into two files of two formats, one of them twice, in either order."""
    folder = tmp_path_factory.mktemp("layout")
    rows = rows_of(happened)
    take(folder, [csv_file(folder / "whole.csv", rows)], store="one")
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    names = data.draw(st.sampled_from([("a.csv", "b.parquet"), ("a.parquet", "b.csv"), ("a.csv", "b.csv")]))
    files = [
        mixed(folder, name, part)
        for name, part in zip(names, (shuffled[:cut], shuffled[cut:]), strict=True)
        if part
    ]
    again = folder / f"again{files[0].suffix}"
    again.write_bytes(files[0].read_bytes())
    take(folder, data.draw(st.permutations([*files, again])), store="two")
    assert (first := facts(folder / "one")) == facts(folder / "two")
    assert first[1] == sum(e.counts for e in happened) + fen([platform(900)])


@settings(max_examples=MANY // 50, phases=QUICK)
@given(happened=events(SETTLED, 12), data=st.data())
def test_months_in_any_order_give_the_facts_of_one_delivery(
    tmp_path_factory: pytest.TempPathFactory, happened: list[Event], data: st.DataObject
) -> None:
    """Copies, versions and refunds apart from what they belong to, before it or after it."""
    folder = tmp_path_factory.mktemp("months")
    rows = rows_of(happened)
    take(folder, [csv_file(folder / "whole.csv", rows)], store="one")
    month = [data.draw(st.integers(0, 2)) for _ in rows]
    for nth in data.draw(st.permutations(range(3))):
        if part := [row for row, m in zip(rows, month, strict=True) if m == nth]:
            take(folder, [csv_file(folder / f"month{nth}.csv", part)], store="two")
    assert (first := facts(folder / "one")) == facts(folder / "two")
    assert first[1] == sum(e.counts for e in happened) + fen([platform(900)])


def test_every_format_gives_the_same_facts(tmp_path: Path) -> None:
    rows = [record(n, **(SMALL if n % 2 else {}), begndate=f"2021-08-{n:02d}") for n in range(1, 21)]
    stored = []
    for suffix in ("csv", "parquet", "jsonl", "xlsx"):
        delivery = take(tmp_path, [mixed(tmp_path, f"s.{suffix}", rows)], store=suffix)
        stored.append([(p.plan_year, p.sha256) for p in delivery.partitions("settlement")])
    assert stored == stored[:1] * 4
    assert (first := facts(tmp_path / "csv")) == facts(tmp_path / "jsonl")
    assert first[1] == fen(rows)


def test_a_delivery_that_came_before_changes_nothing(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "s.csv", [record(n) for n in range(1, 6)])
    first = take(tmp_path, [path])
    before = facts(tmp_path / "store")
    assert take(tmp_path, [path]).id == first.id
    assert facts(tmp_path / "store") == before


def test_a_settlement_already_loaded_waits_and_the_new_ones_load(tmp_path: Path) -> None:
    take(tmp_path, [csv_file(tmp_path / "a.csv", [record(1), record(2)])])
    second = take(tmp_path, [csv_file(tmp_path / "b.csv", [record(2), record(3)])])
    assert [reasons for _, reasons in waiting(second).values()] == [["already_loaded"]]
    assert loaded(second)["setl_id"].to_list() == ["S00003"]
    assert facts(tmp_path / "store")[1] == 3 * 2344246


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_of_a_refund_in_two_versions_the_newer_is_subtracted(tmp_path: Path, order: Sequence[int]) -> None:
    """23,442.46 less 1,000.00, which another month had told as 500.00."""
    large = platform(1, refd_setl_flag="1")
    half = {name: str(Decimal(value) / 2) for name, value in LITTLE.items()}
    back = reversal(large, "N1")
    rows = [large, {**back, **negative(half)}, {**back, **negative(LITTLE), **LATER}]
    for nth in order:
        take(tmp_path, [csv_file(tmp_path / f"{nth}.csv", [rows[nth]])])
    assert facts(tmp_path / "store")[1] == 2344246 - 1000_00


def test_a_later_version_replaces_an_earlier_delivery(tmp_path: Path) -> None:
    take(tmp_path, [csv_file(tmp_path / "a.csv", [platform(1, **LITTLE), platform(2)])])
    assert facts(tmp_path / "store")[1] == 1000_00 + 2344246
    take(tmp_path, [csv_file(tmp_path / "b.csv", [platform(1, **LATER)])])
    assert facts(tmp_path / "store")[1] == 2 * 2344246

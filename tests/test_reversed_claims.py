"""A claim that was taken back does not count: not its payment, not its reversal, in whatever order they came."""

import itertools
from pathlib import Path

import polars as pl
import pytest
from deliveries import bare, csv_file, record, take, waiting

from analytics.store import Store

KEPT = {"claim_id": "K2", "product_code": "dawj", "psn_no": record(1)["psn_no"], "insu_admdvs": "440402", "product_year": "2021", "paid_amt": "70.00", "status": "paid"}  # fmt: skip
PAID = {**KEPT, "claim_id": "K1", "paid_amt": "100.00"}
BACK = {**PAID, "status": "reversed"}
OTHER_YEAR = {
    **BACK,
    "product_year": "2022",
    "insu_admdvs": "371002",
}  # a reversal is known by its number alone
ASIDE = ("set_aside", ["reversed_claim"])


def counted(folder: Path) -> int:
    """Fen the product paid, by the facts."""
    snapshot = bare(Store(folder / "store"))
    frames = [pl.read_parquet(p.path) for p in snapshot.partitions("person_year")]
    return sum(int(f["inclusive_paid_fen"].fill_null(0).sum()) for f in frames)


@pytest.mark.parametrize("back", [BACK, {**BACK, "paid_amt": "-100.00"}, OTHER_YEAR])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_in_one_file_the_order_of_rows_decides_nothing(
    tmp_path: Path, order: tuple[int, ...], back: dict[str, str]
) -> None:
    rows = [(PAID, back, KEPT)[n] for n in order]
    delivery = take(tmp_path, [csv_file(tmp_path / "c.csv", rows)], "commercial_claim")
    assert waiting(delivery) == {("c.csv", order.index(n) + 1): ASIDE for n in (0, 1)}
    assert counted(tmp_path) == 70_00


@pytest.mark.parametrize("back", [BACK, OTHER_YEAR])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_over_deliveries_their_order_decides_nothing(
    tmp_path: Path, order: tuple[int, ...], back: dict[str, str]
) -> None:
    take(tmp_path, [csv_file(tmp_path / "s.csv", [record(1)])])
    for n in order:
        take(tmp_path, [csv_file(tmp_path / f"{n}.csv", [(PAID, back, KEPT)[n]])], "commercial_claim")
    assert counted(tmp_path) == 70_00


def test_a_claim_taken_back_stays_so(tmp_path: Path) -> None:
    """Its payment delivered once more, and the reversal told again, change nothing."""
    for n, row in enumerate(
        (PAID, BACK, {**PAID, "psn_no": record(2)["psn_no"]}, {**BACK, "paid_amt": "1.00"}, KEPT)
    ):
        last = take(tmp_path, [csv_file(tmp_path / f"{n}.csv", [row])], "commercial_claim")
    assert last.manifest["rows_loaded"] == 1 and counted(tmp_path) == 70_00


def test_a_status_that_says_neither_waits(tmp_path: Path) -> None:
    """And so does the payment of the same number beside it: nobody can tell which holds."""
    rows = [KEPT, {**PAID, "status": "rejected"}, {**PAID, "claim_id": "K3"}, {**PAID, "claim_id": "K3", "status": "rejected"}]  # fmt: skip
    for name, order in (("a", rows), ("b", rows[::-1])):
        delivery = take(tmp_path, [csv_file(tmp_path / "c.csv", order)], "commercial_claim", store=name)
        reasons = {order[row - 1]["claim_id"]: told for (_, row), told in waiting(delivery).items()}
        assert reasons == {"K1": ("waits", ["not_a_status"]), "K3": ("waits", ["Q1_conflict"])}


def test_of_two_rows_of_one_claim_the_first_is_not_taken_unseen(tmp_path: Path) -> None:
    """Two persons and one number: which row came first does not say whose claim it is."""
    rows = [PAID, {**PAID, "psn_no": record(2)["psn_no"]}]
    delivery = take(tmp_path, [csv_file(tmp_path / "c.csv", rows)], "commercial_claim")
    assert waiting(delivery) == {("c.csv", n): ("waits", ["Q1_conflict"]) for n in (1, 2)}

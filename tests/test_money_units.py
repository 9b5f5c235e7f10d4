"""Amounts in units of their own: ten thousand yuan, a survey's currency, and constants of a mapping, all read by one rule."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deliveries import csv_file, loaded, note_file, record, take, waiting

from analytics import verbs
from analytics.intake import Refused
from analytics.store import Folder

WAN = 1_000_000  # fen of ten thousand yuan


def in_wan(**changes: str) -> dict[str, Any]:
    """A settlement of 315,000 yuan, all paid in cash, in units of ten thousand."""
    row = {
        name: "0" if name.endswith(("amt", "pay", "part", "dedc")) else value
        for name, value in record(1).items()
    }
    paid = ("medfee_sumamt", "inscp_scp_amt", "psn_part_amt", "psn_cash_pay")
    return {**row, "overlmt_selfpay": "0", **dict.fromkeys(paid, "31.5"), **changes}


def mapped(folder: Path, text: str) -> Path:
    (folder / "m.toml").write_text(text, encoding="utf-8")
    return folder / "m.toml"


def wan(folder: Path, *rows: dict[str, Any], **options: Any) -> Folder:
    path = csv_file(folder / "a.csv", rows)
    return take(folder, [path], mapping=mapped(folder, f"[money]\nscale = {WAN}\n"), **options)


@pytest.mark.parametrize("many", ["3000", "-3000", "1e17", "inf"])
def test_an_amount_too_large_for_its_column_waits_in_any_unit(tmp_path: Path, many: str) -> None:
    delivery = wan(tmp_path, in_wan(), in_wan(setl_id="S2", mdtrt_id="M2", medfee_sumamt=many))
    assert (
        waiting(delivery)["a.csv", 2][1][0]
        == f"{'bad_amount' if many == 'inf' else 'over_limit'}(medfee_sumamt)"
    )
    assert loaded(delivery)["medfee_sumamt_fen"].to_list() == [31_500_000]


def test_an_amount_that_fits_loads(tmp_path: Path) -> None:
    most = "1000"
    paid = dict.fromkeys(("medfee_sumamt", "inscp_scp_amt", "psn_part_amt", "psn_cash_pay"), most)
    assert loaded(wan(tmp_path, in_wan(**paid)))["medfee_sumamt_fen"].to_list() == [1_000_000_000]


def test_quality_counts_yuan_whatever_the_unit_of_the_source(tmp_path: Path) -> None:
    wan(tmp_path, in_wan(), in_wan(setl_id="", mdtrt_id="M2"))
    (d,) = verbs.quality(tmp_path / "store", rows=1)
    assert (d["fee_in_yuan"], d["fee_loaded_yuan"], d["fee_open_yuan"]) == (630_000, 315_000, 315_000)
    assert [s["fee_yuan"] for s in d["samples"]] == [315_000]


@pytest.mark.parametrize(("said", "accepted"), [("315000", True), ("31.5", False)])
def test_the_control_total_is_in_yuan_whatever_the_unit(tmp_path: Path, said: str, accepted: bool) -> None:
    path = csv_file(tmp_path / "a.csv", [in_wan()])
    note = note_file(tmp_path / "n.toml", [path], [1], said)
    if accepted:
        assert wan(tmp_path, in_wan(), note=note).manifest["fee_in_fen"] == 31_500_000
        return
    with pytest.raises(Refused, match=r"adds up to 315,000\.00 yuan, the note says 31\.50"):
        wan(tmp_path, in_wan(), note=note)


@pytest.mark.parametrize(("scale", "unit"), [(10_000, 10_000), (100, 100), (1, 100)])
def test_a_survey_keeps_the_digits_of_its_own_currency(tmp_path: Path, scale: int, unit: int) -> None:
    """Quality, and the control total, in the survey's currency; of fen in yuan."""
    cost = Decimal("12.3456") if scale == 10_000 else Decimal(12)
    rows = [{"household_id": f"H{n}", "city": "a", "plan_year": "1998", "cost": f"{cost}"} for n in range(5)]
    path = csv_file(tmp_path / "h.csv", rows)
    total = 5 * cost * scale / unit
    told = {"mapping": mapped(tmp_path, f"[money]\nscale = {scale}\n")}
    note = note_file(tmp_path / "n.toml", [path], [5], total, jurisdiction=[])
    delivery = take(tmp_path, [path], "household_year", note=note, **told)
    assert loaded(delivery, "household_year")["cost_fen"].to_list() == [int(cost * scale)] * 5
    (d,) = verbs.quality(tmp_path / "store")
    assert d["fee_in_yuan"] == pytest.approx(float(total))
    wrong = note_file(tmp_path / "n.toml", [path], [5], total * 2, jurisdiction=[])
    with pytest.raises(Refused, match=f"adds up to {total:,.2f} yuan") as refused:
        take(tmp_path, [path], "household_year", store="other", note=wrong, **told)
    assert "[control_total]" in str(refused.value)


# --- constants of a mapping


def with_constants(folder: Path, text: str, scale: int = 100) -> pl.DataFrame:
    path = csv_file(folder / "a.csv", [record(1), record(2)])
    told = mapped(folder, f"[constants]\n{text}\n[money]\nscale = {scale}\n")
    return loaded(take(folder, [path], mapping=told))


@pytest.mark.parametrize(
    ("constant", "stored", "value"),
    [
        ("act_pay_dedc = 12.5", "act_pay_dedc_fen", "1250"),
        ('act_pay_dedc = "1,012.50元"', "act_pay_dedc_fen", "101250"),
        ("act_pay_dedc = 12", "act_pay_dedc_fen", "1200"),
        ('begndate = "20210820"', "begndate", "2021-08-20"),
        ("begndate = 2021-08-20", "begndate", "2021-08-20"),
        ("setl_time = 2021-08-27T09:58:41", "setl_time", "2021-08-27 09:58:41"),
        ('setl_time = "2021/8/27 9:58"', "setl_time", "2021-08-27 09:58:00"),
        ('insu_admdvs = "４４０４０２"', "city", "440400"),
    ],
)
def test_a_constant_is_read_as_a_column_of_it_would_be(
    tmp_path: Path, constant: str, stored: str, value: str
) -> None:
    found = with_constants(tmp_path, constant)
    assert found.height == 2
    assert {str(v).removesuffix(".000000") for v in found[stored]} == {value}


@pytest.mark.parametrize(
    "constant",
    [
        "act_pay_dedc = 12.555",
        'act_pay_dedc = "plenty"',
        "act_pay_dedc = 99999999999",
        'begndate = "last spring"',
        'begndate = "05/06/2021"',
        'setl_time = ""',
        'age = "old"',
    ],
)
def test_a_constant_that_is_none_refuses_the_mapping(tmp_path: Path, constant: str) -> None:
    with pytest.raises(Refused) as refused:
        with_constants(tmp_path, constant)
    (line,) = refused.value.lines
    name = constant.split(" =")[0]
    assert f"the mapping gives {name} the constant " in line and line.endswith("[mapping]"), line


KEPT = ("cost_fen", "food_fen", "urban", "n_members")


def test_a_constant_follows_the_scale_of_its_file(tmp_path: Path) -> None:
    rows = [{"household_id": "H1", "city": "a", "plan_year": "1998", "cost": "2"}]
    told = mapped(
        tmp_path, "[constants]\nfood = 12.3456\nurban = true\nn_members = 3\n[money]\nscale = 10000\n"
    )
    delivery = take(tmp_path, [csv_file(tmp_path / "h.csv", rows)], "household_year", mapping=told)
    assert loaded(delivery, "household_year").select(KEPT).row(0) == (20_000, 123_456, True, 3)


@pytest.mark.parametrize("most", ["10737418.24", "21474836.47"])
def test_very_large_amounts_are_reckoned_with_and_the_file_is_kept(tmp_path: Path, most: str) -> None:
    """A fee up to the bound of its column loads; beside it every sum and difference of such amounts can be told."""
    paid = dict.fromkeys(("medfee_sumamt", "inscp_scp_amt", "psn_part_amt", "psn_cash_pay"), most)
    large = {**in_wan(), **paid}
    parts = dict.fromkeys(("fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt"), most)
    funds = dict.fromkeys(("hifp_pay", "hifes_pay", "hifmi_pay", "maf_pay", "fund_pay_sumamt"), most)
    rows = [
        large,
        {**large, **parts, "setl_id": "S2", "mdtrt_id": "M2"},
        {**large, **funds, "setl_id": "S3", "mdtrt_id": "M3"},
        {**large, "fund_pay_sumamt": f"-{most}", "psn_part_amt": "", "setl_id": "S4", "mdtrt_id": "M4"},
        {**large, "inscp_scp_amt": f"-{most}", "hifp_pay": most, "setl_id": "S5", "mdtrt_id": "M5"},
        {**large, "psn_cash_pay": f"-{most}", "acct_pay": f"-{most}", "setl_id": "S6", "mdtrt_id": "M6"},
    ]
    delivery = take(tmp_path, [csv_file(tmp_path / "a.csv", rows)])
    assert loaded(delivery)["medfee_sumamt_fen"].to_list() == [int(Decimal(most) * 100)]
    broken = {"S2": "I1", "S3": "I2", "S4": "I12", "S5": "I7_large", "S6": "I4"}
    away = waiting(delivery)
    for place, (setl_id, rule) in enumerate(broken.items(), 2):
        assert rule in away["a.csv", place][1], (setl_id, away["a.csv", place])

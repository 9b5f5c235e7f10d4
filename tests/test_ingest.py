"""Deliveries: both national spellings load; every kind of bad input gives one clear line or a quarantine row; nothing is lost."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deliveries import bare

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.intake import Refused, contract
from analytics.store import Folder, Store

# An in-patient settlement of the interface spelling whose identities hold to the cent (published test reply, amounts only).
GOOD: dict[str, Any] = {
    "setl_id": "S1", "init_setl_id": "", "mdtrt_id": "M1", "psn_no": "P1", "insuplc_admdvs": "440402", "fix_blng_admdvs": "440402",
    "insutype": "310", "psn_type": "1201", "med_type": "21", "dedc_hosp_lv": "3", "setl_time": "2021-08-27 09:58:41", "year": "2021",
    "refd_setl_flag": "0", "medfee_sumamt": "23442.46", "fulamt_ownpay_amt": "2533.97", "overlmt_selfpay": "1396.89",
    "preselfpay_amt": "703.44", "inscp_scp_amt": "18808.16", "hifp_pay": "0", "cvlserv_pay": "0", "hifes_pay": "0", "hifmi_pay": "0",
    "hifob_pay": "18785.39", "hifdm_pay": "0", "maf_pay": "0", "oth_pay": "0", "fund_pay_sumamt": "18785.39", "hosp_part_amt": "505.01",
    "psn_part_amt": "4152.06", "acct_pay": "170.04", "acct_mulaid_pay": "0", "psn_cash_pay": "3982.02",
}  # fmt: skip
PLATFORM = {"inscp_scp_amt": "inscp_amt", "oth_pay": "othfund_pay", "psn_part_amt": "psn_pay", "psn_cash_pay": "cash_payamt", "hosp_part_amt": "ownpay_hosp_part", "insuplc_admdvs": "insu_admdvs"}  # fmt: skip


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {**GOOD, "setl_id": f"S{number}", "mdtrt_id": f"M{number}", "psn_no": f"P{number}", **changes}


def deliver(
    folder: Path, rows: list[dict[str, Any]], name: str = "settlement.csv", encoding: str = "utf-8"
) -> Path:
    path = folder / name
    frame = pl.DataFrame(rows)
    if path.suffix == ".csv":
        path.write_bytes(frame.write_csv().encode(encoding))
    else:
        frame.write_parquet(path)
    return path


def waiting(delivery: Folder) -> dict[tuple[str, int], list[str]]:
    files = delivery.partitions("quarantine")
    return {
        (r["src_name"], r["src_row"]): r["reasons"]
        for f in files
        for r in pl.read_parquet(f.path).iter_rows(named=True)
    }


def load(tmp_path: Path, rows: list[dict[str, Any]], **options: Any) -> Folder:
    return verbs.ingest(tmp_path / "store", [deliver(tmp_path, rows, **options)], "settlement")


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_a_good_row_loads_in_fen(tmp_path: Path, name: str) -> None:
    delivery = load(tmp_path, [row(1)], name=name)
    assert delivery.manifest["rows_quarantined"] == 0
    loaded = pl.read_parquet(delivery.partitions("settlement")[0].path).row(0, named=True)
    assert loaded["medfee_sumamt_fen"] == 2344246
    assert loaded["hosp_part_amt_fen"] == 50501
    assert (
        loaded["city"],
        loaded["plan_year"],
        loaded["insurance_type"],
        loaded["care_type"],
        loaded["hospital_level"],
    ) == ("440400", 2021, "employee", "inpatient", "3")
    assert loaded["cross_region"] == "local"


def test_both_spellings_give_the_same_canonical_row(tmp_path: Path) -> None:
    here = load(tmp_path, [row(1)])
    platform = [{PLATFORM.get(k, k): v for k, v in row(1).items()}]
    there = verbs.ingest(tmp_path / "other", [deliver(tmp_path, platform, "platform.csv")], "settlement")
    assert here.partitions("settlement")[0].sha256 == there.partitions("settlement")[0].sha256
    assert here.manifest["dialects"] == ["接口 2304/2207"]
    assert there.manifest["dialects"] == ["平台 setl_d"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    delivery = load(tmp_path, [row(1, fixmedins_code="珠海市人民医院")], encoding=encoding)
    assert pl.read_parquet(delivery.partitions("settlement")[0].path)["provider_id"][0] == "珠海市人民医院"


def test_decimal_integer_and_float_amounts(tmp_path: Path) -> None:
    money = [c.name for c in contract("settlement").columns if c.type == "money"]
    text = pl.DataFrame(
        [
            row(1),
            row(
                2,
                medfee_sumamt="23443",
                fulamt_ownpay_amt="2534.51",
                psn_part_amt="4152.60",
                psn_cash_pay="3982.56",
            ),
        ]
    )
    names = [n for n in text.columns if n in money]
    hashes = set()
    for number, kind in enumerate((pl.Decimal(16, 2), pl.Decimal(18, 4), pl.Float64)):
        path = tmp_path / f"{number}.parquet"
        text.with_columns(pl.col(names).cast(kind)).write_parquet(path)
        delivery = verbs.ingest(tmp_path / path.stem, [path], "settlement")
        assert delivery.manifest["rows_quarantined"] == 0
        hashes.add(delivery.partitions("settlement")[0].sha256)
    assert len(hashes) == 1


def test_codes_as_numbers_and_codes_without_end(tmp_path: Path) -> None:
    """A code column may come as integers, and may hold more values than fit a code list: both stay what they are."""
    rows = pl.DataFrame([row(i, psn_type=f"x{i:04d}") for i in range(1, 1001)]).with_columns(
        pl.col("insutype").cast(pl.Int64)
    )
    rows.write_parquet(tmp_path / "s.parquet")
    delivery = verbs.ingest(tmp_path / "store", [tmp_path / "s.parquet"], "settlement")
    loaded = pl.read_parquet(delivery.partitions("settlement")[0].path)
    assert set(loaded["insutype"]) == {"310"}
    assert loaded["psn_type"].n_unique() == 1000


BAD_ROWS = [
    ("bad_amount(hifob_pay)", {"hifob_pay": "约一万"}),
    ("bad_amount(medfee_sumamt)", {"medfee_sumamt": "23,44.46"}),
    ("bad_amount(medfee_sumamt)", {"medfee_sumamt": "23442.455"}),
    ("bad_amount(medfee_sumamt)", {"medfee_sumamt": "1e400"}),
    ("bad_timestamp(setl_time)", {"setl_time": "二〇二一年"}),
    ("bad_integer(year)", {"year": "20x1"}),
    ("missing(psn_no)".replace("psn_no", "person_id"), {"psn_no": ""}),
    ("missing(medfee_sumamt)", {"medfee_sumamt": "null"}),
    ("I1", {"fulamt_ownpay_amt": "2433.97"}),
    ("I2", {"maf_pay": "100.00"}),
    ("I3", {"psn_part_amt": "4657.07", "psn_cash_pay": "4487.03"}),
    ("I4", {"acct_pay": "0"}),
    ("I12", {"hifob_pay": "30000.00", "fund_pay_sumamt": "30000.00"}),
    ("I12", {"hifob_pay": "-18785.39", "fund_pay_sumamt": "-18785.39"}),
]


@pytest.mark.parametrize(
    ("reason", "change"), BAD_ROWS, ids=[f"{r}-{i}" for i, (r, _) in enumerate(BAD_ROWS)]
)
def test_a_bad_row_waits_with_its_reason(tmp_path: Path, reason: str, change: dict[str, str]) -> None:
    delivery = load(tmp_path, [row(1), row(2, **change), row(3)])
    assert delivery.manifest["rows_loaded"] == 2
    assert reason in waiting(delivery)["settlement.csv", 2]
    assert {r["rule"]: r["rows"] for r in delivery.manifest["rules"] if r["severity"] == "quarantine"}[
        reason
    ] == 1


def test_fee_in_is_fee_loaded_plus_fee_quarantined(tmp_path: Path) -> None:
    delivery = load(tmp_path, [row(1), row(2, acct_pay="0"), row(3, medfee_sumamt="?")])
    m = delivery.manifest
    assert (m["fee_in_fen"], m["fee_loaded_fen"], m["fee_quarantined_fen"]) == (2 * 2344246, 2344246, 2344246)
    assert m["fee_unreadable_rows"] == 1  # said, not counted as zero


REFUSED = [
    ("column medfee_sumamt is missing", lambda r: {k: v for k, v in r.items() if k != "medfee_sumamt"}),
    ("unknown tier column tehuibao_pay", lambda r: {**r, "tehuibao_pay": "5.00"}),
    ("stands more than once", lambda r: {**r, "SETL_ID": "x"}),
]


@pytest.mark.parametrize(("message", "change"), REFUSED)
def test_a_wrong_file_is_refused_with_one_line(tmp_path: Path, message: str, change: Any) -> None:
    with pytest.raises(Refused, match=message) as refused:
        load(tmp_path, [change(row(1))])
    assert len(refused.value.lines) == 1
    assert refused.value.lines[0].startswith("settlement.csv: ")


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        load(
            tmp_path,
            [
                {
                    k: v
                    for k, v in row(1, abc_pay="1").items()
                    if k not in ("medfee_sumamt", "setl_time", "mdtrt_id")
                }
            ],
        )
    assert len(refused.value.lines) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1 not really", r"not a whole Parquet file.*\[magic\]"),
        (b"", r"holds nothing.*\[empty\]"),
    ],
)
def test_a_broken_parquet_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "s.parquet").write_bytes(content)
    with pytest.raises(Refused, match=message):
        verbs.ingest(tmp_path / "store", [tmp_path / "s.parquet"], "settlement")


@pytest.mark.parametrize(("tail", "code"), [(b"S9,only,three\n", "ragged"), (b'"S9,unclosed\n', "quotes")])
def test_an_odd_line_refuses_the_file(tmp_path: Path, tail: bytes, code: str) -> None:
    path = deliver(tmp_path, [row(1)])
    path.write_bytes(path.read_bytes() + tail)
    with pytest.raises(Refused, match=rf"line \d+.*\[{code}\]"):
        verbs.ingest(tmp_path / "store", [path], "settlement")


def test_mixed_encodings_name_the_byte(tmp_path: Path) -> None:
    path = deliver(tmp_path, [row(1, fixmedins_code="珠海")])
    path.write_bytes(path.read_bytes() + b"\xff\xff\xff\n")
    with pytest.raises(Refused, match=r"fails at byte \d+"):
        verbs.ingest(tmp_path / "store", [path], "settlement")


def test_a_float_identifier_is_refused(tmp_path: Path) -> None:
    pl.DataFrame([row(1)]).with_columns(psn_no=pl.lit(4.40402e17)).write_parquet(tmp_path / "s.parquet")
    with pytest.raises(Refused, match="long identifiers lose digits"):
        verbs.ingest(tmp_path / "store", [tmp_path / "s.parquet"], "settlement")


@pytest.mark.parametrize("at_once", [5_000_000, 2])
def test_duplicate_identifiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Equal copies: one stays. A newer version wins. Different amounts of the same time: nobody can tell, all wait. However
    few numbers are looked at at once.
    """
    monkeypatch.setattr("analytics.intake.versions.AT_ONCE", at_once)
    same = [row(1), row(1)]
    versions = [
        row(2, updt_time="2021-09-01 00:00:00"),
        row(2, updt_time="2021-09-02 00:00:00", acct_pay="0", psn_cash_pay="4152.06"),
    ]
    unclear = [row(3), row(3, acct_pay="0", psn_cash_pay="4152.06")]
    rows = [{"updt_time": "", **r} for r in [*same, *versions, *unclear]]
    delivery = load(tmp_path, rows)
    loaded = pl.read_parquet(delivery.partitions("settlement")[0].path)
    assert sorted(loaded["setl_id"]) == ["S1", "S2"]
    assert loaded.filter(pl.col("setl_id") == "S2")["acct_pay_fen"].to_list() == [0]
    assert sorted(place for _, place in waiting(delivery)) == [2, 3, 5, 6]
    assert waiting(delivery)["settlement.csv", 2] == waiting(delivery)["settlement.csv", 3] == ["Q1"]
    assert waiting(delivery)["settlement.csv", 5] == waiting(delivery)["settlement.csv", 6] == ["Q1_conflict"]
    assert (delivery.manifest["rows_quarantined"], delivery.manifest["rows_set_aside"]) == (4, 2)


def test_the_same_delivery_twice_changes_nothing(tmp_path: Path) -> None:
    first, second = load(tmp_path, [row(1)]), load(tmp_path, [row(1)])
    assert first.id == second.id
    assert len(Store(tmp_path / "store").deliveries()) == 1


def test_a_repeated_file_counts_once(tmp_path: Path) -> None:
    path = deliver(tmp_path, [row(1), row(2)])
    copy = tmp_path / "copy.csv"
    copy.write_bytes(path.read_bytes())
    delivery = verbs.ingest(tmp_path / "store", [path, copy], "settlement")
    assert (delivery.manifest["rows_in"], delivery.manifest["rows_quarantined"]) == (2, 0)


def test_a_settlement_already_loaded_waits(tmp_path: Path) -> None:
    load(tmp_path, [row(1)])
    second = verbs.ingest(
        tmp_path / "store", [deliver(tmp_path, [row(1), row(2)], "second.csv")], "settlement"
    )
    assert waiting(second) == {("second.csv", 1): ["already_loaded"]}


def test_the_family_account_variant_is_decided_by_the_batch(tmp_path: Path) -> None:
    """Where the shared account stands outside the personal account, the batch says so by fitting."""
    apart = {"acct_mulaid_pay": "100.00", "psn_cash_pay": "3882.02"}
    delivery = load(tmp_path, [row(i, **apart) for i in range(1, 300)] + [row(400, acct_pay="1.00")])
    assert list(waiting(delivery).values()) == [["I4"]]


def test_a_bad_delivery_leaves_the_published_snapshot_served(tmp_path: Path) -> None:
    load(tmp_path, [row(i) for i in range(1, 13)])
    snapshot = bare(tmp_path / "store")
    with pytest.raises(Refused):
        verbs.ingest(tmp_path / "store", [deliver(tmp_path, [{"a": "1", "b": "2"}], "bad.csv")], "settlement")
    desk = Desk.open(tmp_path / "store")
    assert desk.snapshot_id == snapshot.id
    # 23442.46 less the hospital's 505.01 less 18785.39 by the employees' large-expense fund
    assert desk.ask("own_burden_mean").table["value"][0] == 4152.06
    assert not (tmp_path / "store" / "staging").exists()


def test_refunds_cancel_their_original(tmp_path: Path) -> None:
    money = [c.name for c in contract("settlement").columns if c.type == "money" and c.name in GOOD]
    refund = {name: str(-Decimal(GOOD[name])) for name in money}
    rows = [row(i) for i in range(1, 13)] + [
        row(13, psn_no="P1"),
        row(14, psn_no="P1", init_setl_id="S13", **refund),
    ]
    load(tmp_path, rows)
    bare(tmp_path / "store")
    answer = (
        Desk.open(tmp_path / "store").ask("own_share_before", ["tier"], {"tier": ["serious_illness"]}).table
    )
    assert answer["denominator"][0] == pytest.approx(12 * 23442.46)


def test_an_insurers_file_that_did_not_come_is_not_a_payment_of_zero(tmp_path: Path) -> None:
    """Zhuhai 2021 has an inclusive product in its plan, but nothing was delivered about it: no row, not a zero."""
    load(tmp_path, [row(i) for i in range(1, 13)])
    bare(tmp_path / "store")
    tiers = Desk.open(tmp_path / "store").ask("reach", ["tier"]).table["tier"].to_list()
    assert tiers == ["basic", "serious_illness", "medical_assistance"]
    claim = {
        "claim_id": "C1",
        "product_code": "dawj",
        "psn_no": "P1",
        "insuplc_admdvs": "440402",
        "year": "2021",
        "paid_amt": "0.00",
    }
    verbs.ingest(tmp_path / "store", [deliver(tmp_path, [claim], "claims.csv")], "commercial_claim")
    bare(tmp_path / "store")
    answer = Desk.open(tmp_path / "store").ask("tier_share", ["tier"], {"tier": ["inclusive"]}).table
    assert answer["value"].to_list() == [0.0]


def test_a_survey_mapping_reports_unknown_columns(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('[columns]\nincom = "x"\n[monney]\nscale = 1\n')
    with pytest.raises(Refused) as refused:
        verbs.ingest(
            tmp_path / "store", [deliver(tmp_path, [row(1)])], "household_year", mapping=tmp_path / "m.toml"
        )
    assert "monney" in refused.value.lines[0]


def test_an_unknown_survey_tier_is_refused(tmp_path: Path) -> None:
    path = deliver(
        tmp_path,
        [{"household_id": "1", "city": "a", "plan_year": "1", "cost": "5", "angel_paid": "1"}],
        "h.csv",
    )
    with pytest.raises(Refused, match="unknown tier column angel_paid"):
        verbs.ingest(tmp_path / "store", [path], "household_year")


def test_corrected_rows_are_counted_among_the_loaded(tmp_path: Path) -> None:
    """Of three rows with a cleaned amount one waits for another reason: two were loaded corrected."""
    cleaned = {"hifob_pay": "18,785.39"}
    rows = [row(1), row(2, **cleaned), row(3, **cleaned), row(4, **cleaned, acct_pay="0")]
    m = load(tmp_path, rows).manifest
    assert (m["rows_loaded"], m["rows_corrected"], m["fee_corrected_fen"]) == (3, 2, 2 * 2344246)

"""Corrections: waiting rows are fixed, accepted or dropped by a file that must match, or nothing changes."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from deliveries import (
    loaded,
    platform,
    record,
    waiting,
)
from fixes import BURDEN, CASH, WRONG, at, correct, deliver, fix_file, ids, states

from analytics import verbs
from analytics.intake import Refused, corrections, ingest
from analytics.intake.pseudonyms import load_secret
from analytics.store import Damaged, Folder, Store


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows 1 and 4 are good; 2 and 3 break I3; 5 has no time that can be read; 6 is a copy of 1, set aside."""
    folder = tmp_path_factory.mktemp("six")
    rows = [record(1), record(2, **WRONG), record(3, **WRONG), record(4), record(5, setl_time="?"), record(1)]
    delivery = deliver(folder, rows)
    assert {place: reasons for (_, place), (_, reasons) in waiting(delivery).items()} == {
        2: ["I3"], 3: ["I3"], 5: ["bad_timestamp(setl_time)"], 6: ["Q1"],
    }  # fmt: skip
    return folder


@pytest.fixture
def base(six: Path, tmp_path: Path) -> Folder:
    """The delivery of `six`, in a copy of its folder."""
    shutil.copytree(six, tmp_path, dirs_exist_ok=True)
    (delivery,) = Store(tmp_path / "store").deliveries()
    return delivery


# --- what a correction does


def test_a_set_row_loads_and_says_who_and_why(base: Folder, tmp_path: Path) -> None:
    done = correct(tmp_path, base, {**at(2), **BURDEN}, {**at(2), **CASH})
    row = loaded(done).row(0, named=True)
    assert (row["setl_id"], row["psn_part_amt_fen"], row["psn_cash_pay_fen"]) == ("S00002", 415206, 398202)
    told = done.manifest["corrects"]
    assert (told["delivery"], told["who"], told["reasons"]) == (base.id, "王某", ["医院来函更正"])
    assert [(part["file"], part["rows"], part["waived"]) for part in told["files"]] == [("a.csv", [2], [])]
    assert states(tmp_path, base) == {("a.csv", 2): "fixed", ("a.csv", 3): "open", ("a.csv", 5): "open", ("a.csv", 6): "set_aside"}  # fmt: skip
    assert verbs.verify(tmp_path / "store") == []


def test_a_fixed_row_is_the_row_that_would_have_come(base: Folder, tmp_path: Path) -> None:
    """Every stored column, pseudonym and all, is that of the row delivered right in the first place."""
    done = correct(tmp_path, base, {**at(2, 3), **BURDEN}, {"rule": "I3", **CASH})
    right = deliver(tmp_path, [record(2), record(3)], "right.csv", store="other")
    assert loaded(done).rows() == loaded(right).rows()


def test_canonical_names_mean_the_column_of_the_file(tmp_path: Path) -> None:
    """setl_d calls the own burden psn_pay."""
    wrong = {"psn_pay": "4657.07", "cash_payamt": "4487.03"}
    delivery = deliver(tmp_path, [platform(1), platform(2, **wrong)])
    done = correct(tmp_path, delivery, {**at(2), **BURDEN}, {**at(2), **CASH})
    assert ids(done) == ["S00002"]
    again = deliver(tmp_path, [platform(3, **wrong)], "b.csv")
    source = ({**BURDEN, "column": "PSN_PAY"}, {**CASH, "column": "cash_payamt"})
    assert ids(correct(tmp_path, again, *({**at(1, file="b.csv"), **fix} for fix in source))) == ["S00003"]


def test_of_two_spellings_one_must_be_named(tmp_path: Path) -> None:
    """The cash part is written twice, in neither place by its own name: nobody knows which is meant."""
    row = {**record(1, **WRONG), "cash_payamt": "4487.03", "cashPayamt": "4487.03"}
    del row["psn_cash_pay"]
    delivery = deliver(tmp_path, [row])
    with pytest.raises(Refused, match="psn_cash_pay is read from cash_payamt, cashPayamt; name one of them"):
        correct(tmp_path, delivery, {**at(1), **CASH})
    done = correct(tmp_path, delivery, {**at(1), **BURDEN}, {**at(1), **CASH, "column": "cash_payamt"})
    assert loaded(done)["psn_cash_pay_fen"].to_list() == [398202]


def test_a_row_that_still_fails_waits_again(base: Folder, tmp_path: Path) -> None:
    """The burden alone is right now, but cash and account no longer add up to it."""
    half = correct(tmp_path, base, {**at(2), **BURDEN})
    assert ids(half) == [] and half.manifest["rows_in"] == 1
    assert waiting(half) == {("corrected-00001.parquet", 1): ("waits", ["I4"])}
    assert states(tmp_path, base)["a.csv", 2] == "fixed"
    assert states(tmp_path, half) == {("corrected-00001.parquet", 1): "open"}
    whole = correct(tmp_path, half, {**at(1, file="corrected-00001.parquet"), **CASH})
    assert ids(whole) == ["S00002"]
    assert states(tmp_path, half) == {("corrected-00001.parquet", 1): "fixed"}


def test_an_accepted_row_loads_as_it_is_and_only_that_rule_is_silent(tmp_path: Path) -> None:
    """Row 1 breaks I3, row 2 I3 and I4, row 3 breaks I3 and is set in vain: to accept row 1 helps neither of the others."""
    both = {**WRONG, "psn_cash_pay": "1.00"}
    delivery = deliver(tmp_path, [record(1, **WRONG), record(2, **both), record(3, **WRONG)])
    accept = {"action": "accept", "rule": "I3"}
    one_fen = {**at(3), **BURDEN, "to": "4657.06"}
    done = correct(tmp_path, delivery, {**accept, **at(1, 2)}, one_fen)
    assert loaded(done).select("setl_id", "psn_part_amt_fen").rows() == [("S00001", 465707)]
    assert {place: reasons for place, (_, reasons) in waiting(done).items()} == {
        ("corrected-00001.parquet", 2): ["I4"], ("corrected-00002.parquet", 1): ["I3"],
    }  # fmt: skip
    parts = [(p["name"], p["rows"], p["waived"]) for p in done.manifest["corrects"]["files"]]
    assert parts == [("corrected-00001.parquet", [1, 2], ["I3"]), ("corrected-00002.parquet", [3], [])]
    found = {check["rule"]: check["rows"] for check in done.manifest["checks"]}
    assert found["I3"] == 3  # accepted is not unsaid


def test_accept_without_a_rule_means_every_reason_of_the_row(tmp_path: Path) -> None:
    delivery = deliver(tmp_path, [record(1, **{**WRONG, "psn_cash_pay": "1.00"}), record(2)])
    assert ids(correct(tmp_path, delivery, {**at(1), "action": "accept"})) == ["S00001"]


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"enddate": "2021-08-19"}, ""),  # Q24, discharged before admission: plausibility
        ({"psn_part_amt": "4657.07", "psn_cash_pay": "4487.03"}, ""),  # I3: accounting
        ({"setl_time": "?"}, "bad_timestamp(setl_time) cannot be accepted"),
        ({"medfee_sumamt": ""}, "missing(medfee_sumamt)"),
    ],
)
def test_only_a_judgement_can_be_accepted(tmp_path: Path, change: dict[str, str], refused: str) -> None:
    delivery = deliver(tmp_path, [record(1), record(2, **change)])
    try:
        assert ids(correct(tmp_path, delivery, {**at(2), "action": "accept"})) == ["S00002"] and not refused
    except Refused as error:
        (line,) = error.lines
        assert refused and refused in line and line.endswith("; set the value, or drop the row [correction]")


def test_dropping_alone_seals_a_delivery_without_rows(base: Folder, tmp_path: Path) -> None:
    done = correct(tmp_path, base, {**at(5), "action": "drop", "reason": "测试数据"})
    m = done.manifest
    assert (m["rows_in"], m["rows_loaded"], m["fee_in_fen"], m["files"]) == (0, 0, 0, [])
    assert (m["corrects"]["dropped"], m["corrects"]["reasons"]) == (
        [{"file": "a.csv", "rows": [5]}],
        ["测试数据"],
    )
    assert states(tmp_path, base)["a.csv", 5] == "dropped"
    assert verbs.verify(tmp_path / "store") == []
    assert [
        row["rows_dropped"] for row in verbs.quality(tmp_path / "store") if row["delivery"] == base.id
    ] == [1]
    with pytest.raises(Refused, match="already dropped"):
        correct(tmp_path, base, {**at(5), "action": "drop", "reason": "测试数据"})


# --- what it refuses: one line per problem, and nothing changes


REFUSED = [
    ("a.csv row 1: does not wait in this delivery", {**at(1), **BURDEN}),
    ("a.csv row 99: does not wait in this delivery", {**at(99), **BURDEN}),
    ("b.csv row 2: does not wait in this delivery", {**at(2, file="b.csv"), **BURDEN}),
    ("a.csv row 6: was set aside (Q1) and does not wait", {**at(6), "action": "drop"}),
    ("a.csv row 2: waits for I3, not for I4", {**at(2), "action": "accept", "rule": "I4"}),
    ("no row waits for I9", {"action": "accept", "rule": "I9"}),
    ("column psn_part_amt holds '4657.07', not '4657.7'", {**at(2), **BURDEN, "from": "4657.7"}),
    ("column psn_part_amt holds '4657.07', not ''", {**at(2), **BURDEN, "from": ""}),
    ("column burden is no column of the file", {**at(2), **BURDEN, "column": "burden"}),
    ("column psn_name is no column of the file that is read", {**at(2), **BURDEN, "column": "psn_name"}),
    ("reason is empty", {**at(2), **BURDEN, "reason": " "}),
    ("names no row", {**BURDEN}),
    ("set needs column, from and to", {**at(2), "column": "psn_part_amt", "from": "4657.07"}),
    ("drop takes neither column nor from nor to", {**at(2), **BURDEN, "action": "drop"}),
    ("cannot be accepted", {**at(5), "action": "accept"}),
]


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Folder]:
    """As `base`, with row 3 fixed; for what is refused and leaves it alone."""
    folder = tmp_path_factory.mktemp("settled")
    rows = [record(1), record(2, **WRONG), record(3, **WRONG), record(4), record(5, setl_time="?"), record(1)]
    delivery = deliver(folder, rows)
    correct(folder, delivery, {**at(3), **BURDEN}, {**at(3), **CASH})
    return folder, delivery


def refuse(settled: tuple[Path, Folder], *fixes: dict[str, Any], **options: Any) -> list[str]:
    folder, delivery = settled
    before = [d.id for d in Store(folder / "store").deliveries()]
    with pytest.raises(Refused) as error:
        correct(folder, options.pop("delivery", delivery), *fixes, **options)
    assert [d.id for d in Store(folder / "store").deliveries()] == before
    assert all(line.startswith("fix.toml: ") and line.endswith(" [correction]") for line in error.value.lines)
    return error.value.lines


@pytest.mark.parametrize(("told", "fix"), REFUSED, ids=[told for told, _ in REFUSED])
def test_what_does_not_match_is_refused(settled: tuple[Path, Folder], told: str, fix: dict[str, Any]) -> None:
    (line,) = refuse(settled, fix)
    assert told in line


def test_a_fixed_row_is_not_fixed_twice(settled: tuple[Path, Folder]) -> None:
    (fixing,) = [d.id for d in Store(settled[0] / "store").deliveries() if d.manifest["corrects"]]
    assert refuse(settled, {**at(3), **BURDEN}, {**at(3), **CASH}) == [
        f"fix.toml: fix {n}: a.csv row 3: is already fixed by delivery {fixing} [correction]" for n in (1, 2)
    ]


@pytest.mark.parametrize(
    "second",
    [{"action": "drop"}, {**BURDEN, "to": "4152.07"}],
    ids=["set and drop", "two values"],
)
def test_conflicting_entries(settled: tuple[Path, Folder], second: dict[str, Any]) -> None:
    (line,) = refuse(settled, {**at(2), **BURDEN}, {**at(2), **second})
    assert "fix 2: a.csv row 2: " in line and ("two values" in line or "dropped by one entry" in line)


def test_wrong_delivery_nobody_and_no_toml(settled: tuple[Path, Folder]) -> None:
    assert "delivery '0123' is not in this store" in refuse(settled, {**at(2), **BURDEN}, delivery="0123")[0]
    assert "who is empty" in refuse(settled, {**at(2), **BURDEN}, who=" ")[0]
    assert "fix.0.action" in refuse(settled, {**at(2), "action": "delete"})[0]
    assert (
        "fix.0.to" in refuse(settled, {**at(2), **BURDEN, "to": 4152})[0]
    )  # a text, so that no digit is lost
    assert "not valid TOML" in refuse(settled, {**at(2), **BURDEN, "reason": 'a"b'})[0]


def test_every_problem_has_its_line(settled: tuple[Path, Folder]) -> None:
    fixes = [{**at(2, 1, 99), **BURDEN}, {**at(6), "action": "drop"}, {**at(2), **CASH, "from": "1.00"}]
    lines = refuse(settled, *fixes)
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == ["fix 1", "fix 2", "fix 3"]
    assert "a.csv row 1, a.csv row 99: does not wait" in lines[0]


def test_of_two_corrections_at_once_the_second_is_refused(base: Folder, tmp_path: Path) -> None:
    """Both were checked before either had the lock."""
    store = Store(tmp_path / "store")
    fixes = corrections.load_fixes(fix_file(tmp_path, base.id, {**at(2), **BURDEN}))
    work = corrections.agree(store, fixes, "fix.toml", tmp_path)
    gone = corrections.load_fixes(fix_file(tmp_path, base.id, {**at(2), "action": "drop"}))
    dropped = corrections.agree(store, gone, "fix.toml", tmp_path)
    correct(tmp_path, base, {**at(2), **BURDEN}, {**at(2), **CASH})
    with pytest.raises(Refused, match="already fixed"):
        corrections.drop(store, dropped)
    with pytest.raises(Refused, match="already fixed"):
        ingest(
            store,
            work.files,
            "settlement",
            secret=load_secret(tmp_path / "jianfu.key"),
            corrects=work.corrects,
        )


def test_a_changed_quarantine_is_not_corrected(base: Folder, tmp_path: Path) -> None:
    (part,) = base.partitions("quarantine")
    raw = bytearray(part.path.read_bytes())
    raw[len(raw) // 2] ^= 1
    part.path.chmod(0o644)
    part.path.write_bytes(raw)
    with pytest.raises(Damaged, match="content differs"):
        correct(tmp_path, base, {**at(2), **BURDEN})


def test_no_identifier_waits_in_clear(tmp_path: Path) -> None:
    """Not where a file gives the person's number twice, either; and the row can still be corrected."""
    row = {**record(1, **WRONG), "person_id": "P-1", "cert_no": record(1)["certno"]}
    delivery = deliver(tmp_path, [row, {**row, **record(2)}])
    kept = corrections.waiting(Store(tmp_path / "store"))[0]["row"]
    assert not {"P-1", row["psn_no"], row["certno"]} & {*kept.values()}
    assert kept["person_id"].startswith("#") and kept["certno"].startswith("#")
    assert ids(correct(tmp_path, delivery, {**at(1), **BURDEN}, {**at(1), **CASH})) == ["S00001"]

"""The books of a store: what came, where every row is, what the checks found, and the file that decides about rows that wait."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deliveries import csv_file, take
from mixed import FEE, FILE, ODD, ROWS, deliver, settlements

from analytics import cli, verbs
from analytics.desk import quality
from analytics.intake import load_fixes
from analytics.store import Damaged, Store

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not built: nothing here needs facts."""
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "ids.json").write_text(json.dumps(deliver(folder)))
    return folder / "store"


@pytest.fixture(scope="module")
def ids(store: Path) -> dict[str, str]:
    names: dict[str, str] = json.loads((store.parent / "ids.json").read_text())
    return names


@pytest.fixture(scope="module")
def books(store: Path, ids: dict[str, str]) -> dict[str, dict[str, Any]]:
    rows = {d["delivery"]: d for d in verbs.quality(store)}
    assert set(rows) == set(ids.values())
    return {name: rows[delivery] for name, delivery in ids.items()}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def check(delivery: dict[str, Any], rule: str) -> dict[str, Any]:
    (found,) = [c for c in delivery["checks"] if c["rule"] == rule]
    return found


def test_every_row_and_fen_of_a_delivery_has_one_place(books: dict[str, dict[str, Any]]) -> None:
    d = books["noted"]
    rows = {k.removeprefix("rows_"): v for k, v in d.items() if k.startswith("rows_")}
    assert (rows["in"], rows["loaded"], rows["quarantined"]) == (ROWS, ROWS - 5, 5)
    assert (rows["set_aside"], rows["fixed"], rows["dropped"], rows["open"]) == (2, 1, 1, 1)
    yuan = FEE / 100
    assert d["fee_set_aside_yuan"] == pytest.approx(2 * yuan)
    assert d["fee_fixed_yuan"] == d["fee_open_yuan"] == pytest.approx(yuan)
    assert (
        d["fee_dropped_yuan"] == 0 and d["fee_unreadable_rows"] == 1
    )  # the dropped one: its fee is said, not zero
    assert d["fee_in_yuan"] == pytest.approx((ROWS - 1) * yuan)
    assert d["fee_quarantined_yuan"] == pytest.approx(4 * yuan)
    assert books["correction"]["rows_loaded"] == 1 and books["correction"]["corrects"]["who"] == "王某"
    assert books["claims"]["rows_open"] == 1 and books["claims"]["fee_open_yuan"] == -10
    assert "fee_in_yuan" not in books["enrolment"]


def test_how_a_delivery_came_is_said_and_so_is_what_is_absent(books: dict[str, dict[str, Any]]) -> None:
    d = books["noted"]
    assert d["files"] == [FILE] and d["inputs"][0]["encoding"] == "gb18030" and d["inputs"][0]["rows"] == ROWS
    assert d["dialects"] == ["平台 setl_d"]
    assert d["note"]["sender"] == "珠海医保局" and d["sign_off"] == {
        "reason": "来函说明，先行入库",
        "who": "李某",
    }
    assert d["key"]["algorithm"] == "sha256" and d["key"]["id"]
    assert d["columns"][FILE]["psn_part_amt"] == ["psn_pay"]
    assert d["columns"][FILE]["inscp_scp_amt"] == ["inscp_amt"]
    plain = books["plain"]
    assert plain["inputs"][0]["format"] == "xlsx" and plain["dialects"] == ["接口 2304/2207"]
    assert plain["note"] is plain["sign_off"] is plain["corrects"] is None


def test_a_check_says_for_how_many_rows_it_was_asked(books: dict[str, dict[str, Any]]) -> None:
    burden = check(books["noted"], "I3")
    asked = ROWS - 2  # those set aside are asked nothing more
    assert (burden["status"], burden["severity"], burden["category"]) == ("found", "quarantine", "accounting")
    assert (burden["rows"], burden["rows_open"], burden["checked"]) == (2, 1, asked)
    assert burden["share"] == pytest.approx(2 / asked)
    assert burden["fee_yuan"] == pytest.approx(2 * FEE / 100)
    assert burden["fee_share"] == pytest.approx(2 / (ROWS - 1))
    assert "catastrophic_headcount" in burden["measures"] and burden["title"]["zh"] and burden["title"]["en"]
    unread = check(books["noted"], "bad_amount(medfee_sumamt)")
    assert (unread["rows"], unread["rows_open"], unread["checked"]) == (1, 0, ROWS)
    assert unread["title"]["zh"] == "金额无法准确读取：医疗费总额 medfee_sumamt"
    cleaned = check(books["noted"], "Q11")
    assert (cleaned["status"], cleaned["severity"], cleaned["rows"]) == ("found", "correct", 1)
    assert check(books["noted"], "Q25")["limit"] == 0.05
    passed = check(books["noted"], "I2")
    assert (passed["status"], passed["rows"], passed["checked"], passed["share"]) == ("passed", 0, asked, 0)


def test_not_applicable_is_no_pass(books: dict[str, dict[str, Any]]) -> None:
    """The interface spelling has no valid flag, the platform table no fund list."""
    flag, funds = check(books["plain"], "Q2"), check(books["noted"], "I5")
    assert flag["status"] == funds["status"] == "not_applicable"
    assert flag["checked"] == 0 and flag["share"] is None and flag["needs"] == ["vali_flag"]
    assert check(books["noted"], "Q2")["status"] == "found"
    # no certificate came, no note declares where the insured live: nothing was asked
    for rule in ("Q19_bad", "Q26"):
        assert check(books["enrolment"], rule)["status"] == "not_applicable"
    assert check(books["noted"], "Q19_bad")["status"] == check(books["noted"], "Q26")["status"] == "passed"


def test_what_only_the_hits_tell_of_is_a_finding_too(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "othfund_pay"} for row in settlements(3)]
    take(tmp_path, [csv_file(tmp_path / "a.csv", rows)])
    (d,) = verbs.quality(tmp_path / "store")
    absent = check(d, "column_absent(oth_pay)")
    assert (absent["status"], absent["severity"], absent["rows"]) == ("found", "warn", 3)


def test_money_in_fen_is_shown_in_yuan(tmp_path: Path) -> None:
    money = ("amt", "pay", "payamt", "part", "dedc", "selfpay")
    rows = [
        {k: str(int(Decimal(v) * 100)) if k.endswith(money) and v else v for k, v in row.items()}
        for row in settlements(3)
    ]
    (tmp_path / "m.toml").write_text("[money]\nscale = 1\n")
    take(tmp_path, [csv_file(tmp_path / "a.csv", rows)], mapping=tmp_path / "m.toml")
    (d,) = verbs.quality(tmp_path / "store")
    assert (d["rows_loaded"], d["fee_in_yuan"]) == (3, pytest.approx(3 * FEE / 100))


# --- rows as they came


def test_sample_rows_are_the_rows_as_they_came(store: Path, ids: dict[str, str]) -> None:
    found = quality.samples(Store(store), 10, "I3", ids["noted"])
    assert [(s["file"], s["row"], s["state"]) for s in found] == [(FILE, 4, "fixed"), (FILE, 12, "open")]
    for sample in found:
        assert sample["fee_yuan"] == pytest.approx(FEE / 100) and sample["reasons"] == ["I3"]
        assert sample["source"]["psn_pay"] == ODD[sample["row"]]["psn_pay"]
        assert sample["columns"][0] == "psn_pay", "the subject of the equation comes first"
        assert sample["source"]["psn_no"].startswith("#") and sample["source"]["certno"].startswith("#")
        assert "psn_name" not in sample["source"]
    assert len(quality.samples(Store(store), 1, "I3", ids["noted"])) == 1
    states = {s["rule"]: s["state"] for s in quality.samples(Store(store), 5, delivery=ids["noted"])}
    assert states["Q2"] == states["Q5"] == "set_aside" and states["bad_amount(medfee_sumamt)"] == "dropped"
    assert quality.samples(Store(store), 5, delivery=ids["plain"]) == []


def test_a_skeleton_filled_in_decides_the_rows(tmp_path: Path) -> None:
    odd = {
        3: {"psn_pay": "4657.07", "cash_payamt": "4487.03"},
        5: {"psn_pay": "4657.07", "cash_payamt": "4487.03"},
    }
    rows = [{**row, **odd.get(i, {})} for i, row in enumerate(settlements(3) + settlements(12)[8:], 1)]
    delivery = take(tmp_path, [csv_file(tmp_path / 'a "1".csv', rows)])
    store = Store(tmp_path / "store")
    text = quality.skeleton(store, delivery.id, "I3", 1)
    assert text.count("[[fix]]") == 1
    path = tmp_path / "fixes.toml"
    path.write_text(
        quality.skeleton(store, delivery.id, "I3", 10).replace('who = ""', 'who = "王某"'), encoding="utf-8"
    )
    assert [(f.column, f.before, f.to, f.rule) for f in load_fixes(path).fix][:1] == [
        ("psn_pay", "4657.07", "", "I3")
    ]
    filled = (
        path.read_text("utf-8").replace('to = ""', 'to = "4152.06"').replace('reason = ""', 'reason = "来函"')
    )
    both = (
        filled.replace("psn_pay", "cash_payamt").replace("4657.07", "4487.03").replace("4152.06", "3982.02")
    )
    path.write_text(filled + both[both.index("[[fix]]") :], encoding="utf-8")
    verbs.correct(store.path, path)
    assert sum(d["rows_open"] for d in verbs.quality(store.path)) == 0
    assert quality.skeleton(store, delivery.id, "I3", 10) == ""


def test_changed_quarantine_is_not_shown(tmp_path: Path) -> None:
    delivery = take(tmp_path, [csv_file(tmp_path / "a.csv", settlements(12))])
    path = delivery.path / "quarantine.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(Damaged, match=r"quarantine\.parquet"):
        verbs.quality(tmp_path / "store")


# --- over all deliveries


def test_checks_of_the_build_are_read_off_the_snapshot(tmp_path: Path) -> None:
    common = {"category": "completeness", "severity": "warn", "city": "440400", "plan_year": 2022}
    checks = [
        {**common, "rule": "Q28", "status": "found", "checked": 40, "rows": 2, "fee_fen": 500},
        {**common, "rule": "Q27", "status": "passed", "checked": 0, "rows": 0, "fee_fen": 0, "limit": 0.95},
    ]
    link = {
        "city": "440400",
        "plan_year": 2022,
        "product": "p",
        "level": "encounter",
        "claims": 3,
        "paid_fen": 12345,
    }
    store = Store(tmp_path / "store")
    with store.building() as staging:
        snapshot = store.seal("snapshots", staging, [], {"checks": checks, "links": [link]})
    built = quality.store_wide(snapshot)
    late, asked_nothing = built["checks"]
    assert (late["share"], late["fee_yuan"], late["plan_year"]) == (0.05, 5.0, 2022)
    assert late["title"]["zh"] == "有结算而无当年参保登记"
    assert (asked_nothing["status"], asked_nothing["limit"]) == ("not_applicable", 0.95)
    assert built["links"] == [
        {
            "city": "440400",
            "plan_year": 2022,
            "product": "p",
            "level": "encounter",
            "claims": 3,
            "paid_yuan": 123.45,
        }
    ]
    with store.building() as staging:
        bare = store.seal("snapshots", staging, [], {})
    assert (
        quality.store_wide(bare)
        == quality.store_wide(None)
        == {
            "checks": [],
            "links": [],
            "in_several_cities": [],
            "withheld": [],
        }
    )


# --- the command


def test_the_command_prints_the_books(run: Run, store: Path, ids: dict[str, str]) -> None:
    code, out, _ = run("quality", store, "--format", "json", "--rows", "1")
    answer = json.loads(out)
    assert code == 0 and answer["provenance"] == {"store": "store", "snapshot": None}
    rows = {d["delivery"]: d for d in answer["rows"]}
    assert rows[ids["noted"]]["samples"] and rows[ids["plain"]]["samples"] == []
    code, out, _ = run("quality", store)
    told = [line.split("\t") for line in out.splitlines()]
    assert code == 0 and next(line for line in told if line[1:2] == [ids["plain"]])[5:7] == ["none", "none"]
    assert any(line[2:5] == ["I3", "quarantine", "found"] for line in told)
    assert not any("passed" in line[4:5] for line in told), "what passed is counted, not listed"


def test_one_rule_also_where_it_passed(run: Run, store: Path, ids: dict[str, str]) -> None:
    _, out, _ = run("quality", store, "--rule", "I3", "--format", "json", "--rows", "3")
    by = {d["delivery"]: d for d in json.loads(out)["rows"]}
    assert {name: by[ids[name]]["checks"][0]["status"] for name in ("noted", "plain")} == {
        "noted": "found",
        "plain": "passed",
    }
    assert {s["rule"] for d in by.values() for s in d["samples"]} == {"I3"}
    code, out, err = run("quality", store, "--rule", "I99")
    assert (
        (code, out) == (1, "") and "rule I99: nothing here was asked it" in err and len(err.splitlines()) == 1
    )


def test_nothing_of_the_data_moves_the_cursor(run: Run, tmp_path: Path) -> None:
    odd = {"psn_pay": "1.00", "fixmedins_code": "H\x1b[31m\tA"}
    rows = [{**row, **(odd if i == 2 else {})} for i, row in enumerate(settlements(3), 1)]
    take(tmp_path, [csv_file(tmp_path / "a.csv", rows)], sign_off={"reason": "a\tb\x1b[2J", "who": "x\ny"})
    _, out, _ = run("quality", tmp_path / "store", "--rows", "5")
    assert "\x1b" not in out and "x y: a b" in out

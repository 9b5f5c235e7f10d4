"""`jianfu ingest`, `correct` and `rotate-key` as a user calls them, and what a spreadsheet must not run."""

from pathlib import Path

import polars as pl
import pytest
from conftest import Run
from deliveries import csv_file, jsonl_file, note_file, record, reply
from fixes import BURDEN, CASH, WRONG, at, fix_file

from analytics import console
from analytics.intake.pseudonyms import load_secret
from analytics.release import csv_text, guarded
from analytics.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_ingest_says_what_it_took_the_files_for(run: Run, store: Path, tmp_path: Path) -> None:
    """Format, encoding and dialect of every file; and, with the first delivery, where the secret lies."""
    gbk = csv_file(tmp_path / "a.csv", [record(1, fixmedins_name="甲医院"), record(2, **WRONG)], "gb18030")
    replies = jsonl_file(tmp_path / "b.jsonl", [reply(record(3))])
    code, out, err = run("ingest", store, gbk, replies, "--as", "settlement")
    lines = out.splitlines()
    assert code == 0 and sorted(line.replace("-sig", "") for line in lines[:2]) == [
        "a.csv: 2 rows, csv, gb18030, 接口 2304/2207",
        "b.jsonl: 1 rows, jsonl, utf-8, 接口 2304/2207",
    ]
    (delivery,) = Store(store).deliveries()
    assert lines[2] == f"delivery {delivery.id}: 3 rows in, 2 loaded, 0 set aside, 1 waiting"
    key = tmp_path / "jianfu.key"
    assert lines[3:] == [f"secret of the pseudonyms: {key}; nothing joins this store without it, keep a copy apart from the data"]  # fmt: skip
    assert key.is_file() and "quarantine: I3: 1 rows" in err
    code, out, _ = run("ingest", store, csv_file(tmp_path / "c.csv", [record(4)]), "--as", "settlement")
    assert code == 0 and "secret" not in out
    code, out, _ = run("ingest", store, gbk, replies, "--as", "settlement")
    assert code == 0 and "here already; nothing was added" in out and "loaded" not in out


def test_what_is_decided_away_does_not_wait(run: Run, store: Path, tmp_path: Path) -> None:
    """Rows of a settlement that came before, and one that waits."""
    rows = [record(1), record(2)]
    run("ingest", store, csv_file(tmp_path / "a.csv", rows), "--as", "settlement")
    code, out, _ = run("ingest", store, csv_file(tmp_path / "b.csv", [*rows, record(3, **WRONG)]), "--as", "settlement")  # fmt: skip
    assert code == 0 and ": 3 rows in, 0 loaded, 2 set aside, 1 waiting" in out
    told = next(d.manifest for d in Store(store).deliveries() if d.manifest["rows_in"] == 3)
    assert (told["rows_quarantined"], told["rows_set_aside"], told["rows_waiting"]) == (3, 2, 1)


def test_the_secret_lies_where_it_is_told(run: Run, store: Path, tmp_path: Path) -> None:
    key = tmp_path / "vault" / "our.key"
    path = csv_file(tmp_path / "a.csv", [record(1)])
    code, out, _ = run("ingest", store, path, "--as", "settlement", "--key", key)
    assert code == 0 and str(key) in out and not (tmp_path / "jianfu.key").exists()
    more = csv_file(tmp_path / "b.csv", [record(2)])
    code, _, err = run("ingest", store, more, "--as", "settlement", "--key", tmp_path / "other.key")
    assert code == 1 and "[key]" in err
    assert run("ingest", store, more, "--as", "settlement", "--key", key)[0] == 0


def test_a_note_is_checked_and_a_batch_over_the_limits_signed_off(
    run: Run, store: Path, tmp_path: Path
) -> None:
    """The note says 24,000 yuan where 23,442.46 came: 2 % off, refused; accepted when somebody answers for it."""
    path = csv_file(tmp_path / "a.csv", [record(1)])
    note = note_file(tmp_path / "note.toml", [path], [1], "24000.00")
    words = ("ingest", store, path, "--as", "settlement", "--note", note)
    code, _, err = run(*words)
    assert code == 1 and err.rstrip().endswith("[control_total]")
    assert run(*words, "--sign-off", "总额含退费", "--by", "王某")[0] == 0
    (delivery,) = Store(store).deliveries()
    assert delivery.manifest["sign_off"] == {"reason": "总额含退费", "who": "王某"}
    right = note_file(tmp_path / "right.toml", [path], [1], "23442.46")
    assert run("ingest", tmp_path / "other", path, "--as", "settlement", "--note", right)[0] == 0


def test_correct_and_rotate(run: Run, store: Path, tmp_path: Path) -> None:
    rows = [record(1), record(2, **WRONG), record(3, **WRONG)]
    run("ingest", store, csv_file(tmp_path / "a.csv", rows), "--as", "settlement")
    (delivery,) = Store(store).deliveries()
    drop = {**at(3), "action": "drop"}
    wrong = fix_file(tmp_path, delivery.id, {**at(2), **BURDEN, "from": "1"}, drop, name="wrong.toml")
    code, out, err = run("correct", store, wrong)
    assert (
        (code, out) == (1, "")
        and len(err.splitlines()) == 1
        and err.startswith("wrong.toml: fix 1: a.csv row 2: ")
    )
    fixes = fix_file(tmp_path, delivery.id, {**at(2), **BURDEN}, {**at(2), **CASH}, drop)
    code, out, _ = run("correct", store, fixes)
    assert code == 0 and "1 rows in, 1 loaded, 0 set aside, 0 waiting\n1 rows dropped\n" in out
    code, _, err = run("correct", store, fixes)
    assert code == 1 and "already fixed by delivery" in err and "already dropped by delivery" in err
    before = load_secret(tmp_path / "jianfu.key")
    code, out, _ = run("rotate-key", store)
    assert code == 0 and f"published snapshot {Store(store).current_id()}" in out
    assert str(tmp_path / "jianfu.key") in out and load_secret(tmp_path / "jianfu.key") != before
    assert run("verify", store)[0] == 0


@pytest.mark.parametrize("command", ["correct", "rotate-key"])
def test_an_empty_store_has_nothing_to_correct(run: Run, store: Path, tmp_path: Path, command: str) -> None:
    more = (fix_file(tmp_path, "0", at(1)),) if command == "correct" else ()
    code, out, err = run(command, store, *more)
    assert (code, out, len(err.splitlines())) == (1, "", 1) and "no delivery here" in err


# --- cells a spreadsheet would run


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd", "@SUM(A1)", "\t=1", "\tx", "\rx", " =1", "\u3000=1", "\u200b=1",
        "\ufeff@x", "\u00a0-x", "＝1+1", "＋x", "－x", "＠x", "\x00=1", "-", "-0x10", "=-1", "-1,23", "-1,234+A1",
    ],
)  # fmt: skip
def test_a_formula_is_written_as_text(text: str) -> None:
    assert guarded(text) == "'" + text


@pytest.mark.parametrize(
    "text", ["", " ", "珠海", "a=b", "440400", "-12.50", "+3", " -3", "1e-9", "-1.5E+6", "-5%", "-62,932.45", "+1,234", "65-74", "'=1", "—", "a\tb"]
)  # fmt: skip
def test_numbers_and_other_texts_stay(text: str) -> None:
    assert guarded(text) == text


def test_csv_and_tables_are_guarded(capsys: pytest.CaptureFixture[str]) -> None:
    table = pl.DataFrame(
        {"city": ["=HYPERLINK(1)", None, "珠海"], "value": [-0.25, None, 1e-9], "n": [-1, 2, None]}
    )
    assert csv_text(table) == "city,value,n\n'=HYPERLINK(1),-0.25,-1\n,,2\n珠海,1e-9,\n"
    assert csv_text(table.select("n").head(2)) == "n\n-1\n2\n"  # no text at all

    console.table(("a", "=b"), [("@x", "-0.25")])
    assert capsys.readouterr().out == "a\t'=b\n'@x\t-0.25\n"

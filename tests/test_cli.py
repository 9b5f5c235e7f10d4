"""`jianfu` as a user calls it: what it prints, what it refuses, and its exit codes."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from filelock import FileLock

from analytics import cli, verbs
from analytics.store import Store

Run = Callable[..., tuple[int, str, str]]
DELIVERY_KEYS = {"table", "delivery", "rows_in", "rows_loaded", "rows_quarantined", "rules"}
FEE_KEYS = {"fee_in_yuan", "fee_loaded_yuan", "fee_quarantined_yuan"}


def printed(answer: tuple[int, str, str]) -> Any:
    """The object a command printed."""
    code, out, err = answer
    assert code == 0, err
    return json.loads(out)


def test_as_a_program_of_its_own(tmp_path: Path) -> None:
    """The installed entry point: exit code and streams as another program sees them."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONUTF8": "1"}
        command = [sys.executable, "-m", "analytics.cli", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=False
        )

    assert call("measures", "--format", "json").returncode == 0
    refused = call("measure", "nowhere", "reach")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1 and "nothing is published" in refused.stderr
    assert call("measure").returncode == 2


@pytest.mark.parametrize("page", ["cp1252", "gbk"])
def test_what_is_printed_is_utf8_on_every_code_page(tmp_path: Path, page: str) -> None:
    """≤ and § of what is printed stand on neither of these code pages together with Chinese."""
    environment = {**os.environ, "PYTHONIOENCODING": page, "PYTHONUTF8": "0"}
    for words in (["measures"], ["measure", "没有§", "reach"]):
        command = [sys.executable, "-m", "analytics.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
        told = done.stdout.decode("utf-8") + done.stderr.decode("utf-8")
        assert "负担" in told if words == ["measures"] else "没有§: nothing is published" in told


# --- the catalogue and answers


def test_the_catalogue(run: Run) -> None:
    answer = printed(run("measures", "--format", "json"))
    files = Path(cli.__file__).parent.glob("measures/catalogue/*.toml")
    assert [row["id"] for row in answer["rows"]] == sorted(path.stem for path in files)
    for row in answer["rows"]:
        assert row["title"]["zh"] and row["title"]["en"] and row["plain"]["zh"] and row["source"]
    code, out, _ = run("measures")
    assert code == 0 and len(out.splitlines()) == len(answer["rows"]) + 1


def test_an_answer_with_its_explanation(run: Run, sample_store: Path) -> None:
    question = (
        "burden_reduction_rate",
        "--by",
        "city,tier",
        "--where",
        "plan_year=2023",
        "--where",
        "city=zhuhai,weihai",
    )
    answer = printed(run("measure", sample_store, *question, "--format", "json", "--explain"))
    keys = {"city", "tier", "measure", "value", "numerator", "denominator", "n"}
    assert all(keys <= set(row) for row in answer["rows"])
    assert {row["city"] for row in answer["rows"]} == {"440400", "371000"}
    assert {row["status"] for row in answer["rows"]} == {"shown", "hidden"}
    for row in answer["rows"]:
        if row["status"] == "shown":
            assert row["value"] == pytest.approx(row["numerator"] / row["denominator"]) and row["n"] >= 11
        else:
            assert row["value"] is row["numerator"] is row["denominator"] is row["n"] is None
    provenance = answer["provenance"]
    assert provenance["snapshot"] == Store(sample_store).current_id()
    assert provenance["synthetic"] is True and provenance["protection"] == "n < 11"
    (explained,) = provenance["measures"]
    assert explained["where"] == {"plan_year": ["2023"], "city": ["440400", "371000"]}
    assert explained["formula"] and explained["source"] and explained["caveat"]["zh"]

    # the SQL that is shown, run elsewhere on the same files, gives the same numbers
    con = duckdb.connect()
    files = [str(p.path) for p in Store(sample_store).current().partitions("person_year")]
    con.read_parquet(files).create_view("person_year")
    again = con.sql(explained["sql"], params=explained["bound"]).pl()
    shown = {(row["city"], row["tier"]): row["value"] for row in answer["rows"] if row["status"] == "shown"}
    everything = {(row["city"], row["tier"]): row["value"] for row in again.to_dicts()}
    assert len(shown) >= 6 and {key: everything[key] for key in shown} == shown


def test_without_explain_an_answer_is_short(run: Run, sample_store: Path) -> None:
    answer = printed(run("measure", sample_store, "own_burden_mean", "--format", "json"))
    assert "sql" not in answer["provenance"]["measures"][0]
    assert answer["provenance"]["measures"][0]["parameters"] == {"own_burden": "net_of_commercial"}


def test_parameters_are_passed_on(run: Run, sample_store: Path) -> None:
    def value(*options: str) -> float:
        answer = printed(run("measure", sample_store, "catastrophic_headcount", *options, "--format", "json"))
        return float(answer["rows"][0]["value"])

    tight, loose = value("--set", "threshold=0.10"), value("--set", "threshold=0.40")
    assert value() == tight > loose > 0
    assert value("--set", "threshold=0.10", "--set", "resource=policy_line") != tight


def test_raw_shows_what_is_protected(run: Run, sample_store: Path) -> None:
    question = ("measure", sample_store, "reach", "--by", "person_group,tier", "--format", "json")
    safe, raw = printed(run(*question)), printed(run(*question, "--raw"))
    assert {row["status"] for row in raw["rows"]} == {"shown"}
    assert raw["provenance"]["protection"] == "none"
    assert safe["provenance"]["hidden"] == sum(row["status"] == "hidden" for row in safe["rows"]) > 0
    assert any(0 < row["n"] < 11 or 0 < row["numerator"] < 11 for row in raw["rows"])


def test_files_hold_what_is_printed(run: Run, sample_store: Path, tmp_path: Path) -> None:
    question = ("measure", sample_store, "reach", "own_share_after", "--by", "plan_year,tier")
    whole = printed(run(*question, "--format", "json"))
    rows = whole["rows"]
    expected = pl.DataFrame(rows, infer_schema_length=None)
    csv, parquet, text = tmp_path / "a.csv", tmp_path / "a.parquet", tmp_path / "a.json"
    assert run(*question, "--format", "csv", "--out", csv)[0] == 0
    assert csv.read_bytes().startswith(b"\xef\xbb\xbf"), "a spreadsheet needs the mark to read Chinese"
    read = pl.read_csv(csv.read_bytes()[3:])
    assert read.drop("figure").equals(expected)
    assert run(*question, "--format", "parquet", "--out", parquet)[0] == 0
    assert pl.read_parquet(parquet).drop("figure").to_dicts() == rows
    assert read["figure"].unique(maintain_order=True).to_list() == [
        p["figure"] for p in whole["provenance"]["measures"]
    ]
    assert run(*question, "--format", "json", "--out", text)[:2] == (0, "")
    assert json.loads(text.read_text("utf-8"))["rows"] == rows
    code, out, _ = run(*question, "--format", "csv")
    assert code == 0 and out.rstrip("\n") == csv.read_text("utf-8-sig").rstrip("\n")
    code, printed_table, _ = run(*question)
    assert run(*question, "--out", tmp_path / "a.txt") == (0, "", "")
    assert (tmp_path / "a.txt").read_text("utf-8") == printed_table != ""
    code, out, err = run(*question, "--explain")
    assert [line.split("\t")[:3] for line in out.splitlines()[1:]] == [
        [str(row["plan_year"]), row["tier"], row["measure"]] for row in rows
    ]
    assert "SELECT" in err


# --- plans


def test_plans_check(run: Run) -> None:
    code, out, err = run("plans", "check")
    assert (code, err) == (0, "") and "no problem" in out


def test_plans_show(run: Run) -> None:
    plan = printed(run("plans", "show", "zhuhai", "2021", "--format", "json"))["rows"][0]
    assert (plan["city"], plan["plan_year"]) == ("440400", 2021)
    tiers = list(dict.fromkeys(row["id"] for row in plan["tier"]))
    assert tiers.index("inclusive") < tiers.index("medical_assistance")
    assert all(row["source"] in plan["sources"] for row in plan["tier"])
    code, out, _ = run("plans", "show", "440400", "2021")
    assert code == 0 and "serious_illness\town_pay\t" in out
    _, out, _ = run("plans", "show", "zhanjiang", "2023")  # the rule is published, its general ceiling is not
    assert "10000 (page_A)" in out and "payout 600000 (assumed)" in out


@pytest.mark.parametrize(
    ("words", "paid", "own"),
    [
        # 30,000 x 50 % + 10,000 x 60 % above 20,000
        ("zhanjiang 2013 --tier serious_illness --amount 60000", 21_000, 39_000),
        # the ceiling of 140,000
        ("440800 2013 --tier serious_illness --amount 300000", 140_000, 160_000),
        # low income: 27,000 x 80 % above 3,000
        ("zhanjiang 2023 --tier serious_illness --amount 30000 --for low_income", 21_600, 8_400),
        # one liability of several, for employees: 200,000 x 80 % between 400,000 and 600,000
        (
            "zhuhai 2021 --tier serious_illness --liability cost_40_60 --amount 600000.00 --for employee",
            160_000,
            440_000,
        ),
    ],
)
def test_plans_pay(run: Run, words: str, paid: int, own: int) -> None:
    answer = printed(run("plans", "pay", *words.split(), "--format", "json"))
    assert (answer["paid_yuan"], answer["own_yuan"]) == (paid, own)
    assert sum(step["base_yuan"] for step in answer["steps"]) == paid + own
    code, out, _ = run("plans", "pay", *words.split())
    assert code == 0 and out.splitlines()[1] == f"{paid}.00\t{own}.00"


# --- state of a store


def test_a_sample_does_not_mix_into_a_store_in_use(run: Run, sample_store: Path) -> None:
    before = Store(sample_store).current().id
    code, _, err = run("sample", sample_store, "--persons", 100, "--cities", "weihai", "--years", "2023")
    assert code == 1
    assert "already holds data" in err
    assert Store(sample_store).current().id == before


def test_a_sample_does_not_mix_into_deliveries_nobody_has_built(run: Run, tmp_path: Path) -> None:
    store, persons = tmp_path / "store", tmp_path / "persons.csv"
    persons.write_text("psn_no,gend\nP1,1\nP2,2\n")
    assert run("ingest", store, persons, "--as", "person")[0] == 0
    code, _, err = run("sample", store, "--persons", 100, "--cities", "weihai", "--years", "2023")
    assert code == 1 and "already holds data" in err
    assert len(Store(store).deliveries()) == 1


def test_quality(run: Run, sample_store: Path) -> None:
    rows = printed(run("quality", sample_store, "--format", "json"))["rows"]
    tables = [row["table"] for row in rows]
    assert sorted(tables) == sorted(
        ["settlement", "commercial_claim", "enrolment", "person", "household_member", "household_economy"]
    )
    for row in rows:
        assert set(row) >= DELIVERY_KEYS
        assert row["rows_in"] == row["rows_loaded"] + row["rows_quarantined"] > 0
        assert all(set(rule) >= {"rule", "severity", "rows"} for rule in row["rules"])
    (settlement,) = [row for row in rows if row["table"] == "settlement"]
    assert set(settlement) >= FEE_KEYS
    assert settlement["fee_in_yuan"] == pytest.approx(
        settlement["fee_loaded_yuan"] + settlement["fee_quarantined_yuan"]
    )
    code, out, _ = run("quality", sample_store)
    assert code == 0 and len(out.splitlines()) >= len(rows) + 1


def test_verify(run: Run, sample_store: Path, tmp_path: Path) -> None:
    assert run("verify", sample_store)[0] == 0
    copy = shutil.copytree(sample_store, tmp_path / "copy")
    file = max((copy / "snapshots").rglob("*.parquet"), key=lambda path: path.stat().st_size)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(raw)
    code, _, err = run("verify", copy)
    (line,) = err.splitlines()
    assert code == 1 and file.name in line and "differs" in line


# --- refusals


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("measure", "STORE", "burden"), "measure burden: not in the catalogue; measures are"),
        (("measure", "STORE", "reach", "--by", "colour"), "dimension colour: unknown; dimensions are city"),
        (("measure", "STORE", "reach", "--where", "colour=red"), "dimension colour: unknown"),
        (("measure", "STORE", "reach", "--where", "city"), "write --where NAME=VALUE"),
        (("measure", "STORE", "reach", "--set", "threshold=0.1"), "reach takes no parameter"),
        (
            ("measure", "STORE", "catastrophic_headcount", "--set", "threshold=much"),
            "threshold much: must be",
        ),
        (("measure", "STORE", "own_burden_mean", "--by", "tier"), "is not per tier"),
        (("measure", "STORE", "reach", "--format", "parquet"), "needs --out"),
        (("measure", "EMPTY", "reach"), "nothing is published here yet; run `jianfu build"),
        (("build", "EMPTY"), "run `jianfu ingest` or `jianfu sample` first"),
        (("verify", "EMPTY"), "no delivery here"),
        (("quality", "EMPTY"), "no delivery here"),
        (("plans", "show", "atlantis", "2023"), "no plan for atlantis 2023"),
        (("plans", "show", "zhuhai", "1999"), "no plan for zhuhai 1999"),
        (("plans", "pay", "zhuhai", "2021", "--tier", "charity", "--amount", "1"), "has no tier 'charity'"),
        (("plans", "pay", "zhuhai", "2021", "--tier", "basic", "--amount", "1.234"), "at most two decimals"),
        (("plans", "pay", "zhuhai", "2021", "--tier", "basic", "--amount", "-1"), "at most two decimals"),
        (("sample", "EMPTY", "--cities", "atlantis"), "no synthetic city atlantis"),
        (("sample", "EMPTY", "--years", "now"), "--years now: write a year or a span"),
        (("sample", "EMPTY", "--years", "2023-2021"), "write a year or a span"),
        (("ingest", "EMPTY", "EMPTY/none.csv", "--as", "settlement"), "none.csv: no such file"),
        (("ingest", "EMPTY", "STORE/current", "--as", "settlement"), "of no known format"),
        (("serve", "STORE", "--port", "99999"), "--port 99999: write a number from 1 to 65535"),
    ],
)
def test_a_refusal_is_one_line(
    run: Run, sample_store: Path, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    places = {"STORE": str(sample_store), "EMPTY": str(tmp_path / "empty")}
    words = [part.replace("STORE", places["STORE"]).replace("EMPTY", places["EMPTY"]) for part in arguments]
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert told in err and len(err.splitlines()) == 1 and "Traceback" not in err


def test_a_refused_delivery_names_every_problem_and_changes_nothing(
    run: Run, sample_store: Path, tmp_path: Path
) -> None:
    store = shutil.copytree(sample_store, tmp_path / "store")
    before = Store(store).current_id(), len(Store(store).deliveries())
    (tmp_path / "june.csv").write_text("setl_id,psn_no,medfee_sumamt\n1,2,3.00\n", encoding="utf-8")
    code, out, err = run("ingest", store, tmp_path / "june.csv", "--as", "settlement")
    lines = err.splitlines()
    assert (code, out) == (1, "") and len(lines) > 5
    assert all(line.startswith("june.csv: column ") and "is missing" in line for line in lines)
    assert (Store(store).current_id(), len(Store(store).deliveries())) == before
    assert run("verify", store)[0] == 0


def test_a_file_name_that_is_no_text_is_told(run: Run, sample_store: Path, tmp_path: Path) -> None:
    store = shutil.copytree(sample_store, tmp_path / "store", ignore=shutil.ignore_patterns("audit"))
    file = Path(os.fsdecode(os.fsencode(tmp_path / "june") + b"\xff.csv"))
    file.write_text("setl_id,psn_no\n1,2\n", encoding="utf-8")
    code, out, err = run("ingest", store, file, "--as", "settlement")
    assert (code, out) == (1, "") and len(err.splitlines()) == 1
    assert r"june\xff.csv: its name is not UTF-8; rename it" in err
    last = printed(run("audit", "show", store, "--last", 1, "--format", "json"))
    assert last["why"] == ["file_name"] and run("audit", "verify", store)[0] == 0


def test_too_little_memory_is_told(sample_store: Path) -> None:
    command = [sys.executable, "-m", "analytics.cli", "measure", str(sample_store), "reach"]
    environment = {**os.environ, "JIANFU_MEMORY": "1MB"}
    refused = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith(
        "needs more than JIANFU_MEMORY=1MB and JIANFU_SPILL=10GB allow; raise them"
    )


def test_a_command_that_is_stopped_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verbs, "verify", stop)
    assert run("verify", "store") == (130, "", "stopped\n")


def test_another_builder_at_work(run: Run, sample_store: Path, tmp_path: Path) -> None:
    store = shutil.copytree(sample_store, tmp_path / "store")
    with FileLock(store / "lock"):
        code, out, err = run("build", store)
    assert (code, out) == (75, "")
    assert len(err.splitlines()) == 1 and "another builder" in err
    assert run("build", store)[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nothing",),
        ("measure", "store"),
        ("measure", "store", "reach", "--format", "xml"),
        ("ingest", "store", "a.csv"),
        ("ingest", "store", "a.csv", "--as", "claims"),
        ("ingest", "store", "a.csv", "--as", "person", "--sign-off", "known"),
        ("ingest", "store", "a.csv", "--as", "person", "--by", "Li"),
        ("ingest", "store", "a.csv", "--as", "person", "--sign-off", " ", "--by", "Li"),
        ("correct", "store"),
        ("rotate-key",),
        ("plans",),
        ("plans", "pay", "zhuhai", "2021"),
        ("plans", "show", "zhuhai", "soon"),
    ],
)
def test_a_wrong_call_shows_the_usage(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and err.startswith("usage: jianfu")


def test_help_names_every_command(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for command in (
        "sample",
        "ingest",
        "correct",
        "rotate-key",
        "build",
        "measures",
        "measure",
        "plans",
        "quality",
        "verify",
        "serve",
    ):
        assert re.search(rf"\n    {command}\s", out), command

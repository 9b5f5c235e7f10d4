"""Figures computed again: by id and from files, equal, or told why not; every page's and every export's numbers have their entry."""

import io
import json
import random
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pyarrow.parquet as pq
import pytest
from conftest import Run
from streamlit.testing.v1 import AppTest

from analytics import report, verbs
from analytics.desk import recompute
from analytics.desk.answer import Desk
from analytics.desk.recompute import Recomputer, find
from analytics.figures import about, charts, files, words
from analytics.measures import dimensions, grammar, measures
from analytics.release import LOCAL, Denied, Figure, Log, Released, Unwritten, Viewer, figure, log_of
from analytics.store import Store
from analytics.view import asking
from analytics.whatif import parse_scenario

HERE: dict[str, list[str | int]] = {"city": ["440400"], "plan_year": [2022]}
LOWER = {
    "name": {"zh": "起付线", "en": "deductible"}, "city": "weihai", "plan_year": 2023,
    "change": [{"tier": "inclusive", "liability": "in_catalogue", "field": "deductible", "value": 8_000}],
}  # fmt: skip


@pytest.fixture(scope="module")
def store(sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with a log of its own."""
    own = tmp_path_factory.mktemp("replayed") / "store"
    shutil.copytree(sample_store, own, ignore=shutil.ignore_patterns("audit"))
    return own


@pytest.fixture(scope="module")
def desk(store: Path) -> Desk:
    return Desk.open(store)


# --- equal


def _questions(desk: Desk, dice: random.Random) -> Iterator[Released]:
    """Answers to questions drawn from the whole catalogue."""
    forms = [m for m in measures().values() if not m.needs]
    while True:
        form = dice.choice(forms)
        by = [d.id for d in dimensions().values() if d.fits(form) and dice.random() < 0.12][:2]
        where = {"city": [dice.choice(("440400", "371000"))]} if dice.random() < 0.6 else {}
        if dice.random() < 0.7:
            where["plan_year"] = [dice.choice(("2022", "2023"))]
        known = grammar().parameters
        chosen = {
            name: dice.choice(known[name].values)
            for name in form.parameters
            if name not in form.fixed and known[name].values and dice.random() < 0.3
        }
        se = "superpopulation" if dice.random() < 0.15 else ""
        if se:  # redrawing a hundred times takes its time
            where = {"city": ["440400"], "plan_year": ["2022"]}
        against = ("plan_year", "2022") if dice.random() < 0.1 and not where.get("plan_year") else None
        try:
            yield desk.ask(form.id, by, where, chosen, se=se, against=against)
        except ValueError:
            continue


def _equal(store: Path, desk: Desk, n: int) -> None:
    dice, seen, recomputer = random.Random(n), set[str](), Recomputer(Store(store))
    for released in _questions(desk, dice):
        (given,) = released.figures
        if given.id in seen:
            continue  # entered once
        seen.add(given.id)
        (found,) = find(log_of(store), given.id)
        result = recomputer.again(found)
        assert (result.status, result.program) == ("equal", ""), result.text
        assert result.answer is not None and result.answer.figures[0].id == given.id, (
            "the same question, the same id"
        )
        assert "prepared" not in result.answer.provenance
        *_, last = log_of(store).entries()
        assert (last["kind"], last["figures"][0]["figure"]) == ("replay", given.id)
        if len(seen) >= n:
            return


def test_forty_random_figures_are_equal(store: Path, desk: Desk) -> None:
    _equal(store, desk, 40)


@pytest.mark.long
def test_two_hundred_random_figures_are_equal(store: Path, desk: Desk) -> None:
    _equal(store, desk, 200)


def test_every_kind_of_answer_is_equal(store: Path, desk: Desk) -> None:
    scenario = parse_scenario(LOWER)
    place: dict[str, list[str | int]] = {"city": ["weihai"], "plan_year": [2023]}
    outcome = desk.simulate(scenario)
    recomputer = Recomputer(Store(store))
    given = [
        desk.parade(
            HERE,
            {"poverty_line": "usd_3_65"} if "usd_3_65" in grammar().parameters["poverty_line"].values else {},
        ),
        desk.decompose("catastrophic_concentration", ["urban", "n_members"], HERE),
        desk.ask("catastrophic_headcount", ["tier"], place, scenario="plan"),
        desk.ask("reach", ["tier"], scenario=scenario),
        desk.ask("reach", ["person_group", "tier"], HERE, protect=False),
        *[a.of[k] for a in outcome.answers[:3] for k in a.of],
    ]
    for released in given:
        (found,) = find(log_of(store), released.figures[0].id)
        assert recomputer.again(found).status == "equal", found.asked
    assert len({r.figures[0].id for r in given}) == len(given)


def test_an_id_tells_everything_that_decides(store: Path, desk: Desk) -> None:
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("reach", ["tier"], HERE), {}),
        (("reach", ["tier"], {**HERE, "plan_year": [2023]}), {}),
        (("reach", ["tier", "person_group"], HERE), {}),
        (("own_share_after", ["tier"], HERE), {}),
        (("reach", ["tier"], HERE), {"protect": False}),
        (("reach", ["tier"], HERE), {"se": "superpopulation"}),
        (("reach", ["tier"], HERE), {"se": "population"}),
        (("reach", ["tier"], {"city": ["440400"]}), {"against": ("plan_year", "2022")}),
        (("reach", ["tier"], HERE), {"scenario": "plan"}),
        (("catastrophic_headcount", [], HERE), {}),
        (("catastrophic_headcount", [], HERE, {"threshold": "0.25"}), {}),
    ]
    ids = [desk.ask(*question, **more).figures[0].id for question, more in asked]
    assert len(set(ids)) == len(ids)
    assert desk.ask("reach", ["tier"], {"city": ["zhuhai"], "plan_year": ["2022"]}).figures[0].id == ids[0]
    official = Desk.open(store, Viewer("王", "official", frozenset({"440400"})))
    assert official.ask("reach", ["tier"], HERE).figures[0].id != ids[0], "another scope is another figure"


# --- not equal, and why


def test_a_changed_number_differs(store: Path, desk: Desk) -> None:
    given = desk.ask("own_burden_mean", ["person_group"], HERE)
    (found,) = find(log_of(store), given.figures[0].id)
    for changed in (
        given.table.with_columns(pl.col("value") * (1 + 1e-8)),
        given.table.head(given.table.height - 1),
        given.table.with_columns(pl.lit("hidden").alias("status")),
    ):
        assert (
            Recomputer(Store(store)).again(Figure(found.id, found.asked, figure.digest(changed))).status
            == "differs"
        )
    assert (
        Recomputer(Store(store)).again(Figure(found.id, found.asked, figure.digest(given.table))).status
        == "equal"
    )


def test_another_program_is_told(store: Path, desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of the program: still equal, or differs; either way it is said that another one gave it."""
    name = desk.ask("own_share_after", ["tier"], HERE).figures[0].id
    was = figure.program()
    monkeypatch.setattr(figure, "program", lambda: "0123456789ab")
    code, out, _ = run("replay", store, name)
    assert (
        code == 0
        and out == f"{name} own_share_after: equal (given by another version of the program, {was})\n"
    )
    form = measures()["own_share_after"]
    monkeypatch.setitem(
        measures(), "own_share_after", form.model_copy(update={"numerator": f"2 * ({form.numerator})"})
    )
    code, out, _ = run("replay", store, name, "--format", "json")
    assert code == 1 and (json.loads(out)[0]["status"], json.loads(out)[0]["given_by"]) == ("differs", was)


def test_a_snapshot_that_is_gone_is_named(store: Path, tmp_path: Path, run: Run) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    (tmp_path / "copy.audit-head").write_bytes(store.with_name("store.audit-head").read_bytes())
    given = verbs.measure(copy, ["reach"], by=["tier"], where=HERE)[0]
    (folder,) = (copy / "snapshots").iterdir()
    folder.rename(tmp_path / "away")
    code, out, _ = run("replay", copy, given.figures[0].id)
    assert (
        code == 1 and f"its snapshot {folder.name} is not in {copy} (held: none); put its folder back" in out
    )
    code, _, err = run("replay", copy, "F-0123456789abcdef")
    assert code == 1 and "not in the audit log" in err
    code, _, err = run("replay", copy, "nothing")
    assert code == 1 and "neither a figure id" in err


def test_a_changed_question_in_a_file_is_refused(desk: Desk, tmp_path: Path) -> None:
    text = desk.ask("reach", ["tier"], HERE).figures[0].text()
    (tmp_path / "notes.txt").write_text(text.replace('"2022"', '"2023"'), encoding="utf-8")
    with pytest.raises(ValueError, match="its question was changed"):
        find(log_of(tmp_path), str(tmp_path / "notes.txt"))


def test_a_question_that_is_not_whole_is_refused(store: Path, desk: Desk, tmp_path: Path, run: Run) -> None:
    """One whose id is right all the same, as whoever writes a file can make it."""
    given = desk.ask("reach", ["tier"], HERE).figures[0].told()
    for name in ("verb", "measure", "snapshot", "program"):
        asked = {key: value for key, value in given["asked"].items() if key != name}
        file = tmp_path / f"{name}.txt"
        file.write_text(Figure(figure._id(asked), asked, given["digest"]).text(), encoding="utf-8")
        code, out, err = run("replay", store, file)
        assert (code, out) == (1, "") and err.endswith(f"its question is not whole; it lacks {name}\n")


# --- exports


def _exports(answers: list[Released], head: str) -> dict[str, bytes]:
    table, lines = files.full(answers), about.block("标题 <&>", answers, "http://x/?a=1", head)
    chart = charts.bars(answers[0], "tier", "tier")
    return {
        "a.zip": files.csv(table, lines, "a"),
        "a.xlsx": files.excel(table, lines),
        "a.parquet": files.parquet(table, lines),
        "a.svg": report.picture(chart, "svg", "标题", [about.citation(answers)], "zh", lines),
        "a.png": report.picture(chart, "png", "标题", [about.citation(answers)], "zh", lines),
    }


def test_a_file_is_computed_again_from_itself_alone(
    store: Path, desk: Desk, tmp_path: Path, run: Run
) -> None:
    answers = [desk.ask(m, ["tier"], HERE) for m in ("own_share_after", "reach")]
    ids = [a.figures[0].id for a in answers]
    for name, content in _exports(answers, desk.record.head).items():
        path = tmp_path / name
        path.write_bytes(content)
        assert [f.id for f in find(Log(tmp_path / "none", tmp_path / "head"), str(path))] == ids, name
        code, out, _ = run("replay", store, path)
        assert code == 0 and [line.split()[0] for line in out.splitlines()] == ids, name


def test_a_table_of_the_command_line_is_found_and_its_own_numbers_are_not_vouched_for(
    store: Path, tmp_path: Path, run: Run
) -> None:
    """A number of the file is another one: the figure is computed again as it was, and it is said that this is not the file's."""
    ask = ("measure", store, "own_share_after", "--by", "tier", "--where", "plan_year=2022")
    for form in ("parquet", "csv"):
        path = tmp_path / f"a.{form}"
        assert run(*ask, "--format", form, "--out", path)[0] == 0
        code, out, err = run("replay", store, path)
        assert code == 0 and out.count("equal") == 1 and "were not compared" in err, form
    path.write_text(path.read_text("utf-8").replace("0.", "0.9", 1), "utf-8")
    assert "were not compared" in run("replay", store, path)[2]
    report = tmp_path / "a.html"
    assert run("report", store, "--city", "zhuhai", "--plan-year", 2022, "--out", report)[0] == 0
    assert "were not compared" not in run("replay", store, report)[2], "as it left"
    report.write_bytes(report.read_bytes().replace(b"%", b" %", 1))
    assert "were not compared" in run("replay", store, report)[2]


def test_every_row_of_full_data_and_every_note_carries_its_id(store: Path, desk: Desk) -> None:
    answers = [desk.ask(m, ["tier"], HERE) for m in ("own_share_after", "reach")]
    ids, head = [a.figures[0].id for a in answers], desk.record.head
    made = _exports(answers, head)
    with zipfile.ZipFile(io.BytesIO(made["a.zip"])) as bundle:
        rows, notes = pl.read_csv(bundle.read("a.csv")[3:]), bundle.read("a.txt").decode("utf-8-sig")
    assert dict(rows.select("measure", "figure").unique().rows()) == dict(
        zip(("own_share_after", "reach"), ids, strict=True)
    )
    assert (
        f"审计日志位置\t{head}" in notes
        and f"图号\t{ids[0]}" in notes
        and f"图号 {ids[0]}、{ids[1]}" in notes
    )
    book = openpyxl.load_workbook(io.BytesIO(made["a.xlsx"]))
    told = [row[1] for row in book.worksheets[1].iter_rows(values_only=True)]
    assert {*ids, head} <= set(told)
    assert head in pq.read_metadata(io.BytesIO(made["a.parquet"])).metadata[b"jianfu"].decode()
    assert log_of(store).verify(head=head) == [], "what is printed is an entry of the log"


def test_a_report_names_its_figures_and_is_found_by_its_bytes(store: Path, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "报告.html"
    assert run("report", store, "--city", "zhuhai", "--plan-year", 2022, "--out", path)[0] == 0
    entries = list(log_of(store).entries())
    answer, left = entries[-2:]
    assert (answer["kind"], left["kind"], left["file"]) == ("answer", "report", "报告.html")
    assert {f["figure"] for f in answer["figures"]} >= set(left["figures"]) and len(left["figures"]) > 20
    text = path.read_text("utf-8")
    assert set(re.findall(r"F-[0-9a-f]{16}", text)) == set(left["figures"]), "all of them are printed"
    assert entries[-3]["hash"][:16] in text, "and where the log stood"
    path.write_bytes(path.read_bytes() + b" ")  # no longer the file that left; its ids still lead there
    assert {f.id for f in find(log_of(store), str(path))} == set(left["figures"])
    for form in ("pdf",):
        assert (
            run("report", store, "--city", "zhuhai", "--plan-year", 2022, "--out", tmp_path / f"a.{form}")[0]
            == 0
        )
        assert {f.id for f in find(log_of(store), str(tmp_path / f"a.{form}"))} == set(left["figures"])


# --- the door


def test_no_entry_no_answer(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    (tmp_path / "in the way").write_text("")
    monkeypatch.setenv("JIANFU_AUDIT", str(tmp_path / "in the way"))
    with pytest.raises(Unwritten):
        Desk.open(store).ask("reach", ["tier"], HERE)
    code, out, err = run("measure", store, "reach", "--by", "tier")
    assert (code, out) == (1, "") and "nothing is shown" in err
    target = tmp_path / "a.xlsx"
    assert run("report", store, "--city", "zhuhai", "--plan-year", 2022, "--out", target)[0] == 1
    assert not target.exists()
    monkeypatch.setenv("JIANFU_STORE", str(store))
    at = AppTest.from_file(str(Path(asking.__file__).with_name("frame.py")), default_timeout=60).run()
    assert not at.exception and [e.body for e in at.error] and "JIANFU_AUDIT" in at.error[0].body
    assert not at.metric and not at.dataframe and not at.get("plotly_chart")
    monkeypatch.delenv("JIANFU_AUDIT")
    assert not at.run().error and at.get("plotly_chart"), "and all is back when it can be written"


def test_a_refusal_is_entered(store: Path) -> None:
    official = Desk.open(store, Viewer("王", "official", frozenset({"440400"})))
    with pytest.raises(Denied):
        official.ask("reach", ["tier"], {"city": ["weihai"]})
    *_, last = log_of(store).entries()
    assert (last["kind"], last["user"], last["role"], last["code"]) == ("refusal", "王", "official", "city")
    assert last["scope"] == {"cities": ["440400"]}


def test_answers_taken_together_leave_together(store: Path) -> None:
    desk = Desk.open(store)
    before = log_of(store).kept()
    with desk.record.together():
        first = desk.ask("tier_share", ["tier"], HERE)
        desk.ask("own_share_before", ["tier"], HERE)
        assert log_of(store).kept() == before
    *_, last = log_of(store).entries()
    assert len(last["figures"]) == 2 and last["figures"][0]["figure"] == first.figures[0].id
    assert (last["user"], last["cells"]) == (LOCAL.user, sum(f["cells"] for f in last["figures"]))


# --- the command line


def test_the_log_is_verified_and_shown(store: Path, desk: Desk, run: Run, tmp_path: Path) -> None:
    desk.ask("reach", ["tier"], HERE)
    code, out, _ = run("audit", "verify", store, "--head", desk.record.head)
    assert code == 0 and out.startswith("whole, ")
    code, out, _ = run("audit", "show", store, "--last", 3, "--format", "json")
    assert code == 0 and [json.loads(line)["kind"] for line in out.splitlines()]
    assert len(out.splitlines()) == 3
    file = sorted((store / "audit").glob("*.jsonl"))[-1]
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'"local"', b'"lokal"', 1))
    code, out, err = run("audit", "verify", store)
    file.write_bytes(whole)
    assert code == 1 and f"{file.name} line 1: was changed" in err
    assert run("audit", "verify", tmp_path / "none")[0] == 1


def test_words_and_ids_in_english(desk: Desk) -> None:
    with words.reading("en"):
        answer = desk.ask("reach", ["tier"], HERE)
        assert ("Figure id", answer.figures[0].id) in about.provenance(answer)
        assert about.citation([answer]).count(answer.figures[0].id) == 1
    assert recompute.Again(answer.figures[0], "differs").text.endswith("reach: differs")

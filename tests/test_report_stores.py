"""Reports of stores that hold little, what is refused and why, the command and the button."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import report_world
from composed import Remembering, everything, sentences, tables
from conftest import Run
from deliveries import bare
from streamlit.testing.v1 import AppTest

import analytics
from analytics import intake, report
from analytics.desk.answer import Desk
from analytics.figures import formats
from analytics.reference import root
from analytics.release import Log, Record
from analytics.report.compose import compose, refusal
from analytics.report.document import Text
from analytics.report.form import KINDS, Part
from analytics.store import Store
from analytics.synthetic import write_delivery
from analytics.tiers import TIER
from analytics.view import asking

ZHUHAI, YEAR = "440400", 2023
HERE = {"city": [ZHUHAI], "plan_year": [str(YEAR)]}


@pytest.fixture(scope="module")
def desk(sample_store: Path) -> Desk:
    return Remembering.open(sample_store)


def _store(path: Path, tables_: Sequence[str], **more: Any) -> Desk:
    """A synthetic store of these tables only."""
    files = write_delivery(path / "files", cities=["440400"], years=[2023], seed=3, **more)
    for table in (name for name in tables_ if files[name]):
        intake.ingest(Store(path / "store"), files[table], table, synthetic=True)
    bare(path / "store")
    return Desk.open(path / "store")


def test_settlements_alone_make_a_report_and_name_what_is_left_out(tmp_path: Path) -> None:
    desk = _store(tmp_path, ["settlement"], persons=400)
    document = compose(desk, "zhuhai", 2023)
    left_out = document.sections[-1]
    assert left_out.title == "未列入的内容"
    said = " ".join(b.text for b in left_out.blocks if isinstance(b, Text))
    assert "各城市：本年度数据只含本市" in said
    assert all(section.blocks for section in document.sections)
    assert "与其他城市比较" not in [section.title for section in document.sections]
    assert "数据不含 2022 年，不作同比。" in sentences(document)
    why_not = refusal(desk, "zhuhai", 2023, "insurer", "zh")
    assert why_not.startswith("2023 年珠海") and "惠民保" in why_not
    with pytest.raises(ValueError, match="enrolment and payments"):
        compose(desk, "zhuhai", 2023, kind="insurer", language="en")


def test_a_handful_of_persons_leaks_nothing(tmp_path: Path) -> None:
    tables_ = [
        "settlement",
        "enrolment",
        "person",
        "household_member",
        "household_economy",
        "commercial_claim",
    ]
    desk = _store(tmp_path, tables_, persons=10)
    for kind in KINDS:
        document = compose(desk, "zhuhai", 2023, kind=kind)
        quality = {"收到的数据"}
        shown = [
            (table.title, cell)
            for table in tables(document)
            if table.title not in quality
            for row in table.rows
            for cell in row
            if cell.value not in (None, 0)
        ]
        assert shown == []
        text = "".join(sentences(document))
        assert "受保护" in text
        (row,) = desk.ask(
            "effective_reimbursement_rate", (), {"city": [ZHUHAI]}, protect=False
        ).table.to_dicts()
        assert formats.money(row["denominator"], "zh") not in "".join(everything(document))


def test_no_plan_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(desk), "plan", lambda *_: None)
    document = compose(desk, "zhuhai", YEAR)
    assert "现行待遇规则" not in [section.title for section in document.sections]
    assert "现行待遇规则：没有本年度的方案文件" in sentences(document)


def test_rules_carry_their_star_and_class(desk: Desk) -> None:
    plan = desk.plan(ZHUHAI, YEAR)
    assert plan is not None
    (table,) = [t for t in tables(compose(desk, ZHUHAI, YEAR)) if t.title.endswith("待遇方案的主要规定")]
    for row, rule in zip(table.rows, plan.rules(), strict=True):
        assert row[0].text == TIER[rule.id].zh
        for cell, field in zip(row[2:5], ("deductible", "bands", "ceiling"), strict=True):
            assert cell.text.endswith("*") == (plan.source_class(rule, field) == "assumed")
        if rule.deductible != "missing":
            assert f"{rule.deductible:,} 元" in row[2].text


def test_a_survey_has_no_performance_report(tmp_path: Path, run: Run) -> None:
    lines = ["household_id,city,plan_year,n_members,weight,cost,own_burden,income"]
    lines += [f"h{i},440400,2023,3,1,{100 + i}.00,{50 + i}.00,{9000 + i}.00" for i in range(30)]
    path = tmp_path / "survey.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    store = tmp_path / "store"
    assert run("ingest", store, path, "--as", "household_year")[0] == 0
    assert run("build", store)[0] == 0
    with pytest.raises(ValueError, match="jianfu survey"):
        compose(Desk.open(store), "zhuhai", 2023)


@pytest.mark.parametrize(
    ("what", "match"),
    [
        ({"city": "nanning"}, r"zhuhai 2022, zhuhai 2023"),
        ({"year": 1999}, r"weihai 2022"),
        ({"kind": "novel"}, "bureau, insurer"),
        ({"language": "fr"}, "zh, en"),
        ({"unit": "dollar"}, "auto, yuan, wan, yi"),
    ],
)
def test_what_cannot_be_written_is_said(desk: Desk, what: dict[str, Any], match: str) -> None:
    asked = {"city": "zhuhai", "year": YEAR, **what}
    with pytest.raises(ValueError, match=match):
        compose(desk, asked.pop("city"), asked.pop("year"), **asked)


def test_a_part_that_cannot_be_asked_is_refused() -> None:
    good = {"id": "x", "title": {"zh": "题", "en": "title"}, "column": [{"measure": "loss_ratio"}]}
    assert Part.model_validate(good).column
    for change in (
        {"by": ["cost_band"]},
        {"column": [{"measure": "none"}]},
        {"layout": "crossed"},
        {"column": []},
    ):
        with pytest.raises(ValueError):
            Part.model_validate({**good, **change})


# --- the command and the button


def test_the_command_writes_the_report(sample_store: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "report.html"
    asked = ("report", sample_store, "--city", "zhuhai", "--plan-year", YEAR, "--kind", "insurer")
    code, said, why = run(*asked, "--out", out, "--lang", "en", "--unit", "wan")
    assert (code, said.strip()) == (0, str(out)), why
    assert analytics.write_report is report.write_report
    page = out.read_text("utf-8")
    held_ = Desk.open(sample_store).ask("participation_rate", (), HERE).table.to_dicts()[0]
    assert "Performance report on the city product" in page
    assert f"{held_['numerator']:,.0f} held the city product" in page


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"--plan-year": "2019"}, 1, "zhuhai 2022"),
        ({"--city": "nowhere"}, 1, "weihai 2023"),
        ({"--out": "report.odt"}, 1, "docx, xlsx, pdf, html"),
        ({"--out": "report"}, 1, "docx, xlsx, pdf, html"),
        ({"--out": "none/x.docx"}, 1, "x.docx: there is no folder "),
        ({"--kind": "novel"}, 2, "bureau"),
        ({"--plan-year": "soon"}, 2, "--plan-year"),
    ],
)
def test_the_command_refuses(
    sample_store: Path, tmp_path: Path, run: Run, change: dict[str, str], code: int, says: str
) -> None:
    options = {"--city": "zhuhai", "--plan-year": "2023", "--out": "report.html", **change}
    options["--out"] = str(tmp_path / options["--out"])
    found, _, why = run("report", sample_store, *(part for pair in options.items() for part in pair))
    assert found == code and says in why
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_has_nowhere_to_go_has_not_left(tmp_path: Path) -> None:
    log, target = Log(tmp_path / "audit", tmp_path / "head"), tmp_path / "none" / "x.html"
    with pytest.raises(ValueError, match=re.escape(f"{target}: there is no folder {target.parent}; make it")):
        report.write(report_world.hostile(), target, Record(log))
    assert list(log.entries()) == []


@pytest.mark.parametrize(("page", "kind"), [("overview", "bureau"), ("operations", "insurer")])
def test_a_page_offers_the_report_it_is_about(
    sample_store: Path, monkeypatch: pytest.MonkeyPatch, page: str, kind: str
) -> None:
    monkeypatch.setenv("JIANFU_STORE", str(sample_store))
    at = AppTest.from_file(str(Path(asking.__file__).with_name("frame.py")), default_timeout=60)
    at.query_params["city"], at.query_params["year"] = "zhuhai", "2023"
    at.session_state["report"] = True  # the menu is open
    if page != "overview":
        at.switch_page(str(root() / "pages" / f"{page}.py"))
    at.run()
    assert not at.exception, at.exception
    at_ = "" if page == "overview" else page  # the page one lands on has no name in the link
    assert at.session_state[f"w_report_kind@{at_}"] == kind
    (button,) = [b for b in at.get("download_button") if b.proto.id.endswith("report_make")]
    assert button.proto.label == "下载报告"
    assert button.proto.ignore_rerun

"""The data page as a visitor meets it: it shows what `quality` says, and nothing of the data becomes markup."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from deliveries import bare, csv_file, take
from mixed import FEE, FILE, ROWS, deliver, settlements
from streamlit.testing.v1 import AppTest

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.figures import words
from analytics.measures import measures
from analytics.reference import root
from analytics.view import asking, checks, states

FRAME = Path(asking.__file__).with_name("frame.py")
Visit = Callable[..., AppTest]
Cells = list[dict[str, Any]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    ids = deliver(folder)
    verbs.build(folder / "store")
    (folder / "ids.json").write_text(json.dumps(ids))
    return folder / "store"


@pytest.fixture
def ids(store: Path) -> dict[str, str]:
    names: dict[str, str] = json.loads((store.parent / "ids.json").read_text())
    return names


@pytest.fixture
def visit(store: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    """Open the data page by a cold link, on the machine that serves it."""
    monkeypatch.setattr(asking, "is_local", lambda: True)

    def call(at_store: Path = store, /, **link: str) -> AppTest:
        monkeypatch.setenv("JIANFU_STORE", str(at_store))
        at = AppTest.from_file(str(FRAME), default_timeout=60)
        for name, value in {"figures": "both", **link}.items():
            at.query_params[name] = value
        at.switch_page(str(root() / "pages" / "data.py"))
        at.run()
        assert not at.exception, at.exception
        return at

    return call


def tables(at: AppTest, *columns: str) -> list[Cells]:
    """The tables that have these columns."""
    return [d.value.to_dict("records") for d in at.dataframe if set(columns) <= set(d.value.columns)]


def table(at: AppTest, *columns: str) -> Cells:
    (found,) = tables(at, *columns)
    return found


def light(row: dict[str, Any], name: str = "结果") -> str:
    (word,) = row[name]
    return str(word)


def test_the_answer_comes_first_in_words(visit: Visit) -> None:
    came, loaded = ROWS + 40 + 10 + ROWS, (ROWS - 5) + 1 + 40 + 8 + ROWS
    at = visit()
    title = at.title[0].value
    assert f"5 次交付，收到 {came} 行" in title and f"{loaded} 行入库" in title and "2 行待处理" in title
    assert f"{(ROWS - 1 + 40) * FEE / 1e6:,.2f} 万元" in title, (
        "medical cost that came; claims are not medical cost"
    )
    assert at.success and not at.error
    assert "none waits" not in visit(lang="en").title[0].value


def test_the_picture_and_its_table_show_every_place(visit: Visit, ids: dict[str, str]) -> None:
    at = visit()
    lines = {line["交付"]: line for line in table(at, "交付", "待处理")}
    assert set(lines) == {delivery[:8] for delivery in ids.values()}
    noted = lines[ids["noted"][:8]]
    shown = {k: noted[k] for k in ("收到", "入库", "按规则剔除", "后来改正", "决定不用", "待处理")}
    assert list(shown.values()) == [str(ROWS), str(ROWS - 5), "2", "1", "1", "1"]
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    held = {trace["name"]: trace["x"] for trace in spec["data"] if trace.get("xaxis") == "x2"}
    assert {name: sum(x) for name, x in held.items()} == {
        "后来改正": 1,
        "决定不用": 1,
        "按规则剔除": 3,
        "待处理": 2,
    }
    whole = [
        sum(x)
        for x in zip(*(t["x"] for t in spec["data"] if "xaxis" not in t or t["xaxis"] == "x"), strict=True)
    ]
    assert whole == pytest.approx([1] * len(ids)), "every bar is all that came"

    money = {line["交付"]: line for line in table(visit(counted="yuan"), "交付", "待处理")}
    assert money[ids["noted"][:8]]["待处理"] == f"{FEE / 100:,.0f} 元"
    assert money[ids["enrolment"][:8]]["收到"] == "—", "a table without money has none, not zero"


def test_how_it_came_is_said_and_what_did_not_come_too(visit: Visit, ids: dict[str, str]) -> None:
    lines = {line["交付"]: line for line in table(visit(), "编码", "交付说明")}
    noted, plain = lines[ids["noted"][:8]], lines[ids["plain"][:8]]
    assert (noted["格式"], noted["编码"], noted["写法"]) == ("csv", "gb18030", "平台 setl_d")
    assert "珠海医保局" in noted["交付说明"] and noted["签批"] == "李某：来函说明，先行入库"
    assert (plain["格式"], plain["交付说明"], plain["签批"]) == ("xlsx", "未附", "无")
    assert ids["noted"][:8] in lines[ids["correction"][:8]]["内容"]


def test_a_light_for_every_check_and_none_for_what_was_not_asked(
    visit: Visit, ids: dict[str, str], store: Path
) -> None:
    at = visit(delivery=ids["noted"])
    (d,) = [d for d in verbs.quality(store) if d["delivery"] == ids["noted"]]
    statuses = {c["rule"]: c["status"] for c in d["checks"]}
    found = {line["规则"].split()[0]: line for line in table(at, "规则", "仍待处理")}
    passed = {line["规则"].split()[0]: light(line) for line in table(at, "若不符")}
    (asked_nothing,) = (t for t in tables(at, "规则", "原因") if "类别" in t[0])
    silent = {line["规则"].split()[0]: light(line) for line in asked_nothing}
    for rules, status in ((found, "found"), (passed, "passed"), (silent, "not_applicable")):
        assert set(rules) == {rule for rule, was in statuses.items() if was == status}
    assert set(passed.values()) == {"通过"} and set(silent.values()) == {"不适用"}
    assert light(found["I3"]) == "待处理" and (found["I3"]["发现行数"], found["I3"]["仍待处理"]) == ("2", "1")
    assert light(found["bad_amount(medfee_sumamt)"]) == "已处理"
    assert light(found["Q2"]) == "已剔除" and light(found["Q11"]) == "已更正"
    words_ = {badge for m in at.markdown for badge in ("有发现", "通过", "不适用") if badge in m.value}
    assert words_ == {"有发现", "通过", "不适用"}


def test_one_delivery_by_its_link(visit: Visit, ids: dict[str, str]) -> None:
    at = visit(delivery=ids["noted"], rule="I3")
    assert at.query_params["delivery"] in (ids["noted"], [ids["noted"]])
    facts = {line["项目"]: line["内容"] for line in tables(at, "项目", "内容")[0]}
    assert facts["交付"] == ids["noted"] and FILE in facts["文件"] and "sha256" in facts["假名密钥"]
    feeds = {line["标准列"]: line["来源列（依次取用）"] for line in table(at, "标准列")}
    assert feeds["psn_part_amt"] == "psn_pay" and feeds["inscp_scp_amt"] == "inscp_amt"
    rows = table(at, "行号", "原因代码")
    assert [(line["行号"], light(line, "状态"), line["psn_pay"]) for line in rows] == [
        ("4", "后来改正", "4657.07"),
        ("12", "待处理", "4657.07"),
    ]
    assert all(line["psn_no"].startswith("#") for line in rows)
    skeleton, command = [code.value for code in at.code][-2:]  # after those of the upload
    assert (
        f'delivery = "{ids["noted"]}"' in skeleton
        and "rows = [12]" in skeleton
        and 'from = "4657.07"' in skeleton
    )
    assert (
        command.startswith("jianfu correct ") and "/store corrections.toml\n" in command
    )  # as it can be typed anywhere


def test_the_language_keeps_the_delivery_and_the_rule(visit: Visit, ids: dict[str, str]) -> None:
    at = visit(delivery=ids["claims"], rule="negative_payment", counted="yuan")
    next(b for b in at.get("button_group") if b.key == "w_lang").set_value("en").run()
    assert not at.exception
    link = {k: v[0] if isinstance(v, list) else v for k, v in dict(at.query_params).items()}
    kept = {"delivery": ids["claims"], "rule": "negative_payment", "counted": "yuan", "figures": "both"}
    assert link == {"lang": "en", **kept}
    assert [line["paid_amt"] for line in table(at, "Row", "Reasons")] == ["-10.00"]


def test_rows_are_for_the_local_user_only(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tables(visit(), "行号", "原因代码")
    monkeypatch.setattr(asking, "is_local", lambda: False)
    at = visit()
    assert tables(at, "行号", "原因代码") == [] and not at.code
    assert any("127.0.0.1" in info.value for info in at.info)


@pytest.mark.parametrize(
    ("address", "headers", "local"),
    [
        (None, {"Origin": "http://127.0.0.1:8501"}, True),
        (None, {"Origin": "http://localhost:8501"}, True),
        (None, {}, True),
        ("10.0.0.7", {"Origin": "http://127.0.0.1:8501"}, False),
        (None, {"Origin": "https://data.bureau.example"}, False),
        (None, {"Origin": "http://127.0.0.1:8501", "X-Forwarded-For": "10.0.0.7"}, False),
    ],
)
def test_who_is_local(
    monkeypatch: pytest.MonkeyPatch, address: str | None, headers: dict[str, str], local: bool
) -> None:
    context = type("Context", (), {"ip_address": address, "headers": headers})()
    monkeypatch.setattr(asking.st, "context", context)
    assert asking.is_local() is local


def test_which_measures_the_findings_touch(visit: Visit) -> None:
    lines = {line["指标"]: line for line in table(visit(), "可用性")}
    touched = {name: light(line, "可用性") for name, line in lines.items()}
    assert touched["灾难性卫生支出发生率"] in ("留意", "算不出") and touched["患者人均个人负担"] == "留意"
    assert "I3" in lines["患者人均个人负担"]["原因"] and "待处理 1 行" in lines["患者人均个人负担"]["原因"]


def test_what_the_build_checked_is_shown(visit: Visit, store: Path) -> None:
    at, built = visit(), Desk.open(store).store_wide()
    shown = {line["规则"].split()[0]: light(line) for line in table(at, "规则", "在哪里")}
    assert set(shown) == {c["rule"] for c in built["checks"]}
    assert shown["Q28"] == "通过", "all were enrolled"
    (linked,) = table(at, "按结算", "对应不上")
    assert (linked["赔案"], linked["按结算"], linked["对应不上"]) == ("8", "100.0%", "0.0%")


def test_a_sample_needs_no_decision(visit: Visit, sample_store: Path) -> None:
    at, desk = visit(sample_store), Desk.open(sample_store)
    assert "没有待处理的行" in at.title[0].value and at.success
    assert len(table(at, "交付", "待处理")) == len(desk.quality())
    files = table(at, "sha256")
    assert [line["sha256"] for line in files] == [f["sha256"] for f in desk.manifest()["files"]]
    assumed = sum(len(plan.assumed()) for city, year in desk.places if (plan := desk.plan(city, year)))
    assert len(table(at, "假定值")) == assumed


def test_answers_prepared_by_another_version_are_named(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    named = words.both("state.dated_do")["zh"]
    assert named not in [i.value for i in visit().info]
    monkeypatch.setattr(states, "made_by", lambda: "another")
    at = visit()
    assert named in [i.value for i in at.info]
    assert words.both("state.rebuild")["zh"] in [b.label for b in at.button]


def test_nothing_of_the_data_becomes_markup(visit: Visit, tmp_path: Path) -> None:
    name = "a <img src=x>![i](http:__x.example) :red[b] $x$.csv"
    rows = settlements(12)
    rows[11]["fixmedins_code"] = "![i](http://x.example/i.png)"
    who = "<b>x</b> [y](http://x.example)"
    take(tmp_path, [csv_file(tmp_path / name, rows)], sign_off={"reason": ":red[r]", "who": who})
    bare(tmp_path / "store")
    at = visit(tmp_path / "store", rule="<script>", delivery="![i](http://x.example/i.png)")
    said = [e.value for kind in ("markdown", "caption", "warning", "info", "success", "title", "header") for e in getattr(at, kind)]  # fmt: skip
    assert any("script" in text for text in said), "the link's odd values are named"
    for text in said:
        assert "<img" not in text.replace(r"\<", "") and "![i](" not in text and "<script>" not in text
        assert name not in text and who not in text
    spec = json.loads(at.get("plotly_chart")[0].proto.spec)
    assert all("<img" not in a["text"] for a in spec["layout"]["annotations"])


def test_not_asked_never_looks_like_a_pass() -> None:
    assert words.known("light.not_applicable") and words.known("light.passed")
    found = {"rule": "x", "severity": "warn", "rows_open": 0}
    assert checks.light({**found, "status": "not_applicable"}) != checks.light({**found, "status": "passed"})


def test_what_is_asked_of_every_measure_is_one_entry_of_the_log(visit: Visit, store: Path) -> None:
    def entries() -> list[Any]:
        return [
            json.loads(line)
            for part in sorted((store / "audit").glob("*.jsonl"))
            for line in part.read_text().splitlines()
        ]

    before = len(entries())
    visit()
    sizes = [len(entry.get("figures", ())) for entry in entries()[before:]]
    assert max(sizes) > 20 and len(sizes) < 10, sizes


def test_which_measures_can_be_computed_is_asked_of_one_place_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value there is enough; where there is none, or no answer at all, everything is asked, and that decides."""
    here = {"city": ["b"], "plan_year": ["2023"]}
    told = {  # status at the last place, then everywhere; nothing: cannot be answered
        "own_share_after": ("ok", None), "tier_share": ("undefined", "ok"), "reach": (None, "hidden"),
        "own_burden_mean": ("undefined", "undefined"),
    }  # fmt: skip
    asked = []

    def ask(measure: str, by: list[str], where: dict[str, list[str]]) -> SimpleNamespace:
        asked.append((measure, bool(where)))
        assert where in (here, {})
        status = told[measure][0 if where else 1]
        if status is None:
            raise asking.Unanswered("nothing of the kind")
        return SimpleNamespace(table=pl.DataFrame({"status": [status]}))

    desk = SimpleNamespace(
        places=[("a", 2022), ("b", 2023)],
        measures=lambda: [measures()[m] for m in told],
        record=SimpleNamespace(together=nullcontext),
    )
    monkeypatch.setattr(asking, "desk", lambda: desk)
    monkeypatch.setattr(asking, "ask", ask)
    table, others = checks.measures([])
    assert (table.height, others) == (1, 3)
    assert [m for m, at_one in asked if not at_one] == ["tier_share", "reach", "own_burden_mean"]

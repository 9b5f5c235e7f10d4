"""The first minutes as a visitor meets them, without a browser: an empty store, a delivery handed in, the tour, plain states."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from conftest import unsealed
from streamlit.testing.v1 import AppTest
from test_house_texts import refusals

from analytics import jobs
from analytics.desk.answer import Desk
from analytics.figures import words
from analytics.reference import root
from analytics.release import Unwritten
from analytics.store import QueryTimeout, Store
from analytics.view import asking, tour

FRAME = Path(asking.__file__).with_name("frame.py")
Visit = Callable[..., AppTest]


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Visit]:
    """Open a page of a store by a cold link, on the machine that serves it."""
    monkeypatch.setattr(asking, "is_local", lambda: True)
    seen: list[Path] = []

    def call(store: Path, page: str = "overview", /, **link: str) -> AppTest:
        monkeypatch.setenv("JIANFU_STORE", str(store))
        seen.append(store)
        at = AppTest.from_file(str(FRAME), default_timeout=60)
        for name, value in link.items():
            at.query_params[name] = value
        if page != "overview":
            at.switch_page(str(root() / "pages" / f"{page}.py"))
        at.run()
        assert not at.exception, at.exception
        return at

    yield call
    for store in seen:
        if job := jobs.of(store):
            job.cancel()
            job.wait(30)
            jobs.forget(store)


@pytest.fixture
def copy(sample_store: Path, tmp_path: Path) -> Path:
    """A store of its own to break."""
    shutil.copytree(sample_store, tmp_path / "store")
    return tmp_path / "store"


def keys(at: AppTest) -> set[str]:
    return {str(b.key) for b in at.button}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_empty_store_offers_two_ways_to_begin(visit: Visit, tmp_path: Path, language: str) -> None:
    at = visit(tmp_path / "store", lang=language)
    assert at.title[0].value == words.both("begin.title")[language]
    assert {"begin_sample", "begin_deliver"} <= keys(at) and not at.error and not at.get("file_uploader")
    assert any(words.both("sample_is.small")[language] == c.value for c in at.caption)
    at.button(key="begin_deliver").click().run()
    assert at.selectbox(key="w_deliver_table").options and at.button(key="deliver_go").disabled
    assert not (tmp_path / "store").exists(), "looking changes nothing"


def test_who_looks_over_the_network_is_told_why_not(
    visit: Visit, sample_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "is_local", lambda: False)
    at = visit(tmp_path / "store")
    assert not {"begin_sample", "begin_deliver"} & keys(at)
    assert words.both("begin.elsewhere")["zh"] in [i.value for i in at.info]
    at = visit(sample_store, "data")
    assert words.both("deliver.elsewhere")["zh"] in [i.value for i in at.info]
    assert not at.get("file_uploader") and "deliver_go" not in keys(at)


def test_a_sample_under_way_is_seen_by_every_session_and_can_be_stopped(visit: Visit, tmp_path: Path) -> None:
    store = tmp_path / "store"
    visit(store).button(key="begin_sample").click().run()
    other = visit(store, "compare", lang="en")
    assert other.title[0].value == words.both("begin.preparing")["en"]
    assert "job_cancel" in keys(other) and "begin_sample" not in keys(other)
    other.button(key="job_cancel").click().run()
    job = jobs.of(store)
    assert job and job.wait(30).state == "cancelled"
    other.run()
    assert words.both("ended.cancelled_do")["en"] in [i.value for i in other.info]
    other.button(key="job_close").click().run()
    assert {"begin_sample", "begin_deliver"} <= keys(other) and jobs.of(store) is None


def test_a_refused_delivery_is_told_line_by_line_and_kept_nowhere(visit: Visit, copy: Path) -> None:
    before = [d.id for d in Store(copy).deliveries()]
    at = visit(copy, "data")
    assert words.both("deliver.synthetic")["zh"] in [w.value for w in at.warning]
    name = "**结算**.csv"
    at.get("file_uploader")[0].set_value((name, b"setl_id,psn_no\n1,2\n3\n", "text/csv")).run()
    at.button(key="deliver_go").click().run()
    job = jobs.of(copy)
    assert job and job.wait(60).state == "refused"
    at.run()
    assert at.error[0].value == words.both("ended.refused_do")["zh"]
    (told,) = [t.value for t in at.table if words.both("fault.says")["zh"] in t.value.columns]
    assert list(told[words.both("fault.what")["zh"]]) == [words.both("fault.ragged")["zh"]]
    assert list(told[words.both("fault.where")["zh"]]) == [words.plain(name)]
    assert "请重新导出" in told[words.both("fault.says")["zh"]][0], "what to do, in the reader's words"
    assert [c.value for c in at.code if c.value == "\n".join(job.lines)], "and word for word"
    assert not at.get("file_uploader")[0].value and [d.id for d in Store(copy).deliveries()] == before


def test_every_refusal_has_words() -> None:
    assert len(refusals()) > 25
    assert [code for code in sorted(refusals()) if not words.known(f"fault.{code}")] == []


# --- the tour


def test_the_tour_opens_once_by_itself_and_can_be_read_through(visit: Visit, sample_store: Path) -> None:
    """Here every click runs the whole page, which closes the dialog; asked for again, it goes on where it was."""
    at = visit(sample_store)
    titles = []
    for n in range(1, len(tour.STEPS) + 1):
        (title,) = [h.value for h in at.header if words.both("tour.open")["zh"] in h.value]
        assert f"{n}/{len(tour.STEPS)}" in title
        titles.append(title)
        at.button(key="tour_end" if n == len(tour.STEPS) else "tour_next").click().run()
        assert not {"tour_next", "tour_end"} & keys(at), "by itself it opens once"
        at.button(key="tour_open").click().run()
    assert len(set(titles)) == len(tour.STEPS)
    assert any(f"1/{len(tour.STEPS)}" in h.value for h in at.header), "after the end it begins anew"


@pytest.mark.parametrize(("page", "link"), [("overview", {"city": "zhuhai"}), ("overview", {"lang": "en"}), ("tiers", {})])  # fmt: skip
def test_a_shared_link_is_not_in_the_way_of_a_tour(
    visit: Visit, sample_store: Path, page: str, link: dict[str, str]
) -> None:
    at = visit(sample_store, page, **link)
    assert "tour_next" not in keys(at) and "tour_open" in keys(at)


# --- what cannot be shown


def test_a_damaged_store_says_what_where_and_what_to_do(visit: Visit, copy: Path) -> None:
    (copy / "current").write_text("0123456789abcdef0123\n")
    at = visit(copy, lang="en")
    assert at.title[0].value == words.both("state.damaged")["en"]
    assert "names a snapshot that does not exist" in at.error[0].value
    assert words.both("state.damaged_do")["en"] in at.error[0].value
    assert "build_now" in keys(at)


def test_a_snapshot_that_vanished_is_no_stack_of_errors(visit: Visit, copy: Path) -> None:
    """Seen once, then its files go while the server holds it open; and as a server finds it that was started after."""
    assert not visit(copy, city="zhuhai").error
    for file in (unsealed(copy) / "snapshots").rglob("*.parquet"):
        file.unlink()
    at = visit(copy, "cost_bands", city="weihai", measure="reach")
    assert "文件不见了" in at.error[0].value and words.both("state.gone_do")["zh"] in at.error[0].value
    asking._rooms.clear()  # type: ignore[attr-defined]
    at = visit(copy)
    assert at.title[0].value == words.both("state.damaged")["zh"]


@pytest.mark.parametrize(
    ("raised", "to_do"),
    [
        (QueryTimeout("query stopped after 60 s"), "state.slow_do"),
        (ValueError("no such column"), "state.unanswered_do"),
    ],
)
def test_a_question_without_an_answer(
    visit: Visit, sample_store: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, to_do: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr(Desk, "ask", fail)
    at = visit(sample_store, "cost_bands", city="zhuhai")
    (said,) = [m.value for m in [*at.warning, *at.info] if words.both(to_do)["zh"] in m.value]
    assert (str(raised) in words_plain(said)) == isinstance(raised, ValueError) and not at.error


def test_a_log_that_cannot_be_written_is_told_in_words(
    visit: Visit, sample_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where it lies is for the command line, not for whoever looks."""

    def fail(*_: Any, **__: Any) -> None:
        raise Unwritten("audit log /srv/log: no entry could be written")

    monkeypatch.setattr(Desk, "ask", fail)
    at = visit(sample_store, "cost_bands", city="zhuhai")
    assert [e.value for e in at.error] == [words.both("audit.unwritten_do")["zh"]]


def words_plain(text: str) -> str:
    return text.replace("\\", "")


@pytest.mark.parametrize(
    ("status", "key"), [(["hidden"] * 2, "protected"), (["hidden", "undefined"], "nothing")]
)
def test_nothing_to_draw_is_not_the_same_as_protected(status: list[str], key: str) -> None:
    def script() -> None:
        import streamlit as st

        from analytics.view import states

        states.nothing(st.session_state.answers)

    at = AppTest.from_function(script)
    at.session_state["answers"] = [SimpleNamespace(table=pl.DataFrame({"status": status}))]
    at.run()
    assert [i.value for i in at.info] == [words.both(f"state.{key}")["zh"]]


def test_a_fault_of_ours_stays_one(visit: Visit, sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program error of a whole store is not passed off as damage."""

    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(Desk, "ask", fail)
    with pytest.raises(AssertionError, match="encountered an error"):
        visit(sample_store, "cost_bands", city="zhuhai")

"""What a page shows was entered in the audit log before: answer by answer, or all of a block before anything is drawn."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.testing.v1 import AppTest

from analytics.desk.answer import Desk
from analytics.release import Released, figure, log_of
from analytics.view import asking

FRAME = Path(asking.__file__).with_name("frame.py")
PAGES = ("overview", "tiers", "catastrophic", "operations", "benchmarks")


@pytest.fixture(scope="module")
def store(sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with a log of its own."""
    own = tmp_path_factory.mktemp("entered") / "store"
    shutil.copytree(sample_store, own, ignore=shutil.ignore_patterns("audit"))
    return own


def _entered(store: Path) -> dict[str, dict[str, Any]]:
    """What the log holds of every figure, read as plain lines."""
    lines = [
        line for p in sorted((store / "audit").glob("*.jsonl")) for line in p.read_text("utf-8").splitlines()
    ]
    return {f["figure"]: f for e in map(json.loads, lines) if e["kind"] == "answer" for f in e["figures"]}


class Watch:
    """Looks at whatever reaches a page through `asking`: at that moment, or at the end of its block, its entry must be in the file.
    `shown`: the ids; `early`: how much was drawn inside a block.
    """

    def __init__(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self.shown, self.early = store, list[str](), 0
        self._waiting: list[Released] | None = None
        for name in ("ask", "parade", "simulate", "benchmarks"):
            monkeypatch.setattr(asking, name, self._through(getattr(asking, name)))
        monkeypatch.setattr(asking, "together", self._together(asking.together))
        monkeypatch.setattr(ScriptRunContext, "enqueue", self._drawn(ScriptRunContext.enqueue))

    def _check(self, answers: list[Released]) -> None:
        entered = _entered(self.store)
        for answer in answers:
            assert answer.figures and all(f.id in entered for f in answer.figures)
            assert entered[answer.figures[0].id]["digest"] == figure.digest(answer.table)
            self.shown.append(answer.figures[0].id)

    def _through(self, true: Any) -> Any:
        def through(*args: Any, **more: Any) -> Any:
            got = true(*args, **more)
            found = (
                [got]
                if isinstance(got, Released)
                else [r.answer for r in got if r.answer]
                if isinstance(got, list)
                else []
            )
            if self._waiting is None:
                self._check(found)
            else:
                self._waiting += found
            return got

        return through

    def _together(self, true: Any) -> Any:
        @contextmanager
        def together() -> Iterator[None]:
            self._waiting = []
            with true():
                yield
            found, self._waiting = self._waiting, None
            self._check(found)

        return together

    def _drawn(self, true: Any) -> Any:
        def enqueue(context: ScriptRunContext, message: Any) -> None:
            # not a spinner, which a slow machine shows of its own accord
            is_drawn = message.delta.WhichOneof("type") in ("new_element", "add_block")
            self.early += self._waiting is not None and is_drawn
            true(context, message)

        return enqueue


def test_the_watch_sees_what_is_drawn_early(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the next."""

    def page() -> None:
        import streamlit as st

        from analytics.view import asking

        with asking.together():
            st.caption("early")
        st.caption("in time")

    monkeypatch.setenv("JIANFU_STORE", str(store))
    watch = Watch(store, monkeypatch)
    assert not AppTest.from_function(page, default_timeout=60).run().exception
    assert watch.early == 1


@pytest.mark.parametrize("page", PAGES)
def test_every_answer_of_a_visit_is_entered_before_it_is_shown(
    store: Path, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JIANFU_STORE", str(store))
    watch = Watch(store, monkeypatch)
    at = AppTest.from_file(str(FRAME), default_timeout=60)
    if page != "overview":
        at.switch_page(str(FRAME.parents[2] / "pages" / f"{page}.py"))
    at.run()
    assert not at.exception and watch.shown and not watch.early
    entries = len(list(log_of(store).entries()))
    at.run()
    assert len(list(log_of(store).entries())) == entries, (
        "the same answers to the same session are not entered again"
    )
    assert log_of(store).verify() == []


def test_what_is_drawn_inside_a_block_is_seen(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control."""
    monkeypatch.setenv("JIANFU_STORE", str(store))
    watch = Watch(store, monkeypatch)

    def script() -> None:
        import streamlit as st

        from analytics.view import asking

        with asking.together():
            st.title("too early")

    AppTest.from_function(script, default_timeout=60).run()
    assert watch.early


def test_what_a_block_that_fails_was_given_is_entered(store: Path) -> None:
    """The answer is in the caller's hands, whatever becomes of the rest of the block."""
    desk = Desk.open(store)
    with pytest.raises(RuntimeError), desk.record.together():
        given = desk.ask("gini")
        raise RuntimeError
    assert given.figures[0].id in _entered(store)

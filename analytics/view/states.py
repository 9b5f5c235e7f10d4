"""What a page says when there is nothing to show: waiting, damaged, gone, too slow, unanswerable, protected."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st

from analytics import jobs
from analytics.figures import words
from analytics.figures.words import t
from analytics.measures import made_by
from analytics.release import Denied, Released, Unwritten
from analytics.store import Busy, Damaged, QueryTimeout
from analytics.view import asking, entrance

_MOST = 20  # lines of damage that are shown
_FIGURE = 320  # pixels


@contextmanager
def told() -> Iterator[None]:
    """Run a page: words while it computes and the shape of a figure below what is there already, and a plain state in place of
    what cannot be shown. A fault of ours stays one.
    """
    try:
        with st.spinner(t("state.working")):
            body = st.container()
            with st.skeleton(height=_FIGURE), body:
                yield
    except Denied as reason:
        entrance.denied(reason)
    except (asking.TooSlow, QueryTimeout):
        slow()
    except asking.Unanswered as reason:
        unanswered(reason)
    except Unwritten:
        unwritten()
    except Damaged as error:
        gone(words.reason(error).splitlines())
    except Exception:
        lines = asking.desk().damage()
        if not lines:
            raise
        gone([words.damage(line) for line in lines])


def unanswered(reason: Exception) -> None:
    """The data do not hold what a question needs."""
    st.info(_body(str(reason), t("state.unanswered_do")), title=t("state.unanswered"), icon=":material/help:")


def unwritten() -> None:
    """No entry could be written in the audit log, so no number may be shown."""
    st.error(t("audit.unwritten_do"), title=t("audit.unwritten"), icon=":material/history_off:")


def slow() -> None:
    """A question passed its limit of time."""
    st.warning(t("state.slow_do"), title=t("state.slow"), icon=":material/hourglass_disabled:")


def gone(lines: Sequence[str]) -> None:
    """The snapshot was served, and its files are there no longer."""
    body = _body("\n".join(lines[:_MOST]), t("state.gone_do"))
    st.error(body, title=t("state.gone"), icon=":material/folder_off:")


def damaged(error: Damaged) -> None:
    """A store that cannot be opened: what, where, what to do; the local user can have it built again here."""
    st.title(t("state.damaged"), anchor=False)
    lines = words.reason(error).splitlines()[:_MOST]
    st.error(_body("\n".join(lines), t("state.damaged_do")), icon=":material/heart_broken:")
    st.code(f"jianfu verify {shown_path()}\njianfu build {shown_path()}", language="shell")
    if asking.may("build"):
        rebuild(t("state.rebuild"))


def dated(manifest: Mapping[str, Any]) -> None:
    """Where the prepared answers of a snapshot are of another version: pages take longer, and nobody gets protected tables."""
    if manifest.get("prepared_by") == made_by():
        return
    st.info(t("state.dated_do"), title=t("state.dated"), icon=":material/update:")
    if asking.may("build"):
        rebuild(t("state.rebuild"))


def rebuild(label: str) -> None:
    """A button that has the snapshot built."""
    if st.button(label, type="primary", icon=":material/construction:", key="build_now"):
        try:
            jobs.build(asking.store_path())
        except Busy:
            busy()
        else:
            st.rerun()


def busy() -> None:
    """Another job or command is at work on the store."""
    st.warning(t("ended.busy_do"), title=t("ended.busy"), icon=":material/lock_clock:")


def nothing(answers: Sequence[Released]) -> None:
    """A figure with nothing to draw: all protected, or no value."""
    states = {status for answer in answers for status in answer.table["status"]}
    if states == {"hidden"}:
        st.info(t("state.protected"), icon=":material/shield_lock:")
    else:
        st.info(t("state.nothing"), icon=":material/data_table:")


def shown_path() -> str:
    """The store as it is named in a command."""
    path = str(asking.store_path())
    return f'"{path}"' if " " in path else path


def _body(what: str, to_do: str) -> str:
    parts = [words.plain(line) for line in what.splitlines()]
    return "  \n".join(parts) + f"\n\n**{t('state.to_do')}**{t('explain.colon')}{to_do}"

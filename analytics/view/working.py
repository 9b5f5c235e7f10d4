"""Work under way in a process of its own, as every session of the store sees it: how far it is, and how it ended."""

import time
from collections.abc import Sequence

import polars as pl
import streamlit as st

from analytics import jobs
from analytics.figures import formats, words
from analytics.figures.words import t
from analytics.reference import root
from analytics.view import asking, door, grid, states

PHASES = {
    "sample": ("start", "draw", "ingest", "build", "protect"),
    "ingest": ("receive", "start", "read", "check", "write"),
    "build": ("start", "build", "protect"),
}
DATA = root() / "pages" / "data.py"
FRONT = root() / "pages" / "overview.py"
_MOST = 50  # lines of a refusal that are shown
_EVERY = 0.7  # seconds between two looks at a job


def panel() -> jobs.Job | None:
    """Draw the job of this store, running or ended last, if there is one; returns it."""
    job = jobs.of(asking.store_path())
    if job is not None:
        with st.container(border=True):
            if job.is_running:
                _under_way()
            else:
                _ended(job)
    return job


def note(page: str) -> None:
    """On other pages than the data page, a line in the sidebar about the job, for the user who may begin one."""
    job = jobs.of(asking.store_path())
    if job is None or page == "data" or not asking.is_local() or not door.viewer().may_anywhere("upload"):
        return
    if job.verb == "sample" and job.state == "done":
        jobs.forget(asking.store_path())  # the dashboard it opened says it all
        return
    with st.sidebar:
        if job.is_running:
            _line()
        else:
            st.page_link(DATA, label=t("job.ended"), icon=":material/task_alt:")


@st.fragment(run_every=2)
def _line() -> None:
    job = jobs.of(asking.store_path())
    if job is None or not job.is_running:
        st.rerun()
    st.page_link(DATA, label=t(f"job.{job.verb}"), icon=":material/progress_activity:")


@st.fragment(run_every=_EVERY)
def _under_way() -> None:
    job = jobs.of(asking.store_path())
    if job is None or not job.is_running:
        st.rerun()
    st.markdown(f"**{t(f'job.{job.verb}')}**")
    steps = PHASES[job.verb]
    at = steps.index(job.phase) if job.phase in steps else 0
    st.caption(" → ".join(_step(step, i, at) for i, step in enumerate(steps)))
    st.progress(job.fraction, text=_bar(job))
    st.caption(t("job.leave") if job.verb == "sample" else t("job.served"))
    st.button(t("job.cancel"), icon=":material/stop_circle:", on_click=job.cancel, key="job_cancel")


def _step(step: str, i: int, at: int) -> str:
    mark = ":material/check: " if i < at else ":material/arrow_right: " if i == at else ""
    text = t(f"phase.{step}")
    return f"{mark}**{text}**" if i == at else f"{mark}{text}"


def _bar(job: jobs.Job) -> str:
    minutes, seconds = divmod(int(time.time() - job.started), 60)
    took = t("job.minutes", m=minutes, s=seconds) if minutes else t("job.seconds", s=seconds)
    phase = t(f"phase.{job.phase}")
    if not job.total:
        return t("job.bar_plain", phase=phase, time=took)
    return t("job.bar", phase=phase, part=f"{int(job.fraction * 100)}%", time=took)


def _ended(job: jobs.Job) -> None:
    if job.state == "done":
        {"ingest": _loaded}.get(job.verb, _built)(job)
    elif job.state == "refused":
        _refused(job)
    elif job.state == "busy":
        states.busy()
    elif job.state == "cancelled":
        st.info(t("ended.cancelled_do"), title=t("ended.cancelled"), icon=":material/block:")
    else:
        st.error(t("ended.failed_do"), title=t("ended.failed"), icon=":material/report:")
        _verbatim(job.lines)
    st.button(
        t("job.close"),
        icon=":material/close:",
        on_click=jobs.forget,
        args=(asking.store_path(),),
        key="job_close",
    )


def _built(job: jobs.Job) -> None:
    st.success(
        t("ended.snapshot", snapshot=job.told["snapshot"]),
        title=t(f"ended.{job.verb}"),
        icon=":material/check_circle:",
    )
    st.page_link(FRONT, label=t("ended.look"), icon=":material/arrow_forward:")


def _loaded(job: jobs.Job) -> None:
    told = job.told
    parts = {"rows_in": "in", "loaded": "loaded", "aside": "set_aside", "waits": "waiting"}
    text = t("ended.rows", **{name: formats.count(told[f"rows_{part}"]) for name, part in parts.items()})
    st.success(
        text, title=t("ended.held") if told["held"] else t("ended.ingest"), icon=":material/check_circle:"
    )
    if told["secret"]:
        st.info(t("ended.secret", path=f"`{told['secret']}`"), icon=":material/key:")
    st.caption(t("ended.next"))


def _refused(job: jobs.Job) -> None:
    """What was wrong, where, and what to do: each line of the gate in a row, and all of them as the command line says them."""
    if job.verb == "ingest":
        st.error(t("ended.refused_do"), title=t("ended.refused"), icon=":material/gpp_bad:")
    else:
        title = t("ended.refused_sample") if job.verb == "sample" else t("ended.refused_build")
        st.error(t("ended.refused_other"), title=title, icon=":material/gpp_bad:")
    faults = [_fault(line) for line in job.lines[:_MOST]]
    table = [
        {t("fault.what"): what, t("fault.where"): where, t("fault.says"): says}
        for what, where, says in faults
    ]
    grid.text(pl.DataFrame(table))
    if len(job.lines) > _MOST:
        st.caption(t("ended.more_lines", n=len(job.lines) - _MOST))
    _verbatim(job.lines)


def _fault(line: str) -> tuple[str, str, str]:
    """What kind of fault a line tells of, in the reader's words; where; and the rest as it was said."""
    text, _, code = line.removesuffix("]").rpartition(" [")
    if not words.known(f"fault.{code}"):
        text, code = line, "other"
    where, colon, said = text.partition(": ")
    says = words.plain(said if colon else where)
    if words.known(f"fault_do.{code}"):
        says = t("fault_do.says", do=t(f"fault_do.{code}"), said=says)
    return t(f"fault.{code}"), words.plain(where if colon else formats.NOTHING), says


def _verbatim(lines: Sequence[str]) -> None:
    if lines:
        with st.expander(t("ended.verbatim"), icon=":material/terminal:"):
            st.code("\n".join(lines), language=None, wrap_lines=True)

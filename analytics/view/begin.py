"""The first minutes: a page that begins with sample data or a delivery where there is nothing to show yet."""

import streamlit as st

from analytics import jobs
from analytics.desk.answer import Desk
from analytics.figures.words import t
from analytics.release import Unwritten
from analytics.store import Busy, Damaged, NotBuilt
from analytics.view import asking, controls, door, states, upload, working


def open_or_stop() -> Desk:
    """The desk this run is served from, or a page that says what is wrong and what to do, and the end of the run."""
    try:
        return asking.serve()
    except NotBuilt:
        if door.server() is None:
            _empty()
        else:
            st.info(t("begin.elsewhere_title"), icon=":material/hourglass_empty:")
    except Unwritten:
        states.unwritten()
    except Damaged as error:
        job = working.panel() if asking.may("build") else None
        if job is None or not job.is_running:
            states.damaged(error)
    controls.push()
    st.stop()


def _empty() -> None:
    job = jobs.of(asking.store_path())
    under_way = job is not None and job.is_running
    st.title(t("begin.preparing") if under_way else t("begin.title"), anchor=False)
    if not asking.may("upload"):
        st.info(t("begin.elsewhere"), title=t("begin.elsewhere_title"), icon=":material/lock:")
        _commands()
        return
    working.panel()
    if under_way:
        return
    st.markdown(t("begin.lead"))
    upload.waiting()
    held = bool(jobs.unbuilt(asking.store_path()))
    left, right = st.columns(2)
    with left, st.container(border=True, height="stretch"):
        _sample(disabled=held)
    with right, st.container(border=True, height="stretch"):
        st.header(f":material/upload_file: {t('begin.own')}", anchor=False)
        st.markdown(t("begin.own_text"))
        if st.button(t("begin.deliver"), icon=":material/upload_file:", key="begin_deliver"):
            st.session_state.handing_in = True
    if held or (job is not None and job.verb == "ingest") or "handing_in" in st.session_state:
        with st.container(border=True):
            st.header(t("deliver.title"), anchor=False)
            upload.form(job)
    st.caption(t("begin.where", path=asking.store_path()))
    _commands()


def _sample(disabled: bool) -> None:
    """Sample data; only into an empty folder, since invented persons must not mix with others."""
    st.header(f":material/science: {t('begin.sample')}", anchor=False)
    st.markdown(t("begin.sample_text"))
    size = st.segmented_control(
        t("begin.size"),
        list(jobs.SIZES),
        format_func=_size,
        key="w_begin_size",
        default="small",
        required=True,
    )
    st.caption(t(f"sample_is.{size}"))
    if st.button(
        t("begin.make"), type="primary", icon=":material/play_arrow:", disabled=disabled, key="begin_sample"
    ):
        try:
            jobs.sample(asking.store_path(), str(size))
        except Busy:
            states.busy()
        else:
            st.rerun()


def _size(code: str) -> str:
    return t(f"sample_size.{code}")


def _commands() -> None:
    store = states.shown_path()
    with st.expander(t("begin.commands"), icon=":material/terminal:"):
        st.code(f"jianfu sample {store}\njianfu serve {store}", language="shell")
        st.code(
            f"jianfu ingest {store} settlement.csv --as settlement\njianfu build {store}\njianfu serve {store}",
            language="shell",
        )

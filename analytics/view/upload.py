"""A delivery handed in through the browser: which table, which files, on whose word; then the same gate as `jianfu ingest`."""

from typing import Any

import polars as pl
import streamlit as st

from analytics import jobs
from analytics.figures import words
from analytics.figures.words import say, t
from analytics.store import Busy
from analytics.view import asking, door, grid, states, working

FORMATS = ["parquet", "pq", "csv", "txt", "tsv", "xlsx", "jsonl", "ndjson", "json"]


def section(is_sample: bool) -> None:
    """The data page's part: the job of the store, what waits to be built, and the form."""
    if not door.viewer().may_anywhere("upload"):
        return
    job = working.panel()
    if job is None or not job.is_running:
        waiting()
    with st.expander(t("deliver.title"), icon=":material/upload_file:", key="deliver"):
        if not asking.may("upload"):
            st.info(t("deliver.elsewhere"), icon=":material/lock:")
        elif job is not None and job.is_running:
            st.info(t(f"job.{job.verb}"), icon=":material/progress_activity:")
        else:
            if is_sample:
                st.warning(t("deliver.synthetic"), icon=":material/science:")
                st.code("jianfu serve mystore", language="shell")
            form(job)


def waiting() -> None:
    """Deliveries that no snapshot holds yet, and the button that has them built."""
    tables = jobs.unbuilt(asking.store_path())
    if not tables:
        return
    counted = [f"{name} × {n}" if (n := tables.count(name)) > 1 else name for name in dict.fromkeys(tables)]
    st.warning(
        t("deliver.waiting", n=len(tables), tables=words.plain(words.listing(counted))),
        icon=":material/construction:",
    )
    if not jobs.can_build(asking.store_path()):
        st.caption(t("deliver.no_bills"))
    elif asking.may("build"):
        states.rebuild(t("deliver.build"))


def form(job: jobs.Job | None) -> None:
    """Everything a delivery needs; `job`: the last one, which may have asked for somebody's word."""
    table = st.selectbox(t("deliver.table"), jobs.tables(), format_func=_named, key="w_deliver_table")
    st.caption(t(f"delivery_table.{table}"))
    with st.expander(t("deliver.columns"), icon=":material/view_column:"):
        grid.show(_columns(table), t("deliver.columns"), left=5)
    turn = st.session_state.setdefault(
        "deliveries", 0
    )  # a new turn empties the uploaders, and lets go of their memory
    files: Any = st.file_uploader(
        t("deliver.files"), type=FORMATS, accept_multiple_files=True, key=f"files_{turn}"
    )
    st.caption(t("deliver.limit", mb=f"{st.get_option('server.maxUploadSize'):,}"))
    with st.expander(t("deliver.more"), icon=":material/fact_check:"):
        note: Any = st.file_uploader(t("deliver.note"), type=["toml"], key=f"note_{turn}")
        mapping: Any = st.file_uploader(t("deliver.mapping"), type=["toml"], key=f"mapping_{turn}")
    signed = _sign_off() if job is not None and job.asks_sign_off else {}
    halves = [bool(text) for text in signed.values()]
    half = any(halves) and not all(halves)
    if half:
        st.warning(t("deliver.both"), icon=":material/draw:")
    if st.button(
        t("deliver.go"),
        type="primary",
        icon=":material/verified_user:",
        disabled=half or not files,
        key="deliver_go",
    ):
        try:
            jobs.ingest(
                asking.store_path(),
                table,
                [jobs.Upload(f.name, f) for f in files],
                note=jobs.Upload(note.name, note) if note else None,
                mapping=jobs.Upload(mapping.name, mapping) if mapping else None,
                sign_off=signed if any(halves) else None,
            )
        except Busy:
            states.busy()
        else:
            st.session_state.deliveries += 1
            st.rerun()
    with st.expander(t("deliver.command"), icon=":material/terminal:"):
        store = states.shown_path()
        st.code(f"jianfu ingest {store} {table}.csv --as {table}\njianfu build {store}", language="shell")


def _sign_off() -> dict[str, str]:
    with st.container(border=True):
        st.markdown(f"**{t('deliver.sign')}**")
        st.caption(t("deliver.sign_text"))
        reason = st.text_input(t("deliver.reason"), key="sign_reason", max_chars=300)
        who = st.text_input(t("deliver.who"), key="sign_who", max_chars=100)
    return {"reason": reason.strip(), "who": who.strip()}


def _named(table: str) -> str:
    return f"{say(jobs.title(table))} ({table})"


def _columns(table: str) -> pl.DataFrame:
    lines = []
    for column in jobs.columns(table):
        line = {t("deliver.column"): column.name}
        if words.language() == "zh":
            line[t("deliver.meaning")] = column.meaning
        lines.append(
            {
                **line,
                t("deliver.kind"): t(f"column_type.{column.type}"),
                t("deliver.needed"): t("methods.yes") if column.required else "",
                t("deliver.also"): words.listing(list(column.spellings)),
            }
        )
    return pl.DataFrame(lines)

"""A performance report from a page: for whom, in which language and form; composed and set when it is asked for."""

from collections.abc import Callable, Sequence

import streamlit as st

from analytics import report
from analytics.figures import words
from analytics.figures.words import t
from analytics.view import asking, choose, door

_MIME = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
    "html": "text/html",
}


def offer(place: choose.Place, kinds: Sequence[str] = report.KINDS) -> None:
    """A closed menu; nothing is composed before the button in it is pressed. `kinds`: the first one is chosen at first."""
    if not asking.may("report"):
        return
    menu = st.popover(t("reporting.title"), icon=":material/description:", key="report", on_change="rerun")
    if not menu.open:
        return
    with menu:
        kind = _one("kind", kinds, lambda code: t(f"reporting.{code}"))
        languages = sorted(words.LANGUAGES, key=lambda code: code != words.language())
        language = _one("language", languages, words.LANGUAGES.__getitem__)
        form = _one("form", report.FORMS, lambda code: t(f"reporting.{code}"))
        desk, year, unit = asking.desk(), int(place.year), words.money_unit()
        why_not = report.refusal(desk, place.city, year, kind, words.language())
        if why_not:
            st.info(why_not, icon=":material/info:")
            return

        def made() -> bytes:
            document = report.compose(desk, place.city, year, kind=kind, language=language, unit=unit)
            content = report.render(document, form)
            return desk.record.left("report", f"{name}.{form}", content, document.figures)

        with words.reading(language):
            name = t(f"report_file.{kind}", city=words.city(place.city), year=year)
        st.download_button(
            t("reporting.make"),
            data=door.held(made),
            file_name=f"{name}.{form}",
            mime=_MIME[form],
            key="report_make",
            on_click="ignore",
            icon=":material/download:",
        )
        if place.people:
            st.caption(t("reporting.everybody"))
        st.caption(t("reporting.note"))


def _one(name: str, options: Sequence[str], show: Callable[[str], str]) -> str:
    """A choice of this menu, kept for the session as a neutral code."""
    key = f"w_report_{name}@{st.session_state.page}"  # each page begins with the report it is about
    labels = {code: show(code) for code in options}
    if st.session_state.get(key) not in labels:
        st.session_state[key] = options[0]
    picked = st.segmented_control(
        t(f"reporting.{name}"),
        list(labels),
        default=st.session_state[key],
        format_func=labels.__getitem__,
        key=key,
        required=True,
    )
    return str(picked or options[0])

"""Download a figure and cite it: its table or all its numbers as a file, its chart as a picture, each with its notes."""

from collections.abc import Callable, Sequence
from functools import partial

import polars as pl
import streamlit as st

from analytics import report
from analytics.figures import about, files, words
from analytics.figures.charts import Chart
from analytics.figures.words import t
from analytics.release import Released
from analytics.view import asking, controls, door

_NAMED = 2  # cities a file name says one by one
_KINDS = {
    "csv": "application/zip",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
    "svg": "image/svg+xml",
    "png": "image/png",
}


def offer(
    key: str, title: str, chart: Chart | None, table: pl.DataFrame, answers: Sequence[Released]
) -> None:
    """A closed menu; its content is drawn when it is opened, and a file is made when it is asked for."""
    if not asking.may("download"):
        return
    menu = st.popover(t("download.title"), icon=":material/download:", key=f"p_{key}", on_change="rerun")
    if not menu.open:
        return
    link = controls.link()
    record = asking.desk().record
    lines = about.block(title, answers, link, record.head)
    with menu:
        content = st.segmented_control(
            t("download.what"),
            ["full", "shown"],
            format_func=lambda code: t("download.full" if code == "full" else "download.shown"),
            key=f"w_p_{key}",
            default="full",
            required=True,
        )
        name = _name(answers)
        language, unit = words.language(), words.money_unit()

        def held() -> pl.DataFrame:
            return files.full(answers) if content == "full" else table

        makers: dict[str, Callable[[], bytes]] = {
            "csv": lambda: files.csv(held(), lines, name),
            "xlsx": lambda: files.excel(held(), lines),
            "parquet": lambda: files.parquet(held(), lines),
        }
        if chart is not None and chart.figure["data"]:
            drawn = chart
            caution = [t("about.synthetic")] if answers[0].provenance["synthetic"] else []
            told = [*caution, *chart.told, about.citation(answers)]
            makers["svg"] = lambda: report.picture(drawn, "svg", title, told, language, lines)
            makers["png"] = lambda: report.picture(drawn, "png", title, told, language, lines)
        figures = [figure for answer in answers for figure in answer.figures]
        with st.container(horizontal=True):
            for form, make in makers.items():
                file = f"{name}.{'zip' if form == 'csv' else form}"
                st.download_button(
                    t(f"download.{form}"),
                    data=door.held(
                        _read_by(
                            language, unit, make, partial(record.left, "download", file, figures=figures)
                        )
                    ),
                    file_name=file,
                    mime=_KINDS[form],
                    key=f"d_{form}_{key}",
                    on_click="ignore",
                )
        st.caption(t("download.note"))
        for what, text in (("cite", about.citation(answers)), ("link", link)):
            st.caption(t(f"download.{what}"))
            st.code(text, language=None, wrap_lines=True)


def _read_by(
    language: str, unit: str, make: Callable[[], bytes], leave: Callable[[bytes], bytes]
) -> Callable[[], bytes]:
    """Files are made in a thread of their own, which knows no session; `leave` enters them before they do."""

    def made() -> bytes:
        with words.reading(language, unit):
            return leave(make())

    return made


def _name(answers: Sequence[Released]) -> str:
    """A file name that says what is in it, in letters every system takes."""
    first = answers[0]
    cities, years = (first.where.get(d, ()) for d in ("city", "plan_year"))
    where = [controls.slug(code) for code in cities] if len(cities) <= _NAMED else [f"{len(cities)}_cities"]
    when = [min(years)] if len(years) == 1 else [f"{min(years)}-{max(years)}"] if years else []
    return "_".join([first.measure.id, *where, *when, *first.where.get("tier", ()), *first.by])

"""The cards of the data page: where the rows of every delivery are, what the checks found, and the rows that wait."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from analytics.figures import formats
from analytics.figures.words import say, t
from analytics.view import asking, books, checks, choose, controls, figure, grid, ledger, states

SAMPLE_ROWS = 10
EVERY = "all"


def deliveries(found: Sequence[ledger.Delivery]) -> None:
    """The picture of the books, its numbers beside it."""
    with st.container(border=True):
        st.header(t("books.title"), anchor=False)
        counted = choose.of("counted", books.COUNTED, buttons=True)
        chart = books.picture(found, counted)
        as_chart, as_table = figure.shown_as("books")
        if as_chart:
            if chart.figure["data"]:
                figure.draw("c_books", chart)
            else:
                st.info(t("figure.nothing"))
            st.caption(t("books.note"))
        if as_table:
            grid.show(ledger.deliveries(found, counted), t("books.title"), left=2)


def chosen(found: Sequence[ledger.Delivery]) -> Sequence[ledger.Delivery]:
    """The delivery picked, or all of them."""
    names = {d["delivery"]: f"{ledger.name(d)} · {ledger.short(d['delivery'])}" for d in found}
    picked = controls.one("delivery", [EVERY, *names], lambda code: names.get(code, t("data.all_deliveries")))
    controls.notices()
    return [d for d in found if picked in (EVERY, d["delivery"])]


def about(delivery: ledger.Delivery) -> None:
    """How one delivery came, and which of its columns feeds which of ours."""
    grid.show(ledger.details(delivery), t("data.deliveries"), left=2, whole=True, wide=t("explain.content"))
    if delivery["columns"]:
        with st.expander(t("data.columns"), icon=":material/view_column:"):
            grid.show(ledger.columns(delivery), t("data.columns"), left=4)


def findings(every: Sequence[checks.Found]) -> None:
    """All checks: what was found, what passed, and what could not be asked."""
    tally = {status: sum(c["status"] == status for c in every) for status in checks.STATUSES}
    with st.container(horizontal=True):
        for status, icon, colour in _BADGES:
            st.badge(t(f"check.{status}", n=tally[status]), icon=icon, color=colour)  # type: ignore[arg-type]
    if tally[checks.FOUND]:
        found = checks.table(every, checks.FOUND)
        left = found.columns.index(t("check.rows"))
        grid.show(found, t("data.checks"), left=left, lights=checks.lights())
    for status, icon, _ in _BADGES[1:]:
        if tally[status]:
            with st.expander(t(f"check.{status}", n=tally[status]), icon=icon):
                grid.show(checks.table(every, status), t("data.checks"), left=4, lights=checks.lights())


_BADGES = (
    (checks.FOUND, ":material/flag:", "orange"),
    (checks.PASSED, ":material/check:", "green"),
    (checks.NOT_APPLICABLE, ":material/do_not_disturb_on:", "gray"),
)


def rows(found: Sequence[ledger.Delivery], every: Sequence[checks.Found]) -> None:
    """Rows a rule holds back, as they came, and how to decide about them. For the local user only."""
    held = checks.held(every)
    if not held:
        st.caption(t("rows.none"))
        return
    if not asking.may("samples"):
        st.info(t("rows.elsewhere"), icon=":material/lock:")
        return
    rule = controls.one("rule", list(held), lambda code: _rule(held[code]))
    controls.notices()
    whose = "" if len(found) > 1 else found[0]["delivery"]
    samples = asking.desk().samples(SAMPLE_ROWS, rule, whose)
    if len(found) > 1:  # one delivery at a time is corrected; show the one that needs it most
        whose = next(d["delivery"] for d in found if any(s["delivery"] == d["delivery"] for s in samples))
        samples = [s for s in samples if s["delivery"] == whose]
    grid.show(checks.rows(samples), t("data.waiting"), left=99, lights=checks.states())
    st.caption(t("rows.shown", n=len(samples), delivery=ledger.short(whose)))
    if any(s["state"] == "open" for s in samples):
        _how(whose, rule)
    else:
        st.caption(t("rows.decided"))


def _rule(check: checks.Found) -> str:
    return t("rows.rule", rule=check["rule"], title=say(check["title"]), n=formats.count(check["rows"]))


def _how(delivery: str, rule: str) -> None:
    """The corrections file for these rows, to fill in, and the commands that take it."""
    text = asking.desk().skeleton(delivery, rule, SAMPLE_ROWS)
    with st.expander(t("rows.how"), icon=":material/edit_note:"):
        st.markdown(t("rows.steps"))
        st.code(text, language="toml")
        st.download_button(
            t("rows.download"),
            data=text.encode(),
            file_name="corrections.toml",
            mime="application/toml",
            key="d_corrections",
            on_click="ignore",
            icon=":material/download:",
        )
        store = states.shown_path()
        st.code(f"jianfu correct {store} corrections.toml\njianfu build {store}", language="shell")


def measures(every: Sequence[checks.Found]) -> None:
    """What the findings mean for the measures."""
    touched, others = checks.measures(every)
    if not touched.is_empty():
        grid.show(
            touched, t("data.measures"), left=3, whole=True, lights=checks.usable(), wide=t("check.why")
        )
    st.caption(t("usable.others", n=others))


def built(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """What the build checked across deliveries; nothing where it left nothing."""
    if found["withheld"]:
        st.header(t("data.withheld"), anchor=False)
        grid.show(
            ledger.withheld(found["withheld"]), t("data.withheld"), left=2, whole=True, wide=t("check.why")
        )
    if not found["checks"] and not found["links"]:
        return
    st.header(t("data.store_wide"), anchor=False)
    if found["checks"]:
        grid.show(checks.built(found["checks"]), t("data.store_wide"), left=3, lights=checks.lights())
    if found["links"]:
        st.markdown(f"**{t('link.title')}**")
        grid.show(ledger.links(found["links"]), t("link.title"), left=2)
        st.caption(t("link.note"))

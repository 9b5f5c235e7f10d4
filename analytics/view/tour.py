"""The guided tour: six steps in a dialog, each with a link to the page it speaks of."""

import streamlit as st

from analytics.figures.words import t
from analytics.reference import root

STEPS = {  # step -> the page it speaks of
    "fall": "overview",
    "tiers": "tiers",
    "catastrophic": "catastrophic",
    "compare": "compare",
    "explain": "methods",
    "take": "data",
}


def arrive() -> None:
    """Before anything is read from the link: note whether this session came by one."""
    st.session_state.setdefault("came_bare", not st.query_params)


def offer(is_front: bool, is_sample: bool) -> None:
    """The tour's button in the sidebar; by itself the tour opens once, for who opens the front page of the sample without
    a link that says what to see."""
    state = st.session_state
    by_itself = "toured" not in state and is_front and is_sample and state.came_bare
    state.toured = True
    with st.sidebar:
        asked = st.button(
            t("tour.open"), icon=":material/help:", help=t("tour.help"), type="tertiary", key="tour_open"
        )
    if asked or by_itself:
        state.setdefault("tour_step", 0)
        st.dialog(t("tour.open"), icon=":material/explore:", width="medium")(_show)()


def _show() -> None:
    state, steps = st.session_state, list(STEPS)
    at = state.tour_step
    step, page = steps[at], STEPS[steps[at]]
    st.header(t("tour.step", n=at + 1, of=len(steps), title=t(f"tour_title.{step}")), anchor=False)
    st.progress((at + 1) / len(steps))
    st.markdown(t(f"tour_text.{step}"))
    st.page_link(
        root() / "pages" / f"{page}.py",
        label=t("tour.go", page=t(f"page.{page}")),
        icon=":material/arrow_forward:",
    )
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button(t("tour.back"), on_click=_move, args=(-1,), disabled=at == 0, key="tour_back")
        if at + 1 < len(steps):
            st.button(t("tour.next"), on_click=_move, args=(1,), type="primary", key="tour_next")
        elif st.button(t("tour.end"), on_click=_move, args=(-at,), type="primary", key="tour_end"):
            st.rerun()


def _move(by: int) -> None:
    st.session_state.tour_step += by

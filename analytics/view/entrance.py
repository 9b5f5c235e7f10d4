"""Signing in and out, and what a visitor is told who may not see a page."""

import streamlit as st

from analytics.figures import words
from analytics.figures.words import t
from analytics.release import Denied, Viewer, roles
from analytics.view import door, menu

_CODES = ("action", "city", "product", "protected", "page")  # of what is refused on a page
_AGAIN = ("absent", "expired", "ended", "foreign")  # a new login helps


def who(viewer: Viewer | None) -> None:
    """In the sidebar: who is logged in, as what, for which cities; and the way out. Nothing for the local user."""
    if viewer is None or door.server() is None:
        return
    with st.container(border=True, key="who"):
        st.markdown(f"**{words.plain(door.name(viewer))}**")
        st.caption(f"{roles()[viewer.role].name(words.language())} · {_scope(viewer)}")
        st.button(t("access.sign_out"), icon=":material/logout:", on_click=door.leave, key="sign_out")


def closed(why: Denied | None) -> None:
    """The page of a visitor who is not logged in, whose login is over, or to whom nothing is granted."""
    code = why.code if why else "absent"
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.container(border=True):
        if code in _AGAIN:
            st.title(t("access.welcome"), anchor=False)
            st.markdown(t("access.what"))
            if code != "absent":
                st.info(t(f"login.{code}"), icon=":material/schedule:")
            st.button(
                t("access.sign_in"), type="primary", icon=":material/login:", on_click=st.login, key="sign_in"
            )
            st.caption(t("access.how"))
            return
        st.title(t(f"closed_title.{code}"), anchor=False)
        st.markdown(t(f"closed.{code}"))
        st.caption(t("access.ask", subject=words.plain(st.user.to_dict().get("sub", ""))))
        st.button(t("access.sign_out"), icon=":material/logout:", on_click=door.leave, key="sign_out")


def refused(viewer: Viewer) -> None:
    """A page that is not granted: which ones are."""
    st.title(t("access.page_title"), anchor=False)
    role = roles()[viewer.role].name(words.language())
    st.markdown(t("access.page", role=role))
    menu.links(viewer)


def of_claims(viewer: Viewer, name: str) -> None:
    """A page that asks about claims, where the data are a survey of households: which pages answer."""
    st.title(t("survey.title", page=t(f"page.{name}")), anchor=False)
    st.info(t("survey.what"), icon=":material/help:")
    menu.links(viewer, without=menu.OF_CLAIMS)


def denied(why: Denied) -> None:
    """On a page that may be seen: something in it is not granted."""
    st.info(
        t(f"not_granted.{why.code if why.code in _CODES else _CODES[0]}"),
        title=t("access.no_title"),
        icon=":material/lock:",
    )


def _scope(viewer: Viewer) -> str:
    if viewer.cities is None:
        return t("access.all_cities")
    return words.listing([words.city(code) for code in sorted(viewer.cities)])

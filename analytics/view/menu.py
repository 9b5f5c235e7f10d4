"""The pages of the dashboard by section, in the order of the menu."""

from collections.abc import Iterable

import streamlit as st

from analytics.figures.words import t
from analytics.reference import root
from analytics.release import Viewer

PAGES = {
    "results": ("overview", "tiers", "catastrophic", "cost_bands", "compare", "operations", "simulate"),
    "behind": ("plans", "benchmarks", "methods", "data"),
}
OF_CLAIMS = (
    "overview",
    "tiers",
    "cost_bands",
    "operations",
    "simulate",
)  # a survey of households answers nothing there


def pages(viewer: Viewer | None) -> dict[str, list[st.Page]]:
    """All pages by section, titled in the session's language; those a viewer may not see are not in the menu, and known only so
    that their address can be refused in words. No icons: Streamlit fetches a page's icon from the internet to make it the tab's."""
    folder = root() / "pages"
    return {
        t(f"section.{section}"): [
            st.Page(
                folder / f"{name}.py",
                title=t(f"page.{name}"),
                url_path=name,
                default=name == "overview",
                visibility="visible" if viewer and viewer.may(name) else "hidden",
            )
            for name in names
        ]
        for section, names in PAGES.items()
    }


def links(viewer: Viewer, without: Iterable[str] = ()) -> None:
    """Where to go instead: a link to every page a viewer may see."""
    for name in (name for names in PAGES.values() for name in names):
        if viewer.may(name) and name not in without:
            st.page_link(
                root() / "pages" / f"{name}.py", label=t(f"page.{name}"), icon=":material/arrow_forward:"
            )

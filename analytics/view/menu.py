"""The pages of the dashboard by section, in the order of the menu."""

import streamlit as st

from analytics.figures.words import t
from analytics.reference import root
from analytics.release import Viewer

PAGES = {
    "results": ("overview", "tiers", "catastrophic", "cost_bands", "compare", "operations", "simulate"),
    "behind": ("plans", "benchmarks", "methods", "data"),
}


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

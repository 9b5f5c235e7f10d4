"""The pages of the dashboard by section, in the order of the menu."""

import streamlit as st

from analytics.figures.words import t
from analytics.reference import root

PAGES = {
    "results": ("overview", "tiers", "catastrophic", "cost_bands", "compare", "operations", "simulate"),
    "behind": ("plans", "benchmarks", "methods", "data"),
}


def pages() -> dict[str, list[st.Page]]:
    """All pages by section, titled in the session's language. No icons: Streamlit fetches a page's icon from the
    internet to make it the tab's."""
    folder = root() / "pages"
    return {
        t(f"section.{section}"): [
            st.Page(folder / f"{name}.py", title=t(f"page.{name}"), url_path=name, default=name == "overview")
            for name in names
        ]
        for section, names in PAGES.items()
    }

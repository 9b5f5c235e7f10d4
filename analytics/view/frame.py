"""The script Streamlit runs: language and money unit, who looks, the list of pages, the marks every page carries."""

import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # a checkout that is not installed
    sys.path.insert(0, str(ROOT))

from analytics.figures import words  # noqa: E402 - needs the path above
from analytics.figures.words import t  # noqa: E402 - needs the path above
from analytics.release import Denied  # noqa: E402 - needs the path above
from analytics.view import (  # noqa: E402 - needs the path above
    asking,
    begin,
    choose,
    controls,
    door,
    entrance,
    menu,
    states,
    tour,
    working,
)


def main() -> None:
    """One run of one page inside the frame."""
    tour.arrive()
    controls.begin()
    try:
        viewer, refused = door.viewer(), None
    except Denied as denied:
        viewer, refused = None, denied
    page = st.navigation(menu.pages(viewer), position="sidebar" if viewer else "hidden")
    st.set_page_config(
        page_title=f"{page.title if viewer else t('access.sign_in')} · 减负 Jianfu",
        page_icon=str(Path(__file__).with_name("icon.png")),
        layout="wide",
    )
    name = page.url_path or "overview"
    controls.turn_to(page.url_path)
    with st.sidebar:
        controls.language_switch()
        if viewer:
            choose.unit()
        words.settle()
        controls.tell_browser()
        entrance.who(viewer)
    if viewer is None:
        entrance.closed(refused)
        return
    if not viewer.may(name):
        with states.told():
            asking.refused(name, viewer)
        entrance.refused(viewer)
        return
    desk = begin.open_or_stop()
    if viewer.may("overview"):
        tour.offer(is_front=name == "overview", is_sample=desk.is_synthetic)
    working.note(page.url_path)
    if desk.is_synthetic:
        st.badge(
            t("frame.synthetic"), icon=":material/science:", color="orange", help=t("frame.synthetic_help")
        )
    controls.notices()
    try:
        with states.told():
            if name in menu.OF_CLAIMS and not desk.has_persons:
                entrance.of_claims(viewer, name)
            else:
                page.run()
    finally:
        controls.push()
    st.caption(t("frame.foot", snapshot=desk.snapshot_id))


main()

"""A page opened by a cold link, as Streamlit's own test runner draws it."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

from analytics.reference import root
from analytics.view import asking

FRAME = Path(asking.__file__).with_name("frame.py")


def visit(page: str = "overview", /, **link: str) -> AppTest:
    """A page of the store JIANFU_STORE names, every figure with its table. No fault may be seen on it."""
    at = AppTest.from_file(str(FRAME), default_timeout=90)
    for name, value in {"figures": "both", **link}.items():
        at.query_params[name] = value
    if page != "overview":
        at.switch_page(str(root() / "pages" / f"{page}.py"))
    at.run()
    assert not at.exception, at.exception
    return at

"""The dashboard's launcher: `streamlit run app.py`, or `jianfu serve STORE`, which does the same.

The script Streamlit runs lies in another folder on purpose: a folder `pages/` beside the script would switch
Streamlit to its older way of many pages, which opens shared links without the frame around them.
"""

import sys
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
if (HERE / "analytics").is_dir() and str(HERE) not in sys.path:  # a checkout that is not installed
    sys.path.insert(0, str(HERE))

from analytics.view import door  # noqa: E402 - needs the path above
from analytics.view.server import FRAME, lifespan, middleware, routes  # noqa: E402 - needs the path above

app = st.App(FRAME, secrets=door.secrets(), lifespan=lifespan, middleware=middleware(), routes=routes())

if __name__ == "__main__":
    app.run(config=door.options())

"""The least a page of this kind costs: two choices, four numbers with sparklines, two charts, nothing computed. Run by dashboard.py."""

import gc
import random

import streamlit as st


@st.cache_resource
def frozen() -> None:
    gc.collect()
    gc.freeze()


st.set_page_config(layout="wide")
frozen()
city = st.sidebar.selectbox("城市", list("abcdefg"))
year = st.sidebar.selectbox("年度", [str(y) for y in range(2021, 2026)])
st.title(f"{city} {year}")
draw = random.Random(city + year)
for column in st.columns(4):
    column.metric("m", round(draw.random(), 2), chart_data=[draw.random() for _ in range(5)], border=True)
for name, column in zip("xy", st.columns(2), strict=True):
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": list("abcdefg"),
        "x": [draw.random() for _ in range(7)],
    }
    axis = {"automargin": True}
    layout = {"template": "none", "height": 380, "xaxis": axis, "yaxis": axis}
    column.plotly_chart({"data": [bars], "layout": layout}, key=name)

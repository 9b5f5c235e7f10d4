"""The least a page costs, nothing asked and nothing computed: dashboard.py measures it beside ours.

FLOOR=bare: two choices, four numbers with sparklines, two charts. FLOOR=full: what stands on our front page, one for one: the menu of
pages, language and unit, seven choices, the report's menu, five numbers, two cards of a heading, a menu, a chart (its table is not drawn until asked
for), notes and a drawer.
"""

import gc
import os
import random

import streamlit as st

PAGES = 11
UNITS = ("自动", "元", "万元", "亿元")
MORE = ("参保类型", "人群", "阈值", "家庭资源口径")


@st.cache_resource
def frozen() -> None:
    gc.collect()
    gc.freeze()


def chart(name: str, draw: random.Random) -> None:
    bars = {"type": "bar", "orientation": "h", "y": list("abcdefg"), "x": [draw.random() for _ in range(7)]}
    axis = {"automargin": True}
    st.plotly_chart(
        {"data": [bars], "layout": {"template": "none", "height": 380, "xaxis": axis, "yaxis": axis}},
        key=name,
    )


def card(name: str, draw: random.Random) -> None:
    with st.container(border=True):
        st.header(f"每 100 元由谁承担 {name}", anchor=False)
        with st.container(horizontal=True, horizontal_alignment="distribute"):
            shown = st.segmented_control(
                "图或表",
                ["图", "表", "图和表"],
                key=f"t_{name}",
                default="图",
                label_visibility="collapsed",
            )
            st.popover("下载与引用", key=f"p_{name}", on_change="rerun")
        if shown != "表":
            chart(name, draw)
        if shown != "图":
            rows = {"层": list("abcdefg"), "数": [f"{draw.random():.1%}" for _ in range(7)]}
            st.dataframe(
                rows, hide_index=True, key=f"f_{name}", on_select="rerun", selection_mode="single-cell"
            )
            st.caption("点选一格，看它怎么来。")
        st.caption("按本年度方案的支付顺序。")
        st.expander("这些数字是怎么算出来的？", key=f"x_{name}", on_change="rerun")


def bare() -> None:
    city = st.sidebar.selectbox("城市", list("abcdefg"))
    year = st.sidebar.selectbox("年度", [str(y) for y in range(2021, 2026)])
    st.title(f"{city} {year}")
    draw = random.Random(city + year)
    for column in st.columns(4):
        values = [draw.random() for _ in range(5)]
        column.metric("m", round(draw.random(), 2), chart_data=values, border=True)
    for name, column in zip("xy", st.columns(2), strict=True):
        with column:
            chart(name, draw)


def full() -> None:
    with st.sidebar:
        st.segmented_control("语言 Language", ["中文", "English"], default="中文", key="language")
        st.selectbox("金额单位", UNITS, key="unit")
        st.button("导览")
    st.badge("合成数据 Synthetic", color="orange")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        city = st.selectbox("城市", list("abcdefg"), width=140)
        year = st.selectbox("年度", [str(y) for y in range(2021, 2026)], width=110)
        for name in MORE:
            st.selectbox(name, ["全部", *"abc"], key=name, width=140)
        st.popover("生成报告", key="report", on_change="rerun")
    with st.expander(f"{year} 年{city}：本年度方案含假定值"):
        st.markdown("\n".join(f"* 假定值 {n}" for n in range(40)))
    st.title(f"{city} {year}", anchor=False)
    draw = random.Random(city + year)
    with st.grid(5, min_column_width=150):
        for name in "abcde":
            values = [draw.random() for _ in range(5)]
            st.metric(name, round(draw.random(), 2), 0.1, chart_data=values, border=True, help=name)
    st.caption("箭头：与上年相比的变化；曲线：各年度。")
    for name, column in zip("xy", st.columns([3, 2]), strict=True):
        with column:
            card(name, draw)
    st.caption("减负 Jianfu")


if os.environ.get("FLOOR") == "full":

    def other() -> None:
        st.title("")

    others = [st.Page(other, title=f"第 {n} 页", url_path=f"p{n}") for n in range(1, PAGES)]
    page = st.navigation(
        {"结果": [st.Page(full, title="概览", default=True), *others[:6]], "方法": others[6:]}
    )
    st.set_page_config(layout="wide")
    frozen()
    page.run()
else:
    st.set_page_config(layout="wide")
    frozen()
    bare()

"""Tables of words on a page."""

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl
import streamlit as st


def show(
    frame: pl.DataFrame,
    alt: str,
    left: int = 1,
    whole: bool = False,
    lights: Mapping[str, str] | None = None,
    wide: str = "",
    pick: str = "",
) -> tuple[int, str] | None:
    """Draw a table of words: the first `left` columns aligned left, numbers right. `whole`: never scroll its rows.
    `lights`: words and their colours; columns of lists show them as coloured chips. `wide`: the column of long texts. `pick`: key of a table
    whose cells can be chosen; returns line and column of the one that is."""
    config: dict[str, Any] = {}
    for i, (name, kind) in enumerate(frame.schema.items()):
        if isinstance(kind, pl.List) and lights:
            config[name] = st.column_config.MultiselectColumn(
                options=list(lights), color=list(lights.values())
            )
        else:
            width: Literal["large"] | None = "large" if name == wide else None
            config[name] = st.column_config.TextColumn(alignment="left" if i < left else "right", width=width)
    height: Literal["content", "auto"] = "content" if whole else "auto"
    # What the browser is sent is Arrow; a Polars frame would become that by way of pandas.
    rows = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    drawn = {"hide_index": True, "width": "stretch", "height": height, "column_config": config}
    if not pick:
        st.dataframe(rows, placeholder="", alt=alt, **drawn)  # type: ignore[call-overload]
        return None
    event = st.dataframe(  # type: ignore[call-overload]
        rows, placeholder="", alt=alt, **drawn, key=pick, on_select="rerun", selection_mode="single-cell"
    )
    for row, column in event.selection.cells:
        if row < frame.height and column in frame.columns:  # the table may have changed since
            return int(row), str(column)
    return None


def text(frame: pl.DataFrame) -> None:
    """Draw a table of sentences: nothing is cut off, marks and links in the cells are drawn. A wide one scrolls by itself."""
    st.table(frame, border="horizontal", hide_index=True)

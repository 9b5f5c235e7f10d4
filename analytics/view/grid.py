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
) -> None:
    """Draw a table of words: the first `left` columns aligned left, numbers right. `whole`: never scroll its rows.
    `lights`: words and their colours; columns of lists show them as coloured chips. `wide`: the column of long texts."""
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
    st.dataframe(
        frame, hide_index=True, width="stretch", height=height, column_config=config, placeholder="", alt=alt
    )


def text(frame: pl.DataFrame) -> None:
    """Draw a table of sentences: nothing is cut off, marks and links in the cells are drawn. A wide one scrolls by itself."""
    st.table(frame, border="horizontal", hide_index=True)

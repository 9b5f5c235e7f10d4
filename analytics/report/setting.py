"""Typst as it is used here: with the fonts of the cache alone, no package, no network, the same bytes for the same content."""

from functools import cache
from pathlib import Path
from typing import Literal

import typst

from analytics.report import fonts

_DAY = 1_577_836_800  # 1 January 2020: the day a report is made says nothing about what it holds


def compile(
    source: bytes | Path, inputs: dict[str, str], form: Literal["pdf", "png"], dots: int = 220
) -> bytes:
    """A document set to pages; the fonts are made ready for every text of `inputs`. Raises typst.TypstError."""
    where = fonts.ready(inputs.values())
    made = typst.compile(
        source,
        font_paths=_fonts(where, fonts.held(where)),
        sys_inputs=inputs,
        format=form,
        ppi=dots,
        timestamp=_DAY,
    )
    if not isinstance(made, bytes):
        raise TypeError("a picture is one page")
    return made


@cache
def _fonts(where: Path, _held: int) -> typst.Fonts:
    """Fonts read once, and again when they have grown."""
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(where)])

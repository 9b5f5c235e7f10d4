"""The fonts of reports: every character the project says has an outline, in any language, and the cache they are kept in."""

from pathlib import Path
from typing import Any

import pytest
from fontTools.ttLib import TTFont
from report_world import HOSTILE, RARE

from analytics.figures import words
from analytics.report import fonts


def test_rare_characters_have_outlines_of_their_own(cache: Path) -> None:
    where = fonts.ready([RARE, "国"])
    for style in ("Regular", "Bold"):
        font = TTFont(where / f"JianfuSans-{style}.otf")
        cmap, glyphs = font.getBestCmap(), font.getGlyphSet()
        outlines = {c: _outline(glyphs, cmap[ord(c)]) for c in RARE + "国"}
        assert len({*outlines.values(), _outline(glyphs, ".notdef")}) == len(RARE) + 2
    assert _outline(TTFont(where / "JianfuSans-Regular.otf").getGlyphSet(), "u56FD") != _outline(
        glyphs, "u56FD"
    )


def _outline(glyphs: Any, name: str) -> str:
    from fontTools.pens.svgPathPen import SVGPathPen

    pen = SVGPathPen(glyphs)
    glyphs[name].draw(pen)
    return str(pen.getCommands())


def test_fonts_hold_what_the_project_says(cache: Path) -> None:
    """Every text of the dashboard in both languages, and every hostile one: no empty box in any report."""
    where = fonts.ready(HOSTILE)
    held = set(map(chr, TTFont(where / "JianfuSans-Bold.otf").getBestCmap()))
    said = {
        c
        for group in words.groups().values()
        for entry in group.values()
        for text in entry.values()
        for c in text
    }
    assert said - held - {"\n"} == set()


def test_a_font_that_grows_keeps_the_numbers_of_its_glyphs(cache: Path) -> None:
    where = fonts.ready("一")
    before = TTFont(where / "JianfuSans-Regular.otf").getGlyphOrder()
    assert "u9F98" not in before
    fonts.ready("龘")
    after = TTFont(where / "JianfuSans-Regular.otf").getGlyphOrder()
    assert after[: len(before)] == before and "u9F98" in after


def test_a_character_without_glyph_is_named(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    fonts.ready("a\U0001f600")
    assert "U+1F600 GRINNING FACE" in caplog.text
    caplog.clear()
    fonts.ready("a\u200b\n国")
    assert caplog.text == ""


def test_english_quotes_are_narrow(cache: Path) -> None:
    assert fonts.width("“”", 10, language="en") < 10 < fonts.width("“”", 10, language="zh")


def test_a_cache_that_cannot_be_written_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    monkeypatch.setenv("JIANFU_CACHE", str(blocked))
    with pytest.raises(OSError, match="let JIANFU_CACHE name a folder"):
        fonts.ready("国")


def test_the_widths_of_a_font_that_grew_are_let_go(cache: Path) -> None:
    path = fonts._path(fonts.ready(""), fonts.FAMILY, "Bold")
    for state in range(100):
        fonts._advances(path, state)
    assert fonts._advances.cache_info().currsize < 10

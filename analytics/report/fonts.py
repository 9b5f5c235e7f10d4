"""Fonts of reports: Chinese comes out right on a machine that has no Chinese font.

The source is the variable Noto Sans CJK of an installed package. Drawing programs want static fonts, and drawing all 44,000
glyphs at two weights takes minutes, so a user cache holds the characters the project itself uses and grows by those a
document needs. Old glyphs keep their numbers, so a font that grows stays right for whoever has it open.
"""

import logging
import os
import sys
import tempfile
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from filelock import FileLock
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.ttLib import TTFont

from analytics import reference
from analytics.figures import words

FAMILY = "Jianfu Sans"
LATIN = "Jianfu Latin"  # the same design; its quotes and dots are as narrow as English wants them
WEIGHTS = {"Regular": 400, "Bold": 700}
_PACKAGE, _FILE = "manimgx-fonts-cjk", "NotoSansCJK-VF.otf.ttc"
_CHINESE, _NARROW = 2, 1  # faces of the collection: simplified Chinese, and the one with narrow punctuation
_LAYOUT = 2  # raise when what is written below changes
_ASCII = "".join(map(chr, range(0x20, 0x7F)))
_EUROPEAN = _ASCII + "".join(map(chr, range(0xA0, 0x180))) + "–—‘’“”…·•†‡−×÷≤≥≈≠‰€"
_PUNCTUATION = "、。〈〉《》「」『』【】〔〕〇！（），．：；？～￥％＋－＝／←↑→↓①②③④⑤⑥⑦⑧⑨⑩○●◆◇■□△▲※℃"
_ALIKE = {"✗": "×"}  # signs the source lacks, drawn as another
_log = logging.getLogger(__name__)

_held: dict[Path, frozenset[str]] = {}
_lacking: set[str] = set()


def families(language: str) -> list[str]:
    """Families in the order in which a text of a language asks them."""
    return [FAMILY] if language == "zh" else [LATIN, FAMILY]


def directory() -> Path:
    """Where the fonts are kept: JIANFU_CACHE, or the user's cache; one folder per version of the source."""
    return _directory(os.environ.get("JIANFU_CACHE"), os.environ.get("XDG_CACHE_HOME"))


@cache
def _directory(given: str | None, user: str | None) -> Path:
    if given:
        base = Path(given)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir())) / "jianfu"
    elif sys.platform == "darwin":
        base = Path("~/Library/Caches/jianfu").expanduser()
    else:
        base = Path(user or "~/.cache").expanduser() / "jianfu"
    return base / "fonts" / f"{version(_PACKAGE)}-{_LAYOUT}"


def ready(text: Iterable[str]) -> Path:
    """The folder of fonts, once they hold every character of `text`; a character the source lacks is named in the log and
    stands as an empty box. Raises OSError where the cache cannot be written.
    """
    where = directory()
    wanted = {c for part in text for c in part if _drawn(c)}
    kept = where in _held and _path(where, FAMILY, "Bold").exists()
    if not kept or wanted - _held[where] - _lacking:
        try:
            _grow(where, wanted)
        except OSError as error:
            raise OSError(
                f"fonts cannot be kept in {where}: {error}; let JIANFU_CACHE name a folder that can be written"
            ) from error
    if absent := sorted(wanted & _lacking):
        named = ", ".join(f"{c} (U+{ord(c):04X} {unicodedata.name(c, 'unnamed')})" for c in absent)
        _log.warning("no glyph for %s: an empty box stands in the report", named)
    return where


def _drawn(character: str) -> bool:
    """Whether a character is one that is seen."""
    return unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp")


def held(where: Path) -> int:
    """How many characters the fonts of a folder have by now."""
    return len(_held[where])


def width(text: str, size: float, bold: bool = False, language: str = "zh") -> float:
    """How long a text is when it is set at a size."""
    where, style = directory(), "Bold" if bold else "Regular"
    if where not in _held:
        ready("")
    wide = _advances(_path(where, FAMILY, style), len(_held[where]))
    narrow = {} if language == "zh" else _advances(_path(where, LATIN, style), 0)
    return sum(narrow.get(c) or wide.get(c, 1000) for c in text) * size / 1000


@lru_cache(maxsize=8)  # a font that grows has many states; two families at two weights are in use
def _advances(path: Path, _now: int) -> dict[str, int]:
    with TTFont(path, lazy=True) as font:
        return {chr(code): font["hmtx"][name][0] for code, name in font.getBestCmap().items()}


def _path(where: Path, family: str, style: str) -> Path:
    return where / f"{family.replace(' ', '')}-{style}.otf"


def own_characters() -> set[str]:
    """What the project's own texts are written with: words of the dashboard, plans, places, published figures."""
    package = Path(words.__file__).parents[1]
    found = [
        p.read_text("utf-8") for top in (package, reference.root() / "data") for p in top.rglob("*.toml")
    ]
    return set(_EUROPEAN + _PUNCTUATION).union(*found)


def _grow(where: Path, wanted: set[str]) -> None:
    """Add characters to the fonts, one process at a time; readers see the old file or the new one, both whole."""
    where.mkdir(parents=True, exist_ok=True)
    with FileLock(where / ".lock"):
        bold = _path(where, FAMILY, "Bold")  # the last to be written: what it holds, all hold
        held = set(_advances_of(bold)) if bold.exists() else set()
        missing = wanted - held if held else wanted | own_characters()
        if missing - _lacking or not held:
            source = _Source(_CHINESE)
            missing = {c for c in missing if _drawn(c)}
            _lacking.update(c for c in missing if ord(c) not in source.cmap)
            added = sorted(missing - _lacking)
            narrow = None if held else _Source(_NARROW)
            for style, weight in WEIGHTS.items():
                if narrow:
                    latin = sorted(c for c in _EUROPEAN if ord(c) in narrow.cmap)
                    _write(_path(where, LATIN, style), LATIN, style, narrow, latin, weight)
                if added:
                    _write(_path(where, FAMILY, style), FAMILY, style, source, added, weight)
            held |= set(added)
        _held[where] = frozenset(held)


def _advances_of(path: Path) -> set[str]:
    with TTFont(path, lazy=True) as font:
        return {chr(code) for code in font.getBestCmap()}


class _Source:
    """A face of the variable collection."""

    def __init__(self, face: int) -> None:
        path = Path(str(files(_PACKAGE.replace("-", "_")) / _FILE))
        self.font = TTFont(path, fontNumber=face, lazy=True)
        self.cmap: dict[int, str] = self.font.getBestCmap()
        self.cmap |= {ord(c): self.cmap[ord(alike)] for c, alike in _ALIKE.items() if ord(c) not in self.cmap}

    def drawn(self, characters: Iterable[str], weight: int) -> dict[str, tuple[Any, int]]:
        """Outline and advance of every character at a weight, and of the empty box."""
        glyphs = self.font.getGlyphSet(location={"wght": weight})
        names = {".notdef": ".notdef", **{_named(c): self.cmap[ord(c)] for c in characters}}
        found = {}
        for name, origin in names.items():
            advance = round(glyphs[origin].width)
            pen = T2CharStringPen(advance, glyphs)
            glyphs[origin].draw(pen)
            found[name] = (pen.getCharString(optimize=False), advance)
        return found


def _named(character: str) -> str:
    return f"u{ord(character):04X}"


def _write(path: Path, family: str, style: str, source: _Source, added: list[str], weight: int) -> None:
    """A static font of what the file holds already and the characters added, old glyphs first."""
    glyphs: dict[str, tuple[Any, int]] = {}
    if path.exists():
        old = TTFont(path)
        outlines = old["CFF "].cff.topDictIndex[0].CharStrings
        glyphs = {name: (outlines[name], old["hmtx"][name][0]) for name in old.getGlyphOrder()}
    fresh = source.drawn([c for c in added if _named(c) not in glyphs], weight)
    glyphs |= {name: glyph for name, glyph in fresh.items() if name not in glyphs}
    head, built = source.font["hhea"], FontBuilder(1000, isTTF=False)
    built.font.recalcBBoxes = False  # would draw every glyph once more
    built.setupGlyphOrder(list(glyphs))
    built.setupCharacterMap({int(name[1:], 16): name for name in glyphs if name != ".notdef"})
    called = f"{family.replace(' ', '')}-{style}"
    box = {"FontBBox": [-1000, head.descent, 3000, head.ascent]}
    info = {"FullName": f"{family} {style}", "FamilyName": family, "Weight": style, **box}
    built.setupCFF(called, info, {name: outline for name, (outline, _) in glyphs.items()}, {})
    built.setupHorizontalMetrics({name: (advance, 0) for name, (_, advance) in glyphs.items()})
    built.setupHorizontalHeader(ascent=head.ascent, descent=head.descent)
    names = {"familyName": family, "styleName": style, "fullName": f"{family} {style}", "psName": called}
    for kept, number in (("copyright", 0), ("licenseDescription", 13), ("licenseInfoURL", 14)):
        names[kept] = source.font["name"].getDebugName(number) or ""
    built.setupNameTable(names)
    heights = {"sTypoAscender": 880, "sTypoDescender": -120, "sxHeight": 543, "sCapHeight": 733}
    bold = style == "Bold"
    built.setupOS2(
        **heights,
        usWinAscent=head.ascent,
        usWinDescent=-head.descent,
        usWeightClass=weight,
        fsSelection=0x20 if bold else 0x40,
    )
    built.font["head"].macStyle = 1 if bold else 0
    built.setupPost()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    built.save(beside)
    beside.replace(path)

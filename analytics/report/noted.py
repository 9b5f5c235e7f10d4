"""Notes inside a picture: the lines of `about.block` in the metadata of an SVG or PNG, where programs find them."""

import json
import struct
import zlib
from collections.abc import Sequence
from xml.sax.saxutils import escape

_KEY = b"jianfu"
_HEAD = 33  # bytes of a PNG before its second chunk: signature and IHDR


def svg(picture: str, lines: Sequence[tuple[str, str]]) -> str:
    """The picture with its notes in `<metadata>`."""
    return picture.replace("</title>", f"</title><metadata>{escape(_text(lines))}</metadata>", 1)


def png(picture: bytes, lines: Sequence[tuple[str, str]]) -> bytes:
    """The picture with its notes as international text."""
    content = _KEY + b"\0\0\0\0\0" + _text(lines).encode()
    chunk = struct.pack(">I", len(content)) + b"iTXt" + content
    return picture[:_HEAD] + chunk + struct.pack(">I", zlib.crc32(b"iTXt" + content)) + picture[_HEAD:]


def _text(lines: Sequence[tuple[str, str]]) -> str:
    return json.dumps([list(line) for line in lines], ensure_ascii=False)

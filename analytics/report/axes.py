"""Axes of a picture: from values to places, round ticks, number formats, labels on several lines."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analytics.report import fonts

Value = float | str | None
_STEPS = (1, 2, 2.5, 5, 10)
_FORMAT = re.compile(r"(,?)(?:\.(\d+))?(~?)([f%r]?)")


def number(value: object) -> float | None:
    """A value that can be drawn; None for what is not shown."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def formatted(value: float, form: str) -> str:
    """A tick in a d3 format. Raises ValueError for one that is not used here."""
    found = _FORMAT.fullmatch(form)
    if found is None:
        raise ValueError(f"tick format {form!r}: not known; add it to axes.formatted")
    comma, decimals, trim, kind = found.groups()
    shown = value * 100 if kind == "%" else value
    if decimals is None or kind == "r":
        text = f"{round(shown, 10):{comma}.10g}" if abs(shown) < 1e10 else f"{shown:{comma}.0f}"
    else:
        text = f"{shown:{comma}.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if trim and "." in text else text
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return (text + ("%" if kind == "%" else "")).replace("-", "−")


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values between two ends."""
    rough = (high - low) / max(about, 1)
    if rough <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in _STEPS if s * power >= rough * (1 - 1e-9))
    return every(low, high, step)


def every(low: float, high: float, step: float) -> list[float]:
    """The multiples of a step between two ends."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


@dataclass
class Axis:
    """One axis: `length` in pixels from `start`; `up`: larger values stand higher. Categories stand at whole numbers."""

    given: Mapping[str, Any]
    up: bool
    categories: list[str] = field(default_factory=list)
    low: float = 0.0
    high: float = 1.0
    start: float = 0.0
    length: float = 1.0

    @property
    def titled(self) -> str:
        title = self.given.get("title", "")
        return str(title.get("text", "") if isinstance(title, Mapping) else title)

    @property
    def visible(self) -> bool:
        return bool(self.given.get("visible", True))

    @property
    def named(self) -> bool:
        """Whether its ticks are names."""
        return bool(self.categories) or "ticktext" in self.given

    def value(self, given: Value) -> float | None:
        """Where a value stands in the numbers of this axis."""
        if given is None:
            return None
        return float(self.categories.index(str(given))) if self.categories else number(given)

    def at(self, value: float) -> float:
        """Where a number stands in pixels."""
        part = (value - self.low) / ((self.high - self.low) or 1)
        return self.start + self.length * (1 - part if self.up else part)

    def span(self, reach: Sequence[float], pad: bool) -> None:
        """Choose the ends: as given, or so that everything drawn fits."""
        given = self.given.get("range")
        backwards = self.given.get("autorange") == "reversed"
        if self.categories:
            low, high = -0.5, len(self.categories) - 0.5
        else:
            low, high = min(reach, default=0.0), max(reach, default=1.0)
            if self.given.get("rangemode") in ("tozero", "nonnegative"):
                low, high = min(0.0, low), max(0.0, high)
            if low == high:
                low, high = low - (0.5 if low else 0.0), high + (0.5 if low else 1.0)
            room = (high - low) * 0.05 if pad else 0.0
            low, high = low - (room if low else 0.0), high + (room if high else 0.0)
        if given is not None:
            low, high = float(given[0]), float(given[1])
        self.low, self.high = (high, low) if backwards else (low, high)

    def marks(self) -> list[tuple[float, str]]:
        """Ticks and their labels, line breaks as newlines; a hidden axis has none."""
        if not self.visible:
            return []
        low, high = sorted((self.low, self.high))
        if self.categories:
            return [(float(i), broken(c)) for i, c in enumerate(self.categories)]
        where = self.given.get("tickvals")
        if where is None and (step := self.given.get("dtick")):
            where = every(low, high, float(step))
        if where is None:
            where = ticks(low, high, int(self.given.get("nticks", 6)) - 1)
        texts = self.given.get("ticktext")
        if texts is None:
            form, suffix = str(self.given.get("tickformat", "")), str(self.given.get("ticksuffix", ""))
            texts = [formatted(float(v), form) + suffix for v in where]
        pairs = [(float(v), broken(str(text))) for v, text in zip(where, texts, strict=True)]
        return [(v, text) for v, text in pairs if low - 1e-9 <= v <= high + 1e-9]


def broken(text: str) -> str:
    """A label with its line breaks as newlines."""
    return re.sub(r"<br\s*/?>", "\n", text)


def wrapped(text: str, room: float, size: float, bold: bool = False, language: str = "zh") -> list[str]:
    """A text on lines that fit: broken at spaces and between Chinese characters, never before a closing mark; a word longer
    than a line stands whole."""
    lines: list[str] = []
    for part in text.split("\n"):
        line = ""
        for word in re.findall(r"\s+|[^\s\u2e80-\U0003ffff]+|.[、。，；：）」』》！？”’]*", part):
            if line.strip() and fonts.width((line + word).rstrip(), size, bold, language) > room:
                lines.append(line.rstrip())
                line = ""
            line += word if line or not word.isspace() else ""
        lines.append(line.rstrip())
    return lines

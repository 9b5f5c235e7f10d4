"""A sheet of SVG that grows with what is drawn on it, so that nothing is cut off."""

import math
from itertools import product
from xml.sax.saxutils import escape, quoteattr

from analytics.report import fonts

INK, PALE, GRID = "#1F2933", "#52606D", "#DDE2E8"
_OTHERS = "'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',sans-serif"


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


class Sheet:
    """Shapes in the order they are drawn, and the box they fill."""

    def __init__(self, language: str) -> None:
        self.language, self._shapes = language, list[str]()
        self.left = self.top = float("inf")
        self.right = self.bottom = float("-inf")

    def reach(self, left: float, top: float, right: float, bottom: float) -> None:
        """Make room for a box."""
        self.left, self.right = min(self.left, left), max(self.right, right)
        self.top, self.bottom = min(self.top, top), max(self.bottom, bottom)

    def rectangle(self, x: float, y: float, x2: float, y2: float, fill: str) -> None:
        left, right, top, bottom = min(x, x2), max(x, x2), min(y, y2), max(y, y2)
        self.reach(left, top, right, bottom)
        self._shapes.append(
            f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(right - left)}" height="{_n(bottom - top)}" '
            f"fill={quoteattr(fill)}/>"
        )

    def area(
        self, rings: list[list[tuple[float, float]]], fill: str, edge: str, width: float, hatch: str = ""
    ) -> None:
        """An area inside its outlines, a ring inside another being a hole; `hatch`: colour of slanted lines upon it."""
        for x, y in (corner for ring in rings for corner in ring):
            self.reach(x, y, x, y)
        if hatch:
            name = f"hatch-{hatch}-{fill}".replace("#", "")
            pattern = (
                f'<pattern id="{name}" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
                f'<rect width="5" height="5" fill={quoteattr(fill)}/><rect width="1" height="5" fill={quoteattr(hatch)}/></pattern>'
            )
            if pattern not in self._shapes:
                self._shapes.append(pattern)
            fill = f"url(#{name})"
        path = " ".join("M" + " ".join(f"{_n(x)},{_n(y)}" for x, y in ring) + "Z" for ring in rings)
        self._shapes.append(
            f'<path d="{path}" fill={quoteattr(fill)} fill-rule="evenodd" stroke={quoteattr(edge)} '
            f'stroke-width="{_n(width)}" stroke-linejoin="round"/>'
        )

    def line(self, points: list[tuple[float, float]], colour: str, width: float = 1, dash: str = "") -> None:
        """A line through points."""
        for x, y in points:
            self.reach(x, y, x, y)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._shapes.append(
            f'<polyline points="{path}" fill="none" stroke={quoteattr(colour)} stroke-width="{_n(width)}"{dashes}/>'
        )

    def mark(self, x: float, y: float, symbol: str, size: float, colour: str, edge: float = 1.8) -> None:
        """A marker; raises ValueError for an unknown symbol."""
        shape, _, hollow = symbol.partition("-")
        r = size / 2
        self.reach(x - r, y - r, x + r, y + r)
        looks = f'fill={quoteattr("#FFFFFF" if hollow == "open" else colour)} stroke={quoteattr(colour)} stroke-width="{_n(edge)}"'
        if shape == "circle" and hollow in ("", "open"):
            self._shapes.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}" {looks}/>')
        elif shape in ("diamond", "square") and hollow in ("", "open"):
            corners = [(0, -r), (r, 0), (0, r), (-r, 0)]
            if shape == "square":
                corners = [(-r, -r), (r, -r), (r, r), (-r, r)]
            path = " ".join(f"{_n(x + a)},{_n(y + b)}" for a, b in corners)
            self._shapes.append(f'<polygon points="{path}" {looks}/>')
        else:
            raise ValueError(f"marker {symbol!r}: not known; add it to svg.Sheet.mark")

    def text(
        self, x: float, y: float, lines: list[str], size: float, anchor: str = "start", colour: str = INK,
        bold: bool = False, turn: float = 0, clear: bool = False,
    ) -> None:  # fmt: skip
        """Lines of text; `y` is the base line of the first. `turn`: degrees about that point; `clear`: what lies behind does not
        touch the letters."""
        wide = max((fonts.width(line, size, bold, self.language) for line in lines), default=0)
        start = x - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
        deep = size * 1.3 * (len(lines) - 1)
        turned_by = math.radians(turn)
        for a, b in product((start - x, start - x + wide), (-size, deep + size * 0.3)):
            across = x + a * math.cos(turned_by) - b * math.sin(turned_by)
            down = y + a * math.sin(turned_by) + b * math.cos(turned_by)
            self.reach(across, down, across, down)
        turned = f' transform="rotate({_n(turn)} {_n(x)} {_n(y)})"' if turn else ""
        looks = f'font-size="{_n(size)}" text-anchor="{anchor}" fill={quoteattr(colour)}'
        weight = ' font-weight="700"' if bold else ""
        if clear:
            weight += ' stroke="#FFFFFF" stroke-width="3" stroke-linejoin="round" paint-order="stroke"'
        spans = "".join(
            f'<tspan x="{_n(x)}" y="{_n(y + i * size * 1.3)}">{escape(line)}</tspan>'
            for i, line in enumerate(lines)
        )
        self._shapes.append(f'<text {looks}{weight}{turned} xml:space="preserve">{spans}</text>')

    def drawn(self, alt: str, least: float) -> str:
        """The whole picture on white, at least so wide; `alt` says what it shows."""
        pad = 8
        left, top = min(self.left, 0.0) - pad, self.top - pad
        width, height = max(self.right + pad - left, least), self.bottom + pad - top
        family = ",".join([*(f"'{name}'" for name in fonts.families(self.language)), _OTHERS])
        box = f"{_n(left)} {_n(top)} {_n(width)} {_n(height)}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}" viewBox="{box}" role="img" '
            f"aria-label={quoteattr(alt)} font-family={quoteattr(family)}><title>{escape(alt)}</title>"
            f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}" fill="#FFFFFF"/>'
            f"{''.join(self._shapes)}</svg>"
        )

"""Numbers as officials read them: 元/万元/亿元, percent, percentage points. Plain functions, no Streamlit."""

from collections.abc import Iterable
from dataclasses import dataclass

NOTHING = "—"


@dataclass(frozen=True)
class Scale:
    """A money scale: yuan per unit shown, decimals, and the unit's name."""

    yuan: int
    decimals: int
    zh: str
    en: str

    def name(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


SCALES = {
    "yuan": Scale(1, 0, "元", "yuan"),
    "wan": Scale(10_000, 2, "万元", "10k yuan"),
    "yi": Scale(100_000_000, 2, "亿元", "100m yuan"),
}
_ENGLISH = {
    "yuan": Scale(1, 0, "元", "yuan"),
    "wan": Scale(1_000_000, 2, "百万元", "m yuan"),
    "yi": Scale(1_000_000_000, 2, "十亿元", "bn yuan"),
}


def scale(values: Iterable[float | None], unit: str = "auto", language: str = "zh") -> Scale:
    """One scale for all values of a column or an axis: the chosen one, or the one that suits the largest value.

    Chinese changes at 万 (10^4) and 亿 (10^8), English at a million and a billion. What a chosen unit would leave too few digits
    of, such as the premium of a person in 万元, stays in yuan.
    """
    largest = max((abs(v) for v in values if v is not None), default=0.0)
    if unit in SCALES:
        return SCALES[unit if largest * 10 >= SCALES[unit].yuan else "yuan"]
    steps, edges = (SCALES, (1e5, 1e8)) if language == "zh" else (_ENGLISH, (1e6, 1e9))
    return steps["yi"] if largest >= edges[1] else steps["wan"] if largest >= edges[0] else steps["yuan"]


def common(values: Iterable[float | None], unit: str = "auto", language: str = "zh") -> Scale:
    """As `scale`, for sums of money that stand beside each other: yuan where one of them would read as nothing."""
    told = [v for v in values if v]
    by = scale(told, unit, language)
    return by if all(abs(v) >= by.yuan * 0.5 * 10.0**-by.decimals for v in told) else SCALES["yuan"]


def scaled(yuan: float, by: Scale) -> str:
    """A sum of money in a scale, without the unit's name; nothing at all has no decimals, as what was rounded to nothing would."""
    return f"{yuan / by.yuan:,.{by.decimals}f}" if yuan else "0"


def money(
    yuan: float | None, language: str, unit: str = "auto", brief: bool = False, by: Scale | None = None
) -> str:
    """A sum of money with its unit; `brief`: no decimals from a thousand units up; `by`: the scale of what stands beside it."""
    if yuan is None:
        return NOTHING
    by = by or scale([yuan], unit, language)
    number = f"{yuan / by.yuan:,.0f}" if brief and abs(yuan) >= 1000 * by.yuan else scaled(yuan, by)
    return f"{number} {by.name(language)}"


def written(yuan: float, language: str) -> set[str]:
    """A sum of money in every unit it may stand in."""
    every = {*SCALES.values(), *(_ENGLISH.values() if language == "en" else ())}
    return {money(yuan, language, by=by) for by in every}


def percent(fraction: float | None, decimals: int = 1) -> str:
    """A share as percent."""
    if fraction is None:
        return NOTHING
    least = 10.0**-decimals
    small = 0 < fraction * 100 < least / 2  # would read as zero
    return f"<{least:.{decimals}f}%" if small else f"{fraction * 100:.{decimals}f}%"


def per_hundred(fraction: float | None) -> str:
    """A share as yuan of every 100 yuan."""
    return percent(fraction).removesuffix("%")


def points(fraction: float | None, language: str, signed: bool = True) -> str:
    """A difference of shares in percentage points, never in percent."""
    if fraction is None:
        return NOTHING
    size, sign = abs(fraction) * 100, "-" if fraction < 0 else "+" if signed else ""
    if size < 1e-9:
        number = "0.0"
    elif size < 0.005:
        number = f"{sign}<0.01"
    else:  # one decimal, two where one would read as nothing
        number = f"{sign}{size:.{1 if size >= 0.05 else 2}f}"
    return f"{number} {'个百分点' if language == 'zh' else 'pp'}"


def count(n: float | None) -> str:
    """A head count, or any sum that is not money; below one with four digits that say something."""
    if n is None:
        return NOTHING
    return f"{n:,.0f}" if float(n).is_integer() else f"{n:,.2f}" if abs(n) >= 1 else f"{n:.4g}"


def index(number: float | None, signed: bool = False) -> str:
    """An index with three decimals, never a minus zero."""
    if number is None:
        return NOTHING
    text = f"{number:{'+' if signed else ''}.3f}"
    return text if float(text) else "0.000"


def days(number: float, language: str) -> str:
    """A number of days between two dates: none is the same day."""
    if not number:
        return "当天" if language == "zh" else "same day"
    return f"{count(number)} {'天' if language == 'zh' else 'day' if number == 1 else 'days'}"


def value(number: float | None, unit: str, language: str, money_unit: str = "auto") -> str:
    """A measure's value in its own unit: share, yuan, points, index or count."""
    if number is None:
        return NOTHING
    if unit == "index":
        return index(number)
    if unit == "share":
        return percent(number)
    if unit == "points":
        return points(number, language, signed=False)
    if unit == "days":
        return days(number, language)
    return money(number, language, money_unit) if unit == "yuan" else count(number)


def difference(number: float | None, unit: str, language: str, money_unit: str = "auto") -> str:
    """A signed difference of two values of a unit; of shares in percentage points."""
    if number is None:
        return NOTHING
    if unit in ("share", "points"):
        return points(number, language)
    if unit == "index":
        return index(number, signed=True)
    sign = "+" if number > 0 else ""
    if unit == "days":
        return f"{sign}{count(number)} {'天' if language == 'zh' else 'days'}"
    if unit == "per_100":
        return f"{sign}{number:.2f}"
    return sign + (money(number, language, money_unit) if unit == "yuan" else count(number))

"""A published figure, ours beside it and the difference, in words."""

from decimal import Decimal

from analytics.desk.benchmarks import Figure, Row
from analytics.figures import formats, words
from analytics.figures.words import t


def published(figure: Figure) -> str:
    """A figure as printed, with its sign and unit."""
    sign = t(f"sign.{figure.sign}") if figure.sign else ""
    text = amount(figure.value, figure.unit)
    if figure.high is None:
        return sign + text
    first = text.removesuffix("%") if figure.unit == "percent" else text
    return t("beside.range", low=first, high=amount(figure.high, figure.unit))


def ours(row: Row) -> str:
    """Our value in the unit of the figure, or why there is none."""
    if row.value is None:
        known = ("hidden", "undefined", "no_data", "not_computed", "unanswered")
        return t(f"cell.{row.status}") if row.status in known else row.status
    return _measured(row.value, row.figure.unit, _decimals(row.figure))


def inside(row: Row) -> bool:
    """Whether the figure is a range, and ours lies in it."""
    return row.figure.high is not None and row.apart == 0


def apart(row: Row) -> str:
    """Ours less the figure: of shares in percentage points; in percent of the figure too where it is money, or where a
    target allows a percentage."""
    figure = row.figure
    if row.apart is None:
        return formats.NOTHING
    if inside(row):
        return t("beside.inside")
    if figure.unit == "yuan":
        text = ("+" if row.apart > 0 else "") + _measured(row.apart, "yuan", _decimals(figure))
    elif figure.unit == "per_100":
        text = f"{row.apart:+.1f}{t('published_unit.per_100')}"
    else:
        text = f"{row.apart:+.2f}{t('tables.points')}"
    relative = figure.unit == "yuan" or (figure.target is not None and figure.target.tolerance.endswith("%"))
    return f"{text} ({row.apart / figure.value:+.1%})" if relative and figure.value else text


def amount(number: Decimal, unit: str) -> str:
    """A published number with its unit, no digit added or lost."""
    if unit == "yuan":
        by = formats.scale([float(number)], "auto", words.language())
        return f"{(number / by.yuan).normalize():,f} {by.name(words.language())}"
    return f"{number:,f}{t(f'published_unit.{unit}')}"


def _measured(value: Decimal, unit: str, decimals: int) -> str:
    if unit == "percent":
        return f"{value:.2f}%"
    if unit == "points":
        return formats.points(float(value) / 100, words.language(), signed=False)
    if unit == "per_100":
        return f"{value:.1f}{t('published_unit.per_100')}"
    by = formats.scale([float(value)], words.money_unit(), words.language())
    if by.yuan == 1:  # as many decimals as were published
        return f"{value:,.{decimals}f} {by.name(words.language())}"
    return formats.money(float(value), words.language(), words.money_unit())


def _decimals(figure: Figure) -> int:
    """How many decimals were published."""
    return max(0, -int(figure.value.as_tuple().exponent))

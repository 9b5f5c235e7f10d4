"""Values of benefit rules in words: amounts, rates, ceilings."""

from decimal import Decimal
from typing import Any

from analytics.figures import formats, words
from analytics.figures.words import t


def yuan(value: Any) -> str:
    """An amount of a rule, or that it is not published."""
    return t("rule.missing") if value == "missing" else formats.money(float(value), words.language(), "yuan")


def bands(value: Any) -> str:
    """Rates by level of the base."""
    if value == "missing":
        return t("rule.missing")
    if len(value) == 1:
        return _rate(value[0].rate)
    return words.listing([t("rule.band", over=f"{band.over:,}", rate=_rate(band.rate)) for band in value])


def ceiling(value: Any) -> str:
    """A yearly limit."""
    if isinstance(value, str):
        return t("rule.missing") if value == "missing" else t("rule.no_ceiling")
    return yuan(value.amount) + (t("rule.of_base") if value.on == "eligible" else "")


def _rate(rate: Decimal) -> str:
    return f"{float(rate) * 100:g}%"

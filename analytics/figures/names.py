"""Names of dimensions and their values, and the order in which values stand."""

from collections.abc import Iterable

from analytics.figures import formats, words
from analytics.figures.words import say, t
from analytics.measures import dimensions, grammar
from analytics.reference import bands
from analytics.release import guarded
from analytics.tiers import TIER

_DIGITS = 9  # whole numbers stand in their order

# What tells answers apart that are drawn together (see asking.joined), each with its values in order.
JOINED = {
    "ledger": ("observed", "baseline", "reform"),
    "credit": ("shapley", "first_in", "last_in", "sequential"),
    "bears": ("erreygers", "concentration"),
    "poor": ("pushed", "further"),
    "payments": ("gross", "net"),
    "holding": ("participation", "renewal"),
    "handling": ("one_stop", "cross_region"),
}


def dimension(code: str) -> str:
    """Name of a dimension."""
    if code in JOINED or code == "point":
        return t(f"joined.{code}")
    found = dimensions().get(code)
    return say(found.title) if found else code


def members(dimension: str) -> list[str]:
    """The codes of a dimension with a closed list of values; empty for an open one."""
    if dimension in JOINED:
        return list(JOINED[dimension])
    found = dimensions().get(dimension)
    if found is None:
        return []
    return [band.id for band in bands()] if found.bands else list(found.values)


def member(dimension: str, code: object) -> str:
    """Name of a dimension's value."""
    found = dimensions().get(dimension)
    if code is None or code == "None" or (code == "unknown" and not (found and code in found.values)):
        return t("group.unknown")
    if dimension in JOINED:
        return _JOINED[dimension](str(code))
    if dimension == "threshold":
        return formats.percent(float(str(code)), 0)
    if dimension in ("city", "tier"):
        return words.city(str(code)) if dimension == "city" else words.tier(str(code))
    if found and found.bands:
        return next((say(band) for band in bands() if band.id == code), str(code))
    return guarded(found.label(str(code), words.language()) if found else str(code))


def setting(parameter: str, code: str) -> str:
    """A parameter's value in words."""
    if parameter == "threshold":
        return words.listing([member("threshold", one) for one in code.split(",")])
    if parameter == "game":
        return t(f"game.{code}")
    titled = grammar().choices(parameter)
    return say(titled[code].title) if code in titled else t("resource.auto") if code == "auto" else code


def ordered(dimension: str, codes: Iterable[object]) -> list[str]:
    """Distinct values of a dimension in their own order: as the catalogue lists them, tiers by law, the rest by code."""
    known = ["none", *TIER] if dimension == "tier" else members(dimension)
    distinct = {str(code) for code in codes}

    def place(code: str) -> tuple[int, str]:
        return (
            known.index(code) if code in known else len(known),
            code.zfill(_DIGITS) if code.isdigit() else code,
        )

    return sorted(distinct, key=place)


def _ledger(code: str) -> str:
    return t(f"ledger.{code}")


def _credit(code: str) -> str:
    return t(f"credit.{code}")


def _bears(code: str) -> str:
    return t(f"bears.{code}")


def _poor(code: str) -> str:
    return t(f"poor.{code}")


def _payments(code: str) -> str:
    return t(f"payments.{code}")


def _holding(code: str) -> str:
    return t(f"holding.{code}")


def _handling(code: str) -> str:
    return t(f"handling.{code}")


_JOINED = {
    "ledger": _ledger,
    "credit": _credit,
    "bears": _bears,
    "poor": _poor,
    "payments": _payments,
    "holding": _holding,
    "handling": _handling,
}

"""What was asked, in words: filters, parameters, sampling error, how to cite."""

from collections.abc import Mapping

from analytics.figures import formats, names, words
from analytics.figures.words import say, t
from analytics.measures import grammar
from analytics.release import Released


def share(code: str) -> str:
    """A threshold code in words."""
    return formats.percent(float(code), 0)


def setting(parameter: str, code: str) -> str:
    """A parameter's value in words."""
    if parameter == "threshold":
        return share(code)
    if parameter == "game":
        return t(f"game.{code}")
    titled = grammar().choices(parameter)
    return say(titled[code].title) if code in titled else t("resource.auto") if code == "auto" else code


def catastrophic(released: Released) -> str:
    """What an answer counted as catastrophic, in words, from the parameters it was computed with."""
    chosen = released.parameters
    return t(
        "card.che_help",
        threshold=share(chosen["threshold"]),
        who=t(f"catastrophic.{chosen['weight']}"),
        resource=setting("resource", chosen["resource"]),
    )


def filters(released: Released) -> str:
    """The filters of the question in words."""
    parts = [
        f"{names.dimension(d)}{t('explain.colon')}{words.listing([names.member(d, code) for code in codes])}"
        for d, codes in released.where.items()
        if codes
    ]
    return t("explain.semicolon").join(parts) or t("explain.everybody")


def settings(released: Released) -> str:
    """The parameters the answer was computed with, in words."""
    titles = grammar().parameters
    parts = [
        f"{say(titles[name].title)}{t('explain.colon')}{setting(name, code)}"
        for name, code in released.parameters.items()
    ]
    return t("explain.semicolon").join(parts)


def uncertainty(told: Mapping[str, str]) -> str:
    """What the intervals of an answer mean."""
    return t(
        "interval.superpopulation",
        interval=told["interval"].replace(" ", "") if words.language() == "zh" else told["interval"],
        method=t(f"interval.{told['method']}"),
    )


def citation(released: Released) -> str:
    """How to cite an answer: measure, filters, parameters, snapshot."""
    parts = [
        say(released.measure.title),
        filters(released),
        settings(released),
        str(released.provenance["snapshot"]),
    ]
    return t("explain.semicolon").join(part for part in parts if part)

"""Benefit rules in words, for the places compared: deductible, bands, ceiling. Assumed values carry a star."""

from collections.abc import Sequence

import polars as pl

from analytics.figures import benefit, formats, words
from analytics.figures.words import say, t
from analytics.plans import Plan, TierRule
from analytics.tiers import TIER
from analytics.view import asking

yuan, bands, ceiling = benefit.yuan, benefit.bands, benefit.ceiling


def table(places: Sequence[tuple[str, str]], tier: str | None) -> pl.DataFrame:
    """One line per city-year and liability of a tier; a city-year without such a tier says so. What is no tier (the
    state after all of them) stands for every tier some place has."""
    tiers = [tier] if tier in TIER else [k for k in TIER if any(_has(city, year, k) for city, year in places)]
    lines = []
    for k in tiers:
        for city, year in places:
            plan = asking.desk().plan(city, int(year))
            rules = list(plan.rules(k)) if plan else []
            lines += (
                [_line(city, year, k, plan, rule) for rule in rules]
                if plan and rules
                else [_none(city, year, k, plan)]
            )
    return pl.DataFrame(lines)


def _has(city: str, year: str, tier: str) -> bool:
    plan = asking.desk().plan(city, int(year))
    return plan is not None and tier in plan.order


def _head(city: str, year: str, tier: str) -> dict[str, str]:
    return {
        t("rule.tier"): words.tier(tier),
        t("rule.place"): t("place.name", city=words.city(city), year=year),
    }


def _none(city: str, year: str, tier: str, plan: Plan | None) -> dict[str, str]:
    """A line for a city-year without the tier, or without a plan file."""
    columns = ("liability", "who", "deductible", "bands", "ceiling", "variants")
    first = t("cell.not_covered") if plan else t("rule.no_plan")
    return _head(city, year, tier) | {
        t(f"rule.{c}"): first if c == "liability" else formats.NOTHING for c in columns
    }


def _line(city: str, year: str, tier: str, plan: Plan, rule: TierRule) -> dict[str, str]:
    def marked(field: str, text: str) -> str:
        return text + (" *" if plan.source_class(rule, field) == "assumed" else "")

    return _head(city, year, tier) | {
        t("rule.liability"): say(rule.name) if rule.name else rule.liability,
        t("rule.who"): t(f"who.{rule.insurance_type}"),
        t("rule.deductible"): marked(
            "deductible", yuan(rule.deductible) + (t("rule.per_event") if rule.per == "event" else "")
        ),
        t("rule.bands"): marked("bands", bands(rule.bands)),
        t("rule.ceiling"): marked("ceiling", ceiling(rule.ceiling)),
        t("rule.variants"): marked("variants", str(len(rule.variants))) if rule.variants else formats.NOTHING,
    }

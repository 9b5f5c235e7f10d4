"""The assumed values of a plan in words: which liability, what of it, and the value that was set."""

from analytics.figures import words
from analytics.figures.words import t
from analytics.plans import Plan, TierRule
from analytics.plans.model import Variant
from analytics.view import benefits, rules

# Headings of fields that are called otherwise on the pages.
_HEADING = {"base": "counts", "advance_share": "counts", "waiting_days": "waiting", "not_for": "who"}


def lines(plan: Plan) -> list[str]:
    """A line for every value, in order of the plan."""
    return [_line(*one) for one in plan.assumed()]


def _line(rule: TierRule, field: str, variant: Variant | None) -> str:
    what = words.tier(rule.id), benefits.liability(rule), t(f"benefit.{_HEADING.get(field, field)}")
    return " · ".join(dict.fromkeys(what)) + t("explain.colon") + _value(rule, field, variant)


def _value(rule: TierRule, field: str, variant: Variant | None) -> str:
    match field:
        case "base":
            return t(f"base.{rule.base}")
        case "advance_share":
            return benefits.advance(rule)
        case "scope":
            return benefits.care(rule.scope)
        case "not_for":
            return t("benefit.not_for", who=benefits.groups(rule.not_for))
        case "deductible":
            return rules.yuan(rule.deductible)
        case "bands":
            return rules.bands(rule.bands)
        case "ceiling":
            return rules.ceiling(rule.ceiling)
        case "waiting_days":
            return t("benefit.days", n=rule.waiting_days)
        case "loyalty":
            return benefits.loyalty(rule)
    chosen = [variant] if variant else rule.variants
    return t("explain.semicolon").join(benefits.variant(one) for one in chosen)

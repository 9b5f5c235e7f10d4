"""Benefit rules as data: plan files in, checked plans and the SQL that pays claims by them out."""

from analytics.plans.case import read_case
from analytics.plans.coverage import Covered, coverage
from analytics.plans.explain import explain
from analytics.plans.load import (
    PlanErrors,
    build_plan,
    check_plans,
    folder_of_plans,
    load_plans,
    parse_plan,
    plan_for,
)
from analytics.plans.model import Plan, TierRule
from analytics.plans.pay import pay
from analytics.plans.premium import premium_of, premium_sql
from analytics.plans.reach import may_pay
from analytics.plans.schedule import Schedule, resolve
from analytics.plans.waterfall import OPTIONAL, PlanHoles, claims_sql, filled, needs, split

__all__ = [
    "OPTIONAL",
    "Covered",
    "Plan",
    "PlanErrors",
    "PlanHoles",
    "Schedule",
    "TierRule",
    "build_plan",
    "check_plans",
    "claims_sql",
    "coverage",
    "explain",
    "filled",
    "folder_of_plans",
    "load_plans",
    "may_pay",
    "needs",
    "parse_plan",
    "pay",
    "plan_for",
    "premium_of",
    "premium_sql",
    "read_case",
    "resolve",
    "split",
]

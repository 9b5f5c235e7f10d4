"""What a person pays for a product."""

from collections.abc import Collection

from analytics.plans.model import MISSING, Plan, Premium
from analytics.plans.schedule import FIRST


def premium_of(
    plan: Plan,
    product: str,
    age: int | None = None,
    groups: Collection[str] = (),
    years: int | None = None,
) -> int | None:
    """Yuan a year by the first row for the person, in file order; None where it is not published.

    A row without selectors is for all who are left. Where one stands before other rows of its product, the file says
    only in words who pays what: None for everybody. An unknown age is no age; unknown years are the first one. Raises
    ValueError for a product that is not there.
    """
    codes = [p.code for p in plan.product]
    if product not in codes:
        raise ValueError(f"no such product: {product}; products are {', '.join(codes) or 'none'}")
    rows = [row for row in plan.premium if row.product == product]
    if not all(row.selects for row in rows[:-1]):
        return None
    found = next((row.yuan for row in rows if _is_for(row, age, groups, years)), MISSING)
    return None if found == MISSING else found


def _is_for(row: Premium, age: int | None, groups: Collection[str], years: int | None) -> bool:
    old_enough = row.age_from is None or (age is not None and age >= row.age_from)
    young_enough = row.age_to is None or (age is not None and age <= row.age_to)
    long_enough = row.years_at_least is None or (FIRST if years is None else years) >= row.years_at_least
    in_group = not row.groups or any(group in groups for group in row.groups)
    return old_enough and young_enough and long_enough and in_group

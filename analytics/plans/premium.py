"""What a person pays for a product."""

from collections.abc import Collection

from analytics.plans.model import MISSING, Plan, Premium
from analytics.plans.schedule import FIRST, in_group
from analytics.store import literal


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
    found = next((row.yuan for row in _rows(plan, product) if _is_for(row, age, groups, years)), MISSING)
    return None if found == MISSING else found


def premium_sql(plan: Plan) -> str:
    """The same as SQL, in fen, of the columns product, age, insurance_type, person_group, is_pre_existing, is_retired and
    product_years. Where it hangs on an age or on years nobody knows, there is no answer: NULL.
    """
    products = [
        f"WHEN {literal(p.code)} THEN {cases}" for p in plan.product if (cases := _cases(plan, p.code))
    ]
    return f"CASE product {' '.join(products)} END" if products else "NULL::BIGINT"


def _rows(plan: Plan, product: str) -> list[Premium]:
    rows = [row for row in plan.premium if row.product == product]
    return rows if all(row.selects for row in rows[:-1]) else []


def _cases(plan: Plan, product: str) -> str:
    whens = []
    for row in _rows(plan, product):
        fen = "NULL" if row.yuan == MISSING else f"{row.yuan * 100}"
        asked = _asked(row)
        whens.append(f"WHEN ({asked}) IS NULL THEN NULL WHEN {asked} THEN {fen}")
    return f"(CASE {' '.join(whens)} END)::BIGINT" if whens else ""


def _asked(row: Premium) -> str:
    limits = (("age >=", row.age_from), ("age <=", row.age_to), ("product_years >=", row.years_at_least))
    asked = [f"{which} {limit}" for which, limit in limits if limit is not None]
    if row.groups:
        asked.append(f"({' OR '.join(map(in_group, row.groups))})")
    return " AND ".join(asked) or "true"


def _is_for(row: Premium, age: int | None, groups: Collection[str], years: int | None) -> bool:
    old_enough = row.age_from is None or (age is not None and age >= row.age_from)
    young_enough = row.age_to is None or (age is not None and age <= row.age_to)
    long_enough = row.years_at_least is None or (FIRST if years is None else years) >= row.years_at_least
    in_group = not row.groups or any(group in groups for group in row.groups)
    return old_enough and young_enough and long_enough and in_group

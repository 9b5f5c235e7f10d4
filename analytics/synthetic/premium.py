"""What each person of the population pays for the product."""

import polars as pl

from analytics.plans import Plan, plan_for, premium_of
from analytics.synthetic.calibration import City
from analytics.synthetic.people import GROUPS, Population

_FEN = 100


def premiums(city: City, plan: Plan, pop: Population, product: pl.Series, year: int) -> pl.Series:
    """Fen a year, as the plan asks of a first year of cover; null without a product. Where the plan of the year does not
    know, that of the city's `premium_year` stands in for it; where none does, null as well.
    """
    persons = pl.DataFrame({
        "product": product, "age": pop.age(year), "group": pop.group, "pre_existing": pop.pre_existing,
        "retired": pop.retired(year), "employee": pop.employee,
    })  # fmt: skip
    kinds = persons.unique(maintain_order=True)
    other = plan_for(city.code, city.premium_year) if city.premium_year else None
    fen: list[int | None] = []
    for code, age, group, *flags in kinds.iter_rows():
        told = [name for name, on in zip(("pre_existing", "retired", "employee"), flags, strict=True) if on]
        asked = [
            premium_of(p, code, age, (GROUPS[group], *told))
            for p in (plan, other)
            if code is not None and p is not None
        ]
        fen.append(next((yuan * _FEN for yuan in asked if yuan is not None), None))
    known = kinds.with_columns(pl.Series("premium", fen, dtype=pl.Int64))
    return persons.join(known, on=persons.columns, how="left", nulls_equal=True, maintain_order="left")[
        "premium"
    ]

"""Policies and payments of a product by hand: Weihai, whose product year 2024 runs from September to September."""

import datetime
from typing import Any

from canonical import ZHUHAI, claim, enrol, settle

Row = dict[str, Any]
NEXT = datetime.date(2024, 5, 1)


def spell(person: int, year: int, product: str | None = "wnb", **other: Any) -> Row:
    start, end = datetime.date(year, 1, 1), datetime.date(year, 12, 31)
    return enrol(person, **{"start_date": start, "end_date": end, "product_code": product, **other})


def paid(claim_id: str, fen: int, **other: Any) -> Row:
    return claim(claim_id, fen, **{"plan_year": 2024, "duty_code": "in_catalogue", **other})


# Weihai asks in 2024: assisted persons 39, pre-existing 150, up to 22 years 39, 23 to 59 years 89, from 60 on 139 yuan.
PEOPLE = [
    spell(1, 2023), spell(1, 2024, premium_fen=8_900),
    spell(2, 2023), spell(2, 2024, None),
    spell(3, 2024),
    spell(4, 2024),
    spell(5, 2024, person_group="low_income"),
    spell(7, 2023), spell(7, 2024, "other", premium_fen=1_000),
    spell(8, 2023, city=ZHUHAI, product_code="dawj"),
]  # fmt: skip
PAYMENTS = [
    paid("a", 1_000, person=1, setl_id="home", claim_date=NEXT, pay_date=NEXT, is_one_stop=True),
    paid("b", 200, person=1, duty_code="special_drugs", setl_id="away", claim_date=NEXT, pay_date=datetime.date(2024, 5, 11)),
    paid("c", 0, person=1, setl_id="home", is_one_stop=True),
    paid("d", 300, person=1, tier="charity", duty_code=None),
    paid("e", 50, person=6, mdtrt_id="Maway", claim_date=NEXT, pay_date=datetime.date(2024, 4, 30)),
    paid("f", 70, person=4, setl_id="lost", mdtrt_id="lost", claim_date=NEXT, is_one_stop=False),
    paid("g", 9, person=1, setl_id="nobody_knows_where"),
]  # fmt: skip
CARE = [
    settle("home", 50_000, year=2024),
    settle("away", 50_000, year=2025, cross_region="out_province"),  # inside the product year, which ends in September
    settle("nobody_knows_where", 50_000, year=2024, cross_region="unknown"),
    settle("old", 50_000, year=2023, person=2),
]  # fmt: skip
PERSONS = [{"person_key": 3, "birth_year": 1990, "sex": "male"}]


def after(days: int) -> Row:
    """A payment so many days after the claim."""
    return {"claim_date": NEXT, "pay_date": NEXT + datetime.timedelta(days=days)}

"""The tiers that pay for illness, and the ledger columns every measure is written in.

A ledger holds, for each tier `k`, `k_paid_fen` (what it paid) and `k_after_fen` (what the patient still owed once
`k` and every tier before it in that plan's order had paid), so `before = after + paid` needs no knowledge of the
order. A tier that a city-year does not have is NULL in both columns: not covered is not zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Tier:
    """One tier and who pays it: the pooled fund, public assistance, an insurer, a donor. `national_fields` are the money fields of the national settlement record that belong to it."""

    id: str
    zh: str
    en: str
    colour: str
    payer: Literal["fund", "public", "insurer", "donor"]
    national_fields: tuple[str, ...] = ()

    @property
    def paid(self) -> str:
        """Ledger column: what this tier paid, fen."""
        return f"{self.id}_paid_fen"

    @property
    def after(self) -> str:
        """Ledger column: own burden left after this tier, fen."""
        return f"{self.id}_after_fen"

    @property
    def was(self) -> str:
        """Column of a replayed ledger: what this tier paid before the change, fen."""
        return f"{self.id}_was_fen"


# Facts that hold the ledger. A replay pays them anew.
LEDGERS = ("person_year", "household_year")

# Statutory order of payment; a plan may state another one. Colours: Okabe-Ito, the yellow darkened.
TIERS = (
    Tier("basic", "基本医保", "Basic insurance", "#00639C", "fund", ("hifp_pay",)),
    Tier(
        "statutory_supplement",
        "公务员及企业补充",
        "Statutory supplement",
        "#56B4E9",
        "fund",
        ("cvlserv_pay", "hifes_pay"),
    ),
    Tier(
        "serious_illness",
        "大病保险",
        "Serious-illness insurance",
        "#009E73",
        "fund",
        ("hifmi_pay", "hifob_pay"),
    ),
    Tier("medical_assistance", "医疗救助", "Medical assistance", "#CC79A7", "public", ("maf_pay",)),
    Tier("inclusive", "惠民保", "Inclusive insurance", "#E69F00", "insurer"),
    Tier("charity", "慈善捐助", "Charity", "#8B6F00", "donor"),
    Tier("other", "其他基金", "Other funds", "#7F7F7F", "public", ("hifdm_pay", "oth_pay")),
)
TIER = {tier.id: tier for tier in TIERS}
OWN_COLOUR = "#D55E00"


def full_order(plan_order: Sequence[str] = ()) -> tuple[str, ...]:
    """All tiers in order of payment: the plan's own order, the tiers it does not name at their statutory place.

    Raises ValueError for an id that is no tier or stands twice.
    """
    unknown = [k for k in plan_order if k not in TIER]
    if unknown or len(set(plan_order)) != len(plan_order):
        raise ValueError(f"not an order of tiers: {list(plan_order)}; tiers are {list(TIER)}")
    order = list(plan_order)
    for position, tier in enumerate(TIERS):
        if tier.id not in order:
            before = [order.index(t.id) for t in TIERS[:position]]
            order.insert(max(before) + 1 if before else 0, tier.id)
    return tuple(order)

"""The rules of three tiers on the bills of the RAND Health Insurance Experiment, in NumPy."""

import numpy as np

TIERS = ("basic", "serious_illness", "medical_assistance")  # bits 1, 2, 4 of a coalition


def paid(bill: np.ndarray, income: np.ndarray, mask: int) -> list[np.ndarray]:
    """What each tier of a coalition pays: basic 60 % of 50..5,000; serious illness on the rest 50 % of 300..1,000 and 70 % above;
    assistance, with an income below 5,000, half of what is then left over 100."""
    nothing = np.zeros(len(bill))
    basic = 0.6 * np.maximum(0, np.minimum(bill, 5000) - 50) if mask & 1 else nothing
    rest = bill - basic
    serious = 0.5 * np.maximum(0, np.minimum(rest, 1000) - 300) + 0.7 * np.maximum(0, rest - 1000)
    serious = serious if mask & 2 else nothing
    rest = rest - serious
    aid = np.where(income < 5000, 0.5 * np.maximum(0, rest - 100), 0.0) if mask & 4 else nothing
    return [basic, serious, aid]

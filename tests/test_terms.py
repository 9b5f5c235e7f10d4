"""Numerators and denominators of the catalogue in words, in both languages."""

import re

import pytest

from analytics.figures import about, terms, words
from analytics.measures import Measure, measures

SAID = {
    "own_share_after": ("Σ(该层支付后的负担) ÷ Σ(医疗费用)", "Σ(burden after the tier) ÷ Σ(cost)"),
    "paid_per_beneficiary": ("Σ(该层支付) ÷ 人·年数", "Σ(paid by the tier) ÷ number of person-years"),
    "catastrophic_headcount": ("Σ(权重 × 〔负担超过阈值〕) ÷ Σ(权重)；〔 〕内成立计 1，否则计 0", "Σ(weight × [burden above the threshold]) ÷ Σ(weight); [ ] counts 1 where it holds, else 0"),
    "serious_illness_line": ("Σ(〔政策范围内费用 − 基本医保支付 > 政策线〕) ÷ 人·年数；〔 〕内成立计 1，否则计 0", "Σ([in-policy cost − paid by basic insurance > policy line]) ÷ number of person-years; [ ] counts 1 where it holds, else 0"),
    "benefit_progressivity": ("支付按位次的不平等之和 ÷ 支付合计 − 按位次的不平等之和 ÷ 生活水平合计", "sum of inequality of payments by rank ÷ all payments − sum of inequality by rank ÷ all living standards"),
}  # fmt: skip


@pytest.mark.parametrize("measure", SAID)
def test_a_fraction_reads_as_it_would_be_said(measure: str) -> None:
    for language, text in zip(("zh", "en"), SAID[measure], strict=True):
        with words.reading(language):
            assert terms.fraction(measures()[measure]) == text


def test_what_is_divided_by_as_a_whole_keeps_its_brackets() -> None:
    with words.reading("zh"):
        assert "÷ (位次上界 − 位次下界)" in terms.sums(measures()["payment_concentration"])[1]


@pytest.mark.parametrize("form", measures().values(), ids=lambda form: form.id)
def test_every_expression_of_the_catalogue_has_words(form: Measure) -> None:
    with words.reading("zh"):
        said = [terms.fraction(form), *terms.sums(form), terms.plain(form.usable), terms.plain(form.where)]
    assert set(re.findall("[A-Za-z]+", " ".join(said))) <= {"ln", "exp", "max"}
    with words.reading("en"):
        said = [terms.fraction(form), *terms.sums(form), terms.plain(form.usable), terms.plain(form.where)]
    assert not re.findall(r"\w+_\w+|::|\$|'", " ".join(said)), "no code"


@pytest.mark.parametrize(
    ("measure", "part", "zh", "en"),
    [
        ("own_share_after", "numerator", "1,234.50 元", "1,234.50 yuan"),  # money over money
        ("own_share_after", "denominator", "1,234.50 元", "1,234.50 yuan"),
        ("own_burden_mean", "numerator", "1,234.50 元", "1,234.50 yuan"),  # money over persons
        ("own_burden_mean", "denominator", "1,234.50 人·年", "1,234.50 person-years"),
        ("reach", "numerator", "1,234.50 人·年", "1,234.50 person-years"),  # those reached, of all
        ("poverty_gap", "numerator", "1,234.50 元", "1,234.50 yuan"),
        ("cost_per_admission", "denominator", "1,234.50", "1,234.50"),  # admissions are no rows
        ("days_to_pay_median", "numerator", "1,234.50", "1,234.50"),  # days
        ("catastrophic_headcount", "denominator", "1,234.50", "1,234.50"),  # weights
        ("gini", "numerator", "1,234.50", "1,234.50"),
    ],
)
def test_a_sum_carries_its_unit(measure: str, part: str, zh: str, en: str) -> None:
    for language, text in (("zh", zh), ("en", en)):
        with words.reading(language):
            assert about._sum(measures()[measure], part, 1234.5) == text

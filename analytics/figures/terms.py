"""Expressions of the catalogue in words: what stands above and below a fraction, for whom reads no code."""

import re

from analytics.figures import words
from analytics.figures.words import t
from analytics.measures import Measure
from analytics.tiers import TIERS

# How each language writes what is no term: Chinese, English.
_SAID = {
    "<>": ("≠", "≠"), "<=": ("≤", "≤"), ">=": ("≥", "≥"), "*": ("×", "×"), "/": ("÷", "÷"), "-": ("−", "−"), "AND": ("且", "and"), "OR": ("或", "or"),
    "NOT": ("非", "not"), "IS NOT NULL": ("已知", "is known"), "ln": ("ln", "ln"), "exp": ("exp", "exp"), "greatest": ("max", "max"),
}  # fmt: skip

_INNER = r"(?:[^()]|\([^()]*\))*?"  # what stands in brackets, with brackets of its own
_PAID = {tier.paid: tier.id for tier in TIERS}


def fraction(form: Measure) -> str:
    """Numerator over denominator of a measure; what is divided by 1 a row is divided by their number."""
    over, under, is_one = plain(form.numerator), plain(form.denominator), form.denominator == "1"
    if form.sums:
        text = over if is_one else f"({over}) ÷ ({under})"
    else:
        counted = t("about.each", unit=t(f"grain.{form.grain}")) if is_one else f"Σ({under})"
        text = f"Σ({over}) ÷ {counted}"
    return f"{text}{t('explain.semicolon')}{t('terms.counted')}" if "[" in text or "〔" in text else text


def sums(form: Measure) -> list[str]:
    """The sums a fraction is made of, one line each; none where it is a fraction of two plain sums."""
    times = {name: f" × ({plain(part.times)})" if part.times else "" for name, part in form.sums.items()}
    return [f"{plain(name)} = Σ({plain(part.of)}){times[name]}" for name, part in form.sums.items()]


def plain(expression: str) -> str:
    """An expression in the reader's language. [ ] holds a condition that counts 1 where it is true. Raises KeyError for a word
    that has none in words_terms.toml.
    """
    text = re.sub(rf"(?:coalesce|nullif)\(({_INNER}), \w+\)", r"(\1)", expression.replace("$", ""))
    text = re.sub(r"(?<!\w)\((\w+)\)", r"\1", text)
    text = re.sub(rf"\(({_INNER})\)::INTEGER|(\w+)::INTEGER", r"[\1\2]", text)
    pieces = re.split(
        r"(IS NOT NULL|[A-Za-z_]\w*|<>|<=|>=|[*/-])", text.replace("::DOUBLE", "").replace("'", "")
    )
    said = "".join(_word(piece) for piece in pieces)
    return said.replace("[", "〔").replace("]", "〕") if words.language() == "zh" else said


def _word(piece: str) -> str:
    if piece in _SAID:
        return _SAID[piece][words.language() == "en"]
    if piece in _PAID:
        return t("term.paid_by", tier=words.inline(words.tier(_PAID[piece])))
    return t(f"term.{piece}") if re.fullmatch(r"[A-Za-z_]\w*", piece) else piece

"""What can be told of an expression by its text."""

import re

_MONEY = re.compile(
    r"^(w \* )?(paid|was|before|after|own|resource|\w+_fen|coalesce\(\w+_fen, 0\)|[\s+()-])+$"
)
_COUNTED = re.compile(  # a word of an expression that is a whole number where its weight is one
    r"\w+_fen|w|paid|was|before|after|own|resource|living|need|left_over|threshold\w*_bp|CASE|WHEN|THEN|ELSE|END|AND|OR|NOT|IS|NULL|"
    r"coalesce|greatest|INTEGER|BIGINT|HUGEINT|wide|over|is_\w+|n_\w+"
)


def is_money(expression: str) -> bool:
    """Whether a numerator or denominator is a sum of money."""
    return _MONEY.match(expression) is not None


def is_whole(expression: str, weight_is_one: bool) -> bool:
    """Whether every row of an expression is surely a whole number: nothing is divided, and every word is of a known kind."""
    words = set(re.findall(r"[A-Za-z_]\w*", expression))
    return (
        not re.search(r"[/.^%]", expression)
        and all(map(_COUNTED.fullmatch, words))
        and (weight_is_one or "w" not in words)
    )

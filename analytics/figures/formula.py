r"""Formulas of the catalogue on one line of plain text, for files that set no formulas: \frac{a}{b} is (a) ÷ (b)."""

import re

_SIGNS = {
    r"\sum": "Σ", r"\cdot": "·", r"\leq": "≤", r"\le": "≤", r"\geq": "≥", r"\ge": "≥", r"\ne": "≠", r"\in": "∈", r"\not\ni": "∌", r"\cap": "∩", r"\cup": "∪",
    r"\wedge": "∧", r"\lor": "∨", r"\setminus": "−", r"\varnothing": "∅", r"\pi": "π", r"\mu": "μ", r"\nu": "ν", r"\phi": "φ", r"\min": "min ", r"\exp": "exp",
    r"\ln": " ln ", r"\#": "#", r"\;": " ", r"\,": " ", r"\ ": " ", r"\tfrac12": "½ ",
}  # fmt: skip
_OPEN, _CLOSE = "\ue000", "\ue001"  # braces that are printed


def plain(tex: str) -> str:
    """The formula without markup. Raises ValueError for a command it does not know."""
    text = tex.replace(r"\{", _OPEN).replace(r"\}", _CLOSE)
    text = re.sub(r"\\left|\\right(?![a-z])", "", text)
    text = re.sub(r"\\(?:text|mathrm)\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\bar ?([A-Z])", "\\1\u0304", text)
    for sign in sorted(_SIGNS, key=len, reverse=True):
        end = r"(?![a-z])" if sign[-1].isalpha() else ""
        text = re.sub(re.escape(sign) + end, _SIGNS[sign], text)
    text = re.sub(r"\\frac(\d)(\w)", r"\1/\2 ", text)
    before = ""
    while before != text:
        before = text
        text = re.sub(r"([_^])\{([^{}]*)\}", lambda m: m[1] + _grouped(m[2]), text)
        text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", _fraction, text)
    text = text.replace(_OPEN, "{").replace(_CLOSE, "}")
    if "\\" in text:
        raise ValueError(f"formula {tex}: {text[text.index(chr(92)) :]} has no plain form; add its sign")
    return re.sub(r"\s+([,)])", r"\1", re.sub(r" {2,}", " ", text)).strip()


def _grouped(part: str) -> str:
    return part if part.isalnum() else f"({part})"


def _fraction(found: re.Match[str]) -> str:
    over, under = (_whole(part.strip()) for part in found.groups())
    left, right = found.string[: found.start()].strip(), found.string[found.end() :].strip()
    alone = (not left or left.endswith("=")) and (not right or right.startswith(","))
    return f"{over} ÷ {under}" if alone else f"({over} ÷ {under})"


def _whole(part: str) -> str:
    """In brackets where a reader could not tell what belongs together."""
    return f"({part})" if re.search(r"[-+·÷ ]", part) else part

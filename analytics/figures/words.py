"""Texts in Chinese and English, for whoever reads: a session of the dashboard, or a report."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from analytics import reference
from analytics.store import DAMAGE, Damaged
from analytics.tiers import TIER

LANGUAGES = {"zh": "中文", "en": "English"}


@dataclass(frozen=True)
class Reader:
    """Who reads: language (zh, en) and unit of money (auto, yuan, wan, yi)."""

    language: str = "zh"
    unit: str = "auto"


_reader: ContextVar[Reader | None] = ContextVar("reader", default=None)
_usually: list[Callable[[], Reader]] = [Reader]


def read_by(find: Callable[[], Reader]) -> None:
    """Who reads wherever `reading` does not say otherwise; the dashboard asks its session."""
    _usually[:] = [find]


@contextmanager
def reading(language: str, unit: str = "auto") -> Iterator[None]:
    """Write for a reader of this language, for as long as the block runs."""
    token = _reader.set(Reader(language, unit))
    try:
        yield
    finally:
        _reader.reset(token)


def settle() -> None:
    """Take the usual reader for the rest of this run: asking the session for every word takes longer than the word."""
    _reader.set(_usually[0]())


def _now() -> Reader:
    return _reader.get() or _usually[0]()


def groups() -> dict[str, dict[str, dict[str, str]]]:
    """All texts by group and key, of every `words*.toml` here. Raises ValueError where a group stands in two."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for path in sorted(Path(__file__).parent.glob("words*.toml")):
        read = tomllib.loads(path.read_text(encoding="utf-8"))
        if twice := found.keys() & read.keys():
            raise ValueError(f"{path.name}: groups {', '.join(sorted(twice))} stand in another file too")
        found |= read
    return found


@cache
def _texts() -> dict[str, dict[str, str]]:
    return {f"{group}.{key}": text for group, entries in groups().items() for key, text in entries.items()}


def language() -> str:
    """Language of the reader."""
    return _now().language


def money_unit() -> str:
    """Unit of money the reader chose."""
    return _now().unit


def t(key: str, /, **values: object) -> str:
    """The text of a key in the reader's language, its {names} filled in. Raises KeyError for an unknown key."""
    return _texts()[key][language()].format(**values)


def both(key: str) -> dict[str, str]:
    """The text of a key in both languages, for what is written to a file."""
    return dict(_texts()[key])


def known(key: str) -> bool:
    """Whether there is a text of this key."""
    return key in _texts()


def say(text: Any) -> str:
    """A text that comes in both languages (`reference.Text`, a mapping with zh and en), or a plain one as it is."""
    if isinstance(text, Mapping):
        return str(text.get(language(), text.get("zh", "")))
    return str(getattr(text, language())) if hasattr(text, "zh") else str(text or "")


_BOTH = re.compile(
    r"(.*[\u3000-\u9fff\uff00-\uffef])[\s·]*([^\u3000-\u9fff\uff00-\uffef]*[A-Za-z]{3}[^\u3000-\u9fff\uff00-\uffef]*)",
    re.DOTALL,
)


def either(text: str) -> str:
    """Of a text of the data that says it in Chinese and then in English, the part in the reader's language."""
    found = _BOTH.fullmatch(text)
    return text if found is None else found[1] if language() == "zh" else found[2]


def plain(text: object) -> str:
    """A text of the data inside a sentence: nothing in it is markup."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~$:<>&])", r"\\\1", str(text))


def inline(text: str) -> str:
    """A name inside a sentence: English names lose their capital."""
    return text[:1].lower() + text[1:] if language() == "en" and text[1:2].islower() else text


def tier(code: str) -> str:
    """Name of a tier; `none` is the state before any payment, `last` the state after all."""
    if code in ("none", "last"):
        return t(f"tier.{code}")
    known = TIER.get(code)
    return (known.zh if language() == "zh" else known.en) if known else code


def city(code: str) -> str:
    """Name of a city."""
    return reference.city_label(code, language())


def reason(error: Exception) -> str:
    """Why something cannot be answered, in the reader's language; what has no words of its own is quoted."""
    if isinstance(error, Damaged):
        return "\n".join(damage(line) for line in str(error).splitlines())
    if not isinstance(error, reference.Unable):
        return t("unable.other", text=error)
    told = {
        name: listing([say(v) for v in value]) if isinstance(value, list | tuple) else say(value)
        for name, value in error.told.items()
    }
    return t(f"unable.{error.code}", **told)


def damage(line: str) -> str:
    """A line about a damaged file of a store, in the reader's language; what has no words of its own is quoted."""
    for code, what in DAMAGE.items():
        where, found, _ = line.partition(f": {what}")
        if found:
            return t(f"damage.{code}", where=where)
    return t("unable.other", text=line)


def listing(parts: list[str]) -> str:
    """Several things in a row."""
    return ("、" if language() == "zh" else ", ").join(parts)


def span(years: list[str]) -> str:
    """A run of years, or the years one by one."""
    run = [str(year) for year in range(int(years[0]), int(years[-1]) + 1)]
    return f"{years[0]}–{years[-1]}" if years == run and len(years) > 1 else listing(years)

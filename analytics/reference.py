"""Reference data every wing may read: cities, disposable incomes, bands of money, national code maps.

The files lie in `data/`; a wheel carries the same tree inside the package.
"""

import tomllib
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

SourceClass = Literal["seed", "page_A", "page_B", "page_C", "known", "assumed"]


class Form(BaseModel):
    """Base of every data form: closed (an unknown key is an error) and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Unable(ValueError):
    """What cannot be answered or done with what there is: the text as the command line says it, `code` and `told` for the same
    in the words of a page.
    """

    def __init__(self, text: str, code: str, **told: object) -> None:
        super().__init__(text)
        self.code, self.told = code, told


class Text(Form):
    """A text in both languages."""

    zh: str
    en: str

    def in_(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


def problems(error: ValidationError, where: str) -> list[str]:
    """All problems of a form at once, one line each: where, which key, what is wrong."""
    return [
        f"{where}: {'.'.join(str(p) for p in e['loc']) or 'file'}: {e['msg']} (got {e['input']!r:.60})"
        for e in error.errors()
    ]


def root() -> Path:
    """The tree that holds `data/`, `pages/` and `app.py`: the checkout, or the copy inside the installed package."""
    package = Path(__file__).resolve().parent
    return package.parent if (package.parent / "data" / "reference").is_dir() else package / "_bundle"


def load_toml(path: Path) -> dict[str, Any]:
    """Parse TOML with exact decimals. Raises ValueError naming the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: not valid TOML: {error}") from error


class City(Form):
    """A place with benefit rules, named by six-digit code or slug.

    `kind`: a `city` (prefecture level) has persons and claims and stands on the dashboard; a `frame` is a province or
    the country, whose rules bind its cities; a `product_area` only gives a product its name.
    """

    kind: Literal["city", "frame", "product_area"] = "city"
    code: str
    slug: str
    zh: str
    en: str
    province: str
    province_zh: str

    def in_(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


class Income(Form):
    """Per-capita disposable income of an area in a calendar year, yuan."""

    area: str
    year: int
    yuan: int
    source_class: SourceClass
    source: str = ""


class Band(Form):
    """An interval of money `over < x <= up_to`, yuan; the first band holds everything up to its edge, zero included."""

    id: str
    zh: str
    en: str
    over: int | None = None
    up_to: int | None = None


class Chapter(Form):
    """Diseases of one chapter of ICD-10: from the first three-character code to the last."""

    id: str
    zh: str
    en: str
    first: str
    last: str


@cache
def places() -> dict[str, City]:
    """Every place that may have a plan file, by six-digit code: cities, frames and product areas."""
    rows = load_toml(root() / "data" / "reference" / "cities.toml")["city"]
    return {city.code: city for city in (City.model_validate(row) for row in rows)}


@cache
def cities() -> dict[str, City]:
    """Known cities by six-digit code."""
    return {code: place for code, place in places().items() if place.kind == "city"}


def city_code(name: str) -> str:
    """Six-digit code of a city named by code or slug; any other text is returned as it is (survey areas)."""
    by_slug = {city.slug: city.code for city in cities().values()}
    return by_slug.get(name.lower(), name)


def place_code(name: str) -> str:
    """Six-digit code of any place with plans, named by code or slug; any other text is returned as it is."""
    by_slug = {place.slug: place.code for place in places().values()}
    return by_slug.get(name.lower(), name)


def city_label(code: str, language: str) -> str:
    place = places().get(code)
    return place.in_(language) if place else code


@cache
def incomes() -> dict[tuple[str, int], Income]:
    """Per-capita disposable income by (city code or province slug, year)."""
    rows = load_toml(root() / "data" / "reference" / "incomes.toml")["income"]
    return {(row.area, row.year): row for row in (Income.model_validate(r) for r in rows)}


def policy_line(code: str, plan_year: int) -> Income | None:
    """Per-capita disposable income of the year before, the line national serious-illness rules refer to.

    The city's own figure where a source states it; else the province's; None where neither is known.
    """
    city = places().get(code)
    own = incomes().get((code, plan_year - 1))
    if own and own.source_class != "assumed":
        return own
    return (incomes().get((city.province, plan_year - 1)) if city else None) or own


@cache
def bands() -> tuple[Band, ...]:
    """Bands of money in ascending order."""
    rows = load_toml(root() / "data" / "reference" / "bands.toml")["band"]
    return tuple(Band.model_validate(row) for row in rows)


@cache
def diseases() -> tuple[Chapter, ...]:
    """Chapters of ICD-10."""
    rows = load_toml(root() / "data" / "reference" / "diseases.toml")["chapter"]
    return tuple(Chapter.model_validate(row) for row in rows)


@cache
def codes(field: str) -> tuple[dict[str, tuple[str, ...]], str]:
    """National code list of a field: our code -> source codes, and what an unlisted code becomes."""
    table = dict(load_toml(root() / "data" / "reference" / "codes.toml")[field])
    other = str(table.pop("other"))
    table.pop("known", None)
    return {ours: tuple(source) for ours, source in table.items()}, other


@cache
def listed(field: str) -> tuple[str, ...]:
    """Every source code of a national code list that is known, those we file under `other` included."""
    table = load_toml(root() / "data" / "reference" / "codes.toml")[field]
    return tuple(code for name, source in table.items() if name != "other" for code in source)

"""The register of what is known of every scheme in every year, in words."""

from collections.abc import Sequence

import polars as pl

from analytics.figures import words
from analytics.figures.words import say, t
from analytics.plans import Covered
from analytics.view import asking


def of_city(city: str) -> list[Covered]:
    """The scheme-years of one place."""
    return [row for row in asking.coverage() if row.place == city]


def table(found: Sequence[Covered]) -> pl.DataFrame:
    """One line per scheme and year: how much is known, what is missing, where the values come from."""
    return pl.DataFrame(
        [
            {
                t("coverage.scheme"): f"**{words.plain(say(row.title))}**  \n{row.plan_year}",
                t("coverage.status"): t(f"status.{row.status}"),
                t("coverage.missing"): "  \n".join(
                    words.plain(part) for part in (say(row.missing), _values(row)) if part
                ),
            }
            for row in found
        ]
    )


def grid() -> tuple[pl.DataFrame, int, int]:
    """Every scheme by year, and how many schemes and scheme-years there are."""
    rows = asking.coverage()
    held = {(row.scheme, row.plan_year): t(f"status.{row.status}") for row in rows}
    titles = {row.scheme: say(row.title) for row in rows}
    years = sorted({row.plan_year for row in rows}, reverse=True)
    lines = [
        {t("coverage.scheme"): title, **{str(y): held.get((scheme, y), "") for y in years}}
        for scheme, title in titles.items()
    ]
    return pl.DataFrame(lines), len(titles), len(rows)


def _values(row: Covered) -> str:
    parts = [t("coverage.value", class_=t(f"class.{name}"), n=n) for name, n in sorted(row.by_class.items())]
    if row.holes:
        parts.append(t("coverage.holes", n=len(row.holes)))
    return words.listing(parts) or t("coverage.none")

"""What came, what was loaded and what waits: the store's books as tables of words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from analytics.view import asking, formats, words
from analytics.view.words import t

Delivery = Mapping[str, Any]
_SEVERITIES = {"quarantine": "data.quarantine", "warn": "data.warn"}
_ROWS = ("rows_in", "rows_loaded", "rows_quarantined")
_FEES = ("fee_in_yuan", "fee_loaded_yuan", "fee_quarantined_yuan")


def totals(deliveries: Sequence[Delivery]) -> dict[str, str]:
    """Rows received, loaded and quarantined over all deliveries, as words."""
    return {part: formats.count(sum(d[part] for d in deliveries)) for part in _ROWS}


def reconciles(deliveries: Sequence[Delivery]) -> bool:
    """Whether rows and money of every delivery are loaded or quarantined, none lost, none twice (to the cent)."""
    return all(_adds_up(d, _ROWS) and _adds_up(d, _FEES) for d in deliveries)


def _adds_up(delivery: Delivery, parts: Sequence[str]) -> bool:
    came, loaded, waits = (delivery.get(part) for part in parts)
    return came is None or round((came - loaded - waits) * 100) == 0


def deliveries(found: Sequence[Delivery]) -> pl.DataFrame:
    """One line per delivery: rows and money in, loaded, quarantined."""
    lines = []
    for d in found:
        line = {t("data.table"): _title(d), t("data.delivery"): str(d["delivery"])}
        line |= {t(f"data.{part}"): formats.count(d[part]) for part in _ROWS}
        line |= {
            t(f"data.{part}"): f"{d[part]:,.2f}" if d.get(part) is not None else formats.NOTHING
            for part in _FEES
        }
        line[t("data.synthetic")] = t("methods.yes" if d["synthetic"] else "methods.no")
        lines.append(line)
    return _table(lines)


def rules_hit(found: Sequence[Delivery]) -> pl.DataFrame:
    """One line per delivery and quality rule hit."""
    return _table(
        {
            t("data.table"): _title(d),
            t("data.delivery"): str(d["delivery"]),
            t("data.rule"): f"{hit['title'][words.language()]} ({hit['rule']})",
            t("data.severity"): t(_SEVERITIES[hit["severity"]]),
            t("data.rows"): formats.count(hit["rows"]),
        }
        for d in found
        for hit in d["rules"]
    )


def facts(snapshot: str, manifest: Mapping[str, Any]) -> pl.DataFrame:
    """What the snapshot says of itself."""
    plain = {
        "snapshot": snapshot,
        "synthetic": t("methods.yes" if manifest["synthetic"] else "methods.no"),
        "facts_version": manifest["facts_version"],
        "deliveries": words.listing([f"{d['table']} {d['id']}" for d in manifest["deliveries"]]),
        "plans": words.listing([p["file"] for p in manifest["plans"] if p["file"]]),
    }
    return _table(
        {t("explain.fact"): t(f"provenance.{k}"), t("explain.content"): str(v)} for k, v in plain.items()
    )


def files(manifest: Mapping[str, Any]) -> pl.DataFrame:
    """The snapshot's files: table, place, rows, sha256."""
    return _table(
        {
            t("data.table"): str(file["table"]),
            t("data.place"): _place(file.get("city"), file.get("plan_year")),
            t("data.file"): str(file["name"]),
            "sha256": str(file["sha256"]),
            t("data.rows"): formats.count(file["rows"]),
        }
        for file in manifest["files"]
    )


def assumed(places: Iterable[tuple[str, int]]) -> pl.DataFrame:
    """Every assumed plan value of the city-years served."""
    return _table(
        {t("data.place"): _place(city, year), t("data.value"): value}
        for city, year in places
        for value in asking.assumed(city, year)
    )


def _title(delivery: Delivery) -> str:
    return f"{delivery['title'][words.language()]} {delivery['table']}"


def _place(city: str | None, year: int | None) -> str:
    return formats.NOTHING if city is None else t("place.name", city=words.city(city), year=year)


def _table(lines: Iterable[Mapping[str, str]]) -> pl.DataFrame:
    return pl.DataFrame([dict(line) for line in lines])

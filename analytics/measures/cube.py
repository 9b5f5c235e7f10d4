"""Answers prepared when a store is built, one city and plan year at a time, and found again without reading the facts.

A question about several places is put together from theirs where every place has its own rows in the answer; sums over
places, ranks over places and all else are asked of the facts.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from analytics import reference, tiers
from analytics.measures.form import grammar, measures, version
from analytics.measures.histogram import answer
from analytics.measures.question import Question
from analytics.reference import Form, load_toml

PLACE = ("city", "plan_year")
HELD = "held"  # key of the row that names the columns with values
_TYPES = {"city": pl.String, "plan_year": pl.Int32}


class Prepared(Form):
    """Questions of `cube.toml`."""

    measures: list[str]
    by: list[list[str]]
    parameters: dict[str, str] = Field(default_factory=dict)


@cache
def prepared() -> tuple[Prepared, ...]:
    rows = load_toml(Path(__file__).with_name("cube.toml"))["ask"]
    return tuple(Prepared.model_validate(row) for row in rows)


def made_by() -> str:
    """Hash of all that decides a prepared number once the facts are there: the measures, the bands and the tiers."""
    others = (reference.root() / "data/reference/bands.toml", Path(tiers.__file__))
    return hashlib.sha256(
        b"".join([version().encode(), *(path.read_bytes() for path in others)])
    ).hexdigest()[:12]


def questions() -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """Measure, dimensions and parameters of everything prepared."""
    for row in prepared():
        for name, by in product(row.measures, row.by):
            form = measures()[name]
            yield name, by, {k: v for k, v in row.parameters.items() if k in form.parameters}


def key(question: Question, by: Sequence[str], chosen: Mapping[str, str]) -> str:
    """What tells a prepared answer: measure, dimensions besides the place, settled parameters."""
    told = {k: v for k, v in chosen.items() if not (k == "threshold" and "threshold" in by)}
    return json.dumps([question.measure.id, list(by), sorted(told.items())])


def packed(name: str, table: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Rows of an answer as rows of a cube: dimensions as a list, since every question has its own; an answer without rows is one row
    without a list.
    """
    at = pl.concat_list([pl.col(d).cast(pl.String) for d in by]) if by else pl.lit([], pl.List(pl.String))
    rows = table.with_columns(at.alias("at")).drop(*by, "measure")
    if rows.is_empty():
        rows = pl.DataFrame([dict.fromkeys(rows.columns)], schema=rows.schema)
    if "n_rest" not in rows.columns:  # which stands before n_excluded where there is one
        rows = rows.insert_column(
            rows.columns.index("n_excluded"), pl.Series("n_rest", [None] * rows.height, pl.Int64)
        )
    return rows.select(pl.lit(name).alias("key"), "at", pl.exclude("at"))


class _Place:
    """The prepared answers of one place: its table, and where each answer lies in it. A table for each of them would take
    three times the memory; histograms, most of a table, are read when one is asked for.
    """

    def __init__(self, path: Path) -> None:
        names = [name for name in pl.read_parquet_schema(path) if name != "bins"]
        table, self._path = pl.read_parquet(path, columns=names), path
        lying = (
            table.select("key", at=pl.int_range(pl.len())).group_by("key").agg(pl.col("at").min(), pl.len())
        )
        self._at = {name: (at, rows) for name, at, rows in lying.iter_rows()}
        self._table = table.drop("key")

    def answer(self, name: str) -> pl.DataFrame | None:
        at = self._at.get(name)
        return self._table.slice(*at) if at else None

    def bins(self, name: str) -> pl.DataFrame | None:
        at = self._at.get(name)
        return self._every.slice(*at).select(pl.col("bins").explode()).unnest("bins") if at else None

    @cached_property
    def _every(self) -> pl.DataFrame:
        return pl.read_parquet(self._path, columns=["bins"])


class Kept:
    """The prepared answers of a snapshot."""

    def __init__(self, cubes: Mapping[tuple[str, int], Path]) -> None:
        self._places = {place: _Place(path) for place, path in cubes.items()}

    def held(self, places: Sequence[tuple[str, int]]) -> set[str] | None:
        """Columns of the households with any value in these places, None where it is not known of all."""
        found = [self._rows(place, HELD) for place in places]
        if not found or any(rows is None for rows in found):
            return None
        return {name for rows in found if rows is not None for at in rows["at"].to_list() for name in at}

    def answer(
        self, question: Question, chosen: Mapping[str, str], places: Sequence[tuple[str, int]]
    ) -> pl.DataFrame | None:
        """The answer to a question about these places, None where it must be asked of the facts."""
        some, form = question.where.get("tier"), question.measure
        if not self._places or set(question.where) - {*PLACE, "tier"} or (some and "tier" not in question.by):
            return None
        if form.credit and (some or len(places) > 1):  # orders of payment may differ
            return None
        lead = tuple(d for d in question.by if d in PLACE)
        by = question.by[len(lead) :]
        if question.by[: len(lead)] != lead or list(lead) != [d for d in PLACE if d in lead]:
            return None  # the answer is in another order
        for position, name in enumerate(PLACE):
            if name not in lead and len({place[position] for place in places}) != 1:
                return None  # sums over places
        name, threshold = key(question, by, chosen), ""
        asked = question.thresholds if "threshold" in by else (chosen.get("threshold", ""),)
        listed = {*asked} <= {*grammar().parameters["threshold"].values}
        if "threshold" in by and not listed:
            return self._at_any_threshold(question, chosen, places)
        if places and self._rows(places[0], name) is None and listed and "threshold" not in by:
            name, threshold = key(question, ("threshold", *by), chosen), chosen["threshold"]
        found = [self._rows(place, name) for place in places]
        if not found or any(rows is None for rows in found):
            return self._at_any_threshold(question, chosen, places)
        parts = [
            self._unpacked(rows, question, by, threshold, dict(zip(PLACE, place, strict=True)))
            for rows, place in zip(found, places, strict=True)
            if rows is not None
        ]
        whole = pl.concat(parts, how="diagonal")
        if some:
            whole = whole.filter(pl.col("tier").is_in(some))
        if "threshold" in by:
            whole = whole.filter(pl.col("threshold").is_in(question.thresholds))
        return whole.drop(
            [
                c
                for c in ("n_rest", "n_no_resource")
                if c in whole.columns and whole[c].null_count() == whole.height
            ]
        )

    def _at_any_threshold(
        self, question: Question, chosen: Mapping[str, str], places: Sequence[tuple[str, int]]
    ) -> pl.DataFrame | None:
        """The answer by the histograms of these places, None where they do not tell."""
        if not set(question.by) <= {*PLACE, "threshold", "tier"}:
            return None
        parts = []
        for place in places:
            rows = answer(lambda name, place=place: self._bins(place, name), question, chosen)  # type: ignore[misc]
            if rows is None:
                return None
            told = dict(zip(PLACE, place, strict=True))
            parts.append(
                rows.select(
                    *(pl.lit(told[d], _TYPES[d]).alias(d) for d in question.by if d in PLACE), pl.all()
                )
            )
        return pl.concat(parts) if parts else None

    def _rows(self, place: tuple[str, int], name: str) -> pl.DataFrame | None:
        held = self._places.get(place)
        return held.answer(name) if held else None

    def _bins(self, place: tuple[str, int], name: str) -> pl.DataFrame | None:
        held = self._places.get(place)
        return held.bins(name) if held else None

    @staticmethod
    def _unpacked(
        rows: pl.DataFrame, question: Question, by: Sequence[str], threshold: str, place: Mapping[str, Any]
    ) -> pl.DataFrame:
        rows = rows.filter(pl.col("at").is_not_null())
        first = 1 if threshold else 0
        if threshold:
            rows = rows.filter(pl.col("at").list.get(0, null_on_oob=True) == threshold)
        lead = [pl.lit(place[d], _TYPES[d]).alias(d) for d in question.by if d in PLACE]
        cut = [pl.col("at").list.get(i + first, null_on_oob=True).alias(d) for i, d in enumerate(by)]
        return rows.select(
            *lead, *cut, pl.lit(question.measure.id).alias("measure"), pl.exclude("at", "bins")
        )

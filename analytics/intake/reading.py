"""How one delivered file is read: which source column feeds each canonical column, converted step by step in SQL."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import duckdb

from analytics.intake.contract import Column, Contract
from analytics.intake.gate import Source, distinct
from analytics.intake.mapping import Mapping
from analytics.intake.typing import Typed, WrongType, constant, convert
from analytics.store import literal, parquet

MOST_CODES = 500  # a column with more different values is text


class Reading:
    """How one source file is read: each canonical column from which source column, and what stands in the way."""

    def __init__(self, rules: Contract, source: Source, mapping: Mapping) -> None:
        self.rules, self.source, self.mapping = rules, source, mapping
        self.problems: list[str] = []
        self.columns: dict[str, Typed] = {}
        self.from_source: dict[str, str] = {}
        folded = {name.casefold(): name for name in source.columns}
        kinds = self._kinds()
        for column in rules.columns:
            wanted = mapping.columns.get(column.name)
            spellings = [wanted] if wanted else [column.name, *column.aliases]
            found = next((folded[s.casefold()] for s in spellings if s.casefold() in folded), None)
            if column.name in mapping.constants:
                self.columns[column.stored] = constant(
                    typed_literal(mapping.constants[column.name], column.sql_type)
                )
            elif found is None:
                self._absent(
                    column.name,
                    column.stored,
                    column.sql_type,
                    wanted,
                    column.required,
                    column.default,
                    spellings,
                )
            else:
                raw, kind = self._raw(column.name, found, kinds[found])
                try:
                    typed = convert(column, raw, kind, mapping.money.scale)
                    if column.default is not None:  # an empty cell of an optional column is its default
                        typed = replace(typed, default=typed_literal(column.default, column.sql_type))
                    self.columns[column.stored] = typed
                    self.from_source[column.name] = found
                except WrongType as error:
                    self.problems.append(f"{source.path.name}: column {found} {error}")
        self._unknown_tiers()

    def _kinds(self) -> dict[str, str]:
        with duckdb.connect(":memory:") as con:
            rows = con.execute(f"DESCRIBE SELECT * FROM {parquet([self.source.readable])}").fetchall()
        return {row[0]: row[1] for row in rows}

    def _raw(self, name: str, found: str, kind: str) -> tuple[str, str]:
        raw = quoted(found)
        values = self.mapping.values.get(name)
        if not values:
            return raw, kind
        whens = " ".join(
            f"WHEN {typed_literal(source, 'VARCHAR')} THEN {typed_literal(value, 'VARCHAR')}"
            for source, value in values.items()
        )
        return f"(CASE ({raw})::VARCHAR {whens} ELSE ({raw})::VARCHAR END)", "VARCHAR"

    def _absent(
        self,
        name: str,
        stored: str,
        kind: str,
        wanted: str | None,
        required: bool,
        default: Any,
        spellings: list[str],
    ) -> None:
        file = self.source.path.name
        if wanted:
            self.problems.append(
                f"{file}: the mapping reads {name} from column {wanted}, which the file does not have; it has {', '.join(self.source.columns)}"
            )
        elif required:
            self.problems.append(
                f"{file}: column {name} is missing (looked for {', '.join(spellings)}); add it or name it in a --mapping"
            )
        self.columns[stored] = constant(typed_literal(default, kind))

    def _unknown_tiers(self) -> None:
        """Money of a tier we do not know must not vanish: such a column refuses the file until it is mapped or ignored."""
        used = {name.casefold() for name in self.from_source.values()}
        known = {s.casefold() for c in self.rules.columns for s in (c.name, *c.aliases)}
        for name in self.source.columns:
            low = name.casefold()
            looks_paid = low.endswith(("_pay", "_paid", "_payamt", "pay_amt")) and (
                self.rules.fee or self.rules.tiers
            )
            if looks_paid and low not in used | known and name not in self.mapping.ignore:
                self.problems.append(
                    f"{self.source.path.name}: unknown tier column {name}; map it to a column of {self.rules.table}, or list it under ignore in a --mapping"
                )

    @property
    def absent(self) -> list[str]:
        """Optional money columns the file does not have (read as their default)."""
        return [
            c.name
            for c in self.rules.columns
            if c.type == "money"
            and not c.nullable
            and c.name not in self.from_source
            and c.name not in self.mapping.constants
        ]

    @cached_property
    def unfilled(self) -> list[tuple[str, str]]:
        """(condition, reason) for required columns a row leaves empty."""
        return [(f"{c.stored} IS NULL", f"missing({c.name})") for c in self.rules.columns if c.must_fill]

    def codes(self, con: duckdb.DuckDBPyConnection, column: Column) -> list[str] | None:
        """The different values of a code column after conversion, read off the file's own dictionaries; None where
        they are too many, or not text."""
        typed, found = self.columns[column.stored], self.from_source.get(column.name)
        if found is None:
            return [v for (v,) in con.execute(f"SELECT {typed.raw} AS v WHERE v IS NOT NULL").fetchall()]
        values = distinct(self.source.readable, found)
        if values is None or len(values) > MOST_CODES:
            return None
        one = f"SELECT {typed.raw} AS r, {typed.value.replace('{raw}', 'r')} AS v FROM (SELECT unnest($values) AS {quoted(found)})"
        rows = con.execute(
            f"SELECT DISTINCT coalesce(v, {typed.default or 'NULL'}) AS v FROM ({one}) WHERE v IS NOT NULL",
            {"values": values},
        ).fetchall()
        return [v for (v,) in rows] + ([str(column.default)] if column.default is not None else [])

    def select(self, number: int) -> str:
        """Typed rows of this file: place in the delivery, canonical columns, and whether a value could not be converted."""
        numbered = list(enumerate(self.columns.items()))
        filled = ", ".join(
            f"coalesce(v{i}, {t.default}) AS {name}" if t.default else f"v{i} AS {name}"
            for i, (name, t) in numbered
        )
        bad = (
            " OR ".join(f"(r{i} IS NOT NULL AND v{i} IS NULL)" for i, (_, t) in numbered if t.can_fail)
            or "false"
        )
        return f"SELECT {number} AS src_file, src_row, {filled}, ({bad}) AS unreadable FROM ({self._converted(numbered)})"

    def _converted(self, numbered: list[tuple[int, tuple[str, Typed]]], also: str = "") -> str:
        """Step by step, so that no expression stands twice in the text: r<i> as it came, v<i> converted."""
        raw = ", ".join(f"{t.raw} AS r{i}" for i, (_, t) in numbered)
        values = ", ".join(f"{t.value.replace('{raw}', f'r{i}')} AS v{i}" for i, (_, t) in numbered)
        return (
            f"SELECT *, {values} FROM (SELECT file_row_number + 1 AS src_row, {raw}{also} FROM {self._file})"
        )

    def raw_rows(self, number: int) -> str:
        """Quarantined rows as they came: the mapped source columns as JSON, and what could not be converted."""
        fields = ", ".join(quoted(f) for f in dict.fromkeys(self.from_source.values()))
        numbered = list(enumerate(self.columns.items()))
        reasons = (
            ", ".join(
                f"CASE WHEN r{i} IS NOT NULL AND v{i} IS NULL THEN '{t.reason}' END"
                for i, (_, t) in numbered
                if t.can_fail
            )
            or "NULL"
        )
        return (
            f"SELECT src_file, src_row, to_json(came)::VARCHAR AS row, [{reasons}]::VARCHAR[] AS unreadable "
            f"FROM (SELECT {number} AS src_file, * FROM ({self._converted(numbered, f', struct_pack({fields}) AS came')})) "
            "SEMI JOIN waiting USING (src_file, src_row)"
        )

    @property
    def _file(self) -> str:
        return parquet([self.source.readable], row_number=True)


def quoted(name: str) -> str:
    """A source column name as SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def typed_literal(value: Any, kind: str) -> str:
    """A value of a SQL type."""
    return f"{literal(value)}::{kind}"

"""Which source columns of delivered files feed each canonical column, how each is written, and what stands in the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from analytics.intake.contract import Column, Contract, folded
from analytics.intake.gate import Gate, Source
from analytics.intake.mapping import Mapping
from analytics.intake.typing import (
    IDENTIFIERS,
    SERIAL,
    Typed,
    WrongType,
    clean_code,
    code,
    constant,
    convert,
    date_formats,
    shape,
)
from analytics.store import literal, parquet

KEY_TABLES = {"person": "numbers", "certificate": "certificates", "household": "households"}
_SHAPES = 50  # different ways of writing a date that are looked at
_KINDS = {
    "money": "an amount such as 12.50",
    "date": "a date such as 2023-05-31",
    "timestamp": "a time such as 2023-05-31 10:00:00",
    "integer": "a whole number",
    "flag": "true or false",
}
MOST_CODES = 500  # a column with more different values is text


@dataclass(frozen=True)
class Candidate:
    """One source column that may feed a canonical column; `place` numbers it in the SQL."""

    column: Column
    source: str
    typed: Typed
    place: int


class Sources:
    """Source files of one shape: each canonical column from which source columns. `places`: number of each file in its delivery."""

    def __init__(
        self, rules: Contract, sources: Sequence[tuple[int, Source]], mapping: Mapping, gate: Gate
    ) -> None:
        self.rules, self.mapping, self.gate = rules, mapping, gate
        self.places, self.sources = [n for n, _ in sources], [s for _, s in sources]
        self.kinds, self.format = self.sources[0].columns, self.sources[0].format
        self.problems: list[str] = []
        self.candidates: dict[str, list[Candidate]] = {}
        self.constants: dict[str, str] = {}
        self.codes: dict[str, list[str] | None] = {}
        self.converted_dates: list[str] = []
        self.is_mixed = False  # the files must be looked at one by one
        self.folded = {folded(name): name for name in self.kinds}
        self._values = self._code_values()
        for column in rules.columns:
            self._find(column)
        self._unknown_tiers()

    @property
    def name(self) -> str:
        first, others = self.sources[0].path.name, len(self.sources) - 1
        return f"{first} and {others} more" if others else first

    @property
    def rows(self) -> int:
        return sum(source.rows for source in self.sources)

    @property
    def dialect(self) -> str:
        """Which spelling of the record this file has."""
        for known in self.rules.dialect:
            if all(c in self.folded for c in known.has) and not any(c in self.folded for c in known.lacks):
                return known.name
        return ""

    def _refuse(self, text: str, code: str) -> None:
        self.problems.append(f"{self.name}: {text} [{code}]")

    def _find(self, column: Column) -> None:
        if column.name in self.mapping.constants:
            self._constant(column, self.mapping.constant(column.name))
            return
        wanted = self.mapping.columns.get(column.name)
        spellings = [wanted] if wanted else list(column.spellings)
        found = list(
            dict.fromkeys(self.folded[folded(s)] for s in spellings if s and folded(s) in self.folded)
        )
        if not found:
            self._absent(column, wanted)
        elif column.type == "code":
            found = found[:1] if wanted else found
            self._codes(column, found)
        else:
            self.candidates[column.name] = [c for c in (self._read(column, name) for name in found) if c]

    def _constant(self, column: Column, text: str) -> None:
        """A column the mapping fills, read as a text of the file would be."""
        formats = date_formats([shape(text)])[0] if column.type in ("date", "timestamp") else ()
        meant = clean_code(text) if column.type == "code" else text
        typed = convert(column, literal(meant), "VARCHAR", self.mapping.money.scale, formats)
        value = typed.value.replace("{raw}", f"({typed.raw})")
        ((found,),) = self.gate.rows(f"SELECT ({value})::VARCHAR")
        if found is None:
            self._refuse(
                f'the mapping gives {column.name} the constant "{text}", which cannot be read as {_KINDS.get(column.type, column.type)}; write one',
                "mapping",
            )
        elif column.type in KEY_TABLES:
            told = constant(typed_literal(found, "VARCHAR"))
            self.candidates[column.name] = [Candidate(column, "", told, self._next)]
        else:
            self.constants[column.name] = typed_literal(found, column.sql_type)
            self.codes[column.name] = [found]

    @property
    def _next(self) -> int:
        return sum(map(len, self.candidates.values()))

    def _read(self, column: Column, name: str) -> Candidate | None:
        cells = (source.members.get("numbers", {}).get(name) for source in self.sources)
        if column.type in IDENTIFIERS and (cell := next(filter(None, cells), "")):
            self._refuse(
                f"column {name} cell {cell} is a number, and zeros in front of it are gone; format the column as text and fill it from its source again, or deliver CSV",
                "float_id",
            )
            return None
        raw, kind = self._raw(column.name, name)
        place = self._next
        try:
            formats = (
                self._formats(name) if column.type in ("date", "timestamp") and kind == "VARCHAR" else ()
            )
            typed = convert(column, raw, kind, self.mapping.money.scale, formats)
        except WrongType as error:
            code = "float_id" if "identifiers" in str(error) else "wrong_type"
            self._refuse(f"column {name} {error}", code)
            return None
        candidate = Candidate(column, name, typed, place)
        self.candidates.setdefault(column.name, []).append(candidate)
        return candidate

    def _raw(self, canonical: str, name: str) -> tuple[str, str]:
        raw, kind = quoted(name), self.kinds[name]
        values = self.mapping.values.get(canonical)
        if not values:
            return raw, kind
        whens = " ".join(
            f"WHEN {typed_literal(source, 'VARCHAR')} THEN {typed_literal(value, 'VARCHAR')}"
            for source, value in values.items()
        )
        return f"(CASE ({raw})::VARCHAR {whens} ELSE ({raw})::VARCHAR END)", "VARCHAR"

    def _code_values(self) -> dict[str, list[str] | None]:
        """Different values of the text columns that feed code columns; None where there are too many."""
        spelt = {folded(s) for c in self.rules.of_type("code") for s in (*c.spellings, self.mapping.columns.get(c.name, "")) if c.name not in self.mapping.values}  # fmt: skip
        names = [name for name, kind in self.kinds.items() if kind == "VARCHAR" and folded(name) in spelt]
        if not names:
            return {}
        lists = ", ".join(
            f"CASE WHEN count(DISTINCT {quoted(n)}) <= {MOST_CODES} THEN list(DISTINCT {quoted(n)}) END"
            for n in names
        )
        found = self.gate.rows(f"SELECT {lists} FROM {self._file}")[0]
        return {
            name: None if values is None else sorted(v for v in values if v is not None)
            for name, values in zip(names, found, strict=True)
        }

    def _codes(self, column: Column, names: list[str]) -> None:
        """Code columns of few values are cleaned value by value and become numbered codes while they are worked on."""
        found: list[Candidate] = []
        known: list[str] | None = []
        for name in names:
            values = self._values.get(name)
            if values is None:
                candidate = self._read(column, name)
                found += [candidate] if candidate else []
                known = None
                continue
            typed, codes = code(quoted(name), values)
            found.append(Candidate(column, name, typed, self._next))
            self.candidates.setdefault(column.name, []).append(found[-1])
            known = None if known is None else known + codes
        self.candidates[column.name] = found
        default = [str(column.default)] if column.default is not None else []
        self.codes[column.name] = None if known is None else sorted({*known, *default})

    def _formats(self, name: str) -> list[str]:
        """The ways the dates of a text column are written; refuses the file where day and month cannot be told apart."""
        text = f"trim({quoted(name)}, ' ' || chr(9))"
        shapes = [
            str(row[0])
            for row in self.gate.rows(
                f"SELECT DISTINCT translate({text}, '0123456789', '9999999999') FROM {self._file} WHERE {text} <> '' LIMIT {_SHAPES}"
            )
        ]
        found, either, has_serial = date_formats(shapes)
        if len(self.sources) > 1 and (either or has_serial):
            self.is_mixed = True
        elif either:
            misfits = ", ".join(
                f"count(*) FILTER (try_strptime({text}, {literal(form)}) IS NULL)" for form in either
            )
            like = f"regexp_full_match({text}, '[0-9]{{1,2}}[-/.][0-9]{{1,2}}[-/.][0-9]{{4}}.*')"
            counts = self.gate.rows(f"SELECT {misfits} FROM {self._file} WHERE {like}")[0]
            fitting = [form for form, n in zip(either, counts, strict=True) if not n]
            if len(fitting) != 1:
                self._refuse(
                    f"column {name}: day and month of its dates cannot be told apart; deliver dates like 2023-05-31",
                    "ambiguous_date",
                )
            found += fitting[:1]
        if either or SERIAL in found:
            self.converted_dates.append(name)
        return found

    def _absent(self, column: Column, wanted: str | None) -> None:
        if wanted:
            have = ", ".join(self.kinds)
            self._refuse(
                f"the mapping reads {column.name} from column {wanted}, which the file does not have; it has {have}",
                "mapping",
            )
        elif (
            column.required
            and not self._certified(column)
            and not (column.unless_reversal and self._all_negative)
        ):
            looked = ", ".join(column.spellings)
            self._refuse(
                f"column {column.name} is missing (looked for {looked}); add it or name it in a --mapping",
                "column_missing",
            )
        if column.type not in KEY_TABLES:
            self.constants[column.name] = typed_literal(column.default, column.sql_type)
            self.codes[column.name] = [str(column.default)] if column.default is not None else []

    def _certified(self, column: Column) -> bool:
        """A person may be given by certificate alone."""
        other = [s for c in self.rules.of_type("certificate") for s in c.spellings]
        return column.type == "person" and any(folded(s) in self.folded for s in other)

    @cached_property
    def _all_negative(self) -> bool:
        """Whether the file holds refunds only, which lack some columns in the interface form."""
        fee = next((c for c in self.rules.columns if c.name == self.rules.fee), None)
        name = fee and next((self.folded[s] for s in fee.spellings if s in self.folded), None)
        if not name:
            return False
        return bool(
            self.gate.rows(
                f"SELECT coalesce(bool_and(try_cast({quoted(name)} AS DOUBLE) < 0), false) FROM {self._file}"
            )[0][0]
        )

    def _unknown_tiers(self) -> None:
        """Money of a tier we do not know must not vanish: such a column refuses the file until it is mapped or ignored."""
        known = {folded(s) for c in self.rules.columns for s in c.spellings} | {
            folded(c.source) for found in self.candidates.values() for c in found
        }
        for name in self.kinds:
            low = folded(name)
            looks_paid = low.endswith(("_pay", "_paid", "_payamt", "pay_amt")) and (
                self.rules.fee or self.rules.tiers
            )
            if looks_paid and low not in known and name not in self.mapping.ignore:
                self._refuse(
                    f"unknown tier column {name}; map it to a column of {self.rules.table}, or list it under ignore in a --mapping",
                    "unknown_tier",
                )

    @property
    def absent(self) -> list[str]:
        """Optional money columns the file does not have (read as their default)."""
        return [
            c.name
            for c in self.rules.of_type("money")
            if not c.nullable and c.name not in self.candidates and c.name not in self.mapping.constants
        ]

    @property
    def from_source(self) -> dict[str, list[str]]:
        """Canonical column -> the source columns it is read from, in order."""
        return {
            name: [c.source for c in found if c.source]
            for name, found in self.candidates.items()
            if found and not found[0].column.private
        }

    @property
    def was_normalised(self) -> bool:
        """Whether some header is read though it is not written as the contract writes it."""
        plain = {s for c in self.rules.columns for s in c.spellings}
        used = {s for sources in self.from_source.values() for s in sources}
        return any(name not in plain and folded(name) in plain for name in used)

    @cached_property
    def whole_yuan(self) -> int:
        """How many fund columns came as whole yuan while the fee has fen: their fen were cut off on the way."""
        fee = next((c for c in self.candidates.get(self.rules.fee, [])), None)
        if not self.rules.refunds or fee is None or self._is_whole(fee.source):
            return 0
        funds = [
            c[0].source
            for name, c in self.candidates.items()
            if c and name.endswith("_pay") and c[0].column.type == "money"
        ]
        return sum(1 for name in funds if self._is_whole(name) and self._has_money(name))

    def _is_whole(self, name: str) -> bool:
        kind = self.kinds[name]
        if kind == "VARCHAR":
            return not self.gate.rows(
                f"SELECT coalesce(bool_or(contains({quoted(name)}, '.')), false) FROM {self._file}"
            )[0][0]
        return "INT" in kind

    def _has_money(self, name: str) -> bool:
        filled = f"count(*) FILTER (try_cast({quoted(name)} AS DOUBLE) <> 0)"
        return bool(self.gate.rows(f"SELECT {filled} >= {self.rules.batch.whole} FROM {self._file}")[0][0])

    @property
    def _file(self) -> str:
        return parquet([source.readable for source in self.sources], row_number=True)


def quoted(name: str) -> str:
    """A source column name as SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def typed_literal(value: Any, kind: str) -> str:
    """A value of a SQL type."""
    return f"{literal(value)}::{kind}"

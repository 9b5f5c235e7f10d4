"""How delivered files are read: every canonical column converted step by step in SQL.

Files of exactly the same columns and types are read as one, so that a delivery of many files costs no more than a large one.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

from analytics.intake.contract import Column, Contract
from analytics.intake.finding import KEY_TABLES, Candidate, Sources, quoted, typed_literal
from analytics.intake.gate import Gate, Source
from analytics.intake.mapping import Mapping
from analytics.intake.rule import widened


class Reading(Sources):
    """SELECTs of the typed rows of some source files of one shape, and of quarantined rows as they came."""

    @property
    def _place(self) -> str:
        """SQL of the number of the file a row came from."""
        if len(self.places) == 1:
            return str(self.places[0])
        return f"{self.places}[file_index::BIGINT + 1]"

    def select(self) -> str:
        """Typed rows of these files: place in the delivery, canonical columns, and whether a value could not be converted."""
        every = [c for found in self.candidates.values() for c in found]
        bad = " OR ".join(f"(r{c.place} IS NOT NULL AND v{c.place} IS NULL)" for c in every if c.typed.reason)
        clean = " OR ".join(f"(w{c.place} AND v{c.place} IS NOT NULL)" for c in every if c.typed.cleaned)
        blank = " OR ".join(f"b{c.place}" for c in every if self._may_blank(c))
        flags = [
            f"({text or 'false'}) AS {name}"
            for name, text in (("unreadable", bad), ("cleaned", clean), ("blanked", blank))
        ]
        flags += [
            f"{all(part in self.candidates for part in parts)} AS {name}".lower()
            for name, parts in self.rules.whole.items()
        ]
        if self.rules.refunds:
            flags.append(f"{self.whole_yuan} AS whole_yuan")
        values = [self._value(column) for column in self.rules.columns]
        rows = f"SELECT src_file, src_row, {', '.join([v for v in values if v] + flags)} FROM ({self._converted()}) {self._joins()}"
        return self._picked(rows)

    def _value(self, column: Column) -> str:
        found = [f"v{c.place}" for c in self.candidates.get(column.name, [])]
        if column.type == "certificate":
            number = "number_key.key" if self._key("person") else "NULL::BIGINT"
            born = "certificate_key.born" if self._key("certificate") else "NULL::INTEGER"
            return f"{number} AS number_key, {born} AS certificate_born"
        if column.type in ("person", "household"):
            kinds = ("certificate", "person") if column.type == "person" else ("household",)
            keys = [f"{self._key(kind)}.key" for kind in kinds if self._key(kind)]
            return f"coalesce({', '.join([*keys, 'NULL'])})::BIGINT AS {column.stored}"
        if column.name in self.constants:
            return f"{self.constants[column.name]} AS {column.stored}"
        if len(found) > 1 and column.pick != "filled":
            return ", ".join(f"{v} AS {column.name}_{i}" for i, v in enumerate(found))
        default = [typed_literal(column.default, column.sql_type)] if column.default is not None else []
        parts = [*found, *default]
        return (f"coalesce({', '.join(parts)})" if len(parts) > 1 else parts[0]) + f" AS {column.stored}"

    def _key(self, kind: str) -> str:
        """Alias of the joined table of keys of a kind this file gives; empty where it does not."""
        for column in self.rules.of_type(kind):
            if self.candidates.get(column.name):
                return {"person": "number_key", "certificate": "certificate_key", "household": "home_key"}[
                    kind
                ]
        return ""

    def _joins(self) -> str:
        return " ".join(
            f"LEFT JOIN {KEY_TABLES[kind]} AS {self._key(kind)} ON {self._key(kind)}.value = v{self._given(kind).place}"
            for kind in KEY_TABLES
            if self._key(kind)
        )

    def _given(self, kind: str) -> Candidate:
        return next(
            self.candidates[c.name][0] for c in self.rules.of_type(kind) if self.candidates.get(c.name)
        )

    def key_values(self, kind: str) -> str:
        """A SELECT of the different identifiers of a kind in this file; empty where it has none."""
        if not self._key(kind):
            return ""
        c = self._given(kind)
        value = c.typed.value.replace("{raw}", "r")
        return f"SELECT DISTINCT v FROM (SELECT {value} AS v FROM (SELECT {c.typed.raw} AS r FROM {self._file})) WHERE v IS NOT NULL"

    def lost_digits(self, column: str, odd: str) -> list[str]:
        """Where an identifier lost its digits: the first row for which `odd`, SQL of its value `v`, holds. Its digits are not told."""
        lines = []
        for c in self.candidates.get(column, []):
            values = f"SELECT src_file, src_row, v{c.place} AS v FROM ({self._converted()})"
            for file, row, value in self.gate.rows(f"{values} WHERE {odd} ORDER BY ALL LIMIT 1"):
                name = self.sources[self.places.index(file)].path.name
                kept = re.search("E.*|[.]0$", value)
                form = re.sub("[0-9]", "#", value[: kept.start()]) + kept[0] if kept else ""
                lines.append(
                    f"{name}: column {c.source} row {row} holds an identifier like {form}, its digits are lost; deliver it as text [float_id]"
                )
        return lines

    def _picked(self, rows: str) -> str:
        """Where a file carries several spellings of an amount, the row decides; then what follows from other columns."""
        for column in self.rules.columns:
            n = len(self.candidates.get(column.name, []))
            names = [f"{column.name}_{i}" for i in range(n)]
            conflict = f"conflict_{column.name}"
            if column.pick == "nonzero":
                if n < 2:
                    rows = f"SELECT *, false AS {conflict} FROM ({rows})"
                    continue
                filled = ", ".join(f"nullif({name}, 0)" for name in names)
                differ = " OR ".join(f"({a} <> 0 AND {b} <> 0 AND {a} <> {b})" for a in names for b in names if a < b)  # fmt: skip
                rows = f"SELECT * EXCLUDE ({', '.join(names)}), coalesce({filled}, 0) AS {column.stored}, coalesce({differ}, false) AS {conflict} FROM ({rows})"
            elif column.pick == "fits" and n > 1:
                whens = " ".join(
                    f"WHEN {widened(column.fits).replace('{candidate}', name)} THEN {name}" for name in names
                )
                rows = f"SELECT * EXCLUDE ({', '.join(names)}), coalesce(CASE {whens} ELSE coalesce({', '.join(names)}) END, {column.default or 0}) AS {column.stored} FROM ({rows})"
            elif column.derive:
                rows = f"SELECT * REPLACE (coalesce({column.stored}, try_cast({widened(column.derive)} AS {column.sql_type})) AS {column.stored}), {column.stored} IS NULL AS derived_{column.name} FROM ({rows})"
            elif column.unknown:
                rows = f"SELECT * REPLACE (CASE WHEN unknown_{column.name} THEN NULL ELSE {column.stored} END AS {column.stored}) FROM (SELECT *, coalesce({column.unknown}, false) AS unknown_{column.name} FROM ({rows}))"
        return rows

    def _may_blank(self, c: Candidate) -> bool:
        return self.format != "parquet" and self.kinds.get(c.source) == "VARCHAR"

    def _converted(self, source: str = "", also: str = "") -> str:
        """Step by step, so that no expression stands twice in the text: r<i> as it came, v<i> converted."""
        every = [c for found in self.candidates.values() for c in found]
        raw = "".join(f", {c.typed.raw} AS r{c.place}" for c in every)
        raw += "".join(f", {c.typed.cleaned} AS w{c.place}" for c in every if c.typed.cleaned)
        raw += "".join(
            f", coalesce(trim({quoted(c.source)}), '') <> '' AS f{c.place}"
            for c in every
            if self._may_blank(c)
        )
        values = "".join(f", {c.typed.value.replace('{raw}', f'r{c.place}')} AS v{c.place}" for c in every)
        values += "".join(
            f", f{c.place} AND r{c.place} IS NULL AS b{c.place}" for c in every if self._may_blank(c)
        )
        return f"SELECT *{values} FROM (SELECT {self._place} AS src_file, file_row_number + 1 AS src_row{raw}{also} FROM {source or self._file})"

    def raw_rows(self) -> str:
        """Quarantined rows as they came: the mapped source columns as JSON, identifiers as keys, and what did not convert."""
        every = [c for found in self.candidates.values() for c in found]
        hidden = {c.source: "NULL" for kind in KEY_TABLES for col in self.rules.of_type(kind) for c in self.candidates.get(col.name, [])}  # fmt: skip
        hidden |= {
            self._given(kind).source: f"'#' || {self._key(kind)}.key"
            for kind in KEY_TABLES
            if self._key(kind)
        }
        kept = dict.fromkeys(c.source for c in every if c.source and not c.column.private)
        fields = ", ".join(
            f"{quoted(name)} := {hidden.get(name, f'left(came.{quoted(name)}::VARCHAR, 2000)')}"
            for name in kept
        )
        came = ", ".join(quoted(name) for name in kept)
        reasons = (
            ", ".join(
                f"CASE WHEN r{c.place} IS NOT NULL AND v{c.place} IS NULL THEN {c.typed.refusal(f'r{c.place}')} END"
                for c in every
                if c.typed.reason
            )
            or "NULL"
        )
        held = f"(SELECT *, file_index, file_row_number FROM {self._file} SEMI JOIN (SELECT src_file AS place, src_row - 1 AS line FROM waiting) ON place = {self._place} AND line = file_row_number)"
        return (
            f"SELECT src_file, src_row, to_json(struct_pack({fields}))::VARCHAR AS row, [{reasons}]::VARCHAR[] AS unreadable "
            f"FROM ({self._converted(held, f', struct_pack({came}) AS came')}) {self._joins()}"
        )


def readings(rules: Contract, sources: Sequence[Source], mapping: Mapping, gate: Gate) -> list[Reading]:
    """One reading for every shape of file: the same columns of the same types, in the same format. Where the order of day and
    month has to be found out, every file is read on its own evidence.
    """
    shapes: dict[object, list[tuple[int, Source]]] = defaultdict(list)
    for number, source in enumerate(sources, 1):
        shapes[tuple(source.columns.items()), source.format].append((number, source))
    found: list[Reading] = []
    for group in shapes.values():
        together = Reading(rules, group, mapping, gate)
        alone = [Reading(rules, [one], mapping, gate) for one in group] if together.is_mixed else [together]
        found += alone
    return found

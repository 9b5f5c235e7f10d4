"""Files in, a sealed delivery out: canonical partitions, quarantine, and a reconciliation in rows and in fen."""

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Map
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from analytics.intake.contract import Contract, Rule, contract
from analytics.intake.gate import Refused, Source, open_source
from analytics.intake.mapping import Mapping
from analytics.intake.typing import Typed, WrongType, constant, convert
from analytics.store import Folder, Store, literal, parquet, workbench
from analytics.tiers import TIERS

Progress = Callable[[str, int, int], None]
FIRST_ROWS = 50_000  # where codes are looked for first
MOST_CODES = 500  # a column with more different values is text
LOADER = 1  # raise when the same delivery would load differently


def ingest(
    store: Store,
    files: Sequence[Path],
    table: str,
    mapping: Mapping | None = None,
    *,
    synthetic: bool = False,
    progress: Progress | None = None,
) -> Folder:
    """Load files of one canonical table into the store as one delivery.

    The same files with the same mapping give the delivery that is already there. Raises Refused (whole delivery, one
    line per problem) or store.Busy.
    """
    rules = contract(table)
    with store.building() as staging:
        sources = [open_source(Path(path), staging) for path in files]
        sources = [
            s for i, s in enumerate(sources) if s.sha256 not in {t.sha256 for t in sources[:i]}
        ]  # a copy counts once
        inputs = {
            "table": table,
            "loader": LOADER,
            "mapping": mapping.model_dump(mode="json") if mapping else {},
            "inputs": sorted(
                ({"name": s.path.name, "sha256": s.sha256, "rows": s.rows} for s in sources),
                key=lambda row: str(row["sha256"]),
            ),
        }
        for known in store.deliveries():
            if all(known.manifest.get(key) == value for key, value in inputs.items()):
                return known
        plans = [_Reading(rules, source, mapping or Mapping()) for source in sources]
        _refuse_all([line for plan in plans for line in plan.problems])
        earlier = [
            p.path for d in store.deliveries() if d.manifest["table"] == table for p in d.partitions(table)
        ]
        con = workbench(read=[*(s.readable for s in sources), *earlier], write=staging, threads=2)
        try:
            load = _Load(con, rules, plans, earlier, staging, progress or (lambda *_: None))
            facts = {**inputs, "synthetic": synthetic, "grain": rules.grain, **load.run()}
        finally:
            con.close()
        for source in sources:
            if source.readable.parent == staging:
                source.readable.unlink()
        files_out = facts.pop("files")
        return store.seal("deliveries", staging, files_out, facts)


def _refuse_all(lines: list[str]) -> None:
    if lines:
        raise Refused(lines)


class _Reading:
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
                    _constant(mapping.constants[column.name], column.sql_type)
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
                        typed = replace(typed, default=_constant(column.default, column.sql_type))
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
        raw = '"' + found.replace('"', '""') + '"'
        values = self.mapping.values.get(name)
        if not values:
            return raw, kind
        whens = " ".join(
            f"WHEN {_constant(source, 'VARCHAR')} THEN {_constant(value, 'VARCHAR')}"
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
        self.columns[stored] = constant(_constant(default, kind))

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
        fields = ", ".join('"' + f.replace('"', '""') + '"' for f in dict.fromkeys(self.from_source.values()))
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


def _constant(value: Any, kind: str) -> str:
    return f"{literal(value)}::{kind}"


@dataclass
class _Load:
    """The SQL work of one delivery on one connection."""

    con: duckdb.DuckDBPyConnection
    rules: Contract
    plans: list[_Reading]
    earlier: list[Path]
    staging: Path
    progress: Progress

    def run(self) -> dict[str, Any]:
        """Fill the staging folder; returns what the delivery's manifest says."""
        derived = "".join(f", {d.expression} AS {d.name}" for d in self.rules.derived)
        readings = " UNION ALL ".join(plan.select(i) for i, plan in enumerate(self.plans, 1))
        self.progress("read", 0, 3)
        self._type(f"(SELECT *{derived} FROM ({readings}))")
        self.progress("check", 1, 3)
        checks = self._checks()
        reasons = ", ".join(f"CASE WHEN {sql} THEN '{reason}' END" for sql, reason in checks) or "NULL"
        any_bad = " OR ".join(["unreadable", *(f"({sql})" for sql, _ in checks)])
        self._run(
            f"CREATE TABLE waiting AS SELECT src_file, src_row, [{reasons}]::VARCHAR[] AS reasons FROM typed WHERE {any_bad}"
        )
        self._duplicates()
        warnings = self._warnings()
        quarantined = self._quarantine()
        self.progress("write", 2, 3)
        facts = self._reconcile(quarantined)
        files = self._write()
        if quarantined:
            files.append(
                {"table": "quarantine", "name": "quarantine.parquet", "rows": facts["rows_quarantined"]}
            )
        self.progress("write", 3, 3)
        return {**facts, "rules": quarantined + warnings, "files": files}

    def _type(self, source: str) -> None:
        """Create table `typed`. Columns of few values become numbered codes while they are worked on (several times
        faster to sort and write): their values come from the first rows, and from all where those did not hold them all.
        """
        names = self.rules.coded
        for rows in (FIRST_ROWS, 0):
            part = f"(SELECT * FROM {source} LIMIT {rows})" if rows else source
            lists = ", ".join(f"list(DISTINCT {n})" for n in names)
            values = (
                [
                    sorted(v for v in found or [] if v is not None)
                    for found in self._rows(f"SELECT {lists} FROM {part}")[0]
                ]
                if names
                else []
            )
            coded = {n: found for n, found in zip(names, values, strict=True) if 0 < len(found) <= MOST_CODES}
            for name, found in coded.items():
                self._run(
                    f"CREATE OR REPLACE TYPE code_{name} AS ENUM ({', '.join(literal(v) for v in found)})"
                )
            replaced = ", ".join(f"try_cast({n} AS code_{n}) AS {n}" for n in coded)
            lost = (
                " OR ".join(f"({n} IS NOT NULL AND try_cast({n} AS code_{n}) IS NULL)" for n in coded)
                or "false"
            )
            self._run(
                f"CREATE OR REPLACE TABLE typed AS SELECT *{f' REPLACE ({replaced})' if coded else ''}, ({lost}) AS lost FROM {source}"
            )
            if not self._rows("SELECT count(*) FROM typed WHERE lost")[0][0]:
                break

    def _run(self, sql: str) -> None:
        self.con.execute(sql).fetchall()

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.con.execute(sql).fetchall()

    def _checks(self) -> list[tuple[str, str]]:
        """(condition, reason) of everything that sends a row to quarantine."""
        found = list(dict.fromkeys(pair for plan in self.plans for pair in plan.unfilled))
        for rule in self.rules.rules:
            if rule.severity == "quarantine":
                found.append((self._violation(rule), rule.id))
        return found

    def _violation(self, rule: Rule) -> str:
        paid = [c.stored for c in self.rules.columns if c.name.removesuffix("_paid") in {t.id for t in TIERS}]
        slots = {
            "tier_sum": " + ".join(f"coalesce({c}, 0)" for c in paid),
            "tier_min": f"least({', '.join(paid)})",
        }
        if not rule.variants:
            return rule.sql(**slots)
        fits = ", ".join(f"count(*) FILTER (NOT {rule.sql(variant, **slots)})" for variant in rule.variants)
        counts = self._rows(f"SELECT {fits} FROM typed WHERE NOT unreadable")[0]
        return rule.sql(rule.variants[counts.index(max(counts))], **slots)

    def _duplicates(self) -> None:
        """One row per key: the newest version; equal newest versions that differ all wait. A key of an earlier delivery waits."""
        if not self.rules.key:
            return
        key = ", ".join(self.rules.key)
        good = "FROM typed ANTI JOIN waiting USING (src_file, src_row)"
        self._run(f"CREATE TABLE doubled AS SELECT {key} {good} GROUP BY {key} HAVING count(*) > 1")
        reason = f"duplicate_{self.rules.table}_id"
        version = self.rules.version or "NULL"
        amounts = ", ".join(c.stored for c in self.rules.columns if c.type == "money") or "NULL"
        self._run(
            f"INSERT INTO waiting SELECT src_file, src_row, ['{reason}'] FROM ("
            f" SELECT *, count(DISTINCT amounts) FILTER (place = 1) OVER (PARTITION BY {key}) AS kinds FROM ("
            f"  SELECT src_file, src_row, {key}, row({amounts})::VARCHAR AS amounts,"
            f"   rank() OVER (PARTITION BY {key} ORDER BY {version} DESC NULLS LAST) AS place,"
            f"   row_number() OVER (PARTITION BY {key} ORDER BY {version} DESC NULLS LAST, src_file, src_row) AS line"
            f"  {good} SEMI JOIN doubled USING ({key}))) WHERE line > 1 OR kinds > 1"
        )
        if self.earlier:
            self._run(
                f"INSERT INTO waiting SELECT src_file, src_row, ['already_loaded'] {good} "
                f"SEMI JOIN (SELECT {key} FROM {parquet(self.earlier)}) USING ({key})"
            )

    def _warnings(self) -> list[dict[str, Any]]:
        soft = [rule for rule in self.rules.rules if rule.severity == "warn"]
        absent = sorted({name for plan in self.plans for name in plan.absent})
        found = [
            {
                "rule": f"column_absent({name})",
                "severity": "warn",
                "rows": sum(p.source.rows for p in self.plans if name in p.absent),
            }
            for name in absent
        ]
        if soft:
            hits = ", ".join(f"count(*) FILTER ({self._violation(rule)})" for rule in soft)
            counts = self._rows(f"SELECT {hits} FROM typed ANTI JOIN waiting USING (src_file, src_row)")[0]
            found += [
                {"rule": rule.id, "severity": "warn", "rows": n}
                for rule, n in zip(soft, counts, strict=True)
                if n
            ]
        return found

    def _quarantine(self) -> list[dict[str, Any]]:
        """Write the waiting rows with all their reasons; returns rows by reason."""
        if not self._rows("SELECT count(*) FROM waiting")[0][0]:
            return []
        names = {i: plan.source.path.name for i, plan in enumerate(self.plans, 1)}
        files = "MAP {" + ", ".join(f"{i}: {_constant(name, 'VARCHAR')}" for i, name in names.items()) + "}"
        raw = " UNION ALL ".join(plan.raw_rows(i) for i, plan in enumerate(self.plans, 1))
        fee = f", t.{self.rules.fee_fen} AS fee_fen" if self.rules.fee else ", NULL::BIGINT AS fee_fen"
        self._run(
            "CREATE TABLE quarantine AS SELECT "
            f"{files}[r.src_file] AS src_name, r.src_file, r.src_row, list_filter(list_concat(r.unreadable, w.reasons), lambda x: x IS NOT NULL) AS reasons{fee}, r.row "
            f"FROM ({raw}) r JOIN waiting w USING (src_file, src_row) JOIN typed t USING (src_file, src_row)"
        )
        self._copy(
            "SELECT * EXCLUDE (src_file) FROM quarantine ORDER BY src_file, src_row", "quarantine.parquet"
        )
        rows = self._rows(
            "SELECT reason, count(*) FROM (SELECT unnest(reasons) AS reason FROM quarantine) GROUP BY reason ORDER BY reason"
        )
        return [{"rule": reason, "severity": "quarantine", "rows": n} for reason, n in rows]

    def _reconcile(self, quarantined: list[dict[str, Any]]) -> dict[str, Any]:
        """Rows and fee that came, loaded and wait. A fee that cannot be read is counted as rows, never as zero."""
        fee = f"coalesce(sum({self.rules.fee_fen}), 0)::VARCHAR" if self.rules.fee else "NULL"
        rows_in, fee_in = self._rows(f"SELECT count(*), {fee} FROM typed")[0]
        loaded, fee_loaded = self._rows(
            f"SELECT count(*), {fee} FROM typed ANTI JOIN waiting USING (src_file, src_row)"
        )[0]
        waiting, unread = (
            self._rows("SELECT count(*), count(*) FILTER (fee_fen IS NULL) FROM quarantine")[0]
            if quarantined
            else (0, 0)
        )
        if rows_in != sum(p.source.rows for p in self.plans) or loaded + waiting != rows_in:
            raise RuntimeError(f"rows do not reconcile: {rows_in} in, {loaded} loaded, {waiting} quarantined")
        facts = {"rows_in": rows_in, "rows_loaded": loaded, "rows_quarantined": waiting}
        facts["formats"] = sorted({f"{p.source.format} {p.source.encoding}".strip() for p in self.plans})
        facts["dialects"] = sorted(
            {
                d
                for p in self.plans
                for d, column in self.rules.dialects.items()
                if column in map(str.casefold, p.source.columns)
            }
        )
        if not self.rules.fee:
            return facts
        money = {
            "fee_in_fen": int(fee_in),
            "fee_loaded_fen": int(fee_loaded),
            "fee_quarantined_fen": int(fee_in) - int(fee_loaded),
        }
        return {
            **facts,
            **money,
            "fee_unreadable_rows": unread,
            "fen_per_unit": self.plans[0].mapping.money.scale,
        }

    def _copy(self, select: str, name: str) -> None:
        con = self.con.cursor()  # one each: partitions are written side by side
        con.execute(
            f"COPY ({select}) TO {literal(self.staging / name)} (FORMAT parquet, COMPRESSION zstd)"
        ).fetchall()
        con.close()

    def _write(self) -> list[dict[str, Any]]:
        """One file per partition, rows in the contract's order, names of our own making."""
        columns = ", ".join(self.rules.stored)
        good = "FROM typed"
        if self._rows("SELECT count(*) FROM waiting")[0][0]:
            good = "FROM typed ANTI JOIN waiting USING (src_file, src_row)"
        cut, order = self.rules.partition, ", ".join(self.rules.order)
        grouped = (
            f" GROUP BY {', '.join(cut)} ORDER BY {', '.join(f'{c}::VARCHAR' for c in cut)}" if cut else ""
        )
        keys = self._rows(f"SELECT {''.join(f'{c}, ' for c in cut)}count(*) {good}{grouped}")
        work, files = [], []
        for number, (*values, rows) in enumerate(keys, 1):
            if not rows:
                continue
            key: Map[str, Any] = dict(zip(cut, values, strict=True))
            where = (
                " AND ".join(f"{c} = {_constant(v, self.rules.stored[c])}" for c, v in key.items()) or "true"
            )
            name = f"{self.rules.table}-{number:05d}.parquet"
            work.append((f"SELECT {columns} {good} WHERE {where} ORDER BY {order}", name))
            files.append({"table": self.rules.table, "name": name, "rows": rows, **key})
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda item: self._copy(*item), work))
        return files

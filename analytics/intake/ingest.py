"""Files in, a sealed delivery out: canonical partitions, quarantine, and a reconciliation in rows and in fen."""

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Map
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from analytics.intake.contract import Contract, Rule, contract
from analytics.intake.gate import Refused, open_source
from analytics.intake.mapping import Mapping
from analytics.intake.reading import Reading, typed_literal
from analytics.store import FORMAT, Folder, Store, literal, parquet, workbench
from analytics.tiers import TIERS

Progress = Callable[[str, int, int], None]
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
        plans = [Reading(rules, source, mapping or Mapping()) for source in sources]
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


@dataclass
class _Load:
    """The SQL work of one delivery on one connection."""

    con: duckdb.DuckDBPyConnection
    rules: Contract
    plans: list[Reading]
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
        """Create table `typed`. Columns of few values are numbered codes while they are worked on: several times faster
        to sort and write. In the files they are text again.
        """
        coded: dict[str, list[str]] = {d.name: list(d.values) for d in self.rules.derived if d.values}
        for column in self.rules.columns:
            if column.type == "code":
                found = [plan.codes(self.con, column) for plan in self.plans]
                coded[column.name] = (
                    [] if None in found else sorted({v for values in found for v in values or []})
                )
        casts = [
            f"{name}::ENUM({', '.join(map(literal, values))}) AS {name}"
            for name, values in coded.items()
            if values
        ]
        replaced = f" REPLACE ({', '.join(casts)})" if casts else ""
        self._run(f"CREATE TABLE typed AS SELECT *{replaced} FROM {source}")

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
        files = (
            "MAP {" + ", ".join(f"{i}: {typed_literal(name, 'VARCHAR')}" for i, name in names.items()) + "}"
        )
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
        con.execute(f"COPY ({select}) TO {literal(self.staging / name)} ({FORMAT})").fetchall()
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
                " AND ".join(f"{c} = {typed_literal(v, self.rules.stored[c])}" for c, v in key.items())
                or "true"
            )
            name = f"{self.rules.table}-{number:05d}.parquet"
            work.append((f"SELECT {columns} {good} WHERE {where} ORDER BY {order}", name))
            files.append({"table": self.rules.table, "name": name, "rows": rows, **key})
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda item: self._copy(*item), work))
        return files

"""One settlement, one truth: copies and versions, what earlier deliveries hold, refunds and their originals.

What a new delivery undoes of an earlier one is written beside it (`settlement_undone`, `commercial_claim_undone`), cut like the
rows it undoes; sealed deliveries stay as they are, and it does not matter which of two came first.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analytics.intake.contract import Contract
from analytics.intake.finding import typed_literal
from analytics.intake.gate import Gate
from analytics.store import FORMAT, Partition, literal, parquet

if TYPE_CHECKING:
    from analytics.intake.checks import Checks
    from analytics.intake.load import Load

REVERSED = "reversed_claim"
AT_ONCE = 5_000_000  # numbers a hash table of the smallest memory limit holds


def undone(table: str) -> str:
    """Name of the table of what is undone of a table."""
    return f"{table}_undone"


class Versions:
    """Duplicates within a delivery, against earlier ones, and refunds."""

    def __init__(self, gate: Gate, rules: Contract, earlier: Sequence[Partition], load: "Load") -> None:
        self.gate, self.rules, self.load = gate, rules, load
        self.undone = undone(rules.table)
        self.earlier = [p for p in earlier if p.table == rules.table]
        self.gone = [p for p in earlier if p.table == self.undone]  # what earlier deliveries took back
        self.key = ", ".join(rules.unique)
        amounts = rules.money or tuple(c for c in rules.stored if c not in rules.unique)
        self.amounts = f"row({', '.join(amounts)})::VARCHAR"
        # without a version to choose by, every difference counts: which row came first may decide nothing
        told = amounts if rules.version else [c for c in rules.stored if c not in rules.unique]
        self.contents = f"row({', '.join(told)})::VARCHAR"
        self.version = rules.version or "NULL::TIMESTAMP"
        self.mirror = next(
            (r.tolerance for r in rules.rules if r.id == "I8"), 0
        )  # fen two amounts may differ
        self.has_pairs = self.has_met = False

    def within(self) -> None:
        """Of the versions in this delivery the newest stays, whatever may be wrong with it, and is judged; the others are
        set aside. Equal newest versions of different amounts all wait: nobody can tell which is right.
        """
        if not self.rules.unique:
            return
        if self.rules.reversal:
            self._take_back()
        self._find_doubled()
        if not self.gate.rows("SELECT count(*) FROM doubled")[0][0]:
            return
        newest = f"{self.version} DESC NULLS LAST" + (
            ", rid DESC NULLS LAST" if any(c.name == "rid" for c in self.rules.columns) else ""
        )
        self.load.hold(
            f"SELECT src_file, src_row, CASE WHEN place = 1 AND kinds > 1 THEN 'waits' ELSE 'set_aside' END,"
            f" [CASE WHEN place = 1 AND kinds > 1 THEN 'Q1_conflict' ELSE 'Q1' END] FROM ("
            f" SELECT *, count(DISTINCT amounts) FILTER (place = 1) OVER (PARTITION BY {self.key}) AS kinds FROM ("
            f"  SELECT src_file, src_row, {self.key}, {self.contents} AS amounts,"
            f"   rank() OVER (PARTITION BY {self.key} ORDER BY {self.version} DESC NULLS LAST) AS place,"
            f"   row_number() OVER (PARTITION BY {self.key} ORDER BY {newest}, src_file, src_row) AS line"
            f"  FROM (SELECT * FROM {self.load.good}) SEMI JOIN doubled USING ({self.key})))"
            f" WHERE line > 1 OR kinds > 1 AND place = 1"
        )

    def _take_back(self) -> None:
        """Table `reversed`: keys this delivery is the first to take back. No row of a key taken back loads."""
        known = f"SELECT {self.key} FROM {parquet(p.path for p in self.gone)}" if self.gone else ""
        self.gate.run(
            f"CREATE TABLE reversed AS SELECT DISTINCT {self.key} FROM typed{f' ANTI JOIN ({known}) USING ({self.key})' if known else ''}"
            f" WHERE {self.rules.reversal} AND {self.key} IS NOT NULL"
        )
        every = f"SELECT {self.key} FROM reversed{f' UNION ALL {known}' if known else ''}"
        self.load.hold(
            f"SELECT src_file, src_row, 'set_aside', [{literal(REVERSED)}] FROM typed SEMI JOIN ({every}) USING ({self.key})"
        )

    def _find_doubled(self) -> None:
        """Table `doubled`: numbers that came more than once, looked for among so many rows at once as memory holds."""
        rows = self.gate.rows("SELECT count(*) FROM typed")[0][0]
        parts = -(-rows // AT_ONCE) or 1
        for part in range(parts):
            mine = f" WHERE hash({self.key}) % {parts} = {part}" if parts > 1 else ""
            into = "INSERT INTO doubled" if part else "CREATE TABLE doubled AS"
            self.gate.run(
                f"{into} SELECT {self.key} FROM {self.load.good}{mine} GROUP BY {self.key} HAVING count(*) > 1"
            )

    def _held(self, columns: str) -> str:
        """SELECT of earlier rows; the keys that are not stored are computed again."""
        derived = "".join(f", {d.expression} AS {d.name}" for d in self.rules.derived if d.transient and d.name in self.rules.unique)  # fmt: skip
        return f"SELECT {columns} FROM (SELECT *{derived} FROM {parquet(p.path for p in self.earlier)})"

    def against(self) -> None:
        """A newer version of a settlement an earlier delivery holds supersedes it; anything else of it does not load."""
        if not (self.rules.unique and self.earlier) or self.rules.newest:
            return
        place = "city, plan_year" if self.rules.version else "NULL AS city, NULL AS plan_year"
        held = self._held(
            f"{self.key}, {self.version} AS held_version, {self.amounts} AS held_amounts, {place}"
        )
        self.gate.run(
            f"CREATE TABLE met AS SELECT t.src_file, t.src_row, {self.version} AS version, {self.amounts} AS amounts, {self.key},"
            f" h.* EXCLUDE ({self.key}) FROM ({held}) h JOIN (SELECT * EXCLUDE (city, plan_year) FROM {self.load.good}) t USING ({self.key})"
            if self.rules.version
            else f"CREATE TABLE met AS SELECT t.src_file, t.src_row, NULL::TIMESTAMP AS version, {self.amounts} AS amounts, {self.key},"
            f" h.held_version, h.held_amounts FROM ({held}) h JOIN (SELECT * FROM {self.load.good}) t USING ({self.key})"
        )
        self.has_met = self.gate.rows("SELECT count(*) FROM met")[0][0] > 0
        if not self.has_met:
            return
        never = "TIMESTAMP '0001-01-01'"
        self.gate.run(
            f"CREATE TABLE judged AS SELECT src_file, src_row, coalesce(any_value(version), {never}) AS mine, coalesce(max(held_version), {never}) AS theirs,"
            f" bool_or(amounts = held_amounts AND coalesce(version, {never}) = coalesce(held_version, {never})) AS same FROM met GROUP BY ALL"
        )
        self.load.hold(
            "SELECT src_file, src_row, CASE WHEN mine = theirs AND NOT same THEN 'waits' ELSE 'set_aside' END,"
            " [CASE WHEN mine < theirs THEN 'Q1' WHEN same THEN 'already_loaded' ELSE 'Q1_conflict' END] FROM judged WHERE mine <= theirs"
        )

    def write(self, staging: Path, checks: "Checks") -> list[dict[str, Any]]:
        """Write what this delivery undoes, one file per city and plan year of what is undone."""
        if self.rules.reversal:
            held = self._held(f"{self.key}, city, plan_year") if self.earlier else ""
            place = (
                f"LEFT JOIN ({held}) USING ({self.key})"
                if held
                else ", (SELECT NULL AS city, NULL::INTEGER AS plan_year)"
            )
            self.gate.run(
                f"CREATE TABLE undone AS SELECT DISTINCT {self.key}, city::VARCHAR AS city, plan_year FROM reversed {place}"
            )
            return self._undone(staging, self.key)
        if not self.rules.refunds:
            return []
        self._pair(checks)
        money = ", ".join(self.rules.money)
        selects = []
        if self.has_pairs:
            selects.append(
                f"SELECT o_setl_id AS setl_id, o_version AS updt_time, CASE WHEN mirror THEN 'refunded' ELSE 'partly_refunded' END AS kind, setl_id AS by_setl_id, plan_year AS by_plan_year, version AS by_updt_time, {money}, o_city AS city, o_plan_year AS plan_year FROM pairs"
            )
        if self.has_met:
            nothing = ", ".join(f"NULL::INTEGER AS {name}" for name in self.rules.money)
            selects.append(
                f"SELECT setl_id, held_version AS updt_time, 'superseded' AS kind, setl_id AS by_setl_id, NULL::INTEGER AS by_plan_year, NULL::TIMESTAMP AS by_updt_time, {nothing}, city, plan_year FROM met JOIN judged USING (src_file, src_row) WHERE mine > theirs AND NOT is_negative"
            )
        if not selects:
            return []
        self.gate.run(
            f"CREATE TABLE undone AS SELECT DISTINCT * FROM ({' UNION ALL BY NAME '.join(selects)})"
        )
        return self._undone(staging, "setl_id, updt_time, kind, by_setl_id")

    def _undone(self, staging: Path, order: str) -> list[dict[str, Any]]:
        """Table `undone` as files; one without a place takes back what has not come yet, and meets it when it comes."""
        files, work = [], []
        cells = self.gate.rows(
            "SELECT city::VARCHAR, plan_year, count(*) FROM undone GROUP BY ALL ORDER BY ALL"
        )
        for number, (city, year, rows) in enumerate(cells, 1):
            name = f"{self.undone}-{number:05d}.parquet"
            where = f"city IS NOT DISTINCT FROM {typed_literal(city, 'VARCHAR')} AND plan_year IS NOT DISTINCT FROM {typed_literal(year, 'INTEGER')}"
            work.append(
                f"COPY (SELECT * EXCLUDE (city, plan_year) FROM undone WHERE {where} ORDER BY {order}) TO {literal(str(staging / name))} ({FORMAT})"
            )
            files.append({"table": self.undone, "name": name, "rows": rows, "city": city, "plan_year": year})
        self.gate.run_all(work)
        return files

    def _pair(self, checks: "Checks") -> None:
        """Refunds and originals: by the number the refund names, by its own number, or by the stay and the mirrored fee."""
        fee, money = self.rules.fee_fen, ", ".join(self.rules.money)
        fresh = self.gate.rows(f"SELECT count(*) FROM {self.load.good} WHERE is_negative")[0][0]
        kept = f"setl_id, init_setl_id, mdtrt_id, {self.version} AS version, city::VARCHAR AS city, plan_year, {money}"
        old = "row_kind = 'reversal'"
        held = self._held(kept + ", row_kind") if self.earlier else ""
        if not fresh and not (held and self.gate.rows(f"SELECT count(*) FROM ({held}) WHERE {old}")[0][0]):
            checks.found("Q3", 0, 0)
            return
        self.gate.run(
            f"CREATE TABLE refunds AS SELECT {kept}, true AS fresh FROM {self.load.good} WHERE is_negative"
            + (
                f" UNION ALL BY NAME SELECT * EXCLUDE (row_kind), false AS fresh FROM ({held}) WHERE {old}"
                if held
                else ""
            )
        )
        self.gate.run("CREATE TABLE wanted AS SELECT coalesce(init_setl_id, setl_id) AS setl_id FROM refunds")
        self.gate.run(
            "CREATE TABLE stays AS SELECT mdtrt_id FROM refunds WHERE init_setl_id IS NULL AND mdtrt_id IS NOT NULL"
        )
        near = "SELECT {kept}, {fresh} AS fresh FROM {source} WHERE NOT {negative}"
        sources = [near.format(kept=kept, fresh="true", source=self.load.good, negative="is_negative")]
        if held:
            sources.append(
                f"SELECT * EXCLUDE (row_kind), false AS fresh FROM ({held}) WHERE row_kind <> 'reversal'"
            )
        every = " UNION ALL BY NAME ".join(f"({s})" for s in sources)
        self.gate.run(
            f"CREATE TABLE originals AS SELECT * FROM ({every}) SEMI JOIN wanted USING (setl_id)"
            f" UNION SELECT * FROM ({every}) SEMI JOIN stays USING (mdtrt_id)"
        )
        mirror = " AND ".join(
            f"coalesce(abs(r.{m} + o.{m}) <= {self.mirror}, true)"
            for m in self.rules.money
            if m != "rounding_resid_fen"
        )
        chosen = f"r.*, o.setl_id AS o_setl_id, o.version AS o_version, o.city AS o_city, o.plan_year AS o_plan_year, o.fresh AS o_fresh, {mirror} AS mirror"
        self.gate.run(
            f"CREATE TABLE named AS SELECT {chosen} FROM refunds r JOIN originals o ON o.setl_id = coalesce(r.init_setl_id, r.setl_id)"
        )
        self.gate.run(
            f"CREATE TABLE pairs AS SELECT * FROM named WHERE fresh OR o_fresh UNION ALL SELECT * EXCLUDE (n) FROM ("
            f" SELECT {chosen}, count(DISTINCT o.setl_id) OVER (PARTITION BY r.setl_id) AS n FROM (SELECT * FROM refunds ANTI JOIN named USING (setl_id)) r"
            f" JOIN originals o ON o.mdtrt_id = r.mdtrt_id AND o.{fee} = -r.{fee} WHERE r.init_setl_id IS NULL) WHERE n = 1 AND (fresh OR o_fresh)"
        )
        self.has_pairs = True
        counts = self.gate.rows(
            "SELECT count(DISTINCT setl_id), count(DISTINCT setl_id) FILTER (NOT mirror) FROM pairs WHERE fresh"
        )[0]
        checks.found("Q3", counts[0], fresh)
        checks.found("I8", counts[1], counts[0])
        checks.found("Q4", fresh - counts[0], fresh)
        lost = self.gate.rows(
            f"SELECT coalesce(sum({fee}::DOUBLE), 0)::BIGINT FROM refunds ANTI JOIN pairs USING (setl_id) WHERE fresh"
        )
        checks.findings["Q4"].fee_fen = lost[0][0]

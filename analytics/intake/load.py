"""The SQL work of one delivery: typed rows, checks, one place for every row, canonical files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analytics.intake import limits
from analytics.intake.checks import Checks
from analytics.intake.contract import ICD, Contract
from analytics.intake.finding import KEY_TABLES, typed_literal
from analytics.intake.gate import Gate, Refused
from analytics.intake.note import Note
from analytics.intake.pseudonyms import BAD, OTHER, RAISED, Secret
from analytics.intake.reading import Reading
from analytics.intake.rule import Finding
from analytics.intake.versions import REVERSED, Versions
from analytics.intake.written import write
from analytics.plans import load_plans
from analytics.store import FORMAT, Partition, literal

KINDS = {"person": "number", "certificate": "certificate", "household": "household"}
PLACE = "src_file, src_row"
_LOST = "(contains({v}, 'E+') OR contains({v}, '.0')) AND regexp_full_match({v}, '[0-9]([.][0-9]+)?E[+][0-9][0-9]|[0-9]{6,}[.]0')"


@dataclass
class Load:
    """One delivery on the engine of its gate. `run` fills the staging folder and says what the manifest holds."""

    gate: Gate
    rules: Contract
    readings: Sequence[Reading]
    earlier: Sequence[Partition]
    staging: Path
    secret: Secret
    note: Note | None
    signed: bool
    report: Any
    corrects: Mapping[str, Any] | None = None  # rows picked because they were bad: no share is taken of them
    checks: Checks = field(init=False)
    waits: bool = False

    def run(self) -> dict[str, Any]:
        """Raises Refused when the delivery as a whole is not accepted."""
        self.checks = Checks(self.gate, self.rules, self.readings, self.corrects)
        self.report("read", 0, 3)
        self._keys()
        self._type()
        self.report("check", 1, 3)
        self._lost_digits()
        self._money_unit()
        versions = Versions(self.gate, self.rules, self.earlier, self)
        versions.within()
        self._check()
        versions.against()
        files = versions.write(self.staging, self.checks)
        waiting = self._quarantine()
        facts = self._reconcile()
        if not (self.signed or self.corrects):
            limits.check(self, facts, self._where)
        self.report("write", 2, 3)
        held, self.waits = self.waits, False
        if held:  # what stays is written partition by partition, without looking who waits each time
            self.gate.run(
                "DELETE FROM typed USING waiting WHERE typed.src_file = waiting.src_file AND typed.src_row = waiting.src_row"
            )
        files += write(self)
        if held:
            files.append(
                {"table": "quarantine", "name": "quarantine.parquet", "rows": facts["rows_quarantined"]}
            )
        self.report("write", 3, 3)
        self._asked(facts["rows_in"])
        facts["rules"] = self.checks.hits(waiting) + self._absent()
        facts["checks"] = [f.as_dict() for f in self.checks.findings.values()]
        return {**facts, "files": files}

    @property
    def good(self) -> str:
        """FROM text of the rows nothing holds back."""
        return f"typed ANTI JOIN waiting USING ({PLACE})" if self.waits else "typed"

    def hold(self, select: str) -> None:
        """Rows (src_file, src_row, state, reasons) that do not load."""
        self.gate.run(f"INSERT INTO waiting {select}")
        self.waits = self._one("SELECT count(*) FROM waiting") > 0

    def _one(self, sql: str) -> Any:
        return self.gate.rows(sql)[0][0]

    def _keys(self) -> None:
        """A table (value, key, state) of pseudonyms for each kind of identifier."""
        for kind, name in KEY_TABLES.items():
            selects = [s for s in (r.key_values(kind) for r in self.readings) if s]
            if selects:
                self.gate.keys(
                    " UNION ".join(selects), name, KINDS[kind], self.secret, again=bool(self.corrects)
                )
                doubled = self._one(
                    f"SELECT count(DISTINCT value) - count(DISTINCT key) FROM {name} WHERE key IS NOT NULL AND state = 'ok' AND NOT starts_with(value, '#')"
                )
                if doubled and kind != "certificate":
                    raise Refused(
                        [
                            f"{doubled} pseudonyms stand for two identifiers; add a key to the secret and deliver again [key]"
                        ]
                    )

    def _type(self) -> None:
        """Create table `typed`. Columns of few values are numbered codes while they are worked on: several times faster
        to sort and write. In the files they are text again.
        """
        coded: dict[str, list[str]] = {d.name: list(d.values) for d in self.rules.derived if d.values}
        for column in self.rules.of_type("code"):
            found = [reading.codes.get(column.name) for reading in self.readings]
            coded[column.name] = (
                [] if None in found else sorted({v for values in found for v in values or []})
            )
        casts = [
            f"{name}::ENUM({', '.join(map(literal, values))}) AS {name}"
            for name, values in coded.items()
            if values
        ]
        replaced = f" REPLACE ({', '.join(casts)})" if casts else ""
        slots = {"{product_year}": _product_year()} if self.rules.table == "commercial_claim" else {}
        derived = ""
        for extra in self.rules.derived:
            text = extra.expression
            for slot, value in slots.items():
                text = text.replace(slot, value)
            derived += f", {text} AS {extra.name}"
        readings, all_but = " UNION ALL BY NAME ".join(r.select() for r in self.readings), ""
        if code := next((d.icd for d in self.rules.derived if d.icd), ""):
            readings, all_but = (
                f"SELECT *, left(upper({code}), 3) AS {ICD} FROM ({readings})",
                f" EXCLUDE ({ICD})",
            )
        self.gate.run(
            f"CREATE TABLE typed AS SELECT *{all_but}{replaced} FROM (SELECT *{derived} FROM ({readings}))"
        )
        self.gate.run(
            "CREATE TABLE waiting (src_file INTEGER, src_row BIGINT, state VARCHAR, reasons VARCHAR[])"
        )

    def _lost_digits(self) -> None:
        """An identifier like 3.30106E+17 went through a spreadsheet and is no identifier any more."""
        places = [(name, "value", c.name) for kind, name in KEY_TABLES.items() for c in self.rules.of_type(kind) if any(r.key_values(kind) for r in self.readings)]  # fmt: skip
        places += [("typed", c.stored, c.name) for c in self.rules.of_type("id") if not c.transient]
        for table, column, name in places:
            if self.gate.rows(f"SELECT 1 FROM {table} WHERE {_LOST.replace('{v}', column)} LIMIT 1"):
                odd = _LOST.replace("{v}", "v")
                raise Refused([line for r in self.readings for line in r.lost_digits(name, odd)])

    def _money_unit(self) -> None:
        """Amounts that are all whole and far too large were delivered in fen: ask, never rescale."""
        if not self.rules.refunds or self.corrects or (self.note and self.note.money_unit == "fen"):
            return
        fee = self.rules.fee_fen
        if self.readings[0].mapping.money.scale != 100 or self._one(
            f"SELECT coalesce(bool_or({fee} % 100 <> 0), true) FROM typed"
        ):
            return
        middle = self._one(f"SELECT median(abs({fee})) FROM typed WHERE care_type = 'inpatient'")
        if middle and float(middle) > self.rules.batch.inpatient_fee:
            raise Refused(
                [
                    f'{self._where}: all amounts are whole and the median inpatient fee is {float(middle) / 100:,.0f} yuan; if they are fen, say so: [money] scale = 1 in a --mapping, or money_unit = "fen" in the --note [money_unit]'
                ]
            )

    @property
    def _where(self) -> str:
        return ", ".join(r.name for r in self.readings)

    def _check(self) -> None:
        aside = self.checks.conditions("set_aside")
        if aside:
            self._hold_where(aside, "set_aside")
        rows = self._one(f"SELECT count(*) FROM {self.good}")
        held = [("unreadable", ""), *self._unfilled(), *self._abroad()]
        hits = self.checks.run(self.good, rows, [sql for sql, _ in held])
        self._file_findings(rows)
        fee = (
            self._one(f"SELECT coalesce(sum({self.rules.fee_fen}::DOUBLE), 0)::BIGINT FROM {self.good}")
            if self.rules.fee
            else 0
        )
        if not self.corrects:
            self.checks.refuse(self.good, rows, fee, self._where)
        if hits:
            self._hold_where([*held, *self.checks.conditions("quarantine")], "waits")

    def _hold_where(self, conditions: Sequence[tuple[str, str]], state: str) -> None:
        any_of = " OR ".join(f"({sql})" for sql, _ in conditions)
        reasons = ", ".join(
            f"CASE WHEN {sql} THEN {literal(reason)} END" for sql, reason in conditions if reason
        )
        self.hold(
            f"SELECT {PLACE}, {literal(state)}, [{reasons or 'NULL'}]::VARCHAR[] FROM {self.good} WHERE {any_of}"
        )

    def _unfilled(self) -> list[tuple[str, str]]:
        """(condition, reason) for required columns a row leaves empty."""
        return [
            (f"{c.stored} IS NULL{' AND NOT is_negative' if c.unless_reversal else ''}", f"missing({c.name})")
            for c in self.rules.columns
            if c.must_fill and not c.transient
        ]

    def _abroad(self) -> list[tuple[str, str]]:
        """Persons insured outside the jurisdiction the sender declares."""
        if not (self.note and self.note.jurisdiction and "city" in self.rules.stored):
            return []
        inside = "|".join(code[:4] for code in self.note.jurisdiction)
        return [(f"NOT contains('|{inside}|', '|' || left(city, 4) || '|')", "Q26")]

    def _file_findings(self, rows: int) -> None:
        """What is seen on a file or on its identifiers rather than on a row."""
        found = self.checks.found
        found("Q16", sum(r.rows for r in self.readings if r.converted_dates), rows)
        found("Q29", sum(r.rows for r in self.readings if r.was_normalised), rows)
        alone = [c.name for c in self.rules.of_type("code") for r in self.readings if len(r.codes.get(c.name) or []) == 1 and r.candidates.get(c.name)]  # fmt: skip
        found("Q22", len(alone), rows if rows >= self.rules.batch.rows else 0)
        if any(r.key_values("certificate") for r in self.readings):
            self._certificates()
        if self._abroad():
            sql, reason = self._abroad()[0]
            found(reason, self._one(f"SELECT count(*) FILTER ({sql}) FROM {self.good}"), rows)

    def _certificates(self) -> None:
        states = dict(self.gate.rows("SELECT state, count(*) FROM certificates GROUP BY state"))
        every = sum(states.values())
        limit = self.rules.batch
        if every >= limit.rows and states.get(BAD, 0) > limit.ids * every:
            raise Refused(
                [
                    f"{self._where}: {states[BAD]} of {every} certificate numbers fail their check digit; a spreadsheet has cut their last digits, deliver them as text [float_id]"
                ]
            )
        self.checks.found("Q19", states.get(RAISED, 0), every)
        self.checks.found("Q19_bad", states.get(BAD, 0) + states.get(OTHER, 0), every)
        pairs = "SELECT DISTINCT person_key, number_key FROM typed WHERE number_key <> person_key"
        for rule, one in (("Q21", "person_key"), ("Q21_number", "number_key")):
            several = f"SELECT 1 FROM ({pairs}) GROUP BY {one} HAVING count(*) > 1"
            self.checks.found(rule, self._one(f"SELECT count(*) FROM ({several})"), every)

    def _absent(self) -> list[dict[str, Any]]:
        names = sorted({name for r in self.readings for name in r.absent})
        return [
            {
                "rule": f"column_absent({name})",
                "severity": "warn",
                "rows": sum(r.rows for r in self.readings if name in r.absent),
            }
            for name in names
        ]

    def _quarantine(self) -> dict[str, int]:
        """Write the waiting rows with all their reasons; returns rows by reason."""
        if not self.waits:
            return {}
        names = "MAP {" + ", ".join(f"{i}: {typed_literal(s.path.name, 'VARCHAR')}" for r in self.readings for i, s in zip(r.places, r.sources, strict=True)) + "}"  # fmt: skip
        raw = " UNION ALL BY NAME ".join(r.raw_rows() for r in self.readings)
        fee = f"t.{self.rules.fee_fen}" if self.rules.fee else "NULL::BIGINT"
        # a cell that could not be read is not empty as well
        echo = "coalesce(list_contains([concat('missing(', split_part(u, '(', 2)) FOR u IN r.unreadable IF u IS NOT NULL], x), false)"
        self.gate.run(
            "CREATE TABLE quarantine AS SELECT "
            f"{names}[w.src_file] AS src_name, w.src_file, w.src_row, w.state, list_filter(list_concat(r.unreadable, w.reasons), lambda x: x IS NOT NULL AND NOT {echo}) AS reasons, {fee} AS fee_fen, r.row "
            f"FROM typed t JOIN waiting w USING ({PLACE}) JOIN (SELECT * FROM ({raw}) SEMI JOIN waiting USING ({PLACE})) r USING ({PLACE})"
        )
        self.copy(f"SELECT * EXCLUDE (src_file) FROM quarantine ORDER BY {PLACE}", "quarantine.parquet")
        reasons = self.gate.rows(
            f"SELECT reason, count(*), {'coalesce(sum(fee_fen::DOUBLE), 0)::BIGINT' if self.rules.fee else 'NULL'} FROM (SELECT unnest(reasons) AS reason, fee_fen FROM quarantine) GROUP BY reason ORDER BY reason"
        )
        for reason, rows, fee_fen in reasons:
            finding = self.checks.findings.get(reason) or Finding(
                reason, "conformance", "quarantine", "found", rows
            )
            if rows >= finding.rows:  # fewer wait than were found where some were accepted
                finding.status, finding.rows, finding.fee_fen = "found", rows, fee_fen
            self.checks.findings[reason] = finding
        return {reason: rows for reason, rows, _ in reasons}

    def _asked(self, rows: int) -> None:
        """Rules that decide over rows before the others are counted were asked of every row."""
        compared = {"Q1", "Q1_conflict", REVERSED} | (
            {"already_loaded"} if self.earlier and not self.rules.newest else set()
        )
        for rule in self.rules.rules:
            decided = rule.violation and rule.severity == "set_aside" and self.checks.applies(rule)
            if decided or rule.id in compared:
                self.checks.found(rule.id, self.checks.findings[rule.id].rows, rows)

    def _reconcile(self) -> dict[str, Any]:
        """Rows and fee that came, loaded, were set aside and wait; `quarantined`: all that did not load. A fee that cannot be read is counted as rows, never as zero."""
        fee = f"coalesce(sum({self.rules.fee_fen}::HUGEINT), 0)::VARCHAR" if self.rules.fee else "NULL"
        rows_in, fee_in = self.gate.rows(f"SELECT count(*), {fee} FROM typed")[0]
        loaded, fee_loaded = self.gate.rows(f"SELECT count(*), {fee} FROM {self.good}")[0]
        held, aside, unread = (
            self.gate.rows(
                "SELECT count(*), count(*) FILTER (state = 'set_aside'), count(*) FILTER (fee_fen IS NULL) FROM quarantine"
            )[0]
            if self.waits
            else (0, 0, 0)
        )
        if rows_in != sum(r.rows for r in self.readings) or loaded + held != rows_in:
            raise RuntimeError(f"rows do not reconcile: {rows_in} in, {loaded} loaded, {held} quarantined")
        corrected, fee_corrected = self.checks.corrected(self.good)
        facts = {
            "rows_in": rows_in,
            "rows_loaded": loaded,
            "rows_quarantined": held,
            "rows_set_aside": aside,
            "rows_waiting": held - aside,
            "rows_corrected": corrected,
            "variants": dict(self.checks.variant),
        }
        if not self.rules.fee:
            return facts
        return {
            **facts,
            "fee_in_fen": int(fee_in),
            "fee_loaded_fen": int(fee_loaded),
            "fee_corrected_fen": fee_corrected,
            "fee_quarantined_fen": int(fee_in) - int(fee_loaded),
            "fee_unreadable_rows": unread,
            "fen_per_unit": self.readings[0].mapping.money.scale,
        }

    def copy(self, select: str, name: str) -> None:
        """Write rows into a file of the staging folder."""
        self.gate.run(f"COPY ({select}) TO {literal(str(self.staging / name))} ({FORMAT})")


def _product_year() -> str:
    """SQL of the product year a day of care belongs to: by the plan's own period where it is not the calendar year."""
    day = "coalesce(incurred_date, claim_date, pay_date)"
    whens = [
        f"WHEN left(insu_admdvs, 4) = {literal(city[:4])} AND {day} BETWEEN DATE '{plan.period.start}' AND DATE '{plan.period.end}' THEN {year}"
        for (city, year), plan in sorted(load_plans().items())
        if plan.period
    ]
    return (
        f"CASE {' '.join(whens)} ELSE extract(year FROM {day}) END" if whens else f"extract(year FROM {day})"
    )

"""Rules run over the typed rows: every rule once, with what it found and for how many rows it was asked."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any

from analytics import reference
from analytics.intake.contract import Contract
from analytics.intake.gate import Gate, Refused
from analytics.intake.reading import Reading
from analytics.intake.rule import WAITING, Finding, Rule
from analytics.store import literal
from analytics.tiers import TIERS

LISTED = {"insurance_type": ("insutype", 3), "care_type": ("med_type", 2)}  # code column, digits that count
CHINA = timezone(timedelta(hours=8))  # whose clock the times of a delivery tell
_SWAP = ("hifp_pay_fen", "fund_pay_sumamt_fen")


def today() -> date:
    """The day a delivery is handed in, where its days are counted."""
    return datetime.now(CHINA).date()


class Checks:
    """The rules of one delivery. `findings` holds what came of each, by rule."""

    def __init__(
        self,
        gate: Gate,
        rules: Contract,
        readings: Sequence[Reading],
        corrects: Mapping[str, Any] | None = None,
    ) -> None:
        self.gate, self.rules, self.readings = gate, rules, readings
        self.findings: dict[str, Finding] = {}
        again = corrects or {"variants": {}, "files": ()}
        self.variant: dict[str, str] = dict(again["variants"])
        self.waived = {part["name"]: part["waived"] for part in again["files"]}
        paid = [c.stored for c in rules.columns if c.name.removesuffix("_paid") in {t.id for t in TIERS}]
        self.slots = {
            "tier_sum": " + ".join(f"coalesce({c}, 0)" for c in paid),
            "tier_min": f"least({', '.join(paid)})",
            "unlisted": self._unlisted(),
            "today": f"{literal(str(today()))}::DATE",
        }

    def _unlisted(self) -> str:
        """SQL of the rows whose insurance or care type stands in no code list; from the codes the files hold."""
        found = []
        for derived in (d for d in self.rules.derived if d.name in LISTED):
            column, width = LISTED[derived.name]
            known = reference.listed(derived.map)
            came = [reading.codes.get(column) for reading in self.readings]
            if None in came:
                text = f"'|' || left({column}, {width}) || '|'"
                found.append(f"{derived.name} = 'other' AND NOT contains('|{'|'.join(known)}|', {text})")
                continue
            odd = {code for codes in came for code in codes or [] if code[:width] not in known}
            found += [f"{column} = {literal(code)}" for code in sorted(odd)]
        return " OR ".join(found) or "false"

    def applies(self, rule: Rule) -> bool:
        """Whether the files have the columns a rule needs."""
        return all(
            any(name in r.candidates for r in self.readings for name in one.split("|")) for one in rule.needs
        )

    def conditions(self, *severities: str) -> list[tuple[str, str]]:
        """(SQL condition, rule id) of the applicable rules of these severities."""
        return [
            (self._objection(rule), rule.id)
            for rule in self.rules.rules
            if rule.severity in severities and rule.violation and self.applies(rule)
        ]

    def _objection(self, rule: Rule) -> str:
        """The rule's condition, but for the files whose rows were accepted in spite of it."""
        numbers = [
            str(i)
            for r in self.readings
            for i, s in zip(r.places, r.sources, strict=True)
            if rule.id in self.waived.get(s.path.name, ())
        ]
        text = self.violation(rule)
        return (
            f"({text} AND NOT contains('|{'|'.join(numbers)}|', '|' || src_file || '|'))" if numbers else text
        )

    def violation(self, rule: Rule) -> str:
        """The rule's condition; of its variants the one that fits most rows."""
        if not rule.variants:
            return rule.sql(**self.slots)
        if rule.id not in self.variant:
            fits = ", ".join(
                f"count(*) FILTER (NOT {rule.sql(variant, **self.slots)})" for variant in rule.variants
            )
            counts = self.gate.rows(f"SELECT {fits} FROM typed WHERE NOT unreadable")[0]
            self.variant[rule.id] = rule.variants[counts.index(max(counts))]
        return rule.sql(self.variant[rule.id], **self.slots)

    def run(self, source: str, rows: int, also: Sequence[str]) -> int:
        """Count every rule over `source` (FROM text) of so many rows; set-aside rules are counted by the loader. Returns
        how often rules that hold rows back, or one of the conditions `also`, were met.
        """
        asked = [r for r in self.rules.rules if r.violation and r.severity != "set_aside"]
        applicable = [r for r in asked if self.applies(r)]
        for rule in self.rules.rules:  # not asked is not passed
            self.findings[rule.id] = Finding(rule.id, rule.category, rule.severity, "not_applicable")
        asked_sql = (
            [self.violation(r) for r in applicable] + [r.when for r in applicable if r.when] + list(also)
        )
        counts = list(
            self.gate.rows(f"SELECT {', '.join(f'count(*) FILTER ({a})' for a in asked_sql)} FROM {source}")[
                0
            ]
        )
        checked = iter(counts[len(applicable) :])
        for rule, n in zip(applicable, counts, strict=False):
            self.found(rule.id, n, next(checked) if rule.when else rows)
        self._fees(source, [r for r in applicable if self.findings[r.id].rows])
        held = sum(self.findings[r.id].rows for r in applicable if r.severity in WAITING)
        return int(held + sum(counts[len(counts) - len(also) :]))

    def corrected(self, source: str) -> tuple[int, int]:
        """How many rows of `source` were loaded other than they came, and their fee, fen."""
        found = [
            r
            for r in self.rules.rules
            if r.severity == "correct" and r.violation and self.findings[r.id].rows
        ]
        if not found:
            return 0, 0
        fee = f"coalesce(sum({self.rules.fee_fen}::DOUBLE), 0)::BIGINT" if self.rules.fee else "0"
        any_of = " OR ".join(self.violation(r) for r in found)
        rows, fen = self.gate.rows(f"SELECT count(*), {fee} FROM {source} WHERE {any_of}")[0]
        return int(rows), int(fen)

    def found(self, rule: str, rows: int, checked: int) -> None:
        """Note what a rule found."""
        finding = self.findings[rule]
        finding.rows, finding.checked = rows, checked
        finding.status = "found" if rows else "passed" if checked else "not_applicable"

    def _fees(self, source: str, hit: Sequence[Rule]) -> None:
        if not hit or not self.rules.fee:
            return
        sums = ", ".join(
            f"coalesce(sum({self.rules.fee_fen}::DOUBLE) FILTER ({self.violation(r)}), 0)::BIGINT"
            for r in hit
        )
        for rule, fee in zip(hit, self.gate.rows(f"SELECT {sums} FROM {source}")[0], strict=True):
            self.findings[rule.id].fee_fen = fee

    def refuse(self, source: str, rows: int, fee_fen: int, where: str) -> None:
        """Raises Refused where a finding says that the file is read wrongly as a whole."""
        if rows < self.rules.batch.rows:
            return
        lines = []
        for rule in self.rules.rules:
            finding = self.findings[rule.id]
            if (
                rule.limit is not None
                and finding.fee_fen
                and abs(finding.fee_fen) > rule.limit * abs(fee_fen)
            ):
                share = abs(finding.fee_fen) / abs(fee_fen)
                lines.append(
                    f"{where}: {rule.id} {rule.title.en}: {share:.1%} of the fee; add the codes to a [values] part of a --mapping [{rule.refusal}]"
                )
        broken = [r for r in self.rules.rules if r.identity and self.findings[r.id].rows]
        if broken:
            any_of = " OR ".join(self.violation(r) for r in broken)
            bad = self.gate.rows(f"SELECT count(*) FILTER ({any_of}) FROM {source}")[0][0]
            if bad > self.rules.batch.mapping * rows:
                told = ", ".join(f"{r.id} {self.findings[r.id].rows}" for r in broken)
                lines.append(
                    f"{where}: {bad} of {rows} rows break the accounting identities ({told}){self._lacking(broken)}{self._swapped(source, rows)}; columns are missing or mapped wrongly: deliver them, or name the right ones in a --mapping [mapping_fault]"
                )
        if lines:
            raise Refused(lines)

    def _lacking(self, broken: Sequence[Rule]) -> str:
        """Which columns of the broken identities a file does not have: a fund that paid and has no column breaks the sum."""
        asked = " ".join(self.violation(rule) for rule in broken)
        absent = sorted({name for r in self.readings for name in r.absent if f"{name}_fen" in asked})
        return f"; not in the file and read as 0: {', '.join(absent)}" if absent else ""

    def _swapped(self, source: str, rows: int) -> str:
        rule = next((r for r in self.rules.rules if r.id == "I2"), None)
        if rule is None or not self.findings["I2"].rows:
            return ""
        text, (a, b) = self.violation(rule), _SWAP
        text = text.replace(a, "{a}").replace(b, a).replace("{a}", b)
        still = self.gate.rows(f"SELECT count(*) FILTER ({text}) FROM {source}")[0][0]
        return f"; {a[:-4]} and {b[:-4]} look exchanged" if still <= self.rules.batch.mapping * rows else ""

    def hits(self, waiting: Mapping[str, int]) -> list[dict[str, Any]]:
        """Rows by rule, for rules that found any; `waiting`: reasons of the quarantined rows."""
        known = {r.id: r for r in self.rules.rules}
        told = [
            {
                "rule": reason,
                "severity": known[reason].severity if reason in known else "quarantine",
                "rows": n,
            }
            for reason, n in waiting.items()
        ]
        return told + [
            {"rule": f.rule, "severity": f.severity, "rows": f.rows}
            for f in self.findings.values()
            if f.rows and f.severity not in WAITING and f.severity != "info"
        ]

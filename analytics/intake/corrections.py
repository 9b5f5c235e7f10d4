"""Corrections: what became of the rows that wait in quarantine, and the file that says what to do with them.

    delivery = "<id>"                           # whose rows
    who = "..."
    [[fix]]
    rows = [{file = "a.csv", rows = [2, 5]}]    # or rule = "I3": all rows waiting for it; with both, these rows for it
    action = "set"                              # set, accept or drop
    column = "psn_part_amt"                     # set: the file's own column, or the canonical one
    from = "4657.07"                            # set: what stands there now
    to = "4152.06"
    reason = "..."

A correction is a delivery of its own: rows that are set or accepted are loaded again through the same `ingest`, all rules
asked again (`accept` silences the rule named, in the rows named), and its manifest says under `corrects` which rows of which
delivery it decides. Sealed deliveries stay as they are, so a quarantined row has one of these states:

    open        it waits, and no delivery decides it
    fixed       a later delivery took it up: it is loaded there, or waits there under a number of its own
    dropped     a later delivery says that it is not to be loaded
    set_aside   a rule decided it when it came (copies, older versions, test institutions)

So every row of a store is counted once: the rows that came are `rows_in` of the deliveries that correct nothing, and they are
all `rows_loaded` plus all rows open, dropped and set aside; a fixed row is found again in `rows_in` of the delivery that took
it up. The fee adds up the same way, but for what corrections changed in it: `fee_in_fen` less `corrects.fee_fen`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from analytics.intake.contract import contract, folded
from analytics.intake.forms import read_form
from analytics.intake.gate import Refused
from analytics.intake.note import Note
from analytics.reference import Form
from analytics.store import Engine, Folder, Store

OPEN, FIXED, DROPPED, ASIDE = STATES = ("open", "fixed", "dropped", "set_aside")
ACCEPTABLE = ("plausibility", "accounting")  # a value that cannot be read or is missing cannot be accepted
_SHOWN = 5  # rows named in one line
Place = tuple[str, int]  # file and row


# --- the state of quarantined rows


def _decided(deliveries: Sequence[Folder]) -> Iterator[tuple[str, Place, str, str]]:
    """Delivery, place, state and deciding delivery of every row a correction decides."""
    for by in deliveries:
        corrects = by.manifest.get("corrects") or {"files": (), "dropped": ()}
        for state, parts in ((FIXED, corrects["files"]), (DROPPED, corrects["dropped"])):
            for part in parts:
                yield from ((corrects["delivery"], (part["file"], row), state, by.id) for row in part["rows"])


def counts(store: Store) -> dict[str, dict[str, int]]:
    """Quarantined rows of every delivery by state, read off the manifests."""
    deliveries = store.deliveries()
    taken = Counter((delivery, state) for delivery, _, state, _ in _decided(deliveries))
    told = {}
    for d in deliveries:
        aside = d.manifest["rows_set_aside"]
        fixed, dropped = taken[d.id, FIXED], taken[d.id, DROPPED]
        left = d.manifest["rows_quarantined"] - aside - fixed - dropped
        told[d.id] = {OPEN: left, FIXED: fixed, DROPPED: dropped, ASIDE: aside}
    return told


def waiting(
    store: Store, delivery: str = "", rule: str = "", limit: int | None = None
) -> list[dict[str, Any]]:
    """Quarantined rows {delivery, table, src_name, src_row, state, reasons, fee_fen, row}, of all deliveries or of one, for
    all reasons or for one, at most `limit` of each delivery; those set aside come last. `row`: the mapped source columns
    as texts, identifiers as `#<pseudonym>`. `fee_fen`: in units of its delivery (`fen_per_unit`), None where unreadable.
    """
    deliveries = store.deliveries()
    state = {(whose, *place): state for whose, place, state, _ in _decided(deliveries)}
    found = []
    for d in deliveries:
        parts = d.partitions("quarantine")
        if not parts or delivery not in ("", d.id):
            continue
        for part in parts:
            part.check()
        where = " WHERE list_contains(reasons, $rule)" if rule else ""
        most = f" LIMIT {limit}" if limit is not None else ""
        sql = f"SELECT src_name, src_row, state, reasons, fee_fen, row FROM quarantine{where} ORDER BY state DESC, src_name, src_row{most}"
        rows = Engine({"quarantine": [p.path for p in parts]}, threads=1).ask(
            sql, {"rule": rule} if rule else None
        )
        for row in rows.iter_rows(named=True):
            place = (d.id, row["src_name"], row["src_row"])
            now = ASIDE if row["state"] == ASIDE else state.get(place, OPEN)
            head = {"delivery": d.id, "table": d.manifest["table"]}
            found.append({**head, **row, "state": now, "row": json.loads(row["row"])})
    return found


# --- the file


class Rows(Form):
    """Rows of one file, numbered as in quarantine: the first below the header is 1."""

    file: str
    rows: tuple[int, ...] = Field(min_length=1)


class Fix(Form):
    """One decision; see the head of this module."""

    action: Literal["set", "accept", "drop"]
    reason: str
    rows: tuple[Rows, ...] = ()
    rule: str = ""
    column: str = ""
    before: str | None = Field(default=None, alias="from")
    to: str | None = None

    @property
    def places(self) -> list[Place]:
        return [(part.file, row) for part in self.rows for row in part.rows]

    def faults(self) -> Iterator[str]:
        """What is wrong with the entry by itself."""
        if not self.reason.strip():
            yield "reason is empty; say why"
        if not self.rows and not self.rule:
            yield "names no row; give rows, or a rule they wait for"
        given = (bool(self.column), self.before is not None, self.to is not None)
        if self.action == "set" and not all(given):
            yield "set needs column, from and to"
        if self.action != "set" and any(given):
            yield f"{self.action} takes neither column nor from nor to"


class Fixes(Form):
    """A corrections file: what to do with rows of one delivery, and who says so."""

    delivery: str
    who: str
    fix: tuple[Fix, ...] = Field(min_length=1)


def load_fixes(path: Path) -> Fixes:
    """Read a corrections file. Raises Refused with every problem of its form."""
    return read_form(Fixes, path, "correction")


# --- from the file to rows


@dataclass
class Decision:
    """What is to become of one row: source column -> new text, rules accepted, or nothing at all."""

    row: dict[str, Any]
    to: dict[str, str] = field(default_factory=dict)
    waived: set[str] = field(default_factory=set)
    dropped: bool = False


@dataclass(frozen=True)
class Work:
    """What a corrections file comes to: files to load again (none where all is dropped) and what the manifest says of it."""

    origin: Folder
    files: tuple[Path, ...]
    corrects: dict[str, Any]

    @property
    def note(self) -> Note | None:
        """What still holds of the sender's note when some of the rows come again."""
        note = self.origin.manifest["note"]
        return Note(jurisdiction=note["jurisdiction"], money_unit=note["money_unit"]) if note else None


def agree(store: Store, fixes: Fixes, name: str, folder: Path) -> Work:
    """Check a corrections file against the store and write the corrected rows into `folder`. Raises Refused with one line
    per problem when the file `name` does not match what waits.
    """
    origin = next((d for d in store.deliveries() if d.id == fixes.delivery), None)
    if origin is None:
        what = f"delivery {fixes.delivery!r:.40} is not in this store; `jianfu quality` names them"
        raise Refused([f"{name}: {what} [correction]"])
    origin.check()
    desk = _Desk(store, origin)
    for number, fix in enumerate(fixes.fix, 1):
        desk.apply(number, fix)
    lines = [f"{name}: {line} [correction]" for line in desk.lines()]
    if not fixes.who.strip():
        lines.insert(0, f"{name}: who is empty; say who decides [correction]")
    if lines:
        raise Refused(lines)
    return _work(origin, fixes, desk.decisions, folder)


class _Desk:
    """The open rows of one delivery, and what the entries of a corrections file say about them."""

    def __init__(self, store: Store, origin: Folder) -> None:
        self.origin, self.rules = origin, contract(origin.manifest["table"])
        self.rows: dict[Place, list[dict[str, Any]]] = {}
        for row in waiting(store, origin.id):
            self.rows.setdefault((row["src_name"], row["src_row"]), []).append(row)
        self.by = {place: by for whose, place, _, by in _decided(store.deliveries()) if whose == origin.id}
        self.decisions: dict[Place, Decision] = {}
        self.problems: dict[tuple[int, str], list[Place]] = {}

    def lines(self) -> Iterator[str]:
        """One line per problem, with the rows that have it."""
        for (number, text), places in self.problems.items():
            shown = ", ".join(f"{file} row {row}" for file, row in places[:_SHOWN])
            more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
            yield f"fix {number}: {shown}{more}{': ' if places else ''}{text}"

    def _problem(self, number: int, text: str, *places: Place) -> None:
        self.problems.setdefault((number, text), []).extend(places)

    def apply(self, number: int, fix: Fix) -> None:
        """Note what an entry says, and what stands against it."""
        for fault in fix.faults():
            self._problem(number, fault)
        for place in fix.places or self._of_rule(number, fix.rule):
            text = self._closed(place, fix.rule)
            if not text:
                row = self.rows[place][0]
                text = self._say(fix, row, self.decisions.setdefault(place, Decision(row)))
            if text:
                self._problem(number, text, place)

    def _of_rule(self, number: int, rule: str) -> list[Place]:
        if not rule:
            return []
        every = {place: row["state"] for place, (row, *_) in self.rows.items() if rule in row["reasons"]}
        found = [place for place, state in every.items() if state == OPEN]
        if not found:
            decided = any(state in (FIXED, DROPPED) for state in every.values())
            what = (
                f"every row that waited for {rule} is decided already"
                if decided
                else f"no row waits for {rule}"
            )
            self._problem(number, what)
        return found

    def _closed(self, place: Place, rule: str) -> str:
        """Why nothing can be decided about a row; empty when it is open."""
        found = self.rows.get(place, [])
        if not found:
            return "does not wait in this delivery"
        if len(found) > 1:
            return "two files of the delivery have this name; correct them at the source"
        state, reasons = found[0]["state"], ", ".join(found[0]["reasons"])
        if state in (FIXED, DROPPED):
            return f"is already {state} by delivery {self.by[place]}"
        if state == ASIDE:
            return f"was set aside ({reasons}) and does not wait"
        return "" if not rule or rule in found[0]["reasons"] else f"waits for {reasons}, not for {rule}"

    def _say(self, fix: Fix, row: Mapping[str, Any], decision: Decision) -> str:
        """Add an entry to a decision; returns what stands against it."""
        if decision.dropped != (fix.action == "drop") and (
            decision.dropped or decision.to or decision.waived
        ):
            return "is dropped by one entry and corrected by another"
        if fix.action == "drop":
            decision.dropped = True
        elif fix.action == "accept":
            asked = [fix.rule] if fix.rule else row["reasons"]
            if firm := [reason for reason in asked if not self._acceptable(reason)]:
                return f"{', '.join(firm)} cannot be accepted; set the value, or drop the row"
            decision.waived.update(asked)
        else:
            return self._set(fix, row, decision)
        return ""

    def _acceptable(self, reason: str) -> bool:
        rule = next((r for r in self.rules.rules if r.id == reason), None)
        return rule is not None and rule.severity == "quarantine" and rule.category in ACCEPTABLE

    def _set(self, fix: Fix, row: Mapping[str, Any], decision: Decision) -> str:
        feeds = self.origin.manifest["columns"][row["src_name"]]
        own = [name for name in row["row"] if folded(name) == folded(fix.column)]
        found = own or feeds.get(fix.column, [])
        if len(found) != 1:
            what = (
                f"is read from {', '.join(found)}; name one of them"
                if found
                else "is no column of the file that is read"
            )
            return f"column {fix.column} {what}"
        stands, to = row["row"][found[0]] or "", fix.to or ""
        if stands != fix.before:
            return f"column {found[0]} holds {stands!r:.60}, not {fix.before!r:.60}"
        if decision.to.setdefault(found[0], to) != to:
            return f"column {found[0]} is set to two values"
        return ""


def _work(origin: Folder, fixes: Fixes, decisions: Mapping[Place, Decision], folder: Path) -> Work:
    """One Parquet file of texts for each delivered file and set of accepted rules."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    again: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    gone: dict[str, list[int]] = {}
    fee = {False: 0, True: 0}
    for (file, number), decision in sorted(decisions.items()):
        rows = gone.setdefault(file, []) if decision.dropped else again.setdefault((file, tuple(sorted(decision.waived))), [])  # fmt: skip
        rows.append(number)
        fee[decision.dropped] += decision.row["fee_fen"] or 0
    paths, parts = [], []
    for n, ((file, waived), rows) in enumerate(again.items(), 1):
        part = {"name": f"corrected-{n:05d}.parquet", "file": file, "rows": rows, "waived": list(waived)}
        texts = [{**decisions[file, row].row["row"], **decisions[file, row].to} for row in rows]
        table = pa.table({name: pa.array([t[name] for t in texts], pa.string()) for name in texts[0]})
        # its origin is part of the file: equal rows of two files must not pass for one file that came twice
        table = table.replace_schema_metadata({"corrects": json.dumps([origin.id, part])})
        pq.write_table(table, folder / str(part["name"]))
        paths.append(folder / str(part["name"]))
        parts.append(part)
    corrects = {
        "delivery": origin.id,
        "who": fixes.who,
        "reasons": list(dict.fromkeys(fix.reason for fix in fixes.fix)),
        "files": parts,
        "dropped": [{"file": file, "rows": rows} for file, rows in gone.items()],
        "fee_fen": fee[False],
        "dropped_fee_fen": fee[True],
        "variants": origin.manifest["variants"],
    }
    return Work(origin, tuple(paths), corrects)


# --- into the store


def still_open(deliveries: Sequence[Folder], corrects: Mapping[str, Any]) -> None:
    """Under the store's lock: raises Refused when another correction was quicker."""
    mine = {(p["file"], row) for p in (*corrects["files"], *corrects["dropped"]) for row in p["rows"]}
    for whose, place, state, by in _decided(deliveries):
        if whose == corrects["delivery"] and place in mine:
            raise Refused([f"{place[0]} row {place[1]}: is already {state} by delivery {by} [correction]"])


def drop(store: Store, work: Work) -> Folder:
    """Seal a delivery without rows that says which rows are dropped."""
    was = work.origin.manifest
    kept = {key: was[key] for key in ("table", "loader", "mapping", "key", "synthetic", "grain", "variants")}
    zero = {key: 0 for key in was if key.startswith(("rows_", "fee_"))}
    none: dict[str, Any] = {key: [] for key in ("inputs", "formats", "dialects", "rules", "checks")}
    unit = {"fen_per_unit": was["fen_per_unit"]} if "fen_per_unit" in was else {}
    said = {"note": None, "sign_off": None, "columns": {}, "corrects": work.corrects}
    with store.building() as staging:
        still_open(store.deliveries(), work.corrects)
        return store.seal("deliveries", staging, [], {**kept, **zero, **none, **unit, **said})

"""Files in, a sealed delivery out: canonical partitions, quarantine, and a reconciliation in rows and in fen."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analytics.intake.contract import Contract, contract, other_fit
from analytics.intake.corrections import still_open
from analytics.intake.gate import Gate, Refused, Source, allowed_seconds
from analytics.intake.load import Load
from analytics.intake.mapping import Mapping as Columns
from analytics.intake.mapping import Money
from analytics.intake.note import Note
from analytics.intake.pseudonyms import SYNTHETIC, Secret
from analytics.intake.reading import Reading, readings
from analytics.intake.versions import undone
from analytics.store import Folder, Store

Progress = Callable[[str, int, int], None]
LOADER = 5  # raise when the same delivery would load differently


def ingest(
    store: Store,
    files: Sequence[Path],
    table: str,
    mapping: Columns | None = None,
    *,
    secret: Secret = SYNTHETIC,
    note: Note | None = None,
    note_name: str = "",
    sign_off: Mapping[str, str] | None = None,
    corrects: Mapping[str, Any] | None = None,
    synthetic: bool = False,
    progress: Progress | None = None,
) -> Folder:
    """Load files of one canonical table into the store as one delivery.

    The same files with the same mapping give the delivery that is already there. `secret` makes the pseudonyms;
    `sign_off` (reason, who) lets a batch over the limits in; `corrects` says which quarantined rows the files repair.
    Raises Refused (whole delivery, one line per problem) or store.Busy.
    """
    if not files:
        raise Refused(["no file was given; name the files of the delivery [no_file]"])
    rules = contract(table)
    report = progress or (lambda *_: None)
    with store.building() as staging, Gate(staging, seconds=allowed_seconds(files)) as gate:
        opened = _opened(gate, files, note, note_name)
        different = {s.sha256: s for s in reversed(opened)}  # a copy counts once: the first of its content
        sources = [s for s in opened if different[s.sha256] is s]
        mapping = mapping or Columns()
        if note and note.money_unit == "fen" and mapping.money.scale == 100:
            mapping = mapping.model_copy(update={"money": Money(scale=1)})
        inputs = _inputs(rules, sources, mapping, note, secret, corrects)
        known = store.deliveries()
        turn = _turn(rules, known, corrects)
        for delivery in known:
            overtaken = not corrects and delivery.manifest.get("turn", 0) + 1 < turn
            if _same(delivery.manifest, inputs) and not overtaken:
                store.tell("held", delivery.id, delivery.manifest)
                return delivery
        _one_secret(known, secret, synthetic)
        if corrects:
            still_open(known, corrects)
        names = (table, undone(table)) if rules.reversal else (table,)
        earlier = [p for d in known for name in names for p in d.partitions(name)]
        for part in earlier:  # compared with row by row
            part.check()
        gate.start_engine([*(s.readable for s in sources), *(p.path for p in earlier)])
        gate.progress(lambda part: report("work", int(part * 100), 100))
        groups = readings(rules, sources, mapping, gate)
        problems = [line for reading in groups for line in (*_other_table(reading), *reading.problems)]
        if problems:
            raise Refused(problems)
        load = Load(gate, rules, groups, earlier, staging, secret, note, bool(sign_off), report, corrects)
        facts = {**inputs, "synthetic": synthetic, "grain": rules.grain, **load.run()}
        spoken = {s.sha256: r.dialect for r in groups for s in r.sources}
        facts |= {
            "formats": sorted({f"{s.format} {s.encoding}".strip() for s in sources}),
            "dialects": sorted({r.dialect for r in groups if r.dialect}),
            "inputs": [{**f, "dialect": spoken[f["sha256"]]} for f in inputs["inputs"]],
            "columns": {s.path.name: r.from_source for r in groups for s in r.sources},
            "rules": [*facts["rules"], *_warnings(opened, sources, groups, note)],
            "sign_off": dict(sign_off) if sign_off else None,
            **({"turn": turn} if turn else {}),
        }
        gate.close()
        files_out = facts.pop("files")
        return store.seal("deliveries", staging, files_out, facts)


def _opened(gate: Gate, files: Sequence[Path], note: Note | None, note_name: str) -> list[Source]:
    """Every file opened by the gate, all problems at once."""
    sources: list[Source] = []
    problems: list[str] = []
    for path in files:
        try:
            sources.append(gate.open(Path(path)))
        except Refused as refused:
            problems += refused.lines
            if any("[jail]" in line for line in refused.lines):
                break  # the child is gone
    if problems:
        raise Refused(problems)
    if note:
        note.check(note_name, sources)
    return sources


def _other_table(reading: Reading) -> list[str]:
    """Where columns are missing that another table would not miss: the line that names it."""
    missing = any(line.endswith("[column_missing]") for line in reading.problems)
    other = other_fit(reading.rules, reading.folded, 1) if missing else ""
    title = contract(other).title if other else None
    return [f"{reading.name}: its columns are those of {other} ({title.zh}, {title.en}), not of {reading.rules.table}; hand it in with --as {other} [other_table]"] if title else []  # fmt: skip


def _warnings(
    opened: Sequence[Source], sources: Sequence[Source], groups: Sequence[Reading], note: Note | None
) -> list[dict[str, Any]]:
    """What is seen on whole files: columns of another table, a copy of another file, and a last row that may be cut short, where
    no digest of the note says that it is whole.
    """
    names = {s.path for s in sources}
    found = {f"same_file({s.path.name})": s.rows for s in opened if s.path not in names}
    read = {r: "" if r.mapping.columns else other_fit(r.rules, r.folded, 2) for r in groups}
    found |= {f"looks_like({r.name}: {other})": r.rows for r, other in read.items() if other}
    digests = {f.sha256.lower() for f in note.file} if note else set()
    cut = (s for s in sources if s.members.get("unended") and s.sha256 not in digests)
    found |= {f"no_line_end({s.path.name}:{s.rows})": 1 for s in cut}
    return [{"rule": rule, "severity": "warn", "rows": rows} for rule, rows in found.items()]


def _inputs(
    rules: Contract,
    sources: Sequence[Source],
    mapping: Columns,
    note: Note | None,
    secret: Secret,
    corrects: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What decides a delivery: the same inputs give the same delivery."""
    return {
        "table": rules.table,
        "loader": LOADER,
        "mapping": mapping.model_dump(mode="json"),
        "inputs": sorted(
            (
                {
                    "name": s.path.name,
                    "sha256": s.sha256,
                    "rows": s.rows,
                    "format": s.format,
                    "encoding": s.encoding,
                }
                for s in sources
            ),
            key=lambda row: str(row["sha256"]),
        ),
        "note": note.model_dump(mode="json") if note else None,
        "key": {"id": secret.id, "algorithm": secret.algorithm},
        "corrects": dict(corrects) if corrects else None,
    }


def _turn(rules: Contract, known: Sequence[Folder], corrects: Mapping[str, Any] | None) -> int:
    """Where the newest delivery counts: which of its table this one is, from 1 on; a correction has that of what it corrects.
    0 for the other tables, of which it does not matter which came first.
    """
    turns = {d.id: d.manifest.get("turn", 0) for d in known if d.manifest["table"] == rules.table}
    if not rules.newest:
        return 0
    return turns[corrects["delivery"]] if corrects else 1 + max(turns.values(), default=0)


def _same(manifest: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Whether a delivery was made of these inputs; what a file turned out to be is not one of them."""
    files = [{key: f[key] for key in f if key != "dialect"} for f in manifest["inputs"]]
    return all(({**manifest, "inputs": files}).get(key) == value for key, value in inputs.items())


def _one_secret(known: Sequence[Folder], secret: Secret, synthetic: bool) -> None:
    """All real deliveries of a store hang on one secret, or their persons could not be joined; invented ones have theirs."""
    ids = {d.manifest["key"]["id"] for d in known if d.manifest["synthetic"] == synthetic}
    if ids - {secret.id}:
        raise Refused(
            ["this store was keyed with another secret; use that one (--key), or a store of its own [key]"]
        )

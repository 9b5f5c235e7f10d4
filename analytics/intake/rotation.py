"""Key rotation: every pseudonym of a store becomes the HMAC of the old one under a key that is new in its secret.

How a killed run leaves either the old store or the new one, with a secret that fits it:
1. The secret file is written first, by one rename: the keys it had, and one more. `key_of` finds which of its keys a store
   hangs on, so that the old store stays usable with the new file, as do the other stores that share it; each is brought
   along by its own run, which adds no further key.
2. The deliveries are written anew, and the snapshot is built, in a store of its own in staging; the next builder removes it.
3. `Store.take_over` puts it in place in one step, and removes the old deliveries and snapshots.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from analytics.intake.contract import KEYED, contract
from analytics.intake.gate import Refused
from analytics.intake.pseudonyms import KEY_BYTES, Secret, key_maker, load_secret, write_secret
from analytics.store import FORMAT, Folder, Partition, Store, literal, parquet, workbench

Progress = Callable[[str, int, int], None]
COLUMNS = ("person_key", "household_key", "number_key")
_TABLES = {
    "person_alias": ("person_key", "number_key"),
    "settlement_undone": (),
    "commercial_claim_undone": (),
}
_BATCH = 100_000


def key_of(secret: Secret, deliveries: Sequence[Folder]) -> Secret:
    """The part of a secret the pseudonyms of these deliveries hang on: all its keys, or those it had when they came."""
    ids = {d.manifest["key"]["id"] for d in deliveries}
    shorter = (Secret(secret.algorithm, secret.keys[:n]) for n in range(1, len(secret.keys)))
    return next((s for s in shorter if s.id in ids), secret)


def rotated(path: Path, deliveries: Sequence[Folder]) -> tuple[Secret, Secret]:
    """The secret these deliveries hang on, and the one they are to hang on, which the file `path` holds from now on. A key
    is added unless they are behind the file already: then another store rotated it, or a run was killed. Raises Refused.
    """
    with FileLock(path.with_name(path.name + ".lock")):  # two stores may share it
        try:
            secret = load_secret(path)
        except ValueError as error:
            raise Refused([str(error)]) from error
        old = key_of(secret, deliveries)
        if any(d.manifest["key"]["id"] != old.id for d in deliveries):
            raise Refused([f"{path}: not the secret of this store; name the right one with --key [key]"])
        new = secret if secret != old else secret.rotated()
        if new != secret:
            write_secret(path, new)
    return old, new


def rekey(store: Store, fresh: Store, old: Secret, new: Secret, progress: Progress) -> None:
    """Write every delivery of `store` into the empty store `fresh`, with the keys `new` has more than `old`. Under the lock
    of `store`. Raises Refused (two pseudonyms would meet, a corrected delivery is gone) or store.Damaged.
    """
    deliveries = store.deliveries()
    for delivery in deliveries:
        delivery.check()
    named = {d.id: c["delivery"] for d in deliveries if (c := d.manifest.get("corrects"))}
    if gone := set(named.values()) - {d.id for d in deliveries}:
        raise Refused(
            [f"{store.path}: delivery {min(gone)} is gone, but others correct it; restore it [key]"]
        )
    turn = _Turn(store, fresh, new, len(old.keys))
    ids: dict[str, str] = {}
    while len(ids) < len(deliveries):
        for d in deliveries:  # a correction names the new id of what it corrects, which comes first
            if d.id not in ids and named.get(d.id) in (None, *ids):
                ids[d.id] = turn.delivery(d, ids).id
                progress("rotate", len(ids), len(deliveries))
    turn.con.close()


class _Turn:
    """Old keys to new ones, on one locked DuckDB."""

    def __init__(self, store: Store, fresh: Store, new: Secret, had: int) -> None:
        self.fresh, self.new = fresh, new
        self.make = key_maker(Secret(new.algorithm, new.keys[had:]))
        every = [p for d in store.deliveries() for p in d.partitions()]
        fresh.path.mkdir()
        self.con = workbench(read=[p.path for p in every], write=fresh.path)
        self._keys(every)

    def key(self, old: int) -> int:
        """The key that takes the place of an old one."""
        return self.make(old.to_bytes(KEY_BYTES, "big", signed=True))

    def _keys(self, every: Sequence[Partition]) -> None:
        """Table `turned` (old, new) of all keys in these files, batch by batch."""
        import pyarrow as pa

        self.con.execute("CREATE TABLE turned (old BIGINT, new BIGINT)").fetchall()
        by_column = {c: [p.path for p in every if c in keyed(p.table)] for c in COLUMNS}
        selects = [f"SELECT {c} AS k FROM {parquet(paths)}" for c, paths in by_column.items() if paths]
        if not selects:
            return
        sql = f"SELECT DISTINCT k FROM ({' UNION ALL '.join(selects)}) WHERE k IS NOT NULL"
        for batch in self.con.cursor().sql(sql).to_arrow_reader(_BATCH):
            old = batch.column(0).to_pylist()
            part = pa.table({"old": batch.column(0), "new": pa.array([self.key(k) for k in old], pa.int64())})
            self.con.register("part", part)
            self.con.execute("INSERT INTO turned FROM part").fetchall()
            self.con.unregister("part")
        met = self.con.execute("SELECT count(*) - count(DISTINCT new) FROM turned").fetchall()[0][0]
        if met:
            raise Refused([f"{met} pseudonyms would stand for two persons; rotate again [key]"])

    def delivery(self, delivery: Folder, ids: Mapping[str, str]) -> Folder:
        """Seal a delivery anew; `ids`: old id -> new id of those already done."""
        facts = dict(delivery.manifest)
        facts["key"] = {"id": self.new.id, "algorithm": self.new.algorithm}
        if facts.get("corrects"):
            facts["corrects"] = {**facts["corrects"], "delivery": ids[facts["corrects"]["delivery"]]}
        with self.fresh.building() as staging:
            files = []
            for file, part in zip(facts.pop("files"), delivery.partitions(), strict=True):
                self._file(part, staging / part.path.name, delivery)
                files.append({key: value for key, value in file.items() if key != "sha256"})
            return self.fresh.seal("deliveries", staging, files, facts)

    def _file(self, part: Partition, target: Path, delivery: Folder) -> None:
        columns = keyed(part.table)
        if part.table == "quarantine":
            self._quarantine(part, target, delivery)
        elif columns:
            news = ", ".join(f"t{i}.new AS {c}" for i, c in enumerate(columns))
            joins = " ".join(f"LEFT JOIN turned t{i} ON t{i}.old = f.{c}" for i, c in enumerate(columns))
            self._copy(
                f"SELECT f.* EXCLUDE (file_row_number) REPLACE ({news}) FROM {parquet([part.path], row_number=True)} f {joins} ORDER BY f.file_row_number",
                target,
            )
        else:
            shutil.copyfile(part.path, target)

    def _quarantine(self, part: Partition, target: Path, delivery: Folder) -> None:
        """Identifiers of waiting rows are keys within a JSON text."""
        import pyarrow as pa

        rules = contract(delivery.manifest["table"])
        names = {c.name for c in rules.of_type("person", "certificate", "household")}
        feeds = [item for file in delivery.manifest["columns"].values() for item in file.items()]
        hidden = {source for canonical, found in feeds if canonical in names for source in found}
        self.con.execute("CREATE OR REPLACE TEMP TABLE texts (n BIGINT, text VARCHAR)").fetchall()
        sql = f"SELECT file_row_number, row FROM {parquet([part.path], row_number=True)}"
        for batch in self.con.cursor().sql(sql).to_arrow_reader(_BATCH):
            texts = pa.array([self._text(row, hidden) for row in batch.column(1).to_pylist()], pa.string())
            self.con.register("part", pa.table({"n": batch.column(0), "text": texts}))
            self.con.execute("INSERT INTO texts FROM part").fetchall()
            self.con.unregister("part")
        self._copy(
            f"SELECT f.* EXCLUDE (file_row_number) REPLACE (texts.text AS row) FROM {parquet([part.path], row_number=True)} f JOIN texts ON n = file_row_number ORDER BY n",
            target,
        )

    def _text(self, row: str, hidden: set[str]) -> str:
        values: dict[str, Any] = json.loads(row)
        for name, value in values.items():
            if name in hidden and value and value.startswith("#"):
                values[name] = f"#{self.key(int(value[1:]))}"
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

    def _copy(self, select: str, target: Path) -> None:
        self.con.execute(f"COPY ({select}) TO {literal(str(target))} ({FORMAT})").fetchall()


def keyed(table: str) -> tuple[str, ...]:
    """Columns of a delivered table that are pseudonyms."""
    if table == "quarantine":
        return ()
    if table in _TABLES:
        return _TABLES[table]
    return tuple(name for name in contract(table).stored if name in KEYED.values())

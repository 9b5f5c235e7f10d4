"""Store folder: sealed deliveries, immutable snapshots, one pointer. The only module that knows paths in a store.

    STORE/deliveries/<id>/manifest.json + files    what was ingested: canonical tables and quarantine
    STORE/snapshots/<id>/manifest.json + files     facts built from all deliveries
    STORE/current                                  id of the published snapshot
    STORE/staging/, STORE/lock                     work in progress; one builder at a time
    STORE/held                                     while everything is replaced: what counts, the rest is not there

An id is the sha256 of the manifest, and the manifest holds the sha256 of every file, so a flipped byte anywhere shows.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from analytics.store.engine import FileTrouble
from analytics.store.threads import each

Witness = Callable[[str, str, Mapping[str, Any]], None]
KEPT_SNAPSHOTS = 3
# What can be wrong with a file, by a code under which pages have words of their own; where it is stands before it.
DAMAGE = {
    "missing": "missing",
    "changed": "content differs from its sha256",
    "unreadable": "manifest.json cannot be read",
    "resealed": "manifest.json was changed after it was sealed",
    "unlisted": "not in the manifest",
    "nowhere": "names a snapshot that does not exist",
    "astray": "was changed while keys were rotated",
}
_ID = 20
_FULL = ("No space left on device", "not enough space on the disk", "Disk quota exceeded")
_GROWN = "File too large"


class Busy(RuntimeError):
    """Another process is building in this store."""


class NotBuilt(RuntimeError):
    """The store holds no published snapshot yet."""


class Damaged(RuntimeError):
    """A file of the store is not what its manifest says."""


def sha256_of(path: Path) -> str:
    """sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_same(fresh: Path, held: Path) -> bool:
    """Whether a file holds what a fresh one does; one file under two names need not be read."""
    return held.is_file() and (held.samefile(fresh) or sha256_of(held) == sha256_of(fresh))


def _canonical(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder; its rename is durable with the file's own flush
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _close(folder: Path) -> None:
    """Nobody writes into a sealed folder; who may read it stays."""
    folder.chmod(folder.stat().st_mode & 0o555)


def _open(folder: Path) -> None:
    """A sealed folder can be moved, mended or removed only while it is open."""
    folder.chmod(folder.stat().st_mode | 0o700)


def _remove(folder: Path, *, ignore_errors: bool = False) -> None:
    """Remove a folder, sealed ones in it too."""
    with suppress(OSError):
        for path in (folder, *folder.rglob("*")):
            # Not a file, which a later snapshot may hold as well; but Windows does not remove what is read-only.
            if not path.is_symlink() and (path.is_dir() or os.name == "nt"):
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=ignore_errors)


@dataclass(frozen=True)
class Partition:
    """One file of a table: all rows of one city and plan year (None: the table is not cut that way). `turn`: the higher, the
    newer its delivery, where that counts.
    """

    table: str
    path: Path
    sha256: str
    rows: int
    city: str | None
    plan_year: int | None
    turn: int = 0

    @property
    def damage(self) -> str:
        """What is wrong with the file; empty when it is the one the manifest names."""
        where = "/".join(self.path.parts[-3:])
        if not self.path.is_file():
            return f"{where}: {DAMAGE['missing']}"
        return "" if sha256_of(self.path) == self.sha256 else f"{where}: {DAMAGE['changed']}"

    @property
    def is_touched(self) -> bool:
        """Whether the file was written to, or went, after its folder was sealed, as far as the disk's own times tell."""
        try:
            return self.path.stat().st_mtime_ns > self.path.with_name("manifest.json").stat().st_mtime_ns
        except OSError:
            return True

    def check(self) -> None:
        """Before use: raises Damaged when the file is missing or is not the one the manifest names."""
        if self.damage:
            raise Damaged(f"{self.damage}; restore it from a copy, or deliver it again")


@dataclass(frozen=True)
class Folder:
    """A sealed delivery or snapshot."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What is inside. Raises Damaged when the manifest is not the one the id names."""
        try:
            raw = (self.path / "manifest.json").read_bytes()
        except OSError as error:
            raise Damaged(f"{self.path.parent.name}/{self.id}: {DAMAGE['unreadable']}") from error
        if hashlib.sha256(raw).hexdigest()[:_ID] != self.id:
            raise Damaged(f"{self.path.parent.name}/{self.id}: {DAMAGE['resealed']}")
        manifest: dict[str, Any] = json.loads(raw)
        return manifest

    def partitions(self, table: str | None = None) -> list[Partition]:
        """Files of a table (of all tables), in manifest order."""
        return [
            Partition(
                f["table"],
                self.path / f["name"],
                f["sha256"],
                f["rows"],
                f.get("city"),
                f.get("plan_year"),
                self.manifest.get("turn", 0),
            )
            for f in self.manifest["files"]
            if table in (None, f["table"])
        ]

    def damage(self) -> list[str]:
        """Problems found by hashing everything again, one line each; empty when whole."""
        try:
            found = [line for line in each(lambda part: part.damage, self.partitions()) if line]
        except Damaged as error:
            return [str(error)]
        known = {file["name"] for file in self.manifest["files"]} | {"manifest.json"}
        extra = sorted(p.name for p in self.path.iterdir() if p.name not in known)
        return found + [f"{self.path.parent.name}/{self.id}/{name}: {DAMAGE['unlisted']}" for name in extra]

    def check(self) -> None:
        """Before use: raises Damaged when a file is missing or is not the one the manifest names."""
        each(Partition.check, self.partitions())


class Store:
    """One store folder on disk."""

    def __init__(self, path: Path | str, witness: Witness | None = None) -> None:
        """`witness`: told of every change (what is changed, the id of what is sealed, its manifest) before it is made; what it
        raises, the change is not made for.
        """
        self.path = Path(path).resolve()
        self.tell: Witness = witness or (lambda *_: None)

    def deliveries(self) -> list[Folder]:
        """Accepted deliveries, ordered by id."""
        return self._sealed("deliveries")

    def snapshots(self) -> list[Folder]:
        """Snapshots that are kept, ordered by id."""
        return self._sealed("snapshots")

    def _sealed(self, kind: str) -> list[Folder]:
        held = self._held()
        return [f for f in self._folders(kind) if held is None or f.id in held[kind]]

    def _folders(self, kind: str) -> list[Folder]:
        parent = self.path / kind
        return [Folder(p) for p in sorted(parent.iterdir()) if p.is_dir()] if parent.is_dir() else []

    @property
    def is_published(self) -> bool:
        """Whether readers are served a snapshot."""
        return (self.path / "current").is_file()

    def current_id(self) -> str:
        """Id of the published snapshot. Raises NotBuilt when there is none."""
        try:
            return (self.path / "current").read_bytes().decode("ascii", "replace").strip()
        except FileNotFoundError as error:
            raise NotBuilt(
                f"{self.path}: nothing is published here yet; run `jianfu build {self.path}` first"
            ) from error

    def current(self) -> Folder:
        """The published snapshot. Raises NotBuilt or Damaged."""
        folder = Folder(self.path / "snapshots" / self.current_id())
        if not folder.path.is_dir():
            raise Damaged(f"{self.path}/current: {DAMAGE['nowhere']} ({folder.id!r:.40})")
        return folder

    @contextmanager
    def building(self) -> Iterator[Path]:
        """Hold the store's one builder lock and get an empty staging folder. Raises Busy when another holds it."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise Busy(
                f"{self.path}: another builder is at work here; try again when it has finished"
            ) from error
        try:
            staging = self.path / "staging"
            _remove(staging, ignore_errors=True)  # what a killed builder left behind
            staging.mkdir(exist_ok=True)  # its process of the gate may outlive it a moment, and hold a folder
            self._settle()
            yield Path(tempfile.mkdtemp(dir=staging))
        except Exception as error:
            if trouble := self._trouble(error):
                raise trouble from error
            raise
        finally:
            _remove(self.path / "staging", ignore_errors=True)
            lock.release()

    def _trouble(self, error: Exception) -> OSError | None:
        """What the disk did, in plain words, where it is what stopped a builder and was not said so."""
        if getattr(error, "is_plain", False):
            return None
        kept = "what was published before is still served"
        if any(text in str(error) for text in _FULL):
            return OSError(f"{self.path}: no room left on the disk; {kept}; free some space and run it again")
        if _GROWN in str(error):
            how = "raise it (ulimit -f), or use another disk, and run it again"
            return OSError(f"{self.path}: the limit on the size of a file was reached; {kept}; {how}")
        nameless = isinstance(error, OSError) and error.errno is not None and error.filename is None
        if isinstance(error, FileTrouble) or nameless:
            return OSError(f"{self.path}: {error}; {kept}; look after the disk and run it again")
        return None

    def seal(
        self, kind: str, staging: Path, files: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]
    ) -> Folder:
        """Hash and sync the staged files, write their manifest and move the folder into place under its id.

        `files`: rows of table, name, rows[, city, plan_year]; `facts`: everything else the manifest holds (no clock
        time, so equal inputs give an equal id).
        """
        named = {file["name"] for file in files}
        for path in staging.iterdir():  # spilled, or opened by the gate as it came: none of it may be sealed
            if path.name not in named:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

        def synced(file: Mapping[str, Any]) -> dict[str, Any]:
            path = staging / file["name"]
            if not (known := file.get("sha256")) or path.stat().st_nlink == 1:
                _sync(path)  # not what another snapshot holds: it was synced for that
            return {**file, "sha256": known or sha256_of(path)}

        hashed = each(synced, files)
        raw = _canonical({**facts, "files": hashed})
        (staging / "manifest.json").write_bytes(raw)
        _sync(staging / "manifest.json")
        _sync(staging)
        target = self.path / kind / hashlib.sha256(raw).hexdigest()[:_ID]
        self.tell(kind, target.name, facts)
        if not target.parent.is_dir():
            target.parent.mkdir()
            _sync(self.path)
        for path in staging.iterdir():
            path.chmod(0o444)
        if not target.exists():
            staging.rename(target)
            _sync(target.parent)
        else:  # what was made again takes the place of what changed
            _open(target)
            for path in staging.iterdir():
                if not _is_same(path, target / path.name):
                    path.replace(target / path.name)
            _sync(target)
        _close(target)
        return Folder(target)

    def publish(self, snapshot: Folder) -> None:
        """Point readers at a sealed snapshot by one atomic rename; older ones are kept for readers that hold them."""
        self._write("current", snapshot.id + "\n")
        os.utime(snapshot.path)  # served last, removed last: one that is published again may be old
        others = sorted(
            (f.path for f in self._sealed("snapshots") if f.id != snapshot.id),
            key=lambda p: p.stat().st_mtime,
        )
        for old in others[: -KEPT_SNAPSHOTS + 1]:
            _remove(old, ignore_errors=True)

    def take_over(self, other: "Store") -> None:
        """Replace all deliveries and snapshots by those of a store in this one's staging folder. Under the lock of this
        store; a killed process leaves the one or the other, never both: the file `held` says which, until it is done.
        """
        kinds = ("deliveries", "snapshots")
        old, new = ({kind: [f.id for f in s._folders(kind)] for kind in kinds} for s in (self, other))
        self.tell("all", "", {**new, "before": old})
        self._write("held", json.dumps(old))
        for kind, ids in new.items():
            (self.path / kind).mkdir(exist_ok=True)
            for name in ids:
                _open(other.path / kind / name)
                _close((other.path / kind / name).rename(self.path / kind / name))
            _sync(self.path / kind)
        self._write("held", json.dumps(new))
        self._settle()

    def _held(self) -> dict[str, list[str]] | None:
        """What counts while everything is replaced, None at all other times. Raises Damaged."""
        try:
            held = json.loads((self.path / "held").read_bytes())
            return {kind: list(held[kind]) for kind in ("deliveries", "snapshots")}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise self._astray() from error

    def _astray(self) -> Damaged:
        return Damaged(f"{self.path}/held: {DAMAGE['astray']}; restore it from a copy")

    def _settle(self) -> None:
        """Finish what `take_over` began: remove what does not count, and serve a snapshot that does."""
        held = self._held()
        if held is None:
            return
        if not all((self.path / kind / name).is_dir() for kind, ids in held.items() for name in ids):
            raise self._astray()  # before anything is removed by it
        if not held["snapshots"]:
            (self.path / "current").unlink(missing_ok=True)
        elif not self.is_published or self.current_id() not in held["snapshots"]:
            self._write("current", held["snapshots"][0] + "\n")
        for kind, ids in held.items():
            for folder in self._folders(kind):
                if folder.id not in ids:
                    _remove(folder.path)
        (self.path / "held").unlink()
        _sync(self.path)

    def _write(self, name: str, text: str) -> None:
        """A small file of the store, whole or not at all."""
        fresh = self.path / "staging" / name
        fresh.write_text(text, encoding="ascii")
        _sync(fresh)
        fresh.replace(self.path / name)
        _sync(self.path)

    def damage(self) -> list[str]:
        """Everything in the store that is not as sealed, one line each."""
        found = [
            line for folder in (*self.deliveries(), *self._sealed("snapshots")) for line in folder.damage()
        ]
        pointer = self.path / "current"
        if pointer.is_file():
            known = {folder.id.encode() + b"\n" for folder in self._sealed("snapshots")}
            if pointer.read_bytes() not in known:
                found.append("current: does not name a snapshot of this store; build again")
        elif self._sealed("snapshots"):
            found.append("current: missing, though snapshots exist; build again")
        return found

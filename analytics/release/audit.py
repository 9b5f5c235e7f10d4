"""The audit log: a chain of JSON lines beside the store, on disk before anything leaves.

    LOG/0001.jsonl, ...   one entry a line; each holds the hash of the one before it and its own
    LOG/lock              one writer at a time, of whatever process
    LOG.head              number and hash of the last entry, in a second place: without it a cut tail would not show

What cannot be written may not leave, nor a store be changed: `Log.append` raises, and the answer or the change with it.
"""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

SEGMENT = 16_000_000  # bytes after which a new file is begun
BEGUN, RESUMED, BROKEN = "begun", "resumed", "broken"  # entries of the log about itself
_BLOCK = 65_536  # bytes read from the end of a file to find its last entry
_TOLD = logging.getLogger(__name__)
_START = "0" * 64  # what the first entry names as the one before it


class Unwritten(OSError):
    """An entry could not be written; what it stands for must not leave, or not be done."""

    is_plain = True  # says what is wrong and what to do


@dataclass(frozen=True)
class Head:
    """The last entry of a log."""

    n: int = 0
    hash: str = _START

    @property
    def short(self) -> str:
        """As it is printed on what leaves: enough to find the entry again."""
        return f"{self.n}-{self.hash[:16]}"


@dataclass
class _Ticket:
    entries: tuple[Mapping[str, Any], ...]
    head: Head | None = None
    error: Unwritten | None = None


@dataclass
class _End:
    """Where the chain ends, as this process last left it."""

    head: Head = field(default_factory=Head)
    file: Path | None = None
    mark: tuple[int, int] = (0, 0)  # inode and size of that file


def place(store: Path | str) -> tuple[Path, Path]:
    """Where the log of a store and its head lie: JIANFU_AUDIT and JIANFU_AUDIT_HEAD, else STORE/audit and beside the store."""
    store = Path(store).resolve()
    named = os.environ.get("JIANFU_AUDIT")
    folder = Path(named).resolve() if named else store / "audit"
    beside = folder if named else store
    head = os.environ.get("JIANFU_AUDIT_HEAD")
    return folder, Path(head).resolve() if head else beside.with_name(f"{beside.name}.audit-head")


_logs: dict[tuple[Path, Path], "Log"] = {}
_opening = threading.Lock()


def log_of(store: Path | str) -> "Log":
    """The log of a store, one for the whole process."""
    where = place(store)
    with _opening:
        return _logs.setdefault(where, Log(*where))


class Log:
    """An audit log. Threads and processes may append at once; those that wait together are synced together."""

    def __init__(self, folder: Path | str, head: Path | str, segment: int = SEGMENT) -> None:
        self.folder, self.head_file, self._segment = Path(folder), Path(head), segment
        self._fresh_head = self.head_file.with_name(f".{self.head_file.name}.{os.getpid()}")
        self._writing, self._queueing = threading.Lock(), threading.Lock()
        self._waiting: list[_Ticket] = []
        self._end = _End()

    def append(self, *entries: Mapping[str, Any]) -> Head:
        """Write entries and sync them; gives the head of the log after them. Raises Unwritten: which file, why, what to do."""
        # As they will be read back. What cannot be an entry fails here, for who brings it alone.
        ticket = _Ticket(tuple(json.loads(_canonical(entry)) for entry in entries))
        with self._queueing:
            self._waiting.append(ticket)
        with self._writing:  # whoever comes first writes for all who wait
            if ticket.head is None and ticket.error is None:
                with self._queueing:
                    tickets, self._waiting = self._waiting, []
                self._commit(tickets)
        if ticket.error is not None:
            raise ticket.error
        assert ticket.head is not None
        return ticket.head

    def _commit(self, tickets: list[_Ticket]) -> None:
        try:
            with _alone(self.folder):
                head = self._write([entry for ticket in tickets for entry in ticket.entries])
        except BaseException as error:  # whatever it is: nobody who waits goes without an answer
            self._end = _End()
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            for ticket in tickets:
                ticket.error = Unwritten(
                    f"audit log {self.folder}: no entry could be written ({why}), so nothing is shown or changed; "
                    "free space or give write permission, or name another place in JIANFU_AUDIT and JIANFU_AUDIT_HEAD"
                )
            if not isinstance(error, Exception):
                raise
        else:
            for ticket in tickets:
                ticket.head = head

    def _write(self, entries: list[Mapping[str, Any]]) -> Head:
        missing = self._catch_up()
        head, lines = self._end.head, []
        for entry in (*missing, *entries):
            line, digest = _line({**entry, "n": head.n + 1, "at": _now(), "previous": head.hash})
            head = Head(head.n + 1, digest)
            lines.append(line)
        data = b"".join(lines)
        file, size = self._end.file, self._end.mark[1]
        fresh = file is None or (size > 0 and size + len(data) > self._segment)
        if fresh:
            file, size = _after(file) if file else self.folder / _name(1), 0
        assert file is not None
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o640)
        try:
            try:
                _whole(handle, data)
                os.fsync(handle)
            except OSError:
                with suppress(OSError):  # nothing half written stays
                    os.ftruncate(handle, size)
                raise
            found = os.fstat(handle)
        finally:
            os.close(handle)
        if fresh:
            _sync_folder(self.folder)
            _sync_folder(self.folder.parent)
        self._end = _End(head, file, (found.st_ino, found.st_size))
        self._keep(head)
        return head

    def _keep(self, head: Head) -> None:
        """The head in its second place, whole or not at all. Not synced: after a power cut it may be behind, never ahead."""
        fresh = self._fresh_head
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o640)
            try:
                _whole(handle, _canonical({"n": head.n, "hash": head.hash}) + b"\n")
            finally:
                os.close(handle)
            fresh.replace(self.head_file)
        except OSError:
            with suppress(OSError):
                fresh.unlink()
            raise

    def _catch_up(self) -> list[Mapping[str, Any]]:
        """Find the end of the chain where another process wrote since; gives what must be entered first when the second place
        tells another end: a tail that was cut is told by the chain from then on.
        """
        known = self._end.file
        if known is not None and _mark(known) == self._end.mark and not _after(known).exists():
            return []
        files = self._files()
        last = files[-1] if files else None
        self.head_file.parent.mkdir(parents=True, exist_ok=True)
        self._end = self._read_end(last)
        kept, end = self.kept(), self._end.head
        if kept == end or (kept is None and end.n <= 1):
            return []
        if kept is not None and last is None:  # the store was made anew, or all of its log was taken away
            return [{"kind": BEGUN, "head": kept.short}]
        if kept is not None and kept.n < end.n:  # a process was stopped between its entry and the head
            return [{"kind": RESUMED, "head": kept.short}]
        if kept is None:
            _TOLD.warning(
                "audit log %s: has %s entries, and its head %s is missing; bring it back from where the store was copied. "
                "That it was missing is entered, and `jianfu audit verify` will always tell",
                self.folder,
                end.n,
                self.head_file,
            )
        return [{"kind": BROKEN, "head": kept.short if kept else None}]

    def _read_end(self, last: Path | None) -> _End:
        if last is None:
            return _End()
        with last.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            tail, begin = b"", size
            while begin and tail.count(b"\n") < 2:
                begin = max(0, begin - max(_BLOCK, len(tail)))
                file.seek(begin)
                tail = file.read(size - begin)
            whole = tail.rfind(b"\n") + 1
            if whole < len(tail):  # a process was stopped while writing: nothing left on it
                size -= len(tail) - whole
                file.truncate(size)
            found = os.fstat(file.fileno())
        lines = tail[:whole].split(b"\n")[:-1]
        if not lines:
            before = self._files()[:-1]
            end = self._read_end(before[-1] if before else None)
            return _End(end.head, last, (found.st_ino, size))
        entry, wrong = _read(lines[-1])
        if wrong or not isinstance(entry.get("n"), int):
            raise OSError(0, f"the last entry of {last.name} is not whole; see `jianfu audit verify`")
        return _End(Head(entry["n"], entry["hash"]), last, (found.st_ino, size))

    def _files(self) -> list[Path]:
        try:
            found = [p for p in self.folder.iterdir() if p.suffix == ".jsonl"]
        except FileNotFoundError:
            return []
        return sorted(found, key=lambda p: (len(p.name), p.name))

    def kept(self) -> Head | None:
        """The head in its second place; None where there is none that can be read."""
        try:
            told = json.loads(self.head_file.read_bytes())
            return Head(int(told["n"]), str(told["hash"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every entry that can be read, oldest first."""
        for file in self._files():
            with file.open("rb") as lines:
                for line in lines:
                    entry, _ = _read(line.rstrip(b"\n"))
                    if entry:
                        yield entry

    def verify(self, *, second_place: bool = True, head: str = "") -> list[str]:
        """What is wrong, one line each; empty where the log is whole. `second_place`: hold its end against the head kept there;
        `head`: one printed on an export, which must be of this log.
        """
        found, names = list[str](), self._files()
        if not names and self.kept() is None:
            raise ValueError(f"{self.folder}: no audit log here")
        end, printed = Head(), head in ("", Head().short)
        for position, file in enumerate(names, 1):
            if file.name != _name(position):
                found.append(f"{file.name}: should be {_name(position)}; a file is missing or was renamed")
            raw = file.read_bytes()
            if raw and not raw.endswith(b"\n"):
                found.append(
                    f"{file.name}: its last line has no end; it was cut, or a process was stopped while writing"
                )
            for number, line in enumerate(raw.removesuffix(b"\n").split(b"\n") if raw else (), 1):
                where = f"{file.name} line {number}"
                entry, wrong = _read(line)
                found += [f"{where}: {wrong}"] if wrong else []
                if wrong == _UNREADABLE:
                    end = Head(end.n + 1, "")
                    continue
                if entry.get("n") != end.n + 1:
                    found.append(f"{where}: is entry {entry.get('n')}, should be {end.n + 1}")
                if end.hash and entry.get("previous") != end.hash:
                    found.append(f"{where}: does not follow from the entry before it")
                if entry.get("kind") == BROKEN:
                    found.append(
                        f"{where}: written where the log ended before its kept head ({entry.get('head')})"
                    )
                n = entry.get("n")
                end = Head(n if isinstance(n, int) else end.n + 1, str(entry.get("hash", "")))
                printed = printed or end.short == head
        if second_place:
            found += self._against_kept(end)
        return found if printed else [*found, f"head {head}: no entry of this log has it"]

    def _against_kept(self, end: Head) -> list[str]:
        kept = self.kept()
        if kept is None:
            return [f"{self.head_file}: the head is missing or cannot be read"]
        if kept == end:
            return []
        if kept.n > end.n:
            return [
                f"the log ends with entry {end.n}, its head in {self.head_file} is entry {kept.n}: its tail is missing"
            ]
        return [f"the log ends with entry {end.short}, its head in {self.head_file} is {kept.short}"]


_UNREADABLE = "is no entry: it cannot be read"


def _read(line: bytes) -> tuple[dict[str, Any], str]:
    """An entry, and what is wrong with it."""
    try:
        entry = json.loads(line)
        if not isinstance(entry, dict):
            return {}, _UNREADABLE
        told = entry.pop("hash")
        own, _ = _line(entry)
    except (ValueError, KeyError, RecursionError):
        return {}, _UNREADABLE
    entry["hash"] = told
    return entry, "" if own == line + b"\n" else "was changed: its hash is not that of its content"


def _line(entry: Mapping[str, Any]) -> tuple[bytes, str]:
    """An entry with its hash, as it stands in the file; and the hash."""
    digest = hashlib.sha256(_canonical(entry)).hexdigest()
    return _canonical({**entry, "hash": digest}) + b"\n", digest


def _canonical(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return text.encode(errors="replace")  # half a character, as in a file name that is no UTF-8: ?


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _name(number: int) -> str:
    return f"{number:04d}.jsonl"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the log; no other thread of this process asks for it. A process that dies lets go of it."""
    if os.name == "nt":
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            yield
        return
    import fcntl

    try:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o640)
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _after(file: Path) -> Path:
    return file.with_name(_name(int(file.stem) + 1))


def _mark(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size


def _whole(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _sync_folder(path: Path) -> None:
    if os.name == "nt":
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

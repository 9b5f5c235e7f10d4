"""The verbs of the command line as plain functions."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analytics import facts, intake
from analytics.answer import Desk
from analytics.answer import quality as _quality
from analytics.release import Released
from analytics.store import Folder, NotBuilt, Store
from analytics.synthetic import YEARS, write_delivery

Progress = Callable[[str, int, int], None]


def sample(
    store: Path | str,
    *,
    persons: int = 20_000,
    cities: Sequence[str] | None = None,
    years: Sequence[int] = YEARS,
    seed: int = 20_260_101,
    progress: Progress | None = None,
) -> Folder:
    """Write a synthetic delivery, ingest and build it like any delivery; `persons` per city and year. Marked synthetic.

    Raises intake.Refused for a store that is in use: invented persons must not mix with others.
    """
    target = Store(store)
    if target.is_published:
        raise intake.Refused([f"{target.path}: already holds data; write the sample into an empty folder"])
    report = progress or (lambda *_: None)
    scratch = Path(tempfile.mkdtemp(prefix="jianfu-sample-"))
    try:

        def drawn(_: str, done: int, total: int) -> None:
            report("draw", done, total)

        files = write_delivery(
            scratch, persons=persons, cities=cities, years=years, seed=seed, progress=drawn
        )
        for done, (table, paths) in enumerate(files.items()):
            intake.ingest(target, paths, table, synthetic=True)
            report("ingest", done + 1, len(files))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return build(target.path, progress=progress)


def ingest(
    store: Path | str,
    files: Sequence[Path | str],
    table: str,
    *,
    mapping: Path | str | None = None,
    progress: Progress | None = None,
) -> Folder:
    """Load files of one canonical table as one delivery. Raises intake.Refused with one line per problem."""
    rules = intake.contract(table)
    read = intake.load_mapping(Path(mapping), rules) if mapping else None
    return intake.ingest(Store(store), [Path(f) for f in files], table, read, progress=progress)


def build(store: Path | str, *, progress: Progress | None = None) -> Folder:
    """Build the facts of all deliveries and publish them as a snapshot."""
    return facts.build(Store(store), progress=progress)


def measure(
    store: Path | str,
    measures: Sequence[str],
    *,
    by: Sequence[str] = (),
    where: Mapping[str, Sequence[str | int]] | None = None,
    parameters: Mapping[str, str] | None = None,
    raw: bool = False,
) -> list[Released]:
    """Ask the published snapshot; one protected answer per measure (unprotected with `raw`, for the local user)."""
    desk = Desk.open(store)
    return [desk.ask(name, by, where, parameters, protect=not raw) for name in measures]


def quality(store: Path | str) -> list[dict[str, Any]]:
    """What came, loaded and waits, per delivery. Raises store.NotBuilt where there is no store."""
    return _quality(_held(store))


def verify(store: Path | str) -> list[str]:
    """Every file that is not as it was sealed, one line each; empty when the store is whole. Raises store.NotBuilt."""
    return _held(store).damage()


def _held(path: Path | str) -> Store:
    """A store that holds something: an empty or mistyped folder must not pass for a whole store."""
    store = Store(path)
    if not store.deliveries():
        raise NotBuilt(f"{store.path}: no delivery here; run `jianfu ingest` or `jianfu sample` first")
    return store

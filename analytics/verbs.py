"""The verbs of the command line as plain functions."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from analytics import facts, intake, measures, plans, reference, release
from analytics.desk.answer import Desk
from analytics.desk.outcome import Outcome
from analytics.desk.quality import quality as _quality
from analytics.desk.recompute import Again, Recomputer, find, is_on_record
from analytics.desk.room import Room
from analytics.desk.survey import Survey
from analytics.desk.survey import survey as _survey
from analytics.plans import plan_for
from analytics.release import LOCAL, Log, Released, Viewer, changing, log_of
from analytics.store import Damaged, Folder, NotBuilt, Place, QueryTimeout, Store
from analytics.store.carried import Broken
from analytics.store.engine import MEMORY, SPILL, OutOfMemory
from analytics.store.runner import Runner, runner_of
from analytics.synthetic import YEARS, write_delivery
from analytics.whatif import Scenario, load_scenario

Progress = Callable[[str, int, int], None]
# What a verb raises when it refuses, see `reasons`; store.Busy is none of them.
REFUSALS = (
    intake.Refused, plans.PlanErrors, NotBuilt, Damaged, QueryTimeout, OutOfMemory, Broken, ValueError, OSError,
)  # fmt: skip


def reasons(error: Exception) -> list[str]:
    """Why a verb refused, one line per problem."""
    if isinstance(error, intake.Refused):
        return error.lines
    if isinstance(error, OutOfMemory):
        return [
            f"needs more than JIANFU_MEMORY={MEMORY} and JIANFU_SPILL={SPILL} allow; raise them, or take fewer cities or years at once"
        ]
    lines = error.problems if isinstance(error, plans.PlanErrors) else [release.plain(error)]
    return [*lines, *getattr(error, "__notes__", ())]


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
    report = progress or (lambda *_: None)

    def drawn(_: str, done: int, total: int) -> None:
        report("draw", done, total)

    with (
        changing(store, "sample") as target,
        tempfile.TemporaryDirectory(prefix="jianfu-sample-", ignore_cleanup_errors=True) as scratch,
    ):
        if target.is_published or target.deliveries():
            raise intake.Refused(
                [f"{target.path}: already holds data; write the sample into an empty folder"]
            )
        files = write_delivery(
            Path(scratch), persons=persons, cities=cities, years=years, seed=seed, progress=drawn
        )
        for done, (table, paths) in enumerate(files.items()):
            if paths:
                intake.ingest(target, paths, table, synthetic=True)
            report("ingest", done + 1, len(files))
        return _build(_of_today(target), progress)


def ingest(
    store: Path | str,
    files: Sequence[Path | str],
    table: str,
    *,
    mapping: Path | str | None = None,
    note: Path | str | None = None,
    key: Path | str | None = None,
    sign_off: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Folder:
    """Load files of one canonical table as one delivery. Raises intake.Refused with one line per problem.

    `note`: the sender's delivery note; `key`: the secret file of the pseudonyms (see `secret_path`), made at the first
    delivery; `sign_off`: reason and who, to accept a batch over the limits.
    """
    rules = intake.contract(table)
    paths = [Path(file) for file in files]
    with changing(store, "ingest", table=table, files=[path.name for path in paths]) as target:
        return intake.ingest(
            _of_today(target),
            paths,
            table,
            intake.load_mapping(Path(mapping), rules) if mapping else None,
            secret=_secret(target, key),
            note=intake.load_note(Path(note)) if note else None,
            note_name=Path(note).name if note else "",
            sign_off=sign_off,
            progress=progress,
        )


def secret_path(store: Path | str, key: Path | str | None = None) -> Path:
    """Where the secret of a store's pseudonyms lies: named, in JIANFU_KEY, or beside the store; stores that lie side by
    side share it, as one project.
    """
    named = key or os.environ.get("JIANFU_KEY")
    return Path(named).resolve() if named else Path(store).resolve().with_name("jianfu.key")


def _secret(store: Store, key: Path | str | None) -> intake.Secret:
    try:
        return intake.key_of(intake.load_secret(_secret_file(store, key)), store.deliveries())
    except ValueError as error:
        raise intake.Refused([str(error)]) from error


def _secret_file(store: Store, key: Path | str | None) -> Path:
    """The secret's file, made where nothing hangs on one yet."""
    path = secret_path(store.path, key)
    if path.is_relative_to(store.path):
        raise intake.Refused([f"{path}: lies inside the store; keep the secret apart from the data [key]"])
    if not path.exists():
        if any(not d.manifest["synthetic"] for d in store.deliveries()):
            raise intake.Refused(
                [f"{path}: the secret of this store is not here; bring it back or name it with --key [key]"]
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock")):  # of two first deliveries one makes it
            if not path.exists():
                intake.write_secret(path, intake.new_secret())
    return path


def correct(
    store: Path | str,
    fixes: Path | str,
    *,
    key: Path | str | None = None,
    progress: Progress | None = None,
) -> Folder:
    """Decide rows that wait in quarantine by a corrections file (see intake.corrections): a delivery of its own. Raises
    intake.Refused with one line per problem, changing nothing, when the file does not match what waits.
    """
    file = Path(fixes)
    with (
        changing(store, "correct", fixes=file.name) as target,
        tempfile.TemporaryDirectory(prefix="jianfu-correct-") as scratch,
    ):
        work = intake.agree(_held(target), intake.load_fixes(file), file.name, Path(scratch))
        if not work.files:
            return intake.drop(target, work)
        was = work.origin.manifest
        return intake.ingest(
            target,
            work.files,
            was["table"],
            intake.Mapping.model_validate(was["mapping"]),
            secret=intake.SYNTHETIC if was["synthetic"] else _secret(target, key),
            note=work.note,
            corrects=work.corrects,
            synthetic=was["synthetic"],
            progress=progress,
        )


def rotate_key(
    store: Path | str, *, key: Path | str | None = None, progress: Progress | None = None
) -> Folder | None:
    """Key every pseudonym of a store anew (see intake.rotation), build and publish; returns the snapshot, None where there is
    nothing to build yet. Raises intake.Refused for a store of invented persons.
    """
    with changing(store, "rotate-key") as target, _held(target).building() as staging:
        deliveries = target.deliveries()
        if any(d.manifest["synthetic"] for d in deliveries):
            raise intake.Refused([f"{target.path}: holds invented persons; there is nothing to rotate [key]"])
        old, new = intake.rotated(_secret_file(target, key), deliveries)
        fresh = Store(staging / "store")
        intake.rekey(target, fresh, old, new, progress or (lambda *_: None))
        with suppress(NotBuilt):
            _build(fresh, progress)
        target.take_over(fresh)
    return target.current() if target.is_published else None


def build(store: Path | str, *, runner: str = "local", progress: Progress | None = None) -> Folder:
    """Build the facts of all deliveries and publish them as a snapshot; the same files whatever the `runner` (see
    store/runner.py). Raises store.carried.Broken where the runner fails.
    """
    with changing(store, "build") as target, runner_of(runner) as at_work:
        return _build(_held(target), progress, at_work)


def _build(store: Store, progress: Progress | None, runner: Runner | None = None) -> Folder:
    """Facts, the answers prepared from them, and what may be shown of these."""
    return facts.build(
        store,
        cube=facts.Cube(measures.made_by(), measures.prepared),
        guard=facts.Guard(release.PROTECTED, release.version(), release.guarded_tables),
        runner=runner,
        progress=progress,
    )


def measure(
    store: Path | str,
    measures: Sequence[str],
    *,
    by: Sequence[str] = (),
    where: Mapping[str, Sequence[str | int]] | None = None,
    parameters: Mapping[str, str] | None = None,
    scenario: str = "observed",
    se: str = "",
    se_method: str = "auto",
    against: tuple[str, str] | None = None,
    raw: bool = False,
    published: bool = False,
    runner: str = "local",
) -> list[Released]:
    """Ask the published snapshot; one protected answer per measure (unprotected with `raw`, for the local user; from the
    protected tables alone with `published`, as a researcher is answered). `se`,
    `se_method`, `against`: standard errors and differences, see measures.Book.ask. `scenario`:
    "observed", "plan" (the plan in force, replayed) or the path of a scenario file; the latter two of one city and year.
    `runner`: where the parts of a question are asked (see store/runner.py); provenance says how many parts, or "local" for what is
    asked here. Protection and the audit log stay here.
    """
    viewer = LOCAL
    if published:
        if se or against or raw or scenario != "observed":
            raise ValueError(
                "published: the protected tables hold no standard errors, differences, scenarios or raw figures"
            )
        viewer = Viewer(LOCAL.user, "researcher")
    ledger = scenario if scenario in ("observed", "plan") else load_scenario(Path(scenario))
    more: dict[str, Any] = {"se": se, "se_method": se_method, "against": against, "protect": not raw}
    with runner_of(runner) as at_work:
        desk = Desk.open(store, viewer, None if runner == "local" else at_work)
        with desk.record.together():
            return [desk.ask(name, by, where, parameters, scenario=ledger, **more) for name in measures]


def simulate(store: Path | str, scenario: Path | str | Scenario, *, raw: bool = False) -> Outcome:
    """Carry a scenario out on the published snapshot. Raises plans.PlanErrors (every problem), plans.PlanHoles,
    whatif.NoEffect, ValueError.
    """
    loaded = scenario if isinstance(scenario, Scenario) else load_scenario(Path(scenario))
    return Desk.open(store).simulate(loaded, protect=not raw)


def simulations(
    store: Path | str, scenarios: Sequence[Path | str], *, raw: bool = False, runner: str = "local"
) -> list[Outcome]:
    """Carry several scenarios out, each a job of the `runner` (local: one after the other). Raises as `simulate` does."""
    loaded = [load_scenario(Path(scenario)) for scenario in scenarios]
    desk = Desk.open(store)
    made: list[Outcome] | list[None] = [None] * len(loaded)
    if runner != "local":
        held = Store(store)
        job = _Simulation(held.path, held.current().path, not raw)
        with runner_of(runner) as at_work:
            made = at_work.map(job, loaded, [Path(s).name for s in scenarios], at=held.path)
    return [desk.simulate(one, protect=not raw, made=found) for one, found in zip(loaded, made, strict=True)]


@dataclass(frozen=True)
class _Simulation:
    """A scenario carried out in a worker: what comes back is protected, and enters the audit log where it was asked for."""

    store: Path
    snapshot: Path
    protect: bool

    def __call__(self, scenario: Scenario) -> Outcome:
        place = Place(self.snapshot, scenario.city, scenario.plan_year)
        return Desk(Room(Store(self.store), place)).carried_out(scenario, self.protect)


def survey(
    store: Path | str, *, where: Mapping[str, Sequence[str | int]] | None = None, raw: bool = False
) -> Survey:
    """All tables of financial protection of the households of a store, see survey.py."""
    desk = Desk.open(store)
    with desk.record.together():
        return _survey(desk, where, protect=not raw)


def parade(
    store: Path | str,
    *,
    where: Mapping[str, Sequence[str | int]] | None = None,
    parameters: Mapping[str, str] | None = None,
    points: int = 100,
    raw: bool = False,
) -> Released:
    """Pen's parade, see answer.Desk.parade."""
    return Desk.open(store).parade(where, parameters, points=points, protect=not raw)


def decompose(
    store: Path | str,
    measure: str,
    covariates: Sequence[str],
    *,
    where: Mapping[str, Sequence[str | int]] | None = None,
    parameters: Mapping[str, str] | None = None,
    raw: bool = False,
) -> Released:
    """What a concentration index goes with, see measures.decompose."""
    return Desk.open(store).decompose(measure, covariates, where, parameters, protect=not raw)


def explain(
    store: Path | str, city: str, plan_year: int, person: str, *, key: Path | str | None = None
) -> list[dict[str, Any]]:
    """Every step of a person's year by the plan in force (see plans.explain), for the local user: `person` is the number or
    the certificate number delivered, turned into its key by the secret. Raises ValueError where the person has no settlement.
    """
    target, code = _held(Store(store)), reference.city_code(city)
    plan = plan_for(code, plan_year)
    if plan is None:
        raise ValueError(f"no plan for {city} {plan_year}; `jianfu plans check` lists those there are")
    kinds = {bool(d.manifest["synthetic"]) for d in target.deliveries()}
    secrets = [intake.SYNTHETIC if synthetic else _secret(target, key) for synthetic in kinds]
    keys = [k for secret in secrets for k in intake.keys_of(person, secret)]
    claims = Desk.open(store).replay(code, plan_year).case(keys, plan)
    if not claims:
        raise ValueError(f"{city} {plan_year}: nobody of this number has a settlement here that counts")
    return plans.explain(plan, claims)


def quality(store: Path | str, *, rows: int = 0, rule: str = "") -> list[dict[str, Any]]:
    """What came, loaded and waits, and what every check found, per delivery; `rows`: with so many sample rows per rule, for
    the local user. Raises store.NotBuilt where there is no store, ValueError for an unknown rule.
    """
    return _quality(_held(Store(store)), rows, rule)


def verify(store: Path | str) -> list[str]:
    """Every file that is not as it was sealed, one line each; empty when the store is whole. Raises store.NotBuilt."""
    return _held(Store(store)).damage()


def audit_log(store: Path | str) -> Log:
    """The audit log of a store, see release.audit. Raises ValueError where there is none."""
    log = log_of(store)
    if log.kept() is None and next(log.entries(), None) is None:
        raise ValueError(f"{log.folder}: no audit log here; JIANFU_AUDIT names another place")
    return log


def replay(store: Path | str, figure: str) -> list[Again]:
    """Figures computed again from their snapshots and compared with what was given; `figure`: an id, or an exported file.
    Raises ValueError where nothing is known of it.
    """
    recomputer = Recomputer(Store(store))
    return [recomputer.again(found) for found in find(log_of(store), figure)]


def as_it_left(store: Path | str, file: Path | str) -> bool:
    """Whether an exported file is, to the byte, one that the audit log has; what `replay` compares are its figures, not its own numbers."""
    return is_on_record(log_of(store), Path(file))


def _held(store: Store) -> Store:
    """A store that holds something: an empty or mistyped folder must not pass for a whole store."""
    if not _of_today(store).deliveries():
        raise NotBuilt(f"{store.path}: no delivery here; run `jianfu ingest` or `jianfu sample` first")
    return store


def _of_today(store: Store) -> Store:
    """A store whose persons are pseudonyms. Raises store.NotBuilt for one of an earlier version, which kept their numbers."""
    for delivery in store.deliveries():
        with suppress(Damaged):  # for `verify` to tell
            if "key" not in delivery.manifest:
                raise NotBuilt(
                    f"{store.path}: was made by an earlier version; ingest its files into a new store"
                )
    return store

"""What every runner must give alike: a store of three cities, its questions, and jobs that fail on purpose."""

import importlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conftest import unsealed

from analytics import facts, intake, verbs
from analytics.intake import Refused
from analytics.measures import Book, Spread, measures
from analytics.plans import PlanErrors, PlanHoles, plan_for
from analytics.reference import root
from analytics.release import digest
from analytics.store import Damaged, Folder, QueryTimeout, Store
from analytics.store.runner import Runner
from analytics.synthetic import write_delivery

SCENARIOS = sorted((root() / "data" / "scenarios").glob("*.toml"))
CITIES = ("371000", "370400", "440800")  # those of the scenarios
HERE = {"city": ["371000"], "plan_year": ["2023"]}
# A measure of every kind: sums of money and of ones, of means, ranks, quantiles, credit, several thresholds, policies, claims.
KINDS = (
    "burden_reduction_rate", "reach", "burden_reduction_mean", "catastrophic_headcount", "catastrophic_overshoot", "gini_net",
    "kakwani", "poverty_headcount", "shapley_overshoot", "loss_ratio", "one_stop_share", "days_to_pay_median",
)  # fmt: skip
Asked = tuple[str, Sequence[str], Mapping[str, Any], dict[str, Any]]


def world(folder: Path, persons: int = 600) -> Path:
    """A store of three cities in 2023 with facts, without prepared answers: these take most of the time of a build."""
    files = write_delivery(folder / "drawn", persons=persons, cities=CITIES, years=[2023])
    store = Store(folder / "store")
    for table, paths in files.items():
        if paths:
            intake.ingest(store, paths, table, synthetic=True)
    facts.build(store)
    return store.path


def fresh(world: Path, target: Path) -> Store:
    """The same deliveries, nothing built."""
    shutil.copytree(world, target)
    unsealed(target)
    shutil.rmtree(target / "snapshots")
    (target / "current").unlink()
    return Store(target)


def in_parts() -> list[Asked]:
    """Every measure by city and year."""
    return [(name, ("city", "plan_year"), {}, {}) for name, form in measures().items() if not form.needs]


def together() -> list[Asked]:
    """Measures of every kind over places, their errors, and what only one place or one machine can tell."""
    over: list[Asked] = [(name, (), {}, {}) for name in KINDS]
    over += [(name, ("plan_year", "insurance_type"), {}, {}) for name in KINDS[:2]]
    sure: list[Asked] = [
        (name, (), HERE, {"se": "superpopulation"})
        for name in ("reach", "catastrophic_headcount", "gini_net")
    ]
    whole: list[Asked] = [
        ("reach", ("city",), {}, {"se": "superpopulation"}),
        ("reach", (), {}, {"against": ("city", "371000")}),
    ]
    several: list[Asked] = [("catastrophic_headcount", ("threshold", "city"), {}, {})]
    return [*over, *sure, *whole, *several]


def answers(
    snapshot: Folder, asked: Sequence[Asked], runner: Runner | None = None
) -> dict[str, tuple[str, Any]]:
    """By question: the digest of the answer, or why there is none; and who asked it of how many parts."""
    book = Book(snapshot, prepared=False, spread=Spread(runner, snapshot.path) if runner else None)
    found = {}
    for name, by, where, more in asked:
        try:
            raw = book.ask(name, by, where, **more)
            told = digest(raw.table), (raw.provenance.get("runner"), raw.provenance.get("parts"))
        except ValueError as error:
            told = str(error), (None, None)
        found[repr((name, by, dict(where), more))] = told
    return found


def hashes(snapshot: Folder) -> dict[str, str]:
    """sha256 of every file, by name."""
    return {file["name"]: file["sha256"] for file in snapshot.manifest["files"]}


def simulated(store: Path, runner: str) -> list[Any]:
    """What comes of every scenario: the digest of its table, or why there is none."""
    found: list[Any] = []
    for file in SCENARIOS:
        try:
            (outcome,) = verbs.simulations(store, [file], runner=runner)
            found.append((digest(outcome.table()), outcome.scenario.name.en))
        except ValueError as error:
            found.append(str(error))
    return found


# --- jobs


def twice(n: int) -> int:
    return 2 * n


def who(_: int) -> int:
    """The process that works, after a moment, so that no other works its part."""
    time.sleep(0.2)
    return os.getpid()


def task(_: int) -> int:
    """Which task of a Spark job works this part."""
    context = importlib.import_module("pyspark").TaskContext.get()
    return int(context.partitionId())


def refuse(kind: str) -> None:
    """Raise an error of this kind, with what it carries."""
    plan = plan_for("371000", 2023)
    assert plan
    raise {
        "refused": lambda: Refused(["one", "two"]),
        "plans": lambda: PlanErrors(["three", "four"]),
        "holes": lambda: PlanHoles(plan, ["five"]),
        "damaged": lambda: Damaged("six"),
        "timeout": lambda: QueryTimeout("seven"),
        "file": lambda: FileNotFoundError(2, "eight", "nine"),
        "lock": lambda: Exception(threading.Lock().acquire),
    }[kind]()


def killed(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_once(marker: str) -> str:
    """Dies the first time it is worked."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "worked again"

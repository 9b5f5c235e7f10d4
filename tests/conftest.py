"""What tests share: one small synthetic sample per test session, and the command line."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from deliveries import bare
from filelock import FileLock
from hypothesis import HealthCheck, settings
from streamlit.components.v2 import manifest_scanner

from analytics import cli, verbs

Run = Callable[..., tuple[int, str, str]]

# Over five hundred processes are started: what Python compiles for one is kept for the others, whatever the environment says,
# and in the usual place, where that of the libraries lies already.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile(
    "long", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session", autouse=True)
def _packages_looked_at_once() -> Iterator[None]:
    """Streamlit looks through every installed package at each `AppTest`, which takes longer than most pages; what it finds stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests)
        )
        yield


# Files that drive a browser: one after the other, since two browsers and their servers are more than two processors can serve.
BROWSER = ("browser_upload", "oidc", "browser_pages", "browser", "scripts")
# The others that take longest, which begin first, so that no worker is left alone with one of them.
LONGEST = (
    "reconcile", "rotate", "faults", "store", "wheel", "corrections", "runners", "jail", "ingest", "kernel", "measures",
    "corrections_kept", "readme", "faults_disk", "faults_together", "data_page", "cube",
)  # fmt: skip


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: at any time one waits, for a browser, a process or the disk."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a file stay on one worker (`--dist loadgroup`)."""
    place = {f"test_{name}": number for number, name in enumerate((*BROWSER, *LONGEST))}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))
    for item in items:
        stem = item.path.stem
        item.add_marker(pytest.mark.xdist_group("browser" if stem.removeprefix("test_") in BROWSER else stem))


def unsealed(store: Path) -> Path:
    """A store whose folders can be changed or removed, also by somebody who is not root."""
    for path in store.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    return store


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A copy of the folder that `make` makes: made by one worker of the run, copied for each that asks."""
    root = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    whole, part = root / f"once-{name}", root / f"once-{name}.part"
    with FileLock(f"{whole}.lock"):
        if not whole.exists():
            make(part)
            part.rename(whole)
    without_log = shutil.ignore_patterns("audit")  # whose head lies beside the store
    return Path(shutil.copytree(whole, factory.mktemp(name) / "store", ignore=without_log))


@pytest.fixture(scope="module")
def program_of_its_own() -> Iterator[None]:
    """For tests of a pool: its processes begin as the program that started them does, and a page looked at before leaves itself there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        yield


@pytest.fixture(scope="session")
def sample_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built store: three cities, two years, 3,000 synthetic persons each."""
    cities = ["440400", "440800", "371000"]
    return once(
        tmp_path_factory,
        "sample",
        lambda store: verbs.sample(store, persons=3000, cities=cities, years=[2022, 2023], seed=7),
    )


@pytest.fixture
def bare_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever builds in this process builds the facts alone."""
    monkeypatch.setattr(verbs, "_build", bare)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command line; returns exit code, stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = cli.main([str(a) for a in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="module", name="cache")
def font_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for the fonts of reports, of these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("JIANFU_CACHE", str(folder))
        yield folder

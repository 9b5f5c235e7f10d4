"""What tests share: one small synthetic sample per test session, and the command line."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from streamlit.components.v2 import manifest_scanner

from analytics import cli, verbs

Run = Callable[..., tuple[int, str, str]]

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


def unsealed(store: Path) -> Path:
    """A store whose folders can be changed or removed, also by somebody who is not root."""
    for path in store.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    return store


@pytest.fixture(scope="session")
def sample_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built store: three cities, two years, 3,000 synthetic persons each."""
    store = tmp_path_factory.mktemp("sample") / "store"
    verbs.sample(store, persons=3000, cities=["440400", "440800", "371000"], years=[2022, 2023], seed=7)
    return store


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

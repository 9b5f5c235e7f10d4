"""Shared stores for the tests: one small synthetic sample per test session."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from analytics import verbs

settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile(
    "long", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def sample_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built store: three cities, two years, 3,000 synthetic persons each."""
    store = tmp_path_factory.mktemp("sample") / "store"
    verbs.sample(store, persons=3000, cities=["440400", "440800", "371000"], years=[2022, 2023], seed=7)
    return store

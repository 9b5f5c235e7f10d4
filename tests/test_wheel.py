"""The wheel: what it holds, and that it works from a folder of its own, away from the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "analytics"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout; hatchling builds it without fetching anything."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("jianfu-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The wheel unpacked, as an installer would."""
    folder = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, *arguments: str, **environment: str) -> str:
    """Run Python with only the unpacked wheel in front of the libraries, in an empty folder."""
    elsewhere = installed.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    variables = {**os.environ, "PYTHONPATH": str(installed), "PYTHONUTF8": "1", **environment}
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(
        command, cwd=elsewhere, env=variables, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_everything_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    bundled = [ROOT / "app.py", ROOT / ".streamlit" / "config.toml", *(ROOT / "pages").glob("*.py")]
    for part in ("plans", "published", "reference", "scenarios", "examples"):
        files = [p for p in (ROOT / "data" / part).rglob("*") if p.suffix in (".toml", ".md", ".csv")]
        assert files, part
        bundled += files
    expected = {f"analytics/_bundle/{path.relative_to(ROOT).as_posix()}" for path in bundled}
    own = {p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".toml", ".sql", ".png", ".typ")}
    expected |= {path.relative_to(ROOT).as_posix() for path in own}
    assert {path.suffix for path in own} == {".py", ".toml", ".sql", ".png", ".typ"}
    assert expected - held == set()
    extra = {name for name in held - expected if ".dist-info/" not in name}
    assert extra == set(), "the wheel carries files that belong to nobody"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in held)


def test_plans_and_reference_load_from_the_wheel(installed: Path) -> None:
    code = """
import json
import analytics
from analytics import reference
from analytics.measures import measures
from analytics.plans import check_plans, load_plans
print(json.dumps({
    "from": [analytics.__file__, str(reference.root())],
    "plans": len(load_plans()), "problems": check_plans(), "measures": list(measures()),
    "reference": [len(reference.cities()), len(reference.incomes()), len(reference.bands())],
}))
"""
    told = json.loads(run(installed, "-c", code))
    assert all(Path(place).is_relative_to(installed) for place in told["from"])
    assert told["plans"] == len(list((ROOT / "data" / "plans").glob("*/*.toml")))
    assert told["problems"] == []
    assert sorted(told["measures"]) == sorted(p.stem for p in (PACKAGE / "measures/catalogue").glob("*.toml"))
    assert all(told["reference"])


def test_the_command_line_works_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    catalogue = json.loads(run(installed, "-m", "analytics.cli", "measures", "--format", "json"))
    assert "burden_reduction_rate" in {row["id"] for row in catalogue["rows"]}
    pay = ("plans", "pay", "zhanjiang", "2013", "--tier", "serious_illness", "--amount", "60000")
    assert json.loads(run(installed, "-m", "analytics.cli", *pay, "--format", "json"))["paid_yuan"] == 21_000
    store = str(tmp_path / "store")
    sample = ("sample", store, "--persons", "200", "--cities", "zhuhai", "--years", "2023")
    assert "published snapshot" in run(installed, "-m", "analytics.cli", *sample)
    asked = run(installed, "-m", "analytics.cli", "measure", store, "tier_share", "--by", "tier")
    assert "\nbasic\ttier_share\t" in asked


def test_the_dashboard_opens_from_the_wheel(installed: Path, sample_store: Path) -> None:
    code = """
import sys
from pathlib import Path
from streamlit.testing.v1 import AppTest
import analytics.view
from analytics import reference
from analytics.view import server
at = AppTest.from_file(str(server.FRAME), default_timeout=60).run()
assert not at.exception, at.exception
print(server.FRAME, reference.root() / "pages", at.title[0].value, sep="\\n")
"""
    frame, pages, title = run(installed, "-c", code, JIANFU_STORE=str(sample_store)).splitlines()
    assert Path(frame).is_relative_to(installed) and Path(pages).is_relative_to(installed)
    assert (Path(pages) / "overview.py").is_file()
    assert "每 100 元医疗费用" in title

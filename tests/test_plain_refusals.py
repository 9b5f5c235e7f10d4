"""What a mistyped name, a missing file or a closed pipe reads as: one line, and nothing is made on the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run

from analytics.figures import words
from analytics.release.audit import Log


def test_a_build_of_a_mistyped_store_makes_nothing(tmp_path: Path, run: Run) -> None:
    for verb in (("build",), ("rotate-key",)):
        code, out, err = run(*verb, tmp_path / "nowhere")
        assert (code, out) == (1, "") and "no delivery here" in err, verb
    assert list(tmp_path.iterdir()) == []
    code, out, err = run("audit", "verify", tmp_path / "nowhere")
    assert code == 1 and "no audit log" in err


def test_a_missing_file_is_named_and_what_to_do(tmp_path: Path, run: Run) -> None:
    code, _, err = run("grants", "sign", tmp_path / "nofile", "--key", tmp_path / "key")
    assert code == 1 and len(err.splitlines()) == 1 and "Errno" not in err
    assert err.startswith(f"{tmp_path / 'nofile'}: No such file or directory; check")


@pytest.mark.skipif(os.name == "nt", reason="no such pipes")
def test_a_next_program_that_has_read_enough_ends_it_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "analytics.cli", "measures"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_log_without_its_head_is_told_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = Log(tmp_path / "log", tmp_path / "head")
    for n in range(3):
        log.append({"kind": "test", "what": n})
    assert not caplog.text
    (tmp_path / "head").unlink()
    Log(tmp_path / "log", tmp_path / "head").append({"kind": "test"})
    assert f"has 3 entries, and its head {tmp_path / 'head'} is missing" in caplog.text


@pytest.mark.parametrize(("language", "told"), [("zh", "（按责任）"), ("en", " by liability")])
def test_what_is_lacking_by_a_dimension_says_so(language: str, told: str) -> None:
    by = {"zh": "责任", "en": "liability"}[language]
    with words.reading(language):
        assert words.t("report.by", by=by) == told

"""Every change of a store has its entry in the audit log before it is made; without the entry it is not made."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from deliveries import bare, csv_file, record
from faults import untold
from fixes import BURDEN, CASH, WRONG, at, fix_file

from analytics import verbs
from analytics.release import Unwritten, log_of
from analytics.store import Store

pytestmark = pytest.mark.usefixtures("bare_builds")
ROWS = [record(n) for n in range(1, 15)] + [record(15, **WRONG), record(16, **WRONG)]
Change = Callable[[Path], object]


def _ingest(folder: Path) -> object:
    return verbs.ingest(folder / "store", [csv_file(folder / "b.csv", [record(40)])], "settlement")


def _correct(folder: Path, action: str = "set") -> object:
    """Row 15 set right, or dropped."""
    first = min(Store(folder / "store").deliveries(), key=lambda d: d.manifest["rows_in"] != len(ROWS))
    fixes = [{**at(15), **BURDEN}, {**at(15), **CASH}]
    if action == "drop":
        fixes = [{**at(15), "action": "drop"}]
    return verbs.correct(folder / "store", fix_file(folder, first.id, *fixes))


CHANGES: dict[str, Change] = {
    "ingest": _ingest,
    "correct": _correct,
    "drop": lambda folder: _correct(folder, "drop"),
    "build": lambda folder: verbs.build(folder / "store"),
    "rotate-key": lambda folder: verbs.rotate_key(folder / "store"),
}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A delivery with two rows that wait, served, and another that is not built yet."""
    folder = tmp_path_factory.mktemp("changes")
    verbs.ingest(folder / "store", [csv_file(folder / "a.csv", ROWS)], "settlement")
    bare(folder / "store")
    verbs.ingest(folder / "store", [csv_file(folder / "more.csv", [record(30)])], "settlement")
    return folder


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "f"))


def entries(store: Path) -> list[dict[str, Any]]:
    """As they stand in the files, hashes and places aside."""
    lines = [
        text for p in sorted((store / "audit").glob("*.jsonl")) for text in p.read_text("utf-8").split("\n")
    ]
    plain = ("n", "at", "hash", "previous", "scope")
    return [{k: v for k, v in json.loads(line).items() if k not in plain} for line in lines if line]


def sealed(store: Path) -> dict[str, list[str]]:
    held = {kind: sorted(p.name for p in (store / kind).iterdir()) for kind in ("deliveries", "snapshots")}
    return held | {"current": [(store / "current").read_text()]}


WHO = {"user": "local", "role": "local"}


def test_what_was_done_by_whom_and_what_came_of_it(first: Path, folder: Path) -> None:
    """Numbers counted by hand: 16 rows came, 2 wait; one of them is corrected, one dropped."""
    store = folder / "store"
    one, two = entries(store)
    assert two["files"][0]["name"] == "more.csv" and two["rows_in"] == 1
    assert {k: v for k, v in one.items() if k not in ("delivery", "files")} == {
        **WHO, "kind": "ingest", "outcome": "delivered", "table": "settlement",
        "rows_in": 16, "rows_loaded": 14, "rows_quarantined": 2,
    }  # fmt: skip
    (given,) = one["files"]
    assert given == {"name": "a.csv", "sha256": _sha(first / "a.csv")}
    before = {one["delivery"], two["delivery"]}
    assert before == set(sealed(store)["deliveries"])
    verbs.ingest(store, [folder / "a.csv"], "settlement")
    assert entries(store)[-1] == {**one, "outcome": "held already"}
    _correct(folder)
    told = entries(store)[-1]
    assert (told["kind"], told["corrects"], told["by"], told["rows_dropped"]) == (
        "correct",
        one["delivery"],
        "王某",
        0,
    )
    assert told["rows_loaded"] == 1
    snapshot = verbs.build(store)
    told = entries(store)[-1]
    assert told == {
        **WHO, "kind": "build", "outcome": "published", "snapshot": snapshot.id, "deliveries": sealed(store)["deliveries"], "rows": 16,
    }  # fmt: skip
    assert len(sealed(store)["deliveries"]) == 3
    held = sealed(store)
    again = verbs.rotate_key(store)
    told = entries(store)[-1]
    now = sealed(store)
    assert again is not None and now["snapshots"] == [again.id] != held["snapshots"]
    assert {k: told[k] for k in ("kind", "outcome", "deliveries", "snapshots")} == {
        "kind": "rotate-key", "outcome": "replaced", "deliveries": now["deliveries"], "snapshots": now["snapshots"],
    }  # fmt: skip
    assert told["before"] == {k: held[k] for k in ("deliveries", "snapshots")}
    assert log_of(store).verify() == []


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_refused_changes_are_entered_without_the_words_of_a_file(folder: Path, run: Run) -> None:
    store, known = folder / "store", len(entries(folder / "store"))
    secret = "330106199001011234"
    (folder / "bad.csv").write_text(f"setl_id,psn_no\n1,{secret}\n")
    refused = {
        ("ingest", store, folder / "bad.csv", "--as", "settlement"): "column_missing",
        ("ingest", store, folder / "none.csv", "--as", "settlement"): "no_file",
        ("correct", store, folder / "none.toml"): "correction",
        ("sample", store): "Refused",
        ("build", store, "--runner", "cloud"): "ValueError",
    }
    for command, why in refused.items():
        code, _, err = run(*command)
        told = entries(store)[known:]
        assert code == 1 and len(told) == 1, (command, err)
        assert (told[0]["kind"], told[0]["outcome"]) == (command[0], "refused")
        assert told[0]["why"] == [why], told
        assert command[0] != "ingest" or told[0]["files"] == [Path(str(command[2])).name]
        known += 1
    assert secret not in (store / "audit" / "0001.jsonl").read_text("utf-8")
    with Store(store).building():
        assert run("build", store)[0] == 75
    assert entries(store)[-1]["why"] == ["Busy"]
    assert run("rotate-key", folder / "mistyped")[0] == 1 and not (folder / "mistyped").exists()
    shown = run("audit", "show", store)[1]
    assert shown.count("refused") == len(refused) + 1
    assert "files a.csv, " in shown and "why column_missing" in shown


@pytest.mark.parametrize("kind", CHANGES)
def test_without_its_entry_a_change_is_not_made(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder stands where the log's head belongs; once it is gone, the same change is made."""
    store = folder / "store"
    monkeypatch.setenv("JIANFU_AUDIT_HEAD", str(folder / "in-the-way"))
    (folder / "in-the-way" / "it").mkdir(parents=True)
    before = sealed(store)
    with pytest.raises(Unwritten, match="nothing is shown or changed"):
        CHANGES[kind](folder)
    assert sealed(store) == before and Store(store).damage() == []
    assert not (store / "staging").exists() and not (store / "held").exists()
    shutil.rmtree(folder / "in-the-way")
    CHANGES[kind](folder)
    assert sealed(store) != before and Store(store).damage() == []


@pytest.mark.parametrize("kind", CHANGES)
def test_the_entry_is_there_before_the_change(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at whenever a name of the store comes to count."""
    store, looked = folder / "store", list[str]()
    rename = Path.rename

    def seen(path: Path, target: Path) -> Path:
        if Path(target).parent.parent == store:
            told = (store / "audit" / "0001.jsonl").read_text("utf-8")
            assert Path(target).name in told, (kind, target)
            looked.append(Path(target).name)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", seen)
    CHANGES[kind](folder)
    assert looked
    with pytest.raises(AssertionError, match="unseen"):
        (store / "a").mkdir()
        (store / "a").rename(store / "deliveries" / "unseen")


def test_a_store_that_nobody_watches_would_show(folder: Path) -> None:
    """The control of the tests of faults: a snapshot without an entry is found by what looks for it there."""
    held = sealed(folder / "store")
    assert untold(folder / "store", {*held["deliveries"], *held["snapshots"]}) == []
    made = bare(folder / "store")
    assert untold(folder / "store", {*held["deliveries"], *held["snapshots"]}) == [made.id]

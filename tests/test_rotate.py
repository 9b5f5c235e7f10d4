"""Key rotation: other pseudonyms everywhere, the same persons; a killed run leaves one whole store with its secret."""

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deliveries import bare, certificate, csv_file, loaded, record, take
from fixes import BURDEN, CASH, WRONG, at, correct, ids, states

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.intake import Refused, corrections
from analytics.intake.pseudonyms import key_maker, load_secret
from analytics.store import Folder, Store

pytestmark = pytest.mark.usefixtures("bare_builds")  # with prepared answers: test_cli_intake.py

NEXT = {"setl_time": "2021-09-27 09:58:41", "begndate": "2021-09-20", "enddate": "2021-09-27"}


def number_only(number: int, **changes: Any) -> dict[str, Any]:
    return record(number, certno="", psn_cert_type="", **changes)


def month(number: int) -> list[dict[str, Any]]:
    """Settlements of persons 1 to 12, the same persons every month; person 2 comes by number only."""
    more = NEXT if number else {}
    people = [number_only(2), *(record(i) for i in (1, *range(3, 13)))]
    return [{**row, **more, "setl_id": f"{row['setl_id']}-{number}", "mdtrt_id": f"{row['mdtrt_id']}-{number}"} for row in people]  # fmt: skip


def ingest(
    folder: Path, rows: list[dict[str, Any]], name: str, table: str = "settlement", **options: Any
) -> Folder:
    return take(folder, [csv_file(folder / name, rows)], table, **options)


def keys(store: Path) -> dict[str, set[int]]:
    """Every pseudonym of a store by the column it stands in, quarantined rows too."""
    found: dict[str, set[int]] = {"quarantine": set()}
    for delivery in Store(store).deliveries():
        for part in delivery.partitions():
            frame = pl.read_parquet(part.path)
            for name in ("person_key", "household_key", "number_key"):
                if name in frame.columns:
                    found.setdefault(name, set()).update(frame[name].drop_nulls())
            if part.table == "quarantine":
                values = [v for row in frame["row"] for v in json.loads(row).values() if v]
                found["quarantine"] |= {int(v[1:]) for v in values if v.startswith("#")}
    return found


def files(store: Path) -> dict[str, bytes]:
    """Every file of a store but the lock and the audit log, and its secret."""
    every = [
        p
        for p in store.rglob("*")
        if p.is_file() and p.name != "lock" and p.parent.name != "audit" and p.suffix != ".audit-head"
    ]
    return {str(p.relative_to(store)): p.read_bytes() for p in every}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built store: one month with two rows waiting, of which one is fixed; persons and households."""
    folder = tmp_path_factory.mktemp("rotate")
    bad = [record(20, **WRONG), number_only(21, **WRONG), record(1, setl_id="U", certno=certificate(1))]
    delivery = ingest(folder, [*month(0), *bad], "m0.csv")
    correct(folder, delivery, {**at(13, file="m0.csv"), **BURDEN}, {**at(13, file="m0.csv"), **CASH})
    member = [{"household_id": "H1", "psn_no": record(i)["psn_no"], "certno": certificate(i), "start_date": "2020-01-01"} for i in (1, 3)]  # fmt: skip
    ingest(folder, member, "home.csv", "household_member")
    bare(folder / "store")
    return folder


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    shutil.copytree(first, tmp_path / "f")
    return tmp_path / "f"


def burden(store: Path) -> list[dict[str, Any]]:
    return Desk.open(store).ask("own_burden_mean", protect=False).table.to_dicts()


def test_every_pseudonym_changes_and_no_figure_does(folder: Path) -> None:
    store = folder / "store"
    before, asked, old = keys(store), burden(store), load_secret(folder / "jianfu.key")
    deliveries, snapshot = {d.id for d in Store(store).deliveries()}, Store(store).current_id()
    verbs.rotate_key(store)
    secret, after = load_secret(folder / "jianfu.key"), keys(store)
    assert secret.keys[:-1] == old.keys and len(secret.keys) == len(old.keys) + 1
    assert {name: len(found) for name, found in after.items()} == {
        name: len(found) for name, found in before.items()
    }
    assert all(before.values()) and all(not before[name] & after[name] for name in before)
    # a pseudonym under the new secret is what its identifier gives from the beginning
    make = key_maker(secret)
    assert {make(f"C{certificate(i)}".encode()) for i in (1, 3)} <= after["person_key"]
    assert make(f"P{record(2)['psn_no']}".encode()) in after["person_key"]
    assert {make(b"HH1")} == after["household_key"]
    assert {make(f"P{record(21)['psn_no']}".encode())} <= after["quarantine"]
    assert burden(store) == asked
    assert not deliveries & {d.id for d in Store(store).deliveries()}
    assert [p.name for p in (store / "snapshots").iterdir()] == [Store(store).current_id()] != [snapshot]
    assert {d.manifest["key"]["id"] for d in Store(store).deliveries()} == {secret.id}
    assert verbs.verify(store) == []
    assert stat.S_IMODE((folder / "jianfu.key").stat().st_mode) == 0o600


def test_a_correction_still_names_what_it_corrects(folder: Path) -> None:
    store = Store(folder / "store")
    before = sorted(tuple(count.values()) for count in corrections.counts(store).values())
    verbs.rotate_key(store.path)
    (fixing,) = [d for d in store.deliveries() if d.manifest["corrects"]]
    fixed = next(d for d in store.deliveries() if d.id == fixing.manifest["corrects"]["delivery"])
    assert states(folder, fixed)["m0.csv", 13] == "fixed"
    assert sorted(tuple(count.values()) for count in corrections.counts(store).values()) == before


def test_the_next_month_joins_the_same_persons(folder: Path) -> None:
    """Under the rotated secret the same certificates and numbers are the same persons, in new rows and in corrected ones."""
    verbs.rotate_key(folder / "store")
    held = next(d for d in Store(folder / "store").deliveries() if d.manifest["rows_in"] == 15)
    people = set(loaded(held)["person_key"])
    later = ingest(folder, month(1), "m1.csv")
    assert later.manifest["rows_loaded"] == 12 and set(loaded(later)["person_key"]) <= people
    done = correct(folder, held, {**at(14, file="m0.csv"), **BURDEN}, {**at(14, file="m0.csv"), **CASH})
    last = ingest(folder, [number_only(21, **NEXT, setl_id="again")], "m2.csv")
    assert (
        ids(done) == ["S00021"]
        and loaded(done)["person_key"].to_list() == loaded(last)["person_key"].to_list()
    )
    assert loaded(done)["person_key"][0] not in people  # the comparison can fail
    before = len(pl.read_parquet(Store(folder / "store").current().partitions("person_year")[0].path))
    verbs.build(folder / "store")
    after = pl.read_parquet(Store(folder / "store").current().partitions("person_year")[0].path)
    assert len(after) == before + 1  # person 21, and nobody else


def test_stores_that_share_the_secret_follow_one_by_one(folder: Path) -> None:
    """The other store stays usable with the longer secret; its own run adds no key, and then both join again."""
    other = ingest(folder, [record(1)], "o.csv", store="other")
    verbs.rotate_key(folder / "store")
    secret = load_secret(folder / "jianfu.key")
    more = ingest(folder, [record(1, **NEXT, setl_id="later")], "p.csv", store="other")
    were = set(loaded(other)["person_key"])
    assert set(loaded(more)["person_key"]) == were
    verbs.rotate_key(folder / "other")
    assert load_secret(folder / "jianfu.key") == secret
    moved = {key for d in Store(folder / "other").deliveries() for key in loaded(d)["person_key"]}
    assert moved <= keys(folder / "store")["person_key"] and not moved & were


# --- killed at any point

# A process that dies at the n-th call of a function (of a file or folder in the folder named), as by a signal: no `finally` runs.
DYING = """
import importlib, os, sys
module, name, nth, folder, store = sys.argv[1:]
*path, last = name.split(".")
target = importlib.import_module(module)
for part in path:
    target = getattr(target, part)
whole, calls = getattr(target, last), 0
def dying(*arguments, **options):
    global calls
    if not folder or arguments[0].parent.name == folder:
        if calls == int(nth):
            os._exit(9)
        calls += 1
    return whole(*arguments, **options)
setattr(target, last, dying)
from analytics import facts, verbs
verbs._build = lambda store, progress: facts.build(store)  # prepared answers take most of the time
verbs.rotate_key(store)
"""
SNAPSHOT = "analytics.store.snapshot"
STEPS = {  # and whether the store is the new one already
    "before the secret": ("analytics.intake.rotation", "write_secret", 0, "", False),
    "after the secret": ("analytics.intake", "rekey", 0, "", False),
    "while rewriting": ("analytics.intake.rotation", "_Turn.delivery", 1, "", False),
    "while building": ("analytics.facts", "build", 0, "", False),
    "before the change": (SNAPSHOT, "Store.take_over", 0, "", False),
    "while moving": (
        "pathlib",
        "Path.rename",
        5,
        "",
        False,
    ),  # three deliveries and a snapshot are sealed before
    "before it counts": (
        SNAPSHOT,
        "Store._write",
        2,
        "",
        False,
    ),  # after the pointer of the new store, and the old list
    "after it counts": (SNAPSHOT, "Store._settle", 5, "", True),  # five builders began before
    "while removing": ("shutil", "rmtree", 1, "deliveries", True),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_run_leaves_one_whole_store(folder: Path, step: str) -> None:
    store = folder / "store"
    before, asked = keys(store), burden(store)
    *where, is_new = STEPS[step]
    ended = subprocess.run([sys.executable, "-c", DYING, *map(str, where), str(store)], check=False)
    assert ended.returncode == 9
    found = keys(store)
    assert found["person_key"].isdisjoint(before["person_key"]) if is_new else found == before
    assert {name: len(values) for name, values in found.items()} == {n: len(v) for n, v in before.items()}
    assert burden(store) == asked  # readers are served all the while
    # the next delivery joins the persons there are, and the next builder finishes what was begun
    later = ingest(folder, month(1), "m1.csv")
    assert set(loaded(later)["person_key"]) <= found["person_key"]
    assert {p.name for p in store.iterdir()} - {"audit"} == {"current", "deliveries", "lock", "snapshots"}
    assert len(list((store / "deliveries").iterdir())) == 4
    assert verbs.verify(store) == []
    # a run that follows uses the key the killed one added, unless that one came as far as using it
    if step in ("after the secret", "after it counts"):
        verbs.rotate_key(store)
        assert keys(store)["person_key"].isdisjoint(found["person_key"])
        assert len(load_secret(folder / "jianfu.key").keys) == (3 if is_new else 2)


# --- refusals


def test_invented_persons_have_nothing_to_rotate(sample_store: Path) -> None:
    with pytest.raises(Refused, match="invented persons"):
        verbs.rotate_key(sample_store)


@pytest.fixture
def unchanged(folder: Path) -> Iterator[Path]:
    """What is refused changes neither the store nor any secret."""
    before = files(folder)
    yield folder
    assert {name: raw for name, raw in files(folder).items() if name in before} == before


def test_another_secret_is_refused(unchanged: Path) -> None:
    ingest(unchanged, [record(1)], "x.csv", store="else/store", key=unchanged / "else.key")
    with pytest.raises(Refused, match="not the secret of this store"):
        verbs.rotate_key(unchanged / "store", key=unchanged / "else.key")
    with pytest.raises(Refused, match="is not here"):
        verbs.rotate_key(unchanged / "store", key=unchanged / "nowhere.key")


def test_a_changed_delivery_is_not_rotated(folder: Path) -> None:
    part = Store(folder / "store").deliveries()[0].partitions()[0]
    raw = bytearray(part.path.read_bytes())
    raw[len(raw) // 2] ^= 1
    part.path.chmod(0o644)
    part.path.write_bytes(raw)
    before = {d.id for d in Store(folder / "store").deliveries()}
    with pytest.raises(Exception, match="content differs"):
        verbs.rotate_key(folder / "store")
    assert {d.id for d in Store(folder / "store").deliveries()} == before


def homes(store: Path) -> list[str]:
    """Every household of a year but for its key."""
    frames = [pl.read_parquet(p.path) for p in Store(store).current().partitions("household_year")]
    return sorted(str(row) for row in pl.concat(frames).drop("household_key").iter_rows())


def test_no_household_is_chosen_by_its_key(tmp_path: Path) -> None:
    """Everybody moved, some of them nobody knows when; the members of a household cost the same."""
    people = [record(i, hosp_lv=str(1 + i % 3), brdy=f"19{40 + i}-03-01") for i in range(1, 13)]
    ingest(tmp_path, people, "s.csv")
    for n, start in enumerate(("2020-01-01", "2021-05-01")):
        who = [(f"H{n}-{i % (4 + n)}", i) for i in range(1, 13)]
        member = [{"household_id": home, "psn_no": record(i)["psn_no"], "certno": certificate(i), "start_date": start if i % 4 else ""} for home, i in who]  # fmt: skip
        ingest(tmp_path, member, f"home{n}.csv", "household_member")
        means = [{"household_id": home, "year": "2021", "income_annual": f"{100 * (n + 1) + int(home[-1])}.00"} for home in sorted({h for h, _ in who})]  # fmt: skip
        ingest(tmp_path, means, f"means{n}.csv", "household_economy")
    bare(tmp_path / "store")
    before = homes(tmp_path / "store")
    assert len(before) == 5  # the households of the newest delivery
    verbs.rotate_key(tmp_path / "store")
    assert homes(tmp_path / "store") == before

"""Protected tables from snapshot to snapshot: late claims, unchanged years, tables that must not be published, damage."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from canonical import ZHUHAI, deliver, settle
from conftest import Run
from protected_world import K, Place, of, primary_only, view

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.figures import words
from analytics.reference import Unable
from analytics.release import Published, policy, protected, tables
from analytics.release.attack import COUNT, attack
from analytics.release.system import primary
from analytics.store import Damaged, Folder, Store


@pytest.fixture(scope="module")
def snapshot(sample_store: Path) -> Folder:
    return Store(sample_store).current()


@pytest.fixture(scope="module")
def published(snapshot: Folder) -> Published:
    return Published(snapshot)


def file_of(snapshot: Folder, place: Place) -> tuple[str, pl.DataFrame]:
    part = next(p for p in snapshot.partitions("protected") if (p.city, p.plan_year) == place)
    return part.sha256, pl.read_parquet(part.path)


def test_a_late_claim_moves_one_city_year_and_tells_of_nobody(sample_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(sample_store, store)
    before, place = Store(store).current(), (ZHUHAI, 2023)
    deliver(store, settlement=[settle("late", 9_000_000, 4_000_000, city=ZHUHAI)])
    after = verbs._build(Store(store), None)
    for other in Published(before).places:
        was, now = file_of(before, other), file_of(after, other)
        if other != place:
            assert was[0] == now[0], "nothing came, nothing moves"
            continue
        on = ["key", "at"]
        both = (
            was[1].join(now[1], on=on, suffix="_now", nulls_equal=True).filter(pl.col("status").is_not_null())
        )
        assert both.filter((pl.col("status") == "hidden") & (pl.col("status_now") == "shown")).is_empty()
        told = next(row for row in after.manifest["protection"] if (row["city"], row["plan_year"]) == place)
        assert told["attacked"] == [
            "published",
            "by insiders",
            "in whole numbers",
            "with the publication before",
        ]
        cells, rows = of(after, place)
        risk = primary(cells.system, policy())
        earlier = view(cells, was[1])
        found = attack(view(cells, rows), cells=np.flatnonzero(risk).tolist(), earlier=earlier)
        small = [j for j, i in enumerate(found.cells) if 0 < cells.system.count[i] < K]
        if not told["kept"]:
            assert all(found.high[COUNT, j] >= K for j in small)
    again = verbs._build(Store(store), None)
    assert again.id == after.id, "the same data, the same snapshot"


def test_tables_that_can_be_undone_are_not_published(
    sample_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """Where the cells at risk are hidden and nothing protects them, the attack finds every place, and nothing comes out."""
    store = tmp_path / "store"
    shutil.copytree(sample_store, store)
    before = {
        place: file_of(Store(store).current(), place)[1] for place in Published(Store(store).current()).places
    }
    monkeypatch.setattr("analytics.release.tables.to_hide", lambda cells, *_: primary_only(cells))
    monkeypatch.setattr("analytics.release.version", lambda: "another")  # protects everything anew
    monkeypatch.setattr("analytics.release.published.version", lambda: "another")
    code, out, err = run("build", store)
    after = Store(store).current()
    assert code == 0 and after.id in out
    published = Published(after)
    assert not published.places and published.withheld == dict.fromkeys(before, "undone")
    for (city, year), was in before.items():
        assert f"{city} {year}: 没有受保护的表格 no protected tables: " in err
        assert file_of(after, (city, year))[1].equals(was), (
            "what is out already, for the attack on what comes next"
        )
        with pytest.raises(Unable) as told:
            published.ask("reach", ["tier"], {"city": [city], "plan_year": [year]})
        assert told.value.code == "withheld"
    assert Desk.open(store).ask("reach", ["tier"], {"city": [ZHUHAI]}).table.height


@pytest.mark.parametrize(("rule", "asked"), [("insiders", "insiders"), ("whole_numbers", "sample")])
def test_what_insiders_could_tell_is_not_published(
    snapshot: Folder, published: Published, monkeypatch: pytest.MonkeyPatch, rule: str, asked: str
) -> None:
    """The attacks that take longer are part of the build, as far as the policy says: what they find is not published."""
    place = published.places[0]
    cube = pl.read_parquet(
        next(p.path for p in snapshot.partitions("cube") if (p.city, p.plan_year) == place)
    )
    order = next(p["order"] for p in snapshot.manifest["plans"] if (p["city"], p["plan_year"]) == place)

    def found(*_: Any, **more: Any) -> list[str]:
        return ["few: somebody can tell"] if more.get(asked) else []

    monkeypatch.setattr("analytics.release.tables.undone", found)
    made = protected(cube, order)
    assert made.certificate["withheld"] == "undone"
    assert made.certificate["undone"] == ["few: somebody can tell"], "for the engineer"
    assert made.rows["status"].drop_nulls().is_empty()
    without = policy().model_copy(update={rule: 0})
    monkeypatch.setattr("analytics.release.tables.policy", lambda: without)
    held = protected(cube, order)
    assert "withheld" not in held.certificate and held.rows["status"].drop_nulls().len()


def test_a_changed_file_is_not_read(sample_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(sample_store, store)
    path = Store(store).current().partitions("protected")[0].path
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-9] + b"x" + path.read_bytes()[-8:])
    with pytest.raises(Damaged, match="content differs"):
        Published(Store(store).current())


def test_answers_that_contradict_the_lattice_are_left_out(snapshot: Folder, published: Published) -> None:
    place = published.places[0]
    cube = pl.read_parquet(
        next(p.path for p in snapshot.partitions("cube") if (p.city, p.plan_year) == place)
    )
    order = next(p["order"] for p in snapshot.manifest["plans"] if (p["city"], p["plan_year"]) == place)
    weighted = cube.with_columns(
        numerator=pl.when(pl.col("key").str.contains("catastrophic_headcount"))
        .then(pl.col("numerator") * 1.7)
        .otherwise("numerator")
    )
    made = protected(weighted, order)
    assert any(
        "catastrophic_headcount" in line and "weights" in line for line in made.certificate["left_out"]
    )
    assert made.rows.filter(pl.col("key").str.contains("catastrophic_headcount")).is_empty()
    assert made.rows.filter(pl.col("key").str.contains('"reach"')).height


def test_tables_that_tell_something_beside_those_before_stay_as_they_were(
    snapshot: Folder, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whoever asks is told that these figures are not of this snapshot."""
    place = published.places[0]
    cube = next(p for p in snapshot.partitions("cube") if (p.city, p.plan_year) == place)
    order = next(p["order"] for p in snapshot.manifest["plans"] if (p["city"], p["plan_year"]) == place)
    before = file_of(snapshot, place)[1].with_columns(n=pl.col("n") + 5)
    known = tables.undone
    monkeypatch.setattr(
        tables, "undone", lambda *a, earlier=None, **k: ["a cell"] if earlier is not None else known(*a, **k)
    )
    found = protected(pl.read_parquet(cube.path), order, before)
    assert found.certificate["kept"] and found.rows.equals(before.select(found.rows.columns))
    asked = ("reach", ["city", "plan_year", "tier"])
    assert "published_before" not in published.ask(*asked).provenance
    monkeypatch.setitem(published._told, place, found.certificate)
    assert published.ask(*asked).provenance["published_before"] == f"{place[0]} {place[1]}"


def test_weighted_counts_of_a_survey_are_left_out_and_said_so(tmp_path: Path) -> None:
    """Households stand for others: what is counted by weight adds up to no cell that is protected; without weights it does."""
    columns = "household_id,city,plan_year,n_members,weight,cost,own_burden,income,consumption,food"
    for weighted in (True, False):
        rows = [
            f"H{i},440400,2023,3,{1 + i % 3 / 4 if weighted else 1},{i % 40 * 900},{i % 40 * 900},60000,40000,9000"
            for i in range(240)
        ]
        (tmp_path / "h.csv").write_text("\n".join([columns, *rows]) + "\n")
        store = tmp_path / f"store-{weighted}"
        verbs.ingest(store, [tmp_path / "h.csv"], "household_year")
        published = Published(verbs.build(store))
        asked = ("catastrophic_headcount", ["plan_year", "threshold", "tier"])
        if not weighted:
            assert published.ask(*asked).table["n"].to_list()[0] == 240
            continue
        with pytest.raises(Unable, match="weights") as told:
            published.ask(*asked)
        assert told.value.code == "left_out"
        with words.reading("zh"):
            assert "加权调查" in words.reason(told.value)

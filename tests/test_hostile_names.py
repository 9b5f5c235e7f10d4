"""Names that mean harm: of files where they lie and as a browser sends them, of columns, sheets and members.

Whatever a name says, the file it names is read and no other, nothing is written beside the store, and no statement of it runs.
"""

import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from deliveries import csv_file, loaded, parquet_file, record, take, waiting, xlsx_file
from hostile import COLUMNS, FILE_NAMES, STATEMENT, UPLOAD_NAMES

from analytics import jobs
from analytics.intake import Refused
from analytics.store import Store


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in; at its end there is nothing but the store, what was given, and the neighbours nobody asked for."""
    (tmp_path / "given").mkdir()
    (tmp_path / "scratch").mkdir()
    for n, name in enumerate(("n1.parquet", "mn1.parquet", "m1.parquet", "n.parquet")):
        parquet_file(
            tmp_path / "given" / name, [record(900 + n)]
        )  # what the patterns among the names would find
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path / "scratch")
    yield tmp_path
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"given", "scratch", "store", "store.audit-head", "jianfu.key", "jianfu.key.lock"}
    left = [p.name for p in (tmp_path / "scratch").iterdir() if not p.name.startswith("jianfu_spill-")]
    assert left == []
    assert not {p.name for p in tmp_path.rglob("*")} & {"pwned", "pwned.csv"}


def test_files_are_read_by_name_and_no_others(place: Path) -> None:
    files = []
    for n, name in enumerate(FILE_NAMES):
        write = parquet_file if n % 2 else csv_file
        files.append(write(place / "given" / f"{name}{'.parquet' if n % 2 else '.csv'}", [record(n)]))
    delivery = take(place, files)
    assert len(FILE_NAMES) >= 40 and waiting(delivery) == {}
    assert sorted(loaded(delivery)["setl_id"]) == [f"S{n:05d}" for n in range(len(files))]
    assert len(delivery.manifest["inputs"]) == len(files)
    assert [f"{p.parent.name}/{p.name}" for p in delivery.path.parent.iterdir()] == [
        f"deliveries/{delivery.id}"
    ]


def test_a_reader_of_patterns_would_read_the_neighbours(place: Path) -> None:
    """The control: one of these names, handed to a reader as it is, finds other files."""
    own = parquet_file(place / "given" / "n*.parquet", [record(1)])
    assert pl.scan_parquet(own).collect().height > 1
    assert loaded(take(place, [own]))["setl_id"].to_list() == ["S00001"]


def test_uploads_stay_in_their_folder(place: Path) -> None:
    made = [csv_file(place / "given" / f"{n}.csv", [record(n)]) for n in range(len(UPLOAD_NAMES))]
    given = [
        jobs.Upload(name, io.BytesIO(path.read_bytes()))
        for name, path in zip(UPLOAD_NAMES, made, strict=True)
    ]
    named = [u for u in given if jobs.safe_name(u.name).lower().endswith(".csv")]
    job = jobs.ingest(place / "store", "settlement", named)
    job.wait(60)
    assert job.state == "done", job.lines
    (delivery,) = Store(place / "store").deliveries()
    assert len(named) >= 15 and delivery.manifest["rows_loaded"] == len(named)
    job = jobs.ingest(place / "store", "settlement", [u for u in given if u not in named])
    job.wait(60)
    assert job.state == "refused" and job.lines, "a file without an ending is no table"
    assert not any("/" in i["name"] or "\\" in i["name"] for i in delivery.manifest["inputs"])


def test_columns_are_names_and_nothing_else(place: Path) -> None:
    rows = [{**record(n), **dict.fromkeys(COLUMNS, STATEMENT)} for n in range(3)]
    files = [
        csv_file(place / "given" / "c.csv", rows[:1]),
        parquet_file(place / "given" / "c.parquet", rows[1:2]),
    ]
    third = {
        name: value for name, value in rows[2].items() if name[0] != "="
    }  # the writer would make a formula of it
    delivery = take(place, [*files, xlsx_file(place / "given" / "c.xlsx", [third])])
    assert waiting(delivery) == {} and sorted(loaded(delivery)["setl_id"]) == ["S00000", "S00001", "S00002"]


SHEETS = [
    "../../pwned",
    "'; DROP TABLE typed; --",
    STATEMENT.replace("'", "&apos;"),
    "=1+1",
    "&lt;img src=x&gt;",
    "[x]",
    "*",
    "$(touch pwned)",
]


def edited(path: Path, changes: dict[str, str], also: dict[str, bytes]) -> Path:
    """A workbook with texts of its parts replaced and members added."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in {**parts, **also}.items():
            for was, now in changes.items():
                data = data.replace(was.encode(), now.encode())
            new.writestr(name, data)
    return path


def test_sheets_and_members_are_names_and_nothing_else(place: Path) -> None:
    files = [
        edited(xlsx_file(place / "given" / f"{n}.xlsx", [record(n)]), {'name="Sheet"': f'name="{name}"', 'name="Sheet1"': f'name="{name}"'}, {})
        for n, name in enumerate(SHEETS)
    ]  # fmt: skip
    members = {"../../pwned.csv": b"x", "/pwned.csv": b"x", "..\\pwned.csv": b"x", "xl/../../pwned": b"x"}
    files.append(edited(xlsx_file(place / "given" / "z.xlsx", [record(90)]), {}, members))
    delivery = take(place, files)
    assert len(loaded(delivery)) == len(files)


def test_a_workbook_reads_nothing_but_itself(place: Path) -> None:
    """A sheet that is said to lie elsewhere, and an entity that names a file."""
    for n, target in enumerate(("file:///etc/passwd", "../../../../../../etc/passwd")):
        elsewhere = {f'"{at}worksheets/sheet1.xml"': f'"{target}"' for at in ("", "/xl/")}
        away = edited(xlsx_file(place / "given" / f"a{n}.xlsx", [record(1)]), elsewhere, {})
        entity = {
            "<worksheet ": f'<!DOCTYPE x [<!ENTITY e SYSTEM "{target}">]><worksheet ',
            ">S00001<": ">&e;<",
        }
        inner = edited(xlsx_file(place / "given" / f"b{n}.xlsx", [record(1)]), entity, {})
        for path in (away, inner):
            with suppress(Refused):
                assert loaded(take(place, [path]))["setl_id"].to_list() in (["S00001"], ["&e;"], [""])
    take(place, [xlsx_file(place / "given" / "good.xlsx", [record(2)])])

"""A place whose protected tables can be undone: it has none, everybody is told why, and the others are published as ever.

Two persons insured elsewhere stand among the settlements of a bureau; what the tables of their city would tell is one bill.
"""

from collections.abc import Sequence
from pathlib import Path

import bureaus
import highspy
import polars as pl
import pytest
from canonical import WEIHAI, ZHUHAI, cube_of, deliver, settle
from conftest import Run
from streamlit.testing.v1 import AppTest

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.desk.quality import store_wide
from analytics.desk.room import Room
from analytics.measures import HELD
from analytics.reference import Unable
from analytics.release import Published, Viewer, attack, protect, protected, reasons_withheld, tables
from analytics.store import Folder, Part, Store

STRAY, OTHERS = (WEIHAI, 2023), [(WEIHAI, 2022), (ZHUHAI, 2023)]
BOTH: dict[str, Sequence[str | int]] = {"city": [WEIHAI, ZHUHAI], "plan_year": [2023]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("withheld") / "store"
    fees = (100_000, 1_000_000, 3_000_000)
    rows = [
        settle(f"{city}-{n}", fees[n % 3], fees[n % 3] // 2, person=1000 * i + n, city=city, year=year)
        for i, (city, year) in enumerate(OTHERS)
        for n in range(150)
    ]
    rows += [settle("a", 1_500_000, 750_000, person=9001), settle("b", 30_000_000, 15_000_000, person=9002)]
    deliver(path, settlement=[{**row, "provider_id": f"H{n % 31}"} for n, row in enumerate(rows)])
    verbs.build(path)
    return path


@pytest.fixture(scope="module")
def snapshot(store: Path) -> Folder:
    return Store(store).current()


def test_a_place_that_can_be_undone_is_left_out_and_the_others_are_published(
    store: Path, snapshot: Folder
) -> None:
    published = Published(snapshot)
    assert (published.places, published.withheld) == (OTHERS, {STRAY: "undone"})
    for city, year in OTHERS:
        table = published.ask("reach", ["tier"], {"city": [city], "plan_year": [year]}).table
        assert "shown" in table["status"]
    (file,) = [p for p in snapshot.partitions("protected") if (p.city, p.plan_year) == STRAY]
    assert pl.read_parquet(file.path)["key"].to_list() == [HELD], "no cell of it is even written"
    (told,) = [row for row in snapshot.manifest["protection"] if (row["city"], row["plan_year"]) == STRAY]
    assert told["left_out"] == ["all answers: the attack undoes them"]
    assert any("can tell that it lies between" in line for line in told["undone"])
    assert STRAY not in {(row["city"], row["plan_year"]) for row in published.certificates}
    assert Desk.open(store).ask("reach", ["tier"], BOTH).table.height, "questions of one's own are answered"


def test_no_answer_of_several_places_gives_it_away(snapshot: Folder) -> None:
    published = Published(snapshot)
    told = published.ask("reach", ["city", "plan_year", "tier"], BOTH)
    assert told.table["city"].unique().to_list() == [ZHUHAI]
    assert told.provenance["withheld"] == f"{WEIHAI} 2023"
    course = published.ask("reach", ["plan_year", "tier"], {"city": [WEIHAI]})
    assert course.table["plan_year"].unique().to_list() == [2022] and course.provenance["withheld"]
    for by, where in ((["tier"], BOTH), (["plan_year", "tier"], {}), (["tier"], {"city": [WEIHAI]})):
        with pytest.raises(Unable) as refused:  # a sum over it, or over what is left without it
            published.ask("reach", by, where)
        assert refused.value.code == "withheld"
    clear = published.ask("reach", ["city", "plan_year", "tier"], {"plan_year": [2022]})
    assert "withheld" not in clear.provenance, "the control"


def test_answers_that_do_not_fit_together_are_withheld_too(
    snapshot: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise ValueError("these names stand twice")

    monkeypatch.setattr(tables, "lattice", none)
    made = protected(cube_of(snapshot, OTHERS[0]), [])
    assert made.certificate["withheld"] == "contradicts" and made.rows["key"].to_list() == [HELD]
    assert set(reasons_withheld()) == {"undone", "contradicts", "unproven"}, "each has its words"


def test_a_place_that_cannot_be_attacked_is_withheld_and_says_why(
    snapshot: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cube, order = cube_of(snapshot, OTHERS[0]), ["basic"]
    before = protected(cube, order).rows
    assert before.height > 100, "the control"

    def lost(solver: attack._Tables) -> object:
        solver.solver.run()
        return highspy.HighsModelStatus.kSolveError

    monkeypatch.setattr(attack._Tables, "run", lost)
    made = protected(cube, order)
    assert made.certificate["withheld"] == "unproven" and made.rows["key"].to_list() == [HELD]
    assert "kSolveError" in made.certificate["unproven"]
    monkeypatch.undo()
    monkeypatch.setattr(protect._Model, "find", lambda *_: None)
    again = protected(cube_of(snapshot, STRAY), order, before)
    assert again.certificate["withheld"] == "unproven" and "no other table" in again.certificate["unproven"]
    assert again.rows.equals(before), "what is published next is attacked beside it"


def test_the_command_line_says_which_place_and_why(
    store: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("measure", store, "reach", "--published", "--by", "city,plan_year,tier")
    code, out, err = run(*asked)
    assert code == 0 and ZHUHAI in out and f"{WEIHAI}\t2023" not in out
    assert f"不含 {WEIHAI} 2023" in err and f"Without {WEIHAI} 2023" in err
    code, out, err = run(*asked, "--where", f"city={WEIHAI}", "--where", "plan_year=2023")
    assert code == 1 and not out
    assert (
        f"{WEIHAI} 2023: 没有受保护的表格" in err and "no protected tables" in err and "jurisdiction" in err
    )
    monkeypatch.setattr(verbs, "quality", lambda *_, **__: [])  # these deliveries were never files
    code, out, _ = run("quality", store)
    assert code == 0 and f"{WEIHAI}\t2023\tundone\t" in out and f"{WEIHAI}\t2022\tundone" not in out
    assert "一张也没有公布" in out and "none are published" in out


def test_an_official_is_told_of_the_own_cities_and_not_how(store: Path, snapshot: Folder) -> None:
    def desk(city: str) -> Desk:
        cities = frozenset({city})
        return Desk(Room.open(store, cities), Viewer("o", "official", cities))

    (row,) = desk(WEIHAI).store_wide()["withheld"]
    assert (row["city"], row["plan_year"], row["withheld"]) == (WEIHAI, 2023, "undone")
    assert not desk(ZHUHAI).store_wide()["withheld"]
    kept = Part(snapshot.path, frozenset({WEIHAI})).manifest["protection"]
    assert kept == [{"city": WEIHAI, "plan_year": 2023, "withheld": "undone"}]
    assert store_wide(snapshot)["withheld"] == [row]


def said(at: AppTest) -> str:
    assert not at.exception, at.exception
    return " ".join([*(i.value for i in at.info), *(c.value for c in at.caption)])


@pytest.mark.parametrize(
    ("lang", "why", "without"), [("zh", "一张也没有公布", "不含"), ("en", "none are published", "Without")]
)
def test_pages_say_which_place_and_why(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lang: str, why: str, without: str
) -> None:
    bureaus.served(tmp_path, store, monkeypatch)
    for page in ("overview", "tiers", "catastrophic", "cost_bands"):
        at = bureaus.visit("researcher", page, lang=lang, city="weihai", year="2023")
        assert why in said(at) and "371000 2023" in said(at), page
        at = bureaus.visit("researcher", page, lang=lang, city="weihai", year="2022")
        assert why not in said(at), page
    at = bureaus.visit("researcher", "compare", lang=lang, figures="both")
    assert without in said(at)
    assert ("未公布" if lang == "zh" else "not published").encode() in bureaus.sent(at), (
        "neither absent nor not covered"
    )
    at = bureaus.visit("insurer", "operations", lang=lang, city="weihai", year="2023")
    assert not at.exception
    assert not bureaus.visit("researcher", "benchmarks", lang=lang).exception


def built() -> None:
    from analytics.view import asking, workplace

    workplace.built(asking.desk().store_wide())


def test_the_data_page_says_which_place_and_why(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JIANFU_SERVER", raising=False)
    monkeypatch.setenv("JIANFU_STORE", str(store))
    at = AppTest.from_function(built, default_timeout=60).run()
    sent = bureaus.sent(at).decode("utf-8", "replace")
    assert not at.exception and "没有受保护表格的城市和年度" in at.header[0].value
    assert "威海" in sent and "一张也没有公布" in sent

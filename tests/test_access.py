"""Who may see what: role by page by action, scope, what a browser may propose, and what a server would not start with."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import bureaus
import pytest
from bureaus import MARKS, VIEWERS, WEIHAI, ZHUHAI, claims, sent, served, visit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from analytics import report
from analytics.desk import answer
from analytics.desk.answer import Desk
from analytics.desk.room import Room
from analytics.figures import files, words
from analytics.release import (
    ACTIONS,
    LOCAL,
    Denied,
    Released,
    Viewer,
    log_of,
    roles,
)
from analytics.release import access as access_module
from analytics.view import menu

LETTERS = dict(zip("asdrbmtugpxw", ACTIONS, strict=True))
EXPECTED = tomllib.loads((Path(__file__).parent / "cases/access.toml").read_text("utf-8"))
PAGES = [name for names in menu.PAGES.values() for name in names]
CITY = {ZHUHAI: "zhuhai", WEIHAI: "weihai"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bureaus.deliver(tmp_path_factory.mktemp("bureaus"))


@pytest.fixture(scope="module")
def at_work(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The store served to others; gives the folder of the configuration."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("server")
    served(folder, store, patch)
    yield folder
    patch.undo()


@cache
def seen(sub: str, page: str) -> tuple[list[str], bytes]:
    """Titles and everything sent, of a page as a login meets it."""
    at = visit(sub, page)
    assert not at.exception, (sub, page, at.exception)
    return [t.value for t in at.title], sent(at)


# --- role by page by action


def expected(role: str, page: str) -> set[str]:
    return {LETTERS[letter] for letter in EXPECTED[role].get(page, "")}


@pytest.mark.parametrize("role", list(EXPECTED))
def test_every_cell_is_as_declared(role: str) -> None:
    viewer = Viewer(
        "x", role, frozenset({ZHUHAI}) if role not in ("local", "auditor") else None, frozenset({"wnb"})
    )
    assert set(EXPECTED) == set(roles())
    for page in [*PAGES, "command_line", "a page of tomorrow"]:
        may = {action for action in (*ACTIONS, "an action of tomorrow") if viewer.may(page, action)}
        assert may == expected(role, page), page
        assert viewer.may(page) == bool(may)


@pytest.mark.parametrize("sub", ["zhuhai", "researcher", "insurer", "auditor"])
def test_a_page_that_is_not_granted_is_refused_by_address_too(at_work: Path, store: Path, sub: str) -> None:
    role = {"zhuhai": "official"}.get(sub, sub)
    refused = words.both("access.page_title")["zh"]
    for page in PAGES:
        titles, raw = seen(sub, page)
        assert (refused in titles) == (not expected(role, page)), page
        if "download" not in expected(role, page):
            assert words.both("download.title")["zh"].encode() not in raw, page
        if "report" not in expected(role, page):
            assert words.both("reporting.title")["zh"].encode() not in raw, page
        for key in (b"build_now", b"begin_sample", b"deliver_go", b"d_corrections"):
            assert key not in raw, (page, key)
    entered = {e["asked"] for e in log_of(store).entries() if (e.get("user"), e["kind"]) == (sub, "refusal")}
    assert {page for page in PAGES if not expected(role, page)} <= entered
    if role == "official":  # and what is granted is there
        assert words.both("download.title")["zh"].encode() in seen(sub, "overview")[1]
        assert words.both("reporting.title")["zh"].encode() in seen(sub, "overview")[1]


def test_nothing_without_a_login_or_a_grant(at_work: Path) -> None:
    assert [t.value for t in visit(None, "data").title] == [words.both("access.welcome")["zh"]]
    assert [t.value for t in visit("stranger", "data").title] == [words.both("closed_title.nobody")["zh"]]


def test_a_page_nobody_listed_is_refused(at_work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert words.both("access.page_title")["zh"] not in seen("zhuhai", "methods")[0]
    known = access_module.roles()
    without = {
        name: role.model_copy(update={"may": {p: a for p, a in role.may.items() if p != "methods"}})
        for name, role in known.items()
    }
    monkeypatch.setattr(access_module, "roles", lambda: without)
    assert [t.value for t in visit("zhuhai", "methods").title] == [words.both("access.page_title")["zh"]]


# --- scope


@pytest.mark.parametrize(("sub", "own"), [("zhuhai", ZHUHAI), ("weihai", WEIHAI)])
def test_nothing_of_the_other_bureau_is_sent(at_work: Path, sub: str, own: str) -> None:
    (other,) = set(MARKS) - {own}
    pages = PAGES if sub == "zhuhai" else ["overview", "compare", "operations", "data"]
    for page in pages:
        raw = seen(sub, page)[1]
        assert MARKS[other].encode() not in raw, page
        foreign = visit(sub, page, city=CITY[other], cities=CITY[other]) if page == "overview" else None
        if foreign:
            assert not foreign.exception and MARKS[other].encode() not in sent(foreign)
            assert any(CITY[other] in w.value or other in w.value for w in foreign.warning)
    assert MARKS[own].encode() in seen(sub, "data")[1]


def test_whoever_sits_at_the_machine_sees_both(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what must not be sent above is there to be sent."""
    monkeypatch.delenv("JIANFU_SERVER", raising=False)
    monkeypatch.setenv("JIANFU_STORE", str(store))
    raw = sent(visit(None, "data"))
    assert all(mark.encode() in raw for mark in MARKS.values())


@pytest.mark.parametrize("own", list(MARKS))
def test_files_and_errors_are_of_the_scope(store: Path, own: str) -> None:
    (other,) = set(MARKS) - {own}
    desk, whole = Desk.open(store, VIEWERS[own]), Desk.open(store)
    found = desk.ask("own_share_after", ["city", "tier"])
    assert set(found.table["city"]) == {own}
    assert found.table.equals(whole.ask("own_share_after", ["city", "tier"], {"city": [own]}).table)
    document = report.compose(desk, own, 2021)
    html = report.render(document, "html")
    told = [repr(desk.manifest()), repr(desk.quality()), repr(desk.store_wide()), repr(desk.places)]
    raw = b"".join([html, files.csv(files.full([found]), [], "x"), *(t.encode() for t in told)])
    assert (
        MARKS[other].encode() not in raw
        and f'"{other}"'.encode() not in raw
        and f"'{other}'".encode() not in raw
    )
    assert MARKS[own].encode() in raw
    assert all(mark in repr(whole.quality()) for mark in MARKS.values())
    for ask in (
        lambda: desk.ask("own_share_after", [], {"city": [other]}),
        lambda: desk.ask("own_share_after", [], {"city": [CITY[other], CITY[own]]}),
        lambda: desk.ask("own_share_after", [], {"city": [other]}, scenario="plan"),
        lambda: desk.parade({"city": [other]}),
        lambda: desk.ask("own_share_after", [], protect=False),
        lambda: desk.samples(3),
        lambda: desk.replay(own, 2021),
    ):
        with pytest.raises(Denied) as denied:
            ask()
        assert MARKS[other] not in str(denied.value)
    with pytest.raises(ValueError, match="in this store") as error:
        desk.ask("own_share_after", [], {"plan_year": ["1999"]})
    assert other not in str(error.value) and MARKS[other] not in str(error.value)


def test_only_files_of_the_scope_are_opened(store: Path) -> None:
    """Also by a wrong filter, and by a replay: the others' files are not there to be read."""
    room = Room.open(store, frozenset({ZHUHAI}))
    whole = Room.open(store)

    def opened(some: Any) -> set[str]:
        row = some._con.execute("SELECT value FROM duckdb_settings() WHERE name = 'allowed_paths'").fetchone()
        return {part.strip(" '") for part in str(row[0]).strip("[]").split(",")}

    theirs = {str(p.path) for p in whole.snapshot.partitions() if p.city == WEIHAI}
    theirs |= {str(p.path) for d in whole.store.deliveries() for p in d.partitions() if p.city == WEIHAI}
    assert len(theirs) > 3
    assert theirs & opened(whole.book._engine)
    assert not theirs & opened(room.book._engine)
    assert not theirs & opened(room.replay(ZHUHAI, 2021).engine)
    with pytest.raises(ValueError, match="not in this store"):
        room.replay(WEIHAI, 2021)


def test_a_part_of_several_cities_counts_everybody_once(tmp_path: Path) -> None:
    """Who is found in several of the cities granted is known; who is found in one of them and in another city is not told."""
    import test_two_cities as two

    two.deliver(tmp_path, settlement=[
        two.settle(f"s{city}{n}", 1000 * n, person=n if n < 20 else int(city) * 1000 + n, city=city, year=2023)
        for city in two.CITIES for n in range(1, 40)
    ])  # fmt: skip
    two.built(tmp_path)
    some = frozenset(two.CITIES[:2])
    desk, whole = Desk.open(tmp_path, Viewer("x", "province_official", some)), Desk.open(tmp_path)
    asked = desk.ask("own_burden_mean", [], {"plan_year": [2023]})
    wanted = whole.ask("own_burden_mean", [], {"plan_year": [2023], "city": sorted(some)})
    assert asked.table.equals(wanted.table) and asked.table["n"].item() == 19 + 2 * 20
    assert asked.provenance["in_several_cities"] == wanted.provenance["in_several_cities"]
    rows = desk._book.snapshot.partitions("shared")
    assert rows and all(not p.path.is_relative_to(tmp_path) for p in rows)
    # those of all three cities, which tell of the one not granted
    (counts,) = whole.store_wide()["in_several_cities"]
    assert counts["persons_in_several_cities"] == 19 and desk.store_wide()["in_several_cities"] == []


# --- what a browser proposes


def script() -> None:
    from contextlib import suppress

    import streamlit as st

    from analytics.release import Denied
    from analytics.view import asking, choose, controls

    controls.begin()
    controls.turn_to("overview")
    asking.serve()
    city, scope = choose.city(), choose.scope()
    asking.ask("own_share_after", ["city", "tier"], {"city": [city]})
    asking.ask("own_share_after", ["city", "tier"], scope.where)
    with suppress(Denied, asking.Unanswered):
        asking.ask("own_share_after", ["city", "tier"], st.session_state.get("proposed", {}))


PLACES = st.sampled_from(
    [
        "440400",
        "371000",
        "weihai",
        "zhuhai",
        "WEIHAI",
        "440800",
        "all",
        "*",
        "",
        "371000,440400",
        "威海",
        "' OR 1=1 --",
    ]
)
NAMES = st.sampled_from(
    ["city", "cities", "benchmark", "other_city", "highlight", "role", "sub", "lang", "year", "store"]
)
STATE = st.sampled_from(
    ["choices", "w_city", "w_cities", "linked", "viewer", "role", "cities", "proposed", "page"]
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    link=st.dictionaries(NAMES, PLACES, max_size=4),
    state=st.dictionaries(STATE, PLACES, max_size=4),
    told=st.dictionaries(st.sampled_from(["role", "cities", "city", "admdvs", "groups"]), PLACES, max_size=2),
)
def test_no_proposal_widens_the_scope(
    at_work: Path, link: Mapping[str, str], state: Mapping[str, str], told: Mapping[str, str]
) -> None:
    given_out: list[Released] = []
    at = AppTest.from_function(script, default_timeout=60)
    at.user = claims("zhuhai", **told)
    for name, value in link.items():
        at.query_params[name] = value
    for name, value in state.items():
        at.session_state[name] = {
            "choices": {"city": [value], "cities": [value, ZHUHAI]},
            "linked": {"city"},
            "w_cities": [value],
            "proposed": {"city": [value]},
            "viewer": LOCAL,
        }.get(name, value)
    if "choices" in state and "linked" not in state:
        at.session_state["linked"] = set()
    if "choices" in state:
        at.session_state["language"] = "zh"
    was = Desk._give

    def watched(self: Desk, *args: Any) -> Any:
        found = was(self, *args)
        if isinstance(found, Released):
            given_out.append(found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer.Desk, "_give", watched)
        at.run()
    assert not at.exception, at.exception
    assert len(given_out) >= 2
    assert {city for r in given_out for city in r.table["city"]} <= {ZHUHAI}
    assert MARKS[WEIHAI].encode() not in sent(at)


def test_the_same_proposal_finds_the_other_city_where_nothing_is_scoped(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: it is the scope that holds them back, not the spelling."""
    monkeypatch.delenv("JIANFU_SERVER", raising=False)
    monkeypatch.setenv("JIANFU_STORE", str(store))
    at = AppTest.from_function(script, default_timeout=60)
    at.query_params["city"] = "weihai"
    at.run()
    assert not at.exception and at.selectbox(key="w_city").value == WEIHAI


# --- protected roles


class Tables:
    """Stands for the protected tables of a snapshot: one answer, and it notes what it was asked."""

    def __init__(self, given: Released) -> None:
        self.given, self.asked = given, []  # type: ignore[var-annotated]

    def ask(self, measure: str, by: Any, where: Any, parameters: Any) -> Released:
        self.asked.append((measure, tuple(by), dict(where)))
        return self.given


def test_researchers_and_insurers_are_answered_by_the_protected_tables_only(store: Path) -> None:
    given = Desk.open(store).ask("own_share_after", ["tier"])
    cities = frozenset({ZHUHAI})
    for viewer in (Viewer("r", "researcher", cities), Viewer("i", "insurer", cities, frozenset({"wnb"}))):
        room = Room.open(store, cities)
        tables = Tables(given)
        room.__dict__["published"] = tables
        desk = Desk(room, viewer)
        told = desk.ask("own_share_after", ["tier"])
        assert told.table.equals(given.table) and len(tables.asked) == 1
        for other in (
            lambda d=desk: d.ask("own_share_after", [], se="population"),
            lambda d=desk: d.ask(
                "own_share_after", [], {"city": [ZHUHAI], "plan_year": [2021]}, scenario="plan"
            ),
            lambda d=desk: d.ask("own_share_after", [], against=("plan_year", "2021")),
            lambda d=desk: d.parade(),
            lambda d=desk: d.decompose("concentration_index", []),
            lambda d=desk: d.ask("own_share_after", [], {"city": [WEIHAI]}),
            lambda d=desk: d.quality(),
            lambda d=desk: d.manifest(),
        ):
            with pytest.raises(Denied):
                other()
        assert len(tables.asked) == 1 and "book" not in room.__dict__
    desk.ask("own_share_after", ["product"])
    assert tables.asked[-1][2] == {"product": ("wnb",)}
    with pytest.raises(Denied):
        desk.ask("own_share_after", ["product"], {"product": ["other"]})
    with pytest.raises(Denied):
        Desk(Room.open(store), Viewer("a", "auditor")).ask("own_share_after")

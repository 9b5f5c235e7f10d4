"""Why something cannot be answered is said in the language of the page, whatever the command line says in English."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from canonical import built, deliver, settle
from conftest import unsealed
from house import house
from survey import Survey

from analytics.figures import words
from analytics.measures import Book, measures
from analytics.reference import Unable
from analytics.store import DAMAGE, Damaged, Folder, Store
from analytics.view import checks

_ENGLISH = re.compile(r"[A-Za-z]{2,}(?:[ ,;]+[A-Za-z]{2,}){3}")  # four words on end
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_GRAINS = ("policy_year", "claim")


def codes(source: str) -> Iterator[str]:
    """Codes of the reasons a module gives, as they are written; {} stands for what is put in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Unable", "NoEffect"):
            yield from _texts(node.args[1])
        elif isinstance(node, ast.Assign) and any("code" in ast.unparse(t) for t in node.targets):
            yield from _texts(node.value)


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
    elif isinstance(node, ast.Tuple):
        yield from _texts(node.elts[-1])


def test_every_reason_has_its_words_and_every_word_its_reason() -> None:
    assert {*codes('raise Unable("x", "one")\nwhy, code = "y", f"no_{grain}"')} == {"one", "no_{}"}
    files = [p.read_text("utf-8") for p in house() if "Unable" in p.read_text("utf-8")]
    given = {code for text in files for code in codes(text)}
    assert "no_{}" in given and len(given) > 15
    more = {f"no_{m.id}" for m in measures().values() if m.told_by} | {f"no_{grain}" for grain in _GRAINS}
    told = words.groups()["unable"].keys()
    assert (given - {"no_{}"}) | more | {"other"} == told


@pytest.fixture(scope="module")
def households() -> Book:
    """Of a survey that tells cost and food, and nothing else."""
    made = Survey()
    own = [(i * 37) % 20_000 for i in range(40)]
    made.put(pl.DataFrame({"own_fen": own, "food_fen": [1_000] * 40, "n_members": [2] * 40}))
    return made.book


def refused(book: Book) -> Iterator[Unable]:
    """Every reason these data cannot answer a measure of the catalogue, or a parameter of it."""
    for form in measures().values():
        for given in ({}, {"resource": "income"}, {"living_standard": "consumption"}, {"own_burden": "cash"}):
            try:
                book.ask(form.id, ["tier"] if form.per else [], {}, given)
            except Unable as error:
                yield error
            except ValueError:
                continue


def test_the_reasons_of_a_survey_are_chinese_on_a_chinese_page(households: Book) -> None:
    found = {error.code: error for error in refused(households)}
    assert {"no_persons", "no_columns", "no_resource"} <= found.keys(), found.keys()
    for error in found.values():
        with words.reading("zh"):
            said = words.reason(error)
        assert _CHINESE.search(said) and not _ENGLISH.search(said), said
        with words.reading("en"):
            assert not _CHINESE.search(words.reason(error)), error.code
    assert any(_ENGLISH.search(str(error)) for error in found.values()), "the command line's text is found so"


def test_what_has_no_words_is_quoted_as_the_programs() -> None:
    with words.reading("zh"):
        assert words.reason(ValueError("no such thing")) == "程序的说明（英文）：no such thing"
    with words.reading("en"):
        assert words.reason(ValueError("no such thing")) == "no such thing"


def test_damage_is_told_in_words(tmp_path: Path) -> None:
    """Every kind the store finds, by damaging one; and each has its words in both languages."""
    assert words.groups()["damage"].keys() == DAMAGE.keys()
    store = tmp_path / "store"
    deliver(store, settlement=[settle("a", 100), settle("b", 100, year=2024)])
    built(store)
    snapshot = Store(store).current()
    unsealed(store)
    one, other, *_ = (p.path for p in snapshot.partitions())
    other.chmod(0o644)
    other.write_bytes(b"x")
    one.unlink()
    (snapshot.path / "extra").write_text("x")
    lines = snapshot.damage()
    (store / "current").write_text("0" * 20)
    with pytest.raises(Damaged) as nowhere:
        Store(store).current()
    (snapshot.path / "manifest.json").chmod(0o644)
    (snapshot.path / "manifest.json").write_text("{}")
    lines += [str(nowhere.value), *Folder(snapshot.path).damage()]
    (snapshot.path / "manifest.json").unlink()
    lines += Folder(snapshot.path).damage()
    (store / "held").write_text("?")
    with pytest.raises(Damaged) as astray:
        Store(store).deliveries()
    lines.append(str(astray.value))
    told = [next(code for code, what in DAMAGE.items() if f": {what}" in line) for line in lines]
    assert sorted(told) == sorted(DAMAGE)
    with words.reading("zh"):
        said = words.reason(Damaged("\n".join(lines))).splitlines()
        assert len(said) == len(lines)
        assert all(_CHINESE.search(text) and not _ENGLISH.search(text) for text in said), said
        assert words.damage("no such line").startswith("程序的说明")
    with words.reading("en"):
        assert not _CHINESE.search(words.reason(Damaged("\n".join(lines))))


def test_the_data_page_tells_them_so(households: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext
    from types import SimpleNamespace

    from analytics.view import asking

    def ask(measure: str, *given: object, **more: object) -> object:
        return households.ask(measure, given[0], {})

    desk = SimpleNamespace(
        places=[("440400", 2023)], measures=lambda: list(measures().values()), ask=ask, record=SimpleNamespace(together=nullcontext)
    )  # fmt: skip
    monkeypatch.setattr(asking, "desk", lambda: desk)
    monkeypatch.setattr(checks, "_has_value", lambda _: True)
    with words.reading("zh"):
        table, _ = checks.measures([])
    said = table.to_series(2).to_list()
    assert len(said) > 10 and not any(_ENGLISH.search(text) for text in said), said

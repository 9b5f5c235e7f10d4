"""Rules of the house on its files: nothing of a machine, a whole lock, checked measures and plans, texts in two languages.

Every check is also run on a planted breach, which it must find.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, get_args

import pytest
from house import ROOT, Problems, relative, texts, tracked
from packaging.requirements import Requirement

from analytics.desk.benchmarks import Method, Sign, Unit, Verdict
from analytics.figures import words
from analytics.intake import TABLES, contract
from analytics.intake.contract import ColumnType
from analytics.jobs import SIZES
from analytics.measures import grammar, measures
from analytics.measures.uncertainty import METHODS
from analytics.plans import TierRule, load_plans
from analytics.plans.coverage import Status
from analytics.plans.model import BaseKind, Group
from analytics.reference import SourceClass, places
from analytics.store import DAMAGE
from analytics.tiers import TIERS

PAGES = sorted((ROOT / "pages").glob("*.py"))
VIEW = [p for wing in ("figures", "report", "view") for p in sorted((ROOT / "analytics" / wing).glob("*.py"))]


# --- nothing of the machine a file was made on

# put together here, so that this file does not hold them itself
_MACHINE = {
    "a path of a machine": [f"/{name}/" for name in ("work", "home", "root", "Users")],
    "an index host": [
        "pypi" + ".org",
        "python" + "hosted",
        "arti" + "factory",
        "devpi" + ".",
        "://" + "nexus",
    ],
    "a design note": ["DESIGN" + ".md", "../" + "shared"],
}


def of_the_machine(where: str, text: str) -> Problems:
    return [
        f"{where}: holds {what} ({word})"
        for what, spellings in _MACHINE.items()
        for word in spellings
        if word.lower() in text.lower()
    ]


def test_files_know_nothing_of_a_machine() -> None:
    for planted in ("see /ho" + "me/me/x", "index https://py" + "pi.org/simple", "C:/Use" + "rs/me"):
        assert of_the_machine("planted", planted)
    problems, read = [], 0
    for path in tracked():
        raw = path.read_bytes()
        if b"\0" not in raw:
            read += 1
            problems += of_the_machine(relative(path), raw.decode("utf-8"))
    assert read > 100
    assert problems == []


def test_the_top_level_holds_what_it_may() -> None:
    may = {"app.py", "pages", "analytics", "data", "tests", "pyproject.toml", "requirements.lock"}
    may |= {
        "requirements-spark.lock",
        "README.md",
        "Makefile",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    }
    found = {relative(p).split("/")[0] for p in tracked()}
    assert {name for name in found - may if not name.startswith(".")} == set()


# --- the lock


def lock_problems(lock: str, wanted: list[str]) -> Problems:
    """What is wrong with a lock file, given the requirements it must hold."""
    found, held = [], {}
    for entry in re.split(r"\n(?=\S)", lock.strip()):
        head, *rest = [part.strip(" \\") for part in entry.splitlines()]
        if head.startswith("#"):
            continue
        if head.startswith("-") or "://" in entry:
            found.append(f"{head}: no option and no address belongs into the lock")
            continue
        requirement = Requirement(head)
        pins = [s.version for s in requirement.specifier if s.operator == "=="]
        if len(pins) != 1:
            found.append(f"{head}: not pinned")
        if not rest or not all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in rest):
            found.append(f"{head}: without hash")
        held.setdefault(requirement.name.lower(), []).extend(pins)
    for requirement in map(Requirement, wanted):
        pins = held.get(requirement.name.lower(), [])
        if not any(requirement.specifier.contains(pin) for pin in pins):
            found.append(f"{requirement}: not in the lock; run make lock")
    return found


def test_the_lock_holds_hashes_and_no_address() -> None:
    digest = "--hash=sha256:" + "a" * 64
    assert lock_problems(f"a==1 \\\n    {digest}", ["a>=1"]) == []
    for planted in (
        "a==1",
        f"a>=1 \\\n    {digest}",
        "--index" + "-url x",
        f"a @ https://x/a.whl \\\n    {digest}",
    ):
        assert lock_problems(planted, [])
    assert lock_problems(f"a==1 \\\n    {digest}", ["a>=2"]) and lock_problems(
        f"a==1 \\\n    {digest}", ["b"]
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    assert lock_problems((ROOT / "requirements.lock").read_text("utf-8"), wanted) == []
    spark = project["project"]["optional-dependencies"]["spark"]
    assert lock_problems((ROOT / "requirements-spark.lock").read_text("utf-8"), spark) == []


# --- measures and plans are checked


def unchecked(form: Any) -> Problems:
    """A measure without source, or whose checking test does not speak of it."""
    path = ROOT / form.checked_by
    found = [] if form.source and all(s.title for s in form.source) else [f"{form.id}: no source"]
    if not path.is_file():
        found.append(f"{form.id}: {form.checked_by} does not exist")
    elif form.id not in path.read_text("utf-8"):
        found.append(f"{form.id}: {form.checked_by} does not check it")
    return found


def test_every_measure_has_a_source_and_a_check() -> None:
    form = next(iter(measures().values()))
    for change in (
        {"source": ()},
        {"checked_by": "tests/none.py"},
        {"checked_by": "tests/test_house_rules.py", "id": "planted" + "_measure"},
    ):
        assert unchecked(form.model_copy(update=change))
    assert [line for form in measures().values() for line in unchecked(form)] == []


def uncovered(plans: Mapping[tuple[str, int], Any], cases: Mapping[str, Any], oracle: str) -> Problems:
    """Tiers of shipped plans that can pay, without a worked case and outside the comparison with the oracle."""
    slug = {code: place.slug for code, place in places().items()}
    worked = {(case["plan"], case["tier"]) for case in cases["case"]}
    worked |= {(case["plan"], tier) for case in cases["stack"] for tier in case["paid"]}
    compared = 'glob("*/*.toml")' in oracle and '@pytest.mark.parametrize("path", PLAN_FILES' in oracle
    return [
        f"{slug[city]}/{year} {tier}: no worked case, and the oracle skips the plan"
        for (city, year), plan in plans.items()
        for tier in plan.order
        if any(not rule.holes() for rule in plan.rules(tier))
        and (f"{slug[city]}/{year}", tier) not in worked
        and (plan.holes() or not compared)
    ]


def test_every_tier_of_every_plan_has_a_case_or_the_oracle() -> None:
    cases: dict[str, list[Any]] = {"case": [], "stack": []}
    for path in (ROOT / "tests/cases").glob("plans*.toml"):
        content = tomllib.loads(path.read_text("utf-8"))
        for kind in cases:
            cases[kind] += content.get(kind, [])
    oracle = (ROOT / "tests/test_waterfall.py").read_text("utf-8")
    assert uncovered(load_plans(), {"case": [], "stack": []}, "")
    assert uncovered(load_plans(), cases, oracle) == []


# --- texts in both languages


def keys_of(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{group}.{key}": text for group, entries in groups.items() for key, text in entries.items()}


def used_keys(sources: list[str], codes: set[str]) -> tuple[set[str], Callable[[str], bool]]:
    """Keys named outright in t("..."), and whether a key is used at all.

    A group asked for by code, t(f"group.{code}") or choose.of("group", ...), uses the keys whose last part stands
    somewhere in the sources, or is a code of the catalogue.
    """
    named, by_code, loose = set(), set(), set(codes)
    for source in sources:
        loose.update(text for _, text in texts(source))
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            function, first = ast.unparse(node.func).split(".")[-1], node.args[0]
            for branch in [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]:
                if function == "t" and isinstance(branch, ast.Constant):
                    named.add(str(branch.value))
                elif function == "t" and isinstance(branch, ast.JoinedStr):
                    head = branch.values[0]
                    by_code.add(str(head.value).rstrip(".") if isinstance(head, ast.Constant) else "")
                elif function == "of" and isinstance(branch, ast.Constant):
                    by_code.add(str(branch.value))

    def is_used(key: str) -> bool:
        group, _, last = key.partition(".")
        return key in named or key in loose or (group in by_code and last in loose)

    return named, is_used


def word_problems(groups: Mapping[str, Mapping[str, Any]], sources: list[str], codes: set[str]) -> Problems:
    texts_ = keys_of(groups)
    named, is_used = used_keys(sources, codes)
    found = [f"{key}: asked for, but not in words.toml" for key in sorted(named - set(texts_))]
    for key, text in texts_.items():
        if set(text) != {"zh", "en"} or not all(text.values()):
            found.append(f"{key}: needs zh and en")
        elif len({frozenset(re.findall(r"{\w+}", part)) for part in text.values()}) > 1:
            found.append(f"{key}: the languages fill in different names")
        if not is_used(key):
            found.append(f"{key}: used nowhere")
    return found


def refusals() -> set[str]:
    """Codes that end a line of a refusal, as the gate and its neighbours write them."""
    found = {rule.refusal for table in TABLES for rule in contract(table).rules if rule.refusal}
    found.add("wrong_type")  # one of two that a variable holds
    for path in [*(ROOT / "analytics" / "intake").glob("*.py"), ROOT / "analytics" / "verbs.py"]:
        source = path.read_text("utf-8")
        for _, text in texts(source):
            found.update(re.findall(r" \[([a-z_]{3,})\]$", text))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("refuse", "_refuse"):
                given = [a.value for a in node.args if isinstance(a, ast.Constant)]
                found.update(a for a in given if re.fullmatch("[a-z_]+", str(a)))
    return found


def codes() -> set[str]:
    """Codes of the catalogue that pages put behind a group."""
    rules, found = grammar(), set()
    for form in measures().values():
        found |= {form.grain, form.unit, form.better}
        parts = [form.numerator, form.denominator, form.usable, form.where]
        parts += [text for name, one in form.sums.items() for text in (name, one.of, one.times)]
        found |= {word for text in parts for word in re.findall(r"[a-z_]+", text)}  # words_terms.toml
    found |= {*rules.parameters, *rules.weights, *rules.resources}
    found |= {rule.severity for table in TABLES for rule in contract(table).rules}
    found |= {*TABLES, *get_args(ColumnType), *SIZES, *refusals()}
    found |= words.groups()["unable"].keys()  # test_reasons.py holds them against what is given
    found |= DAMAGE.keys()
    for closed in (Unit, Sign, Method, Verdict, SourceClass, Status, BaseKind, Group):
        found |= set(get_args(closed))
    found |= set(get_args(TierRule.model_fields["per"].annotation))
    found |= {tier.payer for tier in TIERS}
    return found | {"resident", "employee", "all", "shown", "hidden", "undefined", "protection"} | {
        "snapshot", "synthetic", "plans", "in_several_cities", "counted", "once", "in_each_city", "unknown", "no_resource", "n_no_resource", "prepared", "catastrophic", "left_out", "kept", "floored", "facts_version", "measures_version", "code", "replay", "scenario", "rules", "against", *METHODS,
    }  # fmt: skip


def test_texts_are_whole_and_used() -> None:
    groups = words.groups()
    sources = [p.read_text("utf-8") for p in [*PAGES, *VIEW]]
    both = {"zh": "字", "en": "word"}
    for planted, source in (
        ({"page": {"never": both}}, ""),
        ({"page": {"one": {"zh": "字"}}}, 't("page.one")'),
        ({"page": {"one": {"zh": "{a}", "en": "{b}"}}}, 't("page.one")'),
        ({}, 't("page.none")'),
        ({"page": {"one": both, "two": both}}, 'x = t(f"page.{one}")\ny = "one"'),
        ({"page": {"one": both}}, 't("page.one" if a else "page.other")'),
    ):
        assert word_problems(planted, [source], set()), planted
    assert word_problems({"page": {"one": both}}, ['t(f"page.{x}") + "one"'], set()) == []
    assert word_problems(groups, sources, codes()) == []


# --- pages choose, ask and draw


def page_problems(where: str, source: str) -> Problems:
    """Texts written into a page, and arithmetic on results. Adding is how texts are joined."""
    found = []
    for line, text in texts(source, gap="…"):
        plain = re.sub(r":material/\w+:", "", text)
        if re.search(r"[A-Z\u3400-\u9fff\uff00-\uffef]|[a-z]\s|\s[a-z]", plain):
            found.append(f"{where}:{line}: {text!r} belongs into words.toml")
    sums = (ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, sums):
            found.append(f"{where}:{node.lineno}: a page does not calculate")
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in ("sum", "min", "max", "round", "abs", "float"):
            found.append(f"{where}:{node.lineno}: a page does not calculate")
        says = called.split(".")[-1] in _SAYING
        if called.startswith("st.") and says and node.args and isinstance(node.args[0], ast.Constant):
            found.append(f"{where}:{node.lineno}: {called} says a text that belongs into words.toml")
    return found


# fmt: off
_SAYING = (
    "title", "header", "subheader", "caption", "text", "markdown", "write", "info", "success",
    "warning", "error", "metric", "button", "badge", "html", "download_button", "selectbox", "toggle",
    "checkbox", "expander", "link_button",
)
# fmt: on


@pytest.mark.parametrize(
    "source",
    [
        'st.title("overview")',
        'st.caption(f"{n} of them")',
        'help = "个人负担"',
        'x = "Share"',
        'share = row["numerator"] / row["denominator"]',
        "total = sum(values)",
    ],
)
def test_a_page_that_writes_or_calculates_is_found(source: str) -> None:
    assert page_problems("pages/x.py", source)


def test_pages_hold_neither_texts_nor_arithmetic() -> None:
    assert len(PAGES) >= 7
    assert [line for p in PAGES for line in page_problems(relative(p), p.read_text("utf-8"))] == []

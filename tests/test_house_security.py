"""Rules of the house on what an attacker would look for: SQL glued from values, markup from data, code from texts, calls elsewhere.

Every check is also run on a planted breach, which it must find.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from house import ROOT, Problems, house, relative, texts
from test_house_rules import SQL_HOMES

Check = Callable[[str, str], Problems]

# Where SQL is put together and run in one place. What is put in are names and parts made by the program (columns of a contract,
# a plan or a catalogue entry, tables of a snapshot); a value goes through `literal` or as a parameter.
GLUE_HOMES = (*SQL_HOMES, "analytics/synthetic/settle.py")
# What may stand between quotes in SQL because it is a constant of the program, never of data: file and expression.
QUOTED = {
    ("analytics/intake/pseudonyms.py", "OK"): "a state of a key",
    ("analytics/measures/parade.py", "payments"): "gross or net",
    ("analytics/measures/rows.py", "k"): "ids of the tiers",
}
RUNS_SQL = ("execute", "executemany", "sql", "query", "from_query", "ask", "keep", "rows", "run", "run_all")
FORBIDDEN_CALLS = {
    "eval": "runs a text as code", "exec": "runs a text as code", "compile": "runs a text as code", "__import__": "imports by a text",
    "os.system": "runs a shell", "os.popen": "runs a shell", "tempfile.mktemp": "names a file somebody else may make first",
    "yaml.load": "makes objects of a text", "st.iframe": "draws a page in the page", "components.html": "draws a page in the page",
    "components.iframe": "draws a page in the page", "components.declare_component": "adds scripts of its own",
    "components.v2.component": "adds scripts of its own", "pl.read_database": "SQL past the store",
    "st.exception": "shows an error with its message and where it came from",
}  # fmt: skip
FORBIDDEN_WORDS = {"unsafe_allow_html": True, "shell": True, "verify": False, "allow_pickle": True}
FORBIDDEN_IMPORTS = ("pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml", "telnetlib")
# Both ends are this program: what a worker sends back to whoever started it; never a file, never from a browser.
CARRIED = ("analytics/store/carried.py", "analytics/store/spark.py")
ELSEWHERE = ("urllib.request", "http.client", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "urllib3")
# The one script a page is given: constants, whose hashes the security policy names.
SCRIPT_HOMES = ("analytics/view/controls.py",)
_MATCH_CODE = ("re.compile", "self.compile")  # the word has other meanings


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func)


@cache
def nodes(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def calls(source: str) -> Iterator[ast.Call]:
    yield from (node for node in nodes(source) if isinstance(node, ast.Call))


def is_glued(node: ast.expr) -> bool:
    """Whether a text is put together where it is used: an f-string with values, a sum, a %, a format."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return True
    return isinstance(node, ast.Call) and _called(node).endswith((".format", ".join", ".replace"))


def glued_sql(where: str, source: str) -> Problems:
    """SQL put together in the call that runs it, outside of the places where SQL is written."""
    if where.startswith(tuple(GLUE_HOMES)):
        return []
    return [
        f"{where}:{node.lineno}: {_called(node)} runs a text put together on the spot; use a template and parameters"
        for node in calls(source)
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in RUNS_SQL
        and node.args
        and is_glued(node.args[0])
    ]


def quoted_values(where: str, source: str) -> Problems:
    """A value put between single quotes of a statement: a quote inside it would end the text."""
    found = []
    for node in nodes(source):
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        whole = "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
        is_sql = re.search(r"\b(SELECT|COPY|CREATE|ATTACH|INSERT|WHERE|CASE WHEN|FROM read_)\b", whole)
        for part in node.values:
            if isinstance(part, ast.Constant):
                before += str(part.value)
                continue
            value = ast.unparse(part.value)  # type: ignore[attr-defined]
            known = (where, value) in QUOTED
            if is_sql and before.count("'") % 2 and not known:
                found.append(
                    f"{where}:{node.lineno}: {value} stands between quotes; pass it as a parameter or by literal()"
                )
    return found


def dangerous_calls(where: str, source: str) -> Problems:
    found = []
    for node in calls(source):
        name = _called(node)
        short = ".".join(name.split(".")[-2:])
        for told in {name, short} & FORBIDDEN_CALLS.keys():
            if name not in _MATCH_CODE:
                found.append(f"{where}:{node.lineno}: {name} {FORBIDDEN_CALLS[told]}")
        for word in node.keywords:
            value = word.value.value if isinstance(word.value, ast.Constant) else None
            if word.arg in FORBIDDEN_WORDS and (
                value is FORBIDDEN_WORDS[word.arg] or not isinstance(word.value, ast.Constant)
            ):
                found.append(f"{where}:{node.lineno}: {word.arg} is not used here")
            if word.arg == "persist":
                found.append(f"{where}:{node.lineno}: what is kept for one viewer must not lie on disk")
            if word.arg == "unsafe_allow_javascript" and where not in SCRIPT_HOMES:
                found.append(f"{where}:{node.lineno}: scripts are given to a page in {SCRIPT_HOMES[0]} only")
    return found


def dangerous_imports(where: str, source: str) -> Problems:
    found = []
    for node in nodes(source):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in dict.fromkeys(names):
            if name.split(".")[0] in FORBIDDEN_IMPORTS and not (name == "pickle" and where in CARRIED):
                found.append(f"{where}:{node.lineno}: {name} makes objects of what it reads")
            if name.startswith(ELSEWHERE):
                found.append(f"{where}:{node.lineno}: {name} asks elsewhere; nothing here does")
    return found


def addresses(where: str, source: str) -> Problems:
    """Scripts, styles, fonts, pictures from elsewhere in a text that a page or file is made of."""
    loads = re.compile(
        r"(src|srcset|@import|url\()\s*=?\s*['\"(]*\s*(https?:)?//(?!127\.0\.0\.1)", re.IGNORECASE
    )
    return [
        f"{where}:{line}: loads something from elsewhere"
        for line, text in texts(source)
        if loads.search(text)
    ]


CHECKS: list[Check] = [glued_sql, quoted_values, dangerous_calls, dangerous_imports, addresses]


@pytest.mark.parametrize("check", CHECKS)
def test_nothing_of_it_is_in_the_house(check: Check) -> None:
    assert len(house()) > 50
    assert [line for path in house() for line in check(relative(path), path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (glued_sql, 'con.execute(f"SELECT * FROM {table}")'),
        (glued_sql, "engine.ask('SELECT ' + column)"),
        (glued_sql, "con.sql('SELECT * FROM %s' % table)"),
        (glued_sql, "engine.keep(name, sql)\ncon.execute('SELECT {}'.format(x))"),
        (quoted_values, "q = f\"SELECT * FROM t WHERE city = '{city}'\""),
        (quoted_values, "q = f\"SELECT a, '{name}' AS b, {c} FROM read_parquet('{path}')\""),
        (quoted_values, "q = f\"COPY t TO '{path}' (FORMAT csv)\""),
        (dangerous_calls, "eval(text)"),
        (dangerous_calls, "exec(text)"),
        (dangerous_calls, "subprocess.run(line, shell=True)"),
        (dangerous_calls, "os.system(line)"),
        (dangerous_calls, "yaml.load(text)"),
        (dangerous_calls, "st.markdown(text, unsafe_allow_html=True)"),
        (dangerous_calls, "st.markdown(text, unsafe_allow_html=maybe)"),
        (dangerous_calls, "st.html(text, unsafe_allow_javascript=True)"),
        (dangerous_calls, "st.components.html(text)"),
        (dangerous_calls, "st.iframe(url)"),
        (dangerous_calls, "st.exception(error)"),
        (dangerous_calls, "st.cache_data(persist='disk')"),
        (dangerous_calls, "@st.cache_data(ttl=3, persist=True)\ndef f(): pass"),
        (dangerous_calls, "np.load(path, allow_pickle=True)"),
        (dangerous_imports, "import pickle"),
        (dangerous_imports, "from pickle import loads"),
        (dangerous_imports, "import urllib.request"),
        (dangerous_imports, "from urllib import request"),
        (dangerous_imports, "import httpx"),
        (addresses, "x = '<script src=\"https://cdn.example/x.js\"></script>'"),
        (addresses, "x = '@import url(//fonts.example/x.css)'"),
    ],
)
def test_a_planted_breach_is_found(check: Check, source: str) -> None:
    assert check("analytics/view/x.py", source)
    assert check("pages/x.py", source)


def test_every_exception_is_still_one() -> None:
    for place in GLUE_HOMES:
        assert (ROOT / place).exists(), f"{place}: is there no longer; take it out of the list"
    for place, name in QUOTED:
        assert f"'{{{name}}}'" in (ROOT / place).read_text("utf-8"), (
            f"{place}: no {name} between quotes any more"
        )
    for place in SCRIPT_HOMES:
        assert "unsafe_allow_javascript" in (ROOT / place).read_text("utf-8")


def test_no_dependency_falls_below_what_is_known() -> None:
    """The list is kept by hand, its reasons stand in SECURITY.md. (That all are pinned by hash: test_house_texts.)"""
    pinned = dict(
        re.findall(r"^([\w.-]+)==(\d+\.\d+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    )
    told = (ROOT / "SECURITY.md").read_text("utf-8")
    for name, least in {"streamlit": (1, 54), "starlette": (1, 1), "duckdb": (2, 0)}.items():
        assert tuple(map(int, pinned[name].split("."))) >= least
        assert re.search(rf"\| {name} \| {least[0]}\.{least[1]} \|", told, re.IGNORECASE)

"""Rules of the house on its code: one way of imports, places of SQL, no rules in code, short files.

Every check is also run on a planted breach, which it must find.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import ROOT, Problems, house, python_files, relative, texts, tracked

from analytics.measures import grammar, measures
from analytics.store import Query

WINGS = (
    "tiers", "reference", "store", "plans", "intake", "facts", "measures", "whatif", "release", "methods", "desk", "synthetic",
    "verbs", "jobs", "figures", "report", "view", "console", "cli",
)  # fmt: skip
DRAWING = ("streamlit", "plotly")

# Where SQL is written in Python, and why it cannot stand in a .sql file: its columns depend on a plan, a contract,
# a catalogue entry or the tiers.
SQL_HOMES = {
    "analytics/store/engine.py": "views over the files of a snapshot",
    "analytics/plans/schedule.py": "the payment formula of a row",
    "analytics/plans/rowsql.py": "the columns of a plan row",
    "analytics/plans/waterfall.py": "all rows of a plan, in order of payment",
    "analytics/plans/pay.py": "the same formula on one amount",
    "analytics/plans/explain.py": "the same query on one person's claims, written out",
    "analytics/intake/": "columns, conversions and checks of a contract",
    "analytics/facts/": "staging of partitions around the .sql files",
    "analytics/measures/": "a measure, its errors, and which resource an extract holds",
    "analytics/whatif/": "ledgers of a replay",
    "analytics/release/sessions.py": "the table of logins, which is no data (SQLite)",
    "analytics/methods/worked.py": "what every household adds to the sums of a measure",
}
# Who may talk to DuckDB at all: those above, and the sample, which pays its claims by the plan's own query.
DUCKDB_HOMES = (*SQL_HOMES, "analytics/synthetic/settle.py")

# Numbers that may stand in rule-bearing Python. Everything else is a rule and belongs into a data file.
UNITS = {
    0: "nothing, first",
    1: "one, next",
    2: "a pair (a path of row and field)",
    100: "fen of a yuan",
    10_000: "basis points of one",
    100_000: "basis points of ten, the highest threshold that can be asked",
    1998: "first year there was a basic insurance: bound of plan_year",
    2100: "bound of plan_year",
    4: "files kept in memory by the loader",
    12: "hex digits of a version",
    2_147_483_647: "fen a claim holds, as in the contracts",
    9_223_372_036_854_775_807: "the largest number of a claim",
}
# In SQL: ranks and positions, the last day of a year; fen and basis points only inside the rounding and unit idioms.
SQL_NUMBERS = {"0", "1", "2", "3", "4", "5", "12", "31"}
SQL_IDIOMS = (
    r"\+ 5000\) // 10000",  # half up to the fen
    r"(::(HUGEINT|\{wide\}) )?\* 10000\b",  # a threshold compared in whole numbers
    r"/ 10000\b",  # basis points to a fraction, in the last SELECT
    r"% 10000 <",  # basis points of all clusters
    r"\+ 0\.5\)",  # half up
    r"rank - 0\.5\b",  # from the middle of all ranks
    r"/ 100\b",  # fen to yuan, in the last SELECT
    r"/ \(10 \* ",  # by whole tenths, so that equals stay equal
)


# --- imports run one way


def imported(tree: ast.Module) -> Iterator[str]:
    """Dotted names a module imports, `from analytics import x` as analytics.x."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "import_module":
            first = node.args[0] if node.args else None
            yield str(first.value) if isinstance(first, ast.Constant) else "?"


def wrong_imports(where: str, source: str) -> Problems:
    """Imports against the order of the wings, and of drawing libraries where nothing is drawn."""
    parts = where.split("/")
    wing = parts[1].removesuffix(".py") if parts[0] == "analytics" else parts[0]
    found = []
    for name in imported(ast.parse(source)):
        top, _, rest = name.partition(".")
        if top in DRAWING and wing not in ("view", "pages", "app.py"):
            found.append(f"{where}: imports {name}; only view, pages and app.py draw")
        if top == "?" or name.startswith("."):
            found.append(f"{where}: write imports whole, so that they can be read")
        if top == "duckdb" and not where.startswith(DUCKDB_HOMES):
            found.append(f"{where}: imports duckdb; ask through the store")
        if (
            wing == "pages"
            and top != "streamlit"
            and not name.startswith(("analytics.view", "analytics.figures"))
        ):
            found.append(
                f"{where}: imports {name}; a page imports streamlit, analytics.view and analytics.figures"
            )
        if top != "analytics" or parts[0] != "analytics" or where == "analytics/__init__.py":
            continue
        other = rest.split(".")[0]
        if wing not in WINGS or other not in WINGS:
            found.append(f"{where}: {wing} or {other} is no wing; add it to the order here")
        elif other != wing and WINGS.index(other) > WINGS.index(wing):
            found.append(f"{where}: imports {other}, which stands after {wing}")
        elif wing in ("cli", "console") and other == "view":
            found.append(f"{where}: the command line runs without the dashboard's libraries")
        elif wing == "view" and other in ("intake", "facts", "synthetic", "verbs"):
            found.append(f"{where}: imports {other}; the view gets everything from the answer desk")
        elif wing == "view" and name.split(".")[-1] in ("Raw", "Book", "Engine", "release"):
            found.append(f"{where}: imports {name}; the view draws what was released, nothing else")
    return found


@pytest.mark.parametrize(
    ("where", "source", "told"),
    [
        ("analytics/plans/x.py", "from analytics.measures import measures", "stands after plans"),
        ("analytics/release/x.py", "from analytics.desk import answer", "stands after release"),
        ("analytics/store/x.py", "def f():\n    import analytics.plans.pay", "stands after store"),
        ("analytics/reference.py", "importlib.import_module('analytics.view')", "stands after reference"),
        ("analytics/extra/x.py", "import analytics.store", "is no wing"),
        ("analytics/facts/x.py", "from ..measures import measures", "write imports whole"),
        ("analytics/measures/x.py", "import plotly.graph_objects as go", "only view"),
        ("analytics/cli.py", "from analytics.view import server", "without the dashboard"),
        ("analytics/console/intake.py", "from analytics.view import server", "without the dashboard"),
        ("analytics/view/x.py", "from analytics.facts import build", "answer desk"),
        ("analytics/view/x.py", "from analytics.measures import Raw", "what was released"),
        ("analytics/view/x.py", "import duckdb", "ask through the store"),
        ("pages/x.py", "from analytics.desk.answer import Desk", "a page imports"),
        ("pages/x.py", "import polars", "a page imports"),
    ],
)
def test_a_wrong_import_is_found(where: str, source: str, told: str) -> None:
    assert any(told in line for line in wrong_imports(where, source))


def test_imports_run_one_way() -> None:
    assert len(house()) > 50
    assert [line for p in house() for line in wrong_imports(relative(p), p.read_text("utf-8"))] == []


# --- SQL has its places


_STATEMENT = re.compile(
    r"\bselect\b.+\bfrom\b|\bwith\s+\w+\s+as\s*\(|\bselect\s+\*|\binsert\s+into\b|\bcreate\s+(or\s+replace\s+)?"
    r"(temp\s+)?(table|view|type|macro)\b|\bcopy\s*\(|\bdescribe\s+\w|\bdelete\s+from\b|\bupdate\s+\w+\s+set\b",
    re.IGNORECASE | re.DOTALL,
)


def sql_strings(where: str, source: str) -> Problems:
    if where.startswith(tuple(SQL_HOMES)):
        return []
    return [
        f"{where}:{line}: a SQL statement outside its places"
        for line, text in texts(source)
        if _STATEMENT.search(text)
    ]


@pytest.mark.parametrize(
    "source",
    [
        'q = "SELECT city FROM person_year"',
        'q = f"select {columns}\\nfrom {table}"',
        'q = "WITH a AS (" + rest',
        'q = "CREATE TEMP TABLE a AS"',
        'q = f"COPY ({q}) TO"',
    ],
)
def test_sql_is_found(source: str) -> None:
    assert sql_strings("analytics/view/x.py", source)
    assert sql_strings("pages/x.py", source)
    assert not sql_strings("analytics/intake/x.py", source)


def test_sql_stands_in_its_places() -> None:
    assert [line for p in house() for line in sql_strings(relative(p), p.read_text("utf-8"))] == []


def test_every_sql_home_is_still_one() -> None:
    for home in SQL_HOMES:
        files = sorted((ROOT / home).rglob("*.py")) if home.endswith("/") else [ROOT / home]
        found = any(re.search(r"SELECT|\* \{|greatest\(", p.read_text("utf-8")) for p in files)
        assert found, f"{home}: no SQL there any more; take it out of the list"


def test_every_sql_file_states_its_grain(tmp_path: Path) -> None:
    files = [p for p in tracked() if p.suffix == ".sql"]
    assert files
    for path in files:
        assert Query.load(path).grain
    planted = tmp_path / "planted.sql"
    planted.write_text("SELECT 1 AS one\n", encoding="utf-8")
    with pytest.raises(ValueError, match="grain"):
        Query.load(planted)


# --- no rule in code


def odd_numbers(where: str, source: str) -> Problems:
    """Number literals of Python that are no unit."""
    return [
        f"{where}:{node.lineno}: {node.value} is no unit; rules stand in data files"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
        and (isinstance(node.value, float) or node.value not in UNITS)
    ]


def odd_sql_numbers(where: str, sql: str) -> Problems:
    """Number literals of SQL that are neither a rank nor part of a unit idiom; codes and dates in quotes are none."""
    text = re.sub(r"--.*", "", sql)
    quoted = [q for q in re.findall(r"'([^']*)'", text) if re.fullmatch(r"[\d.,_]{2,}|0?\.\d+", q)]
    text = re.sub(r"'[^']*'|\$\w+", "", text)
    for idiom in SQL_IDIOMS:
        text = re.sub(idiom, "", text)
    numbers = re.findall(r"(?<![\w.])\d[\d_]*(?:\.\d+)?(?:e\d+)?\b|(?<!\w)\.\d+", text)
    return [
        f"{where}: {n} is no unit; rules stand in data files"
        for n in [*numbers, *quoted]
        if n not in SQL_NUMBERS
    ]


@pytest.mark.parametrize("source", ["rate_bp = 6000", "x * 0.6", "deductible = 18_000", "k = 11"])
def test_a_rule_in_python_is_found(source: str) -> None:
    assert odd_numbers("x.py", source)


@pytest.mark.parametrize(
    "sql",
    [
        "greatest(x - 1800000, 0)",
        "x * 6000 // 10000",
        "own / income > 0.4",
        "own > .4 * income",
        "x > 10000",
        "x > 5000",
        "x > 100",
        "'0.6'::DECIMAL * x",
    ],
)
def test_a_rule_in_sql_is_found(sql: str) -> None:
    assert odd_sql_numbers("x.sql", sql)


def test_no_rule_constant_in_code() -> None:
    bearing = [
        p for p in python_files() if relative(p).startswith(("analytics/plans/", "analytics/measures/"))
    ]
    assert bearing
    problems = [line for p in bearing for line in odd_numbers(relative(p), p.read_text("utf-8"))]
    for path in bearing:
        for line, text in texts(path.read_text("utf-8")):
            if _STATEMENT.search(text) or re.search(r"::BIGINT|greatest\(| // ", text):
                problems += odd_sql_numbers(f"{relative(path)}:{line}", text)
    for path in (p for p in tracked() if p.suffix == ".sql"):
        problems += odd_sql_numbers(relative(path), path.read_text("utf-8"))
    for form in measures().values():
        problems += odd_sql_numbers(form.id, f"{form.numerator}, {form.denominator}, {form.where}")
    rules = grammar()
    choices = {**rules.resources, **rules.weights, **rules.own_burdens}
    for name, sql in [*rules.terms.items(), *((n, c.sql) for n, c in choices.items())]:
        problems += odd_sql_numbers(f"grammar.toml: {name}", sql)
    assert problems == []


# --- size


def too_long(where: str, source: str) -> Problems:
    limit = 130 if where.startswith("pages/") else 420
    lines = source.count("\n")
    return [f"{where}: {lines} lines; make two of what is over {limit}"] if lines > limit else []


def test_files_stay_short() -> None:
    assert too_long("pages/x.py", "\n" * 131) and too_long("tests/x.py", "\n" * 421)
    assert [line for p in python_files() for line in too_long(relative(p), p.read_text("utf-8"))] == []

"""What the tests of the house rules share: the project's files, and the texts that stand in a Python module."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Problems = list[str]


def relative(path: Path) -> str:
    """Place of a file in the project, with forward slashes."""
    return path.relative_to(ROOT).as_posix()


def tracked() -> list[Path]:
    """The project's files: what git knows or would add; without git everything that is no cache."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        kept = (
            "app.py",
            "analytics",
            "pages",
            "data",
            "tests",
            "pyproject.toml",
            "requirements.lock",
            "README.md",
            "SECURITY.md",
        )
        found = [p for name in kept for p in [ROOT / name, *(ROOT / name).rglob("*")]]
    return sorted(p for p in found if p.is_file() and "__pycache__" not in p.parts)


def python_files() -> list[Path]:
    return [p for p in tracked() if p.suffix == ".py"]


def house() -> list[Path]:
    """Python of the product: app.py, pages and analytics."""
    return [p for p in python_files() if relative(p).split("/")[0] in ("analytics", "pages", "app.py")]


def texts(source: str, gap: str = "x") -> Iterator[tuple[int, str]]:
    """Line and text of every string of a module but docstrings; `gap` stands for the values of an f-string."""
    tree = ast.parse(source)
    inside: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            inside.add(id(body[0].value))  # a docstring
        if isinstance(node, ast.JoinedStr):
            inside.update(id(part) for part in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (str(p.value) if isinstance(p, ast.Constant) else gap for p in node.values)
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value

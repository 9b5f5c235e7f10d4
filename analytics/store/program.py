"""Which program this is."""

import hashlib
from functools import cache
from pathlib import Path

from analytics import reference, tiers

_DRAWS = ("view", "figures", "report")  # wings that draw numbers and decide none


@cache
def program() -> str:
    """Hash of the program and the rules as they are now: whatever can move a number."""
    wings = Path(tiers.__file__).parent
    files = [
        p
        for p in wings.rglob("*")
        if p.suffix in (".py", ".sql", ".toml") and p.relative_to(wings).parts[0] not in _DRAWS
    ]
    data = reference.root() / "data"
    files += [p for kind in ("plans", "reference") for p in (data / kind).rglob("*") if p.is_file()]
    hashed = hashlib.sha256()
    for path in sorted(files):
        hashed.update(path.name.encode() + b"\0" + path.read_bytes())
    return hashed.hexdigest()[:12]

"""Corrections files for tests, and what became of the rows they speak of."""

from pathlib import Path
from typing import Any

from deliveries import csv_file, loaded, take

from analytics import verbs
from analytics.intake import corrections
from analytics.store import Folder, Store

# The hospital's part of 505.01 is missing from the own burden: 4657.07 instead of 4152.06, 4487.03 instead of 3982.02.
WRONG = {"psn_part_amt": "4657.07", "psn_cash_pay": "4487.03"}
BURDEN = {"column": "psn_part_amt", "from": "4657.07", "to": "4152.06"}
CASH = {"column": "psn_cash_pay", "from": "4487.03", "to": "3982.02"}


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def at(*rows: int, file: str = "a.csv") -> dict[str, Any]:
    return {"rows": [{"file": file, "rows": list(rows)}]}


def fix_file(
    folder: Path, delivery: str, *fixes: dict[str, Any], who: str = "王某", name: str = "fix.toml"
) -> Path:
    """A corrections file; every entry is a `set` with a reason where it does not say otherwise."""
    lines = [f'delivery = "{delivery}"', f'who = "{who}"']
    for fix in fixes:
        entry = {"action": "set", "reason": "医院来函更正", **fix}
        lines += ["[[fix]]", *(f"{key} = {toml(value)}" for key, value in entry.items())]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def correct(folder: Path, delivery: Folder | str, *fixes: dict[str, Any], **options: Any) -> Folder:
    name = delivery if isinstance(delivery, str) else delivery.id
    return verbs.correct(folder / "store", fix_file(folder, name, *fixes, **options))


def deliver(folder: Path, rows: list[dict[str, Any]], name: str = "a.csv", **options: Any) -> Folder:
    return take(folder, [csv_file(folder / name, rows)], **options)


def states(folder: Path, delivery: Folder) -> dict[tuple[str, int], str]:
    """State of every quarantined row of a delivery; the counts by state must say the same."""
    rows = corrections.waiting(Store(folder / "store"), delivery.id)
    told = {(row["src_name"], row["src_row"]): row["state"] for row in rows}
    counted = corrections.counts(Store(folder / "store"))[delivery.id]
    assert counted == {
        state: list(told.values()).count(state) for state in ("open", "fixed", "dropped", "set_aside")
    }
    return told


def ids(delivery: Folder) -> list[str]:
    frame = loaded(delivery)
    return sorted(frame["setl_id"]) if frame.width else []

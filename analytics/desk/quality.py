"""The books of a store: per delivery what came, was loaded, corrected, decided away and still waits; by rule what was found.

Everything is read from the manifests of sealed deliveries and from their quarantined rows; nothing has to be built.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from analytics.facts.checks import rules as built_rules
from analytics.intake import contract, corrections
from analytics.intake.contract import FEN_OF_YUAN, Contract
from analytics.release import reasons_withheld
from analytics.store import Folder, Store

PASSED, FOUND, NOT_APPLICABLE = "passed", "found", "not_applicable"
_ROWS = ("rows_in", "rows_loaded", "rows_corrected", "rows_quarantined", "rows_set_aside")
_PLACE = ("city", "plan_year")
_INPUT = ("name", "rows", "format", "encoding", "dialect", "sha256")


def quality(store: Store, rows: int = 0, rule: str = "") -> list[dict[str, Any]]:
    """Per delivery: how it came (files, format, dialect, note, sign-off, key), its rows and fee in every place, and every
    check with what it found; with `rows`, also `samples` of quarantined rows. `rule`: of checks and samples only this one.

    Raises ValueError for an unknown rule, store.Damaged when a file of quarantined rows is not as sealed.
    """
    deliveries = store.deliveries()
    states = corrections.counts(store)
    decided = [d.manifest["corrects"] for d in deliveries if d.manifest.get("corrects")]
    found = [
        _delivery(store, d, states[d.id], [c for c in decided if c["delivery"] == d.id]) for d in deliveries
    ]
    if rule:
        known = {c["rule"] for d in found for c in d["checks"]} | set(built_rules())
        if rule not in known:
            raise ValueError(f"rule {rule}: nothing here was asked it; rules are {', '.join(sorted(known))}")
    for d in found:
        d["checks"] = [c for c in d["checks"] if rule in ("", c["rule"])]
        if rows:
            d["samples"] = samples(store, rows, rule, d["delivery"])
    return found


def store_wide(snapshot: Folder | None) -> dict[str, list[dict[str, Any]]]:
    """What the build checked across deliveries, as it stands in the manifest of a snapshot; empty where nothing is built.
    `checks`: rule, title, category, severity, status, checked, rows, share, fee_yuan, limit, city, plan_year; `links`: city,
    plan_year, product, level, claims, paid_yuan; `in_several_cities`: per plan_year with several cities the persons and households
    that stand in more than one, who are counted once where cities are taken together; `withheld`: city, plan_year, withheld (undone,
    contradicts) and title of the places without protected tables.
    """
    manifest = snapshot.manifest if snapshot else {}
    checks = [
        {
            "rule": c["rule"],
            "title": built_rules()[c["rule"]].title.model_dump(),
            **{name: c[name] for name in ("category", "severity", "checked", "rows")},
            "status": c["status"] if c["checked"] or c["status"] != PASSED else NOT_APPLICABLE,
            "share": c["rows"] / c["checked"] if c["checked"] else None,
            "fee_yuan": _yuan(c["fee_fen"], FEN_OF_YUAN),
            "limit": c.get("limit"),
            **{name: c[name] for name in _PLACE},
        }
        for c in manifest.get("checks", [])
    ]
    links = [
        {
            **{name: link[name] for name in (*_PLACE, "product", "level", "claims")},
            "paid_yuan": _yuan(link["paid_fen"], FEN_OF_YUAN),
        }
        for link in manifest.get("links", [])
    ]
    several = [
        {"plan_year": row["plan_year"]}
        | {f"{who}_in_several_cities": row.get(who) for who in ("persons", "households")}
        for row in manifest.get("shared", [])
    ]
    withheld = [
        {
            **{name: row[name] for name in (*_PLACE, "withheld")},
            "title": reasons_withheld()[row["withheld"]].model_dump(),
        }
        for row in manifest.get("protection", [])
        if "withheld" in row
    ]
    return {"checks": checks, "links": links, "in_several_cities": several, "withheld": withheld}


def samples(store: Store, rows: int, rule: str = "", delivery: str = "") -> list[dict[str, Any]]:
    """For the local user's own eyes: at most so many quarantined rows of each delivery and rule, those that wait first.

    delivery, table, rule, title, file, row, state (open, fixed, dropped, set_aside), reasons, fee_yuan, `columns` of the
    file the rule looks at, and `source`: the row as it came, identifiers as `#<pseudonym>`.
    """
    found = []
    for folder in store.deliveries():
        if delivery not in ("", folder.id):
            continue
        rules, unit = contract(folder.manifest["table"]), _unit(folder)
        for reason in [rule] if rule else sorted(_by_reason(_quarantined(folder))):
            for row in corrections.waiting(store, folder.id, reason, rows):
                feeds = folder.manifest["columns"].get(row["src_name"], {})
                found.append(
                    {
                        "delivery": folder.id,
                        "table": rules.table,
                        "rule": reason,
                        "title": rules.reason(reason).model_dump(),
                        "file": row["src_name"],
                        "row": row["src_row"],
                        "state": row["state"],
                        "reasons": row["reasons"],
                        "fee_yuan": _yuan(row["fee_fen"], unit),
                        "columns": [s for c in _looked_at(reason, rules) for s in feeds.get(c, [])],
                        "source": row["row"],
                    }
                )
    return found


def skeleton(store: Store, delivery: str, rule: str, rows: int) -> str:
    """A corrections file to fill in, for at most so many rows that wait in a delivery for a rule; empty where none does."""
    found = [s for s in samples(store, rows, rule, delivery) if s["state"] == corrections.OPEN]
    if not found:
        return ""
    lines = [
        f"delivery = {_toml(delivery)}",
        'who = ""',
        "",
        f"# {rule}: {found[0]['title']['zh']} / {found[0]['title']['en']}",
        '# action: "set", "accept", "drop" (accept, drop: no column, from, to)',
    ]
    for row in found:
        column = (row["columns"] or [""])[0]
        lines += [
            "[[fix]]",
            f"rows = [{{file = {_toml(row['file'])}, rows = [{row['row']}]}}]",
            f"rule = {_toml(rule)}",
            'action = "set"',
            f"column = {_toml(column)}",
            f"from = {_toml(row['source'].get(column) or '')}",
            'to = ""',
            'reason = ""',
            "",
        ]
    return "\n".join(lines)


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _delivery(
    store: Store, folder: Folder, states: Mapping[str, int], decided: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    m = folder.manifest
    rules, unit = contract(m["table"]), _unit(folder)
    held = _quarantined(folder)
    row: dict[str, Any] = {
        "table": m["table"],
        "title": rules.title.model_dump(),
        "delivery": folder.id,
        "grain": m["grain"],
        "synthetic": m["synthetic"],
        "files": [f["name"] for f in m["inputs"]],
        "inputs": [{name: f.get(name) for name in _INPUT} for f in m["inputs"]],
        "formats": m["formats"],
        "dialects": m["dialects"],
        "columns": m["columns"],
        "column_titles": {c.name: c.zh for c in rules.columns},
        **{name: m.get(name) for name in ("note", "sign_off", "key", "corrects")},
        **{name: m.get(name) for name in _ROWS},
        **{f"rows_{state}": n for state, n in states.items()},
        "rules": [{**hit, "title": rules.reason(hit["rule"]).model_dump()} for hit in m["rules"]],
    }
    if "fee_in_fen" in m:
        aside = held.filter(pl.col("state") == corrections.ASIDE)["fee_fen"].sum() if held.height else 0
        fen = {part: m[f"fee_{part}_fen"] for part in ("in", "loaded", "quarantined")}
        fen |= {"corrected": m.get("fee_corrected_fen"), "set_aside": aside}
        fen |= {
            "fixed": sum(c["fee_fen"] for c in decided),
            "dropped": sum(c["dropped_fee_fen"] for c in decided),
        }
        fen["open"] = fen["quarantined"] - aside - fen["fixed"] - fen["dropped"]
        row |= {f"fee_{part}_yuan": _yuan(fee, unit) for part, fee in fen.items()}
        row["fee_unreadable_rows"] = m["fee_unreadable_rows"]
    row["checks"] = _checks(m, rules, unit, _open(store, folder, states, held))
    return row


def _open(store: Store, folder: Folder, states: Mapping[str, int], held: pl.DataFrame) -> Mapping[str, int]:
    """Rows that still wait, by reason."""
    if not states[corrections.OPEN]:
        return {}
    if states[corrections.FIXED] or states[corrections.DROPPED]:
        rows = corrections.waiting(store, folder.id)
        return Counter(r for row in rows if row["state"] == corrections.OPEN for r in row["reasons"])
    return _by_reason(held.filter(pl.col("state") != corrections.ASIDE))


def _by_reason(held: pl.DataFrame) -> dict[str, int]:
    if held.is_empty():
        return {}
    return dict(held["reasons"].explode().drop_nulls().value_counts().iter_rows())


def _checks(
    m: Mapping[str, Any], rules: Contract, unit: int, waits: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Every check of a delivery; a finding that only its hits tell of (a column the file lacks) is one too."""
    asked = m.get("checks", [])
    known = {c["rule"] for c in asked}
    told = [{**hit, "status": FOUND} for hit in m["rules"] if hit["rule"] not in known]
    checks = [_check(c, rules, m["rows_in"], m.get("fee_in_fen", 0), unit) for c in (*asked, *told)]
    return [{**check, "rows_open": waits.get(check["rule"], 0)} for check in checks]


def _check(check: Mapping[str, Any], rules: Contract, rows_in: int, fee_in: int, unit: int) -> dict[str, Any]:
    rule = next((r for r in rules.rules if r.id == check["rule"]), None)
    rows, fee = check.get("rows", 0), check.get("fee_fen")
    checked, status = check.get("checked"), check["status"]
    if status == PASSED and not checked and not (rule and rule.violation):
        status = NOT_APPLICABLE  # nothing was asked; that is no pass
    every = (rule and checked) or rows_in  # a value that cannot be read is asked of every row
    checked = 0 if status == NOT_APPLICABLE else every
    return {
        "rule": check["rule"],
        "title": rules.reason(check["rule"]).model_dump(),
        "category": check.get("category", "conformance"),
        "severity": check["severity"],
        "status": status,
        "checked": checked,
        "rows": rows,
        "share": rows / checked if checked and check["severity"] != "info" else None,
        "fee_yuan": _yuan(fee, unit),
        "fee_share": fee / fee_in if fee is not None and fee_in else None,
        "limit": float(rule.limit) if rule and rule.limit is not None else None,
        "measures": list(rule.measures) if rule else [],
        "needs": list(rule.needs) if rule else [],
    }


def _looked_at(reason: str, rules: Contract) -> list[str]:
    """Columns of the contract a rule's SQL, or a reason such as `missing(year)`, speaks of; in an equation its subject first."""
    rule = next((r for r in rules.rules if r.id == reason), None)
    parts = (rule.violation, rule.when, *rule.each, *rule.needs, *rule.variants) if rule else (reason,)
    names = {
        word: c.name
        for c in rules.columns
        for word in (f"derived_{c.name}", f"unknown_{c.name}", c.stored, c.name)
    }
    spoken = [word for part in parts for word in re.findall(r"\w+", part)]
    return list(dict.fromkeys(names[word] for word in spoken if word in names))


def _unit(folder: Folder) -> int:
    """Stored units of one yuan in a delivery."""
    return contract(folder.manifest["table"]).per_yuan(int(folder.manifest.get("fen_per_unit", FEN_OF_YUAN)))


def _yuan(fen: int | None, unit: int) -> float | None:
    return None if fen is None else fen / unit


def _quarantined(folder: Folder) -> pl.DataFrame:
    """State, reasons and fee of a delivery's quarantined rows, after a look whether the file is the sealed one."""
    parts = folder.partitions("quarantine")
    for part in parts:
        part.check()
    columns = ["state", "reasons", "fee_fen"]
    return pl.concat([pl.read_parquet(p.path, columns=columns) for p in parts]) if parts else pl.DataFrame()

"""What the checks found: a light for each, the rows that wait as they came, and which measures stand on them."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import polars as pl

from analytics.figures import formats, words
from analytics.figures.words import say, t
from analytics.measures import Measure
from analytics.release import Released, guarded
from analytics.view import asking, ledger

Found = Mapping[str, Any]
FOUND, PASSED, NOT_APPLICABLE = STATUSES = ("found", "passed", "not_applicable")
_STRONG = "#B34700"
# A light and its colour: what wants somebody's eye first.
LIGHTS = {
    "open": _STRONG,
    "warn": "orange",
    "decided": "green",
    "set_aside": "gray",
    "correct": "blue",
    "info": "gray",
    "passed": "green",
    "not_applicable": "gray",
}
_STATES = {"open": _STRONG, "fixed": "green", "dropped": "gray", "set_aside": "gray"}
_USABLE = {"ok": "green", "look": "orange", "not_computable": _STRONG}
_CATEGORIES = ("accounting", "plausibility", "completeness", "conformance")
_PLACES = 3  # named in one cell
_SUMS = ("rows", "rows_open", "checked")


def lights() -> dict[str, str]:
    """Every light's word and colour."""
    return {t(f"light.{code}"): colour for code, colour in LIGHTS.items()}


def states() -> dict[str, str]:
    """Every state of a quarantined row in words, and its colour."""
    return {t(f"place_of.{code}"): colour for code, colour in _STATES.items()}


def usable() -> dict[str, str]:
    """Every light of a measure in words, and its colour."""
    return {t(f"usable.{code}"): colour for code, colour in _USABLE.items()}


def gathered(deliveries: Iterable[ledger.Delivery]) -> list[Found]:
    """Every check of the deliveries once per table, what it found added up; those that found something first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for d in deliveries:
        for check in d["checks"]:
            key = d["table"], check["rule"]
            one = found.setdefault(key, {**check, **dict.fromkeys((*_SUMS, "fee_yuan"), 0), "status": NOT_APPLICABLE, "of": d["title"]})  # fmt: skip
            for part in (*_SUMS, "fee_yuan"):
                one[part] += check[part] or 0
            one["status"] = min(one["status"], check["status"], key=STATUSES.index)
    return sorted(found.values(), key=_first)


def _first(check: Found) -> tuple[int, int, int, str]:
    return (
        list(LIGHTS).index(light(check)),
        _CATEGORIES.index(check["category"]),
        -check["rows"],
        check["rule"],
    )


def light(check: Found) -> str:
    """What a check says at a glance. Not asked is a light of its own, never that of a pass."""
    if check["status"] != FOUND:
        return str(check["status"])
    if check["severity"] == "quarantine":
        return "open" if check.get("rows_open") else "decided"
    return str(check["severity"])


def table(checks: Sequence[Found], status: str) -> pl.DataFrame:
    """The checks of one status, one a line."""
    lines = []
    several = len({say(c["of"]) for c in checks}) > 1
    limits = any(c["limit"] is not None and c["status"] == status for c in checks)
    for c in (c for c in checks if c["status"] == status):
        line: dict[str, Any] = {t("check.light"): [t(f"light.{light(c)}")], t("check.rule"): _named(c)}
        if several:
            line[t("data.table")] = say(c["of"])
        line[t("check.category")] = t(f"category.{c['category']}")
        if status == NOT_APPLICABLE:
            line[t("check.why")] = (
                t("check.lacks", columns=words.listing(c["needs"])) if c["needs"] else t("check.no_rows")
            )
        elif status == PASSED:
            line |= {
                t("check.consequence"): t(f"severity.{c['severity']}"),
                t("check.checked"): formats.count(c["checked"]),
            }
        else:
            line |= _numbers(c, limits)
        lines.append(line)
    return pl.DataFrame(lines)


def _named(c: Found) -> str:
    return f"{c['rule']} {say(c['title'])}"


def _numbers(c: Found, limits: bool) -> dict[str, str]:
    told = c["severity"] != "info"
    share = c["rows"] / c["checked"] if told and c["checked"] else None
    return {
        t("check.rows"): formats.count(c["rows"]),
        t("check.open"): formats.count(c["rows_open"]) if c["severity"] == "quarantine" else formats.NOTHING,
        t("check.checked"): formats.count(c["checked"]),
        t("check.share"): formats.percent(share, 2),
        t("check.fee"): formats.money(c["fee_yuan"] or None, words.language(), words.money_unit()),
        **({t("check.limit"): formats.percent(c["limit"])} if limits else {}),
        t("check.measures"): words.listing([say(asking.measure(m).title) for m in c["measures"]])
        or formats.NOTHING,
    }


def held(checks: Sequence[Found]) -> dict[str, Found]:
    """Rules that hold rows back and did, those with most rows waiting first."""
    found = [c for c in checks if c["status"] == FOUND and c["severity"] in ("quarantine", "set_aside")]
    return {c["rule"]: c for c in sorted(found, key=lambda c: (-c["rows_open"], -c["rows"]))}


def rows(samples: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Quarantined rows as they came: place, state, reasons, fee, then the file's columns, those the rule looks at first. The
    browser lets a table be saved, so what a spreadsheet would run is text here already.
    """
    looked = list(dict.fromkeys(name for s in samples for name in s["columns"]))
    names = list(dict.fromkeys([*looked, *(name for s in samples for name in s["source"])]))
    lines = []
    for s in samples:
        line: dict[str, Any] = {
            t("check.state"): [t(f"place_of.{s['state']}")],
            t("data.file"): guarded(s["file"]),
            t("check.row"): formats.count(s["row"]),
            t("check.reasons"): words.listing(s["reasons"]),
            t("check.yuan"): formats.NOTHING if s["fee_yuan"] is None else f"{s['fee_yuan']:,.2f}",
        }
        own = {name: guarded(name if name not in line else f"{name} ′") for name in names}
        lines.append(line | {own[name]: guarded(s["source"].get(name) or "") for name in names})
    return pl.DataFrame(lines)


def measures(checks: Sequence[Found]) -> tuple[pl.DataFrame, int]:
    """Measures that cannot be computed on these data or are touched by what the checks found, with a light each; and how
    many others there are."""
    lines: list[tuple[str, dict[str, Any]]] = []
    others = 0
    for measure, missing in _uncomputed():
        told = [c for c in checks if c["status"] == FOUND and measure.id in c["measures"]]
        look = [c for c in told if light(c) in ("open", "warn")]
        code, why = "look" if look else "ok", [_why(c) for c in told]
        if missing:
            code, why = "not_computable", [missing]
        if not why:
            others += 1
            continue
        line = {t("methods.title"): say(measure.title), t("usable.light"): [t(f"usable.{code}")]}
        lines.append((code, line | {t("check.why"): t("explain.semicolon").join(why)}))
    lines.sort(key=lambda line: -list(_USABLE).index(line[0]))
    return pl.DataFrame([line for _, line in lines]), others


def _uncomputed() -> list[tuple[Measure, str]]:
    """Every measure, and why it has no value (empty where it has one). All that is asked is one entry of the audit log."""
    found = []
    with asking.together():
        for measure in asking.desk().measures():
            try:
                missing = "" if _is_computable(measure) else t("usable.nothing")
            except asking.Unanswered as reason:
                missing = str(reason)
            found.append((measure, missing))
    return found


def _is_computable(measure: Measure) -> bool:
    """Whether there is a value anywhere: one city and year is asked first, everything only where that has none. Raises
    asking.Unanswered.
    """
    by = ["tier"] if measure.per else []
    city, year = asking.desk().places[-1]
    with suppress(asking.Unanswered):
        if _has_value(asking.ask(measure.id, by, {"city": [city], "plan_year": [str(year)]})):
            return True
    return _has_value(asking.ask(measure.id, by, {}))


def _has_value(answer: Released) -> bool:
    return bool(set(answer.table["status"]) - {"undefined"})


def _why(c: Found) -> str:
    return t(
        "usable.why",
        rule=_named(c),
        n=formats.count(c["rows_open"] or c["rows"]),
        light=t(f"light.{light(c)}"),
    )


def built(checks: Sequence[Found]) -> pl.DataFrame:
    """Checks the build asked across deliveries, once each: what they found added up, and where."""
    every: dict[str, list[Found]] = {}
    for check in checks:
        every.setdefault(check["rule"], []).append(check)
    lines = []
    for found in every.values():
        sums = {part: sum(c[part] or 0 for c in found) for part in ("checked", "rows", "fee_yuan")}
        status = min((c["status"] for c in found), key=STATUSES.index)
        where = [ledger.place(c["city"], c["plan_year"]) for c in found if c["status"] == FOUND]
        more = t("check.more", n=len(where) - _PLACES) if len(where) > _PLACES else ""
        share = sums["rows"] / sums["checked"] if sums["checked"] else None
        line: dict[str, Any] = {
            t("check.light"): [t(f"light.{light({**found[0], 'status': status})}")],
            t("check.rule"): _named(found[0]),
            t("check.where"): words.listing(where[:_PLACES]) + more or formats.NOTHING,
            t("check.rows"): formats.count(sums["rows"]),
            t("check.checked"): formats.count(sums["checked"]),
            t("check.share"): formats.percent(share, 2),
            t("check.fee"): formats.money(sums["fee_yuan"] or None, words.language(), words.money_unit()),
        }
        lines.append((STATUSES.index(status), line))
    return pl.DataFrame([line for _, line in sorted(lines, key=lambda one: one[0])])

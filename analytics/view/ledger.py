"""What came, what was loaded and what waits: the store's books as words and tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from analytics.figures import formats, words
from analytics.figures.words import t
from analytics.view import asking, assumptions

Delivery = Mapping[str, Any]
_ROWS = ("rows_in", "rows_loaded", "rows_quarantined")
_FEES = ("fee_in_yuan", "fee_loaded_yuan", "fee_quarantined_yuan")
_NOT_LOADED = ("set_aside", "fixed", "dropped", "open")
_BILLS = ("settlement", "household_year")  # tables whose money is what care cost
LEVELS = ("settlement", "encounter", "person_year", "none")  # how a claim is linked, best first
_ID = 8  # characters that tell deliveries apart on a page


# --- the answer in words


def answer(deliveries: Sequence[Delivery]) -> str:
    """How many deliveries, rows and money received, rows loaded, and how many wait."""
    total = totals(deliveries)
    bills = [d for d in deliveries if d["table"] in _BILLS and not d["corrects"]]
    fee = sum(d.get("fee_in_yuan") or 0 for d in bills)
    share = total["loaded"] / total["in"] if total["in"] else None
    if share is not None and share < 1:
        share = min(share, 0.999)  # what is not all must not read as all
    return t(
        "data.answer" if total["open"] else "data.answer_clear",
        n=len(deliveries),
        rows_in=formats.count(total["in"]),
        money=t("data.bills", fee=_money(fee)) if fee else "",
        rows_loaded=formats.count(total["loaded"]),
        share=formats.percent(share),
        open=formats.count(total["open"]),
    )


def totals(deliveries: Iterable[Delivery]) -> dict[str, int]:
    """Rows of the whole store, every row once: a corrected row counts where it came first, and loaded where it is."""
    every = list(deliveries)
    first = [d for d in every if not d.get("corrects")]
    parts = {
        part: sum(d.get(f"rows_{part}") or 0 for d in every)
        for part in ("loaded", "set_aside", "dropped", "open")
    }
    return {"in": sum(d["rows_in"] for d in first), **parts}


def money(deliveries: Sequence[Delivery]) -> list[str]:
    """Per table with money, one line: what came and what was loaded as delivered, decided away or left waiting."""
    lines = []
    for table in dict.fromkeys(d["table"] for d in deliveries):
        held = [d for d in deliveries if d["table"] == table and d.get("fee_in_yuan") is not None]
        if not held or not any(d["fee_in_yuan"] for d in held):
            continue
        sums = {
            part: sum(d[f"fee_{part}_yuan"] for d in held if not d["corrects"])
            for part in ("in", "loaded", *_NOT_LOADED)
        }
        told = [
            f"{words.inline(t(f'column_of.{k}'))} {_money(v, sums.values())}"
            for k, v in sums.items()
            if k in ("loaded", "open") or (k != "in" and v)
        ]
        title = held[0]["title"][words.language()]
        lines.append(
            t("data.money", table=title, came=_money(sums["in"], sums.values()), parts=" + ".join(told))
        )
    unread = sum(d.get("fee_unreadable_rows") or 0 for d in deliveries)
    if unread:
        lines.append(t("data.unreadable", n=formats.count(unread)))
    return lines


def reconciles(deliveries: Sequence[Delivery]) -> bool:
    """Whether rows and money of every delivery are loaded or held back, none lost, none twice (to the cent), and every row
    of the store is in one place."""
    total = totals(deliveries)
    whole = total["in"] == total["loaded"] + total["set_aside"] + total["dropped"] + total["open"]
    return whole and all(_adds_up(d, _ROWS) and _adds_up(d, _FEES) for d in deliveries)


def _adds_up(delivery: Delivery, parts: Sequence[str]) -> bool:
    came, loaded, waits = (delivery.get(part) for part in parts)
    return came is None or round((came - loaded - waits) * 100) == 0


# --- deliveries


def by_need(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Deliveries, first those where most rows wait, then those where most were held back, then the largest."""
    return sorted(
        deliveries, key=lambda d: (-d["rows_open"], -d["rows_quarantined"], -d["rows_in"], d["delivery"])
    )


def short(delivery: str) -> str:
    """The part of a delivery's id that is shown."""
    return delivery[:_ID]


def name(delivery: Delivery) -> str:
    """What a delivery is called: its table and its file, or what it corrects."""
    title = str(delivery["title"][words.language()])
    if delivery["corrects"]:
        return t("data.correction_of", table=title, delivery=short(delivery["corrects"]["delivery"]))
    files = delivery["files"]
    many = t("data.and_more", n=len(files) - 1) if len(files) > 1 else ""
    return " · ".join([title, *files[:1]]) + many


def places(delivery: Delivery, counted: str) -> dict[str, float]:
    """Where the rows or the money (yuan) of a delivery are; empty where it has none."""
    form = "rows_{}" if counted == "rows" else "fee_{}_yuan"
    if not delivery.get(form.format("in")):
        return {}
    corrected = delivery.get(form.format("corrected")) or 0
    parts = {part: delivery[form.format(part)] for part in _NOT_LOADED}
    return {"loaded": delivery[form.format("loaded")] - corrected, "corrected": corrected, **parts}


def deliveries(found: Sequence[Delivery], counted: str) -> pl.DataFrame:
    """One line per delivery: what came and where it is, in rows or in money."""
    show = formats.count if counted == "rows" else _money
    form = "rows_{}" if counted == "rows" else "fee_{}_yuan"
    lines = []
    for d in found:
        line = {t("data.delivery"): short(d["delivery"]), t("data.what"): name(d)}
        for part in ("in", "loaded", "corrected", *_NOT_LOADED):
            line[t(f"column_of.{part}")] = show(d.get(form.format(part)))
        lines.append(line)
    return _table(lines)


def came(found: Sequence[Delivery]) -> pl.DataFrame:
    """One line per delivery: how it came and who answers for it. What is absent is said."""
    return _table(
        {
            t("data.delivery"): short(d["delivery"]),
            t("data.what"): name(d),
            t("data.format"): _listed(i["format"] for i in d["inputs"]),
            t("data.encoding"): _listed(i["encoding"] for i in d["inputs"]),
            t("data.dialect"): _listed(d["dialects"]),
            t("data.note"): _note(d),
            t("data.sign_off"): _signed(d),
            t("data.synthetic"): t("methods.yes" if d["synthetic"] else "methods.no"),
        }
        for d in found
    )


def details(d: Delivery) -> pl.DataFrame:
    """Everything said of one delivery, one fact a line."""
    corrects, key = d["corrects"], d["key"] or {}
    files = [
        f"{i['name']} ({t('books.rows', n=formats.count(i['rows']))}, sha256 {i['sha256'][:12]}…)"
        for i in d["inputs"]
    ]
    facts = {
        "delivery": d["delivery"],
        "table": f"{d['title'][words.language()]} ({d['table']})",
        "file": words.listing(files) or formats.NOTHING,
        "format": _listed(f"{i['format']} {i['encoding']}".strip() for i in d["inputs"]),
        "dialect": _listed(d["dialects"]),
        "note": _note(d),
        "sign_off": _signed(d),
        "key": " · ".join(str(v) for v in (key.get("id"), key.get("algorithm")) if v) or formats.NOTHING,
    }
    if corrects:
        facts["corrects"] = t("data.corrected_by", delivery=corrects["delivery"], who=corrects["who"], reason=words.listing(corrects["reasons"]))  # fmt: skip
    return _facts({t(f"data.{name}"): text for name, text in facts.items()})


def columns(d: Delivery) -> pl.DataFrame:
    """Which column of the file feeds each canonical column; files read alike share a line."""
    alike: dict[tuple[str, str], list[str]] = {}
    for file, feeds in d["columns"].items():
        for canonical, sources in feeds.items():
            alike.setdefault((canonical, words.listing(sources)), []).append(file)
    lines = []
    for (canonical, sources), files in alike.items():
        line = {t("data.canonical"): canonical, t("data.source"): sources}
        if words.language() == "zh":
            line = {t("data.meaning"): str(d["column_titles"].get(canonical, "")), **line}
        if len(d["columns"]) > 1:
            line[t("data.file")] = words.listing(files) if len(files) < len(d["columns"]) else t("group.all")
        lines.append(line)
    return _table(lines)


def _note(d: Delivery) -> str:
    note = d["note"]
    if note is None:
        return t("data.no_note")
    total = note.get("fee_total_yuan")
    said = [note.get("sender"), total and t("data.note_total", total=_money(float(total)))]
    said += [words.listing([words.city(code) for code in note.get("jurisdiction", [])])]
    return (
        t("data.note_checked") + t("explain.colon") + t("explain.semicolon").join(str(v) for v in said if v)
    )


def _signed(d: Delivery) -> str:
    signed = d["sign_off"]
    return t("data.signed", who=signed["who"], reason=signed["reason"]) if signed else t("data.unsigned")


def _listed(values: Iterable[str | None]) -> str:
    return words.listing([v for v in dict.fromkeys(values) if v]) or formats.NOTHING


def _money(yuan: float | None, beside: Iterable[float | None] = ()) -> str:
    """`beside`: sums of money that stand in one sentence with it."""
    by = formats.common([yuan, *beside], words.money_unit(), words.language())
    return formats.money(yuan, words.language(), by=by)


# --- the snapshot


def facts(snapshot: str, manifest: Mapping[str, Any]) -> pl.DataFrame:
    """What the snapshot says of itself."""
    plain = {
        "snapshot": snapshot,
        "synthetic": t("methods.yes" if manifest["synthetic"] else "methods.no"),
        "facts_version": manifest["facts_version"],
        "deliveries": words.listing([f"{d['table']} {d['id']}" for d in manifest["deliveries"]]),
        "plans": words.listing([p["file"] for p in manifest["plans"] if p["file"]]),
    }
    return _facts({t(f"provenance.{k}"): str(v) for k, v in plain.items()})


def files(manifest: Mapping[str, Any]) -> pl.DataFrame:
    """The snapshot's files: table, place, rows, sha256."""
    return _table(
        {
            t("data.table"): str(file["table"]),
            t("data.place"): place(file.get("city"), file.get("plan_year")),
            t("data.file"): str(file["name"]),
            "sha256": str(file["sha256"]),
            t("data.rows"): formats.count(file["rows"]),
        }
        for file in manifest["files"]
    )


def links(found: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Per product and year, what share of the commercial payments met a settlement, and at which level; worst first."""
    products: dict[tuple[str, int, str], dict[str, Mapping[str, Any]]] = {}
    for link in found:
        products.setdefault((link["city"], link["plan_year"], link["product"]), {})[link["level"]] = link
    lines = []
    for (city, year, product), levels in products.items():
        paid = sum(link["paid_yuan"] for link in levels.values())
        share = {
            level: levels[level]["paid_yuan"] / paid if paid and level in levels else None for level in LEVELS
        }
        line = {
            t("data.place"): place(city, year),
            t("link.product"): str(product or formats.NOTHING),
            t("link.claims"): formats.count(sum(link["claims"] for link in levels.values())),
            t("link.paid"): _money(paid),
            **{t(f"level.{level}"): formats.percent(value) for level, value in share.items()},
        }
        lines.append((-(share["none"] or 0), city, year, line))
    return _table(line for *_, line in sorted(lines, key=lambda one: one[:3]))


def withheld(found: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Places without protected tables, and why."""
    return _table(
        {t("data.place"): place(row["city"], row["plan_year"]), t("check.why"): words.say(row["title"])}
        for row in found
    )


def assumed(places: Iterable[tuple[str, int]]) -> pl.DataFrame:
    """Every assumed plan value of the city-years served."""
    return _table(
        {t("data.place"): place(city, year), t("data.value"): value}
        for city, year in places
        if (plan := asking.desk().plan(city, year))
        for value in assumptions.lines(plan)
    )


def place(city: str | None, year: int | None) -> str:
    """A city and plan year in words."""
    return formats.NOTHING if city is None else t("place.name", city=words.city(city), year=year)


def _facts(lines: Mapping[str, str]) -> pl.DataFrame:
    return _table({t("explain.fact"): fact, t("explain.content"): text} for fact, text in lines.items())


def _table(lines: Iterable[Mapping[str, str]]) -> pl.DataFrame:
    return pl.DataFrame([dict(line) for line in lines])

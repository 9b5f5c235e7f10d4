"""What an answer is, in words: its fraction, filters, settings, how to cite it, and all it rests on."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from analytics.figures import formats, names, tables, terms, words
from analytics.figures.words import say, t
from analytics.measures import Measure, grammar, is_money
from analytics.release import Released

_CITED = 3  # figure ids a citation names; the notes of a file hold all


def fraction(released: Released, row: Mapping[str, Any] | None = None) -> str:
    """Numerator over denominator with their sums, of one row: the given one, or the only one."""
    rows = [row] if row is not None else released.table.to_dicts()
    if len(rows) != 1 or rows[0]["status"] != "shown":
        return t("explain.see_numbers")
    found = rows[0]
    over, under = (_sum(released.measure, part, found[part]) for part in ("numerator", "denominator"))
    return f"{over} ÷ {under} = {tables.cell({**found, 'ci_low': None}, released.measure.unit)}"


def _sum(form: Measure, part: str, number: float) -> str:
    """A sum of a fraction with its unit, where it has one that can be told: money to the fen, rows by what a row is."""
    is_over = part == "numerator"
    is_plain = not form.sums and is_money(form.numerator if is_over else form.denominator)
    if is_plain or (is_over and form.unit == "yuan"):
        return f"{number:,.2f} {t('units.yuan')}"
    said = formats.count(round(number, 6))
    of_rows = form.denominator == "1" and not form.sums
    if of_rows and (not is_over or (form.counts and not form.quantile)):
        return t("about.counted", n=said, unit=t(f"grain.{form.grain}"))
    return said


def filters(released: Released) -> str:
    """The filters of the question in words."""
    parts = [
        f"{names.dimension(d)}{t('explain.colon')}{words.listing([names.member(d, code) for code in codes])}"
        for d, codes in released.where.items()
        if codes
    ]
    return t("explain.semicolon").join(parts) or t("explain.everybody")


def settings(released: Released) -> str:
    """The parameters the answer was computed with, in words."""
    titles = grammar().parameters
    parts = [
        f"{say(titles[name].title)}{t('explain.colon')}{names.setting(name, code)}"
        for name, code in released.parameters.items()
    ]
    return t("explain.semicolon").join(parts)


def uncertainty(told: Mapping[str, str]) -> str:
    """What the intervals of an answer mean."""
    return t(
        "interval.superpopulation",
        interval=told["interval"].replace(" ", "") if words.language() == "zh" else told["interval"],
        method=t(f"interval.{told['method']}"),
    )


def ids(answers: Sequence[Released]) -> list[str]:
    """The figure ids of answers, each once."""
    return list(dict.fromkeys(figure.id for answer in answers for figure in answer.figures))


def _cited(found: Sequence[str]) -> str:
    if len(found) > _CITED:
        return t("audit.cited_some", figures=words.listing(list(found[:_CITED])), n=len(found))
    return t("audit.cited", figures=words.listing(list(found))) if found else ""


def citation(answers: Sequence[Released]) -> str:
    """How to cite a figure, introduced as that."""
    return t("explain.citation", cite=cited(answers))


def cited(answers: Sequence[Released]) -> str:
    """How to cite a figure: measures, filters, parameters, snapshot, code; and that the data are synthetic, where they are."""
    released = answers[0]
    parts = [
        words.listing(list(dict.fromkeys(say(a.measure.title) for a in answers))),
        filters(released),
        settings(released),
        t("about.version", snapshot=released.provenance["snapshot"], code=released.provenance["code"]),
        _cited(ids(answers)),
    ]
    cite = t("explain.cited", cite=t("explain.semicolon").join(part for part in parts if part))
    return cite + t("about.cited_synthetic") if released.provenance["synthetic"] else cite


def provenance(released: Released) -> list[tuple[str, str]]:
    """What an answer rests on, one line per fact."""
    lines, own = [], {"figure": t("audit.figure"), "program": t("audit.program")}
    for name, value in released.provenance.items():
        text = words.listing([str(v) for v in value]) if isinstance(value, (list, tuple)) else say(value)
        if isinstance(value, Mapping):
            told = {k: v for k, v in value.items() if k != "sql"}  # shown with the SQL of the figure
            text = json.dumps(told, ensure_ascii=False, default=str)
        if name == "uncertainty":
            text = uncertainty(value)
        if name == "counted":
            text = t(f"provenance_counted.{value}")
        if name == "no_resource":
            text = t(f"provenance_no_resource.{value}")
        if isinstance(value, bool):
            text = t("methods.yes" if value else "methods.no")
        elif isinstance(value, int):  # zero is a number
            text = str(value)
        called = t(f"provenance.{name}") if words.known(f"provenance.{name}") else name
        lines.append((own.get(name, called), text))
    return lines


def block(title: str, answers: Sequence[Released], link: str = "", head: str = "") -> list[tuple[str, str]]:
    """The lines every file carries: what it shows, of whom, by which definition, from which data, how to cite, find and
    compute it again; `head`: the end of the audit log. What is the same of all answers stands once.
    """
    lines = [(t("about.figure"), title)]
    if answers[0].provenance["synthetic"]:
        lines.append((t("about.caution"), t("about.synthetic")))
    for answer in answers:
        form = answer.measure
        lines += [
            (t("about.measure"), f"{say(form.title)} ({form.id})"),
            (t("about.definition"), say(form.plain)),
            (t("about.terms"), terms.fraction(form)),
            (t("about.filters"), filters(answer)),
        ]
        if answer.parameters:
            lines.append((t("about.settings"), settings(answer)))
        lines.append((t("about.caveat"), say(form.caveat)))
        if "uncertainty" in answer.provenance:
            lines.append((t("about.interval"), uncertainty(answer.provenance["uncertainty"])))
        lines += [
            (t("about.source"), words.listing([s.title, s.where] if s.where else [s.title]))
            for s in form.source
        ]
        lines += [line for line in provenance(answer) if line[0] != t("provenance.uncertainty")]
        lines += [(t("audit.asked"), figure.text()) for figure in answer.figures]
    if head:
        lines.append((t("audit.head"), head))
    lines.append((t("about.cite"), cited(answers)))
    if link:
        lines.append((t("about.link"), link))
    return list(dict.fromkeys(lines))

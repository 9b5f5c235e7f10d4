"""A report composed from released answers: sections as the kind of report lists them, what the data cannot tell named as left out."""

from collections.abc import Collection, Sequence

from analytics import reference
from analytics.desk.answer import Desk
from analytics.figures import formats, names, words
from analytics.figures.words import say, t
from analytics.report import beside, layout
from analytics.report.document import Block, Document, Section, Text
from analytics.report.form import Report, report
from analytics.report.form import Section as Form
from analytics.report.look import Look, Unanswered
from analytics.report.sentences import sentences

UNITS = ("auto", *formats.SCALES)


def compose(
    desk: Desk, city: str, plan_year: int, *, kind: str = "bureau", language: str = "zh", unit: str = "auto"
) -> Document:
    """The performance report of a city and plan year (city: code or slug), for a bureau or an insurer. Raises ValueError: what
    is wrong, what is possible.
    """
    reading = words.reading(_known("language", language, words.LANGUAGES), _known("unit", unit, UNITS))
    with reading, desk.record.together():
        return _document(*_look(desk, city, plan_year, kind))


def refusal(desk: Desk, city: str, plan_year: int, kind: str, language: str) -> str:
    """Why there is no such report, in the reader's language; empty where there is one."""
    with words.reading(language):
        try:
            _look(desk, city, plan_year, kind)
        except ValueError as error:
            return str(error)
    return ""


def _known(what: str, code: str, codes: Collection[str]) -> str:
    if code not in codes:
        raise ValueError(f"{what} {code}: unknown; it can be {', '.join(codes)}")
    return code


def _look(desk: Desk, city: str, year: int, kind: str) -> tuple[Look, Report]:
    """The city-year and what is reported of it. Raises ValueError where the store cannot tell."""
    form, code = report(kind), reference.city_code(city)
    _must_hold(desk, city, code, year)
    look = Look(desk, code, year)
    _must_answer(look, form)
    return look, form


def _must_hold(desk: Desk, city: str, code: str, year: int) -> None:
    if not desk.has_persons:
        raise ValueError(t("report.survey"))
    if (code, year) not in desk.places:
        slugs = {c.code: c.slug for c in reference.cities().values()}
        held = ", ".join(f"{slugs.get(c, c)} {y}" for c, y in desk.places)
        raise ValueError(t("report.not_there", place=f"{city} {year}", held=held))


def _must_answer(look: Look, form: Report) -> None:
    for measure in form.needs:
        try:
            if set(look.ask(measure).table["status"]) - {"undefined"}:
                return
        except Unanswered:
            continue
    raise ValueError(t("report.nothing", place=look.name, report=words.inline(say(form.title))))


def _document(look: Look, form: Report) -> Document:
    sections, left_out = [], []
    for section in form.section:
        made, why = _section(look, section)
        left_out += why
        if made.blocks:
            sections.append(made)
    if left_out:
        sections.append(Section(t("report.left_out"), tuple(Text(line) for line in left_out)))
    others = len(look.cities) - 1
    years = words.span([str(year) for year in look.years])
    return Document(
        title=say(form.title),
        subtitle=t("report.subtitle", place=look.name, years=years, n=others),
        language=words.language(),
        sections=tuple(sections),
        facts=_facts(look, say(form.title)),
        warning=t("report.synthetic") if look.desk.is_synthetic else "",
        keywords=(words.city(look.city), str(look.year), say(form.title)),
        figures=tuple(look.figures),
    )


def _section(look: Look, form: Form) -> tuple[Section, list[str]]:
    """A section, and a line for everything of it that the data cannot fill."""
    blocks: list[Block] = [Text(sentence) for sentence in sentences(look, form.says)]
    left_out = []
    for part in form.part:
        try:
            blocks += layout.blocks(look, part)
        except Unanswered as reason:
            left_out.append(_left_out(say(part.title), str(reason)))
    found, why = beside.of(look, form.beside)
    left_out += [_left_out(say(form.title), reason) for reason in why]
    return Section(say(form.title), (*blocks, *found)), left_out


def _left_out(what: str, why: str) -> str:
    return t("report.left_out_line", what=what, why=why)


def _cited(look: Look, title: str) -> str:
    cite = t("report.cited", title=title, place=look.name, snapshot=look.desk.snapshot_id)
    return cite + t("about.cited_synthetic") if look.desk.is_synthetic else cite


def _facts(look: Look, title: str) -> tuple[tuple[str, str], ...]:
    """What the report rests on, and how to cite it."""
    told = look.asked[0].provenance
    plans = sorted({str(name) for answer in look.asked for name in answer.provenance["plans"]})
    versions: Sequence[str] = ("facts_version", "measures_version", "code")
    lines = [
        (t("provenance.snapshot"), look.desk.snapshot_id),
        (t("provenance.synthetic"), t("methods.yes" if look.desk.is_synthetic else "methods.no")),
        (t("provenance.plans"), words.listing(plans) or t("rule.no_plan")),
        (t("provenance.protection"), str(told["protection"])),
        (t("report.burden"), t("report.burden_is")),
        (t("report.rounding"), t("report.rounding_is")),
        *((t(f"provenance.{name}"), str(told[name])) for name in versions),
        (t("audit.report_figures"), t("audit.report_figures_is", n=len(look.figures))),
        (t("audit.head"), look.desk.record.head),
        (t("report.cite"), _cited(look, title)),
    ]
    if look.yardstick and any("resource" in answer.measure.parameters for answer in look.asked):
        told_by = {name: words.inline(names.setting(name, code)) for name, code in look.yardstick.items()}
        lines.insert(4, (t("report.resources"), t("report.yardstick", **told_by)))
    return tuple(lines)

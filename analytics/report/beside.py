"""What stands beside the results and is no answer itself: rules in force, published figures, deliveries, definitions."""

from collections.abc import Sequence

from analytics import reference
from analytics.desk import benchmarks
from analytics.desk.benchmarks import Row
from analytics.figures import about, benefit, formats, formula, published, words
from analytics.figures.words import say, t
from analytics.measures import measures
from analytics.plans import Plan, TierRule
from analytics.report.document import Block, Cell, Table, Text
from analytics.report.look import Look, Unanswered

_ROWS = ("rows_in", "rows_loaded", "rows_set_aside", "rows_open")
_VALUES = ("deductible", "bands", "ceiling")


def rules(look: Look) -> list[Block]:
    """The main values of the plan in force, with the class of their source; assumed ones carry a star."""
    plan = look.desk.plan(look.city, look.year)
    if plan is None:
        raise Unanswered(t("report.no_plan"))
    lines = [_rule(plan, rule) for k in plan.order for rule in plan.rules(k)]
    heads = (
        t("rule.tier"),
        t("rule.liability"),
        t("rule.deductible"),
        t("rule.bands"),
        t("rule.ceiling"),
        t("report.source_class"),
    )
    table = Table(t("report.rules", place=look.name), heads, tuple(lines), t("report.rules_note"), len(heads))
    missing = [Text(t("report.not_modelled", clauses=_clauses(plan)))] if plan.not_modelled else []
    return [table, *missing]


def _clauses(plan: Plan) -> str:
    return t("explain.semicolon").join(say(n.clause) for n in plan.not_modelled)


def _rule(plan: Plan, rule: TierRule) -> tuple[Cell, ...]:
    def value(field: str, text: str) -> Cell:
        return Cell(text + (" *" if plan.source_class(rule, field) == "assumed" else ""))

    classes = dict.fromkeys(plan.source_class(rule, field) for field in _VALUES)
    deductible = benefit.yuan(rule.deductible) + (t("rule.per_event") if rule.per == "event" else "")
    who = t(f"who.{rule.insurance_type}")
    name = say(rule.name) if rule.name else who if rule.liability == "main" else f"{rule.liability} ({who})"
    return (
        Cell(words.tier(rule.id)),
        Cell(name),
        value("deductible", deductible),
        value("bands", benefit.bands(rule.bands)),
        value("ceiling", benefit.ceiling(rule.ceiling)),
        Cell(words.listing([t(f"class.{c}") for c in classes])),
    )


def figures(look: Look) -> list[Block]:
    """Published figures of the city and year beside ours."""
    place = next((p for p in benchmarks.places().values() if reference.city_code(p.id) == look.city), None)
    rows = benchmarks.compare(look.desk, [place]) if place else []
    rows = [r for r in rows if (look.city, look.year) in r.covers]
    if not rows:
        raise Unanswered(t("report.none_published"))
    look.beside += [r.answer for r in rows if r.answer is not None]
    lines = [
        (
            Cell(r.figure.zh if words.language() == "zh" else r.figure.en),
            Cell(say(r.figure.period)),
            Cell(published.published(r.figure)),
            Cell(_ours(r, look)),
            Cell(published.apart(r)),
            Cell(t(f"class.{r.figure.source_class}")),
        )
        for r in rows
    ]
    heads = (
        t("report.figure"),
        t("report.period"),
        t("beside.published"),
        t("beside.ours"),
        t("report.apart"),
        t("report.source_class"),
    )
    note = t("report.published_synthetic") if look.desk.is_synthetic else t("report.published_note")
    if ids := about.ids(look.beside):
        note += " " + t("audit.figures", figures=words.listing(ids))
    return [Table(t("report.published", place=look.name), heads, tuple(lines), note, len(heads))]


def _ours(row: Row, look: Look) -> str:
    """Our value, with its years where they are not the year of the report."""
    text, years = published.ours(row), sorted({str(year) for _, year in row.covers})
    if years == [str(look.year)] or row.value is None:
        return text
    return t("report.covers", value=text, years=words.span(years))


def quality(look: Look) -> list[Block]:
    """The deliveries behind the whole store, by kind: rows received, loaded, set aside by rule, waiting."""
    books: dict[str, dict[str, int]] = {}
    count: dict[str, int] = {}
    for d in look.desk.quality():
        name = say(d["title"])
        count[name] = count.get(name, 0) + 1
        rows = books.setdefault(name, dict.fromkeys(_ROWS, 0))
        for column in _ROWS:
            rows[column] += d[column]
    lines = [
        (
            Cell(name),
            Cell(formats.count(count[name]), count[name], "count"),
            *(Cell(formats.count(rows[c]), rows[c], "count") for c in _ROWS),
        )
        for name, rows in books.items()
    ]
    heads = (t("report.table"), t("report.deliveries"), *(t(f"report.{column}") for column in _ROWS))
    return [Table(t("report.received"), heads, tuple(lines), t("report.quality_note"))]


def definitions(look: Look) -> list[Block]:
    """Every measure asked so far, once: what it says, its formula, what to mind, where it comes from."""
    ids = dict.fromkeys(a.measure.id for a in (*look.asked, *look.beside))
    lines = []
    for form in (measures()[i] for i in ids):
        sources = [words.listing([part for part in (s.title, s.where) if part]) for s in form.source]
        lines.append(
            (
                Cell(f"{say(form.title)}\n{form.id}"),
                Cell(
                    "\n".join(
                        [say(form.plain), say(form.caveat), formula.plain(form.formula), *_ids(look, form.id)]
                    )
                ),
                Cell("\n".join(sources)),
            )
        )
    heads = tuple(t(f"report.{head}") for head in ("item", "meaning", "source"))
    return [Table(t("report.definitions"), heads, tuple(lines), t("report.symbols"), len(heads))]


def _ids(look: Look, measure: str) -> list[str]:
    found = about.ids([a for a in (*look.asked, *look.beside) if a.measure.id == measure])
    return [t("audit.figures", figures=words.listing(found))] if found else []


LISTS = {"rules": rules, "published": figures, "quality": quality, "definitions": definitions}


def of(look: Look, wanted: Sequence[str]) -> tuple[list[Block], list[str]]:
    """The lists wanted, and why any of them is left out."""
    found: list[Block] = []
    why = []
    for name in wanted:
        try:
            found += LISTS[name](look)
        except Unanswered as reason:
            why.append(str(reason))
    return found, why

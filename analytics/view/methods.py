"""The catalogue of measures as cards: one open at a time, each with a worked example computed when it is opened."""

import json
from collections.abc import Sequence
from fractions import Fraction
from functools import partial

import polars as pl
import streamlit as st

from analytics import methods
from analytics.figures import about, formats, names, tables, words
from analytics.figures.words import say, t
from analytics.measures import Measure
from analytics.methods import COLUMNS, Card, Worked
from analytics.view import asking, choose, controls, explain, grid

_KEY = "m_"


def chosen(measures: Sequence[Measure]) -> list[Measure]:
    """The measures to list: of one kind, or all that hold every word of the search box, in either language."""
    left, right = st.columns([1, 2])
    kinds = methods.grouped()
    linked = controls.kept("card", [m.id for m in measures])
    own = next((kind for kind, members in kinds.items() if linked in {m.id for m in members}), None)
    with left:
        kind = controls.one("kind", list(kinds), lambda code: _heading(code, len(kinds[code])), own)  # type: ignore[index]
    with right:
        text = st.text_input(t("methods.search"), key="w_search", icon=":material/search:")
    controls.notices()
    sought = text.lower().split()
    if not sought:
        return [m for m in measures if m.group == kind]
    found = [m for m in measures if all(word in _told(m) for word in sought)]
    st.caption(t("methods.found" if found else "methods.nothing", n=len(found), text=words.plain(text)))
    return found


def _heading(kind: str, n: int) -> str:
    return t("methods.heading", group=say(methods.words().group[kind]), n=n)  # type: ignore[index]


def _told(measure: Measure) -> str:
    group = methods.words().group[measure.group]
    texts = (measure.title, measure.plain, group)
    return " ".join([measure.id, *(f"{text.zh} {text.en}" for text in texts)]).lower()


def cards(listed: Sequence[Measure]) -> None:
    """Measures as cards that open; opening one closes the one before. The link keeps which."""
    open_ = controls.kept("card", [m.id for m in asking.desk().measures()])
    if open_ not in {m.id for m in listed}:
        controls.keep("card", "")
    with st.container(gap="xsmall"):
        for measure in listed:
            key = _KEY + measure.id
            st.session_state[key] = measure.id == open_
            box = st.expander(say(measure.title), key=key, on_change=partial(_turned, measure.id))
            if measure.id == open_:
                with box:
                    _card(methods.card(measure.id))


def _turned(measure_id: str) -> None:
    controls.keep("card", measure_id if st.session_state[_KEY + measure_id] else "")


def _card(card: Card) -> None:
    form = card.measure
    explain.definition(form)
    facts = {
        "unit": t(f"units.{form.unit}"),
        "better": t(f"better.{form.better}"),
        "grain": t(f"grain.{form.grain}"),
        "per": t("methods.yes" if form.per == "tier" else "methods.no"),
    }
    told = [t("methods.fact", name=t(f"methods.{name}"), value=value) for name, value in facts.items()]
    st.caption(" · ".join(told))
    if card.rules:
        st.markdown(f"**{t('methods.rules')}**")
        grid.text(_rules(card))
    if card.settings:
        st.markdown(f"**{t('methods.parameters')}**")
        grid.text(_settings(card))
    st.markdown(f"**{t('methods.example')}**")
    if card.example is None:
        st.caption(say(methods.words().words["no_example"]))
    else:
        _example(card.example)
    st.markdown(f"**{t('methods.checks')}**")
    st.markdown("\n".join(f"* {say(line)}" for line in card.checks))


def _rules(card: Card) -> pl.DataFrame:
    lines = []
    for rule in card.rules:
        line = {t("methods.resource"): f"{say(rule.title)} `{rule.resource}`"}
        if rule.threshold:
            line |= {t("methods.threshold"): choose.share(rule.threshold), t("methods.sign"): say(rule.sign)}
        lines.append({**line, t("methods.zero"): say(rule.zero)})
    return pl.DataFrame(lines)


def _settings(card: Card) -> pl.DataFrame:
    said, lines = methods.words().words, []
    for setting in card.settings:
        values = [
            code if say(text) == code else f"{say(text)} `{code}`" for code, text in setting.values.items()
        ]
        if setting.number:
            values.append(say(said["any_number"]))
        lines.append(
            {
                t("methods.parameter"): f"{say(setting.title)} `{setting.id}`",
                t("methods.default"): say(setting.default),
                t("methods.values"): say(said["fixed"]) if setting.fixed else words.listing(values),
            }
        )
    return pl.DataFrame(lines)


def _example(example: Worked) -> None:
    if example.answer.parameters:
        st.caption(t("methods.asked", settings=about.settings(example.answer)))
    grid.show(ten(example), t("methods.example"), left=1, whole=True)
    st.caption(t("methods.fen"))
    for line in results(example):
        st.markdown(f"* {line}")
    with st.expander(t("methods.sql"), icon=":material/database:"):
        st.code(example.answer.sql, language="sql")
        bound = json.dumps(dict(example.answer.bound), ensure_ascii=False, default=str)
        st.caption(t("explain.bound", bound=bound))


def ten(example: Worked) -> pl.DataFrame:
    """The ten households: the columns that matter, what each adds to every sum (by tier, where asked so), and the sums."""
    of_persons = example.answer.measure.grain == "person_year"
    homes = methods.households()
    frame = homes.select("id", *[c for c in COLUMNS.values() if c in example.columns])
    heads = {c: t(f"ten.{c}") if c in _TEN else names.member("tier", c) for c in frame.columns}
    heads["id"] = t("ten.person" if of_persons else "ten.id")
    sums = [c for c in example.parts.columns if c not in ("id", "tier", "usable")]
    by_tier = "tier" in example.parts.columns
    for tier in names.ordered("tier", example.parts["tier"]) if by_tier else [""]:
        rows = example.parts.filter(pl.col("usable"))
        rows = rows.filter(pl.col("tier") == tier) if tier else rows
        added = rows.select("id", *[pl.col(c).alias(f"{tier}.{c}") for c in sums])
        frame = frame.join(added, on="id", how="left")
        for c in sums:
            name = t(f"column.{c}") if c in ("numerator", "denominator") else c
            heads[f"{tier}.{c}"] = f"{names.member('tier', tier)} · {name}" if tier else name
    ranks = [c for c in frame.columns if c.split(".")[-1].startswith("rank_")]
    made = [c for c in frame.columns if "." in c and c not in ranks]
    lines = [
        {heads[c]: str(row[c]) if c == "id" else formats.count(_near(row[c])) for c in frame.columns}
        for row in frame.sort("id").to_dicts()
    ]
    last = {c: t("methods.total") if c == "id" else "" for c in frame.columns}
    last |= {c: formats.count(_near(float(frame[c].sum()))) for c in made}
    return pl.DataFrame([*lines, {heads[c]: text for c, text in last.items()}])


_TEN = ("members", "children", "weight", "consumption", "food", "housing", "cost", "own_burden")


def _near(value: float | None) -> float | None:
    """Without the dust of binary fractions, and without a minus zero."""
    return None if value is None else round(float(value), 6) + 0.0


def results(example: Worked) -> list[str]:
    """Numerator over denominator, one line, or one per tier; with the exact answer where it is a fraction."""
    lines, form = [], example.answer.measure
    for row in example.answer.table.to_dicts():
        tier = row.get("tier")
        text = t(
            "methods.result",
            numerator=formats.count(_near(row["numerator"])),
            denominator=formats.count(_near(row["denominator"])),
            value=tables.cell(row, form.unit),
        )
        exact = example.exact.get(tier or "all")
        if exact is not None:
            text = t("methods.exact", result=text, exact=_fraction(exact))
        lines.append(t("methods.of_tier", tier=words.tier(tier), result=text) if tier else text)
    return lines


def _fraction(exact: Fraction) -> str:
    return str(exact) if exact.denominator == 1 else f"{exact} = {float(exact):.6f}"

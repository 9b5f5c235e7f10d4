"""The result of a scenario on a page: how well the replay fits, headline numbers, baseline beside reform, what went wrong."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import polars as pl
import streamlit as st

from analytics.desk.outcome import LEDGERS, Answer, Ledger, Outcome
from analytics.figures import charts, formats, names, tables, words
from analytics.figures.words import t
from analytics.plans import Plan, PlanErrors, PlanHoles
from analytics.release import Released, csv_text
from analytics.tiers import TIER
from analytics.view import asking, benefits, choose, door, explain, figure, states
from analytics.view.changing import Wanted
from analytics.whatif import NoEffect, NoSettlements, Scenario, scenario_text

TOLERANCE = 0.02  # of what was recorded of a tier; a replay further off is warned of
_PAIR: tuple[Ledger, ...] = ("baseline", "reform")
T = TypeVar("T")


# --- asking, and what can go wrong


def fit(wanted: Wanted) -> tuple[Released, Released] | None:
    """By tier, what the replay pays of what was recorded, and the persons who agree; None, and said why, where it cannot be."""
    plan = asking.desk().plan(wanted.city, int(wanted.year))
    if plan is None or not plan.tier:
        st.info(t("whatif.no_plan", place=name(wanted)), icon=":material/info:")
        return None
    where = {"city": [wanted.city], "plan_year": [wanted.year]}

    def ask() -> tuple[Released, Released]:
        found = [asking.ask(m, ["tier"], where, ledger="plan") for m in ("replay_ratio", "replay_match")]
        return found[0], found[1]

    return _carefully(wanted, ask)


def outcome(wanted: Wanted) -> Outcome | None:
    """The scenario carried out; None where nothing is changed, or, and said why, where it cannot be."""
    scenario = wanted.scenario
    return None if scenario is None else _carefully(wanted, lambda: asking.simulate(scenario))


def _carefully(wanted: Wanted, ask: Callable[[], T]) -> T | None:
    place = name(wanted)
    try:
        with st.spinner(t("whatif.running")):
            return ask()
    except NoEffect as error:
        st.warning(t("whatif.no_effect", place=place), icon=":material/block:")
        if error.told["which"]:
            st.caption(words.reason(error))
    except NoSettlements:
        st.info(t("whatif.no_settlements", place=place), icon=":material/info:")
    except PlanHoles:
        st.warning(t("whatif.holes", place=place), icon=":material/rule:")
        plan = asking.desk().plan(wanted.city, int(wanted.year))
        st.markdown("\n".join(f"* {line}" for line in holes(plan)))
    except PlanErrors as error:
        st.warning(t("whatif.not_allowed"), icon=":material/rule:")
        st.code(str(error), language=None)
    except asking.TooSlow:
        states.slow()
    except asking.Unanswered as error:
        states.unanswered(error)
    return None


def holes(plan: Plan | None) -> list[str]:
    """The values a plan lacks, in words."""
    return [
        t("whatif.hole", tier=words.tier(rule.id), what=benefits.liability(rule), field=_field(hole))
        for rule in (plan.tier if plan else ())
        for hole in rule.holes()
    ]


def _field(hole: str) -> str:
    of_variant, _, field = hole.rpartition(": ")
    text = t(f"benefit.{field}")
    return f"{t('benefit.variants')} · {text}" if of_variant else text


# --- the words


def name(wanted: Wanted) -> str:
    return t("place.name", city=words.city(wanted.city), year=wanted.year)


def answer(wanted: Wanted, found: Outcome | None) -> str:
    """The title: what the change does, in one sentence."""
    if found is None:
        return t("whatif.title", place=name(wanted))
    relieved, charged = (_shown(found.answer(m).of["reform"]) for m in ("relieved_share", "burdened_share"))
    if relieved is None or charged is None:
        return t("whatif.title_hidden", place=name(wanted))
    return t(
        "whatif.title_changed",
        place=name(wanted),
        relieved=formats.count(relieved["numerator"]),
        charged=formats.count(charged["numerator"]),
    )


def _shown(released: Released, tier: str = "") -> dict[str, Any] | None:
    row = asking.row(released, tier=tier) if tier else asking.row(released)
    return row if row and row["status"] == "shown" else None


def fit_line(found: tuple[Released, Released], changed: str) -> None:
    """The fit in one line; a warning where a tier is off, or where nothing can be told of the one that is changed."""
    ratio, match = found
    order = asking.present(ratio, ratio.where["city"][0], ratio.where["plan_year"][0])
    told, off = [], []
    for k in order:
        paid, agree = asking.row(ratio, tier=k), asking.row(match, tier=k)
        told.append(
            t(
                "whatif.fit_tier",
                tier=words.tier(k),
                ratio=tables.cell(paid, "share"),
                match=tables.cell(agree, "share"),
            )
        )
        if paid and paid["status"] == "shown" and abs(paid["value"] - 1) > TOLERANCE:
            off.append(words.tier(k))
    lines = [t("whatif.fit_line", tiers=t("explain.semicolon").join(told))]
    if off:
        lines.append(t("whatif.fit_off", tiers=words.listing(off), off=choose.share(str(TOLERANCE))))
    if changed and _shown(ratio, changed) is None:
        lines.append(t("whatif.fit_unknown", tier=words.tier(changed)))
    text = "  \n".join(lines)
    if len(lines) > 1:
        st.warning(text, icon=":material/warning:")
    else:
        st.success(text, icon=":material/check_circle:")


# --- headline numbers


def cards(found: Outcome, tier: str) -> None:
    """Persons relieved and charged, spending, premium, own burden, catastrophic expenditure: after, and the change."""
    relieved, charged, relief = (
        found.answer(m).of["reform"] for m in ("relieved_share", "burdened_share", "relief_mean")
    )
    burden = found.answer("own_burden_mean")
    headcounts = [found.answer("catastrophic_headcount", threshold=c) for c in ("0.10", "0.40")]
    with st.grid(4, min_column_width=165):
        _people(t("whatif.relieved"), relieved, t("whatif.relieved_help"))
        _people(t("whatif.charged"), charged, t("whatif.charged_help"))
        _card(*_relief(asking.row(relief)), help=words.say(relief.measure.plain))
        if tier:
            spent = found.answer("paid_per_insured", ("tier",))
            help = t("whatif.spent_help", tier=words.tier(tier))
            _pair_card(t("whatif.spent"), spent, "numerator", "off", tier, help)
        _premium(found)
        help = words.say(burden.of["reform"].measure.plain)
        _pair_card(t("whatif.burden"), burden, "value", "inverse", help=help)
        for one in headcounts:
            share = choose.share(one.question.parameters["threshold"])
            _pair_card(
                t("whatif.headcount", threshold=share), one, "value", "inverse",
                help=choose.catastrophic(one.of["reform"]),
            )  # fmt: skip
    asked = [relieved, charged, relief, burden.of["reform"], *(h.of["reform"] for h in headcounts)]
    st.caption(t("whatif.cards_note"))
    explain.drawer("cards", asked)


def _card(
    label: str, value: str, delta: str | None = None, colour: str = "off", help: str | None = None
) -> None:
    still = delta == t("whatif.unchanged")
    st.metric(
        label,
        value,
        delta,
        delta_color="off" if still else colour,  # type: ignore[arg-type]
        delta_arrow="off" if still else "auto",
        border=True,
        height="stretch",
        help=help,
    )


def _relief(row: Mapping[str, Any] | None) -> tuple[str, str]:
    """What persons touched owe less in the mean, or, where that is below zero, more: its name and its amount."""
    if row and row["status"] == "shown" and row["value"] < 0:
        return t("whatif.more_burden"), tables.cell({**row, "value": -row["value"]}, "yuan")
    return t("whatif.relief"), tables.cell(row, "yuan")


def _people(label: str, released: Released, help: str) -> None:
    row = asking.row(released)
    shown = row is not None and row["status"] == "shown"
    text = (
        t("whatif.persons", n=formats.count(row["numerator"])) if row and shown else tables.cell(row, "share")
    )
    if row and shown:
        help = f"{help} {t('whatif.of_all', share=formats.percent(row['value']))}"
    _card(label, text, help=help)


def _pair_card(
    label: str, one: Answer, part: str, colour: str, tier: str = "", help: str | None = None
) -> None:
    """A figure after the change, and how far it moved from the plan in force."""
    released = one.of["reform"]
    unit = released.measure.unit
    before, after = (_shown(one.of[k], tier) if tier else _shown(one.of[k]) for k in _PAIR)
    row = asking.row(released, tier=tier) if tier else asking.row(released)
    if after is None:
        return _card(label, tables.cell(row, unit), help=help)
    moved = None if before is None else after[part] - before[part]
    _card(label, _value(after[part], unit, part), _moved(moved, unit), colour, help)


def _value(value: float, unit: str, part: str) -> str:
    if part == "numerator":
        return formats.money(value, words.language(), words.money_unit(), brief=True)
    return formats.value(value, unit, words.language(), words.money_unit())


def _moved(moved: float | None, unit: str) -> str | None:
    if moved is None:
        return None
    still = abs(moved) < (1e-9 if unit in ("share", "points") else 5e-5)
    return (
        t("whatif.unchanged")
        if still
        else formats.difference(moved, unit, words.language(), words.money_unit())
    )


def _premium(found: Outcome) -> None:
    """What a holder would have to pay so that the target share of it is paid out."""
    help = t("whatif.premium_help", ratio=choose.share(str(found.scenario.target_loss_ratio)))
    table = found.premium()
    if table is None:
        if any((a.table["status"] == "hidden").any() for a in found.answer("paid_per_holder").of.values()):
            _card(t("whatif.premium"), t("cell.hidden"), help=help)
        return
    row = table.row(0, named=True)
    before, after = row["baseline_value"], row["reform_value"]
    if after is None:
        return _card(
            t("whatif.premium"),
            tables.cell({"status": row["reform_status"], "value": None}, "yuan"),
            help=help,
        )
    moved = None if before is None else after - before
    delta = None if moved is None else t("whatif.exact", yuan=f"{moved:+,.2f}")
    _card(t("whatif.premium"), t("whatif.exact", yuan=f"{after:,.2f}"), delta, help=help)


# --- baseline beside reform


def pair(
    key: str, title: str, one: Answer, order: Sequence[str] = (), total: bool = False, note: str = ""
) -> None:
    """A figure of baseline and reform on one scale, with its table and the change; `total`: sums, not means."""
    both = {k: one.of[k] for k in _PAIR}
    drawn = asking.joined("ledger", {k: asking.totals(a) if total else a for k, a in both.items()})
    dimension = one.question.by[0]
    down = list(order) or names.ordered(dimension, drawn.table[dimension])
    chart = charts.bars(drawn, dimension, "ledger", order=down, flat=True)
    called = [names.member("ledger", k) for k in _PAIR]
    figure.show(
        key, title, chart, _table(one, dimension, down, total), list(both.values()), note, called=called
    )


def _table(one: Answer, dimension: str, down: Sequence[str], total: bool) -> pl.DataFrame:
    """One line per value: every ledger asked, and the change from baseline to reform."""
    unit, lines = next(iter(one.of.values())).measure.unit, []
    answers = {k: asking.totals(a) if total else a for k, a in one.of.items()}
    for code in down:
        rows = {k: asking.row(a, **{dimension: code}) for k, a in answers.items()}
        line = {names.dimension(dimension): names.member(dimension, code)}
        line |= {names.member("ledger", k): tables.cell(row, unit) for k, row in rows.items()}
        values = [r["value"] if (r := rows[k]) and r["status"] == "shown" else None for k in _PAIR]
        line[t("whatif.change")] = _difference(values, unit)
        lines.append(line)
    return pl.DataFrame(lines)


def _difference(values: Sequence[float | None], unit: str) -> str:
    before, after = values
    moved = None if before is None or after is None else after - before
    return formats.difference(moved, unit, words.language(), words.money_unit())


def payers(found: Outcome) -> pl.DataFrame:
    """What each payer pays in all."""
    lines = []
    for row in found.by_payer().iter_rows(named=True):
        cells = {k: {"status": row[f"{k}_status"], "value": row[f"{k}_numerator"]} for k in LEDGERS}
        line = {t("whatif.payer"): t(f"payer.{row['payer']}")}
        line |= {
            names.member("ledger", k): tables.cell(cell if cell["status"] else None, "yuan")
            for k, cell in cells.items()
        }
        line[t("whatif.change")] = _difference([cells[k]["value"] for k in _PAIR], "yuan")
        lines.append(line)
    return pl.DataFrame(lines)


def order(found: Outcome) -> list[str]:
    """Tiers that pay before or after the change, in order of payment."""
    held = {k for a in found.answer("paid_per_insured", ("tier",)).of.values() for k in a.table["tier"]}
    known = [*found.changed.order, *(k for k in found.plan.order if k not in found.changed.order)]
    return [*(k for k in known if k in held), *(k for k in TIER if k in held and k not in known)]


def downloads(scenario: Scenario, found: Outcome) -> None:
    """The whole result as a table, and the scenario as a file for the command line."""
    if not asking.may("download"):
        return
    stem = f"{scenario.city}_{scenario.plan_year}"
    record, name = asking.desk().record, f"simulate_{stem}.csv"
    figures = [figure for answer in found.figures() for figure in answer.figures]

    def csv() -> bytes:
        return record.left("download", name, csv_text(found.table()).encode("utf-8-sig"), figures)

    with choose.row():
        st.download_button(
            t("whatif.csv"),
            data=door.held(csv),
            file_name=name,
            mime="text/csv",
            key="d_result",
            on_click="ignore",
            icon=":material/download:",
        )
        st.download_button(
            t("whatif.toml"),
            data=scenario_text(scenario).encode(),
            file_name=f"scenario_{stem}.toml",
            mime="application/toml",
            key="d_scenario",
            on_click="ignore",
            icon=":material/download:",
        )
    st.caption(t("whatif.downloads_note", file=f"scenario_{stem}.toml"))

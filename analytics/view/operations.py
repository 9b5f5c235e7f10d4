"""How the city product is run: who joins and stays, what it takes in and pays out, for what, how fast, to whom."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import streamlit as st

from analytics.figures import charts, formats, names, tables, words
from analytics.figures.words import say, t
from analytics.release import Released
from analytics.view import asking, cards, choose, controls, figure, reporting

EVERY = (
    "participation_rate",
    "renewal_rate",
    "loss_ratio",
    "claim_incidence",
    "claims_per_100",
    "paid_per_person",
    "paid_per_claim",
    "days_to_pay_median",
    "one_stop_share",
    "cross_region_share",
)
LIABILITIES = (  # with a general name, where the plan of the year gives none
    "in_catalogue",
    "in_catalogue_remote",
    "out_of_catalogue",
    "out_of_catalogue_remote",
    "special_drugs",
    "personal_burden",
    "ultra_high",
    "own_pay",
)
GROUPS = ("age_band", "sex", "insurance_type", "person_group")
_HOLDS = "claims_per_100"  # its answer has a row wherever somebody holds a product or was paid by one
_HANDLED = {"one_stop": "one_stop_share", "cross_region": "cross_region_share"}
_HELD = {"participation": "participation_rate", "renewal": "renewal_rate"}


@dataclass(frozen=True)
class Product:
    """The product of a place, or one of its products: `code` is one of `codes`, or `all`."""

    place: choose.Place
    codes: tuple[str, ...]
    code: str = "all"

    @property
    def name(self) -> str:
        """The place, and the product where one of several is looked at."""
        if self.code == "all":
            return self.place.name
        return t("operations.of_product", place=self.place.name, product=_name(self.place, self.code))

    @property
    def where(self) -> dict[str, list[str]]:
        """Filter of a question about this city-year."""
        return {**self.place.where, **self._only}

    @property
    def all_years(self) -> dict[str, list[str]]:
        """The same in every plan year."""
        return {**self.place.all_years, **self._only}

    @property
    def _only(self) -> dict[str, list[str]]:
        return {} if self.code == "all" else {"product": [self.code]}

    def ask(self, measure: str, by: Sequence[str]) -> Released | None:
        """One measure by dimensions, over all years where `plan_year` is one of them; None where the data cannot tell."""
        where = self.all_years if "plan_year" in by else self.where
        if "product" in asking.measure(measure).not_by:  # joining is told of the city, whichever its product
            where = {d: codes for d, codes in where.items() if d != "product"}
        try:
            return asking.ask(measure, by, where)
        except asking.Unanswered:
            return None

    def why_not(self, measure: str) -> str:
        """What must be delivered for a measure that the data cannot tell."""
        form = asking.measure(measure)
        why = form.id if form.told_by else "claim" if form.grain == "claim" else "policy_year"
        return t("operations.needs", measure=say(form.title), why=t(f"unable.no_{why}"))


def product() -> Product:
    """The place and product looked at. A store, or a city, without any ends the page by saying what to deliver."""
    with choose.row():
        place = choose.place()
        codes = _codes(place)
        code = "all"
        if len(codes) > 1:
            code = controls.one("product", ["all", *codes], lambda c: _choice(place, c), width=210)
        reporting.offer(place, ("insurer", "bureau"))
    choose.remarks(place)
    seen = Product(place, codes, code)
    if not codes and not _any(seen.ask("participation_rate", ["plan_year"])):
        st.title(t("operations.nothing_title", city=words.city(place.city)), anchor=False)
        st.info(t("operations.nothing"))
        st.stop()
    return seen


def _any(answer: Released | None) -> bool:
    """Whether an answer holds anything that can be told, though it be protected."""
    return answer is not None and any(status in ("shown", "hidden") for status in answer.table["status"])


def _codes(place: choose.Place) -> tuple[str, ...]:
    """The products somebody of the city held or was paid by in any year."""
    answer = Product(place, ()).ask(_HOLDS, ["plan_year", "product"])
    return () if answer is None else tuple(sorted({str(c) for c in answer.table["product"] if c is not None}))


def _choice(place: choose.Place, code: str) -> str:
    return t("group.all") if code == "all" else _name(place, code)


def _name(place: choose.Place, code: str) -> str:
    """A product's name as its plan gives it, in this year or another; else its code."""
    plans = asking.plans()
    years = sorted(
        (year for city, year in plans if city == place.city), key=lambda y: abs(y - int(place.year))
    )
    named = (p for year in years for p in plans[place.city, year].product if p.code == code)
    found = next(named, None)
    return say(found.name) if found else code


def _called(answer: Released, dimension: str, name: Callable[[str], str]) -> Released:
    """An answer whose codes of a dimension are names, for drawing."""
    codes = {str(c): name(str(c)) for c in answer.table[dimension] if c is not None}
    column = pl.col(dimension).cast(pl.String).replace(codes)
    return replace(answer, table=answer.table.with_columns(column))


def answer(seen: Product) -> str:
    """The page's answer in words, as far as the data tell."""
    told = {}
    for measure in ("loss_ratio", "participation_rate"):
        by_year = seen.ask(measure, ["plan_year"])
        row = None if by_year is None else asking.row(by_year, plan_year=seen.place.year)
        if row is not None and row["status"] == "shown":
            told[measure] = row["value"]
    ratio, rate = told.get("loss_ratio"), told.get("participation_rate")
    if ratio is not None and rate is not None:
        return t(
            "operations.answer", place=seen.name, ratio=formats.per_hundred(ratio), rate=formats.percent(rate)
        )
    if ratio is not None:
        return t("operations.answer_ratio", place=seen.name, ratio=formats.per_hundred(ratio))
    if rate is not None:
        return t("operations.answer_rate", place=seen.name, rate=formats.percent(rate))
    return t("operations.no_answer", place=seen.name)


def absent(seen: Product) -> bool:
    """Whether nobody held the product in this year or was paid by it; then the page says so and shows the years there are."""
    held = seen.ask(_HOLDS, ["plan_year"])
    years = set() if held is None else {str(year) for year in held.table["plan_year"]}
    if seen.place.year in years:
        return False
    known = words.listing(sorted(years)) or formats.NOTHING
    st.info(t("operations.no_year", place=seen.place.name, years=known))
    return True


def headlines(seen: Product) -> None:
    """A card for every headline; what the data cannot tell has a card that says what is missing."""
    year = seen.place.year
    with st.grid(4, min_column_width=160):
        for code in ("participation_rate", "renewal_rate"):
            _card(seen, code)
        _money(seen, "loss_ratio", "premium", lambda row: row["denominator"])
        _money(seen, "paid_per_person", "paid", lambda row: row["numerator"])
        for code in EVERY[2:]:
            _card(seen, code)
    st.caption(t("card.on_last_year") + t("operations.cards_note", year=year))


def _card(seen: Product, measure: str) -> None:
    by_year = seen.ask(measure, ["plan_year"])
    label, told = t(f"operations_card.{measure}"), say(asking.measure(measure).plain)
    if by_year is None:
        _untold(label, seen.why_not(measure))
    else:
        cards.rate(label, by_year, seen.place.year, told)


def _money(seen: Product, measure: str, name: str, pick: Callable[[Mapping[str, Any]], float | None]) -> None:
    by_year = seen.ask(measure, ["plan_year"])
    label = t(f"operations_card.{name}")
    if by_year is None:
        _untold(label, seen.why_not(measure))
        return

    def told(row: Mapping[str, Any]) -> float | None:  # a sum of nothing known is not known
        return pick(row) if row["status"] == "shown" else None

    cards.amount(label, by_year, seen.place.year, told, t(f"operations_help.{name}"))


def _untold(label: str, why: str) -> None:
    st.metric(label, t("operations.not_told"), border=True, height="stretch", help=why)


def course(seen: Product, measure: str) -> None:
    """A measure over the plan years, by product where there are several; all measures in the table."""
    found = {m: a for m in EVERY if (a := seen.ask(m, ["plan_year"])) is not None}
    form = asking.measure(measure)
    if measure not in found:
        st.info(seen.why_not(measure))
        return
    years = names.ordered("plan_year", [y for a in found.values() for y in a.table["plan_year"]])
    shown = found[measure]
    chart = charts.bars(shown, "plan_year")
    if len(seen.codes) > 1 and seen.code == "all" and "product" not in form.not_by:
        parts = seen.ask(measure, ["plan_year", "product"])
        if parts is not None:
            shown = parts
            chart = charts.lines(
                _called(parts, "product", lambda c: _name(seen.place, c)), "plan_year", "product"
            )
    others = [a for m, a in found.items() if m != measure]
    figure.show(
        "course",
        t("operations.course", measure=say(form.title)),
        chart,
        tables.by_measure(list(found.values()), "plan_year", years),
        [shown, *others],
        say(form.caveat),
    )


def held(seen: Product) -> None:
    """Participation and renewal over the plan years."""
    _joined(seen, "holding", _HELD, "operations.held", t("operations.held_note"))


def handled(seen: Product) -> None:
    """One-stop and cross-region shares over the plan years."""
    _joined(seen, "handling", _HANDLED, "operations.handled", t("operations.handled_note"))


def _joined(seen: Product, kind: str, wanted: Mapping[str, str], title: str, note: str) -> None:
    found = {code: a for code, m in wanted.items() if (a := seen.ask(m, ["plan_year"])) is not None}
    if not found:
        _nothing(t(title), [seen.why_not(m) for m in wanted.values()])
        return
    both = asking.joined(kind, found)
    figure.show(
        kind,
        t(title),
        charts.lines(both, "plan_year", kind),
        tables.crossed(both, "plan_year", kind),
        list(found.values()),
        " ".join([note, *(seen.why_not(m) for code, m in wanted.items() if code not in found)]),
    )


def _nothing(title: str, reasons: Sequence[str]) -> None:
    with st.container(border=True):
        st.header(title, anchor=False)
        st.info("  \n".join(reasons))


def ratio(seen: Product) -> None:
    """The loss ratio of every year, and what its premiums rest on."""
    whole, parts = (
        seen.ask("loss_ratio", ["plan_year"]),
        seen.ask("loss_ratio", ["plan_year", "premium_basis"]),
    )
    if whole is None or parts is None:
        _nothing(t("operations.ratio"), [seen.why_not("loss_ratio")])
        return
    columns = {
        "denominator": t("operations_card.premium"),
        "numerator": t("operations.paid_known"),
        "n": t("operations.policies"),
    }
    figure.show(
        "ratio",
        t("operations.ratio"),
        charts.bars(whole, "plan_year"),
        tables.with_parts(parts, columns, money=("numerator", "denominator")),
        [whole, parts],
        t("operations.ratio_note", basis=_basis(seen, parts)),
        left=2,
        called=[t("operations.whole"), t("operations.by_basis")],
    )


def _basis(seen: Product, parts: Released) -> str:
    """What the premiums of this year rest on, in words."""
    told = [
        t(
            "operations.basis",
            basis=names.member("premium_basis", row["premium_basis"]),
            n=t("cell.hidden") if row["status"] == "hidden" else formats.count(row["n"] + row["n_excluded"]),
        )
        for row in asking.narrow(parts, plan_year=seen.place.year).table.to_dicts()
    ]
    return words.listing(told) or formats.NOTHING


def liabilities(seen: Product) -> None:
    """What was paid under each liability of the product, in all and per claim."""
    _paid_by(
        seen,
        "liability",
        "liabilities",
        lambda code: _liability(seen.place, code),
        t("operations.liabilities_note"),
    )


def diseases(seen: Product) -> None:
    """What was paid for each kind of disease, where settlements or claims state any."""
    _paid_by(
        seen,
        "disease",
        "diseases",
        lambda code: names.member("disease", code),
        t("operations.diseases_note"),
    )


def _paid_by(seen: Product, dimension: str, key: str, name: Callable[[str], str], note: str) -> None:
    answer, title = seen.ask("paid_per_claim", [dimension]), t(f"operations.{key}")
    if answer is None:
        _nothing(title, [seen.why_not("paid_per_claim")])
        return
    if set(answer.table[dimension]) == {"unknown"} and dimension == "disease":
        _nothing(title, [t("operations.diseases_unknown")])
        return
    drawn = _called(answer, dimension, name)
    columns = {
        "numerator": t("operations.paid_all"),
        "denominator": t("operations.claims"),
        "n": t("operations.persons"),
    }
    figure.show(
        key,
        title,
        charts.bars(asking.totals(drawn), dimension, flat=True),
        tables.with_parts(drawn, columns, money=("numerator",)),
        [answer],
        note,
    )


def _liability(place: choose.Place, code: str) -> str:
    """A liability as the plan of the year names it, else by its general name, else its code."""
    plan = asking.desk().plan(place.city, int(place.year))
    named = [
        rule.name
        for rule in (plan.tier if plan else ())
        if (rule.id, rule.liability) == ("inclusive", code) and rule.name
    ]
    if named:
        return say(named[0])
    return t(f"liability_of.{code}") if code in LIABILITIES else names.member("liability", code)


def days(seen: Product) -> None:
    """Median days to pay in every year."""
    answer = seen.ask("days_to_pay_median", ["plan_year"])
    if answer is None:
        _nothing(t("operations.days"), [seen.why_not("days_to_pay_median")])
        return
    figure.show(
        "days",
        t("operations.days"),
        charts.bars(answer, "plan_year"),
        tables.with_parts(answer, {"denominator": t("operations.claims"), "n": t("operations.persons")}),
        [answer],
        t("operations.days_note"),
    )


def structure(seen: Product, group: str) -> None:
    """Who joins, who is paid and what is paid, by a group of persons."""
    by = words.inline(names.dimension(group))
    joined_columns = {"numerator": t("operations.holders"), "denominator": t("operations.insured")}
    paid_columns = {"numerator": t("operations.persons"), "denominator": t("operations.holders")}
    money_columns = {"numerator": t("operations.paid_all"), "denominator": t("operations.policies")}
    wanted: tuple[tuple[str, str, dict[str, str], tuple[str, ...]], ...] = (
        ("joins", "participation_rate", joined_columns, ()),
        ("paid", "claim_incidence", paid_columns, ()),
        ("sums", "paid_per_person", money_columns, ("numerator",)),
    )
    for column, (key, measure, columns, money) in zip(st.columns(len(wanted)), wanted, strict=True):
        answer, title = seen.ask(measure, [group]), t(f"operations.{key}", by=by)
        with column:
            if answer is None:
                _nothing(title, [seen.why_not(measure)])
                continue
            drawn = asking.totals(answer) if money else answer
            figure.show(
                key,
                title,
                charts.bars(drawn, group, flat=True),
                tables.with_parts(answer, columns, money=money),
                [answer],
            )

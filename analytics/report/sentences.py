"""Sentences of a report, each made of numbers of the answers. A sentence of which a number is not shown is not said: its
numbers are named as what is missing, and why.
"""

from collections.abc import Callable, Sequence

from analytics.figures import formats, names, words
from analytics.figures.words import say, t
from analytics.measures import measures
from analytics.report.look import YARDSTICK, Look, Number, Unanswered

REDUCTIONS = ("burden_reduction_rate", "burden_reduction_mean", "burden_reduction_points")
_EVEN = 0.0005  # a change that reads as no change


class Unsaid(Exception):
    """A sentence lacks numbers."""

    def __init__(self, lacks: Sequence[Number]) -> None:
        super().__init__()
        self.lacks = [number for number in lacks if not number]


def sentences(look: Look, wanted: Sequence[str]) -> list[str]:
    """The sentences wanted; at the end, in one, the numbers that are not shown and why."""
    found, lacks = [], dict[str, str]()
    for name in wanted:
        try:
            found.append(SAYS[name](look))
        except Unsaid as unsaid:
            lacks |= {n.what: n.status for n in unsaid.lacks}
    for status in ("hidden", "undefined", "not_covered", "no_data"):
        if what := [words.inline(name) for name, why in lacks.items() if why == status]:
            found.append(t(f"report_lacks.{status}", what=words.listing(what)))
    return [sentence[:1].upper() + sentence[1:] for sentence in found if sentence]


def _need(*numbers: Number) -> None:
    if not all(numbers):
        raise Unsaid(numbers)


def _money(yuan: float) -> str:
    return formats.money(yuan, words.language(), words.money_unit())


def _people(n: float) -> str:
    return formats.count(round(n, 6))


def _apart(number: float, unit: str) -> str:
    """Size of a difference, without its sign."""
    return formats.difference(abs(number), unit, words.language(), words.money_unit()).removeprefix("+")


def _on_last_year(look: Look, measure: str) -> str:
    """Half a sentence: how a number moved on the year before; empty where the data cannot say."""
    change = look.change(measure)
    if not change:
        return ""
    moved, unit = change.part("difference"), change.unit
    even = _EVEN if unit in ("share", "points") else _EVEN * abs(change.value)
    if abs(moved) < even:
        return t("report.even")
    return t("report.up" if moved > 0 else "report.down", by=_apart(moved, unit))


def _aside(look: Look, measure: str) -> str:
    """The same behind a number; nothing where the data cannot say."""
    moved = _on_last_year(look, measure)
    return t("report.moved", moved=moved) if moved else ""


def _several(look: Look, measure: str, by: str, of: str = "here", **where: str) -> list[tuple[str, Number]]:
    """The numbers of a measure by a dimension, in its order, with their codes."""
    form = measures()[measure]
    filters = {name: [code] for name, code in where.items()}
    try:
        answer = look.ask(measure, (by, *where), of, filters)
    except Unanswered:
        return []
    rows = {str(r[by]): r for r in answer.table.to_dicts()}
    head = say(form.title) + (t("report.of_tier", tier=words.tier(where["tier"])) if "tier" in where else "")
    head += t("report.by", by=words.inline(names.dimension(by)))
    return [
        (code, Number(str(rows[code]["status"]), head, form.unit, rows[code]))
        for code in look.ordered(by, answer)
    ]


def _none(measure: str) -> Unsaid:
    form = measures()[measure]
    return Unsaid([Number("no_data", say(form.title), form.unit)])


def _shown(found: Sequence[tuple[str, Number]], measure: str) -> list[tuple[str, Number]]:
    """Those that are shown. Raises Unsaid where none is."""
    if not found:
        raise _none(measure)
    shown = [(code, number) for code, number in found if number]
    if not shown:
        raise Unsaid([number for _, number in found])
    return shown


def _most(
    found: Sequence[tuple[str, Number]], shown: Sequence[tuple[str, Number]], total: Number
) -> tuple[str, Number]:
    """The one of most money among all. Raises Unsaid where what is protected may be more."""
    code, most = max(shown, key=lambda pair: pair[1].part("numerator"))
    hidden = [number for _, number in found if number.status == "hidden"]
    rest = total.part("numerator") - sum(number.part("numerator") for _, number in found)
    if hidden and (not total or rest > most.part("numerator")):
        raise Unsaid(hidden)
    return code, most


def _among(found: Sequence[tuple[str, Number]], dimension: str) -> str:
    """Says so where some values are protected, before one of the others is called the largest."""
    return (
        ""
        if all(number for _, number in found)
        else t("report.among", of=words.inline(names.dimension(dimension)))
    )


# --- of the bureau


def own(look: Look) -> str:
    rate = look.number("effective_reimbursement_rate")
    found = [pair for pair in _several(look, "own_share_after", "tier") if pair[0] != "none"]
    if not found:
        raise _none("own_share_after")
    (first, before), (_, after) = found[0], found[-1]
    _need(rate, before, after)
    return t(
        "report.own",
        place=look.name,
        cost=_money(rate.part("denominator")),
        paid=_money(rate.part("numerator")),
        rate=rate.text,
        first=words.inline(words.tier(first)),
        before=formats.per_hundred(before.value),
        after=formats.per_hundred(after.value),
    )


def change(look: Look) -> str:
    if look.before is None:
        return t("report.no_year_before", year=look.year - 1)
    rate, mean = look.number("effective_reimbursement_rate"), look.number("own_burden_mean")
    moved = [_on_last_year(look, m) for m in ("effective_reimbursement_rate", "own_burden_mean")]
    _need(rate, mean)
    if not all(moved):
        raise Unsaid([look.change(m) or rate for m in ("effective_reimbursement_rate", "own_burden_mean")])
    burdened = look.number(YARDSTICK)
    che_moved = _on_last_year(look, YARDSTICK) if burdened else ""
    che = t("report.on_last_year_che", che=burdened.text, moved=che_moved) if che_moved else ""
    return t(
        "report.on_last_year", rate=rate.text, moved=moved[0], mean=mean.text, mean_moved=moved[1], che=che
    )


def largest(look: Look) -> str:
    found = _several(look, "tier_share", "tier")
    shown = _shown(found, "tier_share")
    top, most = _most(found, shown, look.number("effective_reimbursement_rate"))
    others = [f"{words.inline(words.tier(k))} {n.text}" for k, n in shown if k != top]
    return t(
        "report.largest",
        tier=words.inline(words.tier(top)),
        share=most.text,
        others=t("report.others", others=words.listing(others)) if others else "",
    )


def reach(look: Look) -> str:
    found = _several(look, "reach", "tier")
    shown = _shown(found, "reach")
    parts = [
        t(
            "report.reached",
            tier=words.inline(words.tier(k)),
            n=_people(n.part("numerator")),
            share=n.text,
        )
        for k, n in shown
    ]
    hidden = [words.inline(words.tier(k)) for k, n in found if n.status == "hidden"]
    few = t("report.few", tiers=words.listing(hidden)) if hidden else ""
    return t("report.reach", parts=words.listing(parts), few=few)


def reduction(look: Look) -> str:
    ratio, mean, points = (
        look.number(m, where={"tier": ["inclusive"]}, tier="inclusive") for m in REDUCTIONS
    )
    _need(ratio, mean, points)
    return t("report.reduction", ratio=formats.per_hundred(ratio.value), mean=mean.text, points=points.text)


def catastrophic(look: Look) -> str:
    found = dict(_several(look, YARDSTICK, "tier"))
    if not found:
        raise _none(YARDSTICK)
    before, after = found["none"], list(found.values())[-1]
    _need(before, after)
    return t(
        "report.catastrophic",
        resource=words.inline(names.setting("resource", look.yardstick["resource"])),
        threshold=names.setting("threshold", look.yardstick["threshold"]),
        before=before.text,
        after=after.text,
        n_before=_people(before.part("numerator")),
        n_after=_people(after.part("numerator")),
        fall=_apart(before.value - after.value, "share"),
    )


def left(look: Look) -> str:
    return _highest(look, "report.left", YARDSTICK, "person_group")


def left_age(look: Look) -> str:
    return _highest(look, "report.left_age", YARDSTICK, "age_band")


def _highest(look: Look, key: str, measure: str, dimension: str) -> str:
    """Where a number is highest and lowest."""
    found = _several(look, measure, dimension)
    shown = _shown(found, measure)
    if len(shown) < 2:
        raise Unsaid([number for _, number in found])
    (top, most), (low, least) = (sorted(shown, key=lambda pair: pair[1].value)[at] for at in (-1, 0))
    if most.text == least.text:
        return ""  # nobody who reads it sees a difference
    return t(
        key,
        among=_among(found, dimension),
        top=look.label(dimension, top),
        most=most.text,
        low=look.label(dimension, low),
        least=least.text,
    )


def dearest(look: Look) -> str:
    found = _several(look, "effective_reimbursement_rate", "cost_band")
    shown = _shown(found, "effective_reimbursement_rate")
    band, number = shown[-1]
    return t(
        "report.dearest",
        among=_among(found, "cost_band"),
        band=look.label("cost_band", band),
        n=_people(number.part("n")),
        rate=number.text,
    )


def peers(look: Look) -> str:
    measure = "effective_reimbursement_rate"
    if len(look.cities) < 2:
        return t("report.no_peers")
    found = _several(look, measure, "city", "peers")
    shown = _shown(found, measure)
    here = dict(found)[look.city]
    _need(here)
    best, most = max(shown, key=lambda pair: pair[1].value)
    place = 1 + sum(number.value > here.value for _, number in shown)
    key = "report.peers_first" if best == look.city else "report.peers"
    return t(
        key,
        n=len(shown),
        place=place,
        rate=here.text,
        best=words.city(best),
        most=most.text,
        apart=_apart(most.value - here.value, "share"),
    )


def quality(look: Look) -> str:
    books = look.desk.quality()
    rows = {
        name: sum(d[name] for d in books)
        for name in ("rows_in", "rows_loaded", "rows_set_aside", "rows_open")
    }
    return t("report.quality", n=len(books), **{name: formats.count(n) for name, n in rows.items()})


# --- of the insurer


def participation(look: Look) -> str:
    rate = look.number("participation_rate")
    _need(rate)
    return t(
        "report.participation",
        place=look.name,
        held=_people(rate.part("numerator")),
        insured=_people(rate.part("denominator")),
        rate=rate.text,
        moved=_aside(look, "participation_rate"),
    )


def renewal(look: Look) -> str:
    rate = look.number("renewal_rate")
    _need(rate)
    return t(
        "report.renewal",
        held=_people(rate.part("denominator")),
        renewed=_people(rate.part("numerator")),
        rate=rate.text,
        moved=_aside(look, "renewal_rate"),
    )


def loss(look: Look) -> str:
    ratio = look.number("loss_ratio")
    _need(ratio)
    basis = [
        t("report.basis", basis=look.label("premium_basis", code), yuan=_money(number.part("denominator")))
        for code, number in _several(look, "loss_ratio", "premium_basis")
        if number
    ]
    return t(
        "report.loss",
        premium=_money(ratio.part("denominator")),
        paid=_money(ratio.part("numerator")),
        ratio=ratio.text,
        moved=_aside(look, "loss_ratio"),
        basis=t("report.bases", bases=words.listing(basis)) if basis else "",
    )


def claims(look: Look) -> str:
    ids = ("claim_incidence", "claims_per_100", "paid_per_claim", "paid_per_person")
    incidence, per_100, per_claim, per_person = (look.number(m) for m in ids)
    _need(incidence, per_100, per_claim, per_person)
    return t(
        "report.claims",
        n=_people(incidence.part("numerator")),
        incidence=incidence.text,
        claims=_people(per_claim.part("denominator")),
        per_100=f"{per_100.value:.1f}",
        per_claim=per_claim.text,
        per_person=per_person.text,
    )


def liability(look: Look) -> str:
    return _most_paid(look, "liability")


def diseases(look: Look) -> str:
    return _most_paid(look, "disease")


def _most_paid(look: Look, dimension: str) -> str:
    found = _several(look, "paid_per_claim", dimension)
    shown = [pair for pair in _shown(found, "paid_per_claim") if pair[0] != "unknown"]
    if not shown:
        raise _none("paid_per_claim")
    top, most = _most(found, shown, look.number("paid_per_claim"))
    return t(
        f"report.{dimension}",
        most=words.inline(look.label(dimension, top)),
        paid=_money(most.part("numerator")),
        claims=_people(most.part("denominator")),
        per_claim=most.text,
    )


def large(look: Look) -> str:
    found = _several(look, "paid_per_beneficiary", "burden_band", tier="inclusive")
    shown = _shown(found, "paid_per_beneficiary")
    where = {"tier": ["inclusive"]}
    band, most = _most(found, shown, look.number("paid_per_beneficiary", where=where, tier="inclusive"))
    return t(
        "report.large",
        band=look.label("burden_band", band),
        n=_people(most.part("n")),
        paid=_money(most.part("numerator")),
        mean=most.text,
    )


def speed(look: Look) -> str:
    days, one_stop = look.number("days_to_pay_median"), look.number("one_stop_share")
    _need(days, one_stop)
    if not days.value:
        return t("report.speed_same_day", one_stop=one_stop.text)
    return t("report.speed", days=days.text, one_stop=one_stop.text)


def elsewhere(look: Look) -> str:
    share = look.number("cross_region_share")
    _need(share)
    return t("report.elsewhere", share=share.text)


def ages(look: Look) -> str:
    return _highest(look, "report.ages", "claim_incidence", "age_band")


SAYS: dict[str, Callable[[Look], str]] = {
    f.__name__: f
    for f in (
        own, change, largest, reach, reduction, catastrophic, left, left_age, dearest, peers, quality, participation, renewal, loss, claims, liability,
        large, speed, elsewhere, ages, diseases,
    )
}  # fmt: skip

"""One plan in words, line by line, and two plans beside each other: what differs, marked and told."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from analytics.figures import formats, names, words
from analytics.figures.words import say, t
from analytics.plans import Plan, TierRule
from analytics.plans.model import Source, Variant
from analytics.view import asking, beside, controls, rules

WHOLE = "plan"  # the lines that hold for the plan as a whole
_VALUES = ("deductible", "bands", "ceiling")
Key = tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """A liability, or the plan as a whole: its name, and its lines by field. Lines in `aside` are no difference."""

    key: Key
    name: str
    lines: Mapping[str, str]
    aside: Mapping[str, str]

    @property
    def tier(self) -> str:
        return self.key[0]


@dataclass(frozen=True)
class Pair:
    """The same item in two plans; None where a plan does not have it, or where nothing is compared. Values that differ only
    in being assumed do not differ."""

    item: Item
    first: Item | None
    second: Item | None


def choose() -> tuple[Plan, Plan | None]:
    """A plan and the one beside it: any city and year with a plan on file, by default the year before."""
    known = asking.plans()
    cities = list(dict.fromkeys(at for at, _ in known))
    here = [city for city, _ in asking.desk().places if city in cities]
    city = controls.one("city", cities, words.city, here[0] if here else None, own=True)
    years = _years(known, city)
    one = known[(city, int(controls.one("year", years, str, years[-1], own=True)))]
    picked = controls.one("other_city", ["auto", *cities], _other_city, "auto")
    beside_ = city if picked == "auto" else picked
    years = _years(known, beside_)
    year = controls.one("other_year", ["auto", *years], _other_year, "auto")
    other = known.get((beside_, int(year))) if year != "auto" else _nearest(known, beside_, one)
    return one, None if other is one else other


def _years(known: Mapping[tuple[str, int], Plan], city: str) -> list[str]:
    return [str(year) for at, year in sorted(known) if at == city]


def _other_city(code: str) -> str:
    return t("benefit.same_city") if code == "auto" else words.city(code)


def _other_year(code: str) -> str:
    return t("benefit.nearest") if code == "auto" else code


def _nearest(known: Mapping[tuple[str, int], Plan], city: str, one: Plan) -> Plan | None:
    """Of the same city the year before; of another the same year; failing that the newest before, or the oldest."""
    latest = one.plan_year - 1 if city == one.city else one.plan_year
    years = [int(year) for year in _years(known, city) if city != one.city or int(year) != one.plan_year]
    held = [year for year in years if year <= latest] or years[:1]
    return known[(city, held[-1])] if held else None


def name(plan: Plan) -> str:
    """City and year."""
    return t("place.name", city=words.city(plan.city), year=plan.plan_year)


def pairs(first: Plan, second: Plan | None) -> list[Pair]:
    """Everything either plan says, in the order in which the first one pays."""
    ours = {item.key: item for item in _items(first)}
    theirs = {item.key: item for item in _items(second)} if second else {}
    order = [WHOLE, *first.order, *(k for k in (second.order if second else ()) if k not in first.order)]
    keys = sorted({**ours, **theirs}, key=lambda key: order.index(key[0]))
    return [Pair(ours.get(key) or theirs[key], ours.get(key), theirs.get(key)) for key in keys]


def tiers(found: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Pairs by tier, the plan as a whole first."""
    groups: dict[str, list[Pair]] = {}
    for pair in found:
        groups.setdefault(pair.item.tier, []).append(pair)
    return groups


def title(tier: str) -> str:
    return t("benefit.whole") if tier == WHOLE else words.tier(tier)


def table(found: Sequence[Pair], first: Plan, second: Plan | None, only: bool) -> pl.DataFrame:
    """One line per field of every liability, the second plan beside the first, marked where it differs; `only` those."""
    lines = []
    for pair in found:
        told = ""
        for field in _fields(pair):
            begins = told != pair.item.name
            texts = [_text(item, field, begins) for item in (pair.first, pair.second)]
            apart = second is not None and _differs(pair, field)
            marked = apart and (begins or (pair.first is not None and pair.second is not None))
            if only and not apart:
                continue
            line = {
                t("benefit.liability"): f"**{pair.item.name}**" if pair.item.name != told else "",
                t("benefit.field"): t(f"benefit.{field}"),
                name(first): texts[0],
            }
            if second is not None:
                line[name(second)] = f"{t('benefit.mark')} {texts[1]}" if marked else texts[1]
            told = pair.item.name
            lines.append(line)
    return pl.DataFrame(lines)


def differences(found: Sequence[Pair], first: Plan, second: Plan) -> list[str]:
    """Every difference as a sentence."""
    told = []
    for pair in found:
        if pair.first is None or pair.second is None:
            holder = first if pair.second is None else second
            told.append(t("benefit.only_in", place=name(holder), what=_named(pair.item)))
            continue
        told += [
            t(
                "benefit.differs",
                what=_named(pair.item),
                field=words.inline(t(f"benefit.{field}")),
                first=_text(pair.first, field),
                second=_text(pair.second, field),
            )
            for field in _fields(pair)
            if _differs(pair, field)
        ]
    return [line.replace("  \n", t("explain.semicolon")) for line in told]


def changed(plan: Plan, other: Plan) -> pl.DataFrame:
    """What a changed plan says otherwise than the plan it changes: liability and item, old, new."""
    heads = (t("benefit.liability"), t("benefit.old"), t("benefit.new"))
    lines = []
    for pair in pairs(plan, other):
        if pair.first is None or pair.second is None:
            held = [t("benefit.has") if item else t("benefit.absent") for item in (pair.first, pair.second)]
            lines.append(dict(zip(heads, (_named(pair.item), *held), strict=True)))
            continue
        for field in (f for f in _fields(pair) if _differs(pair, f)):
            what = f"{_named(pair.item)} · **{t(f'benefit.{field}')}**"
            values = _apart(_text(pair.first, field), _text(pair.second, field))
            lines.append(dict(zip(heads, (what, *values), strict=True)))
    return pl.DataFrame(lines)


def _apart(old: str, new: str) -> tuple[str, str]:
    """Of two texts of several lines those that differ; a change is always assumed, so that is not said."""
    ours, theirs = (text.replace(t("benefit.assumed"), "").split("  \n") for text in (old, new))
    gone, come = ([x for x in a if x not in b] for a, b in ((ours, theirs), (theirs, ours)))
    return _rows(gone) or formats.NOTHING, _rows(come) or formats.NOTHING


def left_out(plan: Plan) -> list[str]:
    """What the plan file does not model, and why."""
    return [
        t("benefit.left_out_line", clause=_plain(say(n.clause)), why=_plain(say(n.why)))
        for n in plan.not_modelled
    ]


def _named(item: Item) -> str:
    return item.name if item.tier == WHOLE else f"{words.tier(item.tier)} · {item.name}"


def _fields(pair: Pair) -> list[str]:
    items = [item for item in (pair.first, pair.second) if item]
    return list(
        dict.fromkeys(f for group in ("lines", "aside") for item in items for f in getattr(item, group))
    )


def _text(item: Item | None, field: str, begins: bool = True) -> str:
    """A line of an item; an item a plan does not have says so once, where it `begins`."""
    if item is None:
        return t("benefit.absent") if begins else ""
    return item.lines.get(field) or item.aside.get(field) or formats.NOTHING


def _differs(pair: Pair, field: str) -> bool:
    if pair.first is None or pair.second is None:
        return True
    ours, theirs = (
        item.lines.get(field, "").replace(t("benefit.assumed"), "") for item in (pair.first, pair.second)
    )
    return ours != theirs


# --- a plan in words


def _items(plan: Plan) -> Iterator[Item]:
    yield Item((WHOLE,), t("benefit.whole"), _whole(plan), {})
    for rule in plan.tier:
        key = (rule.id, rule.liability, rule.insurance_type, *rule.product)
        yield Item(key, liability(rule), _lines(plan, rule), _aside(plan, rule))


def _whole(plan: Plan) -> dict[str, str]:
    """Order of payment, period, products, premiums, who may join."""
    found = {"order": " → ".join(words.tier(k) for k in plan.order)}
    if plan.period:
        found["period"] = t("benefit.from_to", start=plan.period.start, end=plan.period.end)
    if plan.product:
        found["products"] = _rows(say(p.name) for p in plan.product)
    if plan.premium:
        found["premium"] = _rows(
            t("benefit.premium_line", who=_premium_who(plan, p.product, say(p.who)), yuan=rules.yuan(p.yuan))
            + (_assumed(plan.sources[p.source]) if p.yuan != "missing" else "")
            for p in plan.premium
        )
    if plan.eligibility:
        found["eligible"] = _rows(_premium_who(plan, e.product, say(e.who)) for e in plan.eligibility)
    return found


def _premium_who(plan: Plan, product: str | None, who: str) -> str:
    if product is None or len(plan.product) < 2:
        return _plain(who)
    return _plain(f"{_product(plan, product)}{t('explain.colon')}{who}")


def _product(plan: Plan, code: str) -> str:
    return next((say(p.name) for p in plan.product if p.code == code), code)


def liability(rule: TierRule) -> str:
    """Name of a liability; whom it is for where the name leaves that open."""
    if rule.name:
        return _plain(say(rule.name))
    who = t(f"who.{rule.insurance_type}")
    return who if rule.liability == "main" else f"{_plain(rule.liability)} ({who})"


def _lines(plan: Plan, rule: TierRule) -> dict[str, str]:
    def sourced(field: str, text: str) -> str:
        return text + _assumed(plan.source(rule, field))

    found = {"who": _who(plan, rule), "counts": sourced("base", _counts(rule))}
    deductible = rules.yuan(rule.deductible) + (t("rule.per_event") if rule.per == "event" else "")
    if rule.shared_deductible:
        deductible += t("benefit.shared", others=_sharing(plan, rule, "shared_deductible"))
    ceiling = rules.ceiling(rule.ceiling)
    if rule.shared_ceiling:
        ceiling += t("benefit.shared", others=_sharing(plan, rule, "shared_ceiling"))
    found["deductible"] = sourced("deductible", deductible)
    found["bands"] = sourced("bands", rules.bands(rule.bands))
    found["ceiling"] = sourced("ceiling", ceiling)
    if rule.loyalty:
        found["loyalty"] = sourced("loyalty", loyalty(rule))
    if rule.waiting_days:
        found["waiting"] = sourced("waiting_days", t("benefit.days", n=rule.waiting_days))
    if rule.variants:
        found["variants"] = _rows(
            variant(v) + _assumed(plan.sources[v.source] if v.source else plan.source(rule, "variants"))
            for v in rule.variants
        )
    return found


def loyalty(rule: TierRule) -> str:
    """By how much years of cover lift the ceiling; empty where they do not."""
    if not rule.loyalty:
        return ""
    most = rule.loyalty.at_most
    lifted = t(
        "benefit.loyalty_line" if rule.loyalty.zero_claim else "benefit.loyalty_years",
        years=rule.loyalty.over_years,
        year=rules.yuan(rule.loyalty.per_year),
        zero=rules.yuan(rule.loyalty.zero_claim),
    )
    return lifted + (t("benefit.at_most", most=rules.yuan(most)) if most != "none" else "")


def _aside(plan: Plan, rule: TierRule) -> dict[str, str]:
    """Sources with their class, and the remark of the row."""
    ids = [rule.source, *rule.source_of.values(), *(v.source for v in rule.variants if v.source)]
    found = {"source": _rows(_source(plan.sources[i]) for i in dict.fromkeys(ids))}
    if rule.note:
        found["note"] = _plain(words.either(rule.note))
    return found


def _source(source: Source) -> str:
    address = f" {source.url}" if source.url else ""
    return beside.source(source.title + address, source.source_class)


def _who(plan: Plan, rule: TierRule) -> str:
    parts = [t(f"who.{rule.insurance_type}")]
    if rule.groups:
        parts.append(t("benefit.only", who=groups(rule.groups)))
    if rule.product:
        parts.append(t("benefit.holders", products=words.listing([_product(plan, c) for c in rule.product])))
    elif rule.voluntary:
        parts.append(t("benefit.voluntary"))
    if rule.not_for:
        parts.append(t("benefit.not_for", who=groups(rule.not_for)))
    return t("explain.semicolon").join(parts)


def groups(codes: Iterable[str]) -> str:
    """Person groups."""
    known = names.members("person_group")
    return words.listing(
        [words.inline(names.member("person_group", c) if c in known else t(f"who.{c}")) for c in codes]
    )


def _counts(rule: TierRule) -> str:
    """What cost counts: which part, of which care, where, over what time."""
    parts = [t(f"base.{rule.base}")]
    if rule.advance_share:
        parts.append(advance(rule))
    parts.append(care(rule.scope))
    if rule.cross_region:
        parts.append(_regions(rule.cross_region))
    parts.append(t(f"per.{rule.per}"))
    return t("explain.semicolon").join(parts)


def advance(rule: TierRule) -> str:
    """What of the advance self-pay counts too."""
    return t("benefit.advance", share=_percent(rule.advance_share))


def care(codes: Iterable[str]) -> str:
    """Types of care."""
    return words.listing([words.inline(names.member("care_type", c)) for c in codes])


def _regions(codes: Iterable[str]) -> str:
    return words.listing([words.inline(names.member("cross_region", c)) for c in codes])


def _sharing(plan: Plan, rule: TierRule, field: str) -> str:
    """The other liabilities of the tier that share a deductible or ceiling with a row."""
    same = getattr(rule, field)
    others = [liability(r) for r in plan.rules(rule.id) if r is not rule and getattr(r, field) == same]
    return words.listing(list(dict.fromkeys(others)))


def variant(one: Variant) -> str:
    """For whom or where, and what holds there instead."""
    when = [groups(one.groups)] if one.groups else []
    if one.hospital_level:
        when.append(
            words.listing([words.inline(names.member("hospital_level", c)) for c in one.hospital_level])
        )
    if one.cross_region:
        when.append(_regions(one.cross_region))
    if one.years_at_least is not None:
        when.append(t("benefit.years_at_least", n=one.years_at_least))
    if one.years_at_most is not None:
        first = one.years_at_most == 1
        when.append(t("benefit.first_year") if first else t("benefit.years_at_most", n=one.years_at_most))
    if one.capacity:
        when.append(t("benefit.capacity", fifths=words.listing(list(one.capacity))))
    said = []
    for field in _VALUES:
        value = getattr(one, field)
        if value is None:
            continue
        text = (
            rules.bands(value)
            if field == "bands"
            else rules.ceiling(value)
            if field == "ceiling"
            else rules.yuan(value)
        )
        said.append(t("benefit.becomes", field=words.inline(t(f"benefit.{field}")), value=text))
    if one.rate_plus is not None:
        said.append(t("benefit.shift", points=f"{float(one.rate_plus * 100):+g}"))
    return " · ".join(when) + t("explain.colon") + words.listing(said)


def _assumed(source: Source) -> str:
    return t("benefit.assumed") if source.source_class == "assumed" else ""


def _percent(share: Decimal) -> str:
    return f"{float(share) * 100:g}%"


def _rows(parts: Iterable[str]) -> str:
    return "  \n".join(parts)


def _plain(text: str) -> str:
    return words.plain(text)

"""A person's year paid by a plan file, written out in Decimal yuan: shares no code with the project.

Reads the TOML itself and walks the claims one by one. A claim is a dict with seq, insurance_type, person_group,
is_pre_existing, is_retired, product, hospital_level, care_type, cross_region and the cost parts in fen
(in_policy_fen, advance_fen, out_of_catalogue_fen, special_drug_fen); it may have claim_date, cover_start,
product_years, insured_years, zero_claim_years and capacity. Every amount is rounded half up to the fen where
a rule yields one: the payment earned so far, and the share of advance self-pay that counts.
"""

import tomllib
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

CENT = Decimal("0.01")
PARTS = ("in_policy", "advance", "out_of_catalogue", "special_drug")
GROUP_OF_PERSON = ("low_income", "destitute", "near_low_income", "monitored")


def read(path: Path) -> dict:
    return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)


def to_fen(yuan: Decimal) -> Decimal:
    return Decimal(yuan).quantize(CENT, rounding=ROUND_HALF_UP)


def groups_of(claim: dict) -> set:
    found = {claim["person_group"]} & set(GROUP_OF_PERSON)
    if claim["is_pre_existing"]:
        found.add("pre_existing")
    if claim["is_retired"]:
        found.add("retired")
    if claim["insurance_type"] == "employee":
        found.add("employee")
    return found


def years_of(row: dict, claim: dict) -> int:
    """Continuous years of cover, this one included; who is not known to have more is in the first."""
    years = claim.get("product_years") if row.get("voluntary") else claim.get("insured_years")
    return 1 if years is None else years


def in_time(row: dict, claim: dict, period: dict | None) -> bool:
    """Whether bought cover has begun and not ended on the day of the claim; a claim without a day is in time."""
    day: date | None = claim.get("claim_date")
    if day is None or not row.get("voluntary"):
        return True
    if period and (day < period["start"] or period["end"] < day):
        return False
    if "waiting_days" in row and claim.get("cover_start") is not None:
        last_day_of_waiting = claim["cover_start"] + timedelta(days=row["waiting_days"] - 1)
        return day > last_day_of_waiting
    return True


def covered(row: dict, claim: dict, period: dict | None) -> bool:
    """Whether the row looks at the claim at all."""
    if not in_time(row, claim, period) or set(row.get("not_for", [])) & groups_of(claim):
        return False
    if row.get("product") and claim["product"] not in row["product"]:
        return False
    if row["insurance_type"] not in ("all", claim["insurance_type"]):
        return False
    if claim["care_type"] not in row["scope"]:
        return False
    if row.get("cross_region") and claim["cross_region"] not in row["cross_region"]:
        return False
    if row.get("voluntary") and claim["product"] is None:
        return False
    return not row.get("for") or bool(set(row["for"]) & groups_of(claim))


def terms(row: dict, claim: dict) -> dict:
    """Deductible, bands as [from, rate], ceiling for this claim, all variants applied."""
    deductible, bands, ceiling, plus = row["deductible"], row["bands"], row["ceiling"], Decimal(0)
    for variant in row.get("variants", []):
        if variant.get("for") and not set(variant["for"]) & groups_of(claim):
            continue
        if variant.get("hospital_level") and claim["hospital_level"] not in variant["hospital_level"]:
            continue
        if variant.get("cross_region") and claim["cross_region"] not in variant["cross_region"]:
            continue
        if not variant.get("years_at_least", 0) <= years_of(row, claim) <= variant.get("years_at_most", 999):
            continue
        if variant.get("capacity") and claim.get("capacity") not in variant["capacity"]:
            continue
        if "deductible" in variant:
            deductible = variant["deductible"]
        if "bands" in variant:
            bands, plus = variant["bands"], Decimal(0)
        if "rate_plus" in variant:
            plus = variant["rate_plus"]
        if "ceiling" in variant:
            ceiling = variant["ceiling"]
    return {
        "deductible": deductible,
        "bands": [(b["over"], b["rate"] + plus) for b in bands],
        "ceiling": ceiling,
        "grown": grown(row, claim),
    }


def grown(row: dict, claim: dict) -> Decimal:
    """What loyalty adds to a ceiling on the payment, yuan."""
    if "loyalty" not in row:
        return Decimal(0)
    loyalty = row["loyalty"]
    beyond = max(0, years_of(row, claim) - loyalty["over_years"])
    more = beyond * loyalty["per_year"] + (claim.get("zero_claim_years") or 0) * loyalty.get("zero_claim", 0)
    return Decimal(more if loyalty["at_most"] == "none" else min(more, loyalty["at_most"]))


def earned(rule: dict, base: Decimal) -> Decimal:
    """What an accumulated base has earned, before a ceiling on the payment."""
    if rule["ceiling"] != "none" and rule["ceiling"]["on"] == "eligible":
        base = min(base, Decimal(rule["ceiling"]["amount"]))
    total = Decimal(0)
    for position, (over, rate) in enumerate(rule["bands"]):
        last = position + 1 == len(rule["bands"])
        top = base if last else min(base, Decimal(rule["bands"][position + 1][0]))
        bottom = max(Decimal(over), Decimal(rule["deductible"]))
        if top > bottom:
            total += (top - bottom) * rate
    return to_fen(total)


def limit(rule: dict, spent: Decimal) -> Decimal:
    """What may be paid in the year, once liabilities under the same ceiling have `spent` of it."""
    if rule["ceiling"] == "none" or rule["ceiling"]["on"] != "payout":
        return Decimal("Infinity")
    return max(Decimal(0), rule["ceiling"]["amount"] + rule["grown"] - spent)


def gross_base(row: dict, claim: dict, left: dict) -> tuple:
    """(cost that counts fully, advance self-pay that counts by its share)."""
    kind = row["base"]
    if kind == "in_policy_cost":
        return Decimal(claim["in_policy_fen"]) / 100, Decimal(0)
    if kind == "in_policy_own":
        return left["in_policy"], left["advance"] if row.get("advance_share") else Decimal(0)
    if kind == "total_own":
        return sum(left.values()), Decimal(0)
    return left[kind], Decimal(0)


def counted(row: dict, full: Decimal, advance: Decimal) -> Decimal:
    return full + to_fen(advance * Decimal(row.get("advance_share", 0)))


def year(plan: dict, claims: list) -> list:
    """Per claim, in the given order: {"paid": [yuan per row of the plan], "left": {part: yuan}}."""
    order = sorted(range(len(claims)), key=lambda i: claims[i]["seq"])
    left = [{p: Decimal(c[f"{p}_fen"]) / 100 for p in PARTS} for c in claims]
    paid = [[] for _ in claims]
    spent_by = {}  # (tier, name of the shared ceiling) -> paid in the year
    used_by = {}  # (tier, name of the shared deductible) -> base used up: of the year, or per settlement
    rows = plan.get("tier", [])
    for number, row in enumerate(rows):
        mine = [i for i in order if covered(row, claims[i], plan.get("period"))]
        bases = {i: gross_base(row, claims[i], left[i]) for i in mine}
        sharing = (row["id"], row["shared_deductible"]) if "shared_deductible" in row else None
        used = (
            used_by.setdefault(sharing, [Decimal(0)] * len(claims)) if sharing else [Decimal(0)] * len(claims)
        )
        pool = (row["id"], row["shared_ceiling"]) if "shared_ceiling" in row else None
        spent = spent_by.get(pool, Decimal(0))
        pays = per_year if row["per"] == "year" else per_event
        payment = pays(row, claims, mine, bases, used, left, spent)
        if pool:
            spent_by[pool] = spent + sum(payment.values(), Decimal(0))
        if sharing:
            if row["per"] == "year":
                total = counted(
                    row,
                    sum((bases[i][0] for i in mine), Decimal(0)),
                    sum((bases[i][1] for i in mine), Decimal(0)),
                )
                used_by[sharing] = [u + total for u in used]
            else:
                used_by[sharing] = [
                    u + (counted(row, *bases[i]) if i in bases else 0) for i, u in enumerate(used)
                ]
        pay_off(row, rows[number + 1 :], mine, payment, left)
        for i in range(len(claims)):
            paid[i].append(payment.get(i, Decimal(0)))
    return [{"paid": paid[i], "left": left[i]} for i in range(len(claims))]


def per_year(
    row: dict, claims: list, mine: list, bases: dict, used: list, left: list, spent: Decimal
) -> dict:
    payment, full, advance = {}, Decimal(0), Decimal(0)
    for i in mine:
        rule = terms(row, claims[i])
        before = used[i] + counted(row, full, advance)
        full, advance = full + bases[i][0], advance + bases[i][1]
        now = used[i] + counted(row, full, advance)
        so_far = min(limit(rule, spent), earned(rule, before) - earned(rule, used[i]))
        payment[i] = min(limit(rule, spent), earned(rule, now) - earned(rule, used[i])) - so_far
    if row["base"] == "in_policy_cost":
        # the year pays no more than what is still owed in the year; what a claim cannot hold goes to the first
        # claims of the year that can
        due = sum(payment.values(), Decimal(0))
        owed = sum((left[i]["in_policy"] for i in mine), Decimal(0))
        payment = {i: min(payment[i], left[i]["in_policy"]) for i in mine}
        over = min(due, owed) - sum(payment.values(), Decimal(0))
        for i in mine:
            more = min(over, left[i]["in_policy"] - payment[i])
            payment[i], over = payment[i] + more, over - more
    return payment


def per_event(
    row: dict, claims: list, mine: list, bases: dict, used: list, left: list, spent: Decimal
) -> dict:
    payment, in_year = {}, Decimal(0)
    for i in mine:
        rule = terms(row, claims[i])
        due = earned(rule, used[i] + counted(row, *bases[i])) - earned(rule, used[i])
        if row["base"] == "in_policy_cost":
            due = min(due, left[i]["in_policy"])
        payment[i] = min(limit(rule, spent), in_year + due) - min(limit(rule, spent), in_year)
        in_year += due
    return payment


def pay_off(row: dict, later: list, mine: list, payment: dict, left: list) -> None:
    """Take the payments off what is owed."""
    kinds = {"total_own": PARTS, "in_policy_own": ("in_policy", "advance"), "in_policy_cost": ("in_policy",)}
    parts = kinds.get(row["base"], (row["base"],))
    mixed = row["base"] == "total_own" or bool(row.get("advance_share"))
    relevant = [
        r
        for r in later
        if "all" in (r["insurance_type"], row["insurance_type"])
        or r["insurance_type"] == row["insurance_type"]
    ]
    by_year = mixed and row["per"] == "year" and any(r["base"] != "total_own" for r in relevant)
    if not by_year:
        for i in mine:
            rest = payment[i]
            for part in parts:
                off = min(rest, left[i][part])
                left[i][part], rest = left[i][part] - off, rest - off
            assert rest == 0, "more paid than owed"
        return
    # over the year: the parts are paid off in order. A claim keeps what its own payment left of a part as far as the
    # year has that much left, first claims first; what it may not keep it owes of the next part.
    money = sum(payment.values(), Decimal(0))
    carried = dict.fromkeys(mine, Decimal(0))
    own = dict(payment)
    for part in parts:
        total = sum((left[i][part] for i in mine), Decimal(0))
        year_rest, money = max(total - money, Decimal(0)), max(money - total, Decimal(0))
        for i in mine:
            off = min(own[i], left[i][part])
            own[i] -= off
            wants = left[i][part] - off + carried[i]
            keeps = wants if part == parts[-1] else min(wants, year_rest)
            left[i][part], carried[i], year_rest = keeps, wants - keeps, year_rest - keeps
        assert year_rest == 0, "the claims do not add up to the year"

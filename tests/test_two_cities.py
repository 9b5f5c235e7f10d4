"""A person, or a household, in two cities in one year is counted once where cities are taken together, and once in each of them.

Expected: counted here in plain Python from the rows of the fact files, city by city, and from the delivery.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from canonical import WEIHAI, ZHUHAI, built, claim, deliver, enrol, settle

from analytics.desk.answer import Desk
from analytics.desk.quality import store_wide
from analytics.desk.room import Room
from analytics.facts import jobs
from analytics.store import Folder, Store

ZAOZHUANG = "370400"
CITIES = (WEIHAI, ZHUHAI, ZAOZHUANG)
YEAR: dict[str, Sequence[str | int]] = {"plan_year": [2023]}
TOGETHER = (CITIES, CITIES[:2], CITIES[1:], CITIES[:1])
Rows = list[dict[str, Any]]
World = tuple[Desk, Folder]


def delivered() -> dict[str, Rows]:
    """150 persons: a third of them in two or three cities, families in one, two or none on record, with and without a size."""
    draw = random.Random(18)
    tables: dict[str, Rows] = defaultdict(list)
    for person in range(1, 151):
        for city in draw.sample(CITIES, draw.choice((1, 1, 2, 3) if person % 2 else (1,))):
            product = draw.choice((None, "wnb"))
            group = draw.choice(("general", "low_income"))
            tables["enrolment"].append(enrol(person, city=city, product_code=product, person_group=group))
            for i in range(draw.choice((0, 1, 1, 2))):
                fee, kind = (
                    draw.choice((100_000, 1_000_000, 9_000_000)),
                    draw.choice(("inpatient", "outpatient")),
                )
                basic = fee * draw.choice((0, 1, 3)) // 4
                one = settle(f"{city}-{person}-{i}", fee, basic, person=person, city=city, care_type=kind)
                tables["settlement"].append({**one, "birth_year": 1940 + person % 70})
                if draw.random() < 0.3:
                    paid = claim(f"{city}-{person}-{i}", fee // 20, person=person, city=city)
                    tables["commercial_claim"].append(paid)
        if person % 5:
            tables["household_member"].append({"person_key": person, "household_key": 1000 + person % 60})
    for household in range(1000, 1060, 2):
        income = draw.choice((0, 4_000_000, 20_000_000, 300_000_000))
        size = draw.choice((None, 4))
        row = {"household_key": household, "year": 2023, "income_annual_fen": income, "size": size}
        tables["household_economy"].append(row)
    return tables


TABLES = delivered()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    path = tmp_path_factory.mktemp("two")
    deliver(path, **TABLES)
    snapshot = built(path)
    return Desk.open(path), snapshot


def read(snapshot: Folder, table: str, cities: Sequence[str]) -> Rows:
    """Rows of 2023 of some cities."""
    frames = (pl.read_parquet(p.path) for p in snapshot.partitions(table) if p.city in cities)
    return [r for f in frames for r in f.iter_rows(named=True) if r["plan_year"] == 2023]


def grouped(rows: Rows, key: Callable[[dict[str, Any]], Any]) -> dict[Any, Rows]:
    found: dict[Any, Rows] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def main_city(rows: Rows) -> dict[str, Any]:
    """The row that decides what cannot be added up."""
    return max(rows, key=lambda r: (r["cost_fen"], r["city"]))


def total(rows: Rows, name: str) -> int:
    return sum(r[name] or 0 for r in rows)


def one(desk: Desk, measure: str, cities: Sequence[str], **parameters: str) -> dict[str, Any]:
    (row,) = desk.ask(measure, [], {**YEAR, "city": cities}, parameters, protect=False).table.to_dicts()
    return row


@pytest.mark.parametrize("cities", TOGETHER)
def test_a_person_is_counted_once_of_all_cities_and_once_in_each(
    world: World, cities: tuple[str, ...]
) -> None:
    desk, snapshot = world
    rows = read(snapshot, "person_year", cities)
    persons = grouped(rows, lambda r: r["person_key"])
    several = sum(len(of) > 1 for of in persons.values())
    assert several > 0 or len(cities) == 1
    patients = [of for of in persons.values() if total(of, "cost_fen") > 0]
    found = one(desk, "own_burden_mean", cities)
    assert (found["n"], found["denominator"]) == (len(patients), len(patients))
    assert found["numerator"] * 100 == total(rows, "own_net_fen")
    enrolled = [
        of for of in persons.values() if any(r["is_enrolled"] and r["is_holder"] is not None for r in of)
    ]
    holders = sum(any(r["is_holder"] for r in of) for of in enrolled)
    found = one(desk, "participation_rate", cities)
    assert (found["numerator"], found["n"]) == (holders, len(enrolled))
    answer = desk.ask("own_burden_mean", ["city"], {**YEAR, "city": cities}, protect=False)
    each = grouped([r for r in rows if r["cost_fen"] > 0], lambda r: r["city"])
    assert dict(answer.table.select("city", "n").rows()) == {city: len(of) for city, of in each.items()}
    told = {"in_several_cities": several, "counted": "in_each_city"} if several else {}
    assert {k: answer.provenance[k] for k in told} == told and ("counted" in answer.provenance) == bool(told)


def test_sums_of_money_are_those_of_the_cities(world: World) -> None:
    desk, _ = world
    for measure, by in (("tier_share", ["tier"]), ("own_share_before", ["tier"]), ("cost_per_admission", [])):
        once = desk.ask(measure, by, YEAR, protect=False)
        each = desk.ask(measure, ["city", *by], YEAR, protect=False).table
        sums = each.group_by(by or pl.lit(0)).agg(pl.col("numerator", "denominator").sum())
        assert once.provenance["counted"] == "once"
        key = by or ["denominator"]
        assert (
            once.table.select(*by, "numerator", "denominator").sort(key).rows()
            == sums.select(*by, "numerator", "denominator").sort(key).rows()
        )


def test_what_a_tier_leaves_of_a_mover_holds_the_city_without_that_tier(tmp_path: Path) -> None:
    """Forty persons pay half of 1,000 yuan in one city and half of 100,000 in another; only the first has a commercial product, which pays
    one of them 10 yuan. Of 4,040,000 yuan 2,020,000 are left before it and 2,019,990 after; nobody is spared.
    """
    rows = [settle(f"w{i}", 100_000, 50_000, person=i, city=WEIHAI) for i in range(1, 41)]
    rows += [settle(f"z{i}", 10_000_000, 5_000_000, person=i, city=ZAOZHUANG) for i in range(1, 41)]
    deliver(tmp_path, settlement=rows, commercial_claim=[claim("k", 1_000, person=1, city=WEIHAI)])
    built(tmp_path)
    desk = Desk.open(tmp_path)
    for grain, sums in (
        ("own_share_after", (201_999_000, 404_000_000)),
        ("own_share_before", (202_000_000, 404_000_000)),
        ("catastrophic_headcount", (40, 40)),
    ):
        settings = {"resource": "policy_line", "threshold": "0.40"} if sums[1] == 40 else {}
        found = desk.ask(grain, ["tier"], YEAR, settings, protect=False).table
        (row,) = found.filter(pl.col("tier") == "inclusive").to_dicts()
        unit = 100 if sums[1] > 40 else 1  # sums of money are told in yuan
        assert (row["numerator"], row["denominator"]) == tuple(v / unit for v in sums)


def test_a_group_is_that_of_the_city_with_the_highest_cost(world: World) -> None:
    desk, snapshot = world
    persons = grouped(read(snapshot, "person_year", CITIES), lambda r: r["person_key"])
    moved = [of for of in persons.values() if len({r["person_group"] for r in of}) > 1]
    assert moved
    wanted = Counter(main_city(of)["person_group"] for of in persons.values())
    answer = desk.ask("admission_rate", ["person_group"], YEAR, protect=False)
    assert dict(answer.table.select("person_group", "n").rows()) == wanted
    answer = desk.ask("paid_per_holder", ["product"], YEAR, protect=False)
    held = [of for of in persons.values() if any(r["product"] != "none" for r in of)]
    assert dict(answer.table.select("product", "n").rows()) == {"wnb": len(held)}


def homes(snapshot: Folder, cities: Sequence[str]) -> list[tuple[Rows, int, int | None, str]]:
    """Rows of the persons of every household, members, income and the city it counts in, by what was delivered."""
    found = []
    sizes = {r["household_key"]: r for r in TABLES["household_economy"]}
    persons = read(snapshot, "person_year", cities)
    for key, rows in grouped(
        persons, lambda r: (r["household_key"] is None, r["household_key"] or r["person_key"])
    ).items():
        economy = {} if key[0] else sizes.get(key[1], {})
        members = economy.get("size") or len({r["person_key"] for r in rows})
        places = [
            {"city": city, "cost_fen": total(of, "cost_fen")}
            for city, of in grouped(rows, lambda r: r["city"]).items()
        ]
        found.append((rows, members, economy.get("income_annual_fen"), main_city(places)["city"]))
    return found


@pytest.mark.parametrize("cities", TOGETHER)
def test_a_household_is_counted_once_with_all_it_paid_and_its_income_once(
    world: World, cities: tuple[str, ...]
) -> None:
    desk, snapshot = world
    known = [home for home in homes(snapshot, cities) if home[2] is not None]
    hit = [total(rows, "own_net_fen") * 10 > income if income else total(rows, "own_net_fen") > 0 for rows, _, income, _ in known]  # fmt: skip
    assert any(hit) and not all(hit)
    for weight in ("household", "person"):
        w = [members if weight == "person" else 1 for _, members, _, _ in known]
        found = one(desk, "catastrophic_headcount", cities, resource="income", weight=weight)
        assert (found["n"], found["denominator"]) == (len(known), sum(w))
        assert found["numerator"] == sum(a for a, b in zip(w, hit, strict=True) if b)
    (sure,) = desk.ask(
        "catastrophic_headcount", [], {**YEAR, "city": cities}, {"resource": "income"}, se="superpopulation", protect=False
    ).table.to_dicts()  # fmt: skip
    n, p = len(known), sum(hit) / len(known)
    clusters = len(homes(snapshot, cities))
    assert sure["se"] == pytest.approx((p * (1 - p) / n * clusters / (clusters - 1)) ** 0.5, rel=1e-9)


def test_a_poverty_line_stays_that_of_each_city(world: World) -> None:
    """The median of a city's own households, whoever stands in other cities too."""
    desk, snapshot = world
    lines = {}
    for city in CITIES:
        cells = sorted(
            (Fraction(income - total(rows, "own_net_fen"), members), members)
            for rows, members, income, _ in homes(snapshot, [city])
            if income is not None
        )
        half, below = sum(w for _, w in cells), accumulate(w for _, w in cells)
        median = next(x for (x, _), seen in zip(cells, below, strict=True) if seen * 2 >= half)
        lines[city] = int(max(0, median) * 6 / 10 + Fraction(1, 2))
    assert len(set(lines.values())) > 1
    poor = [
        income - total(rows, "own_net_fen") < lines[city] * members
        for rows, members, income, city in homes(snapshot, CITIES)
        if income is not None
    ]
    asked = {
        "poverty_line": "societal",
        "line_floor": "0",
        "line_base": "0",
        "line_share": "0.6",
        "line_of": "net",
    }
    found = one(desk, "poverty_headcount", CITIES, weight="household", **asked)
    assert (found["numerator"], found["n"]) == (sum(poor), len(poor))


def test_persons_behind_policies_are_counted_once_policies_are_not(world: World) -> None:
    desk, snapshot = world
    held = [r for r in read(snapshot, "policy_year", CITIES) if r["is_held"]]
    found = one(desk, "claim_incidence", CITIES)
    assert (found["n"], found["denominator"]) == (len({r["person_key"] for r in held}), len(held))
    assert found["n"] < found["denominator"]


def test_few_in_several_cities_are_protected_and_none_cost_nothing(tmp_path: Path) -> None:
    rows = [
        settle(f"{city}{i}", 1000, person=i, city=city)
        for i in range(1, 31)
        for city in CITIES[: 1 + (i < 4)]
    ]
    deliver(tmp_path, settlement=rows)
    first = built(tmp_path)
    (file,) = [f for f in first.manifest["files"] if f["table"] == "shared"]
    desk = Desk.open(tmp_path)
    where = {**YEAR, "city": CITIES[:2]}
    assert desk.ask("own_burden_mean", [], where).provenance["in_several_cities"] == "n < 11"
    assert desk.ask("own_burden_mean", [], where, protect=False).provenance["in_several_cities"] == 3
    assert desk.ask("own_burden_mean", [], where, protect=False).table["n"].item() == 30
    deliver(tmp_path, settlement=[settle("later", 1000, person=90, year=2024)])
    again = built(tmp_path)
    assert file in again.manifest["files"] and not again.damage()  # taken over: nothing came for that year
    alone = Desk.open(tmp_path).ask("own_burden_mean", [], {"plan_year": [2024]})
    assert "shared" not in alone.sql and "counted" not in alone.provenance


def test_who_is_in_several_cities_is_found_range_by_range_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year with more persons than fit at once is looked through a range of households at a time."""
    rows = [settle(f"{c}{i}", 1000, person=i, city=c) for i in range(1, 41) for c in CITIES[: 1 + i % 2]]
    found = []
    for most in (1_000_000, 7):
        monkeypatch.setattr(jobs, "PART", most)
        store = tmp_path / str(most)
        deliver(store, settlement=rows)
        (file,) = [f for f in built(store).manifest["files"] if f["table"] == "shared"]
        found.append((file["rows"], file["sha256"]))
    assert len(jobs.ranges(60)) > 5 and found[0] == found[1] and found[0][0] == 40


def test_a_snapshot_from_before_anybody_looked_says_so(world: World) -> None:
    _, snapshot = world
    old = Folder(snapshot.path)
    del old.manifest["shared"]
    old.manifest["files"] = [f for f in old.manifest["files"] if f["table"] != "shared"]
    asked = Desk(Room(Store(snapshot.path.parents[1]), old))
    assert asked.ask("own_burden_mean", [], YEAR).provenance["counted"] == "unknown"
    assert "counted" not in asked.ask("own_burden_mean", ["city"], YEAR).provenance


def test_who_stands_in_several_cities_is_told_for_every_year(world: World) -> None:
    """`jianfu quality` counts them from the facts; within one city and year everybody is one row."""
    _, snapshot = world
    rows = read(snapshot, "person_year", CITIES)
    assert len({(r["city"], r["person_key"]) for r in rows}) == len(rows)
    persons = Counter(r["person_key"] for r in rows)
    cities = defaultdict(set)
    for r in rows:
        if r["household_key"] is not None:
            cities[r["household_key"]].add(r["city"])
    want = {
        "plan_year": 2023,
        "persons_in_several_cities": sum(n > 1 for n in persons.values()),
        "households_in_several_cities": sum(len(at) > 1 for at in cities.values()),
    }
    assert min(want.values()) > 0
    assert store_wide(snapshot)["in_several_cities"] == [want]

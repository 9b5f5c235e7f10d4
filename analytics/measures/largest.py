"""The largest contributions to the sums of a city-year: what disclosure rules on money ask for, by household and by hospital."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from analytics.measures.question import Question
from analytics.measures.rows import cut, ledger
from analytics.store import Column, Engine, Query, literal
from analytics.tiers import TIERS

# Keys of the rows of a cube that hold them, by contributor.
LARGEST = {"household": "largest", "hospital": "largest hospital"}
PLACED = "hospitals"  # key of the rows that say of how much a hospital is known
_HERE = Path(__file__).parent
_WHOLE = {"all_cost": "cost_fen", "all_own": "own_net_fen", "all_in_policy": "in_policy_fen"}
_WHOLE |= {"all_out_of_catalogue": "out_of_catalogue_fen"}


@dataclass(frozen=True)
class _Of:
    """One kind of contributor, in SQL over `table`: `who` it is, in which cost `band` what it contributed lies, and of which tier
    (`paid`).
    """

    table: str
    who: str
    band: str
    paid: str


_HOME = "coalesce(household_key, person_key) AS who, household_key IS NULL AS alone"


def largest(engine: Engine, told: Mapping[str, Column], place: tuple[str, int] | None) -> list[pl.DataFrame]:
    """Rows of a cube: `at` says what is summed (paid, before and cost of those paid by a tier, the whole by person), the cost
    band or person group and the tier; numerator and denominator are the largest and second largest share of a household in fen.
    `told`: what the files of the persons tell, see rows.Fact; `place`: the city-year whose hospitals are staged, if they are.
    """
    found = [_two(engine, "household", _Of("person_year", _HOME, cut("cost_band"), "paid > 0"), told)]
    return [*found, *_hospitals(engine, told, place)] if place else found


def _hospitals(engine: Engine, told: Mapping[str, Column], place: tuple[str, int]) -> Iterator[pl.DataFrame]:
    """The same of the hospitals, where any is known; and what of the cost, and of the payments that are in no settlement, was made by
    nobody known: numerator, of the denominator, in fen; n: hospitals.
    """
    here = f"(FROM hospital_year WHERE city = {literal(place[0])} AND plan_year = {place[1]})"
    claimed = " + ".join(t.paid for t in TIERS if not t.national_fields)
    asked = engine.ask(Query.load(_HERE / "placed.sql").fill(hospital_year=here, claimed=claimed))
    about = asked.row(0, named=True)
    if about["n"]:
        of = _Of(here, "hospital AS who, false AS alone", "cost_band", "list_contains(tiers, tier)")
        yield _two(engine, "hospital", of, told)
    each = [
        {
            "key": PLACED,
            "at": [k],
            "n": about["n"],
            "numerator": about[f"{k}_of_none"],
            "denominator": about[k],
        }
        for k in ("claimed", "cost")
    ]
    yield pl.DataFrame(each, schema_overrides={"numerator": pl.Float64})


def _two(engine: Engine, kind: str, of: _Of, told: Mapping[str, Column]) -> pl.DataFrame:
    sql = Query.load(_HERE / "largest.sql").fill(
        fact=of.table,
        ledger=ledger(Question.of("tier_share", ["tier"]), {}, told),
        who=of.who,
        band=of.band,
        paid=of.paid,
        whole=", ".join(f"sum({column}::DOUBLE) AS {name}" for name, column in _WHOLE.items()),
        each=", ".join(f"max({name}, 2) AS {name}" for name in _WHOLE),
    )
    rows = engine.ask(sql)
    return rows.select(
        pl.lit(LARGEST[kind]).alias("key"),
        at=pl.concat_list("what", "part", "tier").list.drop_nulls(),
        numerator=pl.col("first").cast(pl.Float64),
        denominator=pl.col("second").cast(pl.Float64),
    )

"""The facts made in other ways: what one would write by hand, and our own SQL over the whole store at once."""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from analytics.facts import FACTS
from analytics.facts.checks import wide_checks
from analytics.facts.jobs import AMOUNTS as SUMMED
from analytics.facts.jobs import jobs_of, undone
from analytics.facts.partition import Work, codes
from analytics.facts.product import claim, policy_year
from analytics.store import FACTS_FORMAT, Partition, Store, literal, parquet
from analytics.store.threads import each
from analytics.tiers import TIERS

AMOUNTS = {
    "cost_fen": "medfee_sumamt_fen", "in_policy_fen": "inscp_scp_amt_fen", "advance_fen": "preselfpay_amt_fen",
    "out_of_catalogue_fen": "fulamt_ownpay_amt_fen + overlmt_selfpay_fen", "hospital_borne_fen": "hosp_part_amt_fen",
    "own_cash_fen": "psn_cash_pay_fen", "basic": "hifp_pay_fen", "statutory_supplement": "cvlserv_pay_fen + hifes_pay_fen",
    "serious_illness": "hifmi_pay_fen + hifob_pay_fen", "medical_assistance": "maf_pay_fen", "other": "hifdm_pay_fen + oth_pay_fen",
}  # fmt: skip
SETTLED = list(AMOUNTS)[6:]
PAID = [t.id for t in TIERS]
SUMS = ["n_settlements", "n_admissions", *list(AMOUNTS)[:6], *(f"{t}_paid_fen" for t in PAID)]
PERSON = ["city", "plan_year", "person_key", "household_key", "insurance_type", *SUMS]
HOUSEHOLD = ["city", "plan_year", "household_key", "income_fen", *SUMS]
RANKED = {"resident": 1, "other": 2, "employee": 3}

# What one would write by hand: everything at once.
NAIVE = """
CREATE TABLE persons AS
WITH undone AS (
    SELECT city, plan_year, setl_id, updt_time, bool_or(kind <> 'partly_refunded') AS gone, {undone_sums} FROM undone_rows GROUP BY ALL
),
settled AS (
    SELECT s.city, s.plan_year, person_key, count(*) AS n_settlements, count(DISTINCT mdtrt_id) FILTER (care_type = 'inpatient') AS n_admissions,
        max(CASE insurance_type WHEN 'resident' THEN 1 WHEN 'other' THEN 2 WHEN 'employee' THEN 3 END) AS insured_as, {sums}
    FROM settlement AS s LEFT JOIN undone AS u ON s.city = u.city AND s.plan_year = u.plan_year AND s.setl_id = u.setl_id
        AND s.updt_time IS NOT DISTINCT FROM u.updt_time
    WHERE row_kind <> 'reversal' AND coalesce(NOT gone, row_kind = 'normal')
    GROUP BY s.city, s.plan_year, person_key
),
claimed AS (SELECT city, plan_year, person_key, {claimed} FROM commercial_claim GROUP BY ALL),
insured AS (
    SELECT city, y AS plan_year, person_key, arg_max(insurance_type, row(start_date, insutype)) AS insurance_type
    FROM enrolment, (SELECT DISTINCT plan_year AS y FROM settlement)
    WHERE year(start_date) <= y AND coalesce(year(end_date), y) >= y GROUP BY ALL
),
base AS (FROM settled FULL JOIN insured USING (city, plan_year, person_key) FULL JOIN claimed USING (city, plan_year, person_key)),
linked AS (
    SELECT y AS plan_year, person_key, min(household_key) AS household_key
    FROM household_member, (SELECT DISTINCT plan_year AS y FROM settlement)
    WHERE coalesce(year(start_date), y) <= y AND coalesce(year(end_date), y) >= y GROUP BY ALL
)
SELECT city, plan_year, person_key, household_key,
    coalesce(insurance_type, CASE insured_as WHEN 1 THEN 'resident' WHEN 2 THEN 'other' WHEN 3 THEN 'employee' END, 'unknown') AS insurance_type,
    coalesce(n_settlements, 0) AS n_settlements, coalesce(n_admissions, 0) AS n_admissions, {kept}, {paid}
FROM base LEFT JOIN linked USING (plan_year, person_key);
COPY persons TO '{out}/person.parquet';
CREATE TABLE households AS
WITH grouped AS (
    SELECT city, plan_year, coalesce(household_key, person_key) AS household_key, household_key IS NOT NULL AS is_linked, {household_sums}
    FROM persons GROUP BY ALL
),
economy AS (SELECT year AS plan_year, household_key, max(income_annual_fen) AS income_fen FROM household_economy GROUP BY ALL)
SELECT {household} FROM grouped LEFT JOIN economy USING (plan_year, household_key);
COPY households TO '{out}/household.parquet';
"""


def _parts(store: Path) -> list[Partition]:
    return [p for d in Store(store).deliveries() for p in d.partitions()]


def _files(store: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for p in _parts(store):
        found.setdefault(p.table, []).append(p.path)
    return found


def naive(store: Path, out: Path) -> None:
    _naive(_parts(store), out, 2)


def looped(store: Path, out: Path) -> None:
    """The naive query city-year by city-year, two at once with a thread each: what the loop itself gives, with columns as few."""
    parts = _parts(store)
    places = sorted({(p.city, p.plan_year) for p in parts if p.table == "settlement"})

    def one(place: tuple[str, int]) -> None:
        folder = out / "-".join(map(str, place))
        folder.mkdir(exist_ok=True)
        here = [p for p in parts if p.city in (None, place[0]) and p.plan_year in (None, place[1])]
        _naive(here, folder, 1)

    each(one, places, 2)


def _naive(parts: Sequence[Partition], out: Path, threads: int) -> None:
    con = duckdb.connect(config={"threads": str(threads)})
    for table in {p.table for p in parts}:
        files = [p for p in parts if p.table == table]
        rows, name = f"FROM {parquet([p.path for p in files])}", table
        if table == "settlement_undone":  # these files do not say their place
            places = (
                f"SELECT '{p.city}' AS city, {p.plan_year} AS plan_year, * FROM {parquet([p.path])}"
                for p in files
            )
            rows, name = " UNION ALL ".join(places), "undone_rows"
        con.execute(f"CREATE VIEW {name} AS {rows}").fetchall()
    if all(p.table != "commercial_claim" for p in parts):
        con.execute("CREATE TABLE commercial_claim (city VARCHAR, plan_year INTEGER, person_key BIGINT, tier VARCHAR, paid_amt_fen INTEGER)").fetchall()  # fmt: skip
    money = sorted({c for text in AMOUNTS.values() for c in text.split(" + ")})
    left = {c: f"(s.{c} + coalesce(u.{c}, 0))" for c in money}
    sums = [
        f"sum({' + '.join(left[c] for c in text.split(' + '))})::BIGINT AS {name}"
        for name, text in AMOUNTS.items()
    ]
    con.execute(NAIVE.format(
        out=out, undone_sums=", ".join(f"sum({c}) AS {c}" for c in money), sums=", ".join(sums),
        claimed=", ".join(f"sum(paid_amt_fen) FILTER (tier = '{t}')::BIGINT AS {t}_claimed" for t in PAID),
        kept=", ".join(f"coalesce({n}, 0) AS {n}" for n in list(AMOUNTS)[:6]),
        paid=", ".join(f"{f'coalesce({t}, 0) + ' if t in SETTLED else ''}coalesce({t}_claimed, 0) AS {t}_paid_fen" for t in PAID),
        household_sums=", ".join(f"sum({c})::BIGINT AS {c}" for c in SUMS), household=", ".join(HOUSEHOLD),
    )).fetchall()  # fmt: skip


class Whole(Work):
    """All city-years by one query a table, two threads, all there is of memory: what the loop over city-years stands against. Every fact
    this program makes, by its own SQL, so that both do the same; nothing is hashed or published.
    """

    def facts(self) -> None:
        self._do(f"CREATE TABLE undone AS {undone(self.jobs, SUMMED)}")
        self._do(f"CREATE TABLE person_year AS {self._person_year(self.jobs)}")
        self._do(f"CREATE TABLE household_year AS {self._household_year(self.jobs)}")
        self._do(f"CREATE TABLE policy_year AS {policy_year(self.jobs)}")
        self._do(f"CREATE TABLE claim AS {claim(self.con, self.jobs)}")
        for table in FACTS:
            self._do(f"COPY {table} TO {literal(self.staging / f'{table}.parquet')} ({FACTS_FORMAT})")
        wide_checks(self.con, self.jobs)


def whole(store: Path, out: Path) -> None:
    with duckdb.connect(config={"threads": "2"}) as con:
        for name, values in codes().items():
            con.execute(f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, values))})").fetchall()
        Whole(con, jobs_of(Store(store).deliveries()), out).facts()


def streaming(store: Path, out: Path) -> None:
    """The same by Polars' streaming engine."""
    import polars as pl

    files = _files(store)
    at, key = ["city", "plan_year"], ["city", "plan_year", "person_key"]
    money = sorted({c for text in AMOUNTS.values() for c in text.split(" + ")})
    undone = pl.concat([
        pl.scan_parquet(p.path).with_columns(pl.lit(p.city).alias("city"), pl.lit(p.plan_year, pl.Int32).alias("plan_year"))
        for d in Store(store).deliveries() for p in d.partitions("settlement_undone")
    ]).group_by(*at, "setl_id", "updt_time").agg((pl.col("kind") != "partly_refunded").any().alias("gone"), *(pl.col(c).sum().cast(pl.Int64).alias(f"{c}_u") for c in money))  # fmt: skip
    counted = pl.scan_parquet(files["settlement"]).filter(pl.col("row_kind") != "reversal").join(
        undone, on=[*at, "setl_id", "updt_time"], how="left", nulls_equal=True
    ).filter((~pl.col("gone")).fill_null(pl.col("row_kind") == "normal"))  # fmt: skip
    left = {c: pl.col(c).cast(pl.Int64) + pl.col(f"{c}_u").fill_null(0) for c in money}
    inpatient = pl.col("care_type") == "inpatient"
    settled = counted.group_by(key).agg(
        pl.len().alias("n_settlements"), pl.col("mdtrt_id").filter(inpatient).n_unique().alias("n_admissions"),
        pl.col("insurance_type").replace_strict(RANKED, return_dtype=pl.Int32).max().alias("insured_as"),
        *(sum(left[c] for c in text.split(" + ")).sum().alias(name) for name, text in AMOUNTS.items()),
    )  # fmt: skip
    claimed = pl.scan_parquet(files["commercial_claim"]).group_by(key).agg(
        pl.col("paid_amt_fen").filter(pl.col("tier") == t).sum().cast(pl.Int64).alias(f"{t}_claimed") for t in PAID
    )  # fmt: skip
    years = counted.select("plan_year").unique()
    y = pl.col("plan_year")
    now = (pl.col("start_date").dt.year().fill_null(y) <= y) & (
        pl.col("end_date").dt.year().fill_null(y) >= y
    )
    insured = pl.scan_parquet(files["enrolment"]).join(years, how="cross").filter(now).group_by(key).agg(
        pl.col("insurance_type").sort_by("start_date", "insutype").last()
    )  # fmt: skip
    linked = (
        pl.scan_parquet(files["household_member"])
        .join(years, how="cross")
        .filter(now)
        .group_by("plan_year", "person_key")
        .agg(pl.col("household_key").min())
    )
    base = settled.join(insured, on=key, how="full", coalesce=True).join(
        claimed, on=key, how="full", coalesce=True
    )
    name = {v: k for k, v in RANKED.items()}
    paid = (
        (pl.col(t).fill_null(0) if t in SETTLED else pl.lit(0)) + pl.col(f"{t}_claimed").fill_null(0)
        for t in PAID
    )
    base.join(linked, on=["plan_year", "person_key"], how="left").select(
        *key, "household_key",
        pl.coalesce("insurance_type", pl.col("insured_as").replace_strict(name, return_dtype=pl.String), pl.lit("unknown")),
        *(pl.col(c).fill_null(0) for c in SUMS[:8]), *(p.alias(f"{t}_paid_fen") for t, p in zip(PAID, paid, strict=True)),
    ).sink_parquet(out / "person.parquet", engine="streaming")  # fmt: skip
    economy = (
        pl.scan_parquet(files["household_economy"])
        .group_by(pl.col("year").alias("plan_year"), "household_key")
        .agg(pl.col("income_annual_fen").max().alias("income_fen"))
    )
    own = pl.coalesce("household_key", "person_key").alias("household_key")
    grouped = (
        pl.scan_parquet(out / "person.parquet")
        .group_by("city", "plan_year", own, pl.col("household_key").is_not_null().alias("is_linked"))
        .agg(pl.col(SUMS).sum())
    )
    grouped.join(economy, on=["plan_year", "household_key"], how="left").select(HOUSEHOLD).sink_parquet(
        out / "household.parquet", engine="streaming"
    )


def pandas_script(store: Path, out: Path) -> None:
    """What an analyst would write today: everything in memory, yuan as floats; refunds in part left out, as scripts do."""
    import pandas as pd

    files = _files(store)
    key = ["city", "plan_year", "person_key"]
    one = pd.concat([pd.read_parquet(p) for p in files["settlement"]])
    undone = pd.concat([pd.read_parquet(p) for p in files["settlement_undone"]])
    one = one[(one["row_kind"] == "normal") & ~one["setl_id"].isin(undone["setl_id"])]
    for name, text in AMOUNTS.items():
        one[name] = sum(one[c] for c in text.split(" + ")) / 100
    stays = (
        one[one["care_type"] == "inpatient"]
        .drop_duplicates([*key, "mdtrt_id"])
        .groupby(key)
        .size()
        .rename("n_admissions")
    )
    persons = one.groupby(key)[list(AMOUNTS)].sum().join(stays)
    persons["n_settlements"] = one.groupby(key).size()
    member = (
        pd.read_parquet(files["household_member"][0])
        .drop_duplicates("person_key")
        .set_index("person_key")["household_key"]
    )
    persons = persons.reset_index()
    persons["household_key"] = persons["person_key"].map(member).fillna(persons["person_key"])
    economy = pd.read_parquet(files["household_economy"][0])
    households = persons.groupby(["city", "plan_year", "household_key"])[list(AMOUNTS)].sum().reset_index()
    households = households.merge(
        economy, left_on=["plan_year", "household_key"], right_on=["year", "household_key"], how="left"
    )
    persons.to_parquet(out / "some.parquet")
    households.to_parquet(out / "some-households.parquet")


def floor(store: Path, _: Path) -> None:
    """Scan and sum of the columns the facts need."""
    money = {c for text in AMOUNTS.values() for c in text.split(" + ")}
    sums = ", ".join(f"sum({c}::DOUBLE)" for c in sorted(money))
    con = duckdb.connect(config={"threads": "2"})
    rows = parquet(_files(store)["settlement"])
    con.execute(
        f"SELECT {sums}, sum(person_key::DOUBLE), sum(strlen(mdtrt_id)), sum(strlen(setl_id)), max(hospital_level), max(care_type), max(row_kind) FROM {rows}"
    ).fetchall()

"""What there is to build: one job per city and plan year, with the files its facts and its checks are made of."""

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import duckdb

from analytics import reference
from analytics.plans import load_plans, premium_sql
from analytics.store import Folder, Partition, Query, literal, parquet, sha256_of
from analytics.tiers import TIERS

HERE = Path(__file__).parent
Row = dict[str, Any]
Made = dict[str, list[Row]]  # rows of the snapshot's manifest: files, checks, links
Files = tuple[Partition, ...]

# Amounts of a person-year, and the money fields of a settlement that make them.
AMOUNTS = {
    "cost_fen": ("medfee_sumamt",),
    "in_policy_fen": ("inscp_scp_amt",),
    "advance_fen": ("preselfpay_amt",),
    "out_of_catalogue_fen": ("fulamt_ownpay_amt", "overlmt_selfpay"),
    "hospital_borne_fen": ("hosp_part_amt",),
    "own_cash_fen": ("psn_cash_pay",),
    **{f"{t.id}_settled_fen": t.national_fields for t in TIERS if t.national_fields},
}
_MONEY = " ".join(f"{field}_fen" for fields in AMOUNTS.values() for field in fields)
_UNDONE = "city plan_year setl_id updt_time kind by_setl_id by_plan_year by_updt_time"
# What is read of each table: its columns, where it did not come at all. A number key is the key of a person known by a
# person number only; the alias names the person whose certificate number came with it in some other file.
READ = {
    "settlement": "city plan_year person_key mdtrt_id setl_id setl_time updt_time row_kind provider_id birth_year insurance_type sex "
    f"hospital_level care_type cross_region disease {_MONEY}",
    "settlement_undone": f"{_UNDONE} {_MONEY}",
    "commercial_claim": "city plan_year person_key product_code tier duty_code setl_id mdtrt_id incurred_date claim_date pay_date is_one_stop disease paid_amt_fen",
    "commercial_claim_undone": "claim_id",
    "enrolment": "city person_key insutype insurance_type start_date end_date person_group is_pre_existing is_retired "
    "product_code product_year premium_fen insured_since product_since",
    "person": "person_key birth_year sex",
    "household_member": "person_key household_key start_date end_date",
    "household_economy": "household_key year size children income_annual_fen consumption_annual_fen food_annual_fen housing_annual_fen urban",
    "household_year": "",
    "person_alias": "number_key person_key",
}
# Of these the newest delivery counts: each row with the turn of its delivery.
_TURNED = ("household_member", "household_economy")
# Columns were added to these tables since: what an older delivery lacks did not come.
_GROWN = ("commercial_claim", "enrolment")
_PAYMENTS = ("commercial_claim", "commercial_claim_undone")
_POLICY_DAYS = 400  # a policy of a year, with some days before it begins
# A city-year of more settlements is worked a range of keys at a time: it needs little more memory than a small one.
PART = 1_200_000
_TYPES = {
    "_fen": "BIGINT", "_key": "BIGINT", "year": "INTEGER", "size": "INTEGER", "children": "INTEGER", "_date": "DATE", "_since": "DATE", "_time": "TIMESTAMP", "urban": "BOOLEAN"
}  # fmt: skip


@cache
def code_version() -> str:
    """Hash of everything in this wing (and the tiers and age bands) that decides what a fact is."""
    files = [path for kind in ("sql", "py", "toml") for path in HERE.glob(f"*.{kind}")]
    files += [HERE.parent / "tiers.py", reference.root() / "data/reference/bands.toml"]
    return hashlib.sha256("".join(sha256_of(path) for path in sorted(files)).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Job:
    """One city and plan year. `inputs`: files its facts are made of; `around`: files its checks look into as well, where
    refunds and linked settlements of other years are found; `numbered`: those with rows keyed by a person number only;
    `premium`: SQL of what the plan says a person pays; `editions`: plan year, first and last day of those around it that cross the
    turn of a year; `others`: payments under those of other plan years that run in this one, and the settlements that these and
    its own may name; `keys`: only persons with a key from the one to the other.
    """

    number: int
    city: str
    plan_year: int
    inputs: Mapping[str, Files]
    around: Mapping[str, Files]
    numbered: frozenset[str]
    covered_years: tuple[int, ...]
    plan_order: tuple[str, ...]
    plan_file: str
    policy_line_fen: int | None
    premium: str
    editions: tuple[tuple[int, date, date], ...] = ()
    others: Mapping[str, Files] = field(default_factory=dict)
    keys: tuple[int, int] | None = None

    @property
    def place(self) -> tuple[str, int]:
        return self.city, self.plan_year

    @cached_property
    def key(self) -> str:
        """Equal keys mean byte-equal facts: inputs, order, line and the version of the code that builds."""
        linked = self.around["settlement"] if self.inputs["commercial_claim"] else ()
        told = (self.place, self.plan_order, self.policy_line_fen, self.premium, self.covered_years)
        return _key(
            self.inputs,
            *told,
            self.editions,
            [p.sha256 for p in (*linked, *itertools.chain(*self.others.values()))],
        )

    @cached_property
    def check_key(self) -> str:
        """Equal keys mean equal checks across partitions."""
        return _key(self.around, self.place, self.covered_years)

    @property
    def files(self) -> set[Partition]:
        """All that is read for it."""
        sides = (*self.inputs.values(), *self.around.values(), *self.others.values())
        return {p for parts in sides for p in parts}

    @property
    def has_payments(self) -> bool:
        """Whether insurers or charities told what they paid in this year."""
        return bool(self.inputs["commercial_claim"] or self.others.get("commercial_claim"))

    @property
    def rows(self) -> int:
        """How much there is to read."""
        return sum(
            p.rows for table in ("settlement", "commercial_claim", "enrolment") for p in self.inputs[table]
        )

    @cached_property
    def ranges(self) -> list[tuple[int, int]]:
        """Ranges of keys, worked one after the other where the settlements are more than PART."""
        return ranges(sum(p.rows for p in self.inputs["settlement"]))


def ranges(rows: int) -> list[tuple[int, int]]:
    """Ranges of all keys there can be, so many that about PART of the rows are in each."""
    n = 1 + rows // PART
    ends = [i * 2**64 // n - 2**63 - 1 for i in range(n + 1)]
    return [(low + 1, high) for low, high in itertools.pairwise(ends)]


def _key(files: Mapping[str, Files], *told: object) -> str:
    shas = [(table, p.sha256, p.turn) for table in READ for p in files[table]]
    return hashlib.sha256(repr((code_version(), told, shas)).encode()).hexdigest()


def jobs_of(deliveries: Iterable[Folder]) -> list[Job]:
    """Jobs of all deliveries, sorted by place. Raises plans.PlanErrors."""
    files: dict[tuple[str, str | None, int | None], list[Partition]] = defaultdict(list)
    numbered = set()
    for delivery in deliveries:
        for partition, row in zip(delivery.partitions(), delivery.manifest["files"], strict=True):
            if partition.table == "commercial_claim_undone" and not partition.city:
                continue  # takes back what never loaded
            files[partition.table, partition.city, partition.plan_year].append(partition)
            if row.get("numbered"):
                numbered.add(partition.sha256)
    places = sorted(
        {(city, year) for table, city, year in files if city and year is not None and table in READ}
    )
    plans = load_plans(places={(city, y) for city, year in places for y in _around(year)})

    def of(table: str, city: str, *years: int) -> Files:
        where = [(table, None, None), (table, city, None), *((table, city, year) for year in years)]
        return tuple(sorted((p for key in where for p in files.get(key, ())), key=lambda p: p.sha256))

    def with_alias(inputs: dict[str, Files]) -> dict[str, Files]:
        known = any(p.sha256 in numbered for parts in inputs.values() for p in parts)
        return {**inputs, "person_alias": of("person_alias", "") if known else ()}

    jobs = []
    for number, (city, year) in enumerate(places, 1):
        editions = tuple(
            (y, p.period.start, p.period.end)
            for y in _around(year)
            if (p := plans.get((city, y))) and p.period and p.period.start.year < p.period.end.year
        )
        running = [y for y, start, end in editions if y != year and start.year <= year <= end.year]
        others = {name: of(name, city, *running) for name in _PAYMENTS if running}
        told = {y for table, of_city, y in files if table == "commercial_claim" and of_city == city}
        run = [e for e in editions if e[0] in told and e[1].year <= year <= e[2].year]
        if named := sorted({day.year for _, *days in run for day in days}):
            others["settlement"] = tuple(p for n in named for p in files.get(("settlement", city, n), ()))
        plan, line = plans.get((city, year)), reference.policy_line(city, year)
        period = (plan.period.start.year, plan.period.end.year) if plan and plan.period else (year, year)
        covered = tuple(range(period[0], period[1] + 1))
        inputs = {table: of(table, city, year) for table in READ}
        around = dict.fromkeys(READ, ()) | {
            "settlement": of(
                "settlement", city, *({year, *covered} if inputs["commercial_claim"] else {year})
            ),
            "settlement_undone": of("settlement_undone", city, *(y for c, y in places if c == city)),
            **{name: inputs[name] for name in _PAYMENTS},
        }
        jobs.append(Job(
            number, city, year, with_alias(inputs), with_alias(around), frozenset(numbered), covered,
            tuple(plan.order) if plan else (), f"{reference.places()[city].slug}/{year}.toml" if plan else "",
            line.yuan * 100 if line else None, premium_sql(plan) if plan else "NULL::BIGINT",
            editions, others,
        ))  # fmt: skip
    return jobs


def _around(year: int) -> range:
    """Plan years of the editions a policy or a payment of this year, or a policy of the year before, can be of."""
    return range(year - 2, year + 3)


def source(
    jobs: Sequence[Job], table: str, *, around: bool = False, read: str = "", grown: bool = False
) -> str:
    """What to read a table of these jobs from: each file once; no rows where it did not come. `read`: columns, where not READ;
    `grown`: files of an older version may lack some.
    """
    inputs = [job.around if around else job.inputs for job in jobs]
    files = {p.path: p for side in inputs for p in side[table]}
    columns = (read or READ[table]).split()
    kinds = (next((k for end, k in _TYPES.items() if c.endswith(end)), "VARCHAR") for c in columns)
    nulls = [
        f"NULL::{'BOOLEAN' if c.startswith('is_') else k} AS {c}" for c, k in zip(columns, kinds, strict=True)
    ] + ["0 AS turn"] * (table in _TURNED)
    nothing = f"SELECT {', '.join(nulls)} WHERE false"
    if not files:
        return f"({nothing})"
    if table == "settlement_undone":  # its files do not say their place
        places: dict[tuple[str | None, int | None], list[Path]] = defaultdict(list)
        for path, p in files.items():
            places[p.city, p.plan_year].append(path)
        each = (
            f"SELECT {literal(city)} AS city, {year} AS plan_year, {', '.join(columns[2:])} FROM {parquet(paths)}"
            for (city, year), paths in places.items()
        )
        # two deliveries may tell of one refund, and of a refund that came in two versions the newest counts
        newest = "max(by_updt_time) OVER (PARTITION BY city, plan_year, setl_id, updt_time, kind = 'superseded', by_setl_id)"
        told = " UNION ALL ".join(each)
        return f"(SELECT DISTINCT * FROM ({told}) QUALIFY by_updt_time IS NOT DISTINCT FROM {newest})"
    grown = grown or table in _GROWN
    rows = parquet(files, by_name=grown)
    if grown:
        rows = f"({nothing} UNION ALL BY NAME FROM {rows})"
    if table == "commercial_claim" and (gone := {p.path for s in inputs for p in s[f"{table}_undone"]}):
        rows = f"(FROM {rows} ANTI JOIN {parquet(gone)} USING (claim_id))"
    if table in _TURNED:
        turns = sorted({p.turn for p in files.values()})
        each = (
            f"SELECT *, {t} AS turn FROM {parquet(path for path, p in files.items() if p.turn == t)}"
            for t in turns
        )
        rows = f"({' UNION ALL '.join(each)})"
    if "person_key" not in columns:
        return rows
    numbered = any(p.sha256 in jobs[0].numbered for p in files.values())
    if numbered and any(side["person_alias"] for side in inputs):
        known = "one.* REPLACE (coalesce(alias.person_key, one.person_key) AS person_key)"
        rows = f"(SELECT {known} FROM {rows} AS one LEFT JOIN alias ON number_key = one.person_key)"
    if keys := jobs[0].keys:
        rows = f"(FROM {rows} WHERE person_key BETWEEN {keys[0]} AND {keys[1]})"
    if table == "enrolment" and (held := _edition(jobs, "middle")):
        # the file need not say of what edition a policy is: where it lies in two years, that which holds its middle
        middle = "start_date + ((end_date - start_date) // 2)::INTEGER AS middle"
        policy = f"product_code IS NOT NULL AND year(start_date) < year(end_date) AND end_date - start_date <= {_POLICY_DAYS}"
        filled = f"coalesce(product_year, CASE WHEN {policy} THEN {held} END) AS product_year"
        rows = f"(SELECT * EXCLUDE middle REPLACE ({filled}) FROM (SELECT *, {middle} FROM {rows}))"
    return rows


def paid_in_year(con: duckdb.DuckDBPyConnection, jobs: Sequence[Job]) -> str:
    """What to read commercial payments from for the ledger: in the year of care, where they come under an edition that crosses the
    turn of a year. The settlement a payment names tells which of the edition's years that is, as costs stand there; else its
    encounter, else the day of care, of the claim, of the payment. Tables it needs are made the first time.
    """
    if not any(any(job.others.values()) or len(job.covered_years) > 1 for job in jobs):
        return source(jobs, "commercial_claim")
    every = [
        replace(job, inputs={n: (*of, *job.others.get(n, ())) for n, of in job.inputs.items()})
        for job in jobs
    ]
    editions = sorted({(job.city, y, start.year, end.year) for job in jobs for y, start, end in job.editions})
    named = "_".join(["named", *(str(job.number) for job in jobs)])
    whole = [replace(job, keys=None) for job in every]
    tables = {name: source(whole, name, grown=True) for name in ("settlement", "commercial_claim")}
    years = ", ".join(f"({literal(c)}, {of}, {y})" for c, y, *both in editions for of in both)
    rows = query("named").fill(editions=years, **tables)
    con.execute(f"CREATE TEMP TABLE IF NOT EXISTS {named} AS {rows}").fetchall()
    day = "year(coalesce(incurred_date, claim_date, pay_date))"
    whens = " ".join(
        f"WHEN city = {literal(city)} AND plan_year = {y} THEN least(greatest(care_year, {first}), {last})"
        for city, y, first, last in editions
    )
    year = f"CASE WHEN care_year IS NULL THEN plan_year {whens} ELSE plan_year END::INTEGER"
    places = ", ".join(f"({literal(job.city)}, {job.plan_year})" for job in jobs)
    told = f"SELECT one.*, coalesce(settled.care_year, stayed.care_year, {day}) AS care_year FROM {source(every, 'commercial_claim')} AS one"
    for kind, of in (("settled", "setl_id"), ("stayed", "mdtrt_id")):
        told += f" LEFT JOIN {named} AS {kind} ON {kind}.{of} = one.{of} AND ({kind}.city, {kind}.plan_year) = (one.city, one.plan_year)"
    rows = f"SELECT * EXCLUDE care_year REPLACE ({year} AS plan_year) FROM ({told})"
    return f"(FROM ({rows}) WHERE (city, plan_year) IN ({places}))"


def _edition(jobs: Sequence[Job], day: str) -> str:
    """SQL of the plan year of the edition a day lies in, among those that cross the turn of a year; empty without any."""
    whens = [
        f"WHEN city = {literal(city)} AND {day} BETWEEN DATE '{start}' AND DATE '{end}' THEN {y}"
        for city, y, start, end in sorted({(job.city, *edition) for job in jobs for edition in job.editions})
    ]
    return f"CASE {' '.join(whens)} END" if whens else ""


def one_alias(files: Iterable[Path]) -> str:
    """SELECT of the table `alias` that `source` joins: for a person known by number only, the key of the certificate that most
    rows have beside this number; among equals no key may decide, and the number stays what it is.
    """
    nothing = (
        "SELECT NULL::BIGINT AS number_key, NULL::BIGINT AS person_key, NULL::BIGINT AS n_rows WHERE false"
    )
    rows = f"{nothing} UNION ALL BY NAME FROM {parquet(files, by_name=True)}"  # deliveries of before rows were counted
    pairs = f"SELECT number_key, person_key, sum(coalesce(n_rows, 1)) AS n FROM ({rows}) GROUP BY number_key, person_key"
    most = "QUALIFY n = max(n) OVER (PARTITION BY number_key)"
    return f"SELECT number_key, min(person_key) AS person_key FROM ({pairs} {most}) GROUP BY number_key HAVING count(*) = 1"


def counted(jobs: Sequence[Job], columns: Iterable[str], amounts: Mapping[str, Sequence[str]]) -> str:
    """The settlements that count; without any refund these are simply the normal ones. `amounts`: as AMOUNTS."""
    name = f"({undone(jobs, amounts)})" if is_undone(jobs) else ""
    return _joined(
        jobs, "counted", columns, amounts, "{0} + coalesce(undone.{1}, 0)" if name else "{0}", name
    )


def in_parts(
    jobs: Sequence[Job], columns: Iterable[str], amounts: Mapping[str, Sequence[str]]
) -> tuple[str, str]:
    """For sums: the settlements that count, with all of their amounts, and what was refunded of some (empty where nothing
    can be). Needs the table `undone`, where `is_undone`; few are, so their amounts are not carried beside all others.
    """
    name, chosen = "undone" if is_undone(jobs) else "", tuple(columns)
    flag = f"(SELECT {leading(jobs)}setl_id, updt_time, is_gone FROM undone)" if name else ""
    left = _joined(jobs, "refunded", chosen, amounts, "undone.{1}", name) if name else ""
    return _joined(jobs, "counted", chosen, amounts, "{0}", flag), left


def undone(jobs: Sequence[Job], amounts: Mapping[str, Sequence[str]]) -> str:
    """SELECT of undone.sql."""
    money = dict.fromkeys(f"{f}_fen" for fields in amounts.values() for f in fields)
    rows = source(jobs, "settlement_undone", read=" ".join([_UNDONE, *money]))
    return query("undone").fill(at=leading(jobs), settlement_undone=rows)


def is_undone(jobs: Sequence[Job]) -> bool:
    """Whether anything may be undone at all."""
    return any(job.inputs["settlement_undone"] for job in jobs)


def _joined(
    jobs: Sequence[Job],
    name: str,
    columns: Iterable[str],
    amounts: Mapping[str, Sequence[str]],
    field: str,
    beside: str,
) -> str:
    """`field`: SQL of an amount, of {0} as it was settled and {1} the column of the table `beside`."""
    chosen = [f"one.{c}" for c in columns]
    for title, fields in amounts.items():
        each = [field.format(f"one.{f}_fen", f"{f}_fen") for f in fields]
        # an amount fits 32 bits, the sum of two may not
        chosen.append(
            " + ".join(f"({e})::BIGINT" if beside or len(each) > 1 else e for e in each) + f" AS {title}"
        )
    rows = source(jobs, "settlement")
    if not beside:
        return f"SELECT {', '.join(chosen)} FROM {rows} AS one WHERE row_kind = 'normal'"
    same = [
        *(f"one.{c} = undone.{c}" for c in ("setl_id", *at(jobs))),
        "one.updt_time IS NOT DISTINCT FROM undone.updt_time",
    ]
    return query(name).fill(
        columns=", ".join(chosen), settlement=rows, undone=beside, same=" AND ".join(same)
    )


def enrolled(jobs: Sequence[Job]) -> str:
    """What to read enrolment from, every row with each plan year asked about."""
    rows = source(jobs, "enrolment")
    if not at(jobs):
        return (
            f"(SELECT *, {jobs[0].plan_year} AS plan_year FROM {rows} WHERE city = {literal(jobs[0].city)})"
        )
    places = ", ".join(f"({literal(job.city)}, {job.plan_year})" for job in jobs)
    return f"{rows} JOIN (VALUES {places}) AS place (city, plan_year) USING (city)"


def at(jobs: Sequence[Job]) -> tuple[str, ...]:
    """Columns that tell the rows of several jobs apart; of one job none are needed."""
    return ("city", "plan_year") if len(jobs) > 1 else ()


def leading(jobs: Sequence[Job]) -> str:
    """The same at the head of a list of columns."""
    return "".join(f"{c}, " for c in at(jobs))


def place(jobs: Sequence[Job]) -> str:
    """The columns city and plan_year, where rows have them only as far as `at` says."""
    return ", ".join(at(jobs)) or f"{literal(jobs[0].city)} AS city, {jobs[0].plan_year} AS plan_year"


@cache
def query(name: str) -> Query:
    """A `.sql` file of this wing."""
    return Query.load(HERE / f"{name}.sql")

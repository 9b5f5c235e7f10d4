"""One city and plan year: from its canonical files to its two fact files, by SQL on one connection."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from analytics import reference
from analytics.intake import contract
from analytics.store import FORMAT, Partition, Query, literal, parquet
from analytics.tiers import TIER, TIERS, full_order

HERE = Path(__file__).parent
DIMENSIONS = (
    "insurance_type",
    "person_group",
    "age_band",
    "sex",
    "hospital_level",
    "care_type",
    "cross_region",
    "product",
)
AMOUNTS = (
    "cost_fen",
    "in_policy_fen",
    "advance_fen",
    "out_of_catalogue_fen",
    "hospital_borne_fen",
    "own_cash_fen",
    "statutory_paid_fen",
)
GROUPS = (
    "destitute",
    "low_income",
    "near_low_income",
    "monitored",
    "general",
)  # the most protected one counts


@dataclass(frozen=True)
class Job:
    """One city and plan year: its input files, its plan's order of payment and its policy line."""

    city: str
    plan_year: int
    inputs: dict[str, tuple[Partition, ...]]
    plan_order: tuple[str, ...]
    plan_file: str
    policy_line_fen: int | None

    def key(self, version: str) -> str:
        """Equal keys mean byte-equal facts: inputs, order, line and the version of the code that builds."""
        parts = [self.city, self.plan_year, self.plan_order, self.policy_line_fen, version]
        parts += [p.sha256 for partitions in self.inputs.values() for p in partitions]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


class Work:
    """The SQL of one partition on one connection (one thread, so that its files are byte-identical each time)."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, number: int, job: Job, key: str, staging: Path
    ) -> None:
        self.con, self.number, self.job, self.key, self.staging = con, number, job, key, staging

    def run(self) -> list[dict[str, Any]]:
        for table, partitions in self.job.inputs.items():
            name = "household_year_delivered" if table == "household_year" else table
            source = (
                f"SELECT * FROM {parquet([p.path for p in partitions])}"
                if partitions
                else contract(table).empty
            )
            self._do(f"CREATE TEMP VIEW {name} AS {source}")
        files = []
        if self.job.inputs["settlement"] or self.job.inputs["commercial_claim"]:
            self._do(
                f"CREATE TEMP TABLE person_paid AS {self._person_paid()}",
                city=self.job.city,
                plan_year=self.job.plan_year,
            )
            self._do(f"CREATE TEMP VIEW person_year AS {self._person_year()}")
            files.append(self._write("person_year", "SELECT * FROM person_year", "household_id, person_id"))
            line: dict[str, Any] = {
                "plan_year": self.job.plan_year,
                "policy_line_fen": self.job.policy_line_fen,
            }
            files.append(self._write("household_year", self._household_year(), "household_id", **line))
            if files[0]["cost_fen"] != files[1]["cost_fen"]:
                raise RuntimeError(
                    f"{self.job.city} {self.job.plan_year}: households hold other money than persons"
                )
        if self.job.inputs["household_year"]:
            files.append(self._write("household_year", self._survey(), "household_id", "-survey"))
        return files

    def _do(self, sql: str, **parameters: Any) -> None:
        self.con.execute(sql, parameters).fetchall()

    def _person_paid(self) -> str:
        settled = [
            f"sum(({' + '.join(f'{f}_fen' for f in t.national_fields)})::DOUBLE)::BIGINT AS {t.id}_settled"
            for t in TIERS
            if t.national_fields
        ]
        claimed = [
            f"coalesce(sum(paid_amt_fen::DOUBLE) FILTER (tier = {literal(t.id)}), 0)::BIGINT AS {t.id}_claimed"
            for t in TIERS
        ]
        paid = [f"{_settled(t.id)} + coalesce({t.id}_claimed, 0) AS {t.paid}" for t in TIERS]
        statutory = " + ".join(_settled(t.id) for t in TIERS if t.national_fields)
        ages = " ".join(
            f"WHEN $plan_year - birth_year BETWEEN {b['from']} AND {b['to']} THEN {literal(b['id'])}"
            for b in _age_bands()
        )
        return Query.load(HERE / "person_year.sql").fill(
            settled_tiers=",\n        ".join(settled),
            claimed_tiers=", ".join(claimed),
            group_rank=f"-list_position({literal(GROUPS)}, person_group)",
            age_band=f"CASE {ages} ELSE 'unknown' END",
            paid=",\n    ".join([*paid, f"{statutory} AS statutory_paid_fen"]),
        )

    def _told(self) -> set[str]:
        """Tiers of the plan that the delivered tables can show. Insurers and charities are not in the national record:
        without their file what they paid is unknown, not zero.
        """
        claims = bool(self.job.inputs["commercial_claim"])
        return {k for k in self.job.plan_order if TIER[k].national_fields or claims}

    def _covered(self, table: str, told: set[str]) -> list[str]:
        """Tiers of this city-year in order of payment: those told of, and those that paid anything."""
        sums = ", ".join(f"coalesce(sum({t.paid}::DOUBLE), 0)" for t in TIERS)
        paid = dict(zip(TIER, self.con.execute(f"SELECT {sums} FROM {table}").fetchall()[0], strict=True))
        return [k for k in full_order(self.job.plan_order) if k in told or paid[k]]

    def _person_year(self) -> str:
        covered = self._covered("person_paid", self._told())
        columns = [
            row[0]
            for row in self.con.execute("DESCRIBE person_paid").fetchall()
            if not row[0].endswith("_paid_fen") or row[0] == "statutory_paid_fen"
        ]
        ledger, left = [], "own_before_fen"
        for k in covered:
            ledger += [TIER[k].paid, f"{left} - {TIER[k].paid} AS {TIER[k].after}"]
            left = TIER[k].after
        ledger += [
            f"NULL::BIGINT AS {name}" for t in TIERS if t.id not in covered for name in (t.paid, t.after)
        ]
        coded = {
            name: f"{name}::ENUM({', '.join(literal(v) for v in values)}) AS {name}"
            for name, values in _codes().items()
        }
        return Query.load(HERE / "ledger.sql").fill(
            base_columns=", ".join(coded.get(column, column) for column in columns),
            ledger=",\n    ".join([*ledger, f"{left} AS own_net_fen"]),
        )

    def _household_year(self) -> str:
        money = [
            *AMOUNTS,
            "own_before_fen",
            "own_gross_fen",
            "own_net_fen",
            *(name for t in TIERS for name in (t.paid, t.after)),
        ]
        counts = ("n_settlements", "n_admissions")
        sums = [f"sum({name})::INTEGER AS {name}" for name in counts] + [
            f"sum({name}::DOUBLE)::BIGINT AS {name}" for name in money
        ]
        dimensions = ", ".join(("city", "plan_year", *DIMENSIONS))
        return Query.load(HERE / "household_year.sql").fill(
            dimensions=dimensions, sums=", ".join(sums), amounts=", ".join((*counts, *money))
        )

    def _survey(self) -> str:
        covered = self._covered("household_year_delivered", set())
        ledger, later = [], list(covered)
        for k in covered:
            later.remove(k)
            rest = " + ".join(["own_fen", *(f"coalesce({TIER[j].paid}, 0)" for j in later)])
            ledger += [f"coalesce({TIER[k].paid}, 0) AS {TIER[k].paid}", f"{rest} AS {TIER[k].after}"]
        ledger += [
            f"NULL::BIGINT AS {name}" for t in TIERS if t.id not in covered for name in (t.paid, t.after)
        ]
        return Query.load(HERE / "household_survey.sql").fill(
            no_dimension=", ".join(f"'unknown' AS {name}" for name in DIMENSIONS),
            paid_total=" + ".join(["0::BIGINT", *(f"coalesce({TIER[k].paid}, 0)" for k in covered)]),
            ledger=", ".join(ledger),
        )

    def _write(
        self, table: str, select: str, order: str, suffix: str = "", **parameters: Any
    ) -> dict[str, Any]:
        name = f"{table}-{self.number:05d}{suffix}.parquet"
        target = self.staging / name
        ledger = ", ".join(
            column for t in TIERS for column in (t.paid, t.after)
        )  # the same place in every file
        listed = f"* EXCLUDE ({ledger}), {ledger}"
        self._do(
            f"COPY (SELECT {listed} FROM ({select}) ORDER BY {order}) TO {literal(target)} ({FORMAT})",
            **parameters,
        )
        stated = self.con.execute(
            f"SELECT count(*), coalesce(sum(cost_fen), 0)::VARCHAR FROM {parquet([target])}"
        )
        rows, total = stated.fetchall()[0]
        return {
            "table": table, "name": name, "rows": rows, "city": self.job.city, "plan_year": self.job.plan_year,
            "cost_fen": int(total), "key": self.key, "kind": "survey" if suffix else "claims",
        }  # fmt: skip


@cache
def _codes() -> dict[str, list[str]]:
    """Values a dimension can take. As numbered codes they are several times faster to write; in the files they are text."""
    of = {
        field: [*reference.codes(field)[0], reference.codes(field)[1], "unknown"]
        for field in ("insurance_type", "sex")
    }
    of["hospital_level"] = [*reference.codes("hospital_level")[0], "ungraded", "none"]
    of["care_type"] = [*reference.codes("care_type")[0], "other", "none"]
    of["cross_region"] = ["local", "in_province", "out_province", "unknown", "none"]
    of["person_group"] = [*GROUPS, "unknown"]
    of["age_band"] = [str(band["id"]) for band in _age_bands()] + ["unknown"]
    return {field: list(dict.fromkeys(values)) for field, values in of.items()}


def _age_bands() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = reference.load_toml(reference.root() / "data" / "reference" / "bands.toml")[
        "age_band"
    ]
    return rows


def _settled(tier: str) -> str:
    return f"coalesce({tier}_settled, 0)" if TIER[tier].national_fields else "0::BIGINT"

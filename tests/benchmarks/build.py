"""Build of the facts from a store, against what one would write by hand, each way in a process of its own.

    .venv/bin/python tests/benchmarks/build.py                          10,000,000 settlements, three rounds
    .venv/bin/python tests/benchmarks/build.py --rows 1000000 --rounds 5
    .venv/bin/python tests/benchmarks/build.py --cities 1 --years 1 --rows 5000000 --memory 512MB --ways ours
                                                                        one city-year that outgrows memory

Ours is `facts.build` without prepared and protected answers; it also makes the facts of products, the checks across
partitions, hashes what it reads and writes and publishes. The others make the two core facts (persons, households with
income) from the same sealed files by one query over the whole store, two threads. All are compared over all core columns first.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
from scaled import Scaled

from analytics.facts import build
from analytics.store import Store, parquet
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


def _files(store: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for delivery in Store(store).deliveries():
        for p in delivery.partitions():
            found.setdefault(p.table, []).append(p.path)
    return found


def _undone_rows(store: Path) -> str:
    """The files of refunds do not say their place."""
    return " UNION ALL ".join(
        f"SELECT '{p.city}' AS city, {p.plan_year} AS plan_year, * FROM {parquet([p.path])}"
        for d in Store(store).deliveries() for p in d.partitions("settlement_undone")
    )  # fmt: skip


def naive(store: Path, out: Path) -> None:
    con = duckdb.connect(config={"threads": "2"})
    for table, paths in _files(store).items():
        rows = _undone_rows(store) if table == "settlement_undone" else f"FROM {parquet(paths)}"
        con.execute(f"CREATE VIEW {'undone_rows' if table == 'settlement_undone' else table} AS {rows}").fetchall()
    money = sorted({c for text in AMOUNTS.values() for c in text.split(" + ")})
    left = {c: f"(s.{c} + coalesce(u.{c}, 0))" for c in money}
    sums = [f"sum({' + '.join(left[c] for c in text.split(' + '))})::BIGINT AS {name}" for name, text in AMOUNTS.items()]
    con.execute(NAIVE.format(
        out=out, undone_sums=", ".join(f"sum({c}) AS {c}" for c in money), sums=", ".join(sums),
        claimed=", ".join(f"sum(paid_amt_fen) FILTER (tier = '{t}')::BIGINT AS {t}_claimed" for t in PAID),
        kept=", ".join(f"coalesce({n}, 0) AS {n}" for n in list(AMOUNTS)[:6]),
        paid=", ".join(f"{f'coalesce({t}, 0) + ' if t in SETTLED else ''}coalesce({t}_claimed, 0) AS {t}_paid_fen" for t in PAID),
        household_sums=", ".join(f"sum({c})::BIGINT AS {c}" for c in SUMS), household=", ".join(HOUSEHOLD),
    )).fetchall()  # fmt: skip


def ours(store: Path, out: Path) -> None:
    build(Store(store), workers=2)


def fingerprint(tables: dict[str, Sequence[Path]]) -> dict[str, list[Any]]:
    """Rows, the sum of every column, and of a hash of all core columns of each row."""
    con, found = duckdb.connect(config={"threads": "2"}), {}
    for name, columns in (("person", PERSON), ("household", HOUSEHOLD)):
        told = [f"coalesce({c}, 0)::BIGINT AS {c}" if c in SUMS else c for c in columns]
        kinds = ["VARCHAR" if c in ("city", "insurance_type") else "BIGINT" for c in columns]
        row = ", ".join(f"{c}::{k}" for c, k in zip(columns, kinds, strict=True))
        sums = ", ".join(f"sum({c})" for c in SUMS)
        sql = f"SELECT count(*), sum(hash({row})), sum(income_fen), {sums} FROM (SELECT {', '.join(told)} FROM {parquet(tables[name])})"
        found[name] = list(con.execute(sql if name == "household" else sql.replace("sum(income_fen), ", "")).fetchall()[0])
    return found

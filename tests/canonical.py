"""Hand-made canonical deliveries, sealed as ingest seals them, and what a build makes of them."""

import datetime
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from analytics.facts import build
from analytics.store import Folder, Store
from analytics.store.runner import Local

WEIHAI, ZHUHAI = "371000", "440400"  # Weihai's product year 2023 runs from 2023-09-26 to 2024-09-25
MONEY = tuple(
    f"{name}_fen"
    for name in [
        "medfee_sumamt",
        "fulamt_ownpay_amt",
        "overlmt_selfpay",
        "preselfpay_amt",
        "inscp_scp_amt",
        "hifp_pay",
        "cvlserv_pay",
        "hifes_pay",
        "hifmi_pay",
        "hifob_pay",
        "hifdm_pay",
        "maf_pay",
        "oth_pay",
        "hosp_part_amt",
        "psn_cash_pay",
    ]
)
Rows = list[dict[str, Any]]
COLUMNS = {
    "settlement": "setl_id mdtrt_id person_key provider_id setl_time updt_time row_kind city plan_year insurance_type care_type hospital_level sex "
    f"cross_region birth_year special_drug_amt_fen {' '.join(MONEY)}",
    "settlement_undone": f"setl_id updt_time kind by_setl_id by_plan_year by_updt_time {' '.join(MONEY)}",
    "commercial_claim": "claim_id product_code tier duty_code person_key setl_id mdtrt_id incurred_date claim_date pay_date is_one_stop "
    "plan_year paid_amt_fen city",
    "commercial_claim_undone": "claim_id city plan_year",
    "enrolment": "person_key insutype start_date end_date person_group is_pre_existing product_code product_year "
    "premium_fen product_since insured_since city insurance_type is_retired",
    "person": "person_key birth_year sex",
    "household_member": "household_key person_key start_date end_date",
    "household_economy": "household_key year size children income_annual_fen consumption_annual_fen food_annual_fen "
    "housing_annual_fen urban",
    "household_year": "household_key city plan_year n_members n_children weight cluster_id stratum_id urban cost_fen own_burden_fen "
    "income_fen consumption_fen food_fen housing_fen basic_paid_fen statutory_supplement_paid_fen serious_illness_paid_fen "
    "medical_assistance_paid_fen inclusive_paid_fen charity_paid_fen other_paid_fen",
    "person_alias": "number_key person_key n_rows",
}
KINDS = {
    "_fen": pl.Int64, "n_rows": pl.Int64, "_key": pl.Int64, "year": pl.Int32, "size": pl.Int32, "n_members": pl.Int32, "children": pl.Int32, "weight": pl.Float64,
    "_date": pl.Date, "_since": pl.Date, "_one_stop": pl.Boolean, "_time": pl.Datetime("us"), "urban": pl.Boolean, "_existing": pl.Boolean, "_retired": pl.Boolean,
}  # fmt: skip


def schema(table: str) -> dict[str, Any]:
    names = COLUMNS[table].split()
    return {n: next((kind for end, kind in KINDS.items() if n.endswith(end)), pl.String) for n in names}


CUT = {
    "settlement": ("city", "plan_year"),
    "settlement_undone": ("city", "plan_year"),
    "commercial_claim": ("city", "plan_year"),
    "commercial_claim_undone": ("city", "plan_year"),
    "household_year": ("city", "plan_year"),
    "enrolment": ("city",),
}


def deliver(store: Path, *, numbered: bool = False, turn: int = 0, **tables: Rows) -> None:
    """Seal one delivery of canonical rows, cut as ingest cuts them."""
    kept = Store(store)
    with kept.building() as staging:
        files = []
        for table, rows in tables.items():
            cut = CUT.get(table, ())
            cells = defaultdict(list)
            for row in rows:
                cells[tuple(row[c] for c in cut)].append(row)
            for cell, part in sorted(cells.items()):
                name, columns = f"{table}-{len(files):05d}.parquet", schema(table)
                lines = [{c: row.get(c) for c in columns} for row in part]
                pl.DataFrame(lines, schema=columns).write_parquet(staging / name)
                place = dict(zip(cut, cell, strict=True)) | ({"numbered": True} if numbered else {})
                files.append({"table": table, "name": name, "rows": len(part), **place})
        told = {
            "table": min(tables),
            "rows_loaded": sum(map(len, tables.values())),
            "synthetic": False,
            "key": {"id": "tests"},
            "turn": turn,
        }
        kept.seal("deliveries", staging, files, told)


def settle(
    setl_id: str, fee: int, basic: int = 0, *, person: int = 1, year: int = 2023, **other: Any
) -> dict[str, Any]:
    """A settlement of `fee` fen, all in policy, of which the basic fund paid `basic` and the person the rest in cash."""
    money = dict.fromkeys(MONEY, 0)
    money |= {
        "medfee_sumamt_fen": fee,
        "inscp_scp_amt_fen": fee,
        "hifp_pay_fen": basic,
        "psn_cash_pay_fen": fee - basic,
    }
    return {
        "setl_id": setl_id, "mdtrt_id": f"M{setl_id}", "person_key": person, "updt_time": None, "row_kind": "normal",
        "city": WEIHAI, "plan_year": year, "insurance_type": "resident", "care_type": "inpatient", "hospital_level": "2",
        "sex": "female", "cross_region": "local", "birth_year": 1960, **money, **other,
    }  # fmt: skip


def undo(row: Mapping[str, Any], kind: str, by: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What ingest writes beside a settlement that another row undoes; `by` is the negative row."""
    gone = {
        "city": row["city"], "plan_year": row["plan_year"], "setl_id": row["setl_id"], "updt_time": row["updt_time"],
        "kind": kind, "by_setl_id": row["setl_id"],
    }  # fmt: skip
    if by is not None:
        gone |= {
            "by_setl_id": by["setl_id"],
            "by_plan_year": by["plan_year"],
            **{m: by[m] for m in MONEY},
        }
    return gone


def negative(setl_id: str, row: Mapping[str, Any], share: int = 1, **other: Any) -> dict[str, Any]:
    """The reversal of a settlement, or of a `share`-th of it."""
    money = {m: -(row[m] // share) for m in MONEY}
    return {**row, **money, "setl_id": setl_id, "row_kind": "reversal", **other}


def claim(claim_id: str, paid: int, *, person: int = 1, **other: Any) -> dict[str, Any]:
    return {
        "claim_id": claim_id, "product_code": "wnb", "tier": "inclusive", "person_key": person, "plan_year": 2023,
        "paid_amt_fen": paid, "city": WEIHAI, **other,
    }  # fmt: skip


def enrol(person: int, **other: Any) -> dict[str, Any]:
    return {
        "person_key": person, "insutype": "390", "start_date": datetime.date(2020, 1, 1), "end_date": None, "city": WEIHAI,
        "person_group": "general", "is_pre_existing": False, "insurance_type": "resident", "is_retired": False, **other,
    }  # fmt: skip


def built(store: Path) -> Folder:
    return build(Store(store), runner=Local(1))


def facts(made: Path | Folder, table: str = "person_year") -> dict[tuple[int, int], dict[str, Any]]:
    """Rows of a fact by (plan year, key)."""
    key = "person_key" if table == "person_year" else "household_key"
    snapshot = built(made) if isinstance(made, Path) else made
    frames = (pl.read_parquet(p.path) for p in snapshot.partitions(table))
    return {(row["plan_year"], row[key]): row for frame in frames for row in frame.iter_rows(named=True)}


def cube_of(snapshot: Folder, place: tuple[str, int] = (WEIHAI, 2023)) -> pl.DataFrame:
    """The prepared answers of a city and plan year."""
    return pl.read_parquet(
        next(p.path for p in snapshot.partitions("cube") if (p.city, p.plan_year) == place)
    )


def hashes(snapshot: Folder) -> dict[str, str]:
    return {p.path.name: p.sha256 for p in snapshot.partitions()}


def checks(snapshot: Folder, year: int = 2023, city: str = WEIHAI) -> dict[str, tuple[Any, ...]]:
    """(status, checked, rows, fee_fen) by rule."""
    rows = [c for c in snapshot.manifest["checks"] if (c["city"], c["plan_year"]) == (city, year)]
    assert sorted(c["rule"] for c in rows) == [
        "I11",
        "Q27",
        "Q28",
        "Q4",
        "late_reversal",
        "several_households",
    ]
    assert all(c["severity"] == "warn" and c["category"] for c in rows)
    return {c["rule"]: (c["status"], c["checked"], c["rows"], c["fee_fen"]) for c in rows}

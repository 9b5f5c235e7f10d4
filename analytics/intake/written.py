"""The loaded rows of a delivery, one file per partition, and the proof that these hold what was counted."""

from typing import TYPE_CHECKING, Any

from analytics.intake.finding import typed_literal
from analytics.intake.gate import Refused
from analytics.store import FORMAT, literal, parquet

if TYPE_CHECKING:
    from analytics.intake.load import Load

SIDE_BY_SIDE = 500_000  # rows of a partition up to which two are sorted and written at once
Counted = tuple[int, str | None]  # rows, and their fee in fen where the table has one


def write(load: "Load") -> list[dict[str, Any]]:
    """One file per partition, rows in the contract's order, names of our own making; and the persons of two keys. Raises
    Refused where a file holds other rows or another fee than were counted.
    """
    rules, gate, staging = load.rules, load.gate, load.staging
    columns = ", ".join(rules.stored)
    order = ", ".join([*(f"{c} NULLS LAST" for c in rules.order), "src_file, src_row"])
    cut = rules.partition
    people = bool(rules.of_type("certificate"))
    certified = people and any(r.key_values("certificate") for r in load.readings)
    numbered = "bool_or(person_key = number_key)" if certified else str(bool(rules.of_type("person"))).lower()
    grouped = f" GROUP BY {', '.join(cut)} ORDER BY {', '.join(f'{c}::VARCHAR' for c in cut)}" if cut else ""
    keys = gate.rows(
        f"SELECT {''.join(f'{c}, ' for c in cut)}{_counted(load)}, coalesce({numbered}, false) FROM {load.good}{grouped}"
    )
    work, files, counted = [], [], {}
    for number, (*values, rows, fee, by_number) in enumerate(keys, 1):
        if not rows:
            continue
        key = dict(zip(cut, values, strict=True))
        where = " AND ".join(f"{c} = {typed_literal(v, rules.stored[c])}" for c, v in key.items()) or "true"
        name = f"{rules.table}-{number:05d}.parquet"
        target = literal(str(staging / name))
        work.append(
            f"COPY (SELECT {columns} FROM {load.good} WHERE {where} ORDER BY {order}) TO {target} ({FORMAT})"
        )
        files.append(
            {"table": rules.table, "name": name, "rows": rows, **key}
            | ({"numbered": True} if by_number else {})
        )
        counted[name] = (rows, fee)
    largest = max((f["rows"] for f in files), default=0)
    gate.run_all(work, width=1 if largest > SIDE_BY_SIDE else 2)
    _prove(load, counted)
    if certified:
        alias = f"SELECT number_key, person_key, count(*) AS n_rows FROM {load.good} WHERE number_key <> person_key GROUP BY ALL"
        ((rows,),) = gate.rows(f"SELECT count(*) FROM ({alias})")
        if rows:
            load.copy(f"{alias} ORDER BY ALL", "person_alias.parquet")
            files.append({"table": "person_alias", "name": "person_alias.parquet", "rows": rows})
    return files


def _counted(load: "Load") -> str:
    fee = load.rules.fee_fen
    return f"count(*), {f'coalesce(sum({fee}::HUGEINT), 0)::VARCHAR' if fee else 'NULL'}"


def _prove(load: "Load", counted: dict[str, Counted]) -> None:
    """Every file is read again: a row that fell out on the way to it would be nowhere."""
    lines = []
    for name, told in counted.items():
        (held,) = load.gate.rows(f"SELECT {_counted(load)} FROM {parquet([load.staging / name])}")
        if held != told:
            came, lies = (f"{rows} rows" + (f" of {fee} fen" if fee else "") for rows, fee in (told, held))
            lines.append(
                f"{name}: {came} were to be written, {lies} were; nothing was loaded, try again, then report it [lost_rows]"
            )
    if lines:
        raise Refused(lines)

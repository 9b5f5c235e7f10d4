"""SQL that turns a source column into its canonical type, and says when it cannot."""

from dataclasses import dataclass

from analytics.intake.contract import Column

# Texts that mean "nothing", none longer than four. One text to look in: a list or IN (...) would be planned as a join.
BLANKS = "'|null|NULL|None|NaN|\\N|--|***|'"
DATES = "['%Y-%m-%d', '%Y%m%d', '%Y/%m/%d', '%Y-%m-%d %H:%M:%S']"
TIMES = "['%Y-%m-%d %H:%M:%S', '%Y-%m-%dT%H:%M:%S', '%Y%m%d%H%M%S', '%Y-%m-%d', '%Y/%m/%d %H:%M:%S', '%Y-%m-%d %H:%M:%S.%f', '%Y-%m-%dT%H:%M:%S.%f']"
INT32 = 2**31 - 1
INT64 = 2**63 - 1
_INTEGERS = {
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "HUGEINT",
}


class WrongType(ValueError):
    """The whole column has a type that cannot hold what the contract asks for."""


@dataclass(frozen=True)
class Typed:
    """How one canonical column is read, in three steps a query can take one after the other, each naming the one before:
    `raw` (the source value, blanks as NULL), `value` (an expression of `{raw}`), and `default` for what is empty.
    """

    raw: str
    value: str
    default: str = ""
    reason: str = ""

    @property
    def can_fail(self) -> bool:
        """Whether a filled source value may turn out not to be convertible."""
        return bool(self.reason)


def constant(value: str) -> Typed:
    """A column that does not come from the file."""
    return Typed(value, "{raw}")


def convert(column: Column, raw: str, kind: str, scale: int) -> Typed:
    """Reading of SQL expression `raw` of DuckDB type `kind`; `scale` is fen per source unit. Raises WrongType."""
    if kind == "VARCHAR":
        short = f"CASE WHEN contains({BLANKS}, '|' || trim({raw}) || '|') THEN NULL ELSE nullif(trim({raw}), '') END"
        raw = f"CASE WHEN strlen({raw}) <= 4 OR starts_with({raw}, ' ') OR ends_with({raw}, ' ') THEN {short} ELSE {raw} END"
    value = _money(column, "{raw}", kind, scale) if column.type == "money" else _plain(column, "{raw}", kind)
    always = value == "{raw}" or column.type in {"id", "code"}
    name = {"money": "bad_amount"}.get(column.type, f"bad_{column.type}")
    return Typed(raw, value, reason="" if always else f"{name}({column.name})")


def _plain(column: Column, raw: str, kind: str) -> str:
    wanted = column.sql_type
    if column.type in {"id", "code"}:
        if kind in {"DOUBLE", "FLOAT"}:
            raise WrongType("is a floating number, long identifiers lose digits in it; deliver it as text")
        return raw if kind == "VARCHAR" else f"({raw})::VARCHAR"
    if column.type in {"date", "timestamp"}:
        if kind == "VARCHAR":
            return f"try_strptime({raw}, {DATES if column.type == 'date' else TIMES})" + (
                "::DATE" if column.type == "date" else ""
            )
        if kind == "TIMESTAMP WITH TIME ZONE":
            raw = f"({raw}) AT TIME ZONE 'Asia/Shanghai'"
        elif kind not in {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}:
            raise WrongType(f"is {kind}, not a date; deliver a date or text like 2023-05-31")
        return f"({raw})::{wanted}"
    if column.type == "flag":
        if kind == "VARCHAR":
            return f"CASE WHEN lower({raw}) IN ('1', 'true', 'yes', 'y', '是') THEN true WHEN lower({raw}) IN ('0', 'false', 'no', 'n', '否') THEN false END"
        return f"CASE ({raw})::DOUBLE WHEN 1 THEN true WHEN 0 THEN false END"
    if kind in {"DOUBLE", "FLOAT"} and column.type == "integer":
        return f"CASE WHEN ({raw}) = round({raw}) THEN try_cast({raw} AS INTEGER) END"
    number = f"try_cast({raw} AS {wanted})"
    return f"CASE WHEN isfinite({number}) THEN {number} END" if column.type == "number" else number


def _money(column: Column, raw: str, kind: str, scale: int) -> str:
    """Fen. From yuan (scale 100) only what is exact to the fen converts; a survey's larger scale rounds half up."""
    bound = INT64 if column.wide else INT32
    if scale != 100:
        fen = f"round(try_cast({raw} AS DOUBLE) * {scale})"
        return f"CASE WHEN abs({fen}) <= {2**53 * 512} THEN ({fen})::{column.sql_type} END"
    if kind in {"DOUBLE", "FLOAT"}:
        fen = f"(({raw})::DOUBLE * 100)"
        return f"CASE WHEN abs({fen} - round({fen})) < 0.001 AND abs({fen}) <= {min(bound, 2**53)} THEN round({fen})::{column.sql_type} END"
    if kind == "VARCHAR":
        number = f"(CASE WHEN regexp_full_match({raw}, '[+-]?[0-9]{{1,17}}([.][0-9]{{1,6}})?') THEN try_cast({raw} AS DECIMAL(24, 6)) * 100 END)"
        return f"CASE WHEN {number} = trunc({number}) AND abs({number}) <= {bound} THEN {number}::{column.sql_type} END"
    if kind in _INTEGERS:
        return f"try_cast(({raw})::HUGEINT * 100 AS {column.sql_type})"
    if kind.startswith("DECIMAL"):
        digits = int(kind.rstrip(")").split(",")[1])
        if digits <= 2:  # whole fen; exact in a double within the bound, and faster than a wide decimal
            fen = f"round(({raw})::DOUBLE * 100)"
            return f"CASE WHEN abs({fen}) <= {min(bound, 2**53)} THEN {fen}::{column.sql_type} END"
        fen = f"(({raw}) * 100)"
        return f"try_cast(CASE WHEN {fen} = trunc({fen}) THEN {fen} END AS {column.sql_type})"
    raise WrongType(f"is {kind}, not an amount; deliver yuan with two decimals")

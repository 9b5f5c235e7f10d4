"""Contracts and rules of the canonical tables, read from `contracts/*.toml` and `rules/*.toml`."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from analytics.reference import Form, Text, codes, load_toml
from analytics.store import literal
from analytics.tiers import TIERS

HERE = Path(__file__).parent
TABLES = (
    "settlement",
    "commercial_claim",
    "enrolment",
    "person",
    "household_member",
    "household_economy",
    "household_year",
)
ColumnType = Literal["id", "code", "integer", "number", "flag", "date", "timestamp", "money"]
SQL_TYPE = {
    "id": "VARCHAR",
    "code": "VARCHAR",
    "integer": "INTEGER",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}


_REASONS = {
    "bad_amount": ("金额无法准确读取", "Amount cannot be read exactly"),
    "bad_integer": ("不是整数", "Not a whole number"),
    "bad_number": ("不是数值", "Not a number"),
    "bad_date": ("日期无法读取", "Date cannot be read"),
    "bad_timestamp": ("时间无法读取", "Time cannot be read"),
    "bad_flag": ("不是是/否", "Not a yes or no"),
    "missing": ("必填项为空", "Required value is empty"),
    "already_loaded": ("此前的交付已入库", "Already loaded by an earlier delivery"),
    "column_absent": ("文件无此列，按 0 计", "The file has no such column, read as 0"),
}


class Column(Form):
    """One column of a canonical table. `required`: the file must have it, and a row must fill it unless `nullable`.
    Money is fen inside (INTEGER with a checked bound, BIGINT when `wide`) and its stored name ends in `_fen`.
    """

    name: str
    type: ColumnType
    zh: str
    required: bool = False
    nullable: bool = False
    default: str | int | bool | None = None
    aliases: tuple[str, ...] = ()
    wide: bool = False

    @property
    def stored(self) -> str:
        return f"{self.name}_fen" if self.type == "money" else self.name

    @property
    def sql_type(self) -> str:
        return ("BIGINT" if self.wide else "INTEGER") if self.type == "money" else SQL_TYPE[self.type]

    @property
    def must_fill(self) -> bool:
        return self.required and not self.nullable


class Derived(Form):
    """A column computed at intake: by SQL over the columns (`among`: all values it can give, where they are few), or by a
    national code list (`map` of expression `of`)."""

    name: str
    sql: str = ""
    among: tuple[str, ...] = ()
    map: str = ""
    of: str = ""

    @property
    def values(self) -> tuple[str, ...]:
        if not self.map:
            return self.among
        ours, other = codes(self.map)
        return tuple(dict.fromkeys([*ours, other]))

    @property
    def expression(self) -> str:
        if not self.map:
            return self.sql
        ours, other = codes(self.map)
        whens = " ".join(
            f"WHEN {literal(c)} THEN {literal(code)}" for code, source in ours.items() for c in source
        )
        return f"CASE {self.of} {whens} ELSE {literal(other)} END"


class Rule(Form):
    """One check. `violation` is SQL that is true for a row that breaks it; NULL is not a violation."""

    id: str
    category: Literal["conformance", "completeness", "plausibility", "accounting"]
    severity: Literal["quarantine", "warn"]
    title: Text
    violation: str
    tolerance: int = 0
    variants: tuple[str, ...] = ()
    each: tuple[str, ...] = ()

    def sql(self, variant: str = "", **slots: str) -> str:
        """The violation as one boolean, never NULL."""
        text = self.violation.replace("{t}", str(self.tolerance)).replace("{variant}", variant)
        for slot, value in slots.items():
            text = text.replace("{" + slot + "}", value)
        if self.each:
            text = " OR ".join(text.replace("{each}", column) for column in self.each)
        return f"coalesce({text}, false)"


class Contract(Form):
    """A canonical table: what one row is, its columns, how it is cut and ordered on disk, and its checks."""

    table: str
    title: Text
    grain: str
    partition: tuple[str, ...]
    order: tuple[str, ...]
    column: tuple[Column, ...]
    derived: tuple[Derived, ...]
    unique: str = ""
    unique_within: tuple[str, ...] = ()
    version: str = ""
    fee: str = ""
    tiers: bool = False
    dialects: dict[str, str] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """Declared columns, and one optional money column per tier where the contract says `tiers`."""
        if not self.tiers:
            return self.column
        paid = tuple(
            Column(name=f"{t.id}_paid", type="money", zh=t.zh, wide=True, nullable=True) for t in TIERS
        )
        return self.column + paid

    def reason(self, rule: str) -> Text:
        """What a rule or a generated reason such as `bad_amount(hifp_pay)` means, with the column's Chinese name."""
        for known in self.rules:
            if known.id == rule:
                return known.title
        kind, _, column = rule.rstrip(")").partition("(")
        name = next((f"{c.zh} {c.name}" for c in self.columns if c.name == column), column)
        zh, en = _REASONS.get(kind, (kind, kind))
        if kind.startswith("duplicate_"):
            zh, en = (
                "编号重复，较旧或无法判断",
                "Identifier stands twice: older, or nobody can tell which is right",
            )
        return Text(zh=f"{zh}：{name}" if name else zh, en=f"{en}: {column}" if column else en)

    @property
    def key(self) -> tuple[str, ...]:
        return (self.unique,) if self.unique else self.unique_within

    @property
    def fee_fen(self) -> str:
        return f"{self.fee}_fen" if self.fee else ""

    @property
    def stored(self) -> dict[str, str]:
        """Columns on disk and their SQL types; derived columns are text unless their name says a year or a flag."""
        declared = {column.stored: column.sql_type for column in self.columns}
        for derived in self.derived:
            kind = (
                "INTEGER"
                if derived.name == "plan_year"
                else "BOOLEAN"
                if derived.name.startswith("is_")
                else "VARCHAR"
            )
            declared[derived.name] = kind
        return declared

    @property
    def empty(self) -> str:
        """A SELECT with this table's columns and no row."""
        columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in self.stored.items())
        return f"SELECT {columns} WHERE false"


@cache
def contract(table: str) -> Contract:
    """Contract of a canonical table. Raises ValueError for an unknown table."""
    if table not in TABLES:
        raise ValueError(f"--as {table}: no such table; tables are {', '.join(TABLES)}")
    data = load_toml(HERE / "contracts" / f"{table}.toml")
    rules = load_toml(HERE / "rules" / f"{table}.toml").get("rule", [])
    return Contract.model_validate({**data, "rules": rules})

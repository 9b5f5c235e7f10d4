"""Contracts of the canonical tables, read from `contracts/*.toml`, with their rules (`rules/*.toml`)."""

import unicodedata
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from analytics.intake.rule import Batch, Rule, generated, widened
from analytics.reference import Form, Text, codes, diseases, load_toml
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
ColumnType = Literal[
    "id", "code", "integer", "number", "flag", "date", "timestamp", "money", "person", "certificate", "household"
]  # fmt: skip
SQL_TYPE = {
    "id": "VARCHAR",
    "code": "VARCHAR",
    "integer": "INTEGER",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "person": "BIGINT",
    "household": "BIGINT",
    "certificate": "VARCHAR",
}
FEN_OF_YUAN = 100
KEYED = {"person": "person_key", "household": "household_key"}


def folded(name: str) -> str:
    """A column name as it is compared: no blanks, byte-order marks or full-width forms around it, no case."""
    return unicodedata.normalize("NFKC", name).strip().strip("\ufeff\u200b").casefold()


class Column(Form):
    """One column of a canonical table.

    `required`: the file must have it, and a row must fill it unless `nullable`; `unless_reversal`: rows of a refund may
    lack it. `aliases`: other spellings, tried after the name; where the name stands among them, they are the whole order.
    `pick`: how a row decides between several spellings of one file: the first that is filled, the one that is not
    zero, or the one for which `fits` holds ({candidate} stands for it). `derive`: SQL that fills an empty cell from other
    columns, with a flag `derived_<name>`. `unknown`: SQL that is true of a value that stands for none, which is read as empty,
    with a flag `unknown_<name>`. `transient`: read and checked, not stored; `private`: not
    kept in quarantine either. Money is fen inside (INTEGER with a
    checked bound, BIGINT when `wide`), its stored name ends in `_fen`; persons and households are stored as keys.
    """

    name: str
    type: ColumnType
    zh: str
    required: bool = False
    nullable: bool = False
    unless_reversal: bool = False
    default: str | int | bool | None = None
    aliases: tuple[str, ...] = ()
    pick: Literal["filled", "nonzero", "fits"] = "filled"
    fits: str = ""
    derive: str = ""
    unknown: str = ""
    wide: bool = False
    transient: bool = False
    private: bool = False

    @property
    def stored(self) -> str:
        return KEYED.get(self.type, f"{self.name}_fen" if self.type == "money" else self.name)

    @property
    def sql_type(self) -> str:
        return ("BIGINT" if self.wide else "INTEGER") if self.type == "money" else SQL_TYPE[self.type]

    @property
    def spellings(self) -> tuple[str, ...]:
        return self.aliases if self.name in self.aliases else (self.name, *self.aliases)

    @property
    def must_fill(self) -> bool:
        return self.required and not self.nullable


ICD = "icd_category"  # made of the column `icd` names before the chapter is, which looks at it many times


class Derived(Form):
    """A column computed at intake: by SQL over the columns (`among`: all values it can give, where they are few), by a
    national code list (`map` of expression `of`), or as the ICD-10 chapter of a column (`icd`)."""

    name: str
    sql: str = ""
    among: tuple[str, ...] = ()
    map: str = ""
    of: str = ""
    icd: str = ""
    type: Literal["VARCHAR", "INTEGER", "BOOLEAN"] = "VARCHAR"
    transient: bool = False

    @property
    def values(self) -> tuple[str, ...]:
        if self.icd:
            return (*(c.id for c in diseases()), "unknown")
        if not self.map:
            return self.among
        ours, other = codes(self.map)
        return tuple(dict.fromkeys([*ours, other]))

    @property
    def expression(self) -> str:
        if self.icd:
            within = " ".join(
                f"WHEN {ICD} BETWEEN {literal(c.first)} AND {literal(c.last)} THEN {literal(c.id)}"
                for c in diseases()
            )
            # a letter and two digits; M and five digits is the national list of special outpatient diseases
            odd = f"NOT coalesce(regexp_full_match({ICD}, '[A-Z][0-9]{{2}}'), false) OR regexp_full_match(upper({self.icd}), 'M[0-9]{{5}}')"
            return f"CASE WHEN {odd} THEN 'unknown' {within} ELSE 'unknown' END"
        if not self.map:
            return f"try_cast({widened(self.sql)} AS {self.type})" if self.name.endswith("_fen") else self.sql
        ours, other = codes(self.map)
        whens = " ".join(
            f"WHEN {literal(c)} THEN {literal(code)}" for code, source in ours.items() for c in source
        )
        return f"CASE {self.of} {whens} ELSE {literal(other)} END"


class Dialect(Form):
    """How a file of this table is recognised: the columns it has and lacks. The first that fits names it."""

    name: str
    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()


class Contract(Form):
    """A canonical table: what one row is, its columns, how it is cut on disk, and its checks. Rows lie in the `order` of some
    columns (empty ones last), among equals and without it in that in which they came.

    `newest`: what several deliveries say of one key is loaded from each, and the newest counts where facts are built.
    `reversal`: SQL of a row that takes back its key: no row of that key counts, whichever came first.
    `whole`: name of a flag -> columns; the flag says of every row whether its file has them all. `own_currency`: its amounts may be in
    any currency, whose decimals a larger scale keeps.
    """

    table: str
    title: Text
    grain: str
    partition: tuple[str, ...]
    order: tuple[str, ...] = ()
    column: tuple[Column, ...]
    derived: tuple[Derived, ...]
    unique: tuple[str, ...] = ()
    version: str = ""
    newest: bool = False
    fee: str = ""
    tiers: bool = False
    own_currency: bool = False
    refunds: bool = False
    reversal: str = ""
    dialect: tuple[Dialect, ...] = ()
    whole: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    batch: Batch = Batch()
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

    def of_type(self, *types: str) -> tuple[Column, ...]:
        """The columns of the given types."""
        return tuple(c for c in self.columns if c.type in types)

    @property
    def money(self) -> tuple[str, ...]:
        """Stored names of the money columns that are kept."""
        return tuple(c.stored for c in self.of_type("money") if not c.transient)

    def known(self, names: Collection[str]) -> int:
        """How many folded column names of a file are spellings of ours."""
        return len({folded(s) for c in self.columns for s in c.spellings} & set(names))

    def is_met(self, names: Collection[str]) -> bool:
        """Whether a file of these folded column names has every column it must have; a person may be given by certificate."""
        certified = [s for c in self.of_type("certificate") for s in c.spellings]
        return all(
            any(folded(s) in names for s in (*c.spellings, *(certified if c.type == "person" else ())))
            for c in self.columns
            if c.required and not c.unless_reversal
        )

    def reason(self, rule: str) -> Text:
        """What a rule or a generated reason such as `bad_amount(hifp_pay)` means, with the column's Chinese name."""
        for known in self.rules:
            if known.id == rule:
                return known.title
        return generated(rule, {c.name: c.zh for c in self.columns})

    @property
    def fee_fen(self) -> str:
        return f"{self.fee}_fen" if self.fee else ""

    def per_yuan(self, scale: int) -> int:
        """Stored units of one yuan, or of one unit of a survey's own currency: 100 (fen), there as many as its scale keeps. `scale`: fen
        per source unit, see mapping.Money.
        """
        return max(scale, FEN_OF_YUAN) if self.own_currency else FEN_OF_YUAN

    @property
    def stored(self) -> dict[str, str]:
        """Columns on disk and their SQL types."""
        declared = {c.stored: c.sql_type for c in self.columns if not c.transient and c.type != "certificate"}
        return declared | {d.name: d.type for d in self.derived if not d.transient}

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
    rules = load_toml(HERE / "rules" / f"{table}.toml")
    shared = load_toml(HERE / "rules" / "every_table.toml")
    return Contract.model_validate({
        **data,
        "batch": shared["batch"],
        "rules": [*rules.get("rule", []), *shared["rule"]],
    })  # fmt: skip


def other_fit(chosen: Contract, names: Collection[str], times: int) -> str:
    """The other table whose columns a file of these folded names has, `times` as many and more of them than the chosen one's; or ""."""
    others = (contract(table) for table in TABLES if table != chosen.table)
    best = max((c for c in others if c.is_met(names)), key=lambda c: c.known(names), default=chosen)
    return best.table if best.known(names) > times * chosen.known(names) else ""

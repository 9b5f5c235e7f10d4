"""Rules as data: what is checked, how grave it is, and what came of it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal

from analytics.reference import Form, Text

Category = Literal["conformance", "completeness", "plausibility", "accounting"]
Severity = Literal["reject", "quarantine", "set_aside", "correct", "warn", "info"]
WAITING: tuple[Severity, ...] = ("quarantine", "set_aside")

_GENERATED = {
    "bad_amount": ("金额无法准确读取", "Amount cannot be read exactly"),
    "over_limit": (
        "金额超过该列可存的上限（2147 万元；较宽的列更高）",
        "Amount is above what the column holds (21.47 million yuan; more where it is wide)",
    ),
    "bad_integer": ("不是整数", "Not a whole number"),
    "bad_number": ("不是数值", "Not a number"),
    "bad_date": ("日期无法读取", "Date cannot be read"),
    "bad_timestamp": ("时间无法读取", "Time cannot be read"),
    "bad_flag": ("不是是/否", "Not a yes or no"),
    "bad_text": ("含不可见字符", "Holds characters that cannot be seen"),
    "missing": ("必填项为空", "Required value is empty"),
    "column_absent": ("文件无此列，按 0 计", "The file has no such column, read as 0"),
    "no_line_end": (
        "末行之后没有换行，末尾可能被截断，请与来源核对该行（文件:行）",
        "No line end after the last row, which may be cut off: compare it with its source (file:row)",
    ),
    "looks_like": (
        "各列多为另一张表所有，请核对交付时选的是哪张表（文件: 表）",
        "Most of its columns are those of another table: check which it was handed in as (file: table)",
    ),
    "same_file": (
        "与本次交付的另一文件内容相同，只入一次",
        "The same content as another file of this delivery, loaded once",
    ),
    "alias_conflict": (
        "同一项的两种写法都有值且不同",
        "Two spellings of one item are both filled and differ",
    ),
}


class Batch(Form):
    """Limits of a whole delivery; below `rows` rows a share says nothing. `waiting` and `fee`: share of rows and of the
    fee that may wait without a sign-off; `mapping`: share of rows that may break an accounting rule; `control`: how far
    the fee may be from the total the sender states; `ids`: share of certificates that may fail their check digit;
    `inpatient_fee`: median, fen, above which whole amounts are taken for fen; `whole`: filled values of a fund, none with fen,
    from which it is taken for cut off.
    """

    rows: int = 100
    waiting: Decimal = Decimal("0.01")
    fee: Decimal = Decimal("0.005")
    mapping: Decimal = Decimal("0.01")
    control: Decimal = Decimal("0.001")
    ids: Decimal = Decimal("0.01")
    inpatient_fee: int = 20_000_000
    whole: int = 20


class Rule(Form):
    """One check. `violation` is SQL that is true for a row that breaks it (NULL is not a violation); `when` says for which
    rows it is asked at all; `needs` names columns the file must have (`a|b`: one of them), else the rule is not applicable. A rule without
    `violation` is counted by the loader itself. `limit`: share of the fee above which the whole file is refused.
    `measures`: what a finding touches. `identity`: broken in bulk, it means that columns are mapped wrongly.
    """

    id: str
    category: Category
    severity: Severity
    title: Text
    violation: str = ""
    when: str = ""
    needs: tuple[str, ...] = ()
    tolerance: int = 0
    limit: Decimal | None = None
    refusal: str = ""
    identity: bool = False
    variants: tuple[str, ...] = ()
    each: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()

    def sql(self, variant: str = "", **slots: str) -> str:
        """The violation as one boolean, never NULL."""
        text = self.violation.replace("{t}", str(self.tolerance)).replace("{variant}", variant)
        for slot, value in slots.items():
            text = text.replace("{" + slot + "}", value)
        if self.each:
            text = " OR ".join(text.replace("{each}", column) for column in self.each)
        return f"coalesce(({widened(text)}) AND ({self.when or 'true'}), false)"


def widened(sql: str) -> str:
    """SQL over stored amounts whose sums and differences cannot overflow."""
    return re.sub(r"\b\w+_fen\b", r"(\g<0>::BIGINT)", sql)


@dataclass
class Finding:
    """What one rule found in a delivery. `checked`: rows it was asked for; `status`: passed, found or not_applicable."""

    rule: str
    category: str
    severity: str
    status: str
    checked: int = 0
    rows: int = 0
    fee_fen: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def generated(reason: str, columns: Mapping[str, str]) -> Text:
    """Words for a reason that stands in no rule file, such as `missing(person_id)`; `columns`: Chinese names."""
    kind, _, column = reason.rstrip(")").partition("(")
    zh, en = _GENERATED.get(kind, (kind, kind))
    if not column:
        return Text(zh=zh, en=en)
    return Text(zh=f"{zh}：{columns.get(column, '')} {column}".replace("： ", "："), en=f"{en}: {column}")

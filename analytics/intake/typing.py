"""SQL that turns a source column into its canonical type, and says when it cannot."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from analytics.intake.contract import Column
from analytics.store import literal

# Texts that mean "nothing", none longer than four. One text to look in: a list or IN (...) would be planned as a join.
BLANKS = "'|null|NULL|None|NaN|nan|\\N|--|***|'"
_BLANK = set(BLANKS.strip("'").strip("|").split("|")) | {""}
IDENTIFIERS = {"id", "person", "household", "certificate"}
INT32 = 2**31 - 1
INT64 = 2**63 - 1
EXACT = 2**53  # whole numbers a double holds
_INTEGERS = {
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT",
}  # fmt: skip
_AROUND = "' ' || chr(9)"  # what may stand around a value
_INVISIBLE = r"'[\p{Cc}\p{Cf}\p{Co}\x{FFFD}]'"
_PLAIN = "'[+-]?[0-9]{1,17}([.][0-9]{1,2})?'"
_EXACT = "'[+-]?[0-9]{1,17}([.][0-9]{1,6})?'"
_GROUPED = "'[+-]?[0-9]{1,3}(,[0-9]{3})+([.][0-9]{1,6})?'"
_SCIENTIFIC = "'[+-]?[0-9]([.][0-9]{1,15})?[eE][+]?[0-9]{1,2}'"

# How a date may be written: shape (every digit as 9) -> format. The year comes first, or the file must decide.
_DATE = r"9{4}(?P<s>[-/.])9{1,2}(?P=s)9{1,2}"
_CLOCK = r"(?P<t>[ T])9{1,2}:99(?P<sec>:99)?(?P<frac>\.9{1,9})?(?P<zone>Z|[+-]99:?99)?"
SERIAL = "serial"
_SERIAL = re.compile(r"9{5}(\.9+)?")
_EITHER = re.compile(rf"9{{1,2}}(?P<s>[-/.])9{{1,2}}(?P=s)9{{4}}({_CLOCK})?")
_ORDERED = (
    (re.compile(r"9{4}年9{1,2}月9{1,2}日"), "%Y年%m月%d日"),
    (re.compile(r"9{8}"), "%Y%m%d"),
    (re.compile(r"9{14}"), "%Y%m%d%H%M%S"),
    (re.compile(r"9{17}"), "%Y%m%d%H%M%S%g"),
)
_SPELT = re.compile(rf"{_DATE}({_CLOCK})?")


class WrongType(ValueError):
    """The whole column has a type that cannot hold what the contract asks for."""


@dataclass(frozen=True)
class Typed:
    """How one source column is read, in two steps a query can take one after the other: `raw` (the source value, blanks as
    NULL) and `value` (an expression of `{raw}`). `cleaned`: SQL over the source, true where the text was not plain;
    `reason`: what a filled value that does not convert is called; `over`: SQL of `{raw}` that is true where it is a number, only
    larger than the column holds.
    """

    raw: str
    value: str
    reason: str = ""
    cleaned: str = ""
    over: str = ""

    def refusal(self, raw: str) -> str:
        """SQL of the reason a value `raw` does not convert for."""
        if not self.over:
            return literal(self.reason)
        beyond = self.reason.replace("bad_amount", "over_limit")
        return f"CASE WHEN {self.over.replace('{raw}', raw)} THEN {literal(beyond)} ELSE {literal(self.reason)} END"


def constant(value: str) -> Typed:
    """A column that does not come from the file."""
    return Typed(value, "{raw}")


def shape(text: str) -> str:
    """A text with every digit as 9."""
    return re.sub("[0-9]", "9", text)


def date_formats(shapes: Sequence[str]) -> tuple[list[str], list[str], bool]:
    """Formats that read the shapes of one column; the two that compete where day and month cannot be told apart; and whether
    bare numbers stand there, which are days only where nothing else does.
    """
    found: list[str] = []
    either: list[str] = []
    for text in shapes:
        if match := _EITHER.fullmatch(text):
            s, clock = match["s"], _clock(match)
            either = [f"%d{s}%m{s}%Y{clock}", f"%m{s}%d{s}%Y{clock}"]
        elif _SERIAL.fullmatch(text):
            found.append(SERIAL)
        elif match := _SPELT.fullmatch(text):
            found.append(f"%Y{match['s']}%m{match['s']}%d{_clock(match)}")
        else:
            found += [form for pattern, form in _ORDERED if pattern.fullmatch(text)]
    has_serial = SERIAL in found
    if set(found) != {SERIAL} or either:
        found = [form for form in found if form != SERIAL]
    return list(dict.fromkeys(found)), either, has_serial


def _clock(match: re.Match[str]) -> str:
    if not match["t"]:
        return ""
    zone = "%z" if match["zone"] and match["zone"] != "Z" else "Z" if match["zone"] else ""
    return f"{match['t']}%H:%M{':%S' if match['sec'] else ''}{'.%f' if match['frac'] else ''}{zone}"


def clean_code(text: str) -> str | None:
    """A code as it is meant: half-width, nothing invisible around or inside it; None for nothing."""
    plain = unicodedata.normalize("NFKC", text)
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Cc", "Cf")).strip()
    plain = re.sub(r"^([0-9]+)\.0+$", r"\1", plain)  # a spreadsheet took it for a number
    return None if plain in _BLANK else plain


def code(raw: str, values: Sequence[str]) -> tuple[Typed, list[str]]:
    """Reading of a code column whose different values are known; with the codes that come out of it."""
    meant = {value: clean_code(value) for value in values}
    changed = {value: plain for value, plain in meant.items() if plain != value}
    codes = sorted({plain for plain in meant.values() if plain is not None})
    if not changed:
        return Typed(raw, "{raw}"), codes
    whens = " ".join(f"WHEN {literal(v)} THEN {literal(p)}" for v, p in changed.items())
    odd = " OR ".join(f"{raw} = {literal(v)}" for v, p in changed.items() if p is not None)
    return Typed(f"CASE {raw} {whens} ELSE {raw} END", "{raw}", cleaned=odd), codes


def convert(column: Column, raw: str, kind: str, scale: int, formats: Sequence[str] = ()) -> Typed:
    """Reading of SQL expression `raw` of DuckDB type `kind`; `scale`: fen per source unit; `formats`: of a date written as
    text. Raises WrongType.
    """
    reason = {"money": "bad_amount"}.get(column.type, f"bad_{column.type}") + f"({column.name})"
    source = raw
    if kind == "VARCHAR":
        # a spreadsheet marks text with an apostrophe in front, which is no part of an identifier
        bare, marked = f"trim({raw}, {_AROUND})", ""
        if column.type in IDENTIFIERS:
            bare, marked = (
                f"trim(ltrim({raw}, {_AROUND} || chr(39)), {_AROUND})",
                f" AND NOT starts_with({raw}, chr(39))",
            )
        short = f"CASE WHEN contains({BLANKS}, '|' || {bare} || '|') THEN NULL ELSE nullif({bare}, '') END"
        raw = f"CASE WHEN strlen({raw}) > 4 AND strlen({raw}) = length({raw}) AND NOT contains({raw}, ' ') AND NOT contains({raw}, chr(9)){marked} THEN {raw} ELSE {short} END"
    if column.type == "money":
        return _money(column, source, raw, kind, scale, reason)
    if column.type in {"id", "code", "person", "household", "certificate"}:
        if kind in {"DOUBLE", "FLOAT"}:
            raise WrongType("is a floating number, long identifiers lose digits in it; deliver it as text")
        if kind != "VARCHAR":
            return Typed(raw, "({raw})::VARCHAR")
        odd = f"contains({source}, chr(9)) OR starts_with(ltrim({source}), chr(39))"
        cleaned = odd if column.type in IDENTIFIERS else ""
        if not column.required:
            return Typed(raw, "{raw}", cleaned=cleaned)
        return Typed(
            raw,
            # plain letters and digits come out of this encoding as they are, several times faster than a pattern tells
            f"CASE WHEN url_encode({{raw}}) = {{raw}} OR NOT regexp_matches({{raw}}, {_INVISIBLE}) THEN {{raw}} END",
            f"bad_text({column.name})",
            cleaned,
        )
    value = _plain(column, "{raw}", kind, formats)
    return Typed(raw, value, "" if value == "{raw}" else reason)


def _plain(column: Column, raw: str, kind: str, formats: Sequence[str]) -> str:
    wanted = column.sql_type
    if column.type in {"date", "timestamp"}:
        return _time(raw, kind, wanted, formats)
    if column.type == "flag":
        if kind == "VARCHAR":
            return f"CASE WHEN contains('|1|true|yes|y|是|', '|' || lower({raw}) || '|') THEN true WHEN contains('|0|false|no|n|否|', '|' || lower({raw}) || '|') THEN false END"
        return f"CASE ({raw})::DOUBLE WHEN 1 THEN true WHEN 0 THEN false END"
    if kind in {"DOUBLE", "FLOAT"} and column.type == "integer":
        return f"CASE WHEN ({raw}) = round({raw}) THEN try_cast({raw} AS INTEGER) END"
    number = f"try_cast({raw} AS {wanted})"
    if kind == "VARCHAR" and column.type == "integer":
        return f"CASE WHEN regexp_full_match({raw}, '[+-]?[0-9]{{1,9}}([.]0+)?') THEN {number} END"
    return f"CASE WHEN isfinite({number}) THEN {number} END" if column.type == "number" else number


def _time(raw: str, kind: str, wanted: str, formats: Sequence[str]) -> str:
    if kind == "VARCHAR":
        if SERIAL in formats:  # days since 30 December 1899, as a spreadsheet counts
            days = f"try_cast({raw} AS DECIMAL(11, 5))"
            serial = f"(TIMESTAMP '1899-12-30' + to_seconds(round({days} * 86400)::BIGINT))::{wanted}"
            rest = [f for f in formats if f != SERIAL]
            other = _time(raw, kind, wanted, rest) if rest else "NULL"
            return (
                f"CASE WHEN regexp_full_match({raw}, '[0-9]{{5}}([.][0-9]+)?') THEN {serial} ELSE {other} END"
            )
        if not formats:
            return f"NULL::{wanted}"
        here = [f for f in formats if not f.endswith(("%z", "Z"))]
        abroad = [f for f in formats if f.endswith("%z")]
        zulu = [f for f in formats if f.endswith("Z")]
        parts = [f"try_strptime({raw}, {literal(here)})"] if here else []
        # the clock of China, whatever offset the text names; %z does not read a Z
        if abroad:
            parts.append(
                f"(try_strptime({raw}, {literal(abroad)})::TIMESTAMPTZ AT TIME ZONE 'Asia/Shanghai')"
            )
        if zulu:
            parts.append(
                f"(try_strptime({raw}, {literal(zulu)}) AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Shanghai')"
            )
        return f"coalesce({', '.join(parts)})::{wanted}"
    if kind == "TIMESTAMP WITH TIME ZONE":
        raw = f"({raw}) AT TIME ZONE 'Asia/Shanghai'"
    elif kind not in {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}:
        raise WrongType(f"is {kind}, not a date; deliver a date or text like 2023-05-31")
    day = f"try_cast({raw} AS {wanted})"  # a calendar ends; a file's numbers need not
    return f"CASE WHEN {day} BETWEEN {wanted} '1800-01-01' AND {wanted} '9999-12-31' THEN {day} END"


def _money(column: Column, source: str, raw: str, kind: str, scale: int, reason: str) -> Typed:
    """Fen. From yuan or fen (scale 100 or 1) only what is exact to the fen converts; any other scale rounds half up."""
    bound = INT64 // 16 if column.wide else INT32  # a row adds up at most as many
    wanted = column.sql_type
    if scale not in (1, 100):
        fen = f"round(try_cast({{raw}} AS DOUBLE) * {scale})"
        most = min(bound, EXACT * 512)  # a double, which above 2**62 may round to more than 64 bits hold
        over = f"isfinite({fen}) AND abs({fen}) > {most}"
        return Typed(raw, f"CASE WHEN abs({fen}) <= {most} THEN ({fen})::{wanted} END", reason, over=over)
    limit = min(bound, EXACT)
    if kind in {"DOUBLE", "FLOAT"}:
        fen = f"(({{raw}})::DOUBLE * {scale})"
        return Typed(
            raw, f"CASE WHEN abs({fen} - round({fen})) < 0.001 AND abs({fen}) <= {limit} THEN round({fen})::{wanted} END", reason, over=f"isfinite({fen}) AND abs({fen}) > {limit}"
        )  # fmt: skip
    if kind == "VARCHAR":
        half = f"trim(translate({source}, '０１２３４５６７８９．，－＋￥¥元', '0123456789.,-+'), {_AROUND})"
        cleaned = (
            f"CASE WHEN regexp_full_match({half}, {_GROUPED}) THEN replace({half}, ',', '') ELSE {half} END"
        )
        raw = f"CASE WHEN regexp_full_match({source}, {_PLAIN}) THEN {source} WHEN ({raw}) IS NOT NULL THEN {cleaned} END"
        number = f"(CASE WHEN regexp_full_match({{raw}}, {_EXACT}) OR regexp_full_match({{raw}}, {_SCIENTIFIC}) THEN try_cast({{raw}} AS DECIMAL(24, 6)) * {scale} END)"
        value = (
            f"CASE WHEN {number} = trunc({number}) AND abs({number}) <= {bound} THEN {number}::{wanted} END"
        )
        plain = f"NOT regexp_full_match({source}, {_PLAIN})"
        return Typed(raw, value, reason, cleaned=plain, over=f"abs({number}) > {bound}")
    if kind in _INTEGERS:
        fen = f"(({{raw}})::HUGEINT * {scale})"
        over = f"abs({fen}) > {bound}"
        return Typed(raw, f"CASE WHEN abs({fen}) <= {bound} THEN {fen}::{wanted} END", reason, over=over)
    if kind.startswith("DECIMAL"):
        digits = int(kind.rstrip(")").split(",")[1])
        if digits <= 2:  # whole fen; exact in a double within the bound, and faster than a wide decimal
            fen = f"round(({{raw}})::DOUBLE * {scale})"
            exact = f" AND {fen} = ({{raw}})::DOUBLE * {scale}" if scale == 1 else ""
            over = f"abs({fen}) > {limit}"
            return Typed(
                raw, f"CASE WHEN abs({fen}) <= {limit}{exact} THEN {fen}::{wanted} END", reason, over=over
            )
        fen = f"(({{raw}}) * {scale})"
        return Typed(
            raw,
            f"CASE WHEN {fen} = trunc({fen}) AND abs({fen}) <= {bound} THEN {fen}::{wanted} END",
            reason,
            over=f"abs({fen}) > {bound}",
        )
    raise WrongType(f"is {kind}, not an amount; deliver yuan with two decimals")

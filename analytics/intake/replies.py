"""Settlement replies as JSON, in the child: one row for each reply, its fund split list summed.

Accepted are lines, one array, or single objects; a reply is flat (2208, 2305), or holds "setlinfo" and "setldetail"
(2207, 2304, 5203), with or without the envelope "infcode" and "output". Numbers stay the text they are.
"""

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow as pa

from analytics.intake.delimited import encoding_of
from analytics.intake.formats import MOST_COLUMNS, Say, Transcript, refuse

LONGEST_REPLY = 1_000_000  # characters
HOSPITAL = ("999996", "6301")  # paid by the hospital
OTHER = ("999997",)
_ROWS = 5_000
_SPACE = " \t\r\n,\ufeff"


class _Doubled(ValueError):
    """An object holds a key twice."""


def open_replies(path: Path, target: Path, say: Say) -> dict[str, Any]:
    """Transcribe replies; columns are the union of their keys. Raises Refused."""
    encoding, *_ = encoding_of(path, say)
    names: dict[str, None] = {}
    ignored: dict[str, None] = {}
    for reply, left in _replies(path, encoding, say, 0.0):
        names |= dict.fromkeys(reply)
        ignored |= dict.fromkeys(left)
        if len(names) > MOST_COLUMNS:
            break
    transcript = Transcript(path, target, list(names))
    held: list[dict[str, str | None]] = []

    def write() -> None:
        if held:
            transcript.add([pa.array([row.get(name) for row in held], pa.string()) for name in names])
            held.clear()

    for reply, _ in _replies(path, encoding, say, 0.5):
        held.append(reply)
        if len(held) == _ROWS:
            write()
    write()
    return transcript.done(format="jsonl", encoding=encoding, members={"ignored": list(ignored)[:20]})


def _replies(
    path: Path, encoding: str, say: Say, begun: float
) -> Iterator[tuple[dict[str, str | None], list[str]]]:
    """Every reply as a row, and the keys of what was left aside."""
    size, seen = path.stat().st_size, 0
    for number, line, value, length in _values(path, encoding):
        seen += length
        if not number % _ROWS:
            say(tell=min(1.0, begun + seen / size / 2))
        if not isinstance(value, dict):
            raise refuse(
                path, "ragged", f"line {line} holds no reply but a bare value; deliver an object a reply"
            )
        yield _row(path, line, value)


def _values(path: Path, encoding: str) -> Iterator[tuple[int, int, Any, int]]:
    """Number, line, value and length of every JSON value, through the brackets of an outer array."""

    fine: set[tuple[str, ...]] = set()  # keys seen before, as most replies have the same

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = tuple([key for key, _ in pairs])
        if keys not in fine:
            folded = [key.casefold() for key in keys]
            if len(set(folded)) < len(folded):
                raise _Doubled(next(key for key in folded if folded.count(key) > 1))
            if len(fine) < _ROWS:
                fine.add(keys)
        return dict(pairs)

    decode = json.JSONDecoder(
        object_pairs_hook=once, parse_float=str, parse_int=str, parse_constant=str
    ).raw_decode
    with path.open(encoding=encoding, newline="") as file:
        text, at, line, number, array, ended = "", 0, 1, 0, False, False
        while True:
            if len(text) - at < LONGEST_REPLY and not ended:
                more = file.read(4 * LONGEST_REPLY)
                text, at, ended = text[at:] + more, 0, not more
                continue
            start = at
            while at < len(text) and text[at] in _SPACE:
                at += 1
            line += text.count("\n", start, at)
            if at == len(text):
                if array:
                    raise refuse(path, "ragged", f"line {line}: the array is not closed; deliver it again")
                return
            if text[at] == "[" and not number and not array:
                array, at = True, at + 1
                continue
            if text[at] == "]" and array:
                array, at = False, at + 1
                continue
            try:
                value, end = decode(text, at)
            except _Doubled as error:
                raise refuse(
                    path, "doubled_column", f"line {line}: {error} stands twice in one object; keep one"
                ) from error
            except RecursionError as error:
                raise refuse(
                    path, "nested", f"line {line}: nested beyond reading; deliver plain replies"
                ) from error
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") and not ended
                if cut or error.pos - at >= LONGEST_REPLY:
                    raise refuse(
                        path,
                        "long_text",
                        f"line {line}: a reply of over {LONGEST_REPLY} characters; deliver plain replies",
                    ) from error
                where = line + text.count("\n", at, error.pos)
                raise refuse(
                    path, "ragged", f"line {where} is no JSON ({error.msg}); deliver one reply a line"
                ) from error
            number += 1
            yield number, line, value, end - at
            line += text.count("\n", at, end)
            at = end


def _row(path: Path, line: int, reply: dict[str, Any]) -> tuple[dict[str, str | None], list[str]]:
    """The flat fields of one reply, its fund list summed; and keys of lists we do not read."""
    body = reply.get("output", reply)
    body = body if isinstance(body, dict) else {}
    info = body.get("setlinfo", body)
    if not isinstance(info, dict):
        raise refuse(path, "ragged", f"line {line}: setlinfo is no object; deliver the reply as it came")
    row: dict[str, Any] = {}
    lists: dict[str, Any] = {}
    if body is not reply and "infcode" in reply:
        row["infcode"] = reply["infcode"]
    for part in (body,) if info is body else (body, info):
        for key, value in part.items():
            if not isinstance(value, (dict, list)):
                row[key] = value
            elif value is not info:
                lists[key] = value
    details = lists.pop("setldetail", None)
    if details is not None:
        row |= _fund_list(details if isinstance(details, list) else [details])
    return {k: v if v is None or v.__class__ is str else _text(v) for k, v in row.items()}, list(lists)


def _fund_list(details: list[Any]) -> dict[str, str]:
    """Sums of the fund split list by kind of code; an amount that is no number stands for the sum it would be in."""
    sums = {"fund_list_sum": Decimal(0), "fund_list_hosp": Decimal(0), "fund_list_other": Decimal(0)}
    bad: dict[str, str] = {}
    uncoded = 0
    for detail in details:
        fields = {k.casefold(): v for k, v in detail.items()} if isinstance(detail, dict) else {}
        code, paid = _text(fields.get("fund_pay_type")), _text(fields.get("fund_payamt")).strip()
        if not (code.isascii() and code.isdigit()):
            uncoded += 1
            continue
        into = ["fund_list_sum"]
        into += ["fund_list_hosp"] if code.startswith(HOSPITAL) else []
        into += ["fund_list_other"] if code.startswith(OTHER) else []
        try:
            amount = Decimal(paid or 0)
            for name in into:
                sums[name] += amount
        except InvalidOperation:
            bad |= dict.fromkeys(into, paid)
    return {**{name: f"{total:f}" for name, total in sums.items()}, **bad, "fund_list_uncoded": str(uncoded)}


def _text(value: Any) -> str:
    return (
        ""
        if value is None
        else {True: "true", False: "false"}[value]
        if isinstance(value, bool)
        else str(value)
    )

"""Text files, in the child: the one encoding a file is in, and CSV transcribed strictly: one odd row refuses the file."""

import codecs
import csv
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from analytics.intake.formats import LONGEST, Say, Transcript, refuse
from analytics.intake.gate import Refused

_CHUNK, _BLOCK = 1 << 24, 1 << 21
_FIRST = 0.2  # share of the work that finding the encoding is
# Some Chinese words in GB18030 are valid UTF-8 too, of letters no settlement holds (Latin extended, Cyrillic, Hebrew).
_UNLIKELY = re.compile("[\u0100-\u036f\u0400-\u05ff]{2,}")
_ASCII = bytes(range(128))
_CHINESE = re.compile("[\u2e80-\uffff]")


def encoding_of(path: Path, say: Say) -> tuple[str, bool, str]:
    """The one encoding a text file is in from its first to its last byte, whether it holds a quote, and its last character.
    Raises Refused.
    """
    with path.open("rb") as file:
        start = file.read(2)
    tries = ["utf-16"] if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ["utf-8-sig", "gb18030"]
    tried, size = [], path.stat().st_size
    for name in tries:
        decoder, offset, quoted = codecs.getincrementaldecoder(name)(errors="strict"), 0, False
        odd, chinese, last = "", False, ""
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    text = decoder.decode(chunk)
                    if "\0" in text:
                        what = f"holds a NUL character after byte {offset}: binary, or UTF-16 without its mark; save it as UTF-8"
                        raise refuse(path, "encoding", what)
                    quoted, last = quoted or '"' in text, text[-1:]
                    if name == "utf-8-sig" and not text.isascii():
                        if _UNLIKELY.search(chunk.translate(None, _ASCII).decode(errors="ignore")):
                            odd = odd or next(filter(_is_gb2312, _UNLIKELY.findall(text)), "")
                        chinese = chinese or bool(_CHINESE.search(text))
                    offset += len(chunk)
                    say(tell=_FIRST * offset / size)
                decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            tried.append(f"{name} fails at byte {offset + error.start}")
            continue
        if name == "gb18030" and (line := _utf8_line(path)):
            what = f"{tried[0]}, and yet line {line} is UTF-8: two encodings in one file; save it as UTF-8"
            raise refuse(path, "encoding", what)
        if odd and chinese:
            what = f"{odd[:20]!r} is {odd.encode().decode('gb2312')[:20]!r} in GB18030, and other text is UTF-8: two encodings in one file; save it as UTF-8"
            raise refuse(path, "encoding", what)
        if odd:
            tried.append(f"utf-8 reads {odd[:20]!r}")
            continue
        return name, quoted, last
    raise refuse(path, "encoding", f"not text in one encoding ({'; '.join(tried)}); save it as CSV UTF-8")


def _is_gb2312(text: str) -> bool:
    with suppress(UnicodeDecodeError):
        return bool(text.encode().decode("gb2312"))
    return False


def _utf8_line(path: Path) -> int:
    """Number of a line that is UTF-8 with several Chinese characters, which text in GB18030 is not by chance; or 0."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.isascii():
                try:
                    text = line.decode("utf-8")
                except UnicodeDecodeError:
                    continue
                if sum(c > "\u0800" for c in text) >= 4:
                    return number
    return 0


def open_csv(path: Path, target: Path, say: Say) -> dict[str, Any]:
    """Transcribe a CSV strictly: one odd row refuses the file."""
    encoding, quoted, end = encoding_of(path, say)
    try:
        with path.open(encoding=encoding, newline="") as file:
            first = file.readline(_CHUNK)
        delimiter = max(",\t;|", key=lambda d: len(next(csv.reader([first], delimiter=d), [])))
        if quoted and (line := _stray_quote(path, encoding, delimiter)):
            what = f"a quotation mark about line {line} is not closed, or stands inside a field; double it or drop it"
            raise refuse(path, "quotes", what)
        with path.open(encoding=encoding, newline="") as file:
            rows = csv.reader(file, delimiter=delimiter, strict=True)
            names = [name.strip() for name in next(rows, [])]
            second = next(filter(None, rows), [])
    except csv.Error as error:
        code = "long_text" if "field limit" in str(error) else "header"
        what = f"line 1 or 2 cannot be read ({error}); deliver a CSV whose first line names its columns"
        raise refuse(path, code, what) from error
    if len(names) > 1 and not names[-1]:
        names.pop()  # a delimiter behind the last name
    if len(names) < 2:
        raise refuse(
            path,
            "header",
            "line 1 names fewer than two columns; deliver a CSV whose first line names its columns",
        )
    behind = len(second) == len(names) + 1 and not second[-1]  # a delimiter behind the last field
    fields = [f"c{i}" for i in range(len(names) + behind)]
    transcript = Transcript(path, target, names)
    size, seen = path.stat().st_size, 0
    try:
        reader = pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(
                column_names=fields, skip_rows=1, encoding=encoding.removesuffix("-sig"), block_size=_BLOCK
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=quoted),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(fields, pa.string()), strings_can_be_null=False
            ),
        )
        for batch in reader:
            *columns, last = batch.columns
            if not behind:
                columns.append(last)
            elif any(last.unique().to_pylist()):
                raise refuse(path, "ragged", "fields stand behind the last named column; name it or drop it")
            transcript.add(columns)
            seen += batch.nbytes
            say(tell=min(1.0, _FIRST + seen / size))
    except MemoryError:
        raise
    except (pa.ArrowException, UnicodeError) as error:
        raise _ragged(path, encoding, delimiter, len(fields), str(error).splitlines()[0][:160]) from error
    # after any of these no value can have been cut short
    whole = {"\n", "\r", '"'} | ({delimiter} if behind else set())
    members = {"delimiter": delimiter, "unended": end not in whole}
    return transcript.done(format="csv", encoding=encoding, members=members)


def _stray_quote(path: Path, encoding: str, delimiter: str) -> int:
    """Line of a quotation mark that neither opens nor closes a field nor stands doubled within one; 0 without one."""
    ends, held, inside, line = {delimiter, "\n", "\r"}, "\n", 0, 1
    with path.open(encoding=encoding, newline="") as file:
        while chunk := file.read(_CHUNK):
            before = len(held)
            *parts, held = (held + chunk).split('"')
            first, inside = inside, inside ^ len(parts) % 2
            if not inside and held:
                parts.append(held[0])  # what follows the last quotation mark; it may open another later
            if any(p and (p[0] not in ends or p[-1] not in ends) for p in set(parts[first::2])):
                outside = range(first, len(parts), 2)
                at = next(i for i in outside if (p := parts[i]) and (p[0] not in ends or p[-1] not in ends))
                upto = (
                    sum(map(len, parts[:at])) + at - before + (len(parts[at]) if parts[at][0] in ends else 0)
                )
                return line + chunk.count("\n", 0, max(0, upto))
            line += chunk.count("\n")
            held = "" if inside else held[:1] + held[1:][-1:]
    return line if inside else 0


def _ragged(path: Path, encoding: str, delimiter: str, width: int, otherwise: str) -> Refused:
    """Why the rows of a CSV could not be read, with a line number."""
    try:
        with path.open(encoding=encoding, newline="") as file:
            rows = csv.reader(file, delimiter=delimiter, strict=True)
            next(rows)
            for row in rows:
                if row and len(row) != width:
                    what = f"line {rows.line_num} has {len(row)} fields and the header {width}; every row needs one for each column"
                    return refuse(path, "ragged", what)
    except csv.Error as error:
        if "field limit" in str(error):
            return refuse(
                path, "long_text", f"line {rows.line_num} has a text of over {LONGEST} characters; shorten it"
            )
        otherwise = f"line {rows.line_num}: {error}"
    return refuse(path, "ragged", f"{otherwise}; every row needs {width} fields")

"""Texts that mean harm: names of files and columns, formulas, scripts; and a store that holds them wherever data have a text."""

from pathlib import Path

from deliveries import Row, csv_file, record, take

from analytics import verbs

# What a spreadsheet would run, opened as a table: by its first character that is seen, or after what moves to the next cell.
FORMULAS = [
    "=1+1", "+1+1", "-1+1", "@SUM(1,1)", "=cmd|' /C calc'!A0", "+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0",
    "@cmd|' /C calc'!A0", "=HYPERLINK(\"http://127.0.0.1:9/\"&A1,\"click\")", "=WEBSERVICE(\"http://127.0.0.1:9/\")",
    "=IMPORTXML(\"http://127.0.0.1:9/\", \"//a\")", "=DDE(\"cmd\",\"/C calc\",\"\")", "=EXEC(\"calc\")", "=CALL(\"urlmon\",\"x\")",
    "＝1+1", "＋1+1", "－1+1", "＠SUM(1,1)", " =1+1", "\u00a0=1+1", "\u3000=1+1", "\u200b=1+1", "\ufeff=1+1", "\u202e=1+1",
    "\t=1+1", "\r=1+1", "\n=1+1", "\x0b=1+1", "\x00=1+1", "﹦1+1", "﹢1+1", "﹣1+1", "﹫SUM(1,1)", "=1+1\"", "=1+1,2", "=\"a\rb\"", "\t@A1",
]  # fmt: skip
NUMBERS = ["-5.00", "+5", "-0.5%", "1e-7", "-.5", "2023", "x=1", "a@b", "1-1"]

_MARK = "window.__fired=(window.__fired||0)+1"
SCRIPTS = [
    f"<script>{_MARK}</script>",
    f"<img src=x onerror={_MARK}>",
    f"<svg onload={_MARK}></svg>",
    f"[x](javascript:{_MARK})",
    f'<iframe srcdoc="<script>parent.{_MARK}</script>"></iframe>',
    f'"><a href="javascript:{_MARK}" onmouseover="{_MARK}">x</a>',
    f"</script><script>{_MARK}</script>",
]

STATEMENT = "COPY (SELECT 1) TO 'pwned.csv'"
# As a file may be called where it lies; what a reader would take for a pattern, a place, a statement, a switch or a command.
FILE_NAMES = [
    "n*", "n?", "[mn]1", "{n1,n2}", "**", "n1*'", f"'); {STATEMENT}; --", f"'; {STATEMENT}; --", f'"; {STATEMENT}; --',
    "$(touch pwned)", "`touch pwned`", "; touch pwned ;", "| touch pwned", "-rf", "--out=pwned", "~", "~root", "$HOME", "%TEMP%",
    "a\nb", "a\tb", "a\rb", "a\x1b[2Jb", "\u202efdp", "\u200b", "file:", "http:x", "s3:x", "%2e%2e%2f", "...", ".hidden", " blank ",
    "C:\\x", "..\\..\\pwned", "CON", "<img src=x onerror=alert(1)>", "=1+1", "plan_year=1999", "medfee_sumamt=9.99", "病历 甲", "x" * 180,
    "a;b", "a&b", "{} {0} %s", "$1 \\1", "'", '"', "\\", "NULL",
]  # fmt: skip
# As a browser may send a name; some are no names of files at all.
UPLOAD_NAMES = [
    "../../../../pwned.csv", "..\\..\\..\\pwned.csv", "/etc/pwned.csv", "C:\\Windows\\pwned.csv", "\\\\host\\share\\pwned.csv",
    "....//....//pwned.csv", "a/../../pwned.csv", "a\x00/../pwned.csv", "pwned.csv\x00.exe", "", ".", "..", "/", "\\", "~/pwned.csv",
    "file:///pwned.csv", "%2e%2e/pwned.csv", "．．／pwned.csv", "con.csv", "x" * 5000 + ".csv", "a.csv/", "\ud800.csv", "-rf.csv",
]  # fmt: skip
COLUMNS = [
    f'x") FROM (SELECT 1); {STATEMENT}; SELECT ("a', f"'); {STATEMENT}; --", f'"; {STATEMENT}; --', 'a"; DROP TABLE typed; --',
    "select", "src_file", "src_row", "file_index", "filename", "r0", "v0", "$file", "{raw}", "{slot}", "%s", "*", "city'", "a.b", "a\"\"b",
    "=1+1", "<img src=x onerror=alert(1)>", "rowid", "typed",
]  # fmt: skip

_YEAR = {
    "setl_time": "2022-08-27 09:58:41",
    "year": "2022",
    "begndate": "2022-08-20",
    "enddate": "2022-08-27",
}
_EACH = 14  # persons of a product: enough to be shown


def codes(texts: list[str]) -> list[str]:
    """The texts as codes of products, told apart by a number at their end."""
    return [f"{text} {n}" for n, text in enumerate(texts)]


def store_of(folder: Path, texts: list[str]) -> Path:
    """A built store whose hospitals, products, duties, columns, files and waiting rows are called by these texts."""
    settled: list[Row] = []
    held: list[Row] = []
    paid: list[Row] = []
    for n in range(len(texts) * _EACH):
        text, code = texts[n // _EACH], codes(texts)[n // _EACH]
        row = record(n + 1, **_YEAR, fixmedins_name=text, psn_name=text)
        settled.append({**row, f"extra {texts[0]}": text})
        who = {k: row[k] for k in ("psn_no", "certno", "insuplc_admdvs")}
        held.append({**who, "insutype": "310", "psn_insu_date": "2022-01-01", "product_code": code, "product_year": "2022", "premium": "99.00"})  # fmt: skip
        paid.append({"claim_id": f"C{n}", **who, "product_code": code, "duty_code": code, "product_year": "2022", "claim_date": "2022-09-01", "pay_date": "2022-09-09", "paid_amt": "100.00"})  # fmt: skip
    for n, text in enumerate(texts):  # rows that wait: an amount nobody can read, shown as it came
        settled.append(
            record(
                900 + n, **{**_YEAR, "fixmedins_name": text, "med_type": text, "medfee_sumamt": f"1{text}"}
            )
        )
    (folder / "given").mkdir(exist_ok=True)
    name = texts[0].replace("/", "_").replace("\x00", "")
    for table, rows in (("settlement", settled), ("enrolment", held), ("commercial_claim", paid)):
        columns = list(dict.fromkeys(c for row in rows for c in row))
        path = csv_file(
            folder / "given" / f"{name}-{table}.csv", [{c: row.get(c, "") for c in columns} for row in rows]
        )
        take(
            folder,
            [path],
            table,
            **({"sign_off": {"reason": texts[0], "who": texts[1]}} if table == "settlement" else {}),
        )
    verbs.build(folder / "store")
    return folder / "store"

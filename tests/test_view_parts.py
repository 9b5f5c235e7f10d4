"""The parts of the view without a page: number formats, files, books."""

import io
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.testclient import TestClient

from analytics.desk.answer import Desk
from analytics.figures import about, files, formats
from analytics.view import ledger, server


def test_download_is_the_answer_and_opens_in_a_spreadsheet(sample_store: Path) -> None:
    where = {"city": ["440400"], "plan_year": ["2022"]}
    answer = Desk.open(sample_store).ask("burden_reduction_rate", ["person_group", "tier"], where)
    lines = about.block("t", [answer])
    with zipfile.ZipFile(io.BytesIO(files.csv(files.full([answer]), lines, "x"))) as bundle:
        raw, notes = bundle.read("x.csv"), bundle.read("x.txt").decode("utf-8-sig")
    assert raw.startswith(b"\xef\xbb\xbf")
    assert answer.measure.plain.zh in notes and str(answer.provenance["snapshot"]) in notes
    read = pl.read_csv(raw[3:])
    assert read.height == answer.table.height
    hidden = read.filter(pl.col("status") == "hidden")
    assert (
        hidden.height
        and hidden["value"].null_count()
        == hidden["numerator"].null_count()
        == hidden["n"].null_count()
        == hidden.height
    )
    shown = answer.table.filter(pl.col("status") == "shown")["value"].to_list()
    assert read.filter(pl.col("status") == "shown")["value"].to_list() == shown


def test_data_page_says_when_a_delivery_does_not_reconcile() -> None:
    whole = {
        "rows_in": 10,
        "rows_loaded": 9,
        "rows_quarantined": 1,
        "rows_open": 1,
        "fee_in_yuan": 5.02,
        "fee_loaded_yuan": 5.0,
        "fee_quarantined_yuan": 0.02,
    }
    assert ledger.reconciles([whole])
    assert not ledger.reconciles([whole, {**whole, "rows_loaded": 8}])
    assert not ledger.reconciles([{**whole, "fee_loaded_yuan": 4.99}])
    # a row taken up by a correction is not open any more and is loaded there, not twice
    correction = {"rows_in": 1, "rows_loaded": 1, "rows_quarantined": 0, "corrects": {"delivery": "x"}}
    assert ledger.reconciles([{**whole, "rows_open": 0}, correction])
    assert not ledger.reconciles([whole, correction])


@pytest.mark.parametrize(
    ("yuan", "language", "unit", "expected"),
    [
        (99_999, "zh", "auto", "99,999 元"),
        (100_000, "zh", "auto", "10.00 万元"),
        (123_456_789, "zh", "auto", "1.23 亿元"),
        (123_456_789, "zh", "wan", "12,345.68 万元"),
        (123_456_789, "en", "auto", "123.46 m yuan"),
        (1_234_567_890, "en", "auto", "1.23 bn yuan"),
        (12_345, "en", "wan", "1.23 10k yuan"),
        (1_885, "zh", "wan", "0.19 万元"),
        (45, "zh", "wan", "45 元"),  # of a person: not 0.00 万元
        (-117, "zh", "yi", "-117 元"),
        (0, "zh", "yi", "0 元"),
        (None, "zh", "auto", "—"),
    ],
)
def test_money(yuan: float | None, language: str, unit: str, expected: str) -> None:
    assert formats.money(yuan, language, unit) == expected


def test_a_small_share_does_not_read_as_zero() -> None:
    assert [formats.percent(v) for v in (0.0, 0.0004, 0.0006, 0.4567, None)] == [
        "0.0%",
        "<0.1%",
        "0.1%",
        "45.7%",
        "—",
    ]


def test_differences_of_shares_are_percentage_points() -> None:
    assert formats.difference(0.0123, "share", "zh") == "+1.2 个百分点"
    assert formats.difference(-0.05, "share", "en") == "-5.0 pp"
    assert formats.difference(-0.0001, "share", "zh") == "-0.01 个百分点"
    assert formats.difference(0.0004, "share", "en") == "+0.04 pp"
    assert formats.difference(-0.00001, "share", "en") == "-<0.01 pp"
    assert formats.difference(-0.0, "share", "zh") == "0.0 个百分点"
    assert formats.difference(-1234.0, "yuan", "zh") == "-1,234 元"
    assert formats.difference(None, "share", "zh") == "—"


def test_only_assets_are_served_compressed() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("as it is")(scope, receive, send)

    layer = server.StaticGzip(app)
    asked = TestClient(layer)
    script = next(path for path in layer.files if path.endswith(".js"))
    for _ in range(2):
        answer = asked.get(script)
        assert (
            answer.headers["content-encoding"] == "gzip"
            and answer.content == layer.files[script].read_bytes()
        )
    others = (
        f"/static/.//.{script.removeprefix('/static')}",
        "/static/../index.html",
        "/static/../../__init__.py",
    )
    for other in (*others, "/index.html", "/static/none.js"):
        assert asked.get(_as_written(other)).text == "as it is"
    assert list(layer.kept) == [script], "however its path is written, a file is kept once"


def _as_written(path: str) -> str:
    """A path that no client makes shorter before it is sent."""
    return path.replace("/.", "/%2e")


def test_a_file_that_was_given_stays_what_it_was() -> None:
    """A report of HTML is asked for like a page, and its sha256 stands in the log."""
    given = '<!DOCTYPE html><html lang="en"><head><title>Streamlit</title></head></html>'

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await HTMLResponse(given)(scope, receive, send)

    asked = TestClient(server.PageLanguage(app))
    page = {"accept": "text/html", "accept-encoding": ""}
    assert asked.get("/media/report.html?lang=en", headers=page).text == given
    assert '<html lang="zh' in asked.get("/burden", headers=page).text

"""A moment is the same however its offset is written: every time is that of China's clock."""

from datetime import date, datetime
from typing import Literal

import duckdb
import pytest

from analytics.intake.contract import Column
from analytics.intake.typing import convert, date_formats, shape

# six in the evening at Greenwich on New Year's Eve is two in the morning of the next year in China
HERE, THERE = datetime(2024, 1, 1, 2, 0), "2023-12-31T18:00:00"
TEXTS = [f"{THERE}{zone}" for zone in ("Z", ".000Z", "+00:00", "+0000")] + [
    "2023-12-31 18:00Z", "31/12/2023 18:00:00Z", "2024-01-01T02:00:00+08:00", "2024-01-01T02:00:00", "2023-12-31T13:00:00-05:00",
]  # fmt: skip


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("kind", ["timestamp", "date"])
def test_the_same_moment(kind: Literal["timestamp", "date"], zone: str) -> None:
    """In a column of its own, and all in one; whatever clock the machine has."""
    column = Column(name="setl_time", type=kind, zh="时间")
    formats, either, _ = date_formats([shape(text) for text in TEXTS])
    day_first = [form for form in either if form.startswith("%d")]
    with duckdb.connect() as con:
        con.execute(f"SET TimeZone = '{zone}'")
        for text in TEXTS:
            alone, two, _ = date_formats([shape(text)])
            for written in ([*formats, *day_first], [*alone, *two[:1]]):
                typed = convert(column, "$t", "VARCHAR", 1, written)
                value = typed.value.replace("{raw}", f"({typed.raw})")
                ((found,),) = con.execute(f"SELECT {value}", {"t": text}).fetchall()
                assert found == (HERE if kind == "timestamp" else date(2024, 1, 1)), (text, written)

"""Every chart of every page is what Plotly takes: pages send them unchecked."""

import json
from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from analytics.figures import charts
from analytics.measures import Book
from analytics.release.disclosure import release
from analytics.store import Store
from analytics.view import asking
from analytics.view.menu import PAGES

FRAME = Path(asking.__file__).with_name("frame.py")
ROOT = FRAME.parents[2]
DRAWING = ("overview", "tiers", "catastrophic", "cost_bands", "compare", "operations")


def _charts(at: AppTest) -> list[dict[str, object]]:
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]


def test_every_chart_is_valid(sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIANFU_STORE", str(sample_store))
    at = AppTest.from_file(str(FRAME), default_timeout=60)
    at.query_params["city"] = "zhuhai"
    at.query_params["year"] = "2022"
    at.run()
    seen = 0
    for name in DRAWING:
        assert any(name in names for names in PAGES.values())
        at.switch_page(str(ROOT / "pages" / f"{name}.py")).run()
        assert not at.exception
        found = _charts(at)
        assert found, name
        for chart in found:
            go.Figure(data=chart["data"], layout=chart["layout"])
        seen += len(found)
    assert seen > len(DRAWING)


def test_an_invalid_chart_is_found() -> None:
    with pytest.raises(ValueError, match="oriented"):
        go.Figure(data=[{"type": "bar", "oriented": "h"}])


def _luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_numbers_in_coloured_cells_can_be_read(sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Axe does not look into drawings. Control: what Plotly puts on the middle of its own scale cannot be read."""
    assert _contrast("#FFFFFF", "#000000") == 21 and _contrast("#444444", "#9A9276") < 4.5
    monkeypatch.setenv("JIANFU_STORE", str(sample_store))
    at = AppTest.from_file(str(FRAME), default_timeout=60).run()
    at.switch_page(str(ROOT / "pages" / "compare.py")).run()
    (heat,) = (trace for chart in _charts(at) for trace in chart["data"] if trace["type"] == "heatmap")  # type: ignore[attr-defined]
    for _, shade in heat["colorscale"]:
        assert _contrast(heat["textfont"]["color"], shade) >= 4.5


@pytest.mark.parametrize(("value", "ends"), [(0.0, [0, 1]), (-0.5, [-0.59, 0]), (0.5, [0, 0.59])])
def test_an_axis_has_a_negative_half_only_where_something_is_negative(
    sample_store: Path, value: float, ends: list[float]
) -> None:
    """Plotly draws zeros alone in the middle of an axis from -1 to 1."""
    raw = Book(Store(sample_store).current()).ask(
        "reach", ["tier"], {"city": ["zhuhai"], "plan_year": [2022]}
    )
    released = release(raw)
    same = replace(released, table=released.table.with_columns(value=pl.lit(value), status=pl.lit("shown")))
    axis = charts.bars(same, "tier").figure["layout"]["yaxis"]
    assert axis["range"] == pytest.approx(ends)

"""Every chart of every page is what Plotly takes: pages send them unchecked."""

import json
from pathlib import Path

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

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

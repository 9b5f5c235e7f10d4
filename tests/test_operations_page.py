"""The page on how the product is run: what it shows equals what the desk answers; what was not delivered is said."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import visiting
from canonical import WEIHAI, built, deliver, settle
from deliveries import bare
from policies import paid, spell
from streamlit.testing.v1 import AppTest

from analytics import verbs
from analytics.desk.answer import Desk
from analytics.figures import formats

Visit = Callable[..., AppTest]


def _open(store: Path, monkeypatch: pytest.MonkeyPatch, **link: str) -> AppTest:
    monkeypatch.setenv("JIANFU_STORE", str(store))
    at = visiting.visit("operations", **link)
    assert not at.error, at.error
    return at


@pytest.fixture(scope="module")
def two_products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weihai 2023 and 2024, forty holders of `wnb` and twenty of `other`, premiums on record and by the plan, thirty paid."""
    store = tmp_path_factory.mktemp("two") / "store"
    people = [spell(i, year, "wnb" if i <= 40 else "other", premium_fen=10_000) for i in range(1, 61) for year in (2023, 2024)]  # fmt: skip
    people += [spell(i, 2024) for i in range(61, 81)]  # the plan tells what they pay
    people += [spell(i, 2024, None) for i in range(81, 101)]
    asked = datetime.date(2024, 5, 1)
    claims = [
        paid(
            f"c{i}",
            20_000 if i <= 15 else 5_000,
            person=i,
            product_code="wnb",
            duty_code="in_catalogue" if i <= 15 else "special_drugs",
            setl_id=f"s{i}",
            claim_date=asked,
            pay_date=asked + datetime.timedelta(days=0 if i <= 20 else 3),
            is_one_stop=i <= 15,
        )
        for i in range(1, 31)
    ]
    care = [settle(f"s{i}", 50_000, person=i, year=2024) for i in range(1, 31)]
    care.append(settle("old", 50_000, person=1, year=2023))
    born = [{"person_key": i, "birth_year": 1970, "sex": "female"} for i in range(1, 101)]
    deliver(store, settlement=care, commercial_claim=claims, enrolment=people, person=born)
    built(store)
    return store


def _metrics(at: AppTest) -> dict[str, str]:
    return {m.label: m.value for m in at.metric}


def _tables(at: AppTest, column: str) -> list[list[dict[str, str]]]:
    return [d.value.to_dict("records") for d in at.dataframe if column in d.value.columns]


def _one(answer: pl.DataFrame, **wanted: Any) -> dict[str, Any]:
    for name, value in wanted.items():
        answer = answer.filter(pl.col(name) == value)
    (row,) = answer.to_dicts()
    return row


def test_headlines_are_as_worked_by_hand(two_products: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty holders at 100 yuan on record, twenty at the 89 yuan Weihai asks of a person of 54; 3,000 + 750 yuan paid."""
    at = _open(two_products, monkeypatch, city="weihai", year="2024")
    premium, out = 60 * 100 + 20 * 89, 15 * 200 + 15 * 50
    shown = _metrics(at)
    assert shown == {
        "参保率": "80.0%",
        "续保率": "100.0%",
        "保费": f"{premium:,} 元",
        "赔款": f"{out:,} 元",
        "赔付率": f"{out / premium * 100:.1f}%",
        "获赔率": f"{30 / 80 * 100:.1f}%",
        "每百人件数": "37.50",
        "人均赔付": f"{out / 80:.0f} 元",
        "件均赔付": f"{out / 30:.0f} 元",
        "理赔时长中位数": "当天",
        "一站式占比": "50.0%",
        "异地就医占比": "0.0%",
    }
    assert f"每收 100 元保费赔付 {out / premium * 100:.1f} 元，参保率 80.0%" in at.title[0].value


def test_premium_basis_and_liabilities(two_products: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = _open(two_products, monkeypatch, city="weihai", year="2024")
    (lines,) = _tables(at, "保费依据")
    found = {(line["年度"], line["保费依据"]): line for line in lines}
    assert set(found) == {("2023", "登记所记"), ("2024", "登记所记"), ("2024", "按方案计")}
    assert found["2024", "按方案计"]["保费"] == "1,780 元" and found["2024", "按方案计"]["保单数"] == "20"
    assert any("登记所记 60 份保单、按方案计 20 份保单" in c.value for c in at.caption)
    (lines,) = _tables(at, "获赔人数")[:1]
    assert {line["给付责任"]: (line["赔付总额"], line["赔付件数"]) for line in lines} == {
        "医保目录内住院": ("3,000 元", "15"),
        "特定药品": ("750 元", "15"),
    }
    specs = [json.loads(c.proto.spec) for c in at.get("plotly_chart")]
    (bars,) = [s for s in specs if s["data"] and "特定药品" in str(s["data"][0].get("y"))]
    assert sorted(bars["data"][0]["x"]) == [750, 3000]
    assert any("没有疾病编码" in said.value for said in at.info)


def test_products_are_told_apart(two_products: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = _open(two_products, monkeypatch, city="weihai", year="2024", measure="claim_incidence")
    assert at.selectbox(key="w_product").options == ["全部", "other", "威你保"]
    course = json.loads(at.get("plotly_chart")[-1].proto.spec)
    assert len(course["data"]) == 2, "a line for each product"
    one = _open(two_products, monkeypatch, city="weihai", year="2024", product="other")
    assert "other" in one.title[0].value
    assert _metrics(one)["保费"] == "2,000 元" and _metrics(one)["赔付率"] == "0.0%"


def test_the_page_is_as_the_desk_answers(sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = _open(sample_store, monkeypatch, city="zhuhai", year="2023", by="sex")
    desk = Desk.open(sample_store)
    where = {"city": ["440400"], "plan_year": ["2023"]}
    (lines,) = [found for found in _tables(at, "投保人数") if "基本医保参保人数" in found[0]]
    answer = desk.ask("participation_rate", ["sex"], where).table
    for line, code in zip(lines, ("male", "female"), strict=True):
        row = _one(answer, sex=code)
        assert line["投保人数"] == f"{row['numerator']:,.0f}"
        assert line["惠民保参保率"] == f"{row['value'] * 100:.1f}%"
    every = _tables(at, "2022")[-1]
    assert len(every) == 10
    hidden = desk.ask("loss_ratio", ["plan_year"], {"city": ["440400"]}).table
    (line,) = [one for one in every if one["指标"].startswith("惠民保赔付率")]
    for row in hidden.to_dicts():
        assert row["status"] == "hidden" and line[str(row["plan_year"])] == "受保护"
    assert any("没有可以画出的数值" in i.value for i in at.info), "no empty axes where all is protected"


def test_a_year_without_the_product_shows_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [spell(i, 2023, premium_fen=10_000) for i in range(1, 31)]
    care = [settle("a", 10_000, year=2023), settle("b", 10_000, year=2024)]
    deliver(tmp_path / "s", settlement=care, enrolment=people)
    built(tmp_path / "s")
    at = _open(tmp_path / "s", monkeypatch, city="weihai", year="2024")
    assert "有记录的年度：2023" in at.info[0].value and not at.metric
    at = _open(tmp_path / "s", monkeypatch, city="weihai", year="2023")
    assert _metrics(at)["赔付率"] == "0.0%" and _metrics(at)["续保率"] == "无记录"
    assert _metrics(at)["件均赔付"] == "无记录"
    assert any("算不出：没有商业保险理赔；需要交付理赔表（commercial_claim）。" in i.value for i in at.info)


def test_stores_without_products_say_what_to_deliver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(tmp_path / "claims", settlement=[settle("s", 10)])
    built(tmp_path / "claims")
    at = _open(tmp_path / "claims", monkeypatch)
    assert "威海" in at.title[0].value and "enrolment" in at.info[0].value and not at.metric
    lines = [f"h{i},{WEIHAI},2023,1,{i}00,{5000 + i}" for i in range(40)]
    (tmp_path / "h.csv").write_text("household_id,city,plan_year,n_members,cost,income\n" + "\n".join(lines))
    verbs.ingest(tmp_path / "survey", [tmp_path / "h.csv"], "household_year")
    bare(tmp_path / "survey")
    at = _open(tmp_path / "survey", monkeypatch)
    assert "住户调查" in at.info[0].value and not at.metric


@pytest.mark.parametrize(
    ("number", "zh", "en"),
    [(0, "当天", "same day"), (1, "1 天", "1 day"), (20, "20 天", "20 days")],
)
def test_days_are_said_as_days(number: int, zh: str, en: str) -> None:
    assert formats.value(number, "days", "zh") == zh and formats.value(number, "days", "en") == en
    assert formats.difference(-number or 3, "days", "zh") == (f"-{number} 天" if number else "+3 天")

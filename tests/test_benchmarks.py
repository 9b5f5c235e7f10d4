"""Published figures beside ours: files in form, ours as the desk answers, verdicts worked out, wrong data refused whole."""

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from conftest import Run

from analytics.desk import benchmarks
from analytics.desk.answer import Desk
from analytics.desk.benchmarks import Figure, Row

PLACES = (
    "national", "zhuhai", "zhanjiang", "zaozhuang", "wenzhou", "shandong", "guangxi", "chongzuo", "mianyang", "lecheng",
    "weihai", "market", "peers",
)  # fmt: skip
BASE = {
    "id": "x", "zh": "数", "en": "figure", "value": 10, "unit": "percent", "period": "2023", "scope": "全国 · national",
    "definition": "定义。Definition.", "source": "source", "class": "page_A",
}  # fmt: skip
WHY = {"zh": "因为", "en": "because"}
REACH = {"measure": "reach", "where": {"tier": ["basic"]}}


@pytest.fixture(scope="module")
def desk(sample_store: Path) -> Desk:
    return Desk.open(sample_store)


@pytest.fixture(scope="module")
def rows(desk: Desk) -> dict[str, Row]:
    return {row.figure.id: row for row in benchmarks.compare(desk)}


# Typed from the register of the domain, not from the files: what each place must hold, as printed.
@pytest.mark.parametrize(
    ("place", "figure", "value", "unit", "source_class"),
    [
        ("zhuhai", "zhuhai_relief_10_20w_2023", "55.98", "percent", "seed"),
        ("zhuhai", "zhuhai_claims", "109500", "person_times", "page_A"),
        ("zhuhai", "zhuhai_claims_seed", "96600", "person_times", "seed"),
        ("zhuhai", "zhuhai_persons", "22300", "persons", "seed"),
        ("zhanjiang", "guangdong_uplift_2013", "10.8", "points", "page_B"),
        ("zaozhuang", "zaozhuang_claims_per_100_2024", "17.7", "per_100", "page_A"),
        ("wenzhou", "wenzhou_insured_2018", "5889900", "persons", "seed"),
        ("shandong", "shandong_cross_paid", "16716100", "yuan", "seed"),
        ("guangxi", "nanning_relief", "6.2", "percent", "seed"),
        ("chongzuo", "tiandeng_paid_2024", "9036600", "yuan", "seed"),
        ("mianyang", "mianyang_families", "11100", "households", "seed"),
        ("lecheng", "lecheng_loss_ratio", "60", "percent", "seed"),
        ("weihai", "weihai_policies", "1580000", "policies", "seed"),
        ("market", "health_premium_2024", "97740000000", "yuan", "seed"),
        ("peers", "jiangsu_relief_2022", "27.7", "percent", "page_A"),
        ("national", "serious_illness_reach_2023", "1.20", "percent", "page_B"),
    ],
)
def test_figures_as_printed(place: str, figure: str, value: str, unit: str, source_class: str) -> None:
    (found,) = [f for f in benchmarks.places()[place].figure if f.id == figure]
    assert (found.value, found.unit, found.source_class) == (Decimal(value), unit, source_class)


def test_derived_figures_follow_from_their_parts() -> None:
    values = {f.id: f.value for place in benchmarks.places().values() for f in place.figure}
    for derived, over, under, places in (
        ("zhuhai_mean_claim", "zhuhai_paid", "zhuhai_claims", -1),
        ("zhuhai_mean_person", "zhuhai_paid", "zhuhai_persons", -1),
        ("zhuhai_claims_per_person", "zhuhai_claims_seed", "zhuhai_persons", 2),
        ("zaozhuang_paid_per_policy", "zaozhuang_paid", "zaozhuang_policies", 0),
        ("nanning_paid_per_policy", "nanning_paid", "nanning_policies", 1),
        ("nanning_cii_per_head", "nanning_cii_paid", "nanning_cii_insured", 0),
        ("mianyang_per_family", "mianyang_paid", "mianyang_families", 0),
        ("lecheng_per_family", "lecheng_paid", "lecheng_families", 0),
        ("weihai_paid_per_policy", "weihai_paid", "weihai_policies", 1),
        ("weihai_mean_claim", "weihai_paid", "weihai_claims", 0),
        ("shandong_cross_mean", "shandong_cross_paid", "shandong_cross_persons", 1),
    ):
        assert (
            abs(values[derived] - round(values[over] / values[under], places)) <= Decimal(10) ** -places / 2
        ), derived
    assert values["zaozhuang_claims_per_100_2024"] == round(
        100 * values["zaozhuang_claims_2024"] / values["zaozhuang_insured_2024"], 1
    )


def test_every_place_and_every_target_is_there(rows: dict[str, Row]) -> None:
    assert tuple(benchmarks.places()) == PLACES
    targets = {row.figure.target.id for row in rows.values() if row.figure.target}
    assert targets == {f"T{n}" for n in range(1, 17)}
    for row in rows.values():
        figure = row.figure
        assert figure.source_class != "assumed", "a published figure is published"
        assert (row.verdict is None) == (figure.target is None)
        assert figure.derived is None or (figure.derived.zh and figure.derived.en)
        assert row.status == "not_computed" if figure.not_computed else row.status != "not_computed"


def test_ours_is_what_the_desk_answers(desk: Desk, rows: dict[str, Row]) -> None:
    asked = desk.ask(
        "reach", (), {"tier": ["serious_illness"], "insurance_type": ["resident"], "plan_year": [2023]}
    )
    row = rows["serious_illness_reach_2023"]
    assert row.status == "shown" and row.value is not None and row.apart is not None
    assert float(row.value) == pytest.approx(asked.table["value"][0] * 100, rel=1e-12)
    assert row.apart == row.value - Decimal("1.20")
    assert row.verdict == ("pass" if abs(row.apart) <= Decimal("0.12") else "fail")
    assert set(row.covers) == {(city, 2023) for city, _ in desk.places}
    stays = rows["cost_per_admission_resident_2023"]
    asked = desk.ask("cost_per_admission", (), {"insurance_type": ["resident"], "plan_year": [2023]})
    assert float(stays.value or 0) == pytest.approx(asked.table["value"][0], rel=1e-12)
    assert rows["admission_rate_employee_2024"].status == "no_data", "the sample holds 2022 and 2023"
    assert rows["zhanjiang_admission_rate_2007"].status == "no_data"


def test_a_protected_answer_stays_protected(desk: Desk) -> None:
    for row in benchmarks.compare(desk):
        if row.answer is not None:
            assert (row.value is None) == ("shown" not in row.answer.table["status"])
    cells = (
        desk.ask("reach", ["city", "burden_band", "tier"])
        .table.filter(pl.col("status") == "hidden")
        .to_dicts()
    )
    where = {name: [cells[0][name]] for name in ("city", "burden_band", "tier")}
    asked = {"measure": "reach", "where": where}
    place = benchmarks.Place.model_validate(
        {"id": "p", "place": WHY, "rank": 0, "figure": [{**BASE, "ours": asked}]}
    )
    (row,) = benchmarks.compare(desk, [place])
    assert (row.status, row.value, row.apart, row.verdict) == ("hidden", None, None, None)


def _told(value: float, synthetic: bool = True) -> Any:
    """A desk that answers one share."""
    table = pl.DataFrame({"value": [value], "status": ["shown"]})
    return SimpleNamespace(
        places=[("440400", 2023)],
        is_synthetic=synthetic,
        ask=lambda *_: SimpleNamespace(table=table, where={}),
    )


@pytest.mark.parametrize(
    ("more", "ours", "apart", "verdict"),
    [
        ({"value": 10, "target": ("T1", "10 %")}, 0.11, "1.0", "pass"),
        ({"value": 10, "target": ("T1", "10 %")}, 0.1101, "1.01", "fail"),
        ({"value": 10, "target": ("T1", "3 points")}, 0.07, "-3.0", "pass"),
        ({"value": 10, "target": ("T1", "3 points")}, 0.0699, "-3.01", "fail"),
        ({"value": 10, "target": ("T1", "exact")}, 0.1, "0", "pass"),
        ({"value": 10, "target": ("T1", "exact")}, 0.1001, "0.01", "fail"),
        ({"value": 10, "target": ("T1", "display")}, 0.5, "40", "not_applicable"),
        ({"value": 10, "sign": "more_than", "target": ("T1", "10 %")}, 0.5, "40", "pass"),
        ({"value": 10, "sign": "more_than", "target": ("T1", "10 %")}, 0.08, "-2", "fail"),
        ({"value": 10, "sign": "less_than", "target": ("T1", "10 %")}, 0.02, "-8", "pass"),
        ({"value": 10, "sign": "less_than", "target": ("T1", "10 %")}, 0.12, "2", "fail"),
        ({"value": 10, "high": 20, "target": ("T1", "exact")}, 0.15, "0", "pass"),
        ({"value": 10, "high": 20, "target": ("T1", "1 points")}, 0.22, "2", "fail"),
        ({"value": 10}, 0.12, "2", None),
    ],
)
def test_verdicts(more: dict[str, Any], ours: float, apart: str, verdict: str | None) -> None:
    target = (
        {"target": dict(zip(("id", "tolerance"), more["target"], strict=True))} if "target" in more else {}
    )
    figure = Figure.model_validate({**BASE, **more, **target, "ours": REACH})
    place = SimpleNamespace(id="p", figure=[figure])
    (row,) = benchmarks.compare(_told(ours), [place])  # type: ignore[list-item]
    assert (row.apart, row.verdict) == (Decimal(apart), verdict)
    (row,) = benchmarks.compare(_told(ours, synthetic=False), [place])  # type: ignore[list-item]
    assert row.verdict == ("not_applicable" if target else None), (
        "a target calibrates the sample, never real data"
    )


def test_all_problems_of_wrong_files_at_once(tmp_path: Path) -> None:
    head = 'place = { zh = "甲", en = "A" }\nrank = 0\n'
    good = {**BASE, "not_computed": WHY}

    def written(name: str, *figures: dict[str, Any]) -> None:
        (tmp_path / name).write_text(
            head + "".join("[[figure]]\n" + _toml(f) for f in figures), encoding="utf-8"
        )

    method = {"method": "R2", "ours": {"measure": "burden_reduction_rate", "where": {"tier": ["inclusive"]}}}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({**BASE, "id": "a"}, "give either ours"),
        ({**BASE, "id": "b", "not_computed": WHY, "ours": REACH}, "give either ours"),
        ({**BASE, "id": "c", "ours": {"measure": "luck"}}, "not in the catalogue"),
        ({**BASE, "id": "d", "ours": {"measure": "reach"}}, "name one tier"),
        ({**BASE, "id": "e", "ours": {**REACH, "where": {"tier": ["basic"], "zodiac": ["ox"]}}}, "zodiac"),
        ({**BASE, "id": "f", "unit": "yuan", "ours": REACH}, "cannot be compared"),
        ({**BASE, "id": "g", **method}, "never compared"),
        ({**good, "id": "h", "high": 5}, "upwards"),
        ({**good, "id": "i", "target": {"id": "T1", "tolerance": "about right"}}, "write `10 %`"),
        ({**good, "id": "j", "target": {"id": "first", "tolerance": "exact"}}, "target.id"),
        ({**good, "id": "k", "value": "10"}, "without quotes"),
        ({**good, "id": "l", "unit": "acres"}, "unit"),
        ({**good, "id": "m", "class": "hearsay"}, "class"),
        ({**good, "id": "n", "colour": "red"}, "colour"),
        ({**good, "id": "o", "differs": WHY}, "no ours"),
    ]
    written("one.toml", *(figure for figure, _ in wrong), {**good, "id": "twice"})
    written("two.toml", {**good, "id": "twice"})
    (tmp_path / "three.toml").write_text("figure = [", encoding="utf-8")
    with pytest.raises(benchmarks.PublishedErrors) as refused:
        benchmarks.places(tmp_path)
    told = refused.value.problems
    for figure, said in wrong:
        of_it = [line for line in told if line.startswith(f"one.toml: {figure['id']}:")]
        assert len(of_it) == 1 and said in of_it[0], (figure["id"], of_it)
    assert sum("twice" in line for line in told) == 1
    assert any(line.startswith("three.toml: ") for line in told)
    assert len(told) == len(wrong) + 2


def _toml(row: dict[str, Any]) -> str:
    def text(value: Any) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{k} = {text(v)}" for k, v in value.items()) + " }"
        return json.dumps(value, ensure_ascii=False)

    return "".join(f"{key} = {text(value)}\n" for key, value in row.items())


def test_the_command_reports_every_target(run: Run, sample_store: Path, rows: dict[str, Row]) -> None:
    code, out, _ = run("benchmarks", sample_store, "--targets", "--format", "json")
    answer = json.loads(out)
    assert code == 0 and answer["provenance"]["synthetic"] is True
    assert {line["target"] for line in answer["rows"]} == {f"T{n}" for n in range(1, 17)}
    for line in answer["rows"]:
        row = rows[line["id"]]
        assert (line["status"], line["verdict"]) == (row.status, row.verdict)
        assert line["why"] or row.status not in ("not_computed", "unanswered")
    code, out, _ = run("benchmarks", sample_store, "--place", "weihai", "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(out.removeprefix("\ufeff"))))
    assert code == 0 and len(lines) == len(benchmarks.places()["weihai"].figure)
    assert {line["published"] for line in lines if line["id"] == "weihai_paid"} == {">110000000"}
    code, out, _ = run("benchmarks", sample_store, "--targets")
    counted = re.search(r"targets: (\d+) pass, (\d+) fail, (\d+) not_applicable", out)
    assert counted and sum(map(int, counted.groups())) == len(answer["rows"])
    code, _, err = run("benchmarks", sample_store, "--place", "atlantis")
    assert code == 1 and "atlantis" in err and "national" in err

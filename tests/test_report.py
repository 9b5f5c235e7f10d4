"""Performance reports: every number is the desk's own answer, what is protected stays so, what cannot be told is named."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from composed import Open, Remembering, everything, sentences, tables

from analytics.desk.answer import Desk
from analytics.figures import formats, formula, names, words
from analytics.measures import measures
from analytics.reference import city_label
from analytics.report.compose import compose
from analytics.report.document import Cell, Document, Table
from analytics.report.form import KINDS, Part, report
from analytics.tiers import TIER

ZHUHAI, YEAR = "440400", 2023
HERE = {"city": [ZHUHAI], "plan_year": [str(YEAR)]}
SCOPES = {
    "here": HERE,
    "course": {"city": [ZHUHAI], "plan_year": ["2022", "2023"]},
    "peers": {"city": ["371000", "440400", "440800"], "plan_year": [str(YEAR)]},
}


@pytest.fixture(scope="module")
def desk(sample_store: Path) -> Desk:
    return Remembering.open(sample_store)


@pytest.fixture(scope="module")
def opened(sample_store: Path) -> Desk:
    return Open.open(sample_store)


@pytest.fixture(scope="module")
def reports(desk: Desk) -> dict[tuple[str, str], Document]:
    return {
        (kind, language): compose(desk, "zhuhai", YEAR, kind=kind, language=language)
        for kind in KINDS
        for language in words.LANGUAGES
    }


# --- every number is an answer


def numbers(desk: Desk, part: Part) -> dict[tuple[str, ...], tuple[float | None, str]]:
    """What a part must hold: (line, ..., column) -> number and status, from questions of their own."""
    found = {}

    def label(dimension: str, code: object) -> str:
        plan = desk.plan(ZHUHAI, YEAR)
        if dimension == "liability" and plan:
            named = {r.liability: r.name.zh for r in plan.rules("inclusive") if r.name}
            return named.get(str(code), names.member(dimension, code))
        if dimension == "product" and plan:
            return {p.code: p.name.zh for p in plan.product}.get(str(code), names.member(dimension, code))
        return names.member(dimension, code)

    for column in part.column:
        where = {**SCOPES[part.of], **part.where, **column.where}
        tier = TIER[where["tier"][0]].zh if "tier" in where else ""
        head = (column.title or measures()[column.measure].title).zh
        by: Sequence[str] = part.by
        if part.layout == "course":
            by = ("plan_year",)
        elif part.layout == "peers":
            by = ("city",)
        try:
            answer = desk.ask(column.measure, by, where)
        except ValueError:
            continue
        for row in answer.table.to_dicts():
            place = tuple(label(d, row[d]) for d in by)
            if part.layout == "course":
                key: tuple[str, ...] = (head + (f"（{tier}）" if tier else ""), place[0])
            elif part.layout == "crossed":
                key = place
            elif part.layout == "peers":
                own = "（本市）" if str(row["city"]) == ZHUHAI else ""
                key = (place[0] + own, head)
            else:
                key = (*place, head)
            found[key] = (row[column.show], row["status"])
    return found


def held(table: Table) -> dict[tuple[str, ...], Cell]:
    return {
        (*(c.text for c in row[: table.left]), head): cell
        for row in table.rows
        for head, cell in zip(table.columns[table.left :], row[table.left :], strict=True)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_is_the_answer_of_the_desk(
    kind: str, reports: Mapping[tuple[str, str], Document], sample_store: Path
) -> None:
    fresh, document = Desk.open(sample_store), reports[kind, "zh"]
    by_title = {table.title: table for table in tables(document)}
    compared = 0
    few = "hidden" in set(fresh.ask("reach", ["plan_year", "tier"], SCOPES["course"]).table["status"])
    for part in (p for s in report(kind).section for p in s.part):
        expected = numbers(fresh, part)
        if part.title.zh not in by_title:  # said in one sentence that all of it is protected
            assert expected and all(value is None for value, _ in expected.values()), part.id
            assert any(part.title.zh in text and "受保护" in text for text in sentences(document))
            continue
        cells = held(by_title[part.title.zh])
        for key, (value, status) in expected.items():
            cell = cells[key]
            if status == "shown" and cell.text == "受保护":  # beside another, see test_report_complement.py
                assert few or any(s == "hidden" for _, s in expected.values()), (part.id, key)
                continue
            assert cell.value == value, (part.id, key)
            if status != "shown":
                assert cell.text in {"hidden": ["受保护"], "undefined": ["无定义", "无数据"]}[status], (
                    part.id,
                    key,
                )
            compared += value is not None
        for key, cell in cells.items():
            if cell.value is not None and key not in expected:
                assert key[-1] in ("比上年", "名次", "与珠海之差"), (part.id, key)
    assert compared > 40


def test_differences_are_those_of_the_desk(
    reports: Mapping[tuple[str, str], Document], sample_store: Path
) -> None:
    fresh = Desk.open(sample_store)
    wanted = ("主要指标", "实际报销比例，各城市")
    cells = {k: v for t in tables(reports["bureau", "zh"]) if t.title in wanted for k, v in held(t).items()}
    rate = "实际报销比例"
    course = fresh.ask(
        "effective_reimbursement_rate", ["plan_year"], SCOPES["course"], against=("plan_year", "2022")
    ).table
    (expected,) = [r["difference"] for r in course.to_dicts() if r["plan_year"] == YEAR]
    assert cells[rate, "比上年"].value == pytest.approx(expected, abs=1e-12)
    assert cells[rate, "比上年"].text == formats.points(expected, "zh")
    peers = fresh.ask(
        "effective_reimbursement_rate", ["city"], SCOPES["peers"], against=("city", ZHUHAI)
    ).table.to_dicts()
    for row in peers:
        if row["city"] != ZHUHAI:
            cell = cells[city_label(row["city"], "zh"), "与珠海之差"]
            assert cell.value == row["difference"]
            assert f"[{row['difference_low'] * 100:.1f}, {row['difference_high'] * 100:.1f}]" in cell.text
    values = sorted((r["value"] for r in peers), reverse=True)
    for row in peers:
        own = "（本市）" if row["city"] == ZHUHAI else ""
        assert cells[city_label(row["city"], "zh") + own, "名次"].value == 1 + values.index(row["value"])


def test_a_text_says_its_number(reports: Mapping[tuple[str, str], Document]) -> None:
    """Shares as percent, points as 个百分点, money and counts to the last digit shown."""
    seen = set()
    for document in reports.values():
        for table in tables(document):
            for cell in (c for row in table.rows for c in row if c.value is not None):
                unit, value = cell.unit, cell.value
                found = re.match(r"[+-]?[\d,]+(\.\d+)?", cell.text)
                assert found or cell.text.startswith("<") or (unit, value) == ("days", 0), cell
                if not found:
                    continue
                number = float(found[0].replace(",", ""))
                digits = len((found[1] or ".")[1:])
                scale = {"share": 0.01, "points": 0.01}.get(unit, 1.0)
                for name, size in (
                    ("百万元", 1e6),
                    ("万元", 1e4),
                    ("亿元", 1e8),
                    (" m yuan", 1e6),
                    (" bn yuan", 1e9),
                ):
                    if unit == "yuan" and name in cell.text:
                        scale = size
                        break
                assert abs(number * scale - value) <= 0.5000001 * scale * 10**-digits, cell
                seen.add(unit)
    assert {"share", "points", "yuan", "count"} <= seen


# --- sentences


def test_the_bureau_reads_out_the_numbers_of_the_answers(opened: Desk) -> None:
    desk, said = opened, sentences(compose(opened, "zhuhai", YEAR))

    def rows(measure: str, *by: str, **where: str) -> dict[str, Any]:
        filters = {**HERE, **{k: [v] for k, v in where.items()}}
        table = desk.ask(measure, by, filters).table.to_dicts()
        return {str(r[by[0]]) if by else "": r for r in table}

    rate = rows("effective_reimbursement_rate")[""]
    after = rows("own_share_after", "tier")
    last = [k for k in desk.order(ZHUHAI, YEAR) if k in after][-1]
    own = said[0]
    assert f"医疗费用共 {rate['denominator'] / 1e4:,.2f} 万元" in own
    assert f"实际报销比例 {rate['value'] * 100:.1f}%" in own
    assert f"由基本医保支付后的 {after['basic']['value'] * 100:.1f} 元" in own
    assert f"降至全部保障后的 {after[last]['value'] * 100:.1f} 元" in own

    shares = rows("tier_share", "tier")
    top = max(shares, key=lambda k: shares[k]["value"])
    assert f"{TIER[top].zh}支付最多，占医疗费用的 {shares[top]['value'] * 100:.1f}%" in "".join(said)
    burdened = rows("catastrophic_headcount", "tier")
    text = next(s for s in said if "灾难性卫生支出，按户计" in s)
    for row in (burdened["none"], burdened[last]):
        assert f"{row['value'] * 100:.1f}%（{row['numerator']:,.0f} 户）" in text
    reductions = [
        rows(f"burden_reduction_{m}", "tier", tier="inclusive")["inclusive"]["value"]
        for m in ("rate", "mean", "points")
    ]
    text = next(s for s in said if s.startswith("惠民保获赔人群"))
    assert [float(x) for x in re.findall(r"\d+\.\d", text)] == [round(x * 100, 1) for x in reductions]
    for k, row in rows("reach", "tier").items():
        part = f"{TIER[k].zh} {row['numerator']:,.0f} 人（{formats.percent(row['value'])}）"
        assert part in next(s for s in said if s.startswith("当年获得支付"))


def test_the_insurer_reads_out_the_numbers_of_the_answers(opened: Desk) -> None:
    desk, said = opened, sentences(compose(opened, ZHUHAI, YEAR, kind="insurer", unit="yuan"))

    def one(measure: str) -> dict[str, Any]:
        (row,) = desk.ask(measure, (), HERE).table.to_dicts()
        return row

    held_, renewed, loss = one("participation_rate"), one("renewal_rate"), one("loss_ratio")
    assert (
        f"参保 {held_['denominator']:,.0f} 人，其中投保惠民保 {held_['numerator']:,.0f} 人，参保率 {held_['value'] * 100:.1f}%"
        in said[0]
    )
    assert f"续保 {renewed['numerator']:,.0f} 人，续保率 {renewed['value'] * 100:.1f}%" in said[1]
    assert f"保费 {loss['denominator']:,.0f} 元，已付赔款 {loss['numerator']:,.0f} 元" in said[2]
    assert f"赔付率 {loss['value'] * 100:.1f}%" in said[2] and "登记所记" in said[2]
    per_claim, per_100 = one("paid_per_claim"), one("claims_per_100")
    assert f"共赔付 {per_claim['denominator']:,.0f} 件，每百名投保人 {per_100['value']:.1f} 件" in said[3]
    liabilities = desk.ask("paid_per_claim", ["liability"], HERE).table.to_dicts()
    assert f"赔款 {max(r['numerator'] for r in liabilities):,.0f} 元" in said[4]
    days = one("days_to_pay_median")["value"]
    assert (f"不超过 {days:,.0f} 天" if days else "当天完成") in next(
        s for s in said if s.startswith("从报案到付款")
    )


def test_no_sentence_holds_a_protected_number(
    opened: Desk, reports: Mapping[tuple[str, str], Document]
) -> None:
    """Where an answer is protected, the report does not say what an open desk would."""
    for kind in KINDS:
        open_, shut = (sentences(d) for d in (compose(opened, ZHUHAI, YEAR, kind=kind), reports[kind, "zh"]))
        assert any("受保护" in text for text in shut) and not any("受保护" in text for text in open_)
    (loss,) = opened.ask("loss_ratio", (), HERE).table.to_dicts()
    told = "".join(everything(reports["insurer", "zh"]))
    assert "惠民保赔付率（已付赔款比保费）" in "".join(shut), "named among what is protected"
    for number in (f"{loss['value'] * 100:.1f}%", formats.money(loss["numerator"], "zh")):
        assert number not in told


# --- languages


def test_each_report_is_in_one_language(reports: Mapping[tuple[str, str], Document]) -> None:
    for (kind, language), document in reports.items():
        assert document.language == language
        lines = [text for text in everything(document) if text]
        named = {s.title for m in measures().values() for s in m.source}
        sources = {
            cell.text
            for t in tables(document)
            if t.left == len(t.columns) == 3
            for cell in (r[-1] for r in t.rows)
        }
        lines = [text for text in lines if text not in sources and text not in named]
        if language == "en":
            assert [text for text in lines if re.search(r"[\u3400-\u9fff]", text)] == [], kind
        else:
            formulas = {formula.plain(m.formula) for m in measures().values()}
            english = [
                x
                for x in lines
                if re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", x) and x.split("\n")[-1] not in formulas
            ]
            assert english == [], (kind, english)
        assert document.warning and ("合成" in document.warning) == (language == "zh")
        assert dict(document.facts)[{"zh": "数据快照", "en": "Snapshot"}[language]]


def test_every_formula_has_a_plain_form() -> None:
    for form in measures().values():
        assert "\\" not in formula.plain(form.formula), form.id
    assert (
        formula.plain(r"\frac{\sum_i p_{ki}}{\sum_i b_{ki}},\; p_{ki} > 0")
        == "(Σ_i p_ki) ÷ (Σ_i b_ki), p_ki > 0"
    )
    assert formula.plain(r"\frac{1}{n}\sum_i \frac{a_i}{b}") == "(1 ÷ n)Σ_i (a_i ÷ b)"
    with pytest.raises(ValueError, match="plain form"):
        formula.plain(r"\oint x")

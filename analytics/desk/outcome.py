"""The result of a scenario in protected figures: fit, who is touched, spending, burden, catastrophic expenditure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field

from analytics.plans import Plan
from analytics.reference import Form, Text, load_toml
from analytics.release import Released
from analytics.tiers import TIER
from analytics.whatif import Scenario

LEDGERS = ("observed", "baseline", "reform")
Ledger = Literal["observed", "baseline", "reform"]
Asked = Callable[[Ledger, str, tuple[str, ...], Mapping[str, str]], Released]


class Question(Form):
    measure: str
    by: tuple[str, ...] = ()
    parameters: dict[str, str] = Field(default_factory=dict)
    of: tuple[Ledger, ...]


class Section(Form):
    id: str
    title: Text
    question: tuple[Question, ...]


@cache
def sections() -> tuple[Section, ...]:
    """What a result shows, in order."""
    rows = load_toml(Path(__file__).with_suffix(".toml"))["section"]
    return tuple(Section.model_validate(row) for row in rows)


@dataclass(frozen=True)
class Answer:
    """One question, answered from each ledger it was asked of."""

    section: str
    question: Question
    of: Mapping[Ledger, Released]

    def table(self) -> pl.DataFrame:
        """Dimensions, measure, parameters, and for each ledger value, numerator, n and status; the change of the value from
        baseline to reform where both are shown.
        """
        whole: pl.DataFrame | None = None
        for name, released in self.of.items():
            shown = released.table.select(
                *released.by, *(pl.col(c).alias(f"{name}_{c}") for c in ("value", "numerator", "n", "status"))
            )
            if whole is None:
                whole = shown
            elif released.by:
                whole = whole.join(
                    shown, on=list(released.by), how="full", coalesce=True, maintain_order="left_right"
                )
            else:
                whole = pl.concat([whole, shown], how="horizontal")
        assert whole is not None
        if {"baseline_value", "reform_value"} <= set(whole.columns):
            whole = whole.with_columns((pl.col("reform_value") - pl.col("baseline_value")).alias("change"))
        told = ", ".join(f"{k}={v}" for k, v in self.question.parameters.items())
        head = [
            pl.lit(self.section).alias("section"),
            pl.lit(self.question.measure).alias("measure"),
            pl.lit(told).alias("parameters"),
        ]
        return whole.select(*head, pl.all(), pl.lit(self.ids).alias("figure"))

    @property
    def ids(self) -> str:
        """The figure ids of its answers, in order of ledgers."""
        return " ".join(f.id for released in self.of.values() for f in released.figures)


@dataclass(frozen=True)
class Outcome:
    """`scenario` as carried out (a search puts what it found in its changes), the plan in force and the changed one."""

    scenario: Scenario
    plan: Plan
    changed: Plan
    answers: tuple[Answer, ...]

    def figures(self) -> Iterator[Released]:
        """Every answer of every ledger."""
        for answer in self.answers:
            yield from answer.of.values()

    def table(self) -> pl.DataFrame:
        """Every figure, one row each."""
        tables = [answer.table() for answer in self.answers]
        if (premium := self.premium()) is not None:
            tables.append(premium)
        whole = pl.concat([*tables, self.by_payer()], how="diagonal_relaxed")
        figures = [f"{name}_{c}" for name in LEDGERS for c in ("value", "numerator", "n", "status")]
        dimensions = [
            c
            for c in whole.columns
            if c not in {*figures, "section", "measure", "parameters", "change", "figure"}
        ]
        return whole.select("section", "measure", "parameters", *dimensions, *figures, "change", "figure")

    def answer(self, measure: str, by: tuple[str, ...] = (), **parameters: str) -> Answer:
        """The answer to a question of `outcome.toml`. Raises KeyError."""
        for answer in self.answers:
            q = answer.question
            if (
                (q.measure, q.by) == (measure, by)
                and parameters.items() <= q.parameters.items()
                and "reform" in q.of
            ):
                return answer
        raise KeyError(measure)

    def premium(self) -> pl.DataFrame | None:
        """Premium needed per holder for the target loss ratio: what is paid per holder over the ratio."""
        answer = self.answer("paid_per_holder")
        if not any(r.table["value"].drop_nulls().len() for r in answer.of.values()):
            return None
        ratio = float(self.scenario.target_loss_ratio)
        row: dict[str, Any] = {
            "section": "spending",
            "measure": "premium_needed",
            "parameters": f"loss_ratio={ratio:g}",
            "figure": answer.ids,
        }
        for name, released in answer.of.items():
            shown = released.table.row(0, named=True)
            row |= {
                f"{name}_value": None if shown["value"] is None else shown["value"] / ratio,
                f"{name}_n": shown["n"],
                f"{name}_status": shown["status"],
            }
        return pl.DataFrame([row])

    def by_payer(self) -> pl.DataFrame:
        """What each payer pays in all, yuan: the sum over its tiers, shown when all of them are."""
        rows: dict[str, dict[str, Any]] = {}
        answer = self.answer("paid_per_insured", ("tier",))
        for name, released in answer.of.items():
            for cell in released.table.iter_rows(named=True):
                row = rows.setdefault(TIER[cell["tier"]].payer, {})
                known, status = row.get(f"{name}_numerator", 0), row.get(f"{name}_status", "shown")
                hidden = "hidden" in (cell["status"], status)
                row[f"{name}_status"] = "hidden" if hidden else "shown"
                row[f"{name}_numerator"] = None if hidden else known + cell["numerator"]
        head = {"section": "spending", "measure": "paid_total", "parameters": "", "figure": answer.ids}
        return pl.DataFrame([{**head, "payer": payer, **row} for payer, row in rows.items()])


def assemble(scenario: Scenario, plan: Plan, changed: Plan, ask: Asked) -> Outcome:
    """Ask everything a result shows."""
    answers = [
        Answer(
            section.id,
            question,
            {name: ask(name, question.measure, question.by, question.parameters) for name in question.of},
        )
        for section in sections()
        for question in section.question
    ]
    return Outcome(scenario, plan, changed, tuple(answers))

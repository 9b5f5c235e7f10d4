"""Who is left to bear what no tier paid: catastrophic expenditure by rank of living standard, and poverty."""

from collections.abc import Sequence

import streamlit as st

from analytics.figures import charts, formats, names, tables
from analytics.figures.words import t
from analytics.release import Released
from analytics.view import asking, choose, controls, figure, parade

EVEN = 0.005  # an index nearer to zero than this reads 0.00


def ranked(place: choose.Place, yardstick: choose.Yardstick, order: Sequence[str], se: str) -> None:
    """Concentration of catastrophic expenditure before and after each tier, and what it says."""
    told = t("bears.title", threshold=choose.share(yardstick.threshold))
    if not asking.answerable("catastrophic_concentration", "living_standard", place.where):
        st.header(told, anchor=False)
        st.info(t("bears.none"))
        return
    found = {
        "erreygers": "catastrophic_concentration_erreygers",
        "concentration": "catastrophic_concentration",
    }
    with asking.together():
        answers = {
            code: asking.ask(measure, ["tier"], place.where, yardstick.parameters, se=se)
            for code, measure in found.items()
        }
    both = asking.joined("bears", answers)
    living = names.setting("living_standard", answers["erreygers"].parameters["living_standard"])
    figure.show(
        "bears",
        told,
        charts.bars(both, "tier", "bears", order=order, flat=True),
        tables.crossed(both, "tier", "bears", down=order),
        list(answers.values()),
        " ".join(
            part for part in (_leans(answers["erreygers"], order), t("bears.note", living=living)) if part
        ),
    )


def _leans(answer: Released, order: Sequence[str]) -> str:
    """To whom catastrophic expenditure leans after all tiers there are; empty where that is not shown."""
    if not order:
        return ""
    first, last = asking.row(answer, tier=order[0]), asking.row(answer, tier=order[-1])
    if not (first and last and first["status"] == last["status"] == "shown"):
        return ""
    leans = t(
        "bears.even" if abs(last["value"]) < EVEN else "bears.poor" if last["value"] < 0 else "bears.rich"
    )
    before, after = formats.index(first["value"]), formats.index(last["value"])
    return t("bears.tiered" if order[1:] else "bears.untiered", leans=leans, before=before, after=after)


def poverty(place: choose.Place, order: Sequence[str], se: str) -> None:
    """Persons pushed below a line by paying for care, and those already below it who pay, before and after each tier."""
    if not asking.answerable("poverty_headcount", "poverty_line", place.where):
        return
    with choose.row():
        line = choose.poverty_line(place.where)
    controls.notices()
    found = {"pushed": "impoverishment_headcount", "further": "further_impoverished"}
    with asking.together():
        answers = {
            code: asking.ask(measure, ["tier"], place.where, {"poverty_line": line}, se=se)
            for code, measure in found.items()
        }
    both = asking.joined("poor", answers)
    chosen = answers["pushed"].parameters
    figure.show(
        "poor",
        t("poor.title"),
        charts.bars(both, "tier", "poor", order=order, flat=True),
        tables.crossed(both, "tier", "poor", down=order),
        list(answers.values()),
        t(
            "poor.note",
            line=names.setting("poverty_line", line),
            living=names.setting("living_standard", chosen["living_standard"]),
        ),
    )
    parade.show(place, line)

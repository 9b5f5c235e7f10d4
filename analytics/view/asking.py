"""The view's one way to numbers: the desk over the current snapshot, and questions answered once per snapshot."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import polars as pl
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from analytics.desk import benchmarks as figures
from analytics.desk.answer import Desk
from analytics.desk.benchmarks import Place
from analytics.desk.outcome import Outcome
from analytics.desk.room import Room, Rooms
from analytics.figures import tables, words
from analytics.measures import Measure, measures
from analytics.plans import Covered, Plan, PlanErrors, PlanHoles, load_plans
from analytics.plans import coverage as registered
from analytics.release import Denied, Record, Released, Unwritten, Viewer, log_of
from analytics.store import Damaged, NotBuilt, QueryTimeout, Store
from analytics.tiers import LEDGERS
from analytics.view import door
from analytics.view.ahead import Ahead, Foreseen
from analytics.whatif import NoEffect, NoSettlements, Scenario

MEASURES = tuple(  # that any page can ask for
    m.id for m in measures().values() if m.grain in LEDGERS and not (m.needs or m.credit)
)
store_path = door.store_path
_ON_THE_SPOT = ("upload", "build", "samples")
ahead = Ahead()
_serving: ContextVar[Desk | None] = ContextVar("serving", default=None)


class Unanswered(Exception):
    """The store cannot answer a question; the message says why, in the language of the page."""


class TooSlow(Unanswered):
    """A question passed its limit of time and was stopped."""


@st.cache_resource(max_entries=2, show_spinner=False)
def _rooms(path: str, snapshot: str) -> Rooms:
    return Rooms(path, snapshot)


def _open(path: str, snapshot: str, cities: frozenset[str] | None = None) -> Room:
    return _rooms(path, snapshot).of(cities)


def _record(path: Path, who: Viewer) -> Record:
    """What this session has been given, so that the same answer is entered once; without a session one of its own."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return Record(log_of(path), who)
    held = st.session_state.get("record")
    if held is None or held.viewer != who or held.log is not log_of(path):
        held = Record(log_of(path), who)
        if door.server():
            held.note("login")
        st.session_state["record"] = held
    return cast(Record, held)


def _published() -> Desk:
    path, who = store_path(), door.viewer()
    store = Store(path)
    snapshot = store.current_id()
    try:
        return Desk(_open(str(path), snapshot, who.cities), who, _record(path, who))
    except (NotBuilt, Damaged):
        raise
    except Exception as error:  # files that cannot be opened: say which
        if lines := store.current().damage():
            raise Damaged("\n".join(lines)) from error
        raise


def refused(page: str, who: Viewer) -> None:
    """Enter that a page was asked for that is not granted. Raises release.Unwritten."""
    _record(store_path(), who).note("refusal", asked=page, code="page")


def desk() -> Desk:
    """The desk this run of a page is served from. Raises NotBuilt or Damaged when there is none to serve."""
    return _serving.get() or _published()


def serve() -> Desk:
    """Begin a run: the desk over the published snapshot, for the whole run; one published meanwhile is picked up by the
    next. Raises NotBuilt or Damaged when there is none to serve.
    """
    _serving.set(None)
    _serving.set(_published())
    return desk()


def warm_up() -> None:
    """Open the store and ask one question, so that the first visitor does not wait. A store that is missing or
    broken is left for the page to explain."""
    try:
        open_ = desk()
        city, year = open_.places[-1]
        ask("own_share_after", ("plan_year", "tier"), {"city": [city]})
        order(city, year)
    except (NotBuilt, Damaged, IndexError, Unanswered, Unwritten):
        return


def ask(
    measure: str,
    by: Sequence[str],
    where: Mapping[str, Sequence[str]],
    parameters: Mapping[str, str] | None = None,
    ledger: str = "observed",
    se: str = "",
    against: tuple[str, str] | None = None,
) -> Released:
    """One measure's answer by dimensions, under filters. The same question to the same snapshot is computed once.

    `ledger`: "observed" (as recorded) or "plan" (the plan in force, replayed); `se`: with standard errors of a sampling
    ("superpopulation", "population"); `against`: differences from a value of a dimension. Raises Unanswered with the reason when the
    store cannot answer it; of a replay also NoSettlements and plans.PlanHoles.
    """
    at = desk()
    with _reasoned():
        given = at.ask(measure, by, where, parameters, scenario=ledger, se=se, against=against)
    if ledger == "observed" and not (se or against):
        ahead.asked(at, Foreseen(measure, tuple(by), where, parameters or {}))
    return given


def together() -> AbstractContextManager[None]:
    """What is asked in this block is one entry of the audit log, and waits for the disk once; nothing of it is to be drawn before its end."""
    return desk().record.together()


@contextmanager
def _reasoned() -> Iterator[None]:
    """Ask within: a reason of the desk becomes one a page can tell."""
    try:
        yield
    except (NoEffect, NoSettlements, PlanHoles, PlanErrors, Denied):
        raise
    except QueryTimeout as error:
        raise TooSlow(str(error)) from error
    except ValueError as error:
        raise Unanswered(words.reason(error)) from error


def parade(where: Mapping[str, Sequence[str]], parameters: Mapping[str, str]) -> Released:
    """Pen's parade of the households. Raises Unanswered with the reason when the store cannot answer it."""
    with _reasoned():
        return desk().parade(where, parameters)


def answerable(measure: str, parameter: str, where: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The values of a parameter that the data of these places can answer a measure with."""
    return desk().answerable(measure, parameter, where)


def simulate(scenario: Scenario) -> Outcome:
    """A scenario carried out, once per snapshot. Raises whatif.NoEffect, whatif.NoSettlements, plans.PlanHoles, plans.PlanErrors, and
    Unanswered for the rest.
    """
    with _reasoned():
        return desk().simulate(scenario)


def quality() -> list[dict[str, Any]]:
    """The books of the store (see `quality.quality`). Raises Unanswered when a delivery is damaged."""
    try:
        return desk().quality()
    except Damaged as error:
        raise Unanswered(words.reason(error)) from error


def published() -> dict[str, Place]:
    """The places with published figures, in order."""
    return figures.places()


def benchmarks() -> list[figures.Row]:
    """Every published figure beside ours."""
    with together():
        return figures.compare(desk())


def may(action: str) -> bool:
    """Whether who looks at this page may do something here; what is done to the store itself, on any page that offers it, only on the
    machine it lies on.
    """
    who = door.viewer()
    if action in _ON_THE_SPOT:
        return who.may_anywhere(action) and is_local()
    return who.may(st.session_state.get("page") or "overview", action)


def is_local() -> bool:
    """Whether the page is looked at on the machine that serves it, by its own address and not through another server."""
    if door.server() is not None:
        return False
    headers = st.context.headers
    passed_on = any(name in headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-Ip"))
    host = urlsplit(headers.get("Origin", "")).hostname
    return st.context.ip_address is None and not passed_on and host in (None, "localhost", "127.0.0.1", "::1")


def measure(measure_id: str) -> Measure:
    """A measure of the catalogue. Raises KeyError for an unknown one."""
    return measures()[measure_id]


def order(city: str, year: str | int) -> tuple[str, ...]:
    """Tiers in the order in which they pay in a city and plan year."""
    return desk().order(city, int(year))


def plans() -> dict[tuple[str, int], Plan]:
    """Every benefit plan on file by city and plan year, whether or not the store holds data of it."""
    return load_plans()


def coverage() -> list[Covered]:
    """What is known of every scheme in every year."""
    return registered()


def absent(seen: Released, city: str, year: str | int, tier: str) -> str:
    """What to say where an answer has no row of a tier: the place has no such tier, or has it for nobody looked at."""
    plan = desk().plan(city, int(year))
    has = plan is not None and (tier == "last" or tier in plan.order)
    return tables.nobody(seen.measure) if has else words.t("cell.not_covered")


def present(released: Released, city: str, year: str | int) -> tuple[str, ...]:
    """The tiers an answer by tier holds, in order of payment; first the state before any payment, where it is held."""
    held = set(released.table["tier"])
    return tuple(k for k in ("none", *order(city, year)) if k in held)


def narrow(released: Released, **wanted: str) -> Released:
    """The rows of an answer with the given dimension values. `tier="last"`: the last tier of each city and year,
    which the answer must be broken down by; without any tier, in a survey, the state before payment."""
    table = released.table
    for dimension, value in wanted.items():
        if dimension == "tier" and value == "last":
            table = table.filter(_is_last(released))
        else:
            table = table.filter(pl.col(dimension).cast(pl.String) == value)
    return replace(released, table=table)


def joined(dimension: str, answers: Mapping[str, Released]) -> Released:
    """Answers of one breakdown as one, told apart by a dimension more, so that they are drawn on one scale."""
    first = next(iter(answers.values()))
    together = {f.id: f for a in answers.values() for f in a.figures}
    told = {**first.provenance, "figure": list(together)}
    tables = [a.table.with_columns(pl.lit(code).alias(dimension)) for code, a in answers.items()]
    whole = pl.concat(tables, how="vertical_relaxed")
    return replace(
        first, by=(*first.by, dimension), table=whole, provenance=told, figures=tuple(together.values())
    )


def totals(released: Released) -> Released:
    """An answer whose value is its numerator: what is paid in all instead of per person."""
    return replace(released, table=released.table.with_columns(pl.col("numerator").alias("value")))


def _is_last(released: Released) -> pl.Series:
    table, where = released.table, released.where
    places = [
        (
            str(row.get("city") or where["city"][0]),
            str(row.get("plan_year") or where["plan_year"][0]),
            str(row["tier"]),
        )
        for row in table.iter_rows(named=True)
    ]
    held: dict[tuple[str, str], set[str]] = {}
    for city, year, tier in places:
        held.setdefault((city, year), set()).add(tier)
    last = {
        place: ([k for k in ("none", *order(*place)) if k in tiers] or [""])[-1]
        for place, tiers in held.items()
    }
    return pl.Series([tier == last[(city, year)] for city, year, tier in places], dtype=pl.Boolean)


def row(released: Released, **wanted: str) -> dict[str, Any] | None:
    """The one row with the given dimension values, None where the answer holds none."""
    rows = narrow(released, **wanted).table.to_dicts()
    return rows[0] if len(rows) == 1 else None

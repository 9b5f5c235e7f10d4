"""The one door of a desk: who asks, in which room, and the entry of what they get."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from analytics.desk.outcome import Outcome
from analytics.desk.room import Room
from analytics.measures import Book, Raw
from analytics.release import LOCAL, Denied, Record, Released, Viewer, identified, log_of, release

T = TypeVar("T")
P = ParamSpec("P")
D = TypeVar("D", bound="Giving")
Pairs = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Asked:
    """A question as it passes the door: what it is kept and recorded under. `action`: what the viewer must be allowed to do;
    `ledger`: observed, plan, or the text of a scenario; `more`: everything else that decides the answer, by name.
    """

    verb: str
    action: str = "ask"
    measure: str = ""
    by: tuple[str, ...] = ()
    where: Pairs = ()
    parameters: tuple[tuple[str, str], ...] = ()
    ledger: str = "observed"
    more: tuple[tuple[str, Any], ...] = ()


def entered(method: Callable[Concatenate[D, P], T]) -> Callable[Concatenate[D, P], T]:
    """A method of the desk whose refusals are entered in the audit log."""

    @wraps(method)
    def entering(self: D, /, *args: P.args, **more: P.kwargs) -> T:
        try:
            return method(self, *args, **more)
        except Denied as error:
            self.record.note("refusal", asked=method.__name__, code=error.code, reason=str(error))
            raise

    return entering


class Giving:
    """A room, who asks in it, and the record of what they get."""

    def __init__(self, room: Room, viewer: Viewer = LOCAL, record: Record | None = None) -> None:
        """`record`: that of the viewer's session, where it goes on longer than this desk."""
        if room.cities != viewer.cities:
            raise ValueError("a viewer stands in the room of their own cities")
        self._room, self.viewer = room, viewer
        self.record = record or Record(log_of(room.store.path), viewer)
        self.snapshot_id = room.snapshot.id
        if viewer.answers == "exact":
            room.book  # noqa: B018 - a damaged file shows here

    @property
    def _book(self) -> Book:
        return self._room.book

    def _give(self, asked: Asked, make: Callable[[], T], published: Callable[[], T] | None = None) -> T:
        """The one door. Every answer, kept or new, is asked for here: may this viewer have it, and from what? It leaves once it is
        entered in the audit log. `published`: how the protected tables answer it, where they may. Raises release.Denied,
        release.Unwritten.
        """
        self.viewer.must(asked.action)
        if self.viewer.answers != "exact":
            if self.viewer.answers == "none" or published is None:
                raise Denied("protected", "only protected tables are granted to you")
            make = published
        given = self._room.once((self.viewer.scope, asked), make)
        if isinstance(given, Released):
            self.record.give(given)
        elif isinstance(given, Outcome):
            with self.record.together():
                for released in given.figures():
                    self.record.give(released)
        return given

    def _release(self, raw: Raw, protect: bool, **asked: Any) -> Released:
        """An answer protected, and with its id."""
        return self._identified(release(raw, protect=protect), **asked)

    def _identified(self, released: Released, **asked: Any) -> Released:
        scope, products = self.viewer.scope[1:]
        return identified(released, scope=scope, products=products, **asked)

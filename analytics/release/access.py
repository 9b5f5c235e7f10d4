"""Who asks, and what they may: a viewer has one role, and through it pages, actions, cities and products; nothing else.

The roles stand in `roles.toml`. What is not listed there is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from analytics import reference
from analytics.reference import Form, load_toml

ACTIONS = (
    "ask",
    "simulate",
    "download",
    "report",
    "books",
    "manifest",
    "audit",
    "upload",
    "build",
    "samples",
    "explain",
    "raw",
)
_ACTIONS = frozenset(ACTIONS)


class Denied(ValueError):
    """What the viewer may not see or do. `code`: page, action, city, product or protected; the text says what and why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Role(Form):
    """A row of `roles.toml`, which says what each field means."""

    zh: str
    en: str
    cities: Literal["all", "granted"]
    products: Literal["all", "granted"]
    answers: Literal["exact", "protected", "none"]
    may: dict[str, tuple[str, ...]]

    def name(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


@cache
def roles() -> dict[str, Role]:
    """Every role by name. Raises ValueError for an action nobody knows."""
    found = {
        name: Role.model_validate(row)
        for name, row in load_toml(Path(__file__).with_name("roles.toml")).items()
    }
    for name, role in found.items():
        if unknown := {a for actions in role.may.values() for a in actions} - _ACTIONS:
            raise ValueError(f"roles.toml: {name}: no such action: {', '.join(sorted(unknown))}")
    return found


@dataclass(frozen=True)
class Viewer:
    """`cities`: the only ones this viewer sees, None: every one; `products`: likewise."""

    user: str
    role: str
    cities: frozenset[str] | None = None
    products: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.role not in roles():
            raise ValueError(f"role {self.role}: roles are {', '.join(roles())}")
        role = roles()[self.role]
        if role.cities == "granted" and role.answers == "exact" and self.cities is None:
            raise ValueError(f"role {self.role}: needs its cities")
        if role.products == "granted" and not self.products:
            raise ValueError(f"role {self.role}: needs the products of its contract")

    @cached_property
    def answers(self) -> str:
        """exact, protected or none, see `roles.toml`."""
        return roles()[self.role].answers

    @cached_property
    def scope(self) -> tuple[str, tuple[str, ...] | None, tuple[str, ...] | None]:
        """What answers are kept apart by: role, cities, products."""
        return self.role, _sorted(self.cities), _sorted(self.products)

    def may(self, page: str, action: str = "") -> bool:
        """Whether this viewer sees a page at all, or may do something there."""
        actions = roles()[self.role].may.get(page, ())
        return action in actions if action else bool(actions)

    def may_anywhere(self, action: str) -> bool:
        return any(action in actions for actions in roles()[self.role].may.values())

    def must(self, action: str) -> None:
        """Raises Denied for an action this role has nowhere."""
        if not self.may_anywhere(action):
            raise Denied("action", f"{action}: not granted to {self.role}")

    def within(self, cities: Iterable[str]) -> None:
        """Raises Denied for a city outside the scope; whether it is known here is not told."""
        if self.cities is not None and (foreign := sorted({*cities} - self.cities)):
            raise Denied("city", f"city {', '.join(foreign)}: outside what is granted to you")

    def proposed(self, where: Mapping[str, Sequence[str | int]]) -> dict[str, tuple[str, ...]]:
        """A filter as it is asked: cities by code. The one place where what a browser proposes meets the scope. Raises Denied."""
        found = {name: tuple(str(v) for v in values) for name, values in where.items()}
        if "city" in found:
            found["city"] = tuple(v if v.isdecimal() else reference.city_code(v) for v in found["city"])
            self.within(found["city"])
        if self.products is not None and (foreign := {*found.get("product", ())} - self.products):
            raise Denied("product", f"product {', '.join(sorted(foreign))}: not in your contract")
        return found


def _sorted(names: frozenset[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(sorted(names))


LOCAL = Viewer("local", "local")

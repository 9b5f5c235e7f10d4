"""Work on several threads of this process, for what waits for no other: hashing, the disk, decoding, compiled loops."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> list[R]:
    """`work` of every item, results in order; at most so many `threads` at once. The first failure in order is raised, and what has
    not begun then does not begin.
    """
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))

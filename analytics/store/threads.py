"""Work on several threads of this process, for what waits for no other: hashing, the disk, decoding, compiled loops."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> list[R]:
    """`work` of every item, results in order; at most so many `threads` at once. The first failure in order is raised, and what has
    not begun then does not begin.
    """
    with beside(work, items, threads) as results:
        return results()


@contextmanager
def beside(
    work: Callable[[T], R], items: Iterable[T], threads: int | None = None
) -> Iterator[Callable[[], list[R]]]:
    """As `each`, beside what is done meanwhile: the results are asked for, and waited for, later. Where nobody asks, what has not
    begun at the end does not begin.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        results = pool.map(work, items)
        yield lambda: list(results)
    finally:
        pool.shutdown(cancel_futures=True)

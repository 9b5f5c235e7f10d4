"""One clock for all questions, which stops those past their time: a thread for each would cost a small question more than its sums."""

import atexit
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

_AGAIN = 0.1  # seconds between two calls to stop: one that falls between two steps of a query is lost
_NEVER = float("inf")
_changed = threading.Condition()
_ends: dict[object, tuple[float, Callable[[], None]]] = {}
_clock: threading.Thread | None = None
_wakes = _NEVER


@contextmanager
def limited(stop: Callable[[], None], seconds: float) -> Iterator[None]:
    """Calls `stop`, again and again, from so many seconds on until this is left."""
    global _clock
    question, end = object(), monotonic() + seconds
    with _changed:
        _ends[question] = end, stop
        if _clock is None:
            _clock = threading.Thread(target=_run, daemon=True)
            _clock.start()
        elif end < _wakes:
            _changed.notify()
    try:
        yield
    finally:
        with _changed:
            del _ends[question]


def _run() -> None:
    global _wakes
    with _changed:
        while _clock is not None:
            now = monotonic()
            for end, stop in _ends.values():
                if end <= now:
                    stop()
            _wakes = min((max(end, now + _AGAIN) for end, _ in _ends.values()), default=_NEVER)
            _changed.wait(None if _wakes == _NEVER else _wakes - now)


@atexit.register
def _rest() -> None:
    """Before the interpreter goes: what a thread holds then is never given back."""
    global _clock
    with _changed:
        clock, _clock = _clock, None
        _changed.notify()
    if clock:
        clock.join()

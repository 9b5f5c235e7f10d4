"""What travels between whoever asks for work and a worker in another process: results, and what was raised."""

import getpass
import os
import pickle
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Broken(RuntimeError):
    """A runner failed, not its work: a worker was killed, no cluster answers, a worker runs another program."""


class _There(Exception):
    """Where in a worker an error was raised."""

    def __str__(self) -> str:
        return f"\n\nin the worker:\n{self.args[0]}"


@dataclass(frozen=True)
class Raised:
    """An error as it travels. Made again without calling its class, which may want other arguments than those it kept."""

    kind: type[BaseException]
    args: tuple[Any, ...]
    state: dict[str, Any]
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> "Raised":
        trace = "".join(traceback.format_exception(error))
        told = error.__reduce__()[1]  # of an OSError the file too, which its arguments do not name
        raised = cls(type(error), tuple(told), dict(vars(error)), trace)
        try:
            pickle.loads(pickle.dumps(raised)).error()
        except Exception:  # something in it cannot travel; what it says can
            return cls(RuntimeError, (f"{type(error).__name__}: {error}",), {}, trace)
        return raised

    def error(self) -> BaseException:
        """The error itself."""
        error = self.kind.__new__(self.kind, *self.args)
        vars(error).update(self.state)
        error.__cause__ = _There(self.trace)
        return error


def worked(job: Callable[[Any], Any], part: Any) -> Any:
    """In a worker: the result of a job, or what it raised as Raised."""
    try:
        return job(part)
    except Exception as error:
        return Raised.of(error)


def result(came: Any) -> Any:
    """The result of a job. Raises what it raised."""
    if isinstance(came, Raised):
        raise came.error()
    return came


def misfit(program: str, at: str) -> str:
    """In a worker on another machine: why it cannot take part, or nothing. `at`: the folder it is to work in."""
    from analytics.store.program import program as own

    here = f"worker {socket.gethostname()}"
    if own() != program:
        return f"{here} runs another version of jianfu ({own()}, asked by {program}); install the same on every worker"
    if not Path(at).is_dir() or not os.access(at, os.R_OK | os.X_OK):
        return f"{here} cannot open {at} as {getpass.getuser()}; every worker must see the store at the same path and may read and write it"
    return ""

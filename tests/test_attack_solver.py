"""What the attack makes of what its solver says: only a found range is a range, and only an endless one is endless."""

import highspy
import numpy as np
import pytest
from cubes import RULE, hide, plane

from analytics.release.attack import COUNT, _Tables, attack, seen


@pytest.mark.parametrize("good", [0, 1, 2])
def test_a_solver_that_gives_up_is_an_error(good: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first program, and at the least and at the most of a cell."""
    solve, runs = _Tables.run, iter(range(9))
    monkeypatch.setattr(
        _Tables, "run", lambda t: solve(t) if next(runs) < good else highspy.HighsModelStatus.kTimeLimit
    )
    system = plane([[3, 20, 30], [25, 40, 50]])
    with pytest.raises(RuntimeError, match="kTimeLimit"):
        attack(seen(system, hide(system, "0,0", "0,1", "1,0", "1,1"), RULE))


def test_a_range_presolve_cannot_tell_from_endless_is_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is shown, so nothing bounds a cell from above. The solver says so, or that there may be no table at all, which the truth
    refutes; of the least, which is 0, it must say so exactly.
    """
    ends, run = highspy.HighsModelStatus, _Tables.run
    system = plane([[1, 10], [30, 40]])
    view = seen(system, np.ones(len(system), np.bool_), RULE)
    assert attack(view, cells=[0], integers=True).high[COUNT, 0] == np.inf

    def vague(tables: _Tables) -> object:
        status = run(tables)
        return ends.kUnboundedOrInfeasible if status == ends.kUnbounded else status

    monkeypatch.setattr(_Tables, "run", vague)
    found = attack(view, cells=[0], integers=True)
    assert (found.low[COUNT, 0], found.high[COUNT, 0]) == (0, np.inf)
    answers = iter([ends.kOptimal])
    monkeypatch.setattr(_Tables, "run", lambda tables: next(answers, ends.kUnboundedOrInfeasible))
    with pytest.raises(RuntimeError, match="nothing is published"):
        attack(view, cells=[0], integers=True)

"""What each bill is for: an ICD-10 code, drawn apart from all else, so that no other number depends on it."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from analytics.synthetic.calibration import Calibration, City
from analytics.synthetic.people import Population, generator

_CHILD, _OLD = 18, 60
_SPECIAL, _PHARMACY = 1, 3  # kinds of care


def diseases(
    cal: Calibration, city: City, pop: Population, frame: pl.DataFrame, year: int, seed: int
) -> pl.Series:
    """A code per bill of `frame` (see claims.draw_bills): a cancer patient has the same cancer all year, bills of one stay the
    same disease; a pharmacy states none.
    """
    rng = generator(seed, city.code, year, 9)
    person, care = frame["person"].to_numpy(), frame["care"].to_numpy()
    _, stay = np.unique(frame["stay"].to_numpy(), return_inverse=True)
    age, drawn = pop.age(year)[person], rng.random(len(frame))[stay]
    of_person = rng.random(pop.n)[person]
    kinds = [
        (care == _PHARMACY, np.full(len(frame), "")),
        (pop.cancer[person], _picked(cal.disease.cancer, of_person)),
        (care == _SPECIAL, _picked(cal.disease.chronic, of_person)),
        (age < _CHILD, _picked(cal.disease.child, drawn)),
        (age < _OLD, _picked(cal.disease.adult, drawn)),
    ]
    found = np.select(
        [k for k, _ in kinds], [codes for _, codes in kinds], _picked(cal.disease.old, drawn)
    ).astype(str)
    return pl.Series("dise_no", found).replace("", None)


def _picked(weights: Mapping[str, float], drawn: np.ndarray) -> np.ndarray:
    edges = np.cumsum(list(weights.values())) / sum(weights.values())
    return np.asarray(list(weights))[np.searchsorted(edges[:-1], drawn, side="right")]

"""The measures of financial protection written out in NumPy from their definitions: shares no code with the project.

Ranks and inequality come from pairs of households (who is poorer than whom, how far apart two are), never from sorting; quantiles
by walking up the values; overshoot, poverty and hardship household by household. Money is whole fen in, and stays so where a
definition compares amounts. Missing is NaN; a function that needs a column drops the households without it.
"""

from dataclasses import dataclass, field, replace

import numpy as np

Array = np.ndarray
NODATA = np.array([])


@dataclass(frozen=True)
class Households:
    """Columns of a survey: fen a year, persons, weights. `own`: own burden T."""

    own: Array
    weight: Array
    members: Array
    income: Array = field(default_factory=lambda: NODATA)
    consumption: Array = field(default_factory=lambda: NODATA)
    food: Array = field(default_factory=lambda: NODATA)
    housing: Array = field(default_factory=lambda: NODATA)
    children: Array = field(default_factory=lambda: NODATA)

    def keep(self, mask: Array) -> "Households":
        return replace(self, **{k: v[mask] for k, v in vars(self).items() if len(v)})


def mean(y: Array, w: Array) -> float:
    return float((w * y).sum() / w.sum())


def rank(x: Array, w: Array) -> Array:
    """Fractional rank: weight of all that are poorer and half the weight of those at the same place, over all weight."""
    poorer, equal = x[None, :] < x[:, None], x[None, :] == x[:, None]
    return (poorer @ w + equal @ w / 2) / w.sum()


def concentration(y: Array, x: Array, w: Array, nu: float = 2) -> float:
    """1 less the mean of y, each weighted with the mean of nu (1 - r)^(nu - 1) over the part of the line r = 0..1 its place
    covers (equal places share theirs), over mean(y). At nu = 2 it is 2 / mean(y) x covariance of y with the rank."""
    poorer, equal = x[None, :] < x[:, None], x[None, :] == x[:, None]
    start, end = poorer @ w / w.sum(), (poorer | equal) @ w / w.sum()
    lower = ((1 - start) ** nu - np.clip(1 - end, 0, None) ** nu) / (end - start)
    return 1 - mean(y * lower, w) / mean(y, w)


def gini(x: Array, w: Array) -> float:
    """Mean distance between two households over twice the mean."""
    apart = np.abs(x[:, None] - x[None, :])
    return float((w[:, None] * w[None, :] * apart).sum() / (2 * w.sum() ** 2 * mean(x, w)))


def quantile(y: Array, w: Array, p: float) -> float:
    """Smallest value at or below which at least the share p of the weight lies."""
    return float(min(v for v in y if w[y <= v].sum() >= p * w.sum() - 1e-12 * w.sum()))


# --- catastrophic spending


def hit(own: Array, resource: Array, z: float, reached: bool = False) -> Array:
    """Burden above the share z of the resource; with nothing to spend any burden is. `reached`: or at it."""
    bp = round(z * 10_000)
    line = own * 10_000 >= resource * bp if reached else own * 10_000 > resource * bp
    return np.where(resource > 0, line & (own > 0), own > 0).astype(float)


def over(own: Array, resource: Array, z: float) -> Array:
    """Burden share above z, as a share; nothing finite where there is nothing to spend."""
    share = own / np.where(resource > 0, resource, 1)
    return np.where((resource > 0) & (hit(own, resource, z) > 0), share - round(z * 10_000) / 10_000, 0.0)


def catastrophe(own: Array, resource: Array, z: float, w: Array, living: Array) -> dict[str, float]:
    """All measures of catastrophic spending of one cell, `living` ranks."""
    e, o, lower = hit(own, resource, z), over(own, resource, z), 2 * (1 - rank(living, w))
    h, mean_over = mean(e, w), mean(o, w)
    out = {
        "catastrophic_headcount": h,
        "catastrophic_overshoot": mean_over,
        "catastrophic_headcount_weighted": mean(e * lower, w),
        "catastrophic_overshoot_weighted": mean(o * lower, w),
    }
    if h > 0:
        c = concentration(e, living, w)
        out |= {
            "mean_positive_overshoot": mean_over / h,
            "catastrophic_concentration": c,
            "catastrophic_concentration_generalised": h * c,
            "catastrophic_concentration_erreygers": 4 * h * c,
        }
        if h < 1:
            out["catastrophic_concentration_wagstaff"] = c / (1 - h)
    if mean_over > 0:
        c = concentration(o, living, w)
        out |= {"overshoot_concentration": c, "overshoot_concentration_generalised": mean_over * c}
    return out


# --- resources


def capacity_to_pay(f: Households) -> Array:
    """WHO (Xu): consumption less subsistence, or less food where food is below subsistence. Subsistence per equivalent person
    (members ^ 0.56) is the mean food of the households whose food share lies between its 45th and 55th percentile."""
    share, size = f.food / f.consumption, f.members**0.56
    low, high = quantile(share, f.weight, 0.45), quantile(share, f.weight, 0.55)
    band = (share >= low) & (share <= high)
    subsistence = mean(f.food[band] / size[band], f.weight[band]) * size
    return np.where(subsistence <= f.food, f.consumption - subsistence, f.consumption - f.food)


def half_up(fen: float) -> int:
    return int(np.floor(fen + 0.5))


def societal_line(f: Households, living: Array, floor: int, base: int, share: float, net: bool) -> int:
    """max(floor, base + share x median living standard per person), fen per person and year."""
    per_person = (living - f.own if net else living) / f.members
    return half_up(max(floor, base + share * quantile(per_person, f.weight * f.members, 0.5)))


def normative_line(f: Households) -> Array:
    """WHO Europe: food, housing and utilities of the households between the 25th and 35th percentile of consumption per
    equivalent adult (1, 0.7 for further adults, 0.5 for children), times the equivalent adults of each household."""
    adults = 1 + 0.7 * (f.members - f.children - 1) + 0.5 * f.children
    each = f.consumption / adults
    low, high = quantile(each, f.weight, 0.25), quantile(each, f.weight, 0.35)
    band = (each >= low) & (each <= high)
    return mean((f.food + f.housing)[band] / adults[band], f.weight[band]) * adults


# --- poverty, per person


def poverty(living: Array, members: Array, weight: Array, line: int) -> dict[str, float]:
    """`line`: fen per person and year; poor is strictly below. Gaps in yuan or as shares of the line."""
    w, each = weight * members, living / members
    gap = np.where(living < line * members, line - each, 0.0)
    poor = (living < line * members).astype(float)
    out = {
        "poverty_headcount": mean(poor, w),
        "poverty_gap": mean(gap, w) / 100,
        "poverty_gap_normalised": mean(gap, w) / line,
        "poverty_gap_squared": mean((gap / line) ** 2, w),
    }
    if poor.any():
        out["poverty_gap_positive"] = mean(gap, w) / mean(poor, w) / 100
    return out


def impoverishment(living: Array, own: Array, members: Array, weight: Array, line: int) -> dict[str, float]:
    """Pushed below the line by what was paid; poor already and paying."""
    w, poor = weight * members, living < line * members
    return {
        "impoverishment_headcount": mean((~poor & (living - own < line * members)).astype(float), w),
        "further_impoverished": mean((poor & (own > 0)).astype(float), w),
    }


def hardship(own: Array, living: Array, members: Array, weight: Array, line: int) -> dict[str, float]:
    """SDG 3.8.2 as revised: burden above 40 per cent, and above all, of what is left over the societal line."""
    w, left = weight * members, living - line * members
    large = mean(((10 * own > 4 * left) & (own > 0)).astype(float), w)
    all_of_it = mean(((own > left) & (own > 0)).astype(float), w)
    return {
        "financial_hardship": large,
        "impoverishing_spending": all_of_it,
        "large_not_impoverishing": large - all_of_it,
    }


# --- progressivity and inequality


def progressivity(x: Array, t: Array, w: Array) -> dict[str, float]:
    """`x` living standard, `t` payments, both on the same scale."""
    g, g_net, c_t, c_net = gini(x, w), gini(x - t, w), concentration(t, x, w), concentration(x - t, x, w)
    return {
        "gini": g,
        "gini_net": g_net,
        "payment_concentration": c_t,
        "net_concentration": c_net,
        "kakwani": c_t - g,
        "reynolds_smolensky": g - c_net,
        "redistributive_effect": g - g_net,
        "reranking": g_net - c_net,
    }


def entropy(x: Array, w: Array) -> dict[str, float]:
    """Theil, mean log deviation and Atkinson (1) of the positive."""
    x, w = x[x > 0], w[x > 0]
    mu = mean(x, w)
    return {
        "theil": mean(x / mu * np.log(x / mu), w),
        "mean_log_deviation": mean(np.log(mu / x), w),
        "atkinson": 1 - float(np.exp(mean(np.log(x), w))) / mu,
    }


# --- standard errors


def linearised(num: Array, den: Array, w: Array, cluster: Array, stratum: Array | None = None) -> float:
    """Of a ratio of sums: clusters drawn with replacement within strata, G / (G - 1)."""
    u = w * (num - (w * num).sum() / (w * den).sum() * den) / (w * den).sum()
    stratum = np.zeros(len(w)) if stratum is None else stratum
    variance = 0.0
    for s in np.unique(stratum):
        here = stratum == s
        sums = np.array([u[here & (cluster == g)].sum() for g in np.unique(cluster[here])])
        if len(sums) > 1:
            variance += len(sums) / (len(sums) - 1) * ((sums - sums.mean()) ** 2).sum()
    return float(np.sqrt(variance))


def convenient(y: Array, x: Array, w: Array, cluster: Array) -> float:
    """Of a concentration index: regression of 2 var(R) y / mean(y) on R, clustered, G / (G - 1) x (N - 1) / (N - 2)."""
    r = rank(x, w)
    variance = mean(r**2, w) - mean(r, w) ** 2
    design = np.column_stack([np.ones(len(y)), r])
    left = 2 * variance * y / mean(y, w)
    bread = np.linalg.inv(design.T @ (w[:, None] * design))
    residual = left - design @ (bread @ design.T @ (w * left))
    scores = [
        ((w * residual)[cluster == g, None] * design[cluster == g]).sum(axis=0) for g in np.unique(cluster)
    ]
    meat = sum(np.outer(s, s) for s in scores)
    groups, n = len(scores), len(y)
    return float(np.sqrt((bread @ meat @ bread)[1, 1] * groups / (groups - 1) * (n - 1) / (n - 2)))

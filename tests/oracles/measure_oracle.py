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


def over_mean(value: float, y: Array, w: Array) -> float:
    """NaN where the mean is zero: an index relative to it is not defined."""
    return value / mean(y, w) if mean(y, w) else float("nan")


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
    return 1 - over_mean(mean(y * lower, w), y, w)


def gini(x: Array, w: Array) -> float:
    """Mean distance between two households over twice the mean."""
    apart = np.abs(x[:, None] - x[None, :])
    return over_mean(float((w[:, None] * w[None, :] * apart).sum() / (2 * w.sum() ** 2)), x, w)


def quantile(y: Array, w: Array, p: float) -> float:
    """Smallest value at or below which at least the share p of the weight lies."""
    return float(min(v for v in y if w[y <= v].sum() >= (p - 1e-12) * w.sum()))


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


def catastrophe(
    own: Array, resource: Array, z: float, w: Array, living: Array, reached: bool = False
) -> dict[str, float]:
    """All measures of catastrophic spending of one cell, `living` ranks. The generalised indices are twice a covariance with the
    rank and defined of zeros, too."""
    e, o, r = hit(own, resource, z, reached), over(own, resource, z), rank(living, w)
    h, mean_over = mean(e, w), mean(o, w)
    out = {
        "catastrophic_headcount": h,
        "catastrophic_overshoot": mean_over,
        "catastrophic_headcount_weighted": mean(e * 2 * (1 - r), w),
        "catastrophic_overshoot_weighted": mean(o * 2 * (1 - r), w),
        "catastrophic_concentration": concentration(e, living, w),
        "overshoot_concentration": concentration(o, living, w),
        "catastrophic_concentration_generalised": 2 * (mean(e * r, w) - h * mean(r, w)),
        "catastrophic_concentration_erreygers": 8 * (mean(e * r, w) - h * mean(r, w)),
        "overshoot_concentration_generalised": 2 * (mean(o * r, w) - mean_over * mean(r, w)),
    }
    if 0 < h < 1:
        out["catastrophic_concentration_wagstaff"] = out["catastrophic_concentration"] / (1 - h)
    if h > 0:
        out["mean_positive_overshoot"] = mean_over / h
    return out


# --- resources


def half_up(fen: Array | float) -> Array:
    return np.floor(np.asarray(fen) + 0.5)


def subsistence(f: Households) -> float:
    """WHO (Xu), fen per equivalent person (members ^ 0.56): mean food of the households whose food share lies between its 45th
    and 55th percentile."""
    share = f.food / f.consumption
    low, high = quantile(share, f.weight, 0.45), quantile(share, f.weight, 0.55)
    band = (share >= low) & (share <= high)
    return float(half_up(mean((f.food / f.members**0.56)[band], f.weight[band])))


def capacity_to_pay(f: Households) -> Array:
    """Consumption less subsistence, or less food where food is below subsistence."""
    need = half_up(subsistence(f) * f.members**0.56)
    return np.where(need <= f.food, f.consumption - need, f.consumption - f.food)


def median_line(f: Households, living: Array, share: float) -> float:
    """Share of the median living standard per person, fen per person; before any payment."""
    return float(half_up(share * quantile(living / f.members, f.weight * f.members, 0.5)))


def societal_line(f: Households, living: Array, floor: float, base: float, share: float, net: bool) -> float:
    """max(floor, base + share x median living standard per person), fen per person."""
    per_person = (living - f.own if net else living) / f.members
    return float(half_up(max(floor, base + share * quantile(per_person, f.weight * f.members, 0.5))))


def basic_needs(f: Households) -> Array:
    """WHO Europe: food, housing and utilities of the households between the 25th and 35th percentile of consumption per
    equivalent adult (1, 0.7 for further adults, 0.5 for children), times the equivalent adults of each household."""
    tenths = (
        10 + 7 * (f.members - f.children - 1) + 5 * f.children
    )  # whole numbers, so that equals stay equal
    adults, each = tenths / 10, f.consumption / tenths
    low, high = quantile(each, f.weight, 0.25), quantile(each, f.weight, 0.35)
    band = (each >= low) & (each <= high)
    return half_up(half_up(mean(((f.food + f.housing) / adults)[band], f.weight[band])) * adults)


def five_groups(f: Households) -> dict[str, float]:
    """WHO Europe: nothing paid; then by what is left of consumption after paying, against basic needs."""
    needs, w = basic_needs(f), f.weight * f.members
    pays, left = f.own > 0, f.consumption - f.own
    further = pays & (f.consumption <= needs)
    pushed = pays & ~further & (left < needs)
    near = pays & ~further & ~pushed & (5 * (left - needs) < needs)
    groups = {
        "no_spending": ~pays, "further_impoverished": further, "impoverished": pushed, "at_risk": near,
        "not_at_risk": pays & ~further & ~pushed & ~near,
    }  # fmt: skip
    return {f"normative_{name}": mean(group.astype(float), w) for name, group in groups.items()}


# --- poverty and hardship


def poverty(left: Array, need: Array, size: Array, w: Array) -> dict[str, float]:
    """`left` to live on, `need` at the line, of a household; poor is strictly below. Gap in yuan per person (`size`) or as a
    share of the line."""
    gap, poor = np.maximum(need - left, 0.0), (left < need).astype(float)
    share = gap / np.where(need > 0, need, np.inf)
    out = {
        "poverty_headcount": mean(poor, w),
        "poverty_gap": mean(gap / size, w) / 100,
        "poverty_gap_normalised": mean(share, w),
        "poverty_gap_squared": mean(share**2, w),
    }
    if poor.any():
        out["poverty_gap_positive"] = mean(gap / size, w) / mean(poor, w) / 100
    return out


def impoverishment(living: Array, left: Array, own: Array, need: Array, w: Array) -> dict[str, float]:
    """Pushed below the line by what was paid; poor already and paying."""
    poor = living < need
    return {
        "impoverishment_headcount": mean((~poor & (left < need)).astype(float), w),
        "further_impoverished": mean((poor & (own > 0)).astype(float), w),
    }


def hardship(own: Array, living: Array, members: Array, weight: Array, line: float) -> dict[str, float]:
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
    # where all lies on the line, what is left is dust of either sign
    spread = max(float((bread @ meat @ bread)[1, 1]), 0.0)
    return float(np.sqrt(spread * groups / (groups - 1) * (n - 1) / (n - 2)))


def equal_variances(y: Array, x: Array, w: Array) -> float:
    """The same regression under equal variances: residual variance over n - 2. What conindex gives unless told of clusters."""
    r = rank(x, w)
    left = 2 * (mean(r**2, w) - mean(r, w) ** 2) * y / mean(y, w)
    away = r - mean(r, w)
    slope = (w * away * left).sum() / (w * away**2).sum()
    residual = left - mean(left, w) - slope * away
    return float(np.sqrt((w * residual**2).sum() / (len(y) - 2) / (w * away**2).sum()))

"""How sure a mean is: intervals over images and over seeds, and which figures lie nearest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.stats

from advlib.protocols import with_shown


def wilson(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval for a share of `hits` among `count` (Wilson 1927)."""
    interval = scipy.stats.binomtest(int(hits), int(count)).proportion_ci(confidence, "wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Student's t interval for a mean share over seeds, cut to [0, 1]; (nan, nan) for one seed."""
    if len(values) < 2:
        return float("nan"), float("nan")
    error = scipy.stats.sem(values)
    if error == 0:
        return float(np.mean(values)), float(np.mean(values))
    low, high = scipy.stats.t.interval(confidence, len(values) - 1, np.mean(values), error)
    return max(float(low), 0.0), min(float(high), 1.0)


def over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each figure: mean over seeds with a 95 % interval (see `interval`), as low,
    mean and high."""
    columns = [c for c in rows.columns if c not in ("seed", "n", "value")]
    summary = []
    for values, group in rows.groupby(columns, sort=False, dropna=False):
        low, high = interval(group["value"].to_list(), group["n"].iloc[0])
        named = dict(zip(columns, values, strict=True))
        mean = group["value"].mean()
        summary.append(named | {"seeds": len(group), "low": low, "mean": mean, "high": high})
    return pd.DataFrame(summary)


def interval(values: Sequence[float], n: float) -> tuple[float, float]:
    """The 95 % interval of a mean over seeds, of shares among the same `n` images.

    It covers what another draw of the seeds would change (Student's t) and what another draw of
    the images would (Wilson's): seeds that agree to the digit on 40 images are no proof for
    others. Without a count (`n` nan) it is Student's alone, and (nan, nan) for one seed.
    """
    low, high = mean_interval(values)
    if n > 0:
        whole = max(1, int(n))  # what stands behind nested samples is no whole number
        bounds = wilson(round(float(np.mean(values)) * whole), whole)
        low, high = np.fmin(low, bounds[0]), np.fmax(high, bounds[1])
    return float(low), float(high)


def crossed(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean and interval of figures [S, n] that S seeds gave on the same n images: low, mean, high.

    The figures are shares, 0 or 1 an image, or differences of two, -1 to 1: then the images are
    their own control, as in McNemar's test. Seeds and images are crossed: what other seeds would
    change is Student's t over the seeds' means, what other images would is the spread of the
    images' means, and the half-widths add as squares. To the images two are added that say +1 and
    -1 at half weight each and 0 at full weight (Agresti and Min 2005), so that 40 images without a
    difference prove nothing about the next one. With one seed it is the images' part alone. Of
    1,000 simulated studies without an effect about 5 % leave zero out, or fewer
    (`tests/test_statistics.py`); a bootstrap over three seeds leaves it out far more often.
    """
    seeds, images = values.shape
    by_seed, by_image = values.mean(1), values.mean(0)
    count = images + 2
    center = by_image.sum() / count
    of_images = ((np.square(by_image).sum() + 1) / count - center**2) / count
    width = scipy.stats.norm.ppf((1 + confidence) / 2) * np.sqrt(of_images)
    if seeds > 1:
        t = scipy.stats.t.ppf((1 + confidence) / 2, seeds - 1)
        width = np.hypot(width, t * scipy.stats.sem(by_seed))
    mean = float(values.mean())
    return float(mean - width), mean, float(mean + width)


def images_behind(counts: Sequence[float]) -> float:
    """How many images stand behind the mean of shares, taken on samples of these sizes.

    Each sample lies in the next larger one: the first 50 of the first 100. Two such shares vary
    together as much as the larger sample does by itself, so k of them have the variance of a share
    of k² / Σ 1 / max(n, m) images, over all pairs of samples. Samples of equal size count once:
    two attacks on the same 1,000 images are not 2,000. Samples of 50, 100, 200, 500 and 1,000 are
    worth 255, since the first 50 count in all five. Raises ValueError for a sample of none.
    """
    sizes = np.sort(np.asarray(counts, dtype=float))
    if not (sizes >= 1).all():
        raise ValueError(f"counts: each must be at least 1, not {sizes.min():g}")
    pairs = 2 * np.arange(len(sizes)) + 1  # in which each size is the larger one
    return float(len(sizes) ** 2 / (pairs / sizes).sum())


def at_chance(rows: pd.DataFrame, classes: int) -> list[str]:
    """Defenses whose network may as well be guessing among `classes`: the interval of its clean
    accuracy reaches down to that. What is left of such a network under attack is no robustness."""
    clean = over_seeds(rows[rows["attack"].eq("none") & rows["metric"].eq("accuracy")])
    return list(dict.fromkeys(clean[clean["low"] <= 1 / classes]["defense"]))


def nearest_protocol(
    measured: pd.DataFrame, paper: pd.DataFrame, *, keys: Sequence[str]
) -> tuple[pd.DataFrame, float]:
    """Under which protocol the paper's figures could have been taken.

    Returns, by protocol and the nearest first, over the figures that all have (`keys` tell them
    apart): how many, the mean of measured minus paper and the root mean square of it, in points.
    Also the p-value of Wilcoxon's signed-rank test that the two nearest protocols miss the paper's
    figures equally far.
    """
    told = paper.groupby(list(keys))["value"].mean().mul(100)
    means = with_shown(measured).groupby([*keys, "shown"])["value"].mean().mul(100)
    off = means.unstack("shown").sub(told, axis=0).dropna()
    summary = pd.DataFrame(
        {
            "figures": off.count(),
            "mean difference": off.mean(),
            "root mean square": off.pow(2).mean().pow(0.5),
        }
    ).sort_values("root mean square")
    first, second = (off[protocol].abs() for protocol in summary.index[:2])
    test = scipy.stats.wilcoxon(second - first) if (first != second).any() else None
    return summary, 1.0 if test is None else float(test.pvalue)

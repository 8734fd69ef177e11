"""Figures with their uncertainty: areas under a curve, means over halves, shares of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, t

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and the square of its standard error, with the degrees of freedom of that."""

    value: float
    variance: float
    df: float = np.inf

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% confidence interval."""
        reach = float(t.ppf((1 + LEVEL) / 2, self.df) * np.sqrt(self.variance))
        return self.value - reach, self.value + reach

    def scaled(self, factor: float) -> Estimate:
        """The estimate with another variance."""
        return Estimate(self.value, self.variance * factor, self.df)

    def minus(self, other: Estimate) -> Estimate:
        """The difference from an independent estimate."""
        return Estimate(self.value - other.value, self.variance + other.variance, min(self.df, other.df))


def area_under_curve(others: np.ndarray, members: np.ndarray) -> Estimate:
    """The area under the ROC curve of scores, ties counted half, with its variance over cells.

    The variance is that of DeLong et al. 1988, doi:10.2307/2531595, by ranks (Sun and Xu 2014,
    doi:10.1109/LSP.2014.2337313): 0 if all scores of one set are above all of the other.

    Examples
    --------
    >>> area_under_curve(np.array([0.1, 0.4]), np.array([0.3, 0.8])).value
    0.75
    """
    n_members, n_others = len(members), len(others)
    ranks = rankdata(np.concatenate([members, others]))
    # for each member, the share of others below it; for each other cell, the share of members above it
    above = (ranks[:n_members] - rankdata(members)) / n_others
    below = 1 - (ranks[n_members:] - rankdata(others)) / n_members
    variances = [x.var(ddof=1) / len(x) if len(x) > 1 else np.nan for x in (above, below)]
    return Estimate(float(above.mean()), float(sum(variances)))


def mean_of_repeats(estimates: Sequence[Estimate], coverage: float = 1.0) -> Estimate:
    """The mean of estimates from repeated splits of the same cells.

    If each repeat draws a share ``coverage`` of the cells, the mean evens out a part of their variance. What is left of
    the splits' own variance is added.
    """
    values = np.array([estimate.value for estimate in estimates])
    variance = float(np.mean([estimate.variance for estimate in estimates])) * _shared(coverage, len(values))
    by_chance = float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0
    return Estimate(float(values.mean()), variance + by_chance)


def mean_of_halves(pairs: Sequence[tuple[float, float]], coverage: float = 1.0) -> Estimate:
    """The mean over repeated splits of a figure of both halves.

    The halves of one split are independent samples, so that half their difference has the variance of their mean. Splits
    add little to it, so that the interval is, if anything, too wide. Splits in which a half has no figure are left out;
    with more than half of them, there is no mean.
    """
    x = np.asarray(pairs, dtype=float)
    n_splits = len(x)
    x = x[np.isfinite(x).all(axis=1)]
    if 2 * len(x) < n_splits:
        return Estimate(np.nan, np.nan)
    variance = float(np.mean((x[:, 0] - x[:, 1]) ** 2) / 4)
    return Estimate(float(x.mean()), variance * _shared(coverage, len(x)), len(x))


def mean_of_floors(values: Sequence[float], coverage: float = 1.0) -> Estimate:
    """The mean over repeated splits of a figure of two halves of real cells, with the spread of a mean over two halves."""
    x = np.asarray(values, dtype=float)
    n_splits = len(x)
    x = x[np.isfinite(x)]
    if len(x) < 2 or 2 * len(x) < n_splits:
        return Estimate(np.nan, np.nan)
    spread = float(x.var(ddof=1)) / 2
    return Estimate(float(x.mean()), spread * _shared(coverage, len(x)), len(x) - 1)


def _shared(coverage: float, n: int) -> float:
    """Variance of the mean of n draws of a share of the cells, over that of one draw."""
    return coverage + (1 - coverage) / n

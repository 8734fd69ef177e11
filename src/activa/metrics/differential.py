"""Shares of genes that differ between two types in mean, variability or distribution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csc_matrix, csr_matrix
from scipy.special import kolmogorov
from scipy.stats import false_discovery_control, ttest_ind_from_stats

from activa.data import as_labels, check_columns

type Matrix = np.ndarray | csr_matrix

_GENES_AT_ONCE = 1000  # the tests read dense values
_MIN_CELLS = 10


def differential_shares(
    log_expression: Matrix, labels: ArrayLike, *, types: Sequence[str] | None = None, alpha: float = 0.05
) -> dict[str, float]:
    """Shares of genes that differ between two types (the two largest) in mean, variability and distribution.

    The biological signals of SimBench (Cao et al. 2021, doi:10.1038/s41467-021-27130-w), each at a false discovery rate
    of ``alpha`` (Benjamini and Hochberg) among the genes that vary. ``DE`` is Welch's t test, ``DD`` the two-sample
    Kolmogorov-Smirnov test (limiting distribution, single precision). ``DV`` is Levene's test with deviations from the
    median (Brown and Forsythe 1974, doi:10.1080/01621459.1974.10482955): of two groups, a t test of the deviations,
    which are the values themselves if the median is 0. With deviations from the mean, at least 13% of 2,000 genes of
    pbmc3k would differ between random groups. ``log_expression`` is cells x genes, log-normalized; a ValueError without
    two types of at least two cells.

    Examples
    --------
    >>> expression = np.random.default_rng(0).normal(size=(200, 4))
    >>> expression[:100, 0] += 3  # in mean
    >>> expression[:100, 1] *= 9  # in variability
    >>> differential_shares(expression, np.repeat(["B", "T"], 100))
    {'DE': 0.25, 'DV': 0.25, 'DD': 0.5}
    """
    labels = as_labels("labels", labels, log_expression.shape[0]).astype(str)
    groups = [csc_matrix(log_expression[labels == label], dtype=np.float32) for label in types or largest_types(labels)]
    if len(groups) != 2 or min(x.shape[0] for x in groups) < 2:
        raise ValueError(
            f"labels must name two types of at least two cells each, got {dict(Counter(labels.tolist()))}."
        )
    starts = range(0, log_expression.shape[1], _GENES_AT_ONCE)
    blocks = ([x[:, start : start + _GENES_AT_ONCE].toarray() for x in groups] for start in starts)
    tests = np.hstack([p_values(*block) for block in blocks])
    found = false_discovery_control(tests[:, np.isfinite(tests).all(axis=0)], axis=1) < alpha
    return dict(zip(("DE", "DV", "DD"), (found.sum(axis=1) / log_expression.shape[1]).tolist(), strict=True))


def largest_types(labels: np.ndarray) -> list[str]:
    """The two types with most cells, equally large ones in order of their names."""
    counted = Counter(labels.tolist())
    return sorted(counted, key=lambda label: (-counted[label], label))[:2]


def p_values(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """P-values of the three tests for the genes of two types, tests x genes; NaN for a gene that does not vary."""
    groups = [x.astype(np.float64) for x in (first, second)]
    spread = [np.abs(x - np.median(x, axis=0)) for x in groups]
    de, dv = t_test_p_values(groups, equal_var=False), t_test_p_values(spread, equal_var=True)

    # Sorting values is several times as fast as sorting indices. The last bit of a float64, which no value in single
    # precision has, says of which type it is.
    tagged = np.sort(np.vstack([groups[0], np.nextafter(groups[1], np.inf)]), axis=0)
    pooled = tagged.astype(np.float32)
    n, m = len(first), len(second)
    gaps = np.where(tagged == pooled, m, -n).cumsum(axis=0)
    gaps[:-1][pooled[1:] == pooled[:-1]] = 0  # the distributions are compared after the last of equal values
    dd = kolmogorov(np.abs(gaps).max(axis=0) / (n * m) * np.sqrt(n * m / (n + m)))
    return np.where(pooled[0] == pooled[-1], np.nan, [de, dv, dd])


def t_test_p_values(groups: list[np.ndarray], equal_var: bool) -> np.ndarray:
    """P-values of the t test of the genes of two groups of cells x genes; 1 if nothing varies or differs."""
    moments = [moment for x in groups for moment in (x.mean(axis=0), x.std(axis=0, ddof=1), len(x))]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(ttest_ind_from_stats(*moments, equal_var=equal_var).pvalue, nan=1.0)


def differential_distance(
    real: Matrix, real_labels: ArrayLike, synthetic: Matrix, synthetic_labels: ArrayLike
) -> float:
    """Mean absolute difference of the three :func:`differential_shares` of real and of synthetic cells, best at 0.

    Of the two types with most cells in ``real``; NaN unless both sets have ten cells of each. More cells find more
    genes: give sets of equal sizes, and compare with the floor. A ValueError if the sets differ in genes.

    Examples
    --------
    >>> real, types = np.random.default_rng(0).random((40, 4)), np.repeat(["B", "T"], 20)
    >>> real[:20] += 3
    >>> differential_distance(real, types, real[::-1], types[::-1]), differential_distance(real, types, real % 3, types)
    (0.0, 0.6666666666666666)
    """
    check_columns(real, synthetic, "genes")
    real_labels = as_labels("real_labels", real_labels, real.shape[0]).astype(str)
    synthetic_labels = as_labels("synthetic_labels", synthetic_labels, synthetic.shape[0]).astype(str)
    types = largest_types(real_labels)
    if not (enough_cells(real_labels, types) and enough_cells(synthetic_labels, types)):
        return float("nan")
    expected = differential_shares(real, real_labels, types=types)
    found = differential_shares(synthetic, synthetic_labels, types=types)
    return difference_of_shares(expected, found)


def enough_cells(labels: np.ndarray, types: Sequence[str]) -> bool:
    """Whether there are two types, of ten cells each."""
    return len(types) == 2 and all((labels == label).sum() >= _MIN_CELLS for label in types)


def difference_of_shares(expected: Mapping[str, float], found: Mapping[str, float]) -> float:
    """Mean absolute difference of shares of differential genes; NaN without any."""
    return (
        float(np.mean([abs(expected[test] - found[test]) for test in expected])) if expected and found else float("nan")
    )

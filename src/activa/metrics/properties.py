"""Whether properties of genes and cells are those of real cells: correlations, dropout, library size, genes per cell."""

from __future__ import annotations

import threading
import warnings
from typing import Any, Literal

import numpy as np
import statsmodels.api as sm
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix
from scipy.special import expit
from scipy.stats import wasserstein_distance
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from activa.arguments import check_choices
from activa.data import as_pair, check_columns

Norm = Literal["frobenius", "one"]
_filtering = threading.Lock()


def pearson(x: np.ndarray) -> np.ndarray:
    """Pearson matrix of the columns; a constant column has correlation 0 with all others."""
    centered = x - x.mean(axis=0)
    norm = np.sqrt((centered**2).sum(axis=0))
    constant = np.ptp(x, axis=0) == 0
    scaled = np.divide(centered, norm, out=np.zeros_like(centered), where=~constant)
    return scaled.T @ scaled


def correlation_discrepancy(real: ArrayLike, synthetic: ArrayLike, *, norm: Norm = "frobenius") -> float:
    """How far the gene-gene correlations of synthetic cells are from those of real cells.

    A norm of the difference of the two Pearson matrices of log-normalized cells x genes; NaN with fewer than two genes.
    Compare with the floor. ``norm="frobenius"`` counts each pair once (Marouf et al. 2020,
    doi:10.1038/s41467-019-14018-z); ``"one"`` is the 1-norm of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095,
    read as the largest column sum.

    Examples
    --------
    >>> real = np.array([[0, 0], [1, 1], [2, 2]])
    >>> round(correlation_discrepancy(real, real * [1, -1]), 6)  # a correlation of 1 became -1
    2.0
    """
    check_choices(norm=(norm, Norm))
    real, synthetic = as_pair(real, synthetic)
    if real.shape[1] < 2:
        return float("nan")
    difference = pearson(real) - pearson(synthetic)
    # A gene that is constant in only one set has a diagonal of 0 there, which is not a difference.
    np.fill_diagonal(difference, 0)
    if norm == "one":
        return float(np.abs(difference).sum(axis=0).max())
    return float(np.linalg.norm(difference[np.triu_indices_from(difference, k=1)]))


def gene_summary(counts: np.ndarray | csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which genes are expressed at all, and the log10 mean count and the number of zeros of each of those."""
    total = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    zeros = counts.shape[0] - np.asarray((counts > 0).sum(axis=0)).ravel()
    expressed = total > 0
    return expressed, np.log10(total[expressed] / counts.shape[0]), zeros[expressed]


def fit_dropout(log_mean: np.ndarray, zeros: np.ndarray, n_cells: int) -> tuple[Any, np.ndarray]:
    """Binomial regression (logit link) of zeros on log10 mean, and its design matrix: intercept and log10 mean."""
    # metrics are computed in threads, which share the filters of warnings
    with _filtering, warnings.catch_warnings():
        # A few genes can lie on a step instead of a curve; the fit is then that step.
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        outcome = np.column_stack([zeros, n_cells - zeros])
        features = sm.add_constant(log_mean, has_constant="add")
        return sm.GLM(outcome, features, family=sm.families.Binomial()).fit(), features


def dropout_distance(real: np.ndarray | csr_matrix, synthetic: np.ndarray | csr_matrix) -> float:
    """Mean distance between the dropout curves of real and of synthetic cells, between 0 (best) and 1.

    A dropout curve is the binomial regression of the share of zero counts of expressed genes on their log10 mean count
    (Heydari et al. 2022, doi:10.1093/bioinformatics/btac095, figure S9). The distance is the mean absolute difference
    of the curves over the range of real means (200 even steps); NaN if a set of counts expresses fewer than two genes.

    Examples
    --------
    >>> rng, rate = np.random.default_rng(0), np.linspace(0.1, 3, 50)
    >>> poisson, same = rng.poisson(rate, (2, 500, 50))
    >>> zero_inflated = rng.poisson(rate * 2, (500, 50)) * rng.integers(0, 2, (500, 50))
    >>> dropout_distance(poisson, same) < 0.01 < dropout_distance(poisson, zero_inflated)
    True
    """
    check_columns(real, synthetic, "genes")
    (_, log_mean, zeros), (_, synthetic_log_mean, synthetic_zeros) = gene_summary(real), gene_summary(synthetic)
    if min(len(log_mean), len(synthetic_log_mean)) < 2:
        return float("nan")
    real_curve = fit_dropout(log_mean, zeros, real.shape[0])[0].params
    synthetic_curve = fit_dropout(synthetic_log_mean, synthetic_zeros, synthetic.shape[0])[0].params
    grid = sm.add_constant(np.linspace(log_mean.min(), log_mean.max(), 200), has_constant="add")
    return float(np.abs(expit(grid @ real_curve) - expit(grid @ synthetic_curve)).mean())


def library_size_distance(real: np.ndarray | csr_matrix, synthetic: np.ndarray | csr_matrix) -> float:
    """Distance between the distributions of log library size (total count per cell) of two sets of counts.

    The 1-Wasserstein distance of log1p of the totals (Crowell et al. 2023, doi:10.1186/s13059-023-02904-1): 0.1
    corresponds to 10% more counts in every cell. 0 is best; two finite sets of real cells are slightly above it.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(5, (100, 500))
    >>> round(library_size_distance(counts, 2 * counts), 3)  # log 2
    0.693
    """
    real_sizes, synthetic_sizes = (np.asarray(x.sum(axis=1), dtype=np.float64).ravel() for x in (real, synthetic))
    return float(wasserstein_distance(np.log1p(real_sizes), np.log1p(synthetic_sizes)))


def genes_per_cell_distance(real: np.ndarray | csr_matrix, synthetic: np.ndarray | csr_matrix) -> float:
    """Distance between the distributions of the log number of detected genes per cell.

    The 1-Wasserstein distance of log1p of the numbers of genes with a count, as in :func:`library_size_distance`.

    Examples
    --------
    >>> counts = np.ones((10, 8), dtype=int)
    >>> round(genes_per_cell_distance(counts, counts[:, :4]), 3)  # log(9 / 5)
    0.588
    """
    real_genes, synthetic_genes = (np.asarray((x > 0).sum(axis=1)).ravel() for x in (real, synthetic))
    return float(wasserstein_distance(np.log1p(real_genes), np.log1p(synthetic_genes)))

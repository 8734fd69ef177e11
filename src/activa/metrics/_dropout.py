import warnings
from typing import Any

import numpy as np
import statsmodels.api as sm
from scipy.sparse import csr_matrix
from scipy.special import expit
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning


def gene_summary(counts: np.ndarray | csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which genes are expressed at all, and the log10 mean count and number of zeros of each of those."""
    total = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    zeros = counts.shape[0] - np.asarray((counts > 0).sum(axis=0)).ravel()
    expressed = total > 0
    return expressed, np.log10(total[expressed] / counts.shape[0]), zeros[expressed]


def fit_dropout(log_mean: np.ndarray, zeros: np.ndarray, n_cells: int) -> tuple[Any, np.ndarray]:
    """Binomial regression (logit link) of zeros on log10 mean, and its design: intercept and log10 mean."""
    with warnings.catch_warnings():
        # A few genes can lie on a step rather than a curve; the step is then the fit.
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        outcome = np.column_stack([zeros, n_cells - zeros])
        features = sm.add_constant(log_mean, has_constant="add")
        return sm.GLM(outcome, features, family=sm.families.Binomial()).fit(), features


def dropout_distance(real: np.ndarray | csr_matrix, synthetic: np.ndarray | csr_matrix) -> float:
    """Mean distance between the dropout curves of real and of synthetic cells.

    A dropout curve is the binomial regression of a gene's share of zero counts on its log10 mean count. The distance
    is the mean absolute difference of the two curves over the range of means of the real genes (200 even steps).
    Genes without a count in a set are left out of its curve.

    Parameters
    ----------
    real, synthetic
        Counts, cells x genes, dense or CSR.

    Returns
    -------
    The distance, a difference of shares between 0 (best) and 1; NaN where a set expresses fewer than two genes.

    Raises
    ------
    ValueError
        If the sets differ in genes.

    References
    ----------
    The curves are those of figure S9 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> rate = np.linspace(0.1, 3, 50)
    >>> rng = np.random.default_rng(0)
    >>> poisson = rng.poisson(rate, (500, 50))
    >>> zero_inflated = rng.poisson(rate * 2, (500, 50)) * rng.integers(0, 2, (500, 50))
    >>> dropout_distance(poisson, rng.poisson(rate, (500, 50))) < 0.01 < dropout_distance(poisson, zero_inflated)
    True
    """
    if real.shape[1] != synthetic.shape[1]:
        msg = f"real has {real.shape[1]} genes and synthetic {synthetic.shape[1]}; give the same ones, in one order."
        raise ValueError(msg)
    (_, log_mean, zeros), (_, synthetic_log_mean, synthetic_zeros) = gene_summary(real), gene_summary(synthetic)
    if min(len(log_mean), len(synthetic_log_mean)) < 2:
        return float("nan")
    real_curve = fit_dropout(log_mean, zeros, real.shape[0])[0].params
    synthetic_curve = fit_dropout(synthetic_log_mean, synthetic_zeros, synthetic.shape[0])[0].params
    grid = sm.add_constant(np.linspace(log_mean.min(), log_mean.max(), 200), has_constant="add")
    return float(np.abs(expit(grid @ real_curve) - expit(grid @ synthetic_curve)).mean())

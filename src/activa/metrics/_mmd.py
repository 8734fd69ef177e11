import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist
from sklearn.metrics import pairwise_distances_chunked

from ._checks import as_labels, as_pair
from ._subsample import subsample

_BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
_MAX_MEDIAN_CELLS = 2000


def _kernel_sum(x: np.ndarray, y: np.ndarray, scales: np.ndarray) -> float:
    """Sum over all pairs of the mean of the RBF kernels."""

    def row_sums(squared: np.ndarray, start: int) -> np.ndarray:
        return sum(np.exp(-squared / scale).sum(axis=1) for scale in scales) / len(scales)

    return sum(rows.sum() for rows in pairwise_distances_chunked(x, y, metric="sqeuclidean", reduce_func=row_sums))


def mmd(real: ArrayLike, synthetic: ArrayLike, *, bandwidths: tuple[float, ...] = _BANDWIDTHS, seed: int = 0) -> float:
    """Squared maximum mean discrepancy, unbiased.

    The kernel is the mean over ``bandwidths`` s of exp(-d^2 / (s x median squared distance between real cells)).
    A perfect generator stands at 0 and chance puts it a little to either side, so that negative values occur.

    Parameters
    ----------
    real, synthetic
        Cells x features; :func:`~activa.metrics.evaluate` gives 50 principal components fitted on real cells.
    bandwidths
        The multiples s of the median.
    seed
        Seed of the 2,000 real cells that the median is taken over, where there are more.

    Returns
    -------
    The estimate of MMD^2.

    Raises
    ------
    ValueError
        If the sets differ in features, hold non-finite values, or have fewer than two cells; or if more than half of
        the distances between real cells are zero, which leaves the kernel without a width.

    References
    ----------
    Gretton et al. 2012, JMLR 13:723, equation 3.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> real, same, shifted = rng.normal(size=(3, 200, 5))
    >>> mmd(real, same) < 0.01 < mmd(real, shifted + 1)
    True
    """
    real, synthetic = as_pair(real, synthetic)
    subset = real[subsample(len(real), _MAX_MEDIAN_CELLS, np.random.default_rng(seed))]
    median = np.median(pdist(subset, "sqeuclidean"))
    if median == 0:
        msg = "most cells of real are equal: the median distance is 0 and gives the kernel no width."
        raise ValueError(msg)
    scales = np.asarray(bandwidths) * median
    n, m = len(real), len(synthetic)
    # Each cell's kernel with itself is 1; the unbiased estimate leaves it out.
    within_real = (_kernel_sum(real, real, scales) - n) / (n * (n - 1))
    within_synthetic = (_kernel_sum(synthetic, synthetic, scales) - m) / (m * (m - 1))
    return float(within_real + within_synthetic - 2 * _kernel_sum(real, synthetic, scales) / (n * m))


def mmd_per_type(
    real: ArrayLike,
    synthetic: ArrayLike,
    real_labels: ArrayLike,
    synthetic_labels: ArrayLike,
    *,
    min_cells: int = 10,
    bandwidths: tuple[float, ...] = _BANDWIDTHS,
    seed: int = 0,
) -> float:
    """Mean over types of the squared maximum mean discrepancy within the type.

    Each type has its own median distance, so that differences inside a type are not drowned by those between types.
    Types with fewer than ``min_cells`` on either side are left out.

    Parameters
    ----------
    real, synthetic
        Cells x features, as for :func:`mmd`.
    real_labels, synthetic_labels
        Types, one a cell.
    min_cells
        Smallest number of cells that a type needs on each side.
    bandwidths, seed
        As for :func:`mmd`.

    Returns
    -------
    The mean of MMD^2, each type with the same weight; NaN where no type has enough cells.

    Raises
    ------
    ValueError
        As for :func:`mmd`, or if the labels are not one a cell.

    Examples
    --------
    >>> cells = np.random.default_rng(0).normal(size=(2, 200, 5))
    >>> types = np.repeat(["B", "T"], 100)
    >>> abs(mmd_per_type(*cells, types, types)) < 0.02
    True
    """
    real, synthetic = as_pair(real, synthetic)
    real_labels = as_labels("real_labels", real_labels, len(real))
    synthetic_labels = as_labels("synthetic_labels", synthetic_labels, len(synthetic))
    distances = []
    for label in np.unique(real_labels):
        x, y = real[real_labels == label], synthetic[synthetic_labels == label]
        if min(len(x), len(y)) >= max(min_cells, 2):
            distances.append(mmd(x, y, bandwidths=bandwidths, seed=seed))
    return float(np.mean(distances)) if distances else float("nan")

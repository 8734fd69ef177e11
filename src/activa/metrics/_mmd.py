from math import ceil

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist
from sklearn.metrics import pairwise_distances_chunked

from activa.data import subsample

from ._checks import as_labels, as_pair, check_max_cells

_BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
_MAX_MEDIAN_CELLS = 2000
_WORKING_MEMORY = 4  # MiB: distances that stay in a processor's cache take half the time


def _kernel_sum(x: np.ndarray, y: np.ndarray, scales: np.ndarray, working_memory: int | None) -> float:
    """Sum over all pairs of the mean of the RBF kernels."""

    def row_sums(squared: np.ndarray, start: int) -> np.ndarray:
        return sum(np.exp(-squared / scale).sum(axis=1) for scale in scales) / len(scales)

    chunks = pairwise_distances_chunked(x, y, metric="sqeuclidean", reduce_func=row_sums, working_memory=working_memory)
    return sum(rows.sum() for rows in chunks)


def _mmd(x: np.ndarray, y: np.ndarray, scales: np.ndarray, working_memory: int | None) -> float:
    """The unbiased estimate from all pairs."""
    n, m = len(x), len(y)
    # Each cell's kernel with itself is 1; the unbiased estimate leaves it out.
    within_x = (_kernel_sum(x, x, scales, working_memory) - n) / (n * (n - 1))
    within_y = (_kernel_sum(y, y, scales, working_memory) - m) / (m * (m - 1))
    return within_x + within_y - 2 * _kernel_sum(x, y, scales, working_memory) / (n * m)


def _blocks(cells: np.ndarray, n_blocks: int, max_cells: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The cells in so many disjoint random blocks; or all of them each time, where they are few."""
    if len(cells) <= max(max_cells, 2 * n_blocks):
        return [cells] * n_blocks
    return np.array_split(cells[rng.permutation(len(cells))], n_blocks)


def mmd(
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    bandwidths: tuple[float, ...] = _BANDWIDTHS,
    max_cells: int = 5000,
    seed: int = 0,
) -> float:
    """Squared maximum mean discrepancy, unbiased.

    The kernel is the mean over ``bandwidths`` s of exp(-d^2 / (s x median squared distance between real cells)).
    A perfect generator stands at 0 and chance puts it a little to either side, so that negative values occur.

    All pairs of cells are looked at up to ``max_cells`` a side. Above, the figure is the mean of the unbiased estimates
    of disjoint random blocks of so many cells, which is unbiased too and whose cost grows with the cells, not with
    their square. For sets that are alike, its standard error is that of all pairs times the root of the number of
    blocks; for sets that differ, it nears that of all pairs. On 20,000 made cells a side it was 0.00538 for 0.00535.

    Parameters
    ----------
    real, synthetic
        Cells x features; :func:`~activa.metrics.evaluate` gives 50 principal components fitted on real cells.
    bandwidths
        The multiples s of the median.
    max_cells
        Most cells of a side in a block.
    seed
        Seed of the blocks, and of the 2,000 real cells that the median is taken over, where there are more.

    Returns
    -------
    The estimate of MMD^2.

    Raises
    ------
    ValueError
        If the sets differ in features, hold non-finite values, or have fewer than two cells; or if more than half of
        the distances between real cells are zero, which leaves the kernel without a width; or if ``max_cells`` is
        below 2.

    References
    ----------
    Gretton et al. 2012, JMLR 13:723, equation 3; Zaremba et al. 2013, arXiv:1307.1954 (B-tests), for the blocks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> real, same, shifted = rng.normal(size=(3, 200, 5))
    >>> mmd(real, same) < 0.01 < mmd(real, shifted + 1)
    True
    """
    check_max_cells(max_cells)
    real, synthetic = as_pair(real, synthetic)
    rng = np.random.default_rng(seed)
    subset = real[subsample(len(real), _MAX_MEDIAN_CELLS, rng)]
    median = np.median(pdist(subset, "sqeuclidean"))
    if median == 0:
        msg = "most cells of real are equal: the median distance is 0 and gives the kernel no width."
        raise ValueError(msg)
    scales = np.asarray(bandwidths) * median
    n_blocks = ceil(max(len(real), len(synthetic)) / max_cells)
    blocks = (_blocks(cells, n_blocks, max_cells, rng) for cells in (real, synthetic))
    working_memory = None if n_blocks == 1 else _WORKING_MEMORY
    return float(np.mean([_mmd(x, y, scales, working_memory) for x, y in zip(*blocks, strict=True)]))


def mmd_per_type(
    real: ArrayLike,
    synthetic: ArrayLike,
    real_labels: ArrayLike,
    synthetic_labels: ArrayLike,
    *,
    min_cells: int = 10,
    bandwidths: tuple[float, ...] = _BANDWIDTHS,
    max_cells: int = 5000,
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
    bandwidths, max_cells, seed
        As for :func:`mmd`; ``max_cells`` is of a type.

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
            distances.append(mmd(x, y, bandwidths=bandwidths, max_cells=max_cells, seed=seed))
    return float(np.mean(distances)) if distances else float("nan")

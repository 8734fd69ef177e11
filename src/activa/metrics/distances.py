"""How far two sets of cells are from each other: MMD, Wasserstein distance, mixing.

All functions raise a ValueError if the sets differ in features, hold non-finite values or have fewer than two cells.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from activa.arguments import check_integers
from activa.data import as_labels, as_pair, subsample
from activa.optional import import_optional

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
_MAX_MEDIAN_CELLS = 2000
_WORKING_MEMORY = 4  # MiB: distances that stay in a processor's cache take half the time
_MAX_BLOCKS = 10


def mmd(
    real: ArrayLike,
    synthetic: ArrayLike,
    *,
    bandwidths: tuple[float, ...] = BANDWIDTHS,
    max_cells: int = 5000,
    seed: int = 0,
) -> float:
    """Squared maximum mean discrepancy, unbiased (Gretton et al. 2012, JMLR 13:723, equation 3).

    The kernel is the mean over ``bandwidths`` s of exp(-d^2 / (s x median squared distance between real cells)), the
    median over at most 2,000 cells; a ValueError if it is 0. Equal distributions give 0 up to chance, so that negative
    values occur. Above ``max_cells`` per set, the mean over disjoint random blocks of this size replaces the estimate
    from all pairs of cells (Zaremba et al. 2013, arXiv:1307.1954): unbiased too, at linear cost, with a standard error
    larger by at most the root of the number of blocks.

    Examples
    --------
    >>> real, same, shifted = np.random.default_rng(0).normal(size=(3, 200, 5))
    >>> mmd(real, same) < 0.01 < mmd(real, shifted + 1)
    True
    """
    check_integers(least=2, max_cells=max_cells)
    real, synthetic = as_pair(real, synthetic)
    rng = np.random.default_rng(seed)
    median = np.median(pdist(real[subsample(len(real), _MAX_MEDIAN_CELLS, rng)], "sqeuclidean"))
    if median == 0:
        raise ValueError("real must have cells that differ: the median distance is 0, which gives the kernel no width.")
    scales = np.asarray(bandwidths) * median
    n_blocks = ceil(max(len(real), len(synthetic)) / max_cells)
    blocks = (_mmd_blocks(cells, n_blocks, max_cells, rng) for cells in (real, synthetic))
    working_memory = None if n_blocks == 1 else _WORKING_MEMORY
    return float(np.mean([_mmd_of_block(x, y, scales, working_memory) for x, y in zip(*blocks, strict=True)]))


def _mmd_blocks(cells: np.ndarray, n_blocks: int, max_cells: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The cells in disjoint random blocks. A set with few cells is used whole in every block."""
    if len(cells) <= max(max_cells, 2 * n_blocks):
        return [cells] * n_blocks
    return np.array_split(cells[rng.permutation(len(cells))], n_blocks)


def _mmd_of_block(x: np.ndarray, y: np.ndarray, scales: np.ndarray, working_memory: int | None) -> float:
    """The unbiased estimate from all pairs."""

    def row_sums(squared: np.ndarray, start: int) -> np.ndarray:
        return sum(np.exp(-squared / scale).sum(axis=1) for scale in scales) / len(scales)

    def kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
        options = {"metric": "sqeuclidean", "reduce_func": row_sums, "working_memory": working_memory}
        return sum(rows.sum() for rows in pairwise_distances_chunked(x, y, **options))

    n, m = len(x), len(y)
    # Each cell's kernel with itself is 1; the unbiased estimate leaves it out.
    within_x, within_y = (kernel_sum(x, x) - n) / (n * (n - 1)), (kernel_sum(y, y) - m) / (m * (m - 1))
    return within_x + within_y - 2 * kernel_sum(x, y) / (n * m)


def mmd_per_type(
    real: ArrayLike,
    synthetic: ArrayLike,
    real_labels: ArrayLike,
    synthetic_labels: ArrayLike,
    *,
    min_cells: int = 10,
    bandwidths: tuple[float, ...] = BANDWIDTHS,
    max_cells: int = 5000,
    seed: int = 0,
) -> float:
    """Mean over types of :func:`mmd` within the type; NaN if no type has ``min_cells`` cells in each set.

    Each type has its own median distance, so that differences between types do not hide differences within them.

    Examples
    --------
    >>> cells, types = np.random.default_rng(0).normal(size=(2, 200, 5)), np.repeat(["B", "T"], 100)
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


def wasserstein(real: ArrayLike, synthetic: ArrayLike, *, max_cells: int = 2000, seed: int = 0) -> float:
    """Wasserstein-2 distance, in the features' units: the root of the optimal transport cost of squared distances.

    The transport is exact (Peyré and Cuturi 2019, Computational Optimal Transport, equation 2.3). Two sets of real
    cells are not at 0, and a value below the floor is bad too, as cells vary too little. Sets are subsampled to the
    smaller one and to ``max_cells``; those at least twice as large give the mean squared distance over disjoint random
    blocks (at most ten; Fatras et al. 2021, arXiv:2101.01792). It falls with the number of cells.

    Examples
    --------
    >>> cells = np.random.default_rng(0).normal(size=(100, 4))
    >>> round(wasserstein(cells, cells + 1.5), 6)  # four features moved by 1.5: sqrt(4 x 1.5^2)
    3.0
    """
    check_integers(least=2, max_cells=max_cells)
    real, synthetic = as_pair(real, synthetic)
    rng = np.random.default_rng(seed)
    n_cells = min(len(real), len(synthetic))
    n_blocks = min(max(n_cells // max_cells, 1), _MAX_BLOCKS)
    size = n_blocks * min(n_cells, max_cells)
    sets = [x[subsample(len(x), size, rng)] for x in (real, synthetic)]
    if n_blocks > 1:
        sets = [x[rng.permutation(size)] for x in sets]
    costs = []
    for x, y in zip(*(np.split(x, n_blocks) for x in sets), strict=True):
        cost = cdist(x, y, "sqeuclidean")
        costs.append(float(cost[linear_sum_assignment(cost)].mean()))
    return float(np.sqrt(np.mean(costs)))


def mixing(
    real: ArrayLike, synthetic: ArrayLike, *, n_neighbors: int = 90, max_cells: int = 5000, seed: int = 0
) -> float:
    """How well real and synthetic cells mix: iLISI of scib-metrics (``eval`` extra), with the two sets as batches.

    The inverse Simpson index of the sets among a cell's ``n_neighbors`` neighbors, itself included (Korsunsky et al.
    2019, doi:10.1038/s41592-019-0619-0; the perplexity is a third of it), from 0 (all are of its own set) to 1 (both
    sets are equally frequent; Luecken et al. 2022, doi:10.1038/s41592-021-01336-8). The median is over at most
    ``max_cells`` cells per set; its standard error is 0.002 for an index that varies by 0.15 between cells. Give equal
    numbers of cells, at least five. Even the floor is below 1.

    Examples
    --------
    >>> cells = np.random.default_rng(0).normal(size=(200, 5))
    >>> mixing(cells, cells + 100)
    0.0
    """
    scib_metrics = import_optional("scib_metrics", "mixing")
    neighbors = import_optional("scib_metrics.nearest_neighbors", "mixing")
    check_integers(least=2, max_cells=max_cells)
    real, synthetic = as_pair(real, synthetic, min_cells=5)
    rng = np.random.default_rng(seed)
    chosen_real, chosen_synthetic = (subsample(len(x), max_cells, rng) for x in (real, synthetic))
    chosen = np.concatenate([chosen_real, len(real) + chosen_synthetic])
    # scib-metrics takes row i for the neighbors of cell i, which it excludes from them: the chosen cells come first.
    order = np.concatenate([chosen, np.setdiff1d(np.arange(len(real) + len(synthetic)), chosen)])
    cells = np.vstack([real, synthetic])[order]
    is_synthetic = (order >= len(real)).astype(int)
    search = NearestNeighbors(n_neighbors=min(n_neighbors, len(cells) - 1)).fit(cells)
    distances, indices = search.kneighbors(cells[: len(chosen)])
    results = neighbors.NeighborsResults(indices=indices, distances=distances)
    return float(scib_metrics.ilisi_knn(results, is_synthetic, scale=True))

"""Library size and genes per cell: both are distances between distributions of one number a cell."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from activa.metrics import genes_per_cell_distance, library_size_distance

METRICS = pytest.mark.parametrize("metric", [library_size_distance, genes_per_cell_distance])

RATE = np.geomspace(0.02, 5, 80)


def counts(seed, n_cells=300, depth=1.0):
    rng = np.random.default_rng(seed)
    return rng.poisson(depth * rng.lognormal(0, 0.4, (n_cells, 1)) * RATE)


def area_between_cumulative_curves(a, b):
    """The distance by its other definition, for sets of any size."""
    grid = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(np.sort(x), grid[:-1], side="right") / len(x) for x in (a, b)]
    return (np.abs(below[0] - below[1]) * np.diff(grid)).sum()


def test_agree_with_the_area_between_cumulative_curves():
    a, b = counts(0), counts(1, n_cells=170, depth=1.5)
    sizes = area_between_cumulative_curves(*(np.log(1 + x.sum(axis=1)) for x in (a, b)))
    genes = area_between_cumulative_curves(*(np.log(1 + np.count_nonzero(x, axis=1)) for x in (a, b)))
    assert library_size_distance(a, b) == pytest.approx(sizes)
    assert genes_per_cell_distance(a, b) == pytest.approx(genes)


def test_a_factor_of_all_counts_is_its_logarithm_and_leaves_genes_alone():
    deep = counts(0, depth=1000)
    assert library_size_distance(deep, 3 * deep) == pytest.approx(np.log(3), rel=1e-4)
    assert genes_per_cell_distance(deep, 3 * deep) == 0


@METRICS
def test_zero_for_equal_sets_small_for_equal_distributions_and_order_means_nothing(metric):
    real, other = counts(0), counts(1, depth=2)
    assert metric(real, real[::-1]) == 0
    assert 0 < metric(real, counts(2)) < 0.1 < metric(real, other)
    assert metric(real, other) == pytest.approx(metric(other, real))


@METRICS
def test_sparse_counts_and_empty_cells_are_fine(metric):
    real, other = counts(0), counts(1)
    other[:5] = 0
    assert metric(csr_matrix(real), csr_matrix(other)) == pytest.approx(metric(real, other))
    assert np.isfinite(metric(real, other))


@METRICS
def test_no_cells_are_refused(metric):
    with pytest.raises(ValueError, match="empty"):
        metric(counts(0), counts(1)[:0])

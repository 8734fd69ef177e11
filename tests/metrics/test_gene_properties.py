"""Distances of properties of genes and cells: recomputed by loops and scipy, and what they catch or ignore."""

import numpy as np
import pytest
from anndata import AnnData
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp, pearsonr, ttest_ind, wasserstein_distance
from statsmodels.stats.proportion import proportions_ztest

from activa.data import log_normalize
from activa.metrics.gene_properties import (
    cell_correlation_distance,
    effective_library_distance,
    gene_differences,
    gene_facts,
    gene_mean_distance,
    gene_variance_distance,
    gene_zeros_distance,
    ks_distance,
    library_zeros_distance,
    mean_variance_distance,
    mean_zeros_distance,
    plane_distance,
)
from activa.metrics.profiles import effective_library_size

RATE = np.geomspace(0.02, 8, 60)[np.random.default_rng(7).permutation(60)]
OF_GENES = [
    gene_mean_distance,
    gene_variance_distance,
    gene_zeros_distance,
    mean_variance_distance,
    mean_zeros_distance,
]
OF_CELLS = [library_zeros_distance, effective_library_distance, cell_correlation_distance]
ALL = pytest.mark.parametrize("metric", OF_GENES + OF_CELLS)


def counts(seed, n_cells=200, dispersion=100.0):
    rng = np.random.default_rng(seed)
    rate = rng.lognormal(0, 0.4, (n_cells, 1)) * RATE
    return csr_matrix(rng.poisson(rate * rng.gamma(dispersion, 1 / dispersion, rate.shape)), dtype=np.float32)


def facts_by_hand(x):
    x = x.toarray().astype(float)
    log_cpm = np.log2(1 + 1e6 * x / x.sum(axis=1, keepdims=True))
    return log_cpm.mean(axis=0), log_cpm.var(axis=0), (x == 0).mean(axis=0)


def planes_by_hand(first, second):
    """The optimal transport of two sets of as many points."""
    x, y = (np.column_stack(columns) / np.std(first, axis=1) for columns in (first, second))
    cost = cdist(x, y, "sqeuclidean")
    return np.sqrt(cost[linear_sum_assignment(cost)].mean())


def test_facts_agree_with_dense_arrays():
    mean, variance, zeros = facts_by_hand(counts(0))
    facts = gene_facts(counts(0))
    np.testing.assert_allclose(facts["mean"], mean, atol=1e-8)
    np.testing.assert_allclose(facts["variance"], variance, atol=1e-8)
    np.testing.assert_allclose(facts["zeros"], zeros, atol=1e-8)


def test_distances_of_genes_agree_with_dense_arrays():
    real, synthetic = counts(0), counts(1, n_cells=90, dispersion=1.0)
    first, second = facts_by_hand(real), facts_by_hand(synthetic)
    for metric, x, y in zip(OF_GENES, first, second, strict=False):
        assert metric(real, synthetic) == pytest.approx(ks_2samp(np.round(x, 9), np.round(y, 9)).statistic)
    assert mean_variance_distance(real, synthetic) == pytest.approx(planes_by_hand(first[:2], second[:2]))
    assert mean_zeros_distance(real, synthetic) == pytest.approx(planes_by_hand(first[::2], second[::2]))


def test_distances_of_cells_agree_with_dense_arrays():
    real, synthetic = counts(0), counts(1, dispersion=1.0)
    cells = [(np.log(1 + x.toarray().sum(axis=1)), (x.toarray() == 0).mean(axis=1)) for x in (real, synthetic)]
    assert library_zeros_distance(real, synthetic) == pytest.approx(planes_by_hand(*cells))
    sizes = [np.log(1 + effective_library_size(x)) for x in (real, synthetic)]
    assert effective_library_distance(real, synthetic) == pytest.approx(wasserstein_distance(*sizes))


def test_correlations_agree_with_pairs_of_cells():
    sets = [log_normalize(counts(seed, 20, d)) for seed, d in ((0, 100), (1, 1))]
    pairs = [[pearsonr(x[i], x[j])[0] for i in range(20) for j in range(i)] for x in (s.toarray() for s in sets)]
    expected = ks_2samp(*(np.round(p, 9) for p in pairs)).statistic
    assert cell_correlation_distance(*sets) == pytest.approx(expected, abs=0.006)  # one pair of 190
    constant = csr_matrix(np.ones((20, 60)))  # correlates with nothing
    assert cell_correlation_distance(constant, constant) == 0


@ALL
def test_equal_sets_are_at_zero_in_any_order_of_genes_and_nothing_is_changed(metric):
    real, other, order = counts(0), counts(1, dispersion=1.0), np.random.default_rng(3).permutation(60)
    before = real.toarray()
    assert metric(real, real) == pytest.approx(0, abs=1e-9)
    assert metric(real[:, order], other[:, order]) == pytest.approx(metric(real, other), rel=1e-6)
    assert np.array_equal(real.toarray(), before)


@ALL
def test_silent_genes_change_nothing_and_arrays_are_read_too(metric):
    padded = [np.hstack([x.toarray(), np.zeros((x.shape[0], 20))]) for x in (counts(0), counts(1, dispersion=1.0))]
    if metric is cell_correlation_distance:  # zeros that two cells share make them more alike
        assert np.isfinite(metric(*padded))
    else:
        assert metric(*padded) == pytest.approx(metric(counts(0), counts(1, dispersion=1.0)))


@ALL
def test_grows_with_overdispersion(metric):
    real = counts(0)
    same, worse, worst = (metric(real, counts(1, dispersion=d)) for d in (100.0, 1.0, 0.2))
    assert same < worse < worst


@ALL
def test_genes_must_be_the_same(metric):
    with pytest.raises(ValueError, match="real has 60 genes and synthetic 59"):
        metric(counts(0), counts(1)[:, 1:])


@ALL
def test_empty_cells_are_fine(metric):
    other = counts(1).toarray()
    other[:5] = 0
    assert np.isfinite(metric(counts(0), csr_matrix(other)))


@pytest.mark.parametrize("metric", [library_zeros_distance, cell_correlation_distance])
def test_is_nan_with_fewer_than_two_cells(metric):
    assert np.isnan(metric(counts(0), counts(1)[:1]))


@pytest.mark.parametrize("metric", OF_GENES)
def test_is_nan_without_a_gene_that_is_expressed(metric):
    assert np.isnan(metric(counts(0) * 0, counts(1) * 0))


@pytest.mark.parametrize("n", [1, 7, 3000])
def test_ks_distance_is_that_of_scipy(n):
    x, y = np.random.default_rng(0).normal(size=(2, n)) * [[1], [2]]
    assert ks_distance(x, y) == ks_2samp(x, y).statistic
    assert np.isnan(ks_distance(x, []))


def test_plane_distance_of_many_points_is_near_that_of_all():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3000, 2)), rng.normal(size=(2000, 2)) * [1, 1.5] + [0.5, 0]
    moved = plane_distance(x, x + [3, 0])
    assert moved == pytest.approx(3 / x[:, 0].std(), rel=0.01)
    assert plane_distance(x, y) == pytest.approx(plane_distance(x, y, max_points=250), rel=0.1)
    assert plane_distance(x[::-1], y[::-1]) == pytest.approx(plane_distance(x, y))
    assert plane_distance(x, x) == 0 < plane_distance(x, x[::2]) < 0.25


def test_plane_distance_is_in_standard_deviations_and_a_constant_coordinate_has_its_own_units():
    x = np.random.default_rng(0).normal(size=(50, 2))
    assert plane_distance(x * [1, 1000], (x + 0.5) * [1, 1000]) == pytest.approx(plane_distance(x, x + 0.5))
    assert plane_distance(x * [1, 0], x * [1, 0] + [0, 2]) == pytest.approx(2)
    assert np.isnan(plane_distance(x, x[:1]))


def test_genes_are_sorted_by_the_larger_of_two_differences():
    rng = np.random.default_rng(0)
    sets = [AnnData(csr_matrix(rng.poisson(2, (n, 5)).astype(np.float32))) for n in (60, 45)]
    sets[1].X = sets[1].X.multiply([1, 1, 4, 1, 1]).tocsr()  # more of one gene
    sets[1].X = csr_matrix(np.where(np.arange(5) == 1, rng.integers(0, 2, (45, 5)) * 4, sets[1].X.toarray()))
    table = gene_differences(*sets)
    assert table.index[0] == "1" and table["deviation"].is_monotonic_decreasing
    counts = [x.X.toarray() for x in sets]
    expression = [np.log1p(1e4 * x / x.sum(axis=1, keepdims=True)) for x in counts]
    for gene, row in table.iterrows():
        x, y = (of[:, int(gene)] for of in expression)
        np.testing.assert_allclose(row[["mean_real", "mean_synthetic"]], [x.mean(), y.mean()], rtol=1e-5)
        zeros = [(x == 0).sum(), (y == 0).sum()]
        np.testing.assert_allclose(row[["zeros_real", "zeros_synthetic"]], [zeros[0] / 60, zeros[1] / 45])
        welch = abs(ttest_ind(x, y, equal_var=False).statistic)
        share = abs(proportions_ztest(zeros, [60, 45])[0]) if sum(zeros) else 0
        assert row["deviation"] == pytest.approx(max(welch, share), rel=1e-4)


def test_equal_sets_have_no_gene_that_differs():
    adata = AnnData(csr_matrix(np.array([[1.0, 0, 3], [1, 0, 5]], dtype=np.float32)))
    assert (gene_differences(adata, adata)["deviation"] == 0).all()

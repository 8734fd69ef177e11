"""Correlations, dropout, library size and genes per cell: the latter two are distances between distributions."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit
from scipy.stats import pearsonr

from activa.metrics import correlation_discrepancy, dropout_distance, genes_per_cell_distance, library_size_distance

GENE_RATE = np.geomspace(0.02, 8, 60)


def poisson(seed, n_cells=400):
    return np.random.default_rng(seed).poisson(GENE_RATE, (n_cells, len(GENE_RATE)))


def zero_inflated(seed, n_cells=400):
    rng = np.random.default_rng(seed)
    return rng.poisson(2 * GENE_RATE, (n_cells, len(GENE_RATE))) * rng.integers(0, 2, (n_cells, len(GENE_RATE)))


def curve_by_hand(counts):
    counts = counts[:, counts.sum(axis=0) > 0]
    x, zeros = np.log10(counts.mean(axis=0)), (counts == 0).sum(axis=0)

    def negative_log_likelihood(p):
        eta = p[0] + p[1] * x
        return (len(counts) * np.logaddexp(0, eta) - zeros * eta).sum()

    fit = minimize(negative_log_likelihood, [0, -1], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    return fit.x, x


def test_dropout_agrees_with_the_likelihood_maximized_by_hand():
    real, synthetic = poisson(0), zero_inflated(1)
    (a, x), (b, _) = curve_by_hand(real), curve_by_hand(synthetic)
    grid = np.linspace(x.min(), x.max(), 200)
    expected = np.abs(expit(a[0] + a[1] * grid) - expit(b[0] + b[1] * grid)).mean()
    assert dropout_distance(real, synthetic) == pytest.approx(expected, abs=1e-5)


def test_dropout_is_zero_for_equal_sets_small_for_equal_distributions_and_catches_zero_inflation():
    real = poisson(0)
    assert dropout_distance(real, real) == 0
    assert dropout_distance(real, poisson(1)) < 0.01
    assert dropout_distance(real, zero_inflated(1)) > 0.05


def test_dropout_sparse_and_silent_genes_change_nothing():
    real, synthetic = poisson(0), zero_inflated(1)
    padded = [np.hstack([x, np.zeros((len(x), 3), dtype=int)]) for x in (real, synthetic)]
    assert dropout_distance(*map(csr_matrix, padded)) == pytest.approx(dropout_distance(real, synthetic))


def test_dropout_a_step_is_no_error():
    step = np.repeat([[1, 1, 9, 9]], 4, axis=0) * np.array([[0, 0, 1, 1]]) + np.eye(4, dtype=int)
    assert 0 <= dropout_distance(step, step) < 1e-9


def test_dropout_is_nan_without_two_expressed_genes():
    assert np.isnan(dropout_distance(poisson(0), np.zeros((5, len(GENE_RATE)), dtype=int)))


def test_dropout_genes_must_be_the_same():
    with pytest.raises(ValueError, match="real has 60 genes and synthetic 59"):
        dropout_distance(poisson(0), poisson(1)[:, 1:])


TOTALS = pytest.mark.parametrize("metric", [library_size_distance, genes_per_cell_distance])

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


@TOTALS
def test_zero_for_equal_sets_small_for_equal_distributions_and_order_means_nothing(metric):
    real, other = counts(0), counts(1, depth=2)
    assert metric(real, real[::-1]) == 0
    assert 0 < metric(real, counts(2)) < 0.1 < metric(real, other)
    assert metric(real, other) == pytest.approx(metric(other, real))


@TOTALS
def test_sparse_counts_and_empty_cells_are_fine(metric):
    real, other = counts(0), counts(1)
    other[:5] = 0
    assert metric(csr_matrix(real), csr_matrix(other)) == pytest.approx(metric(real, other))
    assert np.isfinite(metric(real, other))


@TOTALS
def test_no_cells_are_refused(metric):
    with pytest.raises(ValueError, match="empty"):
        metric(counts(0), counts(1)[:0])


def test_agrees_with_pearson_pair_by_pair(cells):
    real, synthetic = cells[0] @ np.triu(np.ones((8, 8))), cells[1]
    n = real.shape[1]
    difference = np.array(
        [[pearsonr(real[:, i], real[:, j])[0] - pearsonr(synthetic[:, i], synthetic[:, j])[0] for i in range(n)]
         for j in range(n)]
    )  # fmt: skip
    upper = sum(difference[i, j] ** 2 for i in range(n) for j in range(i + 1, n))
    assert correlation_discrepancy(real, synthetic) == pytest.approx(np.sqrt(upper))
    assert correlation_discrepancy(real, synthetic, norm="one") == pytest.approx(np.linalg.norm(difference, 1))


@pytest.mark.parametrize("norm", ["frobenius", "one"])
def test_is_zero_for_equal_correlations_and_symmetric(cells, norm):
    assert correlation_discrepancy(cells[0], cells[0] * 3 + 5, norm=norm) == pytest.approx(0, abs=1e-12)
    forth, back = correlation_discrepancy(*cells, norm=norm), correlation_discrepancy(*cells[::-1], norm=norm)
    assert forth > 0
    assert forth == pytest.approx(back)


def test_catches_genes_made_independent(cells):
    real, second = (x @ np.triu(np.ones((8, 8))) for x in cells)
    shuffled = np.random.default_rng(0).permuted(second, axis=0)
    assert correlation_discrepancy(real, shuffled) > 5 * correlation_discrepancy(real, second)


def test_a_constant_gene_correlates_with_nothing(cells):
    real, synthetic = cells[0].copy(), cells[1].copy()
    real[:, 0] = 0.1  # its mean is not exact in floating point
    without = correlation_discrepancy(real[:, 1:], synthetic[:, 1:])
    lost = np.corrcoef(synthetic.T)[0, 1:]
    assert correlation_discrepancy(real, synthetic) == pytest.approx(np.sqrt(without**2 + (lost**2).sum()))
    synthetic[:, 0] = 0
    assert correlation_discrepancy(real, synthetic) == pytest.approx(without)


def test_one_gene_has_no_pair(cells):
    assert np.isnan(correlation_discrepancy(cells[0][:, :1], cells[1][:, :1]))

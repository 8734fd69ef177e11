import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit

from activa.metrics import dropout_distance

RATE = np.geomspace(0.02, 8, 60)


def poisson(seed, n_cells=400):
    return np.random.default_rng(seed).poisson(RATE, (n_cells, len(RATE)))


def zero_inflated(seed, n_cells=400):
    rng = np.random.default_rng(seed)
    return rng.poisson(2 * RATE, (n_cells, len(RATE))) * rng.integers(0, 2, (n_cells, len(RATE)))


def curve_by_hand(counts):
    counts = counts[:, counts.sum(axis=0) > 0]
    x, zeros = np.log10(counts.mean(axis=0)), (counts == 0).sum(axis=0)

    def negative_log_likelihood(p):
        eta = p[0] + p[1] * x
        return (len(counts) * np.logaddexp(0, eta) - zeros * eta).sum()

    fit = minimize(negative_log_likelihood, [0, -1], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})
    return fit.x, x


def test_agrees_with_the_likelihood_maximized_by_hand():
    real, synthetic = poisson(0), zero_inflated(1)
    (a, x), (b, _) = curve_by_hand(real), curve_by_hand(synthetic)
    grid = np.linspace(x.min(), x.max(), 200)
    expected = np.abs(expit(a[0] + a[1] * grid) - expit(b[0] + b[1] * grid)).mean()
    assert dropout_distance(real, synthetic) == pytest.approx(expected, abs=1e-5)


def test_is_zero_for_equal_sets_small_for_equal_distributions_and_catches_zero_inflation():
    real = poisson(0)
    assert dropout_distance(real, real) == 0
    assert dropout_distance(real, poisson(1)) < 0.01
    assert dropout_distance(real, zero_inflated(1)) > 0.05


def test_sparse_and_silent_genes_change_nothing():
    real, synthetic = poisson(0), zero_inflated(1)
    padded = [np.hstack([x, np.zeros((len(x), 3), dtype=int)]) for x in (real, synthetic)]
    assert dropout_distance(*map(csr_matrix, padded)) == pytest.approx(dropout_distance(real, synthetic))


def test_a_step_is_no_error():
    step = np.repeat([[1, 1, 9, 9]], 4, axis=0) * np.array([[0, 0, 1, 1]]) + np.eye(4, dtype=int)
    assert 0 <= dropout_distance(step, step) < 1e-9


def test_is_nan_without_two_expressed_genes():
    assert np.isnan(dropout_distance(poisson(0), np.zeros((5, len(RATE)), dtype=int)))


def test_genes_must_be_the_same():
    with pytest.raises(ValueError, match="real has 60 genes and synthetic 59"):
        dropout_distance(poisson(0), poisson(1)[:, 1:])

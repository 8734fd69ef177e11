import numpy as np
import pytest
from scipy.stats import norm

from activa.metrics import rf_auc


def test_equal_distributions_are_at_a_half(cells):
    assert rf_auc(*cells, n_trees=50) == pytest.approx(0.5, abs=0.1)


def test_apart_is_one(cells):
    assert rf_auc(cells[0], cells[1] + 10, n_trees=20) == 1


def test_agrees_with_the_closed_form_for_two_normal_distributions():
    # The best possible classifier of N(0, 1) and N(1, 1) has AUC Phi(1 / sqrt 2) = 0.76; a forest of stumps nears it.
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=(1500, 1)), rng.normal(1, size=(1500, 1))
    best = norm.cdf(1 / np.sqrt(2))
    auc = rf_auc(real, synthetic, n_trees=50)
    assert best - 0.1 < auc < best + 0.01


def test_is_symmetric_to_within_noise_and_repeatable(cells):
    one, two = cells[0], cells[1] + 0.5
    assert rf_auc(one, two, n_trees=100) == pytest.approx(rf_auc(two, one, n_trees=100), abs=0.05)
    assert rf_auc(one, two, n_trees=20, seed=3) == rf_auc(one, two, n_trees=20, seed=3)


def test_unequal_numbers_are_made_equal(cells):
    # With class proportions of 1 to 5 left in, folds of the smaller set would lack cells.
    assert rf_auc(cells[0], cells[1][:3] + 10, n_trees=10) == 1

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.ensemble import RandomForestClassifier

from activa.metrics import rf_auc
from activa.metrics.detection import detect, forest, forest_of_facts, quadratic


def test_equal_distributions_are_at_a_half(cells):
    assert rf_auc(*cells) == pytest.approx(0.5, abs=0.08)


def test_apart_is_one(cells):
    assert rf_auc(cells[0], cells[1] + 10) == 1


def test_agrees_with_the_closed_form_for_two_normal_distributions():
    # The best possible classifier of N(0, 1) and N(1, 1) has AUC Phi(1 / sqrt 2) = 0.76.
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=(1000, 1)), rng.normal(1, size=(1000, 1))
    best = norm.cdf(1 / np.sqrt(2))
    assert best - 0.1 < rf_auc(real, synthetic, n_repeats=1) < best + 0.02


def test_the_forest_tells_cells_as_well_as_a_random_forest():
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=(400, 20)), rng.normal(size=(400, 20)) * np.linspace(1, 1.6, 20)

    def random_forest(seed):
        return RandomForestClassifier(100, random_state=seed)

    ours, theirs = (detect(model, real, synthetic, 0).value for model in (forest, random_forest))
    assert ours == pytest.approx(theirs, abs=0.04)
    assert ours > 0.65


def test_a_quadratic_classifier_sees_covariances_that_a_forest_hardly_sees():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 10))
    synthetic = rng.multivariate_normal(np.zeros(10), np.eye(10) * 0.7 + 0.3, size=300)
    assert detect(quadratic, real, synthetic, 0).value > detect(forest, real, synthetic, 0).value + 0.05


def test_facts_that_nearly_determine_each_other_are_told_apart():
    """Each fact alone says nothing; their difference does."""
    rng = np.random.default_rng(0)
    depth = rng.normal(7, 1, size=(2, 300))
    facts = [
        np.column_stack([x, x + rng.normal(0, s, size=300), np.zeros(300)])
        for x, s in zip(depth, (0.01, 0.03), strict=True)
    ]
    assert detect(forest_of_facts, *facts, 0).value > 0.7


def test_order_of_sets_does_not_matter_and_the_seed_decides(cells):
    one, two = cells[0], cells[1] + 0.5
    assert rf_auc(one, two) == pytest.approx(rf_auc(two, one), abs=0.05)
    assert rf_auc(one, two, seed=3) == rf_auc(one, two, seed=3) != rf_auc(one, two, seed=4)


def test_unequal_numbers_are_made_equal(cells):
    assert rf_auc(cells[0], cells[1][:12] + 10) == 1


def test_too_few_cells_are_refused(cells):
    with pytest.raises(ValueError, match="synthetic has 9 cell.*at least 10"):
        rf_auc(cells[0], cells[1][:9])


def test_classifiers_read_as_few_as_five_cells_of_a_set(cells):
    for model in (forest, quadratic, forest_of_facts):
        assert 0 <= detect(model, cells[0][:5], cells[1][:5], 0).value <= 1

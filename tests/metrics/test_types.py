"""Label fidelity and train-on-synthetic-test-on-real: both depend on the types."""

import numpy as np
import pytest
from scipy.stats import norm

from activa.metrics import label_fidelity, tstr_f1

TYPES = np.repeat(["a", "b", "c"], 50)
APART = np.eye(3).repeat(50, axis=0) * 12


@pytest.fixture
def typed(cells):
    return cells[0][:, :3] + APART, cells[1][:, :3] + APART


def test_types_apart_are_all_recognized(typed):
    real, synthetic = typed
    assert label_fidelity(real, TYPES, synthetic, TYPES) == 1
    assert tstr_f1(real, TYPES, synthetic, TYPES, n_trees=20) == 1


def test_wrong_labels_are_caught_by_their_share(typed):
    real, synthetic = typed
    wrong = TYPES.copy()
    wrong[:15] = "b"
    wrong[50:55] = "never seen"
    assert label_fidelity(real, TYPES, synthetic, wrong) == pytest.approx(1 - 20 / 150)
    assert tstr_f1(real, TYPES, synthetic, np.roll(TYPES, 50), n_trees=20) == 0


def test_overlapping_types_are_recognized_as_often_as_the_best_classifier_can():
    # Types N(0, 1) and N(2, 1): the best boundary is at 1 and right with probability Phi(1).
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 2000)
    real, synthetic = (rng.normal(np.where(labels == "a", 0, 2))[:, None] for _ in range(2))
    assert label_fidelity(real, labels, synthetic, labels) == pytest.approx(norm.cdf(1), abs=0.02)


def test_macro_f1_counts_a_missing_type_as_zero(typed):
    real, synthetic = typed
    kept = TYPES != "c"
    predicted_a_or_b = tstr_f1(real, TYPES, synthetic[kept], TYPES[kept], n_trees=50)
    # c is never predicted (F1 0); its 50 cells go to a and b, whose F1 is 2 x 50 / (100 + those taken).
    bounds = [(100 / (100 + taken) + 100 / (150 - taken)) / 3 for taken in (0, 25)]
    assert min(bounds) <= predicted_a_or_b <= max(bounds)


def test_one_type_tells_nothing(typed):
    assert np.isnan(label_fidelity(typed[0][:50], TYPES[:50], typed[1], TYPES))


def test_repeatable(typed):
    noisy = [x / 6 for x in typed]
    assert len({tstr_f1(noisy[0], TYPES, noisy[1], TYPES, n_trees=10) for _ in range(2)}) == 1


def test_labels_must_be_one_a_cell(typed):
    for metric in (label_fidelity, tstr_f1):
        with pytest.raises(ValueError, match=r"synthetic_labels must hold one label a cell \(150\)"):
            metric(typed[0], TYPES, typed[1], TYPES[:9])

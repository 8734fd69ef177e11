import functools

import numpy as np
import pytest

from activa.metrics import copy_ratio, correlation_discrepancy, membership_auc, mixing, mmd, rf_auc, wasserstein

PAIRS = [correlation_discrepancy, mixing, mmd, functools.partial(rf_auc, n_trees=10), wasserstein]
GOOD = np.random.default_rng(0).normal(size=(10, 3))


@pytest.mark.parametrize("metric", PAIRS)
@pytest.mark.parametrize(
    ("synthetic", "message"),
    [
        (GOOD[:, 0], "synthetic must be a matrix"),
        (GOOD[:1], r"synthetic has 1 cell\(s\)"),
        (GOOD[:, :2], "real has 3 features and synthetic 2"),
        (np.where(GOOD > 1, np.nan, GOOD), "synthetic has values that are not finite"),
    ],
)
def test_bad_arrays_are_refused(metric, synthetic, message):
    with pytest.raises(ValueError, match=message):
        metric(GOOD, synthetic)


@pytest.mark.parametrize("metric", [*PAIRS, lambda x, y: copy_ratio(x, y, y), lambda x, y: membership_auc(x, y, y)])
def test_arrays_and_global_random_state_stay_as_they_were(metric):
    x, y = GOOD.copy(), GOOD + 1
    x.flags.writeable = y.flags.writeable = False
    np.random.seed(7)
    metric(x, y)
    after = np.random.random()
    np.random.seed(7)
    assert np.random.random() == after
    assert np.array_equal(x, GOOD)

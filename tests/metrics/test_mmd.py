import itertools

import numpy as np
import pytest

from activa.metrics import mmd, mmd_per_type


def brute_force(x, y, bandwidths=(0.25, 0.5, 1, 2, 4)):
    median = np.median([np.sum((a - b) ** 2) for a, b in itertools.combinations(x, 2)])

    def kernel(a, b):
        return np.mean([np.exp(-np.sum((a - b) ** 2) / (s * median)) for s in bandwidths])

    within_x = np.mean([kernel(a, b) for a, b in itertools.permutations(x, 2)])
    within_y = np.mean([kernel(a, b) for a, b in itertools.permutations(y, 2)])
    return within_x + within_y - 2 * np.mean([kernel(a, b) for a in x for b in y])


@pytest.mark.parametrize("shift", [0, 1])
def test_agrees_with_the_definition_pair_by_pair(cells, shift):
    x, y = cells[0][:15], cells[1][:11] + shift
    assert mmd(x, y) == pytest.approx(brute_force(x, y), rel=1e-9)


def test_is_unbiased():
    rng = np.random.default_rng(0)
    values = [mmd(*rng.normal(size=(2, 20, 3))) for _ in range(400)]
    standard_error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * standard_error
    assert min(values) < 0


def test_grows_with_the_shift(cells):
    values = [mmd(cells[0], cells[1] + shift) for shift in (0, 0.5, 1, 2)]
    assert values == sorted(values)
    assert values[0] < 0.01


def test_chunks_change_nothing(cells):
    import sklearn

    whole = mmd(*cells)
    with sklearn.config_context(working_memory=0.01):
        assert mmd(*cells) == pytest.approx(whole, rel=1e-9)


def test_equal_cells_give_no_bandwidth():
    with pytest.raises(ValueError, match="median distance is 0"):
        mmd(np.ones((5, 2)), np.zeros((5, 2)))


def test_per_type_is_the_mean_over_types_with_enough_cells(cells):
    x, y = cells[0], cells[1]
    x_types, y_types = np.repeat(["a", "b", "c"], [70, 71, 9]), np.repeat(["a", "b", "c"], [60, 60, 30])
    expected = np.mean([mmd(x[x_types == t], y[y_types == t]) for t in "ab"])
    assert mmd_per_type(x, y, x_types, y_types) == pytest.approx(expected)


def test_per_type_catches_swapped_labels_that_the_whole_does_not_show(cells):
    types = np.repeat(["a", "b"], 75)
    apart = np.where(types == "a", 0, 6)[:, None]
    swapped = np.where(types == "a", "b", "a")
    real, synthetic = cells[0] + apart, cells[1] + apart
    assert mmd(real, synthetic) < 0.02
    assert mmd_per_type(real, synthetic, types, types) < 0.02
    assert mmd_per_type(real, synthetic, types, swapped) > 0.5


def test_per_type_is_nan_without_a_type_of_ten_cells(cells):
    assert np.isnan(mmd_per_type(cells[0][:9], cells[1][:9], ["a"] * 9, ["a"] * 9))

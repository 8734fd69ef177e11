"""The four distances, against their definitions and in cases with a known answer."""

import itertools

import numpy as np
import pytest
import sklearn
from scipy.optimize import brentq
from scipy.spatial.distance import cdist

from activa import optional
from activa.data import subsample
from activa.metrics import mixing, mmd, mmd_per_type, wasserstein


def mmd_by_hand(x, y, bandwidths=(0.25, 0.5, 1, 2, 4)):
    median = np.median([np.sum((a - b) ** 2) for a, b in itertools.combinations(x, 2)])

    def kernel(a, b):
        return np.mean([np.exp(-np.sum((a - b) ** 2) / (s * median)) for s in bandwidths])

    within_x = np.mean([kernel(a, b) for a, b in itertools.permutations(x, 2)])
    within_y = np.mean([kernel(a, b) for a, b in itertools.permutations(y, 2)])
    return within_x + within_y - 2 * np.mean([kernel(a, b) for a in x for b in y])


@pytest.mark.parametrize("shift", [0, 1])
def test_mmd_agrees_with_the_definition_pair_by_pair(cells, shift):
    x, y = cells[0][:15], cells[1][:11] + shift
    assert mmd(x, y) == pytest.approx(mmd_by_hand(x, y), rel=1e-9)


def test_mmd_is_unbiased():
    rng = np.random.default_rng(0)
    values = [mmd(*rng.normal(size=(2, 20, 3))) for _ in range(400)]
    standard_error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * standard_error
    assert min(values) < 0


def test_mmd_grows_with_the_shift(cells):
    values = [mmd(cells[0], cells[1] + shift) for shift in (0, 0.5, 1, 2)]
    assert values == sorted(values)
    assert values[0] < 0.01


def test_mmd_chunks_change_nothing(cells):
    whole = mmd(*cells)
    with sklearn.config_context(working_memory=0.01):
        assert mmd(*cells) == pytest.approx(whole, rel=1e-9)


def test_mmd_equal_cells_give_no_bandwidth():
    with pytest.raises(ValueError, match="median distance is 0"):
        mmd(np.ones((5, 2)), np.zeros((5, 2)))


def test_mmd_per_type_is_the_mean_over_types_with_enough_cells(cells):
    x, y = cells[0], cells[1]
    x_types, y_types = np.repeat(["a", "b", "c"], [70, 71, 9]), np.repeat(["a", "b", "c"], [60, 60, 30])
    expected = np.mean([mmd(x[x_types == t], y[y_types == t]) for t in "ab"])
    assert mmd_per_type(x, y, x_types, y_types) == pytest.approx(expected)


def test_mmd_per_type_catches_swapped_labels_that_the_whole_does_not_show(cells):
    types = np.repeat(["a", "b"], 75)
    apart = np.where(types == "a", 0, 6)[:, None]
    swapped = np.where(types == "a", "b", "a")
    real, synthetic = cells[0] + apart, cells[1] + apart
    assert mmd(real, synthetic) < 0.02
    assert mmd_per_type(real, synthetic, types, types) < 0.02
    assert mmd_per_type(real, synthetic, types, swapped) > 0.5


def test_mmd_per_type_is_nan_without_a_type_of_ten_cells(cells):
    assert np.isnan(mmd_per_type(cells[0][:9], cells[1][:9], ["a"] * 9, ["a"] * 9))


def test_wasserstein_agrees_with_all_permutations(cells):
    x, y = cells[0][:7], cells[1][:7]
    cost = min(np.mean(((x - y[list(order)]) ** 2).sum(axis=1)) for order in itertools.permutations(range(7)))
    assert wasserstein(x, y) == pytest.approx(np.sqrt(cost), rel=1e-9)


def test_wasserstein_agrees_with_sorting_in_one_dimension():
    x, y = np.random.default_rng(0).normal(size=(2, 300, 1))
    expected = np.sqrt(np.mean((np.sort(x, axis=0) - np.sort(2 * y + 1, axis=0)) ** 2))
    assert wasserstein(x, 2 * y + 1) == pytest.approx(expected, rel=1e-9)


def test_wasserstein_a_translation_costs_its_length(cells):
    assert wasserstein(cells[0], cells[0] + 3) == pytest.approx(3 * np.sqrt(8))


def test_wasserstein_is_zero_for_equal_sets_and_symmetric(cells):
    assert wasserstein(cells[0], cells[0][::-1]) == pytest.approx(0, abs=1e-6)
    assert wasserstein(*cells) == pytest.approx(wasserstein(*cells[::-1]))


def test_wasserstein_unequal_numbers_are_made_equal_by_the_seed(cells):
    values = [wasserstein(cells[0], cells[1][:50], seed=seed) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    assert wasserstein(*cells, max_cells=40) > wasserstein(*cells)


def lisi_by_hand(real, synthetic, n_neighbors, chosen=None):
    """Median over (chosen) cells of the inverse Simpson index at a perplexity of a third of the neighbors, minus 1."""
    x = np.vstack([real, synthetic])
    origin = np.repeat([0, 1], [len(real), len(synthetic)])
    distance = cdist(x, x)
    values = []
    for cell in range(len(x)) if chosen is None else chosen:
        near = np.argsort(distance[cell])[1:n_neighbors]
        d = distance[cell, near]

        def weights(beta, d=d):
            w = np.exp(-(d - d.min()) * beta)
            return w / w.sum()

        def entropy(beta, weights=weights):
            w = weights(beta)
            return -(w * np.log(np.maximum(w, 1e-300))).sum()

        beta = brentq(lambda b, entropy=entropy: entropy(b) - np.log(n_neighbors // 3), 1e-6, 1e4)
        share = weights(beta)[origin[near] == 0].sum()
        values.append(1 / (share**2 + (1 - share) ** 2))
    return np.median(values) - 1


@pytest.mark.parametrize("shift", [0, 0.7])
def test_mixing_agrees_with_the_definition(cells, shift):
    real, synthetic = cells[0], cells[1] + shift
    assert mixing(real, synthetic, n_neighbors=30) == pytest.approx(lisi_by_hand(real, synthetic, 30), abs=1e-3)


def test_mixing_above_the_limit_drawn_cells_have_their_neighbors_among_all_cells(cells):
    real, synthetic = cells[0], cells[1][:120] + 0.7
    rng = np.random.default_rng(5)
    chosen = np.concatenate([subsample(150, 40, rng), 150 + subsample(120, 40, rng)])
    expected = lisi_by_hand(real, synthetic, 30, chosen)
    assert mixing(real, synthetic, n_neighbors=30, max_cells=40, seed=5) == pytest.approx(expected, abs=1e-3)


def test_mixing_equal_distributions_mix_and_distant_ones_do_not(cells):
    assert mixing(*cells) > 0.85
    assert mixing(cells[0], cells[1] + 100) == 0


def test_mixing_is_symmetric(cells):
    assert mixing(cells[0], cells[1] + 0.5) == pytest.approx(mixing(cells[1] + 0.5, cells[0]), abs=1e-5)


def test_mixing_few_cells(cells):
    assert 0 <= mixing(cells[0][:5], cells[1][:5]) <= 1


def test_mixing_says_what_to_install(cells, monkeypatch):
    monkeypatch.setattr(optional, "is_installed", lambda module: False)
    with pytest.raises(ImportError, match=r"pip install 'activa-sc\[eval\]'"):
        mixing(*cells)

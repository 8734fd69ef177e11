import itertools

import numpy as np
import pytest

from activa.metrics import wasserstein


def test_agrees_with_all_permutations(cells):
    x, y = cells[0][:7], cells[1][:7]
    cost = min(np.mean(((x - y[list(order)]) ** 2).sum(axis=1)) for order in itertools.permutations(range(7)))
    assert wasserstein(x, y) == pytest.approx(np.sqrt(cost), rel=1e-9)


def test_agrees_with_sorting_in_one_dimension():
    x, y = np.random.default_rng(0).normal(size=(2, 300, 1))
    expected = np.sqrt(np.mean((np.sort(x, axis=0) - np.sort(2 * y + 1, axis=0)) ** 2))
    assert wasserstein(x, 2 * y + 1) == pytest.approx(expected, rel=1e-9)


def test_a_translation_costs_its_length(cells):
    assert wasserstein(cells[0], cells[0] + 3) == pytest.approx(3 * np.sqrt(8))


def test_is_zero_for_equal_sets_and_symmetric(cells):
    assert wasserstein(cells[0], cells[0][::-1]) == pytest.approx(0, abs=1e-6)
    assert wasserstein(*cells) == pytest.approx(wasserstein(*cells[::-1]))


@pytest.mark.parametrize("shift", [0, 1])
def test_sinkhorn_is_within_one_percent_of_the_exact_assignment(shift):
    rng = np.random.default_rng(0)
    spread = np.linspace(4, 0.7, 50)  # like principal components
    x, y = rng.normal(size=(2, 250, 50)) * spread
    x[:120, 0] += 15
    y[:110, 0] += 15
    assert wasserstein(x, y + shift, method="sinkhorn") == pytest.approx(wasserstein(x, y + shift), rel=0.01)


def test_sinkhorn_leaves_the_precision_of_jax_alone(cells):
    import jax

    before = jax.config.jax_enable_x64
    wasserstein(*cells, method="sinkhorn")
    assert jax.config.jax_enable_x64 == before


def test_sinkhorn_says_when_it_does_not_converge(cells):
    with pytest.warns(UserWarning, match="did not converge"):
        wasserstein(*cells, method="sinkhorn", epsilon=1e-6)


def test_unequal_numbers_are_made_equal_by_the_seed(cells):
    values = [wasserstein(cells[0], cells[1][:50], seed=seed) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    assert wasserstein(*cells, max_cells=40) > wasserstein(*cells)


def test_unknown_method(cells):
    with pytest.raises(ValueError, match="'exact' or 'sinkhorn', found 'emd'"):
        wasserstein(*cells, method="emd")

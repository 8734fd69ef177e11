"""Above a limit on the cells the figures are estimates: near the exact ones, seeded, in bounded memory."""

import functools

import numpy as np
import pytest

from activa.data import subsample
from activa.metrics import (
    copy_ratio,
    membership_auc,
    mixing,
    mmd,
    mmd_per_type,
    rf_auc,
    wasserstein,
)

N = 800
TYPES = np.repeat(["a", "b"], [560, 240])
# components of falling spread, synthetic cells a little off
SPREAD = np.linspace(3, 0.7, 8)
TRAIN, REAL, MADE = np.random.default_rng(0).normal(size=(3, N, 8)) * SPREAD
MADE = MADE * 0.95 + 0.3

# The figure as a function of max_cells and seed, the limit that is set for the test, and the largest difference from
# the exact figure: its bias there and four standard deviations over seeds.
FIGURES = {
    "mmd": (functools.partial(mmd, REAL, MADE), 200, 0.003),
    "mmd, few made": (functools.partial(mmd, REAL, MADE[:150]), 200, 0.002),
    "mmd_per_type": (functools.partial(mmd_per_type, REAL, MADE, TYPES, TYPES), 150, 0.003),
    "mixing": (functools.partial(mixing, REAL, MADE, n_neighbors=30), 200, 0.055),
    "rf_auc": (functools.partial(rf_auc, REAL, MADE), 300, 0.05),
    "copy_ratio": (functools.partial(copy_ratio, TRAIN, REAL, MADE), 300, 0.11),
    "membership_auc": (functools.partial(membership_auc, TRAIN, REAL, MADE), 300, 0.07),
}


@pytest.fixture(params=FIGURES)
def figure(request):
    return FIGURES[request.param]


def test_a_lowered_limit_comes_near_the_exact_figure(figure):
    compute, limit, error = figure
    assert compute(max_cells=limit) == pytest.approx(compute(max_cells=N), abs=error)


def test_up_to_the_limit_nothing_is_drawn(figure):
    compute, _, _ = figure
    assert compute(max_cells=N) == compute(max_cells=10 * N) == compute()


def test_the_seed_decides_and_global_random_state_is_left_alone(figure):
    compute, limit, _ = figure
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    values = [compute(max_cells=limit, seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(np.random.get_state()[1], before)
    assert values[0] == values[1] != values[2]


def test_a_limit_that_leaves_no_cells_is_refused(figure):
    compute, _, _ = figure
    with pytest.raises(ValueError, match=r"max_cells must be at least \d+, got 1"):
        compute(max_cells=1)


def test_means_of_blocks_are_unbiased_for_the_mmd_of_all_pairs():
    exact = mmd(REAL, MADE)
    values = np.array([mmd(REAL, MADE, max_cells=150, seed=seed) for seed in range(40)])
    assert abs(values.mean() - exact) < 3 * values.std() / np.sqrt(len(values))


def test_wasserstein_of_blocks_is_that_of_so_many_cells():
    single = [wasserstein(REAL[i : i + 100], MADE[i : i + 100]) ** 2 for i in range(0, N, 100)]
    error = 3 * np.std(single) / np.sqrt(len(single))
    assert wasserstein(REAL, MADE, max_cells=100) ** 2 == pytest.approx(np.mean(single), abs=error)
    drawn = [wasserstein(REAL, MADE, max_cells=100, seed=seed) for seed in range(5)]
    draws_of_one = [wasserstein(REAL[:199], MADE[:199], max_cells=100, seed=seed) for seed in range(5)]
    assert np.std(drawn) < np.std(draws_of_one)


def test_wasserstein_of_less_than_two_blocks_is_one_draw():
    rng = np.random.default_rng(3)
    drawn = [x[subsample(N, 500, rng)] for x in (REAL, MADE)]
    assert wasserstein(REAL, MADE, max_cells=500, seed=3) == wasserstein(*drawn)


def test_nearest_cells_are_those_among_all_cells():
    # Every cell has its copy in another place: found only where no cell is left out.
    assert copy_ratio(TRAIN, REAL, TRAIN[::-1], max_cells=50) < 1e-6
    assert membership_auc(TRAIN, REAL, TRAIN[::-1], max_cells=50) > 0.99


def test_memory_does_not_grow_with_the_square_of_the_cells(peak_mib):
    cells = np.random.default_rng(0).normal(size=(2, 4000, 4))
    all_pairs = 4000**2 * 8 / 2**20
    assert peak_mib(lambda: mmd(*cells, max_cells=500)) < all_pairs / 3
    assert peak_mib(lambda: wasserstein(*cells, max_cells=400)) < all_pairs / 20

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import roc_auc_score

from activa.metrics.estimates import Estimate, area_under_curve, mean_of_floors, mean_of_halves, mean_of_repeats


def test_area_is_that_of_scikit_learn_and_of_mann_and_whitney():
    rng = np.random.default_rng(0)
    others, members = rng.integers(5, size=30), rng.integers(7, size=20)  # with ties
    area = area_under_curve(others, members)
    assert area.value == pytest.approx(roc_auc_score(np.repeat([0, 1], [30, 20]), np.concatenate([others, members])))
    assert area.value == pytest.approx(mannwhitneyu(members, others).statistic / 600)


def test_variance_is_that_of_pairs_counted_one_by_one():
    rng = np.random.default_rng(1)
    others, members = rng.normal(size=12), rng.normal(0.5, size=9)
    wins = (members[:, None] > others) + 0.5 * (members[:, None] == others)
    expected = wins.mean(axis=1).var(ddof=1) / 9 + wins.mean(axis=0).var(ddof=1) / 12
    assert area_under_curve(others, members).variance == pytest.approx(expected)


def test_variance_is_that_over_draws_of_the_cells():
    rng = np.random.default_rng(2)
    areas = [area_under_curve(rng.normal(size=100), rng.normal(1, size=100)) for _ in range(500)]
    assert np.mean([a.value for a in areas]) == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.01)
    assert np.mean([a.variance for a in areas]) == pytest.approx(np.var([a.value for a in areas]), rel=0.2)


def test_halves_give_the_variance_of_their_mean_over_draws():
    """The figure is the mean of the cells: its variance is known to be 1 / n."""
    rng = np.random.default_rng(3)
    n, found = 200, []
    for _ in range(300):
        cells = rng.normal(size=n)
        splits = [np.split(rng.permutation(cells), 2) for _ in range(8)]
        found.append(mean_of_halves([(a.mean(), b.mean()) for a, b in splits]))
    assert np.var([x.value for x in found]) == pytest.approx(1 / n, rel=0.25)
    assert np.mean([x.variance for x in found]) == pytest.approx(1 / n, rel=0.1)
    inside = [x.interval[0] < 0 < x.interval[1] for x in found]
    assert 0.92 < np.mean(inside) < 0.98


def test_parts_of_the_cells_give_the_variance_of_their_mean_over_draws():
    rng = np.random.default_rng(4)
    n, found = 400, []
    for _ in range(300):
        cells = rng.normal(size=n)
        parts = [rng.permutation(cells)[:200] for _ in range(4)]
        splits = [np.split(part, 2) for part in parts]
        found.append(mean_of_halves([(a.mean(), b.mean()) for a, b in splits], coverage=0.5))
    assert np.mean([x.variance for x in found]) == pytest.approx(np.var([x.value for x in found]), rel=0.25)


def test_the_floors_spread_is_that_of_a_mean_over_two_halves():
    floors = mean_of_floors([1.0, 3.0, 2.0])
    assert (floors.value, floors.variance, floors.df) == (2.0, 0.5, 2)


def test_repeats_add_their_own_variance_to_that_of_the_cells():
    mean = mean_of_repeats([Estimate(0.5, 0.01), Estimate(0.7, 0.03)])
    assert (mean.value, mean.variance) == (pytest.approx(0.6), pytest.approx(0.02 + 0.02 / 2))


def test_figures_that_are_missing_in_a_split_are_left_out():
    assert mean_of_halves([(1.0, 3.0), (np.nan, 5.0)]).value == 2
    assert np.isnan(mean_of_halves([(np.nan, 1.0)]).value)
    assert mean_of_floors([1.0, np.nan, 3.0]).value == 2
    assert np.isnan(mean_of_floors([1.0, np.nan]).value)


def test_differences_of_independent_estimates():
    difference = Estimate(0.7, 0.01, 8).minus(Estimate(0.5, 0.02))
    assert (difference.value, difference.variance, difference.df) == (pytest.approx(0.2), pytest.approx(0.03), 8)
    low, high = Estimate(0.0, 1.0).interval
    assert (low, high) == (pytest.approx(-1.96, abs=0.001), pytest.approx(1.96, abs=0.001))

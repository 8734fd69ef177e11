"""One population has the genes' means and correlations of the types, and no types."""

import numpy as np
import pytest
from scipy.stats import kurtosis, skew
from tests_helpers import make_counts, make_model

from activa import ACTIVA, simulate


@pytest.fixture(scope="module")
def types() -> ACTIVA:
    """Two types that differ in a third of 60 genes."""
    rng = np.random.default_rng(0)
    cells = make_counts(500, 60)
    cells = cells[cells.obs["cell_type"] != "NK"].copy()
    counts = cells.X.toarray()
    counts[(cells.obs["cell_type"] == "B").to_numpy(), 10:30] += rng.poisson(
        8, ((cells.obs["cell_type"] == "B").sum(), 20)
    )
    cells.X = type(cells.X)(counts)
    return make_model(cells, epochs=60)


def log(cells) -> np.ndarray:
    x = cells.X.toarray().astype(float)
    return np.log1p(x / x.sum(1, keepdims=True) * 1e3)


def bimodality(values: np.ndarray) -> float:
    """Sarle's coefficient: 1/3 for a normal, 5/9 for a uniform distribution, 1 for two points."""
    return (skew(values) ** 2 + 1) / (kurtosis(values) + 3)


def test_means_and_correlations_are_kept_and_two_modes_are_not(types):
    mixture, one = types.generate(4000, seed=0), simulate.homogeneous(types, 4000, seed=0)
    means = [np.asarray(cells.X.mean(0)).ravel() for cells in (mixture, one)]
    expressed = means[0] > 0.3
    assert means[1][expressed] == pytest.approx(means[0][expressed], rel=0.2)
    assert np.median(np.abs(np.log(means[1] / means[0])[expressed])) < 0.05
    assert one.X.sum() == pytest.approx(mixture.X.sum(), rel=0.05)

    logs = [log(cells)[:, expressed] for cells in (mixture, one)]
    pairs = np.triu_indices(expressed.sum(), 1)
    correlations = [np.corrcoef(x.T)[pairs] for x in logs]
    assert np.corrcoef(*correlations)[0, 1] > 0.9
    first = [np.linalg.svd(x - x.mean(0), full_matrices=False)[0][:, 0] for x in logs]
    assert bimodality(first[0]) > 0.55 and bimodality(first[1]) < 0.5


def test_there_is_no_column_of_types(types):
    cells = simulate.homogeneous(types, 20, types=["B"], seed=0)
    assert list(cells.obs) == [] and cells.uns["activa"]["truth"]["homogeneous"]["types"] == ["B"]
    assert "seen" not in cells.obs


def test_one_type_has_its_own_means(types):
    cells = simulate.homogeneous(types, 3000, types=["B"], seed=0)
    expected = types.generate(3000, labels="B", seed=0)
    means = [np.asarray(c.X.mean(0)).ravel() for c in (expected, cells)]
    assert means[1] == pytest.approx(means[0], rel=0.15, abs=0.1)


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (ValueError, {"types": "B"}),
        (ValueError, {"types": []}),
        (KeyError, {"types": ["nobody"]}),
        (ValueError, {"n": 0}),
        (ValueError, {"batch": "one"}),
    ],
)
def test_bad_input_is_refused(types, error, arguments):
    with pytest.raises(error):
        simulate.homogeneous(types, **{"n": 10, "seed": 0} | arguments)

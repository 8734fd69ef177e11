import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from activa.model.mixtures import choose_cells, fit_mixtures, recognize_types


def test_mixtures_find_the_groups_of_a_type():
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(-3, 0.5, size=(300, 2)), rng.normal(3, 1.0, size=(100, 2)), rng.normal(size=(1, 2))])
    y = np.repeat([0, 1], [400, 1])
    loc, scale, weight = fit_mixtures(z, y, 3, 2, rng)
    order = loc[0, :, 0].argsort()
    np.testing.assert_allclose(loc[0][order].numpy(), [[-3, -3], [3, 3]], atol=0.3)
    np.testing.assert_allclose(scale[0][order].numpy(), [[0.5, 0.5], [1, 1]], rtol=0.2)
    np.testing.assert_allclose(weight[0][order].numpy(), [0.75, 0.25], atol=0.02)
    # a single cell has no spread of its own, and a label without cells keeps N(0, I)
    assert (scale[1] > 0.7).all() and (loc[2] == 0).all() and (scale[2] == 1).all()
    np.testing.assert_allclose(weight.sum(-1).numpy(), 1, rtol=1e-6)


def test_rare_types_are_chosen_whole():
    y = np.repeat([0, 1], [20_000, 25])
    cells = choose_cells(y, np.random.default_rng(0), 1_000)
    assert (y[cells] == 1).sum() == 25 and (y[cells] == 0).sum() == pytest.approx(1_000, abs=10)


@pytest.mark.parametrize("present", [[0, 1, 2], [0, 2], [0]])
def test_types_are_recognized_as_by_a_logistic_regression(present):
    """Labels without cells are not expected; a single label is certain."""
    rng = np.random.default_rng(0)
    y = rng.choice(present, size=300)
    z = rng.normal(size=(300, 4)) + y[:, None] * np.array([1.0, -0.5, 0.0, 0.3])
    weight, bias = recognize_types(z, y, 3)
    logits = z @ weight.double().numpy().T + bias.double().numpy()
    found = np.exp(logits - logits.max(1, keepdims=True))
    found /= found.sum(1, keepdims=True)
    expected = np.zeros((300, 3))
    expected[:, present] = 1 if len(present) == 1 else LogisticRegression(max_iter=1_000).fit(z, y).predict_proba(z)
    np.testing.assert_allclose(found, expected, atol=1e-3)

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.spatial.distance import cdist

from activa import optional
from activa.data import subsample
from activa.metrics import mixing


def lisi_by_hand(real, synthetic, n_neighbors, looked_at=None):
    """Median over cells (those looked at) of the inverse Simpson index at a perplexity of a third of the neighbors, minus 1."""
    x = np.vstack([real, synthetic])
    origin = np.repeat([0, 1], [len(real), len(synthetic)])
    distance = cdist(x, x)
    values = []
    for cell in range(len(x)) if looked_at is None else looked_at:
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
def test_agrees_with_the_definition(cells, shift):
    real, synthetic = cells[0], cells[1] + shift
    assert mixing(real, synthetic, n_neighbors=30) == pytest.approx(lisi_by_hand(real, synthetic, 30), abs=1e-3)


def test_above_the_limit_drawn_cells_have_their_neighbors_among_all_cells(cells):
    real, synthetic = cells[0], cells[1][:120] + 0.7
    rng = np.random.default_rng(5)
    looked_at = np.concatenate([subsample(150, 40, rng), 150 + subsample(120, 40, rng)])
    expected = lisi_by_hand(real, synthetic, 30, looked_at)
    assert mixing(real, synthetic, n_neighbors=30, max_cells=40, seed=5) == pytest.approx(expected, abs=1e-3)


def test_equal_distributions_mix_and_distant_ones_do_not(cells):
    assert mixing(*cells) > 0.85
    assert mixing(cells[0], cells[1] + 100) == 0


def test_is_symmetric(cells):
    assert mixing(cells[0], cells[1] + 0.5) == pytest.approx(mixing(cells[1] + 0.5, cells[0]), abs=1e-5)


def test_few_cells(cells):
    assert 0 <= mixing(cells[0][:5], cells[1][:5]) <= 1


def test_says_what_to_install(cells, monkeypatch):
    monkeypatch.setattr(optional, "is_installed", lambda module: False)
    with pytest.raises(ImportError, match=r"pip install 'activa-sc\[eval\]'"):
        mixing(*cells)

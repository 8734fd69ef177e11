import numpy as np
import pytest
from tests_helpers import make_counts

from activa.experiments.rare_types import AugmentationRun


@pytest.fixture(scope="module")
def thirds():
    """Three sets of cells of one distribution."""
    adata = make_counts(390)
    return [adata[i::3].copy() for i in range(3)]


@pytest.fixture
def real(thirds):
    return thirds[0].copy()


@pytest.fixture
def sets(thirds):
    """A second set, and one whose marker genes are shuffled among cells and others three times as frequent."""
    good, bad = (adata.copy() for adata in thirds[1:])
    x = bad.X.toarray()
    rng = np.random.default_rng(0)
    for gene in range(15):
        x[:, gene] = rng.permutation(x[:, gene])
    x[:, 20:30] *= 3
    bad.X = x
    return {"good": good, "bad": bad}


@pytest.fixture(scope="module")
def adata():
    """Cells to make a type rare of."""
    cells = make_counts(160)
    cells.obs_names = [f"cell_{i}" for i in range(cells.n_obs)]
    return cells


@pytest.fixture
def runs(monkeypatch):
    """What each method added, by run."""
    made, added = {}, AugmentationRun.added

    def note(self, method):
        made.setdefault(self, {})[method] = added(self, method)
        return made[self][method]

    monkeypatch.setattr(AugmentationRun, "added", note)
    return made

import numpy as np
import pytest
from tests_helpers import make_counts


@pytest.fixture(scope="module")
def drawn():
    """Three draws from one distribution."""
    adata = make_counts(390)
    return [adata[i::3].copy() for i in range(3)]


@pytest.fixture
def real(drawn):
    return drawn[0].copy()


@pytest.fixture
def sets(drawn):
    """A second draw, and one whose marker genes are shuffled among cells and others three times as frequent."""
    good, bad = (adata.copy() for adata in drawn[1:])
    x = bad.X.toarray()
    rng = np.random.default_rng(0)
    for gene in range(15):
        x[:, gene] = rng.permutation(x[:, gene])
    x[:, 20:30] *= 3
    bad.X = x
    return {"good": good, "bad": bad}
